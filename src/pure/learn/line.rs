//! How the outcome of one step grows with the size of its input: a robust line on the log-log scale.
//!
//! Least squares by linfa's QR, reweighted by Huber's weights so that the one execution in a hundred that takes twenty
//! times as long bends nothing (Huber, Robust Statistics, 1981).

use super::dataset::{Dataset, N_OWN_SIZES, N_SIZES};
use super::solve::{inverse_diagonal, solve};
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
/// What lies before an execution bends its line only where it lowers n · ln(residual sum of squares) by this times
/// ln n: twice what Schwarz asks for, as two are looked at.
const CONVINCING: f64 = 2.0;
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
    /// Which sizes spread enough to carry a slope.
    spread: [bool; N_SIZES],
    /// Which of them do.
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
    /// Weighted sums of squares and products of the centred sizes; 0 for what lies before an execution and bends nothing.
    pub(crate) size_products: [[f64; N_SIZES]; N_SIZES],
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
        let spread = spread_sizes(&x);
        let weight = vec![1.0; rows.len()];
        Self { rows, x, centre, spread, active: own(spread), weight }
    }

    /// Fits the line to `y` (in step with `rows`; NaN has no say) and renews the weights.
    pub(crate) fn fit(&mut self, y: &[f64]) -> Line {
        for (weight, y) in self.weight.iter_mut().zip(y) {
            *weight = if y.is_nan() {
                0.0
            } else if *weight > 0.0 {
                *weight
            } else {
                1.0
            };
        }
        let known: Vec<f64> = y.iter().map(|y| if y.is_nan() { 0.0 } else { *y }).collect();
        let y = known.as_slice();
        self.choose(y);
        let beta = self.least_squares(y).unwrap_or_else(|| self.weighted_mean(y));
        let [level, slopes @ ..] = beta;
        let residual: Vec<f64> = self.x.iter().zip(y).map(|(x, y)| y - level - dot(&slopes, x)).collect();
        let mut counted: Vec<f64> =
            residual.iter().zip(&self.weight).filter(|(_, weight)| **weight > 0.0).map(|(r, _)| *r).collect();
        let (middle, mad) = median_and_mad(&mut counted);
        let scale = if mad.is_finite() { mad.max(MIN_SCALE) } else { MIN_SCALE };
        for (weight, r) in self.weight.iter_mut().zip(&residual).filter(|(weight, _)| **weight > 0.0) {
            *weight = huber_weight((r - middle) / scale, HUBER_BEND);
        }
        self.describe(y, slopes, scale)
    }

    /// Lets what lies before an execution bend the line where it convinces; its own sizes do wherever they spread.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn choose(&mut self, y: &[f64]) {
        self.active = own(self.spread);
        if self.active == self.spread {
            return;
        }
        let moments = self.moments(y);
        let n = self.weight.iter().filter(|weight| **weight > 0.0).count() as f64;
        for j in N_OWN_SIZES..N_SIZES {
            if self.spread.get(j) != Some(&true) {
                continue;
            }
            let without = residual_squares(&moments, &self.active);
            let mut tried = self.active;
            tried.iter_mut().skip(j).take(1).for_each(|on| *on = true);
            let with = residual_squares(&moments, &tried);
            if n > 4.0 && with > 0.0 && n * (without / with).ln() > CONVINCING * n.ln() {
                self.active = tried;
            }
        }
    }

    /// Weighted sums of products of 1, the sizes and `y`.
    fn moments(&self, y: &[f64]) -> [[f64; N_SIZES + 2]; N_SIZES + 2] {
        let mut sums = [[0.0; N_SIZES + 2]; N_SIZES + 2];
        for ((x, weight), y) in self.x.iter().zip(&self.weight).zip(y) {
            let mut row = [1.0; N_SIZES + 2];
            row.iter_mut().skip(1).zip(x.iter().chain([y])).for_each(|(cell, value)| *cell = *value);
            for (sums, a) in sums.iter_mut().zip(row) {
                sums.iter_mut().zip(row).for_each(|(sum, b)| *sum += weight * a * b);
            }
        }
        sums
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
        let mut beta = [0.0; 1 + N_SIZES];
        beta[0] = fitted.next()?;
        for (slope, _) in beta.iter_mut().skip(1).zip(self.active).filter(|(_, on)| *on) {
            *slope = fitted.next()?;
        }
        beta.iter().all(|b| b.is_finite()).then_some(beta)
    }

    fn weighted_mean(&self, y: &[f64]) -> [f64; 1 + N_SIZES] {
        let sum: f64 = self.weight.iter().sum();
        let level = y.iter().zip(&self.weight).map(|(y, w)| y * w).sum::<f64>() / sum.max(f64::MIN_POSITIVE);
        let mut beta = [0.0; 1 + N_SIZES];
        beta[0] = level;
        beta
    }

    /// Moments of the reweighted data, from which the line is later shrunk towards the lines of alike steps.
    fn describe(&self, y: &[f64], slope: [f64; N_SIZES], scale: f64) -> Line {
        let weight: f64 = self.weight.iter().sum();
        let mean_y = self.weighted_mean(y).first().copied().unwrap_or_default();
        let mut mean_x = [0.0; N_SIZES];
        for (x, w) in self.x.iter().zip(&self.weight) {
            mean_x.iter_mut().zip(x).for_each(|(m, x)| *m += w * x / weight.max(f64::MIN_POSITIVE));
        }
        let (mut size_products, mut outcome_products) = ([[0.0; N_SIZES]; N_SIZES], [0.0; N_SIZES]);
        let counts: [bool; N_SIZES] = std::array::from_fn(|j| j < N_OWN_SIZES || self.active[j]);
        for ((x, w), y) in self.x.iter().zip(&self.weight).zip(y) {
            let x: [f64; N_SIZES] = std::array::from_fn(|j| if counts[j] { x[j] - mean_x[j] } else { 0.0 });
            for (j, a) in x.into_iter().enumerate() {
                outcome_products[j] += w * a * (y - mean_y);
                size_products[j].iter_mut().zip(x).for_each(|(sum, b)| *sum += w * a * b);
            }
        }
        let enough = self.rows.len() >= self.n_columns() + 2;
        let inverse = inverse_diagonal(&fitted_alone(&size_products, &self.active));
        let slope_var = std::array::from_fn(|j| {
            let fitted = self.active[j] && enough && inverse[j] > 0.0;
            if fitted { scale * scale * inverse[j] } else { f64::INFINITY }
        });
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

/// Sizes that spread enough for a slope, and are not one before them in disguise.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn spread_sizes(x: &[[f64; N_SIZES]]) -> [bool; N_SIZES] {
    let n = x.len().max(1) as f64;
    let mut products = [[0.0; N_SIZES]; N_SIZES];
    for x in x {
        for (row, a) in products.iter_mut().zip(x) {
            row.iter_mut().zip(x).for_each(|(sum, b)| *sum += a * b);
        }
    }
    let mut spread = [false; N_SIZES];
    for j in 0..N_SIZES {
        let alike = |i: usize| products[i][j].abs() > MAX_CORRELATION * (products[i][i] * products[j][j]).sqrt();
        spread[j] = (products[j][j] / n).sqrt() > MIN_SIZE_STD && !(0..j).any(|i| spread[i] && alike(i));
    }
    spread
}

/// Of the sizes those that are the execution's own.
fn own(spread: [bool; N_SIZES]) -> [bool; N_SIZES] {
    std::array::from_fn(|j| j < N_OWN_SIZES && spread[j])
}

/// The products of the sizes that are fitted, and the unit matrix for the rest.
fn fitted_alone(products: &[[f64; N_SIZES]; N_SIZES], active: &[bool; N_SIZES]) -> [[f64; N_SIZES]; N_SIZES] {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| match (active[i] && active[j], i == j) {
            (true, _) => products[i][j],
            (false, is_diagonal) => f64::from(u8::from(is_diagonal)),
        })
    })
}

/// What a line by the `active` sizes leaves over of the outcome, squared and summed.
fn residual_squares(moments: &[[f64; N_SIZES + 2]; N_SIZES + 2], active: &[bool; N_SIZES]) -> f64 {
    let columns: Vec<usize> = std::iter::once(0).chain((0..N_SIZES).filter(|&j| active[j]).map(|j| j + 1)).collect();
    const OUTCOME: usize = N_SIZES + 1;
    let mut matrix: Vec<f64> = columns.iter().flat_map(|&i| columns.iter().map(move |&j| moments[i][j])).collect();
    let right: Vec<f64> = columns.iter().map(|&i| moments[i][OUTCOME]).collect();
    let mut beta = right.clone();
    solve(&mut matrix, &mut beta);
    let explained: f64 = beta.iter().zip(&right).map(|(b, r)| b * r).sum();
    (moments[OUTCOME][OUTCOME] - explained).max(0.0)
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
