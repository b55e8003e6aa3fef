//! `paceline changes list|accept|reopen`: which changes of level stand, and which of them are the new normal.

use super::output::{Format, print, table};
use super::results::{Results, ResultsArgs, by_id, published};
use crate::clock::Clock;
use crate::error::Result;
use crate::publish::decisions::{ChangePointKey, Decision};
use crate::publish::ledger::Event;
use crate::publish::{self};
use crate::report::format;
use crate::report::load::all;
use crate::tables::published::ChangePointRow;
use clap::{Args, Subcommand};
use serde_json::json;

/// Published change points, and what people think of them.
#[derive(Debug, Clone, Args)]
pub struct ChangesArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ChangesCommand,
}

/// What to do with change points.
#[derive(Debug, Clone, Subcommand)]
pub enum ChangesCommand {
    /// List the published change points, latest first
    List(ListArgs),
    /// Take a change for the new normal: baselines start there from the next run on
    Accept(DecideArgs),
    /// Take that back
    Reopen(DecideArgs),
}

/// Which change points are listed.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Which results
    #[command(flatten)]
    pub results: ResultsArgs,
    /// Only those of this workflow
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// table or json
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Which change point is decided on, by whom and why.
#[derive(Debug, Clone, Args)]
pub struct DecideArgs {
    /// Its id as `paceline changes list` shows it, or enough of its beginning
    pub id: String,
    /// Who decides
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Which results
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Usage`](crate::error::Error::Usage) for a wrong config, location, as-of or id;
/// [`Input`](crate::error::Error::Input) where nothing was published;
/// [`Verification`](crate::error::Error::Verification) for a damaged file; the store's and the database's errors.
pub async fn changes(args: &ChangesArgs) -> Result<u8> {
    match &args.command {
        ChangesCommand::List(args) => list(args).await?,
        ChangesCommand::Accept(args) => decide(args, Event::ChangePointAccepted, "accepted").await?,
        ChangesCommand::Reopen(args) => decide(args, Event::ChangePointReopened, "open").await?,
    }
    Ok(0)
}

/// A published change point with its key and what the ledger says of it now.
struct Change {
    key: ChangePointKey,
    row: ChangePointRow,
    is_accepted: bool,
}

async fn read(results: &Results, keep: impl Fn(&ChangePointRow) -> bool) -> Result<Vec<Change>> {
    let rows = published(all(&results.store, results.as_of, keep).await?, "change_points", results)?;
    let state = publish::ledger::State::load(&results.store).await?;
    let accepted = state.accepted();
    let change = |row: ChangePointRow| {
        let key = ChangePointKey::of(&row)?;
        Some(Change { is_accepted: accepted.contains(&key), key, row })
    };
    let mut changes: Vec<Change> = rows.into_iter().filter_map(change).collect();
    changes.sort_by(|a, b| b.key.changed_at.cmp(&a.key.changed_at).then_with(|| a.key.cmp(&b.key)));
    Ok(changes)
}

async fn list(args: &ListArgs) -> Result<()> {
    let ListArgs { results, workflow, limit, format } = args;
    let results = results.open().await?;
    let mut found =
        read(&results, |row| workflow.as_deref().is_none_or(|workflow| workflow == row.workflow_id)).await?;
    found.truncate(limit.unwrap_or(usize::MAX));
    print(&match format {
        Format::Table if found.is_empty() => "nothing has changed its level".to_owned(),
        Format::Table => {
            table(&["id", "changed", "workflow", "step", "metric", "effect", "state"], found.iter().map(cells))
        }
        Format::Json => json!(found.iter().map(as_json).collect::<Vec<_>>()).to_string(),
    })
}

const fn state(change: &Change) -> &'static str {
    if change.is_accepted { "accepted" } else { "open" }
}

fn cells(change: &Change) -> Vec<String> {
    let Change { key, row, .. } = change;
    vec![
        key.id(),
        key.changed_at.format("%Y-%m-%d").to_string(),
        format::name(&key.workflow_id),
        key.step.as_deref().map_or_else(|| "(run)".to_owned(), format::name),
        format::words(&key.metric),
        format!("{:+.0} %", 100.0 * (row.effect_ratio - 1.0)),
        state(change).to_owned(),
    ]
}

fn as_json(change: &Change) -> serde_json::Value {
    let Change { key, row, .. } = change;
    let finite = |value: f64| value.is_finite().then_some(value);
    json!({
        "id": key.id(), "workflow_id": key.workflow_id, "workflow_type": key.workflow_type, "step": key.step,
        "metric": key.metric, "changed_at": key.changed_at, "before": finite(row.before), "after": finite(row.after),
        "effect_ratio": finite(row.effect_ratio), "effect_lower": finite(row.effect_lower),
        "effect_upper": finite(row.effect_upper), "level": row.level, "p_value": finite(row.p_value),
        "state": state(change),
    })
}

async fn decide(args: &DecideArgs, event: impl Fn(Decision) -> Event, wanted: &str) -> Result<()> {
    let DecideArgs { id, by, reason, results } = args;
    let results = results.open().await?;
    let change = by_id(read(&results, |_| true).await?, id, |change| change.key.id(), "change point", "changes")?;
    if state(&change) == wanted {
        return print(&format!("{} is {wanted} already", change.key.id()));
    }
    let decision = Decision {
        change_point: change.key.clone(),
        by: by.clone(),
        reason: reason.clone(),
        decided_at: Clock::System.now(),
    };
    let number = results.tell(event(decision)).await?;
    print(&format!("{} is {wanted}: entry {number} of the ledger; the next run heeds it", change.key.id()))
}
