//! The recorded runs of each workflow, and which of them were known when.

use super::RunParams;
use crate::graph::{Redraw, RunGraph};
use crate::learn::dataset::Target;
use std::collections::BTreeMap;

/// The recorded runs of one workflow, by start.
#[derive(Debug)]
pub(super) struct Workflow<'a> {
    pub(super) id: &'a str,
    /// Its type.
    pub(super) kind: &'a str,
    pub(super) runs: Vec<Run<'a>>,
}

/// A recorded run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) graph: &'a RunGraph,
    pub(super) started_us: i64,
    /// When its outcome became known.
    pub(super) ended_us: i64,
    /// Whether its replay comes back to its recording.
    pub(super) is_replayable: bool,
    /// Recorded end-to-end time, NaN where unknown.
    recorded_ms: f64,
}

impl Run<'_> {
    /// What was recorded of a target; none where nothing was.
    pub(super) fn outcome(&self, target: Target) -> Option<f64> {
        let outcome = match target {
            Target::DurationMs => Some(self.recorded_ms).filter(|_| self.is_replayable),
            Target::CostUsd => self.graph.outcome.cost_usd,
            Target::Tokens => self.graph.outcome.tokens,
            Target::MemoryMb => None,
        };
        outcome.filter(|value| value.is_finite() && *value > 0.0)
    }
}

pub(super) fn workflows(graphs: &[RunGraph]) -> Vec<Workflow<'_>> {
    let mut by_id: BTreeMap<&str, Vec<&RunGraph>> = BTreeMap::new();
    for graph in graphs {
        by_id.entry(graph.workflow_id.as_str()).or_default().push(graph);
    }
    by_id.into_iter().map(|(id, graphs)| workflow(id, graphs)).collect()
}

fn workflow<'a>(id: &'a str, mut graphs: Vec<&'a RunGraph>) -> Workflow<'a> {
    graphs.sort_by(|a, b| (a.started_us, &a.run_id).cmp(&(b.started_us, &b.run_id)));
    // The latest says what type the workflow is now.
    let kind = graphs.last().map_or("", |graph| graph.workflow_type.as_str());
    Workflow { id, kind, runs: graphs.into_iter().map(run).collect() }
}

#[expect(clippy::cast_possible_truncation, reason = "a float beyond the range of i64 saturates, as it should")]
fn run(graph: &RunGraph) -> Run<'_> {
    let replayable = Redraw::of(&[graph]).pop().flatten();
    let recorded_ms = replayable.as_ref().map_or(f64::NAN, Redraw::recorded_ms);
    let span_us = graph.makespan_ms.filter(|ms| ms.is_finite()).map_or(0, |ms| (ms * 1e3) as i64);
    let started_us = graph.started_us;
    let ended_us = graph.outcome.ended_us.unwrap_or(i64::MIN).max(started_us.saturating_add(span_us));
    Run { graph, started_us, ended_us, is_replayable: replayable.is_some(), recorded_ms }
}

impl<'a> Workflow<'a> {
    /// The latest runs with an outcome that had ended before `us`, latest first, as many as the parameters allow; none
    /// where that are too few.
    pub(super) fn recent(&self, target: Target, us: i64, params: &RunParams) -> Option<Vec<Run<'a>>> {
        let mut recent = Vec::new();
        let mut n_nodes = 0;
        let known = |run: &&Run<'a>| run.ended_us < us && run.outcome(target).is_some();
        for run in self.runs.iter().rev().filter(known).take(params.recent) {
            n_nodes += run.graph.nodes.len();
            if n_nodes > params.max_nodes && recent.len() >= params.min_runs {
                break;
            }
            recent.push(*run);
        }
        (recent.len() >= params.min_runs.max(1)).then_some(recent)
    }
}
