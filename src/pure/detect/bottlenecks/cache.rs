//! Work that is done again although its result was there.

use super::history::Executions;
use super::{Finding, Scene, percent, severity_by_impact};
use crate::graph::{Change, NotReplayable, Scratch};
use crate::keys::{ByKey, KeyStream};
use crate::series::Metric;

const MIN_REPEATS: f64 = 0.10;

/// Executions that repeated an earlier one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Repeats {
    pub(crate) n_keyed: usize,
    pub(crate) n_repeats: usize,
    /// Their share of the time of all executions of the step, keyed or not.
    pub(crate) share_of_time: f64,
}

/// Counts executions that ran although an execution with the same key had ended before they started.
pub(crate) fn repeats(stream: &KeyStream) -> Repeats {
    let mut first_end: ByKey<i64> = ByKey::default();
    let mut n_repeats = 0;
    let (mut repeated_ms, mut keyed_ms, mut other_ms) = (0.0, 0.0, 0.0);
    for one in stream.asked() {
        let (ms, _) = one.spent(i64::MIN);
        if one.key == 0 {
            other_ms += ms;
            continue;
        }
        keyed_ms += ms;
        let known = first_end.entry(one.key).or_insert(i64::MAX);
        if !one.is_cached && *known <= one.started_us {
            n_repeats += 1;
            repeated_ms += ms;
        }
        *known = (*known).min(one.ended_us);
    }
    let total_ms = keyed_ms + stream.share() * other_ms;
    let share_of_time = if total_ms > 0.0 { repeated_ms / total_ms } else { 0.0 };
    Repeats { n_keyed: stream.n_keyed(), n_repeats, share_of_time }
}

pub(super) fn find(
    scene: &Scene<'_, '_>,
    step: &str,
    executions: &Executions<'_>,
    scratch: &mut Scratch,
) -> Result<Option<Finding>, NotReplayable> {
    let Some(stream) = executions.keys else { return Ok(None) };
    let Repeats { n_keyed, n_repeats, share_of_time } = repeats(stream);
    let rate = n_repeats as f64 / n_keyed.max(1) as f64;
    if n_keyed < scene.min_samples.max(1) || rate < MIN_REPEATS {
        return Ok(None);
    }
    let change = Change::Cached { step: step.into(), share: share_of_time, lookup_ms: 0.0 };
    let saving = scene.ensemble.saving(&[change], scratch)?;
    Ok(Some(Finding {
        step: Some(step.to_owned()),
        kind: "cache_miss",
        severity: severity_by_impact(saving.share),
        saving,
        description: format!(
            "{step} repeats itself: {n_repeats} of {n_keyed} executions with a cache key ({}) had an earlier result with \
             the same key; without them a run would take {} less",
            percent(rate),
            percent(saving.published().share),
        ),
        causes: vec![
            "results are not kept, or not long enough".to_owned(),
            "the cache is too small or not shared between runs".to_owned(),
        ],
        evidence: vec![
            scene.history.evidence(Some(step), Metric::CacheHitRate),
            scene.history.evidence(Some(step), Metric::ExecutionTime),
        ],
        since_us: executions.latest_start_us(),
    }))
}
