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
    /// What the metric is for: primary, guardrail.
    role: Option<String>,
    /// What stands for an arm: mean, log_ratio, proportion.
    stat: Option<String>,
    /// Why the decision is what it is.
    reason: Option<String>,
    /// Evidence against no effect, valid at any look; null for one look.
    e_value: Option<f64>,
    /// Sample-ratio mismatch, valid at any look.
    srm_sequential_p_value: Option<f64>,
    /// Posterior probability of the arm to be the best, with a flat prior.
    probability_best: Option<f64> => "ratio",
    /// Relative loss to be expected if the arm is taken, on average over the posterior.
    expected_loss: Option<f64> => "ratio",
    /// Relative effect that the units so far would find with a probability of 80 %.
    detectable_effect: Option<f64> => "ratio",
    /// Units of arm and control after which an effect of the estimated size would be found.
    units_to_decision: Option<f64> => "units",
    /// Days until then at the present volume.
    days_to_decision: Option<f64> => "days",
}
