//! `ALGORITHM_OPTIMIZATION`, reliability: what tries that fail cost, in time and in money. The action says what is to be
//! reached; why they fail is for an engineer to find. Kills for memory have a proposal of their own, which names the request.

use super::Case;
use super::money::{Amounts, Money, usd_text};
use super::proposal::{Draft, MIN_SHARE, Proposal, Terms, set, short};
use crate::detect::bottlenecks::percent;
use crate::graph::{Change, Ensemble, Saving, Scratch};
use crate::series::Metric;
use crate::stats::dist::wilson;

/// More of a step's executions are tried again than this, beyond what chance would have.
const MIN_RETRIED: f64 = 0.01;
const RETRIED_LEVEL: f64 = 0.9;
/// Fewer retries are anecdotes.
const MIN_RETRIES: usize = 5;

pub(super) const TERMS: Terms = Terms {
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
    let saving = ensemble.saving(&changes, scratch).ok()?;
    let money = money(ensemble, step);
    if saving.share < MIN_SHARE && money.is_none_or(|money| money.share < MIN_SHARE) {
        return None;
    }
    let evidence = |metric| case.history.evidence(Some(step), metric);
    Some(Draft {
        terms: TERMS,
        target: step.to_owned(),
        title: format!(
            "Make {step} succeed at its first try: {} of its {n} recent executions were tried again, and a run would {}",
            percent(share),
            less(saving, money),
            step = short(step),
        ),
        saving,
        money,
        given_back: 0.0,
        changes,
        actions: vec![set(&["steps", step, "target", "retried_share"], share, 0.0)],
        evidence: [evidence(Metric::ErrorRate)].into_iter().chain(money.map(|_| evidence(Metric::Cost))).collect(),
    })
}

/// What tries before the last ones cost, per replayed run; none where nothing is known to cost anything.
fn money(ensemble: &Ensemble, step: &str) -> Option<Money> {
    let tries = Amounts::of(ensemble.retries_usd(step));
    let all_usd = ensemble.cost_usd();
    let n_runs = ensemble.n_runs() as f64;
    (tries.sum > 0.0 && all_usd > 0.0).then(|| tries.money(1.0 / n_runs, tries.sum / all_usd, ensemble.level()))
}

fn less(saving: Saving, money: Option<Money>) -> String {
    let time = format!("take {} less", percent(saving.published().share));
    match money {
        Some(money) => format!("{time} and cost {} less", usd_text(money.usd)),
        None => time,
    }
}
