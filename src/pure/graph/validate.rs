//! Dependencies that can't be: reported as data, taken out, never repaired by guessing.

use super::{Node, RunGraph, Topology};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is wrong with the dependencies of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GraphIssue {
    /// A step waits for one that the run doesn't have; this dependency is dropped, the others stand.
    Dangling {
        /// Who waits.
        step: String,
        /// What it waits for.
        missing: String,
    },
    /// Steps that wait for each other, by index. Their mutual dependencies are dropped, and as nobody knows which of
    /// them was meant, the run counts as one whose dependencies are unknown.
    Cycle {
        /// All steps of the knot.
        steps: Vec<String>,
    },
}

/// Steps of a knot that a message names; knots of thousands are possible.
const SHOWN_STEPS: usize = 5;

impl fmt::Display for GraphIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dangling { step, missing } => {
                write!(f, "step {step:?} waits for {missing:?}, which its run does not have")
            }
            Self::Cycle { steps } => {
                let shown: Vec<&str> = steps.iter().take(SHOWN_STEPS).map(String::as_str).collect();
                write!(f, "steps {shown:?}")?;
                if steps.len() > SHOWN_STEPS {
                    write!(f, " and {} others", steps.len() - SHOWN_STEPS)?;
                }
                write!(f, " wait for one another")
            }
        }
    }
}

impl RunGraph {
    /// Takes dangling, cyclic and doubled dependencies out and reports the first two kinds.
    ///
    /// Nothing is ever added. After this the graph is acyclic and every index is in range. A run with a cycle is no
    /// longer replayed (`dependencies_known = false`): what remains without the knot's edges would let its steps run side
    /// by side, which nobody recorded.
    pub fn validate(&mut self) -> Vec<GraphIssue> {
        let mut issues = self.drop_dangling();
        if Topology::of_nodes(&self.nodes).is_ok() {
            return issues;
        }
        let components = components(&self.nodes);
        issues.extend(self.drop_cycles(&components));
        self.dependencies_known = false;
        issues
    }

    fn drop_dangling(&mut self) -> Vec<GraphIssue> {
        let n_nodes = self.nodes.len();
        let mut issues = Vec::new();
        for node in &mut self.nodes {
            node.deps.sort_unstable();
            node.deps.dedup();
            let known = node.deps.partition_point(|dep| (*dep as usize) < n_nodes);
            for dep in node.deps.drain(known..) {
                issues.push(GraphIssue::Dangling { step: node.step_id.to_string(), missing: format!("node {dep}") });
            }
        }
        issues
    }

    /// `components`: (n_nodes,), equal where nodes reach each other.
    fn drop_cycles(&mut self, components: &[u32]) -> Vec<GraphIssue> {
        let mut knots: Vec<Vec<String>> = vec![Vec::new(); self.nodes.len()];
        for (id, node) in (0_u32..).zip(&mut self.nodes) {
            let own = components[id as usize];
            let before = node.deps.len();
            node.deps.retain(|dep| components[*dep as usize] != own);
            if node.deps.len() < before {
                knots[own as usize].push(node.step_id.to_string());
            }
        }
        knots.into_iter().filter(|steps| !steps.is_empty()).map(|steps| GraphIssue::Cycle { steps }).collect()
    }
}

const UNSEEN: u32 = u32::MAX;

/// Strongly connected components, iteratively (Tarjan 1972): (n_nodes,), the component of each node. All `deps` are
/// in range. Every node on a cycle has a dependency inside its component.
fn components(nodes: &[Node]) -> Vec<u32> {
    let n = nodes.len();
    let mut search = Tarjan {
        nodes,
        seen: vec![UNSEEN; n],
        low: vec![0; n],
        component: vec![UNSEEN; n],
        open: Vec::new(),
        clock: 0,
        n_components: 0,
    };
    for root in 0..n as u32 {
        if search.seen[root as usize] == UNSEEN {
            search.visit(root);
        }
    }
    search.component
}

struct Tarjan<'a> {
    nodes: &'a [Node],
    seen: Vec<u32>,
    low: Vec<u32>,
    component: Vec<u32>,
    open: Vec<u32>,
    clock: u32,
    n_components: u32,
}

impl Tarjan<'_> {
    fn visit(&mut self, root: u32) {
        let mut path = vec![(root, 0_usize)];
        self.enter(root);
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if let Some(&dep) = self.nodes[node as usize].deps.get(*next) {
                *next += 1;
                if self.seen[dep as usize] == UNSEEN {
                    self.enter(dep);
                    path.push((dep, 0));
                } else if self.component[dep as usize] == UNSEEN {
                    self.lower(node, self.seen[dep as usize]);
                }
            } else {
                path.pop();
                self.leave(node);
                if let Some(&(parent, _)) = path.last() {
                    self.lower(parent, self.low[node as usize]);
                }
            }
        }
    }

    fn enter(&mut self, node: u32) {
        self.seen[node as usize] = self.clock;
        self.low[node as usize] = self.clock;
        self.clock += 1;
        self.open.push(node);
    }

    fn lower(&mut self, node: u32, to: u32) {
        let low = &mut self.low[node as usize];
        *low = (*low).min(to);
    }

    fn leave(&mut self, node: u32) {
        if self.low[node as usize] != self.seen[node as usize] {
            return;
        }
        while let Some(member) = self.open.pop() {
            self.component[member as usize] = self.n_components;
            if member == node {
                break;
            }
        }
        self.n_components += 1;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::Circumstances;
    use super::super::examples::{empty, fork_join, graph};
    use super::*;

    #[test]
    fn a_sound_graph_is_left_alone() {
        for sound in [empty(), fork_join()] {
            let mut checked = sound.clone();
            assert_eq!(checked.validate(), []);
            assert_eq!(checked, sound);
        }
    }

    #[test]
    fn dangling_is_dropped_and_the_rest_stands() {
        let mut run = graph(&[("a", 1.0, &[]), ("b", 1.0, &[9, 0, 0])]);
        assert_eq!(run.validate(), [GraphIssue::Dangling { step: "b".into(), missing: "node 9".into() }]);
        assert_eq!(run.nodes[1].deps, [0]);
        assert!(run.dependencies_known);
    }

    #[test]
    fn cycles_are_reported_once_each_and_end_replay() {
        // a ⇄ b → c → c (itself), d after c
        let mut run = graph(&[("a", 1.0, &[1]), ("b", 1.0, &[0]), ("c", 1.0, &[1, 2]), ("d", 1.0, &[2])]);
        let issues = run.validate();
        assert!(issues.contains(&GraphIssue::Cycle { steps: vec!["a".into(), "b".into()] }), "{issues:?}");
        assert!(issues.contains(&GraphIssue::Cycle { steps: vec!["c".into()] }), "{issues:?}");
        assert_eq!(issues.len(), 2);
        assert_eq!(run.nodes[2].deps, [1]);
        assert_eq!(run.nodes[3].deps, [2]);
        assert!(!run.dependencies_known);
        run.dependencies_known = true;
        assert_eq!(Topology::new(&run).unwrap().order().len(), 4);
    }

    #[test]
    fn a_long_ring_needs_no_recursion() {
        let n = 200_000_u32;
        let mut run = empty();
        run.nodes = (0..n)
            .map(|id| Node {
                step_id: "ring".into(),
                step: "ring".into(),
                duration_ms: 1.0,
                start_ms: None,
                submitted_ms: None,
                ended_ms: None,
                parent: None,
                deps: vec![(id + n - 1) % n],
                cached: false,
                under: Circumstances::default(),
            })
            .collect();
        assert_eq!(run.validate().len(), 1);
    }
}
