//! How rare a value is among those before it.

/// Where the upper and the lower tail begin; beyond the second quantile they are continued as exponentials.
const SHOULDER: f64 = 0.05;
const ANCHOR: f64 = 0.002;
/// A quantile is believed if so many values lie beyond it.
const MIN_BEYOND: f64 = 2.0;
/// A tail drops by e within no less than this share of the way from the median to the shoulder.
const MIN_DECAY: f64 = 0.15;
/// Nothing is judged on a scale finer than this share of the values themselves.
const MIN_RELATIVE: f64 = 1e-6;

/// Ranks among a growing past: values are known beforehand as places (for speed) and count only once they are learned.
/// A binary indexed tree (Fenwick 1994): a value is learned, counted or looked up by rank in logarithmic time.
#[derive(Debug)]
pub(super) struct Past {
    /// Distinct values, ascending.
    places: Vec<f64>,
    tree: Vec<usize>,
    n: usize,
}

impl Past {
    /// Places for all of `values` but NaN; nothing is learned yet.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut places: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        places.sort_unstable_by(f64::total_cmp);
        places.dedup_by(|a, b| a.total_cmp(b).is_eq());
        Self { tree: vec![0; places.len() + 1], places, n: 0 }
    }

    /// Values learned.
    pub(super) fn len(&self) -> usize {
        self.n
    }

    /// Learns one of the values; NaN is passed over.
    pub(super) fn learn(&mut self, value: f64) {
        let Ok(place) = self.places.binary_search_by(|v| v.total_cmp(&value)) else { return };
        let mut at = place + 1;
        while let Some(count) = self.tree.get_mut(at) {
            *count += 1;
            at += at & at.wrapping_neg();
        }
        self.n += 1;
    }

    /// Learned values among the `end` lowest places.
    fn count(&self, end: usize) -> usize {
        let (mut at, mut count) = (end, 0);
        while at > 0 {
            count += self.tree.get(at).copied().unwrap_or_default();
            at &= at - 1;
        }
        count
    }

    /// The learned value of 0-based `rank`.
    fn nth(&self, rank: usize) -> f64 {
        let (mut at, mut left) = (0, rank);
        let mut step = self.tree.len().next_power_of_two();
        while step > 0 {
            if let Some(&count) = self.tree.get(at + step).filter(|count| **count <= left) {
                at += step;
                left -= count;
            }
            step /= 2;
        }
        self.places.get(at).or(self.places.last()).copied().unwrap_or(f64::NAN)
    }

    /// Quantile with linear interpolation.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie in 0..n, far below 2^53"
    )]
    pub(super) fn quantile(&self, q: f64) -> f64 {
        let rank = q.clamp(0.0, 1.0) * self.n.saturating_sub(1) as f64;
        let low = self.nth(rank as usize);
        let high = if rank.fract() > 0.0 { self.nth(rank as usize + 1) } else { low };
        low + (high - low) * rank.fract()
    }

    /// `−ln P` of a value as far out as `x` on its side of the median; 0 where nothing was learned.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(super) fn surprise(&self, x: f64) -> f64 {
        if self.n == 0 || x.is_nan() {
            return 0.0;
        }
        let n = self.n as f64;
        let median = self.quantile(0.5);
        let is_above = x > median;
        let side = |p: f64| if is_above { self.quantile(1.0 - p) - median } else { median - self.quantile(p) };
        let distance = (x - median).abs();
        let p = ANCHOR.max(MIN_BEYOND / n);
        let (shoulder, anchor) = (side(SHOULDER), side(p));
        if distance <= anchor {
            let beyond = if is_above {
                self.n - self.count(self.places.partition_point(|v| *v < x))
            } else {
                self.count(self.places.partition_point(|v| *v <= x))
            };
            return -((beyond as f64 + 1.0) / (n + 1.0)).ln();
        }
        let size = if is_above { median + anchor } else { median - anchor };
        let least = (MIN_RELATIVE * size.abs().max(median.abs())).max(f64::MIN_POSITIVE);
        let decay = ((anchor - shoulder) / (SHOULDER / p).ln()).max(MIN_DECAY * shoulder).max(least);
        -p.ln() + (distance - anchor) / decay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::noise;

    #[test]
    fn ranks_are_those_of_sorting() {
        let values: Vec<f64> = (0..500).map(|i| (noise(i) * 40.0).floor()).collect();
        let mut past = Past::of(&values);
        let mut known: Vec<f64> = Vec::new();
        for &value in &values {
            past.learn(value);
            known.push(value);
            known.sort_unstable_by(f64::total_cmp);
            let found: Vec<f64> = (0..known.len()).map(|rank| past.nth(rank)).collect();
            assert_eq!(found, known);
        }
    }

    #[test]
    fn surprise_is_that_of_an_exponential() {
        let values: Vec<f64> = (0..5000).map(|i| -((f64::from(i) + 0.5) / 5000.0).ln()).collect();
        let mut past = Past::of(&values);
        values.iter().for_each(|v| past.learn(*v));
        for x in [2.0, 5.0, 9.0, 15.0] {
            assert!((past.surprise(x) - x).abs() < 0.3, "{x}: {}", past.surprise(x));
        }
    }

    #[test]
    fn degenerate_pasts() {
        assert!(Past::of(&[]).surprise(1.0).abs() < 1e-12);
        let mut constant = Past::of(&[3.0, 3.0, 3.5]);
        constant.learn(3.0);
        constant.learn(3.0);
        constant.learn(f64::NAN);
        assert!(constant.len() == 2 && constant.surprise(3.0) < 1e-9 && constant.surprise(3.5) > 12.0);
        assert!(constant.surprise(f64::NAN).abs() < 1e-12);
    }
}
