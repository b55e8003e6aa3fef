//! A mergeable log-bucket histogram with quantiles.
//!
//! A positive value `x` falls into the integer bin `floor(ln(x) · BINS_PER_NAT)`, zero into [`ZERO_BIN`]. Merging
//! adds counts, so any engine makes the same integers with one `GROUP BY bin`. A bin is 1/51 nat wide; its middle is
//! within 0.99 % of every value in it, which bounds the relative error of a quantile (the idea of DDSketch, Masson
//! et al., VLDB 2019). Sums and squares are kept apart, so means are exact.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Bins per unit of the natural logarithm.
pub const BINS_PER_NAT: f64 = 51.0;
/// The bin of exact zeros.
pub const ZERO_BIN: i16 = i16::MIN;

/// The bin of a finite value; negative values do not occur in any metric and count as zero.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i16 just before")]
pub fn bin_of(value: f64) -> i16 {
    if value > 0.0 {
        (value.ln() * BINS_PER_NAT).floor().clamp(f64::from(i16::MIN + 1), f64::from(i16::MAX)) as i16
    } else {
        ZERO_BIN
    }
}

/// The value that stands for a bin: its geometric middle.
#[must_use]
pub fn bin_value(bin: i16) -> f64 {
    if bin == ZERO_BIN { 0.0 } else { ((f64::from(bin) + 0.5) / BINS_PER_NAT).exp() }
}

/// A bin and how many values fell into it.
pub type Bin = (i16, u32);

/// Count, sum, sum of squares, extremes and histogram of a set of non-negative values; the histogram is its own, or
/// lies in [`Sketches`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sketch<B = Vec<Bin>> {
    moments: Moments,
    /// Sorted by bin, every count positive.
    bins: B,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Moments {
    count: u64,
    sum: f64,
    sum_sq: f64,
    min: f64,
    max: f64,
}

impl Moments {
    fn merge(&mut self, other: &Self) {
        if self.count == 0 {
            *self = *other;
        } else if other.count > 0 {
            self.count += other.count;
            self.sum += other.sum;
            self.sum_sq += other.sum_sq;
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
        }
    }
}

impl Sketch {
    /// The sketch of `values`, which are sorted in place. NaN and infinities are left out.
    #[must_use]
    pub fn of(values: &mut [f64]) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        Self::of_sorted(&finite, finite.iter().sum(), finite.iter().map(|v| v * v).sum())
    }

    /// The sketch of finite values that are sorted already, with sums that were folded in another order.
    #[must_use]
    pub fn of_sorted(sorted: &[f64], sum: f64, sum_sq: f64) -> Self {
        let mut bins: Vec<Bin> = Vec::with_capacity(sorted.len().min(8));
        for bin in sorted.iter().map(|&value| bin_of(value)) {
            match bins.last_mut() {
                Some((last, n)) if *last == bin => *n += 1,
                _ => bins.push((bin, 1)),
            }
        }
        let (min, max) = (sorted.first().copied().unwrap_or(0.0), sorted.last().copied().unwrap_or(0.0));
        Self { moments: Moments { count: sorted.len() as u64, sum, sum_sq, min, max }, bins }
    }

    /// Count, sums and extremes alone, for rates and counts whose percentiles nobody asks for.
    #[must_use]
    pub fn without_bins(self) -> Self {
        Self { bins: Vec::new(), ..self }
    }

    /// Adds all that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.bins.extend_from_slice(&other.bins);
        add_up(&mut self.bins);
    }
}

/// Sorts bins, and makes one of those that are the same.
fn add_up(bins: &mut Vec<Bin>) {
    bins.sort_unstable();
    bins.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 = if same { kept.1.saturating_add(next.1) } else { kept.1 };
        same
    });
}

impl<B: AsRef<[Bin]>> Sketch<B> {
    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.moments.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.moments.sum
    }

    /// The sum of their squares.
    #[must_use]
    pub fn sum_sq(&self) -> f64 {
        self.moments.sum_sq
    }

    /// The smallest, NaN when empty.
    #[must_use]
    pub fn min(&self) -> f64 {
        if self.moments.count == 0 { f64::NAN } else { self.moments.min }
    }

    /// The largest, NaN when empty.
    #[must_use]
    pub fn max(&self) -> f64 {
        if self.moments.count == 0 { f64::NAN } else { self.moments.max }
    }

    /// The arithmetic mean, NaN when empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn mean(&self) -> f64 {
        if self.moments.count == 0 { f64::NAN } else { self.moments.sum / self.moments.count as f64 }
    }

    /// The sample standard deviation, NaN below two values.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn std(&self) -> f64 {
        if self.moments.count < 2 {
            return f64::NAN;
        }
        let n = self.moments.count as f64;
        ((self.moments.sum_sq - self.moments.sum * self.moments.sum / n).max(0.0) / (n - 1.0)).sqrt()
    }

    /// The histogram, sorted by bin.
    #[must_use]
    pub fn bins(&self) -> &[Bin] {
        self.bins.as_ref()
    }

    /// The `q`-quantile with linear interpolation between order statistics (type 7, as DuckDB's `quantile_cont`
    /// and numpy's default), each order statistic known to 1 %. NaN when empty.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie in 0..count, far below 2^53"
    )]
    pub fn quantile(&self, q: f64) -> f64 {
        if self.moments.count == 0 {
            return f64::NAN;
        }
        let rank = q.clamp(0.0, 1.0) * (self.moments.count - 1) as f64;
        let below = rank.floor() as u64;
        let low = self.order_statistic(below);
        let high = self.order_statistic((below + 1).min(self.moments.count - 1));
        low + (high - low) * rank.fract()
    }

    /// The value at 0-based `rank`, to 1 %; the extremes are exact.
    #[must_use]
    pub fn order_statistic(&self, rank: u64) -> f64 {
        if rank == 0 {
            return self.min();
        }
        if rank + 1 >= self.moments.count {
            return self.max();
        }
        let mut seen = 0;
        for &(bin, n) in self.bins() {
            seen += u64::from(n);
            if seen > rank {
                return bin_value(bin).clamp(self.moments.min, self.moments.max);
            }
        }
        self.max()
    }

    /// The value at 0-based `rank` if values lie evenly in the logarithm within their bin, which their order statistics do
    /// the more, the more there are: for comparisons finer than a bin. The extremes are exact.
    #[must_use]
    pub fn even_order_statistic(&self, rank: u64) -> f64 {
        if rank == 0 || rank + 1 >= self.moments.count {
            return self.order_statistic(rank);
        }
        let mut before = 0;
        for &(bin, n) in self.bins() {
            let within = rank - before;
            before += u64::from(n);
            if before > rank {
                #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
                let off = (within as f64 + 0.5) / f64::from(n) - 0.5;
                let value = bin_value(bin) * (off / BINS_PER_NAT).exp();
                return value.clamp(self.moments.min, self.moments.max);
            }
        }
        self.max()
    }
}

/// Many sketches in columns: a fraction of the memory of as many [`Sketch`]es, and two allocations for all of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sketches {
    moments: Vec<Moments>,
    /// Where the bins of each end.
    ends: Vec<u32>,
    bins: Vec<Bin>,
}

impl Sketches {
    /// Room for `n` sketches that have `n_bins` bins in all.
    #[must_use]
    pub fn with_capacity(n: usize, n_bins: usize) -> Self {
        let (moments, ends) = (Vec::with_capacity(n), Vec::with_capacity(n));
        Self { moments, ends, bins: Vec::with_capacity(n_bins) }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    /// Adds one at the end.
    pub fn push<B: AsRef<[Bin]>>(&mut self, sketch: &Sketch<B>) {
        self.moments.push(sketch.moments);
        self.bins.extend_from_slice(sketch.bins());
        self.ends.push(u32::try_from(self.bins.len()).unwrap_or(u32::MAX));
    }

    /// Adds sketches of nothing until there are `n`.
    pub fn pad_to(&mut self, n: usize) {
        while self.len() < n {
            self.push(&Sketch::<[Bin; 0]>::default());
        }
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = Sketch<&[Bin]>> {
        let starts = std::iter::once(&0).chain(&self.ends);
        self.moments.iter().zip(starts.zip(&self.ends)).map(|(&moments, (&start, &end))| {
            let bins = self.bins.get(start as usize..end as usize).unwrap_or_default();
            Sketch { moments, bins }
        })
    }

    /// The sketch of all that those in `range` have seen.
    #[must_use]
    pub fn merged(&self, range: Range<usize>) -> Sketch {
        let mut all = Sketch::<Vec<Bin>>::default();
        for sketch in self.iter().take(range.end).skip(range.start) {
            all.moments.merge(&sketch.moments);
            all.bins.extend_from_slice(sketch.bins);
        }
        add_up(&mut all.bins);
        all
    }
}

impl<B: AsRef<[Bin]>> FromIterator<Sketch<B>> for Sketches {
    fn from_iter<T: IntoIterator<Item = Sketch<B>>>(sketches: T) -> Self {
        let mut all = Self::default();
        sketches.into_iter().for_each(|sketch| all.push(&sketch));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(sorted: &[f64], q: f64) -> f64 {
        let rank = q * (sorted.len() - 1) as f64;
        let (lo, hi) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        lo + (hi - lo) * rank.fract()
    }

    #[test]
    fn within_a_bin_values_are_taken_to_lie_evenly() {
        let values: Vec<f64> = (0..100_000).map(|i| (f64::from(i) / 30_000.0).exp()).collect();
        let sketch = Sketch::of(&mut values.clone());
        for rank in [1, 500, 40_123, 99_998] {
            let (exact, even) = (values[rank], sketch.even_order_statistic(rank as u64));
            assert!((even / exact - 1.0).abs() < 1e-4, "{rank}: {even} beside {exact}");
        }
        assert!(Sketch::of(&mut [0.0, 0.0, 0.0]).even_order_statistic(1).abs() < f64::EPSILON);
    }

    #[test]
    fn quantiles_are_within_one_percent() {
        for n in [1_usize, 2, 3, 10, 1000] {
            let mut values: Vec<f64> = (0..n).map(|i| ((i * 7919 % n) as f64 * 0.013).exp() * 0.7).collect();
            let sketch = Sketch::of(&mut values);
            for q in [0.0, 0.5, 0.9, 0.95, 0.99, 1.0] {
                let (want, got) = (exact(&values, q), sketch.quantile(q));
                assert!((got / want - 1.0).abs() <= 0.01, "n {n} q {q}: {got} beside {want}");
            }
        }
    }

    #[test]
    fn merging_is_commutative_and_equals_the_whole() {
        let mut all: Vec<f64> = (0..500).map(|i| f64::from(i % 37) * 1.5).collect();
        let (mut left, mut right) = (all[..200].to_vec(), all[200..].to_vec());
        let (a, b, whole) = (Sketch::of(&mut left), Sketch::of(&mut right), Sketch::of(&mut all));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        assert_eq!(ab, ba);
        assert_eq!(
            (ab.bins(), ab.count(), ab.min(), ab.max()),
            (whole.bins(), whole.count(), whole.min(), whole.max())
        );
    }

    #[test]
    fn sketches_in_columns_are_the_same_as_one_by_one() {
        let parts: [&mut [f64]; 4] = [&mut [3.0, 1.0, 3.0], &mut [], &mut [0.0, 3.0], &mut [7.0]];
        let single: Vec<Sketch> = parts.into_iter().map(Sketch::of).collect();
        let mut all: Sketches = single.iter().cloned().collect();
        for (one, of_all) in single.iter().zip(all.iter()) {
            assert_eq!((one.count(), one.sum(), one.bins()), (of_all.count(), of_all.sum(), of_all.bins()));
        }
        let mut merged = single[0].clone();
        single[1..3].iter().for_each(|sketch| merged.merge(sketch));
        assert_eq!(all.merged(0..3), merged);
        assert_eq!((all.merged(3..9), all.merged(1..2)), (single[3].clone(), Sketch::default()));
        all.pad_to(6);
        assert_eq!((all.len(), all.iter().last().map(|sketch| sketch.count())), (6, Some(0)));
    }

    #[test]
    fn an_empty_sketch_has_no_numbers() {
        let empty = Sketch::<Vec<Bin>>::default();
        assert!(empty.quantile(0.5).is_nan() && empty.mean().is_nan() && empty.min().is_nan());
        assert_eq!(Sketch::of(&mut [f64::NAN, f64::INFINITY]).count(), 0);
    }

    #[test]
    fn zeros_have_their_own_bin() {
        let sketch = Sketch::of(&mut [0.0, 0.0, 0.0, 8.0]);
        assert_eq!(sketch.bins().first(), Some(&(ZERO_BIN, 3)));
        assert!(sketch.quantile(0.5).abs() < f64::EPSILON);
    }
}
