//! A proposal before it is ranked.

use super::money::Money;
use super::{Action, Case, Recommendation, Status, stable_id};
use crate::graph::{Change, Ensemble, Saving};
use std::borrow::Cow;

/// A recommendation without its rank, and what it would change in a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// As it is published, but for `rank`, the portfolio and what is learned (0, or the rule's word, until ranked).
    pub recommendation: Recommendation,
    /// What it changes; empty where it takes no time away.
    pub changes: Vec<Change>,
    /// Share of time and money that it is worth, by the configured weights: what it is ranked by, before chances.
    pub worth: f64,
}

/// Feasibility, effort, risk and prior of one kind of proposal: a row of the table in the module's documentation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) kind: &'static str,
    pub(super) category: &'static str,
    pub(super) feasibility: f64,
    pub(super) effort: &'static str,
    pub(super) risk: &'static str,
    pub(super) probability: f64,
}

/// Work on a step is proposed only if it saves at least this share of a run's time or money.
pub(super) const MIN_SHARE: f64 = 0.005;

/// What a rule says.
pub(super) struct Draft {
    pub(super) terms: Terms,
    pub(super) target: String,
    pub(super) title: String,
    pub(super) saving: Saving,
    pub(super) money: Option<Money>,
    /// Share of the workflow's costs that lower requests give back, where no prices are known; 0-1.
    pub(super) given_back: f64,
    pub(super) changes: Vec<Change>,
    pub(super) actions: Vec<Action>,
    pub(super) evidence: Vec<String>,
}

impl Draft {
    pub(super) fn propose(self, case: &Case<'_>) -> Proposal {
        let Self { terms, target, title, saving, money, given_back, changes, actions, evidence } = self;
        let saving = saving.published();
        let (saving_ms_lower, saving_ms_upper) = saving.ms_interval();
        let workflow_id = case.history.workflow_id;
        let replayed = case.ensemble.filter(|_| !changes.is_empty());
        let inferred_confidence = replayed.and_then(Ensemble::inferred_confidence);
        let worth = worth(case, saving.share, money.map_or(given_back, |money| money.share));
        let recommendation = Recommendation {
            recommendation_id: stable_id(&[workflow_id, terms.kind, terms.category, &target]),
            rank: 0,
            workflow_id: workflow_id.to_owned(),
            workflow_type: None,
            target,
            kind: terms.kind,
            category: terms.category,
            title,
            impact: saving.share,
            impact_lower: saving.share_lower,
            impact_upper: saving.share_upper,
            level: saving.level,
            saving_ms: saving.ms(),
            saving_ms_lower,
            saving_ms_upper,
            saving_usd: money.map(|money| money.usd),
            saving_usd_lower: money.map(|money| money.lower),
            saving_usd_upper: money.map(|money| money.upper),
            feasibility: terms.feasibility,
            effort: terms.effort,
            risk: terms.risk,
            probability: terms.probability,
            propensity: 0.0,
            actions,
            evidence,
            status: Status::Open,
            portfolio_rank: 0,
            portfolio_saving_ms: 0.0,
            inferred_confidence,
        };
        Proposal { recommendation, changes, worth }
    }
}

fn worth(case: &Case<'_>, time_share: f64, cost_share: f64) -> f64 {
    let (time, cost) = weights(case);
    time * time_share + cost * cost_share
}

/// The configured weights of time and money, summing to 1; equal where they say nothing.
pub(super) fn weights(case: &Case<'_>) -> (f64, f64) {
    let clean = |weight: f64| if weight.is_finite() { weight.max(0.0) } else { 0.0 };
    let (time, cost) = (clean(case.params.providers.performance_weight), clean(case.params.providers.cost_weight));
    if time + cost > 0.0 { (time / (time + cost), cost / (time + cost)) } else { (0.5, 0.5) }
}

/// Characters of a step's name that a title holds.
const NAME_CHARS: usize = 40;

/// A step's name as titles say it: of one that is long and has parts, the last ones. The target has the whole.
pub(super) fn short(step: &str) -> Cow<'_, str> {
    if step.chars().count() <= NAME_CHARS {
        return Cow::Borrowed(step);
    }
    let parts = step.char_indices().filter(|(_, letter)| matches!(letter, ':' | '/' | '.'));
    let fitting = parts.map(|(at, letter)| &step[at + letter.len_utf8()..]);
    let longest = fitting.filter(|rest| !rest.is_empty()).find(|rest| rest.chars().count() < NAME_CHARS);
    longest.map_or(Cow::Borrowed(step), |rest| Cow::Owned(format!("…{rest}")))
}

/// A JSON pointer (RFC 6901): `~` and `/` in names are escaped.
pub(super) fn pointer(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
}

pub(super) fn set(path: &[&str], from: impl Into<serde_json::Value>, to: impl Into<serde_json::Value>) -> Action {
    Action { op: "set", path: pointer(path), from: from.into(), to: to.into() }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn long_names_end_with_what_tells_them_apart() {
        assert_eq!(short("align"), "align");
        assert_eq!(
            short("NFCORE_SAREK:SAREK:BAM_MARKDUPLICATES_SPARK:GATK4_MARKDUPLICATES_SPARK"),
            "…GATK4_MARKDUPLICATES_SPARK"
        );
        let whole = "x".repeat(60);
        assert_eq!(short(&whole), whole);
        assert_eq!(short(&format!("{whole}:")), format!("{whole}:"));
        assert_eq!(short(&format!("{whole}:ä:b")), "…ä:b");
    }
}
