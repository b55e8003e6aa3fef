//! From results to what others read: Parquet files, the ledger that commits them, and Postgres that follows it.
//!
//! ```text
//! prepare ── bring Postgres and latest.json to the ledger's head ── is the slot committed? ── done
//!                                                                        │ no
//! commit ── data files ── ledger entry (the commit point) ── Postgres ── latest.json
//! ```

pub mod applications;
pub mod decisions;
pub mod dictionary;
pub mod ledger;
pub mod outcomes;
pub mod parquet;
pub mod postgres;
pub mod rows;

use crate::error::Result;
use crate::io::Store;
use crate::tables::published::{ROLLUPS, RollupColumns, Row};
use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt};
use ledger::{Event, FileRef, Run, Sealed, Slot, State};
use postgres::Database;
use std::collections::BTreeMap;

/// A file to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The table.
    pub table: &'static str,
    /// Its path in the results.
    pub path: String,
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Rows in it.
    pub rows: u64,
}

/// A finished run, ready to be published.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What ran.
    pub slot: Slot,
    /// Whether it ran over the past.
    pub backfill: bool,
    /// Digests of the models that were used, by name.
    pub models: BTreeMap<String, String>,
    /// Files that are still to be written.
    pub outputs: Vec<Output>,
    /// Files that were written already by [`write`], to keep memory low. They count only once this batch is committed.
    pub written: Vec<FileRef>,
}

/// What became of a [`commit`].
#[derive(Debug)]
pub struct Committed {
    /// The entry that holds it.
    pub sealed: Sealed,
    /// Whether a twin was faster.
    pub already: bool,
    /// What failed after the commit point: the commit stands, and the next run makes up for it.
    pub behind: Option<crate::error::Error>,
}

impl Output {
    /// The file of a table's rows as of an instant.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when two rows share a key.
    pub fn of_rows<R: Row>(as_of: DateTime<Utc>, rows: Vec<R>) -> Result<Self> {
        let n_rows = rows.len() as u64;
        let bytes = parquet::write_rows(rows)?;
        let path = format!("{}/as_of={}/part-0.parquet", R::SPEC.name, ledger::as_of_folder(as_of));
        Ok(Self { table: R::SPEC.name, path, bytes, rows: n_rows })
    }

    /// The file of the rollups of one period (`5m`, `15m`, `1h`, `1d`) and date.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the columns do not fit together, or two rows share a key.
    pub fn of_rollups(period: &str, date: NaiveDate, columns: RollupColumns, vocabulary: &[String]) -> Result<Self> {
        let n_rows = columns.len() as u64;
        let bytes = parquet::write_table(&columns.into_batch(vocabulary)?, &ROLLUPS)?;
        let path = format!("{}/period={period}/date={date}/part-0.parquet", ROLLUPS.name);
        Ok(Self { table: ROLLUPS.name, path, bytes, rows: n_rows })
    }
}

/// What every run does first: reads the ledger, tries the database, and makes up for what an earlier run could not
/// do after its commit point.
///
/// # Errors
/// When the store or the database can't be reached, or do not belong together. Nothing new is published then.
pub async fn prepare(store: &Store, database: Option<&Database>) -> Result<State> {
    let state = State::load(store).await?;
    if let Some(database) = database {
        database.check(store, &state).await?;
    }
    follow(store, database, &state).await?;
    Ok(state)
}

/// Writes a file, unless the very bytes are there already.
///
/// # Errors
/// When the store fails.
pub async fn write(store: &Store, output: &Output) -> Result<FileRef> {
    let Output { table, path, bytes, rows } = output;
    let size = bytes.len() as u64;
    if !stands(store, path, bytes).await? {
        store.put(path, bytes.clone()).await?;
    }
    let digest = blake3::hash(bytes).to_hex().to_string();
    Ok(FileRef { table: (*table).to_owned(), path: path.clone(), size, digest, rows: *rows })
}

async fn stands(store: &Store, path: &str, bytes: &[u8]) -> Result<bool> {
    let there = store.head(path).await?;
    if there.is_none_or(|object| object.size != bytes.len() as u64) {
        return Ok(false);
    }
    Ok(store.get(path).await?.is_some_and(|there| *there == *bytes))
}

/// Publishes a run. After an error nothing is committed; what fails after the commit point is in
/// [`Committed::behind`].
///
/// # Errors
/// When the database can't be reached or does not belong to this ledger, or the store fails.
pub async fn commit(store: &Store, database: Option<&Database>, batch: Batch) -> Result<Committed> {
    let mut state = State::load(store).await?;
    if let Some(database) = database {
        database.check(store, &state).await?;
    }
    let Batch { slot, backfill, models, outputs, written } = batch;
    if let Some(sealed) = state.committed(&slot.run_id()).cloned() {
        let behind = follow(store, database, &state).await.err();
        return Ok(Committed { sealed, already: true, behind });
    }
    let writes = futures::stream::iter(outputs.into_iter().map(|output| async move { write(store, &output).await }));
    let mut files: Vec<FileRef> = writes.buffered(ledger::CONCURRENCY).try_collect().await?;
    files.extend(written);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let run = Run { run_id: slot.run_id(), slot, version: env!("CARGO_PKG_VERSION").to_owned(), models, files };
    let event = if backfill { Event::Backfilled(run) } else { Event::RunCommitted(run) };
    let appended = ledger::append(store, &mut state, event).await?;
    let behind = follow(store, database, &state).await.err();
    Ok(Committed { sealed: appended.sealed, already: appended.already, behind })
}

/// Commits an event that publishes nothing; says the number of its entry.
///
/// # Errors
/// When the database can't be reached or does not belong to this ledger, or the store fails; after the commit point, when
/// the commit stands and the next run catches up.
pub async fn tell(store: &Store, database: Option<&Database>, event: Event) -> Result<u64> {
    let mut state = prepare(store, database).await?;
    let appended = ledger::append(store, &mut state, event).await?;
    follow(store, database, &state).await?;
    Ok(appended.sealed.entry.number)
}

/// Brings Postgres and `latest.json` to the head of the ledger. The pointer moves also when the database is lost:
/// readers of the files have nothing to wait for.
async fn follow(store: &Store, database: Option<&Database>, state: &State) -> Result<()> {
    let caught_up = match database {
        Some(database) => database.catch_up(store, state).await.map(|_applied| ()),
        None => Ok(()),
    };
    let pointed = ledger::point_at_head(store, state).await;
    caught_up.and(pointed)
}
