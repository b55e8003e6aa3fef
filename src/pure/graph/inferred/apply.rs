//! A run with dependencies that were inferred in the place of declared ones.

use super::super::{Circumstances, Node, RunGraph};
use super::relation::{Relation, relation_in};
use super::timeline::Timeline;
use std::sync::Arc;

/// A dependency between steps by their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) relation: Relation,
}

/// The run with `edges` between its tasks. Where many tasks wait for many, a gate between them keeps their number small: a
/// node without a name that takes no time.
pub(super) fn apply(graph: &RunGraph, run: &Timeline, edges: &[Edge]) -> RunGraph {
    let mut applied = RunGraph { dependencies_known: true, ..graph.clone() };
    let mut gates: Vec<Option<u32>> = vec![None; run.tasks.len()];
    for edge in edges {
        let (before, after) = (&run.tasks[edge.before], &run.tasks[edge.after]);
        if relation_in(run, edge.before, edge.after, edge.relation) == Relation::All {
            let waits_for: Vec<u32> = match (before.len() > 1 && after.len() > 1, gates[edge.before]) {
                (true, Some(gate)) => vec![gate],
                (true, None) => {
                    let gate = applied.nodes.len() as u32;
                    applied.nodes.push(gate_after(graph, before.iter().map(|task| task.node).collect()));
                    gates[edge.before] = Some(gate);
                    vec![gate]
                }
                (false, _) => before.iter().map(|task| task.node).collect(),
            };
            after.iter().for_each(|task| applied.nodes[task.node as usize].deps.extend(&waits_for));
            continue;
        }
        for task in after {
            let Some(tag) = task.tag else { continue };
            let tags = match edge.relation {
                Relation::Same => &[tag][..],
                Relation::Related | Relation::All => run.related_to(tag),
            };
            let nodes = before.iter().filter(|one| one.tag.is_some_and(|tag| tags.contains(&tag))).map(|one| one.node);
            applied.nodes[task.node as usize].deps.extend(nodes);
        }
    }
    for node in &mut applied.nodes {
        node.deps.sort_unstable();
        node.deps.dedup();
    }
    applied
}

fn gate_after(graph: &RunGraph, deps: Vec<u32>) -> Node {
    let step = deps.first().and_then(|id| graph.nodes.get(*id as usize)).map(|node| Arc::clone(&node.step));
    Node {
        step_id: Arc::from(""),
        step: step.unwrap_or_else(|| Arc::from("")),
        duration_ms: 0.0,
        start_ms: None,
        submitted_ms: None,
        parent: None,
        deps,
        cached: true,
        under: Circumstances::default(),
    }
}

/// Of `edges`, which hold in this run, those that do not follow from others: `a → c` where all of `c` waits for all of `b`, and
/// all of `b` for all of `a`. (n_steps,) flags would do for one; words of bits do for all.
pub(super) fn reduced(run: &Timeline, edges: &[Edge]) -> Vec<Edge> {
    let n = run.tasks.len();
    let present = |edge: &&Edge| !(run.tasks[edge.before].is_empty() || run.tasks[edge.after].is_empty());
    let mut all = vec![false; n * n];
    let here: Vec<Edge> = edges.iter().filter(present).copied().collect();
    for edge in &here {
        if relation_in(run, edge.before, edge.after, edge.relation) == Relation::All {
            all[edge.before * n + edge.after] = true;
        }
    }
    let follows = |edge: &Edge| (0..n).any(|between| all[edge.before * n + between] && all[between * n + edge.after]);
    here.iter().filter(|edge| !follows(edge)).copied().collect()
}
