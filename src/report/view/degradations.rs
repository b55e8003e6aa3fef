//! What got slower in the latest window.

use super::{Capped, Subject};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::DegradationRow;
use chrono_tz::Tz;

/// Degradations shown.
const CAP: usize = 12;

/// Steps that took longer than like executions before, largest loss first.
#[derive(Debug, Clone, PartialEq)]
pub struct Degradations {
    /// What got slower.
    pub items: Capped<Degradation>,
    /// How many, and since when.
    pub sentence: String,
}

/// A step that got slower.
#[derive(Debug, Clone, PartialEq)]
pub struct Degradation {
    /// Workflow and step.
    pub subject: Subject,
    /// As configured.
    pub severity: String,
    /// What its executions took.
    pub observed: String,
    /// What was expected of them.
    pub expected: String,
    /// The one over the other.
    pub factor: String,
    /// Its interval with the level.
    pub range: String,
    /// How many executions, and how many they are compared with.
    pub executions: String,
}

pub(super) fn degradations(published: &Published, zone: Tz) -> Option<Degradations> {
    let kept = published.degradations.as_ref()?;
    let first = kept.rows.first()?;
    let steps = format::plural(kept.total, "step took", "steps took");
    let (from, to) = (format::instant(first.window_start.0, zone), format::instant(first.window_end.0, zone));
    let sentence = format!("{steps} longer between {from} and {to} than like executions before.");
    Some(Degradations { items: Capped::of(&kept.rows, kept.total, CAP, degradation), sentence })
}

fn degradation(row: &DegradationRow) -> Degradation {
    let DegradationRow {
        workflow_id,
        workflow_type: _,
        step,
        metric: _,
        severity,
        window_start: _,
        window_end: _,
        n,
        n_before,
        observed_ms,
        expected_ms,
        ratio,
        ratio_lower,
        ratio_upper,
        level,
        p_value: _,
    } = row;
    Degradation {
        subject: Subject::new(workflow_id, Some(step), None),
        severity: format::words(severity),
        observed: format::value(*observed_ms, "ms"),
        expected: format::value(*expected_ms, "ms"),
        factor: format!("×{}", format::significant(*ratio, 3)),
        range: format!("{}, {}", format::range(*ratio_lower, *ratio_upper, ""), format::level(*level)),
        executions: format!("{n} beside {n_before}"),
    }
}
