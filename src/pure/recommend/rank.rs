//! Which proposal first.

use super::beliefs::Beliefs;
use super::policy::{Lead, Policy};
use super::portfolio::arrange;
use super::{Params, Proposal, Recommendation};
use crate::graph::RunGraph;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a recommendation stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Nobody has decided.
    #[default]
    Open,
    /// Somebody has made the change.
    Applied,
    /// Somebody has made it and taken it back.
    RolledBack,
    /// Nobody will make it.
    Dismissed,
}

impl Status {
    /// The name used in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Applied => "applied",
            Self::RolledBack => "rolled_back",
            Self::Dismissed => "dismissed",
        }
    }
}

/// What earlier recommendations have taught, and what people said of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Learned {
    /// What outcomes say of each class of proposals.
    pub beliefs: Beliefs,
    /// By recommendation; open where it is not named.
    pub statuses: BTreeMap<String, Status>,
    /// Type of each workflow, as far as it is known.
    pub workflow_types: BTreeMap<String, String>,
    /// Who comes first.
    pub policy: Policy,
}

/// Ranks proposals of all workflows by `worth × probability × feasibility`, where worth is the share of time (and, where it
/// is known, of money) that is saved and the probability is what `learned` makes of the rule's; among equals what makes
/// runs reliable goes first, then by id. What is applied or rolled back comes after all that is open, what is dismissed
/// last. The policy then chooses who takes the place of the best open proposal of each workflow; the others follow in
/// their order. The proposals of each workflow are also put in an order of their own, in which their savings are replayed
/// together over its recent `graphs`.
#[must_use]
pub fn rank(proposals: Vec<Proposal>, graphs: &[RunGraph], params: &Params, learned: &Learned) -> Vec<Recommendation> {
    let mut by_workflow: BTreeMap<String, (Vec<Proposal>, Vec<&RunGraph>)> = BTreeMap::new();
    for proposal in proposals {
        let workflow_id = proposal.recommendation.workflow_id.clone();
        by_workflow.entry(workflow_id).or_default().0.push(learned.applied_to(proposal));
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
    put_leads_first(&mut all, &learned.policy);
    let ranked =
        (1..).zip(all).map(|(rank, Proposal { recommendation, .. })| Recommendation { rank, ..recommendation });
    ranked.collect()
}

impl Learned {
    fn applied_to(&self, mut proposal: Proposal) -> Proposal {
        let it = &mut proposal.recommendation;
        it.workflow_type = self.workflow_types.get(&it.workflow_id).cloned();
        it.status = self.statuses.get(&it.recommendation_id).copied().unwrap_or_default();
        let context = it.workflow_type.as_deref();
        it.probability = self.beliefs.posterior(it.kind, it.category, context, it.probability).mean();
        proposal
    }
}

/// Within the places of each workflow's open proposals, that of the lead becomes the first.
fn put_leads_first(all: &mut [Proposal], policy: &Policy) {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, Proposal { recommendation, .. }) in all.iter().enumerate() {
        if recommendation.status == Status::Open {
            places.entry(recommendation.workflow_id.clone()).or_default().push(place);
        }
    }
    for (workflow_id, places) in places {
        let Some(Lead { position, propensities }) = policy.lead(&workflow_id, places.len()) else { continue };
        for (&place, propensity) in places.iter().zip(propensities) {
            all[place].recommendation.propensity = propensity;
        }
        for pair in places[..=position].windows(2).rev() {
            all.swap(pair[0], pair[1]);
        }
    }
}

/// What a proposal is worth, given the chance that it works and that it is done.
pub(super) fn expected_worth(proposal: &Proposal) -> f64 {
    proposal.worth * proposal.recommendation.probability * proposal.recommendation.feasibility
}

pub(super) fn before(a: &Proposal, b: &Proposal) -> std::cmp::Ordering {
    let unreliable = |proposal: &Proposal| proposal.recommendation.category != "reliability";
    let id = |proposal: &Proposal| proposal.recommendation.recommendation_id.clone();
    turn(a)
        .cmp(&turn(b))
        .then_with(|| expected_worth(b).total_cmp(&expected_worth(a)))
        .then_with(|| unreliable(a).cmp(&unreliable(b)))
        .then_with(|| id(a).cmp(&id(b)))
}

fn turn(proposal: &Proposal) -> u8 {
    match proposal.recommendation.status {
        Status::Open => 0,
        Status::Applied | Status::RolledBack => 1,
        Status::Dismissed => 2,
    }
}

#[cfg(test)]
mod tests;
