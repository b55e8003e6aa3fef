//! Trained models carried forward through time: what ends after the training is learned from as it becomes known, in
//! the order of ends. Running levels move; lines, shared effects and conformal bounds stay as they were trained.

use super::dataset::{Target, is_cached, mostly_zero_steps};
use super::models::{Models, Query, TargetModel};
use super::regression::StepModel;
use crate::samples::{Samples, UNKNOWN};
use std::collections::HashSet;

/// Models on their way through the executions that ended after they were trained.
#[derive(Debug)]
pub struct Walk<'a> {
    models: Models,
    samples: &'a Samples,
    /// What is still to be learned from, by end.
    ends: Vec<u32>,
    next: usize,
    /// Steps whose logarithm has no meaning, by target.
    zeros: Vec<(Target, HashSet<u32>)>,
}

impl<'a> Walk<'a> {
    /// `models` know all that ended up to `known_us`.
    #[must_use]
    pub fn new(models: Models, samples: &'a Samples, known_us: i64) -> Self {
        let end = |row: &u32| samples.ended_us.get(*row as usize).copied().unwrap_or(i64::MIN);
        let mut ends: Vec<u32> = (0..).take(samples.len()).filter(|row| end(row) > known_us).collect();
        ends.sort_by_key(end);
        let zeros =
            models.targets.keys().map(|&target| (target, mostly_zero_steps(samples, &ends, target.column(samples))));
        Self { zeros: zeros.collect(), models, samples, ends, next: 0 }
    }

    /// The models as of `us`, when all that had ended before was known.
    pub fn before(&mut self, us: i64) -> &Models {
        while let Some(&row) = self.ends.get(self.next)
            && self.samples.ended_us.get(row as usize).is_some_and(|&end| end < us)
        {
            self.learn(row as usize);
            self.next += 1;
        }
        &self.models
    }

    /// The models after the last end.
    #[must_use]
    pub fn finish(mut self) -> Models {
        self.before(i64::MAX);
        self.models
    }

    fn learn(&mut self, row: usize) {
        let known_step = self.samples.step.get(row).is_some_and(|&step| step != UNKNOWN);
        let Some(query) = query(self.samples, row).filter(|_| known_step && !is_cached(self.samples, row)) else {
            return;
        };
        for (target, zeros) in &self.zeros {
            let outcome = target.column(self.samples).get(row).copied().unwrap_or(f64::NAN);
            let is_zero_step = self.samples.step.get(row).is_some_and(|step| zeros.contains(step));
            if let (true, false, Some(model)) =
                (outcome > 0.0 && outcome.is_finite(), is_zero_step, self.models.targets.get_mut(target))
            {
                model.learn(&query, outcome.ln());
            }
        }
    }
}

/// What was known of an execution before it started; none where its workflow type or step is unknown.
#[must_use]
pub fn query(samples: &Samples, row: usize) -> Option<Query<'_>> {
    let word = |column: &[u32]| column.get(row).and_then(|&code| samples.vocabulary.word(code));
    let size = |column: &[f64]| column.get(row).copied().unwrap_or(f64::NAN);
    Some(Query {
        workflow_type: word(&samples.workflow_type)?,
        step: word(&samples.step)?,
        step_type: word(&samples.step_type),
        provider: word(&samples.provider),
        platform: word(&samples.platform),
        attempt: samples.attempt.get(row).copied().unwrap_or(1),
        started_us: samples.started_us.get(row).copied(),
        input_bytes: size(&samples.input_bytes),
        tokens_in: size(&samples.tokens_in),
    })
}

impl TargetModel {
    /// Learns from one log outcome. A step that its workflow type has not had before gets a place of its own; a
    /// workflow type that was not trained gets none.
    fn learn(&mut self, query: &Query<'_>, log_y: f64) {
        let known = self.known(query);
        let Some(group) = self.groups.get_mut(query.workflow_type) else { return };
        let shared = group.shared(&known);
        if !group.steps.contains_key(query.step) {
            let slopes = ([self.pooled.size_slope(), 0.0], [0.0; 2]);
            let step_type = query.step_type.filter(|_| self.features.step_type);
            let step = StepModel::unseen(query.workflow_type, step_type, &slopes, self.pooled.scale, &self.pooled);
            group.steps.insert(query.step.to_owned(), step);
        }
        if let Some(step) = group.steps.get_mut(query.step) {
            step.observe(log_y - shared, known.size);
        }
    }
}
