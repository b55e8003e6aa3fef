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

/// The bounds to which winsorising draws values in: the quantiles `share` and 1 − `share` of all arms together, so that
/// both arms are bounded alike.
#[must_use]
pub fn winsor_bounds(all: &Ranked, share: f64) -> (f64, f64) {
    (all.quantile(share), all.quantile(1.0 - share))
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
        assert_eq!(winsor_bounds(&values(1e9), 0.1), (2.0, 18.0));
    }
}
