//! When each execution of a recorded run was ready, started and ended, and which of them the run's end waited for.

use super::{Recording, Topology};

/// The course of one run from its first start on; all vectors (n_nodes,).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timeline {
    /// When the last of its dependencies had ended.
    pub(super) ready_ms: Vec<f64>,
    /// As recorded; where times are unknown, and of a cached execution, when it was ready.
    pub(super) start_ms: Vec<f64>,
    pub(super) end_ms: Vec<f64>,
    /// The dependency that ended last: the one that was waited for.
    held_by: Vec<Option<u32>>,
}

impl Timeline {
    pub(super) fn of(run: &Recording) -> Self {
        let n = run.len();
        let (mut ready_ms, mut start_ms, mut end_ms) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let mut held_by: Vec<Option<u32>> = vec![None; n];
        for &id in run.topology.order() {
            let at = id as usize;
            let ready: f64 = ready_ms[at];
            // A cached one's times are those of another run; one that starts too early has a clock of its own.
            let recorded = run.times.as_ref().filter(|_| !run.cached[at]).map(|times| times.start_ms[at]);
            start_ms[at] = recorded.map_or(ready, |start| start.max(ready));
            end_ms[at] = start_ms[at] + run.durations_ms[at];
            for &next in run.topology.successors(id) {
                let (ready, held) = (&mut ready_ms[next as usize], &mut held_by[next as usize]);
                *ready = end_ms[at].max(*ready);
                *held = held.map_or(Some(id), |other| Some(later(other, id, &end_ms)));
            }
        }
        Self { ready_ms, start_ms, end_ms, held_by }
    }

    /// When the last execution ended.
    pub(super) fn ended_ms(&self) -> f64 {
        self.end_ms.iter().copied().fold(0.0, f64::max)
    }

    /// Followed back from the execution that ended last: what it waited for, and so on. Each with the time that the run spent
    /// on it: from the end of the one before, its own wait included.
    pub(super) fn chain(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let last = (0..self.end_ms.len() as u32).reduce(|a, b| later(a, b, &self.end_ms));
        let ids = std::iter::successors(last, |id| self.held_by[*id as usize]);
        ids.map(|id| {
            let since_ms = self.held_by[id as usize].map_or(0.0, |before| self.end_ms[before as usize]);
            (id as usize, (self.end_ms[id as usize] - since_ms).max(0.0))
        })
    }
}

/// Which of two ends later, the lower index among equals.
fn later(a: u32, b: u32, end_ms: &[f64]) -> u32 {
    match end_ms[a as usize].total_cmp(&end_ms[b as usize]) {
        std::cmp::Ordering::Less => b,
        std::cmp::Ordering::Greater => a,
        std::cmp::Ordering::Equal => a.min(b),
    }
}

/// How much later each node could end without the run ending later, with a slot for everyone (total float; Kelley 1961):
/// (n_nodes,).
pub(super) fn slacks_ms(topology: &Topology, durations_ms: &[f64]) -> Vec<f64> {
    let mut end_ms = vec![0.0_f64; durations_ms.len()];
    for &id in topology.order() {
        // Holds the time at which a node is ready until its turn comes.
        end_ms[id as usize] += durations_ms[id as usize];
        for &next in topology.successors(id) {
            end_ms[next as usize] = end_ms[id as usize].max(end_ms[next as usize]);
        }
    }
    let whole_ms = end_ms.iter().copied().fold(0.0, f64::max);
    let mut rest_ms = vec![0.0_f64; durations_ms.len()];
    for &id in topology.order().iter().rev() {
        let after = |next: &u32| durations_ms[*next as usize] + rest_ms[*next as usize];
        rest_ms[id as usize] = topology.successors(id).iter().map(after).fold(0.0, f64::max);
    }
    end_ms.iter().zip(&rest_ms).map(|(end, rest)| (whole_ms - end - rest).max(0.0)).collect()
}
