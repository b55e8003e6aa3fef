//! Trained models and the questions that they answer.

use super::conformal::Bounds;
use super::dataset::{Features, N_SIZES, Target, hour_of_week};
use super::pooling::Pooled;
use super::regression::{GroupModel, Known, StepModel};
use super::{ModelCard, ModelScore};
use crate::samples::Sizes;
use crate::units::{Interval, Level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Models of all workflow types and targets, with their scores and cards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Coverage of the intervals.
    pub level: Level,
    /// Backtest of each model beside its rivals, by target, then `*`, then workflow type. Told about a model, no part
    /// of it: not serialised.
    #[serde(skip)]
    pub scores: Vec<ModelScore>,
    /// What each model is made of; not serialised, for it names the digest of what is.
    #[serde(skip)]
    pub cards: Vec<ModelCard>,
    pub(crate) targets: BTreeMap<Target, TargetModel>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetModel {
    pub(crate) features: Features,
    pub(crate) groups: BTreeMap<String, GroupModel>,
    pub(crate) pooled: Pooled,
}

/// Facts about an execution to predict; what is unknown is none or NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Query<'a> {
    /// Workflow type.
    pub workflow_type: &'a str,
    /// The derived step.
    pub step: &'a str,
    /// Its type.
    pub step_type: Option<&'a str>,
    /// The provider.
    pub provider: Option<&'a str>,
    /// The platform.
    pub platform: Option<&'a str>,
    /// 1-based try.
    pub attempt: u16,
    /// When it starts; none asks for the average hour.
    pub started_us: Option<i64>,
    /// How much there is to do.
    pub sizes: Sizes,
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predicted {
    /// Median of what is expected, in the target's unit.
    pub point: f64,
    /// Where the outcome will lie.
    pub interval: Interval,
    /// Executions of this step that its line was fitted to; 0 where the answer is pooled.
    pub n_seen: u64,
}

impl Models {
    /// Predicts one execution. A step or a workflow type never seen gets the wide answer of its like; none is the answer
    /// only where `target` was not trained at all.
    #[must_use]
    pub fn predict(&self, target: Target, query: &Query<'_>) -> Option<Predicted> {
        let model = self.targets.get(&target)?;
        let known = model.known(query);
        let group = model.groups.get(query.workflow_type);
        let seen = group.and_then(|group| Some((group, group.steps.get(query.step)?)));
        let (n_seen, (log, lower, upper)) = match seen {
            Some((group, step)) => (step.n, group.expect(step, &known)),
            None => (0, model.expect_unseen(group, query, &known, self.level)),
        };
        let interval = Interval { lower: lower.exp(), upper: upper.exp(), level: self.level };
        Some(Predicted { point: log.exp(), interval, n_seen })
    }

    /// No model of anything yet.
    pub(crate) fn empty(level: Level) -> Self {
        Self { level, scores: Vec::new(), cards: Vec::new(), targets: BTreeMap::new() }
    }

    /// Whether there is a model for executions of this workflow type.
    #[must_use]
    pub fn knows_type(&self, target: Target, workflow_type: &str) -> bool {
        self.targets.get(&target).is_some_and(|model| model.groups.contains_key(workflow_type))
    }

    /// The targets that at least one workflow type has a model for.
    pub fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.targets.iter().filter(|(_, model)| !model.groups.is_empty()).map(|(target, _)| *target)
    }

    /// Whether the step was seen with this target.
    #[must_use]
    pub fn knows(&self, target: Target, workflow_type: &str, step: &str) -> bool {
        let group = self.targets.get(&target).and_then(|model| model.groups.get(workflow_type));
        group.is_some_and(|group| group.steps.contains_key(step))
    }
}

impl TargetModel {
    pub(crate) fn known<'a>(&self, query: &Query<'a>) -> Known<'a> {
        let on = self.features;
        Known {
            provider: query.provider.filter(|_| on.provider),
            platform: query.platform.filter(|_| on.platform),
            retry: on.attempt && query.attempt > 1,
            hour: query.started_us.filter(|_| on.hour_of_week).map(hour_of_week),
            size: on.log_sizes(&query.sizes),
        }
    }

    /// Conformal bounds describe steps that were seen. How far a new one lies off is a matter of the spread between
    /// steps, which is taken to be normal, with Student's correction for how few steps show it.
    fn expect_unseen(
        &self,
        group: Option<&GroupModel>,
        query: &Query<'_>,
        known: &Known<'_>,
        level: Level,
    ) -> (f64, f64, f64) {
        let slopes = ([0.0; N_SIZES], [0.0; N_SIZES]);
        let step = StepModel::unseen(query.workflow_type, query.step_type, &slopes, self.pooled.scale, &self.pooled);
        let expected = step.expect(group.map_or(0.0, |group| group.shared(known)), known.size);
        Bounds::normal(level).around(expected)
    }
}
