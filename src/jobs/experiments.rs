//! Which experiments there are, and what is known of each at the cutoff.

use crate::config::{Desired, Experiment, Method as ConfiguredMethod};
use crate::pure::experiment::health::{Health, side_by_side};
use crate::pure::experiment::strata::{Strata, adjusted};
use crate::pure::experiment::{
    ArmStatistics, DecisionParams, ExperimentRow, Method, Role, Stat, Trial, TrialArm, control_of, judge_trials,
};
use crate::pure::series::{Better, Metric};
use crate::pure::units::{DAY_US, HOUR_US};
use crate::rollup::{ARM_METRICS, ArmCell, ArmKey};
use std::collections::{BTreeMap, BTreeSet};

/// An experiment that no run has joined for so long is over.
const OVER_AFTER_US: i64 = 7 * DAY_US;
/// A judged experiment.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) experiment_id: String,
    pub(crate) workflow_type: String,
    /// Start of the first hour with a run.
    pub(crate) first_run_us: i64,
    pub(crate) rows: Vec<ExperimentRow>,
}

/// A metric, and what is asked of it.
struct Asked {
    metric: Metric,
    stat: Stat,
    better: Better,
    role: Role,
}

/// What was measured of a plan.
struct Found<'a> {
    plan: &'a Plan<'a>,
    first_run_us: i64,
    trials: Vec<Trial>,
}

/// What is to be judged, and how.
struct Plan<'a> {
    id: String,
    workflow_type: &'a str,
    recorded_id: Option<Option<&'a str>>,
    control: Option<&'a str>,
    metrics: Vec<Asked>,
    is_adjusted: bool,
    params: DecisionParams,
    window_us: (i64, i64),
    finished: Option<bool>,
}

/// Judges the configured experiments, and every workflow type with two or more arms that none of them covers. False
/// discoveries are held over all that are judged the same way.
pub(crate) fn judge_all(arms: &BTreeMap<ArmKey, ArmCell>, configured: &[Experiment], as_of_us: i64) -> Vec<Judged> {
    let mut plans: Vec<Plan<'_>> = configured.iter().map(|experiment| configured_plan(experiment, as_of_us)).collect();
    let covered: BTreeSet<&str> = configured.iter().map(|experiment| experiment.workflow_type.as_str()).collect();
    let found: BTreeSet<(&str, Option<&str>)> = arms
        .keys()
        .filter(|key| !covered.contains(key.workflow_type.as_str()))
        .map(|key| (key.workflow_type.as_str(), key.experiment_id.as_deref()))
        .collect();
    plans.extend(found.into_iter().map(|(workflow_type, recorded)| found_plan(workflow_type, recorded)));
    let found: Vec<Found<'_>> =
        plans.iter().enumerate().filter_map(|(number, plan)| measured(plan, number, arms, as_of_us)).collect();
    let mut judged: Vec<Option<Judged>> = found.iter().map(|_| None).collect();
    let mut ways: Vec<DecisionParams> = Vec::new();
    for one in &found {
        if !ways.contains(&one.plan.params) {
            ways.push(one.plan.params);
        }
    }
    for way in ways {
        let alike = || found.iter().zip(0..).filter(|(one, _)| one.plan.params == way);
        let trials: Vec<Trial> = alike().flat_map(|(one, _)| one.trials.iter().cloned()).collect();
        let mut rows = judge_trials(&trials, &way).into_iter();
        for (one, place) in alike() {
            let place: usize = place;
            if let Some(slot) = judged.get_mut(place) {
                *slot = Some(Judged {
                    experiment_id: one.plan.id.clone(),
                    workflow_type: one.plan.workflow_type.to_owned(),
                    first_run_us: one.first_run_us,
                    rows: rows.by_ref().take(one.trials.len()).flatten().collect(),
                });
            }
        }
    }
    judged.into_iter().flatten().collect()
}

fn configured_plan(experiment: &Experiment, as_of_us: i64) -> Plan<'_> {
    let better = match experiment.primary.direction {
        Desired::Decrease => Better::Lower,
        Desired::Increase => Better::Higher,
    };
    let stat = |metric: Metric| if metric.is_ratio() { Stat::Proportion } else { Stat::Mean };
    let metric = experiment.primary.metric;
    let method = match experiment.method {
        ConfiguredMethod::Fixed => Method::Fixed,
        ConfiguredMethod::Sequential => Method::Sequential,
    };
    let guardrails = experiment.guardrails.iter().map(|guardrail| Asked {
        metric: guardrail.metric,
        stat: stat(guardrail.metric),
        better: Better::Lower,
        role: Role::Guardrail(guardrail.max_relative_increase),
    });
    let primary = Asked { metric, stat: stat(metric), better, role: Role::Primary };
    let end_us = experiment.end.map_or(i64::MAX, |end| end.timestamp_micros());
    Plan {
        id: experiment.id.clone(),
        workflow_type: &experiment.workflow_type,
        recorded_id: None,
        control: Some(&experiment.control),
        metrics: std::iter::once(primary).chain(guardrails).collect(),
        is_adjusted: experiment.is_adjusted,
        params: DecisionParams { level: experiment.level, ..DecisionParams::of(method) },
        window_us: (experiment.start.map_or(i64::MIN, |start| start.timestamp_micros()), end_us),
        finished: Some(end_us <= as_of_us),
    }
}

/// An experiment that nobody declared: time and money by their geometric mean, whose tails would drown the arithmetic
/// one, failures by their share; valid at every look, since every run of the job is one.
fn found_plan<'a>(workflow_type: &'a str, recorded: Option<&'a str>) -> Plan<'a> {
    let asked = |&metric: &Metric| Asked {
        metric,
        stat: if metric.is_ratio() { Stat::Proportion } else { Stat::LogMean },
        better: Better::Lower,
        role: Role::Primary,
    };
    Plan {
        id: recorded.unwrap_or(workflow_type).to_owned(),
        workflow_type,
        recorded_id: Some(recorded),
        control: None,
        metrics: ARM_METRICS.iter().map(asked).collect(),
        is_adjusted: true,
        params: DecisionParams::of(Method::Sequential),
        window_us: (i64::MIN, i64::MAX),
        finished: None,
    }
}

/// An arm over all hours.
#[derive(Default)]
struct Whole {
    assigned: u64,
    hours_us: Vec<i64>,
    /// By metric, in the order of [`ARM_METRICS`].
    strata: Vec<Strata>,
}

fn measured<'a>(
    plan: &'a Plan<'a>,
    number: usize,
    arms: &BTreeMap<ArmKey, ArmCell>,
    as_of_us: i64,
) -> Option<Found<'a>> {
    let mut whole: BTreeMap<String, Whole> = BTreeMap::new();
    for (key, cell) in arms.iter().filter(|(key, _)| belongs(plan, key)) {
        let arm = whole.entry(key.arm.clone()).or_default();
        arm.assigned += cell.assigned;
        arm.hours_us.push(key.hour_us);
        arm.strata.resize_with(ARM_METRICS.len(), Strata::default);
        for (strata, one) in arm.strata.iter_mut().zip(&cell.statistics) {
            strata.entry(key.stratum.clone()).or_default().merge(one);
        }
    }
    if whole.len() < 2 {
        return None;
    }
    let hours = || whole.values().flat_map(|arm| arm.hours_us.iter().copied());
    let (first_us, last_us) = (hours().min()?, hours().max()?);
    let control = match plan.control {
        Some(named) => named.to_owned(),
        None => control_of(whole.keys().map(String::as_str))?.to_owned(),
    };
    let finished = plan.finished.unwrap_or(last_us.saturating_add(HOUR_US + OVER_AFTER_US) <= as_of_us);
    let own_hours = whole.get(&control).map(|arm| arm.hours_us.as_slice()).unwrap_or_default();
    let apart = |(_, arm): &(&String, &Whole)| !side_by_side(&arm.hours_us, own_hours);
    let health = Health {
        assigned: whole.iter().map(|(arm, one)| (arm.clone(), one.assigned)).collect(),
        apart_in_time: whole.iter().filter(apart).map(|(arm, _)| arm.clone()).collect(),
        ..Health::default()
    };
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let units_per_day =
        health.assigned.values().sum::<u64>() as f64 * DAY_US as f64 / (last_us - first_us + HOUR_US) as f64;
    let trial = |asked: &Asked| Trial {
        id: number.to_string(),
        metric: asked.metric.to_string(),
        stat: asked.stat.as_str().to_owned(),
        role: asked.role,
        better: asked.better,
        control: control.clone(),
        arms: trial_arms(plan, asked, &whole, &control),
        health: health.clone(),
        unfit: None,
        min_effect: 0.0,
        finished,
        units_per_day: Some(units_per_day),
        max_days: MAX_DAYS,
    };
    let trials: Vec<Trial> =
        plan.metrics.iter().map(trial).filter(|trial| trial.arms.iter().any(|arm| arm.n > 0)).collect();
    Some(Found { plan, first_run_us: first_us, trials })
}

/// Most days that a decision is worth waiting for.
const MAX_DAYS: f64 = 365.0;

fn trial_arms(plan: &Plan<'_>, asked: &Asked, whole: &BTreeMap<String, Whole>, control: &str) -> Vec<TrialArm> {
    let place = ARM_METRICS.iter().position(|known| *known == asked.metric);
    let strata = |arm: &str| whole.get(arm).and_then(|arm| arm.strata.get(place?)).cloned().unwrap_or_default();
    let together = |strata: &Strata| {
        let mut all = ArmStatistics::default();
        strata.values().for_each(|one| all.merge(one));
        all
    };
    let own = strata(control);
    let arm = |name: &String| {
        let of_arm = strata(name);
        let all = together(&of_arm);
        let (comparison, caution) = if name == control {
            (None, None)
        } else if plan.is_adjusted {
            let found = adjusted(&of_arm, &own, asked.stat);
            (found.comparison, found.caution)
        } else {
            (all.compare(&together(&own), asked.stat), None)
        };
        TrialArm {
            name: name.clone(),
            n: if asked.stat == Stat::LogMean { all.n_positive } else { all.n },
            estimate: all.estimate(asked.stat),
            comparison,
            caution,
        }
    };
    whole.keys().map(arm).collect()
}

fn belongs(plan: &Plan<'_>, key: &ArmKey) -> bool {
    key.workflow_type == plan.workflow_type
        && plan.recorded_id.is_none_or(|recorded| recorded == key.experiment_id.as_deref())
        && (plan.window_us.0..plan.window_us.1).contains(&key.hour_us)
}
