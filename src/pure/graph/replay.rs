//! What a change would do: the recorded run, executed again on paper.
//!
//! A deterministic list scheduler (Graham 1969) as a discrete-event simulation: a node is ready when all its
//! dependencies have ended; as soon as a slot is free, the node that was ready first gets it (among equals the one that
//! started first in the recording, without times the first in topological order), waits its own recorded lag, and runs for
//! its duration. Where the recorded starts do not come out of this rule, they are the order instead: whoever started first
//! in the recording goes first. Lags are what is left of a recorded wait that busy slots explain; a wait that neither
//! dependencies nor slots explain is a delay before the node asks for a slot. With both an unchanged replay comes out as
//! near to the recording as the model allows; how near is `replayed / recorded`, and callers publish it.
//!
//! A cached step's times belong to the run that computed it: here it takes no time and no slot. A duration of 0 is a
//! duration; a negative or non-finite one is an error, since any number put in its place would be invented.

use super::change::{Change, Edits};
use super::recording::{Recording, StepCodes};
use super::slots::Regime;
use super::{Node, RunGraph};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Why a run can't be replayed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// Dependencies were not declared (or were cyclic), and none are invented.
    #[error("run {run_id:?} declares no dependencies, so what could start when is unknown")]
    DependenciesUnknown {
        /// The run.
        run_id: String,
    },
    /// A dependency points outside the run.
    #[error("step {step_id:?} depends on node {dep}, which the run does not have")]
    Dangling {
        /// Who waits.
        step_id: String,
        /// The index that is out of range.
        dep: u32,
    },
    /// Steps wait for each other.
    #[error("{n_steps} steps wait for each other or for such steps, so no order exists")]
    Cyclic {
        /// How many can't be ordered.
        n_steps: usize,
    },
    /// A duration that is negative or not finite.
    #[error("step {step_id:?} took {duration_ms} ms; a duration is finite and not negative")]
    Duration {
        /// The step.
        step_id: String,
        /// What it says.
        duration_ms: f64,
    },
    /// A factor that is negative or not finite.
    #[error("the factor of step {step:?} is {factor}; it must be finite and not negative (0.5 halves durations)")]
    Factor {
        /// The step.
        step: String,
        /// What was asked for.
        factor: f64,
    },
    /// A share or a look-up that is none.
    #[error("of step {step:?} a share of {share} is answered after {lookup_ms} ms; expected 0 to 1, and 0 or more")]
    Cached {
        /// The step.
        step: String,
        /// What was asked for.
        share: f64,
        /// How long a look-up was to take.
        lookup_ms: f64,
    },
    /// A length of time that is negative or not finite.
    #[error("the limit of step {step:?} is {ms} ms; it must be finite and not negative")]
    Limit {
        /// The step.
        step: String,
        /// What was asked for.
        ms: f64,
    },
    /// Nothing can run on no slot.
    #[error("a run needs at least one slot, found 0")]
    NoSlots,
}

/// How to replay.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReplayPlan<'a> {
    /// Slots to replay with unless a change says otherwise; none for no limit. [`super::slots()`] tells the recorded ones.
    pub slots: Option<usize>,
    /// Time before every execution beside what is recorded (0); see [`super::Regime`].
    pub lag_ms: f64,
    /// The changes, together.
    pub changes: &'a [Change],
}

/// A run as it would have gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// From the start of the first step to the end of the last.
    pub makespan_ms: f64,
    /// Start of each node, in the order of [`RunGraph::nodes`].
    pub starts_ms: Vec<f64>,
    /// The slots that it was replayed with.
    pub slots: Option<usize>,
}

/// Replays one run. For many changes on many runs, [`super::Ensemble`] prepares them once.
///
/// # Errors
/// Every variant of [`ReplayError`] can occur; none is a panic.
pub fn replay(graph: &RunGraph, plan: &ReplayPlan<'_>) -> Result<Replayed, ReplayError> {
    let mut codes = StepCodes::default();
    let recording = Recording::new(graph, &mut codes)?;
    let edits = Edits::new(plan.changes, &codes)?;
    let slots = edits.slots.unwrap_or(plan.slots);
    if slots == Some(0) {
        return Err(ReplayError::NoSlots);
    }
    let mut scratch = Scratch::default();
    let makespan_ms = simulate(&recording, &edits, Regime { slots, lag_ms: plan.lag_ms }, &mut scratch);
    Ok(Replayed { makespan_ms, starts_ms: scratch.starts_ms, slots })
}

pub(crate) fn checked_duration(node: &Node) -> Result<f64, ReplayError> {
    let duration_ms = node.busy_ms();
    if duration_ms.is_finite() && duration_ms >= 0.0 {
        return Ok(duration_ms);
    }
    Err(ReplayError::Duration { step_id: node.step_id.to_string(), duration_ms })
}

/// Buffers that replays share, so that none allocates once they have grown.
#[derive(Debug, Default)]
pub struct Scratch {
    jobs: Vec<Job>,
    waiting: Vec<u32>,
    ranks: Vec<u32>,
    ready: BinaryHeap<Reverse<(u64, u64)>>,
    first_come: bool,
    running: BinaryHeap<Reverse<(u64, u32)>>,
    ended: Vec<u32>,
    pub(super) starts_ms: Vec<f64>,
    remaining_ms: Vec<f64>,
    step_means: Vec<(f64, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    delay_ms: f64,
    lag_ms: f64,
    span_ms: f64,
    needs_slot: bool,
}

/// Makespan of `recording` under `edits` and `regime`, whose slots stand unless `edits` were looked at by the caller; leaves
/// the starts in `scratch`.
pub(crate) fn simulate(recording: &Recording, edits: &Edits, regime: Regime, scratch: &mut Scratch) -> f64 {
    scratch.load(recording, edits, regime.lag_ms);
    match regime.slots {
        None => unlimited(recording, scratch),
        Some(slots) => limited(recording, slots, scratch),
    }
}

impl Scratch {
    fn load(&mut self, recording: &Recording, edits: &Edits, lag_ms: f64) {
        self.jobs.clear();
        self.jobs.extend((0..recording.len()).map(|id| {
            let edit = edits.of(recording.steps[id]);
            let answered = !recording.cached[id] && recording.evenly() < edit.answered;
            let gone = edit.removed || answered;
            let kept = if gone { 0.0 } else { 1.0 };
            let lookup_ms = if edit.removed || recording.cached[id] { 0.0 } else { edit.lookup_ms };
            let own = if recording.cached[id] { 0.0 } else { recording.lags_ms[id] + lag_ms };
            let (lag, delay) = if edit.keeps_lag { (own, recording.delays_ms[id]) } else { (0.0, 0.0) };
            Job {
                delay_ms: kept * delay + lookup_ms,
                lag_ms: kept * lag,
                span_ms: kept * edit.span_ms(recording, id),
                needs_slot: !(recording.cached[id] || gone),
            }
        }));
        self.starts_ms.clear();
        self.starts_ms.resize(recording.len(), 0.0);
        self.first_come = recording.first_come && !edits.longest_first;
        if edits.longest_first {
            self.rank_by_remaining_path(recording);
        } else {
            self.ranks.clone_from(&recording.ranks);
        }
    }

    fn rank_by_remaining_path(&mut self, recording: &Recording) {
        self.average_steps(recording);
        self.remaining_ms.clear();
        self.remaining_ms.resize(recording.len(), 0.0);
        for &id in recording.topology.order().iter().rev() {
            let after = |next: &u32| self.remaining_ms[*next as usize];
            let rest = recording.topology.successors(id).iter().map(after).fold(0.0, f64::max);
            let (sum, count) = self.step_means[recording.steps[id as usize] as usize];
            let own = if self.jobs[id as usize].needs_slot { sum / f64::from(count.max(1)) } else { 0.0 };
            self.remaining_ms[id as usize] = rest + own;
        }
        let mut order = recording.topology.order().to_vec();
        order.sort_by(|a, b| self.remaining_ms[*b as usize].total_cmp(&self.remaining_ms[*a as usize]));
        self.ranks.clear();
        self.ranks.resize(order.len(), 0);
        for (rank, id) in (0..).zip(order) {
            self.ranks[id as usize] = rank;
        }
    }

    /// Durations of single executions are not known before they end; the mean of the step stands for what is expected.
    fn average_steps(&mut self, recording: &Recording) {
        let n_steps = recording.steps.iter().max().map_or(0, |code| *code as usize + 1);
        self.step_means.clear();
        self.step_means.resize(n_steps, (0.0, 0));
        for (job, &step) in self.jobs.iter().zip(&recording.steps).filter(|(job, _)| job.needs_slot) {
            let (sum, count) = &mut self.step_means[step as usize];
            *sum += job.span_ms;
            *count += 1;
        }
    }

    /// Ends everything in `ended` at `now_ms`, and at once what needs no slot and was waiting for it.
    fn settle(&mut self, recording: &Recording, now_ms: f64) {
        while let Some(id) = self.ended.pop() {
            for &next in recording.topology.successors(id) {
                let left = &mut self.waiting[next as usize];
                *left -= 1;
                if *left == 0 {
                    self.delay(next, now_ms);
                }
            }
        }
    }

    /// A node is ready; it asks for a slot when its own delay is over.
    fn delay(&mut self, id: u32, now_ms: f64) {
        let delay_ms = self.jobs[id as usize].delay_ms;
        if delay_ms > 0.0 {
            self.running.push(Reverse(((now_ms + delay_ms).to_bits(), id | ASKS)));
        } else {
            self.admit(id, now_ms);
        }
    }

    fn admit(&mut self, id: u32, now_ms: f64) {
        if self.jobs[id as usize].needs_slot {
            let since = if self.first_come { now_ms.to_bits() } else { 0 };
            self.ready.push(Reverse((since, (u64::from(self.ranks[id as usize]) << 32) | u64::from(id))));
        } else {
            self.starts_ms[id as usize] = now_ms;
            self.ended.push(id);
        }
    }

    fn start(&mut self, id: u32, now_ms: f64) {
        let job = self.jobs[id as usize];
        self.starts_ms[id as usize] = now_ms + job.lag_ms;
        // Times are finite and not negative: their bits order as they do.
        self.running.push(Reverse(((now_ms + job.lag_ms + job.span_ms).to_bits(), id)));
    }
}

/// Longest path over lags and durations: with a slot for everyone nothing else can matter.
fn unlimited(recording: &Recording, scratch: &mut Scratch) -> f64 {
    let Scratch { jobs, starts_ms, .. } = scratch;
    let mut makespan_ms = 0.0_f64;
    for &id in recording.topology.order() {
        // `starts_ms` holds the time at which a node is ready until its turn comes.
        let job = jobs[id as usize];
        let start = starts_ms[id as usize] + job.delay_ms + job.lag_ms;
        starts_ms[id as usize] = start;
        let end = start + job.span_ms;
        makespan_ms = makespan_ms.max(end);
        for &next in recording.topology.successors(id) {
            let ready = &mut starts_ms[next as usize];
            *ready = ready.max(end);
        }
    }
    makespan_ms
}

fn limited(recording: &Recording, slots: usize, scratch: &mut Scratch) -> f64 {
    scratch.waiting.clear();
    scratch.waiting.extend_from_slice(recording.topology.indegree());
    for id in 0..recording.len() as u32 {
        if recording.topology.indegree()[id as usize] == 0 {
            scratch.delay(id, 0.0);
        }
    }
    let (mut now_ms, mut ended_ms, mut free) = (0.0, 0.0, slots);
    scratch.settle(recording, now_ms);
    loop {
        while free > 0
            && let Some(Reverse((_, key))) = scratch.ready.pop()
        {
            scratch.start(key as u32, now_ms);
            free -= 1;
        }
        let Some(&Reverse((at, _))) = scratch.running.peek() else { return ended_ms };
        now_ms = f64::from_bits(at);
        // All that happens at one instant happens before anyone starts, so that the first in line gets the slot.
        while let Some(Reverse((_, id))) = scratch.running.peek().copied().filter(|next| next.0.0 == at) {
            scratch.running.pop();
            if id & ASKS == 0 {
                (ended_ms, free) = (now_ms, free + 1);
                scratch.ended.push(id);
            } else {
                scratch.admit(id & !ASKS, now_ms);
                if !scratch.jobs[(id & !ASKS) as usize].needs_slot {
                    ended_ms = now_ms;
                }
            }
        }
        scratch.settle(recording, now_ms);
    }
}

/// Marks an event in which a node asks for a slot, beside those in which one gives it back; no run has 2³¹ nodes.
const ASKS: u32 = 1 << 31;
