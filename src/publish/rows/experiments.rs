//! Verdicts on experiments, and providers beside one another.

use super::signed;
use crate::pure::compare::Comparison;
use crate::pure::experiment::ExperimentRow;
use crate::pure::units::Interval;
use crate::tables::published::{ComparisonRow, ExperimentResultRow, Instant};

/// Which experiment a verdict is about, and how often it was looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExperimentLook<'a> {
    /// The experiment.
    pub experiment_id: &'a str,
    /// The type of its workflows.
    pub workflow_type: &'a str,
    /// How often it has been looked at, this time included.
    pub looks: i64,
    /// When it was first looked at.
    pub first_look_us: i64,
}

/// A comparison.
#[must_use]
pub fn comparison(comparison: &Comparison) -> ComparisonRow {
    let Comparison { workflow_type, dimension, a, b, metric, ratio, interval, n_a, n_b } = comparison.clone();
    let Interval { lower, upper, level } = interval;
    ComparisonRow {
        workflow_type,
        dimension: dimension.to_owned(),
        a,
        b,
        metric: metric.to_owned(),
        ratio,
        ratio_lower: lower,
        ratio_upper: upper,
        level: level.get(),
        n_a: signed(n_a),
        n_b: signed(n_b),
    }
}

/// The verdict on one arm.
#[must_use]
pub fn experiment(verdict: &ExperimentRow, look: &ExperimentLook<'_>) -> ExperimentResultRow {
    let ExperimentRow {
        metric,
        arm,
        n,
        estimate,
        effect,
        effect_lower,
        effect_upper,
        relative_effect,
        relative_lower,
        relative_upper,
        level,
        p_value,
        method,
        srm_p_value,
        decision,
        role,
        stat,
        reason,
        e_value,
        srm_sequential_p_value,
        probability_best,
        expected_loss,
        detectable_effect,
        units_to_decision,
        days_to_decision,
    } = verdict.clone();
    let ExperimentLook { experiment_id, workflow_type, looks, first_look_us } = *look;
    ExperimentResultRow {
        experiment_id: experiment_id.to_owned(),
        workflow_type: workflow_type.to_owned(),
        metric,
        arm,
        n: signed(n),
        estimate,
        effect,
        effect_lower,
        effect_upper,
        relative_effect,
        relative_lower,
        relative_upper,
        level: level.get(),
        p_value,
        method,
        srm_p_value,
        decision,
        looks,
        first_look_at: Instant(first_look_us),
        role: Some(role),
        stat: Some(stat),
        reason: Some(reason),
        e_value,
        srm_sequential_p_value: Some(srm_sequential_p_value).filter(|p| !p.is_nan()),
        probability_best,
        expected_loss,
        detectable_effect,
        units_to_decision,
        days_to_decision,
    }
}
