use super::Instant;
use super::rows::published_table;

published_table! {
    /// Steps that took longer in the latest window than like executions before: of the same size, provider, platform and
    /// hour of the week.
    "degradations" => DegradationRow, grain "workflow × step", key [workflow_id, workflow_type, step];
    /// The workflow.
    workflow_id: String,
    /// The workflow's type.
    workflow_type: String,
    /// The derived step.
    step: String,
    /// What got worse.
    metric: String,
    /// As configured: low, medium, high or critical.
    severity: String,
    /// Beginning of the latest window.
    window_start: Instant,
    /// Its end, the cutoff.
    window_end: Instant,
    /// Executions that ended in the window.
    n: i64 => "executions",
    /// Executions of the regime before it that they are compared with.
    n_before: i64 => "executions",
    /// What they took: the geometric mean, outliers drawn in.
    observed_ms: f64 => "ms",
    /// The same of what was expected of them.
    expected_ms: f64 => "ms",
    /// observed_ms ÷ expected_ms.
    ratio: f64 => "ratio",
    /// Lower end of the interval of ratio.
    ratio_lower: f64 => "ratio",
    /// Upper end of the interval of ratio.
    ratio_upper: f64 => "ratio",
    /// Coverage probability of the interval.
    level: f64 => "ratio",
    /// Significance, one-sided; rows of a run are those that share a false discovery rate of 5 %.
    p_value: f64 => "ratio",
}
