//! What is strange: the executions that stand out most, and why.

use super::{Capped, Part, Subject};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::AnomalyRow;
use chrono_tz::Tz;

/// Anomalies shown.
const CAP: usize = 12;
/// Reasons shown of each.
const REASONS: usize = 4;

/// The strangest executions, most severe first.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomalies {
    /// What is strange.
    pub items: Capped<Anomaly>,
    /// How many were found in all.
    pub total: String,
}

/// A strange execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Workflow and step.
    pub subject: Subject,
    /// The run, and the execution within it.
    pub execution: String,
    /// When it started.
    pub at: String,
    /// How bad, in a word.
    pub severity: String,
    /// Which way it is off, in a word.
    pub direction: String,
    /// What is off most, in words.
    pub metric: String,
    /// Its value.
    pub observed: String,
    /// What was expected.
    pub expected: String,
    /// Where it was expected, with the level.
    pub range: String,
    /// Everything that is off.
    pub reasons: Vec<String>,
    /// 0-1.
    pub score: String,
}

pub(super) fn anomalies(published: &Published, zone: Tz) -> Part<Anomalies> {
    let Some(kept) = &published.anomalies else { return Part::missing("anomalies") };
    if kept.total == 0 {
        return Part::Nothing("No execution since the previous as-of stands out.".to_owned());
    }
    let total = format::plural(kept.total, "execution stands out.", "executions stand out.");
    Part::Shown(Anomalies { items: Capped::of(&kept.rows, kept.total, CAP, |row| anomaly(row, zone)), total })
}

fn anomaly(row: &AnomalyRow, zone: Tz) -> Anomaly {
    let AnomalyRow {
        run_id,
        step_id,
        attempt,
        workflow_id,
        workflow_type: _,
        step,
        started_at,
        ended_at,
        score,
        direction,
        severity,
        metric,
        observed,
        expected,
        expected_lower,
        expected_upper,
        level,
        reasons,
    } = row;
    let unit = unit_of(metric);
    let at = started_at.or(*ended_at);
    Anomaly {
        subject: Subject::new(workflow_id, step.as_deref(), None),
        execution: execution(run_id, step_id.as_deref(), *attempt),
        at: at.map_or_else(|| format::NOTHING.to_owned(), |at| format::instant(at.0, zone)),
        severity: format::words(severity),
        direction: format::words(direction),
        metric: format::words(metric),
        observed: format::value(*observed, unit),
        expected: format::value(*expected, unit),
        range: format!("{}, {}", format::range(*expected_lower, *expected_upper, unit), format::level(*level)),
        reasons: reasons.iter().take(REASONS).map(|reason| format::name(reason)).collect(),
        score: format::significant(*score, 2),
    }
}

fn execution(run_id: &str, step_id: Option<&str>, attempt: Option<i64>) -> String {
    let step = step_id.map(|step| format!(" · {}", format::name(step))).unwrap_or_default();
    let attempt = attempt.filter(|attempt| *attempt > 1).map(|n| format!(" · attempt {n}")).unwrap_or_default();
    format!("{}{step}{attempt}", format::name(run_id))
}

/// Columns of executions carry their unit in their name; metrics have it by definition.
pub(super) fn unit_of(column: &str) -> &'static str {
    if let Ok(metric) = column.parse::<crate::pure::series::Metric>() {
        return metric.unit();
    }
    let suffixes = [("_ms", "ms"), ("_mb", "mb"), ("_bytes", "bytes"), ("_usd", "usd"), ("_pct", "pct")];
    let by_name = suffixes.iter().find(|(suffix, _)| column.ends_with(suffix)).map(|(_, unit)| *unit);
    by_name.unwrap_or(match column {
        "tokens" | "tokens_in" | "tokens_out" => "tokens",
        "api_calls" => "calls",
        _ => "",
    })
}
