//! Whether an experiment can be believed: the split, what is missing, and when arms were exposed.

use super::srm;
use crate::stats::dist::chi2_sf;
use std::collections::BTreeMap;

/// Share of an arm's units that must lie in the time of the other for the two to have run side by side.
const SIDE_BY_SIDE: f64 = 0.05;

/// What is known of an experiment beside its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Units assigned to each arm, with a value or not.
    pub assigned: BTreeMap<String, u64>,
    /// Planned share of each arm, up to a common factor; empty: equal.
    pub shares: BTreeMap<String, f64>,
    /// Rows without a value, and all rows, by arm; empty where it is not known.
    pub missing: BTreeMap<String, (u64, u64)>,
    /// Whether units are in several arms by design, so that there is no split to check.
    pub is_paired: bool,
    /// Arms that never ran side by side with the control.
    pub apart_in_time: Vec<String>,
    /// Significance of shares that changed in the course of time; none where times are unknown.
    pub drift_p_value: Option<f64>,
}

impl Health {
    /// Pearson's test of the split at one look; NaN where there is nothing to compare.
    pub(super) fn srm_p_value(&self) -> f64 {
        if self.is_paired { f64::NAN } else { srm::p_value(&self.assigned, &self.shares) }
    }

    /// The same, valid at any number of looks.
    pub(super) fn srm_sequential_p_value(&self) -> f64 {
        if self.is_paired { f64::NAN } else { srm::sequential_p_value(&self.assigned, &self.shares) }
    }

    /// Why nothing is to be believed, if so.
    pub(super) fn invalid(&self) -> Option<String> {
        let p = self.srm_p_value();
        if p < srm::MISMATCH {
            let counts: Vec<String> = self.assigned.iter().map(|(arm, n)| format!("{arm} {n}")).collect();
            return Some(format!("sample-ratio mismatch: units are {} (p = {p:.1e})", counts.join(", ")));
        }
        let (p, shares) = (self.missing_p_value(), self.missing_shares());
        (p < srm::MISMATCH).then(|| {
            format!("values are missing in {shares} of the rows (p = {p:.1e}): what is left can't be compared")
        })
    }

    /// That the split changed in the course of time, if so: what else changed with time is then mixed into the effect.
    pub(super) fn drifted(&self) -> Option<String> {
        let p = self.drift_p_value.filter(|p| *p < srm::MISMATCH)?;
        Some(format!(
            "the shares of the arms changed over time (p = {p:.1e}), and what changed with it counts as effect"
        ))
    }

    /// Significance of shares of missing values that differ by arm (chi-square of homogeneity); NaN where none are missing.
    fn missing_p_value(&self) -> f64 {
        homogeneity(self.missing.values().map(|&(missing, all)| [missing, all.saturating_sub(missing)]))
    }

    fn missing_shares(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let share = |(arm, (missing, all)): (&String, &(u64, u64))| {
            format!("{arm} {:.1} %", 100.0 * *missing as f64 / (*all).max(1) as f64)
        };
        self.missing.iter().map(share).collect::<Vec<_>>().join(", ")
    }
}

fn homogeneity<const K: usize>(rows: impl Iterator<Item = [u64; K]>) -> f64 {
    homogeneity_of(&rows.map(Vec::from).collect::<Vec<_>>())
}

/// Whether two arms differ in how many of their units are of the one kind and how many of the other, beyond chance at the
/// significance of a broken split.
#[must_use]
pub fn differ(arms: [[u64; 2]; 2]) -> bool {
    homogeneity(arms.into_iter()) < srm::MISMATCH
}

/// χ² of homogeneity of a table; NaN without two rows and two columns that hold something.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) fn homogeneity_of(rows: &[Vec<u64>]) -> f64 {
    let rows: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().map(|n| *n as f64).collect::<Vec<f64>>())
        .filter(|row| row.iter().sum::<f64>() > 0.0)
        .collect();
    let mut columns = vec![0.0; rows.first().map_or(0, Vec::len)];
    rows.iter().for_each(|row| columns.iter_mut().zip(row).for_each(|(all, n)| *all += n));
    let total: f64 = columns.iter().sum();
    let used = columns.iter().filter(|n| **n > 0.0).count();
    if rows.len() < 2 || used < 2 {
        return f64::NAN;
    }
    let distance = |row: &Vec<f64>| {
        let own: f64 = row.iter().sum();
        let cell = |(n, column): (&f64, &f64)| {
            let expected = own * column / total;
            if expected > 0.0 { (n - expected).powi(2) / expected } else { 0.0 }
        };
        row.iter().zip(&columns).map(cell).sum::<f64>()
    };
    chi2_sf(rows.iter().map(distance).sum(), ((rows.len() - 1) * (used - 1)) as f64)
}

/// Whether two arms ran side by side, by the times of their units: at least one in twenty of either lies within the time of
/// the other.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn side_by_side(arm: &[i64], control: &[i64]) -> bool {
    let within = |one: &[i64], other: &[i64]| {
        let (Some(first), Some(last)) = (other.iter().min(), other.iter().max()) else { return true };
        let inside = one.iter().filter(|at| (*first..=*last).contains(at)).count();
        inside as f64 >= SIDE_BY_SIDE * one.len() as f64
    };
    within(arm, control) && within(control, arm)
}

/// Stretches of time over which the shares of arms are compared.
const STRETCHES: usize = 10;

/// Significance of shares of arms that changed over time: χ² of homogeneity over ten stretches with equally many units.
/// `units`: time, arm, and how many there were of it; those of one time belong to one stretch. None below a hundred units
/// or at a single instant.
#[must_use]
pub fn drift(units: &[(i64, u32, u64)]) -> Option<f64> {
    let mut sorted = units.to_vec();
    sorted.sort_unstable();
    let n: u64 = sorted.iter().map(|(.., n)| n).sum();
    if n < 100 || sorted.first()?.0 == sorted.last()?.0 {
        return None;
    }
    let mut by_arm: BTreeMap<u32, [u64; STRETCHES]> = BTreeMap::new();
    let mut before = 0;
    for instant in sorted.chunk_by(|a, b| a.0 == b.0) {
        let stretch = usize::try_from(before * STRETCHES as u64 / n).unwrap_or(STRETCHES);
        for &(_, arm, n) in instant {
            before += n;
            if let Some(sum) = by_arm.entry(arm).or_default().get_mut(stretch) {
                *sum += n;
            }
        }
    }
    Some(homogeneity(by_arm.into_values())).filter(|p| !p.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy 1.17.1: `chi2_contingency([[10, 90], [20, 80], [5, 95]], correction=False)`.
    #[test]
    fn equals_scipy() {
        let p = homogeneity([[10_u64, 90], [20, 80], [5, 95]].into_iter());
        assert!((p - 0.003_481_202_988_814_611).abs() < 1e-12, "{p}");
        assert!(homogeneity([[5_u64, 0], [3, 0]].into_iter()).is_nan());
        assert!(homogeneity([[5_u64, 1]].into_iter()).is_nan());
    }

    #[test]
    fn missing_values_that_differ_by_arm_are_told() {
        let missing = |a: u64, b: u64| Health {
            assigned: [("a".into(), 1000), ("b".into(), 1000)].into(),
            missing: [("a".into(), (a, 1000)), ("b".into(), (b, 1000))].into(),
            ..Health::default()
        };
        assert!(missing(120, 30).invalid().is_some_and(|why| why.contains("a 12.0 %, b 3.0 %")));
        assert_eq!(missing(30, 31).invalid(), None);
        assert_eq!(missing(0, 0).invalid(), None);
    }

    #[test]
    fn before_and_after_is_not_side_by_side() {
        let (early, late): (Vec<i64>, Vec<i64>) = ((0..100).collect(), (100..200).collect());
        assert!(!side_by_side(&early, &late) && side_by_side(&early, &early));
        assert!(side_by_side(&[], &late));
        let units: Vec<(i64, u32, u64)> = (0..400).map(|at| (at, u32::from(at >= 200), 1)).collect();
        assert!(drift(&units).is_some_and(|p| p < 1e-6));
        let mixed: Vec<(i64, u32, u64)> = (0..400).map(|at| (at, u32::from(at % 2 == 0), 1)).collect();
        assert!(drift(&mixed).is_some_and(|p| p > 0.5));
        let hourly: Vec<(i64, u32, u64)> = (0..40).flat_map(|at| [(at, 0, 10), (at, 1, 10)]).collect();
        assert!(drift(&hourly).is_some_and(|p| p > 0.99));
        assert_eq!(drift(&units[..50]), None);
    }
}
