//! Brings a series to the scale that it is compared on, and takes the day of the week and the hour of the day out of it
//! where they matter.

use crate::series::{Metric, Series};
use crate::stats::rank;
use crate::units::DAY_US;

/// Full turns of a cycle that must have been seen before its profile is estimated.
const MIN_TURNS: usize = 3;
/// A profile is taken out only where its groups differ with this significance: noise of a profile that is not there
/// would be added to every value.
const MAX_P: f64 = 0.01;
/// Days from Thursday, the weekday of the Unix epoch, back to its Monday.
const EPOCH_WEEKDAY: i64 = 3;

/// A partition of positions that repeats itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cycle {
    /// Every position modulo `length` is a group of its own.
    Phase {
        /// Positions in a turn.
        length: usize,
    },
    /// Two groups: Saturday and Sunday, and the rest.
    Weekend {
        /// Positions in a day.
        per_day: usize,
        /// Positions from the start of a Monday to position 0.
        offset: usize,
    },
}

impl Cycle {
    /// The cycles that a grid of time may have, coarsest first: weekend and day of the week for daily buckets, hour of
    /// the day and weekend for shorter ones, none for longer ones or those that do not divide a day.
    #[must_use]
    pub fn of_grid(period_us: i64, start_us: i64) -> Vec<Self> {
        if period_us <= 0 || DAY_US % period_us != 0 {
            return Vec::new();
        }
        let monday_us = (start_us + EPOCH_WEEKDAY * DAY_US).rem_euclid(7 * DAY_US);
        let (Ok(per_day), Ok(offset)) = (usize::try_from(DAY_US / period_us), usize::try_from(monday_us / period_us))
        else {
            return Vec::new();
        };
        let weekend = Self::Weekend { per_day, offset };
        if per_day == 1 {
            vec![weekend, Self::Phase { length: 7 }]
        } else {
            vec![Self::Phase { length: per_day }, weekend]
        }
    }

    /// Positions in a full turn.
    #[must_use]
    pub fn turn(self) -> usize {
        match self {
            Self::Phase { length } => length,
            Self::Weekend { per_day, .. } => 7 * per_day,
        }
    }

    /// How many groups there are.
    #[must_use]
    pub fn n_groups(self) -> usize {
        match self {
            Self::Phase { length } => length,
            Self::Weekend { .. } => 2,
        }
    }

    /// The group of a position.
    #[must_use]
    pub fn group(self, idx: usize) -> usize {
        match self {
            Self::Phase { length } => idx % length.max(1),
            Self::Weekend { per_day, offset } => usize::from((idx + offset) / per_day.max(1) % 7 >= 5),
        }
    }
}

/// On which scale levels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Logarithms; falls back to [`Scale::Linear`] where a value is not positive.
    Log,
    /// As they are.
    Linear,
    /// As they are, and between 0 and 1.
    Share,
}

impl Scale {
    /// The natural scale of a metric.
    #[must_use]
    pub fn of(metric: Metric) -> Self {
        if metric.is_multiplicative() { Self::Log } else { Self::Share }
    }

    /// The scale of values of which nothing is known: logarithms where all are positive and these vary more evenly. Both
    /// are taken for Laplace steps between neighbours, whose likelihood says which; it has to say so by Schwarz' criterion,
    /// for values that say little are best left as they are.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn suited_to(values: &[f64]) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let n = finite.len() as f64;
        if n < 2.0 || finite.iter().any(|value| *value <= 0.0) {
            return Self::Linear;
        }
        let steps = |of: fn(f64) -> f64| {
            let pairs = finite.iter().zip(finite.iter().skip(1));
            pairs.map(|(a, b)| (of(*b) - of(*a)).abs()).sum::<f64>() / n
        };
        let jacobian = finite.iter().map(|value| value.ln()).sum::<f64>();
        let gain = n * (steps(|v| v).ln() - steps(f64::ln).ln()) - jacobian;
        if gain > n.ln() { Self::Log } else { Self::Linear }
    }

    /// The values on the scale that they allow, NaN where they are not finite, and that scale.
    fn apply(self, values: &[f64]) -> (Vec<f64>, Self) {
        let log = self == Self::Log && values.iter().all(|v| *v > 0.0 || !v.is_finite());
        let scale = if self == Self::Log && !log { Self::Linear } else { self };
        let on_scale = |v: &f64| if v.is_finite() { if log { v.ln() } else { *v } } else { f64::NAN };
        (values.iter().map(on_scale).collect(), scale)
    }
}

/// A series on the scale that it is compared on, with its cycles taken out.
#[derive(Debug, Clone, PartialEq)]
pub struct Levelled {
    /// One value a position on a regular grid, oldest first; NaN where there is none.
    pub values: Vec<f64>,
    /// The scale that the values allow.
    pub scale: Scale,
    /// Whether three turns of the longest cycle fit in, so that a week is told apart from a trend.
    pub tells_cycles: bool,
}

impl Levelled {
    /// Of `values` on a regular grid, oldest first. `cycles` are those that may lie in it ([`Cycle::of_grid`]); none
    /// for a sequence that is not a calendar.
    #[must_use]
    pub fn of(values: &[f64], scale: Scale, cycles: &[Cycle]) -> Self {
        let (mut values, scale) = scale.apply(values);
        level_out(&mut values, cycles);
        let tells_cycles = cycles.iter().all(|cycle| values.len() >= MIN_TURNS * cycle.turn());
        Self { values, scale, tells_cycles }
    }

    /// Of values that are logarithms already.
    #[must_use]
    pub fn of_logarithms(values: &[f64], cycles: &[Cycle]) -> Self {
        Self { scale: Scale::Log, ..Self::of(values, Scale::Linear, cycles) }
    }

    /// Less steps: from each position on, the amount that stands beside it.
    pub(crate) fn subtract_steps(&mut self, steps: impl Iterator<Item = (usize, f64)>) {
        for (from, amount) in steps {
            self.values.iter_mut().skip(from).for_each(|value| *value -= amount);
        }
    }

    /// Of a series of a metric: on the metric's scale, with the cycles of its grid.
    #[must_use]
    pub fn of_series(series: &Series) -> Self {
        let cycles = Cycle::of_grid(series.period_us, series.start_us);
        Self::of(&series.values, Scale::of(series.key.metric), &cycles)
    }

    /// How many positions have a value.
    #[must_use]
    pub fn n_finite(&self) -> usize {
        self.values.iter().filter(|value| value.is_finite()).count()
    }
}

/// Subtracts from `values` the profile of each cycle that is seen for three turns at least and is significant, one
/// after the other. NaN stays NaN; the mean stays the same.
///
/// A profile is the median by group of the differences from a running median over one turn, so neither jumps nor drift
/// nor spikes get into it.
fn level_out(values: &mut [f64], cycles: &[Cycle]) {
    let mut level: Option<(usize, Vec<f64>)> = None;
    for &cycle in cycles {
        let turn = cycle.turn();
        if turn < 2 || values.len() < MIN_TURNS * turn {
            continue;
        }
        let known = level.take().filter(|(width, _)| *width == turn).map(|(_, level)| level);
        let running = known.unwrap_or_else(|| running_median(values, turn));
        if let Some(profile) = significant_profile(values, &running, cycle) {
            for (idx, value) in values.iter_mut().enumerate() {
                *value -= profile.get(cycle.group(idx)).copied().unwrap_or(0.0);
            }
        } else {
            level = Some((turn, running));
        }
    }
}

/// `level` is the running median of `values` over a turn.
fn significant_profile(values: &[f64], level: &[f64], cycle: Cycle) -> Option<Vec<f64>> {
    let (mut rest, mut groups) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
    for (idx, (value, level)) in values.iter().zip(level).enumerate() {
        if (value - level).is_finite() {
            rest.push(value - level);
            groups.push(cycle.group(idx));
        }
    }
    if rank::kruskal_wallis(&rest, &groups, cycle.n_groups()) >= MAX_P {
        return None;
    }
    let profile = medians_by_group(&rest, &groups, cycle.n_groups())?;
    Some(centred(profile, values, cycle))
}

/// None where a group was seen fewer than [`MIN_TURNS`] times.
fn medians_by_group(values: &[f64], groups: &[usize], n_groups: usize) -> Option<Vec<f64>> {
    let mut members = vec![Vec::new(); n_groups];
    for (&value, &group) in values.iter().zip(groups) {
        members.get_mut(group)?.push(value);
    }
    let seen = members.iter().all(|m| m.len() >= MIN_TURNS);
    seen.then(|| members.iter_mut().map(|m| rank::median_in_place(m)).collect())
}

/// The profile less its mean over the positions that have a value.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn centred(profile: Vec<f64>, values: &[f64], cycle: Cycle) -> Vec<f64> {
    let at =
        values.iter().enumerate().filter(|(_, v)| v.is_finite()).filter_map(|(idx, _)| profile.get(cycle.group(idx)));
    let (sum, n) = at.fold((0.0, 0_usize), |(sum, n), effect| (sum + effect, n + 1));
    let mean = sum / n.max(1) as f64;
    profile.into_iter().map(|effect| effect - mean).collect()
}

/// The median of the finite values within a window of `width` (made odd) centred on each position; NaN where the
/// window is not whole or less than half full.
fn running_median(values: &[f64], width: usize) -> Vec<f64> {
    let half = width / 2;
    let mut window: Vec<f64> = Vec::with_capacity(width + 2);
    let mut out = vec![f64::NAN; values.len()];
    for (idx, &entering) in values.iter().enumerate() {
        insert_sorted(&mut window, entering);
        if let Some(&leaving) = idx.checked_sub(2 * half + 1).and_then(|gone| values.get(gone)) {
            remove_sorted(&mut window, leaving);
        }
        let full = idx >= 2 * half && 2 * window.len() > 2 * half;
        if let Some(slot) = idx.checked_sub(half).filter(|_| full).and_then(|centre| out.get_mut(centre)) {
            *slot = sorted_median(&window);
        }
    }
    out
}

fn insert_sorted(window: &mut Vec<f64>, value: f64) {
    if value.is_finite() {
        window.insert(window.partition_point(|w| *w < value), value);
    }
}

fn remove_sorted(window: &mut Vec<f64>, value: f64) {
    let at = window.partition_point(|w| *w < value);
    if value.is_finite() && at < window.len() {
        window.remove(at);
    }
}

fn sorted_median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    let at = |idx: usize| sorted.get(idx).copied().unwrap_or(f64::NAN);
    if n % 2 == 1 { at(n / 2) } else { 0.5 * (at((n / 2).wrapping_sub(1)) + at(n / 2)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-05, a Monday.
    const MONDAY_US: i64 = 1_767_571_200_000_000;

    fn noise(i: usize) -> f64 {
        ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5
    }

    #[test]
    fn groups_follow_the_calendar() {
        let cycles = Cycle::of_grid(DAY_US, MONDAY_US + 2 * DAY_US);
        let weekend: Vec<usize> = (0..7).map(|i| cycles[0].group(i)).collect();
        assert_eq!(weekend, [0, 0, 0, 1, 1, 0, 0], "starts on a Wednesday");
        let hourly = Cycle::of_grid(DAY_US / 24, MONDAY_US);
        assert_eq!(
            (hourly[0].turn(), hourly[1].turn(), hourly[1].group(5 * 24 - 1), hourly[1].group(5 * 24)),
            (24, 168, 0, 1)
        );
        assert!(Cycle::of_grid(7 * DAY_US, 0).is_empty() && Cycle::of_grid(0, 0).is_empty());
    }

    #[test]
    fn a_weekend_is_levelled_to_the_mean() {
        let cycles = Cycle::of_grid(DAY_US, MONDAY_US);
        let mut values: Vec<f64> = (0..56).map(|i| noise(i) + if i % 7 >= 5 { -4.0 } else { 0.0 }).collect();
        let mean = values.iter().sum::<f64>() / 56.0;
        values[17] = f64::NAN;
        level_out(&mut values, &cycles);
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        assert_eq!(finite.len(), 55);
        assert!(finite.iter().all(|v| (v - mean).abs() < 1.2), "{finite:?}");
    }

    #[test]
    fn what_has_no_week_is_left_alone() {
        let cycles = Cycle::of_grid(DAY_US, MONDAY_US);
        let plain: Vec<f64> = (0..56).map(noise).collect();
        let trend: Vec<f64> = (0..56).map(|i| i as f64).collect();
        let short: Vec<f64> = (0..20).map(|i| if i % 7 >= 5 { 9.0 } else { 1.0 }).collect();
        for series in [vec![], vec![1.0], vec![f64::NAN; 40], plain, trend, short] {
            let mut levelled = series.clone();
            level_out(&mut levelled, &cycles);
            assert!(levelled.iter().zip(&series).all(|(a, b)| a.to_bits() == b.to_bits()), "{series:?}");
        }
    }
}
