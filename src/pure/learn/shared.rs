//! What all steps of a workflow type share: provider, platform, retry and the hour of the week.
//!
//! A pooled ridge regression (smartcore's Cholesky) on what the steps' own lines leave over. Each column is first centred within
//! its step, so that the estimate rests on differences inside steps only (Frisch and Waugh 1933; Lovell 1963).

use super::dataset::{Dataset, HOURS_OF_WEEK};
use crate::samples::UNKNOWN;
use crate::units::DAY_US;
use ndarray::{Array2, ArrayView1};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linalg::traits::cholesky::CholeskyDecomposable;

/// Rows that a ridge for predictions is fitted to: with 2048, the coefficients' errors added 0.3 % to those of outcomes
/// as regular as memory.
pub(crate) const ROWS_TO_PREDICT: usize = 8192;
/// Rows where no more is asked than whether an outcome is out of the ordinary: judged by scales of 5 % and more.
pub(crate) const ROWS_TO_JUDGE: usize = 2048;
/// Before data, an effect of a provider or an hour is taken to be of this size on the log scale.
const PRIOR_EFFECT: f64 = 0.3;
/// Values of a category beyond the first so many share the average.
const MAX_CATEGORIES: usize = 24;
/// A daily profile needs this many days, a weekly profile twice a week.
const MIN_DAYS_DAILY: i64 = 3;
const MIN_DAYS_WEEKLY: i64 = 14;

/// Additive effects on the log scale; 0 is the average execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shared {
    /// By local number of the provider.
    pub(crate) provider: Vec<f64>,
    /// By local number of the platform.
    pub(crate) platform: Vec<f64>,
    /// Of a retry.
    pub(crate) retry: f64,
    /// By hour of the week; empty where the history is too short for a profile.
    pub(crate) hour: Vec<f64>,
}

impl Shared {
    /// The sum of all effects on the execution at `row`.
    pub(crate) fn at(&self, data: &Dataset, row: usize) -> f64 {
        let effect = |table: &[f64], column: &[u32]| {
            column.get(row).and_then(|&number| table.get(number as usize)).copied().unwrap_or_default()
        };
        let hour = data.hour.get(row).and_then(|&hour| self.hour.get(usize::from(hour))).copied().unwrap_or_default();
        let retry = if data.retry.get(row) == Some(&true) { self.retry } else { 0.0 };
        effect(&self.provider, &data.provider.of_row) + effect(&self.platform, &data.platform.of_row) + retry + hour
    }
}

/// A residual of a step's line, with the weight that it deserves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Residual {
    /// Position in the dataset.
    pub(crate) row: u32,
    /// Outcome less the step's line.
    pub(crate) value: f64,
    /// Robustness times precision.
    pub(crate) weight: f64,
}

/// Which columns the design has, in this order: providers, platforms, retry, hours.
#[derive(Debug)]
struct Columns {
    n_provider: usize,
    n_platform: usize,
    retry: bool,
    /// (168, n) basis of the weekly profile.
    hour: Vec<Vec<f64>>,
}

impl Columns {
    fn of(data: &Dataset, residuals: &[Residual]) -> Self {
        let one_hot = |n: usize| if n < 2 { 0 } else { n.min(MAX_CATEGORIES) };
        let start = |r: Option<&Residual>| r.and_then(|r| data.started_us.get(r.row as usize)).copied();
        let (first, last) = residuals.iter().fold((i64::MAX, i64::MIN), |(low, high), r| {
            start(Some(r)).map_or((low, high), |at| (low.min(at), high.max(at)))
        });
        let days = last.saturating_sub(first) / DAY_US;
        // The dataset numbers hours only where that feature is on; otherwise all are 0.
        let hour = if data.hour.iter().any(|&h| h != 0) { hour_basis(days) } else { Vec::new() };
        let retry = data.retry.iter().any(|&r| r);
        Self {
            n_provider: one_hot(data.provider.codes.len()),
            n_platform: one_hot(data.platform.codes.len()),
            retry,
            hour,
        }
    }

    fn n_hour(&self) -> usize {
        self.hour.first().map_or(0, Vec::len)
    }

    fn len(&self) -> usize {
        self.n_provider + self.n_platform + usize::from(self.retry) + self.n_hour()
    }

    /// Adds `weight` times the row's columns to `out`.
    fn add(&self, data: &Dataset, row: usize, weight: f64, out: &mut [f64]) {
        let number = |column: &[u32]| column.get(row).filter(|&&n| n != UNKNOWN).map_or(usize::MAX, |&n| n as usize);
        let mut put = |at: usize, value: f64| {
            if let Some(cell) = out.get_mut(at) {
                *cell += weight * value;
            }
        };
        let (provider, platform) = (number(&data.provider.of_row), number(&data.platform.of_row));
        if provider < self.n_provider {
            put(provider, 1.0);
        }
        if platform < self.n_platform {
            put(self.n_provider + platform, 1.0);
        }
        let mut at = self.n_provider + self.n_platform;
        if self.retry {
            put(at, f64::from(u8::from(data.retry.get(row) == Some(&true))));
            at += 1;
        }
        let basis = data.hour.get(row).and_then(|&hour| self.hour.get(usize::from(hour)));
        for (offset, &value) in basis.into_iter().flatten().enumerate() {
            put(at + offset, value);
        }
    }
}

/// Two harmonics of the day, and where the history is long enough two of the week and the weekend.
fn hour_basis(days: i64) -> Vec<Vec<f64>> {
    if days < MIN_DAYS_DAILY {
        return Vec::new();
    }
    let mut per_week = vec![7.0, 14.0];
    if days >= MIN_DAYS_WEEKLY {
        per_week.extend([1.0, 2.0]);
    }
    let row = |hour: f64| {
        let mut basis: Vec<f64> = Vec::with_capacity(2 * per_week.len() + 1);
        for cycles in &per_week {
            let (sin, cos) = (std::f64::consts::TAU * cycles * hour / 168.0).sin_cos();
            basis.extend([sin, cos]);
        }
        if days >= MIN_DAYS_WEEKLY {
            basis.push(f64::from(u8::from(hour >= 120.0)));
        }
        basis
    };
    (0..168_u32).map(|hour| row(f64::from(hour) + 0.5)).collect()
}

/// Fits the effects to what the lines of the steps leave over, by means of `most_rows` of them at most. `scale` is the
/// typical size of a residual.
pub(crate) fn fit(data: &Dataset, residuals: &[Residual], scale: f64, most_rows: usize, seed: u64) -> Shared {
    let columns = Columns::of(data, residuals);
    let p = columns.len();
    if p == 0 || residuals.len() < 2 * p {
        return Shared::default();
    }
    let means = step_means(data, residuals, &columns);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let picked = spread_sample(residuals.len(), most_rows, &mut rng);
    let (mut cells, mut y) = (Vec::with_capacity(picked.len() * p), Vec::with_capacity(picked.len()));
    for residual in picked.iter().filter_map(|&at| residuals.get(at)) {
        let (row, root) = (residual.row as usize, residual.weight.sqrt());
        let from = cells.len();
        let step = data.step.of_row.get(row).map_or(0, |&s| s as usize);
        cells.extend(means.iter().skip(step * p).take(p).map(|mean| -root * mean));
        columns.add(data, row, root, cells.get_mut(from..).unwrap_or_default());
        y.push(root * residual.value);
    }
    let penalty = (scale / PRIOR_EFFECT).powi(2);
    let beta = ridge(cells, &y, p, penalty).unwrap_or_else(|| vec![0.0; p]);
    centred(data, residuals, &columns, &beta)
}

/// Weighted means of the columns within each step: (n_steps, n_columns), row-major.
fn step_means(data: &Dataset, residuals: &[Residual], columns: &Columns) -> Vec<f64> {
    let p = columns.len();
    let mut sums = vec![0.0; data.step.codes.len() * p];
    let mut weights = vec![0.0; data.step.codes.len()];
    for residual in residuals {
        let row = residual.row as usize;
        let Some(step) = data.step.of_row.get(row).map(|&s| s as usize) else { continue };
        columns.add(data, row, residual.weight, sums.get_mut(step * p..(step + 1) * p).unwrap_or_default());
        if let Some(weight) = weights.get_mut(step) {
            *weight += residual.weight;
        }
    }
    for (chunk, weight) in sums.chunks_exact_mut(p).zip(weights) {
        chunk.iter_mut().for_each(|sum| *sum /= f64::max(weight, f64::MIN_POSITIVE));
    }
    sums
}

/// One position out of each of `most` equal stretches, or all if there are no more.
fn spread_sample(n: usize, most: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    (0..most).map(|i| rng.random_range(i * n / most..(i + 1) * n / most)).collect()
}

/// Ridge coefficients of a weighted and centred design (row-major); none where the system can't be solved.
///
/// smartcore solves the normal equations; their matrix is made by ndarray's product, which takes a tenth of the time of
/// smartcore's own.
pub(crate) fn ridge(cells: Vec<f64>, y: &[f64], n_columns: usize, penalty: f64) -> Option<Vec<f64>> {
    if cells.iter().chain(y).any(|v| !v.is_finite()) || y.len() <= n_columns {
        return None;
    }
    let x = Array2::from_shape_vec((y.len(), n_columns), cells).ok()?;
    let mut normal = x.t().dot(&x);
    normal.diag_mut().mapv_inplace(|d| d + penalty.max(1e-9));
    let right = x.t().dot(&ArrayView1::from(y)).to_vec();
    // Kept inside: in scope of the file this trait would shadow the `get` of every vector.
    use smartcore::linalg::basic::arrays::Array;
    let normal = DenseMatrix::new(n_columns, n_columns, normal.iter().copied().collect(), false).ok()?;
    let solved = normal.cholesky_solve_mut(DenseMatrix::new(n_columns, 1, right, false).ok()?).ok()?;
    let beta: Vec<f64> = solved.iterator(0).copied().collect();
    (beta.len() == n_columns && beta.iter().all(|b| b.is_finite())).then_some(beta)
}

/// Splits coefficients into tables and moves each so that the average execution has effect 0.
fn centred(data: &Dataset, residuals: &[Residual], columns: &Columns, beta: &[f64]) -> Shared {
    let (provider, rest) = beta.split_at(columns.n_provider.min(beta.len()));
    let (platform, rest) = rest.split_at(columns.n_platform.min(rest.len()));
    let (retry, hours) = rest.split_at(usize::from(columns.retry).min(rest.len()));
    let profile = |basis: &Vec<f64>| basis.iter().zip(hours).map(|(b, h)| b * h).sum();
    let mut shared = Shared {
        provider: provider.to_vec(),
        platform: platform.to_vec(),
        retry: retry.first().copied().unwrap_or_default(),
        hour: columns.hour.iter().map(profile).collect(),
    };
    let numbers = |column: &[u32]| residuals.iter().map(|r| column.get(r.row as usize).copied()).collect::<Vec<_>>();
    subtract_mean(&mut shared.provider, &numbers(&data.provider.of_row));
    subtract_mean(&mut shared.platform, &numbers(&data.platform.of_row));
    let hours: Vec<Option<u32>> =
        residuals.iter().map(|r| data.hour.get(r.row as usize).map(|&h| u32::from(h))).collect();
    subtract_mean(&mut shared.hour, &hours);
    debug_assert!(shared.hour.is_empty() || shared.hour.len() == HOURS_OF_WEEK, "a profile covers the week");
    shared
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn subtract_mean(table: &mut [f64], numbers: &[Option<u32>]) {
    let effects = numbers.iter().flatten().filter_map(|&n| table.get(n as usize));
    let (sum, n) = effects.fold((0.0, 0_u64), |(sum, n), effect| (sum + effect, n + 1));
    let mean = if n == 0 { 0.0 } else { sum / n as f64 };
    table.iter_mut().for_each(|effect| *effect -= mean);
}
