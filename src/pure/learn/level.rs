//! How far a step runs above or below its model just now: a running, robust mean of its latest residuals.
//!
//! Steps drift and jump. Several exponential memories run side by side and the one that predicted best of late is
//! believed, so that a steady step keeps a long memory and a step that has just changed a short one. The size of the
//! residuals is followed too, slowly. Only outcomes that are already known enter.

use super::line::MIN_SCALE;
use serde::{Deserialize, Serialize};

/// Weight of the newest residual in each memory; 0 is the plain mean over all.
const FORGETTING: [f64; 6] = [0.0, 0.02, 0.05, 0.1, 0.25, 0.6];
const N: usize = FORGETTING.len();
/// One residual moves a level by no more than it would if it were this many scales off.
const CLIP: f64 = 3.0;
/// Memory of the contest between the memories.
const LOSS_DECAY: f64 = 0.995;
/// A shorter memory λ is believed only if its errors are smaller by this share times √λ: one standard error of the
/// difference (Breiman et al. 1984). Beside the mean over all it moves by √(λ/2) scales; √(2/π) scales is the mean error,
/// and [`LOSS_DECAY`] counts like 400 executions. Without it chance picks one for three steady steps in ten.
const HURDLE: f64 = 0.044;
/// Memory of the size of residuals, and how many executions the size in training counts for.
const SCALE_DECAY: f64 = 0.99;
const SCALE_PRIOR: f64 = 30.0;
/// Mean absolute value of a normal residual of scale 1: √(2/π).
const MEAN_ABSOLUTE: f64 = 0.797_884_560_802_865_4;

/// The level of one step, as of the outcomes seen so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunningLevel {
    sum: [f64; N],
    weight: [f64; N],
    loss: [f64; N],
    /// Weight of "no deviation", in executions.
    prior: f64,
    /// Scale of a single residual in training.
    scale: f64,
    /// Weighted sum of absolute errors of the believed memory, and the weights.
    absolute: f64,
    counted: f64,
}

/// What the running level adds to a prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Correction {
    /// On the log scale.
    pub(crate) shift: f64,
    /// How uncertain the level itself is: its variance over that of a single residual.
    pub(crate) variance_ratio: f64,
    /// Scale of a single residual of late.
    pub(crate) scale: f64,
    /// Discounted sum of absolute errors: lower predicts better.
    pub(crate) loss: f64,
}

impl RunningLevel {
    /// A level before any outcome. `prior` is the variance of residuals over the variance of levels: small where the
    /// model knows nothing about the step.
    pub(crate) fn new(scale: f64, prior: f64) -> Self {
        let scale = if scale.is_finite() { scale.max(MIN_SCALE) } else { MIN_SCALE };
        let prior = if prior.is_finite() { prior.clamp(1e-4, 1e4) } else { 1.0 };
        Self { sum: [0.0; N], weight: [0.0; N], loss: [0.0; N], prior, scale, absolute: 0.0, counted: 0.0 }
    }

    /// Learns from a residual of the model without level.
    pub(crate) fn observe(&mut self, residual: f64) {
        if !residual.is_finite() {
            return;
        }
        let Correction { shift, variance_ratio, scale, .. } = self.now();
        let reach = CLIP * scale * (1.0 + variance_ratio).sqrt();
        self.absolute =
            SCALE_DECAY * self.absolute + (residual - shift).abs().min(reach) / (1.0 + variance_ratio).sqrt();
        self.counted = SCALE_DECAY * self.counted + 1.0;
        for (i, forgetting) in FORGETTING.into_iter().enumerate() {
            let Correction { shift, variance_ratio, .. } = self.memory(i);
            let reach = CLIP * scale * (1.0 + variance_ratio).sqrt();
            let error = residual - shift;
            self.loss[i] = LOSS_DECAY * self.loss[i] + error.abs().min(reach);
            self.sum[i] = (1.0 - forgetting) * self.sum[i] + shift + error.clamp(-reach, reach);
            self.weight[i] = (1.0 - forgetting) * self.weight[i] + 1.0;
        }
    }

    /// The present level, by the memory that has predicted best.
    pub(crate) fn now(&self) -> Correction {
        let hurdled = |i: usize| self.loss[i] * (1.0 + HURDLE * FORGETTING[i].sqrt());
        let best = (0..N).min_by(|&a, &b| hurdled(a).total_cmp(&hurdled(b))).unwrap_or(0);
        self.memory(best)
    }

    fn memory(&self, i: usize) -> Correction {
        let weight = self.weight[i] + self.prior;
        let mean_absolute = (self.absolute + SCALE_PRIOR * MEAN_ABSOLUTE * self.scale) / (self.counted + SCALE_PRIOR);
        let scale = (mean_absolute / MEAN_ABSOLUTE).max(MIN_SCALE);
        Correction { shift: self.sum[i] / weight, variance_ratio: 1.0 / weight, scale, loss: self.loss[i] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: u32) -> f64 {
        (f64::from(i.wrapping_mul(2_654_435_761).rotate_left(7).wrapping_mul(i | 1) % 1009) / 1009.0 - 0.5) * 0.6
    }

    fn after(residuals: impl Iterator<Item = f64>) -> RunningLevel {
        let mut level = RunningLevel::new(0.2, 1.0);
        residuals.for_each(|r| level.observe(r));
        level
    }

    #[test]
    fn nothing_seen_moves_nothing() {
        let level = RunningLevel::new(f64::NAN, f64::NAN);
        assert!(level.now().shift.abs() < 1e-12 && level.now().variance_ratio > 0.9);
    }

    #[test]
    fn steady_residuals_keep_the_level_at_zero() {
        assert!(after((0..500).map(noise)).now().shift.abs() < 0.05);
    }

    #[test]
    fn nine_in_ten_steady_steps_keep_the_longest_memory() {
        let is_long = |seed: &u32| after((0..400).map(|i| noise(1000 * seed + i))).now().variance_ratio < 1.0 / 400.0;
        let long = (0..200).filter(is_long).count();
        assert!(long >= 180, "{long} of 200");
    }

    #[test]
    fn a_jump_is_followed_within_thirty_executions() {
        let shift = after((0..300).map(|i| noise(i) + if i < 270 { 0.0 } else { 0.4 })).now().shift;
        assert!((shift - 0.4).abs() < 0.12, "{shift}");
    }

    #[test]
    fn a_lone_outlier_moves_it_little() {
        let mut level = after((0..300).map(noise));
        let before = level.now().shift;
        level.observe(5.0);
        level.observe(f64::NAN);
        assert!((level.now().shift - before).abs() < 0.1);
    }
}
