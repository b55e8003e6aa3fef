//! What a change saves over runs, with its interval.

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
    /// Coverage of the interval.
    pub level: Level,
    /// Runs behind it.
    pub n_runs: usize,
}

impl Saving {
    /// Nothing saved, and that is known.
    #[must_use]
    pub fn none(level: Level) -> Self {
        Self { share: 0.0, share_lower: 0.0, share_upper: 0.0, end_to_end_ms: 0.0, level, n_runs: 0 }
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
        (self.share_lower * self.end_to_end_ms, self.share_upper * self.end_to_end_ms)
    }
}

/// The ratio of summed savings to summed end-to-end time, with a percentile bootstrap over runs (Efron 1979) of `level`,
/// each end widened by `replay_error`, the log-ratio by which unchanged replays miss their recordings. `pairs`: saved and
/// end-to-end milliseconds of each run, not empty.
pub(super) fn estimate(pairs: &[(f64, f64)], level: Level, replay_error: f64, seed: u64) -> Saving {
    let ratio = |sums: (f64, f64)| if sums.1 > 0.0 { sums.0 / sums.1 } else { 0.0 };
    let add = |sums: (f64, f64), pair: &(f64, f64)| (sums.0 + pair.0, sums.1 + pair.1);
    let sums = pairs.iter().fold((0.0, 0.0), add);
    let mut draw = SplitMix(seed);
    let resample = |_| ratio((0..pairs.len()).fold((0.0, 0.0), |sums, _| add(sums, &pairs[draw.below(pairs.len())])));
    let mut shares: Vec<f64> = (0..RESAMPLES).map(resample).collect();
    shares.sort_by(f64::total_cmp);
    let tail = level.alpha() / 2.0;
    let (share, factor) = (ratio(sums), replay_error.exp());
    Saving {
        share,
        share_lower: widen(quantile(&shares, tail), 1.0 / factor).min(share),
        share_upper: widen(quantile(&shares, 1.0 - tail), factor).max(share),
        end_to_end_ms: sums.1 / pairs.len() as f64,
        level,
        n_runs: pairs.len(),
    }
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
    Saving { share_lower, share_upper, ..smaller }
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
