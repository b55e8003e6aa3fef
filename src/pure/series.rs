//! A metric over time: one value a bucket on a regular grid, with its distribution.

use crate::stats::sketch::{Sketch, Sketches};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What is measured. Units are those of the canonical tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Run or step duration in milliseconds, of succeeded, uncached executions.
    ExecutionTime,
    /// CPU in percent; 100 is one core.
    CpuUsage,
    /// Peak memory in MB (10⁶ bytes).
    MemoryUsage,
    /// Calls to external APIs per execution.
    ApiCalls,
    /// Network bytes per execution.
    Network,
    /// Tokens in and out per execution.
    Tokens,
    /// Money in USD per execution.
    Cost,
    /// Share of executions answered from a cache, 0-1.
    CacheHitRate,
    /// Share of executions that failed, 0-1.
    ErrorRate,
    /// Executions that started in the bucket.
    Throughput,
    /// Milliseconds waited before the start.
    QueueTime,
}

/// How one number stands for a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centre {
    /// The median of the executions.
    Median,
    /// The mean of the executions.
    Mean,
    /// How many executions there were.
    Count,
}

/// Which way is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better (durations, money, errors).
    Lower,
    /// More is better (cache hits).
    Higher,
    /// Neither: demand and load.
    Neither,
}

impl Metric {
    /// Every metric, in published order.
    pub const ALL: [Self; 11] = [
        Self::ExecutionTime,
        Self::CpuUsage,
        Self::MemoryUsage,
        Self::ApiCalls,
        Self::Network,
        Self::Tokens,
        Self::Cost,
        Self::CacheHitRate,
        Self::ErrorRate,
        Self::Throughput,
        Self::QueueTime,
    ];

    /// The name used in configuration and in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExecutionTime => "execution_time",
            Self::CpuUsage => "cpu_usage",
            Self::MemoryUsage => "memory_usage",
            Self::ApiCalls => "api_calls",
            Self::Network => "network",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::CacheHitRate => "cache_hit_rate",
            Self::ErrorRate => "error_rate",
            Self::Throughput => "throughput",
            Self::QueueTime => "queue_time",
        }
    }

    /// The unit of its values.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::ExecutionTime | Self::QueueTime => "ms",
            Self::CpuUsage => "pct",
            Self::MemoryUsage => "mb",
            Self::ApiCalls => "calls",
            Self::Network => "bytes",
            Self::Tokens => "tokens",
            Self::Cost => "usd",
            Self::CacheHitRate | Self::ErrorRate => "ratio",
            Self::Throughput => "executions",
        }
    }

    /// How a bucket is summed up in one number.
    #[must_use]
    pub fn centre(self) -> Centre {
        match self {
            Self::ExecutionTime | Self::MemoryUsage | Self::QueueTime => Centre::Median,
            Self::CpuUsage
            | Self::ApiCalls
            | Self::Network
            | Self::Tokens
            | Self::Cost
            | Self::CacheHitRate
            | Self::ErrorRate => Centre::Mean,
            Self::Throughput => Centre::Count,
        }
    }

    /// Which way is an improvement.
    #[must_use]
    pub fn better(self) -> Better {
        match self {
            Self::CacheHitRate => Better::Higher,
            Self::Throughput | Self::CpuUsage => Better::Neither,
            _ => Better::Lower,
        }
    }

    /// Whether values are shares between 0 and 1.
    #[must_use]
    pub fn is_ratio(self) -> bool {
        matches!(self, Self::CacheHitRate | Self::ErrorRate)
    }

    /// Whether effects are naturally multiplicative, so that work is done on the log scale.
    #[must_use]
    pub fn is_multiplicative(self) -> bool {
        !self.is_ratio()
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A metric name that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown metric {0:?}; known are {known}", known = Metric::ALL.map(Metric::as_str).join(", "))]
pub struct UnknownMetric(pub String);

impl FromStr for Metric {
    type Err = UnknownMetric;
    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        Self::ALL.into_iter().find(|m| m.as_str() == name).ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}

/// What a series is about. `step` is none for the run as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// The workflow.
    pub workflow_id: String,
    /// Its type.
    pub workflow_type: String,
    /// The derived step (`step_id` up to its first `/`), none for the run.
    pub step: Option<String>,
    /// What is measured.
    pub metric: Metric,
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Some(step) => write!(f, "{}/{}/{}", self.workflow_id, step, self.metric),
            None => write!(f, "{}//{}", self.workflow_id, self.metric),
        }
    }
}

/// A metric on a regular grid of complete buckets, oldest first.
///
/// `values[i]` belongs to the bucket `[start_us + i·period_us, start_us + (i+1)·period_us)`; NaN says that nothing
/// ran in it, which is not zero (throughput alone counts an empty bucket as 0). All vectors have one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is about.
    pub key: SeriesKey,
    /// Length of a bucket in microseconds.
    pub period_us: i64,
    /// Start of the first bucket.
    pub start_us: i64,
    /// The bucket's centre by [`Metric::centre`]; NaN where nothing ran.
    pub values: Vec<f64>,
    /// Executions behind each value.
    pub counts: Vec<u32>,
    /// Distribution of the executions in each bucket, in step with `values`.
    pub sketches: Sketches,
}

impl Series {
    /// Buckets from the first to the last, gaps included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no bucket at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Start of bucket `idx`.
    #[must_use]
    pub fn bucket_start_us(&self, idx: usize) -> i64 {
        let idx = i64::try_from(idx).unwrap_or(i64::MAX);
        self.start_us.saturating_add(idx.saturating_mul(self.period_us))
    }

    /// The distribution of all executions in buckets `from..to`.
    #[must_use]
    pub fn merged(&self, from: usize, to: usize) -> Sketch {
        self.sketches.merged(from..to)
    }
}
