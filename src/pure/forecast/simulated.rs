//! Series of known processes: forecasts come near those of the process' own form with parameters that the same values
//! tell. More kinds, and other tools beside, are in `tests/forecasting.py`, part `simulated`.

use super::{ForecastParams, MAX_ORIGINS, Support, find_seasons, forecast};
use crate::units::Level;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SERIES: u64 = 60;

struct Normal(Xoshiro256PlusPlus);

impl Normal {
    fn next(&mut self) -> f64 {
        (0..12).map(|_| self.0.random::<f64>()).sum::<f64>() - 6.0
    }
}

/// Mean absolute error, with seasons found in each series, over that of `fitted`, which sees the same `n` values.
fn ratio(
    (n, horizon): (usize, usize),
    process: impl Fn(&mut Normal, usize) -> Vec<f64>,
    fitted: impl Fn(&[f64], usize) -> f64,
) -> f64 {
    let (mut ours, mut best) = (0.0, 0.0);
    for seed in 0..SERIES {
        let values = process(&mut Normal(Xoshiro256PlusPlus::seed_from_u64(7_000 + seed)), n + horizon);
        let (known, after) = values.split_at(n);
        let params = ForecastParams {
            horizon,
            levels: vec![Level::DEFAULT],
            season_lengths: find_seasons(known, &[], None),
            max_origins: MAX_ORIGINS,
        };
        let said = forecast(known, Support::NonNegative, &params).map(|found| found.steps).unwrap_or_default();
        assert_eq!(said.len(), horizon, "series {seed}");
        for (ahead, (actual, step)) in after.iter().zip(&said).enumerate() {
            ours += (actual - step.point).abs();
            best += (actual - fitted(known, ahead)).abs();
        }
    }
    ours / best
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    sum / n
}

#[test]
fn noise_is_forecast_by_its_mean() {
    let noise = |normal: &mut Normal, n: usize| (0..n).map(|_| 100.0 + normal.next()).collect();
    let found = ratio((120, 14), noise, |known, _| mean(known.iter().copied()));
    assert!(found < 1.03, "{found}");
}

#[test]
fn a_walk_goes_nowhere() {
    let walk = |normal: &mut Normal, n: usize| {
        let mut level = 300.0;
        let mut step = |_| {
            level += normal.next();
            level
        };
        (0..n).map(&mut step).collect()
    };
    let found = ratio((400, 14), walk, |known, _| known.last().copied().unwrap_or(f64::NAN));
    assert!(found < 1.03, "{found}");
}

#[test]
fn a_week_is_the_means_of_its_days() {
    let week = |normal: &mut Normal, n: usize| {
        let days: Vec<f64> = (0..7).map(|_| 100.0 + 3.0 * normal.next()).collect();
        (0..n).map(|i| days.get(i % 7).copied().unwrap_or(0.0) + normal.next()).collect()
    };
    let of_day = |known: &[f64], ahead: usize| mean(known.iter().skip((known.len() + ahead) % 7).step_by(7).copied());
    let found = ratio((365, 28), week, of_day);
    assert!(found < 1.03, "{found}");
}

/// Demand on three days of ten: its mean is what capacity needs, and zero is the middle.
#[test]
fn rare_demand_is_forecast_without_bias() {
    let (mut said, mut expected) = (0.0, 0.0);
    for seed in 0..SERIES {
        let mut normal = Normal(Xoshiro256PlusPlus::seed_from_u64(8_000 + seed));
        let mut value = || if normal.0.random::<f64>() < 0.3 { 5.0 + normal.next().abs() } else { 0.0 };
        let values: Vec<f64> = (0..120).map(|_| value()).collect();
        let params = ForecastParams {
            horizon: 7,
            levels: vec![Level::DEFAULT],
            season_lengths: Vec::new(),
            max_origins: MAX_ORIGINS,
        };
        let steps = forecast(&values, Support::NonNegative, &params).map(|found| found.steps).unwrap_or_default();
        said += mean(steps.iter().map(|step| step.point));
        expected += 0.3 * (5.0 + (2.0 / std::f64::consts::PI).sqrt());
    }
    assert!((said / expected - 1.0).abs() < 0.1, "{}", said / expected);
}
