//! `paceline run`: the main job, once or over a range of days.

use super::output::{Format, print as print_out};
use crate::clock::Clock;
use crate::config::{self, AsOf, Config};
use crate::error::{Error, Result};
use crate::io::Store;
use crate::jobs::run::{Outcome, Request, backfill, run as run_job};
use crate::jobs::{Stage, Stages};
use crate::publish::ledger::State;
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Analyses the lake as of one instant and publishes the results. A slot that is committed already is left as it is.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Configuration [default: paceline.yaml, or built-in defaults where --lake and --results are given].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the history lies; overrules the configuration.
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// Where results go; overrules the configuration.
    #[arg(long, value_name = "URL")]
    results: Option<String>,
    /// Cutoff: now, latest (the newest end in the lake) or an RFC 3339 instant; overrules the configuration.
    #[arg(long, value_name = "T", value_parser = AsOf::parse)]
    as_of: Option<AsOf>,
    /// Only these stages: rollups, analysis, forecasts, predictions, anomalies, comparisons, experiments,
    /// recommendations.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    stage: Vec<Stage>,
    /// Run once for each day of the range, as of the end of the day: 2026-03-01..2026-03-31, both included.
    #[arg(long, value_name = "A..B", value_parser = parse_range, conflicts_with = "as_of")]
    backfill: Option<(NaiveDate, NaiveDate)>,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn parse_range(text: &str) -> std::result::Result<(NaiveDate, NaiveDate), String> {
    let dates = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match dates {
        Some((first, last)) if first <= last => Ok((first, last)),
        Some(_) => Err("the first date lies after the last: turn them round".to_owned()),
        None => Err("write two dates, like 2026-03-01..2026-03-31".to_owned()),
    }
}

/// Runs the job, once or for each day of the range.
///
/// # Errors
/// As [`run_job`]; [`Error::Usage`] for a configuration that is wrong.
pub async fn run(args: &RunArgs) -> Result<u8> {
    let config = Arc::new(config_of(args)?);
    let stages = Stages::of(&args.stage);
    let request = Request { as_of: args.as_of, stages, backfill: false, clock: Clock::System };
    let outcomes = match args.backfill {
        Some((first, last)) => backfill(&config, &request, first, last).await?,
        None => vec![run_job(&config, &request).await?],
    };
    for outcome in &outcomes {
        print_out(&shown(outcome, &config, args.format))?;
    }
    Ok(outcomes.iter().map(Outcome::exit_code).max().unwrap_or(0))
}

fn config_of(args: &RunArgs) -> Result<Config> {
    let standard = config::default_path();
    let mut config = match &args.config {
        Some(path) => config::load(path)?,
        None if args.lake.is_some() && args.results.is_some() && !Path::new(&standard).exists() => Config::default(),
        None => config::load(&standard)?,
    };
    if let Some(lake) = &args.lake {
        config.lake.clone_from(lake);
    }
    if let Some(results) = &args.results {
        config.results.clone_from(results);
    }
    if config.lake == config.results {
        return Err(Error::Usage(format!("lake and results are both {}; give them folders of their own", config.lake)));
    }
    // Locations are checked before anything long starts.
    Store::open(&config.results)?;
    Ok(config)
}

fn shown(outcome: &Outcome, config: &Config, format: Format) -> String {
    let Outcome { as_of, run_id, entry, already, rows, rejects, skips, days, earlier_days, published, over_limit: _ } =
        outcome;
    match format {
        Format::Json => serde_json::json!({
            "as_of": as_of, "run_id": run_id, "entry": entry, "already_committed": already, "runs": rows.0,
            "steps": rows.1, "rejects": rejects, "skips": skips, "days": days.0, "days_read": days.1,
            "earlier_days": earlier_days, "published": published, "results": config.results,
        })
        .to_string(),
        Format::Table if *already => format!("as of {as_of}: committed before as entry {entry}; nothing to do"),
        Format::Table => {
            let (runs, steps) = rows;
            let mut lines = vec![
                format!("as of {as_of}: entry {entry}, run {run_id}"),
                format!("  read       {runs} runs and {steps} step rows of {} days ({} read anew)", days.0, days.1),
                format!("  refused    {rejects} rows; {skips} analyses skipped (tables rejects and skips say why)"),
            ];
            if *earlier_days > 0 {
                let kept = config.analytics.data_retention_days;
                lines.insert(
                    2,
                    format!("  left out   {earlier_days} earlier days: analytics.data_retention_days is {kept}"),
                );
            }
            lines.extend(published.iter().map(|(table, rows)| format!("  published  {rows:>9} rows of {table}")));
            lines.push(format!("  results in {}", config.results));
            lines.join("\n")
        }
    }
}

/// The job of the cron daemon: one run as of its slot.
#[must_use]
pub fn scheduled(config: Arc<Config>, slot: DateTime<Utc>) -> BoxFuture<'static, Result<u8>> {
    Box::pin(async move {
        let as_of = Some(AsOf::At(slot));
        let request = Request { as_of, stages: Stages::default(), backfill: false, clock: Clock::System };
        let outcome = run_job(&config, &request).await?;
        tracing::info!(job = config.job, as_of = %outcome.as_of, entry = outcome.entry, "scheduled run finished");
        Ok(outcome.exit_code())
    })
}

/// The cutoff of the job's newest committed run.
#[must_use]
pub fn last_as_of(config: Arc<Config>) -> BoxFuture<'static, Result<Option<DateTime<Utc>>>> {
    Box::pin(async move {
        let ledger = State::load(&Store::open(&config.results)?).await?;
        Ok(ledger.previous_as_of(&config.job, DateTime::<Utc>::MAX_UTC))
    })
}
