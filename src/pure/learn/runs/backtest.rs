//! Held-out recent runs, each predicted from what had ended before it started: scores beside two fixed rivals, and what
//! they teach about run factors and about the simulation's own errors.

use super::recent::{Run, Workflow};
use super::simulate::{Simulated, Task, deviations};
use super::{LEARNER, RunHistory, RunParams, TARGETS};
use crate::learn::ModelScore;
use crate::learn::backtest::Errors;
use crate::learn::dataset::Target;
use crate::learn::train::{TrainParams, train_before};
use crate::learn::walk::Walk;
use crate::samples::Samples;
use crate::stats::robust::median;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The backtest trains on what had ended by the start of this share of all executions, and predicts later runs.
const TRAINING: f64 = 0.7;
/// Runs that are prepared before they are simulated together: enough for all cores, few enough to be held in memory.
const CHUNK: usize = 64;

/// A held-out run of a workflow.
#[derive(Debug, Clone, Copy)]
struct HeldOut<'w, 'a> {
    workflow: &'w Workflow<'a>,
    run: Run<'a>,
}

/// A held-out run's outcome, and what had been said of it.
#[derive(Debug)]
struct Contested<'a> {
    workflow: &'a str,
    started_us: i64,
    ended_us: i64,
    target: Target,
    simulated: Simulated,
    recent_median: f64,
    last_run: f64,
    actual: f64,
}

/// Walks through the held-out runs in order of start.
pub(super) fn learn(
    samples: &Samples,
    workflows: &[Workflow<'_>],
    train: &TrainParams,
    params: &RunParams,
) -> RunHistory {
    let mut learned = RunHistory::default();
    let held_out = held_out(samples, workflows, params);
    let Some(first) = held_out.first() else { return learned };
    let targets = train.targets.iter().copied().filter(|target| TARGETS.contains(target)).collect();
    let models = train_before(samples, &TrainParams { targets, ..train.clone() }, first.run.started_us);
    let mut walk = Walk::new(models, samples, first.run.started_us.saturating_sub(1));
    let mut pending: Vec<(i64, &str, Vec<f64>)> = Vec::new();
    let mut contested = Vec::new();
    for (number, chunk) in held_out.chunks(CHUNK).enumerate() {
        let mut tasks = Vec::new();
        for HeldOut { workflow, run } in chunk {
            let models = walk.before(run.started_us);
            let known = pending.extract_if(.., |(ended_us, ..)| *ended_us < run.started_us);
            known.for_each(|(_, workflow, z)| learned.factors.observe(workflow, &z));
            let rho = learned.factors.of(workflow.id);
            for target in TARGETS {
                let task = Task::of(models, workflow, target, run.started_us, rho, params);
                tasks.extend(
                    task.zip(run.outcome(target)).map(|(task, actual)| (workflow.id, run, target, task, actual)),
                );
            }
            pending.push((run.ended_us, workflow.id, deviations(models, run.graph)));
        }
        let first = (number * CHUNK * TARGETS.len()) as u64;
        let done: Vec<Option<Contested<'_>>> = tasks
            .par_iter()
            .enumerate()
            .map(|(at, (workflow, run, target, task, actual))| {
                let simulated = task.simulate(params, params.seed.wrapping_add(first + at as u64))?;
                Some(contest(workflow, run, *target, task, simulated, *actual))
            })
            .collect();
        contested.extend(done.into_iter().flatten());
    }
    pending.iter().for_each(|(_, workflow, z)| learned.factors.observe(workflow, z));
    score(contested, params, &mut learned);
    learned
}

/// The latest runs of each workflow that started after the training part, in order of start.
fn held_out<'w, 'a>(samples: &Samples, workflows: &'w [Workflow<'a>], params: &RunParams) -> Vec<HeldOut<'w, 'a>> {
    let Some(&from_us) = samples.started_us.get(share(samples.len(), TRAINING)) else { return Vec::new() };
    let mut held_out: Vec<HeldOut<'w, 'a>> = Vec::new();
    for workflow in workflows {
        let late = workflow.runs.iter().rev().take_while(|run| run.started_us >= from_us).take(params.held_out);
        held_out.extend(late.map(|run| HeldOut { workflow, run: *run }));
    }
    held_out.sort_by_key(|held| (held.run.started_us, held.workflow.id, held.run.graph.run_id.as_str()));
    held_out
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count"
)]
fn share(n: usize, share: f64) -> usize {
    (n as f64 * share) as usize
}

fn contest<'a>(
    workflow: &'a str,
    run: &Run<'_>,
    target: Target,
    task: &Task<'_>,
    simulated: Simulated,
    actual: f64,
) -> Contested<'a> {
    let mut recent: Vec<f64> = task.outcomes().collect();
    Contested {
        workflow,
        started_us: run.started_us,
        ended_us: run.ended_us,
        target,
        simulated,
        last_run: task.last_outcome().unwrap_or(f64::NAN),
        recent_median: median(&mut recent),
        actual,
    }
}

/// The model and its rivals on the same runs.
#[derive(Debug, Default)]
struct Scores {
    model: Errors,
    recent_median: Errors,
    last_run: Errors,
}

impl Scores {
    fn merge(&mut self, other: &Self) {
        self.model.merge(&other.model);
        self.recent_median.merge(&other.recent_median);
        self.last_run.merge(&other.last_run);
    }

    fn rows(&self, target: Target, group: &str, level: f64) -> Vec<ModelScore> {
        let all = [(&self.model, LEARNER), (&self.recent_median, "recent_median"), (&self.last_run, "last_run")];
        all.into_iter().filter_map(|(errors, name)| errors.score(target.as_str(), group, name, level)).collect()
    }
}

/// Intervals are made of the misses of runs that had ended before; then this one's own becomes known.
fn score(mut contested: Vec<Contested<'_>>, params: &RunParams, learned: &mut RunHistory) {
    contested.sort_by_key(|one| (one.started_us, one.workflow, one.target));
    let mut by_end: Vec<usize> = (0..contested.len()).collect();
    by_end.sort_by_key(|&at| contested.get(at).map(|one| one.ended_us));
    let mut known = by_end.iter().filter_map(|&at| contested.get(at)).peekable();
    let mut scores: BTreeMap<(Target, &str), Scores> = BTreeMap::new();
    for one in &contested {
        while let Some(ended) = known.next_if(|ended| ended.ended_us < one.started_us) {
            learned.calibrations.observe(ended.workflow, ended.target, &ended.simulated, ended.actual);
        }
        let (point, interval) = learned.calibrations.corrected(one.workflow, one.target, &one.simulated, params.level);
        let scores = scores.entry((one.target, one.workflow)).or_default();
        scores.model.add(one.actual, point);
        scores.model.add_interval(one.actual.ln(), interval.lower.ln(), interval.upper.ln());
        scores.recent_median.add(one.actual, one.recent_median);
        scores.last_run.add(one.actual, one.last_run);
    }
    for ended in known {
        learned.calibrations.observe(ended.workflow, ended.target, &ended.simulated, ended.actual);
    }
    for target in TARGETS {
        let groups = || scores.iter().filter(|((of, _), _)| *of == target);
        let mut all = Scores::default();
        groups().for_each(|(_, scores)| all.merge(scores));
        learned.scores.extend(all.rows(target, "*", params.level.get()));
        for ((_, workflow), scores) in groups() {
            learned.scores.extend(scores.rows(target, workflow, params.level.get()));
        }
    }
}
