//! Memory at its limit, and steps that queue for a slot.

use super::history::{Executions, History};
use super::{BottleneckParams, Finding, Scene, percent, severity, severity_by_impact};
use crate::graph::{Change, NotReplayable, Saving, Scratch};
use crate::samples::NEAR_LIMIT;
use crate::series::Metric;

const MIN_SHARE_AT_LIMIT: f64 = 0.05;
const MIN_AT_LIMIT: usize = 3;
const MAX_EXECUTIONS: usize = 500;
const MIN_QUEUE_SHARE: f64 = 0.10;
/// So many of the runs must stop at the same number of slots before it is called a limit.
const MIN_RUNS_AT_LIMIT: f64 = 0.8;

/// Recent memory peaks under the request that is in force.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MemoryUse {
    pub(crate) request_mb: f64,
    /// Peaks of the executions that asked for this much.
    pub(crate) peaks_mb: Vec<f64>,
    pub(crate) n_at_limit: usize,
}

impl MemoryUse {
    pub(crate) fn share_at_limit(&self) -> f64 {
        self.n_at_limit as f64 / self.peaks_mb.len().max(1) as f64
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.n_at_limit >= MIN_AT_LIMIT && self.share_at_limit() >= MIN_SHARE_AT_LIMIT
    }
}

/// None where no request or no peak is known, or fewer than `min_samples` executions asked for the same.
pub(crate) fn memory_use(executions: &Executions<'_>, min_samples: usize) -> Option<MemoryUse> {
    let rows = executions.latest(MAX_EXECUTIONS);
    let request = |row: u32| executions.get(&executions.samples.memory_request_mb, row);
    let request_mb = rows.iter().rev().map(|row| request(*row)).find(|mb| mb.is_finite() && *mb > 0.0)?;
    let same = rows.into_iter().filter(|row| (request(*row) / request_mb - 1.0).abs() < 1e-6);
    let peaks = same.map(|row| executions.get(&executions.samples.memory_mb, row));
    let peaks_mb: Vec<f64> = peaks.filter(|mb| mb.is_finite() && *mb > 0.0).collect();
    let n_at_limit = peaks_mb.iter().filter(|mb| **mb >= NEAR_LIMIT * request_mb).count();
    (peaks_mb.len() >= min_samples.max(1)).then_some(MemoryUse { request_mb, peaks_mb, n_at_limit })
}

pub(super) fn memory(history: &History<'_>, params: &BottleneckParams) -> Vec<Finding> {
    let find = |(step, executions): (&&str, &Executions<'_>)| {
        let used = memory_use(executions, params.min_samples).filter(MemoryUse::is_exhausted)?;
        Some(Finding {
            step: Some((*step).to_owned()),
            kind: "resource_exhaustion",
            severity: severity(used.share_at_limit(), [0.0, 0.25, 0.5]),
            saving: Saving::none(params.replay.level),
            description: format!(
                "{step} peaks within 5 % of the {:.0} MB that it asks for in {} of {} executions ({}); more can get it killed",
                used.request_mb,
                used.n_at_limit,
                used.peaks_mb.len(),
                percent(used.share_at_limit()),
            ),
            causes: vec!["the memory request is too small for its inputs".to_owned(), "a memory leak".to_owned()],
            evidence: vec![history.evidence(Some(step), Metric::MemoryUsage)],
            since_us: executions.latest_start_us(),
        })
    };
    history.steps.iter().filter_map(find).collect()
}

/// The number of slots at which most runs stop; none where no such limit shows.
pub(crate) fn slot_limit(scene: &Scene<'_, '_>) -> Option<usize> {
    let limit = scene.ensemble.observed_slots()?;
    let timed = scene.ensemble.recordings().filter_map(|run| run.times.as_ref());
    let (n, at_limit) = timed.fold((0, 0), |(n, at), times| (n + 1, at + usize::from(times.slots == limit)));
    (f64::from(n) * MIN_RUNS_AT_LIMIT <= at_limit as f64).then_some(limit)
}

pub(super) fn slots(scene: &Scene<'_, '_>, scratch: &mut Scratch) -> Result<Option<Finding>, NotReplayable> {
    let Some(limit) = slot_limit(scene) else { return Ok(None) };
    let saving = scene.ensemble.saving(&[Change::Slots(None)], scratch)?;
    if saving.share < MIN_QUEUE_SHARE || saving.share_lower <= 0.0 {
        return Ok(None);
    }
    Ok(Some(Finding {
        step: None,
        kind: "resource_exhaustion",
        severity: severity_by_impact(saving.share),
        saving,
        description: format!(
            "steps queue for slots: no run had more than {limit} at once, and without that limit a run would take {} less",
            percent(saving.share),
        ),
        causes: vec!["a limit on concurrency".to_owned(), "too few workers".to_owned()],
        evidence: vec![scene.history.evidence(None, Metric::ExecutionTime)],
        since_us: scene.ensemble.span_us().1,
    }))
}
