//! The lake: where its partitions lie, and how rows are merged into them.
//!
//! `runs/date=YYYY-MM-DD/` and `steps/date=YYYY-MM-DD/` hold the rows of the runs that started on that UTC date; a step
//! lies with its run. Merging compares rows by key ([`crate::tables::Fate`]) and rewrites a partition only if
//! it changes, so bringing a file in twice leaves every byte as it was. Two writers at once can lose rows of a partition
//! that both write: run one `ingest` of a lake at a time.

use super::conform::Conformed;
use super::dates::{days, days_by_run, step_days};
use super::merge::merge;
use crate::error::{Error, Result};
use crate::io::{Object, Store};
use crate::tables::{CanonicalTable, Reject, Rejects, Runs, Steps, steps};
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use polars::prelude::DataFrame;
use std::collections::BTreeMap;

/// Folder of the rejects that the next run publishes.
const REJECTS: &str = "_rejects";
/// Requests to the store at a time.
const READS_AT_ONCE: usize = 8;

/// One date of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// UTC date on which its runs started.
    pub date: NaiveDate,
    /// Its Parquet files, sorted by path.
    pub objects: Vec<Object>,
}

/// What writing changed in one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableChange {
    /// Partitions rewritten.
    pub partitions: u64,
    /// Rows that the lake did not have.
    pub new: u64,
    /// Rows that it had already, or that tell less than the row it has.
    pub known: u64,
    /// Rows of the lake that gave way to later news of an execution that was running.
    pub replaced: u64,
}

/// What writing changed in the lake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeChange {
    /// In `runs`.
    pub runs: TableChange,
    /// In `steps`.
    pub steps: TableChange,
    /// Rows whose key the lake has with other content, and rows that belong to no date.
    pub rejects: Rejects,
}

/// The partitions of `table` (`runs` or `steps`), by date. Files and folders whose name starts with `_` or `.` are
/// none of the lake's.
///
/// # Errors
/// When the store can't be listed.
pub async fn list_partitions(store: &Store, table: &str) -> Result<Vec<Partition>> {
    let mut partitions: BTreeMap<NaiveDate, Vec<Object>> = BTreeMap::new();
    for object in store.list(table).await? {
        if let Some(date) = partition_date(&object.path) {
            partitions.entry(date).or_default().push(object);
        }
    }
    Ok(partitions.into_iter().map(|(date, objects)| Partition { date, objects }).collect())
}

pub(super) fn partition_date(path: &str) -> Option<NaiveDate> {
    let is_data = path.ends_with(".parquet") && !path.split('/').any(|part| part.starts_with(['_', '.']));
    let date = path.split('/').find_map(|part| part.strip_prefix("date="))?;
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| is_data)
}

/// The folder of one date.
#[must_use]
pub fn partition_folder(table: &str, date: NaiveDate) -> String {
    format!("{table}/date={date}")
}

/// Merges conformed rows into the lake.
///
/// # Errors
/// When the store fails, or a partition that must change can't be read.
pub async fn write(store: &Store, runs: &[Conformed<Runs>], steps: &[Conformed<Steps>]) -> Result<LakeChange> {
    let mut rejects = Rejects::default();
    let run_rows = stacked(runs)?;
    let run_days = days(&run_rows)?;
    let step_rows = stacked(steps)?;
    let known_days = days_by_run(&run_rows, &run_days)?;
    let step_days = step_days(store, &step_rows, known_days).await?;
    for (row, _) in step_days.iter().enumerate().filter(|(_, day)| day.is_none()) {
        let (file, source_row) = locate(steps, row);
        let reason = "belongs to no date: the lake has no such run, and no step of it has a time; ingest its run first";
        let run = step_rows.column(steps::RUN_ID)?.str()?.get(row).map(str::to_owned);
        rejects.push(Reject::value(file, source_row, steps::RUN_ID, run.as_deref(), reason));
    }
    let run_days: Vec<Option<i32>> = run_days.into_iter().map(Some).collect();
    let runs_change = merge(store, runs, &run_rows, &run_days, &mut rejects).await?;
    let steps_change = merge(store, steps, &step_rows, &step_days, &mut rejects).await?;
    Ok(LakeChange { runs: runs_change, steps: steps_change, rejects })
}

/// All rows one after the other.
fn stacked<T: CanonicalTable>(parts: &[Conformed<T>]) -> Result<DataFrame> {
    let mut rows = T::empty().map_err(|error| Error::Internal(error.to_string()))?.frame().clone();
    for part in parts {
        rows.vstack_mut(part.table.frame())?;
    }
    rows.rechunk_mut();
    Ok(rows)
}

/// File and row that row `row` of the stacked `parts` came from.
pub(super) fn locate<T: CanonicalTable>(parts: &[Conformed<T>], row: usize) -> (&str, u64) {
    let mut before = 0;
    for part in parts {
        if row < before + part.table.height() {
            return part.locate(row - before);
        }
        before += part.table.height();
    }
    ("", row as u64)
}

/// The rejects of one source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectFile {
    /// Where they lie; the name is a digest of the source.
    pub object: Object,
    /// blake3 of its bytes.
    pub digest: String,
    /// The rows.
    pub rejects: Rejects,
}

/// Leaves the rejects of a source file for the next run. `digest` names the source, so that the same file leaves
/// the same object.
///
/// # Errors
/// When the store can't be written.
pub async fn write_rejects(store: &Store, digest: &str, rejects: &Rejects) -> Result<()> {
    let bytes = serde_json::to_vec(rejects).map_err(|error| Error::Internal(error.to_string()))?;
    store.put(&format!("{REJECTS}/{digest}.json"), bytes).await
}

/// The rejects that `ingest` left, by source file, in the order of their names. A list that can't be read is a reject
/// itself.
///
/// # Errors
/// When the store fails.
pub async fn read_rejects(store: &Store) -> Result<Vec<RejectFile>> {
    let objects = store.list(REJECTS).await?;
    let lists = objects.into_iter().filter(|object| object.path.ends_with(".json"));
    let reads = stream::iter(lists.map(|object| read_reject_file(store, object)));
    reads.buffered(READS_AT_ONCE).try_collect().await
}

async fn read_reject_file(store: &Store, object: Object) -> Result<RejectFile> {
    let bytes = store.get(&object.path).await?.unwrap_or_default();
    let digest = blake3::hash(&bytes).to_hex().to_string();
    let rejects = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        let reason = format!("no list of rejects: {error}; remove it and ingest its source again");
        Reject::file(&object.path, reason).into()
    });
    Ok(RejectFile { object, digest, rejects })
}
