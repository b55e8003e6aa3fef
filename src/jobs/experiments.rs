//! Which experiments there are, and what is known of each at the cutoff.

mod arms;

use crate::config::{ArmStat, Desired, Experiment, Measure, Method as ConfiguredMethod, Unit};
use crate::pure::experiment::health::Health;
use crate::pure::experiment::{DecisionParams, ExperimentRow, Method, Role, Stat, Trial, control_of, judge_trials};
use crate::pure::series::{Better, Metric};
use crate::pure::units::{DAY_US, HOUR_US};
use crate::rollup::{ARM_METRICS, ArmCell, ArmKey};
use arms::Comparing;
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

/// What is measured, and what is asked of it.
struct Asked {
    measure: Measure,
    better: Better,
    role: Role,
}

impl Asked {
    fn metric(&self) -> String {
        match self.measure {
            Measure::Of(metric, _) => metric.to_string(),
            Measure::CostPerToken => "cost/tokens".to_owned(),
        }
    }

    fn stat(&self) -> String {
        match self.measure {
            Measure::Of(metric, stat) => match stat {
                ArmStat::Quantile(q) => format!("p{:.0}", 100.0 * q),
                _ if metric.is_ratio() => Stat::Proportion.as_str().to_owned(),
                ArmStat::Mean => Stat::Mean.as_str().to_owned(),
                ArmStat::LogRatio => Stat::LogMean.as_str().to_owned(),
            },
            Measure::CostPerToken => "ratio".to_owned(),
        }
    }
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
    /// None where the data have to say.
    unit: Option<Unit>,
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
    let method = match experiment.method {
        ConfiguredMethod::Fixed => Method::Fixed,
        ConfiguredMethod::Sequential => Method::Sequential,
    };
    let guardrails = experiment.guardrails.iter().map(|guardrail| Asked {
        measure: guardrail.measure,
        better: Better::Lower,
        role: Role::Guardrail(guardrail.max_relative_increase),
    });
    let primary = Asked { measure: experiment.primary.measure, better, role: Role::Primary };
    let end_us = experiment.end.map_or(i64::MAX, |end| end.timestamp_micros());
    Plan {
        id: experiment.id.clone(),
        workflow_type: &experiment.workflow_type,
        recorded_id: None,
        control: Some(&experiment.control),
        metrics: std::iter::once(primary).chain(guardrails).collect(),
        is_adjusted: experiment.is_adjusted,
        unit: Some(experiment.unit),
        params: DecisionParams { level: experiment.level, ..DecisionParams::of(method) },
        window_us: (experiment.start.map_or(i64::MIN, |start| start.timestamp_micros()), end_us),
        finished: Some(end_us <= as_of_us),
    }
}

/// An experiment that nobody declared: time and money by their geometric mean, whose tails would drown the arithmetic
/// one, failures by their share; valid at every look, since every run of the job is one.
fn found_plan<'a>(workflow_type: &'a str, recorded: Option<&'a str>) -> Plan<'a> {
    let asked = |&metric: &Metric| Asked {
        measure: Measure::Of(metric, ArmStat::LogRatio),
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
        unit: None,
        params: DecisionParams::of(Method::Sequential),
        window_us: (i64::MIN, i64::MAX),
        finished: None,
    }
}

fn measured<'a>(
    plan: &'a Plan<'a>,
    number: usize,
    arms: &BTreeMap<ArmKey, ArmCell>,
    as_of_us: i64,
) -> Option<Found<'a>> {
    let whole = arms::together(arms.iter().filter(|(key, _)| belongs(plan, key)));
    if whole.len() < 2 {
        return None;
    }
    let hours = || whole.values().flat_map(|arm| arm.hours.iter().map(|(hour_us, _)| *hour_us));
    let (first_us, last_us) = (hours().min()?, hours().max()?);
    let control = match plan.control {
        Some(named) => named.to_owned(),
        None => control_of(whole.keys().map(String::as_str))?.to_owned(),
    };
    let finished = plan.finished.unwrap_or(last_us.saturating_add(HOUR_US + OVER_AFTER_US) <= as_of_us);
    let unit = plan.unit.unwrap_or_else(|| arms::unit_of(&whole));
    let health = arms::health(&whole, &control, unit);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let units_per_day =
        health.assigned.values().sum::<u64>() as f64 * DAY_US as f64 / (last_us - first_us + HOUR_US) as f64;
    let trial = |asked: &Asked| Trial {
        id: number.to_string(),
        metric: asked.metric(),
        stat: asked.stat(),
        role: asked.role,
        better: asked.better,
        control: control.clone(),
        arms: arms::compared(
            &whole,
            &control,
            &Comparing { measure: asked.measure, unit, is_adjusted: plan.is_adjusted },
        ),
        health: Health { missing: arms::missing(&whole, asked.measure), ..health.clone() },
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

fn belongs(plan: &Plan<'_>, key: &ArmKey) -> bool {
    key.workflow_type == plan.workflow_type
        && plan.recorded_id.is_none_or(|recorded| recorded == key.experiment_id.as_deref())
        && (plan.window_us.0..plan.window_us.1).contains(&key.hour_us)
}
