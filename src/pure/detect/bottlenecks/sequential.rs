//! Steps that need nothing from each other and still take turns.

use super::{Finding, Scene, percent, severity_by_impact};
use crate::graph::{Change, Dependencies, Ensemble, NotReplayable, Recording, Saving, Scratch, Times};
use crate::series::Metric;

/// Overlaps below this share of the shorter one are clock error.
const CLOCK_TOLERANCE: f64 = 0.01;
/// The first must have kept the second waiting for this share of its own time.
const MIN_HELD: f64 = 0.05;
/// The second must start soon after the first ends, measured by how long it was held; else something else held it.
const MAX_PAUSE: f64 = 0.25;
/// All slots may have been busy for this share of the time that it was held; who waits for a slot finds them busy all along.
const MAX_FULL: f64 = 0.9;
const MIN_RUNS_HELD: f64 = 0.8;
const MIN_IMPACT: f64 = 0.01;
/// Pairs grow with the square of the steps.
const MAX_STEPS: usize = 1_000;

/// Two steps that take turns for no recorded reason.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Turns {
    pub(crate) first: String,
    pub(crate) second: String,
}

impl Turns {
    /// The change that undoes it.
    pub(crate) fn cure(&self) -> Change {
        Change::StartWhenReady { step: self.second.as_str().into() }
    }
}

/// A step within one run, its nodes taken together.
#[derive(Clone, Copy)]
struct Stage {
    ready_ms: f64,
    start_ms: f64,
    end_ms: f64,
}

impl Stage {
    fn follows(&self, first: &Self) -> bool {
        let shorter = (self.end_ms - self.start_ms).min(first.end_ms - first.start_ms);
        self.start_ms >= first.end_ms - CLOCK_TOLERANCE * shorter
    }

    /// From when to when this was ready but had not started while `first` ran; none where `first` held nobody.
    fn held_by(&self, first: &Self) -> Option<(f64, f64)> {
        let (from, to) = (self.ready_ms.max(first.start_ms), first.end_ms.min(self.start_ms));
        let long_enough = to - from > MIN_HELD * (first.end_ms - first.start_ms);
        (long_enough && self.start_ms - first.end_ms <= MAX_PAUSE * (to - from)).then_some((from, to))
    }
}

/// For every step that is held, the one that ends last before it starts. Empty where times are unknown or one slot is
/// all that was ever seen.
pub(crate) fn turns(ensemble: &Ensemble, min_runs: usize) -> Vec<Turns> {
    let n_steps = ensemble.steps().len();
    // Where dependencies are not declared, nothing says that there is none between two steps.
    let may_look = n_steps <= MAX_STEPS && *ensemble.dependencies() == Dependencies::Declared;
    let Some(slots) = ensemble.observed_slots().filter(|slots| *slots > 1 && may_look) else {
        return Vec::new();
    };
    let runs: Vec<_> = ensemble
        .recordings()
        .filter_map(|run| Some((run, run.times.as_ref()?)))
        .map(|(run, times)| (run, times, stages(run, times, n_steps)))
        .collect();
    let connected = connected(ensemble, n_steps);
    let apart = |a: usize, b: usize| a != b && !connected[a][b] && !connected[b][a];
    let latest = |second: usize| {
        let firsts = (0..n_steps).filter(|first| apart(*first, second));
        let held = firsts.filter_map(|first| Some((end_of(&runs, first, second, slots, min_runs)?, first)));
        held.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, first)| (first, second))
    };
    let name = |code: usize| ensemble.steps()[code].to_string();
    let found = (0..n_steps).filter_map(latest);
    found.map(|(first, second)| Turns { first: name(first), second: name(second) }).collect()
}

type Run<'a> = (&'a Recording, &'a Times, Vec<Option<Stage>>);

/// Mean end of `first` over the runs, if it takes turns with `second` in all and holds it in most.
fn end_of(runs: &[Run<'_>], first: usize, second: usize, slots: usize, min_runs: usize) -> Option<f64> {
    let (mut n_runs, mut n_held, mut sum_end) = (0_usize, 0_usize, 0.0);
    for (run, times, stages) in runs {
        let (Some(a), Some(b)) = (&stages[first], &stages[second]) else { continue };
        if !b.follows(a) {
            return None;
        }
        n_runs += 1;
        sum_end += a.end_ms;
        let free = |span: (f64, f64)| full_ms(run, times, span, slots) <= MAX_FULL * (span.1 - span.0);
        n_held += usize::from(b.held_by(a).is_some_and(free));
    }
    let often = n_held as f64 >= MIN_RUNS_HELD * n_runs as f64;
    (n_runs >= min_runs && often).then(|| sum_end / n_runs as f64)
}

/// How long between `from` and `to` at least `slots` executions ran.
fn full_ms(run: &Recording, times: &Times, (from, to): (f64, f64), slots: usize) -> f64 {
    let spans = times.start_ms.iter().zip(&run.durations_ms).map(|(start, ms)| (start.max(from), (start + ms).min(to)));
    let mut events: Vec<(f64, bool)> =
        spans.filter(|(start, end)| start < end).flat_map(|(start, end)| [(start, true), (end, false)]).collect();
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut running, mut since, mut full_ms) = (0_usize, from, 0.0);
    for (at, starts) in events {
        if running >= slots {
            full_ms += at - since;
        }
        since = at;
        running = if starts { running + 1 } else { running.saturating_sub(1) };
    }
    full_ms
}

/// (n_steps,): cached and absent steps are none.
fn stages(run: &Recording, times: &Times, n_steps: usize) -> Vec<Option<Stage>> {
    let mut stages: Vec<Option<Stage>> = vec![None; n_steps];
    for id in (0..run.len()).filter(|id| !run.cached[*id] && run.durations_ms[*id] > 0.0) {
        let (ready_ms, start_ms) = (times.ready_ms[id], times.start_ms[id]);
        let end_ms = start_ms + run.durations_ms[id];
        let stage = stages[run.steps[id] as usize].get_or_insert(Stage { ready_ms, start_ms, end_ms });
        stage.ready_ms = stage.ready_ms.min(ready_ms);
        stage.start_ms = stage.start_ms.min(start_ms);
        stage.end_ms = stage.end_ms.max(end_ms);
    }
    stages
}

/// `[a][b]`: a path leads from a to b in the dependencies of all runs together.
fn connected(ensemble: &Ensemble, n_steps: usize) -> Vec<Vec<bool>> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); n_steps];
    for run in ensemble.recordings() {
        for id in 0..run.len() as u32 {
            let after = run.topology.successors(id).iter().map(|after| run.steps[*after as usize] as usize);
            next[run.steps[id as usize] as usize].extend(after);
        }
    }
    for steps in &mut next {
        steps.sort_unstable();
        steps.dedup();
    }
    (0..n_steps).map(|from| reachable(from, &next)).collect()
}

fn reachable(from: usize, next: &[Vec<usize>]) -> Vec<bool> {
    let mut reached = vec![false; next.len()];
    let mut open = vec![from];
    while let Some(step) = open.pop() {
        for &after in &next[step] {
            if !std::mem::replace(&mut reached[after], true) {
                open.push(after);
            }
        }
    }
    reached
}

pub(super) fn find(scene: &Scene<'_, '_>, scratch: &mut Scratch) -> Result<Vec<Finding>, NotReplayable> {
    let mut findings = Vec::new();
    for turns in turns(scene.ensemble, scene.min_runs) {
        let saving = scene.ensemble.saving(&[turns.cure()], scratch)?;
        if saving.share >= MIN_IMPACT {
            findings.push(finding(scene, turns, saving));
        }
    }
    Ok(findings)
}

fn finding(scene: &Scene<'_, '_>, Turns { first, second }: Turns, saving: Saving) -> Finding {
    Finding {
        kind: "sequential_dependency",
        severity: severity_by_impact(saving.share),
        saving,
        description: format!(
            "{second} always waits for {first} to end, though nothing says that it needs it and a slot is free; side by \
             side, a run would take {} less",
            percent(saving.share),
        ),
        causes: vec![
            "they are written one after the other".to_owned(),
            "a dependency that is not declared, or a shared lock".to_owned(),
        ],
        evidence: [&first, &second].map(|step| scene.history.evidence(Some(step), Metric::ExecutionTime)).to_vec(),
        since_us: scene.ensemble.span_us().1,
        step: Some(second),
    }
}
