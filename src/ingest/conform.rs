//! Raw rows into canonical tables. Rows that can't be trusted are refused, not repaired and not silently dropped.
//!
//! **Defaults.** `attempt` is 1, `workflow_type` is `workflow_id`, `duration_ms` is `ended_at - started_at`, an empty
//! text is null. Integers and floats of other widths are widened; text (as in CSV) is read where it parses in full.
//!
//! **Status words**, whatever their case, with `-` or a space for `_`:
//!
//! | canonical | words |
//! |---|---|
//! | `succeeded` | succeeded, success, successful, completed, complete, ok, passed, pass, done, finished, cached, status_code_ok |
//! | `failed` | failed, failure, fail, error, errored, err, timeout, timed_out, crashed, killed, oom, out_of_memory, startup_failure, exception, status_code_error |
//! | `cancelled` | cancelled, canceled, cancel, aborted, abort, stopped, terminated, revoked, skipped, upstream_failed, removed |
//! | `running` | running, started, in_progress, inprogress, queued, pending, waiting, scheduled, submitted, new, up_for_retry |
//!
//! `cached` also sets `cache_hit`. An unknown status is null; an unknown word is a reject.
//!
//! **Rejects.** One a row, for the first of these that holds: missing key; a value that is not of its column's type
//! (unparsable time, not a number); negative or non-finite numbers; unknown status; end before start; no duration
//! (neither `duration_ms` nor both times) of a step that succeeded or whose status is unknown; a key that another
//! row with other content has already ([`crate::tables::Fate`]). Exact duplicates are counted. A missing
//! required column, a column of a type that can't be read, or timestamps without a zone refuse the whole file.

mod cast;
mod complete;
mod origin;
pub mod status;

pub use origin::Origin;

use crate::tables::{CanonicalTable, Fate, Field, Reject, Rejects, Runs, Schema, Steps, fates, steps};
pub(super) use cast::parsed_list;
use cast::{CastError, Fault, cast};
use complete::{complete_runs, complete_steps};
use polars::error::PolarsResult;
use polars::prelude::{BooleanChunked, DataFrame, IdxSize, IntoColumn, NewChunkedArray, Series};

/// A canonical table and what was not accepted into it.
#[derive(Debug, Clone)]
pub struct Conformed<T> {
    /// The accepted rows, in the order of the source.
    pub table: T,
    /// The refused ones.
    pub rejects: Rejects,
    /// Rows that repeat an accepted row exactly.
    pub exact_duplicates: u64,
    /// Rows of executions still running that another row of the same source tells more of.
    pub superseded: u64,
    /// Columns that the contract does not know; they are kept out.
    pub unknown_columns: Vec<String>,
    origin: Origin,
    /// Row of the source of each accepted row; none: all were accepted.
    source_rows: Option<Vec<IdxSize>>,
}

impl<T: CanonicalTable> Conformed<T> {
    /// A table that was made here rather than read; `name` stands for its file.
    #[must_use]
    pub fn trusted(table: T, name: &str) -> Self {
        Self {
            table,
            rejects: Rejects::default(),
            exact_duplicates: 0,
            superseded: 0,
            unknown_columns: Vec::new(),
            origin: Origin::file(name),
            source_rows: None,
        }
    }

    /// File and 0-based row that the accepted row `row` came from.
    #[must_use]
    pub fn locate(&self, row: usize) -> (&str, u64) {
        let source_row = match &self.source_rows {
            None => row as u64,
            Some(rows) => rows.get(row).map_or(row as u64, |&row| u64::from(row)),
        };
        self.origin.locate(source_row)
    }
}

/// Conforms rows of runs.
///
/// # Errors
/// Only for faults of the table library; bad input is in the rejects.
pub fn conform_runs(frame: &DataFrame, origin: impl Into<Origin>) -> PolarsResult<Conformed<Runs>> {
    conform(frame, origin.into(), complete_runs)
}

/// Conforms rows of steps.
///
/// # Errors
/// Only for faults of the table library; bad input is in the rejects.
pub fn conform_steps(frame: &DataFrame, origin: impl Into<Origin>) -> PolarsResult<Conformed<Steps>> {
    conform(frame, origin.into(), complete_steps)
}

fn conform<T: CanonicalTable>(
    frame: &DataFrame,
    origin: Origin,
    complete: fn(&mut Draft<'_>) -> PolarsResult<()>,
) -> PolarsResult<Conformed<T>> {
    let unknown_columns = unknown_columns(frame, T::SCHEMA);
    let refused = |reason: String| whole_file::<T>(&origin, reason, unknown_columns.clone());
    if let Some(reason) = missing_columns(frame, T::SCHEMA) {
        return refused(reason);
    }
    let mut draft = match Draft::cast(frame, T::SCHEMA, &origin) {
        Ok(draft) => draft,
        Err(CastError::Frame(error)) => return Err(error),
        Err(error @ CastError::Type { .. }) => return refused(error.to_string()),
    };
    complete(&mut draft)?;
    let (accepted, source_rows) = draft.accepted()?;
    let Draft { rejects, .. } = draft;
    let table = T::SCHEMA.arrange(&accepted).map_err(|error| polars::error::polars_err!(ComputeError: "{error}"))?;
    let conformed =
        Conformed { rejects, unknown_columns, source_rows, origin, ..Conformed::trusted(T::from_arranged(table), "") };
    without_duplicates(conformed)
}

/// The partition column of the lake is no column of its tables, and nobody's mistake.
const PARTITION: &str = "date";

fn unknown_columns(frame: &DataFrame, schema: &Schema) -> Vec<String> {
    let names = frame.get_column_names().into_iter().map(|name| name.to_string());
    names.filter(|name| schema.field(name).is_none() && name != PARTITION).collect()
}

fn missing_columns(frame: &DataFrame, schema: &Schema) -> Option<String> {
    let has = |name: &str| frame.column(name).is_ok();
    let required = schema.fields.iter().filter(|field| field.required && field.name != steps::ATTEMPT);
    let mut missing: Vec<&str> = required.map(|field| field.name).filter(|name| !has(name)).collect();
    let knows_durations = has(steps::DURATION_MS) || (has(steps::STARTED_AT) && has(steps::ENDED_AT));
    if schema.field(steps::DURATION_MS).is_some() && !knows_durations {
        missing.push("duration_ms (or started_at and ended_at)");
    }
    let found = frame.get_column_names().iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    (!missing.is_empty()).then(|| {
        format!(
            "{} rows need the column {}; found {found}; name them in a column map",
            schema.table,
            missing.join(" and ")
        )
    })
}

fn whole_file<T: CanonicalTable>(origin: &Origin, reason: String, unknown: Vec<String>) -> PolarsResult<Conformed<T>> {
    let table = T::empty().map_err(|error| polars::error::polars_err!(ComputeError: "{error}"))?;
    let rejects = origin.files().map(|file| Reject::file(file, reason.clone())).collect();
    Ok(Conformed { rejects, unknown_columns: unknown, ..Conformed::trusted(table, "") })
}

/// Columns in their canonical types, and the rows refused so far.
struct Draft<'a> {
    raw: &'a DataFrame,
    origin: &'a Origin,
    columns: DataFrame,
    /// Empty until a row is refused.
    refused: Vec<bool>,
    rejects: Rejects,
}

impl<'a> Draft<'a> {
    fn cast(raw: &'a DataFrame, schema: &Schema, origin: &'a Origin) -> Result<Self, CastError> {
        let mut draft = Self {
            raw,
            origin,
            columns: DataFrame::empty_with_height(raw.height()),
            refused: Vec::new(),
            rejects: Rejects::default(),
        };
        let mut faults: Vec<(&Field, Fault)> = Vec::new();
        for field in schema.fields {
            let Ok(column) = raw.column(field.name) else { continue };
            let cast = cast(column, field)?;
            draft.columns.with_column(cast.column)?;
            faults.extend(cast.faults.into_iter().map(|fault| (field, fault)));
        }
        // A value that could not be read is null by now and would look missing: say what it was first.
        for (field, fault) in faults {
            draft.refuse(field.name, &fault);
        }
        for field in schema.fields.iter().filter(|field| field.required && field.name != steps::ATTEMPT) {
            draft.refuse_nulls(field.name)?;
        }
        Ok(draft)
    }

    fn refuse(&mut self, column: &'static str, fault: &Fault) {
        if self.refused.is_empty() {
            self.refused = vec![false; self.raw.height()];
        }
        let source = self.raw.column(column).ok();
        for ((row, bad), refused) in fault.mask.iter().enumerate().zip(&mut self.refused) {
            if bad != Some(true) || *refused {
                continue;
            }
            *refused = true;
            let value = source.and_then(|source| source.get(row).ok()).filter(|value| !value.is_null());
            let value = value.map(|value| value.str_value().into_owned());
            let (file, row) = self.origin.locate(row as u64);
            self.rejects.push(Reject::value(file, row, column, value.as_deref(), fault.reason));
        }
    }

    fn refuse_nulls(&mut self, name: &'static str) -> PolarsResult<()> {
        let column = self.columns.column(name)?;
        if column.null_count() > 0 {
            let fault = Fault { mask: column.is_null(), reason: "missing key" };
            self.refuse(name, &fault);
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<Series> {
        self.columns.column(name).ok().map(|column| column.as_materialized_series().clone())
    }

    fn set(&mut self, series: Series, name: &'static str) -> PolarsResult<()> {
        self.columns.with_column(series.into_column().with_name(name.into())).map(|_| ())
    }

    /// The rows that were not refused, and which rows of the source they are (none: all).
    fn accepted(&self) -> PolarsResult<(DataFrame, Option<Vec<IdxSize>>)> {
        if self.refused.is_empty() {
            return Ok((self.columns.clone(), None));
        }
        let kept: Vec<bool> = self.refused.iter().map(|refused| !refused).collect();
        let rows = (0..).zip(&kept).filter(|(_, kept)| **kept).map(|(row, _)| row).collect();
        Ok((self.columns.filter(&BooleanChunked::from_slice("kept".into(), &kept))?, Some(rows)))
    }
}

fn without_duplicates<T: CanonicalTable>(conformed: Conformed<T>) -> PolarsResult<Conformed<T>> {
    let Some(fates) = fates(conformed.table.frame(), T::SCHEMA)? else {
        return Ok(conformed);
    };
    let count = |fate: Fate| fates.iter().filter(|&&f| f == fate).count() as u64;
    let (exact_duplicates, superseded) = (count(Fate::Exact), count(Fate::Superseded));
    let conflicts = conflicts(&conformed, &fates);
    let kept: Vec<bool> = fates.iter().map(|&fate| fate == Fate::Stands).collect();
    let rows = (0..conformed.table.height()).zip(&kept).filter(|(_, kept)| **kept);
    let source_rows = rows.map(|(row, _)| source_row(conformed.source_rows.as_deref(), row)).collect();
    let frame = conformed.table.frame().filter(&BooleanChunked::from_slice("kept".into(), &kept))?;
    let mut rejects = conformed.rejects;
    rejects.extend(conflicts);
    let source_rows = Some(source_rows);
    Ok(Conformed { table: T::from_arranged(frame), rejects, exact_duplicates, superseded, source_rows, ..conformed })
}

fn source_row(source_rows: Option<&[IdxSize]>, row: usize) -> IdxSize {
    let same = IdxSize::try_from(row).unwrap_or(IdxSize::MAX);
    source_rows.and_then(|rows| rows.get(row).copied()).unwrap_or(same)
}

/// What a row is told whose key another row has.
pub(super) const CONFLICT: &str = "duplicate key with different content";

fn conflicts<T: CanonicalTable>(conformed: &Conformed<T>, fates: &[Fate]) -> Vec<Reject> {
    let rows = fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Conflict).map(|(row, _)| row);
    rows.map(|row| {
        let (file, source_row) = conformed.locate(row);
        conflict::<T>(file, source_row, &key_text::<T>(conformed.table.frame(), row))
    })
    .collect()
}

/// The reject of a row whose key another row has.
pub(super) fn conflict<T: CanonicalTable>(file: &str, row: u64, key: &str) -> Reject {
    Reject::value(file, row, &T::SCHEMA.key.join(","), Some(key), CONFLICT)
}

/// The key of a row as text.
pub(super) fn key_text<T: CanonicalTable>(frame: &DataFrame, row: usize) -> String {
    let values = T::SCHEMA.key.iter().filter_map(|name| frame.column(name).ok()?.get(row).ok());
    values.map(|value| value.str_value().into_owned()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
#[path = "conform/tests.rs"]
mod tests;
