//! What applied recommendations did: measured at the runs before and after, never taken from the prediction.
//!
//! | what was promised | what is compared | of |
//! |---|---|---|
//! | lower requests (`RESOURCE_ALLOCATION`, cost) | memory (or CPU) asked for × time that it is held | executions of the step |
//! | money alone (category cost) | cost | runs |
//! | all else | end-to-end time | runs |
//!
//! Before are up to [`WINDOW_DAYS`] days before the change, after are up to as many since, until it was taken back or the
//! workflow was changed again; nor does the time before reach beyond the change before, or beyond a change point of the
//! run's or the target's time: what a slowdown cost is asked of the days that were slow. Lower requests have worked only if
//! runs do not take longer, for a kill is another try. Only runs that succeeded are compared: what fails is not faster.

mod window;

pub use window::Changes;

use super::before_after::{NotComparable, Point, Shift, shift};
use crate::graph::RunGraph;
use crate::samples::Samples;
use crate::units::{DAY_US, Level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use window::Window;

/// Days on either side of a change that are compared: four weeks hold what repeats by the week, and little else happens.
pub const WINDOW_DAYS: i64 = 28;
/// Runs that either side needs.
const MIN_RUNS: usize = 5;

/// A recommendation that somebody has applied, as it stood when it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The recommendation.
    pub recommendation_id: String,
    /// The workflow.
    pub workflow_id: String,
    /// Its type, if it was known.
    pub workflow_type: Option<String>,
    /// What was to be changed.
    pub target: String,
    /// Its type, `CACHING` for example.
    pub kind: String,
    /// Its category.
    pub category: String,
    /// What it was to save.
    pub predicted: Predicted,
    /// Probability of success that was stated, if it was.
    pub probability: Option<f64>,
    /// Probability with which the policy put it first, where that was logged.
    pub propensity: Option<f64>,
    /// Whether it was first among the open ones of its workflow.
    pub was_first: bool,
    /// In force since.
    pub applied_us: i64,
    /// And until, where it was taken back.
    pub rolled_back_us: Option<i64>,
}

/// What a recommendation was to save, as published; none is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Share of end-to-end time.
    pub share: Option<f64>,
    /// Milliseconds per run: estimate, lower and upper end of the interval.
    pub ms: Option<[f64; 3]>,
    /// Money per run, likewise.
    pub usd: Option<[f64; 3]>,
    /// Share of a request that is given back, where it is one.
    pub given_back: Option<f64>,
    /// Coverage of the intervals.
    pub level: Option<f64>,
}

/// A run, as far as outcomes are measured at it.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredRun {
    /// Its workflow.
    pub workflow_id: String,
    /// When it started.
    pub started_us: i64,
    /// End-to-end time.
    pub makespan_ms: Option<f64>,
    /// Money.
    pub cost_usd: Option<f64>,
    /// Bytes that its first steps took in: what no step of its own has made. None where dependencies are unknown.
    pub input_bytes: Option<f64>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// End-to-end time of runs.
    EndToEnd,
    /// Money of runs.
    Cost,
    /// Memory asked for × time, of executions of a step.
    MemoryHeld,
    /// CPU asked for × time, likewise.
    CpuHeld,
}

/// What a recommendation turned out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It saves something.
    Worked,
    /// It saves less than was promised, and maybe nothing.
    NoEffect,
    /// It costs something.
    Worse,
    /// Nobody can say yet.
    Unclear,
}

/// A measured saving with its interval; negative where it is a loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saving {
    /// Share of what it was before.
    pub share: f64,
    /// Interval of it.
    pub lower: f64,
    /// The same.
    pub upper: f64,
    /// Mean before the change: what the share is of.
    pub before: f64,
}

/// What was applied and what it did: a row of `outcomes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was applied, and what it promised.
    pub applied: Applied,
    /// What it did.
    pub found: Found,
}

/// What is found at the runs before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What is compared.
    pub measure: Measure,
    /// Runs (or executions) before and after.
    pub n: [usize; 2],
    /// Where the time before begins.
    pub from_us: i64,
    /// Where the time after ends.
    pub until_us: i64,
    /// What the verdict rests on.
    pub saving: Option<Saving>,
    /// The share of it that was promised, where that is known.
    pub promised: Option<f64>,
    /// Of end-to-end time, where it is known.
    pub time: Option<Saving>,
    /// Of money, where it is known.
    pub cost: Option<Saving>,
    /// What it did.
    pub verdict: Verdict,
    /// Why that is the verdict.
    pub reason: String,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::EndToEnd, Self::Cost, Self::MemoryHeld, Self::CpuHeld];

    /// What `applied` was to lower.
    #[must_use]
    pub fn of(applied: &Applied) -> Self {
        let is_cost = applied.category == "cost";
        match applied.kind.as_str() {
            "RESOURCE_ALLOCATION" if is_cost && applied.target.ends_with(MEMORY) => Self::MemoryHeld,
            "RESOURCE_ALLOCATION" if is_cost && applied.target.ends_with(CPU) => Self::CpuHeld,
            _ if is_cost && applied.predicted.usd.is_some() => Self::Cost,
            _ => Self::EndToEnd,
        }
    }

    /// The name used in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndToEnd => "execution_time",
            Self::Cost => "cost",
            Self::MemoryHeld => "memory_held",
            Self::CpuHeld => "cpu_held",
        }
    }
}

/// Ends of targets that are requests (see `resources`).
const MEMORY: &str = ".memory_mb";
const CPU: &str = ".cpu_millicores";

impl Verdict {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Worked, Self::NoEffect, Self::Worse, Self::Unclear];

    /// The name used in published tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worked => "worked",
            Self::NoEffect => "no_effect",
            Self::Worse => "worse",
            Self::Unclear => "unclear",
        }
    }

    /// Whether it was a success; none where that is unclear.
    #[must_use]
    pub fn success(self) -> Option<bool> {
        match self {
            Self::Worked => Some(true),
            Self::NoEffect | Self::Worse => Some(false),
            Self::Unclear => None,
        }
    }
}

impl MeasuredRun {
    /// What outcomes need of a recorded run.
    #[must_use]
    pub fn of(graph: &RunGraph) -> Self {
        let first = graph.nodes.iter().filter(|node| node.deps.is_empty());
        let known = first.filter_map(|node| node.under.input_bytes).filter(|bytes| bytes.is_finite());
        Self {
            workflow_id: graph.workflow_id.clone(),
            started_us: graph.started_us,
            makespan_ms: graph.makespan_ms,
            cost_usd: graph.outcome.cost_usd,
            input_bytes: known.reduce(|sum, bytes| sum + bytes).filter(|_| graph.dependencies_known),
        }
    }
}

/// Half-open stretches of time whose runs are looked at, by workflow.
pub type Needed = BTreeMap<String, Vec<(i64, i64)>>;

/// The runs that outcomes are measured at.
#[must_use]
pub fn needed(applied: &[Applied]) -> Needed {
    let mut needed = Needed::new();
    for Applied { workflow_id, applied_us, .. } in applied {
        let reach_us = WINDOW_DAYS * DAY_US;
        let stretch = (applied_us.saturating_sub(reach_us), applied_us.saturating_add(reach_us));
        needed.entry(workflow_id.clone()).or_default().push(stretch);
    }
    needed
}

/// What was found before, by recommendation and the instant since which it was applied.
pub type Earlier = BTreeMap<(String, i64), Found>;

/// What outcomes are measured at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Runs that had ended by the cutoff, in any order.
    pub runs: &'a [MeasuredRun],
    /// Executions of their steps.
    pub samples: &'a Samples,
    /// What the run before found: of an old change that data are gone which it had.
    pub earlier: &'a Earlier,
    /// Change points of what runs and steps take.
    pub changes: &'a Changes,
    /// The cutoff.
    pub as_of_us: i64,
}

/// Measures each of `applied`, in their order, with intervals of `level`. What was found earlier stands where more was
/// known then.
#[must_use]
pub fn outcomes(applied: &[Applied], evidence: &Evidence<'_>, level: Level) -> Vec<Outcome> {
    let Evidence { runs, samples, earlier, changes, as_of_us } = *evidence;
    let mut by_workflow: BTreeMap<&str, Vec<&MeasuredRun>> = BTreeMap::new();
    for run in runs {
        by_workflow.entry(&run.workflow_id).or_default().push(run);
    }
    let of_one = |(at, one): (usize, &Applied)| {
        let others = applied.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other);
        let window = Window::of(one, others, as_of_us).since_last(changes, one);
        let runs = by_workflow.get(one.workflow_id.as_str()).map_or(&[][..], Vec::as_slice);
        let fresh = found(one, window, runs, samples, level);
        let before = earlier.get(&(one.recommendation_id.clone(), one.applied_us));
        let found = before.filter(|before| before.knows_more(&fresh)).cloned().unwrap_or(fresh);
        Outcome { applied: one.clone(), found }
    };
    applied.iter().enumerate().map(of_one).collect()
}

/// Either side of a change, and how they differ.
struct Sides {
    n: [usize; 2],
    saving: Result<Saving, String>,
}

impl Sides {
    fn of([before, after]: [Vec<Point>; 2], what: &str, level: Level) -> Self {
        let counts = |points: &[Point]| points.iter().filter(|point| point.value > 0.0).count();
        let n = [counts(&before), counts(&after)];
        let found = n.into_iter().zip(["before", "after"]).find(|(n, _)| *n < MIN_RUNS);
        let saving = match found {
            Some((n, side)) => Err(format!("needs {MIN_RUNS} {what} {side}, found {n}")),
            None => shift(&before, &after)
                .map(|shift| Saving::of(&shift, mean(&before), level))
                .map_err(|error: NotComparable| error.to_string()),
        };
        Self { n, saving }
    }
}

impl Saving {
    fn of(shift: &Shift, before: f64, level: Level) -> Self {
        let (ratio, lower, upper) = shift.ratio(level);
        Self { share: 1.0 - ratio, lower: 1.0 - upper, upper: 1.0 - lower, before }
    }

    /// In the unit of what is compared: estimate, lower and upper end.
    #[must_use]
    pub fn amount(&self) -> [f64; 3] {
        [self.share, self.lower, self.upper].map(|share| share * self.before)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean(points: &[Point]) -> f64 {
    let counted = || points.iter().map(|point| point.value).filter(|value| *value > 0.0);
    counted().sum::<f64>() / counted().count() as f64
}

impl Found {
    /// Whether this, told earlier, rests on more than what is found now: runs leave the window that is read. Not where a
    /// decision since has changed what is to be compared.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn knows_more(&self, now: &Self) -> bool {
        // What the precision of a difference goes by.
        let weight = |[before, after]: [usize; 2]| before as f64 * after as f64 / (before + after).max(1) as f64;
        self.from_us == now.from_us && self.until_us <= now.until_us && weight(self.n) > weight(now.n)
    }
}

fn found(applied: &Applied, window: Window, runs: &[&MeasuredRun], samples: &Samples, level: Level) -> Found {
    let of_runs = |value: fn(&MeasuredRun) -> Option<f64>| {
        let point =
            |run: &&MeasuredRun| Some(Point { at_us: run.started_us, value: value(run)?, size: run.input_bytes });
        Sides::of(window.split(runs.iter().filter_map(point)), "runs", level)
    };
    let (time, cost) = (of_runs(|run| run.makespan_ms), of_runs(|run| run.cost_usd));
    let measure = Measure::of(applied);
    let held = matches!(measure, Measure::MemoryHeld | Measure::CpuHeld)
        .then(|| Sides::of(window.split(held(applied, measure, samples)), "executions with a request", level));
    let sides = match measure {
        Measure::EndToEnd => &time,
        Measure::Cost => &cost,
        Measure::MemoryHeld | Measure::CpuHeld => held.as_ref().unwrap_or(&time),
    };
    let saving = sides.saving.as_ref().ok().copied();
    let promised = promised(applied, measure, saving);
    let (verdict, reason) = match &sides.saving {
        Err(missing) if window.is_cut => {
            (Verdict::Unclear, format!("{missing}: the workflow was changed again too soon before or after"))
        }
        Err(missing) => (Verdict::Unclear, missing.clone()),
        Ok(saving) => judge(saving, promised, held.is_some().then_some(&time)),
    };
    Found {
        measure,
        n: sides.n,
        from_us: window.from_us,
        until_us: window.until_us,
        saving,
        promised,
        time: time.saving.ok(),
        cost: cost.saving.ok(),
        verdict,
        reason,
    }
}

/// The share that was promised of what is compared.
fn promised(applied: &Applied, measure: Measure, saving: Option<Saving>) -> Option<f64> {
    let Predicted { share, usd, given_back, .. } = applied.predicted;
    match measure {
        Measure::EndToEnd => share,
        Measure::Cost => Some(usd?[0] / saving?.before),
        Measure::MemoryHeld | Measure::CpuHeld => given_back,
    }
}

/// `time`: what must not get worse, beside what was to get better.
fn judge(saving: &Saving, promised: Option<f64>, time: Option<&Sides>) -> (Verdict, String) {
    if let Some(Sides { saving: Ok(time), .. }) = time
        && time.upper < 0.0
    {
        return (Verdict::Worse, "runs take longer since".to_owned());
    }
    let (verdict, reason) = if saving.lower > 0.0 {
        (Verdict::Worked, "all of the interval is a saving")
    } else if saving.upper < 0.0 {
        (Verdict::Worse, "all of the interval is a loss")
    } else if promised.is_some_and(|promised| saving.upper < promised) {
        (Verdict::NoEffect, "the interval holds no change, and not what was promised")
    } else {
        (Verdict::Unclear, "the interval holds no change as well as what was promised")
    };
    (verdict, reason.to_owned())
}

/// What each execution of the target's step held of what it asked for.
fn held<'a>(applied: &'a Applied, measure: Measure, samples: &'a Samples) -> impl Iterator<Item = Point> + 'a {
    let (suffix, requests) = match measure {
        Measure::CpuHeld => (CPU, &samples.cpu_request),
        Measure::EndToEnd | Measure::Cost | Measure::MemoryHeld => (MEMORY, &samples.memory_request_mb),
    };
    let step = applied.target.strip_suffix(suffix).and_then(|step| samples.vocabulary.code(step));
    let workflow = samples.vocabulary.code(&applied.workflow_id);
    let columns = samples.workflow_id.iter().zip(&samples.step).zip(requests).zip(&samples.duration_ms);
    let rows = columns.zip(&samples.started_us).zip(&samples.input_bytes).zip(&samples.cache_hit);
    rows.filter_map(move |((((((of, at), request), ms), started_us), size), is_cached)| {
        let is_meant = Some(*of) == workflow && Some(*at) == step && !is_cached;
        let point = Point { at_us: *started_us, value: request * ms, size: Some(*size) };
        (is_meant && point.value.is_finite()).then_some(point)
    })
}

#[cfg(test)]
mod tests;
