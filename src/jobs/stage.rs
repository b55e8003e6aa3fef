//! The parts of a run that can be asked for by name.

use std::collections::BTreeSet;
use std::str::FromStr;

/// A part of the run; each owns the tables that it publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// `rollups`.
    Rollups,
    /// `baselines`, `change_points`, `trends`.
    Analysis,
    /// `forecasts`.
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
    fn from_str(name: &str) -> Result<Self, String> {
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
