//! Where a series goes over the last week, month, quarter.

use crate::detect::baselines::buckets_in;
use crate::detect::levelling::{Levelled, Scale};
use crate::detect::{Direction, Trend};
use crate::series::{Better, Metric, Series};
use crate::stats::rank::{self, TheilSen};
use crate::units::{DAY_US, Interval, Level};

/// Points of a window beyond which neighbours are joined to their median: the cost of pairwise slopes grows with the
/// square of their number.
const MAX_POINTS: usize = 180;

/// How trends are judged.
///
/// | field | default | range | purpose |
/// |---|---|---|---|
/// | `comparison_periods` | 7, 30, 90 | ≥ 1 | windows in days |
/// | `min_points` | 5 | ≥ 3 | buckets with data in a window |
/// | `margin` | 0.05 | > 0 | relative change over the window that is too small to matter |
/// | `margin_share` | 0.01 | > 0 | the same for shares (0-1), absolute |
/// | `level` | 0.95 | 0-1 | coverage of the slope's interval |
#[derive(Debug, Clone, PartialEq)]
pub struct TrendParams {
    /// Windows in days.
    pub comparison_periods: Vec<u32>,
    /// Fewest buckets with data in a window.
    pub min_points: usize,
    /// Relative change over the window that counts as none.
    pub margin: f64,
    /// Absolute change over the window that counts as none, for shares.
    pub margin_share: f64,
    /// Coverage of the interval.
    pub level: Level,
}

impl Default for TrendParams {
    fn default() -> Self {
        Self {
            comparison_periods: vec![7, 30, 90],
            min_points: 5,
            margin: 0.05,
            margin_share: 0.01,
            level: Level::DEFAULT,
        }
    }
}

/// One trend for each window that holds enough data, and of which the series covers half at least.
///
/// Theil-Sen slope of `levelled`, which is `series` without its weekly profile; Sen's interval, widened for
/// autocorrelation of first order. Over a window of less than three weeks a trend is not told apart from a week that could
/// not be estimated, and stays unclear.
#[must_use]
pub fn trends(series: &Series, levelled: &Levelled, params: &TrendParams) -> Vec<Trend> {
    let windows = params.comparison_periods.iter();
    windows.filter_map(|&days| Window { series, levelled, days }.trend(params)).collect()
}

/// The latest days of a levelled series.
struct Window<'a> {
    series: &'a Series,
    levelled: &'a Levelled,
    days: u32,
}

impl Window<'_> {
    fn trend(&self, params: &TrendParams) -> Option<Trend> {
        let (times, values) = self.points();
        let covered = times.first().zip(times.last()).map(|(first, last)| last - first)?;
        let days = f64::from(self.days);
        if values.len() < params.min_points.max(3) || covered < 0.5 * (days - 1.0) {
            return None;
        }
        let (joined_times, joined) = join(&times, &values);
        let line = fit(&joined_times, &joined, params.level)?;
        let level = rank::median(&values);
        let over_window = |slope: f64| self.change(slope * days, level);
        let change = over_window(line.slope);
        let (a, b) = (over_window(line.lower), over_window(line.upper));
        let interval = Interval { lower: a, upper: b, level: params.level };
        let margin = if self.levelled.scale == Scale::Share { params.margin_share } else { params.margin };
        let told_from_a_week = self.levelled.tells_cycles || self.days >= 21;
        let direction = direction(&interval, margin, self.series.key.metric);
        Some(Trend {
            window_days: self.days,
            change,
            interval,
            slope_per_day: if self.levelled.scale == Scale::Log { line.slope * level.exp() } else { line.slope },
            strength: line.tau.abs().min(1.0),
            direction: if told_from_a_week { direction } else { Direction::Unclear },
            sample_size: values.len(),
        })
    }

    /// Times in days and values of the buckets with data.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a few years stay below 2^53")]
    fn points(&self) -> (Vec<f64>, Vec<f64>) {
        let n = buckets_in(i64::from(self.days) * DAY_US, self.series.period_us);
        let from = self.levelled.values.len().saturating_sub(n);
        let per_day = self.series.period_us as f64 / DAY_US as f64;
        let at = |(idx, value): (usize, &f64)| (idx as f64 * per_day, *value);
        self.levelled.values.iter().enumerate().skip(from).filter(|(_, v)| v.is_finite()).map(at).unzip()
    }

    /// A difference on the working scale as a relative change, an absolute one for shares.
    fn change(&self, difference: f64, level: f64) -> f64 {
        match self.levelled.scale {
            Scale::Log => difference.exp_m1(),
            Scale::Share => difference,
            Scale::Linear if difference.abs() > 0.0 => difference / level.abs(),
            Scale::Linear => 0.0,
        }
    }
}

fn fit(times: &[f64], values: &[f64], level: Level) -> Option<TheilSen> {
    rank::theil_sen(times, values, level.get(), |slope| {
        let residuals: Vec<f64> = times.iter().zip(values).map(|(t, v)| v - slope * t).collect();
        rank::rank_inflation(&residuals)
    })
}

/// Neighbouring points joined so that at most [`MAX_POINTS`] are left: mean times, median values.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn join(times: &[f64], values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let size = times.len().div_ceil(MAX_POINTS).max(1);
    let middle = |chunk: &[f64]| chunk.iter().sum::<f64>() / chunk.len() as f64;
    (times.chunks(size).map(middle).collect(), values.chunks(size).map(rank::median).collect())
}

/// Stable where the whole interval lies within the margin; a way where it is off zero.
fn direction(interval: &Interval, margin: f64, metric: Metric) -> Direction {
    if -margin <= interval.lower && interval.upper <= margin {
        return Direction::Stable;
    }
    let rising = interval.lower > 0.0;
    if !rising && (interval.upper >= 0.0 || interval.upper.is_nan()) {
        return Direction::Unclear;
    }
    match (metric.better(), rising) {
        (Better::Lower, true) | (Better::Higher, false) => Direction::Degrading,
        (Better::Lower, false) | (Better::Higher, true) => Direction::Improving,
        (Better::Neither, true) => Direction::Rising,
        (Better::Neither, false) => Direction::Falling,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::detect::fixtures::{NAMED, daily, noisy};

    fn over(days: u32, values: &[f64], metric: Metric) -> Option<Trend> {
        let series = daily(metric, values);
        trends(&series, &Levelled::of_series(&series), &TrendParams::default())
            .into_iter()
            .find(|t| t.window_days == days)
    }

    #[test]
    fn a_growth_is_measured_and_named() {
        let values = noisy(90, 1, 0.05, |i| 0.004 * i as f64);
        let trend = over(90, &values, Metric::ExecutionTime).unwrap();
        assert_eq!(trend.direction, Direction::Degrading);
        let truth = 0.36_f64.exp_m1();
        assert!(trend.interval.lower < truth && truth < trend.interval.upper, "{trend:?}");
        assert!((trend.slope_per_day / (0.004 * rank::median(&values)) - 1.0).abs() < 0.2);
        assert_eq!(over(90, &values, Metric::Throughput).unwrap().direction, Direction::Rising);
        let falling: Vec<f64> = values.iter().rev().copied().collect();
        assert_eq!(over(90, &falling, Metric::ExecutionTime).unwrap().direction, Direction::Improving);
    }

    #[test]
    fn stable_is_shown_and_not_assumed() {
        let quiet = noisy(90, 2, 0.02, |_| 0.0);
        assert_eq!(over(90, &quiet, Metric::ExecutionTime).unwrap().direction, Direction::Stable);
        let loud = noisy(90, 2, 0.5, |_| 0.0);
        assert_eq!(over(30, &loud, Metric::ExecutionTime).unwrap().direction, Direction::Unclear);
        assert_eq!(over(30, &[7.0; 90], Metric::ExecutionTime).unwrap().direction, Direction::Stable);
    }

    #[test]
    fn shares_are_compared_absolutely() {
        let rates: Vec<f64> = (0..90).map(|i| 0.01 + 0.0005 * f64::from(i)).collect();
        let trend = over(90, &rates, Metric::ErrorRate).unwrap();
        assert!((trend.change - 0.045).abs() < 1e-9 && (trend.strength - 1.0).abs() < 1e-9);
        assert_eq!(trend.direction, Direction::Degrading);
        assert_eq!(over(90, &rates, Metric::CacheHitRate).unwrap().direction, Direction::Improving);
    }

    #[test]
    fn a_weekend_is_no_trend_of_the_week() {
        for last_day in 80..87 {
            let values = noisy(last_day, 3, 0.02, |i| if i % 7 >= 5 { -0.7 } else { 0.0 });
            let found = over(7, &values, Metric::ExecutionTime).unwrap();
            assert!(found.change.abs() < 0.15, "ends on day {last_day}: {found:?}");
        }
        let young = noisy(14, 3, 0.02, |i| if i % 7 >= 5 { -0.7 } else { 0.0 });
        assert_eq!(over(7, &young, Metric::ExecutionTime).unwrap().direction, Direction::Unclear);
    }

    /// Days about a shape in logarithms, with noise of `sigma` whose neighbours correlate by `rho`.
    fn wandering(n: usize, seed: u64, rho: f64, sigma: f64, shape: &dyn Fn(usize) -> f64) -> Vec<f64> {
        const RUN_UP: usize = 100;
        let (mut last, fresh) = (0.0, (1.0 - rho * rho).sqrt());
        let steps = noisy(n + RUN_UP, seed, 1.0, |_| 0.0);
        let mut noise = steps.iter().map(|step| {
            last = rho * last + fresh * (step / 100.0).ln();
            sigma * last
        });
        noise.by_ref().take(RUN_UP).for_each(drop);
        noise.enumerate().map(|(i, e)| 100.0 * (shape(i) + e).exp()).collect()
    }

    /// Of 1,000 simulated windows, those whose answer is as expected.
    fn told(days: u32, rho: f64, shape: &dyn Fn(usize) -> f64, is_right: &dyn Fn(&Trend) -> bool) -> usize {
        let values = |seed: u64| wandering(90, 9_000 + seed, rho, 0.08, shape);
        let right = |seed: &u64| is_right(&over(days, &values(*seed), Metric::ExecutionTime).unwrap());
        (0..1_000).filter(right).count()
    }

    #[test]
    fn the_interval_holds_its_level_under_autocorrelation() {
        let holds = |trend: &Trend| trend.interval.lower <= 0.0 && trend.interval.upper >= 0.0;
        let held = |days: u32, rho: f64| told(days, rho, &|_| 0.0, &holds);
        let found = [0.0, 0.3, 0.6, 0.8].map(|rho| (rho, held(90, rho), held(30, rho)));
        // 950 of 1,000 and two standard errors; thirty days do not tell noise of 0.8 from a way.
        let least = [(936, 936), (936, 936), (936, 936), (930, 900)];
        let holds =
            found.iter().zip(least).all(|((_, quarter, month), least)| *quarter >= least.0 && *month >= least.1);
        assert!(holds, "{found:?}");
    }

    #[test]
    fn shapes_are_told_apart() {
        let no_trend = |trend: &Trend| matches!(trend.direction, Direction::Stable | Direction::Unclear);
        let degrading = |trend: &Trend| trend.direction == Direction::Degrading;
        let of = |rho: f64| {
            [
                ("ramp of 30 %", told(90, rho, &|i| 0.26 * i as f64 / 90.0, &degrading)),
                ("step of 30 %", told(90, rho, &|i| if i >= 45 { 0.26 } else { 0.0 }, &degrading)),
                ("season only", told(90, rho, &|i| if i % 7 >= 5 { -0.5 } else { 0.0 }, &no_trend)),
                ("flat", told(90, rho, &|_| 0.0, &no_trend)),
                ("V", told(90, rho, &|i| 0.01 * i.abs_diff(45) as f64, &no_trend)),
            ]
        };
        let white = of(0.0);
        assert!(white.iter().all(|(_, right)| *right >= 950), "{white:?}");
        // With noise that wanders, what is no trend stays none; what is one may stay unclear.
        for rho in [0.3, 0.6] {
            let found = of(rho);
            assert!(found.iter().skip(2).all(|(_, right)| *right >= 940), "{rho}: {found:?}");
        }
    }

    #[test]
    fn too_little_is_absent_and_nothing_panics() {
        assert_eq!(over(7, &[1.0, 2.0, 3.0, 4.0], Metric::Cost), None);
        assert_eq!(over(30, &noisy(10, 4, 0.1, |_| 0.0), Metric::Cost), None, "ten of thirty days");
        for (name, values) in NAMED {
            for metric in Metric::ALL {
                let series = daily(metric, values);
                let all = trends(&series, &Levelled::of_series(&series), &TrendParams::default());
                assert!(all.iter().all(|t| t.interval.lower <= t.interval.upper), "{name} {metric}: {all:?}");
            }
        }
    }
}
