//! `paceline ledger show|verify`: the history of a results folder, and its hash chain.

use super::output::{Format, print, table};
use super::target::configured;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::ledger::{Sealed, State, verify};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

/// The history of published results.
#[derive(Debug, Clone, Args)]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LedgerCommand,
}

/// What to do with the ledger.
#[derive(Debug, Clone, Subcommand)]
pub enum LedgerCommand {
    /// List the entries, oldest first
    Show(LedgerTarget),
    /// Check the hash chain, and every published file against its digest (exit 6 names the first fault)
    Verify(LedgerTarget),
}

/// Which ledger, and how to print it.
#[derive(Debug, Clone, Args)]
pub struct LedgerTarget {
    /// Where the results lie: a path, file:///…, s3://…, gs://… or az://…; overrules the configuration
    #[arg(long, value_name = "URL")]
    pub results: Option<String>,
    /// Configuration that says where they lie [default: paceline.yaml]
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// table or json
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] when there is no location, [`Error::Input`] when there is no ledger to verify,
/// [`Error::Verification`] for the first fault, the store's errors.
pub async fn ledger(args: &LedgerArgs) -> Result<u8> {
    match &args.command {
        LedgerCommand::Show(target) => show(&open(target)?, target.format).await?,
        LedgerCommand::Verify(target) => check(&open(target)?, target.format).await?,
    }
    Ok(0)
}

fn open(target: &LedgerTarget) -> Result<Store> {
    match &target.results {
        Some(location) => Store::open(location),
        None => Store::open(&configured(target.config.as_deref(), "--results URL")?.results),
    }
}

async fn show(store: &Store, format: Format) -> Result<()> {
    let state = State::load(store).await?;
    let text = match format {
        Format::Table => table(
            &["entry", "kind", "job", "as_of", "run_id", "files", "rows", "digest"],
            state.entries().iter().map(row),
        ),
        Format::Json => {
            let entry = |sealed: &Sealed| json!({ "digest": sealed.digest, "entry": sealed.entry });
            json!(state.entries().iter().map(entry).collect::<Vec<_>>()).to_string()
        }
    };
    print(&text)
}

fn row(sealed: &Sealed) -> Vec<String> {
    let Sealed { entry, digest } = sealed;
    let mut cells = vec![entry.number.to_string(), entry.event.kind().to_owned()];
    match entry.event.run() {
        Some(run) => cells.extend([
            run.slot.job.clone(),
            run.slot.as_of.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            run.run_id.clone(),
            run.files.len().to_string(),
            run.files.iter().map(|file| file.rows).sum::<u64>().to_string(),
        ]),
        None => cells.extend(std::iter::repeat_n("-".to_owned(), 5)),
    }
    cells.push(digest.chars().take(12).collect());
    cells
}

async fn check(store: &Store, format: Format) -> Result<()> {
    let verified = verify(store).await?;
    if verified.entries == 0 {
        // A mistyped location must not pass for a healthy one.
        let advice = "check the location, or publish something with `paceline run`";
        return Err(Error::Input(format!("{}: there is no ledger; {advice}", store.url())));
    }
    print(&match format {
        Format::Table => {
            format!("{}: {} entries in one chain, {} files as published", store.url(), verified.entries, verified.files)
        }
        Format::Json => json!({ "entries": verified.entries, "files": verified.files }).to_string(),
    })
}
