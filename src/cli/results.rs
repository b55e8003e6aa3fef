//! Which published results a command reads.

use super::target::configured;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish;
use crate::publish::ledger::Event;
use crate::publish::postgres::Database;
use crate::report::choose_as_of;
use chrono::{DateTime, Utc};
use clap::Args;
use std::path::PathBuf;

/// Where results lie, and as of when.
#[derive(Debug, Clone, Args)]
pub struct ResultsArgs {
    /// The config file that says where the results lie [default: paceline.yaml, unless --results is given]
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Where the results lie: a path, file:///…, s3://…, gs://… or az://…
    #[arg(long, value_name = "URL")]
    pub results: Option<String>,
    /// latest, or an RFC 3339 instant as of which something was published
    #[arg(long, value_name = "T", default_value = "latest", value_parser = parse_as_of)]
    pub as_of: PublishedAsOf,
}

/// The instant asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedAsOf {
    /// The newest.
    Latest,
    /// This one.
    At(DateTime<Utc>),
}

fn parse_as_of(text: &str) -> std::result::Result<PublishedAsOf, String> {
    if text == "latest" {
        return Ok(PublishedAsOf::Latest);
    }
    DateTime::parse_from_rfc3339(text)
        .map(|instant| PublishedAsOf::At(instant.with_timezone(&Utc)))
        .map_err(|error| format!("{error}; write latest, or an instant with its offset such as 2026-10-01T00:00:00Z"))
}

/// Results that are there.
#[derive(Debug)]
pub struct Results {
    /// The store.
    pub store: Store,
    /// As of when.
    pub as_of: DateTime<Utc>,
    /// What is configured; defaults where only a location was given.
    pub config: Config,
}

impl ResultsArgs {
    /// Opens the results and settles the as-of.
    ///
    /// # Errors
    /// [`Error::Usage`] for a config file or location that is wrong, or an as-of that was not published;
    /// [`Error::Input`] where nothing was published.
    pub async fn open(&self) -> Result<Results> {
        let Self { config, results, as_of } = self;
        let config = match (config, results) {
            (None, Some(_)) => Config::default(),
            (given, _) => configured(given.as_deref(), "--results URL")?,
        };
        let store = Store::open(results.as_deref().unwrap_or(&config.results))?;
        let asked = match as_of {
            PublishedAsOf::Latest => None,
            PublishedAsOf::At(instant) => Some(*instant),
        };
        let as_of = choose_as_of(&store, asked).await?;
        Ok(Results { store, as_of, config })
    }
}

impl Results {
    /// Commits an event that publishes nothing, and brings the database there; says the number of its entry.
    ///
    /// # Errors
    /// As [`publish::tell`].
    pub(super) async fn tell(&self, event: Event) -> Result<u64> {
        let setting = self.config.postgres.as_ref();
        let database = setting.map(|setting| Database::from_setting(&setting.url()?)).transpose()?;
        publish::tell(&self.store, database.as_ref(), event).await
    }
}

/// A table that the results hold as of an instant.
///
/// # Errors
/// [`Error::Input`] where `rows` is none.
pub(super) fn published<R>(rows: Option<R>, table: &str, results: &Results) -> Result<R> {
    rows.ok_or_else(|| {
        let (url, as_of) = (results.store.url(), results.as_of.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        Error::Input(format!(
            "{url}: the table {table} was not published as of {as_of}; repeat the run with all stages, or name another \
             instant with --as-of"
        ))
    })
}

/// The one of `all` that `id` names, in full or by its beginning; errors call it `what`, and say that `paceline VERB list`
/// shows all.
///
/// # Errors
/// [`Error::Usage`] where none or several are meant.
pub(super) fn by_id<R>(all: Vec<R>, id: &str, id_of: impl Fn(&R) -> String, what: &str, verb: &str) -> Result<R> {
    let mut meant: Vec<(String, R)> =
        all.into_iter().map(|one| (id_of(&one), one)).filter(|(own, _)| own.starts_with(id)).collect();
    if let Some(exact) = meant.iter().position(|(own, _)| own == id) {
        return Ok(meant.swap_remove(exact).1);
    }
    let ids: Vec<String> = meant.iter().take(5).map(|(own, _)| own.clone()).collect();
    let n = meant.len();
    match meant.pop() {
        Some((_, only)) if n == 1 => Ok(only),
        None => Err(Error::Usage(format!("no {what} {id:?}; `paceline {verb} list` shows those that are published"))),
        Some(_) => Err(Error::Usage(format!("{id:?} begins {n} ids: {}; write more of one", ids.join(", ")))),
    }
}
