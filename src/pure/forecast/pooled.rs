//! One regression for many series, whose coefficients all of them tell (a global model: Montero-Manso and Hyndman, Int. J.
//! Forecasting 37, 2021): what a short series cannot tell of itself, others like it do.
//!
//! Seasons are taken off and sizes divided out, so that series of any level and unit tell of the same thing: how much of the
//! distance between the last value and those before it is made up for in the next. No constant: what has no drift gets none.

use super::Path;
use super::season::{Profiles, median};
use crate::learn::solve::solve;
use crate::stats::rank::MAD_TO_SIGMA;
use std::collections::BTreeMap;

/// The values before the last whose distance from it is looked at, one each.
const EARLIER: usize = 5;
/// Values whose mean is the level that is returned to.
const LEVEL: usize = 28;
const N_COEFFICIENTS: usize = EARLIER + 1;
/// Sigmas to which distances are held.
const HELD_SIGMAS: f64 = 5.0;
/// A series counts as this many values at most: one long one is not the others.
const MOST_VALUES: f64 = 200.0;
/// Fewer series are no crowd.
const MIN_SERIES: usize = 10;
/// Keeps a system of equal rows solvable, as a share of its diagonal.
const JITTER: f64 = 1e-6;

/// Normal equations of one series, or of many.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sums {
    gram: [[f64; N_COEFFICIENTS]; N_COEFFICIENTS],
    right: [f64; N_COEFFICIENTS],
}

/// What one series tells of the coefficients: from its first half, for what is tried on its second, and from all.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    seasons: Vec<usize>,
    early: Sums,
    late: Sums,
}

/// Coefficients by the seasons that series have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pool {
    shared: BTreeMap<Vec<usize>, Shared>,
}

/// Coefficients of all that have these seasons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shared {
    /// Of the first halves.
    pub(super) early: [f64; N_COEFFICIENTS],
    /// Of everything.
    pub(super) late: [f64; N_COEFFICIENTS],
}

impl Pool {
    /// What all of them say together. Those that tell of seasons that too few others have are of no use to it.
    #[must_use]
    pub fn of(told: impl IntoIterator<Item = Told>) -> Self {
        let mut sums: BTreeMap<Vec<usize>, (usize, Sums, Sums)> = BTreeMap::new();
        for Told { seasons, early, late } in told {
            let (n, early_sums, late_sums) = sums.entry(seasons).or_default();
            *n += 1;
            early_sums.add(&early);
            late_sums.add(&late);
        }
        let crowds = sums.into_iter().filter(|(_, (n, ..))| *n >= MIN_SERIES);
        let shared = |(early, late): (Sums, Sums)| Shared { early: early.solved(), late: late.solved() };
        Self { shared: crowds.map(|(seasons, (_, early, late))| (seasons, shared((early, late)))).collect() }
    }

    pub(super) fn get(&self, seasons: &[usize]) -> Option<Shared> {
        self.shared.get(seasons).copied()
    }
}

impl Told {
    /// `values` on the scale of the models, NaN = gap.
    pub(super) fn of(values: &[f64], seasons: &[usize]) -> Self {
        let half = values.get(..values.len() / 2).unwrap_or_default();
        Self { seasons: seasons.to_vec(), early: Sums::of(half, seasons), late: Sums::of(values, seasons) }
    }
}

impl Sums {
    fn of(values: &[f64], seasons: &[usize]) -> Self {
        let rest = filled(Profiles::of(values, seasons).without(values));
        let steps = rest.iter().zip(rest.iter().skip(1)).map(|(a, b)| (b - a).abs());
        let sigma = median(steps.collect()).unwrap_or(0.0) * MAD_TO_SIGMA;
        let mut sums = Self::default();
        if sigma <= 0.0 {
            return sums;
        }
        let mut n = 0.0;
        for (at, value) in rest.iter().enumerate().skip(N_COEFFICIENTS) {
            let Some((last, distances)) = distances(rest.get(..at).unwrap_or_default()) else { continue };
            let held = |distance: f64| (distance / sigma).clamp(-HELD_SIGMAS, HELD_SIGMAS);
            let (row, target) = (distances.map(held), held(value - last));
            for ((gram, right), a) in sums.gram.iter_mut().zip(&mut sums.right).zip(&row) {
                gram.iter_mut().zip(&row).for_each(|(sum, b)| *sum += a * b);
                *right += a * target;
            }
            n += 1.0;
        }
        sums.times((MOST_VALUES / f64::max(n, 1.0)).min(1.0))
    }

    fn times(mut self, factor: f64) -> Self {
        self.gram.iter_mut().flatten().chain(&mut self.right).for_each(|sum| *sum *= factor);
        self
    }

    fn add(&mut self, other: &Self) {
        let theirs = other.gram.iter().flatten().chain(&other.right);
        self.gram.iter_mut().flatten().chain(&mut self.right).zip(theirs).for_each(|(sum, more)| *sum += more);
    }

    fn solved(self) -> [f64; N_COEFFICIENTS] {
        let mut gram: Vec<f64> = self.gram.iter().flatten().copied().collect();
        let mut right = self.right;
        gram.iter_mut().step_by(N_COEFFICIENTS + 1).for_each(|diagonal| *diagonal *= 1.0 + JITTER);
        solve(&mut gram, &mut right);
        right
    }
}

/// The last value, and how far those before it and the level lie from it. None where too few are known.
fn distances(known: &[f64]) -> Option<(f64, [f64; N_COEFFICIENTS])> {
    let (last, before) = known.split_last()?;
    let level = known.get(known.len().saturating_sub(LEVEL)..)?;
    let level = level.iter().sum::<f64>() / level.len() as f64;
    let mut distances = [level - last; N_COEFFICIENTS];
    let earlier = before.get(before.len().checked_sub(EARLIER)?..)?;
    distances.iter_mut().zip(earlier).for_each(|(slot, value)| *slot = value - last);
    Some((*last, distances))
}

/// Gaps hold what is known before them, and those at the start what comes first.
fn filled(mut values: Vec<f64>) -> Vec<f64> {
    let mut last = values.iter().copied().find(|v| !v.is_nan()).unwrap_or(0.0);
    for value in &mut values {
        if value.is_nan() {
            *value = last;
        }
        last = *value;
    }
    values
}

/// The forecast of what follows `rest`, values (NaN = gap) without their seasons, which are `profiles`. None where too few
/// are known.
pub(super) fn path(
    rest: &[f64],
    profiles: &Profiles,
    coefficients: &[f64; N_COEFFICIENTS],
    horizon: usize,
) -> Option<Path> {
    let tail = rest.get(rest.len().saturating_sub(LEVEL)..)?;
    let (mut point, mut ahead) = (Vec::with_capacity(horizon), filled(tail.to_vec()));
    let mut shock = vec![0.0; LEVEL];
    let (mut spread, mut variance) = (Vec::with_capacity(horizon), 0.0);
    for step in 0..horizon {
        ahead.push(next(&ahead, coefficients)?);
        point.push(ahead.last()? + profiles.at(rest.len() + step));
        // What one shock leaves behind.
        let left = if step == 0 { 1.0 } else { next(&shock, coefficients)?.clamp(-1.0, 1.0) };
        shock.push(left);
        variance += left * left;
        spread.push(f64::sqrt(variance));
    }
    Some(Path { point, spread })
}

fn next(known: &[f64], coefficients: &[f64; N_COEFFICIENTS]) -> Option<f64> {
    let (last, distances) = distances(known)?;
    let moved: f64 = distances.iter().zip(coefficients).map(|(distance, share)| distance * share).sum();
    Some(last + moved)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// Returns to its mean by 1 - phi a step; of a size and level of its own.
    fn returning(seed: u64, n: usize, phi: f64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (level, size) = (100.0 * rng.random::<f64>(), 0.1 + rng.random::<f64>());
        let mut off = 0.0;
        let mut step = |_| {
            off = phi * off + size * ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0);
            level + off
        };
        (0..n).map(&mut step).collect()
    }

    #[test]
    fn many_short_series_tell_how_fast_one_returns() {
        let shared = |phi: f64| {
            let told = (0..300).map(|seed| Told::of(&returning(seed, 60, phi), &[]));
            Pool::of(told).get(&[]).unwrap().late
        };
        for phi in [0.2, 0.9] {
            let mut values = vec![10.0; 60];
            *values.last_mut().unwrap() = 20.0;
            let next = path(&values, &Profiles::none(), &shared(phi), 1).unwrap().point[0];
            let truth = 10.0 + 10.0 * phi;
            assert!((next - truth).abs() < 1.2, "{phi}: {next} and not {truth}");
        }
    }

    #[test]
    fn few_series_are_no_crowd_and_constant_ones_tell_nothing() {
        let few = (0..9).map(|seed| Told::of(&returning(seed, 60, 0.5), &[]));
        assert_eq!(Pool::of(few).get(&[]), None);
        let constant = Pool::of((0..20).map(|_| Told::of(&[5.0; 40], &[7])));
        assert!(constant.get(&[7]).unwrap().late.iter().all(|weight| weight.abs() < f64::MIN_POSITIVE));
        assert_eq!(constant.get(&[]), None);
        assert!(path(&[1.0; 3], &Profiles::none(), &[0.1; N_COEFFICIENTS], 4).is_none());
    }

    #[test]
    fn level_and_unit_are_no_matter() {
        let values = returning(4, 80, 0.7);
        let moved: Vec<f64> = values.iter().map(|v| 8.0 * v - 64.0).collect();
        let (a, b) = (Told::of(&values, &[]), Told::of(&moved, &[]));
        let both = a.late.gram.iter().flatten().zip(b.late.gram.iter().flatten());
        assert!(both.into_iter().all(|(a, b)| (a - b).abs() < 1e-6 * a.abs().max(1.0)));
    }
}
