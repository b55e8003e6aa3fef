use super::Instant;
use super::rows::published_table;

published_table! {
    /// Where the executions of a series began to scatter more, or less.
    "spread_changes" => SpreadChangeRow, grain "workflow × step (null = the run) × metric × instant", key [workflow_id, workflow_type, step, metric, changed_at];
    /// The workflow.
    workflow_id: String,
    /// The workflow's type.
    workflow_type: String,
    /// The derived step, null for the run.
    step: Option<String>,
    /// What is measured.
    metric: String,
    /// Start of the first bucket of the new regime.
    changed_at: Instant,
    /// Spread before: a day's 90th over its 10th percentile.
    before: f64 => "ratio",
    /// Spread after.
    after: f64 => "ratio",
    /// after / before.
    effect_ratio: f64 => "ratio",
    /// Lower end of the interval of effect_ratio.
    effect_lower: f64 => "ratio",
    /// Upper end of the interval of effect_ratio.
    effect_upper: f64 => "ratio",
    /// Coverage probability of the interval.
    level: f64 => "ratio",
    /// Significance of the change.
    p_value: f64,
}
