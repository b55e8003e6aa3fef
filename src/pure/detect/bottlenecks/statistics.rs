//! The tests that the rules need.

use crate::stats::dist::t_sf;
use statrs::distribution::{ContinuousCDF, DiscreteCDF, Hypergeometric, Normal, StudentsT};
use std::collections::BTreeMap;

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

/// One-sided quantile test (Johnson, Verrill and Moore 1987; with a share of 0.5 the median test of Mood): how likely so
/// many of the values above the `share`-quantile of all would be of `after` if both were alike, by the hypergeometric
/// distribution. 1 where nothing can be told.
pub(crate) fn quantile_test_p(before: &[f64], after: &[f64], share: f64) -> f64 {
    let mut all: Vec<f64> = before.iter().chain(after).copied().collect();
    let edge = quantile(&mut all, share);
    let above = |values: &[f64]| values.iter().filter(|value| **value > edge).count() as u64;
    let (of_after, of_all) = (above(after), above(&all));
    match (Hypergeometric::new(all.len() as u64, of_all, after.len() as u64), of_after.checked_sub(1)) {
        (Ok(by_chance), Some(fewer)) => by_chance.sf(fewer),
        _ => 1.0,
    }
}

/// The same where values of one day are alike: whether more of `after` lies above the `share`-quantile of all, with the
/// variance of both shares over days (ratio estimators, Cochran 1977, chapter 6) and Student's t with one degree of freedom
/// less than the shorter has days. Each value with its day. 1 where nothing can be told.
pub(crate) fn quantile_test_over_days_p(before: &[(i64, f64)], after: &[(i64, f64)], share: f64) -> f64 {
    let mut all: Vec<f64> = before.iter().chain(after).map(|(_, value)| *value).collect();
    let edge = quantile(&mut all, share);
    let (share_before, variance_before, n_before) = share_above(before, edge);
    let (share_after, variance_after, n_after) = share_above(after, edge);
    let t = (share_after - share_before) / (variance_before + variance_after).sqrt();
    let p_value = t_sf(t, n_before.min(n_after) as f64 - 1.0);
    if p_value.is_finite() { p_value } else { 1.0 }
}

/// The share of values above `edge`, its variance over days, and how many these are.
fn share_above(values: &[(i64, f64)], edge: f64) -> (f64, f64, usize) {
    let mut days: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (day, value) in values {
        let (above, n) = days.entry(*day).or_default();
        *above += f64::from(u8::from(*value > edge));
        *n += 1.0;
    }
    let n = values.len() as f64;
    let share = days.values().map(|(above, _)| above).sum::<f64>() / n;
    let squares: f64 = days.values().map(|(above, n)| (above - share * n).powi(2)).sum();
    let n_days = days.len() as f64;
    (share, n_days / (n_days - 1.0) * squares / (n * n), days.len())
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
    fn the_quantile_test_agrees_with_scipy() {
        // 20 values, the five above 15.25 are 16 and 17 of `before` and 18, 19, 20 of `after`.
        // scipy 1.17.1: hypergeom.sf(2, 20, 5, 8)
        let before = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 16.0, 17.0];
        let after = [11.0, 12.0, 13.0, 14.0, 15.0, 18.0, 19.0, 20.0];
        assert!((quantile_test_p(&before, &after, 0.75) - 0.2961816305469557).abs() < 1e-9);
        assert_eq!(quantile_test_p(&before, &[0.5, 0.6], 0.75), 1.0, "none above");
        assert_eq!(quantile_test_p(&[], &[], 0.75), 1.0);
        assert_eq!(quantile_test_p(&[1.0; 9], &[1.0; 9], 0.95), 1.0);
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
