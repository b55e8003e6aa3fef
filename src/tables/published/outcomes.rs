use super::Instant;
use super::rows::published_table;

published_table! {
    /// What applied recommendations did: measured at the runs before and after, beside what was predicted.
    "outcomes" => OutcomeRow, grain "application of a recommendation", key [recommendation_id, applied_at];
    /// The recommendation.
    recommendation_id: String,
    /// Since when its change is in force.
    applied_at: Instant,
    /// Since when it no longer is; null while it is.
    rolled_back_at: Option<Instant>,
    /// The workflow.
    workflow_id: String,
    /// Its type, if it was known.
    workflow_type: Option<String>,
    /// What was to be changed.
    target: String,
    /// Type of the recommendation, as in recommendations.
    r#type: String,
    /// Its category, likewise.
    category: String,
    /// worked, no_effect (the interval holds no change and excludes what was predicted), worse, or unclear.
    verdict: String,
    /// Why that is the verdict.
    reason: String,
    /// What is compared: execution_time (end to end), cost, memory_held or cpu_held (of a step: request × time).
    metric: String,
    /// Share of it that is saved; negative: lost. Like with like: given input sizes and kinds of days.
    measured_share: Option<f64> => "ratio",
    /// Lower end of the interval of measured_share.
    measured_share_lower: Option<f64> => "ratio",
    /// Upper end of the interval of measured_share.
    measured_share_upper: Option<f64> => "ratio",
    /// Coverage probability of the measured intervals, whose units are days.
    level: f64 => "ratio",
    /// Runs before the change that were compared (executions, where those of a step are).
    n_before: i64,
    /// The same since.
    n_after: i64,
    /// Where the time before begins.
    measured_from: Instant,
    /// Where the time after ends: four weeks after the change, or with the next one of the workflow.
    measured_until: Instant,
    /// Mean end-to-end time before.
    before_ms: Option<f64> => "ms",
    /// End-to-end time saved per run, measured.
    measured_saving_ms: Option<f64> => "ms",
    /// Lower end of the interval of measured_saving_ms.
    measured_saving_ms_lower: Option<f64> => "ms",
    /// Upper end of the interval of measured_saving_ms.
    measured_saving_ms_upper: Option<f64> => "ms",
    /// Mean cost of a run before, where costs are known.
    before_usd: Option<f64> => "usd",
    /// Money saved per run, measured.
    measured_saving_usd: Option<f64> => "usd",
    /// Lower end of the interval of measured_saving_usd.
    measured_saving_usd_lower: Option<f64> => "usd",
    /// Upper end of the interval of measured_saving_usd.
    measured_saving_usd_upper: Option<f64> => "usd",
    /// Share of metric that was predicted to be saved; null where costs before are unknown.
    predicted_share: Option<f64> => "ratio",
    /// Time per run that was predicted to be saved.
    predicted_saving_ms: Option<f64> => "ms",
    /// Lower end of the interval of predicted_saving_ms.
    predicted_saving_ms_lower: Option<f64> => "ms",
    /// Upper end of the interval of predicted_saving_ms.
    predicted_saving_ms_upper: Option<f64> => "ms",
    /// Money per run that was predicted to be saved, where costs were known.
    predicted_saving_usd: Option<f64> => "usd",
    /// Lower end of the interval of predicted_saving_usd.
    predicted_saving_usd_lower: Option<f64> => "usd",
    /// Upper end of the interval of predicted_saving_usd.
    predicted_saving_usd_upper: Option<f64> => "usd",
    /// Coverage probability of the predicted intervals.
    predicted_level: Option<f64> => "ratio",
    /// Probability of success that was stated when it was applied.
    probability: Option<f64> => "ratio",
    /// Probability with which the policy had put it first then.
    propensity: Option<f64> => "ratio",
    /// Whether it was first then among the open ones of its workflow.
    was_first: bool,
}
