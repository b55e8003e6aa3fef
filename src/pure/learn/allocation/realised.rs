//! What requests have really wasted, and the simple rules that they are measured against.

use super::allocator::waste_of;
use crate::learn::backtest::Ordered;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The simple rules: what was requested; the highest peak of the group so far, plain and with 15 % more; the 99th
/// percentile of its peaks with 15 % more.
pub const RIVALS: [&str; 4] = ["requested", "max", "max_15", "p99_15"];

const MARGIN: f64 = 1.15;
const PERCENTILE: f64 = 0.99;

/// Sums over executions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Realised {
    /// Executions.
    pub n: u64,
    /// Unit × hours held and not used, with retries that double.
    pub waste: f64,
    /// Executions whose first try was killed.
    pub killed: u64,
    /// Unit × hours used.
    pub used: f64,
}

impl Realised {
    /// Adds an execution that needed `peak` for `hours` and was given `request`.
    pub fn add(&mut self, request: f64, peak: f64, hours: f64, killed_after: f64) {
        self.n += 1;
        self.waste += waste_of(request, peak, hours, killed_after).0;
        self.killed += u64::from(peak > request);
        self.used += peak * hours;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        let Self { n, waste, killed, used } = *other;
        self.n += n;
        self.waste += waste;
        self.killed += killed;
        self.used += used;
    }
}

/// The rules, walked along.
#[derive(Debug, Default)]
pub struct Rivals {
    groups: Vec<Peaks>,
}

/// Peaks of a group: the lower ones with their highest on top, the upper ones with their lowest.
#[derive(Debug, Default)]
struct Peaks {
    highest: Option<f64>,
    lower: BinaryHeap<Ordered>,
    upper: BinaryHeap<Reverse<Ordered>>,
}

impl Rivals {
    /// What each rule requests, NaN where it has nothing to go by: before the group's first peak that is all but the
    /// first.
    #[must_use]
    pub fn ask(&self, group: usize, request: f64) -> [f64; RIVALS.len()] {
        let peaks = self.groups.get(group);
        let highest = peaks.and_then(|peaks| peaks.highest).unwrap_or(f64::NAN);
        let p99 = peaks.and_then(Peaks::percentile).unwrap_or(f64::NAN);
        [request, highest, highest * MARGIN, p99 * MARGIN]
    }

    /// Adds a peak; what is not positive is no peak.
    pub fn learn(&mut self, group: usize, peak: f64) {
        if !(peak > 0.0 && peak.is_finite()) {
            return;
        }
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Peaks::default);
        }
        if let Some(peaks) = self.groups.get_mut(group) {
            peaks.highest = Some(peaks.highest.map_or(peak, |highest| highest.max(peak)));
            peaks.push(peak);
        }
    }
}

impl Peaks {
    /// Position of the percentile among `n` sorted peaks, and how far it lies towards the next one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= rank < n")]
    fn rank(n: usize) -> (usize, f64) {
        let rank = PERCENTILE * (n - 1) as f64;
        (rank.floor() as usize, rank.fract())
    }

    fn push(&mut self, peak: f64) {
        self.lower.push(Ordered(peak));
        self.upper.extend(self.lower.pop().map(Reverse));
        let (at, _) = Self::rank(self.lower.len() + self.upper.len());
        while self.lower.len() < at + 1 {
            match self.upper.pop() {
                Some(Reverse(lowest)) => self.lower.push(lowest),
                None => break,
            }
        }
    }

    /// With linear interpolation (type 7).
    fn percentile(&self) -> Option<f64> {
        let (_, towards) = Self::rank((self.lower.len() + self.upper.len()).max(1));
        let low = self.lower.peek()?.0;
        let high = self.upper.peek().map_or(low, |Reverse(high)| high.0);
        Some(low + towards * (high - low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::noise;
    use crate::stats::robust::quantile;

    #[test]
    fn the_running_percentile_is_the_percentile() {
        let (mut rivals, mut all) = (Rivals::default(), Vec::new());
        for i in 0..500 {
            let peak = 1.0 + 9.0 * noise(i);
            all.push(peak);
            rivals.learn(3, peak);
            let expected = quantile(&mut all.clone(), PERCENTILE) * MARGIN;
            assert!((rivals.ask(3, f64::NAN)[3] - expected).abs() < 1e-9, "{i}");
        }
    }

    #[test]
    fn rules_follow_their_group_alone() {
        let mut rivals = Rivals::default();
        assert!(rivals.ask(0, 7.0)[1..].iter().all(|request| request.is_nan()));
        rivals.learn(0, 2.0);
        rivals.learn(0, 4.0);
        rivals.learn(0, f64::NAN);
        let [requested, max, max_15, _] = rivals.ask(0, 7.0);
        assert!((requested - 7.0).abs() + (max - 4.0).abs() + (max_15 - 4.6).abs() < 1e-12);
        assert!(rivals.ask(1, 7.0)[1].is_nan());
    }

    #[test]
    fn a_killed_try_wastes_all_it_held() {
        let mut realised = Realised::default();
        realised.add(3.0, 10.0, 2.0, 1.0); // 3 and 6 are killed, 12 fits
        realised.add(4.0, 1.0, 0.5, 1.0);
        assert_eq!((realised.n, realised.killed), (2, 1));
        assert!((realised.waste - (6.0 + 12.0 + 4.0 + 1.5)).abs() < 1e-12);
        assert!((realised.used - 20.5).abs() < 1e-12);
    }
}
