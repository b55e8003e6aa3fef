use super::rows::published_table;

published_table! {
    /// What the next execution of a step will need, and (step null) the next run of a workflow as a whole.
    "predictions" => PredictionRow, grain "workflow × step (null = the run) × provider × size bucket × target", key [workflow_id, workflow_type, step, provider, size_bucket, target];
    /// The workflow.
    workflow_id: String,
    /// The workflow's type.
    workflow_type: String,
    /// The derived step; null for the run as a whole: recent runs replayed with durations drawn from what is predicted of
    /// their steps; costs and tokens drawn likewise and added up. Of runs that succeed, without their queue time.
    step: Option<String>,
    /// The provider that it is for; null where the provider is unknown, and for whole runs, whose providers are those of
    /// recent runs.
    provider: Option<String>,
    /// small, typical or large: the 10 %, 50 % and 90 % quantile of recent input sizes; any where sizes are unknown, and
    /// for whole runs, whose sizes are those of recent runs.
    size_bucket: String,
    /// That size.
    input_bytes: Option<f64> => "bytes",
    /// duration_ms, memory_mb, cost_usd or tokens: what is predicted, in the unit of its name.
    target: String,
    /// Expected value: the median of the predictive distribution.
    point: f64,
    /// Lower end of the conformal interval.
    lower: f64,
    /// Upper end of the conformal interval.
    upper: f64,
    /// Coverage probability of the interval.
    level: f64 => "ratio",
    /// Executions of this very step that were learned from; 0 where the answer comes from alike steps. For a whole run
    /// the recorded runs that were replayed.
    n_seen: i64 => "executions",
}
