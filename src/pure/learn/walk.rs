//! Trained models carried forward through time: what ends after the training is learned from as it becomes known, in
//! the order of ends. Running levels move; lines, shared effects and conformal bounds stay as they were trained.

use super::dataset::{N_SIZES, Target, is_cached, mostly_zero_steps};
use super::models::{Models, Query, TargetModel};
use super::regression::StepModel;
use crate::samples::{Samples, UNKNOWN, Vocabulary};
use std::collections::HashSet;

/// Models on their way through the executions that ended after they were trained.
#[derive(Debug)]
pub struct Walk<'a> {
    models: Models,
    samples: &'a Samples,
    /// What is still to be learned from, by end.
    ends: Vec<End>,
    next: usize,
    /// Steps whose logarithm has no meaning, by target.
    zeros: Vec<(Target, HashSet<u32>)>,
}

/// An execution whose outcome becomes known, or that is seen for the last time.
#[derive(Debug, Clone, Copy)]
struct End {
    us: i64,
    row: usize,
    is_finished: bool,
}

fn ends_after(samples: &Samples, known_us: i64, is_finished: bool) -> impl Iterator<Item = End> {
    let end = move |(row, &us)| End { us, row, is_finished };
    samples.ended_us.iter().enumerate().map(end).filter(move |end| end.us > known_us)
}

impl<'a> Walk<'a> {
    /// `models` know all that ended up to `known_us`.
    #[must_use]
    pub fn new(models: Models, samples: &'a Samples, known_us: i64) -> Self {
        let mut ends: Vec<End> = ends_after(samples, known_us, true).collect();
        let rows: Vec<u32> = ends.iter().filter_map(|end| u32::try_from(end.row).ok()).collect();
        let zeros =
            models.targets.keys().map(|&target| (target, mostly_zero_steps(samples, &rows, target.column(samples))));
        ends.extend(samples.unfinished.iter().flat_map(|unfinished| ends_after(unfinished, known_us, false)));
        ends.sort_by_key(|end| end.us);
        Self { zeros: zeros.collect(), models, samples, ends, next: 0 }
    }

    /// The models as of `us`, when all that had ended before was known.
    pub fn before(&mut self, us: i64) -> &Models {
        while let Some(&end) = self.ends.get(self.next).filter(|end| end.us < us) {
            if end.is_finished {
                self.learn(end.row);
            } else {
                self.learn_unfinished(end.row);
            }
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
        let Some(query) =
            query(self.samples, &self.samples.vocabulary, row).filter(|_| known_step && !is_cached(self.samples, row))
        else {
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

    fn learn_unfinished(&mut self, row: usize) {
        let Some(unfinished) = self.samples.unfinished.as_deref() else { return };
        let lasted = unfinished.duration_ms.get(row).copied().filter(|ms| *ms > 0.0 && ms.is_finite());
        let model = self.models.targets.get_mut(&Target::DurationMs);
        if let (Some(query), Some(lasted), Some(model)) =
            (query(unfinished, &self.samples.vocabulary, row), lasted, model)
        {
            model.learn_beyond(&query, lasted.ln());
        }
    }
}

/// What was known of an execution before it started, its codes those of `words`; none where its workflow type or step is
/// unknown.
#[must_use]
pub fn query<'a>(samples: &Samples, words: &'a Vocabulary, row: usize) -> Option<Query<'a>> {
    let word = |column: &[u32]| column.get(row).and_then(|&code| words.word(code));
    Some(Query {
        workflow_type: word(&samples.workflow_type)?,
        step: word(&samples.step)?,
        step_type: word(&samples.step_type),
        provider: word(&samples.provider),
        platform: word(&samples.platform),
        attempt: samples.attempt.get(row).copied().unwrap_or(1),
        started_us: samples.started_us.get(row).copied(),
        sizes: samples.sizes(row),
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
            let slopes = ([0.0; N_SIZES], [0.0; N_SIZES]);
            let step_type = query.step_type.filter(|_| self.features.step_type);
            let step = StepModel::unseen(query.workflow_type, step_type, &slopes, self.pooled.scale, &self.pooled);
            group.steps.insert(query.step.to_owned(), step);
        }
        if let Some(step) = group.steps.get_mut(query.step) {
            step.observe(log_y - shared, known.size);
        }
    }

    /// Learns from an execution of a known step whose log outcome is only known to be larger than `bound`.
    fn learn_beyond(&mut self, query: &Query<'_>, bound: f64) {
        let known = self.known(query);
        let Some(group) = self.groups.get_mut(query.workflow_type) else { return };
        let shared = group.shared(&known);
        if let Some(step) = group.steps.get_mut(query.step) {
            step.observe_beyond(bound - shared, known.size);
        }
    }
}
