//! How the outcome of one step grows with the size of its input: a robust line on the log-log scale.
//!
//! Least squares by linfa's QR, reweighted by Huber's weights so that the one execution in a hundred that takes twenty
//! times as long bends nothing (Huber, Robust Statistics, 1981).

use super::dataset::{Dataset, N_SIZES};
use crate::stats::robust::{huber_weight, median_and_mad};
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_linear::LinearRegression;
use ndarray::{Array1, Array2};

/// Huber's bend in scales: 95 % efficient on normal data.
pub(crate) const HUBER_BEND: f64 = 1.345;
/// Residual scales below half a percent are not believed.
pub(crate) const MIN_SCALE: f64 = 0.005;
/// Log sizes that spread less than this (2 %) carry no slope.
const MIN_SIZE_STD: f64 = 0.02;
/// Two sizes correlated beyond this are one size.
const MAX_CORRELATION: f64 = 0.995;
/// Executions of a step beyond the newest so many add cost and no precision: the slope's error is long below the noise.
const MAX_ROWS: usize = 4096;

/// Executions of one step, with sizes centred at their mean and unknown sizes at that mean.
#[derive(Debug)]
pub(crate) struct StepRows {
    /// Positions in the dataset.
    pub(crate) rows: Vec<u32>,
    /// (n, [`N_SIZES`]) centred log sizes.
    pub(crate) x: Vec<[f64; N_SIZES]>,
    /// Mean log sizes, NaN where no size is known.
    pub(crate) centre: [f64; N_SIZES],
    /// Which sizes can carry a slope.
    active: [bool; N_SIZES],
    /// Robustness weights, in step with `rows`.
    pub(crate) weight: Vec<f64>,
}

/// The line of one step: outcome = `mean` + `slope` · (log size − centre), residuals of size `scale`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) mean: f64,
    pub(crate) slope: [f64; N_SIZES],
    /// Squared standard errors of the slopes, infinite where none was fitted.
    pub(crate) slope_var: [f64; N_SIZES],
    pub(crate) scale: f64,
    /// Weighted sums of squares and products of the centred sizes, xx, xy, yy.
    pub(crate) size_products: [f64; 3],
    /// Weighted sums of products of sizes and outcome.
    pub(crate) outcome_products: [f64; N_SIZES],
    /// Sum of the weights.
    pub(crate) weight: f64,
}

impl StepRows {
    /// Takes the newest executions of a step; `rows` are its positions by start.
    pub(crate) fn new(data: &Dataset, rows: &[u32]) -> Self {
        let rows = rows.get(rows.len().saturating_sub(MAX_ROWS)..).unwrap_or(rows).to_vec();
        let size = |row: u32| data.size.get(row as usize).map_or([f64::NAN; N_SIZES], |s| s.map(f64::from));
        let raw: Vec<[f64; N_SIZES]> = rows.iter().map(|&row| size(row)).collect();
        let centre = std::array::from_fn(|j| mean(raw.iter().filter_map(|x| known(x.get(j)))));
        let x: Vec<[f64; N_SIZES]> = raw.iter().map(|&x| centred(x, centre)).collect();
        let active = active_sizes(&x);
        let weight = vec![1.0; rows.len()];
        Self { rows, x, centre, active, weight }
    }

    /// Fits the line to `y` (in step with `rows`) and renews the weights.
    pub(crate) fn fit(&mut self, y: &[f64]) -> Line {
        let beta = self.least_squares(y).unwrap_or_else(|| self.weighted_mean(y));
        let [level, slopes @ ..] = beta;
        let residual: Vec<f64> = self.x.iter().zip(y).map(|(x, y)| y - level - dot(&slopes, x)).collect();
        let (middle, mad) = median_and_mad(&mut residual.clone());
        let scale = if mad.is_finite() { mad.max(MIN_SCALE) } else { MIN_SCALE };
        for (weight, r) in self.weight.iter_mut().zip(&residual) {
            *weight = huber_weight((r - middle) / scale, HUBER_BEND);
        }
        self.describe(y, slopes, scale)
    }

    fn n_columns(&self) -> usize {
        1 + self.active.iter().filter(|on| **on).count()
    }

    /// Intercept and slopes by linfa, none where there are too few executions or the system is singular.
    fn least_squares(&self, y: &[f64]) -> Option<[f64; 1 + N_SIZES]> {
        let columns = self.n_columns();
        if columns == 1 || self.rows.len() < columns + 2 {
            return None;
        }
        let mut cells = Vec::with_capacity(self.rows.len() * columns);
        for (x, weight) in self.x.iter().zip(&self.weight) {
            let root = weight.sqrt();
            cells.push(root);
            cells.extend(x.iter().zip(self.active).filter(|(_, on)| *on).map(|(x, _)| x * root));
        }
        let records = Array2::from_shape_vec((self.rows.len(), columns), cells).ok()?;
        let targets = Array1::from_iter(y.iter().zip(&self.weight).map(|(y, weight)| y * weight.sqrt()));
        let model = LinearRegression::new().with_intercept(false).fit(&DatasetBase::new(records, targets)).ok()?;
        let mut fitted = model.params().iter().copied();
        let mut beta = [fitted.next()?, 0.0, 0.0];
        for (slope, _) in beta.iter_mut().skip(1).zip(self.active).filter(|(_, on)| *on) {
            *slope = fitted.next()?;
        }
        beta.iter().all(|b| b.is_finite()).then_some(beta)
    }

    fn weighted_mean(&self, y: &[f64]) -> [f64; 1 + N_SIZES] {
        let sum: f64 = self.weight.iter().sum();
        let level = y.iter().zip(&self.weight).map(|(y, w)| y * w).sum::<f64>() / sum.max(f64::MIN_POSITIVE);
        [level, 0.0, 0.0]
    }

    /// Moments of the reweighted data, from which the line is later shrunk towards the lines of alike steps.
    fn describe(&self, y: &[f64], slope: [f64; N_SIZES], scale: f64) -> Line {
        let weight: f64 = self.weight.iter().sum();
        let mean_y = self.weighted_mean(y).first().copied().unwrap_or_default();
        let mut mean_x = [0.0; N_SIZES];
        for (x, w) in self.x.iter().zip(&self.weight) {
            mean_x.iter_mut().zip(x).for_each(|(m, x)| *m += w * x / weight.max(f64::MIN_POSITIVE));
        }
        let (mut size_products, mut outcome_products) = ([0.0; 3], [0.0; N_SIZES]);
        for ((x, w), y) in self.x.iter().zip(&self.weight).zip(y) {
            let [a, b] = [x[0] - mean_x[0], x[1] - mean_x[1]];
            size_products[0] += w * a * a;
            size_products[1] += w * a * b;
            size_products[2] += w * b * b;
            outcome_products[0] += w * a * (y - mean_y);
            outcome_products[1] += w * b * (y - mean_y);
        }
        let variance = |on: bool, ss: f64| if on && ss > 0.0 { scale * scale / ss } else { f64::INFINITY };
        let enough = self.rows.len() >= self.n_columns() + 2;
        let slope_var = [
            variance(self.active[0] && enough, size_products[0]),
            variance(self.active[1] && enough, size_products[2]),
        ];
        let mean = mean_y - dot(&slope, &mean_x);
        Line { mean, slope, slope_var, scale, size_products, outcome_products, weight }
    }
}

/// `Σ a·b`.
pub(crate) fn dot(a: &[f64; N_SIZES], b: &[f64; N_SIZES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Log sizes less their centre; an unknown size sits at the centre, where it has no say.
pub(crate) fn centred(size: [f64; N_SIZES], centre: [f64; N_SIZES]) -> [f64; N_SIZES] {
    std::array::from_fn(|j| {
        let x = size[j] - centre[j];
        if x.is_finite() { x } else { 0.0 }
    })
}

fn known(x: Option<&f64>) -> Option<f64> {
    x.copied().filter(|x| x.is_finite())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_u64), |(sum, n), v| (sum + v, n + 1));
    if n == 0 { f64::NAN } else { sum / n as f64 }
}

/// Sizes that spread enough for a slope; the second only where it is not the first in disguise.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn active_sizes(x: &[[f64; N_SIZES]]) -> [bool; N_SIZES] {
    let n = x.len().max(1) as f64;
    let [mut aa, mut ab, mut bb] = [0.0; 3];
    for [a, b] in x {
        aa += a * a;
        ab += a * b;
        bb += b * b;
    }
    let spreads = |ss: f64| (ss / n).sqrt() > MIN_SIZE_STD;
    let alike = ab.abs() > MAX_CORRELATION * (aa * bb).sqrt();
    [spreads(aa), spreads(bb) && !(spreads(aa) && alike)]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::learn::dataset::{Features, Target};
    use crate::learn::testing::samples_of_sizes;

    fn line_of(sizes: &[f64], outcome: impl Fn(usize, f64) -> f64) -> (StepRows, Line) {
        let samples = samples_of_sizes(sizes, outcome);
        let rows: Vec<u32> = (0..u32::try_from(sizes.len()).unwrap()).collect();
        let data = Dataset::new(&samples, &rows, Target::DurationMs, Features::default());
        let mut step = StepRows::new(&data, &rows);
        step.fit(&data.log_y);
        let line = step.fit(&data.log_y);
        (step, line)
    }

    #[test]
    fn a_power_law_is_found_exactly() {
        let sizes: Vec<f64> = (1..40).map(|i| f64::from(i) * 1e5).collect();
        let (step, line) = line_of(&sizes, |_, size| 3.0 * size.powf(0.7));
        assert!((line.slope[0] - 0.7).abs() < 1e-5, "{line:?}");
        assert!((line.mean - (3.0_f64.ln() + 0.7 * step.centre[0])).abs() < 1e-5);
        assert!(line.slope_var[1].is_infinite());
    }

    #[test]
    fn one_in_twenty_outliers_hardly_bends_it() {
        let sizes: Vec<f64> = (0..200).map(|i| f64::from(i % 50 + 1) * 1e5).collect();
        let noise = |i: usize| ((i * 7919 % 1009) as f64 / 1009.0 - 0.5) * 0.4;
        let wild = |i: usize| if i % 50 > 46 && i.is_multiple_of(2) { 20.0 } else { 1.0 };
        let (_, line) = line_of(&sizes, |i, size| size.powf(0.5) * noise(i).exp() * wild(i));
        assert!((line.slope[0] - 0.5).abs() < 0.08, "{line:?}");
    }

    #[test]
    fn constant_or_unknown_sizes_have_no_slope() {
        for sizes in [vec![5e6; 30], vec![f64::NAN; 30], vec![7e3]] {
            let (_, line) = line_of(&sizes, |i, _| 100.0 + i as f64);
            assert!(line.slope.iter().all(|b| b.abs() < 1e-12) && line.mean.is_finite() && line.scale > 0.0);
        }
    }
}
