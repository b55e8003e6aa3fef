//! How far peaks stray from what was expected of them, learned over all groups.
//!
//! A group with few executions says little about its own tail, but groups are alike once their deviations are divided by
//! their usual size. Deviations are logarithms of ratios, so the unit of the target does not matter.

/// Bins of a histogram of deviations; the middle one holds zero.
const N_BINS: usize = 81;
/// Bins are even in asinh(2z), this wide: fine near zero, by ratio far out.
const BIN: f64 = 0.2;
/// Doublings of the number of deviations known, each with a histogram of its own: young scales are rough.
const N_AGES: usize = 8;
/// Below this many deviations in a histogram, the vague prior fills up what is missing.
const ENOUGH: f64 = 30.0;
/// Share of the missing weight that the prior puts at zero deviation, falling with the square of the distance.
const PRIOR_AT_ZERO: f64 = 0.3;
/// Unit of deviations where a group has no scale of its own yet: 2 %.
const FIRST_UNIT: f64 = 0.02;
/// Scales below half a per mille are not believed.
const MIN_SCALE: f64 = 5e-4;
/// Weight, in executions, of what other groups' deviations say.
const POOLED_WEIGHT: f64 = 4.0;
/// Deviations beyond a factor of 12 are cut: a retry that doubles gets there in four.
pub(super) const MAX_DEVIATION: f64 = 2.5;

/// Where a peak may lie beyond the highest that was seen: log ratios, each with its weight, one execution in all. The
/// weights fall as (1 + u / 10 %)^-1.5: most records are broken by a few per cent.
const BEYOND: [f64; 17] = [0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.7, 0.9, 1.1, 1.4, 1.8, 2.3];
const BEYOND_UNIT: f64 = 0.1;
const BEYOND_POWER: f64 = -1.5;

/// Calls `add` with the log ratio and the weight of each place beyond the highest peak; the weights sum to 1.
pub(super) fn beyond(mut add: impl FnMut(f64, f64)) {
    let weight = |u: f64| (1.0 + u / BEYOND_UNIT).powf(BEYOND_POWER);
    let total: f64 = BEYOND.iter().map(|u| weight(*u)).sum();
    for u in BEYOND {
        add(u, weight(u) / total);
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Histogram {
    counts: [f64; N_BINS],
    total: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0.0; N_BINS], total: 0.0 }
    }
}

impl Histogram {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bins")]
    fn add(&mut self, z: f64) {
        let middle = (N_BINS / 2) as f64;
        let bin = ((2.0 * z).asinh() / BIN + middle).round().clamp(0.0, 2.0 * middle) as usize;
        if let Some(count) = self.counts.get_mut(bin) {
            *count += 1.0;
            self.total += 1.0;
        }
    }

    /// Places and counts of all bins.
    fn bins(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let middle = (N_BINS / 2) as f64;
        let place = move |bin: usize| ((bin as f64 - middle) * BIN).sinh() / 2.0;
        self.counts.iter().enumerate().map(move |(bin, count)| (place(bin), *count))
    }
}

/// Deviations from one expert, over all groups.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tails {
    /// Of the second execution of a group from the first, in units of [`FIRST_UNIT`].
    first: Histogram,
    /// Of later ones, in scales of the group, by the number of deviations that the scale rests on.
    by_age: [Histogram; N_AGES],
}

/// The usual deviation of a group: the mean of `n` absolute ones.
pub(super) fn scale(sum: f64, n: usize) -> f64 {
    (sum / n as f64).max(MIN_SCALE)
}

fn age(n_deviations: usize) -> usize {
    (n_deviations.max(1).ilog2() as usize).min(N_AGES - 1)
}

impl Tails {
    /// Learns a deviation of a group that had `n` of them with the mean absolute size `scale`.
    pub(super) fn learn(&mut self, deviation: f64, n: usize, scale: f64) {
        if n == 0 {
            self.first.add(deviation / FIRST_UNIT);
        } else if let Some(histogram) = self.by_age.get_mut(age(n)) {
            histogram.add(deviation / scale);
        }
    }

    /// Deviations to be expected of a group that has shown none yet. Calls `add` with each and its weight.
    pub(super) fn unknown_scale(&self, mut add: impl FnMut(f64, f64)) {
        for (z, count) in self.first.bins() {
            // A trace of everything within 2 %, so that there is something before anything is known.
            let weight = count + if z.abs() < 0.4 { 0.02 } else { 0.0 };
            push(z * FIRST_UNIT, weight, &mut add);
        }
        let weight = self.first.total.max(1.0) / 10.0;
        beyond(|u, share| add(u, weight * share));
    }

    /// Deviations that groups like one with `n` of them and this `scale` have shown; [`POOLED_WEIGHT`] in all.
    pub(super) fn pooled(&self, n: usize, scale: f64, mut add: impl FnMut(f64, f64)) {
        let Some(histogram) = self.by_age.get(age(n)) else { return };
        let missing = (1.0 - histogram.total / ENOUGH).max(0.0);
        for (z, count) in histogram.bins() {
            let shown = if histogram.total > 0.0 { count / histogram.total } else { 0.0 };
            let prior = missing * PRIOR_AT_ZERO / (1.0 + z.abs()).powi(2);
            push(z * scale, POOLED_WEIGHT * (shown + prior), &mut add);
        }
    }
}

fn push(deviation: f64, weight: f64, add: &mut impl FnMut(f64, f64)) {
    if weight > 0.0 && deviation.abs() <= MAX_DEVIATION {
        add(deviation, weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_beyond_the_highest_sum_to_one_execution_and_fall() {
        let mut weights = Vec::new();
        beyond(|_, weight| weights.push(weight));
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(weights.windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn a_deviation_comes_back_from_its_bin_within_the_bin() {
        for deviation in [-1.5, -0.02, 0.0, 0.001, 0.3, 2.0] {
            let mut histogram = Histogram::default();
            histogram.add(deviation);
            let found = histogram.bins().find(|(_, count)| *count > 0.0).map_or(f64::NAN, |(place, _)| place);
            assert!((found - deviation).abs() <= 0.06 + 0.11 * deviation.abs(), "{deviation} {found}");
        }
    }

    #[test]
    fn ages_double() {
        assert_eq!([1, 2, 3, 4, 7, 8, 10_000].map(age), [0, 1, 1, 2, 2, 3, N_AGES - 1]);
    }
}
