//! Where experts expect the logarithm of a peak, each in its own way.
//!
//! Two look at peaks alone: the median, and the recent level. For each numeric feature (a size) three more: a line of
//! logarithms, a straight line of the values themselves (a base and so much a byte, as programs have it), and
//! neighbours in size.

use crate::stats::robust::{MAD_TO_STD, median};
use std::collections::VecDeque;

/// Executions that a group remembers.
pub(super) const WINDOW: usize = 128;
/// Experts that need no feature, and experts for each feature.
const PLAIN: usize = 2;
const PER_FEATURE: usize = 3;
/// Of the recent level: an execution weighs so much of the one after it.
const RECENT: f64 = 0.7;
/// Lines need this many executions.
const LINE_FROM: usize = 3;
/// Log sizes that spread less than this carry no slope.
const MIN_SPREAD: f64 = 1e-3;
/// Pseudo-spread with which a group's slope is drawn to the usual slope of other groups.
const RIDGE: f64 = 0.05;
/// The same for the straight line, as a share of the weights.
const LINEAR_RIDGE: f64 = 1e-3;
/// Residuals beyond two scales lose weight.
const BEND: f64 = 2.0;
/// Lines are followed this far beyond the sizes known (a factor of 2), and by a single size 4.5.
const REACH: f64 = 0.7;
const REACH_OF_ONE: f64 = 1.5;
/// The third nearest neighbour sets how near is near.
const NEIGHBOUR: usize = 2;
const MIN_NEARNESS: f64 = 0.02;
/// Of neighbours: an older execution weighs so much of the one after it.
const AGING: f64 = 0.98;

/// How many experts there are.
pub(super) fn count(n_features: usize) -> usize {
    PLAIN + PER_FEATURE * n_features
}

/// The latest executions of a group, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct History {
    /// Logarithms of peaks.
    pub(super) logs: VecDeque<f64>,
    /// (n_features,) logarithms of sizes; NaN is unknown.
    sizes: Vec<VecDeque<f64>>,
}

/// What of a group's peaks does not depend on the next size.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fit {
    median: f64,
    recent: f64,
    by_feature: Vec<SizeFit>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct SizeFit {
    range: Option<(f64, f64)>,
    middle: f64,
    log_line: Option<Line>,
    straight: Option<Straight>,
}

/// y = `y` + `slope` · (x − `x`).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    x: f64,
    y: f64,
    slope: f64,
}

/// A line through peaks over their median and sizes over theirs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Straight {
    line: Line,
    size: f64,
    floor: f64,
}

impl Line {
    fn at(&self, x: f64) -> f64 {
        self.y + self.slope * (x - self.x)
    }

    /// Weighted least squares of (x, y, weight), with the slope drawn to `usual` as by `ridge` of spread more.
    fn fit(points: &[(f64, f64, f64)], ridge: f64, usual: f64) -> Self {
        let total: f64 = points.iter().map(|(_, _, weight)| weight).sum();
        let mean = |of: fn(&(f64, f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / total;
        let (x, y) = (mean(|p| p.0 * p.2), mean(|p| p.1 * p.2));
        let xx: f64 = points.iter().map(|p| p.2 * (p.0 - x) * (p.0 - x)).sum();
        let xy: f64 = points.iter().map(|p| p.2 * (p.0 - x) * (p.1 - y)).sum();
        Self { x, y, slope: (xy + ridge * usual) / (xx + ridge) }
    }

    /// The same, thrice, with less weight for what lies off (Huber).
    fn robust(points: &mut [(f64, f64, f64)], usual: f64) -> Self {
        let mut line = Self::fit(points, RIDGE, usual);
        for _ in 0..2 {
            let off = |point: &(f64, f64, f64)| (point.1 - line.at(point.0)).abs();
            let bend = BEND * (MAD_TO_STD * median(&mut points.iter().map(off).collect::<Vec<_>>()) + 1e-6);
            for point in points.iter_mut() {
                let residual = (point.1 - line.at(point.0)).abs();
                point.2 = if residual <= bend { 1.0 } else { bend / residual };
            }
            line = Self::fit(points, RIDGE, usual);
        }
        line
    }
}

impl History {
    /// Adds an execution and forgets the oldest beyond [`WINDOW`].
    pub(super) fn push(&mut self, log: f64, sizes: &[f64]) {
        self.sizes.resize_with(sizes.len(), VecDeque::new);
        self.logs.push_back(log);
        for (column, size) in self.sizes.iter_mut().zip(sizes) {
            column.push_back(*size);
        }
        if self.logs.len() > WINDOW {
            self.logs.pop_front();
            for column in &mut self.sizes {
                column.pop_front();
            }
        }
    }

    /// Fits all that does not depend on the next size. `usual_slopes` are those of other groups, by feature.
    pub(super) fn fit(&self, usual_slopes: &[f64]) -> Fit {
        let centre = median(&mut self.logs.iter().copied().collect::<Vec<_>>());
        let (mut sum, mut total, mut weight) = (0.0, 0.0, 1.0);
        for log in self.logs.iter().rev() {
            sum += weight * log;
            total += weight;
            weight *= RECENT;
        }
        let by_feature = self.sizes.iter().zip(usual_slopes);
        Fit {
            median: centre,
            recent: sum / total,
            by_feature: by_feature.map(|(sizes, usual)| SizeFit::new(sizes, &self.logs, centre, *usual)).collect(),
        }
    }

    /// Where neighbours in size expect the peak; none where there is no such thing as near.
    fn near(&self, feature: usize, size: f64) -> Option<f64> {
        let sizes = self.sizes.get(feature)?;
        let mut distances: Vec<f64> = sizes.iter().map(|s| (s - size).abs()).filter(|d| d.is_finite()).collect();
        let at = NEIGHBOUR.min(distances.len().checked_sub(1)?);
        let nearness = *distances.select_nth_unstable_by(at, f64::total_cmp).1 + MIN_NEARNESS;
        let (mut sum, mut total, mut age) = (0.0, 0.0, 1.0);
        for (s, log) in sizes.iter().zip(&self.logs).rev() {
            let off = (s - size) / nearness;
            if off.is_finite() {
                let weight = age * (-0.5 * off * off).exp();
                sum += weight * log;
                total += weight;
            }
            age *= AGING;
        }
        (total > 0.0).then(|| sum / total)
    }
}

impl SizeFit {
    fn new(sizes: &VecDeque<f64>, logs: &VecDeque<f64>, centre: f64, usual: f64) -> Self {
        let known = sizes.iter().zip(logs).filter(|(size, _)| size.is_finite());
        let mut points: Vec<(f64, f64, f64)> = known.map(|(size, log)| (*size, *log, 1.0)).collect();
        let least = points.iter().map(|p| p.0).min_by(f64::total_cmp);
        let most = points.iter().map(|p| p.0).max_by(f64::total_cmp);
        let range = least.zip(most);
        let middle = median(&mut points.iter().map(|p| p.0).collect::<Vec<_>>());
        if points.len() < LINE_FROM || range.is_none_or(|(least, most)| most - least < MIN_SPREAD) {
            let alone = range.map(|_| Line { x: middle, y: centre, slope: usual });
            return Self { range, middle, log_line: alone, straight: None };
        }
        let log_line = Some(Line::robust(&mut points, usual));
        let straight = Some(Straight::new(&points, middle, centre));
        Self { range, middle, log_line, straight }
    }

    /// Whether the group's own sizes made the line.
    fn own_slope(&self) -> Option<f64> {
        self.straight.and(self.log_line).map(|line| line.slope)
    }

    /// `size`, or as near to it as lines are followed.
    fn within_reach(&self, size: f64) -> Option<f64> {
        let (least, most) = self.range.filter(|_| size.is_finite())?;
        let reach = if self.straight.is_some() { REACH } else { REACH_OF_ONE };
        Some(size.clamp(least - reach, most + reach))
    }
}

impl Straight {
    /// Least squares of relative errors.
    fn new(points: &[(f64, f64, f64)], middle: f64, centre: f64) -> Self {
        let relative = |p: &(f64, f64, f64)| {
            let y = (p.1 - centre).exp();
            ((p.0 - middle).exp(), y, 1.0 / (y * y))
        };
        let points: Vec<(f64, f64, f64)> = points.iter().map(relative).collect();
        let total: f64 = points.iter().map(|p| p.2).sum();
        let least = points.iter().map(|p| p.1).min_by(f64::total_cmp).unwrap_or(1.0);
        Self { line: Line::fit(&points, LINEAR_RIDGE * total, 0.0), size: middle, floor: 0.5 * least }
    }

    fn at(&self, size: f64) -> f64 {
        self.line.at((size - self.size).exp()).max(self.floor).ln()
    }
}

impl Fit {
    /// Slopes of lines of logarithms, by feature; none where the group's own sizes made none.
    pub(super) fn own_slopes(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.by_feature.iter().map(SizeFit::own_slope)
    }

    /// Where every expert expects the logarithm of the peak of an execution of these log sizes. An expert that has
    /// nothing to go by says the median.
    pub(super) fn locate(&self, history: &History, sizes: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.extend([self.median, self.recent]);
        for (feature, (fit, size)) in self.by_feature.iter().zip(sizes).enumerate() {
            let size = fit.within_reach(*size);
            let line = size.zip(fit.log_line).map(|(size, line)| line.at(size));
            let straight = size.zip(fit.straight).map(|(size, line)| self.median + line.at(size));
            let near = size.filter(|_| fit.straight.is_some()).and_then(|_| history.near(feature, sizes[feature]));
            out.extend([line.unwrap_or(self.median), straight.unwrap_or(self.median), near.unwrap_or(self.recent)]);
        }
        for log in out.iter_mut().filter(|log| !log.is_finite()) {
            *log = self.median;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peaks that are `peak(size)`, for sizes 1..=12.
    fn located(peak: impl Fn(f64) -> f64, at: f64) -> Vec<f64> {
        let mut history = History::default();
        for size in 1..=12 {
            history.push(peak(f64::from(size)).ln(), &[f64::from(size).ln()]);
        }
        let mut out = Vec::new();
        history.fit(&[0.0]).locate(&history, &[at.ln()], &mut out);
        out.iter().map(|log| log.exp()).collect()
    }

    #[test]
    fn each_expert_sees_what_it_is_for() {
        let power = located(|size| 3.0 * size.sqrt(), 16.0);
        assert!((power[2] / 12.0 - 1.0).abs() < 0.01, "line of logarithms: {power:?}");
        let affine = located(|size| 100.0 + 5.0 * size, 16.0);
        assert!((affine[3] / 180.0 - 1.0).abs() < 0.01, "straight line: {affine:?}");
        let step = located(|size| if size < 6.5 { 1.0 } else { 8.0 }, 3.0);
        assert!(step[4] < 1.25 && step[4] < step[2], "neighbours: {step:?}");
    }

    #[test]
    fn lines_are_followed_to_twice_the_largest_size() {
        let far = located(|size| size, 1e6);
        assert!(far.iter().all(|peak| *peak < 12.0 * 2.1), "{far:?}");
        assert!(located(|size| size, f64::NAN).iter().all(|peak| *peak <= 12.0));
    }

    #[test]
    fn one_execution_is_carried_by_the_usual_slope() {
        let mut history = History::default();
        history.push(10.0_f64.ln(), &[1.0_f64.ln()]);
        let mut out = Vec::new();
        history.fit(&[1.0]).locate(&history, &[2.0_f64.ln()], &mut out);
        assert!((out[2].exp() - 20.0).abs() < 1e-9 && (out[0].exp() - 10.0).abs() < 1e-9);
    }
}
