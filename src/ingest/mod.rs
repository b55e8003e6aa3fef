//! What real systems write, into the lake. One dialect a file; the name of an engine appears nowhere else.
//!
//! ```text
//! sources ─ bytes ─ dialect ─ raw frames ─ conform ─ canonical tables ─ lake
//!                                             └───── rejects ─────────── _rejects/
//! ```

pub mod any;
pub mod columns;
pub mod conform;
mod dates;
pub mod lake;
mod merge;
pub mod names;
pub mod nextflow;
pub mod raw;
pub mod sources;
pub mod time;
pub mod wfformat;
mod within;

use crate::error::{Error, Result};
use crate::io::Store;
use crate::tables::{CanonicalTable, Kind, Reject, Rejects, Runs, Steps, runs, steps};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use columns::{ColumnMap, ColumnRule, Table};
use conform::{Conformed, conform_runs, conform_steps};
use indicatif::ProgressBar;
use lake::LakeChange;
use names::{Names, Overrides};
use polars::prelude::DataFrame;
use raw::{Raw, Unreadable};
use serde::{Deserialize, Serialize};
use sources::SourceFile;
use std::collections::{BTreeMap, BTreeSet};

/// Accepted rows that are gathered before they are merged into the lake: few enough for little memory, many enough
/// that a date with many small files is not rewritten for each of them.
const BATCH_ROWS: usize = 500_000;

/// What wrote a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Trace files of Nextflow.
    Nextflow,
    /// WfCommons JSON.
    Wfformat,
    /// CSV with canonical names, or with a column map.
    Csv,
    /// Parquet with canonical names, or with a column map.
    Parquet,
    /// CSV or Parquet with canonical names.
    Canonical,
}

impl Dialect {
    /// Endings of the files that are taken from a folder.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Nextflow => &[".txt", ".tsv", ".csv"],
            Self::Wfformat => &[".json"],
            Self::Csv => &[".csv", ".tsv"],
            Self::Parquet => &[".parquet"],
            Self::Canonical => &[".parquet", ".csv", ".tsv"],
        }
    }

    /// Whether a file is one run.
    fn is_one_run(self) -> bool {
        matches!(self, Self::Nextflow | Self::Wfformat)
    }
}

/// Files of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What wrote them.
    pub from: Dialect,
    /// File, folder, glob or URL.
    pub path: String,
    /// The table of `csv`, `parquet` and `canonical`; by its columns if not given.
    #[serde(default)]
    pub table: Option<Table>,
    /// The workflow, where the files don't say.
    #[serde(default)]
    pub workflow_id: Option<String>,
    /// The run, where the file doesn't say.
    #[serde(default)]
    pub run_id: Option<String>,
    /// When the run started, where the file doesn't say.
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    /// Zone of times that state none. A trace's are UTC if not given; those of `csv` and `parquet` are refused.
    #[serde(default)]
    pub zone: Option<Tz>,
    /// Canonical column → where its values come from; for `csv` and `parquet`.
    #[serde(default)]
    pub columns: ColumnMap,
}

impl Source {
    /// Everything at `path`, with nothing else said.
    #[must_use]
    pub fn new(from: Dialect, path: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            from,
            path,
            table: None,
            workflow_id: None,
            run_id: None,
            started_at: None,
            zone: None,
            columns: ColumnMap::new(),
        }
    }

    /// Checks what can be checked before anything is read.
    ///
    /// # Errors
    /// [`Error::Usage`] names the key.
    pub fn check(&self) -> Result<()> {
        let usage = |error: columns::MapError| Error::Usage(format!("source {:?}: {error}", self.path));
        if !self.columns.is_empty() && !matches!(self.from, Dialect::Csv | Dialect::Parquet) {
            return Err(Error::Usage(format!(
                "source {:?}: columns: only csv and parquet take a column map",
                self.path
            )));
        }
        match self.table {
            Some(table) => columns::check(&self.columns, table.schema()).map_err(usage),
            None => columns::check(&self.columns, Table::Runs.schema())
                .or_else(|_| columns::check(&self.columns, Table::Steps.schema()))
                .map_err(usage),
        }
    }

    fn overrides(&self) -> Overrides<'_> {
        Overrides {
            workflow_id: self.workflow_id.as_deref(),
            run_id: self.run_id.as_deref(),
            started_at: self.started_at,
            zone: self.zone,
        }
    }
}

/// What a call of [`ingest_sources`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IngestSummary {
    /// Files looked at.
    pub files: u64,
    /// Files that were refused as a whole.
    pub unreadable: u64,
    /// Rows that were accepted, duplicates among them.
    pub rows: u64,
    /// Rows that the lake did not have.
    pub new: u64,
    /// Rows that it had already, or that a file repeats.
    pub known: u64,
    /// Rows of the lake that gave way to later news of an execution that was running.
    pub replaced: u64,
    /// Rows and files that were refused; why lies in the lake's rejects.
    pub rejected: u64,
    /// Partitions that were written.
    pub partitions: u64,
    /// Columns that were kept out since the contract does not know them.
    pub unknown_columns: BTreeSet<String>,
}

impl IngestSummary {
    /// Refused rows and files as a share of all; 0 if there were none.
    #[must_use]
    pub fn rejects_ratio(&self) -> f64 {
        let all = self.rows + self.rejected;
        if all == 0 { 0.0 } else { self.rejected as f64 / all as f64 }
    }
}

/// Brings sources into the lake: nothing is written unless at least one file can be read.
///
/// # Errors
/// [`Error::Usage`] for a source that contradicts itself, [`Error::Input`] when no file can be read, and the
/// store's errors.
pub async fn ingest_sources(lake: &Store, sources: &[Source]) -> Result<IngestSummary> {
    ingest_with_progress(lake, sources, &ProgressBar::hidden()).await
}

/// [`ingest_sources`], counting files on `progress`.
///
/// # Errors
/// See [`ingest_sources`].
pub async fn ingest_with_progress(lake: &Store, sources: &[Source], progress: &ProgressBar) -> Result<IngestSummary> {
    if sources.is_empty() {
        return Ok(IngestSummary::default());
    }
    let files = find_files(sources).await?;
    progress.set_length(files.len() as u64);
    let mut batch = Batch::default();
    let mut summary = IngestSummary { files: files.len() as u64, ..IngestSummary::default() };
    for (source, file) in files {
        let bytes = file.read().await?;
        let outcome = match &bytes {
            Ok(bytes) => read_file(bytes, source, &file.name)?,
            Err(reason) => Outcome::refused(&file.name, reason),
        };
        batch.add(&file.name, bytes.as_deref().unwrap_or_default(), outcome, &mut summary);
        if batch.rows >= BATCH_ROWS {
            batch.flush(lake, &mut summary).await?;
        }
        progress.inc(1);
    }
    if summary.unreadable == summary.files {
        return Err(Error::Input(no_input(sources, &batch)));
    }
    batch.flush(lake, &mut summary).await?;
    batch.leave_rejects(lake).await?;
    Ok(summary)
}

/// Files with steps come last, so that their runs are there when a date is sought for them.
async fn find_files(sources: &[Source]) -> Result<Vec<(&Source, SourceFile)>> {
    let mut files = Vec::new();
    for source in sources {
        source.check()?;
        let found = sources::find(&source.path, source.from.endings()).await?;
        if source.run_id.is_some() && source.from.is_one_run() && found.len() > 1 {
            let n = found.len();
            return Err(Error::Usage(format!(
                "source {:?}: one run_id for {n} files, which are a run each; leave it out",
                source.path
            )));
        }
        files.extend(found.into_iter().map(|file| (source, file)));
    }
    files.sort_by_key(|(source, file)| {
        source.table == Some(Table::Steps) || (source.table.is_none() && file.name.contains("steps"))
    });
    Ok(files)
}

fn no_input(sources: &[Source], batch: &Batch) -> String {
    let paths = sources.iter().map(|source| format!("{:?}", source.path)).collect::<Vec<_>>().join(", ");
    let reasons = batch.rejects.values().flatten().take(3).map(|reject| format!("{}: {}", reject.file, reject.reason));
    match reasons.collect::<Vec<_>>().join("\n") {
        reasons if reasons.is_empty() => format!("no files at {paths}; check the path"),
        reasons => format!("no readable file at {paths}; the lake is unchanged\n{reasons}"),
    }
}

/// What became of one file.
struct Outcome {
    runs: Option<Conformed<Runs>>,
    steps: Option<Conformed<Steps>>,
    rejects: Rejects,
}

impl Outcome {
    fn refused(file: &str, reason: impl Into<String>) -> Self {
        Self { runs: None, steps: None, rejects: Reject::file(file, reason).into() }
    }
}

fn read_file(bytes: &[u8], source: &Source, file: &str) -> Result<Outcome> {
    let raw = match read_raw(bytes, source, file) {
        Ok(raw) => raw,
        Err(unreadable) => return Ok(Outcome::refused(file, unreadable.to_string())),
    };
    let runs = raw.runs.map(|frame| conform_runs(&frame, file)).transpose()?;
    let steps = raw.steps.map(|frame| conform_steps(&frame, file)).transpose()?;
    let refused_runs = runs.iter().flat_map(|runs| &runs.rejects);
    let refused_steps = steps.iter().flat_map(|steps| &steps.rejects);
    let rejects = refused_runs.chain(refused_steps).cloned().collect();
    Ok(Outcome { runs, steps, rejects })
}

fn read_raw(bytes: &[u8], source: &Source, file: &str) -> std::result::Result<Raw, Unreadable> {
    match source.from {
        Dialect::Nextflow => nextflow::read(bytes, &Names::of(file, source.overrides())),
        Dialect::Wfformat => wfformat::read(bytes, &Names::of(file, source.overrides())),
        Dialect::Csv => tabular(&raw::delimited(bytes)?, source),
        Dialect::Parquet => tabular(&parquet(bytes, source)?, source),
        Dialect::Canonical if raw::looks_like_parquet(bytes) => tabular(&parquet(bytes, source)?, source),
        Dialect::Canonical => tabular(&raw::delimited(bytes)?, source),
    }
}

fn parquet(bytes: &[u8], source: &Source) -> std::result::Result<DataFrame, Unreadable> {
    let is_mapped = |name: &str| source.columns.values().any(|rule| rule.from.as_deref() == Some(name));
    raw::parquet(bytes, |name| {
        runs::SCHEMA.field(name).is_some() || steps::SCHEMA.field(name).is_some() || is_mapped(name)
    })
}

/// A table as it is, or under the names of a column map.
fn tabular(frame: &DataFrame, source: &Source) -> std::result::Result<Raw, Unreadable> {
    let has = |name: &str| frame.column(name).is_ok() || source.columns.contains_key(name);
    let table = source.table.unwrap_or(if has(steps::STEP_ID) { Table::Steps } else { Table::Runs });
    let mut map = source.columns.clone();
    for (name, value) in [(steps::WORKFLOW_ID, &source.workflow_id), (steps::RUN_ID, &source.run_id)] {
        if let Some(value) = value.as_ref().filter(|_| !has(name)) {
            let constant = Some(columns::Constant::Text(value.clone()));
            map.insert(name.to_owned(), ColumnRule { value: constant, ..ColumnRule::default() });
        }
    }
    let times = table.schema().fields.iter().filter(|field| field.kind == Kind::Instant).map(|field| field.name);
    for name in times.filter(|name| source.zone.is_some() && !source.columns.contains_key(*name) && has(name)) {
        map.insert(name.to_owned(), ColumnRule { zone: source.zone, ..ColumnRule::default() });
    }
    columns::check(&map, table.schema()).map_err(|error| Unreadable::Lacks(error.to_string()))?;
    let mapped = if map.is_empty() { frame.clone() } else { columns::apply(frame, &map, table.schema())? };
    Ok(match table {
        Table::Runs => Raw { runs: Some(mapped), steps: None },
        Table::Steps => Raw { runs: None, steps: Some(mapped) },
    })
}

/// Conformed rows on their way to the lake, and the rejects of every file so far.
#[derive(Default)]
struct Batch {
    rows: usize,
    runs: Vec<Conformed<Runs>>,
    steps: Vec<Conformed<Steps>>,
    /// By digest of the source.
    rejects: BTreeMap<String, Rejects>,
    /// File name → digest of the source.
    digests: BTreeMap<String, String>,
}

impl Batch {
    fn add(&mut self, file: &str, bytes: &[u8], outcome: Outcome, summary: &mut IngestSummary) {
        let Outcome { runs, steps, rejects } = outcome;
        let is_refused = rejects.iter().any(|reject| reject.row.is_none());
        summary.unreadable += u64::from(is_refused);
        summary.rejected += rejects.len() as u64;
        match rejects.iter().next() {
            Some(whole) if is_refused => tracing::warn!(file, reason = whole.reason, "a file was refused"),
            Some(first) => tracing::warn!(file, n_rejects = rejects.len(), first = first.reason, "rows were refused"),
            None => {}
        }
        let digest = self.digests.entry(file.to_owned()).or_insert_with(|| digest(file, bytes)).clone();
        self.rejects.entry(digest).or_default().extend(rejects);
        if let Some(runs) = runs {
            self.rows += tally(&runs, summary);
            self.runs.push(runs);
        }
        if let Some(steps) = steps {
            self.rows += tally(&steps, summary);
            self.steps.push(steps);
        }
    }

    async fn flush(&mut self, lake: &Store, summary: &mut IngestSummary) -> Result<()> {
        let LakeChange { runs, steps, rejects } = lake::write(lake, &self.runs, &self.steps).await?;
        for change in [runs, steps] {
            summary.new += change.new;
            summary.known += change.known;
            summary.replaced += change.replaced;
            summary.partitions += change.partitions;
        }
        // They had been accepted as rows, but the lake has no place for them.
        summary.rejected += rejects.len() as u64;
        summary.rows = summary.rows.saturating_sub(rejects.len() as u64);
        for reject in rejects {
            let digest = self.digests.get(&reject.file).cloned().unwrap_or_default();
            self.rejects.entry(digest).or_default().push(reject);
        }
        (self.runs, self.steps, self.rows) = (Vec::new(), Vec::new(), 0);
        Ok(())
    }

    async fn leave_rejects(&mut self, lake: &Store) -> Result<()> {
        for (digest, mut rejects) in std::mem::take(&mut self.rejects) {
            if !rejects.is_empty() {
                rejects.sort();
                lake::write_rejects(lake, &digest, &rejects).await?;
            }
        }
        Ok(())
    }
}

fn tally<T: CanonicalTable>(conformed: &Conformed<T>, summary: &mut IngestSummary) -> usize {
    let repeated = conformed.exact_duplicates + conformed.superseded;
    summary.rows += conformed.table.height() as u64 + repeated;
    summary.known += repeated;
    summary.unknown_columns.extend(conformed.unknown_columns.iter().cloned());
    conformed.table.height()
}

/// Names a source by its name and content, so that bringing it in again leaves its rejects where they are.
fn digest(file: &str, bytes: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(file.as_bytes()).update(&[0]).update(bytes);
    hasher.finalize().to_hex().chars().take(32).collect()
}
