//! How a target grows with the numeric features: a line for each group, drawn towards what other groups show.
//!
//! Empirical Bayes in small: a slope of a group has a normal prior whose mean is the precision-weighted mean of the
//! slopes of all groups (DerSimonian & Laird 1986 with a fixed variance between groups). A young group so starts with
//! the slope that is usual here; before any group has shown one, with "in proportion to the size".

use crate::learn::solve::solve;

/// Variance of slopes between groups: a slope is usually within ±0.3 of the usual one.
const BETWEEN: f64 = 0.1;
/// The prior counts this many times: sizes of one group lie close together, so that its own slope is mostly noise.
const STRENGTH: f64 = 3.0;
/// The start counts as much as this many groups.
const START_GROUPS: f64 = 3.0;
/// A slope outside says more about noise than about growth.
const SLOPES: (f64, f64) = (-1.0, 3.0);
/// What is assumed of a group's residual variance before it shows: that of ±20 %, worth two executions.
const USUAL_VARIANCE: f64 = 0.04;
const USUAL_COUNT: f64 = 2.0;
/// Where a group's own line is asked for, the usual slopes count as much as this spread of a feature.
const LIGHT_PULL: f64 = 0.2;
/// Memory of a line.
const DECAY: f64 = 0.998;
/// A residual moves a line no more than it would at this many standard deviations, once some are known.
const CLIP: f64 = 4.0;
const CLIP_FROM: f64 = 8.0;

/// The usual slope of each feature over all groups.
#[derive(Debug, Clone)]
pub(crate) struct UsualSlopes {
    sums: Vec<(f64, f64)>,
}

impl UsualSlopes {
    pub(crate) fn new(n_features: usize) -> Self {
        let start = 1.0 / (n_features.max(1) as f64);
        Self { sums: vec![(START_GROUPS * start, START_GROUPS); n_features] }
    }

    /// The usual slope of a feature.
    pub(crate) fn mean(&self, feature: usize) -> f64 {
        self.sums.get(feature).map_or(0.0, |(sum, weight)| sum / weight)
    }

    fn replace(&mut self, feature: usize, old: (f64, f64), new: (f64, f64)) {
        if let Some((sum, weight)) = self.sums.get_mut(feature) {
            *sum += new.0 - old.0;
            *weight += new.1 - old.1;
        }
    }
}

/// The line of one group: decayed, centred sums of products.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    weight: f64,
    mean_place: f64,
    means: Vec<f64>,
    /// (`n_features`,) with each feature's own weight, since values may be missing.
    weights: Vec<f64>,
    /// (`n_features`, `n_features`) centred products.
    products: Vec<f64>,
    with_place: Vec<f64>,
    place_squares: f64,
    /// Variance about the line, as of the latest execution.
    variance: f64,
    /// What the group has added to the usual slopes.
    shown: Vec<(f64, f64)>,
}

impl Line {
    pub(crate) fn new(usual: &UsualSlopes) -> Self {
        let n = usual.sums.len();
        Self {
            weight: 0.0,
            mean_place: 0.0,
            means: vec![0.0; n],
            weights: vec![0.0; n],
            products: vec![0.0; n * n],
            with_place: vec![0.0; n],
            place_squares: 0.0,
            variance: USUAL_VARIANCE,
            shown: vec![(0.0, 0.0); n],
        }
    }

    /// Change of the target per change of each feature, given what the group and the others have shown.
    pub(crate) fn slopes(&self, usual: &UsualSlopes) -> Vec<f64> {
        let mut slopes = self.drawn(usual, STRENGTH * self.variance / BETWEEN);
        slopes.iter_mut().for_each(|slope| *slope = slope.clamp(SLOPES.0, SLOPES.1));
        slopes
    }

    /// The slopes, drawn to the usual ones as if by so much spread of each feature.
    fn drawn(&self, usual: &UsualSlopes, pull: f64) -> Vec<f64> {
        let n = self.means.len();
        let mut matrix = self.products.clone();
        let mut right = self.with_place.clone();
        for (feature, value) in right.iter_mut().enumerate() {
            *value += pull * usual.mean(feature);
            if let Some(diagonal) = matrix.get_mut(feature * n + feature) {
                *diagonal += pull;
            }
        }
        solve(&mut matrix, &mut right);
        right
    }

    /// Variance about the line that the group itself shows.
    fn own_variance(&self, usual: &UsualSlopes) -> f64 {
        let slopes = self.drawn(usual, LIGHT_PULL);
        let n = slopes.len();
        let explained = slopes.iter().zip(&self.with_place).map(|(slope, sum)| slope * sum).sum::<f64>();
        let row = |i: usize| self.products.iter().skip(i * n).zip(&slopes).map(|(sum, slope)| sum * slope).sum::<f64>();
        let modelled = slopes.iter().enumerate().map(|(i, slope)| slope * row(i)).sum::<f64>();
        let squares = (self.place_squares - 2.0 * explained + modelled).max(0.0);
        (squares + USUAL_COUNT * USUAL_VARIANCE) / ((self.weight - 1.0).max(0.0) + USUAL_COUNT)
    }

    /// Learns from an execution of the group, and shows its slopes to the others.
    pub(crate) fn learn(&mut self, place: f64, numeric: &[f64], usual: &mut UsualSlopes) {
        let place = self.clipped(place, numeric, usual);
        self.add(place, numeric);
        self.variance = self.own_variance(usual);
        self.show(usual);
    }

    /// The target as far as it may move the line.
    fn clipped(&self, place: f64, numeric: &[f64], usual: &UsualSlopes) -> f64 {
        if self.weight < CLIP_FROM {
            return place;
        }
        let slopes = self.drawn(usual, LIGHT_PULL);
        let gaps = slopes.iter().zip(numeric).zip(&self.means).map(|((slope, x), mean)| slope * known(x - mean));
        let expected = self.mean_place + gaps.sum::<f64>();
        let reach = CLIP * self.variance.sqrt();
        expected + (place - expected).clamp(-reach, reach)
    }

    /// Welford's update with decay. A missing value stands at the mean.
    fn add(&mut self, place: f64, numeric: &[f64]) {
        let old = DECAY * self.weight;
        self.weight = old + 1.0;
        let share = old / self.weight;
        let off_place = place - self.mean_place;
        self.mean_place += off_place / self.weight;
        self.place_squares = DECAY * self.place_squares + share * off_place * off_place;
        let n = self.means.len();
        let mut off = vec![0.0; n];
        for (((off, mean), weight), &x) in off.iter_mut().zip(&mut self.means).zip(&mut self.weights).zip(numeric) {
            *weight *= DECAY;
            if x.is_nan() {
                continue;
            }
            *weight += 1.0;
            // The first value of a feature is its mean: it has no distance from anything.
            if *weight > 1.0 {
                *off = x - *mean;
            }
            *mean += (x - *mean) / *weight;
        }
        for (i, a) in off.iter().enumerate() {
            if let Some(sum) = self.with_place.get_mut(i) {
                *sum = DECAY * *sum + share * a * off_place;
            }
            for (sum, b) in self.products.iter_mut().skip(i * n).zip(&off) {
                *sum = DECAY * *sum + share * a * b;
            }
        }
    }

    fn show(&mut self, usual: &mut UsualSlopes) {
        let n = self.means.len();
        for feature in 0..n {
            let spread = self.products.get(feature * n + feature).copied().unwrap_or_default();
            if spread <= 1e-9 {
                continue;
            }
            let own = if n == 1 { self.with_place.first().map_or(0.0, |sum| sum / spread) } else { self.own(feature) };
            let weight = BETWEEN / (BETWEEN + self.variance / spread);
            let new = (weight * own.clamp(SLOPES.0, SLOPES.1), weight);
            if let Some(old) = self.shown.get_mut(feature) {
                usual.replace(feature, *old, new);
                *old = new;
            }
        }
    }

    /// The group's slope of one feature among several, hardly drawn to anything.
    fn own(&self, feature: usize) -> f64 {
        let n = self.means.len();
        let mut matrix = self.products.clone();
        let mut right = self.with_place.clone();
        for i in 0..n {
            if let Some(diagonal) = matrix.get_mut(i * n + i) {
                *diagonal += 1e-3 + 1e-3 * *diagonal;
            }
        }
        solve(&mut matrix, &mut right);
        right.get(feature).copied().unwrap_or_default()
    }
}

/// Nothing for what is unknown.
pub(crate) fn known(gap: f64) -> f64 {
    if gap.is_nan() { 0.0 } else { gap }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(usual: &mut UsualSlopes, slope: f64, n: u32) -> Line {
        let mut line = Line::new(usual);
        for i in 0..n {
            let x = f64::from(i * 7919 % 101) / 20.0;
            line.learn(3.0 + slope * x, &[x], usual);
        }
        line
    }

    #[test]
    fn a_young_group_starts_with_the_slope_that_is_usual() {
        let mut usual = UsualSlopes::new(1);
        assert!((Line::new(&usual).slopes(&usual)[0] - 1.0).abs() < 1e-12);
        for _ in 0..40 {
            group(&mut usual, 0.3, 30);
        }
        let young = Line::new(&usual).slopes(&usual)[0];
        assert!((young - 0.3).abs() < 0.08, "{young}");
        let old = group(&mut usual, 2.0, 60).slopes(&usual)[0];
        assert!((old - 2.0).abs() < 0.02, "{old}");
    }

    #[test]
    fn one_wild_value_moves_a_line_little() {
        let mut usual = UsualSlopes::new(1);
        let mut line = group(&mut usual, 1.0, 60);
        line.learn(500.0, &[5.0], &mut usual);
        let slope = line.slopes(&usual)[0];
        assert!((slope - 1.0).abs() < 0.05, "{slope}");
    }

    #[test]
    fn several_features_are_told_apart_and_gaps_do_no_harm() {
        let mut usual = UsualSlopes::new(2);
        let mut line = Line::new(&usual);
        for i in 0..400_u32 {
            let (a, b) = (f64::from(i * 7919 % 101) / 20.0, f64::from(i * 104_729 % 97) / 20.0);
            let seen = if i % 10 == 0 { f64::NAN } else { b };
            line.learn(1.0 + 0.5 * a + 1.5 * if i % 10 == 0 { 2.4 } else { b }, &[a, seen], &mut usual);
        }
        let slopes = line.slopes(&usual);
        assert!((slopes[0] - 0.5).abs() < 0.05 && (slopes[1] - 1.5).abs() < 0.05, "{slopes:?}");
    }
}
