//! Which of the relations that could be show that they are: what was waited for ended, and at once the next was submitted.

use super::relation::{CLOCK_MS, Consistent};
use super::timeline::Timeline;
use crate::stats::dist::chi2_sf;
use std::collections::BTreeSet;

/// So many ends of what could have been waited for, the latest ones, say how often one comes by chance.
const NEAR_ENDS: usize = 5;
/// No single reaction counts for more than one that chance shows once in a hundred times.
const MOST_TELLING: f64 = 0.01;

/// What speaks for a relation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Evidence {
    /// Instants at which something was submitted when this was the last to have ended, of all that could be waited for.
    pub(super) n: usize,
    /// Sum of −2 ln of the chances that such an end lay as near.
    pub(super) sum: f64,
}

impl Evidence {
    /// 1 − p that what was submitted had nothing to do with these ends (Fisher's combination).
    pub(super) fn confidence(&self) -> f64 {
        if self.n == 0 { 0.0 } else { 1.0 - chi2_sf(self.sum, 2.0 * self.n as f64) }
    }
}

/// The evidence for each of `candidates`, which are all of one step `after`: (n_candidates,).
///
/// Whatever a task waits for, it is submitted when the last of that has ended. So of all ends that it could have waited for, the
/// latest is the one that it reacted to, unless it waited for something that is not recorded. The chance that an end lies as
/// near to the submission though it has nothing to do with it follows from how many of these ends lie around. Where as many
/// tasks were in flight as were ever seen, the submission may as well have waited for any of them to end: that proves nothing.
pub(super) fn evidence(runs: &[Timeline], candidates: &[Consistent], most_in_flight: usize) -> Vec<Evidence> {
    let mut evidence = vec![Evidence::default(); candidates.len()];
    let Some(after) = candidates.first().map(|candidate| candidate.after) else { return evidence };
    for (at, run) in runs.iter().enumerate() {
        let numbered = candidates.iter().enumerate();
        let here: Vec<(usize, &[f64])> =
            numbered.filter_map(|(index, candidate)| Some((index, candidate.in_run(at)?))).collect();
        let mut seen = BTreeSet::new();
        for (task, submitted_ms) in run.tasks[after].iter().map(|task| task.submitted_ms).enumerate() {
            let ends: Vec<f64> = here.iter().map(|(_, ended_ms)| ended_ms[task]).collect();
            let Some(last_ms) = ends.iter().copied().reduce(f64::max) else { continue };
            if run.in_flight_before(last_ms) >= most_in_flight {
                continue;
            }
            let term = -2.0 * chance(run, &ends, submitted_ms).ln();
            let ended_last = here.iter().zip(&ends).filter(|(_, ms)| **ms >= last_ms - CLOCK_MS);
            for ((index, _), _) in ended_last {
                // Tasks that are submitted after the same end are one reaction.
                if seen.insert((*index, last_ms.to_bits())) {
                    evidence[*index].n += 1;
                    evidence[*index].sum += term;
                }
            }
        }
    }
    evidence
}

/// That the latest of `ends` lies as near to the submission by chance, at the rate at which the ends before it came.
fn chance(run: &Timeline, ends: &[f64], submitted_ms: f64) -> f64 {
    let mut distances: Vec<f64> = ends.iter().map(|ms| (submitted_ms - ms).max(CLOCK_MS)).collect();
    distances.sort_by(f64::total_cmp);
    distances.dedup_by(|a, b| *a - *b < CLOCK_MS);
    let nearest = distances.first().copied().unwrap_or(CLOCK_MS);
    let n_near = distances.len().min(NEAR_ENDS);
    let rate = match distances.get(n_near - 1).filter(|_| n_near > 1) {
        Some(farthest) => n_near as f64 / farthest,
        None => 1.0 / (submitted_ms - run.first_ms()).max(nearest),
    };
    (1.0 - (-rate * nearest).exp()).max(MOST_TELLING)
}
