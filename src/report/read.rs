//! Published files back into the rows that they were written from.

use crate::error::{Error, Result};
use crate::publish::parquet::read_table;
use crate::tables::published::{
    AnomalyRow, BaselineRow, BottleneckRow, CapacityPlanRow, ChangePointRow, ComparisonRow, DegradationRow,
    ExperimentResultRow, ForecastRow, Instant, Json, ModelScoreRow, OutcomeRow, RecommendationRow, RejectRow, Row,
    SkipRow, SpreadChangeRow, StepTimesRow, TableSpec, TrendRow,
};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema, TimestampMicrosecondType};
use bytes::Bytes;

/// A row that can be read back. The inverse of [`crate::tables::published::to_batch`].
pub trait Published: Row {
    /// The rows of a batch whose columns have been checked against the table's.
    fn from_batch(batch: &RecordBatch) -> Vec<Self>;
}

/// Gives every row of a published file to `take`, a batch at a time. `location` is what errors call the file.
///
/// # Errors
/// [`Error::Verification`] when it is no readable Parquet file, or its columns are not those of the table.
pub fn for_each_row<R: Published>(bytes: Bytes, location: &str, mut take: impl FnMut(R)) -> Result<()> {
    for batch in read_table(bytes)? {
        let batch = batch.map_err(|e| Error::Verification(format!("{location}: no readable Parquet file: {e}")))?;
        check_columns(&batch.schema(), &R::SPEC, location)?;
        R::from_batch(&batch).into_iter().for_each(&mut take);
    }
    Ok(())
}

/// Columns may be more than the table's (a later version wrote them), never fewer or others.
pub(super) fn check_columns(schema: &Schema, spec: &TableSpec, location: &str) -> Result<()> {
    for column in spec.columns {
        let (expected, found) = (column.kind.arrow(), schema.field_with_name(column.name).ok().map(|f| f.data_type()));
        if found.is_none_or(|found| !same_type(found, &expected)) {
            let found = found.map_or_else(|| "no such column".to_owned(), ToString::to_string);
            return Err(Error::Verification(format!(
                "{location}: column {:?} of {}: found {found}, expected {expected}; another version wrote it: repeat \
                 `paceline run` for this as-of",
                column.name, spec.name
            )));
        }
    }
    Ok(())
}

/// Whether the items of a list may be null is no difference that reading notices.
fn same_type(found: &DataType, expected: &DataType) -> bool {
    match (found, expected) {
        (DataType::List(found), DataType::List(expected)) => found.data_type() == expected.data_type(),
        _ => found == expected,
    }
}

/// A value of a column. Nulls of columns that can't hold any read as empty.
trait Cell {
    fn read(column: &ArrayRef, row: usize) -> Self;
}

impl Cell for String {
    fn read(column: &ArrayRef, row: usize) -> Self {
        Option::<Self>::read(column, row).unwrap_or_default()
    }
}

impl Cell for Option<String> {
    fn read(column: &ArrayRef, row: usize) -> Self {
        let texts = column.as_string_opt::<i32>()?;
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    }
}

impl Cell for Json {
    fn read(column: &ArrayRef, row: usize) -> Self {
        Self(Cell::read(column, row))
    }
}

impl Cell for f64 {
    fn read(column: &ArrayRef, row: usize) -> Self {
        Option::<Self>::read(column, row).unwrap_or(Self::NAN)
    }
}

impl Cell for Option<f64> {
    fn read(column: &ArrayRef, row: usize) -> Self {
        let numbers = column.as_primitive_opt::<Float64Type>()?;
        numbers.is_valid(row).then(|| numbers.value(row))
    }
}

impl Cell for i64 {
    fn read(column: &ArrayRef, row: usize) -> Self {
        Option::<Self>::read(column, row).unwrap_or_default()
    }
}

impl Cell for Option<i64> {
    fn read(column: &ArrayRef, row: usize) -> Self {
        let numbers = column.as_primitive_opt::<Int64Type>()?;
        numbers.is_valid(row).then(|| numbers.value(row))
    }
}

impl Cell for bool {
    fn read(column: &ArrayRef, row: usize) -> Self {
        column.as_boolean_opt().is_some_and(|flags| flags.is_valid(row) && flags.value(row))
    }
}

impl Cell for Instant {
    fn read(column: &ArrayRef, row: usize) -> Self {
        Option::<Self>::read(column, row).unwrap_or(Self(0))
    }
}

impl Cell for Option<Instant> {
    fn read(column: &ArrayRef, row: usize) -> Self {
        let instants = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        instants.is_valid(row).then(|| Instant(instants.value(row)))
    }
}

impl Cell for Vec<String> {
    fn read(column: &ArrayRef, row: usize) -> Self {
        let Some(lists) = column.as_list_opt::<i32>().filter(|lists| lists.is_valid(row)) else { return Self::new() };
        let items = lists.value(row);
        items.as_string_opt::<i32>().map_or_else(Self::new, |texts| texts.iter().flatten().map(str::to_owned).collect())
    }
}

/// Names every field, so that a column that is added must be added here.
macro_rules! readable {
    ($row:ident { $($field:ident),+ $(,)? }) => {
        impl Published for $row {
            fn from_batch(batch: &RecordBatch) -> Vec<Self> {
                $(
                    let name = stringify!($field);
                    let Some($field) = batch.column_by_name(name.strip_prefix("r#").unwrap_or(name)) else {
                        return Vec::new();
                    };
                )+
                (0..batch.num_rows()).map(|row| Self { $( $field: Cell::read($field, row), )+ }).collect()
            }
        }
    };
}

readable!(AnomalyRow {
    run_id,
    step_id,
    attempt,
    workflow_id,
    workflow_type,
    step,
    started_at,
    ended_at,
    score,
    direction,
    severity,
    metric,
    observed,
    expected,
    expected_lower,
    expected_upper,
    level,
    reasons,
});
readable!(BaselineRow {
    workflow_id,
    workflow_type,
    step,
    metric,
    unit,
    value,
    value_lower,
    value_upper,
    level,
    spread,
    normal_lower,
    normal_upper,
    normal_level,
    method,
    sample_size,
    regime_started_at,
    version,
});
readable!(BottleneckRow {
    rank,
    bottleneck_id,
    workflow_id,
    step,
    r#type,
    severity,
    impact,
    impact_lower,
    impact_upper,
    level,
    saving_ms,
    description,
    causes,
    evidence,
    status,
    opened_at,
    inferred_confidence,
});
readable!(ChangePointRow {
    workflow_id,
    workflow_type,
    step,
    metric,
    unit,
    changed_at,
    before,
    after,
    effect_ratio,
    effect_lower,
    effect_upper,
    level,
    p_value,
    state,
});
readable!(SpreadChangeRow {
    workflow_id,
    workflow_type,
    step,
    metric,
    changed_at,
    before,
    after,
    effect_ratio,
    effect_lower,
    effect_upper,
    level,
    p_value,
});
readable!(DegradationRow {
    workflow_id,
    workflow_type,
    step,
    metric,
    severity,
    window_start,
    window_end,
    n,
    n_before,
    observed_ms,
    expected_ms,
    ratio,
    ratio_lower,
    ratio_upper,
    level,
    p_value,
});
readable!(ComparisonRow { workflow_type, dimension, a, b, metric, ratio, ratio_lower, ratio_upper, level, n_a, n_b });
readable!(ExperimentResultRow {
    experiment_id,
    workflow_type,
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
    looks,
    first_look_at,
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
});
readable!(CapacityPlanRow {
    resource,
    provider,
    unit,
    growth,
    horizon,
    ds,
    demand_p50,
    demand_p80,
    demand_p95,
    demand_lower,
    demand_upper,
    level,
    capacity,
    shortage_probability,
    exhausted_on,
    exhausted_lower,
    exhausted_upper,
    cutoff,
});

readable!(ForecastRow {
    workflow_id,
    workflow_type,
    step,
    metric,
    unit,
    horizon,
    ds,
    model,
    point,
    lower,
    upper,
    level,
    cutoff,
});
readable!(ModelScoreRow {
    engine,
    target,
    group_id,
    model,
    is_rival,
    n,
    in20,
    mdape,
    wape,
    mase,
    coverage,
    width_ratio,
    level,
    coverage_state,
});
readable!(RecommendationRow {
    recommendation_id,
    rank,
    workflow_id,
    target,
    r#type,
    category,
    title,
    impact,
    impact_lower,
    impact_upper,
    level,
    saving_ms,
    saving_ms_lower,
    saving_ms_upper,
    saving_usd,
    saving_usd_lower,
    saving_usd_upper,
    feasibility,
    effort,
    risk,
    probability,
    actions,
    evidence,
    status,
    portfolio_rank,
    portfolio_saving_ms,
    inferred_confidence,
    workflow_type,
    propensity,
});
readable!(OutcomeRow {
    recommendation_id,
    applied_at,
    rolled_back_at,
    workflow_id,
    workflow_type,
    target,
    r#type,
    category,
    verdict,
    reason,
    metric,
    measured_share,
    measured_share_lower,
    measured_share_upper,
    level,
    n_before,
    n_after,
    measured_from,
    measured_until,
    before_ms,
    measured_saving_ms,
    measured_saving_ms_lower,
    measured_saving_ms_upper,
    before_usd,
    measured_saving_usd,
    measured_saving_usd_lower,
    measured_saving_usd_upper,
    predicted_share,
    predicted_saving_ms,
    predicted_saving_ms_lower,
    predicted_saving_ms_upper,
    predicted_saving_usd,
    predicted_saving_usd_lower,
    predicted_saving_usd_upper,
    predicted_level,
    probability,
    propensity,
    was_first,
});
readable!(RejectRow { file, row, column, value, reason });
readable!(SkipRow { analysis, workflow, workflow_type, step, metric, reason });
readable!(StepTimesRow {
    workflow_id,
    step,
    n_runs,
    n_executions,
    duration_ms,
    wait_ms,
    slack_ms,
    blocking_ms,
    blocking_share,
    typical_run_id,
    typical_ready_ms,
    typical_start_ms,
    typical_end_ms,
    is_on_critical_path,
    inferred_confidence,
});
readable!(TrendRow {
    workflow_id,
    workflow_type,
    step,
    metric,
    unit,
    window_days,
    change,
    change_lower,
    change_upper,
    level,
    slope_per_day,
    strength,
    direction,
    sample_size,
});
