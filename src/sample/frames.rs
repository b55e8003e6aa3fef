//! Rows as the canonical tables.

use super::simulate::{RunRow, StepRow};
use polars::prelude::*;

/// Table `runs`.
pub(super) fn runs(rows: &[RunRow]) -> PolarsResult<DataFrame> {
    let text = |name, of: fn(&RunRow) -> Option<&str>| texts(name, rows.iter().map(of));
    let number = |name, of: fn(&RunRow) -> f64| Column::new(name, rows.iter().map(of).collect::<Vec<f64>>());
    let whole = |name, of: fn(&RunRow) -> i64| Column::new(name, rows.iter().map(of).collect::<Vec<i64>>());
    DataFrame::new(
        rows.len(),
        vec![
            text("run_id".into(), |row| Some(&row.run_id)),
            text("workflow_id".into(), |row| Some(row.workflow_id)),
            text("workflow_type".into(), |row| Some(row.workflow_type)),
            instants("started_at".into(), rows.iter().map(|row| row.started_us)),
            instants("ended_at".into(), rows.iter().map(|row| row.ended_us)),
            text("status".into(), |row| Some(status(row.has_failed))),
            text("provider".into(), |row| Some(row.provider)),
            text("platform".into(), |row| Some(row.platform)),
            text("experiment_id".into(), |row| row.experiment_id),
            text("variant".into(), |row| row.variant),
            text("unit_id".into(), |row| row.unit_id.as_deref()),
            number("queue_ms".into(), |row| row.queue_ms),
            whole("tokens".into(), |row| row.tokens),
            number("cost_usd".into(), |row| row.cost_usd),
            whole("input_bytes".into(), |row| row.input_bytes),
        ],
    )
}

/// Table `steps`.
pub(super) fn steps(rows: &[StepRow]) -> PolarsResult<DataFrame> {
    let text = |name, of: fn(&StepRow) -> Option<&str>| texts(name, rows.iter().map(of));
    let number = |name, of: fn(&StepRow) -> f64| Column::new(name, rows.iter().map(of).collect::<Vec<f64>>());
    let whole = |name, of: fn(&StepRow) -> Option<i64>| Column::new(name, rows.iter().map(of).collect::<Vec<_>>());
    DataFrame::new(
        rows.len(),
        vec![
            text("run_id".into(), |row| Some(&row.run_id)),
            text("workflow_id".into(), |row| Some(row.workflow_id)),
            text("workflow_type".into(), |row| Some(row.workflow_type)),
            text("step_id".into(), |row| Some(&row.step_id)),
            text("step_type".into(), |row| Some(row.step_type)),
            whole("attempt".into(), |row| Some(row.attempt)),
            dependencies("depends_on".into(), rows),
            text("parent_step_id".into(), |_| None),
            instants("started_at".into(), rows.iter().map(|row| row.started_us)),
            instants("ended_at".into(), rows.iter().map(StepRow::ended_us)),
            number("duration_ms".into(), |row| row.duration_ms),
            text("status".into(), |row| Some(status(row.has_failed))),
            text("provider".into(), |row| Some(row.provider)),
            text("platform".into(), |row| Some(row.platform)),
            number("cpu_pct".into(), |row| row.cpu_pct),
            number("memory_mb".into(), |row| row.memory_mb),
            number("cpu_request".into(), |row| row.cpu_request),
            number("memory_request_mb".into(), |row| row.memory_request_mb),
            whole("api_calls".into(), |row| Some(row.api_calls)),
            whole("network_bytes".into(), |row| Some(row.network_bytes)),
            whole("input_bytes".into(), |row| Some(row.input_bytes)),
            whole("output_bytes".into(), |row| Some(row.output_bytes)),
            whole("tokens_in".into(), |row| row.tokens_in),
            whole("tokens_out".into(), |row| row.tokens_out),
            number("cost_usd".into(), |row| row.cost_usd),
            text("cache_key".into(), |row| row.cache_key.as_deref()),
            // Known to have no hit where there is a key, unknown elsewhere.
            Column::new(
                "cache_hit".into(),
                rows.iter().map(|row| row.cache_key.as_ref().map(|_| false)).collect::<Vec<_>>(),
            ),
            Column::full_null("queue_ms".into(), rows.len(), &DataType::Float64),
        ],
    )
}

fn status(has_failed: bool) -> &'static str {
    if has_failed { "failed" } else { "succeeded" }
}

fn texts<'r>(name: PlSmallStr, values: impl Iterator<Item = Option<&'r str>>) -> Column {
    values.collect::<StringChunked>().with_name(name).into_column()
}

fn instants(name: PlSmallStr, values_us: impl Iterator<Item = i64>) -> Column {
    let values = Int64Chunked::from_vec(name, values_us.collect());
    values.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_column()
}

fn dependencies(name: PlSmallStr, rows: &[StepRow]) -> Column {
    let mut lists = ListStringChunkedBuilder::new(name, rows.len(), 2 * rows.len());
    for row in rows {
        lists.append_values_iter(row.depends_on.iter().copied());
    }
    lists.finish().into_column()
}
