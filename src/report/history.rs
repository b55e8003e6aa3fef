//! What the rollups say of a series over time: the buckets of all providers and platforms, merged exactly.

use crate::pure::series::{Centre, Metric};
use crate::pure::stats::sketch::bin_value;
use std::collections::BTreeMap;

/// A series that the report shows. Its workflow's type is left out: it is the same for all rows of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesId {
    /// The workflow.
    pub workflow_id: String,
    /// The derived step, none for the run.
    pub step: Option<String>,
    /// What is measured.
    pub metric: Metric,
}

/// Buckets by their start in microseconds, by series.
pub type History = BTreeMap<SeriesId, BTreeMap<i64, Bucket>>;

/// The executions of one series in one bucket (or in several, merged).
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Values.
    pub count: u64,
    /// Failed executions.
    pub errors: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Smallest value, infinite when there is none.
    pub min: f64,
    /// Largest value, negative infinite when there is none.
    pub max: f64,
    /// Values by bin of [`crate::pure::stats::sketch`].
    pub bins: BTreeMap<i16, u64>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { count: 0, errors: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, bins: BTreeMap::new() }
    }
}

impl Bucket {
    /// Adds all that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (bin, n) in &other.bins {
            *self.bins.entry(*bin).or_default() += n;
        }
    }

    /// All of these as one.
    #[must_use]
    pub fn merged<'a>(buckets: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        buckets.into_iter().for_each(|bucket| all.merge(bucket));
        all
    }

    /// The arithmetic mean, NaN when empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.sum / self.count as f64 }
    }

    /// The `q`-quantile to 1 %, with linear interpolation between order statistics; NaN when empty.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie in 0..count, far below 2^53"
    )]
    pub fn quantile(&self, q: f64) -> f64 {
        let n: u64 = self.bins.values().sum();
        if n == 0 {
            return f64::NAN;
        }
        let rank = q.clamp(0.0, 1.0) * (n - 1) as f64;
        let below = rank.floor() as u64;
        let low = self.order_statistic(below, n);
        let high = self.order_statistic((below + 1).min(n - 1), n);
        low + (high - low) * rank.fract()
    }

    /// The value at 0-based `rank` of `n`; the extremes are exact where the file has them.
    fn order_statistic(&self, rank: u64, n: u64) -> f64 {
        if rank == 0 && self.min.is_finite() {
            return self.min;
        }
        if rank + 1 >= n && self.max.is_finite() {
            return self.max;
        }
        let mut seen = 0;
        let bin = self.bins.iter().find_map(|(bin, n)| {
            seen += n;
            (seen > rank).then_some(*bin)
        });
        let value = bin.map_or(f64::NAN, bin_value);
        if self.min <= self.max { value.clamp(self.min, self.max) } else { value }
    }

    /// The number that stands for the bucket, by [`Metric::centre`].
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn centre(&self, metric: Metric) -> f64 {
        match metric.centre() {
            Centre::Median => self.quantile(0.5),
            Centre::Mean => self.mean(),
            Centre::Count => self.count as f64,
        }
    }
}

/// The centres of a series' buckets that start in `from_us..to_us`, oldest first.
#[must_use]
pub fn centres(history: &History, id: &SeriesId, from_us: i64, to_us: i64) -> Vec<(i64, f64)> {
    let Some(buckets) = history.get(id).filter(|_| from_us < to_us) else { return Vec::new() };
    buckets.range(from_us..to_us).map(|(start, bucket)| (*start, bucket.centre(id.metric))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::stats::sketch::{Sketch, bin_of};

    fn bucket(values: &[f64]) -> Bucket {
        let mut bucket = Bucket::default();
        for &value in values {
            bucket.merge(&Bucket {
                count: 1,
                errors: 0,
                sum: value,
                min: value,
                max: value,
                bins: BTreeMap::from([(bin_of(value), 1)]),
            });
        }
        bucket
    }

    #[test]
    fn merged_buckets_say_what_a_sketch_of_all_values_says() {
        let (a, b) = ([3.0, 900.0, 17.5, 0.0], [44.0, 45.0, 1e6]);
        let merged = Bucket::merged([&bucket(&a), &bucket(&b)]);
        let mut all = [a.as_slice(), b.as_slice()].concat();
        let sketch = Sketch::of(&mut all);
        for q in [0.0, 0.1, 0.5, 0.77, 0.95, 1.0] {
            assert!((merged.quantile(q) - sketch.quantile(q)).abs() <= 1e-9 * sketch.quantile(q).abs(), "{q}");
        }
        assert!((merged.mean() - sketch.mean()).abs() < 1e-9);
    }

    #[test]
    fn an_empty_bucket_has_no_centre() {
        let empty = Bucket::default();
        assert!(empty.mean().is_nan() && empty.quantile(0.5).is_nan() && empty.centre(Metric::Cost).is_nan());
        assert!(empty.centre(Metric::Throughput).abs() < f64::EPSILON);
    }
}
