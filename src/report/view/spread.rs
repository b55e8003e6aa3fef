//! What scatters more, or less, than it did.

use super::{Capped, Subject};
use crate::report::format;
use crate::report::load::{CHANGE_DAYS, Published};
use crate::tables::published::SpreadChangeRow;
use chrono_tz::Tz;

/// Changes shown.
const CAP: usize = 8;

/// Changes of spread of the last days, largest effect first.
#[derive(Debug, Clone, PartialEq)]
pub struct SpreadChanges {
    /// What changed.
    pub items: Capped<SpreadChange>,
    /// How many, and since when.
    pub sentence: String,
}

/// A series of which the executions scatter more, or less.
#[derive(Debug, Clone, PartialEq)]
pub struct SpreadChange {
    /// What scatters.
    pub subject: Subject,
    /// How many times the fast tenth the slow tenth took.
    pub before: String,
    /// How many times it takes now.
    pub after: String,
    /// The one relative to the other.
    pub effect: String,
    /// Its interval with the level.
    pub interval: String,
    /// Since when.
    pub since: String,
}

pub(super) fn spread_changes(published: &Published, zone: Tz) -> Option<SpreadChanges> {
    let kept = published.spread_changes.as_ref().filter(|kept| kept.total > 0)?;
    let changes = format::plural(kept.total, "change of scatter", "changes of scatter");
    let sentence = format!("{changes} in the last {CHANGE_DAYS} days, whatever the level did.");
    let items = Capped::of(&kept.rows, kept.total, CAP, |row| spread_change(row, zone));
    Some(SpreadChanges { items, sentence })
}

fn spread_change(row: &SpreadChangeRow, zone: Tz) -> SpreadChange {
    let SpreadChangeRow {
        workflow_id,
        workflow_type: _,
        step,
        metric,
        changed_at,
        before,
        after,
        effect_ratio,
        effect_lower,
        effect_upper,
        level,
        p_value: _, // it is in the table; the interval says more
    } = row;
    let times = |ratio: f64| format!("×{}", format::significant(ratio, 3));
    SpreadChange {
        subject: Subject::new(workflow_id, step.as_deref(), Some(metric)),
        before: times(*before),
        after: times(*after),
        effect: format::change(*effect_ratio),
        interval: format!(
            "{} to {}, {}",
            format::change(*effect_lower),
            format::change(*effect_upper),
            format::level(*level)
        ),
        since: format::instant(changed_at.0, zone),
    }
}
