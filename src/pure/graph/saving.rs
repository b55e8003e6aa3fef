//! What a change saves over runs, with its interval.

use crate::stats::dist::{normal_sf, t_quantile};
use crate::units::Level;

/// What a change saves end to end, over runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saving {
    /// Share of end-to-end time; negative where the change costs time.
    pub share: f64,
    /// Interval of `share`.
    pub share_lower: f64,
    /// Interval of `share`.
    pub share_upper: f64,
    /// Mean end-to-end time of the runs: `share × end_to_end_ms` is what a run saves.
    pub end_to_end_ms: f64,
    /// Interval of what a run saves, [`Saving::ms`]: wider than that of the share, as runs differ in length.
    pub ms_lower: f64,
    /// The same.
    pub ms_upper: f64,
    /// Coverage of the interval.
    pub level: Level,
    /// Runs behind it.
    pub n_runs: usize,
}

impl Saving {
    /// Nothing saved, and that is known.
    #[must_use]
    pub fn none(level: Level) -> Self {
        let (share, ms) = (0.0, 0.0);
        let (share_lower, share_upper, ms_lower, ms_upper) = (share, share, ms, ms);
        Self { share, share_lower, share_upper, end_to_end_ms: ms, ms_lower, ms_upper, level, n_runs: 0 }
    }

    /// The same as shares between 0 and 1: what is published. A change that costs time saves nothing.
    #[must_use]
    pub fn published(self) -> Self {
        let clamp = |share: f64| if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let share = clamp(self.share);
        Self {
            share,
            share_lower: clamp(self.share_lower).min(share),
            share_upper: clamp(self.share_upper).max(share),
            ms_lower: self.ms_lower.max(0.0).min(share * self.end_to_end_ms),
            ms_upper: self.ms_upper.max(share * self.end_to_end_ms),
            ..self
        }
    }

    /// Milliseconds saved per run.
    #[must_use]
    pub fn ms(&self) -> f64 {
        self.share * self.end_to_end_ms
    }

    /// Interval of [`Saving::ms`].
    #[must_use]
    pub fn ms_interval(&self) -> (f64, f64) {
        (self.ms_lower, self.ms_upper)
    }

    /// The same estimate with an interval that reaches to those of two others.
    #[must_use]
    pub fn between(self, low: Self, high: Self) -> Self {
        Self {
            share_lower: low.share_lower.min(self.share),
            share_upper: high.share_upper.max(self.share),
            ms_lower: low.ms_lower.min(self.ms()),
            ms_upper: high.ms_upper.max(self.ms()),
            ..self
        }
    }
}

/// The ratio of summed savings to summed end-to-end time, and the mean of savings, each with a percentile bootstrap over runs
/// (Efron 1979) of `level`, whose tails are those that make it as wide as an interval by Student's t for the mean of so
/// many normal values (Hesterberg 2015), and each end widened by `replay_error`, the log-ratio by which unchanged replays
/// miss their recordings. `pairs`: saved and end-to-end milliseconds of each run, not empty.
pub(super) fn estimate(pairs: &[(f64, f64)], level: Level, replay_error: f64, seed: u64) -> Saving {
    let n = pairs.len() as f64;
    let ratio = |sums: (f64, f64)| if sums.1 > 0.0 { sums.0 / sums.1 } else { 0.0 };
    let add = |sums: (f64, f64), pair: &(f64, f64)| (sums.0 + pair.0, sums.1 + pair.1);
    let sums = pairs.iter().fold((0.0, 0.0), add);
    let mut draw = SplitMix(seed);
    let mut resample = || (0..pairs.len()).fold((0.0, 0.0), |sums, _| add(sums, &pairs[draw.below(pairs.len())]));
    let resampled: Vec<(f64, f64)> = (0..RESAMPLES).map(|_| resample()).collect();
    let tail = tail(level, n);
    let interval = |mut values: Vec<f64>, value: f64| {
        values.sort_by(f64::total_cmp);
        let factor = replay_error.exp();
        let (lower, upper) = (quantile(&values, tail), quantile(&values, 1.0 - tail));
        (widen(lower, 1.0 / factor).min(value), widen(upper, factor).max(value))
    };
    let share = ratio(sums);
    let (share_lower, share_upper) = interval(resampled.iter().map(|sums| ratio(*sums)).collect(), share);
    let (ms_lower, ms_upper) = interval(resampled.iter().map(|sums| sums.0 / n).collect(), sums.0 / n);
    Saving {
        share,
        share_lower,
        share_upper,
        end_to_end_ms: sums.1 / n,
        ms_lower,
        ms_upper,
        level,
        n_runs: pairs.len(),
    }
}

fn tail(level: Level, n: f64) -> f64 {
    if n < 2.0 {
        return level.alpha() / 2.0;
    }
    normal_sf((n / (n - 1.0)).sqrt() * t_quantile(1.0 - level.alpha() / 2.0, n - 1.0))
}

const RESAMPLES: usize = 400;

/// Moves a positive end by `factor` and a negative one the other way.
fn widen(end: f64, factor: f64) -> f64 {
    if end >= 0.0 { end * factor } else { end / factor }
}

/// `sorted` is not empty.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = (p * (sorted.len() - 1) as f64).round() as usize;
    sorted[at.min(sorted.len() - 1)]
}

/// The smaller of two estimates, with an interval over both.
pub(super) fn both(a: Saving, b: Saving) -> Saving {
    let smaller = if a.ms() <= b.ms() { a } else { b };
    let (share_lower, share_upper) = (a.share_lower.min(b.share_lower), a.share_upper.max(b.share_upper));
    let (ms_lower, ms_upper) = (a.ms_lower.min(b.ms_lower), a.ms_upper.max(b.ms_upper));
    Saving { share_lower, share_upper, ms_lower, ms_upper, ..smaller }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    /// Uniform in `0..n`, by the high bits of a product (Lemire 2019, without the rejection that n ≪ 2³² does not need).
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let high = (z ^ (z >> 31)) >> 32;
        ((high * n as u64) >> 32) as usize
    }
}
