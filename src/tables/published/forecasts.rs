use super::Instant;
use super::rows::published_table;

published_table! {
    /// What comes next: the point and its intervals for each step of the horizon.
    "forecasts" => ForecastRow, grain "workflow × step (null = the run) × metric × horizon × level", key [workflow_id, workflow_type, step, metric, horizon, level];
    /// The workflow.
    workflow_id: String,
    /// The workflow's type.
    workflow_type: String,
    /// The derived step, null for the run.
    step: Option<String>,
    /// What is forecast.
    metric: String,
    /// The unit of point, lower and upper.
    unit: String,
    /// Steps ahead of the cutoff, from 1.
    horizon: i64,
    /// Start of the bucket that is forecast.
    ds: Instant,
    /// What forecasts: models with their weights by the rolling-origin backtest, or a naive one alone where it was better.
    model: String,
    /// Centre of the forecast.
    point: f64,
    /// Lower end of the interval.
    lower: f64,
    /// Upper end of the interval.
    upper: f64,
    /// Coverage probability of the interval.
    level: f64 => "ratio",
    /// End of the last bucket that was known.
    cutoff: Instant,
}
