use super::rows::published_table;

published_table! {
    /// Where a metric is heading. "stable" is shown by an interval within the margin, not assumed.
    "trends" => TrendRow, grain "workflow × step (null = the run) × metric × window", key [workflow_id, workflow_type, step, metric, window_days];
    /// The workflow.
    workflow_id: String,
    /// The workflow's type.
    workflow_type: String,
    /// The derived step, null for the run.
    step: Option<String>,
    /// What is measured.
    metric: String,
    /// The unit of slope_per_day, per day.
    unit: String,
    /// Length of the window.
    window_days: i64 => "days",
    /// Change over the whole window: relative (0.1 is 10 % more), absolute for metrics that are ratios.
    change: f64 => "ratio",
    /// Lower end of the interval of change.
    change_lower: f64 => "ratio",
    /// Upper end of the interval of change.
    change_upper: f64 => "ratio",
    /// Coverage probability of the interval.
    level: f64 => "ratio",
    /// Slope per day, in the row's unit.
    slope_per_day: f64,
    /// How monotone it is: Kendall's tau against time, 0-1 in absolute value.
    strength: f64 => "ratio",
    /// improving, degrading, rising, falling, stable or unclear.
    direction: String,
    /// Buckets with data in the window.
    sample_size: i64 => "buckets",
}
