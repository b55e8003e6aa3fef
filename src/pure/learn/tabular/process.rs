//! A smooth surface over few configurations: a Gaussian process on what straight lines leave over.
//!
//! Kernel: Matérn 5/2 with a length for every feature (Rasmussen and Williams 2006, 4.2), lengths and variances by
//! the marginal likelihood of all groups together. A word is as far from any other as its feature's length says.

use super::dense::{Cholesky, dot};
use super::places::{Place, Space};
use super::rows::Rows;
use crate::stats::robust::median;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Configurations of a group that are kept; the work grows with their cube.
const MAX_POINTS: usize = 500;
/// Configurations that lengths are learned from.
const MAX_TO_LEARN: usize = 240;
/// A group with fewer has its line alone.
const MIN_POINTS: usize = 5;
/// Steps of the search for lengths.
const STEPS: usize = 40;
/// Logarithms of lengths and variances stay within these.
const BOUNDS: (f64, f64) = (-4.0, 4.0);
const NOISE_BOUNDS: (f64, f64) = (-9.0, 1.0);

/// The process of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Own {
    places: Vec<Place>,
    /// K⁻¹ y.
    weights: Vec<f64>,
    spread: f64,
}

/// A fitted process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Process {
    space: Space,
    kernel: Kernel,
    groups: BTreeMap<u32, Own>,
}

/// Logarithms of lengths (by feature), of the variance of the surface and of that of the noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kernel {
    lengths: Vec<f64>,
    variance: f64,
    noise: f64,
}

/// Configurations of a group: places, middle outcomes, repetitions.
struct Points {
    places: Vec<Place>,
    /// Over `spread`.
    outcomes: Vec<f64>,
    repetitions: Vec<f64>,
    spread: f64,
}

impl Kernel {
    fn start(n_features: usize) -> Self {
        Self { lengths: vec![0.7; n_features], variance: 0.0, noise: -3.0 }
    }

    /// Squared differences over squared lengths, by feature.
    fn squares<'a>(&'a self, a: &'a Place, b: &'a Place) -> impl Iterator<Item = f64> + 'a {
        a.squares(b).zip(&self.lengths).map(|(square, length)| square * (-2.0 * length).exp())
    }

    fn at(&self, a: &Place, b: &Place) -> f64 {
        let r = (5.0 * self.squares(a, b).sum::<f64>()).sqrt();
        self.variance.exp() * (1.0 + r + r * r / 3.0) * (-r).exp()
    }

    /// The kernel of all pairs with noise on the diagonal; row-major.
    fn matrix(&self, points: &Points) -> Vec<f64> {
        let n = points.places.len();
        let mut out = vec![0.0; n * n];
        for ((i, a), row) in points.places.iter().enumerate().zip(out.chunks_exact_mut(n.max(1))) {
            for (value, b) in row.iter_mut().zip(&points.places).take(i + 1) {
                *value = self.at(a, b);
            }
            if let (Some(corner), Some(repeats)) = (row.get_mut(i), points.repetitions.get(i)) {
                *corner += self.noise.exp() / repeats + 1e-8;
            }
        }
        out
    }

    /// Minus the log marginal likelihood, and its gradient by lengths, variance, noise.
    fn loss(&self, points: &Points) -> Option<(f64, Vec<f64>)> {
        let n = points.places.len();
        let cholesky = Cholesky::of(self.matrix(points), n)?;
        let mut alpha = points.outcomes.clone();
        cholesky.solve(&mut alpha);
        let inverse = cholesky.inverse();
        let loss = 0.5 * (dot(&points.outcomes, &alpha) + cholesky.log_determinant());
        let n_lengths = self.lengths.len();
        let mut gradient = vec![0.0; n_lengths + 2];
        let variance = self.variance.exp();
        let mut squares = Vec::with_capacity(n_lengths);
        for ((i, a), row) in points.places.iter().enumerate().zip(inverse.chunks_exact(n.max(1))) {
            for ((j, b), k_inverse) in points.places.iter().enumerate().zip(row).take(i + 1) {
                let twice = if i == j { 1.0 } else { 2.0 };
                let pull = 0.5 * twice * (k_inverse - alpha[i] * alpha[j]);
                squares.clear();
                squares.extend(self.squares(a, b));
                let r = (5.0 * squares.iter().sum::<f64>()).sqrt();
                let decay = variance * (-r).exp();
                // dk/d(ln length_f) = 5/3 (1 + r) e^-r · square_f
                for (g, square) in gradient.iter_mut().zip(&squares) {
                    *g += pull * decay * (5.0 / 3.0) * (1.0 + r) * square;
                }
                gradient[n_lengths] += pull * decay * (1.0 + r + r * r / 3.0);
            }
            gradient[n_lengths + 1] += 0.5 * (row[i] - alpha[i] * alpha[i]) * self.noise.exp() / points.repetitions[i];
        }
        Some((loss, gradient))
    }

    /// With weak priors: lengths around 1 (log-normal), noise small.
    fn penalised(&self, groups: &[Points]) -> Option<(f64, Vec<f64>)> {
        let parts: Vec<Option<(f64, Vec<f64>)>> = groups.par_iter().map(|points| self.loss(points)).collect();
        let mut gradient = vec![0.0; self.lengths.len() + 2];
        let mut loss = 0.0;
        for part in parts {
            let (value, slope) = part?;
            loss += value;
            gradient.iter_mut().zip(slope).for_each(|(sum, g)| *sum += g);
        }
        for (g, length) in gradient.iter_mut().zip(&self.lengths) {
            loss += 0.5 * (length - 0.7).powi(2) / 2.25;
            *g += (length - 0.7) / 2.25;
        }
        Some((loss, gradient))
    }

    /// Resilient steps (iRprop−, Igel and Hüsken 2003): only the signs of the gradient count.
    fn learned(groups: &[Points], n_features: usize) -> Self {
        let mut kernel = Self::start(n_features);
        let mut best = (f64::INFINITY, kernel.clone());
        let mut steps = vec![0.3_f64; n_features + 2];
        let mut before = vec![0.0; n_features + 2];
        for _ in 0..STEPS {
            let Some((loss, mut gradient)) = kernel.penalised(groups) else { break };
            if loss < best.0 {
                best = (loss, kernel.clone());
            }
            for ((g, old), step) in gradient.iter_mut().zip(&before).zip(&mut steps) {
                match *g * old {
                    turn if turn > 0.0 => *step = (*step * 1.2).min(1.0),
                    turn if turn < 0.0 => {
                        *step *= 0.5;
                        *g = 0.0;
                    }
                    _ => {}
                }
            }
            kernel.step(&gradient, &steps);
            before = gradient;
        }
        best.1
    }

    fn step(&mut self, gradient: &[f64], steps: &[f64]) {
        let Self { lengths, variance, noise } = self;
        let bounds = std::iter::repeat_n(BOUNDS, lengths.len() + 1).chain([NOISE_BOUNDS]);
        let values = lengths.iter_mut().chain([variance, noise]);
        for ((value, (low, high)), (g, step)) in values.zip(bounds).zip(gradient.iter().zip(steps)) {
            let sign = if *g > 0.0 {
                1.0
            } else if *g < 0.0 {
                -1.0
            } else {
                0.0
            };
            *value = (*value - sign * step).clamp(low, high);
        }
    }
}

impl Process {
    /// Fits `y`: (n_rows,), what lines leave over. Rows with the same number in `configurations` repeat one another.
    ///
    /// Lengths are those of `like`, where it is given: then only the surface is new.
    pub(super) fn fit(rows: &Rows, y: &[f64], configurations: &[u32], like: Option<&Self>) -> Self {
        let space = Space::of(rows);
        let n_features = rows.numbers.len() + rows.codes.len();
        let points: Vec<(u32, Points)> = (0..)
            .zip(rows.by_group())
            .filter_map(|(group, members)| Some((group, points(rows, &space, y, configurations, &members)?)))
            .collect();
        let kernel = like.map_or_else(|| Kernel::learned(&to_learn_from(&points), n_features), |l| l.kernel.clone());
        let own = |(group, points): (u32, Points)| {
            let mut weights = points.outcomes.clone();
            Cholesky::of(kernel.matrix(&points), points.places.len())?.solve(&mut weights);
            Some((group, Own { places: points.places, weights, spread: points.spread }))
        };
        let groups = points.into_par_iter().map(own).collect::<Vec<_>>().into_iter().flatten().collect();
        Self { space, kernel, groups }
    }

    /// Lengths of the features (in their standard deviations), and the share of noise.
    pub(super) fn settings<'a>(&self, features: impl Iterator<Item = &'a str>) -> Vec<(String, f64)> {
        let lengths =
            features.zip(&self.kernel.lengths).map(|(name, length)| (format!("length of {name}"), length.exp()));
        let noise = (self.kernel.noise - self.kernel.variance).exp();
        lengths.chain([("noise over signal".to_owned(), noise)]).collect()
    }

    /// Expected outcomes: (n_rows,); 0 far from everything seen, and in groups without a process.
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let one = |row: usize| {
            let Some(own) = rows.group.get(row).and_then(|group| self.groups.get(group)) else { return 0.0 };
            let place = self.space.place(rows, row);
            let terms = own.places.iter().zip(&own.weights).map(|(p, w)| w * self.kernel.at(p, &place));
            own.spread * terms.sum::<f64>()
        };
        (0..rows.n).into_par_iter().with_min_len(64).map(one).collect()
    }
}

/// The configurations of a group, every so many of them where they are too many; none where they are too few.
fn points(rows: &Rows, space: &Space, y: &[f64], configurations: &[u32], members: &[u32]) -> Option<Points> {
    let mut by_configuration: BTreeMap<u32, (u32, Vec<f64>)> = BTreeMap::new();
    for &row in members {
        let (Some(&configuration), Some(&y)) = (configurations.get(row as usize), y.get(row as usize)) else {
            continue;
        };
        by_configuration.entry(configuration).or_insert_with(|| (row, Vec::new())).1.push(y);
    }
    let n = by_configuration.len();
    if n < MIN_POINTS {
        return None;
    }
    let typical = typical_disagreement(by_configuration.values().map(|(_, values)| values.as_slice()));
    let (mut places, mut outcomes, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    for (row, mut values) in by_configuration.into_values().step_by(n.div_ceil(MAX_POINTS)) {
        places.push(space.place(rows, row as usize));
        let disagreement = disagreement(&values);
        let trust = if disagreement > typical { 2.0 * typical / (typical + disagreement) } else { 1.0 };
        repetitions.push(count(values.len()) * trust);
        outcomes.push(median(&mut values));
    }
    let spread = (outcomes.iter().map(|v| v * v).sum::<f64>() / count(outcomes.len())).sqrt();
    let spread = if spread > 0.0 && spread.is_finite() { spread } else { 1.0 };
    outcomes.iter_mut().for_each(|v| *v /= spread);
    Some(Points { places, outcomes, repetitions, spread })
}

/// Variance of repetitions around their median; 0 for a single one.
fn disagreement(values: &[f64]) -> f64 {
    let middle = median(&mut values.to_vec());
    let squares: f64 = values.iter().map(|v| (v - middle).powi(2)).sum();
    if values.len() < 2 { 0.0 } else { squares / count(values.len() - 1) }
}

/// The middle variance of repetitions, by which is told which configuration is known less well than others.
fn typical_disagreement<'a>(configurations: impl Iterator<Item = &'a [f64]>) -> f64 {
    let mut variances: Vec<f64> = configurations.map(disagreement).filter(|v| *v > 0.0).collect();
    if variances.is_empty() { 0.0 } else { median(&mut variances) }
}

/// Groups, the largest first, until there are configurations enough; every so many of the last.
fn to_learn_from(points: &[(u32, Points)]) -> Vec<Points> {
    let mut order: Vec<&Points> = points.iter().map(|(_, points)| points).collect();
    order.sort_by_key(|points| std::cmp::Reverse(points.places.len()));
    let mut left = MAX_TO_LEARN;
    let mut out = Vec::new();
    for points in order {
        if left < MIN_POINTS {
            break;
        }
        let stride = points.places.len().div_ceil(left).max(1);
        let thinned = Points {
            places: points.places.iter().step_by(stride).cloned().collect(),
            outcomes: points.outcomes.iter().step_by(stride).copied().collect(),
            repetitions: points.repetitions.iter().step_by(stride).copied().collect(),
            spread: points.spread,
        };
        left -= thinned.places.len().min(left);
        out.push(thinned);
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
