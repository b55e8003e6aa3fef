use super::Instant;
use super::rows::published_table;

published_table! {
    /// Single executions that are strange for their size and group; those that ended since the job's previous as-of.
    "anomalies" => AnomalyRow, grain "run or step attempt", key [workflow_id, run_id, step_id, attempt, metric];
    /// The run.
    run_id: String,
    /// The execution within the run; null where the run as a whole is strange.
    step_id: Option<String>,
    /// Which try of the step, from 1; null for the run as a whole.
    attempt: Option<i64>,
    /// The workflow.
    workflow_id: String,
    /// The workflow's type.
    workflow_type: String,
    /// The derived step: step_id up to its first slash.
    step: Option<String>,
    /// When the execution started.
    started_at: Option<Instant>,
    /// When the execution ended.
    ended_at: Option<Instant>,
    /// How strange, 0-1; higher is stranger.
    score: f64 => "ratio",
    /// Which way the farthest column is off: slow, fast, heavy, light, chatty, quiet, busy, idle, costly or cheap.
    direction: String,
    /// low, medium, high or critical; info: no alarm, for the budget of alarms is spent on stranger ones.
    severity: String,
    /// The column that is farthest off.
    metric: String,
    /// Its value, in the unit of the metric.
    observed: f64,
    /// What was expected at this input size.
    expected: f64,
    /// Lower end of where values were expected.
    expected_lower: f64,
    /// Upper end of where values were expected.
    expected_upper: f64,
    /// Coverage probability of the expected interval.
    level: f64 => "ratio",
    /// Every column that is off, most first, with its factor.
    reasons: Vec<String>,
}
