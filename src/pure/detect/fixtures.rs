//! Series for tests: named degenerate ones, and noisy ones that are the same every time.

use crate::detect::ChangePoint;
use crate::series::{Metric, Series, SeriesKey};
use crate::stats::sketch::Sketch;
use crate::units::{DAY_US, Level};

/// 2026-01-05, a Monday.
pub(crate) const MONDAY_US: i64 = 1_767_571_200_000_000;

const EMPTY: &[f64] = &[];
const ONE: &[f64] = &[3.0];
const CONSTANT: &[f64] = &[7.0; 60];
const ZERO: &[f64] = &[0.0; 60];
const ALL_NAN: &[f64] = &[f64::NAN; 60];
const STEP: &[f64] =
    &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0];
const TREND: &[f64] = &[0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.2, 0.21, 0.22, 0.23, 0.24, 0.25];
const SPIKE: &[f64] = &[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1e300, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
const NAN_GAP: &[f64] =
    &[1.0, f64::NAN, f64::NAN, 1.0, 0.9, f64::NAN, 1.0, 0.8, 1.0, f64::NAN, 1.0, 1.0, 0.9, f64::NAN];
const ABSURD: &[f64] = &[f64::MAX, 0.0, f64::INFINITY, f64::MIN_POSITIVE, f64::NAN, f64::MAX, 1.0, 0.0, 1e-300, 1e300];

/// What every analysis must survive.
pub(crate) const NAMED: &[(&str, &[f64])] = &[
    ("EMPTY", EMPTY),
    ("ONE", ONE),
    ("CONSTANT", CONSTANT),
    ("ZERO", ZERO),
    ("ALL_NAN", ALL_NAN),
    ("STEP", STEP),
    ("TREND", TREND),
    ("SPIKE", SPIKE),
    ("NAN_GAP", NAN_GAP),
    ("ABSURD", ABSURD),
];

/// Sums of twelve uniform values less six: near-normal with unit variance.
pub(crate) fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..n).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect()
}

/// Values round 100 with noise and a level on the log scale.
pub(crate) fn noisy(n: usize, seed: u64, sigma: f64, level: impl Fn(usize) -> f64) -> Vec<f64> {
    noise(n, seed).iter().enumerate().map(|(i, e)| 100.0 * (sigma * e + level(i)).exp()).collect()
}

/// Daily buckets from a Monday, each of ten equal executions.
pub(crate) fn daily(metric: Metric, values: &[f64]) -> Series {
    Series {
        key: SeriesKey { workflow_id: "w".to_owned(), workflow_type: "w".to_owned(), step: None, metric },
        period_us: DAY_US,
        start_us: MONDAY_US,
        values: values.to_vec(),
        counts: values.iter().map(|v| if v.is_finite() { 10 } else { 0 }).collect(),
        sketches: values.iter().map(|&v| Sketch::of(&mut [v; 10])).collect(),
    }
}

/// Start of day `idx`.
pub(crate) fn at(idx: usize) -> i64 {
    MONDAY_US + i64::try_from(idx).unwrap_or(0) * DAY_US
}

/// A change point of a daily series.
pub(crate) fn step_at(index: usize, before: f64, after: f64) -> ChangePoint {
    let ratio = after / before;
    ChangePoint {
        index,
        at_us: at(index),
        before,
        after,
        effect_ratio: ratio,
        effect_lower: ratio,
        effect_upper: ratio,
        level: Level::DEFAULT,
        p_value: 1e-6,
    }
}
