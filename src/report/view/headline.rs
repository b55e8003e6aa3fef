//! This week's numbers beside last week's: seven whole days against the seven before them, so that weekday meets
//! weekday.

use super::{Capped, Part, Tone};
use crate::pure::series::Metric;
use crate::pure::units::DAY_US;
use crate::report::format;
use crate::report::history::{Bucket, History, SeriesId};
use crate::report::load::Published;
use chrono_tz::Tz;
use std::ops::Range;

/// Workflows shown on their own.
const CAP: usize = 12;
/// Moves smaller than this are not coloured: they are within what weeks differ by anyway.
const NOTABLE: f64 = 0.05;
/// The same for shares, in absolute terms.
const NOTABLE_SHARE: f64 = 0.01;

/// The week in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Headline {
    /// Which days.
    pub period: String,
    /// What to keep in mind when reading the numbers.
    pub note: Option<String>,
    /// All workflows together.
    pub tiles: Vec<Tile>,
    /// Each workflow on its own, the one that ran longest first; empty when there is only one.
    pub workflows: Capped<WorkflowWeek>,
}

/// A number, and what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// What it is.
    pub label: &'static str,
    /// This week.
    pub value: String,
    /// The week before; none where nothing ran in it.
    pub before: Option<String>,
    /// How they differ.
    pub change: Option<String>,
    /// Whether that is good.
    pub tone: Tone,
}

/// A workflow's week.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowWeek {
    /// The workflow.
    pub workflow: String,
    /// The same numbers in the same order as the tiles.
    pub numbers: Vec<Tile>,
}

/// What two weeks are, as starts of UTC days.
struct Weeks {
    now: Range<i64>,
    before: Range<i64>,
    /// Whether the last day is still running.
    unfinished: bool,
}

/// What is counted of a week.
struct Week {
    runs: Bucket,
    times: Bucket,
    errors: Bucket,
    cost: Bucket,
}

pub(super) fn headline(published: &Published) -> Part<Headline> {
    let Some(history) = &published.history else {
        return Part::Nothing("No daily rollups are published.".to_owned());
    };
    let now = published.as_of.timestamp_micros();
    let Some(weeks) = weeks(history, now) else {
        return Part::Nothing("Nothing ran in the seven days before the as-of.".to_owned());
    };
    let mut workflows: Vec<&str> = history.keys().map(|id| id.workflow_id.as_str()).collect();
    workflows.dedup();
    let mut by_time: Vec<(&str, f64)> =
        workflows.iter().map(|id| (*id, week(history, Some(id), &weeks.now).times.sum)).collect();
    by_time.retain(|(id, _)| week(history, Some(id), &weeks.now).runs.count > 0);
    by_time.sort_by(|(a, time_a), (b, time_b)| time_b.total_cmp(time_a).then_with(|| a.cmp(b)));
    let several = if by_time.len() > 1 { by_time } else { Vec::new() };
    let total = several.len();
    Part::Shown(Headline {
        period: period(&weeks),
        note: note(&weeks, total),
        tiles: tiles(history, None, &weeks),
        workflows: Capped::of(several, total, CAP, |(id, _)| WorkflowWeek {
            workflow: format::name(id),
            numbers: tiles(history, Some(id), &weeks),
        }),
    })
}

/// The last seven complete days, or, where nothing ran in them, the seven up to the as-of's own.
fn weeks(history: &History, now: i64) -> Option<Weeks> {
    let today = now.div_euclid(DAY_US).saturating_mul(DAY_US);
    let ending = |end: i64, unfinished: bool| Weeks {
        now: end.saturating_sub(7 * DAY_US)..end,
        before: end.saturating_sub(14 * DAY_US)..end.saturating_sub(7 * DAY_US),
        unfinished,
    };
    let candidates = [ending(today, false), ending(today.saturating_add(DAY_US), true)];
    candidates.into_iter().find(|weeks| week(history, None, &weeks.now).runs.count > 0)
}

fn period(weeks: &Weeks) -> String {
    let days = |range: &Range<i64>| {
        format!("{} to {}", format::day(range.start, Tz::UTC), format::day(range.end.saturating_sub(1), Tz::UTC))
    };
    format!("{}, beside {} (UTC days)", days(&weeks.now), days(&weeks.before))
}

fn note(weeks: &Weeks, n_workflows: usize) -> Option<String> {
    let unfinished = "The last day ends at the as-of: the two weeks are not equally long.";
    let mix = "All workflows together: what runs more often moves these numbers, too.";
    match (weeks.unfinished, n_workflows > 1) {
        (true, true) => Some(format!("{unfinished} {mix}")),
        (true, false) => Some(unfinished.to_owned()),
        (false, true) => Some(mix.to_owned()),
        (false, false) => None,
    }
}

/// A week of one workflow, or of all.
fn week(history: &History, workflow: Option<&str>, days: &Range<i64>) -> Week {
    let of = |metric: Metric| {
        let is_ours = |id: &SeriesId| {
            id.step.is_none() && id.metric == metric && workflow.is_none_or(|workflow| id.workflow_id == workflow)
        };
        let series = history.iter().filter(|(id, _)| is_ours(id));
        Bucket::merged(series.flat_map(|(_, buckets)| buckets.range(days.clone()).map(|(_, bucket)| bucket)))
    };
    Week {
        runs: of(Metric::Throughput),
        times: of(Metric::ExecutionTime),
        errors: of(Metric::ErrorRate),
        cost: of(Metric::Cost),
    }
}

fn tiles(history: &History, workflow: Option<&str>, weeks: &Weeks) -> Vec<Tile> {
    let (now, before) = (week(history, workflow, &weeks.now), week(history, workflow, &weeks.before));
    let tile = |label, metric, measure: fn(&Week) -> f64, text: fn(f64) -> String| {
        let (value, earlier) = (measure(&now), measure(&before));
        let relative = (value - earlier) / earlier;
        Tile {
            label,
            value: text(value),
            before: earlier.is_finite().then(|| text(earlier)),
            change: relative.is_finite().then(|| format::change(1.0 + relative)),
            tone: if relative.abs() < NOTABLE { Tone::Neutral } else { Tone::of(metric, value - earlier) },
        }
    };
    vec![
        tile("Runs", None, runs, format::count),
        success(&now, &before),
        tile("Median run time", Some(Metric::ExecutionTime), |week| week.times.quantile(0.5), format::duration),
        tile("95 % of runs within", Some(Metric::ExecutionTime), |week| week.times.quantile(0.95), format::duration),
        tile("Cost", Some(Metric::Cost), cost, format::usd),
    ]
}

/// No run is no number: a week without rollups may be one before the history.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn runs(week: &Week) -> f64 {
    if week.runs.count == 0 { f64::NAN } else { week.runs.count as f64 }
}

fn success(now: &Week, before: &Week) -> Tile {
    let rate = |week: &Week| 1.0 - week.errors.mean();
    let (value, earlier) = (rate(now), rate(before));
    let difference = value - earlier;
    Tile {
        label: "Success rate",
        value: format::percent(value),
        before: earlier.is_finite().then(|| format::percent(earlier)),
        change: difference.is_finite().then(|| format::points(difference)),
        tone: match difference {
            d if d >= NOTABLE_SHARE => Tone::Good,
            d if d <= -NOTABLE_SHARE => Tone::Bad,
            _ => Tone::Neutral,
        },
    }
}

/// Where no run's cost is known, neither is the sum.
fn cost(week: &Week) -> f64 {
    if week.cost.count == 0 { f64::NAN } else { week.cost.sum }
}
