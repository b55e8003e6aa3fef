//! Which experiments there are, and what is known of each at the cutoff.

use crate::config::{Desired, Experiment, Method as ConfiguredMethod};
use crate::pure::experiment::{
    ArmStatistics, DecisionParams, ExperimentRow, ExperimentStatistics, Method, Stat, control_of, judge,
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

/// What is to be judged, and how.
struct Plan<'a> {
    id: String,
    workflow_type: &'a str,
    recorded_id: Option<Option<&'a str>>,
    control: Option<&'a str>,
    metrics: Vec<(Metric, Stat, Better)>,
    params: DecisionParams,
    window_us: (i64, i64),
    finished: Option<bool>,
}

/// Judges the configured experiments, and every workflow type with two or more arms that none of them covers.
pub(crate) fn judge_all(arms: &BTreeMap<ArmKey, ArmCell>, configured: &[Experiment], as_of_us: i64) -> Vec<Judged> {
    let mut plans: Vec<Plan<'_>> = configured.iter().map(|experiment| configured_plan(experiment, as_of_us)).collect();
    let covered: BTreeSet<&str> = configured.iter().map(|experiment| experiment.workflow_type.as_str()).collect();
    let found: BTreeSet<(&str, Option<&str>)> = arms
        .keys()
        .filter(|key| !covered.contains(key.workflow_type.as_str()))
        .map(|key| (key.workflow_type.as_str(), key.experiment_id.as_deref()))
        .collect();
    plans.extend(found.into_iter().map(|(workflow_type, recorded)| found_plan(workflow_type, recorded)));
    plans.iter().filter_map(|plan| judged(plan, arms, as_of_us)).collect()
}

fn configured_plan(experiment: &Experiment, as_of_us: i64) -> Plan<'_> {
    let better = match experiment.primary.direction {
        Desired::Decrease => Better::Lower,
        Desired::Increase => Better::Higher,
    };
    let metric = experiment.primary.metric;
    let stat = if metric.is_ratio() { Stat::Proportion } else { Stat::Mean };
    let method = match experiment.method {
        ConfiguredMethod::Fixed => Method::Fixed,
        ConfiguredMethod::Sequential => Method::Sequential,
    };
    let end_us = experiment.end.map_or(i64::MAX, |end| end.timestamp_micros());
    Plan {
        id: experiment.id.clone(),
        workflow_type: &experiment.workflow_type,
        recorded_id: None,
        control: Some(&experiment.control),
        metrics: vec![(metric, stat, better)],
        params: DecisionParams { level: experiment.level, ..DecisionParams::of(method) },
        window_us: (experiment.start.map_or(i64::MIN, |start| start.timestamp_micros()), end_us),
        finished: Some(end_us <= as_of_us),
    }
}

/// An experiment that nobody declared: time and money by their geometric mean, whose tails would drown the arithmetic
/// one, failures by their share; valid at every look, since every run of the job is one.
fn found_plan<'a>(workflow_type: &'a str, recorded: Option<&'a str>) -> Plan<'a> {
    let stat = |metric: Metric| if metric.is_ratio() { Stat::Proportion } else { Stat::LogMean };
    Plan {
        id: recorded.unwrap_or(workflow_type).to_owned(),
        workflow_type,
        recorded_id: Some(recorded),
        control: None,
        metrics: ARM_METRICS.iter().map(|&metric| (metric, stat(metric), Better::Lower)).collect(),
        params: DecisionParams::of(Method::Sequential),
        window_us: (i64::MIN, i64::MAX),
        finished: None,
    }
}

fn judged(plan: &Plan<'_>, arms: &BTreeMap<ArmKey, ArmCell>, as_of_us: i64) -> Option<Judged> {
    let mut whole: BTreeMap<String, ArmCell> = BTreeMap::new();
    let (mut first_us, mut last_us) = (i64::MAX, i64::MIN);
    for (key, cell) in arms.iter().filter(|(key, _)| belongs(plan, key)) {
        first_us = first_us.min(key.hour_us);
        last_us = last_us.max(key.hour_us);
        let arm = whole.entry(key.arm.clone()).or_default();
        arm.assigned += cell.assigned;
        arm.statistics.resize_with(ARM_METRICS.len(), ArmStatistics::default);
        for (all, one) in arm.statistics.iter_mut().zip(&cell.statistics) {
            all.merge(one);
        }
    }
    if whole.len() < 2 {
        return None;
    }
    let control = match plan.control {
        Some(named) => named.to_owned(),
        None => control_of(whole.keys().map(String::as_str))?.to_owned(),
    };
    let finished = plan.finished.unwrap_or(last_us.saturating_add(HOUR_US + OVER_AFTER_US) <= as_of_us);
    let of_metric = |&(metric, stat, better): &(Metric, Stat, Better)| {
        let place = ARM_METRICS.iter().position(|known| *known == metric)?;
        let statistics = ExperimentStatistics {
            id: plan.id.clone(),
            metric: metric.to_string(),
            stat,
            better,
            control: control.clone(),
            arms: whole
                .iter()
                .filter_map(|(arm, cell)| Some((arm.clone(), cell.statistics.get(place)?.clone())))
                .collect(),
            assigned: whole.iter().map(|(arm, cell)| (arm.clone(), cell.assigned)).collect(),
            shares: BTreeMap::new(),
            min_effect: 0.0,
            finished,
        };
        let measured = statistics.arms.values().any(|arm| arm.n > 0);
        measured.then(|| judge(&statistics, &plan.params))
    };
    Some(Judged {
        experiment_id: plan.id.clone(),
        workflow_type: plan.workflow_type.to_owned(),
        first_run_us: first_us,
        rows: plan.metrics.iter().filter_map(of_metric).flatten().collect(),
    })
}

fn belongs(plan: &Plan<'_>, key: &ArmKey) -> bool {
    key.workflow_type == plan.workflow_type
        && plan.recorded_id.is_none_or(|recorded| recorded == key.experiment_id.as_deref())
        && (plan.window_us.0..plan.window_us.1).contains(&key.hour_us)
}
