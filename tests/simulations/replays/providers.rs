//! Two providers, or two workers: equal ones, and one that only looks better.

use crate::draws::Draws;
use paceline_pure::compare::{CompareParams, Dimension, compare};
use paceline_pure::graph::{Circumstances, Node, RunGraph, RunOutcome};
use paceline_pure::recommend::{Action, Inputs, Params, Recommendation, propose};
use paceline_pure::samples::{Samples, UNKNOWN};
use rayon::prelude::*;
use std::sync::Arc;

const SEEDS: u64 = 500;
const RUNS: usize = 120;
const STEPS: [(&str, f64); 3] = [("fetch", 4e3), ("train", 20e3), ("report", 2e3)];
const HOUR_US: i64 = 3_600_000_000;

/// What `b` takes of what `a` takes on like executions, and how the two share the work.
#[derive(Clone, Copy)]
struct Setting {
    name: &'static str,
    /// What `a` and `b` are.
    dimension: Dimension,
    ratio: f64,
    /// Probability that a small, or a large, input goes to `b`.
    small_to_b: f64,
    large_to_b: f64,
    with_costs: bool,
}

/// Switches of providers.
pub(crate) fn measure() {
    measure_all(Dimension::Provider);
}

/// Weights of workers.
pub(crate) fn measure_workers() {
    measure_all(Dimension::Platform);
}

fn measure_all(dimension: Dimension) {
    let equal = Setting { name: "equal", dimension, ratio: 1.0, small_to_b: 0.5, large_to_b: 0.5, with_costs: false };
    for setting in [
        equal,
        Setting { name: "equal, with costs", with_costs: true, ..equal },
        Setting { name: "equal, unlike work", small_to_b: 0.8, large_to_b: 0.2, ..equal },
        Setting { name: "b 10 % slower and looks faster", ratio: 1.1, small_to_b: 0.8, large_to_b: 0.2, ..equal },
        Setting { name: "b 30 % slower and looks faster", ratio: 1.3, small_to_b: 0.8, large_to_b: 0.2, ..equal },
        Setting { name: "b twice as slow", ratio: 2.0, ..equal },
    ] {
        let told: Vec<Told> = (0..SEEDS).into_par_iter().map(|seed| one(setting, seed)).collect();
        let share = |is: &dyn Fn(&Told) -> bool| told.iter().filter(|one| is(one)).count() as f64 / SEEDS as f64;
        println!(
            "{}s {:32} seeds={SEEDS} b_has_lower_mean={:.3} to_a={:.3} to_b={:.3}",
            dimension.as_str(),
            setting.name,
            share(&|(_, looks_faster)| *looks_faster),
            share(&|(to, _)| to.as_deref() == Some("a")),
            share(&|(to, _)| to.as_deref() == Some("b")),
        );
    }
}

/// Where to go, and whether the mean of `b` is the lower one.
type Told = (Option<String>, bool);

fn one(setting: Setting, seed: u64) -> Told {
    let mut draws = Draws::of(seed);
    let (mut samples, mut graphs, mut sums) = (Samples::default(), Vec::new(), [(0.0, 0.0); 2]);
    for run in 0..RUNS {
        let is_large = draws.uniform() < 0.5;
        let size = draws.log_normal(if is_large { 40e6 } else { 10e6 }, 0.3);
        let is_b = draws.uniform() < if is_large { setting.large_to_b } else { setting.small_to_b };
        let hour = draws.log_normal(1.0, 0.1);
        let factor = (size / 20e6).powf(0.8) * hour * if is_b { setting.ratio } else { 1.0 };
        let durations: Vec<f64> = STEPS.iter().map(|(_, ms)| draws.log_normal(ms * factor, 0.15)).collect();
        let (sum, n) = &mut sums[usize::from(is_b)];
        *sum += durations.iter().sum::<f64>();
        *n += 1.0;
        let started_us =
            i64::try_from(run).unwrap_or_default() * 6 * HOUR_US + (draws.uniform() * HOUR_US as f64) as i64;
        let mut at_us = started_us;
        for ((step, _), ms) in STEPS.iter().zip(&durations) {
            let usd = if setting.with_costs { draws.log_normal(1e-5 * ms, 0.05) } else { f64::NAN };
            let place = (setting.dimension, if is_b { "b" } else { "a" });
            record(&mut samples, (step, place), at_us, (size, *ms, usd));
            at_us += (ms * 1e3) as i64;
        }
        graphs.push(chain(run, started_us, &durations));
    }
    let comparisons = compare(&samples, &CompareParams::default());
    let inputs =
        Inputs { graphs: &graphs, samples: &samples, bottlenecks: &[], comparisons: &comparisons, analyses: &[] };
    let proposals = propose(&inputs, &Params::default());
    let to = proposals.iter().find_map(|one| leads_to(&one.recommendation));
    (to, sums[1].0 / sums[1].1 < sums[0].0 / sums[0].1)
}

/// The provider to switch to, or the worker that is to do more.
fn leads_to(proposal: &Recommendation) -> Option<String> {
    match proposal.target.as_str() {
        "provider" => Some(proposal.actions.first()?.to.as_str()?.to_owned()),
        "platform_weights" => {
            let gains = |action: &&Action| action.to.as_f64() > action.from.as_f64();
            let path = &proposal.actions.iter().find(gains)?.path;
            path.strip_prefix("/platform_weights/").map(str::to_owned)
        }
        _ => None,
    }
}

fn record(
    all: &mut Samples,
    (step, (dimension, place)): (&str, (Dimension, &str)),
    started_us: i64,
    (size, ms, usd): (f64, f64, f64),
) {
    let workflow = all.vocabulary.intern("wf");
    let (step, place) = (all.vocabulary.intern(step), all.vocabulary.intern(place));
    let only = |own: Dimension| if dimension == own { place } else { UNKNOWN };
    all.workflow_id.push(workflow);
    all.workflow_type.push(workflow);
    all.step.push(step);
    all.provider.push(only(Dimension::Provider));
    all.step_type.push(UNKNOWN);
    all.platform.push(only(Dimension::Platform));
    all.attempt.push(1);
    all.started_us.push(started_us);
    all.ended_us.push(started_us + (ms * 1e3) as i64);
    all.input_bytes.push(size);
    all.duration_ms.push(ms);
    all.cost_usd.push(usd);
    all.cache_hit.push(false);
    for unknown in [
        &mut all.tokens_in,
        &mut all.upstream_bytes,
        &mut all.step_count,
        &mut all.output_bytes,
        &mut all.memory_mb,
        &mut all.cpu_pct,
        &mut all.tokens,
        &mut all.network_bytes,
        &mut all.api_calls,
        &mut all.memory_request_mb,
        &mut all.cpu_request,
    ] {
        unknown.push(f64::NAN);
    }
}

fn chain(run: usize, started_us: i64, durations: &[f64]) -> RunGraph {
    let mut start_ms = 0.0;
    let node = |(at, ((step, _), ms)): (usize, (&(&str, f64), &f64))| {
        let node = Node {
            step_id: Arc::from(*step),
            step: Arc::from(*step),
            duration_ms: *ms,
            start_ms: Some(start_ms),
            submitted_ms: None,
            ended_ms: None,
            parent: None,
            deps: at.checked_sub(1).map(|before| before as u32).into_iter().collect(),
            cached: false,
            under: Circumstances::default(),
        };
        start_ms += ms;
        node
    };
    RunGraph {
        run_id: format!("run{run:04}"),
        workflow_id: "wf".to_owned(),
        workflow_type: "wf".to_owned(),
        started_us,
        makespan_ms: Some(durations.iter().sum()),
        dependencies_known: true,
        nodes: STEPS.iter().zip(durations).enumerate().map(node).collect(),
        outcome: RunOutcome::default(),
        words: Vec::new(),
    }
}
