//! `ALGORITHM_OPTIMIZATION`, reliability: what runs that fail in the end cost, for each that succeeds, at the step at which
//! they fail.
//!
//! A step's failed runs must be more than 1 % of those that ended, with the lower end of Wilson's 90 % interval, and five at
//! least, over the days of the latest runs that are replayed. A run that fails makes none of the others longer: no time of
//! a run is saved, but money; where no prices are known, the share of all time that runs take stands for it in the ranking.
//! Runs that were mostly killed for memory have a proposal of their own, which names the request.

use super::Case;
use super::money::{Amounts, Money, usd_text};
use super::proposal::{Draft, MIN_SHARE, Proposal, set, short};
use super::reliability::TERMS;
use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::{duration_text, percent};
use crate::graph::Saving;
use crate::outcomes::Outlay;
use crate::series::Metric;
use crate::stats::dist::wilson;
use crate::units::DAY_US;
use std::collections::BTreeMap;

/// A larger share of the runs fails at the step than this, beyond what chance would have.
const MIN_FAILED: f64 = 0.01;
const FAILED_LEVEL: f64 = 0.9;
/// Fewer are anecdotes.
const MIN_FAILURES: u32 = 5;
/// Where as many failures are kills for memory, that is what is wrong.
const MOSTLY: f64 = 0.5;

/// What the runs of the days came to on which the latest runs that are replayed ran.
pub(super) struct Recent {
    pub(super) since_us: i64,
    pub(super) succeeded: Outlay,
    /// By the code of the step at which they failed.
    failed: BTreeMap<u32, Outlay>,
    /// Succeeded and failed together.
    pub(super) all: Outlay,
}

impl Recent {
    pub(super) fn of(case: &Case<'_>) -> Option<Self> {
        let first_us = case.history.recent_since_us(case.params.replay.max_runs)?;
        let since_us = first_us.div_euclid(DAY_US) * DAY_US;
        let (mut succeeded, mut failed) = (Outlay::default(), BTreeMap::<u32, Outlay>::new());
        for day in case.history.outcomes.iter().filter(|day| day.day_us >= since_us) {
            succeeded = succeeded.merged(day.succeeded);
            for (step, outlay) in &day.failed {
                let sum = failed.entry(*step).or_default();
                *sum = sum.merged(*outlay);
            }
        }
        let all = failed.values().fold(succeeded, |all, outlay| all.merged(*outlay));
        (succeeded.n_runs > 0).then_some(Self { since_us, succeeded, failed, all })
    }
}

pub(super) fn propose(case: &Case<'_>) -> Vec<Proposal> {
    let Some(recent) = Recent::of(case) else { return Vec::new() };
    let draft = |(step, executions): (&&str, &Executions<'_>)| draft(case, &recent, step, executions);
    case.history.steps.iter().filter_map(draft).map(|draft| draft.propose(case)).collect()
}

fn draft(case: &Case<'_>, recent: &Recent, step: &str, executions: &Executions<'_>) -> Option<Draft> {
    let failed = *recent.failed.get(&executions.samples.vocabulary.code(step)?)?;
    let (n_failed, n) = (f64::from(failed.n_runs), f64::from(recent.all.n_runs));
    let (least, _) = wilson(n_failed, n, FAILED_LEVEL);
    let n_killed = executions.kills.iter().filter(|kill| kill.started_us >= recent.since_us).count() as f64;
    if failed.n_runs < MIN_FAILURES || least <= MIN_FAILED || n_killed >= MOSTLY * n_failed {
        return None;
    }
    let (money, share_of_time) = (money(case, recent, failed), failed.ms.sum / recent.all.ms.sum);
    let given_back = if share_of_time.is_finite() { share_of_time } else { 0.0 };
    if money.map_or(given_back, |money| money.share) < MIN_SHARE {
        return None;
    }
    let evidence = |step: Option<&str>, metric| case.history.evidence(step, metric);
    let failures = [evidence(Some(step), Metric::ErrorRate), evidence(None, Metric::ErrorRate)];
    Some(Draft {
        terms: TERMS,
        target: format!("{step}.failed_runs"),
        title: title(step, recent, failed, money),
        saving: Saving::none(case.params.replay.level),
        money,
        given_back,
        changes: Vec::new(),
        actions: vec![set(&["steps", step, "target", "failed_run_share"], n_failed / n, 0.0)],
        evidence: failures.into_iter().chain(money.map(|_| evidence(None, Metric::Cost))).collect(),
    })
}

/// What failed runs cost for each that succeeded; none where nothing is known to cost anything.
fn money(case: &Case<'_>, recent: &Recent, failed: Outlay) -> Option<Money> {
    let amounts = Amounts { sum: failed.usd.sum, sum_sq: failed.usd.sum_sq };
    let a_run = 1.0 / f64::from(recent.succeeded.n_runs);
    (amounts.sum > 0.0).then(|| amounts.money(a_run, amounts.sum / recent.all.usd.sum, case.params.replay.level))
}

fn title(step: &str, recent: &Recent, failed: Outlay, money: Option<Money>) -> String {
    let time = duration_text(failed.ms.sum / f64::from(recent.succeeded.n_runs));
    let spent = money.map_or_else(|| time.clone(), |money| format!("{time} and {}", usd_text(money.usd)));
    let step = short(step);
    format!(
        "Keep runs from failing at {step}: {} of {} recent runs ended there ({}), which takes {spent} for each run that succeeds",
        failed.n_runs,
        recent.all.n_runs,
        percent(f64::from(failed.n_runs) / f64::from(recent.all.n_runs)),
    )
}
