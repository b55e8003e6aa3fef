//! How good the predictions would have been: each held-out execution from what had ended before it started, beside
//! three rivals that anybody can compute.

use super::ModelScore;
use super::dataset::{Dataset, Event, events};
use super::regression::Expected;
use crate::samples::UNKNOWN;
use crate::stats::robust::median;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Half-width of the band that counts as right: ±20 %.
const WITHIN: f64 = 0.2;

/// Names of the rules that anybody can follow without a model.
const RIVALS: [&str; 4] = ["global_median", "step_median", "last_run", "recent_median"];

/// Errors of one model on held-out executions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Errors {
    relative: Vec<f64>,
    log_widths: Vec<f64>,
    absolute_sum: f64,
    actual_sum: f64,
    covered: u64,
}

impl Errors {
    /// Adds a point prediction.
    pub(crate) fn add(&mut self, actual: f64, predicted: f64) {
        let error = (predicted - actual).abs();
        self.relative.push(error / actual);
        self.absolute_sum += error;
        self.actual_sum += actual;
    }

    /// Adds the interval that came with the latest point, both on the log scale.
    pub(crate) fn add_interval(&mut self, log_actual: f64, lower: f64, upper: f64) {
        self.covered += u64::from(lower <= log_actual && log_actual <= upper);
        self.log_widths.push(upper - lower);
    }

    /// Takes in the errors of another group.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.relative.extend_from_slice(&other.relative);
        self.log_widths.extend_from_slice(&other.log_widths);
        self.absolute_sum += other.absolute_sum;
        self.actual_sum += other.actual_sum;
        self.covered += other.covered;
    }

    /// The row of `model_scores`; none where nothing was held out.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn score(&self, target: &str, group: &str, model: &str, level: f64) -> Option<ModelScore> {
        let n = self.relative.len();
        if n == 0 {
            return None;
        }
        let right = self.relative.iter().filter(|e| **e <= WITHIN).count();
        let intervals = self.log_widths.len();
        let coverage = if intervals == 0 { f64::NAN } else { self.covered as f64 / intervals as f64 };
        Some(ModelScore {
            target: target.to_owned(),
            group: group.to_owned(),
            model: model.to_owned(),
            is_rival: RIVALS.contains(&model),
            n: n as u64,
            in20: right as f64 / n as f64,
            mdape: median(&mut self.relative.clone()),
            wape: self.absolute_sum / self.actual_sum,
            coverage,
            width_ratio: median(&mut self.log_widths.clone()).exp(),
            level,
        })
    }
}

/// Errors of the model and of its rivals on the same executions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contest {
    pub(crate) model: Errors,
    pub(crate) global_median: Errors,
    pub(crate) step_median: Errors,
    pub(crate) last_run: Errors,
}

impl Contest {
    /// Takes in another group.
    pub(crate) fn merge(&mut self, other: &Self) {
        let Self { model, global_median, step_median, last_run } = other;
        self.model.merge(model);
        self.global_median.merge(global_median);
        self.step_median.merge(step_median);
        self.last_run.merge(last_run);
    }

    /// One row each, the model first.
    pub(crate) fn scores(&self, target: &str, group: &str, level: f64) -> Vec<ModelScore> {
        let Self { model, global_median, step_median, last_run } = self;
        let rivals =
            [(global_median, "global_median"), (step_median, "step_median"), (last_run, "last_run")].into_iter();
        std::iter::once((model, super::train::LEARNER))
            .chain(rivals)
            .filter_map(|(errors, name)| errors.score(target, group, name, level))
            .collect()
    }
}

/// Scores the rows of `test`. `bounds` gives the bounds of a step in scales; `global_log` is the median of all that was
/// trained on, which also stands in for a rival that has not seen the step.
pub(crate) fn contest(
    data: &Dataset,
    test: Range<usize>,
    walked: &[Expected],
    bounds: impl Fn(usize) -> (f64, f64),
    global_log: f64,
) -> Contest {
    let mut out = Contest::default();
    let mut rivals = Rivals::new(data.step.codes.len());
    for event in events(data) {
        let row = match event {
            Event::Ended(row) if data.is_censored(row) => continue,
            Event::Ended(row) => {
                rivals.observe(step_of(data, row), data.log_y.get(row).copied().unwrap_or(f64::NAN));
                continue;
            }
            Event::Started(row) => row,
        };
        let is_scored = test.contains(&row) && !data.is_censored(row);
        let (true, Some(&log_y), Some(expected)) = (is_scored, data.log_y.get(row), walked.get(row)) else {
            continue;
        };
        let step = step_of(data, row);
        let (lower, upper) = bounds(step);
        out.model.add(log_y.exp(), expected.log.exp());
        out.model.add_interval(log_y, expected.log + lower * expected.scale, expected.log + upper * expected.scale);
        out.global_median.add(log_y.exp(), global_log.exp());
        out.step_median.add(log_y.exp(), rivals.median(step).unwrap_or(global_log).exp());
        out.last_run.add(log_y.exp(), rivals.last(step).unwrap_or(global_log).exp());
    }
    out
}

fn step_of(data: &Dataset, row: usize) -> usize {
    data.step.of_row.get(row).copied().unwrap_or(UNKNOWN) as usize
}

/// A float that sorts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ordered(pub(crate) f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Median of all values so far, in two heaps: the lower half with its largest on top, the upper with its smallest.
#[derive(Debug, Default)]
pub(crate) struct RunningMedian {
    lower: BinaryHeap<Ordered>,
    upper: BinaryHeap<Reverse<Ordered>>,
}

impl RunningMedian {
    /// Adds a value; NaN is left out.
    pub(crate) fn push(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.lower.push(Ordered(value));
        self.upper.extend(self.lower.pop().map(Reverse));
        if self.upper.len() > self.lower.len() {
            self.lower.extend(self.upper.pop().map(|Reverse(value)| value));
        }
    }

    /// The median, none before the first value.
    pub(crate) fn get(&self) -> Option<f64> {
        let low = self.lower.peek()?.0;
        match self.upper.peek() {
            Some(Reverse(high)) if self.upper.len() == self.lower.len() => Some(f64::midpoint(low, high.0)),
            _ => Some(low),
        }
    }
}

/// What the online rivals remember of each step.
struct Rivals {
    medians: Vec<RunningMedian>,
    last: Vec<Option<f64>>,
}

impl Rivals {
    fn new(n_steps: usize) -> Self {
        Self { medians: (0..n_steps).map(|_| RunningMedian::default()).collect(), last: vec![None; n_steps] }
    }

    fn observe(&mut self, step: usize, log_y: f64) {
        if let (Some(median), Some(last)) = (self.medians.get_mut(step), self.last.get_mut(step)) {
            median.push(log_y);
            *last = Some(log_y);
        }
    }

    fn median(&self, step: usize) -> Option<f64> {
        self.medians.get(step).and_then(RunningMedian::get)
    }

    fn last(&self, step: usize) -> Option<f64> {
        self.last.get(step).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_running_median_equals_the_median_of_all_so_far() {
        let mut running = RunningMedian::default();
        assert!(running.get().is_none());
        let mut seen = Vec::new();
        for i in 0..200_u32 {
            let value = f64::from(i * 7919 % 101);
            seen.push(value);
            running.push(value);
            running.push(f64::NAN);
            assert!((running.get().unwrap() - median(&mut seen.clone())).abs() < 1e-12);
        }
    }

    #[test]
    fn scores_of_known_errors() {
        let mut errors = Errors::default();
        for (actual, predicted) in [(100.0, 110.0), (100.0, 50.0), (200.0, 200.0)] {
            errors.add(actual, predicted);
        }
        errors.add_interval(0.0, -1.0, 1.0);
        errors.add_interval(3.0, -1.0, 1.0);
        let score = errors.score("duration_ms", "*", "last_run", 0.9).unwrap();
        assert!((score.in20 - 2.0 / 3.0).abs() < 1e-12 && (score.mdape - 0.1).abs() < 1e-12);
        assert!((score.wape - 60.0 / 400.0).abs() < 1e-12 && (score.coverage - 0.5).abs() < 1e-12);
        assert!((score.width_ratio - 2.0_f64.exp()).abs() < 1e-12 && score.is_rival);
        assert!(Errors::default().score("x", "*", "y", 0.9).is_none());
    }
}
