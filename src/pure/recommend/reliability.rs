//! `ALGORITHM_OPTIMIZATION`, reliability: what tries that fail cost. The action says what is to be reached; why they fail is
//! for an engineer to find. Kills for memory have a proposal of their own, which names the request.

use super::Case;
use super::proposal::{Draft, MIN_SHARE, Proposal, Terms, set};
use crate::detect::bottlenecks::percent;
use crate::graph::{Change, Ensemble, Scratch};
use crate::series::Metric;
use crate::stats::dist::wilson;

/// More of a step's executions are tried again than this, beyond what chance would have.
const MIN_RETRIED: f64 = 0.01;
const RETRIED_LEVEL: f64 = 0.9;
/// Fewer retries are anecdotes.
const MIN_RETRIES: usize = 5;

const TERMS: Terms = Terms {
    kind: "ALGORITHM_OPTIMIZATION",
    category: "reliability",
    feasibility: 0.5,
    effort: "medium",
    risk: "low",
    probability: 0.5,
};

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    let drafts = ensemble.steps().iter().filter_map(|step| draft(case, ensemble, step, scratch));
    drafts.map(|draft| draft.propose(case)).collect()
}

fn draft(case: &Case<'_>, ensemble: &Ensemble, step: &str, scratch: &mut Scratch) -> Option<Draft> {
    let (n_retried, n) = ensemble.retried(step);
    let share = n_retried as f64 / n as f64;
    let (least, _) = wilson(n_retried as f64, n as f64, RETRIED_LEVEL);
    let is_killed = case.history.steps.get(step).is_some_and(|executions| !executions.kills.is_empty());
    if is_killed || n_retried < MIN_RETRIES || least <= MIN_RETRIED {
        return None;
    }
    let changes = vec![Change::FirstTry { step: step.into() }];
    let saving = ensemble.saving(&changes, scratch).ok().filter(|saving| saving.share >= MIN_SHARE)?;
    Some(Draft {
        terms: TERMS,
        target: step.to_owned(),
        title: format!(
            "Make {step} succeed at its first try: {} of its {n} recent executions were tried again, and a run would take \
             {} less",
            percent(share),
            percent(saving.published().share),
        ),
        saving,
        money: None,
        given_back: 0.0,
        changes,
        actions: vec![set(&["steps", step, "target", "retried_share"], share, 0.0)],
        evidence: vec![case.history.evidence(Some(step), Metric::ErrorRate)],
    })
}
