//! From the results of the calculations to rows of published tables. Every struct is taken apart field by field, so
//! that a new field breaks the build here.

mod advice;
mod executions;
mod experiments;
mod series;

pub use advice::{bottlenecks, recommendation, step_times};
pub use executions::{Execution, Scored, alarm_score, anomaly, degradation, model_score, prediction};
pub use experiments::{ExperimentLook, comparison, experiment};
pub use series::{
    ChangePointState, ForecastGrid, baseline, capacity_plan, change_points, forecast_scores, forecasts, spread_changes,
    trends,
};

use crate::pure::detect::{Skip, SkipSubject};
use crate::pure::series::SeriesKey;
use crate::tables::published::SkipRow;

/// What was not analysed.
#[must_use]
pub fn skip(skip: &Skip) -> SkipRow {
    let Skip { analysis, subject, reason } = skip.clone();
    let (workflow, workflow_type, step, metric) = match subject {
        SkipSubject::Series(key) => {
            let SeriesKey { workflow_id, workflow_type, step, metric } = key;
            (workflow_id, Some(workflow_type), step, Some(metric.to_string()))
        }
        SkipSubject::Workflow { workflow, step } => (workflow, None, step, None),
    };
    SkipRow { analysis: analysis.to_owned(), workflow, workflow_type, step, metric, reason }
}

/// Counts never reach the end of i64.
fn signed<N: TryInto<i64>>(count: N) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
