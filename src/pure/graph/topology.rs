//! Who waits for whom, in both directions, and an order that respects it.

use super::replay::ReplayError;
use super::{Node, RunGraph};

/// Successor lists and a topological order of one graph, computed once.
///
/// Shapes: `order`: (n_nodes,), each node after all its dependencies, and among those free to go the lower index first
/// (Kahn, level by level), so that it is the same on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    offsets: Vec<u32>,
    successors: Vec<u32>,
    indegree: Vec<u32>,
    order: Vec<u32>,
    depth: usize,
    width: usize,
}

impl Topology {
    /// Checks the declared dependencies and orders the nodes.
    ///
    /// # Errors
    /// [`ReplayError::DependenciesUnknown`], [`ReplayError::Dangling`] and [`ReplayError::Cyclic`];
    /// [`RunGraph::validate`] takes the last two out of a graph.
    pub fn new(graph: &RunGraph) -> Result<Self, ReplayError> {
        if !graph.dependencies_known {
            return Err(ReplayError::DependenciesUnknown { run_id: graph.run_id.clone() });
        }
        Self::of_nodes(&graph.nodes)
    }

    pub(super) fn of_nodes(nodes: &[Node]) -> Result<Self, ReplayError> {
        check_dangling(nodes)?;
        let (offsets, successors) = successor_lists(nodes);
        let indegree = nodes.iter().map(|node| node.deps.len() as u32).collect();
        let mut topology =
            Self { offsets, successors, indegree, order: Vec::with_capacity(nodes.len()), depth: 0, width: 0 };
        topology.sort();
        if topology.order.len() < nodes.len() {
            return Err(ReplayError::Cyclic { n_steps: nodes.len() - topology.order.len() });
        }
        Ok(topology)
    }

    /// Who waits for `node`; `node` is below the number of nodes.
    #[must_use]
    pub fn successors(&self, node: u32) -> &[u32] {
        let at = node as usize;
        &self.successors[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }

    /// How many dependencies each node has.
    #[must_use]
    pub fn indegree(&self) -> &[u32] {
        &self.indegree
    }

    /// Every node once, dependencies first.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Nodes on the longest chain: 0 for an empty graph, 1 where nothing depends on anything.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Most nodes at the same distance from the first ones, the distance of each being its longest chain of dependencies: 0
    /// for an empty graph.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    fn sort(&mut self) {
        let mut waiting = self.indegree.clone();
        let mut level: Vec<u32> = (0..).zip(&waiting).filter(|(_, n)| **n == 0).map(|(node, _)| node).collect();
        while !level.is_empty() {
            self.depth += 1;
            self.width = self.width.max(level.len());
            let mut next = Vec::new();
            for &node in &level {
                for &successor in self.successors(node) {
                    let left = &mut waiting[successor as usize];
                    *left -= 1;
                    if *left == 0 {
                        next.push(successor);
                    }
                }
            }
            next.sort_unstable();
            self.order.append(&mut level);
            level = next;
        }
    }
}

fn check_dangling(nodes: &[Node]) -> Result<(), ReplayError> {
    for node in nodes {
        if let Some(&dep) = node.deps.iter().find(|dep| **dep as usize >= nodes.len()) {
            return Err(ReplayError::Dangling { step_id: node.step_id.to_string(), dep });
        }
    }
    Ok(())
}

/// Compressed rows: the successors of node `i` are `successors[offsets[i]..offsets[i + 1]]`. All indices are in range.
fn successor_lists(nodes: &[Node]) -> (Vec<u32>, Vec<u32>) {
    let mut offsets = vec![0_u32; nodes.len() + 1];
    for &dep in nodes.iter().flat_map(|node| &node.deps) {
        offsets[dep as usize + 1] += 1;
    }
    for at in 1..offsets.len() {
        offsets[at] += offsets[at - 1];
    }
    let mut next = offsets.clone();
    let mut successors = vec![0_u32; offsets.last().map_or(0, |n| *n as usize)];
    for (id, node) in (0_u32..).zip(nodes) {
        for &dep in &node.deps {
            let slot = &mut next[dep as usize];
            successors[*slot as usize] = id;
            *slot += 1;
        }
    }
    (offsets, successors)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::examples::{empty, fork_join, graph};
    use super::*;

    #[test]
    fn order_puts_dependencies_first_and_is_stable() {
        let topology = Topology::new(&fork_join()).unwrap();
        assert_eq!(topology.order(), [0, 1, 2, 3]);
        assert_eq!(topology.successors(0), [1, 2]);
        assert_eq!((topology.depth(), topology.width()), (3, 2));
        let backwards = graph(&[("last", 1.0, &[1]), ("first", 1.0, &[])]);
        assert_eq!(Topology::new(&backwards).unwrap().order(), [1, 0]);
    }

    #[test]
    fn empty_unknown_dangling_and_cyclic_are_told_apart() {
        assert_eq!(Topology::new(&empty()).unwrap().depth(), 0);
        let mut unknown = fork_join();
        unknown.dependencies_known = false;
        assert!(matches!(Topology::new(&unknown), Err(ReplayError::DependenciesUnknown { .. })));
        let dangling = graph(&[("a", 1.0, &[7])]);
        assert_eq!(Topology::new(&dangling), Err(ReplayError::Dangling { step_id: "a".into(), dep: 7 }));
        let cyclic = graph(&[("a", 1.0, &[1]), ("b", 1.0, &[0]), ("c", 1.0, &[])]);
        assert_eq!(Topology::new(&cyclic), Err(ReplayError::Cyclic { n_steps: 2 }));
    }
}
