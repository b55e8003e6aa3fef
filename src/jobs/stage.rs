//! The parts of a run that can be asked for by name.

use crate::config::Config;
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::str::FromStr;

/// A part of the run; each owns the tables that it publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// `rollups`.
    Rollups,
    /// `baselines`, `change_points`, `trends`.
    Analysis,
    /// `forecasts`, `capacity_plan`.
    Forecasts,
    /// `predictions`, `model_scores`.
    Predictions,
    /// `anomalies`.
    Anomalies,
    /// `comparisons`.
    Comparisons,
    /// `experiments`.
    Experiments,
    /// `bottlenecks`, `recommendations`.
    Recommendations,
}

impl Stage {
    /// All, in the order of the flow.
    pub const ALL: [Self; 8] = [
        Self::Rollups,
        Self::Analysis,
        Self::Forecasts,
        Self::Predictions,
        Self::Anomalies,
        Self::Comparisons,
        Self::Experiments,
        Self::Recommendations,
    ];

    /// The name given on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollups => "rollups",
            Self::Analysis => "analysis",
            Self::Forecasts => "forecasts",
            Self::Predictions => "predictions",
            Self::Anomalies => "anomalies",
            Self::Comparisons => "comparisons",
            Self::Experiments => "experiments",
            Self::Recommendations => "recommendations",
        }
    }
}

impl FromStr for Stage {
    type Err = String;
    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == name)
            .ok_or_else(|| format!("unknown stage {name:?}; known are {}", known()))
    }
}

/// Which stages run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages(BTreeSet<Stage>);

impl Default for Stages {
    fn default() -> Self {
        Self(Stage::ALL.into_iter().collect())
    }
}

impl Stages {
    /// These; all where none are named.
    #[must_use]
    pub fn of(named: &[Stage]) -> Self {
        if named.is_empty() { Self::default() } else { Self(named.iter().copied().collect()) }
    }

    /// Those of them that the configuration leaves on.
    ///
    /// # Errors
    /// [`Error::Usage`] when that is none.
    pub fn enabled(&self, config: &Config) -> Result<Self> {
        let on: BTreeSet<Stage> = self.0.iter().copied().filter(|stage| switch(*stage, config).0).collect();
        if !on.is_empty() {
            return Ok(Self(on));
        }
        let off = self.0.iter().map(|stage| format!("{} ({})", stage.as_str(), switch(*stage, config).1));
        let off = off.collect::<Vec<_>>().join(", ");
        Err(Error::Usage(format!("every stage asked for is switched off: {off}; switch one on, or ask for others")))
    }

    /// Whether the stage runs.
    #[must_use]
    pub fn has(&self, stage: Stage) -> bool {
        self.0.contains(&stage)
    }

    /// Whether any of these runs.
    #[must_use]
    pub fn any(&self, stages: &[Stage]) -> bool {
        stages.iter().any(|&stage| self.has(stage))
    }

    /// Their names in the order of the flow.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|stage| stage.as_str().to_owned()).collect()
    }
}

/// Whether a stage is switched on, and the key that would switch it off.
fn switch(stage: Stage, config: &Config) -> (bool, &'static str) {
    let Config { analytics, optimization, models, reporting, .. } = config;
    let own = match stage {
        Stage::Rollups => return (true, "it can't be"),
        Stage::Analysis | Stage::Comparisons | Stage::Experiments => None,
        Stage::Forecasts => Some((reporting.performance_trends.enabled, "reporting.performance_trends.enabled")),
        Stage::Predictions => Some((models.performance_prediction.enabled, "ml_models.performance_prediction.enabled")),
        Stage::Anomalies => Some((models.bottleneck_detection.enabled, "ml_models.bottleneck_detection.enabled")),
        Stage::Recommendations => Some((optimization.enabled, "optimization.enabled")),
    };
    own.filter(|(on, _)| !on).unwrap_or((analytics.enabled, "analytics.enabled"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::config::parse;

    fn names(yaml: &str) -> Vec<String> {
        let config = parse(&format!("performance_optimization: {yaml}"), "f").unwrap();
        Stages::default().enabled(&config).unwrap().names()
    }

    #[test]
    fn each_switch_takes_its_stage_out() {
        let all = Stages::default().names();
        assert_eq!(names("{}"), all);
        let without = |off: &str| all.iter().filter(|name| *name != off).cloned().collect::<Vec<_>>();
        for (yaml, off) in [
            ("{ optimization: { enabled: false } }", "recommendations"),
            ("{ ml_models: { performance_prediction: { enabled: false } } }", "predictions"),
            ("{ ml_models: { bottleneck_detection: { enabled: false } } }", "anomalies"),
            ("{ reporting: { performance_trends: { enabled: false } } }", "forecasts"),
        ] {
            assert_eq!(names(yaml), without(off));
        }
        assert_eq!(names("{ analytics: { enabled: false } }"), ["rollups"]);
    }

    #[test]
    fn asking_only_for_what_is_off_names_the_key() {
        let config = parse("performance_optimization: { optimization: { enabled: false } }", "f").unwrap();
        let error = Stages::of(&[Stage::Recommendations]).enabled(&config).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("recommendations (optimization.enabled)"), "{error}");
    }
}
