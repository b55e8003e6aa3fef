//! What a posterior says beside the tests: probability to be better or best, expected loss.
//!
//! The effect is normal around the truth with its standard error; the prior of the effect is flat or normal. The figures are
//! read at one look, and decide nothing.

use super::contrast::Contrast;
use crate::stats::dist::normal_sf;

/// A normal prior of a relative effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// What is expected before any data.
    pub mean: f64,
    /// How far from it effects usually lie (standard deviation).
    pub spread: f64,
}

/// A normal distribution of the effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub spread: f64,
}

impl Posterior {
    /// Precisions add up; a flat prior without one.
    #[must_use]
    pub fn of(value: f64, standard_error: f64, prior: Option<Prior>) -> Self {
        let Some(Prior { mean, spread }) = prior else { return Self { mean: value, spread: standard_error } };
        let (data, before) = (standard_error.powi(-2), spread.powi(-2));
        let precision = data + before;
        Self { mean: (value * data + mean * before) / precision, spread: precision.powf(-0.5) }
    }

    pub(super) fn of_contrast(contrast: &Contrast, prior: Option<Prior>) -> Self {
        Self::of(contrast.value, contrast.standard_error, prior)
    }

    /// Probability of an effect above zero.
    #[must_use]
    pub fn above_zero(&self) -> f64 {
        normal_sf(-self.mean / self.spread)
    }

    /// Mean of what lies above zero, the rest counting nothing: what is lost on average by staying with the control if more is
    /// better.
    #[must_use]
    pub fn mean_above(&self) -> f64 {
        let z = self.mean / self.spread;
        self.spread * above(z)
    }

    /// The same of what lies below zero: what is lost by taking the arm if more is better.
    #[must_use]
    pub fn mean_below(&self) -> f64 {
        self.spread * above(-self.mean / self.spread)
    }
}

/// E max(Z + z, 0) of a standard normal Z.
fn above(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    if z > -8.0 {
        return (density + z * normal_sf(-z)).max(0.0);
    }
    // The two terms cancel in the tail; Laplace's continued fraction of Mills' ratio R keeps the digits of 1 − |z| R.
    let x = -z;
    let fraction = (1..=TAIL_TERMS).rev().fold(x, |rest, k| x + f64::from(k) / rest);
    density * (fraction - x) / fraction
}

const TAIL_TERMS: u32 = 60;

/// Grid of the integral over the best value; the trapezoid rule is exact to ten digits for smooth functions that vanish.
const GRID: usize = 400;

/// Probability of each arm to have the highest (`is_higher_better`) or the lowest truth, given estimates and their variances,
/// independent of each other.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a small count")]
pub fn probabilities_best(levels: &[(f64, f64)], is_higher_better: bool) -> Vec<f64> {
    let sign = if is_higher_better { 1.0 } else { -1.0 };
    let one = |(at, &(mean, variance)): (usize, &(f64, f64))| {
        let spread = variance.sqrt();
        let step = 16.0 / GRID as f64;
        let term = |i: usize| {
            let z = step.mul_add(i as f64, -8.0);
            let value = mean + z * spread;
            let others = levels.iter().enumerate().filter(|(other, _)| *other != at);
            let beats = others.map(|(_, &(theirs, variance))| normal_sf(sign * (theirs - value) / variance.sqrt()));
            (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * step * beats.product::<f64>()
        };
        (0..=GRID).map(term).sum()
    };
    levels.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_arms_agree_with_the_difference_and_shares_add_up() {
        let levels = [(1.0, 0.04), (1.2, 0.09)];
        let best = probabilities_best(&levels, true);
        let direct = Posterior::of(0.2, 0.13_f64.sqrt(), None).above_zero();
        assert!((best[1] - direct).abs() < 1e-9, "{} {direct}", best[1]);
        for is_higher_better in [true, false] {
            let five =
                probabilities_best(&[(1.0, 0.1), (0.9, 0.2), (1.4, 0.3), (1.0, 0.1), (0.0, 0.01)], is_higher_better);
            assert!((five.iter().sum::<f64>() - 1.0).abs() < 1e-8, "{five:?}");
        }
        assert!(probabilities_best(&[], true).is_empty());
    }

    #[test]
    fn losses_keep_their_digits_in_the_tail() {
        for z in [-7.999_f64, -8.001] {
            let posterior = Posterior { mean: z, spread: 1.0 };
            // scipy 1.17.1: norm.pdf(8) - 8 norm.sf(8) = 7.5507e-17, decreasing by 8 % per 0.01.
            assert!((posterior.mean_above() / 7.55e-17 - 1.0).abs() < 0.02, "{}", posterior.mean_above());
        }
        let even = Posterior { mean: 0.0, spread: 2.0 };
        assert!((even.mean_above() - even.mean_below()).abs() < 1e-15 && (even.above_zero() - 0.5).abs() < 1e-15);
    }
}
