//! Like-with-like comparison of providers, platforms and versions.

use crate::units::Interval;
use serde::{Deserialize, Serialize};

/// One pair of values of a dimension within one workflow type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The workflow type within which executions are alike.
    pub workflow_type: String,
    /// `provider` or `platform`.
    pub dimension: &'static str,
    /// First value.
    pub a: String,
    /// Second value.
    pub b: String,
    /// `execution_time` or `cost`.
    pub metric: &'static str,
    /// Geometric mean ratio b / a over like executions (same step, same size).
    pub ratio: f64,
    /// Interval of `ratio`.
    pub interval: Interval,
    /// Executions with `a`.
    pub n_a: u64,
    /// Executions with `b`.
    pub n_b: u64,
}
