//! What comes next, with intervals.

use crate::units::Interval;
use serde::{Deserialize, Serialize};

/// The forecast of one series: point and intervals for each step of the horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The model that won the rolling-origin backtest.
    pub model: String,
    /// One per horizon step, 1..=H.
    pub steps: Vec<ForecastStep>,
    /// How every candidate did, the winner included.
    pub scores: Vec<CandidateScore>,
}

/// One step ahead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastStep {
    /// Centre.
    pub point: f64,
    /// One per requested level, narrowest first; nested.
    pub intervals: Vec<Interval>,
}

/// A candidate's error on the backtest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateScore {
    /// Model name.
    pub model: String,
    /// Mean absolute scaled error over the origins.
    pub mase: f64,
    /// Share of held-out values inside the interval at the largest level.
    pub coverage: f64,
    /// Held-out values.
    pub n: usize,
}
