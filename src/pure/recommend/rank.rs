//! Which proposal first.

use super::portfolio::arrange;
use super::{Params, Proposal, Recommendation};
use crate::graph::RunGraph;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Ranks proposals of all workflows by `worth × probability × feasibility`, where worth is the share of time (and, where it
/// is known, of money) that is saved; among equals what makes runs reliable goes first, then by id. Then the proposals of each
/// workflow are put in an order of their own, in which their savings are replayed together over its recent `graphs`.
#[must_use]
pub fn rank(proposals: Vec<Proposal>, graphs: &[RunGraph], params: &Params) -> Vec<Recommendation> {
    let mut by_workflow: BTreeMap<String, (Vec<Proposal>, Vec<&RunGraph>)> = BTreeMap::new();
    for proposal in proposals {
        by_workflow.entry(proposal.recommendation.workflow_id.clone()).or_default().0.push(proposal);
    }
    for graph in graphs {
        if let Some((_, own)) = by_workflow.get_mut(&graph.workflow_id) {
            own.push(graph);
        }
    }
    let arranged: Vec<Vec<Proposal>> =
        by_workflow.into_par_iter().map(|(_, (proposals, graphs))| arrange(proposals, &graphs, params)).collect();
    let mut all: Vec<Proposal> = arranged.into_iter().flatten().collect();
    all.sort_by(before);
    let ranked =
        (1..).zip(all).map(|(rank, Proposal { recommendation, .. })| Recommendation { rank, ..recommendation });
    ranked.collect()
}

/// What a proposal is worth, given the chance that it works and that it is done.
pub(super) fn expected_worth(proposal: &Proposal) -> f64 {
    proposal.worth * proposal.recommendation.probability * proposal.recommendation.feasibility
}

pub(super) fn before(a: &Proposal, b: &Proposal) -> std::cmp::Ordering {
    let unreliable = |proposal: &Proposal| proposal.recommendation.category != "reliability";
    let id = |proposal: &Proposal| proposal.recommendation.recommendation_id.clone();
    expected_worth(b)
        .total_cmp(&expected_worth(a))
        .then_with(|| unreliable(a).cmp(&unreliable(b)))
        .then_with(|| id(a).cmp(&id(b)))
}
