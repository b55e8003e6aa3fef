//! Sample-ratio mismatch: whether the arms got the units that they should have got.

use statrs::distribution::{ChiSquared, ContinuousCDF};
use std::collections::BTreeMap;

/// Below this the split is broken and nothing else is to be believed (Fabijan et al., KDD 2019, use 0.0005 to 0.01).
pub(super) const MISMATCH: f64 = 0.001;

/// p-value of Pearson's chi-square test of the assigned units against the planned `shares` (equal if empty; an arm without
/// a share should have no unit). NaN where there is nothing to compare: fewer than two arms, no unit, or no share.
pub(super) fn p_value(assigned: &BTreeMap<String, u64>, shares: &BTreeMap<String, f64>) -> f64 {
    let share = |arm: &String| {
        let planned = if shares.is_empty() { Some(1.0) } else { shares.get(arm).copied() };
        planned.filter(|share| share.is_finite() && *share > 0.0).unwrap_or(0.0)
    };
    let total_share: f64 = assigned.keys().map(share).sum();
    let total = assigned.values().sum::<u64>() as f64;
    if assigned.len() < 2 || total <= 0.0 || total_share <= 0.0 {
        return f64::NAN;
    }
    let distance = |(arm, &count): (&String, &u64)| {
        let expected = total * share(arm) / total_share;
        let missed = (count as f64 - expected).powi(2);
        if missed > 0.0 { missed / expected } else { 0.0 }
    };
    let chi_square: f64 = assigned.iter().map(distance).sum();
    ChiSquared::new((assigned.len() - 1) as f64).map_or(f64::NAN, |reference| reference.sf(chi_square))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[u64], shares: &[f64]) -> f64 {
        let name = |i: usize| format!("arm{i}");
        let assigned = counts.iter().enumerate().map(|(i, &n)| (name(i), n)).collect();
        p_value(&assigned, &shares.iter().enumerate().map(|(i, &s)| (name(i), s)).collect())
    }

    /// scipy 1.17.1, `chisquare`.
    #[test]
    fn equals_scipy() {
        assert!((of(&[5100, 4900], &[]) - 0.045_500_263_896_358_57).abs() < 1e-12);
        assert!((of(&[520, 480, 500], &[1.0, 1.0, 1.0]) - 0.449_328_964_117_221_7).abs() < 1e-12);
    }

    #[test]
    fn planned_shares_count() {
        assert!(of(&[900, 100], &[]) < MISMATCH);
        assert!(of(&[900, 100], &[0.9, 0.1]) > 0.99);
        assert!(of(&[900, 100], &[1.0]) < MISMATCH, "an arm that was not planned");
    }

    #[test]
    fn nothing_to_compare_is_not_a_number() {
        for (counts, shares) in [(&[][..], &[][..]), (&[10], &[]), (&[0, 0], &[]), (&[5, 5], &[0.0, f64::NAN])] {
            assert!(of(counts, shares).is_nan());
        }
    }
}
