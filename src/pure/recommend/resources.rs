//! `RESOURCE_ALLOCATION`: ask for what is needed.
//!
//! Memory is asked for by [`crate::learn::allocation`]: the request of least expected waste for executions like the latest,
//! killed ones included, that is exceeded with probability 1 % at most. The title states that probability and the waste.
//! It is lowered where that is at least 20 % below the request, and never where an execution was tried again or the step's
//! error rate is above zero: a kill that left no peak behind can't be told from other failures. It is raised, to twice as
//! much at most, where executions failed at their limit (kills), or succeed at it often (see the bottleneck rule), as a
//! peak at the limit says only that more was wanted; never to or below what an execution was killed at.
//!
//! CPU is lowered in the same way, to what mean use and 25 % more (for bursts) need, if it is at least 30 % below the
//! request, in steps of 100 millicores; too little of it kills nothing, but slows down.
//!
//! What would lie above the upper bound is not recommended: cut to the bound it would lose its margin.
//!
//! Requests change no duration, so the saving is not in time; what it is in money, no price says. They are ranked by the share
//! of the memory (or CPU) × time that the workflow's steps hold which a lower request gives back: memory and CPU are taken
//! to be half of what holding a machine costs each. What gives back less than the least share that is worth the work is not
//! recommended.

use super::Case;
use super::proposal::{Draft, MIN_SHARE, Proposal, Terms, set, short};
use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::resource::{MemoryUse, memory_use};
use crate::graph::Saving;
use crate::learn::allocation::{self, Observed, Outcome, for_step, step_forecast};
use crate::samples::{Kill, NEAR_LIMIT};
use crate::series::Metric;
use std::collections::BTreeMap;

const MAX_MEMORY_SHARE: f64 = 0.8;
const CPU_BURST: f64 = 1.25;
const MAX_CPU_SHARE: f64 = 0.7;
const CPU_STEP_MILLICORES: f64 = 100.0;
const MAX_EXECUTIONS: usize = 500;
const MAX_KILLS: usize = 100;
/// A standing request is killed at most this often.
const MAX_KILL_PROBABILITY: f64 = 0.01;
const MS_PER_HOUR: f64 = 3.6e6;

const LOWER: Terms = Terms {
    kind: "RESOURCE_ALLOCATION",
    category: "cost",
    feasibility: 0.9,
    effort: "low",
    risk: "medium",
    probability: 0.8,
};
const RAISE: Terms = Terms { category: "reliability", risk: "low", ..LOWER };

pub(super) fn propose(case: &Case<'_>) -> Vec<Proposal> {
    if !case.params.resources.enabled {
        return Vec::new();
    }
    let held = Held::of(case);
    let drafts = case.history.steps.iter().flat_map(|(step, executions)| {
        [memory(case, &held, step, executions), cpu(case, &held, step, executions)].into_iter().flatten()
    });
    drafts.map(|draft| draft.propose(case)).collect()
}

/// What steps hold: requests × hours of their executions.
struct Held<'a> {
    by_step: BTreeMap<&'a str, [f64; 2]>,
    total: [f64; 2],
}

/// Of memory and of CPU what it is to cost, of all that a machine does.
const SHARE_OF_COST: f64 = 0.5;

#[derive(Debug, Clone, Copy)]
enum Resource {
    Memory,
    Cpu,
}

impl<'a> Held<'a> {
    fn of(case: &Case<'a>) -> Self {
        let of_step = |executions: &Executions<'_>| {
            let samples = executions.samples;
            [&samples.memory_request_mb, &samples.cpu_request].map(|requests| {
                let amount = |row| executions.get(requests, row) * executions.duration_ms(row) / MS_PER_HOUR;
                executions.measured().map(amount).filter(|held| held.is_finite() && *held > 0.0).sum()
            })
        };
        let by_step: BTreeMap<&str, [f64; 2]> =
            case.history.steps.iter().map(|(step, executions)| (*step, of_step(executions))).collect();
        let total = by_step.values().fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d]);
        Self { by_step, total }
    }

    /// Share of the workflow's costs that a lower request gives back.
    fn given_back(&self, step: &str, resource: Resource, (from, to): (f64, f64)) -> f64 {
        let at = match resource {
            Resource::Memory => 0,
            Resource::Cpu => 1,
        };
        let own = self.by_step.get(step).map_or(0.0, |held| held[at]);
        let share = own / self.total[at] * (1.0 - to / from);
        if share.is_finite() { SHARE_OF_COST * share.max(0.0) } else { 0.0 }
    }
}

/// A step's memory under the request that is in force.
struct Memory {
    request_mb: f64,
    observed: Vec<Observed>,
    /// Executions killed at the request or above.
    n_killed: usize,
    used: Option<MemoryUse>,
}

impl Memory {
    fn new(executions: &Executions<'_>) -> Option<Self> {
        let used = memory_use(executions, 1);
        let request_mb = request_in_force(executions)?;
        // A peak at the limit says only that more was wanted, if it is no single one.
        let is_exhausted = used.as_ref().is_some_and(MemoryUse::is_exhausted);
        let samples = executions.samples;
        let fitted = |row: u32| {
            let amount = executions.get(&samples.memory_mb, row);
            let at_limit = amount >= NEAR_LIMIT * executions.get(&samples.memory_request_mb, row);
            let outcome = if is_exhausted && at_limit { Outcome::Killed } else { Outcome::Fitted };
            Observed { amount, hours: executions.duration_ms(row) / MS_PER_HOUR, outcome }
        };
        let killed = |kill: &Kill| Observed {
            amount: kill.memory_request_mb,
            hours: kill.duration_ms / MS_PER_HOUR,
            outcome: Outcome::Killed,
        };
        let mut observed: Vec<Observed> = executions.latest(MAX_EXECUTIONS).into_iter().map(fitted).collect();
        observed.extend(executions.kills.iter().rev().take(MAX_KILLS).map(killed));
        let n_killed =
            executions.kills.iter().filter(|kill| kill.memory_request_mb >= request_mb * (1.0 - 1e-6)).count();
        Some(Self { request_mb, observed, n_killed, used })
    }

    fn exhausted(&self) -> Option<&MemoryUse> {
        self.used.as_ref().filter(|used| used.is_exhausted())
    }

    /// What is to be expected of `to`, beside what is of the present request.
    fn expectation(&self, to: f64) -> String {
        expectation(&self.observed, self.request_mb, to, Resource::Memory)
    }
}

/// What first tries ask for: the latest one's request. A retry may have been given more. The latest of all where no first
/// try tells.
fn request_in_force(executions: &Executions<'_>) -> Option<f64> {
    let samples = executions.samples;
    let attempt = |row: u32| samples.attempt.get(row as usize).copied().unwrap_or(1);
    let request = |row: u32| executions.get(&samples.memory_request_mb, row);
    let ran = executions.latest(MAX_EXECUTIONS).into_iter();
    let ran = ran.map(|row| (attempt(row), executions.started_us(row), request(row)));
    let killed = executions.kills.iter().map(|kill| (kill.attempt, kill.started_us, kill.memory_request_mb));
    let known = ran.chain(killed).filter(|(_, _, mb)| mb.is_finite() && *mb > 0.0);
    known.max_by_key(|(attempt, started_us, _)| (*attempt == 1, *started_us)).map(|(_, _, mb)| mb)
}

fn expectation(observed: &[Observed], from: f64, to: f64, unit: Resource) -> String {
    let Some(forecast) = step_forecast(observed) else { return String::new() };
    let of = |request: f64| (forecast.kill_probability(request) * 100.0, forecast.expected_waste(request, 1.0));
    let ((p_to, waste_to), (p_from, waste_from)) = (of(to), of(from));
    let waste = |amount: f64| held_text(amount, unit);
    format!(
        "; an execution then wastes {} on average instead of {}, and needs more with probability {p_to:.1} % (now {p_from:.1} %)",
        waste(waste_to),
        waste(waste_from),
    )
}

fn memory_text(mb: f64) -> String {
    if mb >= 1e3 { format!("{:.1} GB", mb / 1e3) } else { format!("{mb:.0} MB") }
}

fn cores_text(millicores: f64) -> String {
    let cores = format!("{:.1}", millicores / 1e3);
    let cores = cores.strip_suffix(".0").unwrap_or(&cores);
    format!("{cores} {}", if cores == "1" { "core" } else { "cores" })
}

/// Amount × hours with three digits, in the larger unit from a thousand on.
fn held_text(amount: f64, unit: Resource) -> String {
    let (small, large) = match unit {
        Resource::Memory => ("MB·h", "GB·h"),
        Resource::Cpu => ("millicore·h", "core·h"),
    };
    let (amount, unit) = if amount >= 1e3 { (amount / 1e3, large) } else { (amount, small) };
    let digits = if amount > 0.0 { (2.0 - amount.log10().floor()).clamp(0.0, 6.0) as usize } else { 0 };
    format!("{amount:.digits$} {unit}")
}

fn memory(case: &Case<'_>, held: &Held<'_>, step: &str, executions: &Executions<'_>) -> Option<Draft> {
    let memory = Memory::new(executions)?;
    if memory.n_killed > 0 || memory.exhausted().is_some() {
        return raise_memory(case, step, &memory);
    }
    let n_peaks = memory.observed.iter().filter(|one| one.amount > 0.0).count();
    let may_lower = n_peaks >= case.params.resources.min_samples && !may_have_been_killed(case, step, executions);
    may_lower.then(|| lower_memory(case, held, step, &memory))?
}

fn lower_memory(case: &Case<'_>, held: &Held<'_>, step: &str, memory: &Memory) -> Option<Draft> {
    let bounds = &case.params.resources;
    let params = allocation::Params { least: bounds.min_memory_mb, ..standing() };
    let to = for_step(&memory.observed, &params)?.request.ceil();
    if to > bounds.max_memory_mb || to > MAX_MEMORY_SHARE * memory.request_mb {
        return None;
    }
    let peaks = || memory.observed.iter().map(|one| one.amount).filter(|mb| *mb > 0.0);
    let name = short(step);
    let title = format!(
        "{name}: request {} of memory instead of {}; the highest of {} peaks is {}{}",
        memory_text(to),
        memory_text(memory.request_mb),
        peaks().count(),
        memory_text(peaks().fold(0.0, f64::max)),
        memory.expectation(to),
    );
    let evidence = vec![case.history.evidence(Some(step), Metric::MemoryUsage)];
    let given_back = held.given_back(step, Resource::Memory, (memory.request_mb, to));
    let draft = request(case, LOWER, step, "memory_mb", (memory.request_mb, to), title, evidence);
    (given_back >= MIN_SHARE).then_some(Draft { given_back, ..draft })
}

fn raise_memory(case: &Case<'_>, step: &str, memory: &Memory) -> Option<Draft> {
    let bounds = &case.params.resources;
    let killed_at = memory.observed.iter().filter(|one| one.outcome == Outcome::Killed).map(|one| one.amount);
    // A retry would be given twice as much anyway.
    let most = 2.0 * killed_at.fold(memory.request_mb, f64::max);
    let params = allocation::Params { least: bounds.min_memory_mb, most, ..standing() };
    let to = for_step(&memory.observed, &params)?.request.ceil().min(bounds.max_memory_mb);
    if to <= memory.request_mb {
        return None;
    }
    let found = case.bottlenecks.iter().find(|b| b.kind == "resource_exhaustion" && b.step.as_deref() == Some(step));
    let at_limit = memory.exhausted().map(|used| (used.n_at_limit, used.peaks_mb.len()));
    let reason = match (memory.n_killed, at_limit) {
        (0, Some((n, of))) => format!("{n} of {of} executions peak at the limit"),
        (killed, _) => format!("{killed} executions failed at the limit"),
    };
    let name = short(step);
    let title = format!(
        "{name}: request {} of memory instead of {}; {reason}{}",
        memory_text(to),
        memory_text(memory.request_mb),
        memory.expectation(to),
    );
    let shown = if memory.n_killed > 0 { Metric::ErrorRate } else { Metric::MemoryUsage };
    let bottleneck = found.map(|found| format!("bottlenecks:{}", found.bottleneck_id));
    let evidence = bottleneck.into_iter().chain([case.history.evidence(Some(step), shown)]).collect();
    Some(request(case, RAISE, step, "memory_mb", (memory.request_mb, to), title, evidence))
}

/// For requests that stand in a configuration.
fn standing() -> allocation::Params {
    allocation::Params { max_kill_probability: MAX_KILL_PROBABILITY, ..allocation::Params::default() }
}

/// Retries and failures: any of them may have been a kill.
fn may_have_been_killed(case: &Case<'_>, step: &str, executions: &Executions<'_>) -> bool {
    let attempts = &executions.samples.attempt;
    let retried = executions.rows.iter().any(|row| attempts.get(*row as usize).is_some_and(|attempt| *attempt > 1));
    let errors = case.history.analysis(Some(step), Metric::ErrorRate).and_then(|found| found.baseline.as_ref());
    retried || errors.is_some_and(|baseline| baseline.value > 0.0)
}

fn cpu(case: &Case<'_>, held: &Held<'_>, step: &str, executions: &Executions<'_>) -> Option<Draft> {
    let bounds = &case.params.resources;
    let rows = executions.latest(MAX_EXECUTIONS);
    let request_of = |row: &u32| executions.get(&executions.samples.cpu_request, *row);
    let cores = rows.iter().rev().map(request_of).find(|cores| cores.is_finite() && *cores > 0.0)?;
    let same = rows.iter().filter(|row| (request_of(row) / cores - 1.0).abs() < 1e-6);
    let used = |row: &u32| Observed {
        amount: executions.get(&executions.samples.cpu_pct, *row) * 10.0 * CPU_BURST,
        hours: executions.duration_ms(*row) / MS_PER_HOUR,
        outcome: Outcome::Fitted,
    };
    let observed: Vec<Observed> = same.map(used).filter(|one| one.amount.is_finite() && one.amount >= 0.0).collect();
    let highest = observed.iter().map(|one| one.amount).fold(0.0, f64::max) / CPU_BURST;
    let least = bounds.min_cpu_millicores;
    // Without any use the least will do.
    let needed = for_step(&observed, &allocation::Params { least, ..standing() }).map_or(least, |found| found.request);
    let to = ((needed / CPU_STEP_MILLICORES - 1e-9).ceil() * CPU_STEP_MILLICORES).max(least);
    if observed.len() < bounds.min_samples || to > bounds.max_cpu_millicores || to > MAX_CPU_SHARE * cores * 1e3 {
        return None;
    }
    let name = short(step);
    let title = format!(
        "{name}: request {} instead of {}; the busiest of {} executions used {} on average{}",
        cores_text(to),
        cores_text(cores * 1e3),
        observed.len(),
        cores_text(highest),
        expectation(&observed, cores * 1e3, to, Resource::Cpu),
    );
    let evidence = vec![case.history.evidence(Some(step), Metric::CpuUsage)];
    let given_back = held.given_back(step, Resource::Cpu, (cores * 1e3, to));
    let draft = request(case, LOWER, step, "cpu_millicores", (cores * 1e3, to), title, evidence);
    (given_back >= MIN_SHARE).then_some(Draft { given_back, ..draft })
}

fn request(
    case: &Case<'_>,
    terms: Terms,
    step: &str,
    resource: &str,
    (from, to): (f64, f64),
    title: String,
    evidence: Vec<String>,
) -> Draft {
    Draft {
        terms,
        target: format!("{step}.{resource}"),
        title,
        saving: Saving::none(case.params.replay.level),
        money: None,
        given_back: 0.0,
        changes: Vec::new(),
        actions: vec![set(&["steps", step, "resources", resource], from, to)],
        evidence,
    }
}
