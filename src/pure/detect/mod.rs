//! What is normal, what changed, what is strange, what is slow.

pub mod anomalies;
pub mod baselines;
pub mod bottlenecks;
pub mod change_points;
pub mod common;
pub mod conditioned;
pub mod continuity;
pub mod degradations;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod levelling;
pub mod sequences;
pub mod spread;
pub mod strange;
pub mod trends;

use crate::series::SeriesKey;
use crate::units::{Interval, Level};
use serde::{Deserialize, Serialize};

/// The first bucket of a new regime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangePoint {
    /// 0-based index of the first point of the new regime.
    pub index: usize,
    /// Start of that bucket.
    pub at_us: i64,
    /// Centre before, in the metric's unit.
    pub before: f64,
    /// Centre after.
    pub after: f64,
    /// `after / before` for multiplicative metrics, with its interval; for ratios (0-1) and series with values that
    /// are not positive the difference `after − before` relative to the pooled level is not defined and this is the
    /// plain ratio of means where `before` is positive, else NaN.
    pub effect_ratio: f64,
    /// Interval of `effect_ratio`.
    pub effect_lower: f64,
    /// Interval of `effect_ratio`.
    pub effect_upper: f64,
    /// Coverage of the interval.
    pub level: Level,
    /// Significance of the change.
    pub p_value: f64,
}

/// Centre, spread and interval of a metric in its regime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Centre of single executions in the regime (median, or mean for ratios and counts).
    pub value: f64,
    /// Interval of the centre itself (order statistics or bootstrap).
    pub interval: Interval,
    /// Robust spread (1.4826 × median absolute deviation on the natural scale).
    pub spread: f64,
    /// Where single executions of the regime lie: 5 % quantile.
    pub normal_lower: f64,
    /// 95 % quantile.
    pub normal_upper: f64,
    /// Executions behind it.
    pub sample_size: u64,
    /// `median` or `mean`.
    pub method: &'static str,
    /// Start of the regime.
    pub regime_start_us: i64,
    /// Its end, which is not after the window under test.
    pub regime_end_us: i64,
}

/// Where a trend goes, in the sense of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The interval of the slope lies on the good side of the margin's inner edge, and off zero.
    Improving,
    /// The same on the bad side.
    Degrading,
    /// For metrics where neither way is better.
    Rising,
    /// For metrics where neither way is better.
    Falling,
    /// The whole interval lies within the margin: shown, not assumed.
    Stable,
    /// None of these can be shown.
    Unclear,
}

/// Slope over a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Length of the window.
    pub window_days: u32,
    /// Relative change over the whole window (0.1 = 10 % more at its end than at its start); an absolute change for ratios.
    pub change: f64,
    /// Interval of `change`.
    pub interval: Interval,
    /// Slope per day in the metric's unit.
    pub slope_per_day: f64,
    /// Kendall's tau of the values against time, 0-1 in absolute value: how monotone it is.
    pub strength: f64,
    /// The verdict.
    pub direction: Direction,
    /// Buckets with data in the window.
    pub sample_size: usize,
}

/// Why something was not analysed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skip {
    /// The analysis that was left out, e.g. `change_points`.
    pub analysis: &'static str,
    /// What it was about.
    pub subject: SkipSubject,
    /// The reason with its numbers: what was needed and what was found.
    pub reason: String,
}

/// What was skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SkipSubject {
    /// A series.
    Series(SeriesKey),
    /// A workflow, and a step of it or none for the whole.
    Workflow {
        /// The workflow, or its type where groups are formed by type.
        workflow: String,
        /// The step, if it is about one.
        step: Option<String>,
    },
}
