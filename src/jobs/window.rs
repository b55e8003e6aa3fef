//! The window of a run: every day reduced, those that have not changed since an earlier run taken from what was kept.

use super::days::{self, DayFiles, on_cpu};
use super::progress::Progress;
use super::spill::{Spill, SpillFile};
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::ledger::State;
use crate::publish::parquet::write_table;
use crate::pure::recommend::outcome::Needed;
use crate::pure::series::Metric;
use crate::pure::units::DAY_US;
use crate::rollup::{self, DayDigest, DigestHead, History, HistoryBuilder, Period, Provenance};
use crate::tables::published::{ROLLUPS, RollupColumns};
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days that are read at the same time: enough to keep both reading and reducing busy, few enough that memory stays
/// that of a handful of partitions.
const DAYS_AT_ONCE: usize = 2;

/// Days that are unpacked while another is put in its place.
const DAYS_AHEAD: usize = 3;

/// How the days of the window are reduced.
#[derive(Debug, Clone)]
pub(crate) struct Reduction {
    /// Name of the job: what is kept of a day belongs to it.
    pub(crate) job: String,
    /// Hash of the configuration.
    pub(crate) config_hash: String,
    /// The cutoff.
    pub(crate) as_of_us: i64,
    /// What is measured.
    pub(crate) metrics: Vec<Metric>,
    /// Periods that are published at all.
    pub(crate) periods: Vec<Period>,
    /// First day that gets buckets shorter than a day.
    pub(crate) subdaily_from: NaiveDate,
    /// Most executions of a day to keep for learning.
    pub(crate) sample_budget: usize,
}

impl Reduction {
    fn periods_of(&self, date: NaiveDate) -> Vec<Period> {
        let wanted = |period: &Period| *period == Period::Day || date >= self.subdaily_from;
        self.periods.iter().copied().filter(wanted).collect()
    }
}

/// The days of the lake that the run looks at, with what is published of them already.
pub(crate) struct Window {
    /// Files by day.
    pub(crate) days: BTreeMap<NaiveDate, DayFiles>,
    /// How the rollups that stand in the results came about, by path.
    pub(crate) published: BTreeMap<String, PublishedRollup>,
}

/// A rollup file as the ledger tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishedRollup {
    /// The cutoff at which it was made.
    pub(crate) as_of_us: i64,
    /// The configuration.
    pub(crate) config_hash: String,
    /// Path and digest of the day's inputs, sorted.
    pub(crate) inputs: Vec<(String, String)>,
}

/// What the ledger says of every rollup file.
pub(crate) fn published_rollups(state: &State) -> BTreeMap<String, PublishedRollup> {
    let mut published = BTreeMap::new();
    for run in state.entries().iter().filter_map(|sealed| sealed.entry.event.run()) {
        let mut inputs: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for input in &run.slot.inputs {
            inputs.entry(date_of(&input.path)).or_default().push((input.path.clone(), input.digest.clone()));
        }
        for file in run.files.iter().filter(|file| file.table == ROLLUPS.name) {
            let mut inputs = inputs.get(date_of(&file.path)).cloned().unwrap_or_default();
            inputs.sort();
            let rollup = PublishedRollup {
                as_of_us: run.slot.as_of.timestamp_micros(),
                config_hash: run.slot.config_hash.clone(),
                inputs,
            };
            published.insert(file.path.clone(), rollup);
        }
    }
    published
}

/// The folder `date=…` of a path; empty where there is none.
fn date_of(path: &str) -> &str {
    path.split('/').find(|part| part.starts_with("date=")).unwrap_or_default()
}

/// What the days turned into.
pub(crate) struct Reduced {
    /// New or replaced rollup files.
    pub(crate) rollups: Vec<Spill>,
    /// Latest instant in each day's partition, the cutoff not applied.
    pub(crate) latest_us: BTreeMap<NaiveDate, i64>,
    /// How many days were read anew.
    pub(crate) days_read: usize,
}

/// Reduces every day that is not kept or whose rollups are not published, and keeps it.
pub(crate) async fn reduce(lake: &Store, results: &Store, window: &Window, reduction: &Reduction) -> Result<Reduced> {
    let spill = Arc::new(SpillFile::new()?);
    let progress = Progress::of("reading days", window.days.len());
    let mut tasks = Vec::with_capacity(window.days.len());
    for (&date, files) in &window.days {
        tasks.push(reduce_day(lake, results, window, reduction, date, files, &spill));
    }
    let reduced: Vec<(NaiveDate, i64, Option<Vec<Spill>>)> =
        stream::iter(tasks).buffered(DAYS_AT_ONCE).inspect_ok(|_| progress.step()).try_collect().await?;
    let days_read = reduced.iter().filter(|(_, _, rollups)| rollups.is_some()).count();
    Ok(Reduced {
        latest_us: reduced.iter().map(|&(date, latest_us, _)| (date, latest_us)).collect(),
        rollups: reduced.into_iter().filter_map(|(_, _, rollups)| rollups).flatten().collect(),
        days_read,
    })
}

async fn reduce_day(
    lake: &Store,
    results: &Store,
    window: &Window,
    reduction: &Reduction,
    date: NaiveDate,
    files: &DayFiles,
    spill: &Arc<SpillFile>,
) -> Result<(NaiveDate, i64, Option<Vec<Spill>>)> {
    if let Some(kept) = kept(results, &reduction.job, date, DigestHead::from_bytes).await?
        && kept.holds_for(&files.identities(), reduction.as_of_us, reduction.sample_budget)
        && window.stale(&kept, date, reduction).is_empty()
    {
        return Ok((date, kept.latest_us, None));
    }
    let read = days::read(lake, files, reduction.as_of_us).await?;
    let (settings, spill) = (reduction.clone(), Arc::clone(spill));
    let (digest, mut rollups) = on_cpu(move || {
        let rollup = |period: Period| {
            let rows = rollup::rollups(&read.day, period, &settings.metrics);
            Ok((period, spill_rollups(&spill, date, period, rows, read.day.vocabulary.words())?))
        };
        let rollups: Vec<(Period, Spill)> =
            settings.periods_of(date).into_par_iter().map(rollup).collect::<Result<_>>()?;
        let cells = rollup::daily_cells(&read.day, &settings.metrics);
        let provenance = Provenance {
            as_of_us: settings.as_of_us,
            inputs: read.inputs,
            rejects: read.rejects,
            sample_budget: settings.sample_budget,
        };
        Ok::<_, Error>((rollup::digest(read.day, cells, provenance)?, rollups))
    })
    .await??;
    let stale = window.stale(&digest.head, date, reduction);
    rollups.retain(|(period, _)| stale.contains(period));
    let (latest_us, bytes) = (digest.head.latest_us, on_cpu(move || digest.to_bytes()).await??);
    results.put(&kept_path(&reduction.job, date), bytes).await?;
    Ok((date, latest_us, Some(rollups.into_iter().map(|(_, spill)| spill).collect())))
}

fn spill_rollups(
    spill: &SpillFile,
    date: NaiveDate,
    period: Period,
    rows: RollupColumns,
    words: &[String],
) -> Result<Spill> {
    let n_rows = rows.len() as u64;
    let bytes = write_table(&rows.into_batch(words)?, &ROLLUPS)?;
    spill.keep(ROLLUPS.name, rollup_path(date, period), &bytes, n_rows)
}

fn rollup_path(date: NaiveDate, period: Period) -> String {
    format!("rollups/period={}/date={date}/part-0.parquet", period.label())
}

impl Window {
    /// Periods of the day whose published rollups are not what this run would write. What a later cutoff published is
    /// left alone: a look back must not make a day forget what is known of it.
    fn stale(&self, kept: &DigestHead, date: NaiveDate, reduction: &Reduction) -> Vec<Period> {
        let inputs: Vec<_> = kept.inputs.iter().map(|input| (input.path.clone(), input.digest.clone())).collect();
        let is_current = |rollup: &PublishedRollup| {
            let same_cutoff =
                rollup.as_of_us == reduction.as_of_us || kept.latest_us <= rollup.as_of_us.min(reduction.as_of_us);
            rollup.inputs == inputs && rollup.config_hash == reduction.config_hash && same_cutoff
        };
        let is_stale = |period: &Period| match self.published.get(&rollup_path(date, *period)) {
            None => true,
            Some(rollup) => rollup.as_of_us <= reduction.as_of_us && !is_current(rollup),
        };
        reduction.periods_of(date).into_iter().filter(is_stale).collect()
    }
}

/// What was kept of each day, put together; the runs that are `needed` are there one by one. A few days at a time are
/// unpacked, so that memory holds the whole once.
pub(crate) async fn history(
    results: &Store,
    window: &Window,
    reduction: &Reduction,
    needed: Needed,
) -> Result<History> {
    let mut builder = HistoryBuilder::new(window.days.len(), needed);
    let unpack = |date| {
        let (results, job) = (results.clone(), reduction.job.clone());
        let unpacked = async move { kept(&results, &job, date, DayDigest::from_bytes).await };
        // A task of its own goes on while the builder is busy.
        let task = tokio::spawn(unpacked);
        async move {
            let digest = task.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))??;
            digest.map(|digest| (date, digest)).ok_or_else(|| {
                Error::Internal(format!("what was kept of {date} is gone or damaged; run again, and it is made anew"))
            })
        }
    };
    let mut days = stream::iter(window.days.keys().copied()).map(unpack).buffered(DAYS_AHEAD);
    while let Some((date, digest)) = days.try_next().await? {
        builder.add(day_us(date), digest, reduction.as_of_us);
    }
    drop(days);
    on_cpu(move || builder.finish()).await?
}

/// What `read` makes of the bytes that were kept of a day; none where there are none, or none that can be used.
async fn kept<T: Send + 'static>(
    results: &Store,
    job: &str,
    date: NaiveDate,
    read: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
) -> Result<Option<T>> {
    let bytes = results.get(&kept_path(job, date)).await?;
    on_cpu(move || bytes.and_then(|bytes| read(&bytes))).await
}

fn kept_path(job: &str, date: NaiveDate) -> String {
    format!("_state/{job}/date={date}/day.bin")
}

/// Midnight UTC of the day.
pub(crate) fn day_us(date: NaiveDate) -> i64 {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    days.saturating_mul(DAY_US)
}
