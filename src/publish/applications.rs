//! What people decided about recommendations: the fold of the ledger's entries of that kind.

use super::ledger::{Event, State};
use crate::pure::recommend::Status;
use crate::pure::recommend::outcome::{Applied, Predicted};
use crate::tables::published::RecommendationRow;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Somebody's decision about one recommendation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecommendationDecision {
    /// The recommendation, as it was published.
    pub recommendation: Proposed,
    /// Since when it holds.
    pub at: DateTime<Utc>,
    /// Who decided, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was told.
    pub decided_at: DateTime<Utc>,
}

/// A recommendation as it was published: what is needed once tables have moved on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposed {
    /// Its id.
    pub recommendation_id: String,
    /// The workflow.
    pub workflow_id: String,
    /// Its type, if it was known.
    pub workflow_type: Option<String>,
    /// What is to be changed.
    pub target: String,
    /// `CACHING` for example.
    pub r#type: String,
    /// Its category.
    pub category: String,
    /// What to do, in one line.
    pub title: String,
    /// The changes as they were published.
    pub actions: Value,
    /// Share of end-to-end time that was to be saved; none where it was unknown, like each of the following.
    pub impact: Option<Expected>,
    /// Milliseconds per run.
    pub saving_ms: Option<Expected>,
    /// Money per run.
    pub saving_usd: Option<Expected>,
    /// Coverage of the intervals.
    pub level: Option<f64>,
    /// Probability that it works.
    pub probability: Option<f64>,
    /// Probability with which the policy put it first.
    pub propensity: Option<f64>,
    /// Whether it was first among the open ones of its workflow.
    pub was_first: bool,
}

/// An estimate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of it.
    pub upper: f64,
}

impl Expected {
    /// None where a number is missing: JSON has none for that.
    fn of(value: f64, lower: f64, upper: f64) -> Option<Self> {
        [value, lower, upper].iter().all(|number| number.is_finite()).then_some(Self { value, lower, upper })
    }
}

impl Proposed {
    /// What the ledger keeps of each published row.
    #[must_use]
    pub fn all(rows: &[RecommendationRow]) -> Vec<Self> {
        let mut first: BTreeMap<&str, &RecommendationRow> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.status == Status::Open.as_str()) {
            let lead = first.entry(&row.workflow_id).or_insert(row);
            *lead = if row.rank < lead.rank { row } else { *lead };
        }
        let is_first = |row: &RecommendationRow| {
            first.get(row.workflow_id.as_str()).is_some_and(|lead| lead.recommendation_id == row.recommendation_id)
        };
        rows.iter().map(|row| Self::of(row, is_first(row))).collect()
    }

    fn of(row: &RecommendationRow, was_first: bool) -> Self {
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        let usd = row.saving_usd.zip(row.saving_usd_lower).zip(row.saving_usd_upper);
        Self {
            recommendation_id: row.recommendation_id.clone(),
            workflow_id: row.workflow_id.clone(),
            workflow_type: row.workflow_type.clone(),
            target: row.target.clone(),
            r#type: row.r#type.clone(),
            category: row.category.clone(),
            title: row.title.clone(),
            actions: serde_json::from_str(&row.actions.0).unwrap_or(Value::Null),
            impact: Expected::of(row.impact, row.impact_lower, row.impact_upper),
            saving_ms: Expected::of(row.saving_ms, row.saving_ms_lower, row.saving_ms_upper),
            saving_usd: usd.and_then(|((value, lower), upper)| Expected::of(value, lower, upper)),
            level: finite(row.level),
            probability: finite(row.probability),
            propensity: row.propensity.and_then(finite),
            was_first,
        }
    }

    fn predicted(&self) -> Predicted {
        let numbers = |Expected { value, lower, upper }| [value, lower, upper];
        Predicted {
            share: self.impact.map(|impact| impact.value),
            ms: self.saving_ms.map(numbers),
            usd: self.saving_usd.map(numbers),
            given_back: self.given_back(),
            level: self.level,
        }
    }

    /// Of a lower request, the share that is given back.
    fn given_back(&self) -> Option<f64> {
        let action = self.actions.as_array()?.first()?;
        let (from, to) = (action.get("from")?.as_f64()?, action.get("to")?.as_f64()?);
        (from > 0.0 && to >= 0.0).then_some(1.0 - to / from)
    }
}

/// Where a recommendation stands, and since which decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Where.
    pub status: Status,
    /// The last decision.
    pub decision: RecommendationDecision,
}

/// All that has been decided on recommendations.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Decided {
    /// By recommendation.
    pub standing: BTreeMap<String, Standing>,
    /// What was applied, in the order in which that was told; one that was applied again after a rollback is there twice.
    pub applied: Vec<Applied>,
}

impl Decided {
    /// Where a recommendation stands now.
    #[must_use]
    pub fn status(&self, recommendation_id: &str) -> Status {
        self.standing.get(recommendation_id).map_or(Status::Open, |standing| standing.status)
    }

    fn decide(&mut self, status: Status, decision: &RecommendationDecision) {
        let id = &decision.recommendation.recommendation_id;
        let at_us = decision.at.timestamp_micros();
        let before = self.status(id);
        let last = self.applied.iter().rposition(|applied| applied.recommendation_id == *id);
        match (before, status) {
            (Status::Applied, Status::Applied | Status::Open) => {
                // It did not happen then: at another time, or not at all.
                last.map(|last| self.applied.remove(last));
            }
            (Status::Applied, Status::RolledBack) => {
                if let Some(applied) = last.and_then(|last| self.applied.get_mut(last)) {
                    applied.rolled_back_us = Some(at_us);
                }
            }
            _ => {}
        }
        if status == Status::Applied {
            // Told twice of one instant: it is one application.
            self.applied.retain(|applied| applied.recommendation_id != *id || applied.applied_us != at_us);
            self.applied.push(applied(decision));
        }
        self.standing.insert(id.clone(), Standing { status, decision: decision.clone() });
    }
}

fn applied(decision: &RecommendationDecision) -> Applied {
    let RecommendationDecision { recommendation, at, by: _, reason: _, decided_at: _ } = decision;
    let predicted = recommendation.predicted();
    let Proposed { recommendation_id, workflow_id, workflow_type, target, r#type, category, .. } =
        recommendation.clone();
    Applied {
        recommendation_id,
        workflow_id,
        workflow_type,
        target,
        kind: r#type,
        category,
        predicted,
        probability: recommendation.probability,
        propensity: recommendation.propensity,
        was_first: recommendation.was_first,
        applied_us: at.timestamp_micros(),
        rolled_back_us: None,
    }
}

impl State {
    /// What people have decided on recommendations so far.
    #[must_use]
    pub fn decided(&self) -> Decided {
        let mut decided = Decided::default();
        for sealed in self.entries() {
            match &sealed.entry.event {
                Event::RecommendationApplied(decision) => decided.decide(Status::Applied, decision),
                Event::RecommendationRolledBack(decision) => decided.decide(Status::RolledBack, decision),
                Event::RecommendationDismissed(decision) => decided.decide(Status::Dismissed, decision),
                Event::RecommendationReopened(decision) => decided.decide(Status::Open, decision),
                _ => {}
            }
        }
        decided
    }
}
