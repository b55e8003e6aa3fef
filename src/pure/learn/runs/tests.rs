//! Histories of whole runs whose truth is known.

#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

use super::simulate::Normals;
use super::*;
use crate::graph::{Circumstances, Node, RunOutcome};
use crate::learn::testing::push;
use crate::learn::train::train;
use crate::units::HOUR_US;

/// Names, typical durations and dependencies.
///
/// ```text
///         ┌─ align 60 ─┐
/// load 20 ┤            ├─ report 10
///         └─ index 40 ─┘
/// ```
const STEPS: [(&str, f64, &[u32]); 4] =
    [("load", 20e3, &[]), ("align", 60e3, &[0]), ("index", 40e3, &[0]), ("report", 10e3, &[1, 2])];
const FIRST_US: i64 = 1_767_571_200_000_000;

/// A history of one workflow: spreads are standard deviations of logarithms.
struct World {
    samples: Samples,
    graphs: Vec<RunGraph>,
}

impl World {
    /// `n` runs, four hours apart; each step costs a cent a second.
    fn new(n: usize, run_spread: f64, step_spread: f64) -> Self {
        let mut normals = Normals::new(11);
        let mut world = Self { samples: Samples::default(), graphs: Vec::new() };
        for number in 0..n {
            let started_us = FIRST_US + i64::try_from(number).unwrap() * 4 * HOUR_US;
            let size = 1e6 * (0.5 * normals.draw()).exp();
            let run = run_spread * normals.draw();
            let durations: Vec<f64> = STEPS
                .iter()
                .map(|(_, ms, _)| ms * (size / 1e6).powf(0.6) * (run + step_spread * normals.draw()).exp())
                .collect();
            world.add(number, started_us, size, &durations);
        }
        world
    }

    fn add(&mut self, number: usize, started_us: i64, size: f64, durations_ms: &[f64]) {
        let [load, align, index, report] = [0, 1, 2, 3].map(|at| durations_ms[at]);
        let starts = [0.0, load, load, load + align.max(index)];
        let makespan_ms = starts[3] + report;
        let nodes =
            STEPS.iter().zip(durations_ms).zip(starts).map(|((&(step, _, deps), &duration_ms), start_ms)| Node {
                step_id: step.into(),
                step: step.into(),
                duration_ms,
                start_ms: Some(start_ms),
                submitted_ms: None,
                ended_ms: None,
                parent: None,
                deps: deps.to_vec(),
                cached: false,
                under: Circumstances { provider: Some(0), input_bytes: Some(size), ..Circumstances::default() },
            });
        self.graphs.push(RunGraph {
            run_id: format!("r{number:05}"),
            workflow_id: "w".into(),
            workflow_type: "w".into(),
            started_us,
            makespan_ms: Some(makespan_ms),
            dependencies_known: true,
            nodes: nodes.collect(),
            outcome: RunOutcome {
                ended_us: Some(started_us + (makespan_ms * 1e3) as i64),
                cost_usd: Some(durations_ms.iter().sum::<f64>() / 1e5),
                tokens: None,
            },
            words: vec!["aws".into()],
        });
        for ((&(step, ..), &duration_ms), start_ms) in STEPS.iter().zip(durations_ms).zip(starts) {
            push(&mut self.samples, "w", step, size, duration_ms);
            *self.samples.cost_usd.last_mut().unwrap() = duration_ms / 1e5;
            let start_us = started_us + (start_ms * 1e3) as i64;
            *self.samples.started_us.last_mut().unwrap() = start_us;
            *self.samples.ended_us.last_mut().unwrap() = start_us + (duration_ms * 1e3) as i64;
        }
    }

    fn predict(&self, level: f64) -> Found {
        let level = Level::new(level).unwrap();
        let train_params = TrainParams { level, ..TrainParams::default() };
        let models = train(&self.samples, &train_params).0;
        let params = RunParams { level, held_out: 400, ..RunParams::default() };
        let history = backtest_runs(&self.samples, &self.graphs, &train_params, &params);
        let (predictions, skips) = predict_runs(&models, &self.graphs, &history, &params);
        Found { predictions, skips, scores: history.scores }
    }
}

#[derive(Debug, PartialEq, Default)]
struct Found {
    predictions: Vec<Prediction>,
    scores: Vec<ModelScore>,
    skips: Vec<Skip>,
}

fn score<'a>(found: &'a Found, target: &str, model: &str) -> &'a ModelScore {
    found.scores.iter().find(|s| s.target == target && s.group == "w" && s.model == model).unwrap()
}

fn predicted<'a>(found: &'a Found, target: &str) -> &'a Prediction {
    found.predictions.iter().find(|p| p.target == target).unwrap()
}

#[test]
fn the_next_run_is_covered_as_promised_with_and_without_a_run_factor() {
    for (run_spread, step_spread) in [(0.0, 0.3), (0.25, 0.1)] {
        let found = World::new(900, run_spread, step_spread).predict(0.9);
        for target in ["duration_ms", "cost_usd"] {
            let ours = score(&found, target, LEARNER);
            assert!(ours.n > 200 && (0.85..0.95).contains(&ours.coverage), "{run_spread}: {ours:?}");
            let rival = score(&found, target, "recent_median");
            assert!(ours.mdape < 1.1 * rival.mdape && rival.is_rival && rival.coverage.is_nan(), "{rival:?}");
        }
        let duration = predicted(&found, "duration_ms");
        assert_eq!((duration.step.as_deref(), duration.n_seen, duration.size_bucket), (None, 20, "any"));
        // At the typical size 20 + 60 + 10 s, and a little for the longer of two branches.
        assert!((80e3..115e3).contains(&duration.point), "{duration:?}");
        assert!(duration.interval.lower < duration.point && duration.point < duration.interval.upper);
        let cost = predicted(&found, "cost_usd");
        assert!((1.1..1.6).contains(&cost.point), "{cost:?}");
        assert!(found.predictions.len() == 2 && found.skips.is_empty(), "{:?}", found.skips);
    }
}

#[test]
fn a_jump_of_a_step_moves_the_run_at_once() {
    let mut world = World::new(400, 0.0, 0.1);
    let before = predicted(&world.predict(0.9), "duration_ms").point;
    let steady = World::new(430, 0.0, 0.1);
    for (number, graph) in steady.graphs.iter().enumerate().skip(400) {
        let durations: Vec<f64> =
            graph.nodes.iter().map(|node| node.duration_ms * if &*node.step == "align" { 2.0 } else { 1.0 }).collect();
        let size = graph.nodes[0].under.input_bytes.unwrap();
        world.add(number, graph.started_us, size, &durations);
    }
    let found = world.predict(0.9);
    let after = predicted(&found, "duration_ms").point;
    assert!(after > 1.4 * before, "{before} {after}");
}

#[test]
fn the_future_has_no_say_in_the_past() {
    let world = World::new(300, 0.1, 0.2);
    let mut altered = World { samples: world.samples.clone(), graphs: world.graphs.clone() };
    let last = altered.graphs.len() - 1;
    // The last run takes ten times as long: no earlier prediction may know.
    altered.graphs[last].makespan_ms = altered.graphs[last].makespan_ms.map(|ms| ms * 10.0);
    let rows = altered.samples.len();
    altered.samples.duration_ms.iter_mut().skip(rows - 4).for_each(|ms| *ms *= 10.0);
    let (a, b) = (world.predict(0.9), altered.predict(0.9));
    let (a, b) = (score(&a, "duration_ms", LEARNER), score(&b, "duration_ms", LEARNER));
    assert!((a.width_ratio - b.width_ratio).abs() < 1e-12, "{a:?} {b:?}");
    assert!((a.wape - b.wape).abs() > 1e-3);
}

#[test]
fn scaling_all_times_scales_the_prediction() {
    let world = World::new(300, 0.1, 0.2);
    let mut longer = World { samples: world.samples.clone(), graphs: world.graphs.clone() };
    longer.samples.duration_ms.iter_mut().for_each(|ms| *ms *= 8.0);
    for graph in &mut longer.graphs {
        graph.makespan_ms = graph.makespan_ms.map(|ms| ms * 8.0);
        for node in &mut graph.nodes {
            node.duration_ms *= 8.0;
            node.start_ms = node.start_ms.map(|ms| ms * 8.0);
        }
    }
    let point = |world: &World| predicted(&world.predict(0.9), "duration_ms").point;
    assert!((point(&longer) / point(&world) / 8.0 - 1.0).abs() < 1e-6);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let world = World::new(200, 0.1, 0.2);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| world.predict(0.9));
        serde_json::to_string(&(found.predictions, found.scores)).unwrap()
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn what_was_not_declared_is_not_made_up() {
    let mut world = World::new(200, 0.1, 0.2);
    world.graphs.iter_mut().for_each(|graph| graph.dependencies_known = false);
    let found = world.predict(0.9);
    assert_eq!(found.predictions.iter().map(|p| p.target).collect::<Vec<_>>(), ["cost_usd"], "costs need no order");
    assert_eq!(found.skips.len(), 1);
    let told = &found.skips[0].reason;
    assert!(told.starts_with("duration_ms: needs 5 recorded runs") && told.ends_with("found 0 of 200"), "{told}");
}

#[test]
fn too_little_history_is_told_and_none_is_nothing() {
    let found = World::new(4, 0.1, 0.2).predict(0.9);
    assert!(found.predictions.is_empty() && found.skips.len() == 1);
    let unknown = World::new(8, 0.1, 0.2).predict(0.9);
    assert!(unknown.skips[0].reason.contains("no model of the steps of \"w\""), "{:?}", unknown.skips);
    let nothing = World { samples: Samples::default(), graphs: Vec::new() }.predict(0.9);
    assert_eq!(nothing, Found::default());
}

#[test]
fn steps_without_a_model_keep_what_was_recorded_of_them() {
    let mut world = World::new(300, 0.0, 0.1);
    for graph in &mut world.graphs {
        graph.nodes[2].step = "unheard-of".into();
    }
    let found = world.predict(0.9);
    assert!((80e3..115e3).contains(&predicted(&found, "duration_ms").point));
    for graph in &mut world.graphs {
        graph.nodes.iter_mut().for_each(|node| node.step = "unheard-of".into());
    }
    let found = world.predict(0.9);
    assert!(found.skips[0].reason.contains("less than half of the recorded time"), "{:?}", found.skips);
    assert!(found.predictions.is_empty());
}
