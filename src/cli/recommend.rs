//! `paceline recommend`: published recommendations in the terminal, and what became of them.

use super::decisions::{DecideArgs, decide};
use super::evidence;
use super::output::{Format, print, table};
use super::results::{Results, ResultsArgs, by_id, published};
use crate::error::{Error, Result};
use crate::publish::applications::Proposed;
use crate::publish::ledger::State;
use crate::pure::recommend::Status;
use crate::report::format;
use crate::report::load::all;
use crate::report::view::{drawn_first, saves_time, status};
use crate::tables::published::{Instant, OutcomeRow, RecommendationRow};
use chrono::DateTime;
use clap::{Args, Subcommand};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// What to do next, as published, and what became of it.
#[derive(Debug, Clone, Args)]
pub struct RecommendArgs {
    /// What to do
    #[command(subcommand)]
    pub command: RecommendCommand,
}

/// What to do with recommendations.
#[derive(Debug, Clone, Subcommand)]
pub enum RecommendCommand {
    /// List the recommendations, best first
    List(ListArgs),
    /// Show one recommendation with its actions, evidence, and what it did where it was applied
    Show(ShowArgs),
    /// Record that you have made the change it proposes: Paceline changes no workflow itself, and measures what it did
    Apply(DecideArgs),
    /// Record that you have taken the change back
    Rollback(DecideArgs),
    /// Record that the change will not be made: it goes to the end of the ranking
    Dismiss(DecideArgs),
    /// Take the last of these back: it did not happen, or no longer holds
    Reopen(DecideArgs),
}

/// Which recommendations are listed.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Which results
    #[command(flatten)]
    pub results: ResultsArgs,
    /// Only those of this workflow
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only those of this category: performance, cost, reliability, scalability, `best_practices`, parallelization
    #[arg(long)]
    pub category: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// table or json
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Which recommendation is shown.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// Its `recommendation_id`, or enough of its beginning
    pub id: String,
    /// Which results
    #[command(flatten)]
    pub results: ResultsArgs,
    /// table or json
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] for a wrong config, location, as-of or id; [`Error::Input`] where nothing was published;
/// [`Error::Verification`] for a damaged file; the store's errors.
pub async fn recommend(args: &RecommendArgs) -> Result<u8> {
    match &args.command {
        RecommendCommand::List(args) => list(args).await?,
        RecommendCommand::Show(args) => show(args).await?,
        RecommendCommand::Apply(args) => decide(args, Status::Applied).await?,
        RecommendCommand::Rollback(args) => decide(args, Status::RolledBack).await?,
        RecommendCommand::Dismiss(args) => decide(args, Status::Dismissed).await?,
        RecommendCommand::Reopen(args) => decide(args, Status::Open).await?,
    }
    Ok(0)
}

/// Rows as they were published, with where they stand now.
async fn read(results: &Results, keep: impl Fn(&RecommendationRow) -> bool) -> Result<Vec<RecommendationRow>> {
    let mut rows = published(all(&results.store, results.as_of, keep).await?, "recommendations", results)?;
    let decided = State::load(&results.store).await?.decided();
    for row in &mut rows {
        decided.status(&row.recommendation_id).as_str().clone_into(&mut row.status);
    }
    rows.sort_by_key(|row: &RecommendationRow| row.rank);
    Ok(rows)
}

async fn list(args: &ListArgs) -> Result<()> {
    let ListArgs { results, workflow, category, limit, format } = args;
    let is_asked = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let keep = |row: &RecommendationRow| is_asked(workflow, &row.workflow_id) && is_asked(category, &row.category);
    let mut rows = read(&results.open().await?, keep).await?;
    rows.truncate(limit.unwrap_or(usize::MAX));
    print(&match format {
        Format::Json => as_json(&rows.iter().map(Recommendation::of).collect::<Vec<_>>())?,
        Format::Table => listed(&rows),
    })
}

/// As a table; a sentence where there is none.
#[must_use]
pub fn listed(rows: &[RecommendationRow]) -> String {
    if rows.is_empty() {
        return "nothing is recommended".to_owned();
    }
    let header = ["rank", "id", "workflow", "saves per run", "interval", "effort", "risk", "works", "status", "what"];
    let drawn = drawn_first(rows);
    let cells = |row: &RecommendationRow| {
        vec![
            row.rank.to_string(),
            format::name(&row.recommendation_id),
            format::name(&row.workflow_id),
            if saves_time(row) { format::duration(row.saving_ms) } else { "no time".to_owned() },
            if saves_time(row) { format::range(row.saving_ms_lower, row.saving_ms_upper, "ms") } else { String::new() },
            format::words(&row.effort),
            format::words(&row.risk),
            format::percent(row.probability),
            status(row, &drawn),
            // Whole, and last: a long line is folded by the terminal.
            format::printable(&row.title),
        ]
    };
    table(&header, right_aligned(&header, rows.iter().map(cells).collect(), &[0, 3, 7]))
}

/// Pads numbers to the width of their column, so that they end below each other and below its name.
fn right_aligned(header: &[&str], mut rows: Vec<Vec<String>>, columns: &[usize]) -> Vec<Vec<String>> {
    for &column in columns {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let width = cells.chain(header.get(column).map(|name| name.len())).max().unwrap_or(0);
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            *cell = format!("{cell:>width$}");
        }
    }
    rows
}

async fn show(args: &ShowArgs) -> Result<()> {
    let ShowArgs { id, results, format } = args;
    let results = results.open().await?;
    let found = read(&results, |row| row.recommendation_id.starts_with(id.as_str())).await?;
    if found.is_empty()
        && let Some(lines) = no_longer_proposed(&results, id, *format).await?
    {
        return print(&lines);
    }
    let row = &by_id(found, id, |row| row.recommendation_id.clone(), "recommendation", "recommend")?;
    let is_of = |outcome: &OutcomeRow| outcome.recommendation_id == row.recommendation_id;
    let outcomes = all(&results.store, results.as_of, is_of).await?.unwrap_or_default();
    print(&match format {
        Format::Json => as_json(&Recommendation { outcomes: &outcomes, ..Recommendation::of(row) })?,
        Format::Table => shown(row, &outcomes, &evidence::sentences(&results, &row.evidence).await?),
    })
}

/// What the ledger and the outcomes say of a recommendation that somebody decided on and that is not made any more.
async fn no_longer_proposed(results: &Results, id: &str, format: Format) -> Result<Option<String>> {
    let decided = State::load(&results.store).await?.decided();
    let mut meant = decided.standing.iter().filter(|(own, _)| own.starts_with(id));
    let (Some((own, standing)), None) = (meant.next(), meant.next()) else { return Ok(None) };
    let outcomes = all(&results.store, results.as_of, |row: &OutcomeRow| row.recommendation_id == *own).await?;
    let (outcomes, status) = (outcomes.unwrap_or_default(), standing.status.as_str());
    let proposed = &standing.decision.recommendation;
    let mut lines = vec![
        format!("{} (no longer proposed)", format::printable(&proposed.title)),
        format!("id           {}", format::printable(own)),
        format!("workflow     {}, {}", format::printable(&proposed.workflow_id), format::printable(&proposed.target)),
        format!("kind         {}, {}", format::words(&proposed.r#type), format::words(&proposed.category)),
        format!("status       {}", format::words(status)),
    ];
    lines.extend(outcomes.iter().map(outcome_line));
    Ok(Some(match format {
        Format::Table => lines.join("\n"),
        Format::Json => as_json(&Decided { recommendation: proposed, status, outcomes: &outcomes })?,
    }))
}

/// A recommendation that was decided on, as programs read it.
#[derive(Serialize)]
struct Decided<'a> {
    #[serde(flatten)]
    recommendation: &'a Proposed,
    status: &'a str,
    #[serde(serialize_with = "outcomes_as_json")]
    outcomes: &'a [OutcomeRow],
}

/// One recommendation in lines, with what its applications did; `evidence`: what each row that it cites says.
#[must_use]
pub fn shown(row: &RecommendationRow, outcomes: &[OutcomeRow], evidence: &[String]) -> String {
    let interval =
        |lower, upper, unit| format!("{}, {} interval", format::range(lower, upper, unit), format::level(row.level));
    let mut lines = vec![
        format!("{}. {}", row.rank, format::printable(&row.title)),
        format!("id           {}", format::printable(&row.recommendation_id)),
        format!("workflow     {}, {}", format::printable(&row.workflow_id), format::printable(&row.target)),
        format!("kind         {}, {}", format::words(&row.r#type), format::words(&row.category)),
    ];
    if saves_time(row) {
        lines.push(format!(
            "saves        {} per run ({})",
            format::duration(row.saving_ms),
            interval(row.saving_ms_lower, row.saving_ms_upper, "ms")
        ));
        lines.push(format!(
            "impact       {} of end-to-end time ({})",
            format::percent(row.impact),
            interval(row.impact_lower, row.impact_upper, "ratio")
        ));
    } else {
        lines.push("saves        no time of a run".to_owned());
    }
    if let (Some(usd), Some(lower), Some(upper)) = (row.saving_usd, row.saving_usd_lower, row.saving_usd_upper) {
        lines.push(format!("money        {} per run ({})", format::usd(usd), interval(lower, upper, "usd")));
    }
    lines.push(format!(
        "together     {} per run with those of this workflow up to place {}",
        format::duration(row.portfolio_saving_ms),
        row.portfolio_rank
    ));
    lines.push(format!(
        "effort       {}; risk {}; works with probability {}; feasibility {}",
        format::words(&row.effort),
        format::words(&row.risk),
        format::percent(row.probability),
        format::significant(row.feasibility, 2)
    ));
    if let Some(confidence) = row.inferred_confidence {
        lines.push(format!(
            "rests on     dependencies inferred from times, each with a confidence of {} or more (paceline replay \
             --inferred F lists them)",
            format::confidence(confidence)
        ));
    }
    let open = row.propensity.filter(|_| row.status == Status::Open.as_str());
    let first = open.map(|p| format!("; put first with probability {}", format::percent(p)));
    lines.push(format!("status       {}{}", format::words(&row.status), first.unwrap_or_default()));
    lines.extend(outcomes.iter().map(outcome_line));
    lines.extend(action_lines(&row.actions.0));
    lines.extend(evidence.iter().map(|evidence| format!("evidence     {evidence}")));
    lines.join("\n")
}

fn outcome_line(row: &OutcomeRow) -> String {
    let day = |at: Instant| format::instant(at.0, chrono_tz::UTC);
    let until = row.rolled_back_at.map(|at| format!(" until {}", day(at))).unwrap_or_default();
    let share = match (row.measured_share, row.measured_share_lower, row.measured_share_upper) {
        (Some(share), Some(lower), Some(upper)) => format!(
            "; saved {} of {} ({}, {} interval)",
            format::percent(share),
            format::words(&row.metric),
            format::range(lower, upper, "ratio"),
            format::level(row.level)
        ),
        _ => String::new(),
    };
    let (applied, verdict) = (day(row.applied_at), format::words(&row.verdict));
    format!("outcome      {verdict}: applied {applied}{until}{share}; {}", format::printable(&row.reason))
}

fn action_lines(actions: &str) -> Vec<String> {
    let Ok(Value::Array(actions)) = serde_json::from_str::<Value>(actions) else {
        return vec![format!("actions      {}", format::printable(actions))];
    };
    let text = |action: &Value, key: &str| match action.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(format::printable(text)),
        Some(other) => Some(format::printable(&other.to_string())),
    };
    let part = |action: &Value, key: &str| text(action, key).unwrap_or_else(|| "unknown".to_owned());
    let done = |action: &Value| {
        let [op, path, from, to] = ["op", "path", "from", "to"].map(|key| part(action, key));
        format!("action       {op} {path}: {from} → {to}")
    };
    let undone = |action: &Value| match text(action, "from") {
        Some(from) => format!("undo         set {} back to {from}", part(action, "path")),
        None => format!("undo         put {} back to what it was, or take it out", part(action, "path")),
    };
    actions.iter().map(done).chain(actions.iter().rev().map(undone)).collect()
}

/// A recommendation as programs read it: the columns of the table, with the actions as JSON.
#[derive(Serialize)]
struct Recommendation<'a> {
    recommendation_id: &'a str,
    rank: i64,
    workflow_id: &'a str,
    target: &'a str,
    r#type: &'a str,
    category: &'a str,
    title: &'a str,
    impact: f64,
    impact_lower: f64,
    impact_upper: f64,
    level: f64,
    saving_ms: f64,
    saving_ms_lower: f64,
    saving_ms_upper: f64,
    saving_usd: Option<f64>,
    saving_usd_lower: Option<f64>,
    saving_usd_upper: Option<f64>,
    feasibility: f64,
    effort: &'a str,
    risk: &'a str,
    probability: f64,
    actions: Value,
    evidence: &'a [String],
    status: &'a str,
    portfolio_rank: i64,
    portfolio_saving_ms: f64,
    inferred_confidence: Option<f64>,
    workflow_type: Option<&'a str>,
    propensity: Option<f64>,
    #[serde(serialize_with = "outcomes_as_json")]
    outcomes: &'a [OutcomeRow],
}

impl<'a> Recommendation<'a> {
    fn of(row: &'a RecommendationRow) -> Self {
        let RecommendationRow {
            recommendation_id,
            rank,
            workflow_id,
            target,
            r#type,
            category,
            title,
            impact,
            impact_lower,
            impact_upper,
            level,
            saving_ms,
            saving_ms_lower,
            saving_ms_upper,
            saving_usd,
            saving_usd_lower,
            saving_usd_upper,
            feasibility,
            effort,
            risk,
            probability,
            actions,
            evidence,
            status,
            portfolio_rank,
            portfolio_saving_ms,
            inferred_confidence,
            workflow_type,
            propensity,
        } = row;
        Self {
            recommendation_id,
            rank: *rank,
            workflow_id,
            target,
            r#type,
            category,
            title,
            impact: *impact,
            impact_lower: *impact_lower,
            impact_upper: *impact_upper,
            level: *level,
            saving_ms: *saving_ms,
            saving_ms_lower: *saving_ms_lower,
            saving_ms_upper: *saving_ms_upper,
            saving_usd: *saving_usd,
            saving_usd_lower: *saving_usd_lower,
            saving_usd_upper: *saving_usd_upper,
            feasibility: *feasibility,
            effort,
            risk,
            probability: *probability,
            // A text that is no JSON is shown as the text that it is.
            actions: serde_json::from_str(&actions.0).unwrap_or_else(|_| Value::String(actions.0.clone())),
            evidence,
            status,
            portfolio_rank: *portfolio_rank,
            portfolio_saving_ms: *portfolio_saving_ms,
            inferred_confidence: *inferred_confidence,
            workflow_type: workflow_type.as_deref(),
            propensity: *propensity,
            outcomes: &[],
        }
    }
}

fn outcomes_as_json<S: Serializer>(rows: &&[OutcomeRow], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let instant = |at: Instant| DateTime::from_timestamp_micros(at.0);
    serializer.collect_seq(rows.iter().map(|row| {
        json!({
            "applied_at": instant(row.applied_at), "rolled_back_at": row.rolled_back_at.map(instant),
            "verdict": row.verdict, "reason": row.reason, "metric": row.metric,
            "measured_share": row.measured_share, "measured_share_lower": row.measured_share_lower,
            "measured_share_upper": row.measured_share_upper, "level": row.level,
            "measured_saving_ms": row.measured_saving_ms, "measured_saving_ms_lower": row.measured_saving_ms_lower,
            "measured_saving_ms_upper": row.measured_saving_ms_upper, "n_before": row.n_before, "n_after": row.n_after,
        })
    }))
}

fn as_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::Internal(format!("writing JSON: {e}")))
}
