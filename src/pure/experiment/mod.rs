//! Did it work? A/B comparisons from mergeable statistics.
//!
//! ```text
//! rows ─ measure ─┐
//! Moments per arm ┼─ linear | proportions | ranked | trimmed: Comparison ─┐
//! ArmStatistics,   │                                                       │
//! Sketch, RatioSums┘                                                       │
//! fixed (one look) | sequential (any number of looks) ────────────────────┼─ verdict, with reason
//! units assigned, times, missing values ─ health: can it be believed? ────┘
//! ```

pub mod assign;
pub mod bayes;
mod caution;
mod comparison;
mod contrast;
pub mod health;
pub mod linear;
pub mod measure;
pub mod moments;
pub mod power;
mod proportions;
pub mod ranked;
mod ratio;
mod reason;
mod sequential;
mod srm;
pub mod strata;
pub mod trimmed;
pub mod units;
mod verdict;

use crate::series::Better;
use crate::units::Level;
pub use caution::of_binned_means;
pub use comparison::Comparison;
use moments::Moments;
pub use proportions::Share;
pub use ratio::RatioSums;
pub use sequential::Tuning;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
pub use verdict::{Role, Trial, TrialArm, judge, judge_all, judge_trials};

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
    /// Of a covariate x, known before the start: sums over units with a value.
    pub covariate: CovariateSums,
    /// The same over units with a positive value, and with their logarithms.
    pub covariate_of_logs: CovariateSums,
}

/// Sums of a covariate x beside an outcome y.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CovariateSums {
    /// Σ x.
    pub sum: f64,
    /// Σ x².
    pub sum_sq: f64,
    /// Σ x y.
    pub product: f64,
}

impl CovariateSums {
    fn add(&mut self, x: f64, y: f64) {
        self.sum += x;
        self.sum_sq += x * x;
        self.product += x * y;
    }

    fn merge(&mut self, other: &Self) {
        let Self { sum, sum_sq, product } = other;
        self.sum += sum;
        self.sum_sq += sum_sq;
        self.product += product;
    }
}

impl ArmStatistics {
    /// Takes in the value of one unit; one that is not finite is no value.
    pub fn add(&mut self, value: f64) {
        self.add_with(value, 0.0);
    }

    /// Takes in the value of one unit and what was known of it before (finite).
    pub fn add_with(&mut self, value: f64, covariate: f64) {
        if !value.is_finite() {
            return;
        }
        self.covariate.add(covariate, value);
        self.n += 1;
        self.sum += value;
        self.sum_sq += value * value;
        if value > 0.0 {
            let log = value.ln();
            self.n_positive += 1;
            self.sum_log += log;
            self.sum_log_sq += log * log;
            self.covariate_of_logs.add(covariate, log);
        }
    }

    /// The arm's own estimate; NaN where it has none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn estimate(&self, stat: Stat) -> f64 {
        match stat {
            Stat::Mean => self.sum / self.n as f64,
            Stat::LogMean => (self.sum_log / self.n_positive as f64).exp(),
            Stat::Proportion => Share::of(self.n, self.sum).map_or(f64::NAN, |share| share.value),
        }
    }

    /// The arm beside the control; none where one of them has no such estimate.
    #[must_use]
    pub fn compare(&self, control: &Self, stat: Stat) -> Option<Comparison> {
        match stat {
            Stat::Mean => Comparison::means(self, control),
            Stat::LogMean => Comparison::log_means(self, control),
            Stat::Proportion => {
                Some(Comparison::Shares(Share::of(self.n, self.sum)?, Share::of(control.n, control.sum)?))
            }
        }
    }

    /// Takes in other units of the same arm.
    pub fn merge(&mut self, other: &Self) {
        let Self { n, sum, sum_sq, n_positive, sum_log, sum_log_sq, covariate, covariate_of_logs } = other;
        self.n += n;
        self.sum += sum;
        self.sum_sq += sum_sq;
        self.n_positive += n_positive;
        self.sum_log += sum_log;
        self.sum_log_sq += sum_log_sq;
        self.covariate.merge(covariate);
        self.covariate_of_logs.merge(covariate_of_logs);
    }

    /// Outcome and covariate, on the scale on which `stat` takes means.
    fn moments(&self, stat: Stat) -> Moments {
        let (n, sum, sum_sq, x) = match stat {
            Stat::LogMean => (self.n_positive, self.sum_log, self.sum_log_sq, &self.covariate_of_logs),
            Stat::Mean | Stat::Proportion => (self.n, self.sum, self.sum_sq, &self.covariate),
        };
        Moments::of_sums(n, &[sum, x.sum], &[sum_sq, x.product, x.sum_sq])
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

impl Stat {
    /// The name used in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::LogMean => "log_ratio",
            Self::Proportion => "proportion",
        }
    }
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
    /// Where sequential intervals are tight; elsewhere they are wider, and as valid.
    pub tuning: Tuning,
    /// What is expected of relative effects before any data, for the posterior; none is flat.
    pub prior: Option<bayes::Prior>,
}

impl DecisionParams {
    /// The defaults: 95 %, sequences for any size, no prior.
    #[must_use]
    pub const fn of(method: Method) -> Self {
        Self { level: Level::DEFAULT, method, tuning: Tuning::AnySize, prior: None }
    }
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
    /// What the metric is for: `primary`, `guardrail`.
    pub role: String,
    /// Why, in words.
    pub reason: String,
    /// What stands for an arm.
    pub stat: String,
    /// Evidence against no effect, at any look; none for one look.
    pub e_value: Option<f64>,
    /// Sample-ratio mismatch, at any look.
    pub srm_sequential_p_value: f64,
    /// Posterior probability of the arm to be the best.
    pub probability_best: Option<f64>,
    /// Relative loss to be expected if the arm is taken, on average over the posterior.
    pub expected_loss: Option<f64>,
    /// Relative effect that the units so far would find with a probability of 80 %.
    pub detectable_effect: Option<f64>,
    /// Units of the arm and the control after which the effect that is sought would be found.
    pub units_to_decision: Option<f64>,
    /// Days until then at the present volume.
    pub days_to_decision: Option<f64>,
}

/// Names that mean "as it was before", in the order in which they are looked for.
const CONTROL_NAMES: [&str; 5] = ["control", "baseline", "default", "a", "A"];

/// The arm that others are compared with where nobody says: the one whose name says so, else the first.
pub fn control_of<'a>(arms: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let arms: Vec<&str> = arms.into_iter().collect();
    let named = CONTROL_NAMES.iter().find_map(|name| arms.iter().find(|arm| *arm == name));
    named.or_else(|| arms.iter().min()).copied()
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
