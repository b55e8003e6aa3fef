//! What experiments see of a day: sums by experiment, arm and hour, never rows.

use super::executions::{Day, Status};
use crate::pure::experiment::ArmStatistics;
use crate::pure::samples::UNKNOWN;
use crate::pure::series::Metric;
use crate::pure::units::HOUR_US;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What identifies one cell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArmKey {
    /// The workflow type that the experiment runs in.
    pub workflow_type: String,
    /// As recorded; none where only variants are.
    pub experiment_id: Option<String>,
    /// The arm.
    pub arm: String,
    /// Start of the hour in which the runs started.
    pub hour_us: i64,
}

/// Runs of one arm in one hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmCell {
    /// Runs assigned to the arm, whatever became of them.
    pub assigned: u64,
    /// One for each of [`ARM_METRICS`], in that order.
    pub statistics: Vec<ArmStatistics>,
}

/// What experiments can be judged by.
pub const ARM_METRICS: [Metric; 4] = [Metric::ExecutionTime, Metric::Cost, Metric::Tokens, Metric::ErrorRate];

/// The day's cells.
#[must_use]
pub(super) fn arm_statistics(day: &Day) -> BTreeMap<ArmKey, ArmCell> {
    let mut cells: BTreeMap<ArmKey, ArmCell> = BTreeMap::new();
    let word = |code: u32| day.vocabulary.word(code).map(str::to_owned);
    for i in (0..day.runs.len()).filter(|&i| day.run_variant[i] != UNKNOWN) {
        let key = ArmKey {
            workflow_type: word(day.runs.workflow_type[i]).unwrap_or_default(),
            experiment_id: word(day.run_experiment[i]),
            arm: word(day.run_variant[i]).unwrap_or_default(),
            hour_us: day.runs.bucket_us[i].div_euclid(HOUR_US) * HOUR_US,
        };
        let cell = cells.entry(key).or_default();
        cell.assigned += 1;
        cell.statistics.resize_with(ARM_METRICS.len(), ArmStatistics::default);
        for (statistics, metric) in cell.statistics.iter_mut().zip(ARM_METRICS) {
            if let Some(value) = outcome(day, i, metric) {
                statistics.add(value);
            }
        }
    }
    cells
}

fn outcome(day: &Day, i: usize, metric: Metric) -> Option<f64> {
    let status = day.runs.status[i];
    let succeeded = status == Status::Succeeded;
    let finished = succeeded || status == Status::Failed;
    let (counts, value) = match metric {
        Metric::ExecutionTime => (succeeded, day.runs.duration_ms[i]),
        Metric::Cost => (finished, day.runs.cost_usd[i]),
        Metric::Tokens => (finished, day.runs.tokens[i]),
        Metric::ErrorRate => (finished, f64::from(status == Status::Failed)),
        _ => (false, f64::NAN),
    };
    (counts && value.is_finite()).then_some(value)
}
