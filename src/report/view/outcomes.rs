//! What applied recommendations did, beside what was predicted.

use super::{Capped, ViewParams};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::OutcomeRow;
use chrono_tz::Tz;

/// Applications shown.
const CAP: usize = 12;

/// Applications, latest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcomes {
    /// What was applied.
    pub items: Capped<Outcome>,
    /// How many had which verdict.
    pub sentence: String,
}

/// A recommendation that was applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The workflow.
    pub workflow: String,
    /// What was changed.
    pub what: String,
    /// Since when, and until when.
    pub since: String,
    /// What is compared.
    pub metric: String,
    /// Share that was promised.
    pub predicted: String,
    /// Share that is saved.
    pub measured: String,
    /// Its interval with the level, where it is known.
    pub interval: Option<String>,
    /// In a word.
    pub verdict: String,
    /// Why.
    pub reason: String,
}

/// None where nothing was applied, or the reader does not want recommendations.
pub(super) fn outcomes(published: &Published, params: &ViewParams) -> Option<Outcomes> {
    let rows = published.outcomes.as_ref().filter(|rows| params.include_recommendations && !rows.is_empty())?;
    let items = Capped::of(rows, rows.len(), CAP, |row| outcome(row, params.timezone));
    Some(Outcomes { items, sentence: sentence(rows) })
}

fn sentence(rows: &[OutcomeRow]) -> String {
    let [worked, no_effect, worse, unclear] =
        ["worked", "no_effect", "worse", "unclear"].map(|word| rows.iter().filter(|row| row.verdict == word).count());
    let applied = format::plural(rows.len(), "recommendation was applied", "recommendations were applied");
    format!(
        "{applied}: {worked} worked, {no_effect} had no effect, {worse} made it worse; of {unclear} nobody can say yet."
    )
}

fn outcome(row: &OutcomeRow, zone: Tz) -> Outcome {
    let since = format::instant(row.applied_at.0, zone);
    let until = row.rolled_back_at.map(|at| format!(", until {}", format::instant(at.0, zone)));
    let interval = row.measured_share_lower.zip(row.measured_share_upper);
    let share = |share: Option<f64>| format::percent(share.unwrap_or(f64::NAN));
    Outcome {
        workflow: format::name(&row.workflow_id),
        what: format!("{}, {}", format::words(&row.r#type), format::name(&row.target)),
        since: since + &until.unwrap_or_default(),
        metric: format::words(&row.metric),
        predicted: share(row.predicted_share),
        measured: share(row.measured_share),
        interval: interval
            .map(|(lower, upper)| format!("{}, {}", format::range(lower, upper, "ratio"), format::level(row.level))),
        verdict: format::words(&row.verdict),
        reason: format::printable(&row.reason),
    }
}
