use super::rows::published_table;

published_table! {
    /// What costs the time of a run: every step of the workflows whose recent runs can be replayed, in all of these and in
    /// a typical one.
    "step_times" => StepTimesRow, grain "workflow × step", key [workflow_id, step];
    /// The workflow.
    workflow_id: String,
    /// The derived step.
    step: String,
    /// Recent runs that have it.
    n_runs: i64,
    /// Executions a run, of those that have it.
    n_executions: f64,
    /// Mean time of an execution; one that a cache answered takes none.
    duration_ms: f64 => "ms",
    /// Mean time between the last dependency of an execution having ended and its start; null where times are unknown.
    wait_ms: f64 => "ms",
    /// How much longer its tightest execution could take before the run did, with a slot for everyone; mean over its runs.
    slack_ms: f64 => "ms",
    /// Time of a run in which nothing else was waited for, its waits included; mean over all recent runs.
    blocking_ms: f64 => "ms",
    /// That part of the time of the runs: adds up to 1 over the steps of a workflow.
    blocking_share: f64 => "ratio",
    /// The recent run whose end-to-end time is nearest to the median, the latest among equals.
    typical_run_id: String,
    /// When its first execution could have started in the typical run, from the run's first start; null where that run lacks
    /// the step.
    typical_ready_ms: Option<f64> => "ms",
    /// When its first execution started there; where times are unknown, and of what a cache answered, when it was ready.
    typical_start_ms: Option<f64> => "ms",
    /// When its last execution ended there.
    typical_end_ms: Option<f64> => "ms",
    /// Whether the end of the typical run waited for it: followed back from the execution that ended last, the dependency that
    /// ended last, and so on.
    is_on_critical_path: bool,
    /// Confidence of the least certain dependency, where they were inferred from times; null where they were declared.
    inferred_confidence: Option<f64> => "ratio",
}
