//! The probability of a shortage at each step, and the step of exhaustion.
//!
//! Both are read off the intervals of a forecast at many levels. An interval at level l leaves (1 - l)/2 above it. Paths
//! are taken to err together over the horizon, as errors of trend and level do: demand is above the capacity from the
//! first step on at which it is so with a probability.

use crate::forecast::ForecastStep;
use crate::units::Level;

/// Levels that [`shortages`] reads the distribution of a step from.
const N_LEVELS: u32 = 49;

/// The levels at which a forecast must have intervals for [`shortages`]: 0.02, 0.04, … 0.98.
#[must_use]
pub fn capacity_levels() -> Vec<Level> {
    (1..=N_LEVELS).filter_map(|i| Level::new(f64::from(i) / f64::from(N_LEVELS + 1)).ok()).collect()
}

/// When a capacity is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhaustion {
    /// Steps ahead (from 1) at which a shortage is as likely as not; none within the horizon.
    pub step: Option<usize>,
    /// The earliest step of the interval; none: not within the horizon.
    pub lower: Option<usize>,
    /// The latest step; none: beyond the horizon, or never.
    pub upper: Option<usize>,
}

/// (H,) Probability that each step's value lies above `capacity`, in the metric's unit.
#[must_use]
pub fn shortages(steps: &[ForecastStep], capacity: f64) -> Vec<f64> {
    steps.iter().map(|step| shortage(step, capacity)).collect()
}

/// On a line between the ends of neighbouring intervals; beyond the outermost, half of what that leaves on its side.
fn shortage(step: &ForecastStep, capacity: f64) -> f64 {
    let above = capacity >= step.point;
    // From the point outwards: distance of the interval's end, and probability beyond it.
    let mut nearer = (0.0, 0.5);
    for interval in &step.intervals {
        let end = if above { interval.upper } else { interval.lower };
        let distance = (end - step.point).abs();
        let beyond = 0.5 * interval.level.alpha();
        let asked = (capacity - step.point).abs();
        if distance > asked {
            let share = (asked - nearer.0) / (distance - nearer.0);
            let tail = nearer.1 + share * (beyond - nearer.1);
            return if above { tail } else { 1.0 - tail };
        }
        nearer = (distance, beyond);
    }
    let tail = if (capacity - step.point).abs() > nearer.0 { 0.5 * nearer.1 } else { nearer.1 };
    if above { tail } else { 1.0 - tail }
}

/// The step at which `shortages` reach one half, and the interval at `level`: where they reach its lower and upper tail.
#[must_use]
pub fn exhaustion(shortages: &[f64], level: Level) -> Exhaustion {
    let reach = |probability: f64| shortages.iter().position(|p| *p >= probability).map(|idx| idx + 1);
    let tail = 0.5 * level.alpha();
    Exhaustion { step: reach(0.5), lower: reach(tail), upper: reach(1.0 - tail) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::forecast::{ForecastParams, Support, forecast};
    use crate::units::Interval;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn step(point: f64, width: f64) -> ForecastStep {
        let interval =
            |level: Level| Interval { lower: point - width * level.get(), upper: point + width * level.get(), level };
        ForecastStep { point, intervals: capacity_levels().into_iter().map(interval).collect() }
    }

    #[test]
    fn probabilities_are_read_off_the_intervals() {
        let steps = [step(10.0, 2.0), step(11.0, 2.0), step(14.0, 2.0)];
        let found = shortages(&steps, 11.0);
        // (1 - 0.5)/2 above the interval at level 0.5, which ends at 11.
        assert!((found[0] - 0.25).abs() < 1e-9 && (found[1] - 0.5).abs() < 1e-9, "{found:?}");
        assert!(found[2] > 0.99);
        assert_eq!(
            exhaustion(&found, Level::new(0.9).unwrap()),
            Exhaustion { step: Some(2), lower: Some(1), upper: Some(3) }
        );
        assert_eq!(exhaustion(&[], Level::DEFAULT), Exhaustion { step: None, lower: None, upper: None });
        let sure = [ForecastStep { point: 5.0, intervals: vec![] }];
        assert!((shortages(&sure, 5.0)[0] - 0.5).abs() < 1e-12);
    }

    /// Daily demand that grows to a known day, with weeks and autocorrelated noise.
    #[test]
    fn the_day_of_exhaustion_is_inside_its_interval() {
        let (mut inside, mut told) = (0, 0);
        for seed in 0..500 {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (growth, weekend) = (0.4 + rng.random::<f64>(), 20.0 * rng.random::<f64>());
            let day = 5 + rng.random_range(0..40_usize);
            let mut last = 0.0;
            let mut noise = || {
                last = 0.4 * last + 4.0 * ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0);
                last
            };
            let demand = |i: usize| 100.0 + growth * i as f64 - if i % 7 >= 5 { weekend } else { 0.0 };
            let values: Vec<f64> = (0..120).map(|i| demand(i) + noise()).collect();
            // Reached for the first time, noise aside, on that day of the future.
            let capacity = (120..120 + day).map(demand).fold(f64::MIN, f64::max);
            let truth = (0..).find(|ahead| demand(120 + ahead) >= capacity).unwrap() + 1;
            let params = ForecastParams {
                horizon: 90,
                levels: capacity_levels(),
                season_lengths: vec![7],
                max_origins: crate::forecast::MAX_ORIGINS,
            };
            let found = forecast(&values, Support::NonNegative, &params).unwrap();
            let found = exhaustion(&shortages(&found.steps, capacity), Level::new(0.9).unwrap());
            told += usize::from(found.lower.is_some());
            inside += usize::from(
                found.lower.is_some_and(|lower| lower <= truth) && found.upper.is_none_or(|upper| truth <= upper),
            );
        }
        assert!(inside >= 440 && told >= 490, "inside {inside}, told {told} of 500");
    }
}
