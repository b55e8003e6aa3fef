//! Worlds with dependencies that nobody recorded, executed by a scheduler of their own.

#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]
use super::super::examples::timed;
use super::super::what_if::{draws, spread};
use super::super::{Change, Ensemble, EnsembleParams, Scratch};
use super::*;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::BTreeSet;

const SAMPLES: usize = 6;
const RUNS: usize = 12;

/// A run of tasks `(step_id, submitted, started, duration)` whose dependencies nobody declared.
fn undeclared(tasks: &[(String, f64, f64, f64)]) -> RunGraph {
    let rows: Vec<(&str, f64, f64, &[u32])> =
        tasks.iter().map(|(id, _, start, ms)| (id.as_str(), *start, *ms, &[][..])).collect();
    let mut run = timed(&rows);
    run.dependencies_known = false;
    for (node, (_, submitted, ..)) in run.nodes.iter_mut().zip(tasks) {
        node.submitted_ms = Some(*submitted);
    }
    run
}

/// Steps, each with one task or one a sample; where both ends of a dependency have samples, it is by sample.
struct World {
    seed: u64,
    deps: Vec<Vec<usize>>,
    is_wide: Vec<bool>,
    typical_ms: Vec<f64>,
    /// How long a task waits for a machine, on average.
    queue_ms: f64,
    /// Tasks that may be submitted and not yet ended.
    most_in_flight: usize,
}

struct Task {
    step: usize,
    sample: Option<usize>,
    deps: Vec<usize>,
    ms: f64,
    queue_ms: f64,
    reaction_ms: f64,
}

impl World {
    fn of(seed: u64) -> Self {
        let mut draw = draws(seed);
        let n: usize = draw.random_range(4..10);
        let before = |step: usize, draw: &mut Xoshiro256PlusPlus| {
            let deps: BTreeSet<usize> =
                (0..step.min(2)).map(|_| draw.random_range(step.saturating_sub(4)..step)).collect();
            deps.into_iter().collect()
        };
        Self {
            seed,
            deps: (0..n).map(|step| before(step, &mut draw)).collect(),
            is_wide: (0..n).map(|_| draw.random_bool(0.6)).collect(),
            typical_ms: (0..n).map(|_| spread(&mut draw, 60e3, 1.0)).collect(),
            queue_ms: if seed.is_multiple_of(3) { 0.0 } else { 5e3 },
            most_in_flight: if seed.is_multiple_of(4) { 4 } else { usize::MAX },
        }
    }

    fn tasks(&self, run: usize, factors: &[f64]) -> Vec<Task> {
        let mut draw = draws(self.seed * 1_000 + run as u64);
        let sizes: Vec<f64> = (0..SAMPLES).map(|_| spread(&mut draw, 1.0, 0.4)).collect();
        let mut tasks: Vec<Task> = Vec::new();
        for (step, is_wide) in self.is_wide.iter().enumerate() {
            let earlier = tasks.len();
            for sample in if *is_wide { (0..SAMPLES).map(Some).collect() } else { vec![None] } {
                let waits = |task: &Task| {
                    let alike = task.sample.is_none() || sample.is_none() || task.sample == sample;
                    self.deps[step].contains(&task.step) && alike
                };
                let deps = (0..earlier).filter(|at| waits(&tasks[*at])).collect();
                let size = sample.map_or(1.0, |sample: usize| sizes[sample]);
                let ms = factors[step] * spread(&mut draw, self.typical_ms[step] * size, 0.2);
                let queue_ms = -self.queue_ms * (1.0 - draw.random::<f64>()).ln();
                tasks.push(Task { step, sample, deps, ms, queue_ms, reaction_ms: draw.random_range(5.0..500.0) });
            }
        }
        tasks
    }

    fn run(&self, run: usize, factors: &[f64]) -> RunGraph {
        let tasks = self.tasks(run, factors);
        let submitted = submit(&tasks, self.most_in_flight);
        let name = |task: &Task| match task.sample {
            Some(sample) => format!("s{}/sample{sample}", task.step),
            None => format!("s{}", task.step),
        };
        let first = tasks.iter().zip(&submitted).map(|(task, at)| at + task.queue_ms).fold(f64::INFINITY, f64::min);
        let row = |(task, at): (&Task, &f64)| (name(task), at - first, at + task.queue_ms - first, task.ms);
        let rows: Vec<_> = tasks.iter().zip(&submitted).map(row).collect();
        RunGraph { run_id: format!("run{run}"), started_us: i64::try_from(run).unwrap(), ..undeclared(&rows) }
    }

    fn runs(&self, factors: &[f64]) -> Vec<RunGraph> {
        (0..RUNS).map(|run| self.run(run, factors)).collect()
    }

    fn unchanged(&self) -> Vec<f64> {
        vec![1.0; self.deps.len()]
    }

    /// Whether `after` waits for `before`, at once or by way of others.
    fn waits(&self, after: usize, before: usize) -> bool {
        self.deps[after].iter().any(|dep| *dep == before || self.waits(*dep, before))
    }
}

/// When each task is submitted: a moment after the last that it waits for has ended, in turn where too many are in flight.
fn submit(tasks: &[Task], most_in_flight: usize) -> Vec<f64> {
    let (mut submitted, mut ends): (Vec<f64>, Vec<f64>) =
        (vec![f64::NAN; tasks.len()], vec![f64::INFINITY; tasks.len()]);
    let mut now = 0.0_f64;
    loop {
        let ready = |at: &usize| tasks[*at].deps.iter().map(|dep| ends[*dep]).fold(0.0, f64::max);
        let mut open: Vec<(f64, usize)> = (0..tasks.len())
            .filter(|at| submitted[*at].is_nan())
            .map(|at| (ready(&at) + tasks[at].reaction_ms, at))
            .collect();
        open.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let Some(&(ready_ms, at)) = open.first() else { return submitted };
        let flying = ends.iter().filter(|end| end.is_finite() && **end > now.max(ready_ms)).count();
        let next_end = ends.iter().copied().filter(|end| *end > now.max(ready_ms)).fold(f64::INFINITY, f64::min);
        if ready_ms.is_finite() && flying < most_in_flight {
            now = f64::max(now, ready_ms);
            submitted[at] = now;
            ends[at] = now + tasks[at].queue_ms + tasks[at].ms;
        } else {
            now = next_end + tasks[at].reaction_ms;
        }
    }
}

fn mean_ms(runs: &[RunGraph]) -> f64 {
    runs.iter().map(|run| run.makespan_ms.unwrap()).sum::<f64>() / runs.len() as f64
}

fn code(step: &str) -> usize {
    step[1..].parse().unwrap()
}

fn inferred(runs: &[RunGraph]) -> Option<Inferred> {
    infer(&runs.iter().collect::<Vec<_>>())
}

#[test]
fn what_is_shown_is_so() {
    let (mut n_shown, mut n_false, mut n_declared, mut n_found) = (0, 0, 0, 0);
    for seed in 0..120 {
        let world = World::of(seed);
        let runs = world.runs(&world.unchanged());
        let found = inferred(&runs).map_or_else(Vec::new, |found| found.dependencies);
        n_shown += found.len();
        n_false += found.iter().filter(|one| !world.waits(code(&one.step), code(&one.waits_for))).count();
        n_declared += world.deps.iter().map(Vec::len).sum::<usize>();
        let is_direct = |one: &&InferredDependency| world.deps[code(&one.step)].contains(&code(&one.waits_for));
        n_found += found.iter().filter(is_direct).count();
    }
    assert!(n_false * 100 <= n_shown, "{n_false} of {n_shown}");
    assert!(n_found * 2 >= n_declared, "{n_found} of {n_declared}");
}

#[test]
fn what_a_change_saves_lies_between_the_shown_and_the_possible() {
    let (mut n, mut n_covered, mut errors) = (0, 0, Vec::new());
    for seed in 0..120 {
        let world = World::of(seed);
        let recorded = world.runs(&world.unchanged());
        let Ok(ensemble) = Ensemble::new(&recorded.iter().collect::<Vec<_>>(), EnsembleParams::default()) else {
            continue;
        };
        let step = seed as usize % world.deps.len();
        let mut factors = world.unchanged();
        factors[step] = 0.5;
        let truth_ms = mean_ms(&recorded) - mean_ms(&world.runs(&factors));
        let change = Change::Speedup { step: format!("s{step}").into(), factor: 0.5 };
        let saving = ensemble.saving(&[change], &mut Scratch::default()).unwrap();
        let (lower, upper) = saving.ms_interval();
        let room = 0.01 * saving.end_to_end_ms;
        n += 1;
        n_covered += usize::from((lower - room..=upper + room).contains(&truth_ms));
        errors.push((saving.ms() - truth_ms).abs() / saving.end_to_end_ms);
    }
    errors.sort_by(f64::total_cmp);
    assert!(n >= 100 && n_covered * 100 >= 95 * n, "{n_covered} of {n}");
    assert!(errors[9 * n / 10] < 0.02, "{errors:?}");
}

/// Tasks `(step_id, submitted, ended)` that start when they are submitted, the same in `n` runs, each run stretched a little.
fn repeated(n: usize, tasks: &[(&str, f64, f64)]) -> Vec<RunGraph> {
    let run = |at: usize| {
        let stretch = 1.0 + 0.1 * at as f64;
        let rows: Vec<_> = tasks
            .iter()
            .map(|(id, from, to)| ((*id).to_owned(), from * stretch, from * stretch, (to - from) * stretch))
            .collect();
        RunGraph { run_id: format!("run{at}"), started_us: i64::try_from(at).unwrap(), ..undeclared(&rows) }
    };
    (0..n).map(run).collect()
}

fn shown_pairs(runs: &[RunGraph]) -> Vec<(String, String, Relation)> {
    let found = inferred(runs).map_or_else(Vec::new, |found| found.dependencies);
    found.iter().map(|one| (one.waits_for.to_string(), one.step.to_string(), one.relation)).collect()
}

/// ```text
/// a ████
/// b     ████████      c waits for a alone: b runs on, d for both
/// c     ██
/// d             ███
/// ```
const FORK: [(&str, f64, f64); 4] =
    [("a", 0.0, 4e5), ("b", 4e5 + 2.0, 12e5), ("c", 4e5 + 3.0, 6e5), ("d", 12e5 + 2.0, 15e5)];

#[test]
fn who_reacts_to_an_end_waits_for_it() {
    let pairs = shown_pairs(&repeated(8, &FORK));
    let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned(), Relation::Same);
    assert_eq!(pairs, [pair("a", "b"), pair("a", "c"), pair("b", "d")], "that d waits for c as well, nothing shows");
}

#[test]
fn recorded_ends_count_where_durations_are_rounded() {
    let mut runs = repeated(8, &FORK);
    let exact = shown_pairs(&runs);
    for node in runs.iter_mut().flat_map(|run| &mut run.nodes) {
        node.ended_ms = node.start_ms.map(|start| start + node.duration_ms);
        node.duration_ms += 400.0;
    }
    assert_eq!(shown_pairs(&runs), exact);
    runs.iter_mut().flat_map(|run| &mut run.nodes).for_each(|node| node.ended_ms = None);
    assert_eq!(shown_pairs(&runs), []);
}

#[test]
fn one_after_another_may_be_for_want_of_slots() {
    let turns = [("a", 0.0, 4e5), ("b", 4e5 + 2.0, 8e5), ("c", 8e5 + 2.0, 9e5)];
    assert_eq!(shown_pairs(&repeated(8, &turns)), []);
}

#[test]
fn two_reactions_prove_nothing() {
    assert_eq!(shown_pairs(&repeated(2, &FORK)), []);
    assert_eq!(shown_pairs(&[]), []);
}

#[test]
fn nobody_reacts_by_a_clock() {
    let clocked = [("a", 0.0, 3.1e5), ("b", 1e5, 5.3e5), ("c", 4e5, 6.2e5), ("d", 8e5, 9e5)];
    assert_eq!(shown_pairs(&repeated(8, &clocked)), []);
}

#[test]
fn steps_that_take_no_time_have_no_order() {
    let instants = [("a", 0.0, 0.0), ("b", 0.0, 0.0), ("c", 0.0, 5e5), ("d", 5e5, 5e5), ("e", 5e5, 5e5)];
    let runs = repeated(8, &instants);
    assert!(shown_pairs(&runs).iter().all(|(before, _, _)| before == "c"));
}

#[test]
fn without_times_of_submission_nothing_is_shown() {
    let mut runs = repeated(8, &FORK);
    runs.iter_mut().for_each(|run| run.nodes[2].submitted_ms = None);
    assert!(inferred(&runs).is_none());
}

#[test]
fn tasks_belong_together_by_their_tags() {
    // Each sample is cut into two parts, which are merged; sample1 and sample10 are two samples.
    let of_sample = |sample: &str, at: f64| {
        let id = |step: &str, tag: &str| format!("{step}/{sample}{tag}");
        let (cut, part) = (at + 2.0, at + 1e5);
        vec![
            (id("read", ""), 0.0, at),
            (id("cut", "-1"), cut, part),
            (id("cut", "-2"), cut, part + 7e4),
            (id("merge", ""), part + 7e4 + 2.0, part + 9e4),
        ]
    };
    let tasks = [of_sample("sample1", 1e5), of_sample("sample10", 3.3e5), of_sample("sample2", 5.9e5)].concat();
    let tasks: Vec<(&str, f64, f64)> = tasks.iter().map(|(id, from, to)| (id.as_str(), *from, *to)).collect();
    let runs = repeated(3, &tasks);
    let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned(), Relation::Related);
    assert_eq!(shown_pairs(&runs), [pair("read", "cut"), pair("cut", "merge")]);
    let found = inferred(&runs).unwrap();
    let first = found.runs().next().unwrap();
    let deps = |step_id: &str| {
        let node = first.nodes.iter().find(|node| &*node.step_id == step_id).unwrap();
        node.deps.iter().map(|dep| first.nodes[*dep as usize].step_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(deps("merge/sample1"), ["cut/sample1-1", "cut/sample1-2"]);
    assert_eq!(deps("cut/sample10-2"), ["read/sample10"]);
}

#[test]
fn many_that_wait_for_many_do_so_by_a_gate() {
    let ids: Vec<String> = (0..40).map(|at| format!("{}/{at}", if at < 20 { "a" } else { "b" })).collect();
    let a = |at: usize| (ids[at].as_str(), 0.0, 1e5 + 3e3 * at as f64);
    let b = |at: usize| (ids[20 + at].as_str(), 1e5 + 57e3 + 2.0, 3e5 + 1e3 * at as f64);
    let tasks: Vec<(&str, f64, f64)> = (0..20)
        .map(a)
        .chain([("other", 0.0, 9e5)])
        .chain((0..20).map(b))
        .chain([("c", 3e5 + 19e3 + 2.0, 4e5)])
        .collect();
    let mut runs = repeated(4, &tasks);
    // A clock that rounds leaves a few submissions unknown.
    runs.iter_mut().for_each(|run| run.nodes[25].submitted_ms = None);
    let found = inferred(&runs).unwrap();
    let run = found.runs().next().unwrap();
    assert_eq!(run.nodes.iter().filter(|node| !node.is_execution()).count(), 1);
    assert_eq!(run.nodes.iter().map(|node| node.deps.len()).sum::<usize>(), 20 + 20 + 20);
    let times = super::super::step_times(&[run]).unwrap();
    assert_eq!(times.iter().map(|step| step.n_executions).sum::<usize>(), 42);
}
