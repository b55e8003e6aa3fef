//! `LOAD_BALANCING`: where steps queue for slots, let those go first on which most still waits.
//!
//! Only the order of dispatch is changed, no work is moved or split, and what goes first is decided by the mean duration
//! of each step, as it is known beforehand.

use super::Case;
use super::proposal::{Draft, Proposal, Terms, set};
use crate::detect::bottlenecks::percent;
use crate::graph::{Change, Ensemble, Scratch};
use crate::series::Metric;

const MIN_IMPACT: f64 = 0.02;

const TERMS: Terms = Terms {
    kind: "LOAD_BALANCING",
    category: "performance",
    feasibility: 0.7,
    effort: "low",
    risk: "low",
    probability: 0.6,
};

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    // The recorded order is needed to say that another one is better.
    if !case.params.load_balancing.enabled || ensemble.observed_slots().is_none() {
        return Vec::new();
    }
    let changes = vec![Change::LongestFirst];
    let saving = ensemble.saving(&changes, scratch).ok();
    let draft = saving.filter(|found| found.share >= MIN_IMPACT && found.share_lower > 0.0).map(|saving| Draft {
        terms: TERMS,
        target: "dispatch_order".to_owned(),
        title: format!("Dispatch the longest remaining path first: a run takes {} less", percent(saving.share)),
        saving,
        money: None,
        given_back: 0.0,
        changes,
        actions: vec![set(&["dispatch_order"], serde_json::Value::Null, "longest_remaining_path")],
        evidence: vec![case.history.evidence(None, Metric::ExecutionTime)],
    });
    draft.into_iter().map(|draft| draft.propose(case)).collect()
}
