use super::Instant;
use super::rows::published_table;

published_table! {
    /// Did it work? Each arm of each experiment against its control.
    "experiments" => ExperimentResultRow, grain "experiment × metric × arm", key [experiment_id, workflow_type, metric, arm];
    /// The experiment.
    experiment_id: String,
    /// The type of the workflows that take part.
    workflow_type: String,
    /// The metric.
    metric: String,
    /// The arm.
    arm: String,
    /// Units in the arm.
    n: i64 => "units",
    /// The arm's own estimate, in the unit of the metric.
    estimate: f64,
    /// Arm minus control; null in the control's own row.
    effect: Option<f64>,
    /// Lower end of the interval of effect.
    effect_lower: Option<f64>,
    /// Upper end of the interval of effect.
    effect_upper: Option<f64>,
    /// effect / control, by the delta method.
    relative_effect: Option<f64> => "ratio",
    /// Lower end of the interval of relative_effect.
    relative_lower: Option<f64> => "ratio",
    /// Upper end of the interval of relative_effect.
    relative_upper: Option<f64> => "ratio",
    /// Coverage probability of the intervals.
    level: f64 => "ratio",
    /// Significance against no effect.
    p_value: Option<f64>,
    /// How it was judged.
    method: String,
    /// Sample-ratio mismatch: small values say that the split itself is broken.
    srm_p_value: f64,
    /// ship, rollback, keep_running, inconclusive or invalid.
    decision: String,
    /// How often the experiment has been looked at, this time included.
    looks: i64,
    /// When it was first looked at.
    first_look_at: Instant,
}
