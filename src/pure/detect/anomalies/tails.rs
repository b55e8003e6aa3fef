//! How rare a value is, judged from a sample that may itself hold strange ones.

use crate::stats::robust::quantile;
use serde::{Deserialize, Serialize};

/// Beyond `ANCHOR` the sample is not believed, for strange executions (0.2 to 1 % as a rule) may dominate it: the tail is
/// continued as an exponential through the quantiles at `SHOULDER` and at `ANCHOR`.
const SHOULDER: f64 = 0.02;
const ANCHOR: f64 = 0.005;
/// A tail may turn heavier farther out, as durations do: with enough values, what lies between the anchor and here shows
/// it, and the heavier decay counts. One column is rarely at fault so often.
const FAR: f64 = 0.001;
/// But a tail is not believed to turn heavier than by this factor: then it is faults that lie there.
const MAX_HEAVIER: f64 = 4.0;
/// Values beyond the far quantile that make it known.
const MIN_BEYOND: f64 = 4.0;
/// A tail drops by e within no less than this share of the way to the shoulder: a normal's is 0.25.
const MIN_DECAY: f64 = 0.15;

/// The upper tail of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    median: f64,
    shoulder: f64,
    anchor: f64,
    /// How far one goes beyond the anchor for every factor e in probability.
    decay: f64,
}

impl Tail {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    /// Learns from `values`, which are reordered and hold no NaN; none where there are none.
    pub(crate) fn of(values: &mut [f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let (median, shoulder) = (quantile(values, 0.5), quantile(values, 1.0 - SHOULDER));
        let anchor = quantile(values, 1.0 - ANCHOR);
        let least = (MIN_DECAY * (shoulder - median)).max(1e-9);
        let near = (anchor - shoulder) / (SHOULDER / ANCHOR).ln();
        let is_known = values.len() as f64 * FAR >= MIN_BEYOND;
        let far = if is_known { (quantile(values, 1.0 - FAR) - anchor) / (ANCHOR / FAR).ln() } else { near };
        let decay = near.max(far.min(MAX_HEAVIER * near.max(least))).max(least);
        [median, shoulder, anchor, decay].iter().all(|v| v.is_finite()).then_some(Self {
            median,
            shoulder,
            anchor,
            decay,
        })
    }

    /// `−ln P(X > x)`: 0 below the median, 5.3 at one in two hundred.
    pub(crate) fn surprise(&self, x: f64) -> f64 {
        let knots =
            [(self.median, 0.5_f64), (self.shoulder, SHOULDER), (self.anchor, ANCHOR)].map(|(x, p)| (x, -p.ln()));
        let [(x0, s0), (x1, s1), (x2, s2)] = knots;
        let between = |from: (f64, f64), to: (f64, f64)| {
            let width = to.0 - from.0;
            if width > 0.0 { from.1 + (to.1 - from.1) * (x - from.0) / width } else { to.1 }
        };
        match x {
            _ if x <= x0 || x.is_nan() => 0.0,
            _ if x <= x1 => between((x0, s0), (x1, s1)),
            _ if x <= x2 => between((x1, s1), (x2, s2)),
            _ => s2 + (x - x2) / self.decay,
        }
    }

    /// The value that is exceeded with probability `p`, the inverse of [`Tail::surprise`].
    pub(crate) fn quantile(&self, p: f64) -> f64 {
        let surprise = -p.clamp(f64::MIN_POSITIVE, 0.5).ln();
        let [s0, s1, s2] = [0.5, SHOULDER, ANCHOR].map(|p: f64| -p.ln());
        if surprise <= s1 {
            self.median + (self.shoulder - self.median) * (surprise - s0) / (s1 - s0)
        } else if surprise <= s2 {
            self.shoulder + (self.anchor - self.shoulder) * (surprise - s1) / (s2 - s1)
        } else {
            self.anchor + self.decay * (surprise - s2)
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn exponential(n: u32) -> Vec<f64> {
        (0..n).map(|i| -((f64::from(i) + 0.5) / f64::from(n)).ln()).collect()
    }

    #[test]
    fn an_exponential_is_continued_exactly() {
        let tail = Tail::of(&mut exponential(10_000)).unwrap();
        for x in [2.0, 4.0, 6.0, 15.0] {
            assert!((tail.surprise(x) - x).abs() < 0.1, "{x}: {}", tail.surprise(x));
        }
        assert!((tail.quantile(1e-4) - 1e-4_f64.ln().abs()).abs() < 0.1);
    }

    #[test]
    fn surprise_and_quantile_are_inverse() {
        let tail = Tail::of(&mut exponential(500)).unwrap();
        for p in [0.4, 0.1, 0.01, 0.001] {
            assert!((tail.surprise(tail.quantile(p)) + f64::ln(p)).abs() < 1e-9);
        }
    }

    #[test]
    fn one_in_three_hundred_wild_values_change_little() {
        let mut values = exponential(9_000);
        values.extend([500.0; 30]);
        let tail = Tail::of(&mut values).unwrap();
        assert!(tail.surprise(12.0) > 6.0, "{}", tail.surprise(12.0));
    }

    #[test]
    fn a_tail_that_turns_heavier_is_continued_as_it_turned() {
        // One in a hundred values goes on ten times as far.
        let values = exponential(100_000);
        let mut mixed: Vec<f64> =
            values.iter().enumerate().map(|(i, v)| if i % 100 == 0 { v * 10.0 } else { *v }).collect();
        let tail = Tail::of(&mut mixed).unwrap();
        let exact = |x: f64| -(0.99 * (-x).exp() + 0.01 * (-x / 10.0).exp()).ln();
        assert!((tail.surprise(40.0) - exact(40.0)).abs() < 1.5, "{} {}", tail.surprise(40.0), exact(40.0));
    }

    #[test]
    fn degenerate_samples() {
        assert!(Tail::of(&mut []).is_none());
        assert!(Tail::of(&mut [f64::INFINITY]).is_none());
        let constant = Tail::of(&mut [3.0; 50]).unwrap();
        assert!(constant.surprise(3.0).abs() < 1e-12 && constant.surprise(3.1) > 5.0);
        assert!(constant.surprise(f64::NAN).abs() < 1e-12);
    }
}
