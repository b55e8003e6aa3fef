//! Whole runs: how long the next run of a workflow will take from end to end, what it will cost, how many tokens it
//! will need.
//!
//! No separate guess is made. Each of the workflow's recent runs is replayed with its own graph, slots, input sizes and
//! cache hits, but with durations drawn from what the step models expect today; costs and tokens are drawn likewise and
//! added up. Steps of one run are slow or fast together more often than chance would have it, and independent draws
//! would average that away: a part of each step's deviation is common to its run (`factor`). The simulated spread is
//! then held against what earlier simulations missed by (`calibration`), which covers what no step model knows.
//!
//! A backtest on held-out recent runs, each predicted only from what had ended before it started, gives both, and the
//! scores beside two fixed rivals.

mod backtest;
mod calibration;
mod factor;
mod recent;
mod simulate;

use super::dataset::Target;
use super::models::Models;
use super::train::TrainParams;
use super::{ModelScore, Prediction};
use crate::detect::{Skip, SkipSubject};
use crate::graph::RunGraph;
use crate::samples::Samples;
use crate::units::{Interval, Level};
use calibration::Calibrations;
use factor::Factors;
use rayon::prelude::*;
use recent::{Workflow, workflows};
use serde::{Deserialize, Serialize};
use simulate::Task;

/// The name under which predictions of whole runs are scored.
pub const LEARNER: &str = "replay";
/// The skips' name for it.
const ANALYSIS: &str = "run_prediction";
/// What is predicted of a run. Peak memory is not among them: it depends on who shares a machine.
const TARGETS: [Target; 3] = [Target::DurationMs, Target::CostUsd, Target::Tokens];

/// How whole runs are predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunParams {
    /// The latest so many runs stand for the next one (20).
    pub recent: usize,
    /// Of very large runs only the latest are taken that hold so many executions together (20 000).
    pub max_nodes: usize,
    /// With fewer recent runs nothing is predicted (5).
    pub min_runs: usize,
    /// The latest so many runs of a workflow are held out at most (60).
    pub held_out: usize,
    /// Simulated runs behind a prediction (400); fewer where runs are very large.
    pub draws: usize,
    /// Coverage of intervals.
    pub level: Level,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for RunParams {
    fn default() -> Self {
        Self { recent: 20, max_nodes: 20_000, min_runs: 5, held_out: 60, draws: 400, level: Level::DEFAULT, seed: 0 }
    }
}

/// What the past says of predictions of whole runs: all that a later prediction needs, and how good earlier ones were.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunHistory {
    /// By target, `*` and then each workflow, beside `recent_median` and `last_run`.
    pub scores: Vec<ModelScore>,
    factors: Factors,
    calibrations: Calibrations,
}

/// Predicts the held-out recent runs of each workflow in `graphs` with models that are trained for it by `train` on the
/// earlier part of `samples`.
#[must_use]
pub fn backtest_runs(samples: &Samples, graphs: &[RunGraph], train: &TrainParams, params: &RunParams) -> RunHistory {
    backtest::learn(samples, &workflows(graphs), train, params)
}

/// Predicts the next run of each workflow in `graphs`, by workflow; the skips are workflows whose end-to-end time can't
/// be predicted, with the reason. `models` know all that had ended by the cutoff.
#[must_use]
pub fn predict_runs(
    models: &Models,
    graphs: &[RunGraph],
    history: &RunHistory,
    params: &RunParams,
) -> (Vec<Prediction>, Vec<Skip>) {
    let workflows = workflows(graphs);
    let predicted: Vec<Vec<Option<Prediction>>> = workflows
        .par_iter()
        .enumerate()
        .map(|(number, workflow)| {
            let rho = history.factors.of(workflow.id);
            let of_target = |&target: &Target| {
                let task = Task::of(models, workflow, target, i64::MAX, rho, params)?;
                let simulated = task.simulate(params, params.seed.wrapping_add(number as u64))?;
                let (point, interval) = history.calibrations.corrected(workflow.id, target, &simulated, params.level);
                Some(prediction(workflow, target, point, interval, task.n_runs()))
            };
            TARGETS.iter().map(of_target).collect()
        })
        .collect();
    let (mut predictions, mut skips) = (Vec::new(), Vec::new());
    for (workflow, predicted) in workflows.iter().zip(predicted) {
        if predicted.first().is_some_and(Option::is_none) {
            skips.push(not_predictable(workflow, models, params));
        }
        predictions.extend(predicted.into_iter().flatten());
    }
    (predictions, skips)
}

fn prediction(workflow: &Workflow<'_>, target: Target, point: f64, interval: Interval, n_runs: usize) -> Prediction {
    Prediction {
        workflow_type: workflow.kind.to_owned(),
        workflow_id: workflow.id.to_owned(),
        step: None,
        provider: None,
        size_bucket: "any",
        input_bytes: None,
        target: target.as_str(),
        point,
        interval,
        n_seen: n_runs as u64,
    }
}

fn not_predictable(workflow: &Workflow<'_>, models: &Models, params: &RunParams) -> Skip {
    let usable = workflow.runs.iter().filter(|run| run.is_replayable).count();
    let (needed, total) = (params.min_runs, workflow.runs.len());
    let reason = if usable < needed {
        format!(
            "needs {needed} recorded runs that can be replayed (dependencies of every step declared, and an end-to-end \
             time to compare with), found {usable} of {total}"
        )
    } else if models.knows_type(Target::DurationMs, workflow.kind) {
        "the steps that have a model make up less than half of the recorded time".to_owned()
    } else {
        format!("no model of the steps of {:?} was trained", workflow.kind)
    };
    Skip {
        analysis: ANALYSIS,
        subject: SkipSubject::Workflow { workflow: workflow.id.to_owned(), step: None },
        reason: format!("{}: {reason}", Target::DurationMs.as_str()),
    }
}

#[cfg(test)]
mod tests;
