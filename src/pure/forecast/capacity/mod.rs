//! When demand outgrows what there is.
//!
//! ```text
//! runs of each day ───────────────────────── forecast ─┐
//! cost, tokens, calls of a run, day by day ─ forecast ─┴─ their product ──────────────────┐
//! runs × what a run holds, and for how long = load of the busiest hour ─ most at once ────┴─ shortage, exhaustion
//! ```
//!
//! Runs and needs are forecast apart: which of the two grows is told apart so, and growth that is asked for acts on runs
//! alone. A day's needs start from their present regime.

mod peaks;
mod product;
mod shortage;
mod spikes;
#[cfg(test)]
mod tests;
mod totals;

pub use shortage::{Exhaustion, capacity_levels, exhaustion, shortages};

use super::calendar::Calendar;
use super::pooled::Pool;
use super::select::prepare;
use super::{Forecast, ForecastError, ForecastParams, ForecastStep, Support};
use crate::detect::change_points::{ChangePointParams, Input, change_points};
use crate::detect::levelling::{Cycle, Levelled, Scale};
use crate::detect::{Skip, SkipSubject};
use crate::units::{DAY_US, Interval, Level};
use crate::usage::{DayUsage, Held, Spent};
use peaks::Peaks;
use product::{Need, demand};
use rayon::prelude::*;
use spikes::drawn_in;
use std::collections::BTreeMap;
use totals::Past;

/// What can run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Runs that start.
    Runs,
    /// Money and the like.
    Spent(Spent),
    /// Slots and the like.
    Held(Held),
}

impl Resource {
    /// All, in published order.
    pub const ALL: [Self; 8] = [
        Self::Runs,
        Self::Spent(Spent::CostUsd),
        Self::Spent(Spent::Tokens),
        Self::Spent(Spent::ApiCalls),
        Self::Held(Held::Runs),
        Self::Held(Held::Slots),
        Self::Held(Held::CpuCores),
        Self::Held(Held::MemoryMb),
    ];

    /// The name used in configuration and in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Spent(Spent::CostUsd) => "cost_usd",
            Self::Spent(Spent::Tokens) => "tokens",
            Self::Spent(Spent::ApiCalls) => "api_calls",
            Self::Held(Held::Runs) => "concurrent_runs",
            Self::Held(Held::Slots) => "slots",
            Self::Held(Held::CpuCores) => "cpu_cores",
            Self::Held(Held::MemoryMb) => "memory_mb",
        }
    }

    /// The unit of its demand.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Runs | Self::Held(Held::Runs) => "runs",
            Self::Spent(Spent::CostUsd) => "usd",
            Self::Spent(Spent::Tokens) => "tokens",
            Self::Spent(Spent::ApiCalls) => "calls",
            Self::Held(Held::Slots) => "executions",
            Self::Held(Held::CpuCores) => "cores",
            Self::Held(Held::MemoryMb) => "mb",
        }
    }

    /// Whether there are only whole ones of it at once.
    fn is_whole(self) -> bool {
        matches!(self, Self::Held(Held::Runs | Held::Slots))
    }
}

/// What there is a demand for: a resource, of one provider or of all together.
pub type Demanded = (Resource, Option<String>);

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityParams {
    /// Horizon in days, seasons and origins; its levels don't count.
    pub forecast: ForecastParams,
    /// Coverage of the intervals of demand and of the day of exhaustion.
    pub level: Level,
    /// How much there is of what, a day or at once.
    pub limits: BTreeMap<Demanded, f64>,
    /// What if there were so many times the runs that are forecast? Each above 0.
    pub growth: Vec<f64>,
}

/// The demand of the days to come, of one resource at one growth.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityPlan {
    /// What runs short.
    pub resource: Resource,
    /// Whose; none for all together.
    pub provider: Option<String>,
    /// Runs are so many times what is forecast.
    pub growth: f64,
    /// How much there is, if that is known.
    pub capacity: Option<f64>,
    /// Start of the first day.
    pub start_us: i64,
    /// (H,)
    pub days: Vec<PlannedDay>,
    /// When the capacity is reached, in days ahead; none where it is not known.
    pub exhaustion: Option<Exhaustion>,
}

/// The demand of a day, in the resource's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedDay {
    /// As likely more as less.
    pub p50: f64,
    /// More is needed with a probability of 0.2.
    pub p80: f64,
    /// With a probability of 0.05.
    pub p95: f64,
    /// At the level asked for.
    pub interval: Interval,
    /// Probability that more is needed than there is.
    pub shortage: Option<f64>,
}

/// Providers whose API calls are planned, those with the most: each costs two forecasts.
const MAX_PROVIDERS: usize = 8;
/// Levels whose upper ends are the 80th and the 95th percentile.
const P80_LEVEL: f64 = 0.6;
const P95_LEVEL: f64 = 0.9;
/// The name of the plan among skips.
const ANALYSIS: &str = "capacity_plan";

/// Plans every resource that is recorded, at every growth, in published order; what is left out is told where a limit
/// asks for it, or where it can't be forecast.
///
/// `days` are complete, oldest first; days between them without an entry had no runs.
#[must_use]
pub fn plan(days: &[DayUsage], params: &CapacityParams) -> (Vec<CapacityPlan>, Vec<Skip>) {
    let Some(past) = Past::of(days) else { return (Vec::new(), Vec::new()) };
    let runs = match forecast_days(&past.runs, &past, params) {
        Ok(runs) => runs,
        Err(error) => return (Vec::new(), vec![skip(format!("runs of all workflows: {error}"))]),
    };
    let mut skips = Vec::new();
    let (demanded, n_left_out) = demanded(&past, params);
    if n_left_out > 0 {
        skips.push(skip(format!("api_calls: {n_left_out} more providers than the {MAX_PROVIDERS} with most calls")));
    }
    let planned: Vec<Result<Vec<CapacityPlan>, String>> =
        demanded.into_par_iter().map(|demanded| plan_one(&demanded, &past, &runs, params)).collect();
    let mut plans = Vec::new();
    for planned in planned {
        match planned {
            Ok(of_one) => plans.extend(of_one),
            Err(reason) => skips.push(skip(reason)),
        }
    }
    let unheard = params.limits.keys().filter_map(|limit| Some((name(limit), past.unrecorded(limit)?)));
    skips.extend(unheard.map(|(name, why)| skip(format!("{name}: a limit is configured, but {why}"))));
    (plans, skips)
}

fn skip(reason: String) -> Skip {
    let subject = SkipSubject::Workflow { workflow: "*".to_owned(), step: None };
    Skip { analysis: ANALYSIS, subject, reason }
}

fn name((resource, provider): &Demanded) -> String {
    provider.as_ref().map_or_else(|| resource.as_str().to_owned(), |of| format!("{} of {of}", resource.as_str()))
}

/// What is recorded, in published order, and how many providers are left out.
fn demanded(past: &Past<'_>, params: &CapacityParams) -> (Vec<Demanded>, usize) {
    let mut demanded = Vec::new();
    let mut n_left_out = 0;
    for resource in Resource::ALL {
        let whole = (resource, None);
        if past.unrecorded(&whole).is_none() {
            demanded.push(whole);
        }
        if resource == Resource::Spent(Spent::ApiCalls) {
            let providers = past.providers();
            let has_limit = |of: &&str| params.limits.contains_key(&(resource, Some((**of).to_owned())));
            let (kept, rest) = providers.split_at(providers.len().min(MAX_PROVIDERS));
            let mut chosen: Vec<&str> = kept.iter().chain(rest.iter().filter(|of| has_limit(of))).copied().collect();
            n_left_out = providers.len() - chosen.len();
            chosen.sort_unstable();
            demanded.extend(chosen.into_iter().map(|of| (resource, Some(of.to_owned()))));
        }
    }
    (demanded, n_left_out)
}

/// A forecast of daily values from their present regime, at all levels that a plan needs. Days so rare that no quantile
/// that is published reaches them are drawn in first.
fn forecast_days(values: &[f64], past: &Past<'_>, params: &CapacityParams) -> Result<Forecast, ForecastError> {
    let levels = capacity_levels().into_iter().chain([params.level]).collect();
    let asked = ForecastParams { levels, ..params.forecast.clone() };
    let values = drawn_in(values, &levelled(values, past.start_us), 0.5 * params.level.alpha());
    let regime = present_regime(&levelled(&values, past.start_us));
    let calendar = Calendar { first_day: past.start_us.div_euclid(DAY_US) };
    prepare(&values, regime, Support::NonNegative, Some(calendar), &asked)?.forecast(&Pool::default())
}

/// Without their weeks.
fn levelled(values: &[f64], start_us: i64) -> Levelled {
    Levelled::of(values, Scale::Log, &Cycle::of_grid(DAY_US, start_us))
}

/// Position of the first day of the present regime.
fn present_regime(levelled: &Levelled) -> usize {
    let found = change_points(Input { levelled, counts: None }, &ChangePointParams::default());
    found.last().map_or(0, |shift| shift.index)
}

/// One resource at every growth, or why not.
fn plan_one(
    demanded: &Demanded,
    past: &Past<'_>,
    runs: &Forecast,
    params: &CapacityParams,
) -> Result<Vec<CapacityPlan>, String> {
    let (resource, provider) = demanded;
    let need = match resource {
        Resource::Runs => Need::Itself,
        Resource::Spent(_) => {
            let totals = past.totals(demanded);
            let needs = past.needs(&totals);
            let found = forecast_days(&needs, past, params).map_err(|error| format!("{}: {error}", name(demanded)))?;
            Need::Spent { steps: found.steps, cv_sq: past.cv_sq(&totals) }
        }
        Resource::Held(held) => {
            let peaks =
                Peaks::learn(&past.loads(*held), &past.runs, |needs| present_regime(&levelled(needs, past.start_us)));
            Need::Held(peaks.ok_or_else(|| format!("{}: no day with runs tells how many", name(demanded)))?)
        }
    };
    let capacity = params.limits.get(demanded).copied();
    let of_growth = |&growth: &f64| {
        let steps: Vec<ForecastStep> =
            runs.steps.iter().enumerate().map(|(ahead, runs)| demand(runs, &need, ahead, growth)).collect();
        // Of what is whole the one after the last is missing.
        let beyond = if resource.is_whole() { 0.5 } else { 0.0 };
        let shortages = capacity.map(|capacity| shortages(&steps, capacity + beyond));
        let day = |(ahead, step): (usize, &ForecastStep)| PlannedDay {
            shortage: shortages.as_ref().and_then(|all| all.get(ahead).copied()),
            ..planned(step, params.level, resource.is_whole())
        };
        CapacityPlan {
            resource: *resource,
            provider: provider.clone(),
            growth,
            capacity,
            start_us: past.end_us(),
            days: steps.iter().enumerate().map(day).collect(),
            exhaustion: shortages.as_ref().map(|shortages| exhaustion(shortages, params.level)),
        }
    };
    Ok(params.growth.iter().map(of_growth).collect())
}

/// The quantiles of a day; of what is whole the nearest whole number, which they were read off.
fn planned(step: &ForecastStep, level: Level, is_whole: bool) -> PlannedDay {
    let at = |level: f64| step.intervals.iter().find(|interval| (interval.level.get() - level).abs() < 1e-9);
    let whole = |amount: f64| if is_whole { amount.round() } else { amount };
    let upper = |level: f64| whole(at(level).map_or(step.point, |interval| interval.upper));
    PlannedDay {
        p50: whole(step.point),
        p80: upper(P80_LEVEL),
        p95: upper(P95_LEVEL),
        interval: Interval {
            lower: whole(at(level.get()).map_or(step.point, |interval| interval.lower)),
            upper: upper(level.get()),
            level,
        },
        shortage: None,
    }
}
