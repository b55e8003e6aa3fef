//! One run made ready for many replays: flat columns, no strings.

use super::replay::{ReplayError, checked_duration};
use super::slots::{observed_slots, saturation_ends};
use super::{Circumstances, Node, RunGraph, Topology};
use std::collections::HashMap;
use std::sync::Arc;

/// Numbers for the step names that several runs share.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepCodes {
    names: Vec<Arc<str>>,
    codes: HashMap<Arc<str>, u32>,
}

impl StepCodes {
    fn intern(&mut self, name: &Arc<str>) -> u32 {
        if let Some(&code) = self.codes.get(name) {
            return code;
        }
        let code = self.names.len() as u32;
        self.names.push(Arc::clone(name));
        self.codes.insert(Arc::clone(name), code);
        code
    }

    pub(crate) fn code(&self, name: &str) -> Option<u32> {
        self.codes.get(name).copied()
    }

    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}

/// The recorded times of a run, relative to its first step; all vectors (n_nodes,).
#[derive(Debug, Clone)]
pub(crate) struct Times {
    /// When each node started; a cached one when it was ready.
    pub(crate) start_ms: Vec<f64>,
    /// When the last of its dependencies had ended.
    pub(crate) ready_ms: Vec<f64>,
    /// Most executions seen at once.
    pub(crate) slots: usize,
}

/// A run in columns; all vectors (n_nodes,).
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    pub(crate) topology: Topology,
    /// Cached steps take 0.
    pub(crate) durations_ms: Vec<f64>,
    /// The part of each duration that is no work: pauses between tries.
    pub(crate) paused_ms: Vec<f64>,
    /// The part of each duration before the last try began.
    pub(crate) retried_ms: Vec<f64>,
    /// The longest try before the last one.
    pub(crate) longest_retried_ms: Vec<f64>,
    /// What the tries before the last one cost; 0 where that is unknown.
    pub(crate) retried_usd: Vec<f64>,
    /// Time between a slot that had been waited for coming free and the start: what the scheduler itself took, in the slot.
    pub(crate) lags_ms: Vec<f64>,
    /// Time between being ready and asking for a slot, for reasons that the recording does not show.
    pub(crate) delays_ms: Vec<f64>,
    /// Answered from a cache: needs no slot.
    pub(crate) cached: Vec<bool>,
    /// An execution, and no gate or later part of one ([`Node::is_execution`]).
    pub(crate) is_execution: Vec<bool>,
    /// Who goes first when several wait: lower goes first.
    pub(crate) ranks: Vec<u32>,
    /// Whoever was ready first goes first, and `ranks` decide among those ready at one instant.
    pub(crate) first_come: bool,
    pub(crate) steps: Vec<u32>,
    pub(crate) times: Option<Times>,
    /// The slots against which waits were split; means nothing where times are unknown.
    pub(crate) slots: usize,
    pub(crate) recorded_ms: Option<f64>,
    /// What the run cost, as far as that is known.
    pub(crate) cost_usd: Option<f64>,
    pub(crate) started_us: i64,
    /// Its place among the runs that are replayed together.
    pub(crate) turn: usize,
}

impl Recording {
    pub(crate) fn new(graph: &RunGraph, codes: &mut StepCodes) -> Result<Self, ReplayError> {
        let topology = Topology::new(graph)?;
        let durations_ms = graph.nodes.iter().map(checked_duration).collect::<Result<Vec<_>, _>>()?;
        let times = times(&graph.nodes, &topology, &durations_ms);
        let ranks = ranks(&topology, times.as_ref());
        let mut recording = Self {
            lags_ms: vec![0.0; durations_ms.len()],
            delays_ms: vec![0.0; durations_ms.len()],
            paused_ms: part(graph, &durations_ms, |under| under.paused_ms),
            retried_ms: part(graph, &durations_ms, |under| under.retried_ms),
            longest_retried_ms: part(graph, &durations_ms, |under| under.longest_retried_ms),
            retried_usd: graph.nodes.iter().map(retried_usd).collect(),
            cached: graph.nodes.iter().map(|node| node.cached).collect(),
            is_execution: graph.nodes.iter().map(Node::is_execution).collect(),
            steps: graph.nodes.iter().map(|node| codes.intern(&node.step)).collect(),
            recorded_ms: recorded_ms(graph, times.as_ref(), &durations_ms),
            cost_usd: graph.outcome.cost_usd.filter(|usd| usd.is_finite()),
            started_us: graph.started_us,
            turn: 0,
            slots: 1,
            topology,
            durations_ms,
            ranks,
            first_come: times.is_none(),
            times,
        };
        recording.split_waits(recording.times.as_ref().map_or(1, |times| times.slots));
        Ok(recording)
    }

    /// Splits every recorded wait. Where `slots` busy slots explain most of it, a replay finds that part again by itself, and
    /// the rest is the node's own lag, in the slot that it got. Where they don't, it waited for something else all along:
    /// in a slot if others queued meanwhile though one seemed to be free, else before it asked for one.
    pub(crate) fn split_waits(&mut self, slots: usize) {
        let Some(times) = &self.times else { return };
        self.slots = slots;
        let freed_ms = saturation_ends(&times.start_ms, &self.durations_ms, slots);
        let mut queued = Vec::new();
        for id in 0..self.lags_ms.len() {
            let (start, ready) = (times.start_ms[id], times.ready_ms[id]);
            let n_before = freed_ms.partition_point(|at| *at <= start);
            let free = freed_ms[..n_before].last().copied().unwrap_or(0.0);
            let is_explained = free > ready && start - free <= free - ready;
            if is_explained && !self.cached[id] {
                queued.push((ready, start));
            }
            let wait = if self.cached[id] { 0.0 } else { (start - if is_explained { free } else { ready }).max(0.0) };
            (self.lags_ms[id], self.delays_ms[id]) = if is_explained { (wait, 0.0) } else { (0.0, wait) };
        }
        if queued.is_empty() {
            return;
        }
        let held = HeldBack::new(&times.start_ms, &self.durations_ms, &queued, slots);
        for (id, (lag, delay)) in self.lags_ms.iter_mut().zip(&mut self.delays_ms).enumerate() {
            let (ready, start) = (times.ready_ms[id], times.start_ms[id]);
            if *delay > 0.0 && 2.0 * held.between(ready, start) >= *delay {
                (*lag, *delay) = (*delay, 0.0);
            }
        }
    }

    /// Takes every wait for one that lasts as long whatever else happens.
    pub(crate) fn keep_waits(&mut self) {
        let Some(times) = &self.times else { return };
        self.lags_ms.fill(0.0);
        for (id, delay) in self.delays_ms.iter_mut().enumerate() {
            *delay = if self.cached[id] { 0.0 } else { (times.start_ms[id] - times.ready_ms[id]).max(0.0) };
        }
    }

    /// Numbers in 0-1 that spread evenly over runs (Weyl's sequence): those below a share are that share, without the luck of
    /// draws.
    pub(crate) fn evenly(&self) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        (self.turn as f64 * GOLDEN).fract()
    }

    pub(crate) fn len(&self) -> usize {
        self.durations_ms.len()
    }
}

/// When somebody queued though fewer than all slots ran something: one was held without running.
struct HeldBack {
    at_ms: Vec<f64>,
    /// Such time up to each instant.
    sum_ms: Vec<f64>,
}

impl HeldBack {
    /// `queued`: from when to when each node waited for a slot.
    fn new(start_ms: &[f64], durations_ms: &[f64], queued: &[(f64, f64)], slots: usize) -> Self {
        let ran = start_ms.iter().zip(durations_ms).map(|(start, ms)| (*start, start + ms, 1, 0));
        let waited = queued.iter().map(|(from, to)| (*from, *to, 0, 1));
        let spans = ran.chain(waited).filter(|(from, to, ..)| from < to);
        let mut events: Vec<(f64, i64, i64)> =
            spans.flat_map(|(from, to, runs, waits)| [(from, runs, waits), (to, -runs, -waits)]).collect();
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        let slots = i64::try_from(slots).unwrap_or(i64::MAX);
        let (mut running, mut waiting, mut sum) = (0, 0, 0.0);
        let (mut at_ms, mut sum_ms): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        for (at, runs, waits) in events {
            if waiting > 0 && running < slots {
                sum += at - at_ms.last().copied().unwrap_or(at);
            }
            (running, waiting) = (running + runs, waiting + waits);
            at_ms.push(at);
            sum_ms.push(sum);
        }
        Self { at_ms, sum_ms }
    }

    fn until(&self, ms: f64) -> f64 {
        let n = self.at_ms.partition_point(|at| *at <= ms);
        let Some(before) = n.checked_sub(1) else { return 0.0 };
        let (from, sum) = (self.at_ms[before], self.sum_ms[before]);
        match (self.at_ms.get(n), self.sum_ms.get(n)) {
            (Some(to), Some(next)) if next > &sum => sum + (ms - from).min(to - from),
            _ => sum,
        }
    }

    fn between(&self, from_ms: f64, to_ms: f64) -> f64 {
        self.until(to_ms) - self.until(from_ms)
    }
}

/// Times are known where every execution of this very run has a start; half-known times are not used.
fn times(nodes: &[Node], topology: &Topology, durations_ms: &[f64]) -> Option<Times> {
    let known = |node: &Node| node.cached || node.start_ms.is_some_and(f64::is_finite);
    if !nodes.iter().any(|node| !node.cached) || !nodes.iter().all(known) {
        return None;
    }
    let first = nodes.iter().filter(|node| !node.cached).filter_map(|node| node.start_ms).fold(f64::INFINITY, f64::min);
    let mut start_ms = vec![0.0; nodes.len()];
    let mut ready_ms = vec![0.0; nodes.len()];
    for &id in topology.order() {
        let id = id as usize;
        let ended = |dep: &u32| start_ms[*dep as usize] + durations_ms[*dep as usize];
        ready_ms[id] = nodes[id].deps.iter().map(ended).fold(0.0, f64::max);
        start_ms[id] = nodes[id].start_ms.filter(|_| !nodes[id].cached).map_or(ready_ms[id], |start| start - first);
    }
    let slots = observed_slots(&start_ms, durations_ms);
    Some(Times { start_ms, ready_ms, slots })
}

/// The order of recorded starts, and where these are equal or unknown, the topological one.
fn ranks(topology: &Topology, times: Option<&Times>) -> Vec<u32> {
    let mut order = topology.order().to_vec();
    if let Some(times) = times {
        order.sort_by(|a, b| times.start_ms[*a as usize].total_cmp(&times.start_ms[*b as usize]));
    }
    let mut ranks = vec![0; order.len()];
    for (rank, id) in (0..).zip(order) {
        ranks[id as usize] = rank;
    }
    ranks
}

/// A part of each node's duration, at most the whole of it; none where it is unknown.
fn part(graph: &RunGraph, durations_ms: &[f64], of: fn(&Circumstances) -> f64) -> Vec<f64> {
    let part = |(node, whole_ms): (&Node, &f64)| {
        let ms = of(&node.under);
        if ms.is_finite() { ms.clamp(0.0, *whole_ms) } else { 0.0 }
    };
    graph.nodes.iter().zip(durations_ms).map(part).collect()
}

fn retried_usd(node: &Node) -> f64 {
    let usd = node.under.retried_usd;
    if usd.is_finite() { usd.max(0.0) } else { 0.0 }
}

fn recorded_ms(graph: &RunGraph, times: Option<&Times>, durations_ms: &[f64]) -> Option<f64> {
    let from_times = || times.map(|t| t.start_ms.iter().zip(durations_ms).map(|(s, d)| s + d).fold(0.0, f64::max));
    graph.makespan_ms.filter(|ms| ms.is_finite() && *ms > 0.0).or_else(from_times)
}
