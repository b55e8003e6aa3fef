//! What is slow, and what that costs end to end.
//!
//! Every rule below names a thing that the records can show; its impact is the share of the runs' end-to-end time that
//! undoing it would save, by replaying the recent runs ([`Ensemble`]). Where dependencies are unknown nothing is replayed
//! and a [`Skip`] says so.
//!
//! | kind | rule | undone by replaying with |
//! |---|---|---|
//! | `slow_step` | the present regime's median is ≥ 1.2 × that of the fastest earlier regime, and a rank-sum test of the executions of both says p < 0.001; without a change point the last quarter counts as the present one, for inputs of the same size and with each day as one; with `threshold_percentile` another percentile takes the place of the median, a change of scatter that of a change point, too, and a quantile test that of ranks | the step at its earlier median; of percentiles above 50, only what is longer than the earlier one |
//! | `resource_exhaustion` (step) | ≥ 5 % of executions, and at least 3, peak within 5 % of the memory that they asked for | nothing: what it costs is a risk, not time |
//! | `resource_exhaustion` (run) | at least 80 % of the runs use the same number of slots, and without that limit ≥ 10 % would be saved | no limit |
//! | `inefficient_algorithm` | the slope of ln duration on ln input size lies above 1.2 with its whole 95 % interval | duration growing linearly above the median size |
//! | `sequential_dependency` | two steps with no path between them never overlap, though in ≥ 80 % of the runs the second was ready and a slot was free while the first ran; ≥ 1 % would be saved | the second starting when ready |
//! | `api_limit` | beyond some number of calls each takes longer than those before, by an F test with p < 1e-4, and the step takes ≥ 1.2 times what it would | the step at what it would take |
//! | `cache_miss` | ≥ 10 % of the executions with a cache key repeat a key whose result was there already | the repeats taking no time |
//!
//! Severity of a slow step goes by its ratio (medium from 1.5, high from 2, critical from 4), of memory by the share of
//! executions at the limit (medium, high from 25 %, critical from 50 %), of the others by impact (medium from 5 %, high
//! from 15 %, critical from 30 %).

pub(crate) mod algorithm;
mod api_limit;
pub(crate) mod cache;
pub(crate) mod history;
pub(crate) mod resource;
pub(crate) mod sequential;
pub(crate) mod slow_step;
pub(crate) mod statistics;

pub use slow_step::Percentile;

use super::{Skip, SkipSubject};
use crate::analysis::Analysis;
use crate::graph::{Ensemble, EnsembleParams, NotReplayable, RunGraph, RunTimes, Saving, Scratch};
use crate::recommend::{Bottleneck, stable_id};
use crate::samples::Samples;
use api_limit::Traffic;
use history::History;
use rayon::prelude::*;

/// How bottlenecks are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BottleneckParams {
    /// Which runs are replayed.
    pub replay: EnsembleParams,
    /// Least executions for the rules on memory, input size and caching (20).
    pub min_samples: usize,
    /// What a slow step is judged by (the median).
    pub percentile: Percentile,
}

impl Default for BottleneckParams {
    fn default() -> Self {
        Self { replay: EnsembleParams::default(), min_samples: 20, percentile: Percentile::MEDIAN }
    }
}

/// What the recent runs of all workflows show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Sorted by impact, largest first.
    pub bottlenecks: Vec<Bottleneck>,
    /// What each step has to do with how long runs take, of the workflows whose runs can be replayed, by name.
    pub step_times: Vec<WorkflowTimes>,
    /// What could not be looked at.
    pub skips: Vec<Skip>,
}

/// The steps of one workflow in its recent runs.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowTimes {
    /// The workflow.
    pub workflow_id: String,
    /// Its steps.
    pub times: RunTimes,
    /// Confidence of the least certain dependency, where they were inferred; none where they were declared.
    pub inferred_confidence: Option<f64>,
}

/// Looks for bottlenecks in every workflow, in parallel; the result does not depend on the number of threads.
///
/// `graphs` in any order, of all workflows; `samples` as documented; `analyses` of the same window. The findings have
/// `opened_at_us` as far as this window tells; an earlier date is the caller's to carry over.
#[must_use]
pub fn bottlenecks(graphs: &[RunGraph], analyses: &[Analysis], samples: &Samples, params: &BottleneckParams) -> Found {
    let histories = History::collect(graphs, samples, analyses);
    let traffic = Traffic::of(samples);
    let by_workflow: Vec<Found> = histories.par_iter().map(|history| of_workflow(history, &traffic, params)).collect();
    let mut found = Found::default();
    for Found { bottlenecks, step_times, skips } in by_workflow {
        found.bottlenecks.extend(bottlenecks);
        found.step_times.extend(step_times);
        found.skips.extend(skips);
    }
    found.bottlenecks.sort_by(|a, b| {
        b.impact
            .total_cmp(&a.impact)
            .then_with(|| b.saving_ms.total_cmp(&a.saving_ms))
            .then_with(|| key(a).cmp(&key(b)))
    });
    found
}

fn key(bottleneck: &Bottleneck) -> (&str, Option<&str>, &str) {
    (&bottleneck.workflow_id, bottleneck.step.as_deref(), bottleneck.kind)
}

/// What a rule found.
pub(crate) struct Finding {
    pub(crate) step: Option<String>,
    pub(crate) kind: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) saving: Saving,
    pub(crate) description: String,
    pub(crate) causes: Vec<String>,
    pub(crate) evidence: Vec<String>,
    pub(crate) since_us: i64,
}

/// What every rule looks at.
pub(crate) struct Scene<'a, 'h> {
    pub(crate) history: &'a History<'h>,
    pub(crate) ensemble: &'a Ensemble,
    pub(crate) traffic: &'a Traffic,
    pub(crate) min_samples: usize,
    pub(crate) min_runs: usize,
    pub(crate) percentile: Percentile,
}

fn of_workflow(history: &History<'_>, traffic: &Traffic, params: &BottleneckParams) -> Found {
    let without_replay = Replayed { error: 0.0, inferred_confidence: None };
    let memory = resource::memory(history, params);
    let mut found: Vec<Bottleneck> =
        memory.into_iter().map(|finding| publish(history.workflow_id, finding, without_replay)).collect();
    let (mut step_times, mut skips) = (Vec::new(), Vec::new());
    match Ensemble::new(&history.graphs, params.replay) {
        Ok(ensemble) => {
            let replayed =
                Replayed { error: ensemble.replay_error(), inferred_confidence: ensemble.inferred_confidence() };
            let scene = Scene {
                history,
                ensemble: &ensemble,
                traffic,
                min_samples: params.min_samples,
                min_runs: params.replay.min_runs,
                percentile: params.percentile,
            };
            let (findings, left_out) = replayed_rules(&scene);
            found.extend(findings.into_iter().map(|finding| publish(history.workflow_id, finding, replayed)));
            skips.extend(left_out);
            step_times.push(WorkflowTimes {
                workflow_id: history.workflow_id.to_owned(),
                times: ensemble.step_times(),
                inferred_confidence: replayed.inferred_confidence,
            });
        }
        Err(reason) => skips.push(skip(history, None, &reason)),
    }
    Found { bottlenecks: found, step_times, skips }
}

/// What has to be said of all that was replayed.
#[derive(Debug, Clone, Copy)]
struct Replayed {
    error: f64,
    inferred_confidence: Option<f64>,
}

fn replayed_rules(scene: &Scene<'_, '_>) -> (Vec<Finding>, Vec<Skip>) {
    let mut scratch = Scratch::default();
    let (mut findings, mut skips) = (Vec::new(), Vec::new());
    for (step, executions) in &scene.history.steps {
        for found in [
            slow_step::find(scene, step, executions, &mut scratch),
            algorithm::find(scene, step, executions, &mut scratch),
            api_limit::find(scene, step, executions, &mut scratch),
            cache::find(scene, step, executions, &mut scratch),
        ] {
            match found {
                Ok(found) => findings.extend(found),
                Err(reason) => skips.push(skip(scene.history, Some(step), &reason)),
            }
        }
    }
    let queueing = resource::slots(scene, &mut scratch).map(|found| found.into_iter().collect());
    for found in [queueing, sequential::find(scene, &mut scratch)] {
        match found {
            Ok(found) => findings.extend(found),
            Err(reason) => skips.push(skip(scene.history, None, &reason)),
        }
    }
    (findings, skips)
}

fn skip(history: &History<'_>, step: Option<&str>, reason: &NotReplayable) -> Skip {
    let subject = SkipSubject::Workflow { workflow: history.workflow_id.to_owned(), step: step.map(str::to_owned) };
    Skip { analysis: "bottlenecks", subject, reason: reason.to_string() }
}

fn publish(workflow_id: &str, finding: Finding, replayed: Replayed) -> Bottleneck {
    let Replayed { error, inferred_confidence } = replayed;
    let Finding { step, kind, severity, saving, mut description, causes, evidence, since_us } = finding;
    let saving = saving.published();
    if saving.share > 0.0 && error > REPLAY_ERROR_SAID {
        description.push_str(&format!(" (unchanged replays are off by {})", percent(error.exp_m1())));
    }
    if inferred_confidence.is_some() {
        description.push_str(" (what waits for what was inferred from times)");
    }
    Bottleneck {
        bottleneck_id: stable_id(&[workflow_id, step.as_deref().unwrap_or(""), kind]),
        workflow_id: workflow_id.to_owned(),
        step,
        kind,
        severity,
        impact: saving.share,
        impact_lower: saving.share_lower,
        impact_upper: saving.share_upper,
        level: saving.level,
        saving_ms: saving.ms(),
        description,
        causes,
        evidence,
        status: "open",
        opened_at_us: since_us,
        inferred_confidence,
    }
}

/// Replay errors below this are not worth a word.
const REPLAY_ERROR_SAID: f64 = 0.02;

pub(crate) fn severity_by_impact(impact: f64) -> &'static str {
    severity(impact, [0.05, 0.15, 0.30])
}

/// `edges`: from where it is medium, high, critical.
pub(crate) fn severity(value: f64, edges: [f64; 3]) -> &'static str {
    ["low", "medium", "high", "critical"][edges.iter().filter(|edge| value >= **edge).count()]
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Milliseconds as a person would say them.
pub(crate) fn duration_text(ms: f64) -> String {
    match ms {
        ms if ms < 1e3 => format!("{ms:.0} ms"),
        ms if ms < 120e3 => format!("{:.1} s", ms / 1e3),
        ms if ms < 7_200e3 => format!("{:.1} min", ms / 60e3),
        ms => format!("{:.1} h", ms / 3_600e3),
    }
}

pub(crate) fn instant_text(us: i64) -> String {
    let instant = chrono::DateTime::from_timestamp_micros(us);
    instant.map_or_else(|| us.to_string(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

#[cfg(test)]
pub(crate) mod planted;
#[cfg(test)]
mod tail_tests;
#[cfg(test)]
mod tests;
