//! `paceline recommend apply|rollback|dismiss|reopen`: what became of a recommendation, as an entry of the ledger.

use super::output::print;
use super::results::{Results, ResultsArgs, by_id, published};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::publish::applications::{Decided, Proposed, RecommendationDecision};
use crate::publish::ledger::{Event, State};
use crate::pure::recommend::Status;
use crate::report::format;
use crate::report::load::all;
use crate::tables::published::RecommendationRow;
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use clap::Args;

/// Which recommendation is decided on, by whom, why, and since when.
#[derive(Debug, Clone, Args)]
pub struct DecideArgs {
    /// Its `recommendation_id`, or enough of its beginning
    pub id: String,
    /// Since when it holds: an RFC 3339 instant [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    pub at: Option<DateTime<Utc>>,
    /// Who says so
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Which results
    #[command(flatten)]
    pub results: ResultsArgs,
}

fn parse_instant(text: &str) -> std::result::Result<DateTime<Utc>, String> {
    let parsed = DateTime::parse_from_rfc3339(text).map(|instant| instant.with_timezone(&Utc));
    parsed.map_err(|error| format!("{error}; write an instant with its offset such as 2026-10-01T12:00:00Z"))
}

/// Appends the decision, unless it stands already.
///
/// # Errors
/// [`Error::Usage`] for a wrong config, location, as-of, id or instant, or a decision that does not follow from the one
/// before; [`Error::Input`] where nothing was published; the store's and the database's errors.
pub(super) async fn decide(args: &DecideArgs, wanted: Status) -> Result<()> {
    let DecideArgs { id, at, by, reason, results } = args;
    let results = results.open().await?;
    let decided = State::load(&results.store).await?.decided();
    let proposed = by_id(known(&results, &decided).await?, id, id_of, "recommendation", "recommend")?;
    let (id, status) = (&proposed.recommendation_id, decided.status(&proposed.recommendation_id));
    if status == wanted && at.is_none() {
        return print(&format!("{id} is {} already", format::words(wanted.as_str())));
    }
    let now = Clock::System.now().trunc_subsecs(0);
    let at = at.unwrap_or(now);
    follows(id, (status, wanted))?;
    is_in_order(&decided, id, wanted, at, now)?;
    let decision = RecommendationDecision {
        at,
        by: by.clone(),
        reason: reason.clone(),
        decided_at: now,
        recommendation: proposed.clone(),
    };
    let number = results.tell(event(wanted, decision)).await?;
    let since = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let stands = format::words(wanted.as_str());
    print(&format!("{id} is {stands} since {since}: entry {number} of the ledger; the next run heeds it"))
}

fn id_of(proposed: &Proposed) -> String {
    proposed.recommendation_id.clone()
}

/// What is published, and what was decided on before and is no longer proposed.
async fn known(results: &Results, decided: &Decided) -> Result<Vec<Proposed>> {
    let rows = all(&results.store, results.as_of, |_: &RecommendationRow| true).await?;
    let mut known = Proposed::all(&published(rows, "recommendations", results)?);
    for standing in decided.standing.values() {
        let earlier = &standing.decision.recommendation;
        if !known.iter().any(|one| one.recommendation_id == earlier.recommendation_id) {
            known.push(earlier.clone());
        }
    }
    Ok(known)
}

fn event(wanted: Status, decision: RecommendationDecision) -> Event {
    match wanted {
        Status::Open => Event::RecommendationReopened(decision),
        Status::Applied => Event::RecommendationApplied(decision),
        Status::RolledBack => Event::RecommendationRolledBack(decision),
        Status::Dismissed => Event::RecommendationDismissed(decision),
    }
}

/// Only what was applied can be rolled back, and must be before it is dismissed.
fn follows(id: &str, (status, wanted): (Status, Status)) -> Result<()> {
    let advice = match (status, wanted) {
        (Status::Applied, Status::RolledBack) => return Ok(()),
        (_, Status::RolledBack) => "only what is applied can be rolled back",
        (Status::Applied, Status::Dismissed) => {
            "say first that it was taken back (`paceline recommend rollback`), or that it never was applied \
             (`paceline recommend reopen`)"
        }
        _ => return Ok(()),
    };
    Err(Error::Usage(format!("{id} is {}: {advice}", format::words(status.as_str()))))
}

fn is_in_order(decided: &Decided, id: &str, wanted: Status, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    let text = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::Secs, true);
    if at > now {
        let (at, now) = (text(at), text(now));
        return Err(Error::Usage(format!("--at {at} is in the future (it is {now}): say so once it has happened")));
    }
    let before = decided.standing.get(id).map(|standing| standing.decision.at).filter(|before| *before > at);
    match before {
        Some(before) if wanted == Status::RolledBack => Err(Error::Usage(format!(
            "--at {} lies before {}, since when {id} is applied: name a later instant",
            text(at),
            text(before)
        ))),
        _ => Ok(()),
    }
}
