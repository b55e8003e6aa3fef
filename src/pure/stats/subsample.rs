//! Some rows for all, where a quantile of many needs no more.

/// So many rows place a quantile within 0.8 % of the rows with 95 % confidence (`1.96 · √(0.25 / n)`).
pub const ENOUGH: usize = 1 << 14;

/// `size` of `n` positions, ascending; all of them where there are no more.
///
/// One falls into each of `size` equal stretches, at a place that a low-discrepancy sequence gives (multiples of the
/// golden ratio): no period in the order of rows is in step with it.
pub fn positions(n: usize, size: usize) -> impl Iterator<Item = usize> {
    /// 2⁶⁴ / φ, rounded to an odd number: Weyl's sequence by integers.
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let take = size.min(n);
    (0..take).map(move |i| {
        if take == n {
            return i;
        }
        let edge = |i: usize| (i as u128 * n as u128 / take as u128) as usize;
        let (from, to) = (edge(i), edge(i + 1));
        let share = u128::from((i as u64).wrapping_mul(STEP));
        from + ((share * (to - from) as u128) >> 64) as usize
    })
}

/// The values, or [`ENOUGH`] of them where there are more, at [`positions`]; in their order.
pub fn thinned<T>(values: impl Iterator<Item = T> + Clone) -> Vec<T> {
    let mut wanted = positions(values.clone().count(), ENOUGH).peekable();
    values.enumerate().filter_map(|(at, value)| wanted.next_if_eq(&at).map(|_| value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_thinned_in_their_order() {
        let thin = thinned(0..100_000);
        assert!(thin.len() == ENOUGH && thin.is_sorted());
        assert_eq!(thin, positions(100_000, ENOUGH).collect::<Vec<_>>());
        assert_eq!(thinned([3.0, 1.0].iter()), [&3.0, &1.0]);
    }

    #[test]
    fn all_where_there_are_few_and_as_many_as_asked_for_else() {
        assert_eq!(positions(5, 9).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(positions(0, 9).count(), 0);
        let some: Vec<usize> = positions(1000, 300).collect();
        assert!(some.len() == 300 && some.is_sorted_by(|a, b| a < b) && some[299] < 1000);
    }

    #[test]
    fn no_period_of_rows_is_in_step_with_it() {
        for period in [7, 24, 100] {
            let mut seen = vec![0_u32; period];
            positions(100_000, 10_000).for_each(|at| seen[at % period] += 1);
            let expected = 10_000.0 / period as f64;
            assert!(seen.iter().all(|n| (f64::from(*n) - expected).abs() < 0.2 * expected), "{period}: {seen:?}");
        }
    }
}
