//! `performance_optimization.ml_models`: what is learned.

use super::section::{Section, nearest_or};
use paceline_pure::units::Level;
use serde::Serialize;
use std::time::Duration;

/// What is learned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Models {
    /// How long, how much, how dear the next execution will be.
    pub performance_prediction: PerformancePrediction,
    /// Which executions are strange.
    pub bottleneck_detection: BottleneckDetection,
    /// Which recommendations work.
    pub optimization_recommendation: OptimizationRecommendation,
}

impl Models {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            performance_prediction: section.section("performance_prediction", PerformancePrediction::read),
            bottleneck_detection: section.section("bottleneck_detection", BottleneckDetection::read),
            optimization_recommendation: section
                .section("optimization_recommendation", OptimizationRecommendation::read),
        }
    }
}

/// Prediction of executions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PerformancePrediction {
    /// Whether executions are predicted.
    pub enabled: bool,
    /// What is looked at, sorted; all of it is known before a step starts.
    pub features: Vec<Feature>,
    /// A model younger than this is not trained anew: it learns from what has ended since, and goes on predicting.
    pub retrain_interval: Duration,
    /// Share within ±20 % on the backtest below which `skips` calls a model unfit, 0-1.
    pub accuracy_threshold: f64,
    /// Coverage of the intervals.
    pub level: Level,
}

/// Something that is known before a step starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// The workflow's type.
    WorkflowType,
    /// The step's type.
    StepType,
    /// How many executions of the run come before the step.
    StepCount,
    /// Size of the input: its own, and that of what it depends on.
    InputBytes,
    /// Who executes it.
    Provider,
    /// Hour of the week of the start.
    HourOfWeek,
    /// Tokens sent in.
    TokensIn,
    /// Where it runs.
    Platform,
    /// First try or a retry.
    Attempt,
}

impl Feature {
    /// Used where nothing is configured.
    pub const DEFAULT: [Self; 6] =
        [Self::WorkflowType, Self::StepType, Self::StepCount, Self::InputBytes, Self::Provider, Self::HourOfWeek];

    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::WorkflowType,
        Self::StepType,
        Self::StepCount,
        Self::InputBytes,
        Self::Provider,
        Self::HourOfWeek,
        Self::TokensIn,
        Self::Platform,
        Self::Attempt,
    ];

    /// The name used in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowType => "workflow_type",
            Self::StepType => "step_type",
            Self::StepCount => "step_count",
            Self::InputBytes => "input_bytes",
            Self::Provider => "provider",
            Self::HourOfWeek => "hour_of_week",
            Self::TokensIn => "tokens_in",
            Self::Platform => "platform",
            Self::Attempt => "attempt",
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        if LEAKAGE.contains(&name) {
            return Err(format!(
                "{name} is an outcome of the same execution and not known before it starts (leakage): remove it"
            ));
        }
        let found = Self::ALL.into_iter().find(|feature| feature.as_str() == name);
        found.ok_or_else(|| nearest_or(name, Self::ALL.map(Self::as_str), "write one of these"))
    }
}

/// Outcomes of the execution that would be predicted: no feature, however well they would do on paper.
const LEAKAGE: [&str; 11] = [
    "duration_ms",
    "ended_at",
    "status",
    "cpu_pct",
    "memory_mb",
    "output_bytes",
    "network_bytes",
    "api_calls",
    "tokens_out",
    "cost_usd",
    "cache_hit",
];

impl PerformancePrediction {
    fn read(section: &mut Section<'_>) -> Self {
        section.choice("model_type", (), &[("regression", ())]);
        let known = Feature::ALL.map(Feature::as_str).join(", ");
        let expected = format!("what is known before a step starts: {known}");
        let mut features = section
            .items("features", &Feature::DEFAULT, &expected, |node| Feature::parse(super::analytics::word(node)?));
        features.sort();
        Self {
            enabled: section.flag("enabled", true),
            features,
            retrain_interval: section.seconds("retrain_interval", 86_400),
            accuracy_threshold: section.ratio("accuracy_threshold", 0.8),
            level: section.level("level", 0.9),
        }
    }
}

/// Detection of strange executions, and of steps that became slower.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BottleneckDetection {
    /// Whether strange executions are looked for.
    pub enabled: bool,
    /// False alarms tolerated per series and week.
    pub sensitivity: f64,
    /// Executions that a group needs before anything in it is called strange.
    pub min_samples: u32,
    /// Percentile of a step's durations by which it is found to have become slower, 1-99.
    pub threshold_percentile: u8,
}

impl BottleneckDetection {
    fn read(section: &mut Section<'_>) -> Self {
        section.choice("model_type", (), &[("anomaly_detection", ())]);
        Self {
            enabled: section.flag("enabled", true),
            sensitivity: section.positive("sensitivity", 0.1),
            min_samples: section.whole("min_samples", 50, 2..=1_000_000_000),
            threshold_percentile: section.whole("threshold_percentile", 50, 1..=99),
        }
    }
}

/// What is learned of recommendations from what applied ones did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OptimizationRecommendation {
    /// Whether outcomes change probabilities, and others than the best are tried.
    pub enabled: bool,
    /// Probability with which the first proposal of a workflow is drawn instead of the best, 0-1.
    pub exploration_rate: f64,
}

impl OptimizationRecommendation {
    fn read(section: &mut Section<'_>) -> Self {
        // A bandit: what is tried first is chosen, its outcome seen, and the next choice is made with that.
        section.choice("model_type", (), &[("reinforcement_learning", ())]);
        // A success is a measured improvement; what a proposal is worth is its share of time and money times that.
        section.choice("reward_function", (), &[("performance_improvement", ())]);
        Self { enabled: section.flag("enabled", true), exploration_rate: section.ratio("exploration_rate", 0.1) }
    }
}
