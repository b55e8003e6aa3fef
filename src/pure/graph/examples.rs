//! Small graphs that tests speak of by name.

use super::{Circumstances, Node, RunGraph, RunOutcome};

/// A run whose nodes are `(step_id, duration_ms, dependencies)`; no times known.
pub(crate) fn graph(nodes: &[(&str, f64, &[u32])]) -> RunGraph {
    RunGraph {
        run_id: "run".into(),
        workflow_id: "wf".into(),
        workflow_type: "wf".into(),
        started_us: 0,
        makespan_ms: None,
        dependencies_known: true,
        nodes: nodes
            .iter()
            .map(|(id, duration_ms, deps)| Node {
                step_id: (*id).into(),
                step: id.split('/').next().unwrap_or_default().into(),
                duration_ms: *duration_ms,
                start_ms: None,
                submitted_ms: None,
                ended_ms: None,
                parent: None,
                deps: deps.to_vec(),
                cached: false,
                under: Circumstances::default(),
            })
            .collect(),
        outcome: RunOutcome::default(),
        words: Vec::new(),
    }
}

/// The same with a start for every node, and the makespan that follows.
pub(crate) fn timed(nodes: &[(&str, f64, f64, &[u32])]) -> RunGraph {
    let mut run = graph(&nodes.iter().map(|(id, _, duration, deps)| (*id, *duration, *deps)).collect::<Vec<_>>());
    for (node, (_, start, _, _)) in run.nodes.iter_mut().zip(nodes) {
        node.start_ms = Some(*start);
    }
    run.makespan_ms = Some(nodes.iter().map(|(_, start, duration, _)| start + duration).fold(0.0, f64::max));
    run
}

pub(crate) fn empty() -> RunGraph {
    graph(&[])
}

/// ```text
///        ┌─ b 30 ─┐
/// a 10 ──┤        ├── d 5
///        └─ c 20 ─┘
/// ```
pub(crate) fn fork_join() -> RunGraph {
    graph(&[("a", 10.0, &[]), ("b", 30.0, &[0]), ("c", 20.0, &[0]), ("d", 5.0, &[1, 2])])
}
