//! `PROVIDER_SELECTION`: move work from one provider to a better one. Of all such moves the one that saves most is
//! proposed, whether the provider to leave does most of the work or a part of it.
//!
//! Better is the weighted gain in time and money, `w_time (1 − time ratio) + w_cost (1 − cost ratio)` with the ratios of the
//! published comparisons of like executions. A switch is proposed only if the gain stays above 0 with both ratios at the
//! bad end of their intervals, widened so that their error holds over all switches that could be proposed (Bonferroni): of
//! many equal providers one always looks better than another. Where money was not compared, time alone decides. The saving is replayed with every
//! step's durations on the old provider multiplied by the time ratio.

use super::Case;
use super::money::Money;
use super::proposal::{Draft, Proposal, Terms, set, weights};
use crate::compare::Comparison;
use crate::detect::bottlenecks::percent;
use crate::graph::{Change, Ensemble, Saving, Scratch};
use crate::stats::dist::normal_quantile;
use crate::units::Level;
use std::collections::BTreeMap;

const TERMS: Terms = Terms {
    kind: "PROVIDER_SELECTION",
    category: "performance",
    feasibility: 0.7,
    effort: "medium",
    risk: "medium",
    probability: 0.6,
};
/// Executions on the old provider, at least.
const MIN_EXECUTIONS: usize = 20;

/// New / old, and where it lies.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    value: f64,
    lower: f64,
    upper: f64,
    /// The bad end of an interval that holds for all switches together.
    surely: f64,
}

/// One way to go.
struct Switch<'a> {
    to: &'a str,
    time: Ratio,
    cost: Option<Ratio>,
    evidence: Vec<String>,
}

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    if !case.params.providers.enabled {
        return Vec::new();
    }
    draft(case, ensemble, scratch).into_iter().map(|draft| draft.propose(case)).collect()
}

fn draft(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Option<Draft> {
    let load = Load::of(case, ensemble.span_us().0);
    let (time, cost) = weights(case);
    let worth = |draft: &Draft| time * draft.saving.share + cost * draft.money.map_or(0.0, |money| money.share);
    let drafts = load.frequent().filter_map(|from| draft_from(case, &load, from, ensemble, scratch));
    drafts.max_by(|a, b| worth(a).total_cmp(&worth(b)))
}

fn draft_from(
    case: &Case<'_>,
    load: &Load<'_>,
    from: &str,
    ensemble: &Ensemble,
    scratch: &mut Scratch,
) -> Option<Draft> {
    let gain = |switch: &Switch<'_>, at: fn(&Ratio) -> f64| weighted_gain(case, switch, at);
    let sure = switches(case, from).into_iter().filter(|switch| gain(switch, |ratio| ratio.surely) > 0.0);
    let best = sure.max_by(|a, b| gain(a, |r| r.value).total_cmp(&gain(b, |r| r.value)).then(b.to.cmp(a.to)))?;
    let mut saving = |ratio: f64| ensemble.saving(&load.changes(from, ratio), scratch).ok();
    let (point, low, high) = (saving(best.time.value)?, saving(best.time.upper)?, saving(best.time.lower)?);
    let saving = point.between(low, high);
    let money = best.cost.and_then(|cost| load.money(from, cost, ensemble.n_runs()));
    let cheaper = money.is_some_and(|money| money.share > saving.share);
    Some(Draft {
        terms: Terms { category: if cheaper { "cost" } else { TERMS.category }, ..TERMS },
        target: "provider".to_owned(),
        title: title(from, &best, saving),
        saving,
        money,
        given_back: 0.0,
        changes: load.changes(from, best.time.value),
        actions: vec![set(&["provider"], from, best.to)],
        evidence: best.evidence,
    })
}

fn title(from: &str, best: &Switch<'_>, saving: Saving) -> String {
    let cost = best.cost.map_or_else(String::new, |cost| format!(" and costs {:.2} times as much", cost.value));
    format!(
        "Run on {} what runs on {from}: a like execution takes {:.2} times as long{cost}; a run takes {} less",
        best.to,
        best.time.value,
        percent(saving.published().share),
    )
}

fn weighted_gain(case: &Case<'_>, switch: &Switch<'_>, at: fn(&Ratio) -> f64) -> f64 {
    let (time, cost) = weights(case);
    match &switch.cost {
        Some(ratio) => time * (1.0 - at(&switch.time)) + cost * (1.0 - at(ratio)),
        None => 1.0 - at(&switch.time),
    }
}

fn switches<'a>(case: &Case<'a>, from: &str) -> Vec<Switch<'a>> {
    let own = |c: &&Comparison| c.dimension == "provider" && c.workflow_type == case.history.workflow_type;
    let of_type = case.comparisons.iter().filter(own);
    // Each pair can be gone both ways.
    let n_switches = 2 * of_type.clone().filter(|c| c.metric == "execution_time").count();
    let mut found: BTreeMap<&str, [Option<(Ratio, String)>; 2]> = BTreeMap::new();
    for comparison in of_type {
        let Some((to, ratio)) = directed(comparison, from, n_switches) else { continue };
        let at = match comparison.metric {
            "execution_time" => 0,
            "cost" => 1,
            _ => continue,
        };
        found.entry(to).or_default()[at] = Some((ratio, key(comparison)));
    }
    let switch = |(to, [time, cost]): (&'a str, [Option<(Ratio, String)>; 2])| {
        let (time, time_key) = time?;
        let (cost, cost_key) = cost.unzip();
        Some(Switch { to, time, cost, evidence: [time_key].into_iter().chain(cost_key).collect() })
    };
    found.into_iter().filter_map(switch).collect()
}

/// Where a comparison leads from `from`, and the ratio in that direction.
fn directed<'a>(comparison: &'a Comparison, from: &str, n_switches: usize) -> Option<(&'a str, Ratio)> {
    let Comparison { a, b, ratio, interval, .. } = comparison;
    let usable = [*ratio, interval.lower, interval.upper].iter().all(|end| end.is_finite() && *end > 0.0);
    let wider = wider(interval.level, n_switches);
    let of =
        |value: f64, lower: f64, upper: f64| Ratio { value, lower, upper, surely: value * (upper / value).powf(wider) };
    match (usable, a == from, b == from) {
        (true, true, false) => Some((b, of(*ratio, interval.lower, interval.upper))),
        (true, false, true) => Some((a, of(1.0 / ratio, 1.0 / interval.upper, 1.0 / interval.lower))),
        _ => None,
    }
}

/// How much wider a normal interval of `level` is whose error is shared by `n` of its kind.
fn wider(level: Level, n: usize) -> f64 {
    let half = |n: usize| normal_quantile(1.0 - level.alpha() / 2.0 / n as f64);
    let ratio = half(n.max(1)) / half(1);
    if ratio.is_finite() { ratio } else { 1.0 }
}

fn key(comparison: &Comparison) -> String {
    let Comparison { workflow_type, dimension, a, b, metric, .. } = comparison;
    format!("comparisons:{workflow_type}/{dimension}/{a}/{b}/{metric}")
}

/// What each provider does of a workflow's recent work.
struct Load<'a> {
    /// Executions, milliseconds and USD by provider, all steps together.
    by_provider: BTreeMap<&'a str, (usize, f64, f64)>,
    /// Milliseconds by step and provider.
    by_step: BTreeMap<(&'a str, &'a str), f64>,
    /// Milliseconds by step.
    steps: BTreeMap<&'a str, f64>,
    total_usd: f64,
}

impl<'a> Load<'a> {
    fn of(case: &Case<'a>, since_us: i64) -> Self {
        let (by_provider, by_step, steps) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut load = Self { by_provider, by_step, steps, total_usd: 0.0 };
        for (step, executions) in &case.history.steps {
            let samples = executions.samples;
            for row in executions.measured().rev().take_while(|row| executions.started_us(*row) >= since_us) {
                let provider = samples.provider.get(row as usize).and_then(|code| samples.vocabulary.word(*code));
                let usd = Some(executions.get(&samples.cost_usd, row)).filter(|usd| usd.is_finite()).unwrap_or(0.0);
                load.add(step, provider, executions.duration_ms(row), usd);
            }
        }
        load
    }

    fn add(&mut self, step: &'a str, provider: Option<&'a str>, ms: f64, usd: f64) {
        *self.steps.entry(step).or_default() += ms;
        self.total_usd += usd;
        if let Some(provider) = provider {
            let (n, sum_ms, sum_usd) = self.by_provider.entry(provider).or_default();
            *n += 1;
            *sum_ms += ms;
            *sum_usd += usd;
            *self.by_step.entry((step, provider)).or_default() += ms;
        }
    }

    /// Providers with enough work to judge by, by name.
    fn frequent(&self) -> impl Iterator<Item = &'a str> {
        self.by_provider.iter().filter(|(_, (n, ..))| *n >= MIN_EXECUTIONS).map(|(provider, _)| *provider)
    }

    /// Every step's time on `from`, multiplied by `ratio`.
    fn changes(&self, from: &str, ratio: f64) -> Vec<Change> {
        let on_it = self.by_step.iter().filter(|((_, provider), _)| *provider == from);
        let change = |(&(step, _), ms): (&(&str, &str), &f64)| {
            let share = ms / self.steps.get(step)?;
            Some(Change::Speedup { step: step.into(), factor: 1.0 + share * (ratio - 1.0) })
        };
        on_it.filter_map(change).collect()
    }

    /// None where nothing is known to cost anything.
    fn money(&self, from: &str, ratio: Ratio, n_runs: usize) -> Option<Money> {
        let (_, _, usd) = self.by_provider.get(from)?;
        if *usd <= 0.0 || n_runs == 0 {
            return None;
        }
        let saved = |ratio: f64| usd * (1.0 - ratio) / n_runs as f64;
        let share = usd * (1.0 - ratio.value) / self.total_usd;
        Some(Money { usd: saved(ratio.value), lower: saved(ratio.upper), upper: saved(ratio.lower), share })
    }
}
