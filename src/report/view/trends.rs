//! Where things are heading: runs over every window, and the steps that degrade most.

use super::{Capped, Part, Subject, Tone};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::TrendRow;
use std::collections::{BTreeMap, BTreeSet};

/// Run-level series shown.
const RUNS: usize = 20;
/// Steps shown.
const STEPS: usize = 10;

/// Directions by window.
#[derive(Debug, Clone, PartialEq)]
pub struct Trends {
    /// The windows in days, shortest first: the columns.
    pub windows: Vec<i64>,
    /// Series of whole workflows.
    pub runs: Capped<TrendLine>,
    /// Steps that degrade, most first.
    pub steps: Capped<TrendLine>,
    /// How all series of the longest window go, in a sentence.
    pub overview: String,
}

/// A series over the windows.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendLine {
    /// Which series.
    pub subject: Subject,
    /// In the order of the windows; none where the window held too little.
    pub cells: Vec<Option<TrendCell>>,
}

/// A direction.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendCell {
    /// In a word.
    pub direction: String,
    /// Whether it is good.
    pub tone: Tone,
    /// Change over the window.
    pub change: String,
    /// Its interval.
    pub interval: String,
}

pub(super) fn trends(published: &Published) -> Part<Trends> {
    let Some(trends) = &published.trends else { return Part::missing("trends") };
    if trends.directions.is_empty() {
        return Part::Nothing("No series has enough history for a trend.".to_owned());
    }
    let windows: BTreeSet<i64> = trends.directions.keys().map(|(window, _)| *window).collect();
    let windows: Vec<i64> = windows.into_iter().collect();
    let runs = lines(&trends.runs.rows, &windows);
    let steps = lines(&trends.degrading_steps.rows, &windows);
    // Rows beyond those kept are windows of series; at least that many series per window are left out.
    let beyond = |total: usize, kept: usize| (total - kept).div_ceil(windows.len().max(1));
    let n_runs = runs.len() + beyond(trends.runs.total, trends.runs.rows.len());
    let n_steps = steps.len() + beyond(trends.degrading_steps.total, trends.degrading_steps.rows.len());
    Part::Shown(Trends {
        overview: overview(&trends.directions),
        runs: Capped::of(runs, n_runs, RUNS, |line| line),
        steps: Capped::of(steps, n_steps, STEPS, |line| line),
        windows,
    })
}

/// One line a series, in the order in which the series first occurs.
fn lines(rows: &[TrendRow], windows: &[i64]) -> Vec<TrendLine> {
    let mut order: BTreeMap<(&str, Option<&str>, &str), usize> = BTreeMap::new();
    let mut lines: Vec<TrendLine> = Vec::new();
    for row in rows {
        let key = (row.workflow_id.as_str(), row.step.as_deref(), row.metric.as_str());
        let at = *order.entry(key).or_insert_with(|| {
            let subject = Subject::new(&row.workflow_id, row.step.as_deref(), Some(&row.metric));
            lines.push(TrendLine { subject, cells: vec![None; windows.len()] });
            lines.len() - 1
        });
        let column = windows.iter().position(|window| *window == row.window_days);
        let slot = column.and_then(|column| lines.get_mut(at)?.cells.get_mut(column));
        if let Some(slot) = slot {
            *slot = Some(cell(row));
        }
    }
    lines
}

fn cell(row: &TrendRow) -> TrendCell {
    let is_share = row.unit == "ratio";
    let text = if is_share { format::points } else { format::signed_percent };
    TrendCell {
        direction: format::words(&row.direction),
        tone: match row.direction.as_str() {
            "improving" => Tone::Good,
            "degrading" => Tone::Bad,
            _ => Tone::Neutral,
        },
        change: text(row.change),
        interval: format!("{} to {}", text(row.change_lower), text(row.change_upper)),
    }
}

fn overview(directions: &BTreeMap<(i64, String), usize>) -> String {
    let Some(longest) = directions.keys().map(|(window, _)| *window).max() else { return String::new() };
    let of_longest: Vec<(&str, usize)> = directions
        .iter()
        .filter(|((window, _), _)| *window == longest)
        .map(|((_, direction), n)| (direction.as_str(), *n))
        .collect();
    let total = format::plural(of_longest.iter().map(|(_, n)| n).sum(), "series", "series");
    let parts: Vec<String> = of_longest
        .iter()
        .map(|(direction, n)| format!("{} {}", format::grouped_usize(*n), format::words(direction)))
        .collect();
    format!("Of {total} over {longest} days: {}.", parts.join(", "))
}
