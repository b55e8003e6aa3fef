//! Outcomes as rows of their table, and back: a later run may know less of an old change than an earlier one did.

use crate::pure::recommend::outcome::{Applied, Earlier, Found, Measure, Outcome, Predicted, Saving, Verdict};
use crate::pure::units::Level;
use crate::tables::published::{Instant, OutcomeRow};

/// What an applied recommendation did; its intervals are of `level`.
#[must_use]
pub fn row(outcome: &Outcome, level: Level) -> OutcomeRow {
    let Outcome { applied, found } = outcome.clone();
    let Found { measure, n, from_us, until_us, saving, promised, time, cost, verdict, reason } = found;
    let Applied {
        recommendation_id,
        workflow_id,
        workflow_type,
        target,
        kind,
        category,
        predicted,
        probability,
        propensity,
        was_first,
        applied_us,
        rolled_back_us,
    } = applied;
    let Predicted { share: _, ms, usd, given_back: _, level: predicted_level } = predicted;
    let (n_before, n_after) = (signed(n[0]), signed(n[1]));
    OutcomeRow {
        recommendation_id,
        applied_at: Instant(applied_us),
        rolled_back_at: rolled_back_us.map(Instant),
        workflow_id,
        workflow_type,
        target,
        r#type: kind,
        category,
        verdict: verdict.as_str().to_owned(),
        reason,
        metric: measure.as_str().to_owned(),
        measured_share: saving.map(|saving| saving.share),
        measured_share_lower: saving.map(|saving| saving.lower),
        measured_share_upper: saving.map(|saving| saving.upper),
        level: level.get(),
        n_before,
        n_after,
        measured_from: Instant(from_us),
        measured_until: Instant(until_us),
        before_ms: time.map(|time| time.before),
        measured_saving_ms: time.map(|time| time.amount()[0]),
        measured_saving_ms_lower: time.map(|time| time.amount()[1]),
        measured_saving_ms_upper: time.map(|time| time.amount()[2]),
        before_usd: cost.map(|cost| cost.before),
        measured_saving_usd: cost.map(|cost| cost.amount()[0]),
        measured_saving_usd_lower: cost.map(|cost| cost.amount()[1]),
        measured_saving_usd_upper: cost.map(|cost| cost.amount()[2]),
        predicted_share: promised,
        predicted_saving_ms: ms.map(|ms| ms[0]),
        predicted_saving_ms_lower: ms.map(|ms| ms[1]),
        predicted_saving_ms_upper: ms.map(|ms| ms[2]),
        predicted_saving_usd: usd.map(|usd| usd[0]),
        predicted_saving_usd_lower: usd.map(|usd| usd[1]),
        predicted_saving_usd_upper: usd.map(|usd| usd[2]),
        predicted_level,
        probability,
        propensity,
        was_first,
    }
}

/// What rows say was found; a verdict or metric of another version says nothing.
#[must_use]
pub fn earlier(rows: &[OutcomeRow]) -> Earlier {
    let of_row = |row: &OutcomeRow| Some(((row.recommendation_id.clone(), row.applied_at.0), found(row)?));
    rows.iter().filter_map(of_row).collect()
}

fn found(row: &OutcomeRow) -> Option<Found> {
    let saving = [row.measured_share, row.measured_share_lower, row.measured_share_upper];
    let ms = [row.measured_saving_ms, row.measured_saving_ms_lower, row.measured_saving_ms_upper];
    let usd = [row.measured_saving_usd, row.measured_saving_usd_lower, row.measured_saving_usd_upper];
    let measure = Measure::ALL.into_iter().find(|measure| measure.as_str() == row.metric)?;
    let before = match measure {
        Measure::EndToEnd => row.before_ms,
        Measure::Cost => row.before_usd,
        Measure::MemoryHeld | Measure::CpuHeld => None,
    };
    Some(Found {
        measure,
        n: [counted(row.n_before), counted(row.n_after)],
        from_us: row.measured_from.0,
        until_us: row.measured_until.0,
        saving: of_shares(saving, before.unwrap_or(f64::NAN)),
        promised: row.predicted_share,
        time: row.before_ms.and_then(|before| of_shares(ms.map(|ms| ms.map(|ms| ms / before)), before)),
        cost: row.before_usd.and_then(|before| of_shares(usd.map(|usd| usd.map(|usd| usd / before)), before)),
        verdict: Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == row.verdict)?,
        reason: row.reason.clone(),
    })
}

fn of_shares([share, lower, upper]: [Option<f64>; 3], before: f64) -> Option<Saving> {
    Some(Saving { share: share?, lower: lower?, upper: upper?, before })
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counted(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}
