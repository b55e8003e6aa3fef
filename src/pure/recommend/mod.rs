//! What to do next: typed, ranked, with the evidence it rests on.

use crate::units::Level;
use serde::{Deserialize, Serialize};

/// A bottleneck of a workflow with what it costs end to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// Stable: the same finding has the same id at every as-of.
    pub bottleneck_id: String,
    /// The workflow.
    pub workflow_id: String,
    /// The step, none where the run as a whole is meant.
    pub step: Option<String>,
    /// `slow_step, resource_exhaustion, api_limit, inefficient_algorithm, sequential_dependency, cache_miss`.
    pub kind: &'static str,
    /// `low, medium, high, critical`.
    pub severity: &'static str,
    /// Share of end-to-end time it costs, by replay, 0-1.
    pub impact: f64,
    /// Interval of `impact`.
    pub impact_lower: f64,
    /// Interval of `impact`.
    pub impact_upper: f64,
    /// Coverage of the intervals.
    pub level: Level,
    /// Milliseconds of a typical run that it costs.
    pub saving_ms: f64,
    /// A sentence.
    pub description: String,
    /// Likely causes, most likely first.
    pub causes: Vec<String>,
    /// Published rows that show it, as `table:key`.
    pub evidence: Vec<String>,
    /// `open` or `resolved`.
    pub status: &'static str,
    /// When it was first seen; carried over from earlier results at the edge.
    pub opened_at_us: i64,
}

/// One change of a configuration: set `path` from `from` to `to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// `set`, `add` or `remove`.
    pub op: &'static str,
    /// JSON pointer into the workflow's configuration, e.g. `/steps/align/resources/memory_mb`.
    pub path: String,
    /// The present value, null where unknown.
    pub from: serde_json::Value,
    /// The proposed value.
    pub to: serde_json::Value,
}

/// A ranked proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Stable: the same proposal has the same id at every as-of.
    pub recommendation_id: String,
    /// 1 = first.
    pub rank: u32,
    /// The workflow.
    pub workflow_id: String,
    /// What is to be changed: a step, `provider`, …
    pub target: String,
    /// `RESOURCE_ALLOCATION, PROVIDER_SELECTION, CACHING, PARALLEL_PROCESSING, ALGORITHM_OPTIMIZATION, LOAD_BALANCING`.
    pub kind: &'static str,
    /// `performance, cost, reliability, scalability, best_practices, parallelization`.
    pub category: &'static str,
    /// One line.
    pub title: String,
    /// Share of end-to-end time saved, by replay, 0-1, with interval.
    pub impact: f64,
    /// Interval of `impact`.
    pub impact_lower: f64,
    /// Interval of `impact`.
    pub impact_upper: f64,
    /// Coverage of all its intervals.
    pub level: Level,
    /// Milliseconds saved per run, with interval.
    pub saving_ms: f64,
    /// Interval of `saving_ms`.
    pub saving_ms_lower: f64,
    /// Interval of `saving_ms`.
    pub saving_ms_upper: f64,
    /// Money saved per run, where costs are known.
    pub saving_usd: Option<f64>,
    /// Interval of `saving_usd`.
    pub saving_usd_lower: Option<f64>,
    /// Interval of `saving_usd`.
    pub saving_usd_upper: Option<f64>,
    /// 0-1, by written rule.
    pub feasibility: f64,
    /// `low, medium, high`, by written rule.
    pub effort: &'static str,
    /// `low, medium, high`, by written rule.
    pub risk: &'static str,
    /// Probability that it works: the stated prior of its type.
    pub probability: f64,
    /// Machine-applicable changes.
    pub actions: Vec<Action>,
    /// Published rows that it rests on, as `table:key`; never empty.
    pub evidence: Vec<String>,
    /// `open`.
    pub status: &'static str,
    /// Place in the portfolio, whose savings are replayed together.
    pub portfolio_rank: u32,
    /// Joint saving per run of all of this workflow up to that rank.
    pub portfolio_saving_ms: f64,
}
