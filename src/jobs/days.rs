//! The days of the window: which must be read, and what is kept of each.

use crate::error::{Error, Result};
use crate::ingest::conform::{Conformed, Origin, conform_runs, conform_steps};
use crate::ingest::raw;
use crate::io::{FetchError, Object, Store};
use crate::rollup::{self, Day, InputFile, NO_INSTANT};
use crate::tables::{CanonicalTable, Reject, Runs, Steps, runs, steps};
use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::{DataFrame, PolarsResult};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The columns of `runs` that the job looks at.
const RUN_COLUMNS: [&str; 15] = [
    runs::RUN_ID,
    runs::WORKFLOW_ID,
    runs::WORKFLOW_TYPE,
    runs::STARTED_AT,
    runs::ENDED_AT,
    runs::STATUS,
    runs::PROVIDER,
    runs::PLATFORM,
    runs::EXPERIMENT_ID,
    runs::VARIANT,
    runs::UNIT_ID,
    runs::QUEUE_MS,
    runs::TOKENS,
    runs::COST_USD,
    runs::INPUT_BYTES,
];

/// The columns of `steps` that the job looks at.
const STEP_COLUMNS: [&str; 28] = [
    steps::RUN_ID,
    steps::WORKFLOW_ID,
    steps::WORKFLOW_TYPE,
    steps::STEP_ID,
    steps::STEP_TYPE,
    steps::ATTEMPT,
    steps::DEPENDS_ON,
    steps::PARENT_STEP_ID,
    steps::STARTED_AT,
    steps::ENDED_AT,
    steps::DURATION_MS,
    steps::STATUS,
    steps::PROVIDER,
    steps::PLATFORM,
    steps::CPU_PCT,
    steps::MEMORY_MB,
    steps::CPU_REQUEST,
    steps::MEMORY_REQUEST_MB,
    steps::API_CALLS,
    steps::NETWORK_BYTES,
    steps::INPUT_BYTES,
    steps::OUTPUT_BYTES,
    steps::TOKENS_IN,
    steps::TOKENS_OUT,
    steps::COST_USD,
    steps::CACHE_KEY,
    steps::CACHE_HIT,
    steps::QUEUE_MS,
];

/// Lists and hashes that cost much to read and that scores do not look at.
const NOT_SCORED: [&str; 3] = [steps::DEPENDS_ON, steps::PARENT_STEP_ID, steps::CACHE_KEY];
static SCORED_COLUMNS: LazyLock<Vec<&str>> =
    LazyLock::new(|| STEP_COLUMNS.into_iter().filter(|name| !NOT_SCORED.contains(name)).collect());

/// The files of one day of the lake.
#[derive(Debug, Clone, Default)]
pub(crate) struct DayFiles {
    runs: Vec<Object>,
    steps: Vec<Object>,
}

impl DayFiles {
    /// Path, size and tag of each, sorted by path: `runs/…` before `steps/…`.
    pub(crate) fn identities(&self) -> Vec<(String, u64, String)> {
        self.runs.iter().chain(&self.steps).map(|o| (o.path.clone(), o.size, o.tag.clone())).collect()
    }
}

/// The days of the lake from `first` to `last`, both included.
pub(crate) async fn list(lake: &Store, first: NaiveDate, last: NaiveDate) -> Result<BTreeMap<NaiveDate, DayFiles>> {
    let mut days: BTreeMap<NaiveDate, DayFiles> = BTreeMap::new();
    for table in ["runs", "steps"] {
        for folder in lake.folders(table).await? {
            let Some(date) = folder.strip_prefix("date=").and_then(|text| text.parse::<NaiveDate>().ok()) else {
                continue;
            };
            if date < first || date > last {
                continue;
            }
            let objects = lake.list(&format!("{table}/{folder}")).await?;
            let objects = objects.into_iter().filter(|object| object.path.ends_with(".parquet"));
            let day = days.entry(date).or_default();
            if table == "runs" { day.runs.extend(objects) } else { day.steps.extend(objects) }
        }
    }
    Ok(days)
}

/// How many days with runs the lake holds before `first`.
pub(crate) async fn count_before(lake: &Store, first: NaiveDate) -> Result<usize> {
    let folders = lake.folders("runs").await?;
    let dates = folders.iter().filter_map(|folder| folder.strip_prefix("date=")?.parse::<NaiveDate>().ok());
    Ok(dates.filter(|date| *date < first).count())
}

/// The latest instant in the newest partitions of the lake that can be read; none of a lake without partitions.
pub(crate) async fn latest_end(lake: &Store) -> Result<Option<DateTime<Utc>>> {
    let days = list(lake, NaiveDate::MIN, NaiveDate::MAX).await?;
    let (mut latest, mut refused, mut n_read) = (None, None, 0);
    for files in days.values().rev() {
        let read = read(lake, files, i64::MAX).await?;
        refused = refused.or(read.rejects.into_iter().next());
        let end = DateTime::from_timestamp_micros(read.day.latest_us).filter(|_| read.day.latest_us > NO_INSTANT);
        latest = latest.max(end);
        n_read += usize::from(latest.is_some());
        if n_read == DAYS_FOR_LATEST {
            break;
        }
    }
    if latest.is_some() || days.is_empty() {
        return Ok(latest);
    }
    let why = refused.map(|Reject { file, reason, .. }| format!("; the first refusal: {file}: {reason}"));
    Err(Error::Input(format!("{}: no run in any of its {} days{}", lake.url(), days.len(), why.unwrap_or_default())))
}

/// A run that started on the last but one day can end after all those of the last.
const DAYS_FOR_LATEST: usize = 2;

/// A day of the lake as read at a cutoff.
pub(crate) struct ReadDay {
    /// What was accepted.
    pub(crate) day: Day,
    /// What it was read from.
    pub(crate) inputs: Vec<InputFile>,
    /// What was refused.
    pub(crate) rejects: Vec<Reject>,
}

/// Reads a day: the needed columns of its files, checked row by row. A file that can't be read is a reject.
pub(crate) async fn read(lake: &Store, files: &DayFiles, as_of_us: i64) -> Result<ReadDay> {
    read_columns(lake, files, &STEP_COLUMNS, as_of_us).await
}

/// The same without the dependencies and cache keys of steps.
pub(crate) async fn read_to_score(lake: &Store, files: &DayFiles, as_of_us: i64) -> Result<ReadDay> {
    read_columns(lake, files, &SCORED_COLUMNS, as_of_us).await
}

async fn read_columns(
    lake: &Store,
    files: &DayFiles,
    of_steps: &'static [&'static str],
    as_of_us: i64,
) -> Result<ReadDay> {
    let runs = fetch(lake, &files.runs, &RUN_COLUMNS).await?;
    let steps = fetch(lake, &files.steps, of_steps).await?;
    on_cpu(move || {
        let mut read = ReadDay { day: Day::default(), inputs: runs.inputs, rejects: runs.rejects };
        read.inputs.extend(steps.inputs);
        read.rejects.extend(steps.rejects);
        let runs: Runs = conform(runs.files, conform_runs, &mut read.rejects)?;
        let steps: Steps = conform(steps.files, conform_steps, &mut read.rejects)?;
        read.day = rollup::day(&runs, &steps, as_of_us)?;
        Ok(read)
    })
    .await?
}

/// The readable files of a table, and what is known of all of them.
#[derive(Default)]
struct Fetched {
    files: Vec<(String, DataFrame)>,
    inputs: Vec<InputFile>,
    rejects: Vec<Reject>,
}

async fn fetch(lake: &Store, objects: &[Object], columns: &'static [&'static str]) -> Result<Fetched> {
    let mut fetched = Fetched::default();
    for object in objects {
        let (digest, frame) = match lake.fetch_columns(object, columns).await {
            Ok(read) => {
                let frame = on_cpu(move || raw::parquet(&read.bytes, |name| columns.contains(&name))).await?;
                (read.digest, frame.map_err(|unreadable| unreadable.to_string()))
            }
            Err(FetchError::NotParquet(reason)) => ("unreadable".to_owned(), Err(reason)),
            Err(FetchError::Store(error)) => return Err(error),
        };
        match frame {
            Ok(frame) => fetched.files.push((object.path.clone(), frame)),
            Err(reason) => {
                let reason =
                    format!("this is no Parquet file that can be read ({reason}); write it again, or remove it");
                fetched.rejects.push(Reject::file(&object.path, reason));
            }
        }
        let Object { path, size, tag, .. } = object.clone();
        fetched.inputs.push(InputFile { path, size, tag, digest });
    }
    Ok(fetched)
}

/// The accepted rows of all files of a day. Rows of different files may share a key like rows of one file.
fn conform<T: CanonicalTable>(
    files: Vec<(String, DataFrame)>,
    check: impl Fn(&DataFrame, Origin) -> PolarsResult<Conformed<T>>,
    rejects: &mut Vec<Reject>,
) -> Result<T> {
    let mut of_files: BTreeMap<String, Conformed<T>> = BTreeMap::new();
    for (path, frame) in files {
        let mut conformed = check(&frame, Origin::file(&path))?;
        rejects.extend(std::mem::take(&mut conformed.rejects));
        of_files.insert(path, conformed);
    }
    if of_files.len() == 1
        && let Some((_, only)) = of_files.pop_first()
    {
        return Ok(only.table);
    }
    let origin = Origin::files_of(of_files.iter().map(|(path, conformed)| (path.as_str(), conformed.table.height())));
    let mut all = T::empty().map_err(|error| Error::Internal(error.to_string()))?.frame().clone();
    for conformed in of_files.values() {
        all.vstack_mut(conformed.table.frame())?;
    }
    let conformed = check(&all, origin)?;
    // Rows were counted among those accepted of their file; the file has others.
    rejects.extend(conformed.rejects.into_iter().map(|reject| {
        let in_file = of_files.get(&reject.file).zip(reject.row.and_then(|row| usize::try_from(row).ok()));
        Reject { row: in_file.map(|(file, row)| file.locate(row).1).or(reject.row), ..reject }
    }));
    Ok(conformed.table)
}

/// Drops what is large enough for its dropping to be done beside what follows.
pub(crate) fn give_up<T: Send + 'static>(value: T) {
    rayon::spawn(move || drop(value));
}

/// Runs blocking work without holding up the reactor: on the threads of the calculations, so that there is one for each
/// core whatever waits, and as few heaps.
pub(crate) async fn on_cpu<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(|| rayon::scope(|_| work()))
        .await
        .map_err(|e| Error::Internal(format!("a worker stopped: {e}")))
}
