//! What proposals save together.

use super::rank::{before, expected_worth};
use super::{Params, Proposal, Status};
use crate::graph::{Change, Ensemble, RunGraph, Scratch};

/// Greedy choice looks at every pair; beyond so many proposals of a workflow the rest keeps its own order.
const MAX_GREEDY: usize = 12;

/// Numbers the proposals of one workflow: next is always the one with which the joint saving, replayed, grows most by
/// time × probability × feasibility; what takes no time away or is decided on follows in its own order. `portfolio_saving_ms` is the joint
/// saving of all up to there, and 0 throughout where runs can't be replayed.
pub(super) fn arrange(mut proposals: Vec<Proposal>, graphs: &[&RunGraph], params: &Params) -> Vec<Proposal> {
    proposals.sort_by(before);
    let Ok(ensemble) = Ensemble::new(graphs, params.replay) else { return numbered(proposals, &[]) };
    let mut scratch = Scratch::default();
    let mut joint_ms = |changes: &[Change]| ensemble.mean_saving_ms(changes, &mut scratch).unwrap_or(0.0);
    let (mut open, rest) = split(proposals);
    let (mut chosen, mut changes, mut savings) = (Vec::new(), Vec::new(), Vec::new());
    let mut reached_ms = 0.0;
    while !open.is_empty() {
        let (at, ms) = best_next(&open, &changes, reached_ms, &mut joint_ms);
        let next = open.remove(at);
        changes.extend(next.changes.iter().cloned());
        reached_ms = ms;
        savings.push(reached_ms);
        chosen.push(next);
    }
    for proposal in rest {
        if !proposal.changes.is_empty() {
            changes.extend(proposal.changes.iter().cloned());
            reached_ms = joint_ms(&changes);
        }
        savings.push(reached_ms);
        chosen.push(proposal);
    }
    numbered(chosen, &savings)
}

/// Those that are chosen greedily, and the others; both in order.
fn split(proposals: Vec<Proposal>) -> (Vec<Proposal>, Vec<Proposal>) {
    let (mut open, still): (Vec<_>, Vec<_>) = proposals
        .into_iter()
        .partition(|proposal| !proposal.changes.is_empty() && proposal.recommendation.status == Status::Open);
    let mut rest = open.split_off(open.len().min(MAX_GREEDY));
    rest.extend(still);
    (open, rest)
}

/// Position of the best next proposal and the joint saving with it; the earlier among equals. `open` is not empty.
fn best_next(
    open: &[Proposal],
    changes: &[Change],
    reached_ms: f64,
    joint_ms: &mut impl FnMut(&[Change]) -> f64,
) -> (usize, f64) {
    let mut best = (0, reached_ms, f64::NEG_INFINITY);
    let mut together = changes.to_vec();
    for (at, proposal) in open.iter().enumerate() {
        together.truncate(changes.len());
        together.extend(proposal.changes.iter().cloned());
        let ms = joint_ms(&together);
        let chance = proposal.recommendation.probability * proposal.recommendation.feasibility;
        let gain = (ms - reached_ms) * chance;
        if gain > best.2 || (gain >= best.2 && expected_worth(proposal) > expected_worth(&open[best.0])) {
            best = (at, ms, gain);
        }
    }
    (best.0, best.1)
}

fn numbered(proposals: Vec<Proposal>, savings: &[f64]) -> Vec<Proposal> {
    let number = |(at, mut proposal): (usize, Proposal)| {
        proposal.recommendation.portfolio_rank = u32::try_from(at + 1).unwrap_or(u32::MAX);
        proposal.recommendation.portfolio_saving_ms = savings.get(at).copied().unwrap_or(0.0).max(0.0);
        proposal
    };
    proposals.into_iter().enumerate().map(number).collect()
}
