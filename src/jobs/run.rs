//! The main job, as a list of steps.

use super::anomalies::{Times, find_degradations, score_new};
use super::days::{self, give_up, on_cpu};
use super::decided::{self, DecidedBefore};
use super::engines::{Standing, analyse};
use super::experiments::judge_all;
use super::leftovers;
use super::outputs;
use super::refusals;
use super::registry::{self, Registry};
use super::settings::Settings;
use super::stage::{Stage, Stages};
use super::told_before::{self, ToldBefore};
use super::window::{self, Reduction, Window, published_rollups};
use crate::clock::Clock;
use crate::config::{AsOf, Config};
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::ledger::{Slot, State};
use crate::publish::postgres::Database;
use crate::publish::{self, Batch};
use crate::pure::recommend::outcome::needed;
use crate::rollup::History;
use chrono::{DateTime, Days, NaiveDate, SubsecRound, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Memory of one execution kept for learning: all columns, and the copies that learning makes of them.
const SAMPLE_BYTES: u64 = 600;
/// Part of the memory limit that executions kept for learning may take; the rest is for days being read and for series.
const SAMPLE_SHARE: u64 = 12;

/// What is asked of one run, beside the configuration.
#[derive(Debug, Clone)]
pub struct Request {
    /// Overrules the configured cutoff.
    pub as_of: Option<AsOf>,
    /// Which parts run.
    pub stages: Stages,
    /// Whether it runs over the past.
    pub backfill: bool,
    /// Where "now" comes from.
    pub clock: Clock,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The cutoff.
    pub as_of: DateTime<Utc>,
    /// Id of the run.
    pub run_id: String,
    /// Number of the ledger entry.
    pub entry: u64,
    /// Whether the slot was committed before.
    pub already: bool,
    /// Runs and step rows in the window.
    pub rows: (u64, u64),
    /// Rows refused in the window.
    pub rejects: u64,
    /// Series and groups that were not analysed.
    pub skips: u64,
    /// Days of the window, and how many of them were read anew.
    pub days: (usize, usize),
    /// Days of the lake that lie before the window.
    pub earlier_days: usize,
    /// Rows published, by table.
    pub published: BTreeMap<String, u64>,
    /// Refused rows went over the limit.
    pub over_limit: bool,
}

/// The stores and the database of a job.
struct Places {
    lake: Store,
    results: Store,
    database: Option<Database>,
}

/// Runs the job once: reads, learns, publishes. A slot that is committed already is left as it is.
///
/// # Errors
/// [`Error::Input`] when there is nothing to read; a store's or the database's failure before the commit point, when
/// nothing is published, or after it, when the commit stands and the next run catches up.
pub async fn run(config: &Config, request: &Request) -> Result<Outcome> {
    let stages = request.stages.enabled(config)?;
    let request = &Request { stages, ..request.clone() };
    let places = Places::open(config)?;
    let ledger = publish::prepare(&places.results, places.database.as_ref()).await?;
    leftovers::sweep(&places.results, &ledger, request.clock.now()).await?;
    super::sources::bring_in(config, &places.lake).await?;
    let as_of = resolve_as_of(config, request, &places.lake).await?;
    let (window, earlier_days) = window_of(config, &places.lake, &ledger, as_of).await?;
    let reduction = Reduction::of(config, as_of, window.days.len());
    let reduced = window::reduce(&places.lake, &places.results, &window, &reduction).await?;
    let decided = decided_before(&places.results, &ledger, config, request, as_of).await?;
    let needed = needed(&decided.decided.applied);
    let mut history = window::history(&places.results, &window, &reduction, needed).await?;
    refuse_unreadable(&history, &places.lake)?;
    refusals::add(&mut history, &places.lake, &ledger, &config.job, as_of).await?;
    let mut registry = standing_models(&places.results, &ledger, config, request, as_of).await?;
    let earlier = told_before(&places.results, &ledger, config, request, as_of).await?;
    let mut slot = slot(config, request, as_of, &history, &registry, &ledger);
    slot.earlier_changes.clone_from(&earlier.digest);
    slot.decided.clone_from(&decided.digest);
    if let Some(done) = ledger.committed(&slot.run_id()) {
        tracing::info!(as_of = %as_of, entry = done.entry.number, "this slot is committed already: nothing to do");
        // The run that committed it may have been stopped right after.
        publish::dictionary::write(&places.results).await?;
        return Ok(Outcome::committed(config, &slot, done.entry.number, true, &history, window.days.len(), &[]));
    }
    let settings = Arc::new(Settings::of(config, ledger.accepted_us()?, earlier.changes));
    let (stages, for_engines) = (request.stages.clone(), Arc::clone(&settings));
    let champions = std::mem::take(&mut registry.champions);
    let standing = Standing { champions, decided, as_of_us: as_of.timestamp_micros() };
    let (history, mut findings) = on_cpu(move || {
        let mut history = history;
        let findings = analyse(&mut history, &for_engines, &stages, standing);
        (history, findings)
    })
    .await?;
    findings.skips.append(&mut registry.skips);
    let previous = ledger.previous_as_of(&config.job, as_of);
    let mut anomalies = Vec::new();
    if request.stages.has(Stage::Anomalies) {
        let times = Times::new(previous, as_of, settings.degradations.window_us);
        let level = settings.anomaly_level;
        let mut scored = score_new(&places.lake, &window, &reduced.latest_us, &mut findings, times, level).await?;
        find_degradations(&history.samples, &scored, &mut findings, times.until_us(), &settings.degradations);
        anomalies.append(&mut scored.anomalies);
    }
    let experiments = judge_all(&history.arms, &settings.experiments, as_of.timestamp_micros());
    let context = outputs::Context::of(&places.results, &ledger, config, as_of).await?;
    let mut tables =
        outputs::tables(&context, &request.stages, &history, &findings, &anomalies, &experiments, &settings)?;
    let mut written = Vec::new();
    for rollup in reduced.rollups.iter().filter(|_| request.stages.has(Stage::Rollups)) {
        written.push(publish::write(&places.results, &rollup.output()?).await?);
    }
    let published: Vec<(String, u64)> = written
        .iter()
        .map(|file| (file.table.clone(), file.rows))
        .chain(tables.iter().map(|output| (output.table.to_owned(), output.rows)))
        .collect();
    let mut models = std::mem::take(&mut findings.model_digests);
    let (registered, digests) = registry::outputs(&registry, &findings.elected, config, &settings, as_of)?;
    tables.extend(registered);
    models.extend(digests);
    let batch = Batch { slot: slot.clone(), backfill: request.backfill, models, outputs: tables, written };
    let committed = publish::commit(&places.results, places.database.as_ref(), batch).await?;
    publish::dictionary::write(&places.results).await?;
    if let Some(error) = committed.behind {
        return Err(error);
    }
    let number = committed.sealed.entry.number;
    let mut outcome =
        Outcome::committed(config, &slot, number, committed.already, &history, window.days.len(), &published);
    outcome.skips = findings.skips.len() as u64;
    outcome.days.1 = reduced.days_read;
    outcome.earlier_days = earlier_days;
    give_up((history, findings));
    Ok(outcome)
}

impl Places {
    fn open(config: &Config) -> Result<Self> {
        let database = config.postgres.as_ref().map(|setting| Database::from_setting(&setting.url()?)).transpose()?;
        Ok(Self { lake: Store::open(&config.lake)?, results: Store::open(&config.results)?, database })
    }
}

async fn resolve_as_of(config: &Config, request: &Request, lake: &Store) -> Result<DateTime<Utc>> {
    let asked = request.as_of.unwrap_or(config.as_of);
    let resolved = match asked.resolve(request.clock.now(), config.analytics.analysis_interval) {
        Some(instant) => instant,
        None => days::latest_end(lake).await?.ok_or_else(|| nothing_in(lake, "any run"))?,
    };
    // Folders of results are named to the second. Rounding up keeps what ended within the second.
    let whole = resolved.trunc_subsecs(0);
    Ok(if whole == resolved { whole } else { whole + chrono::TimeDelta::seconds(1) })
}

fn nothing_in(lake: &Store, what: &str) -> Error {
    Error::Input(format!(
        "{}: found no partition (runs/date=YYYY-MM-DD/*.parquet) with {what}; bring history in with `paceline ingest`, \
         or choose another instant with --as-of (`--as-of latest` takes the newest run)",
        lake.url()
    ))
}

impl Reduction {
    /// Days that are not there need no memory. What there is per day changes only when their number doubles: all that
    /// was kept of them is made anew then.
    fn of(config: &Config, as_of: DateTime<Utc>, n_days: usize) -> Self {
        let analytics = &config.analytics;
        let window_days =
            (n_days.max(1).next_power_of_two() as u64).min(u64::from(analytics.data_retention_days.max(1)));
        let subdaily = Days::new(u64::from(analytics.subdaily_retention_days.saturating_sub(1)));
        let per_day = config.limits.memory_bytes / SAMPLE_SHARE / SAMPLE_BYTES / window_days;
        Self {
            job: config.job.clone(),
            config_hash: config.hash(),
            as_of_us: as_of.timestamp_micros(),
            metrics: analytics.metrics.clone(),
            periods: analytics.aggregation_levels.clone(),
            subdaily_from: as_of.date_naive().checked_sub_days(subdaily).unwrap_or(NaiveDate::MIN),
            sample_budget: usize::try_from(per_day).unwrap_or(usize::MAX),
        }
    }
}

/// The partitions of the days that end at the cutoff, and how many days of the lake lie before them.
async fn window_of(config: &Config, lake: &Store, ledger: &State, as_of: DateTime<Utc>) -> Result<(Window, usize)> {
    let last = as_of.date_naive();
    let back = Days::new(u64::from(config.analytics.data_retention_days.saturating_sub(1)));
    let first = last.checked_sub_days(back).unwrap_or(NaiveDate::MIN);
    let days = days::list(lake, first, last).await?;
    if days.is_empty() {
        return Err(nothing_in(lake, &format!("a date from {first} to {last}")));
    }
    let n_earlier = days::count_before(lake, first).await?;
    Ok((Window { days, published: published_rollups(ledger) }, n_earlier))
}

fn refuse_unreadable(history: &History, lake: &Store) -> Result<()> {
    if history.rows != (0, 0) {
        return Ok(());
    }
    let first = history.rejects.first().map_or_else(
        || "no run had started by the cutoff".to_owned(),
        |reject| format!("the first of {}: {}: {}", history.rejects.len(), reject.file, reject.reason),
    );
    Err(Error::Input(format!("{}: no row of the window could be accepted; {first}", lake.url())))
}

/// Change points are none of what a run without analysis looks for.
async fn told_before(
    results: &Store,
    ledger: &State,
    config: &Config,
    request: &Request,
    as_of: DateTime<Utc>,
) -> Result<ToldBefore> {
    match request.stages.has(Stage::Analysis) {
        true => told_before::load(results, ledger, &config.job, as_of).await,
        false => Ok(ToldBefore::default()),
    }
}

/// Decisions on recommendations are none of what a run without them looks at.
async fn decided_before(
    results: &Store,
    ledger: &State,
    config: &Config,
    request: &Request,
    as_of: DateTime<Utc>,
) -> Result<DecidedBefore> {
    match request.stages.has(Stage::Recommendations) {
        true => decided::load(results, ledger, config, as_of).await,
        false => Ok(DecidedBefore::default()),
    }
}

/// Models are none of what a run without predictions looks at.
async fn standing_models(
    results: &Store,
    ledger: &State,
    config: &Config,
    request: &Request,
    as_of: DateTime<Utc>,
) -> Result<Registry> {
    match request.stages.has(Stage::Predictions) {
        true => registry::load(results, ledger, &config.job, as_of).await,
        false => Ok(Registry::default()),
    }
}

fn slot(
    config: &Config,
    request: &Request,
    as_of: DateTime<Utc>,
    history: &History,
    registry: &Registry,
    ledger: &State,
) -> Slot {
    Slot {
        job: config.job.clone(),
        as_of,
        stages: request.stages.names(),
        config_hash: config.hash(),
        seed: config.seed,
        inputs: outputs::inputs(history),
        champions: registry.digests.clone(),
        accepted: ledger.accepted().into_iter().cloned().collect(),
        earlier_changes: None,
        decided: None,
    }
}

impl Outcome {
    fn committed(
        config: &Config,
        slot: &Slot,
        entry: u64,
        already: bool,
        history: &History,
        days: usize,
        files: &[(String, u64)],
    ) -> Self {
        let mut published: BTreeMap<String, u64> = BTreeMap::new();
        for (table, rows) in files {
            *published.entry(table.clone()).or_default() += rows;
        }
        let rejects = history.rejects.len() as u64;
        let rows = history.rows.0 + history.rows.1;
        Self {
            as_of: slot.as_of,
            run_id: slot.run_id(),
            entry,
            already,
            rows: history.rows,
            rejects,
            skips: 0,
            days: (days, 0),
            earlier_days: 0,
            published,
            over_limit: ratio(rejects, rows + rejects) > config.limits.max_rejects_ratio,
        }
    }

    /// 0, or 3 when more rows were refused than the configuration allows.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.over_limit { 3 } else { 0 }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Runs the job for each day of a range, oldest first, as of midnight UTC at its end.
///
/// # Errors
/// As [`run`]; what was committed before stays.
pub async fn backfill(
    config: &Arc<Config>,
    request: &Request,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for date in first.iter_days().take_while(|date| *date <= last) {
        let Some(end) = date.succ_opt().and_then(|next| next.and_hms_opt(0, 0, 0)) else { break };
        let one = Request { as_of: Some(AsOf::At(end.and_utc())), backfill: true, ..request.clone() };
        let outcome = run(config, &one).await?;
        tracing::info!(date = %date, entry = outcome.entry, "backfilled");
        outcomes.push(outcome);
    }
    Ok(outcomes)
}
