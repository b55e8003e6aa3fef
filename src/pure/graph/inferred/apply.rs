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
        ended_ms: None,
        parent: None,
        deps,
        cached: true,
        under: Circumstances::default(),
    }
}

/// Of `edges` those that hold in this run and do not follow from others: `a → c` does where all of `c` waits for all of `b`, and
/// all of `b` for all of `a`.
pub(super) fn reduced(run: &Timeline, edges: &[Edge]) -> Vec<Edge> {
    let present = |edge: &&Edge| !(run.tasks[edge.before].is_empty() || run.tasks[edge.after].is_empty());
    let here: Vec<Edge> = edges.iter().filter(present).copied().collect();
    // By step, as bits: which wait for all of it, and for all of which it waits.
    let n_words = run.tasks.len().div_ceil(64);
    let (mut after, mut before) = (vec![0_u64; run.tasks.len() * n_words], vec![0_u64; run.tasks.len() * n_words]);
    let is_of_all = |edge: &&Edge| relation_in(run, edge.before, edge.after, edge.relation) == Relation::All;
    for edge in here.iter().filter(is_of_all) {
        after[edge.before * n_words + edge.after / 64] |= 1 << (edge.after % 64);
        before[edge.after * n_words + edge.before / 64] |= 1 << (edge.before % 64);
    }
    let of = |step: usize| step * n_words..(step + 1) * n_words;
    let follows = |edge: &&Edge| {
        after[of(edge.before)].iter().zip(&before[of(edge.after)]).any(|(after, before)| after & before != 0)
    };
    here.iter().filter(|edge| !follows(edge)).copied().collect()
}
