//! Centre and spread that a few wild values can't move.

/// Makes the median absolute deviation estimate the standard deviation of normal data (1 / Φ⁻¹(3/4)).
pub const MAD_TO_STD: f64 = 1.482_602_218_505_602;

/// The `q`-quantile with linear interpolation between order statistics (type 7, numpy's default). Reorders `values`,
/// which must not hold NaN. NaN when empty.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks lie in 0..len, far below 2^53"
)]
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let rank = q.clamp(0.0, 1.0) * last as f64;
    let below = (rank.floor() as usize).min(last);
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    // Written so that an infinite neighbour does no harm when the rank is whole.
    if rank.fract() > 0.0 { low + (high - low) * rank.fract() } else { low }
}

/// The median. Reorders `values`, which must not hold NaN. NaN when empty.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The median distance from `centre`, scaled to estimate the standard deviation of normal data. Overwrites `values`,
/// which must not hold NaN. NaN when empty.
#[must_use]
pub fn mad_about(values: &mut [f64], centre: f64) -> f64 {
    for value in values.iter_mut() {
        *value = (*value - centre).abs();
    }
    MAD_TO_STD * median(values)
}

/// Median and scaled median absolute deviation. Overwrites `values`, which must not hold NaN. NaN when empty.
#[must_use]
pub fn median_and_mad(values: &mut [f64]) -> (f64, f64) {
    let centre = median(values);
    (centre, mad_about(values, centre))
}

/// Huber's weight of a residual that is `z` scales off: 1 up to `bend`, then falling so that influence stays constant.
#[must_use]
pub fn huber_weight(z: f64, bend: f64) -> f64 {
    let size = z.abs();
    if size <= bend { 1.0 } else { bend / size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn quantiles_equal_numpys() {
        // numpy 2.4: np.quantile([7, 1, 5, 3, 9, 2], [0, .1, .25, .5, .9, 1])
        let wants = [(0.0, 1.0), (0.1, 1.5), (0.25, 2.25), (0.5, 4.0), (0.9, 8.0), (1.0, 9.0)];
        for (q, want) in wants {
            assert!(close(quantile(&mut [7.0, 1.0, 5.0, 3.0, 9.0, 2.0], q), want), "q {q}");
        }
    }

    #[test]
    fn mad_equals_scipys() {
        // scipy 1.17: stats.median_abs_deviation([1, 2, 3, 4, 100], scale="normal") = 1.482602218505602
        let (centre, mad) = median_and_mad(&mut [1.0, 2.0, 3.0, 4.0, 100.0]);
        assert!(close(centre, 3.0) && close(mad, 1.482_602_218_505_602));
    }

    #[test]
    fn empty_and_one_and_constant() {
        assert!(median(&mut []).is_nan() && mad_about(&mut [], 0.0).is_nan());
        assert!(close(median(&mut [4.0]), 4.0));
        assert!(close(median_and_mad(&mut [2.0; 9]).1, 0.0));
    }

    #[test]
    fn infinities_at_the_ends_leave_the_middle_alone() {
        assert!(close(median(&mut [f64::NEG_INFINITY, 1.0, f64::INFINITY]), 1.0));
    }

    #[test]
    fn influence_is_bounded() {
        assert!(close(huber_weight(-1.0, 1.5), 1.0));
        assert!(close(huber_weight(30.0, 1.5) * 30.0, 1.5));
    }
}
