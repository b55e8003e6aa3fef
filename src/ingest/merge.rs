//! New rows into the partitions of one table.

use super::lake::{TableChange, locate, partition_date, partition_folder};
use crate::error::{Error, Result};
use crate::ingest::conform::{self, Conformed, conform_runs, conform_steps};
use crate::ingest::raw;
use crate::io::{Object, Store};
use crate::tables::{CanonicalTable, Fate, Rejects, Runs, Steps, fates};
use chrono::NaiveDate;
use polars::error::PolarsResult;
use polars::prelude::{
    BooleanChunked, DataFrame, IdxCa, IdxSize, NewChunkedArray, ParquetCompression, ParquetWriter, SortMultipleOptions,
    StatisticsOptions,
};
use std::collections::BTreeMap;

/// Rows of a row group: enough to compress well, few enough to skip by statistics.
const ROW_GROUP_ROWS: usize = 131_072;

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

/// Merges `rows` into the partitions of their `days`.
pub(super) async fn merge<T: Stored>(
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
        for (at, _) in merged.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Conflict) {
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
                Error::Input(format!(
                    "{file}: {reason}; the lake is unchanged there: repair or remove that file, then ingest again"
                ))
            };
            let frame = raw::parquet(&bytes, |name| T::SCHEMA.field(name).is_some())
                .map_err(|error| unreadable(error.to_string()))?;
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
