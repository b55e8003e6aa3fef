//! `RESOURCE_ALLOCATION`: ask for what is needed.
//!
//! Memory is lowered to the highest recent peak and 15 % more, if that is at least 20 % below the request, and never
//! where an execution was tried again or the step's error rate is above zero: a kill for lack of memory leaves no peak behind,
//! so it can't be told from other failures. Memory at its limit (see the bottleneck rule) is raised by half, as a peak at the
//! limit says only that more was wanted. CPU is lowered to the highest recent mean use and 25 % more, if that is at
//! least 30 % below the request, in steps of 100 millicores. What would lie above the upper bound is not recommended: cut
//! to the bound it would lose its margin, or fall short of the need.
//!
//! Requests change no duration, so the saving is not in time; what it is in money, no price says.

use super::Case;
use super::proposal::{Draft, Proposal, Terms, set};
use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::resource::{MemoryUse, memory_use};
use crate::graph::Saving;
use crate::series::Metric;

const MEMORY_MARGIN: f64 = 1.15;
const MAX_MEMORY_SHARE: f64 = 0.8;
const MEMORY_RAISE: f64 = 1.5;
const CPU_MARGIN: f64 = 1.25;
const MAX_CPU_SHARE: f64 = 0.7;
const CPU_STEP_MILLICORES: f64 = 100.0;
const MAX_EXECUTIONS: usize = 500;

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
    let drafts = case.history.steps.iter().flat_map(|(step, executions)| {
        [memory(case, step, executions), cpu(case, step, executions)].into_iter().flatten()
    });
    drafts.map(|draft| draft.propose(case)).collect()
}

fn memory(case: &Case<'_>, step: &str, executions: &Executions<'_>) -> Option<Draft> {
    let used = memory_use(executions, 1)?;
    if used.is_exhausted() {
        return raise_memory(case, step, &used);
    }
    let enough = used.peaks_mb.len() >= case.params.resources.min_samples;
    (enough && !may_have_been_killed(case, step, executions)).then(|| lower_memory(case, step, &used))?
}

fn lower_memory(case: &Case<'_>, step: &str, used: &MemoryUse) -> Option<Draft> {
    let bounds = &case.params.resources;
    let highest = used.peaks_mb.iter().copied().fold(0.0, f64::max);
    let to = (highest * MEMORY_MARGIN).ceil().max(bounds.min_memory_mb);
    if to > bounds.max_memory_mb || to > MAX_MEMORY_SHARE * used.request_mb {
        return None;
    }
    let title = format!(
        "Ask for {to:.0} MB instead of {:.0} MB in {step}: the highest of {} peaks is {highest:.0} MB",
        used.request_mb,
        used.peaks_mb.len(),
    );
    let evidence = vec![case.history.evidence(Some(step), Metric::MemoryUsage)];
    Some(request(case, LOWER, step, "memory_mb", (used.request_mb, to), title, evidence))
}

fn raise_memory(case: &Case<'_>, step: &str, used: &MemoryUse) -> Option<Draft> {
    let to = (used.request_mb * MEMORY_RAISE).ceil().min(case.params.resources.max_memory_mb);
    if to <= used.request_mb {
        return None;
    }
    let found = case.bottlenecks.iter().find(|b| b.kind == "resource_exhaustion" && b.step.as_deref() == Some(step))?;
    let title = format!(
        "Ask for {to:.0} MB instead of {:.0} MB in {step}: {} of {} executions peak at the limit",
        used.request_mb,
        used.n_at_limit,
        used.peaks_mb.len(),
    );
    let evidence =
        vec![format!("bottlenecks:{}", found.bottleneck_id), case.history.evidence(Some(step), Metric::MemoryUsage)];
    Some(request(case, RAISE, step, "memory_mb", (used.request_mb, to), title, evidence))
}

/// Retries and failures: any of them may have been a kill.
fn may_have_been_killed(case: &Case<'_>, step: &str, executions: &Executions<'_>) -> bool {
    let attempts = &executions.samples.attempt;
    let retried = executions.rows.iter().any(|row| attempts.get(*row as usize).is_some_and(|attempt| *attempt > 1));
    let errors = case.history.analysis(Some(step), Metric::ErrorRate).and_then(|found| found.baseline.as_ref());
    retried || errors.is_some_and(|baseline| baseline.value > 0.0)
}

fn cpu(case: &Case<'_>, step: &str, executions: &Executions<'_>) -> Option<Draft> {
    let bounds = &case.params.resources;
    let rows = executions.latest(MAX_EXECUTIONS);
    let request_of = |row: &u32| executions.get(&executions.samples.cpu_request, *row);
    let cores = rows.iter().rev().map(request_of).find(|cores| cores.is_finite() && *cores > 0.0)?;
    let same = rows.iter().filter(|row| (request_of(row) / cores - 1.0).abs() < 1e-6);
    let pct = same.map(|row| executions.get(&executions.samples.cpu_pct, *row));
    let used: Vec<f64> = pct.filter(|pct| pct.is_finite() && *pct >= 0.0).map(|pct| pct * 10.0).collect();
    let highest = used.iter().copied().fold(0.0, f64::max);
    let steps = (highest * CPU_MARGIN / CPU_STEP_MILLICORES).ceil() * CPU_STEP_MILLICORES;
    let to = steps.max(bounds.min_cpu_millicores);
    if used.len() < bounds.min_samples || to > bounds.max_cpu_millicores || to > MAX_CPU_SHARE * cores * 1e3 {
        return None;
    }
    let title = format!(
        "Ask for {to:.0} millicores instead of {:.0} in {step}: the busiest of {} executions used {highest:.0} on average",
        cores * 1e3,
        used.len(),
    );
    let evidence = vec![case.history.evidence(Some(step), Metric::CpuUsage)];
    Some(request(case, LOWER, step, "cpu_millicores", (cores * 1e3, to), title, evidence))
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
        changes: Vec::new(),
        actions: vec![set(&["steps", step, "resources", resource], from, to)],
        evidence,
    }
}
