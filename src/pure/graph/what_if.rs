//! Predicted savings against what a change really does: worlds executed twice with the same random stream by a scheduler of
//! their own. `tests/replay.py` asks the same of larger worlds, through the verb.

#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use super::examples::timed;
use super::{Change, Ensemble, EnsembleParams, RunGraph, Saving, Scratch};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const RUNS: usize = 30;

/// Steps with what they depend on, their typical times, and the slots; none for no limit.
struct World {
    seed: u64,
    deps: Vec<Vec<u32>>,
    typical_ms: Vec<f64>,
    slots: Option<usize>,
}

pub(super) fn draws(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

pub(super) fn spread(draws: &mut Xoshiro256PlusPlus, median: f64, sigma: f64) -> f64 {
    let (u, v): (f64, f64) = (1.0 - draws.random::<f64>(), draws.random());
    median * (sigma * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()).exp()
}

impl World {
    fn of(seed: u64) -> Self {
        let mut draw = draws(seed);
        let n: usize = draw.random_range(4..16);
        let before = |step: usize, draw: &mut Xoshiro256PlusPlus| {
            let mut deps: Vec<u32> =
                (0..step.min(2)).map(|_| draw.random_range(step.saturating_sub(5)..step) as u32).collect();
            deps.sort_unstable();
            deps.dedup();
            deps
        };
        let deps = (0..n).map(|step| before(step, &mut draw)).collect();
        let typical_ms = (0..n).map(|_| spread(&mut draw, 5e3, 1.0)).collect();
        let slots = seed.is_multiple_of(2).then(|| draw.random_range(1..4));
        Self { seed, deps, typical_ms, slots }
    }

    /// The runs as they are recorded with the steps' times multiplied by `factors`.
    fn runs(&self, factors: &[f64], slots: Option<usize>) -> Vec<RunGraph> {
        (0..RUNS).map(|run| self.run(run, factors, slots)).collect()
    }

    fn run(&self, run: usize, factors: &[f64], slots: Option<usize>) -> RunGraph {
        let mut draw = draws(self.seed * 1_000 + run as u64);
        let size = spread(&mut draw, 1.0, 0.5);
        let times = self.typical_ms.iter().zip(factors);
        let took: Vec<f64> = times.map(|(ms, factor)| factor * spread(&mut draw, ms * size, 0.2)).collect();
        let lags: Vec<f64> = took.iter().map(|_| draw.random_range(5.0..50.0)).collect();
        let starts = self.starts(&took, &lags, slots.unwrap_or(took.len()));
        let names: Vec<String> = (0..took.len()).map(|step| format!("s{step}")).collect();
        let rows: Vec<(&str, f64, f64, &[u32])> =
            (0..took.len()).map(|at| (names[at].as_str(), starts[at], took[at], self.deps[at].as_slice())).collect();
        RunGraph { run_id: format!("run{run}"), started_us: i64::try_from(run).unwrap(), ..timed(&rows) }
    }

    /// Minute by minute of a clock with steps: at each end, whoever was ready first takes the slot.
    fn starts(&self, took: &[f64], lags: &[f64], slots: usize) -> Vec<f64> {
        let n = took.len();
        let (mut starts, mut ends, mut now, mut busy) = (vec![f64::NAN; n], vec![f64::NAN; n], 0.0, Vec::new());
        loop {
            let ready = |step: usize, ends: &[f64]| {
                self.deps[step]
                    .iter()
                    .map(|dep| ends[*dep as usize])
                    .try_fold(0.0, |latest: f64, end| (end <= now).then_some(latest.max(end)))
            };
            let waiting = (0..n).filter(|step| starts[*step].is_nan());
            let mut queue: Vec<(f64, usize)> = waiting.filter_map(|step| Some((ready(step, &ends)?, step))).collect();
            queue.sort_by(|a, b| a.partial_cmp(b).unwrap());
            for (_, step) in queue.into_iter().take(slots - busy.len()) {
                starts[step] = now + lags[step];
                ends[step] = starts[step] + took[step];
                busy.push(ends[step]);
            }
            let Some(next) = busy.iter().copied().min_by(f64::total_cmp) else { return starts };
            now = next;
            busy.retain(|end| *end > now);
        }
    }
}

fn mean_ms(runs: &[RunGraph]) -> f64 {
    let end =
        |run: &RunGraph| run.nodes.iter().map(|node| node.start_ms.unwrap() + node.duration_ms).fold(0.0, f64::max);
    let start = |run: &RunGraph| run.nodes.iter().filter_map(|node| node.start_ms).fold(f64::INFINITY, f64::min);
    runs.iter().map(|run| end(run) - start(run)).sum::<f64>() / runs.len() as f64
}

fn ensemble(runs: &[RunGraph]) -> Ensemble {
    Ensemble::new(&runs.iter().collect::<Vec<_>>(), EnsembleParams::default()).unwrap()
}

fn speedup(step: usize, factor: f64) -> Change {
    Change::Speedup { step: format!("s{step}").into(), factor }
}

fn with(world: &World, changed: &[(usize, f64)]) -> Vec<f64> {
    let mut factors = vec![1.0; world.deps.len()];
    changed.iter().for_each(|(step, factor)| factors[*step] = *factor);
    factors
}

/// Within 15 % of the truth, or 1 % of the run.
fn is_near(saving_ms: f64, true_ms: f64, run_ms: f64) -> bool {
    (saving_ms - true_ms).abs() <= (0.15 * true_ms.abs()).max(0.01 * run_ms)
}

#[test]
fn a_faster_step_saves_what_was_predicted() {
    let (mut n_near, mut n_covered, mut n_best, n_cases) = (0, 0, 0, 60);
    for seed in 0..n_cases {
        let world = World::of(seed);
        let base = world.runs(&with(&world, &[]), world.slots);
        let (ensemble, mut scratch) = (ensemble(&base), Scratch::default());
        let mut draw = draws(seed + 7_000);
        let step = draw.random_range(0..world.deps.len());
        let factor = [0.2, 0.5, 0.7, 1.5][draw.random_range(0..4_usize)];
        let truly =
            |changed: &[(usize, f64)]| mean_ms(&base) - mean_ms(&world.runs(&with(&world, changed), world.slots));
        let saving: Saving = ensemble.saving(&[speedup(step, factor)], &mut scratch).unwrap();
        let true_ms = truly(&[(step, factor)]);
        let slack = 1e-6 * mean_ms(&base);
        n_near += usize::from(is_near(saving.ms(), true_ms, mean_ms(&base)));
        n_covered += usize::from(saving.ms_lower - slack <= true_ms && true_ms <= saving.ms_upper + slack);
        // The best of all steps halved: as good as the truly best within 0.1 % of a run.
        let mut halved: Vec<(f64, f64)> = Vec::new();
        for step in 0..world.deps.len().min(5) {
            let predicted = ensemble.mean_saving_ms(&[speedup(step, 0.5)], &mut scratch).unwrap();
            halved.push((predicted, truly(&[(step, 0.5)])));
        }
        let picked = halved.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1;
        let best = halved.iter().map(|(_, true_ms)| *true_ms).fold(f64::NEG_INFINITY, f64::max);
        n_best += usize::from(best - picked <= 1e-3 * mean_ms(&base));
    }
    let share = |n: usize| n as f64 / n_cases as f64;
    assert!(share(n_near) >= 0.95, "{n_near} of {n_cases} near");
    assert!(share(n_best) >= 0.95, "{n_best} of {n_cases} best");
    assert!(share(n_covered) >= 0.88, "{n_covered} of {n_cases} covered");
}

#[test]
fn further_slots_save_what_was_predicted() {
    for seed in (0..40).step_by(2) {
        let world = World::of(seed);
        let base = world.runs(&with(&world, &[]), world.slots);
        let further = world.slots.map(|slots| slots + 1);
        let saved = ensemble(&base).saving(&[Change::Slots(further)], &mut Scratch::default()).unwrap();
        let true_ms = mean_ms(&base) - mean_ms(&world.runs(&with(&world, &[]), further));
        assert!(is_near(saved.ms(), true_ms, mean_ms(&base)), "{seed}: {} {true_ms}", saved.ms());
    }
}

#[test]
fn two_fixes_together_save_what_was_predicted() {
    let (mut n_near, n_cases) = (0, 40);
    for seed in 100..100 + n_cases {
        let world = World::of(seed);
        let base = world.runs(&with(&world, &[]), world.slots);
        let (ensemble, mut scratch) = (ensemble(&base), Scratch::default());
        let pair = [(0, 0.5), (world.deps.len() - 1, 0.5)];
        let together =
            ensemble.mean_saving_ms(&pair.map(|(step, factor)| speedup(step, factor)), &mut scratch).unwrap();
        let true_ms = mean_ms(&base) - mean_ms(&world.runs(&with(&world, &pair), world.slots));
        n_near += usize::from(is_near(together, true_ms, mean_ms(&base)));
    }
    assert!(n_near as f64 >= 0.95 * n_cases as f64, "{n_near} of {n_cases}");
}
