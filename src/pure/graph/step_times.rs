//! What each step has to do with how long runs take.

use super::critical_path::latest;
use super::replay::{ReplayError, checked_duration};
use super::{RunGraph, Topology};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One step in the runs of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTimes {
    /// The step.
    pub step: Arc<str>,
    /// Runs that have it.
    pub n_runs: usize,
    /// Its executions in these.
    pub n_executions: usize,
    /// Mean time of an execution.
    pub duration_ms: f64,
    /// Mean time between an execution's last dependency having ended and its start; NaN where times are unknown.
    pub wait_ms: f64,
    /// How much longer its tightest execution could take before the run did, if nobody had to wait for a slot (total
    /// float; Kelley 1961); mean over its runs.
    pub slack_ms: f64,
    /// Time that runs spend in it with nothing else to be waited for, its waits included; mean over all runs.
    pub blocking_ms: f64,
    /// That part of the runs' whole time: over all steps it adds up to 1.
    pub blocking_share: f64,
}

/// The steps of `graphs`, the one that blocks longest first. What blocks is followed back from the end: of the execution
/// that ended last, the dependency that ended last, and so on; without times the critical path.
///
/// # Errors
/// As [`super::critical_path()`], for the first run that has none.
pub fn step_times(graphs: &[&RunGraph]) -> Result<Vec<StepTimes>, ReplayError> {
    let mut steps: BTreeMap<Arc<str>, Sums> = BTreeMap::new();
    for graph in graphs {
        add(graph, &mut steps)?;
    }
    let whole_ms: f64 = steps.values().map(|sums| sums.blocking_ms).sum();
    let mut told: Vec<StepTimes> =
        steps.into_iter().map(|(step, sums)| sums.told(step, graphs.len(), whole_ms)).collect();
    told.sort_by(|a, b| b.blocking_ms.total_cmp(&a.blocking_ms));
    Ok(told)
}

#[derive(Default)]
struct Sums {
    n_runs: usize,
    n_executions: usize,
    n_waits: usize,
    duration_ms: f64,
    wait_ms: f64,
    slack_ms: f64,
    blocking_ms: f64,
}

impl Sums {
    fn told(self, step: Arc<str>, n_graphs: usize, whole_ms: f64) -> StepTimes {
        StepTimes {
            step,
            n_runs: self.n_runs,
            n_executions: self.n_executions,
            duration_ms: self.duration_ms / self.n_executions as f64,
            wait_ms: self.wait_ms / self.n_waits as f64,
            slack_ms: self.slack_ms / self.n_runs as f64,
            blocking_ms: self.blocking_ms / n_graphs as f64,
            blocking_share: if whole_ms > 0.0 { self.blocking_ms / whole_ms } else { 0.0 },
        }
    }
}

fn add(graph: &RunGraph, steps: &mut BTreeMap<Arc<str>, Sums>) -> Result<(), ReplayError> {
    let topology = Topology::new(graph)?;
    let durations_ms = graph.nodes.iter().map(checked_duration).collect::<Result<Vec<f64>, _>>()?;
    let (ready_ms, start_ms) = starts(graph, &topology, &durations_ms);
    let slacks_ms = slacks(graph, &topology, &durations_ms);
    let mut tightest: BTreeMap<&Arc<str>, f64> = BTreeMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let sums = steps.entry(Arc::clone(&node.step)).or_default();
        sums.n_executions += usize::from(node.is_execution());
        sums.duration_ms += durations_ms[id];
        if node.start_ms.is_some() && !node.cached {
            sums.n_waits += 1;
            sums.wait_ms += start_ms[id] - ready_ms[id];
        }
        let least = tightest.entry(&node.step).or_insert(f64::INFINITY);
        *least = least.min(slacks_ms[id]);
    }
    for (step, slack_ms) in tightest {
        let sums = steps.entry(Arc::clone(step)).or_default();
        sums.n_runs += 1;
        sums.slack_ms += slack_ms;
    }
    let end_ms: Vec<f64> = start_ms.iter().zip(&durations_ms).map(|(start, ms)| start + ms).collect();
    let mut at = latest(0..graph.nodes.len() as u32, &end_ms);
    while let Some(id) = at {
        let node = &graph.nodes[id as usize];
        at = latest(node.deps.iter().copied(), &end_ms);
        let since_ms = at.map_or(0.0, |dep| end_ms[dep as usize]);
        steps.entry(Arc::clone(&node.step)).or_default().blocking_ms += (end_ms[id as usize] - since_ms).max(0.0);
    }
    Ok(())
}

/// When each node was ready, and when it started: as recorded, else at once.
fn starts(graph: &RunGraph, topology: &Topology, durations_ms: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut ready_ms, mut start_ms) = (vec![0.0; durations_ms.len()], vec![0.0; durations_ms.len()]);
    for &id in topology.order() {
        let node = &graph.nodes[id as usize];
        let end = |dep: &u32| start_ms[*dep as usize] + durations_ms[*dep as usize];
        let ready = node.deps.iter().map(end).fold(0.0, f64::max);
        ready_ms[id as usize] = ready;
        // A cached one's times are those of another run; one that starts too early has a clock of its own.
        start_ms[id as usize] = node.start_ms.filter(|_| !node.cached).map_or(ready, |start| start.max(ready));
    }
    (ready_ms, start_ms)
}

/// How much later each node could end without the run ending later, with a slot for everyone.
fn slacks(graph: &RunGraph, topology: &Topology, durations_ms: &[f64]) -> Vec<f64> {
    let mut end_ms = vec![0.0_f64; durations_ms.len()];
    for &id in topology.order() {
        let ready = graph.nodes[id as usize].deps.iter().map(|dep| end_ms[*dep as usize]).fold(0.0, f64::max);
        end_ms[id as usize] = ready + durations_ms[id as usize];
    }
    let whole_ms = end_ms.iter().copied().fold(0.0, f64::max);
    let mut rest_ms = vec![0.0_f64; durations_ms.len()];
    for &id in topology.order().iter().rev() {
        let after = |next: &u32| durations_ms[*next as usize] + rest_ms[*next as usize];
        rest_ms[id as usize] = topology.successors(id).iter().map(after).fold(0.0, f64::max);
    }
    end_ms.iter().zip(&rest_ms).map(|(end, rest)| (whole_ms - end - rest).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::examples::{empty, fork_join, timed};
    use super::*;

    fn of<'a>(told: &'a [StepTimes], step: &str) -> &'a StepTimes {
        told.iter().find(|one| &*one.step == step).unwrap()
    }

    #[test]
    fn what_blocks_adds_up_to_the_run_and_what_does_not_has_slack() {
        let told = step_times(&[&fork_join()]).unwrap();
        assert_eq!(told.iter().map(|one| &*one.step).collect::<Vec<_>>(), ["b", "a", "d", "c"]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(told.iter().map(|one| one.blocking_ms).sum(), 45.0);
        near(told.iter().map(|one| one.blocking_share).sum(), 1.0);
        near(of(&told, "c").slack_ms, 10.0);
        near(of(&told, "b").slack_ms, 0.0);
        assert!(of(&told, "a").wait_ms.is_nan(), "nothing is known of waits");
    }

    #[test]
    fn a_wait_for_a_slot_is_time_that_the_step_blocks() {
        // c waits for b's slot, and then ends last.
        let run = timed(&[("a", 0.0, 10.0, &[]), ("b", 10.0, 30.0, &[0]), ("c", 40.0, 20.0, &[0])]);
        let told = step_times(&[&run, &run]).unwrap();
        let c = of(&told, "c");
        assert!((c.wait_ms - 30.0).abs() < 1e-9 && (c.blocking_ms - 50.0).abs() < 1e-9, "{c:?}");
        assert!((c.blocking_share - 50.0 / 60.0).abs() < 1e-9);
        assert_eq!((c.n_runs, c.n_executions), (2, 2));
        assert!(of(&told, "b").blocking_ms.abs() < 1e-9 && (c.slack_ms - 10.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_comes_of_nothing_and_bad_durations_are_refused() {
        assert_eq!(step_times(&[&empty()]).unwrap(), []);
        assert_eq!(step_times(&[]).unwrap(), []);
        let mut bad = fork_join();
        bad.nodes[1].duration_ms = f64::NAN;
        assert!(matches!(step_times(&[&bad]), Err(ReplayError::Duration { .. })));
    }
}
