//! Learning from executions: regression with conformal intervals, isolation forest, honest backtests.

pub mod allocation;
mod backtest;
pub mod champion;
mod conformal;
pub mod coverage;
pub mod dataset;
pub mod isolation_forest;
pub mod leakage;
mod level;
pub(crate) mod line;
pub mod models;
pub mod online;
pub(crate) mod pooling;
pub mod predictions;
pub(crate) mod regression;
pub mod runs;
pub(crate) mod shared;
pub(crate) mod solve;
pub mod tabular;
#[cfg(test)]
pub(crate) mod testing;
pub mod train;
pub mod walk;

use crate::detect::{Skip, SkipSubject};
use crate::units::Interval;
use serde::{Deserialize, Serialize};

/// What the next execution of a step will need, at its typical input; or the next run of a workflow as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Workflow type.
    pub workflow_type: String,
    /// The workflow.
    pub workflow_id: String,
    /// The step, none for the run as a whole.
    pub step: Option<String>,
    /// The provider that it is for, none where the provider is unknown.
    pub provider: Option<String>,
    /// `small`, `typical` or `large`: the 10 %, 50 % and 90 % quantile of recent input sizes; `any` where sizes are unknown.
    pub size_bucket: &'static str,
    /// That size.
    pub input_bytes: Option<f64>,
    /// `duration_ms`, `memory_mb`, `cost_usd` or `tokens`.
    pub target: &'static str,
    /// Expected value (the median of the predictive distribution).
    pub point: f64,
    /// Conformal interval.
    pub interval: Interval,
    /// Executions of this very step that were learned from; 0 where the answer comes from pooling. For a whole run the
    /// recorded runs that were replayed.
    pub n_seen: u64,
}

/// Error and realised coverage of one model, or of a fixed rival, on a time-ordered backtest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelScore {
    /// Target, e.g. `duration_ms`, or the metric that is forecast.
    pub target: String,
    /// `*` for all together, else the workflow type.
    pub group: String,
    /// The model, or `global_median`, `step_median`, `last_run`; for whole runs `recent_median`, `last_run`. Of two that
    /// stood against each other `champion` and `challenger`.
    pub model: String,
    /// Whether it is one of the fixed rivals.
    pub is_rival: bool,
    /// Held-out executions.
    pub n: u64,
    /// Share within ±20 %.
    pub in20: f64,
    /// Median absolute percentage error.
    pub mdape: f64,
    /// Σ|error| / Σ actual.
    pub wape: f64,
    /// Share inside the interval; NaN where the model gives none.
    pub coverage: f64,
    /// Median of upper / lower; NaN where the model gives none.
    pub width_ratio: f64,
    /// Nominal level of the interval.
    pub level: f64,
}

/// One strange execution: a row of `anomalies`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// Row of the input that was scored.
    pub row: usize,
    /// 0-1, higher is stranger.
    pub score: f64,
    /// `slow, fast, heavy, light, chatty, quiet, busy, idle, costly, cheap`: the column that is farthest off, and which way.
    pub direction: &'static str,
    /// `low, medium, high, critical`; `info` where it is told without being an alarm.
    pub severity: &'static str,
    /// The column that is farthest off.
    pub metric: &'static str,
    /// Its value.
    pub observed: f64,
    /// What was expected at this input size.
    pub expected: f64,
    /// Where values were expected.
    pub interval: Interval,
    /// All columns that are off, most first, as `column ×factor`.
    pub reasons: Vec<String>,
}

/// The registry's view of a trained group: what `model_scores` and cards show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Target column.
    pub target: &'static str,
    /// Workflow type.
    pub group: String,
    /// Learner name.
    pub learner: &'static str,
    /// Executions learned from.
    pub n: u64,
    /// First and last end of what was learned from.
    pub window_us: (i64, i64),
    /// Names and values of coefficients.
    pub coefficients: Vec<(String, f64)>,
    /// Share within ±20 % on the backtest; NaN where nothing could be held out.
    pub in20: f64,
    /// Whether `in20` reaches the accuracy threshold.
    pub is_fit: bool,
    /// blake3 of the serialised model, filled at the edge.
    pub digest: String,
}

impl ModelCard {
    /// Says of a model that is not fit by how much it falls short; none of one that is.
    #[must_use]
    pub fn unfit(&self, accuracy_threshold: f64) -> Option<Skip> {
        let Self { target, group, n, in20, .. } = self;
        if self.is_fit { None } else { unfit(target, group, *n, *in20, accuracy_threshold) }
    }
}

/// Says of a group's model with `in20` on its backtest by how much it falls short; none where it doesn't.
pub(crate) fn unfit(target: &str, group: &str, n: u64, in20: f64, accuracy_threshold: f64) -> Option<Skip> {
    let found = match in20 {
        in20 if in20 >= accuracy_threshold => return None,
        in20 if in20.is_nan() => "nothing could be held out for a backtest".to_owned(),
        in20 => format!("in20 is {in20:.3} on the backtest"),
    };
    Some(Skip {
        analysis: "performance_prediction",
        subject: SkipSubject::Workflow { workflow: group.to_owned(), step: None },
        reason: format!("{target}: unfit: {found}, {accuracy_threshold} needed ({n} executions)"),
    })
}

/// So many of `n`, rounded.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count"
)]
pub(crate) fn share(n: usize, share: f64) -> usize {
    ((n as f64 * share).round() as usize).min(n)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn card(in20: f64) -> ModelCard {
        let (target, group, learner) = ("duration_ms", "etl".to_owned(), "loglinear");
        let (window_us, coefficients, digest) = ((0, 1), Vec::new(), String::new());
        ModelCard { target, group, learner, n: 70, window_us, coefficients, in20, is_fit: in20 >= 0.8, digest }
    }

    #[test]
    fn a_model_below_the_threshold_is_called_unfit_with_its_numbers() {
        assert_eq!(card(0.8).unfit(0.8), None);
        let skip = card(0.618).unfit(0.8).unwrap();
        assert_eq!(skip.reason, "duration_ms: unfit: in20 is 0.618 on the backtest, 0.8 needed (70 executions)");
        assert_eq!(skip.subject, SkipSubject::Workflow { workflow: "etl".into(), step: None });
        assert!(card(f64::NAN).unfit(0.8).unwrap().reason.contains("nothing could be held out"));
    }
}
