//! One run as a graph of steps: critical path, slots, and replay of what a change would do.

mod change;
mod critical_path;
mod ensemble;
mod inferred;
mod nested;
mod prepared;
mod recording;
mod redraw;
mod replay;
mod saving;
mod slots;
mod step_times;
mod timeline;
mod topology;
mod upstream;
mod validate;

pub use change::Change;
pub use critical_path::{CriticalPath, critical_path};
pub use ensemble::{Dependencies, Ensemble, EnsembleParams, NotReplayable};
pub use inferred::{Inferred, InferredDependency, Relation, infer};
pub use nested::unnest;
pub use prepared::RunReplay;
pub(crate) use recording::{Recording, Times};
pub use redraw::Redraw;
pub use replay::{ReplayError, ReplayPlan, Replayed, Scratch, replay};
pub use saving::Saving;
pub use slots::{Regime, Slots, slots};
pub use step_times::{RunTimes, StepSpan, StepTimes, step_times};
pub use topology::Topology;
pub use upstream::{Upstream, upstream};
pub use validate::GraphIssue;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A recorded run. Nodes are executions (the attempts of one step in one run are one node); `deps` point at
/// earlier-declared nodes of the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunGraph {
    /// The run.
    pub run_id: String,
    /// Its workflow.
    pub workflow_id: String,
    /// The workflow's type.
    pub workflow_type: String,
    /// When the run started.
    pub started_us: i64,
    /// Recorded end-to-end time of the run's steps without the queue before the first, if times are known.
    pub makespan_ms: Option<f64>,
    /// Whether dependencies were declared. Where they were not, [`unnest`] makes them of nested spans, and [`infer`] tells
    /// which ones times show.
    pub dependencies_known: bool,
    /// The executions.
    pub nodes: Vec<Node>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Names of providers and platforms, which [`Circumstances`] point at.
    pub words: Vec<Arc<str>>,
}

/// What is known of a run once it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RunOutcome {
    /// When the last of it had ended, if that is known.
    pub ended_us: Option<i64>,
    /// What its executions cost together, those that failed and were tried again too; none where no cost is known.
    pub cost_usd: Option<f64>,
    /// Tokens in and out of its executions together, likewise.
    pub tokens: Option<f64>,
}

/// One step of one run, its attempts taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Name within the run (`process/index` for one task of many); empty for what is no execution of its own: a gate, which
    /// only gathers dependencies, or a later part of a span.
    pub step_id: Arc<str>,
    /// The derived step (`step_id` up to its first `/`).
    pub step: Arc<str>,
    /// Time from the first attempt's start to the last one's end, or the sum of durations where no times are known.
    pub duration_ms: f64,
    /// Start after the run's first step start, if times are known.
    pub start_ms: Option<f64>,
    /// When it was given to whoever executes it, on the same clock; kept where dependencies are unknown.
    pub submitted_ms: Option<f64>,
    /// Its recorded end on the same clock, which may differ from start and duration where these were measured elsewhere; kept
    /// where dependencies are unknown.
    pub ended_ms: Option<f64>,
    /// Index of the span that this is nested in, where spans are what was recorded; kept where dependencies are unknown.
    pub parent: Option<u32>,
    /// Indices into [`RunGraph::nodes`] of what must end before this starts.
    pub deps: Vec<u32>,
    /// Answered from a cache: its times are not this run's.
    pub cached: bool,
    /// What it ran under.
    pub under: Circumstances,
}

/// What is known of an execution before it starts, and what tries before the last one took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Circumstances {
    /// Who executed it, as a position in [`RunGraph::words`].
    pub provider: Option<u16>,
    /// Where, likewise.
    pub platform: Option<u16>,
    /// Size of its input.
    pub input_bytes: Option<f64>,
    /// Tokens sent in.
    pub tokens_in: Option<f64>,
    /// The part of [`Node::duration_ms`] before the last try began.
    pub retried_ms: f64,
    /// The part of [`Node::duration_ms`] between tries, in which none ran: a faster step waits as long.
    pub paused_ms: f64,
    /// The longest of the tries before the last one.
    pub longest_retried_ms: f64,
    /// What the tries before the last one cost, as far as that is known.
    pub retried_usd: f64,
}

impl RunGraph {
    /// The name that a position in [`RunGraph::words`] stands for.
    #[must_use]
    pub fn word(&self, position: Option<u16>) -> Option<&str> {
        self.words.get(usize::from(position?)).map(AsRef::as_ref)
    }
}

impl Node {
    /// Whether it is an execution, and no gate or later part of one.
    #[must_use]
    pub fn is_execution(&self) -> bool {
        !self.step_id.is_empty()
    }

    /// What it took in this run: nothing where the answer came from a cache.
    #[must_use]
    pub fn busy_ms(&self) -> f64 {
        if self.cached { 0.0 } else { self.duration_ms }
    }
}

#[cfg(test)]
pub(crate) mod examples;
#[cfg(test)]
mod real_runs;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod what_if;
