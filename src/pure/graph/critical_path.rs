//! The chain of steps that no number of slots can shorten.

use super::replay::{ReplayError, checked_duration};
use super::{RunGraph, Topology};

/// The longest path through a run over the durations of its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct CriticalPath {
    /// Sum of durations along it: the makespan with unlimited slots and no overhead.
    pub length_ms: f64,
    /// Its nodes, first to last.
    pub nodes: Vec<u32>,
    /// Sum of all durations: the makespan on one slot.
    pub total_work_ms: f64,
    /// Nodes on the longest chain, counted.
    pub depth: usize,
    /// See [`Topology::width`].
    pub width: usize,
}

/// The longest path by durations, in time linear in nodes and edges. Of equally long paths the one through the lower
/// indices is given. Cached steps count as 0. An empty graph has length 0 and no nodes.
///
/// # Errors
/// As [`Topology::new`], and [`ReplayError::Duration`] for a duration that is negative or not finite.
pub fn critical_path(graph: &RunGraph) -> Result<CriticalPath, ReplayError> {
    let topology = Topology::new(graph)?;
    let mut end_ms = vec![0.0_f64; graph.nodes.len()];
    let mut total_work_ms = 0.0;
    for &id in topology.order() {
        let node = &graph.nodes[id as usize];
        let duration = checked_duration(node)?;
        total_work_ms += duration;
        end_ms[id as usize] = duration + node.deps.iter().map(|dep| end_ms[*dep as usize]).fold(0.0, f64::max);
    }
    let mut nodes = Vec::with_capacity(topology.depth());
    let mut at = latest(0..graph.nodes.len() as u32, &end_ms);
    while let Some(id) = at {
        nodes.push(id);
        at = latest(graph.nodes[id as usize].deps.iter().copied(), &end_ms);
    }
    nodes.reverse();
    let length_ms = nodes.last().map_or(0.0, |id| end_ms[*id as usize]);
    Ok(CriticalPath { length_ms, nodes, total_work_ms, depth: topology.depth(), width: topology.width() })
}

/// The node that ends last, the lower index among equals.
pub(super) fn latest(ids: impl Iterator<Item = u32>, end_ms: &[f64]) -> Option<u32> {
    ids.max_by(|a, b| end_ms[*a as usize].total_cmp(&end_ms[*b as usize]).then(b.cmp(a)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests with exact answers")]
    use super::super::examples::{empty, fork_join, graph};
    use super::*;

    #[test]
    fn known_answers() {
        let path = critical_path(&fork_join()).unwrap();
        assert_eq!(
            path,
            CriticalPath { length_ms: 45.0, nodes: vec![0, 1, 3], total_work_ms: 65.0, depth: 3, width: 2 }
        );
        let none = critical_path(&empty()).unwrap();
        assert_eq!((none.length_ms, none.nodes.len()), (0.0, 0));
        let one = critical_path(&graph(&[("only", 7.0, &[])])).unwrap();
        assert_eq!((one.length_ms, one.nodes, one.depth), (7.0, vec![0], 1));
    }

    #[test]
    fn a_cached_step_costs_nothing() {
        let mut run = fork_join();
        run.nodes[1].cached = true;
        assert_eq!(critical_path(&run).unwrap().length_ms, 35.0);
    }

    #[test]
    fn durations_that_are_none_are_refused() {
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            let refused = critical_path(&graph(&[("a", bad, &[])]));
            assert!(matches!(refused, Err(ReplayError::Duration { .. })), "{bad}");
        }
    }
}
