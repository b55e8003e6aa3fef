//! `performance_optimization.experiments`: which A/B comparisons are judged, and how.

use super::parse_instant;
use super::section::Section;
use crate::rollup::ARM_METRICS;
use chrono::{DateTime, Utc};
use paceline_pure::series::Metric;
use paceline_pure::units::Level;
use serde::Serialize;

/// One experiment; its unit is the run, and the column `variant` says which arm a run belongs to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Experiment {
    /// Its name.
    pub id: String,
    /// The workflows that take part.
    pub workflow_type: String,
    /// The arm that the others are compared with.
    pub control: String,
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

/// The metric that decides, by its mean over runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Primary {
    /// What is measured: one of those that are kept by arm.
    pub metric: Metric,
    /// Which way is a success.
    pub direction: Desired,
}

/// A metric that must not get worse by more than a margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Guardrail {
    /// What is measured: one of those that are kept by arm.
    pub metric: Metric,
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
        section.choice("unit", (), &[("run_id", ())]);
        let experiment = Self {
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
        experiment
    }
}

impl Guardrail {
    fn read(section: &mut Section<'_>) -> Self {
        if section.take("metric").is_none() {
            section.refuse("metric", "nothing", "the metric that must not get worse", "write it, e.g. error_rate");
        }
        let metrics = ARM_METRICS.map(|metric| (metric.as_str(), metric));
        Self {
            metric: section.choice("metric", Metric::ErrorRate, &metrics),
            max_relative_increase: section.positive("max_relative_increase", 0.05),
        }
    }
}

impl Primary {
    fn read(section: &mut Section<'_>) -> Self {
        section.choice("stat", (), &[("mean", ())]);
        if section.take("metric").is_none() {
            section.refuse("metric", "nothing", "the metric that decides", "write it, e.g. execution_time");
        }
        let metrics = ARM_METRICS.map(|metric| (metric.as_str(), metric));
        let directions = [("decrease", Desired::Decrease), ("increase", Desired::Increase)];
        Self {
            metric: section.choice("metric", Metric::ExecutionTime, &metrics),
            direction: section.choice("direction", Desired::Decrease, &directions),
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
