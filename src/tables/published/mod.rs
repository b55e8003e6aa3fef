//! The tables that a run publishes: one table a file, its columns, units, meanings, grain and key.
//!
//! Neither `as_of` nor `period` and `date` are columns of the files: they are folders of the path, and a column of
//! the same name inside breaks hive readers (pyarrow can't merge a timestamp with the text of a folder's name, polars
//! can't parse it). In Postgres they are columns.

mod column;
mod rollups;
mod rows;
mod spec;

mod anomalies;
mod baselines;
mod bottlenecks;
mod capacity_plan;
mod change_points;
mod comparisons;
mod degradations;
mod experiments;
mod forecasts;
mod model_scores;
mod outcomes;
mod predictions;
mod recommendations;
mod rejects;
mod skips;
mod spread_changes;
mod step_times;
mod trends;

pub use anomalies::AnomalyRow;
pub use baselines::BaselineRow;
pub use bottlenecks::BottleneckRow;
pub use capacity_plan::CapacityPlanRow;
pub use change_points::ChangePointRow;
pub use column::{Instant, Json, Value};
pub use comparisons::ComparisonRow;
pub use degradations::DegradationRow;
pub use experiments::ExperimentResultRow;
pub use forecasts::ForecastRow;
pub use model_scores::ModelScoreRow;
pub use outcomes::OutcomeRow;
pub use predictions::PredictionRow;
pub use recommendations::RecommendationRow;
pub use rejects::RejectRow;
pub use rollups::{ROLLUPS, RollupColumns};
use rows::column_name;
pub use rows::{Row, to_batch};
pub use skips::SkipRow;
pub use spec::{ColumnKind, ColumnSpec, Partition, TableSpec};
pub use spread_changes::SpreadChangeRow;
pub use step_times::StepTimesRow;
pub use trends::TrendRow;

/// Every published table, in the order of the flow.
pub const TABLES: [&TableSpec; 19] = [
    &ROLLUPS,
    &BaselineRow::SPEC,
    &PredictionRow::SPEC,
    &ModelScoreRow::SPEC,
    &AnomalyRow::SPEC,
    &ChangePointRow::SPEC,
    &SpreadChangeRow::SPEC,
    &DegradationRow::SPEC,
    &BottleneckRow::SPEC,
    &StepTimesRow::SPEC,
    &ComparisonRow::SPEC,
    &TrendRow::SPEC,
    &ForecastRow::SPEC,
    &CapacityPlanRow::SPEC,
    &ExperimentResultRow::SPEC,
    &RecommendationRow::SPEC,
    &OutcomeRow::SPEC,
    &SkipRow::SPEC,
    &RejectRow::SPEC,
];

/// The table of this name.
#[must_use]
pub fn table(name: &str) -> Option<&'static TableSpec> {
    TABLES.into_iter().find(|spec| spec.name == name)
}
