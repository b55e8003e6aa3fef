//! Did it work? A/B comparisons from mergeable statistics.
//!
//! ```text
//! ArmStatistics per arm ─ means | proportions: estimate, effect, relative effect ─┐
//!                       ─ fixed (one look) | sequential (any number of looks) ────┼─ verdict
//! units assigned ─ srm: was the split what it should be? ─────────────────────────┘
//! ```

mod contrast;
mod means;
mod proportions;
mod sequential;
mod srm;
mod verdict;

use crate::series::Better;
use crate::units::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
pub use verdict::{judge, judge_all};

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

impl ArmStatistics {
    /// Takes in the value of one unit; one that is not finite is no value.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.n += 1;
        self.sum += value;
        self.sum_sq += value * value;
        if value > 0.0 {
            let log = value.ln();
            self.n_positive += 1;
            self.sum_log += log;
            self.sum_log_sq += log * log;
        }
    }

    /// Takes in other units of the same arm.
    pub fn merge(&mut self, other: &Self) {
        let Self { n, sum, sum_sq, n_positive, sum_log, sum_log_sq } = other;
        self.n += n;
        self.sum += sum;
        self.sum_sq += sum_sq;
        self.n_positive += n_positive;
        self.sum_log += sum_log;
        self.sum_log_sq += sum_log_sq;
    }
}

impl FromIterator<f64> for ArmStatistics {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut arm = Self::default();
        values.into_iter().for_each(|value| arm.add(value));
        arm
    }
}

/// What stands for an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stat {
    /// The mean.
    Mean,
    /// The geometric mean of the positive values: for durations and money, whose tails make the mean slow to settle.
    LogMean,
    /// The share of units whose value is 1 (values are 0 or 1).
    Proportion,
}

/// How often one may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Once, at the planned end: intervals are valid at one look only, so nothing is decided before.
    Fixed,
    /// At every run: intervals are valid at all looks together (a confidence sequence).
    Sequential,
}

impl Method {
    /// The name used in configuration and in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sequential => "sequential",
        }
    }
}

/// How verdicts are reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecisionParams {
    /// Coverage of the published intervals. Decisions hold it over all arms together (Bonferroni).
    pub level: Level,
    /// Looks.
    pub method: Method,
}

/// One experiment and one metric of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentStatistics {
    /// The experiment.
    pub id: String,
    /// The metric.
    pub metric: String,
    /// What stands for an arm.
    pub stat: Stat,
    /// Which way is an improvement; with neither, nothing is shipped or rolled back.
    pub better: Better,
    /// The arm that the others are compared with.
    pub control: String,
    /// Every arm's values.
    pub arms: BTreeMap<String, ArmStatistics>,
    /// Units assigned to each arm, with a value or not; empty: those with a value.
    pub assigned: BTreeMap<String, u64>,
    /// Planned share of each arm, up to a common factor; empty: equal.
    pub shares: BTreeMap<String, f64>,
    /// Smallest relative effect that matters (0.02 = 2 %); 0: any.
    pub min_effect: f64,
    /// Whether no more units will come.
    pub finished: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_adding_in_any_order() {
        let values = [3.0, 0.0, -2.0, 8.0, f64::NAN, 5.5, f64::INFINITY];
        let whole: ArmStatistics = values.into_iter().collect();
        for cut in 0..values.len() {
            let (left, right): (ArmStatistics, ArmStatistics) =
                (values[..cut].iter().copied().collect(), values[cut..].iter().copied().collect());
            let mut merged = right.clone();
            merged.merge(&left);
            assert_eq!((merged.n, merged.n_positive), (whole.n, whole.n_positive));
            assert!((merged.sum_sq - whole.sum_sq).abs() < 1e-12 && (merged.sum_log - whole.sum_log).abs() < 1e-12);
        }
        assert_eq!((whole.n, whole.n_positive), (5, 3));
    }
}
