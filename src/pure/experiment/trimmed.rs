//! Means that a few extreme values do not decide.

use super::linear::Pair;
use super::ranked::Ranked;

/// One arm's trimmed mean with the variance of that mean and the values that are left.
struct Trimmed {
    mean: f64,
    variance: f64,
    kept: f64,
}

/// Difference of trimmed means (Yuen, Biometrika 61, 1974): of each arm the share `trim` of the lowest and of the highest
/// values is left out, and the variance is that of values drawn in to those that are left. None where fewer than two are.
#[must_use]
pub fn compare(arm: &Ranked, control: &Ranked, trim: f64) -> Option<Pair> {
    let (t, c) = (trimmed(arm, trim)?, trimmed(control, trim)?);
    let share = |one: &Trimmed| one.variance.powi(2) / (one.kept - 1.0);
    Some(Pair {
        control: c.mean,
        difference: t.mean - c.mean,
        variance: t.variance + c.variance,
        control_variance: c.variance,
        covariance: -c.variance,
        freedom: (t.variance + c.variance).powi(2) / (share(&t) + share(&c)),
        n: arm.n() + control.n(),
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks lie in 0..n, far below 2^53"
)]
fn trimmed(arm: &Ranked, trim: f64) -> Option<Trimmed> {
    let Ranked::Values(sorted) = arm else { return None };
    let cut = (trim.clamp(0.0, 0.5) * sorted.len() as f64).floor() as usize;
    let left = sorted.get(cut..sorted.len().checked_sub(cut)?)?;
    let (low, high) = (*left.first()?, *left.last()?);
    let kept = left.len() as f64;
    let mean = left.iter().sum::<f64>() / kept;
    let n = sorted.len() as f64;
    let drawn_in = || sorted.iter().map(|value| value.clamp(low, high));
    let centre = drawn_in().sum::<f64>() / n;
    let scatter: f64 = drawn_in().map(|value| (value - centre).powi(2)).sum();
    (left.len() >= 2).then(|| Trimmed { mean, variance: scatter / (kept * (kept - 1.0)), kept })
}

/// The bounds to which winsorising draws values in, with what is known of their error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WinsorBounds {
    share: f64,
    /// The quantiles `share` and 1 − `share` of all arms together, so that arms are bounded alike.
    pub lower: f64,
    /// See `lower`.
    pub upper: f64,
    /// How far each quantile moves per unit of probability: 1 / density, by the order statistics a standard error of two
    /// to either side (Siddiqui, Journal of Research of the NBS 64B, 1960).
    spacing: (f64, f64),
}

/// Of the values of all arms.
#[must_use]
pub fn winsor_bounds(all: &Ranked, share: f64) -> WinsorBounds {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let error = (share * (1.0 - share) / all.n().max(1) as f64).sqrt();
    let half = (2.0 * error).min(0.9 * share);
    let spacing = |q: f64| (all.quantile(q + half) - all.quantile(q - half)) / (2.0 * half);
    WinsorBounds {
        share,
        lower: all.quantile(share),
        upper: all.quantile(1.0 - share),
        spacing: (spacing(share), spacing(1.0 - share)),
    }
}

impl WinsorBounds {
    /// A value drawn in.
    #[must_use]
    pub fn drawn_in(&self, value: f64) -> f64 {
        value.max(self.lower).min(self.upper)
    }

    /// Which of the bounds a value that is drawn in lies at: shares of an arm's values at the lower and at the upper one.
    pub(super) fn shares_at(&self, values: &[f64]) -> (f64, f64) {
        let n = values.len().max(1) as f64;
        let count = |is: &dyn Fn(f64) -> bool| values.iter().filter(|value| is(**value)).count() as f64;
        (count(&|value| value <= self.lower) / n, count(&|value| value >= self.upper) / n)
    }

    /// What one value adds to the difference of two arms through the bounds, by its influence on their quantiles, where more
    /// of the one arm's values lie at the bounds than of the other's: `excess` is the difference of [`Self::shares_at`].
    pub(super) fn influence(&self, drawn_in: f64, excess: (f64, f64)) -> f64 {
        let at = |is: bool| f64::from(u8::from(is));
        let of_lower = self.spacing.0 * (self.share - at(drawn_in <= self.lower));
        let of_upper = self.spacing.1 * (at(drawn_in >= self.upper) - self.share);
        excess.0 * of_lower + excess.1 * of_upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_does_not_decide() {
        let values = |last: f64| Ranked::of((0..20).map(f64::from).chain([last]));
        let tame = compare(&values(20.0), &values(20.0), 0.1);
        let wild = compare(&values(1e9), &values(20.0), 0.1);
        assert_eq!(tame, wild);
        assert!(tame.is_some_and(|pair| pair.difference.abs() < 1e-12 && pair.variance > 0.0));
        assert!(compare(&Ranked::of([]), &values(1.0), 0.1).is_none());
        assert!(compare(&Ranked::of([1.0, 2.0]), &values(1.0), 0.5).is_none());
        let bounds = winsor_bounds(&values(1e9), 0.1);
        assert_eq!((bounds.lower, bounds.upper), (2.0, 18.0));
    }
}
