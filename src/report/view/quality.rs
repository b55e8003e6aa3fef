//! What the numbers do not rest on: rows that were refused, series that were not analysed.

use super::{Capped, Part};
use crate::report::format;
use crate::report::load::{Published, Tally};
use std::collections::BTreeMap;

/// Reasons shown.
const CAP: usize = 12;

/// The reverse of the medal.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// Input that was refused.
    pub rejects: Part<Capped<Reason>>,
    /// How many rows and files, in words.
    pub rejected: String,
    /// What was not analysed.
    pub skips: Part<Capped<Reason>>,
    /// How many, in words.
    pub skipped: String,
    /// Tables that are not published as of this instant.
    pub missing: Vec<&'static str>,
}

/// A reason, and how often it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The analysis that was left out, or the column at fault.
    pub about: String,
    /// Why.
    pub reason: String,
    /// How often.
    pub rows: String,
    /// The first that it holds for.
    pub example: String,
}

pub(super) fn quality(published: &Published) -> Quality {
    let total = |tally: &Option<Tally>| tally.as_ref().map_or(0, |tally| tally.total);
    Quality {
        rejects: reasons(published.rejects.as_ref(), "rejects", "Every row and file was accepted."),
        rejected: format::plural(total(&published.rejects), "row or file was refused.", "rows and files were refused."),
        skips: reasons(published.skips.as_ref(), "skips", "Everything could be analysed."),
        skipped: format::plural(total(&published.skips), "analysis was left out.", "analyses were left out."),
        missing: missing(published),
    }
}

fn reasons(tally: Option<&Tally>, table: &str, none: &str) -> Part<Capped<Reason>> {
    let Some(tally) = tally else { return Part::missing(table) };
    if tally.total == 0 {
        return Part::Nothing(none.to_owned());
    }
    let mut merged = alike(tally);
    merged.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| (&a.about, &a.reason).cmp(&(&b.about, &b.reason))));
    let total = merged.len();
    Part::Shown(Capped::of(merged, total, CAP, |group| Reason {
        about: format::words(group.about),
        reason: format::printable(group.reason),
        rows: format::grouped_usize(group.rows),
        example: format::name(group.example),
    }))
}

/// Reasons that differ in their numbers only.
struct Alike<'a> {
    about: &'a str,
    reason: &'a str,
    rows: usize,
    example: &'a str,
}

/// "needs 14 days, found 3" and "needs 14 days, found 5" are one reason; the first one's numbers stand for all.
fn alike(tally: &Tally) -> Vec<Alike<'_>> {
    let mut groups: BTreeMap<(&str, String), Alike<'_>> = BTreeMap::new();
    for ((about, reason), count) in &tally.reasons {
        let shape: String = reason.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        let first = || Alike { about, reason, rows: 0, example: &count.example };
        groups.entry((about, shape)).or_insert_with(first).rows += count.rows;
    }
    groups.into_values().collect()
}

fn missing(published: &Published) -> Vec<&'static str> {
    let tables = [
        ("rollups", published.history.is_none()),
        ("model_scores", published.model_scores.is_none()),
        ("anomalies", published.anomalies.is_none()),
        ("degradations", published.degradations.is_none()),
        ("change_points", published.change_points.is_none()),
        ("spread_changes", published.spread_changes.is_none()),
        ("bottlenecks", published.bottlenecks.is_none()),
        ("comparisons", published.comparisons.is_none()),
        ("trends", published.trends.is_none()),
        ("forecasts", published.forecasts.is_none()),
        ("capacity_plan", published.capacity_plan.is_none()),
        ("experiments", published.experiments.is_none()),
        ("recommendations", published.recommendations.is_none()),
        ("outcomes", published.outcomes.is_none()),
        ("skips", published.skips.is_none()),
        ("rejects", published.rejects.is_none()),
    ];
    tables.into_iter().filter_map(|(table, is_missing)| is_missing.then_some(table)).collect()
}
