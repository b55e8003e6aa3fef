//! Defaults, status words, and the checks that look at more than one column.

use super::cast::{Fault, where_integer};
use super::{Draft, status};
use crate::tables::{runs, steps};
use polars::error::PolarsResult;
use polars::prelude::{
    BooleanChunked, ChunkCompareIneq, ChunkFillNullValue, ChunkFull, ChunkFullNull, ChunkZip, DataType, Float64Chunked,
    Int64Chunked, IntoSeries, Series,
};

pub(super) fn complete_runs(draft: &mut Draft<'_>) -> PolarsResult<()> {
    read_statuses(draft)?;
    refuse_end_before_start(draft)?;
    default_workflow_type(draft)
}

pub(super) fn complete_steps(draft: &mut Draft<'_>) -> PolarsResult<()> {
    if let Some(cached) = read_statuses(draft)? {
        mark_cache_hits(draft, &cached)?;
    }
    default_attempt(draft)?;
    refuse_end_before_start(draft)?;
    default_duration(draft)?;
    default_workflow_type(draft)
}

/// Canonical status words; returns where the word was `cached`.
fn read_statuses(draft: &mut Draft<'_>) -> PolarsResult<Option<BooleanChunked>> {
    let Some(column) = draft.get(runs::STATUS) else { return Ok(None) };
    let statuses = status::read(column.str()?);
    draft.set(statuses.words.into_series(), runs::STATUS)?;
    if let Some(mask) = statuses.unknown {
        draft.refuse(runs::STATUS, &Fault { mask, reason: "unknown status" });
    }
    Ok(statuses.cached)
}

fn mark_cache_hits(draft: &mut Draft<'_>, cached: &BooleanChunked) -> PolarsResult<()> {
    let hits = match draft.get(steps::CACHE_HIT) {
        Some(hits) => hits.bool()?.clone(),
        None => BooleanChunked::full_null(steps::CACHE_HIT.into(), draft.raw.height()),
    };
    let marked: BooleanChunked =
        hits.iter().zip(cached.iter()).map(|(hit, cached)| cached.filter(|c| *c).or(hit)).collect();
    draft.set(marked.into_series(), steps::CACHE_HIT)
}

fn default_attempt(draft: &mut Draft<'_>) -> PolarsResult<()> {
    let attempts = match draft.get(steps::ATTEMPT) {
        Some(attempts) => attempts.i64()?.clone(),
        None => Int64Chunked::full(steps::ATTEMPT.into(), 1, draft.raw.height()),
    };
    if let Some(fault) = where_integer(&attempts, |attempt| attempt < 1, "attempts count from 1") {
        draft.refuse(steps::ATTEMPT, &fault);
    }
    let attempts = if attempts.null_count() > 0 { attempts.fill_null_with_values(1)? } else { attempts };
    draft.set(attempts.into_series(), steps::ATTEMPT)
}

fn refuse_end_before_start(draft: &mut Draft<'_>) -> PolarsResult<()> {
    if let (Some(start), Some(end)) = (draft.get(runs::STARTED_AT), draft.get(runs::ENDED_AT)) {
        let mask = end.datetime()?.physical().lt(start.datetime()?.physical());
        if mask.any() {
            draft.refuse(runs::ENDED_AT, &Fault { mask, reason: "end before start" });
        }
    }
    Ok(())
}

const MICROS_PER_MILLI: f64 = 1_000.0;

fn default_duration(draft: &mut Draft<'_>) -> PolarsResult<()> {
    let recorded = draft.get(steps::DURATION_MS);
    if recorded.as_ref().is_some_and(|recorded| recorded.null_count() == 0) {
        return Ok(());
    }
    let between = match (draft.get(steps::STARTED_AT), draft.get(steps::ENDED_AT)) {
        (Some(start), Some(end)) => {
            let micros = end.datetime()?.physical() - start.datetime()?.physical();
            micros.into_series().cast(&DataType::Float64)?.f64()? / MICROS_PER_MILLI
        }
        _ => Float64Chunked::full_null(steps::DURATION_MS.into(), draft.raw.height()),
    };
    let durations = match recorded {
        Some(recorded) => recorded.f64()?.zip_with(&recorded.is_not_null(), &between)?,
        None => between,
    };
    let durations = durations.into_series();
    draft.set(durations.clone(), steps::DURATION_MS)?;
    refuse_unknown_durations(draft, &durations)
}

/// An execution that failed, was cancelled or still runs may have no duration; one that succeeded has one.
fn refuse_unknown_durations(draft: &mut Draft<'_>, durations: &Series) -> PolarsResult<()> {
    if durations.null_count() == 0 {
        return Ok(());
    }
    let unknown = durations.is_null();
    let mask = match draft.get(steps::STATUS) {
        Some(status) => {
            let words = status.str()?;
            let may_lack = words.iter().map(|word| word.is_some_and(|word| word != runs::SUCCEEDED));
            unknown
                .iter()
                .zip(may_lack)
                .map(|(unknown, may_lack)| unknown.map(|unknown| unknown && !may_lack))
                .collect()
        }
        None => unknown,
    };
    if mask.any() {
        let reason = "missing duration: neither duration_ms nor both started_at and ended_at";
        draft.refuse(steps::DURATION_MS, &Fault { mask, reason });
    }
    Ok(())
}

fn default_workflow_type(draft: &mut Draft<'_>) -> PolarsResult<()> {
    let Some(workflows) = draft.get(runs::WORKFLOW_ID) else { return Ok(()) };
    match draft.get(runs::WORKFLOW_TYPE) {
        Some(types) if types.null_count() == 0 => Ok(()),
        Some(types) => draft.set(types.zip_with(&types.is_not_null(), &workflows)?, runs::WORKFLOW_TYPE),
        None => draft.set(workflows, runs::WORKFLOW_TYPE),
    }
}
