//! Split conformal prediction on normalised residuals.
//!
//! Residuals of the newest, held-out part of the history, each divided by the scale expected of it, give the two
//! quantiles that bound a new one (Papadopoulos et al. 2002; Lei et al. 2018, "Distribution-free predictive
//! inference"). Both tails are taken apart, because durations have a long one.

use crate::units::Level;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// A step's own quantiles weigh as much as its group's at this many calibration executions.
const STEP_WEIGHT: f64 = 100.0;

/// Bounds in units of the expected scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bounds {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Bounds {
    /// The bounds of a normal distribution: all that can be said without calibration.
    pub(crate) fn normal(level: Level) -> Self {
        let z = Normal::standard().inverse_cdf(1.0 - level.alpha() / 2.0);
        Self { lower: -z, upper: z }
    }

    /// Bounds that hold a new residual with probability `level`, if it is exchangeable with `residuals` (sorted here).
    /// Between two ranks they are interpolated: rounded outwards a hundred residuals would hold up to 2 % too many.
    /// None where there are too few for that promise: it takes `2 / (1 − level) − 1`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie in 0..=n, far below 2^53"
    )]
    pub(crate) fn conformal(residuals: &mut [f64], level: Level) -> Option<Self> {
        residuals.sort_unstable_by(f64::total_cmp);
        let n = residuals.len();
        // The tolerance keeps (n + 1)·α/2 from falling a hair below a whole number.
        let rank = (n as f64 + 1.0) * level.alpha() / 2.0 + 1e-9;
        let (cut, inwards) = (rank.floor() as usize, rank.fract());
        let between = |at: usize, next: usize| -> Option<f64> {
            let (edge, next) = (*residuals.get(at)?, residuals.get(next));
            Some(next.map_or(edge, |next| edge + inwards * (next - edge)))
        };
        let lower = between(cut.checked_sub(1)?, cut)?;
        let upper = n.checked_sub(cut).and_then(|at| between(at, at.saturating_sub(1)))?;
        (lower <= upper).then_some(Self { lower, upper })
    }

    /// Moves from the group's bounds towards the step's own, as far as `n` executions of the step carry.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn towards(self, own: Self, n: usize) -> Self {
        let weight = n as f64 / (n as f64 + STEP_WEIGHT);
        let mix = |group: f64, own: f64| group + weight * (own - group);
        Self { lower: mix(self.lower, own.lower), upper: mix(self.upper, own.upper) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn level(value: f64) -> Level {
        Level::new(value).unwrap()
    }

    #[test]
    fn ranks_are_those_of_the_definition() {
        // 19 residuals at level 0.9: the smallest and the largest.
        let mut residuals: Vec<f64> = (0..19).rev().map(f64::from).collect();
        let bounds = Bounds::conformal(&mut residuals, level(0.9)).unwrap();
        assert!(bounds.lower.abs() < 1e-6 && (bounds.upper - 18.0).abs() < 1e-6, "{bounds:?}");
        assert!(Bounds::conformal(&mut residuals[..18], level(0.9)).is_none());
        assert!(Bounds::conformal(&mut [], level(0.5)).is_none());
    }

    #[test]
    fn few_residuals_hold_what_is_promised_on_average() {
        // A thousand draws of 25 to 44 uniform residuals: what lies between the bounds is what a new one hits.
        let mut draws = (0_u32..).map(crate::learn::testing::noise);
        let mut held = 0.0;
        for draw in 0..1000 {
            let mut residuals: Vec<f64> = draws.by_ref().take(25 + draw % 20).collect();
            let bounds = Bounds::conformal(&mut residuals, level(0.9)).unwrap();
            held += (bounds.upper - bounds.lower) / 1000.0;
        }
        assert!((held - 0.9).abs() < 0.005, "{held}");
    }

    #[test]
    fn a_wider_level_is_a_wider_interval() {
        let mut residuals: Vec<f64> = (0..999).map(|i| f64::from(i * 7919 % 1009)).collect();
        let narrow = Bounds::conformal(&mut residuals, level(0.8)).unwrap();
        let wide = Bounds::conformal(&mut residuals, level(0.95)).unwrap();
        assert!(wide.lower <= narrow.lower && narrow.upper <= wide.upper);
    }

    #[test]
    fn no_calibration_falls_back_on_the_normal() {
        assert!((Bounds::normal(level(0.95)).upper - 1.959_963_984_540_054).abs() < 1e-6);
    }
}
