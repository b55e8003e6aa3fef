//! Intervals from what the backtest missed (split-conformal by horizon; Stankevičiūtė et al. 2021 for the multi-step
//! setting), with errors of neighbouring horizons pooled after dividing by the growth that the model expects.

use crate::units::Level;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A held-out value and what was forecast for it, on the scale of the models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeldOut {
    /// Values known when it was forecast.
    pub(super) origin: usize,
    /// Buckets ahead, 0 for the next one.
    pub(super) ahead: usize,
    pub(super) forecast: f64,
    pub(super) actual: f64,
    /// Standard deviation that the model expects, relative to one bucket ahead.
    pub(super) spread: f64,
}

impl HeldOut {
    fn score(&self) -> f64 {
        (self.actual - self.forecast).abs() / self.spread
    }
}

/// Scores of horizons that are alike.
#[derive(Debug, Clone, Default)]
struct Pool {
    /// Ascending.
    scores: Vec<f64>,
    /// Forecasts of one origin err together: only origins count as independent.
    origins: usize,
}

/// What the backtest says about the size of errors at each horizon.
#[derive(Debug, Clone)]
pub(super) struct Calibration {
    /// By octave of the horizon: 1, 2-3, 4-7, 8-15, … buckets ahead.
    pools: Vec<Pool>,
}

fn octave(ahead: usize) -> usize {
    (ahead + 1).ilog2() as usize
}

impl Calibration {
    /// Pools each octave of horizons with the one below it. None where nothing was held out.
    pub(super) fn of<'a>(held_out: impl Iterator<Item = &'a HeldOut> + Clone) -> Option<Self> {
        let octaves = held_out.clone().map(|held| octave(held.ahead)).max()? + 1;
        let mut pools = vec![Pool::default(); octaves];
        let mut origins = vec![Vec::new(); octaves];
        for held in held_out {
            let lowest = octave(held.ahead);
            for (pool, origins) in pools.iter_mut().zip(&mut origins).skip(lowest).take(2) {
                pool.scores.push(held.score());
                origins.push(held.origin);
            }
        }
        for (pool, mut origins) in pools.iter_mut().zip(origins) {
            origins.sort_unstable();
            origins.dedup();
            pool.origins = origins.len();
            pool.scores.sort_unstable_by(f64::total_cmp);
        }
        Some(Self { pools })
    }

    /// Half the width of the interval at each step of the horizon; it never shrinks with distance.
    /// `spread[i]` is the growth that the model expects `i + 1` buckets ahead.
    pub(super) fn radii(&self, spread: &[f64], level: Level) -> Vec<f64> {
        let by_octave: Vec<f64> = self.pools.iter().map(|pool| pool.quantile(level)).collect();
        let furthest = by_octave.last().copied().unwrap_or(f64::NAN);
        let mut widest = 0.0_f64;
        let radius = |(ahead, spread): (usize, &f64)| {
            widest = widest.max(by_octave.get(octave(ahead)).copied().unwrap_or(furthest) * spread);
            widest
        };
        spread.iter().enumerate().map(radius).collect()
    }
}

impl Pool {
    /// The finite-sample quantile ⌈(n + 1)·level⌉ / n for `n` independent origins; where there are too few for it,
    /// at least the largest score and Student's interval about zero.
    fn quantile(&self, level: Level) -> f64 {
        let n = self.origins as f64;
        let rank = ((n + 1.0) * level.get()).ceil() / n;
        let position = (rank.min(1.0) * self.scores.len() as f64).ceil() as usize;
        let score = self.scores.get(position.saturating_sub(1)).copied().unwrap_or(f64::NAN);
        if rank <= 1.0 {
            return score;
        }
        let mean_square = self.scores.iter().map(|s| s * s).sum::<f64>() / self.scores.len() as f64;
        let student = StudentsT::new(0.0, 1.0, n).map_or(f64::NAN, |t| t.inverse_cdf(1.0 - 0.5 * level.alpha()));
        score.max(student * mean_square.sqrt())
    }
}

/// Share of held-out values inside their interval at `level`, each half of the origins judged by the other's scores.
/// NaN where a half is empty.
pub(super) fn realised_coverage(held_out: &[HeldOut], level: Level) -> f64 {
    let Some(middle) = held_out.get(held_out.len() / 2).map(|held| held.origin) else { return f64::NAN };
    let half = |late: bool| held_out.iter().filter(move |held| (held.origin >= middle) == late);
    let covered = |late: bool| -> Option<usize> {
        let calibration = Calibration::of(half(!late))?;
        let horizon = half(late).map(|held| held.ahead + 1).max()?;
        let radii = calibration.radii(&vec![1.0; horizon], level);
        Some(half(late).filter(|held| radii.get(held.ahead).is_some_and(|radius| held.score() <= *radius)).count())
    };
    match (covered(false), covered(true)) {
        (Some(early), Some(late)) => (early + late) as f64 / held_out.len() as f64,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn held(origin: usize, ahead: usize, error: f64) -> HeldOut {
        HeldOut { origin, ahead, forecast: 0.0, actual: error, spread: 1.0 }
    }

    #[test]
    fn quantile_is_the_finite_sample_one() {
        let held_out: Vec<HeldOut> = (1..=39).map(|i| held(i, 0, i as f64)).collect();
        let calibration = Calibration::of(held_out.iter()).unwrap();
        // ⌈40 · 0.9⌉ = 36th of 39, ⌈40 · 0.95⌉ = 38th.
        assert_eq!(calibration.radii(&[1.0], Level::new(0.9).unwrap()), [36.0]);
        assert_eq!(calibration.radii(&[1.0], Level::DEFAULT), [38.0]);
    }

    #[test]
    fn few_origins_give_students_interval_and_never_less_than_was_seen() {
        let held_out = [held(1, 0, 1.0), held(2, 0, -1.0)];
        let radius = Calibration::of(held_out.iter()).unwrap().radii(&[1.0], Level::DEFAULT)[0];
        assert!((radius - 4.302_652_729_911_275).abs() < 1e-9, "scipy 1.17.1 t.ppf(0.975, 2): {radius}");
    }

    #[test]
    fn width_never_shrinks_with_distance_and_nests_with_level() {
        let held_out: Vec<HeldOut> = (0..40).flat_map(|o| (0..9).map(move |a| held(o, a, 10.0 - a as f64))).collect();
        let calibration = Calibration::of(held_out.iter()).unwrap();
        let narrow = calibration.radii(&[1.0; 30], Level::new(0.5).unwrap());
        let wide = calibration.radii(&[1.0; 30], Level::new(0.9).unwrap());
        assert!(narrow.windows(2).all(|w| w[0] <= w[1]));
        assert!(narrow.iter().zip(&wide).all(|(n, w)| n <= w));
    }

    #[test]
    fn coverage_needs_two_halves() {
        assert!(realised_coverage(&[], Level::DEFAULT).is_nan());
        assert!(realised_coverage(&[held(3, 0, 1.0)], Level::DEFAULT).is_nan());
        let calm: Vec<HeldOut> = (0..60).map(|o| held(o, 0, if o < 30 { 1.0 } else { 5.0 })).collect();
        assert!((realised_coverage(&calm, Level::DEFAULT) - 0.5).abs() < 1e-12);
    }
}
