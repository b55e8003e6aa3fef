//! Rows in order of time, each judged by those before it.
//!
//! Of each column of numbers several views are taken: the value, its change, its distance from the median of the latest
//! rows (which follows a shifted level), the mean of the latest rows, and, where the past has a season, how far the value
//! leaves the range of the same phase. How rare a view is among its own past is its surprise (see [`Past`]); so a spiky
//! stream has to spike higher. Surprises are capped, for one view that is off the scale is no better evidence than one
//! that is far out, and added. What a stream has already alarmed about counts against its further alarms: that is the
//! budget, about one alarm in [`BUDGET_ROWS`] rows, and the same trouble is told once, not row by row.

use super::past::Past;
use super::{Feature, Unjudged, Verdict, digits, numbers, season};
use crate::columns::Column;
use rayon::prelude::*;

/// Rows behind the median and behind the mean.
const MEDIAN_ROWS: usize = 100;
const MEAN_ROWS: usize = 20;
/// A view says nothing before it has seen so many values; one of several rows needs more.
const MIN_PAST: usize = 50;
const MIN_PAST_OF_MANY: usize = 100;
/// A probability of 1 in 160,000 is as far as a view is believed (natural logarithm).
const CAP: f64 = 12.0;
/// The season explains the value itself and its change, so its view counts as two.
const CAP_OF_SEASON: f64 = 24.0;
/// Seasons looked back on; and neighbours in phase and rows behind the mean, as shares of the season.
const SEASONS: usize = 14;
const PHASE_SHARE: usize = 50;
const SMOOTH_SHARE: usize = 48;
/// One alarm in so many rows is expected; the strongest such alarm so far raises the bar by a share of itself.
const BUDGET_ROWS: usize = 1000;
const BAR: f64 = 0.2;
/// Rows after a stronger one within which a surprise is a part of the same trouble, and what remains of it then.
const SAME_TROUBLE_ROWS: usize = 100;
const SAME_TROUBLE: f64 = 0.25;
/// Surprise from which a row is an anomaly: reached about once in a thousand rows of noise, correlated noise, and noise
/// with seasons.
const ALARM: f64 = 20.0;
/// A view with this surprise is named as a reason.
const REASON: f64 = 4.0;
/// Where values were expected: this quantile, and its mirror image.
const EXPECTED: f64 = 0.005;

/// Names of the views, as reasons say them.
const VIEWS: [&str; 5] = ["value", "change", "distance from latest median", "latest mean", "distance from season"];

/// One row of one view.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    seen: f64,
    surprise: f64,
    /// Where it was expected.
    range: (f64, f64),
}

/// Judges `rows`, which are in order of time. Columns of words are left out, and it is told.
pub(super) fn judge(features: &[Feature], rows: &[usize]) -> (Vec<Verdict>, Vec<Unjudged>) {
    let mut unjudged = Vec::new();
    let mut columns: Vec<(&str, Vec<f64>)> = Vec::new();
    for (name, column) in features {
        let mut tell = |reason: &str| {
            unjudged.push(Unjudged { subject: format!("column {name:?}"), reason: reason.to_owned() });
        };
        match column {
            Column::Words(_) => tell("words are not judged in order of time; leave out the time to judge them"),
            Column::Numbers(values) => {
                let values = numbers(values, rows);
                let mut known = values.iter().filter(|v| !v.is_nan());
                match known.next() {
                    None => tell("no number is known"),
                    Some(first) if known.all(|v| v.total_cmp(first).is_eq()) => {
                        tell("is constant, so nothing in it is strange");
                    }
                    Some(_) => columns.push((name, values)),
                }
            }
        }
    }
    if columns.is_empty() {
        unjudged.push(Unjudged { subject: String::new(), reason: "no column can be judged".to_owned() });
        return (vec![Verdict::unknown(); rows.len()], unjudged);
    }
    let judged: Vec<Vec<Verdict>> = columns.par_iter().map(|(name, values)| judge_column(name, values)).collect();
    let strongest = |row: usize| {
        let of_row = judged.iter().filter_map(|column| column.get(row)).filter(|verdict| !verdict.score.is_nan());
        let mut strongest = of_row.clone().max_by(|a, b| a.score.total_cmp(&b.score)).cloned();
        if let Some(verdict) = &mut strongest {
            verdict.reasons = of_row.filter(|v| v.is_anomaly).flat_map(|v| v.reasons.iter().cloned()).collect();
        }
        strongest.unwrap_or_else(Verdict::unknown)
    };
    ((0..rows.len()).map(strongest).collect(), unjudged)
}

/// Judges a column; unknown values are not judged, and no part of anyone's past.
fn judge_column(name: &str, values: &[f64]) -> Vec<Verdict> {
    let known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let views = views(&known);
    let total = |row: usize| views.iter().filter_map(|view| view.get(row)).map(|look| look.surprise).sum::<f64>();
    let surprises: Vec<f64> = (0..known.len()).map(total).collect();
    let mut said = within_budget(&surprises).into_iter().enumerate().map(|(row, surprise)| {
        let is_anomaly = surprise >= ALARM;
        let reasons = if is_anomaly { reasons(name, &views, row) } else { Vec::new() };
        Verdict { score: surprise / (surprise + ALARM), is_anomaly, reasons }
    });
    values.iter().map(|v| if v.is_nan() { None } else { said.next() }.unwrap_or_else(Verdict::unknown)).collect()
}

fn reasons(name: &str, views: &[Vec<Look>], row: usize) -> Vec<String> {
    let looks = VIEWS.iter().zip(views).filter_map(|(view, looks)| Some((view, looks.get(row)?)));
    let mut telling: Vec<(&&str, &Look)> = looks.filter(|(_, look)| look.surprise >= REASON).collect();
    telling.sort_by(|a, b| b.1.surprise.total_cmp(&a.1.surprise));
    let say = |(view, look): (&&str, &Look)| {
        let (lower, upper) = look.range;
        format!("{name}: {view} {}, expected {} to {}", digits(look.seen), digits(lower), digits(upper))
    };
    telling.into_iter().map(say).collect()
}

/// The views of a stream without gaps, in the order of [`VIEWS`].
fn views(values: &[f64]) -> [Vec<Look>; 5] {
    let previous = values.iter().map(Some).map(|v| v.copied());
    let changes: Vec<f64> = std::iter::once(None)
        .chain(previous)
        .zip(values)
        .map(|(before, now)| before.map_or(f64::NAN, |before| finite(now - before)))
        .collect();
    let distances: Vec<f64> = values.iter().zip(medians_before(values)).map(|(v, m)| finite(v - m)).collect();
    [
        looks(values, 0, MIN_PAST, CAP),
        looks(&changes, 0, MIN_PAST, CAP),
        looks(&distances, 0, MIN_PAST, CAP),
        looks(&means(values), MEAN_ROWS, MIN_PAST_OF_MANY, CAP),
        looks(&off_season(values), 0, MIN_PAST_OF_MANY, CAP_OF_SEASON),
    ]
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

/// Looks at each value from what came more than `gap` rows before it.
fn looks(values: &[f64], gap: usize, min_past: usize, cap: f64) -> Vec<Look> {
    let mut past = Past::of(values);
    let look = |(row, &seen): (usize, &f64)| {
        if let Some(earlier) = row.checked_sub(gap + 1).and_then(|row| values.get(row)) {
            past.learn(*earlier);
        }
        if past.len() < min_past || seen.is_nan() {
            return Look::default();
        }
        let surprise = past.surprise(seen).min(cap);
        let is_telling = surprise >= REASON;
        let range = if is_telling { (past.quantile(EXPECTED), past.quantile(1.0 - EXPECTED)) } else { (0.0, 0.0) };
        Look { seen, surprise, range }
    };
    values.iter().enumerate().map(look).collect()
}

/// The median of up to [`MEDIAN_ROWS`] rows before each row; NaN before the first.
fn medians_before(values: &[f64]) -> Vec<f64> {
    let mut latest: Vec<f64> = Vec::with_capacity(MEDIAN_ROWS + 1);
    let median = |(row, value): (usize, &f64)| {
        let (low, high) = (latest.get(latest.len().saturating_sub(1) / 2), latest.get(latest.len() / 2));
        let median = low.zip(high).map_or(f64::NAN, |(low, high)| 0.5 * low + 0.5 * high);
        if let Some(old) = row.checked_sub(MEDIAN_ROWS).and_then(|row| values.get(row)) {
            latest.remove(latest.partition_point(|v| v < old));
        }
        latest.insert(latest.partition_point(|v| v < value), *value);
        median
    };
    values.iter().enumerate().map(median).collect()
}

/// The mean of the latest [`MEAN_ROWS`] rows.
#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn means(values: &[f64]) -> Vec<f64> {
    let full = values.windows(MEAN_ROWS).map(|rows| finite(rows.iter().map(|v| v / MEAN_ROWS as f64).sum()));
    std::iter::repeat_n(f64::NAN, (MEAN_ROWS - 1).min(values.len())).chain(full).collect()
}

/// How far each value leaves the range that the same phase of earlier seasons had, smoothed over a few rows; NaN where
/// the past has no season.
#[expect(clippy::cast_precision_loss, reason = "lengths stay far below 2^53")]
fn off_season(values: &[f64]) -> Vec<f64> {
    let lengths = season::lengths(values);
    let off: Vec<f64> = lengths.iter().enumerate().map(|(row, &length)| off_range(values, row, length)).collect();
    let smooth = |(row, (&length, &raw)): (usize, (&usize, &f64))| {
        let n = (length / SMOOTH_SHARE).max(1);
        match (row + 1).checked_sub(n).and_then(|from| off.get(from..=row)) {
            Some(latest) if !raw.is_nan() => latest.iter().filter(|v| !v.is_nan()).map(|v| v / n as f64).sum::<f64>(),
            _ => f64::NAN,
        }
    };
    lengths.iter().zip(&off).enumerate().map(smooth).collect()
}

fn off_range(values: &[f64], row: usize, length: usize) -> f64 {
    let aside = (length / PHASE_SHARE).max(1);
    let phases = (1..=SEASONS)
        .map_while(|season| row.checked_sub(season * length))
        .filter(|middle| length > 0 && middle + aside < row)
        .map_while(|middle| values.get(middle.checked_sub(aside)?..=middle + aside));
    let (low, high) =
        phases.flatten().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (v.min(low), v.max(high)));
    match values.get(row) {
        Some(_) if low > high => f64::NAN,
        Some(v) if *v > high => finite(v - high),
        Some(v) if *v < low => finite(v - low),
        Some(_) => 0.0,
        None => f64::NAN,
    }
}

/// Surprises less a share of the strongest alarm that the budget has let pass before, and only a part of those that
/// follow a stronger one closely.
fn within_budget(surprises: &[f64]) -> Vec<f64> {
    let most = surprises.len() / BUDGET_ROWS + 1;
    // The strongest alarms so far, ascending.
    let mut alarms: Vec<f64> = Vec::with_capacity(most + 1);
    let judge = |(row, &surprise): (usize, &f64)| {
        let allowed = (row / BUDGET_ROWS).max(1);
        let bar = alarms.len().checked_sub(allowed).and_then(|at| alarms.get(at)).copied().unwrap_or_default();
        let left = (surprise - BAR * bar).max(0.0);
        let latest = surprises.get(row.saturating_sub(SAME_TROUBLE_ROWS)..row).unwrap_or_default();
        if surprise <= latest.iter().copied().fold(0.0, f64::max) {
            return SAME_TROUBLE * left;
        }
        alarms.insert(alarms.partition_point(|alarm| *alarm < surprise), surprise);
        if alarms.len() > most {
            alarms.remove(0);
        }
        left
    };
    surprises.iter().enumerate().map(judge).collect()
}
