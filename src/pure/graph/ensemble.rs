//! The recent runs of one workflow, prepared once, replayed under many changes.

use super::RunGraph;
use super::change::{Change, Edits};
use super::inferred::{Inferred, InferredDependency, infer};
use super::nested::unnest;
use super::prepared::{Prepared, RunReplay, settle};
use super::recording::{Recording, StepCodes};
use super::replay::{ReplayError, Scratch, checked_duration};
use super::saving::{Saving, both, estimate};
use crate::units::Level;
use std::sync::Arc;

/// How many runs are replayed, and how sure intervals are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnsembleParams {
    /// At most so many of the latest runs (40).
    pub max_runs: usize,
    /// Fewer say nothing about spread: none is replayed (5).
    pub min_runs: usize,
    /// Of very large runs only the latest are taken that hold so many nodes together (200 000).
    pub max_nodes: usize,
    /// Coverage of intervals (0.9).
    pub level: Level,
    /// Seed of the bootstrap (7).
    pub seed: u64,
}

impl Default for EnsembleParams {
    fn default() -> Self {
        let level = Level::new(0.9).unwrap_or(Level::DEFAULT);
        Self { max_runs: 40, min_runs: 5, max_nodes: 200_000, level, seed: 7 }
    }
}

/// Why the runs of a workflow are not replayed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotReplayable {
    /// Too few runs whose dependencies are known in any way.
    #[error(
        "replay needs {needed} runs with declared dependencies, nested spans, or times of submission, start and end that show \
         what waits for what; found {usable} of {total}"
    )]
    TooFewRuns {
        /// Least number of runs.
        needed: usize,
        /// Runs that can be replayed.
        usable: usize,
        /// Runs that were given.
        total: usize,
    },
    /// A change that can't be made.
    #[error(transparent)]
    Change(#[from] ReplayError),
}

/// The recent runs of one workflow. Slots are the most that any of them was seen to use; where no run has times they are
/// fitted or bounded run by run ([`super::Slots`]). Where dependencies were not declared, those of nested spans are taken
/// ([`unnest`]), else those that times show ([`infer`]), and all that are possible as the other bound.
#[derive(Debug)]
pub struct Ensemble {
    codes: StepCodes,
    runs: Vec<Prepared>,
    dependencies: Dependencies,
    params: EnsembleParams,
}

/// How it is known what waits for what.
#[derive(Debug, Clone, PartialEq)]
pub enum Dependencies {
    /// Declared by the system that executed the runs.
    Declared,
    /// Spans are nested: a parent waits for its children.
    Nested,
    /// Shown by times of submission.
    Inferred(Vec<InferredDependency>),
}

impl Ensemble {
    /// Prepares the latest of `graphs`, all of one workflow; runs that can't be replayed are left out.
    ///
    /// # Errors
    /// [`NotReplayable::TooFewRuns`] where fewer than `min_runs` can be replayed.
    pub fn new(graphs: &[&RunGraph], params: EnsembleParams) -> Result<Self, NotReplayable> {
        let mut codes = StepCodes::default();
        let declared = recordings_of(recent(graphs, params, |graph| graph.dependencies_known), &mut codes);
        if declared.len() >= params.min_runs.max(1) {
            return Ok(Self::of(declared, None, codes, params));
        }
        let undeclared = recent(graphs, params, |graph| !graph.dependencies_known);
        let unnested: Vec<RunGraph> = undeclared.iter().filter_map(|graph| unnest(graph)).collect();
        if unnested.len() >= params.min_runs.max(1)
            && let Ok(ensemble) = Self::from_unnested(&unnested, params)
        {
            return Ok(ensemble);
        }
        let usable = match infer(&undeclared) {
            Some(inferred) => match Self::from_inferred(&inferred, params) {
                Ok(ensemble) => return Ok(ensemble),
                Err(_) => inferred.runs.len(),
            },
            None => declared.len(),
        };
        Err(NotReplayable::TooFewRuns { needed: params.min_runs.max(1), usable, total: graphs.len() })
    }

    /// Prepares runs whose dependencies are those of nested spans.
    ///
    /// # Errors
    /// [`NotReplayable::TooFewRuns`] where fewer than `min_runs` can be replayed.
    pub fn from_unnested(unnested: &[RunGraph], params: EnsembleParams) -> Result<Self, NotReplayable> {
        let mut codes = StepCodes::default();
        let recordings = recordings_of(unnested.iter().collect(), &mut codes);
        if recordings.len() < params.min_runs.max(1) {
            let (needed, usable, total) = (params.min_runs.max(1), recordings.len(), unnested.len());
            return Err(NotReplayable::TooFewRuns { needed, usable, total });
        }
        Ok(Self { dependencies: Dependencies::Nested, ..Self::of(recordings, None, codes, params) })
    }

    /// Prepares runs whose dependencies were inferred.
    ///
    /// # Errors
    /// [`NotReplayable::TooFewRuns`] where fewer than `min_runs` can be replayed.
    pub fn from_inferred(inferred: &Inferred, params: EnsembleParams) -> Result<Self, NotReplayable> {
        let mut codes = StepCodes::default();
        let (shown, possible): (Vec<_>, Vec<_>) = inferred
            .runs
            .iter()
            .filter_map(|(shown, possible)| {
                let (shown, id) = (Recording::new(shown, &mut codes).ok()?, shown.run_id.clone());
                Some(((id.clone(), shown), (id, Recording::new(possible, &mut codes).ok()?)))
            })
            .unzip();
        if shown.len() < params.min_runs.max(1) {
            let (needed, usable, total) = (params.min_runs.max(1), shown.len(), inferred.runs.len());
            return Err(NotReplayable::TooFewRuns { needed, usable, total });
        }
        let dependencies = Dependencies::Inferred(inferred.dependencies.clone());
        Ok(Self { dependencies, ..Self::of(shown, Some(possible), codes, params) })
    }

    fn of(
        mut shown: Vec<(String, Recording)>,
        mut possible: Option<Vec<(String, Recording)>>,
        codes: StepCodes,
        params: EnsembleParams,
    ) -> Self {
        let mut scratch = Scratch::default();
        settle(&mut shown, &mut scratch);
        possible.iter_mut().for_each(|possible| settle(possible, &mut scratch));
        let mut possible = possible.into_iter().flatten().map(|(_, recording)| recording);
        let prepare = |(run_id, recording)| Prepared::new(run_id, recording, possible.next(), &mut scratch);
        Self { codes, runs: shown.into_iter().map(prepare).collect(), dependencies: Dependencies::Declared, params }
    }

    /// How many runs are replayed.
    #[must_use]
    pub fn n_runs(&self) -> usize {
        self.runs.len()
    }

    /// Coverage of its intervals.
    #[must_use]
    pub fn level(&self) -> Level {
        self.params.level
    }

    /// How it is known what waits for what.
    #[must_use]
    pub fn dependencies(&self) -> &Dependencies {
        &self.dependencies
    }

    /// Confidence of the least certain dependency that was inferred; none where they were declared.
    #[must_use]
    pub fn inferred_confidence(&self) -> Option<f64> {
        match &self.dependencies {
            Dependencies::Declared | Dependencies::Nested => None,
            Dependencies::Inferred(shown) => shown.iter().map(|one| one.confidence).reduce(f64::min),
        }
    }

    /// Start of the earliest and of the latest run.
    #[must_use]
    pub fn span_us(&self) -> (i64, i64) {
        let starts = || self.runs.iter().map(|run| run.recording.started_us);
        (starts().min().unwrap_or(0), starts().max().unwrap_or(0))
    }

    /// The derived steps of all runs, in order of first sight.
    #[must_use]
    pub fn steps(&self) -> &[Arc<str>] {
        self.codes.names()
    }

    /// The most executions that any run was seen to hold at once; none where no run has times.
    #[must_use]
    pub fn observed_slots(&self) -> Option<usize> {
        self.recordings().filter_map(|run| run.times.as_ref()).map(|times| times.slots).max()
    }

    /// Median of |ln(replayed / recorded)| of unchanged replays: how far off the model is. 0 where nothing was recorded.
    #[must_use]
    pub fn replay_error(&self) -> f64 {
        let off = |run: &Prepared| {
            let ratio = run.scenarios[0].base_ms / run.recording.recorded_ms?;
            (ratio > 0.0).then(|| ratio.ln().abs())
        };
        let mut errors: Vec<f64> = self.runs.iter().filter_map(off).collect();
        errors.sort_by(f64::total_cmp);
        errors.get(errors.len() / 2).copied().unwrap_or(0.0)
    }

    /// What `changes`, made together, save over all runs. See [`Ensemble::saving_since`].
    ///
    /// # Errors
    /// As [`Ensemble::saving_since`].
    pub fn saving(&self, changes: &[Change], scratch: &mut Scratch) -> Result<Saving, NotReplayable> {
        self.saving_since(i64::MIN, changes, scratch)
    }

    /// What `changes`, made together, save in the runs that started at `since_us` or later: the ratio of summed savings to
    /// summed end-to-end time, with a percentile bootstrap over runs (Efron 1979), widened by the replay error on both
    /// sides. Where slots or dependencies are unknown, both bounds are replayed: the smaller saving is the estimate and the interval spans
    /// both.
    ///
    /// # Errors
    /// [`NotReplayable::TooFewRuns`] since then, and changes that can't be made.
    pub fn saving_since(
        &self,
        since_us: i64,
        changes: &[Change],
        scratch: &mut Scratch,
    ) -> Result<Saving, NotReplayable> {
        let edits = Edits::new(changes, &self.codes)?;
        let runs: Vec<&Prepared> = self.runs.iter().filter(|run| run.recording.started_us >= since_us).collect();
        if runs.len() < self.params.min_runs.max(1) {
            let (needed, usable, total) = (self.params.min_runs.max(1), runs.len(), self.runs.len());
            return Err(NotReplayable::TooFewRuns { needed, usable, total });
        }
        let mut replay = |at: usize| {
            let pairs: Vec<_> = runs.iter().map(|run| run.saved(at, &edits, scratch)).collect();
            estimate(&pairs, self.params.level, self.replay_error(), self.params.seed)
        };
        let first = replay(0);
        Ok(if self.is_certain() { first } else { both(first, replay(1)) })
    }

    /// Mean milliseconds that `changes` save a run, without an interval: the same as [`Saving::ms`] at a third of the cost.
    ///
    /// # Errors
    /// Changes that can't be made.
    pub fn mean_saving_ms(&self, changes: &[Change], scratch: &mut Scratch) -> Result<f64, NotReplayable> {
        let edits = Edits::new(changes, &self.codes)?;
        let mut mean = |at: usize| {
            let saved = self.runs.iter().map(|run| run.saved(at, &edits, scratch).0);
            saved.sum::<f64>() / self.runs.len() as f64
        };
        Ok(if self.is_certain() { mean(0) } else { mean(0).min(mean(1)) })
    }

    /// Every run under `changes`, latest first; of two possible regimes the one in which less is saved.
    ///
    /// # Errors
    /// Changes that can't be made.
    pub fn each(&self, changes: &[Change], scratch: &mut Scratch) -> Result<Vec<RunReplay<'_>>, NotReplayable> {
        let edits = Edits::new(changes, &self.codes)?;
        let mut replay = |run: &Prepared, at: usize| run.saved(at, &edits, scratch).0;
        let of_run = |run| {
            let saved = [replay(run, 0), replay(run, 1)];
            let (at, saved_ms) = if saved[0] <= saved[1] { (0, saved[0]) } else { (1, saved[1]) };
            run.told(at, saved_ms, &edits)
        };
        Ok(self.runs.iter().map(of_run).collect())
    }

    /// Whether both scenarios are the same.
    fn is_certain(&self) -> bool {
        self.runs.iter().all(|run| run.held_most.is_none() && run.scenarios[0].regime == run.scenarios[1].regime)
    }

    /// Executions of a step a run, those that a cache answered not counted.
    pub(crate) fn executions_a_run(&self, step: &str) -> f64 {
        self.retried(step).1 as f64 / self.n_runs().max(1) as f64
    }

    /// Executions of a step that were tried again, and all that ran.
    pub(crate) fn retried(&self, step: &str) -> (usize, usize) {
        let is_retried = |(run, id): (&Recording, usize)| run.retried_ms[id] > 0.0 || run.retried_usd[id] > 0.0;
        self.ran(step).fold((0, 0), |(n_retried, n), one| (n_retried + usize::from(is_retried(one)), n + 1))
    }

    /// What the tries of a step before the last ones cost (USD), where they cost anything; one an execution.
    pub(crate) fn retries_usd(&self, step: &str) -> impl Iterator<Item = f64> {
        self.ran(step).map(|(run, id)| run.retried_usd[id]).filter(|usd| *usd > 0.0)
    }

    /// What the runs cost together (USD), as far as that is known.
    pub(crate) fn cost_usd(&self) -> f64 {
        self.recordings().filter_map(|run| run.cost_usd).sum()
    }

    /// Executions of a step that no cache answered.
    fn ran(&self, step: &str) -> impl Iterator<Item = (&Recording, usize)> {
        let code = self.codes.code(step);
        let all = self.recordings().flat_map(|run| (0..run.len()).map(move |id| (run, id)));
        all.filter(move |(run, id)| Some(run.steps[*id]) == code && !run.cached[*id])
    }

    pub(crate) fn recordings(&self) -> impl Iterator<Item = &Recording> {
        self.runs.iter().map(|run| &run.recording)
    }

    /// The same with their ids, latest first.
    pub(super) fn named_recordings(&self) -> impl Iterator<Item = (&str, &Recording)> {
        self.runs.iter().map(|run| (run.run_id.as_str(), &run.recording))
    }
}

/// The latest runs that `may` be replayed, within the limits, latest first.
fn recent<'a>(graphs: &[&'a RunGraph], params: EnsembleParams, may: impl Fn(&RunGraph) -> bool) -> Vec<&'a RunGraph> {
    // Empty runs say nothing, broken ones were reported when they were validated.
    let is_sound =
        |graph: &RunGraph| !graph.nodes.is_empty() && graph.nodes.iter().all(|node| checked_duration(node).is_ok());
    let mut latest: Vec<&RunGraph> = graphs.iter().copied().filter(|graph| may(graph) && is_sound(graph)).collect();
    latest.sort_by(|a, b| b.started_us.cmp(&a.started_us).then_with(|| a.run_id.cmp(&b.run_id)));
    let mut n_nodes = 0;
    let mut n_runs = 0;
    latest.retain(|graph| {
        let fits = n_runs < params.max_runs && (n_nodes <= params.max_nodes || n_runs < params.min_runs);
        (n_nodes, n_runs) = (n_nodes + graph.nodes.len(), n_runs + 1);
        fits
    });
    latest
}

/// Those that can be replayed, with their ids.
fn recordings_of(graphs: Vec<&RunGraph>, codes: &mut StepCodes) -> Vec<(String, Recording)> {
    graphs.into_iter().filter_map(|graph| Some((graph.run_id.clone(), Recording::new(graph, codes).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::examples::{fork_join, timed};
    use super::super::prepared::EXPLAINED_RATIO;
    use super::super::replay::simulate;
    use super::super::slots::Regime;
    use super::*;

    fn runs(n: usize) -> Vec<RunGraph> {
        // b takes 30 + i, so runs differ; two slots were really used.
        let run = |i: usize| {
            let b = 30.0 + i as f64;
            let mut run = timed(&[
                ("a", 0.0, 10.0, &[]),
                ("b", 10.0, b, &[0]),
                ("c", 10.0, 20.0, &[0]),
                ("d", 10.0 + b, 5.0, &[1, 2]),
            ]);
            run.started_us = i64::try_from(i).unwrap();
            run
        };
        (0..n).map(run).collect()
    }

    fn ensemble(runs: &[RunGraph]) -> Result<Ensemble, NotReplayable> {
        Ensemble::new(&runs.iter().collect::<Vec<_>>(), EnsembleParams::default())
    }

    #[test]
    fn the_share_is_of_end_to_end_time() {
        let runs = runs(10);
        let ensemble = ensemble(&runs).unwrap();
        assert_eq!(ensemble.observed_slots(), Some(2));
        assert!(ensemble.replay_error() < 1e-12);
        let halve = [Change::Speedup { step: "b".into(), factor: 0.5 }];
        let saving = ensemble.saving(&halve, &mut Scratch::default()).unwrap();
        // c (20) hides part of it: each run saves b − 20.
        let saved: f64 = (0..10).map(|i| 10.0 + f64::from(i)).sum();
        let total: f64 = (0..10).map(|i| 45.0 + f64::from(i)).sum();
        assert!((saving.share - saved / total).abs() < 1e-12, "{saving:?}");
        assert!(saving.share_lower < saving.share && saving.share < saving.share_upper);
        assert!((saving.ms() - saved / 10.0).abs() < 1e-9);
        let mean = ensemble.mean_saving_ms(&halve, &mut Scratch::default()).unwrap();
        assert!((mean - saving.ms()).abs() < 1e-9);
    }

    #[test]
    fn nothing_changed_saves_nothing_and_the_order_of_runs_is_no_matter() {
        let mut some = runs(8);
        let forward = ensemble(&some).unwrap();
        let remove = [Change::Remove { step: "b".into() }];
        let mut scratch = Scratch::default();
        let (nothing, removed) =
            (forward.saving(&[], &mut scratch).unwrap(), forward.saving(&remove, &mut scratch).unwrap());
        assert_eq!((nothing.share_lower, nothing.share, nothing.share_upper), (0.0, 0.0, 0.0));
        some.reverse();
        assert_eq!(ensemble(&some).unwrap().saving(&remove, &mut scratch).unwrap(), removed);
    }

    #[test]
    fn unknown_slots_give_both_bounds() {
        let runs: Vec<_> = (0..6).map(|_| fork_join()).collect();
        let saving = ensemble(&runs).unwrap().saving(&[Change::Remove { step: "c".into() }], &mut Scratch::default());
        let saving = saving.unwrap();
        // Unlimited: nothing. One slot: 20 of 65.
        assert_eq!((saving.share, saving.share_lower), (0.0, 0.0));
        assert!((saving.share_upper - 20.0 / 65.0).abs() < 1e-12, "{saving:?}");
    }

    #[test]
    fn too_few_or_unknown_runs_are_told() {
        let mut some = runs(6);
        some.iter_mut().take(2).for_each(|run| run.dependencies_known = false);
        let refused = ensemble(&some).unwrap_err();
        assert_eq!(refused, NotReplayable::TooFewRuns { needed: 5, usable: 4, total: 6 });
        let since = ensemble(&runs(9)).unwrap().saving_since(7, &[], &mut Scratch::default()).unwrap_err();
        assert_eq!(since, NotReplayable::TooFewRuns { needed: 5, usable: 2, total: 9 });
    }

    #[test]
    fn waits_that_slots_do_not_explain_stay_as_they_were() {
        // Sixty tasks, all ready at once, that a shared cluster starts whenever it likes.
        let start = |at: u64| (at * 7_919 % 1_000) as f64;
        let names: Vec<String> = (0..60).map(|at| format!("a/{at}")).collect();
        let tasks: Vec<(&str, f64, f64, &[u32])> = (0..60)
            .map(|at| (names[at as usize].as_str(), start(at), 30.0 + (at % 9) as f64 * 12.0, &[][..]))
            .collect();
        let runs: Vec<RunGraph> = (0..5).map(|_| timed(&tasks)).collect();
        let mut recording = Recording::new(&runs[0], &mut StepCodes::default()).unwrap();
        let by_slots = Regime::of_slots(Some(recording.slots));
        let replayed_ms = simulate(&recording, &Edits::default(), by_slots, &mut Scratch::default());
        assert!(
            replayed_ms > EXPLAINED_RATIO * recording.recorded_ms.unwrap(),
            "{replayed_ms} {:?}",
            recording.recorded_ms
        );
        recording.keep_waits();
        let kept_ms = simulate(&recording, &Edits::default(), Regime::of_slots(None), &mut Scratch::default());
        assert!((kept_ms - recording.recorded_ms.unwrap()).abs() < 1e-9);
        assert!(ensemble(&runs).unwrap().replay_error() < 1e-9);
    }
}
