//! A small lake whose truth is known: three workflows, six weeks, and what is wrong with them planted on purpose.
//!
//! It is made by plain arithmetic from a seed, without a clock, and is the same on every machine. What is planted
//! stands in [`Truth`]; the world that it is planted in, in `world`; how a run goes, in `simulate`.

mod draws;
mod frames;
mod simulate;
mod world;

use chrono::{DateTime, Utc};
use polars::prelude::{DataFrame, PolarsResult};
use serde::Serialize;

/// The seed of the sample that `paceline init --sample` writes.
pub const DEFAULT_SEED: u64 = 7;

/// The canonical tables with what is true of them.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Table `runs`, sorted by start.
    pub runs: DataFrame,
    /// Table `steps`, in the order of their runs.
    pub steps: DataFrame,
    /// What was planted.
    pub truth: Truth,
}

/// What was planted, for tests and for judging what is found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// Seed of everything random.
    pub seed: u64,
    /// First instant of the history.
    pub start: DateTime<Utc>,
    /// First instant after the history.
    pub end: DateTime<Utc>,
    /// Rows of `runs`.
    pub n_runs: usize,
    /// Rows of `steps`.
    pub n_steps: usize,
    /// Lasting changes of one step.
    pub change_points: Vec<PlantedChange>,
    /// Strange single executions.
    pub anomalies: Vec<PlantedAnomaly>,
    /// A step that computes again what it computed before.
    pub cacheable: PlantedStep,
    /// Two steps that run one after the other although neither needs the other.
    pub sequential: PlantedPair,
    /// A step that asks for far more memory than it uses.
    pub over_requested: PlantedRequest,
    /// A provider that is slower at the same price.
    pub slow_provider: PlantedProvider,
    /// An experiment with a real effect.
    pub experiment: PlantedExperiment,
    /// A workflow that has fewer runs at weekends.
    pub weekend_dips: Vec<PlantedDip>,
}

/// A lasting change of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedChange {
    /// The workflow.
    pub workflow_id: &'static str,
    /// The step.
    pub step: &'static str,
    /// The metric that changes.
    pub metric: &'static str,
    /// When.
    pub at: DateTime<Utc>,
    /// After / before.
    pub factor: f64,
}

/// A strange execution.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedAnomaly {
    /// Its run.
    pub run_id: String,
    /// Its step.
    pub step_id: String,
    /// Its attempt.
    pub attempt: i64,
    /// `duration_spike`, `memory_blowup` or `network_flood`.
    pub kind: &'static str,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedStep {
    /// Its workflow.
    pub workflow_id: &'static str,
    /// The step.
    pub step: &'static str,
}

/// Two steps of one workflow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedPair {
    /// Their workflow.
    pub workflow_id: &'static str,
    /// The one that runs first.
    pub first: &'static str,
    /// The one that waits.
    pub second: &'static str,
}

/// A request that does not fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedRequest {
    /// The workflow.
    pub workflow_id: &'static str,
    /// The step.
    pub step: &'static str,
    /// What it asks for.
    pub memory_request_mb: f64,
    /// What it uses at a typical input.
    pub memory_mb: f64,
}

/// A provider beside another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedProvider {
    /// The workflow that uses both.
    pub workflow_id: &'static str,
    /// The slower one.
    pub slow: &'static str,
    /// The other one.
    pub fast: &'static str,
    /// Time with the slow one / time with the fast one.
    pub time_ratio: f64,
    /// Price of the slow one / price of the fast one.
    pub price_ratio: f64,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedExperiment {
    /// Its name.
    pub id: &'static str,
    /// The workflows that take part.
    pub workflow_type: &'static str,
    /// The arm that is as before.
    pub control: &'static str,
    /// The arm that is not.
    pub treatment: &'static str,
    /// When it starts; until then there is no variant.
    pub start: DateTime<Utc>,
    /// Relative change of every step's time in the treatment.
    pub time_effect: f64,
}

/// Demand by day of the week.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlantedDip {
    /// The workflow.
    pub workflow_id: &'static str,
    /// Runs on a weekday.
    pub weekday_runs: u32,
    /// Runs on a Saturday or Sunday.
    pub weekend_runs: u32,
}

/// Makes the sample of a seed.
///
/// # Errors
/// When a table can't be built, which only a fault of this module brings about.
pub fn generate(seed: u64) -> PolarsResult<Sample> {
    let history = simulate::history(seed);
    Ok(Sample {
        truth: world::truth(seed, &history),
        runs: frames::runs(&history.runs)?,
        steps: frames::steps(&history.steps)?,
    })
}

#[cfg(test)]
mod tests;
