//! How far each outcome of an execution lies off what its step, input size, provider, platform and hour let expect.

use super::columns::COLUMNS;
use super::tails::Tail;
use crate::learn::dataset::{Dataset, Features, HOURS_OF_WEEK, N_SIZES};
use crate::learn::line::{centred, dot};
use crate::learn::pooling::SlopePrior;
use crate::learn::regression::GroupFit;
use crate::learn::shared::ROWS_TO_JUDGE;
use crate::samples::{Samples, UNKNOWN, Vocabulary};
use crate::stats::robust::{mad_about, median};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nothing is judged on a scale finer than five percent.
const MIN_SCALE: f64 = 0.05;
/// Share trimmed on either side of the residuals before their standard deviation is taken. Outcomes that are mostly
/// one number (few API calls) have a median deviation of zero, and this is what they spread.
const TRIM: f64 = 0.01;
/// A step with fewer executions has no normal yet.
pub(crate) const MIN_STEP_ROWS: usize = 10;

/// What a step lets expect of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StepNormal {
    centre: [Option<f64>; N_SIZES],
    slope: [f64; N_SIZES],
    mean: f64,
    scale: f64,
}

/// What a workflow type lets expect of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnNormal {
    steps: BTreeMap<String, StepNormal>,
    provider: BTreeMap<String, f64>,
    platform: BTreeMap<String, f64>,
    retry: f64,
    hour: Vec<f64>,
    /// Tails of the standardised residuals: above, and below with the sign turned.
    pub(crate) above: Tail,
    pub(crate) below: Tail,
}

/// Standardised residual of one column of one execution, and what it was measured by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Residual {
    pub(crate) z: f64,
    /// Expected value on the column's scale of judgement.
    pub(crate) expected: f64,
    pub(crate) scale: f64,
}

/// Executions of a group without any outcome, to which columns are then fitted one by one. What lies upstream is left out:
/// it says little, and would have to be counted for every execution that is judged.
pub(crate) fn frame(samples: &Samples, rows: &[u32]) -> Dataset {
    let features = Features { upstream_bytes: false, step_count: false, ..Features::default() };
    Dataset::with_outcome(samples, rows, features, |_| Some(f64::NAN))
}

impl ColumnNormal {
    /// Learns one column of a group, whose values are put into `data`, and how many scales off each execution is, NaN
    /// where that can't be said. None where fewer than `min_samples` values are known, or no step has enough of them.
    pub(crate) fn fit(
        data: &mut Dataset,
        column: usize,
        samples: &Samples,
        min_samples: usize,
        seed: u64,
    ) -> Option<(Self, Vec<f64>)> {
        let column = COLUMNS.get(column)?;
        data.log_y = data.rows.iter().map(|&row| column.log(samples, row as usize)).collect();
        let known: Vec<u32> = (0..).zip(&data.log_y).filter(|(_, y)| y.is_finite()).map(|(row, _)| row).collect();
        if known.len() < min_samples.max(MIN_STEP_ROWS) {
            return None;
        }
        let fit = GroupFit::new(data, &known, ROWS_TO_JUDGE, seed);
        let mut steps = step_normals(data, &known, &fit);
        let (mut above, mut below) = (Vec::with_capacity(known.len()), Vec::with_capacity(known.len()));
        let mut deviations = vec![f64::NAN; data.len()];
        for row in known.iter().map(|&row| row as usize) {
            let Some(step) = step_of(data, row).and_then(|s| steps.get(s)).and_then(Option::as_ref) else { continue };
            let y = data.log_y.get(row).copied().unwrap_or(f64::NAN) - fit.shared.at(data, row);
            let z = (y - step.line(size_of(data, row))) / step.scale;
            above.push(z);
            below.push(-z);
            deviations.get_mut(row).into_iter().for_each(|slot| *slot = z);
        }
        let (above, below) = (Tail::of(&mut above)?, Tail::of(&mut below)?);
        let words = &samples.vocabulary;
        let names = |codes: &[u32], effects: &[f64]| named(words, codes, effects.iter().copied());
        let normal = Self {
            steps: named(words, &data.step.codes, steps.drain(..))
                .into_iter()
                .filter_map(|(n, s)| Some((n, s?)))
                .collect(),
            provider: names(&data.provider.codes, &fit.shared.provider),
            platform: names(&data.platform.codes, &fit.shared.platform),
            retry: fit.shared.retry,
            hour: fit.shared.hour,
            above,
            below,
        };
        Some((normal, deviations))
    }

    /// Prepares the column for the executions in `data`, whose numbers are not those of the training data.
    pub(crate) fn resolve<'a>(&'a self, data: &Dataset, words: &Vocabulary) -> Resolved<'a> {
        let effects = |codes: &[u32], table: &BTreeMap<String, f64>| {
            codes.iter().map(|c| words.word(*c).and_then(|w| table.get(w)).copied().unwrap_or_default()).collect()
        };
        Resolved {
            steps: data.step.codes.iter().map(|c| words.word(*c).and_then(|w| self.steps.get(w))).collect(),
            provider: effects(&data.provider.codes, &self.provider),
            platform: effects(&data.platform.codes, &self.platform),
            normal: self,
        }
    }

    /// Whether the step has a normal.
    pub(crate) fn knows(&self, step: &str) -> bool {
        self.steps.contains_key(step)
    }

    /// How surprising a residual is, in nats, on its own side.
    pub(crate) fn surprise(&self, z: f64) -> f64 {
        if z >= 0.0 { self.above.surprise(z) } else { self.below.surprise(-z) }
    }
}

fn named<T>(words: &Vocabulary, codes: &[u32], values: impl Iterator<Item = T>) -> BTreeMap<String, T> {
    codes.iter().zip(values).filter_map(|(code, value)| Some((words.word(*code)?.to_owned(), value))).collect()
}

fn step_of(data: &Dataset, row: usize) -> Option<usize> {
    data.step.of_row.get(row).map(|&step| step as usize)
}

fn size_of(data: &Dataset, row: usize) -> [f64; N_SIZES] {
    data.size.get(row).map_or([f64::NAN; N_SIZES], |size| size.map(f64::from))
}

/// The lines of the steps with a robust centre and scale of what they leave over.
fn step_normals(data: &Dataset, known: &[u32], fit: &GroupFit) -> Vec<Option<StepNormal>> {
    let prior = SlopePrior::of(&fit.lines, &data.step_type);
    let mut normals: Vec<Option<StepNormal>> = fit
        .lines
        .iter()
        .zip(&fit.centres)
        .zip(&data.step_type)
        .map(|((line, centre), &step_type)| {
            let line = line.as_ref()?;
            let (slope, _) = prior.shrink(line, step_type);
            let centre = centre.map(|c| c.is_finite().then_some(c));
            Some(StepNormal { centre, slope, mean: line.mean, scale: MIN_SCALE })
        })
        .collect();
    let mut residuals: Vec<Vec<f64>> = vec![Vec::new(); normals.len()];
    for row in known.iter().map(|&row| row as usize) {
        let Some((step, slot)) =
            step_of(data, row).and_then(|s| Some((normals.get(s)?.as_ref()?, residuals.get_mut(s)?)))
        else {
            continue;
        };
        let y = data.log_y.get(row).copied().unwrap_or(f64::NAN);
        slot.push(y - fit.shared.at(data, row) - step.line(size_of(data, row)));
    }
    for (normal, residuals) in normals.iter_mut().zip(&mut residuals) {
        if residuals.len() < MIN_STEP_ROWS {
            *normal = None;
        }
        if let Some(step) = normal {
            let middle = median(residuals);
            step.mean += middle;
            step.scale = scale_about(residuals, middle);
        }
    }
    normals
}

/// The larger of median deviation and trimmed standard deviation.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts stay far below 2^53"
)]
fn scale_about(residuals: &mut [f64], middle: f64) -> f64 {
    residuals.sort_unstable_by(f64::total_cmp);
    let cut = (residuals.len() as f64 * TRIM).ceil() as usize;
    let kept = residuals.get(cut..residuals.len().saturating_sub(cut)).unwrap_or_default();
    let squares: f64 = kept.iter().map(|r| (r - middle).powi(2)).sum();
    let trimmed = (squares / kept.len().max(1) as f64).sqrt();
    mad_about(residuals, middle).max(trimmed).max(MIN_SCALE)
}

impl StepNormal {
    fn line(&self, size: [f64; N_SIZES]) -> f64 {
        self.mean + dot(&self.slope, &centred(size, self.centre.map(|c| c.unwrap_or(f64::NAN))))
    }
}

/// A column in the numbers of one dataset.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    steps: Vec<Option<&'a StepNormal>>,
    provider: Vec<f64>,
    platform: Vec<f64>,
    pub(crate) normal: &'a ColumnNormal,
}

impl Resolved<'_> {
    /// How far `log` lies off at `row`; none where the step has no normal or the value is unknown.
    pub(crate) fn residual(&self, data: &Dataset, row: usize, log: f64) -> Option<Residual> {
        let step = step_of(data, row).and_then(|step| *self.steps.get(step)?)?;
        let number = |column: &[u32]| column.get(row).copied().unwrap_or(UNKNOWN) as usize;
        let effect = |table: &[f64], column: &[u32]| table.get(number(column)).copied().unwrap_or_default();
        let hour = data.hour.get(row).and_then(|&hour| self.normal.hour.get(usize::from(hour) % HOURS_OF_WEEK));
        let retry = if data.retry.get(row) == Some(&true) { self.normal.retry } else { 0.0 };
        let expected = step.line(size_of(data, row))
            + effect(&self.provider, &data.provider.of_row)
            + effect(&self.platform, &data.platform.of_row)
            + retry
            + hour.copied().unwrap_or_default();
        let z = (log - expected) / step.scale;
        z.is_finite().then_some(Residual { z, expected, scale: step.scale })
    }
}
