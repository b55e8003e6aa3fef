//! Postgres as a projection of the ledger: the rows of every published file that is current, and the number of the
//! entry up to which they are. One transaction an entry; rows always come from the published files, so that catching
//! up, rebuilding and the ordinary way are one.

mod copy;
mod migrate;

use super::ledger::{FileRef, REGISTRY, Sealed, State};
use super::parquet::read_table;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::tables::published::{Partition, TableSpec, table};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use copy::Constants;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

pub use migrate::MigrationStatus;

/// How long a server may take to answer before it counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Held by whoever writes, so that two writers never mix: an arbitrary number that nothing else uses.
const WRITER_LOCK: i64 = 0x7061_6365_6c69_6e65;
/// Bytes sent at a time.
const CHUNK: usize = 1 << 20;
/// The parameters of a connection URL that the driver knows. It would log others with their values.
const URL_PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// A database that results are projected into.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
}

/// Never the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        f.debug_struct("Database").field("host", &self.options.get_host()).field("database", &database).finish()
    }
}

impl Database {
    /// From a setting: `env:NAME` names the environment variable that holds the URL, anything else is the URL
    /// (`postgres://user@host/database`, or `postgres://user@%2Fpath%2Fto%2Fsocket/database`). Does not connect yet.
    ///
    /// # Errors
    /// [`Error::Usage`] that never shows the URL.
    pub fn from_setting(setting: &str) -> Result<Self> {
        let Some(name) = setting.strip_prefix("env:") else { return Self::from_url(setting) };
        let url = std::env::var(name).map_err(|e| {
            Error::Usage(format!("postgres: the environment variable {name} can't be read ({e}); set it to the URL"))
        })?;
        Self::from_url(&url)
    }

    fn from_url(text: &str) -> Result<Self> {
        let refused = |why: &str| Error::Usage(format!("postgres: {why}; expected postgres://user@host:port/database"));
        let url = Url::parse(text).map_err(|e| refused(&format!("not a URL ({e})")))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(refused(&format!("a URL that starts with {}:", url.scheme())));
        }
        let is_known = |key: &str| URL_PARAMETERS.contains(&key) || key == "options" || key.starts_with("options[");
        if let Some((key, _)) = url.query_pairs().find(|(key, _)| !is_known(key)) {
            return Err(refused(&format!("unknown parameter {key:?}")));
        }
        let options = PgConnectOptions::from_str(text).map_err(|_may_show_it| refused("not a connection URL"))?;
        Ok(Self { options: options.application_name("paceline").disable_statement_logging() })
    }

    pub(super) async fn connect(&self) -> Result<PgConnection> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&self.options));
        match connecting.await {
            Ok(connection) => connection.map_err(failed("connecting to")),
            Err(_elapsed) => Err(failed("connecting to")(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
        }
    }

    /// Whether it can be reached, its schema is up to date, and what it holds belongs to this ledger.
    ///
    /// # Errors
    /// [`Error::Database`] when it can't be reached, [`Error::Usage`] for the rest.
    pub async fn check(&self, store: &Store, state: &State) -> Result<()> {
        let status = self.migration_status().await?;
        if status.iter().any(|migration| !migration.applied) {
            return Err(Error::Usage(
                "postgres: the schema is not up to date; run `paceline migrate up` first".to_owned(),
            ));
        }
        let mut connection = self.connect().await?;
        let applied = applied_version(&mut connection).await?;
        connection.close().await.map_err(failed("leaving"))?;
        check_lineage(applied.as_ref(), store, state).await
    }

    /// Applies every entry that is not applied yet; says how many.
    ///
    /// # Errors
    /// [`Error::Database`] when it fails: entries before are applied, the present one is not at all.
    pub async fn catch_up(&self, store: &Store, state: &State) -> Result<usize> {
        let mut connection = self.connect().await?;
        let newest = newest_entries(state);
        let mut n_applied = 0;
        while let Some(()) = apply_next(&mut connection, store, state, &newest).await? {
            n_applied += 1;
        }
        connection.close().await.map_err(failed("leaving"))?;
        Ok(n_applied)
    }
}

/// The entry that the rows are of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    version: u64,
    digest: String,
}

fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Database { action, source }
}

async fn applied_version(connection: &mut PgConnection) -> Result<Option<Applied>> {
    let row = sqlx::query("SELECT version, digest FROM paceline.applied_version")
        .fetch_optional(connection)
        .await
        .map_err(failed("reading"))?;
    row.map(|row| {
        let version: i64 = row.try_get(0).map_err(failed("reading"))?;
        let digest = row.try_get(1).map_err(failed("reading"))?;
        Ok(Applied { version: u64::try_from(version).unwrap_or(0), digest })
    })
    .transpose()
}

/// A database that was filled from other results is not overwritten.
async fn check_lineage(applied: Option<&Applied>, store: &Store, state: &State) -> Result<()> {
    let Some(applied) = applied else { return Ok(()) };
    let is_ahead = applied.version > head_number(state);
    // Another writer may have come first: then the entry stands in the ledger by now.
    let ours = if is_ahead { digest_of(&State::load(store).await?, applied) } else { digest_of(state, applied) };
    if ours.as_deref() == Some(applied.digest.as_str()) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "postgres: the database holds the results of another ledger (its entry {} is {}, here {}); use another database, \
         or empty this one with `paceline migrate down` and `paceline migrate up`",
        applied.version,
        applied.digest,
        ours.as_deref().unwrap_or("missing")
    )))
}

fn digest_of(state: &State, applied: &Applied) -> Option<String> {
    let entry = state.entries().iter().find(|sealed| sealed.entry.number == applied.version);
    entry.map(|sealed| sealed.digest.clone())
}

fn head_number(state: &State) -> u64 {
    state.head().map_or(0, |head| head.entry.number)
}

/// For each path the number of the last entry that names it: only that one's rows are current.
fn newest_entries(state: &State) -> BTreeMap<&str, u64> {
    let files = state.entries().iter().filter_map(|sealed| Some((sealed.entry.number, sealed.entry.event.run()?)));
    files.flat_map(|(number, run)| run.files.iter().map(move |file| (file.path.as_str(), number))).collect()
}

/// One entry in one transaction; none when there is nothing left to do.
async fn apply_next(
    connection: &mut PgConnection,
    store: &Store,
    state: &State,
    newest: &BTreeMap<&str, u64>,
) -> Result<Option<()>> {
    let mut transaction = connection.begin().await.map_err(failed("writing"))?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(WRITER_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(failed("locking"))?;
    // Read under the lock: another writer may have come first.
    let applied = applied_version(&mut transaction).await?;
    check_lineage(applied.as_ref(), store, state).await?;
    let done = applied.map_or(0, |applied| applied.version);
    let Some(next) = state.entries().iter().find(|sealed| sealed.entry.number > done) else { return Ok(None) };
    let mut cleared = BTreeSet::new();
    for file in next.entry.event.run().map_or(&[][..], |run| &run.files) {
        if newest.get(file.path.as_str()) == Some(&next.entry.number) {
            replace_rows(&mut transaction, store, file, &mut cleared).await?;
        }
    }
    set_applied(&mut transaction, next).await?;
    transaction.commit().await.map_err(failed("committing to"))?;
    Ok(Some(()))
}

async fn set_applied(connection: &mut PgConnection, sealed: &Sealed) -> Result<()> {
    sqlx::query(
        "INSERT INTO paceline.applied_version (version, digest) VALUES ($1, $2) \
         ON CONFLICT (singleton) DO UPDATE SET version = excluded.version, digest = excluded.digest",
    )
    .bind(i64::try_from(sealed.entry.number).unwrap_or(i64::MAX))
    .bind(&sealed.digest)
    .execute(connection)
    .await
    .map_err(failed("writing"))?;
    Ok(())
}

/// Puts the rows of a file in the place of those of its folder. `cleared` are the folders emptied so far.
async fn replace_rows(
    connection: &mut PgConnection,
    store: &Store,
    file: &FileRef,
    cleared: &mut BTreeSet<Folder>,
) -> Result<()> {
    if file.table == REGISTRY {
        return Ok(());
    }
    let Some(spec) = table(&file.table) else {
        tracing::warn!(table = file.table, "a table that this version does not know is not in the database");
        return Ok(());
    };
    let Some(bytes) = current_bytes(store, file).await? else { return Ok(()) };
    let folder = Folder::of(spec, &file.path)
        .ok_or_else(|| Error::Verification(format!("{} is no path of a published table", store.locate(&file.path))))?;
    if cleared.insert(folder.clone()) {
        folder.clear(connection, spec).await?;
    }
    copy_in(connection, spec, &folder, bytes).await
}

/// The bytes that the entry tells of. A run that was killed between its data files and its entry leaves other bytes;
/// it then runs again, and its own entry brings the rows. Until then those of this file can't be had.
async fn current_bytes(store: &Store, file: &FileRef) -> Result<Option<Bytes>> {
    let bytes = store.get(&file.path).await?.filter(|bytes| blake3::hash(bytes).to_hex().as_str() == file.digest);
    if bytes.is_none() {
        tracing::warn!(
            file = store.locate(&file.path),
            "this file is not the one that was committed; its rows are left out of the database until a run replaces it"
        );
    }
    Ok(bytes)
}

/// The part of a path that is columns in the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Folder {
    AsOf(&'static str, DateTime<Utc>),
    PeriodAndDate(&'static str, String, NaiveDate),
}

impl Folder {
    fn of(spec: &'static TableSpec, path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(spec.name)?.strip_prefix('/')?.split('/');
        let mut value = |key: &str| parts.next()?.strip_prefix(key)?.strip_prefix('=');
        match spec.partition {
            Partition::AsOf => {
                let as_of = NaiveDateTime::parse_from_str(value("as_of")?, "%Y-%m-%dT%H-%M-%SZ").ok()?;
                Some(Self::AsOf(spec.name, as_of.and_utc()))
            }
            Partition::PeriodAndDate => {
                let period = value("period")?.to_owned();
                Some(Self::PeriodAndDate(spec.name, period, value("date")?.parse().ok()?))
            }
        }
    }

    fn constants(&self) -> Constants {
        match self {
            Self::AsOf(_, as_of) => Constants::default().instant(*as_of),
            Self::PeriodAndDate(_, period, date) => Constants::default().text(period).date(*date),
        }
    }

    fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::AsOf(..) => &["as_of"],
            Self::PeriodAndDate(..) => &["period", "date"],
        }
    }

    async fn clear(&self, connection: &mut PgConnection, spec: &TableSpec) -> Result<()> {
        let delete = format!("DELETE FROM paceline.{:?} WHERE ", spec.name);
        let query = match self {
            Self::AsOf(_, as_of) => sqlx::query(AssertSqlSafe(delete + "as_of = $1")).bind(*as_of),
            Self::PeriodAndDate(_, period, date) => {
                sqlx::query(AssertSqlSafe(delete + "period = $1 AND date = $2")).bind(period.clone()).bind(*date)
            }
        };
        query.execute(connection).await.map_err(failed("writing"))?;
        Ok(())
    }
}

async fn copy_in(connection: &mut PgConnection, spec: &TableSpec, folder: &Folder, bytes: Bytes) -> Result<()> {
    let names = folder.columns().iter().copied().chain(spec.columns.iter().map(|column| column.name));
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    let statement = format!("COPY paceline.{:?} ({}) FROM STDIN (FORMAT binary)", spec.name, names.join(", "));
    let constants = folder.constants();
    let batches = read_table(bytes)?;
    let mut rows = connection.copy_in_raw(&statement).await.map_err(failed("loading rows into"))?;
    let mut buffer = copy::HEADER.to_vec();
    for batch in batches {
        copy::encode(&batch?, &constants, &mut buffer)?;
        if buffer.len() >= CHUNK {
            rows.send(std::mem::take(&mut buffer)).await.map_err(failed("loading rows into"))?;
        }
    }
    buffer.extend_from_slice(copy::TRAILER);
    rows.send(buffer).await.map_err(failed("loading rows into"))?;
    rows.finish().await.map_err(failed("loading rows into"))?;
    Ok(())
}
