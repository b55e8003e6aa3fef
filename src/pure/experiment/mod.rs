//! Did it work? A/B comparisons from mergeable statistics.

use crate::units::Level;
use serde::{Deserialize, Serialize};

/// What an experiment sees of one arm and one metric. Merging adds; tests never see rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmStatistics {
    /// Units with a value.
    pub n: u64,
    /// Σ y.
    pub sum: f64,
    /// Σ y².
    pub sum_sq: f64,
    /// Units with a positive value, for the log scale.
    pub n_positive: u64,
    /// Σ ln y over positive values.
    pub sum_log: f64,
    /// Σ (ln y)² over positive values.
    pub sum_log_sq: f64,
}

/// The verdict on one arm against the control for one metric: a row of `experiments`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentRow {
    /// The metric.
    pub metric: String,
    /// The arm.
    pub arm: String,
    /// Units.
    pub n: u64,
    /// The arm's own estimate.
    pub estimate: f64,
    /// Arm − control; none for the control's own row. With its interval.
    pub effect: Option<f64>,
    /// Interval of `effect`.
    pub effect_lower: Option<f64>,
    /// Interval of `effect`.
    pub effect_upper: Option<f64>,
    /// `effect / control` by the delta method.
    pub relative_effect: Option<f64>,
    /// Interval of `relative_effect`.
    pub relative_lower: Option<f64>,
    /// Interval of `relative_effect`.
    pub relative_upper: Option<f64>,
    /// Coverage.
    pub level: Level,
    /// Of effect = 0.
    pub p_value: Option<f64>,
    /// How it was judged.
    pub method: String,
    /// Sample-ratio mismatch.
    pub srm_p_value: f64,
    /// `ship, rollback, keep_running, inconclusive, invalid`.
    pub decision: String,
}
