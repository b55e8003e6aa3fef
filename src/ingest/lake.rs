//! The lake: where its partitions lie, and how rows are merged into them.
//!
//! `runs/date=YYYY-MM-DD/` and `steps/date=YYYY-MM-DD/` hold the rows of the runs that started on that UTC date; a step
//! lies with its run. Merging compares rows by key ([`crate::tables::Fate`]) and rewrites a partition only if
//! it changes, so bringing a file in twice leaves every byte as it was. Two writers at once can lose rows of a partition
//! that both write: run one `ingest` of a lake at a time.

use super::conform::{self, Conformed, conform_runs, conform_steps};
use super::raw;
use crate::error::{Error, Result};
use crate::io::{Object, Store};
use crate::pure::units::DAY_US;
use crate::tables::{CanonicalTable, Fate, Reject, Rejects, Runs, Steps, fates, runs, steps};
use chrono::{DateTime, NaiveDate};
use polars::error::PolarsResult;
use polars::prelude::{
    BooleanChunked, DataFrame, IdxCa, IdxSize, InitHashMaps, NewChunkedArray, ParquetCompression, ParquetWriter,
    PlHashMap, PlHashSet, SortMultipleOptions, StatisticsOptions,
};
use std::collections::BTreeMap;

/// Folder of the rejects that the next run publishes.
const REJECTS: &str = "_rejects";

/// A run rarely starts more than this before the first of its steps that is not cached; its partition is looked for no
/// further back.
const RUN_LOOKBACK_DAYS: i32 = 7;

/// Rows of a row group: enough to compress well, few enough to skip by statistics.
const ROW_GROUP_ROWS: usize = 131_072;

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

fn partition_date(path: &str) -> Option<NaiveDate> {
    let is_data = path.ends_with(".parquet") && !path.split('/').any(|part| part.starts_with(['_', '.']));
    let date = path.split('/').find_map(|part| part.strip_prefix("date="))?;
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| is_data)
}

/// The folder of one date.
#[must_use]
pub fn partition_folder(table: &str, date: NaiveDate) -> String {
    format!("{table}/date={date}")
}

/// Merges tables that were made here, such as a sample.
///
/// # Errors
/// See [`write`].
pub async fn write_tables(store: &Store, runs: Runs, steps: Steps) -> Result<LakeChange> {
    write(store, &[Conformed::trusted(runs, "")], &[Conformed::trusted(steps, "")]).await
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

fn locate<T: CanonicalTable>(parts: &[Conformed<T>], row: usize) -> (&str, u64) {
    let mut before = 0;
    for part in parts {
        if row < before + part.table.height() {
            return part.locate(row - before);
        }
        before += part.table.height();
    }
    ("", row as u64)
}

/// Days since the epoch of the runs' starts.
fn days(runs: &DataFrame) -> PolarsResult<Vec<i32>> {
    let starts = runs.column(runs::STARTED_AT)?.datetime()?;
    Ok(starts.physical().iter().map(|start| day(start.unwrap_or_default())).collect())
}

fn day(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_US)).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
}

fn days_by_run(runs: &DataFrame, days: &[i32]) -> PolarsResult<PlHashMap<String, i32>> {
    let mut by_run = PlHashMap::with_capacity(days.len());
    for (run, day) in runs.column(runs::RUN_ID)?.str()?.iter().zip(days) {
        if let Some(run) = run {
            by_run.entry(run.to_owned()).or_insert(*day);
        }
    }
    Ok(by_run)
}

/// The date of each step: that of its run, here or in the lake; else of the earliest step of its run that is not cached.
async fn step_days(store: &Store, steps: &DataFrame, mut known: PlHashMap<String, i32>) -> Result<Vec<Option<i32>>> {
    let own = earliest_days(steps, &known)?;
    if !own.is_empty() {
        let first = own.values().copied().min().flatten();
        let last = own.values().copied().max().flatten();
        let missing: PlHashSet<String> = own.keys().cloned().collect();
        known.extend(days_in_lake(store, missing, first, last).await?);
    }
    let days = steps.column(steps::RUN_ID)?.str()?.iter();
    Ok(days.map(|run| run.and_then(|run| known.get(run).copied().or_else(|| own.get(run).copied().flatten()))).collect())
}

/// Of each run that is not `known`: the day of its first step with a time of its own, if any has one.
fn earliest_days(steps: &DataFrame, known: &PlHashMap<String, i32>) -> PolarsResult<BTreeMap<String, Option<i32>>> {
    let mut own: BTreeMap<String, Option<i32>> = BTreeMap::new();
    let starts = steps.column(steps::STARTED_AT)?.datetime()?.physical();
    let cached = steps.column(steps::CACHE_HIT)?.bool()?;
    for ((run, start), cached) in steps.column(steps::RUN_ID)?.str()?.iter().zip(starts.iter()).zip(cached.iter()) {
        let Some(run) = run.filter(|run| !known.contains_key(*run)) else { continue };
        let day = start.filter(|_| cached != Some(true)).map(day);
        match own.get_mut(run) {
            Some(earliest) => *earliest = earliest.iter().copied().chain(day).min(),
            None => {
                own.insert(run.to_owned(), day);
            }
        }
    }
    Ok(own)
}

/// Looks for runs in the lake, newest date first; no later than `last` and not long before `first` where those are
/// known.
async fn days_in_lake(
    store: &Store,
    mut missing: PlHashSet<String>,
    first: Option<i32>,
    last: Option<i32>,
) -> Result<PlHashMap<String, i32>> {
    let mut found = PlHashMap::new();
    let partitions = list_partitions(store, runs::SCHEMA.table).await?;
    for partition in partitions.into_iter().rev() {
        let at = partition.date.to_epoch_days();
        let is_possible = last.is_none_or(|last| at <= last) && first.is_none_or(|first| at >= first - RUN_LOOKBACK_DAYS);
        if !is_possible {
            continue;
        }
        for object in &partition.objects {
            let bytes = store.get(&object.path).await?.unwrap_or_default();
            // A file that can't be read knows no runs; the next run rejects it.
            let Ok(frame) = raw::parquet(&bytes, Some(&[runs::RUN_ID])) else { continue };
            let Ok(ids) = frame.column(runs::RUN_ID).and_then(|ids| ids.str().cloned()) else { continue };
            found.extend(ids.iter().flatten().filter(|id| missing.remove(*id)).map(|id| (id.to_owned(), at)));
        }
        if missing.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// A table that the lake holds, as it is read back.
pub(super) trait Stored: CanonicalTable {
    fn conform(frame: &DataFrame, file: &str) -> PolarsResult<Conformed<Self>>;
}

impl Stored for Runs {
    fn conform(frame: &DataFrame, file: &str) -> PolarsResult<Conformed<Self>> {
        conform_runs(frame, file)
    }
}

impl Stored for Steps {
    fn conform(frame: &DataFrame, file: &str) -> PolarsResult<Conformed<Self>> {
        conform_steps(frame, file)
    }
}

async fn merge<T: Stored>(
    store: &Store,
    parts: &[Conformed<T>],
    rows: &DataFrame,
    days: &[Option<i32>],
    rejects: &mut Rejects,
) -> Result<TableChange> {
    let mut by_day: BTreeMap<i32, Vec<IdxSize>> = BTreeMap::new();
    for (row, day) in (0..).zip(days) {
        if let Some(day) = day {
            by_day.entry(*day).or_default().push(row);
        }
    }
    let mut change = TableChange::default();
    for (day, indices) in by_day {
        let Some(date) = NaiveDate::from_epoch_days(day) else { continue };
        let incoming = rows.take(&IdxCa::from_slice("row".into(), &indices))?;
        let merged = Existing::<T>::read(store, date).await?.merge(store, &incoming).await?;
        change.partitions += u64::from(merged.is_written);
        change.new += merged.count(Fate::Stands);
        change.known += merged.count(Fate::Exact) + merged.count(Fate::Superseded);
        change.replaced += merged.replaced;
        for (at, fate) in merged.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Conflict) {
            debug_assert_eq!(*fate, Fate::Conflict);
            let row = indices.get(at).map_or(at, |&row| row as usize);
            let (file, source_row) = locate(parts, row);
            rejects.push(conform::conflict::<T>(file, source_row, &conform::key_text::<T>(&incoming, at)));
        }
    }
    Ok(change)
}

/// What a partition holds before rows are merged into it.
struct Existing<T> {
    folder: String,
    /// Rows of the file that is rewritten.
    home: T,
    home_path: String,
    /// Rows of files that someone else wrote and that are left as they are.
    others: DataFrame,
}

struct Merged {
    is_written: bool,
    /// Of the incoming rows.
    fates: Vec<Fate>,
    replaced: u64,
}

impl Merged {
    fn count(&self, fate: Fate) -> u64 {
        self.fates.iter().filter(|&&f| f == fate).count() as u64
    }
}

impl<T: Stored> Existing<T> {
    /// The file to rewrite is the first that holds nothing but canonical rows: rewriting another would lose what the
    /// contract does not keep.
    async fn read(store: &Store, date: NaiveDate) -> Result<Self> {
        let internal = |error: crate::tables::TableError| Error::Internal(error.to_string());
        let folder = partition_folder(T::SCHEMA.table, date);
        let mut others = T::empty().map_err(internal)?.frame().clone();
        let mut home: Option<(T, String)> = None;
        let objects = store.list(&folder).await?;
        for object in objects.iter().filter(|object| partition_date(&object.path).is_some()) {
            let file = store.locate(&object.path);
            let bytes = store.get(&object.path).await?.unwrap_or_default();
            let unreadable = |reason: String| {
                Error::Input(format!("{file}: {reason}; the lake is unchanged there: repair or remove that file, then ingest again"))
            };
            let frame = raw::parquet(&bytes, None).map_err(|error| unreadable(error.to_string()))?;
            let conformed = T::conform(&frame, &file)?;
            let is_canonical = conformed.table.height() == frame.height() && conformed.unknown_columns.is_empty();
            match home {
                None if is_canonical => home = Some((conformed.table, object.path.clone())),
                _ => others = others.vstack(conformed.table.frame())?,
            }
        }
        let (home, home_path) = match home {
            Some(home) => home,
            None => (T::empty().map_err(internal)?, free_name(&folder, &objects)),
        };
        Ok(Self { folder, home, home_path, others })
    }

    async fn merge(self, store: &Store, incoming: &DataFrame) -> Result<Merged> {
        let n_others = self.others.height();
        let n_home = self.home.height();
        let mut all = self.others.vstack(self.home.frame())?;
        all.vstack_mut(incoming)?;
        all.rechunk_mut();
        let fates = fates(&all, T::SCHEMA)?.unwrap_or_else(|| vec![Fate::Stands; all.height()]);
        let before = n_others + n_home;
        let replaced = fates.iter().take(before).filter(|&&fate| fate == Fate::Superseded).count() as u64;
        let incoming_fates = fates.iter().skip(before).copied().collect::<Vec<_>>();
        let changes_home = fates.iter().take(before).skip(n_others).any(|&fate| fate == Fate::Superseded);
        let is_written = changes_home || incoming_fates.contains(&Fate::Stands);
        if is_written {
            let kept: Vec<bool> =
                fates.iter().enumerate().map(|(row, &fate)| row >= n_others && fate == Fate::Stands).collect();
            let kept = all.filter(&BooleanChunked::from_slice("kept".into(), &kept))?;
            tracing::debug!(partition = self.folder, n_rows = kept.height(), "writing a partition");
            store.put(&self.home_path, encode(kept, T::SCHEMA.key)?).await?;
        }
        Ok(Merged { is_written, fates: incoming_fates, replaced })
    }
}

fn free_name(folder: &str, objects: &[Object]) -> String {
    let is_taken = |path: &String| objects.iter().any(|object| object.path == *path);
    let mut names = (0..=objects.len()).map(|number| format!("{folder}/part-{number}.parquet"));
    names.find(|path| !is_taken(path)).unwrap_or_else(|| format!("{folder}/part-ingest.parquet"))
}

/// The same rows always make the same bytes: sorted by key, one writer, fixed settings.
fn encode(rows: DataFrame, key: &[&str]) -> PolarsResult<Vec<u8>> {
    let mut sorted = rows.sort(key.iter().copied(), SortMultipleOptions::default())?;
    sorted.rechunk_mut();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::full())
        .with_row_group_size(Some(ROW_GROUP_ROWS))
        .finish(&mut sorted)?;
    Ok(bytes)
}

/// The rejects of one source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectFile {
    /// Where they lie; the name is a digest of the source.
    pub object: Object,
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

/// The rejects that `ingest` left, by source file, in the order of their names.
///
/// # Errors
/// When the store fails, or an object is none of ours.
pub async fn read_rejects(store: &Store) -> Result<Vec<RejectFile>> {
    let mut files = Vec::new();
    for object in store.list(REJECTS).await?.into_iter().filter(|object| object.path.ends_with(".json")) {
        let bytes = store.get(&object.path).await?.unwrap_or_default();
        let rejects = serde_json::from_slice(&bytes).map_err(|error| {
            Error::Input(format!("{}: no list of rejects: {error}; remove it and ingest its source again", store.locate(&object.path)))
        })?;
        files.push(RejectFile { object, rejects });
    }
    Ok(files)
}

/// The UTC date of an instant.
#[must_use]
pub fn utc_date(micros: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(micros).map(|instant| instant.date_naive())
}
