//! What to do next: ranked proposals with what they save, what they cost, and what they rest on.

use super::{Capped, Part};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::RecommendationRow;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Proposals shown in full.
const FULL: usize = 8;
/// Proposals shown in a line each after them.
const BRIEF: usize = 20;
/// References shown of each.
const EVIDENCE: usize = 5;
/// Actions shown of each.
const ACTIONS: usize = 12;

/// The proposals, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendations {
    /// In full.
    pub first: Vec<Recommendation>,
    /// The next ones, in a line each.
    pub next: Capped<Brief>,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// 1 is first.
    pub rank: i64,
    /// For `paceline recommend show`.
    pub id: String,
    /// What to do, in one line.
    pub title: String,
    /// The workflow.
    pub workflow: String,
    /// Its category.
    pub category: String,
    /// Where it stands.
    pub status: String,
    /// Time saved per run; none where it is about something else.
    pub saving: Option<String>,
    /// The interval of that, with its level.
    pub saving_interval: String,
    /// The same as a share of end-to-end time.
    pub impact: String,
    /// Money saved per run with its interval, where costs are known.
    pub usd: Option<String>,
    /// `low`, `medium` or `high`.
    pub effort: String,
    /// `low`, `medium` or `high`.
    pub risk: String,
    /// Probability that it works.
    pub probability: String,
    /// What all of this workflow's up to here save together.
    pub portfolio: Option<String>,
    /// What its replay rests on, where nobody declared the dependencies.
    pub inferred: Option<String>,
    /// What is to be changed.
    pub actions: Capped<Change>,
    /// Published rows that it rests on.
    pub evidence: Capped<String>,
}

/// A setting before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `set`, `add` or `remove`.
    pub op: String,
    /// Where.
    pub path: String,
    /// The value that goes; none where it is unknown.
    pub from: Option<String>,
    /// The value that comes; none where it is removed.
    pub to: Option<String>,
}

/// A proposal in a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Brief {
    /// Its place.
    pub rank: i64,
    /// What to do.
    pub title: String,
    /// The workflow.
    pub workflow: String,
    /// Time saved per run with its interval.
    pub saving: String,
    /// `low`, `medium` or `high`.
    pub effort: String,
    /// `low`, `medium` or `high`.
    pub risk: String,
}

/// An action as it stands in the table.
#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    op: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    from: Value,
    #[serde(default)]
    to: Value,
}

/// Ids of the open recommendations that are first of their workflow because they were drawn: another was likelier to be.
/// `rows` are by rank.
#[must_use]
pub fn drawn_first(rows: &[RecommendationRow]) -> BTreeSet<&str> {
    let mut leads: BTreeMap<&str, (&str, f64)> = BTreeMap::new();
    let mut drawn = BTreeSet::new();
    for row in rows.iter().filter(|row| row.status == "open") {
        let propensity = row.propensity.unwrap_or(0.0);
        let (lead, of_lead) = *leads.entry(&row.workflow_id).or_insert((&row.recommendation_id, propensity));
        if propensity > of_lead {
            drawn.insert(lead);
        }
    }
    drawn
}

pub(super) fn recommendations(published: &Published) -> Part<Recommendations> {
    let Some(kept) = &published.recommendations else { return Part::missing("recommendations") };
    if kept.total == 0 {
        return Part::Nothing("Nothing is recommended: no change was found whose saving can be shown.".to_owned());
    }
    let drawn = drawn_first(&kept.rows);
    let (first, rest) = kept.rows.split_at(FULL.min(kept.rows.len()));
    Part::Shown(Recommendations {
        first: first.iter().map(|row| recommendation(row, &drawn)).collect(),
        next: Capped::of(rest, kept.total - first.len(), BRIEF, brief),
    })
}

fn recommendation(row: &RecommendationRow, drawn: &BTreeSet<&str>) -> Recommendation {
    let actions = actions(&row.actions.0);
    let n_actions = actions.len();
    let together = row.portfolio_rank > 1 && row.portfolio_saving_ms > 0.0;
    Recommendation {
        rank: row.rank,
        id: format::name(&row.recommendation_id),
        title: format::printable(&row.title),
        workflow: format::name(&row.workflow_id),
        category: format::words(&row.category),
        status: status(row, drawn),
        saving: saves_time(row).then(|| format::duration(row.saving_ms)),
        saving_interval: format!(
            "{}, {} interval",
            format::range(row.saving_ms_lower, row.saving_ms_upper, "ms"),
            format::level(row.level)
        ),
        impact: format!(
            "{} ({}) of end-to-end time",
            format::percent(row.impact),
            format::range(row.impact_lower, row.impact_upper, "ratio")
        ),
        usd: money(row),
        effort: format::words(&row.effort),
        risk: format::words(&row.risk),
        probability: format::percent(row.probability),
        portfolio: together.then(|| format::duration(row.portfolio_saving_ms)),
        inferred: row.inferred_confidence.map(|confidence| {
            format!(
                "Rests on dependencies inferred from times, each with a confidence of {} or more.",
                format::confidence(confidence)
            )
        }),
        actions: Capped::of(actions, n_actions, ACTIONS, |action| action),
        evidence: Capped::of(&row.evidence, row.evidence.len(), EVIDENCE, |text| format::printable(text)),
    }
}

/// Where it stands, and that it is first by lot.
#[must_use]
pub fn status(row: &RecommendationRow, drawn: &BTreeSet<&str>) -> String {
    let by_lot = if drawn.contains(row.recommendation_id.as_str()) { ", first by lot" } else { "" };
    format::words(&row.status) + by_lot
}

/// Whether it is about time at all: a lower request saves none, and its title says what it gives back.
#[must_use]
pub fn saves_time(row: &RecommendationRow) -> bool {
    [row.saving_ms, row.saving_ms_lower, row.saving_ms_upper].iter().any(|ms| *ms != 0.0)
}

fn money(row: &RecommendationRow) -> Option<String> {
    let saving = row.saving_usd.filter(|usd| usd.is_finite())?;
    match (row.saving_usd_lower, row.saving_usd_upper) {
        (Some(lower), Some(upper)) => Some(format!("{} ({})", format::usd(saving), format::range(lower, upper, "usd"))),
        _ => Some(format::usd(saving)),
    }
}

/// The actions of a row; a text that holds none (another version may have written it) is shown as it is.
fn actions(json: &str) -> Vec<Change> {
    let Ok(actions) = serde_json::from_str::<Vec<Action>>(json) else {
        return vec![Change { op: "actions".to_owned(), path: format::printable(json), from: None, to: None }];
    };
    let shape = |Action { op, path, from, to }: Action| Change {
        op: format::printable(&op),
        path: format::printable(&path),
        from: setting(&from),
        to: setting(&to),
    };
    actions.into_iter().map(shape).collect()
}

fn setting(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Number(number) if number.is_f64() => number.as_f64().map(decimal),
        other => Some(format::printable(&other.to_string())),
    }
}

/// Three decimals at most of what is not small, as a configuration would have it.
fn decimal(number: f64) -> String {
    if number.abs() < 1.0 {
        return number.to_string();
    }
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn brief(row: &RecommendationRow) -> Brief {
    Brief {
        rank: row.rank,
        title: format::printable(&row.title),
        workflow: format::name(&row.workflow_id),
        saving: match saves_time(row) {
            true => format!(
                "{} ({})",
                format::duration(row.saving_ms),
                format::range(row.saving_ms_lower, row.saving_ms_upper, "ms")
            ),
            false => "no time".to_owned(),
        },
        effort: format::words(&row.effort),
        risk: format::words(&row.risk),
    }
}
