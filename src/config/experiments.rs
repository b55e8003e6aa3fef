//! `performance_optimization.experiments`: which A/B comparisons are judged, and how.

use super::parse_instant;
use super::section::Section;
use crate::rollup::ARM_METRICS;
use chrono::{DateTime, Utc};
use paceline_pure::series::Metric;
use paceline_pure::units::Level;
use serde::Serialize;

/// One experiment; the column `variant` says which arm a run belongs to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Experiment {
    /// Its name.
    pub id: String,
    /// The workflows that take part.
    pub workflow_type: String,
    /// The arm that the others are compared with.
    pub control: String,
    /// What was assigned to an arm.
    pub unit: Unit,
    /// What decides.
    pub primary: Primary,
    /// What must not get worse.
    pub guardrails: Vec<Guardrail>,
    /// Whether what was known before the run (the size of its input, where it ran) is taken out of the noise.
    pub is_adjusted: bool,
    /// How often it may be looked at.
    pub method: Method,
    /// Coverage of the intervals.
    pub level: Level,
    /// First start that counts, none for all history.
    pub start: Option<DateTime<Utc>>,
    /// First start that no longer counts, none while it goes on.
    pub end: Option<DateTime<Utc>>,
}

/// What was assigned to an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Each run.
    RunId,
    /// What the column `unit_id` names, such as a user or a repository: its runs are one draw.
    UnitId,
}

/// What is measured of the runs of an arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// One of the metrics that are kept by arm, and what stands for an arm.
    Of(Metric, ArmStat),
    /// What a token costs: the sum of the one over that of the other.
    CostPerToken,
}

/// What stands for an arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmStat {
    /// The mean over runs; of the error rate the share of runs that failed.
    Mean,
    /// The geometric mean; arms compare by the ratio of theirs.
    LogRatio,
    /// The quantile, 0-1.
    Quantile(f64),
}

/// The metric that decides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Primary {
    /// What is measured.
    pub measure: Measure,
    /// Which way is a success.
    pub direction: Desired,
}

/// A metric that must not get worse by more than a margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Guardrail {
    /// What is measured.
    pub measure: Measure,
    /// Relative increase that is still accepted (0.05 = 5 %).
    pub max_relative_increase: f64,
}

/// Which way a metric should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Less is a success.
    Decrease,
    /// More is a success.
    Increase,
}

/// How an experiment is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// One look, at the end.
    Fixed,
    /// Valid at every look.
    Sequential,
}

impl Experiment {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let experiment = Self {
            unit: section.choice("unit", Unit::RunId, &[("run_id", Unit::RunId), ("unit_id", Unit::UnitId)]),
            id: section.required_text("id", "a name of the experiment"),
            workflow_type: section.required_text("workflow_type", "the workflow type that takes part"),
            control: section.required_text("control", "the arm that the others are compared with"),
            primary: section.section("primary", Primary::read),
            guardrails: section.sections("guardrails", Guardrail::read),
            is_adjusted: section.choice("covariate", false, &[("predicted", true)]),
            method: section.choice(
                "method",
                Method::Sequential,
                &[("sequential", Method::Sequential), ("fixed", Method::Fixed)],
            ),
            level: section.level("level", 0.95),
            start: instant(section, "start"),
            end: instant(section, "end"),
        };
        if let (Some(start), Some(end)) = (experiment.start, experiment.end)
            && end <= start
        {
            section.refuse("end", end.to_rfc3339(), "an instant after start", "swap the two or remove end");
        }
        let measures = experiment.guardrails.iter().map(|guardrail| guardrail.measure);
        let is_quantile = |measure: Measure| matches!(measure, Measure::Of(_, ArmStat::Quantile(_)));
        if experiment.unit == Unit::UnitId
            && (experiment.is_adjusted || measures.chain([experiment.primary.measure]).any(is_quantile))
        {
            let found = "unit_id with a covariate or a quantile";
            section.refuse(
                "unit",
                found,
                "means, log ratios and ratios as they are",
                "leave the other out, or compare runs",
            );
        }
        experiment
    }
}

impl Guardrail {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            measure: Measure::read(section, "the metric that must not get worse", "error_rate"),
            max_relative_increase: section.positive("max_relative_increase", 0.05),
        }
    }
}

impl Primary {
    fn read(section: &mut Section<'_>) -> Self {
        let directions = [("decrease", Desired::Decrease), ("increase", Desired::Increase)];
        Self {
            measure: Measure::read(section, "the metric that decides", "execution_time"),
            direction: section.choice("direction", Desired::Decrease, &directions),
        }
    }
}

/// As written for what a token costs.
const COST_PER_TOKEN: &str = "cost/tokens";
const RATIO: &str = "ratio";

impl Measure {
    fn read(section: &mut Section<'_>, wanted: &'static str, such_as: &str) -> Self {
        if section.take("metric").is_none() {
            section.refuse("metric", "nothing", wanted, &format!("write it, e.g. {such_as}"));
        }
        let mut metrics = ARM_METRICS.map(|metric| (metric.as_str(), Some(metric))).to_vec();
        metrics.push((COST_PER_TOKEN, None));
        let metric = section.choice("metric", Some(Metric::ExecutionTime), &metrics);
        let quantile = |q| Some(ArmStat::Quantile(q));
        let stats = [
            ("mean", Some(ArmStat::Mean)),
            ("log_ratio", Some(ArmStat::LogRatio)),
            ("p50", quantile(0.5)),
            ("p95", quantile(0.95)),
            ("p99", quantile(0.99)),
            (RATIO, None),
        ];
        let default = metric.map(|_| ArmStat::Mean);
        let stat = section.choice("stat", default, &stats);
        match (metric, stat) {
            (None, None) => Self::CostPerToken,
            (Some(metric), Some(stat)) if !metric.is_ratio() || stat == ArmStat::Mean => Self::Of(metric, stat),
            (Some(metric), _) => {
                let expected =
                    if metric.is_ratio() { "mean: it is a share of runs" } else { "ratio for cost/tokens alone" };
                section.refuse("stat", format!("it for {metric}"), expected, "write stat: mean, or leave it out");
                Self::Of(metric, ArmStat::Mean)
            }
            (None, Some(_)) => {
                section.refuse("stat", format!("it for {COST_PER_TOKEN}"), RATIO, "write stat: ratio, or leave it out");
                Self::CostPerToken
            }
        }
    }
}

fn instant(section: &mut Section<'_>, key: &'static str) -> Option<DateTime<Utc>> {
    section.parsed(key, None, "an RFC 3339 instant", |text| parse_instant(text).map(Some))
}

/// Two experiments of one name could not be told apart in the results.
pub(super) fn refuse_equal_ids(section: &Section<'_>, experiments: &[Experiment]) {
    for (idx, experiment) in experiments.iter().enumerate() {
        if experiments.iter().take(idx).any(|before| before.id == experiment.id && !before.id.is_empty()) {
            let found = format!("the id {:?} twice", experiment.id);
            section.refuse("experiments", found, "an id of its own for each", "rename one of them");
        }
    }
}
