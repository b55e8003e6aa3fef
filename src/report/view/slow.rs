//! What is slow: bottlenecks by the share of end-to-end time that they cost.

use super::{Capped, Part, Subject};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::BottleneckRow;
use chrono_tz::Tz;

/// Bottlenecks shown.
const CAP: usize = 10;
/// Causes shown of each.
const CAUSES: usize = 3;

/// The bottlenecks, guiltiest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Slow {
    /// What is slow.
    pub items: Capped<SlowStep>,
    /// The right end of all bars: a share of end-to-end time.
    pub axis_end: f64,
}

/// A bottleneck.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowStep {
    /// What is slow.
    pub subject: Subject,
    /// How, in words.
    pub kind: String,
    /// How bad, in a word.
    pub severity: String,
    /// Share of end-to-end time.
    pub impact: f64,
    /// Lower end of its interval.
    pub impact_lower: f64,
    /// Upper end of its interval.
    pub impact_upper: f64,
    /// The share in words.
    pub share: String,
    /// The interval in words.
    pub interval: String,
    /// What it costs a typical run.
    pub cost: String,
    /// What was found.
    pub description: String,
    /// Likely causes.
    pub causes: Vec<String>,
    /// Rows that show it.
    pub evidence: Vec<String>,
    /// Since when it has been seen.
    pub opened_at: String,
}

pub(super) fn slow(published: &Published, zone: Tz) -> Part<Slow> {
    let Some(kept) = &published.bottlenecks else { return Part::missing("bottlenecks") };
    if kept.total == 0 {
        return Part::Nothing("No step was found to hold its workflow up.".to_owned());
    }
    let items = Capped::of(&kept.rows, kept.total, CAP, |row| slow_step(row, zone));
    let ends = items.items.iter().flat_map(|item| [item.impact, item.impact_upper]);
    let axis_end = ends.filter(|end| end.is_finite()).fold(0.01, f64::max).min(1.0);
    Part::Shown(Slow { items, axis_end })
}

fn slow_step(row: &BottleneckRow, zone: Tz) -> SlowStep {
    let BottleneckRow {
        rank: _,
        bottleneck_id: _,
        workflow_id,
        step,
        r#type,
        severity,
        impact,
        impact_lower,
        impact_upper,
        level,
        saving_ms,
        description,
        causes,
        evidence,
        status: _, // only open ones are shown
        opened_at,
        inferred_confidence: _, // the description says it
    } = row;
    let lines = |texts: &[String]| texts.iter().map(|text| format::printable(text)).collect();
    SlowStep {
        subject: Subject::new(workflow_id, step.as_deref(), None),
        kind: format::words(r#type),
        severity: format::words(severity),
        impact: *impact,
        impact_lower: *impact_lower,
        impact_upper: *impact_upper,
        share: format::percent(*impact),
        interval: format!(
            "{}, {} interval",
            format::range(*impact_lower, *impact_upper, "ratio"),
            format::level(*level)
        ),
        cost: format::duration(*saving_ms),
        description: format::printable(description),
        causes: lines(causes.get(..CAUSES).unwrap_or(causes)),
        evidence: lines(evidence),
        opened_at: format::instant(opened_at.0, zone),
    }
}
