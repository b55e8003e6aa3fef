//! What will happen: forecasts of the most important run-level series behind their history.

use super::{Part, Subject};
use crate::pure::series::Metric;
use crate::pure::units::DAY_US;
use crate::report::format;
use crate::report::history::{History, SeriesId, centres};
use crate::report::load::{HISTORY_DAYS, Published};
use crate::tables::published::ForecastRow;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet};

/// Charts shown.
const CAP: usize = 6;
/// Workflows whose forecasts are looked at.
const WORKFLOWS: usize = 20;
/// Days over which it is decided which workflows matter.
const IMPORTANCE_DAYS: i64 = 30;
/// Metrics that are drawn, most important first.
const METRICS: [Metric; 3] = [Metric::ExecutionTime, Metric::Throughput, Metric::Cost];
/// History is drawn this many times as long as the forecast.
const HISTORY_RATIO: i64 = 2;

/// The charts.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecasts {
    /// Most important first.
    pub charts: Vec<Fan>,
    /// Series that are forecast and not drawn.
    pub more: usize,
}

/// History and forecast of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Fan {
    /// What is forecast.
    pub subject: Subject,
    /// The unit of all values.
    pub unit: String,
    /// Length of a bucket in microseconds.
    pub period_us: i64,
    /// Start of each bucket and its centre; NaN where nothing ran.
    pub history: Vec<(i64, f64)>,
    /// Start of each bucket that is forecast and its point.
    pub points: Vec<(i64, f64)>,
    /// One a level, widest first.
    pub bands: Vec<Band>,
    /// The forecast in sentences.
    pub description: String,
    /// Which model made it.
    pub model: String,
}

/// The intervals of one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// Coverage probability.
    pub level: f64,
    /// Start of each bucket, lower and upper end.
    pub ends: Vec<(i64, f64, f64)>,
}

/// Workflows by the time that they took in the last weeks, longest first.
fn by_importance(history: &History, as_of: DateTime<Utc>) -> Vec<&str> {
    let from = as_of.timestamp_micros().saturating_sub(IMPORTANCE_DAYS * DAY_US);
    let times = history.iter().filter(|(id, _)| id.step.is_none() && id.metric == Metric::ExecutionTime);
    let mut totals: Vec<(&str, f64)> = times
        .map(|(id, buckets)| (id.workflow_id.as_str(), buckets.range(from..).map(|(_, bucket)| bucket.sum).sum()))
        .collect();
    totals.sort_by(|(a, time_a), (b, time_b)| time_b.total_cmp(time_a).then_with(|| a.cmp(b)));
    totals.into_iter().map(|(workflow, _)| workflow).collect()
}

/// The series whose forecasts may be drawn; empty where no history says which matter.
#[must_use]
pub fn forecast_candidates(history: &History, as_of: DateTime<Utc>) -> BTreeSet<SeriesId> {
    let workflows = by_importance(history, as_of).into_iter().take(WORKFLOWS);
    let series =
        |workflow: &str| METRICS.map(|metric| SeriesId { workflow_id: workflow.to_owned(), step: None, metric });
    workflows.flat_map(series).collect()
}

type Rows<'a> = BTreeMap<SeriesId, Vec<&'a ForecastRow>>;

fn by_series(rows: &[ForecastRow]) -> Rows<'_> {
    let mut series = Rows::new();
    for row in rows {
        let Ok(metric) = row.metric.parse() else { continue };
        let id = SeriesId { workflow_id: row.workflow_id.clone(), step: row.step.clone(), metric };
        series.entry(id).or_default().push(row);
    }
    series
}

/// The length of a bucket and the cutoff of the forecasts whose grid is finer than a day.
#[must_use]
pub fn forecast_grids(rows: &[ForecastRow]) -> Vec<(SeriesId, i64, i64)> {
    let fine = |(id, rows): (SeriesId, Vec<&ForecastRow>)| {
        let period_us = period_us(&rows);
        let cutoff_us = rows.first()?.cutoff.0;
        (period_us < DAY_US).then_some((id, period_us, cutoff_us))
    };
    by_series(rows).into_iter().filter_map(fine).collect()
}

/// The distance between two steps of the horizon; a day where there is only one step.
fn period_us(rows: &[&ForecastRow]) -> i64 {
    let starts: BTreeSet<i64> = rows.iter().map(|row| row.ds.0).collect();
    let gaps = starts.iter().zip(starts.iter().skip(1)).map(|(a, b)| b - a);
    gaps.min().unwrap_or(DAY_US)
}

pub(super) fn forecasts(published: &Published, zone: Tz) -> Part<Forecasts> {
    let Some(kept) = &published.forecasts else { return Part::missing("forecasts") };
    let series = by_series(&kept.rows);
    if series.is_empty() {
        let why = if kept.total == 0 { "No series has enough history to be forecast." } else { UNDRAWN };
        return Part::Nothing(why.to_owned());
    }
    let order = published.history.as_ref().map(|history| by_importance(history, published.as_of)).unwrap_or_default();
    let place = |id: &SeriesId| {
        let workflow = order.iter().position(|workflow| *workflow == id.workflow_id).unwrap_or(usize::MAX);
        (workflow, METRICS.iter().position(|metric| *metric == id.metric).unwrap_or(usize::MAX))
    };
    let mut ranked: Vec<(&SeriesId, &Vec<&ForecastRow>)> = series.iter().collect();
    ranked.sort_by_key(|(id, _)| (place(id), (*id).clone()));
    let charts: Vec<Fan> = ranked.into_iter().take(CAP).map(|(id, rows)| fan(published, id, rows, zone)).collect();
    let more = kept.total.saturating_sub(charts.len());
    Part::Shown(Forecasts { charts, more })
}

const UNDRAWN: &str = "Only series of single steps are forecast; see the table forecasts.";

fn fan(published: &Published, id: &SeriesId, rows: &[&ForecastRow], zone: Tz) -> Fan {
    let period_us = period_us(rows);
    let mut bands: BTreeMap<u64, Band> = BTreeMap::new();
    let mut points = BTreeMap::new();
    for row in rows {
        points.insert(row.ds.0, row.point);
        // Levels lie between 0 and 1, where the order of bits is that of the numbers.
        let band = bands.entry(row.level.to_bits()).or_insert_with(|| Band { level: row.level, ends: Vec::new() });
        band.ends.push((row.ds.0, row.lower, row.upper));
    }
    for band in bands.values_mut() {
        band.ends.sort_by_key(|(start, _, _)| *start);
    }
    let (unit, model) = rows.first().map_or(("", ""), |row| (row.unit.as_str(), row.model.as_str()));
    Fan {
        subject: Subject::new(&id.workflow_id, id.step.as_deref(), Some(id.metric.as_str())),
        unit: unit.to_owned(),
        period_us,
        history: past(published, id, rows, period_us, points.len()),
        points: points.into_iter().collect(),
        bands: bands.into_values().rev().collect(),
        description: description(rows, period_us, zone),
        model: format::name(model),
    }
}

fn past(
    published: &Published,
    id: &SeriesId,
    rows: &[&ForecastRow],
    period_us: i64,
    horizon: usize,
) -> Vec<(i64, f64)> {
    let Some(cutoff_us) = rows.iter().map(|row| row.cutoff.0).max() else { return Vec::new() };
    let ahead = i64::try_from(horizon).unwrap_or(i64::MAX).max(15);
    let longest = HISTORY_DAYS * DAY_US;
    let span = period_us.saturating_mul(ahead).saturating_mul(HISTORY_RATIO).min(longest);
    let history = if period_us < DAY_US { Some(&published.fine_history) } else { published.history.as_ref() };
    history.map(|history| centres(history, id, cutoff_us.saturating_sub(span), cutoff_us)).unwrap_or_default()
}

/// The first and the last step of the horizon, with the widest interval of each.
fn description(rows: &[&ForecastRow], period_us: i64, zone: Tz) -> String {
    let widest = |horizon: i64| {
        let steps = rows.iter().filter(move |row| row.horizon == horizon);
        steps.max_by(|a, b| a.level.total_cmp(&b.level))
    };
    let sentence = |row: &&ForecastRow| {
        let at = if period_us < DAY_US { format::instant(row.ds.0, zone) } else { format::day(row.ds.0, Tz::UTC) };
        let ForecastRow { unit, point, lower, upper, level, .. } = row;
        let (point, range) = (format::value(*point, unit), format::range(*lower, *upper, unit));
        format!("{at}: {point} ({range}, {} interval).", format::level(*level))
    };
    let last = rows.iter().map(|row| row.horizon).max().unwrap_or(1);
    let ends = if last > 1 { vec![1, last] } else { vec![last] };
    ends.into_iter().filter_map(widest).map(sentence).collect::<Vec<_>>().join(" ")
}
