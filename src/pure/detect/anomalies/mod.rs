//! Strange executions: outcomes that step, input size, provider, platform and hour do not explain.
//!
//! Each outcome is first brought to a standardised residual (see `residuals`). How surprising a residual is depends on
//! the tail of its column in its workflow type (see `tails`): durations have a long one, memory has not, so the same
//! distance means less in the one than in the other. The most surprising column leads; an isolation forest over all
//! columns adds what only their combination shows. Alone it finds little: its cuts fall where the data are, not where
//! the lone fault lies.

mod columns;
mod residuals;
mod tails;

use self::columns::{COLUMNS, Column, DURATION, N_COLUMNS};
use self::residuals::{ColumnNormal, MIN_STEP_ROWS, Residual, Resolved, frame};
use self::tails::Tail;
use crate::detect::{Skip, SkipSubject};
use crate::learn::Anomaly;
use crate::learn::dataset::{Dataset, groups};
use crate::learn::isolation_forest::{self, Forest, ForestParams};
use crate::samples::{Samples, Vocabulary};
use crate::stats::robust::median;
use crate::units::{DAY_US, Interval, Level};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the analysis in `skips`.
const ANALYSIS: &str = "anomalies";
/// An execution no column of which is at least so many scales off is no anomaly, however rare.
const MIN_Z: f64 = 3.0;
/// How much the forest's surprise counts beside that of the leading column.
const FOREST_WEIGHT: f64 = 0.25;
/// Only executions that are led by a column as rarely as one in so many are shown to the forest: it can't make the
/// others an anomaly, and this keeps scoring fast.
const FOREST_FROM: f64 = 10.0;
/// Rows that the forest is grown and calibrated on.
const FOREST_ROWS: usize = 4096;
/// Executions are as surprising as others within a factor e in probability.
const ALIKE: f64 = 1.0;
/// More than one in twenty executions is never strange.
const MAX_ALARM_RATE: f64 = 0.05;
/// Beyond the alarms, executions are told as long as no more than this share of all that are told is expected to be
/// ordinary: who looks through them finds one in four to be strange.
const FALSE_DISCOVERIES: f64 = 0.75;
/// Factor between rates that are tried for that.
const RATE_STEP: f64 = 1.25;
/// Severity of an execution that is told without being an alarm.
const NO_ALARM: &str = "info";
/// Surprise at which the score is a half.
const HALF_SCORE: f64 = 15.0;

/// How to look for anomalies.
///
/// | name | default | purpose | range |
/// |---|---|---|---|
/// | `sensitivity` | 0.1 | false alarms tolerated per series (workflow and step) and week | > 0 |
/// | `min_samples` | 50 | a workflow type with fewer executions is skipped | ≥ 10 |
/// | `seed` | 0 | seed of the forest | any |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomalyParams {
    /// False alarms tolerated per series (workflow and step) and week.
    pub sensitivity: f64,
    /// Executions that a workflow type needs.
    pub min_samples: usize,
    /// Seed of the forest.
    pub seed: u64,
}

impl Default for AnomalyParams {
    fn default() -> Self {
        Self { sensitivity: 0.1, min_samples: 50, seed: 0 }
    }
}

/// What is normal in each workflow type, learned from a window of executions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Detectors {
    groups: BTreeMap<String, Detector>,
}

/// What is normal in one workflow type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Detector {
    /// In the order of [`COLUMNS`]; none where a column is unknown.
    columns: Vec<Option<ColumnNormal>>,
    forest: Option<(Forest, Tail)>,
    /// Surprise beyond which an execution is an alarm.
    threshold: f64,
    /// Surprise beyond which an execution is told; not above `threshold`.
    told_from: f64,
    /// Share of ordinary executions that may be called anomalies.
    alarm_rate: f64,
}

/// Alarms beside those that were promised.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AlarmRate {
    /// Executions, those of steps without a normal included.
    pub n_judged: u64,
    /// Anomalies among them.
    pub n_alarms: u64,
    /// Share of ordinary ones that may be called anomalies.
    pub promised: f64,
}

/// Learns what is normal. A workflow type with fewer than `min_samples` executions is skipped, with the numbers; steps
/// with too few executions for a normal of their own are counted in a skip of their workflow type. `weekly` says how
/// many executions a series (workflow and step) of a workflow type has in a week; where it does not, they are counted in
/// `samples`, which are fewer where those were thinned.
#[must_use]
pub fn fit_detectors(
    samples: &Samples,
    weekly: &BTreeMap<String, f64>,
    params: &AnomalyParams,
) -> (Detectors, Vec<Skip>) {
    let rows: Vec<(&str, Vec<u32>)> = groups(samples).into_iter().collect();
    let fitted: Vec<(&str, Option<Detector>, Option<Skip>)> = rows
        .into_par_iter()
        .map(|(name, rows)| {
            let (detector, skip) = Detector::fit(name, samples, &rows, weekly.get(name).copied(), params);
            (name, detector, skip)
        })
        .collect();
    let (mut detectors, mut skips) = (Detectors::default(), Vec::new());
    for (name, detector, skip) in fitted {
        detectors.groups.extend(detector.map(|detector| (name.to_owned(), detector)));
        skips.extend(skip);
    }
    (detectors, skips)
}

impl Detectors {
    /// The anomalies among `samples`, by row. `level` is that of the interval in which values were expected; it has no
    /// influence on what counts as an anomaly. Executions of steps that have no normal yet are not judged: see
    /// [`Detectors::unscored`].
    #[must_use]
    pub fn score(&self, samples: &Samples, level: Level) -> Vec<Anomaly> {
        let rows: Vec<(&str, Vec<u32>)> = groups(samples).into_iter().collect();
        let mut anomalies: Vec<Anomaly> = rows
            .par_iter()
            .filter_map(|(name, rows)| Some((self.groups.get(*name)?, rows)))
            .flat_map_iter(|(detector, rows)| detector.anomalies(samples, rows, level))
            .collect();
        anomalies.sort_unstable_by_key(|anomaly| anomaly.row);
        anomalies
    }

    /// How far durations of `rows`, which are of one workflow type, lie off what is expected of them, as logarithms of
    /// milliseconds; those of which that is not known are left out.
    pub(crate) fn durations(&self, workflow_type: &str, samples: &Samples, rows: &[u32]) -> Vec<(u32, Residual)> {
        let normal = self.groups.get(workflow_type).and_then(|group| group.columns.get(DURATION)?.as_ref());
        let (Some(normal), Some(column)) = (normal, COLUMNS.get(DURATION)) else { return Vec::new() };
        let data = frame(samples, rows);
        let resolved = normal.resolve(&data, &samples.vocabulary);
        let residual =
            |(at, &row): (usize, &u32)| Some((row, resolved.residual(&data, at, column.log(samples, row as usize))?));
        data.rows.iter().enumerate().filter_map(residual).collect()
    }

    /// Alarms by workflow type: how many of `anomalies` are (all but those of severity `info`), and how many executions
    /// `samples` holds.
    #[must_use]
    pub fn alarm_rates(&self, samples: &Samples, anomalies: &[Anomaly]) -> BTreeMap<String, AlarmRate> {
        let mut rates: BTreeMap<u32, AlarmRate> = BTreeMap::new();
        for &code in &samples.workflow_type {
            rates.entry(code).or_default().n_judged += 1;
        }
        let alarms = anomalies.iter().filter(|anomaly| anomaly.severity != NO_ALARM);
        for code in alarms.filter_map(|anomaly| samples.workflow_type.get(anomaly.row)) {
            rates.entry(*code).or_default().n_alarms += 1;
        }
        let of_type = |(code, rate): (u32, AlarmRate)| {
            let name = samples.vocabulary.word(code)?;
            let promised = self.groups.get(name)?.alarm_rate;
            Some((name.to_owned(), AlarmRate { promised, ..rate }))
        };
        rates.into_iter().filter_map(of_type).collect()
    }

    /// The executions that can't be judged, counted by workflow type: their step had no normal when the detectors were
    /// learned. Workflow types without a detector are told about by [`fit_detectors`].
    #[must_use]
    pub fn unscored(&self, samples: &Samples) -> Vec<Skip> {
        groups(samples)
            .into_iter()
            .filter_map(|(name, rows)| {
                let detector = self.groups.get(name)?;
                let data = frame(samples, &rows);
                let known: Vec<bool> =
                    data.step.codes.iter().map(|&code| detector.knows(&samples.vocabulary, code)).collect();
                let n = data.step.of_row.iter().filter(|&&s| known.get(s as usize) == Some(&false)).count();
                let steps = known.iter().filter(|known| !**known).count();
                let reason = format!("{n} executions of {steps} steps have no normal to be judged by yet");
                (n > 0).then(|| skip(name, reason))
            })
            .collect()
    }
}

fn skip(workflow_type: &str, reason: String) -> Skip {
    let subject = SkipSubject::Workflow { workflow: workflow_type.to_owned(), step: None };
    Skip { analysis: ANALYSIS, subject, reason }
}

/// How far one execution is off in all columns.
type Residuals = [Option<Residual>; N_COLUMNS];

/// The same in scales of each column, NaN where it is not known.
type Deviations = [f64; N_COLUMNS];

/// The column that leads, and how surprising the execution is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Leading {
    column: usize,
    surprise: f64,
}

impl Detector {
    fn fit(
        name: &str,
        samples: &Samples,
        rows: &[u32],
        weekly: Option<f64>,
        params: &AnomalyParams,
    ) -> (Option<Self>, Option<Skip>) {
        let needed = params.min_samples.max(MIN_STEP_ROWS);
        let mut data = frame(samples, rows);
        if data.len() < needed {
            return (None, Some(skip(name, format!("needs {needed} executions, found {}", data.len()))));
        }
        let mut all: Vec<Deviations> = vec![[f64::NAN; N_COLUMNS]; data.len()];
        let mut fit = |column: usize| {
            let (normal, z) = ColumnNormal::fit(&mut data, column, samples, needed, params.seed)?;
            let slots = all.iter_mut().filter_map(|row| row.get_mut(column));
            slots.zip(z).for_each(|(slot, z)| *slot = z);
            Some(normal)
        };
        let columns: Vec<Option<ColumnNormal>> = (0..N_COLUMNS).map(&mut fit).collect();
        if columns.iter().all(Option::is_none) {
            let reason =
                format!("no outcome is known of {needed} executions of steps run {MIN_STEP_ROWS} times or more");
            return (None, Some(skip(name, reason)));
        }
        let alarm_rate = alarm_rate(weekly.unwrap_or_else(|| weekly_executions(&data, samples)), params.sensitivity);
        let mut detector =
            Self { columns, forest: None, threshold: f64::INFINITY, told_from: f64::INFINITY, alarm_rate };
        detector.forest = grow(&all, params.seed);
        detector.learn_thresholds(&all);
        let young = data.step.codes.iter().filter(|&&code| !detector.knows(&samples.vocabulary, code)).count();
        let reason = || format!("{young} steps with fewer than {MIN_STEP_ROWS} executions have no normal yet");
        (Some(detector), (young > 0).then(|| skip(name, reason())))
    }

    fn knows(&self, words: &Vocabulary, step: u32) -> bool {
        let Some(step) = words.word(step) else { return false };
        self.columns.iter().flatten().any(|column| column.knows(step))
    }

    fn resolve<'a>(&'a self, data: &Dataset, words: &Vocabulary) -> [Option<Resolved<'a>>; N_COLUMNS] {
        std::array::from_fn(|j| self.columns.get(j)?.as_ref().map(|column| column.resolve(data, words)))
    }

    fn surprise(&self, column: usize, z: f64) -> Option<f64> {
        (!z.is_nan()).then_some(self.columns.get(column)?.as_ref()?.surprise(z))
    }

    fn leading(&self, deviations: &Deviations) -> Option<Leading> {
        let surprises =
            deviations.iter().enumerate().filter_map(|(column, z)| Some((column, self.surprise(column, *z)?)));
        let leading = surprises.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        Some(Leading { column: leading.0, surprise: leading.1 })
    }

    /// The surprise from which an execution is shown to the forest: the most surprising of n tails is as rare as one
    /// in m where that tail by itself is one in n·m.
    fn forest_from(&self) -> f64 {
        (FOREST_FROM * self.n_tails()).ln()
    }

    /// How many tails are judged: two of each column.
    fn n_tails(&self) -> f64 {
        2.0 * count(self.columns.iter().flatten().count())
    }

    /// The leading column of each execution, with the forest's share where that is out of the ordinary.
    fn surprises(&self, all: &[Deviations]) -> Vec<Option<Leading>> {
        let mut leading: Vec<Option<Leading>> = all.iter().map(|row| self.leading(row)).collect();
        let from = self.forest_from();
        let shown = || leading.iter().zip(all).filter(|(leading, _)| leading.is_some_and(|l| l.surprise >= from));
        let x: Vec<f32> = shown().flat_map(|(_, row)| features(row)).collect();
        if let Some((forest, tail)) = &self.forest {
            let shown = leading.iter_mut().flatten().filter(|leading| leading.surprise >= from);
            for (leading, score) in shown.zip(forest.score(&x)) {
                leading.surprise += FOREST_WEIGHT * tail.surprise(score);
            }
        }
        leading
    }

    /// Learns from which surprise an execution is an alarm, and from which it is told.
    ///
    /// Alarms keep to their rate among ordinary executions: the threshold is what they exceed at it, not what all
    /// executions do, for among those the true anomalies would use up the promise. Where a series has many executions
    /// that rate is tiny, and most true anomalies lie below; so those are told that are found at a rate of false
    /// discoveries (Benjamini and Hochberg, JRSS B 57, 1995).
    fn learn_thresholds(&mut self, all: &[Deviations]) {
        let alone = all.iter().map(|row| self.leading(row));
        let both: Vec<(f64, f64)> = alone
            .zip(self.surprises(all))
            .filter_map(|(alone, both)| Some((alone?.surprise, both?.surprise)))
            .collect();
        let threshold = self.exceeded_at(&both, self.alarm_rate);
        let mut surprises: Vec<f64> = both.iter().map(|(_, both)| *both).collect();
        surprises.sort_unstable_by(f64::total_cmp);
        let rates = std::iter::successors(Some(self.alarm_rate), |rate| Some(rate * RATE_STEP));
        let is_found = |&(rate, from): &(f64, f64)| {
            let n_told = surprises.len() - surprises.partition_point(|surprise| *surprise <= from);
            rate * count(surprises.len()) <= FALSE_DISCOVERIES * count(n_told)
        };
        let tried = rates.take_while(|rate| *rate <= MAX_ALARM_RATE).map(|rate| (rate, self.exceeded_at(&both, rate)));
        let told_from = tried.filter(is_found).last().map_or(threshold, |(_, from)| from);
        (self.threshold, self.told_from) = (threshold, told_from.min(threshold));
    }

    /// The surprise that ordinary executions exceed at `rate`: the most surprising of n tails, each of which exceeds it
    /// at an n-th of that, and what the forest adds to executions as surprising. `both` holds, of each execution, the
    /// surprise of its leading column alone and with the forest's.
    fn exceeded_at(&self, both: &[(f64, f64)], rate: f64) -> f64 {
        let of_tail = (self.n_tails() / rate).ln();
        let alike = both.iter().filter(|(alone, _)| (alone - of_tail).abs() <= ALIKE);
        let mut added: Vec<f64> = alike.map(|(alone, both)| both - alone).collect();
        of_tail + if added.is_empty() { FOREST_WEIGHT * of_tail } else { median(&mut added) }
    }

    fn anomalies(&self, samples: &Samples, rows: &[u32], level: Level) -> Vec<Anomaly> {
        let data = frame(samples, rows);
        let resolved = self.resolve(&data, &samples.vocabulary);
        let all: Vec<Residuals> = (0..data.len()).map(|row| residuals(&resolved, &data, samples, row)).collect();
        let deviations: Vec<Deviations> = all.iter().map(|row| row.map(deviation)).collect();
        let from = self.forest_from();
        let is_strange = |leading: &Leading| leading.surprise >= from && leading.surprise > self.told_from;
        let judged = self.surprises(&deviations).into_iter().zip(&all).zip(&data.rows);
        judged
            .filter_map(|((leading, residuals), &row)| {
                self.describe(samples, row as usize, residuals, leading.filter(is_strange)?, level)
            })
            .collect()
    }

    fn describe(
        &self,
        samples: &Samples,
        row: usize,
        residuals: &Residuals,
        leading: Leading,
        level: Level,
    ) -> Option<Anomaly> {
        let column = COLUMNS.get(leading.column)?;
        let normal = self.columns.get(leading.column)?.as_ref()?;
        let residual = (*residuals.get(leading.column)?)?;
        let surprise = leading.surprise;
        if residual.z.abs() < MIN_Z {
            return None;
        }
        let tail = level.alpha() / 2.0;
        let lower = column.natural(residual.expected - residual.scale * normal.below.quantile(tail));
        let upper = column.natural(residual.expected + residual.scale * normal.above.quantile(tail));
        Some(Anomaly {
            row,
            score: surprise / (surprise + HALF_SCORE),
            direction: if residual.z > 0.0 { column.directions.0 } else { column.directions.1 },
            severity: severity(surprise - self.threshold),
            metric: column.name,
            observed: column.observed(samples, row),
            expected: column.natural(residual.expected),
            interval: Interval { lower, upper, level },
            reasons: self.reasons(residuals),
        })
    }

    /// Columns that are off, the most surprising first.
    fn reasons(&self, residuals: &Residuals) -> Vec<String> {
        let mut off: Vec<(f64, &Column, Residual)> = COLUMNS
            .iter()
            .enumerate()
            .zip(residuals)
            .filter_map(|((j, column), residual)| Some((self.surprise(j, (*residual)?.z)?, column, (*residual)?)))
            .filter(|(_, _, residual)| residual.z.abs() >= MIN_Z)
            .collect();
        off.sort_by(|a, b| b.0.total_cmp(&a.0));
        off.into_iter().map(|(_, column, r)| format!("{} ×{:.2}", column.name, (r.z * r.scale).exp())).collect()
    }
}

/// By how much rarer an execution is than the rarest that is no alarm: in factors of ten, a thousand, a million.
fn severity(excess: f64) -> &'static str {
    match excess / std::f64::consts::LN_10 {
        e if e <= 0.0 => NO_ALARM,
        e if e < 1.0 => "low",
        e if e < 3.0 => "medium",
        e if e < 6.0 => "high",
        _ => "critical",
    }
}

fn residuals(resolved: &[Option<Resolved<'_>>; N_COLUMNS], data: &Dataset, samples: &Samples, row: usize) -> Residuals {
    let row_in_samples = data.rows.get(row).map_or(usize::MAX, |&row| row as usize);
    let mut out = [None; N_COLUMNS];
    for ((slot, column), resolved) in out.iter_mut().zip(COLUMNS).zip(resolved) {
        *slot = resolved.as_ref().and_then(|r| r.residual(data, row, column.log(samples, row_in_samples)));
    }
    out
}

fn deviation(residual: Option<Residual>) -> f64 {
    residual.map_or(f64::NAN, |residual| residual.z)
}

#[expect(clippy::cast_possible_truncation, reason = "a forest cuts; seven digits are plenty")]
fn features(deviations: &Deviations) -> [f32; N_COLUMNS] {
    deviations.map(|z| z as f32)
}

/// A forest over the standardised residuals of an even subsample, with the tail of its scores there. None where there
/// is nothing to grow it from.
fn grow(all: &[Deviations], seed: u64) -> Option<(Forest, Tail)> {
    let stride = all.len().div_ceil(FOREST_ROWS).max(1);
    let x: Vec<f32> = all.iter().step_by(stride).flat_map(features).collect();
    let forest = isolation_forest::fit(&x, N_COLUMNS, &ForestParams { seed, ..ForestParams::default() }).ok()?;
    let tail = Tail::of(&mut forest.score(&x))?;
    Some((forest, tail))
}

/// Probability of a false alarm per execution that makes `sensitivity` of them per series and week.
fn alarm_rate(weekly: f64, sensitivity: f64) -> f64 {
    let rate = sensitivity / weekly;
    if rate.is_finite() { rate.clamp(1e-9, MAX_ALARM_RATE) } else { MAX_ALARM_RATE }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Executions per series and week.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a few years stay below 2^53")]
fn weekly_executions(data: &Dataset, samples: &Samples) -> f64 {
    let series: BTreeSet<(u32, u32)> = data
        .rows
        .iter()
        .filter_map(|&row| Some((*samples.workflow_id.get(row as usize)?, *samples.step.get(row as usize)?)))
        .collect();
    let (first, last) = (data.started_us.first().copied(), data.started_us.last().copied());
    let span_us = last.unwrap_or_default().saturating_sub(first.unwrap_or_default()).max(DAY_US);
    let weeks = span_us as f64 / (7 * DAY_US) as f64;
    data.len() as f64 / (series.len().max(1) as f64 * weeks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::{noise, push};

    /// 600 executions in two steps that grow with their input, with a fault at row 500 and a new step at the end.
    fn history() -> Samples {
        let mut samples = Samples::default();
        for i in 0..600_u32 {
            let size = 1e6 * (1.0 + 30.0 * noise(i + 7000));
            let (step, base) = if i % 2 == 0 { ("fetch", 1.0) } else { ("train", 90.0) };
            let fault = if i == 500 { 8.0 } else { 1.0 };
            let duration = base * size.powf(0.6) * (0.3 * (noise(i) + noise(i + 5000) - 1.0)).exp() * fault;
            push(&mut samples, "w", step, size, duration);
        }
        push(&mut samples, "w", "new", 1e6, 1e9);
        push(&mut samples, "rare", "fetch", 1e6, 1e3);
        samples
    }

    fn params(sensitivity: f64) -> AnomalyParams {
        AnomalyParams { sensitivity, ..AnomalyParams::default() }
    }

    #[test]
    fn the_fault_is_found_and_explained() {
        let samples = history();
        let (detectors, _) = fit_detectors(&samples, &BTreeMap::new(), &params(0.1));
        let anomalies = detectors.score(&samples, Level::DEFAULT);
        let strangest = anomalies.iter().max_by(|a, b| a.score.total_cmp(&b.score));
        assert!(strangest.is_some_and(|a| a.row == 500), "{anomalies:?}");
        for fault in anomalies.iter().filter(|a| a.row == 500) {
            assert_eq!((fault.direction, fault.metric), ("slow", "duration_ms"));
            assert!((4.0..16.0).contains(&(fault.observed / fault.expected)), "{fault:?}");
            let Interval { lower, upper, .. } = fault.interval;
            assert!(lower < fault.expected && fault.expected < upper && upper < fault.observed);
            assert!(fault.score > 0.0 && fault.score < 1.0 && fault.severity != "low");
            assert!(fault.reasons.iter().all(|r| r.starts_with("duration_ms ×")));
        }
    }

    #[test]
    fn large_inputs_and_slow_steps_are_no_anomaly() {
        let (detectors, _) = fit_detectors(&history(), &BTreeMap::new(), &params(0.1));
        let mut calm = Samples::default();
        for (i, size) in [(0, 1e6), (1, 3e7), (2, 1.5e7)] {
            push(
                &mut calm,
                "w",
                if i % 2 == 0 { "fetch" } else { "train" },
                size,
                size.powf(0.6) * if i == 1 { 90.0 } else { 1.0 },
            );
        }
        assert_eq!(detectors.score(&calm, Level::DEFAULT), []);
    }

    #[test]
    fn what_has_no_normal_is_told_and_not_judged() {
        let samples = history();
        let (detectors, skips) = fit_detectors(&samples, &BTreeMap::new(), &params(0.1));
        let reasons: Vec<&str> = skips.iter().map(|s| s.reason.as_str()).collect();
        assert_eq!(
            reasons,
            ["needs 50 executions, found 1", "1 steps with fewer than 10 executions have no normal yet"]
        );
        assert!(detectors.score(&samples, Level::DEFAULT).iter().all(|a| a.row < 600));
        let unscored = detectors.unscored(&samples);
        assert_eq!(unscored.len(), 1);
        assert!(unscored.iter().all(|s| s.reason.starts_with("1 executions of 1 steps")), "{unscored:?}");
    }

    #[test]
    fn more_alarms_are_more_anomalies() {
        let samples = history();
        let count = |s| fit_detectors(&samples, &BTreeMap::new(), &params(s)).0.score(&samples, Level::DEFAULT).len();
        assert!(count(0.001) <= count(0.1) && count(0.1) <= count(100.0));
        assert!(count(f64::NAN) <= samples.len() / 10);
    }

    #[test]
    fn alarms_are_counted_beside_the_promise_and_thinned_samples_know_how_many_there_were() {
        let samples = history();
        // Two series in 600 hours: 84 executions a week each, or ten times as many of which a tenth is known.
        let fit = |weekly: Option<f64>| {
            let weekly = weekly.map(|weekly| ("w".to_owned(), weekly)).into_iter().collect();
            fit_detectors(&samples, &weekly, &params(0.84)).0
        };
        let detectors = fit(None);
        let found = detectors.score(&samples, Level::DEFAULT);
        let rates = detectors.alarm_rates(&samples, &found);
        assert_eq!(rates.keys().collect::<Vec<_>>(), ["w"], "the other type has no detector");
        let rate = rates["w"];
        assert!(
            (rate.n_judged, rate.n_alarms) == (601, found.len() as u64) && (rate.promised / 0.01 - 1.0).abs() < 0.6
        );
        let thinned = fit(Some(840.0)).alarm_rates(&samples, &[])["w"];
        assert!((thinned.promised - 0.001).abs() < 1e-12 && thinned.n_alarms == 0);
    }

    #[test]
    fn what_the_budget_leaves_out_is_told_without_an_alarm() {
        let mut samples = history();
        for row in (10..600).step_by(60) {
            samples.duration_ms[row] *= 4.0;
        }
        let told = |sensitivity| {
            let (detectors, _) = fit_detectors(&samples, &BTreeMap::new(), &params(sensitivity));
            let told = detectors.score(&samples, Level::DEFAULT);
            let alarms = told.iter().filter(|anomaly| anomaly.severity != NO_ALARM).count();
            assert_eq!(detectors.alarm_rates(&samples, &told)["w"].n_alarms, alarms as u64);
            let faults = told.iter().filter(|anomaly| anomaly.row % 60 == 10).count();
            (told.len(), alarms, faults)
        };
        let (all, alarms, faults) = told(1e-4);
        assert!(alarms < faults && faults >= 8 && all <= 4 * faults, "{alarms} alarms, {faults} faults, {all} told");
        let (all, alarms, _) = told(1.0);
        assert_eq!(all, alarms, "the budget covers all");
    }

    #[test]
    fn wild_values_do_no_harm() {
        let mut samples = history();
        for (row, value) in [(3, f64::NAN), (5, f64::INFINITY), (7, 0.0), (9, -1.0), (11, 1e300)] {
            if let Some(slot) = samples.duration_ms.get_mut(row) {
                *slot = value;
            }
        }
        let (detectors, _) = fit_detectors(&samples, &BTreeMap::new(), &params(0.1));
        let found = detectors.score(&samples, Level::DEFAULT);
        assert!(found.iter().any(|a| a.row == 11) && found.iter().all(|a| a.score.is_finite()));
        assert_eq!(fit_detectors(&Samples::default(), &BTreeMap::new(), &params(0.1)), (Detectors::default(), vec![]));
    }
}
