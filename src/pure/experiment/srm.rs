//! Sample-ratio mismatch: whether the arms got the units that they should have got.

use crate::stats::dist::chi2_sf;
use statrs::function::gamma::ln_gamma;
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
    if chi_square.is_infinite() { 0.0 } else { chi2_sf(chi_square, (assigned.len() - 1) as f64) }
}

/// Units that the prior of the sequential test is worth: it expects shares within some five points of the planned ones.
const PRIOR_UNITS: f64 = 100.0;

/// p-value that may be looked at after every unit: the inverse of the Bayes factor of any split, Dirichlet around the planned
/// one, against the planned split (Lindon and Malek, NeurIPS 2022). NaN where there is nothing to compare.
pub(super) fn sequential_p_value(assigned: &BTreeMap<String, u64>, shares: &BTreeMap<String, f64>) -> f64 {
    if p_value(assigned, shares).is_nan() {
        return f64::NAN;
    }
    let share = |arm: &String| if shares.is_empty() { 1.0 } else { shares.get(arm).copied().unwrap_or(0.0).max(0.0) };
    let total_share: f64 = assigned.keys().map(share).sum();
    let total = assigned.values().sum::<u64>() as f64;
    let mut log_factor = ln_gamma(PRIOR_UNITS) - ln_gamma(PRIOR_UNITS + total);
    for (arm, &count) in assigned {
        let planned = share(arm) / total_share;
        if planned > 0.0 {
            let prior = PRIOR_UNITS * planned;
            log_factor += ln_gamma(prior + count as f64) - ln_gamma(prior) - count as f64 * planned.ln();
        } else if count > 0 {
            return 0.0;
        }
    }
    (-log_factor).exp().min(1.0)
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
    fn a_split_may_be_looked_at_after_every_unit() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(5);
        let name = |i: usize| format!("arm{i}");
        let looks = |rng: &mut rand_xoshiro::Xoshiro256PlusPlus, share: f64| {
            let mut counts = [0_u64, 0];
            (0..40).any(|_| {
                (0..50).for_each(|_| counts[usize::from(rng.random::<f64>() < share)] += 1);
                let assigned = counts.iter().enumerate().map(|(i, n)| (name(i), *n)).collect();
                sequential_p_value(&assigned, &BTreeMap::new()) < 0.05
            })
        };
        let fair = (0..500).filter(|_| looks(&mut rng, 0.5)).count();
        let skewed = (0..100).filter(|_| looks(&mut rng, 0.42)).count();
        assert!(fair <= 25 && skewed >= 95, "{fair} of 500, {skewed} of 100");
    }

    #[test]
    fn nothing_to_compare_is_not_a_number() {
        for (counts, shares) in [(&[][..], &[][..]), (&[10], &[]), (&[0, 0], &[]), (&[5, 5], &[0.0, f64::NAN])] {
            assert!(of(counts, shares).is_nan());
        }
    }
}
