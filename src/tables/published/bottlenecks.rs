use super::Instant;
use super::rows::published_table;

published_table! {
    /// What makes a workflow slow, with the share of end-to-end time that it costs by replay. Rank 1 costs most.
    "bottlenecks" => BottleneckRow, grain "workflow × step × type", key [rank, bottleneck_id];
    /// 1 for the largest impact; the file is sorted by it.
    rank: i64,
    /// Stable: the same finding has the same id at every as-of.
    bottleneck_id: String,
    /// The workflow.
    workflow_id: String,
    /// The derived step, null where the run as a whole is meant.
    step: Option<String>,
    /// slow_step, resource_exhaustion, api_limit, inefficient_algorithm, sequential_dependency or cache_miss.
    r#type: String,
    /// low, medium, high or critical.
    severity: String,
    /// Share of end-to-end time that it costs, 0-1, by replay of recorded runs.
    impact: f64 => "ratio",
    /// Lower end of the interval of impact.
    impact_lower: f64 => "ratio",
    /// Upper end of the interval of impact.
    impact_upper: f64 => "ratio",
    /// Coverage probability of the interval.
    level: f64 => "ratio",
    /// What it costs a typical run.
    saving_ms: f64 => "ms",
    /// What was found, in a sentence.
    description: String,
    /// Likely causes, most likely first.
    causes: Vec<String>,
    /// Published rows that show it, as table:key.
    evidence: Vec<String>,
    /// open or resolved.
    status: String,
    /// When it was first seen.
    opened_at: Instant,
    /// Confidence of the least certain dependency of a replay whose dependencies were inferred from times; null where they were
    /// declared, or nothing was replayed.
    inferred_confidence: Option<f64> => "ratio",
}
