//! What comes next, with intervals.
//!
//! ```text
//! values ─ scale (log where effects multiply) ─ days of the month taken off ─ older regime laid on the present level
//!        ─ backtest from many past origins: naive, seasonal naive and mean, exponential smoothing, theta, a line,
//!          regressions on earlier values, one that all series share; where demand mostly is none, Croston's and others' of its mean
//!        ─ their mean, weighted by what they missed, forecasts; a naive one alone where it is better
//!        ─ what the mean itself missed gives the intervals
//! ```

mod autoregression;
mod backtest;
pub mod calendar;
pub mod capacity;
mod combine;
mod ets;
mod intermittent;
mod intervals;
mod line;
mod naive;
mod periods;
pub mod pooled;
mod scale;
mod season;
mod select;
pub mod sequence;
#[cfg(test)]
mod simulated;
mod theta;

use crate::series::{Metric, Series};
use crate::units::{DAY_US, Interval, Level};
use calendar::Calendar;
use pooled::Pool;
pub use select::Prepared;
use select::prepare;
use serde::{Deserialize, Serialize};

/// The forecast of one series: point and intervals for each step of the horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The combination with its weights, `0.62 theta(7) + 0.38 naive`; a naive one alone where it was better on
    /// the rolling-origin backtest beyond chance. "log" stands before what saw logarithms.
    pub model: String,
    /// One per horizon step, 1..=H.
    pub steps: Vec<ForecastStep>,
    /// How the winner did, then every candidate.
    pub scores: Vec<CandidateScore>,
    /// How often the intervals of the largest level held on the backtest, by distance.
    pub by_horizon: Vec<HorizonCoverage>,
}

impl Forecast {
    /// What if there were `factor` (above 0) times what is forecast? The scores stay those of the forecast.
    pub fn grow(&mut self, factor: f64) {
        self.steps.iter_mut().for_each(|step| *step = step.grown(factor));
    }
}

/// Realised coverage of the intervals so many buckets ahead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HorizonCoverage {
    /// Nearest distance in buckets, from 1.
    pub from: usize,
    /// Furthest.
    pub to: usize,
    /// Share of held-out values inside the interval at the largest level.
    pub coverage: f64,
    /// Held-out values.
    pub n: usize,
}

/// One step ahead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastStep {
    /// Centre.
    pub point: f64,
    /// One per requested level, narrowest first; nested.
    pub intervals: Vec<Interval>,
}

impl ForecastStep {
    /// So many times (above 0) what is forecast.
    #[must_use]
    pub fn grown(&self, factor: f64) -> Self {
        let interval =
            |one: &Interval| Interval { lower: one.lower * factor, upper: one.upper * factor, level: one.level };
        Self { point: self.point * factor, intervals: self.intervals.iter().map(interval).collect() }
    }
}

/// A candidate's error on the backtest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateScore {
    /// Model name.
    pub model: String,
    /// Share of it in what is published; 1 for the winner.
    pub weight: f64,
    /// Mean absolute scaled error over the origins.
    pub mase: f64,
    /// Share of held-out values inside the interval at the largest level.
    pub coverage: f64,
    /// Held-out values.
    pub n: usize,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastParams {
    /// Buckets to forecast, at least 1.
    pub horizon: usize,
    /// Coverage of the intervals, in any order.
    pub levels: Vec<Level>,
    /// Lengths of seasons to try, in buckets (7 for days; 24 and 168 for hours). Those of which the history holds less
    /// than two are left out.
    pub season_lengths: Vec<usize>,
    /// Past moments from which models are tried, at most.
    pub max_origins: usize,
}

const DAYS_A_WEEK: usize = 7;

/// As many past moments as say something: more cost time and say little that is new.
pub const MAX_ORIGINS: usize = 60;

/// Where values can be; forecasts and intervals stay there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// Any number.
    Real,
    /// Zero or more; effects are taken to multiply if no value is zero.
    NonNegative,
    /// 0 to 1.
    Share,
}

impl From<Metric> for Support {
    fn from(metric: Metric) -> Self {
        if metric.is_ratio() { Self::Share } else { Self::NonNegative }
    }
}

impl Support {
    fn contains(self, value: f64) -> bool {
        match self {
            Self::Real => true,
            Self::NonNegative => value >= 0.0,
            Self::Share => (0.0..=1.0).contains(&value),
        }
    }
}

/// Why a series is not forecast.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// The history is too short.
    #[error("a forecast needs {needed} buckets with values, found {found}")]
    NotEnoughValues {
        /// Buckets that must have a value.
        needed: usize,
        /// Buckets that have one.
        found: usize,
    },
    /// A value where the metric can't be.
    #[error("bucket {index} holds {value}, which lies outside {support:?}")]
    OutOfSupport {
        /// 0-based bucket.
        index: usize,
        /// What it holds.
        value: f64,
        /// Where values can be.
        support: Support,
    },
    /// A horizon of no buckets, or of absurdly many.
    #[error("a horizon lies between 1 and {max} buckets, found {found}")]
    Horizon {
        /// Buckets asked for.
        found: usize,
        /// Most buckets.
        max: usize,
    },
    /// Numbers so large or so far apart that the models overflow.
    #[error("the forecast is not finite; values reach from {min} to {max}")]
    NotFinite {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
}

/// Points ahead on the scale of the models.
#[derive(Debug, Clone, PartialEq)]
struct Path {
    point: Vec<f64>,
    /// Growth of the error's standard deviation, 1 for the first step.
    spread: Vec<f64>,
}

/// Makes `series` ready for the forecast of the buckets after its end.
///
/// `regime_start_idx` is the first bucket of the present regime (0 if there was no change): what lies before it tells
/// about season and noise at most, never about the level.
///
/// # Errors
/// See [`ForecastError`].
pub fn prepare_series(
    series: &Series,
    regime_start_idx: usize,
    params: &ForecastParams,
) -> Result<Prepared, ForecastError> {
    let is_daily = series.period_us == DAY_US;
    let calendar = is_daily.then(|| Calendar { first_day: series.start_us.div_euclid(DAY_US) });
    prepare(&series.values, regime_start_idx, series.key.metric.into(), calendar, params)
}

/// Lengths of the seasons that `values` repeat (one value a bucket; what is not finite is a gap), shortest first. `hints`
/// are lengths that a calendar suggests: they are tested like those that the values themselves suggest. What days of the
/// month explain, where values are of days, is no season of one or two months.
#[must_use]
pub fn find_seasons(values: &[f64], hints: &[usize], calendar: Option<Calendar>) -> Vec<usize> {
    let support = if values.iter().any(|v| *v < 0.0) { Support::Real } else { Support::NonNegative };
    let mut scaled = scale::Scale::of(values, support).forward(values);
    let effects = calendar.map(|days| days.effects(&scaled, &[DAYS_A_WEEK], 0)).unwrap_or_default();
    scaled.iter_mut().zip(&effects).for_each(|(value, effect)| *value -= effect);
    periods::seasons(&scaled, hints)
}

/// Forecasts what follows `values` (one a bucket, oldest first; what is not finite is a gap, not a zero).
///
/// # Errors
/// See [`ForecastError`].
pub fn forecast(values: &[f64], support: Support, params: &ForecastParams) -> Result<Forecast, ForecastError> {
    prepare(values, 0, support, None, params)?.forecast(&Pool::default())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::series::SeriesKey;
    use crate::stats::sketch::Sketches;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    const GAP: f64 = f64::NAN;

    fn params(horizon: usize) -> ForecastParams {
        let levels = [0.95, 0.8].map(|level| Level::new(level).unwrap()).to_vec();
        ForecastParams { horizon, levels, season_lengths: vec![7], max_origins: MAX_ORIGINS }
    }

    fn weekly(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let week = [1.0, 1.1, 1.2, 1.1, 1.0, 0.4, 0.3];
        (0..n).map(|i| 900.0 * week[i % 7] * (0.2 * (rng.random::<f64>() - 0.5)).exp()).collect()
    }

    fn sound(forecast: &Forecast, support: Support) {
        let mut widths = vec![0.0; 2];
        for step in &forecast.steps {
            assert!(support.contains(step.point), "{step:?}");
            let mut inner = (step.point, step.point);
            for (interval, _) in step.intervals.iter().zip(&mut widths) {
                assert!(support.contains(interval.lower) && support.contains(interval.upper), "{step:?}");
                assert!(interval.lower <= inner.0 && inner.1 <= interval.upper, "not nested: {step:?}");
                inner = (interval.lower, interval.upper);
            }
        }
    }

    #[test]
    fn a_weekly_series_is_forecast_in_phase_with_nested_intervals() {
        let values = weekly(90, 1);
        let forecast = forecast(&values, Support::NonNegative, &params(30)).unwrap();
        sound(&forecast, Support::NonNegative);
        assert_eq!(forecast.steps.len(), 30);
        let truth = |ahead: usize| 900.0 * [1.0, 1.1, 1.2, 1.1, 1.0, 0.4, 0.3][(90 + ahead) % 7];
        for (ahead, step) in forecast.steps.iter().enumerate() {
            assert!((step.point / truth(ahead)).ln().abs() < 0.15, "{ahead}: {step:?}");
        }
        assert_eq!(forecast.scores[0].model, "log combination");
        let naive = forecast.scores.iter().filter(|s| s.model.contains("naive"));
        assert!(naive.clone().count() == 2 && naive.clone().all(|s| s.mase > forecast.scores[0].mase));
        let weights: f64 = forecast.scores.iter().skip(1).map(|s| s.weight).sum();
        assert!((weights - 1.0).abs() < 1e-9 && forecast.model.contains(" + "), "{weights} {}", forecast.model);
        assert!(forecast.scores.iter().all(|s| s.n > 0 && (0.6..=1.0).contains(&s.coverage)), "{:?}", forecast.scores);
        let ahead: Vec<_> = forecast.by_horizon.iter().map(|one| (one.from, one.to)).collect();
        assert_eq!(ahead, [(1, 1), (2, 3), (4, 7), (8, 15), (16, 31)]);
        assert!(forecast.by_horizon.iter().all(|one| (0.7..=1.0).contains(&one.coverage)), "{:?}", forecast.by_horizon);
    }

    #[test]
    fn intervals_hold_what_they_promise() {
        let (mut inside, mut all) = (0, 0);
        for seed in 0..60 {
            let values = weekly(90, 100 + seed);
            let forecast = forecast(&values[..70], Support::NonNegative, &params(20)).unwrap();
            for (step, actual) in forecast.steps.iter().zip(&values[70..]) {
                let widest = step.intervals.last().unwrap();
                inside += usize::from((widest.lower..=widest.upper).contains(actual));
                all += 1;
            }
        }
        let coverage = f64::from(u32::try_from(inside).unwrap()) / f64::from(all);
        assert!((0.92..=0.995).contains(&coverage), "{coverage}");
    }

    #[test]
    fn equal_up_to_the_unit() {
        let values = weekly(60, 3);
        let scaled: Vec<f64> = values.iter().map(|v| v * 1e-6).collect();
        let a = forecast(&values, Support::NonNegative, &params(9)).unwrap();
        let b = forecast(&scaled, Support::NonNegative, &params(9)).unwrap();
        assert_eq!(a.model, b.model);
        for (a, b) in a.steps.iter().zip(&b.steps) {
            assert!((a.point * 1e-6 / b.point - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn the_level_comes_from_the_present_regime_and_the_season_from_both() {
        let mut values = weekly(80, 4);
        values[70..].iter_mut().for_each(|v| *v *= 3.0);
        let key =
            SeriesKey { workflow_id: "w".into(), workflow_type: "w".into(), step: None, metric: Metric::ExecutionTime };
        let n = values.len();
        let (counts, sketches) = (vec![1; n], Sketches::default());
        let series = Series { key, period_us: DAY_US, start_us: 0, values, counts, sketches };
        let forecast = prepare_series(&series, 70, &params(7)).unwrap().forecast(&Pool::default()).unwrap();
        for (ahead, step) in forecast.steps.iter().enumerate() {
            let truth = 2_700.0 * [1.0, 1.1, 1.2, 1.1, 1.0, 0.4, 0.3][(80 + ahead) % 7];
            assert!((step.point / truth).ln().abs() < 0.2, "{ahead}: {step:?}");
        }
    }

    #[test]
    fn a_last_spike_does_not_move_the_forecast() {
        let mut values = weekly(90, 5);
        let before = forecast(&values, Support::NonNegative, &params(7)).unwrap();
        values[89] *= 50.0;
        let after = forecast(&values, Support::NonNegative, &params(7)).unwrap();
        for (a, b) in before.steps.iter().zip(&after.steps) {
            assert!((a.point / b.point).ln().abs() < 0.3, "{a:?} {b:?}");
        }
    }

    #[test]
    fn degenerate_series_are_forecast_soundly() {
        let constant = forecast(&[5.0; 40], Support::NonNegative, &params(3)).unwrap();
        assert!(constant.steps.iter().all(|s| (s.point - 5.0).abs() < 1e-9 && s.intervals[1].upper < 5.0 + 1e-9));
        assert!(constant.model.starts_with("seasonal_naive"), "ties go to it: {}", constant.model);
        let zeros = forecast(&[0.0; 40], Support::Share, &params(3)).unwrap();
        assert!(zeros.steps.iter().all(|s| s.point.abs() < 1e-12));
        let tiny = [GAP, 3.0, 4.0, GAP, 5.0, 3.5, f64::INFINITY];
        let gappy: Vec<f64> =
            weekly(60, 6).iter().enumerate().map(|(i, v)| if i % 3 == 0 { *v } else { GAP }).collect();
        let rare: Vec<f64> = (0..50).map(|i| if i % 17 == 0 { 0.5 } else { 0.0 }).collect();
        let huge: Vec<f64> = (0..40).map(|i| if i % 2 == 0 { 1e300 } else { 1e-300 }).collect();
        for (values, support) in [
            (&tiny[..], Support::NonNegative),
            (&gappy, Support::NonNegative),
            (&rare, Support::Share),
            (&[-3.0, 4.0, -2.0, 8.0, 1.0], Support::Real),
        ] {
            sound(&forecast(values, support, &params(40)).unwrap(), support);
        }
        match forecast(&huge, Support::NonNegative, &params(5)) {
            Ok(forecast) => sound(&forecast, Support::NonNegative),
            Err(error) => assert!(matches!(error, ForecastError::NotFinite { .. })),
        }
    }

    #[test]
    fn seasons_that_can_not_be_are_left_out() {
        let seasons = ForecastParams { season_lengths: vec![usize::MAX, 0, 1, 7, 7], ..params(3) };
        let values = weekly(60, 7);
        let found = forecast(&values, Support::NonNegative, &seasons).unwrap();
        assert_eq!(found, forecast(&values, Support::NonNegative, &params(3)).unwrap());
    }

    #[test]
    fn shifting_shifts_and_scaling_scales_where_effects_add() {
        let noise = weekly(80, 9);
        let values: Vec<f64> = noise.iter().map(|v| v - 800.0).collect();
        let moved: Vec<f64> = values.iter().map(|v| 4.0 * v + 256.0).collect();
        let a = forecast(&values, Support::Real, &params(9)).unwrap();
        let b = forecast(&moved, Support::Real, &params(9)).unwrap();
        let near = |a: f64, b: f64| (4.0 * a + 256.0 - b).abs() < 2.0;
        for (a, b) in a.steps.iter().zip(&b.steps) {
            assert!(near(a.point, b.point), "{a:?} {b:?}");
            assert!(
                a.intervals.iter().zip(&b.intervals).all(|(a, b)| near(a.lower, b.lower) && near(a.upper, b.upper))
            );
        }
    }

    #[test]
    fn what_can_not_be_forecast_says_why() {
        let error = |values: &[f64], support, horizon| forecast(values, support, &params(horizon)).unwrap_err();
        assert_eq!(error(&[], Support::Real, 5), ForecastError::NotEnoughValues { needed: 4, found: 0 });
        let few = [1.0, GAP, 2.0, 3.0];
        assert_eq!(error(&few, Support::Real, 5), ForecastError::NotEnoughValues { needed: 4, found: 3 });
        for horizon in [0, usize::MAX] {
            assert!(matches!(error(&[1.0; 9], Support::Real, horizon), ForecastError::Horizon { .. }));
        }
        let negative = [1.0, -2.0, 1.0, 1.0];
        let out = ForecastError::OutOfSupport { index: 1, value: -2.0, support: Support::NonNegative };
        assert_eq!(error(&negative, Support::NonNegative, 5), out);
    }
}
