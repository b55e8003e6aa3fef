use super::Instant;
use super::rows::published_table;

published_table! {
    /// What is normal today: centre, spread and interval of a metric in its present regime.
    "baselines" => BaselineRow, grain "workflow × step (null = the run) × metric", key [workflow_id, workflow_type, step, metric];
    /// The workflow.
    workflow_id: String,
    /// The workflow's type.
    workflow_type: String,
    /// The derived step, null for the run.
    step: Option<String>,
    /// What is measured.
    metric: String,
    /// The unit of all values of this row.
    unit: String,
    /// Centre of single executions in the regime, in the row's unit.
    value: f64,
    /// Lower end of the centre's own interval.
    value_lower: f64,
    /// Upper end of the centre's own interval.
    value_upper: f64,
    /// Coverage probability of the centre's interval.
    level: f64 => "ratio",
    /// Robust spread: 1.4826 times the median absolute deviation.
    spread: f64,
    /// Where single executions lie: the lower end (5 % quantile).
    normal_lower: f64,
    /// Where single executions lie: the upper end (95 % quantile).
    normal_upper: f64,
    /// Share of the regime's executions between normal_lower and normal_upper.
    normal_level: f64 => "ratio",
    /// How the centre is taken: median or mean.
    method: String,
    /// Executions behind it.
    sample_size: i64 => "executions",
    /// Start of the regime: nothing before it is in the baseline.
    regime_started_at: Instant,
    /// 1 + the change points before the regime: goes up by one when the normal changes.
    version: i64,
}
