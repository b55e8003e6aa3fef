//! What each step has to do with how long runs take.

use super::recording::StepCodes;
use super::replay::ReplayError;
use super::timeline::{Timeline, slacks_ms};
use super::{Ensemble, Recording, RunGraph};
use std::cmp::Reverse;
use std::sync::Arc;

/// The steps in the recent runs of a workflow.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunTimes {
    /// The step that blocks longest first.
    pub steps: Vec<StepTimes>,
    /// The run whose end-to-end time is nearest to the median, the latest among equals: recorded, or where that is unknown
    /// as its steps follow one another. Empty where there is no run.
    pub typical_run_id: String,
}

/// One step in the runs of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTimes {
    /// The step.
    pub step: Arc<str>,
    /// Runs that have it.
    pub n_runs: usize,
    /// Its executions in these.
    pub n_executions: usize,
    /// Mean time of an execution; what a cache answered takes none.
    pub duration_ms: f64,
    /// Mean time between an execution's last dependency having ended and its start; NaN where times are unknown.
    pub wait_ms: f64,
    /// How much longer its tightest execution could take before the run did, if nobody had to wait for a slot (total
    /// float; Kelley 1961); mean over its runs.
    pub slack_ms: f64,
    /// Time that runs spend in it with nothing else to be waited for, its waits included; mean over all runs.
    pub blocking_ms: f64,
    /// That part of the runs' whole time: over all steps it adds up to 1.
    pub blocking_share: f64,
    /// Its place in the typical run; none where that run lacks it.
    pub typical: Option<StepSpan>,
}

/// From when to when a step ran in one run, in time since the run's start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSpan {
    /// When the first of its executions could have started.
    pub ready_ms: f64,
    /// When the first of them started; where times are unknown, when it was ready.
    pub start_ms: f64,
    /// When the last of them ended.
    pub end_ms: f64,
    /// Whether the run's end waited for one of them: followed back from the execution that ended last, the dependency that
    /// ended last, and so on.
    pub is_critical: bool,
}

impl Ensemble {
    /// The steps in its runs; with the dependencies that times show where none were declared.
    #[must_use]
    pub fn step_times(&self) -> RunTimes {
        of_runs(&self.named_recordings().collect::<Vec<_>>(), self.steps())
    }
}

/// The steps of `graphs`, the one that blocks longest first. What blocks is followed back from the end: of the execution
/// that ended last, the dependency that ended last, and so on; without times the critical path.
///
/// # Errors
/// As [`super::critical_path()`], for the first run that has none.
pub fn step_times(graphs: &[&RunGraph]) -> Result<Vec<StepTimes>, ReplayError> {
    let mut codes = StepCodes::default();
    let recordings = graphs.iter().map(|graph| Recording::new(graph, &mut codes)).collect::<Result<Vec<_>, _>>()?;
    let named: Vec<(&str, &Recording)> = graphs.iter().map(|graph| graph.run_id.as_str()).zip(&recordings).collect();
    Ok(of_runs(&named, codes.names()).steps)
}

/// `names`: of the steps, by the codes of the recordings.
fn of_runs(runs: &[(&str, &Recording)], names: &[Arc<str>]) -> RunTimes {
    let mut sums = vec![Sums::default(); names.len()];
    let mut end_to_end_ms = Vec::with_capacity(runs.len());
    for (_, run) in runs {
        let timeline = Timeline::of(run);
        end_to_end_ms.push(run.recorded_ms.unwrap_or_else(|| timeline.ended_ms()));
        add(run, &timeline, &mut sums);
    }
    let typical = typical(runs, &end_to_end_ms);
    let spans = typical.map_or_else(|| vec![None; names.len()], |(_, run)| spans(run, names.len()));
    let whole_ms: f64 = sums.iter().map(|sums| sums.blocking_ms).sum();
    let told = names.iter().zip(sums).zip(spans).filter(|((_, sums), _)| sums.n_executions > 0);
    let mut steps: Vec<StepTimes> =
        told.map(|((step, sums), span)| sums.told(step, runs.len(), whole_ms, span)).collect();
    steps.sort_by(|a, b| b.blocking_ms.total_cmp(&a.blocking_ms).then_with(|| a.step.cmp(&b.step)));
    RunTimes { steps, typical_run_id: typical.map_or_else(String::new, |(run_id, _)| run_id.to_owned()) }
}

#[derive(Debug, Clone, Default)]
struct Sums {
    n_runs: usize,
    n_executions: usize,
    n_waits: usize,
    duration_ms: f64,
    wait_ms: f64,
    slack_ms: f64,
    blocking_ms: f64,
}

impl Sums {
    fn told(self, step: &Arc<str>, n_runs: usize, whole_ms: f64, typical: Option<StepSpan>) -> StepTimes {
        StepTimes {
            step: Arc::clone(step),
            n_runs: self.n_runs,
            n_executions: self.n_executions,
            duration_ms: self.duration_ms / self.n_executions as f64,
            wait_ms: self.wait_ms / self.n_waits as f64,
            slack_ms: self.slack_ms / self.n_runs as f64,
            blocking_ms: self.blocking_ms / n_runs as f64,
            blocking_share: if whole_ms > 0.0 { self.blocking_ms / whole_ms } else { 0.0 },
            typical,
        }
    }
}

/// Adds one run to the `sums` of its steps: (n_steps,).
fn add(run: &Recording, timeline: &Timeline, sums: &mut [Sums]) {
    let slacks_ms = slacks_ms(&run.topology, &run.durations_ms);
    let mut tightest_ms = vec![f64::INFINITY; sums.len()];
    for (id, &step) in run.steps.iter().enumerate() {
        let step = step as usize;
        let sum = &mut sums[step];
        sum.n_executions += usize::from(run.is_execution[id]);
        sum.duration_ms += run.durations_ms[id];
        if run.times.is_some() && !run.cached[id] && run.is_execution[id] {
            sum.n_waits += 1;
            sum.wait_ms += timeline.start_ms[id] - timeline.ready_ms[id];
        }
        tightest_ms[step] = tightest_ms[step].min(slacks_ms[id]);
    }
    for (sum, slack_ms) in sums.iter_mut().zip(tightest_ms).filter(|(_, slack_ms)| slack_ms.is_finite()) {
        sum.n_runs += 1;
        sum.slack_ms += slack_ms;
    }
    for (id, blocking_ms) in timeline.chain() {
        sums[run.steps[id] as usize].blocking_ms += blocking_ms;
    }
}

/// The run nearest to the median; of an even number both in the middle are equally near.
fn typical<'a>(runs: &[(&'a str, &'a Recording)], end_to_end_ms: &[f64]) -> Option<(&'a str, &'a Recording)> {
    let mut sorted = end_to_end_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = [*sorted.get(sorted.len().checked_sub(1)? / 2)?, *sorted.get(sorted.len() / 2)?];
    let nearest =
        runs.iter().zip(end_to_end_ms).filter(|(_, ms)| middle.iter().any(|middle| ms.total_cmp(middle).is_eq()));
    nearest.map(|(run, _)| *run).min_by_key(|(run_id, run)| (Reverse(run.started_us), *run_id))
}

/// Where each step lies in one run: (n_steps,). Executions that a cache answered count only where no other took place.
fn spans(run: &Recording, n_steps: usize) -> Vec<Option<StepSpan>> {
    let timeline = Timeline::of(run);
    let mut is_critical = vec![false; run.len()];
    timeline.chain().for_each(|(id, _)| is_critical[id] = true);
    let of = |cached: bool| {
        let mut spans: Vec<Option<StepSpan>> = vec![None; n_steps];
        for id in (0..run.len()).filter(|id| run.cached[*id] == cached) {
            let one = StepSpan {
                ready_ms: timeline.ready_ms[id],
                start_ms: timeline.start_ms[id],
                end_ms: timeline.end_ms[id],
                is_critical: is_critical[id],
            };
            let span = &mut spans[run.steps[id] as usize];
            *span = Some(span.map_or(one, |span| span.and(one)));
        }
        spans
    };
    of(false).into_iter().zip(of(true)).map(|(ran, cached)| ran.or(cached)).collect()
}

impl StepSpan {
    fn and(self, other: Self) -> Self {
        Self {
            ready_ms: self.ready_ms.min(other.ready_ms),
            start_ms: self.start_ms.min(other.start_ms),
            end_ms: self.end_ms.max(other.end_ms),
            is_critical: self.is_critical || other.is_critical,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::EnsembleParams;
    use super::super::examples::{empty, fork_join, timed};
    use super::*;

    fn of<'a>(told: &'a [StepTimes], step: &str) -> &'a StepTimes {
        told.iter().find(|one| &*one.step == step).unwrap()
    }

    #[test]
    fn what_blocks_adds_up_to_the_run_and_what_does_not_has_slack() {
        let told = step_times(&[&fork_join()]).unwrap();
        assert_eq!(told.iter().map(|one| &*one.step).collect::<Vec<_>>(), ["b", "a", "d", "c"]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(told.iter().map(|one| one.blocking_ms).sum(), 45.0);
        near(told.iter().map(|one| one.blocking_share).sum(), 1.0);
        near(of(&told, "c").slack_ms, 10.0);
        near(of(&told, "b").slack_ms, 0.0);
        assert!(of(&told, "a").wait_ms.is_nan(), "nothing is known of waits");
    }

    #[test]
    fn a_wait_for_a_slot_is_time_that_the_step_blocks() {
        // c waits for b's slot, and then ends last.
        let run = timed(&[("a", 0.0, 10.0, &[]), ("b", 10.0, 30.0, &[0]), ("c", 40.0, 20.0, &[0])]);
        let told = step_times(&[&run, &run]).unwrap();
        let c = of(&told, "c");
        assert!((c.wait_ms - 30.0).abs() < 1e-9 && (c.blocking_ms - 50.0).abs() < 1e-9, "{c:?}");
        assert!((c.blocking_share - 50.0 / 60.0).abs() < 1e-9);
        assert_eq!((c.n_runs, c.n_executions), (2, 2));
        assert!(of(&told, "b").blocking_ms.abs() < 1e-9 && (c.slack_ms - 10.0).abs() < 1e-9);
    }

    fn ensemble(runs: &[RunGraph]) -> RunTimes {
        let params = EnsembleParams { min_runs: 1, ..EnsembleParams::default() };
        Ensemble::new(&runs.iter().collect::<Vec<_>>(), params).unwrap().step_times()
    }

    /// a, then b after a wait of 5, for as long as it is said; c beside it.
    fn waiting(run_id: &str, started_us: i64, b_ms: f64) -> RunGraph {
        let mut run = timed(&[("a", 0.0, 10.0, &[]), ("b", 15.0, b_ms, &[0]), ("c", 10.0, 4.0, &[0])]);
        (run.run_id, run.started_us) = (run_id.to_owned(), started_us);
        run
    }

    #[test]
    fn the_run_nearest_to_the_median_is_the_typical_one() {
        let runs = [waiting("long", 9, 90.0), waiting("early", 1, 30.0), waiting("short", 8, 20.0)];
        let told = ensemble(&runs);
        assert_eq!(told.typical_run_id, "early");
        let span = of(&told.steps, "b").typical.unwrap();
        assert_eq!(span, StepSpan { ready_ms: 10.0, start_ms: 15.0, end_ms: 45.0, is_critical: true });
        assert!(!of(&told.steps, "c").typical.unwrap().is_critical);
        // Of an even number the two in the middle are equally near, and the later is taken.
        let four = [waiting("late", 7, 40.0), runs[0].clone(), runs[1].clone(), runs[2].clone()];
        assert_eq!(ensemble(&four).typical_run_id, "late");
        assert_eq!(ensemble(&[waiting("x", 1, 9.0), waiting("y", 2, 9.0), waiting("a", 2, 9.0)]).typical_run_id, "a");
    }

    #[test]
    fn without_times_steps_lie_where_their_dependencies_let_them_start() {
        let told = ensemble(&[fork_join()]);
        let spans = ["a", "b", "c", "d"].map(|step| of(&told.steps, step).typical.unwrap());
        assert_eq!(
            spans.map(|span| (span.ready_ms, span.start_ms, span.end_ms)),
            [(0.0, 0.0, 10.0), (10.0, 10.0, 40.0), (10.0, 10.0, 30.0), (40.0, 40.0, 45.0)]
        );
        assert_eq!(spans.map(|span| span.is_critical), [true, true, false, true]);
    }

    #[test]
    fn what_a_cache_answers_takes_no_time_and_hides_no_start() {
        let mut run = timed(&[("a", 0.0, 10.0, &[]), ("b/1", 12.0, 30.0, &[0]), ("b/2", 0.0, 99.0, &[0])]);
        run.nodes[2].cached = true;
        let b = of(&ensemble(&[run.clone()]).steps, "b").clone();
        assert_eq!(b.typical, Some(StepSpan { ready_ms: 10.0, start_ms: 12.0, end_ms: 42.0, is_critical: true }));
        assert_eq!((b.n_executions, b.duration_ms, b.wait_ms), (2, 15.0, 2.0));
        run.nodes[1].cached = true;
        let b = of(&ensemble(&[run]).steps, "b").clone();
        assert_eq!(b.typical, Some(StepSpan { ready_ms: 10.0, start_ms: 10.0, end_ms: 10.0, is_critical: false }));
        assert!(b.wait_ms.is_nan(), "nothing of it waited in this run");
    }

    #[test]
    fn a_step_that_the_typical_run_lacks_has_no_place_in_it() {
        let mut other = timed(&[("a", 0.0, 10.0, &[]), ("extra", 10.0, 500.0, &[0])]);
        other.started_us = 9;
        let told = ensemble(&[waiting("early", 1, 30.0), waiting("typical", 2, 31.0), other]);
        assert_eq!(told.typical_run_id, "typical");
        let extra = of(&told.steps, "extra");
        assert_eq!((extra.typical, extra.n_runs), (None, 1));
        assert!((told.steps.iter().map(|step| step.blocking_share).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_comes_of_nothing_and_bad_durations_are_refused() {
        assert_eq!(step_times(&[&empty()]).unwrap(), []);
        assert_eq!(step_times(&[]).unwrap(), []);
        let mut bad = fork_join();
        bad.nodes[1].duration_ms = f64::NAN;
        assert!(matches!(step_times(&[&bad]), Err(ReplayError::Duration { .. })));
    }
}
