//! Order statistics and rank methods: medians, Kendall's tau, Theil-Sen, Kruskal-Wallis.

use crate::stats::dist;

/// Makes a median absolute deviation comparable to a standard deviation under normality: 1 / Φ⁻¹(3/4).
pub const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// The median; reorders `values`. NaN when empty.
#[must_use]
pub fn median_in_place(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    let (below, &mut upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    if n % 2 == 1 {
        return upper;
    }
    let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
    lower + 0.5 * (upper - lower)
}

/// The median of finite values. NaN when there are none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    median_in_place(&mut finite)
}

/// Mid-ranks, 1-based, in the order of `values`; tied values share their mean rank. Also Σ(t³ − t) over the ties.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "ranks stay far below 2^53")]
pub fn mid_ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<(f64, usize)> = values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut ties, mut seen) = (vec![0.0; values.len()], 0.0, 0.0);
    for tied in order.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let t = tied.len() as f64;
        for &(_, at) in tied {
            if let Some(rank) = ranks.get_mut(at) {
                *rank = seen + 0.5 * (t + 1.0);
            }
        }
        ties += t * t * t - t;
        seen += t;
    }
    (ranks, ties)
}

/// The significance of a difference in location between groups: Kruskal and Wallis' H, corrected for ties, against χ².
///
/// `groups[i]` in `0..n_groups` is the group of `values[i]`. 1 where fewer than two groups have values or all are
/// equal.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn kruskal_wallis(values: &[f64], groups: &[usize], n_groups: usize) -> f64 {
    let (ranks, ties) = mid_ranks(values);
    let mut sums = vec![(0.0, 0.0); n_groups];
    for (rank, &group) in ranks.iter().zip(groups) {
        if let Some((sum, count)) = sums.get_mut(group) {
            *sum += rank;
            *count += 1.0;
        }
    }
    let n = values.len() as f64;
    let used = sums.iter().filter(|(_, count)| *count > 0.0);
    let (between, k) = used.fold((0.0, 0.0), |(h, k), (sum, count)| (h + sum * sum / count, k + 1.0));
    let correction = 1.0 - ties / (n * n * n - n);
    if k < 2.0 || correction.is_nan() || correction <= 0.0 {
        return 1.0;
    }
    let h = (12.0 / (n * (n + 1.0)) * between - 3.0 * (n + 1.0)) / correction;
    dist::chi2_sf(h, k - 1.0)
}

/// A line through the median of all pairwise slopes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TheilSen {
    /// Median slope per unit of time.
    pub slope: f64,
    /// Interval of the slope.
    pub lower: f64,
    /// Interval of the slope.
    pub upper: f64,
    /// Kendall's tau-b of values against time.
    pub tau: f64,
}

/// The slope of `values` over strictly increasing `times`, with Sen's interval; none below two points.
///
/// Cost grows with the square of the number of points. `inflation`, given the slope, multiplies the variance of
/// Kendall's S: 1 for independent values, more under autocorrelation ([`rank_inflation`]). Sen, JASA 63 (1968), with the
/// variance corrected for ties.
#[must_use]
pub fn theil_sen(times: &[f64], values: &[f64], level: f64, inflation: impl FnOnce(f64) -> f64) -> Option<TheilSen> {
    let (mut slopes, concordance) = pairwise_slopes(times, values);
    let n = slopes.len();
    if n == 0 {
        return None;
    }
    let (below, &mut upper_middle, above) = slopes.select_nth_unstable(n / 2);
    let lower_middle = below.iter().max().filter(|_| n % 2 == 0).map_or(value_of(upper_middle), |&key| value_of(key));
    let upper_middle = value_of(upper_middle);
    let slope = lower_middle + 0.5 * (upper_middle - lower_middle);
    let moments = kendall_moments(values);
    let variance = moments.variance * inflation(slope).max(0.0);
    let half_width = dist::normal_quantile(0.5 * (1.0 + level)) * variance.sqrt();
    let (lower_rank, upper_rank) = sen_ranks(n, half_width);
    let in_half = |half: &mut [i64], rank: Option<usize>| match rank.filter(|rank| *rank < half.len()) {
        Some(rank) => value_of(*half.select_nth_unstable(rank).1),
        None => upper_middle,
    };
    let (lower, upper) = (in_half(below, Some(lower_rank)), in_half(above, upper_rank.checked_sub(n / 2 + 1)));
    let tau = if moments.untied > 0.0 { concordance / moments.untied } else { 0.0 };
    Some(TheilSen { slope, lower, upper, tau })
}

/// An integer for a number: their order is [`f64::total_cmp`]'s, and they are selected in half the time.
fn sort_key(value: f64) -> i64 {
    flipped(value.to_bits().cast_signed())
}

fn value_of(sort_key: i64) -> f64 {
    f64::from_bits(flipped(sort_key).cast_unsigned())
}

/// Negative numbers have their other bits turned, since their order is that of the bits backwards.
fn flipped(bits: i64) -> i64 {
    bits ^ ((bits >> 63) & i64::MAX)
}

/// Keys of all slopes between pairs, and Kendall's S (pairs that rise less those that fall).
#[expect(clippy::cast_precision_loss, reason = "pairs of a few hundred points stay far below 2^53")]
fn pairwise_slopes(times: &[f64], values: &[f64]) -> (Vec<i64>, f64) {
    let n = times.len().min(values.len());
    let mut slopes = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    for (i, (t, v)) in times.iter().zip(values).enumerate() {
        let earlier = times.iter().zip(values).take(i);
        // Zeros are positive then, whose key is 0: a key has its slope's sign.
        slopes.extend(earlier.map(|(u, w)| sort_key((v - w) / (t - u) + 0.0)));
    }
    let concordance: i64 = slopes.iter().map(|key| key.signum()).sum();
    (slopes, concordance as f64)
}

struct KendallMoments {
    /// Variance of S when nothing trends.
    variance: f64,
    /// √(pairs · pairs not tied in value): the denominator of tau-b for times without ties.
    untied: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn kendall_moments(values: &[f64]) -> KendallMoments {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = values.len() as f64;
    let (mut variance, mut tied_pairs) = (n * (n - 1.0) * (2.0 * n + 5.0), 0.0);
    for tied in sorted.chunk_by(|a, b| a.total_cmp(b).is_eq()) {
        let t = tied.len() as f64;
        variance -= t * (t - 1.0) * (2.0 * t + 5.0);
        tied_pairs += 0.5 * t * (t - 1.0);
    }
    let pairs = 0.5 * n * (n - 1.0);
    KendallMoments { variance: variance.max(0.0) / 18.0, untied: (pairs * (pairs - tied_pairs)).sqrt() }
}

/// Ranks of Sen's limits among `n` sorted slopes; the whole range where the interval is wider than it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks are clamped to 0..n"
)]
fn sen_ranks(n: usize, half_width: f64) -> (usize, usize) {
    let last = n as f64 - 1.0;
    let lower = (0.5 * (n as f64 - half_width)).round_ties_even() - 1.0;
    let upper = (0.5 * (n as f64 + half_width)).round_ties_even();
    (lower.clamp(0.0, last) as usize, upper.clamp(0.0, last) as usize)
}

/// By how much autocorrelation widens the variance of Kendall's S: that of a first-order process whose ranks have the
/// lag-one correlation of the `residuals` (bias-corrected, never negative, and one standard error more).
///
/// Hamed and Rao, "A modified Mann-Kendall trend test for autocorrelated data", J. Hydrology 204 (1998), eq. 7, with
/// ρᵢ = ρ₁ⁱ, because correlations at long lags are noise in a few dozen values.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn rank_inflation(residuals: &[f64]) -> f64 {
    let n = residuals.len() as f64;
    if residuals.len() < 5 {
        return 1.0;
    }
    let (ranks, _) = mid_ranks(residuals);
    let rho = lag_one(&ranks);
    // A detrended series' lag-one correlation is low by (1 + 4ρ)/n (Kendall's bias, twice for the fitted line).
    let rho = ((n * rho + 2.0) / (n - 4.0).max(1.0)).clamp(-1.0, 1.0);
    // A few dozen values tell it only so well, and too low a one is the costlier mistake: one standard error is added.
    let rho = (rho + ((1.0 - rho * rho) / n).sqrt()).clamp(0.0, 0.98);
    let (mut sum, mut power, mut lag) = (0.0, rho, 1.0);
    while lag < n - 2.0 && power > 1e-6 {
        sum += (n - lag) * (n - lag - 1.0) * (n - lag - 2.0) * power;
        power *= rho;
        lag += 1.0;
    }
    1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum
}

/// Correlation of neighbours about the common mean; 0 for a constant.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn lag_one(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let square: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    let cross: f64 = values.iter().zip(values.iter().skip(1)).map(|(a, b)| (a - mean) * (b - mean)).sum();
    if square > 0.0 { cross / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-9 * want.abs().max(1e-9), "{got} beside {want}");
    }

    const TIMES: [f64; 12] = [0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 9.0, 10.0, 11.0, 12.0, 14.0];
    const VALUES: [f64; 12] = [3.1, 2.9, 3.4, 3.4, 4.0, 3.2, 4.4, 4.1, 9.0, 4.6, 4.6, 5.2];

    #[test]
    fn medians() {
        assert!(median(&[]).is_nan() && median(&[f64::NAN]).is_nan());
        close(median(&[4.0]), 4.0);
        close(median(&[4.0, f64::NAN, 1.0]), 2.5);
        close(median(&[9.0, 1.0, 5.0]), 5.0);
        close(median(&[f64::MAX, f64::MAX]), f64::MAX);
    }

    // scipy 1.17.1: theilslopes(y, x, .95) and kendalltau
    #[test]
    fn theil_sen_agrees_with_scipy() {
        let line = theil_sen(&TIMES, &VALUES, 0.95, |_| 1.0).unwrap();
        close(line.slope, 0.152_272_727_272_727_28);
        close(line.lower, 0.1);
        close(line.upper, 0.25);
        close(line.tau, 0.738_548_945_875_996_4);
    }

    #[test]
    fn reversed_time_turns_the_slope() {
        let there = theil_sen(&TIMES, &VALUES, 0.9, |_| 1.5).unwrap();
        let times: Vec<f64> = TIMES.iter().rev().map(|t| -t).collect();
        let values: Vec<f64> = VALUES.iter().rev().copied().collect();
        let back = theil_sen(&times, &values, 0.9, |_| 1.5).unwrap();
        close(back.slope, -there.slope);
        close(back.tau, -there.tau);
        assert!(back.lower <= -there.slope && -there.slope <= back.upper);
    }

    #[test]
    fn a_line_needs_two_points() {
        assert_eq!(theil_sen(&[], &[], 0.95, |_| 1.0), None);
        assert_eq!(theil_sen(&[1.0], &[1.0], 0.95, |_| 1.0), None);
        let flat = theil_sen(&TIMES, &[2.0; 12], 0.95, |_| 1.0).unwrap();
        assert!(flat.slope.abs() + flat.tau.abs() + flat.upper.abs() < f64::EPSILON);
    }

    // scipy 1.17.1: kruskal([1.1, 2.2, 2.2, 3.5], [2.0, 4.1, 5.2], [7.0, 3.5, 8.8, 9.1])
    #[test]
    fn kruskal_wallis_agrees_with_scipy() {
        let values = [1.1, 2.2, 2.2, 3.5, 2.0, 4.1, 5.2, 7.0, 3.5, 8.8, 9.1];
        let groups = [0, 0, 0, 0, 1, 1, 1, 3, 3, 3, 3];
        close(kruskal_wallis(&values, &groups, 4), 0.061_038_295_138_518_085);
        close(kruskal_wallis(&[5.0; 11], &groups, 4), 1.0);
        close(kruskal_wallis(&[], &[], 4), 1.0);
    }

    #[test]
    fn autocorrelation_widens_and_its_absence_does_not_narrow() {
        let alternating: Vec<f64> = (0..60).map(|i| f64::from(i % 2)).collect();
        close(rank_inflation(&alternating), 1.0);
        let slow: Vec<f64> = (0..60).map(|i| (f64::from(i) / 6.0).sin()).collect();
        assert!(rank_inflation(&slow) > 5.0);
        close(rank_inflation(&[1.0, 2.0]), 1.0);
    }
}
