//! Where a workflow's work could go instead, by the published comparisons of like executions, and what goes where now.

use super::Case;
use super::money::Money;
use super::proposal::weights;
use crate::compare::{Comparison, Dimension};
use crate::graph::Change;
use crate::stats::dist::normal_quantile;
use crate::units::Level;
use std::collections::BTreeMap;

/// Executions at the place to leave, at least.
const MIN_EXECUTIONS: usize = 20;

/// New / old, and where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratio {
    pub(super) value: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    /// The bad end of an interval that holds for all switches together.
    pub(super) surely: f64,
}

/// One way to go.
pub(super) struct Switch<'a> {
    pub(super) to: &'a str,
    pub(super) time: Ratio,
    pub(super) cost: Option<Ratio>,
    pub(super) evidence: Vec<String>,
}

impl Switch<'_> {
    /// Whether the weighted gain stays above 0 at the bad ends of the ratios, which hold for all switches together.
    pub(super) fn is_surely_better(&self, case: &Case<'_>) -> bool {
        weighted_gain(case, self, |ratio| ratio.surely) > 0.0
    }
}

/// Share of time and money that a like execution saves there, by the configured weights.
pub(super) fn weighted_gain(case: &Case<'_>, switch: &Switch<'_>, at: fn(&Ratio) -> f64) -> f64 {
    let (time, cost) = weights(case);
    match &switch.cost {
        Some(ratio) => time * (1.0 - at(&switch.time)) + cost * (1.0 - at(ratio)),
        None => 1.0 - at(&switch.time),
    }
}

/// Ways to go from `from`, by where they lead.
pub(super) fn switches<'a>(case: &Case<'a>, dimension: Dimension, from: &str) -> Vec<Switch<'a>> {
    let own = |c: &&Comparison| c.dimension == dimension.as_str() && c.workflow_type == case.history.workflow_type;
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

/// What is done at each place (provider or platform) of a workflow's recent work.
pub(super) struct Load<'a> {
    by_place: BTreeMap<&'a str, Done>,
    by_step: BTreeMap<(&'a str, &'a str), Done>,
    /// Milliseconds by step.
    steps: BTreeMap<&'a str, f64>,
    total_usd: f64,
}

/// Executions, with their milliseconds and USD.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) n: usize,
    pub(super) ms: f64,
    pub(super) usd: f64,
}

impl Done {
    fn add(&mut self, ms: f64, usd: f64) {
        *self = Self { n: self.n + 1, ms: self.ms + ms, usd: self.usd + usd };
    }
}

impl<'a> Load<'a> {
    pub(super) fn of(case: &Case<'a>, dimension: Dimension, since_us: i64) -> Self {
        let (by_place, by_step, steps) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut load = Self { by_place, by_step, steps, total_usd: 0.0 };
        for (step, executions) in &case.history.steps {
            let samples = executions.samples;
            let codes = match dimension {
                Dimension::Provider => &samples.provider,
                Dimension::Platform => &samples.platform,
            };
            for row in executions.measured().rev().take_while(|row| executions.started_us(*row) >= since_us) {
                let place = codes.get(row as usize).and_then(|code| samples.vocabulary.word(*code));
                let usd = Some(executions.get(&samples.cost_usd, row)).filter(|usd| usd.is_finite()).unwrap_or(0.0);
                load.add(step, place, executions.duration_ms(row), usd);
            }
        }
        load
    }

    fn add(&mut self, step: &'a str, place: Option<&'a str>, ms: f64, usd: f64) {
        *self.steps.entry(step).or_default() += ms;
        self.total_usd += usd;
        if let Some(place) = place {
            self.by_place.entry(place).or_default().add(ms, usd);
            self.by_step.entry((step, place)).or_default().add(ms, usd);
        }
    }

    /// The same without the places of steps that `is_kept` turns down.
    pub(super) fn of_steps(&self, is_kept: impl Fn(&Self, &str) -> bool) -> Self {
        let kept: BTreeMap<_, _> =
            self.by_step.iter().filter(|((step, _), _)| is_kept(self, step)).map(|(key, done)| (*key, *done)).collect();
        let mut by_place: BTreeMap<&str, Done> = BTreeMap::new();
        for ((_, place), done) in &kept {
            let sum = by_place.entry(place).or_default();
            *sum = Done { n: sum.n + done.n, ms: sum.ms + done.ms, usd: sum.usd + done.usd };
        }
        Self { by_place, by_step: kept, steps: self.steps.clone(), total_usd: self.total_usd }
    }

    /// What is done of a step at a place.
    pub(super) fn of_step_at(&self, step: &str, place: &str) -> Done {
        self.by_step.get(&(step, place)).copied().unwrap_or_default()
    }

    pub(super) fn at(&self, place: &str) -> Done {
        self.by_place.get(place).copied().unwrap_or_default()
    }

    /// Executions at all places together.
    pub(super) fn n(&self) -> usize {
        self.by_place.values().map(|done| done.n).sum()
    }

    /// Places with enough work to judge by, by name.
    pub(super) fn frequent(&self) -> impl Iterator<Item = &'a str> {
        self.by_place.iter().filter(|(_, done)| done.n >= MIN_EXECUTIONS).map(|(place, _)| *place)
    }

    /// Every step's time on `from`, multiplied by `ratio`.
    pub(super) fn changes(&self, from: &str, ratio: f64) -> Vec<Change> {
        let on_it = self.by_step.iter().filter(|((_, place), _)| *place == from);
        let change = |(&(step, _), done): (&(&str, &str), &Done)| {
            let share = done.ms / self.steps.get(step)?;
            Some(Change::Speedup { step: step.into(), factor: 1.0 + share * (ratio - 1.0) })
        };
        on_it.filter_map(change).collect()
    }

    /// None where nothing is known to cost anything.
    pub(super) fn money(&self, from: &str, ratio: Ratio, n_runs: usize) -> Option<Money> {
        let usd = self.at(from).usd;
        if usd <= 0.0 || n_runs == 0 {
            return None;
        }
        let saved = |ratio: f64| usd * (1.0 - ratio) / n_runs as f64;
        let share = usd * (1.0 - ratio.value) / self.total_usd;
        Some(Money { usd: saved(ratio.value), lower: saved(ratio.upper), upper: saved(ratio.lower), share })
    }
}
