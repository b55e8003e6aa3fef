//! How long many replays take.

use crate::draws::Draws;
use paceline_pure::graph::{
    Change, Circumstances, Ensemble, EnsembleParams, Node, ReplayPlan, RunGraph, RunOutcome, Scratch, replay,
};
use rayon::prelude::*;
use std::sync::Arc;
use std::time::Instant;

const RUNS: usize = 10_000;
const STEPS: usize = 100;
const SLOTS: usize = 8;

pub(crate) fn measure() {
    let names: Vec<Arc<str>> = (0..STEPS).map(|step| format!("s{step:02}").into()).collect();
    let runs: Vec<RunGraph> = (0..RUNS).into_par_iter().map(|run| recorded(run, &names)).collect();
    let speedup = |step: &Arc<str>| vec![Change::Speedup { step: Arc::clone(step), factor: 0.5 }];
    let mut candidates: Vec<Vec<Change>> = names.iter().step_by(2).take(48).map(speedup).collect();
    candidates.push(vec![Change::Slots(Some(2 * SLOTS))]);
    candidates.push(vec![Change::LongestFirst]);
    let began = Instant::now();
    let all = EnsembleParams { max_runs: usize::MAX, max_nodes: usize::MAX, ..EnsembleParams::default() };
    let Ok(ensemble) = Ensemble::new(&runs.iter().collect::<Vec<_>>(), all) else { return };
    let prepared = began.elapsed().as_secs_f64();
    let saving = |changes: &Vec<Change>| ensemble.saving(changes, &mut Scratch::default()).ok();
    let savings: Vec<_> = candidates.par_iter().map(saving).collect();
    println!(
        "speed runs={RUNS} steps={STEPS} slots={SLOTS} candidates={} threads={} prepared_s={prepared:.2} replayed_s={:.2} \
         replay_error={:.4} best={:.4}",
        savings.len(),
        rayon::current_num_threads(),
        began.elapsed().as_secs_f64() - prepared,
        ensemble.replay_error(),
        savings.iter().flatten().map(|saving| saving.share).fold(0.0, f64::max),
    );
}

/// A layered run, its times those of a list schedule on [`SLOTS`] slots.
fn recorded(run: usize, names: &[Arc<str>]) -> RunGraph {
    let mut shape = Draws::of(1);
    let mut draws = Draws::of(1_000 + run as u64);
    let node = |step: usize| {
        let mut deps: Vec<u32> = (0..step.min(3)).map(|_| (step - 1 - shape.below(step.min(20))) as u32).collect();
        deps.sort_unstable();
        deps.dedup();
        Node {
            step_id: Arc::clone(&names[step]),
            step: Arc::clone(&names[step]),
            duration_ms: draws.log_normal(1e3, 1.0),
            start_ms: None,
            submitted_ms: None,
            ended_ms: None,
            parent: None,
            deps,
            cached: false,
            under: Circumstances::default(),
        }
    };
    let mut graph = RunGraph {
        run_id: format!("run{run}"),
        workflow_id: "wf".to_owned(),
        workflow_type: "wf".to_owned(),
        started_us: i64::try_from(run).unwrap_or_default(),
        makespan_ms: None,
        dependencies_known: true,
        nodes: (0..names.len()).map(node).collect(),
        outcome: RunOutcome::default(),
        words: Vec::new(),
    };
    let plan = ReplayPlan { slots: Some(SLOTS), ..ReplayPlan::default() };
    if let Ok(replayed) = replay(&graph, &plan) {
        for (node, start) in graph.nodes.iter_mut().zip(replayed.starts_ms) {
            node.start_ms = Some(start);
        }
    }
    graph
}
