//! `ALGORITHM_OPTIMIZATION`, cost: undo a rise of what an execution of a step costs.
//!
//! The stretch since the latest change point of a step's cost is compared with the cheapest earlier one: a rise of at
//! least 1.2 times, at p < 0.001, for inputs of the same size. Where cost has no such change point, that of the step's
//! tokens counts, if they rose so and what they cost with them, by however much. Where executions became shorter by
//! 1.2 times or more, money bought time, and nothing is proposed. What is saved is the difference of means, as often as the
//! step is executed in a run; no time is.

use super::Case;
use super::money::{Money, usd_text};
use super::proposal::{Draft, MIN_SHARE, Proposal, Terms, set, short};
use super::rises::{Rise, rise};
use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::instant_text;
use crate::detect::bottlenecks::slow_step::{MIN_RATIO, median_ms, regimes};
use crate::graph::Saving;
use crate::series::Metric;

const TERMS: Terms = Terms {
    kind: "ALGORITHM_OPTIMIZATION",
    category: "cost",
    feasibility: 0.6,
    effort: "medium",
    risk: "low",
    probability: 0.5,
};

pub(super) fn propose(case: &Case<'_>) -> Vec<Proposal> {
    let drafts = case.history.steps.iter().filter_map(|(step, executions)| draft(case, step, executions));
    drafts.map(|draft| draft.propose(case)).collect()
}

fn draft(case: &Case<'_>, step: &str, executions: &Executions<'_>) -> Option<Draft> {
    let risen = Risen::of(case, step, executions)?;
    let money = money(case, step, &risen.usd).filter(|money| money.share >= MIN_SHARE)?;
    let target = |key| ["steps", step, "target", key];
    let mut actions = vec![set(&target("cost_usd"), risen.usd.after, risen.usd.before)];
    actions.extend(risen.tokens.map(|tokens| set(&target("tokens"), tokens.after, tokens.before)));
    let evidence = |metric| case.history.evidence(Some(step), metric);
    let metrics = [Some(Metric::Cost), risen.tokens.map(|_| Metric::Tokens)];
    Some(Draft {
        terms: TERMS,
        target: format!("{step}.cost_usd"),
        title: risen.title(step),
        saving: Saving::none(case.params.replay.level),
        money: Some(money),
        given_back: 0.0,
        changes: Vec::new(),
        actions,
        evidence: [risen.change_point].into_iter().chain(metrics.into_iter().flatten().map(evidence)).collect(),
    })
}

/// What costs more than it did, and since which published change point.
struct Risen {
    usd: Rise,
    tokens: Option<Rise>,
    change_point: String,
}

impl Risen {
    fn of(case: &Case<'_>, step: &str, executions: &Executions<'_>) -> Option<Self> {
        Self::since(case, step, executions, Metric::Cost)
            .or_else(|| Self::since(case, step, executions, Metric::Tokens))
    }

    fn since(case: &Case<'_>, step: &str, executions: &Executions<'_>, metric: Metric) -> Option<Self> {
        let analysis = case.history.analysis(Some(step), metric)?;
        let edges: Vec<i64> = analysis.change_points.iter().map(|change| change.at_us).collect();
        let of = |column: &[f64], ratio| rise(executions, column, edges.clone(), ratio, case.params.replay.level);
        let samples = executions.samples;
        let (usd, tokens) = match metric {
            Metric::Tokens => (of(&samples.cost_usd, 1.0)?, Some(of(&samples.tokens, MIN_RATIO)?)),
            _ => (of(&samples.cost_usd, MIN_RATIO)?, None),
        };
        let change_point = format!("change_points:{}@{}", analysis.key, instant_text(usd.since_us));
        (!is_faster(executions, usd.since_us)).then_some(Self { usd, tokens, change_point })
    }

    fn title(&self, step: &str) -> String {
        let Self { usd, tokens, .. } = self;
        let tokens = tokens.map_or_else(String::new, |tokens| {
            format!("; its tokens rose from {:.0} to {:.0}", tokens.before, tokens.after)
        });
        let step = short(step);
        format!(
            "Bring what an execution of {step} costs back from {} to {}, as before {}{tokens}",
            usd_text(usd.after),
            usd_text(usd.before),
            instant_text(usd.since_us),
        )
    }
}

/// Whether executions since then are shorter than those before by as much as a slow step is slower.
fn is_faster(executions: &Executions<'_>, since_us: i64) -> bool {
    match &regimes(executions, vec![since_us])[..] {
        [before, after] => median_ms(executions, before) >= MIN_RATIO * median_ms(executions, after),
        _ => false,
    }
}

/// What the rise costs a run; none where it is unknown what one costs, or none has run since.
fn money(case: &Case<'_>, step: &str, usd: &Rise) -> Option<Money> {
    let since = || case.history.graphs.iter().filter(|graph| graph.started_us >= usd.since_us);
    let nodes = since().flat_map(|graph| &graph.nodes);
    let n_executions = nodes.filter(|node| &*node.step == step && !node.cached).count() as f64;
    let costs: Vec<f64> = since().filter_map(|graph| graph.outcome.cost_usd).collect();
    let a_run = costs.iter().sum::<f64>() / costs.len() as f64;
    let often = n_executions / since().count() as f64;
    let (saved, spread) = (often * (usd.after - usd.before), often * usd.spread);
    (saved > 0.0 && a_run > 0.0).then(|| Money {
        usd: saved,
        lower: (saved - spread).max(0.0),
        upper: saved + spread,
        share: (saved / a_run).min(1.0),
    })
}
