//! The two tests that the rules need.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Linear interpolation between order statistics; NaN of nothing. Sorts `values`.
pub(crate) fn quantile(values: &mut [f64], p: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// The middle of `values`; NaN of nothing. Sorts them.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// One-sided Wilcoxon rank-sum test (Mann & Whitney 1947) by the normal approximation with correction for ties and
/// continuity: how likely `after` would lie this far above `before` if both were alike. 1 where nothing can be told.
pub(crate) fn rank_sum_p(before: &[f64], after: &[f64]) -> f64 {
    let (n, m) = (before.len() as f64, after.len() as f64);
    let mut all: Vec<(f64, bool)> =
        before.iter().map(|v| (*v, false)).chain(after.iter().map(|v| (*v, true))).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut tied, mut n_below) = (0.0, 0.0, 0.0);
    for ties in all.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let n_ties = ties.len() as f64;
        let n_after = ties.iter().filter(|(_, is_after)| *is_after).count() as f64;
        rank_sum += n_after * (n_below + (n_ties + 1.0) / 2.0);
        tied += n_ties.powi(3) - n_ties;
        n_below += n_ties;
    }
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - tied / (total * (total - 1.0)));
    let excess = rank_sum - m * (m + 1.0) / 2.0 - n * m / 2.0 - 0.5;
    // 0 for constants, NaN where there is nothing to compare.
    if variance > 0.0 { Normal::standard().sf(excess / variance.sqrt()) } else { 1.0 }
}

/// A slope and where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slope {
    pub(crate) value: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

/// Least squares of `y` on `x`, with the interval from a variance that holds when the spread changes with `x` (White 1980,
/// in the small-sample form HC1). None for fewer than 3 points or constant `x`.
pub(crate) fn robust_slope(x: &[f64], y: &[f64], level: f64) -> Option<Slope> {
    let n = x.len().min(y.len()) as f64;
    if n < 3.0 {
        return None;
    }
    let (x_mean, y_mean) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let pairs = || x.iter().zip(y).map(|(x, y)| (x - x_mean, y - y_mean));
    let spread: f64 = pairs().map(|(x, _)| x * x).sum();
    let value = pairs().map(|(x, y)| x * y).sum::<f64>() / spread;
    let meat: f64 = pairs().map(|(x, y)| (x * (y - value * x)).powi(2)).sum();
    let error = (n / (n - 2.0) * meat).sqrt() / spread;
    let t = StudentsT::new(0.0, 1.0, n - 2.0).ok()?.inverse_cdf(0.5 + level / 2.0);
    (value.is_finite() && error.is_finite()).then_some(Slope {
        value,
        lower: value - t * error,
        upper: value + t * error,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests with exact answers")]
    use super::*;

    #[test]
    fn quantiles_of_nothing_one_and_some() {
        assert!(median(&mut []).is_nan());
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [4.0, 1.0]), 2.5);
        assert_eq!(quantile(&mut [1.0, 2.0, 3.0, 4.0, 5.0], 0.9), 4.6);
    }

    #[test]
    fn rank_sum_agrees_with_scipy() {
        // scipy 1.17.1: mannwhitneyu(after, before, alternative="greater", method="asymptotic")
        let before = [1.1, 2.0, 2.0, 3.5, 4.0, 5.5, 6.0, 2.5];
        let after = [2.0, 4.5, 5.5, 7.0, 8.0, 6.5, 9.0, 3.0, 10.0];
        assert!((rank_sum_p(&before, &after) - 0.016857381430781786).abs() < 1e-9);
    }

    #[test]
    fn slope_agrees_with_statsmodels() {
        // statsmodels 0.15.0: OLS(y, [1, x]).fit(cov_type="HC1", use_t=True).conf_int(0.05)
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let y = [1.2, 1.9, 3.4, 3.9, 5.6, 5.8, 7.9, 7.1];
        let slope = robust_slope(&x, &y, 0.95).unwrap();
        assert!((slope.value - 0.9547619047619044).abs() < 1e-9);
        assert!((slope.lower - 0.6953792940725438).abs() < 1e-6, "{slope:?}");
        assert!((slope.upper - 1.214144515451265).abs() < 1e-6, "{slope:?}");
    }

    #[test]
    fn nothing_can_be_told_of_constants() {
        assert_eq!(rank_sum_p(&[1.0; 9], &[1.0; 9]), 1.0);
        assert_eq!(rank_sum_p(&[], &[1.0]), 1.0);
        assert_eq!(robust_slope(&[2.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0], 0.95), None);
        assert_eq!(robust_slope(&[1.0, 2.0], &[1.0, 2.0], 0.95), None);
    }
}
