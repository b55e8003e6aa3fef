//! `paceline migrate up|down|status`: the Postgres schema.

use super::output::{Format, print, table};
use super::target::configured;
use crate::error::{Error, Result};
use crate::publish::postgres::{Database, MigrationStatus};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

/// The schema of the database that results are projected into.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MigrateCommand,
}

/// What to do with the schema.
#[derive(Debug, Clone, Subcommand)]
pub enum MigrateCommand {
    /// Apply all migrations that are missing
    Up(MigrateTarget),
    /// Take all migrations back: drops the tables; the next run after `up` fills them again
    Down(MigrateTarget),
    /// List the migrations, and whether the database has them
    Status(MigrateTarget),
}

/// Which database, and how to print.
#[derive(Debug, Clone, Args)]
pub struct MigrateTarget {
    /// postgres://user@host/database, or env:NAME for the environment variable that holds it;
    /// overrules the configuration
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Configuration that names it [default: paceline.yaml]
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// table or json
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] when there is no database, [`Error::Database`] when it can't be reached or refuses.
pub async fn migrate(args: &MigrateArgs) -> Result<u8> {
    let (MigrateCommand::Up(target) | MigrateCommand::Down(target) | MigrateCommand::Status(target)) = &args.command;
    let database = open(target)?;
    match &args.command {
        MigrateCommand::Up(_) => database.migrate_up().await?,
        MigrateCommand::Down(_) => database.migrate_down().await?,
        MigrateCommand::Status(_) => {}
    }
    print(&shown(&database.migration_status().await?, target.format))?;
    Ok(0)
}

fn open(target: &MigrateTarget) -> Result<Database> {
    if let Some(setting) = &target.postgres {
        return Database::from_setting(setting);
    }
    let config = configured(target.config.as_deref(), "--postgres URL")?;
    let named = config.postgres.ok_or_else(|| {
        let advice = "set `postgres: env:DATABASE_URL` there, or give --postgres URL";
        Error::Usage(format!("postgres: the configuration names no database; {advice}"))
    })?;
    Database::from_setting(&named.url()?)
}

fn shown(status: &[MigrationStatus], format: Format) -> String {
    let word = |applied: bool| if applied { "applied" } else { "missing" };
    match format {
        Format::Table => table(
            &["migration", "name", "state"],
            status.iter().map(|m| vec![m.version.to_string(), m.name.clone(), word(m.applied).to_owned()]),
        ),
        Format::Json => {
            let row = |m: &MigrationStatus| json!({ "version": m.version, "name": m.name, "applied": m.applied });
            json!(status.iter().map(row).collect::<Vec<_>>()).to_string()
        }
    }
}
