//! Dependencies that times show, where none were declared.
//!
//! That a step always came after another proves nothing: they may take turns for want of slots, or the one may be slow and
//! the other quick. What proves something is that the next was submitted at once when the last of all that it could have
//! waited for had ended, time after time, while more could have been in flight. Such dependencies are *shown*, each with its
//! confidence; all others that no run contradicts are *possible*. A run is replayed with the shown ones, and once more
//! with all possible ones: what is saved lies between.
//!
//! Times of submission are needed ([`Node::submitted_ms`]). When a task started says when it was given a machine.
//! Which tasks of two steps belong together is read off their tags (`step_id` behind the first `/`).

mod apply;
mod reactions;
mod relation;
mod timeline;

pub use relation::Relation;

use super::RunGraph;
use apply::{Edge, apply, reduced};
use rayon::prelude::*;
use reactions::{Evidence, evidence};
use relation::{Consistent, consistent};
use std::collections::BTreeMap;
use std::sync::Arc;
use timeline::Timeline;

/// Times that what was waited for was seen to end last: once is an anecdote.
const MIN_REACTIONS: usize = 3;
/// Of a dependency that is taken as shown.
const MIN_CONFIDENCE: f64 = 0.99;
/// Pairs grow with the square of the steps.
const MAX_STEPS: usize = 500;

/// A dependency between two steps that times show.
#[derive(Debug, Clone, PartialEq)]
pub struct InferredDependency {
    /// Who waits.
    pub step: Arc<str>,
    /// For what.
    pub waits_for: Arc<str>,
    /// For which of its tasks.
    pub relation: Relation,
    /// How often it was seen to be the last that had been waited for.
    pub n_reactions: usize,
    /// 1 − p that the ends and the submissions after them have nothing to do with one another, 0-1.
    pub confidence: f64,
}

/// The runs of a workflow with dependencies from their times.
#[derive(Debug)]
pub struct Inferred {
    /// What is shown, by step, then by what it waits for; never empty.
    pub dependencies: Vec<InferredDependency>,
    /// Each run with what is shown, and with all that is possible.
    pub(super) runs: Vec<(RunGraph, RunGraph)>,
}

impl Inferred {
    /// The runs with the dependencies that are shown.
    pub fn runs(&self) -> impl Iterator<Item = &RunGraph> {
        self.runs.iter().map(|(shown, _)| shown)
    }
}

/// Looks for dependencies in the times of `graphs`, all of one workflow; runs whose times are not wholly known are left
/// out. None where nothing is shown.
#[must_use]
pub fn infer(graphs: &[&RunGraph]) -> Option<Inferred> {
    let names: BTreeMap<&str, Arc<str>> =
        graphs.iter().flat_map(|graph| &graph.nodes).map(|node| (&*node.step, Arc::clone(&node.step))).collect();
    if names.len() > MAX_STEPS {
        return None;
    }
    let codes: BTreeMap<&str, usize> = names.keys().copied().zip(0..).collect();
    let timed = graphs.iter().filter_map(|graph| Some((*graph, Timeline::of(graph, &codes)?)));
    let (graphs, runs): (Vec<&RunGraph>, Vec<Timeline>) = timed.unzip();
    let names: Vec<Arc<str>> = names.into_values().collect();
    let most_in_flight = runs.iter().map(Timeline::most_in_flight).max().unwrap_or(0);
    let of_step = |after: usize| {
        let candidates = consistent(&runs, names.len(), after);
        (shown(&runs, &candidates, most_in_flight), widest(&candidates))
    };
    let (best, possible): (Vec<_>, Vec<_>) = (0..names.len()).into_par_iter().map(of_step).unzip();
    let edges: Vec<Edge> = best.iter().flatten().map(|(edge, _)| *edge).collect();
    if edges.is_empty() {
        return None;
    }
    let possible: Vec<Edge> = possible.into_iter().flatten().collect();
    let named = |(Edge { before, after, relation }, found): (Edge, Evidence)| InferredDependency {
        step: Arc::clone(&names[after]),
        waits_for: Arc::clone(&names[before]),
        relation,
        n_reactions: found.n,
        confidence: found.confidence(),
    };
    let dependencies = best.into_iter().flatten().map(named).collect();
    let with_both = |(graph, run): (&&RunGraph, &Timeline)| {
        (apply(graph, run, &edges), apply(graph, run, &reduced(run, &possible)))
    };
    let runs = graphs.iter().zip(&runs).map(with_both).collect();
    Some(Inferred { dependencies, runs })
}

/// Of each pair the relation with most evidence, if that is enough. `candidates`: those of one step.
fn shown(runs: &[Timeline], candidates: &[Consistent], most_in_flight: usize) -> Vec<(Edge, Evidence)> {
    let found = evidence(runs, candidates, most_in_flight);
    let proven = candidates
        .iter()
        .zip(found)
        .filter(|(_, found)| found.n >= MIN_REACTIONS && found.confidence() >= MIN_CONFIDENCE);
    let mut best: BTreeMap<usize, (Edge, Evidence)> = BTreeMap::new();
    for (Consistent { before, after, relation, .. }, found) in proven {
        let edge = Edge { before: *before, after: *after, relation: *relation };
        let so_far = best.entry(*before).or_insert((edge, found));
        if found.sum > so_far.1.sum {
            *so_far = (edge, found);
        }
    }
    best.into_values().collect()
}

/// The widest relation of each pair. `candidates`: those of one step.
fn widest(candidates: &[Consistent]) -> Vec<Edge> {
    let of_pair = |alike: &[Consistent]| {
        let Consistent { before, after, relation, .. } = *alike.last()?;
        Some(Edge { before, after, relation })
    };
    candidates.chunk_by(|a, b| a.before == b.before).filter_map(of_pair).collect()
}

#[cfg(test)]
mod tests;
