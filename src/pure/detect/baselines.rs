//! What is normal in the present regime.
//!
//! A baseline is made of the executions since the last change point, less the window under test. A regression that
//! nobody accepted opens no regime: the baseline stays what it was before, until the regression is accepted or gone.

use crate::detect::{Baseline, ChangePoint, Skip, SkipSubject};
use crate::series::{Better, Centre, Metric, Series};
use crate::stats::rank::MAD_TO_SIGMA;
use crate::stats::{dist, sketch, sketch::Sketch};
use crate::units::{DAY_US, Interval, Level};
use std::collections::BTreeSet;
use std::ops::Range;

/// How baselines are made.
///
/// | field | default | range | purpose |
/// |---|---|---|---|
/// | `baseline_days` | 30 | ≥ 1 | how far back at most |
/// | `test_window_us` | one day | ≥ 0 | latest stretch that is kept out, because it is judged against the rest |
/// | `min_buckets` | 3 | ≥ 1 | buckets with data |
/// | `min_samples` | 10 | ≥ 6 | executions: six are the fewest that hold their median with 95 % |
/// | `return_margin` | 0.05 | ≥ 0 | a regression is gone when the level is this close to the one before it |
/// | `level` | 0.95 | 0-1 | coverage of the interval |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BaselineParams {
    /// Days back at most.
    pub baseline_days: u32,
    /// Length of the latest stretch that is kept out, rounded up to whole buckets.
    pub test_window_us: i64,
    /// Fewest buckets with data.
    pub min_buckets: usize,
    /// Fewest executions (buckets for counts).
    pub min_samples: u64,
    /// Relative distance to the level before a regression within which it counts as undone.
    pub return_margin: f64,
    /// Coverage of the interval of the centre.
    pub level: Level,
}

impl Default for BaselineParams {
    fn default() -> Self {
        Self {
            baseline_days: 30,
            test_window_us: DAY_US,
            min_buckets: 3,
            min_samples: 10,
            return_margin: 0.05,
            level: Level::DEFAULT,
        }
    }
}

/// A change point this near to one that was accepted is the same.
const ACCEPTED_WITHIN_US: i64 = 2 * DAY_US;

/// The baseline of a series, given its change points (oldest first) and the instants of those that were accepted.
///
/// Single executions are described where the centre is their median or mean; for counts and shares (0-1), where one
/// execution says nothing, the buckets are.
///
/// # Errors
/// A [`Skip`] with what was needed and what was found.
pub fn baseline(
    series: &Series,
    change_points: &[ChangePoint],
    accepted_us: &BTreeSet<i64>,
    params: &BaselineParams,
) -> Result<Baseline, Skip> {
    let regime = regime(series, change_points, accepted_us, params);
    let from = regime.end.saturating_sub(buckets_in(i64::from(params.baseline_days) * DAY_US, series.period_us));
    let window = regime.start.max(from)..regime.end;
    let used: Vec<usize> = window.clone().filter(|&i| series.values.get(i).is_some_and(|v| v.is_finite())).collect();
    if used.len() < params.min_buckets.max(1) {
        return Err(skip(series, used.len() as u64, params.min_buckets as u64, "buckets with data"));
    }
    let summary = Summary::of(series, window, &used, params.level);
    if summary.sample_size < params.min_samples {
        return Err(skip(series, summary.sample_size, params.min_samples, summary.unit));
    }
    Ok(Baseline {
        value: summary.value,
        interval: Interval { lower: summary.lower, upper: summary.upper, level: params.level },
        spread: spread(&summary.sketch),
        normal_lower: summary.sketch.quantile(0.05),
        normal_upper: summary.sketch.quantile(0.95),
        sample_size: summary.sample_size,
        method: summary.method,
        regime_start_us: series.bucket_start_us(regime.start),
        regime_end_us: series.bucket_start_us(regime.end),
    })
}

fn skip(series: &Series, found: u64, needed: u64, what: &str) -> Skip {
    Skip {
        analysis: "baselines",
        subject: SkipSubject::Series(series.key.clone()),
        reason: format!("{found} {what} in the regime before the window under test, {needed} needed"),
    }
}

/// Whole buckets that cover a span of time.
pub(crate) fn buckets_in(span_us: i64, period_us: i64) -> usize {
    let period = period_us.max(1);
    usize::try_from(span_us.max(0).saturating_add(period - 1) / period).unwrap_or(usize::MAX)
}

/// The buckets of the regime that counts as normal, the window under test left out.
///
/// Walks through the change points: one that is accepted, or no regression, opens a new regime. A regression closes the
/// regime instead; a later change that brings the level back (or lower) opens a new one.
pub(crate) fn regime(
    series: &Series,
    change_points: &[ChangePoint],
    accepted_us: &BTreeSet<i64>,
    params: &BaselineParams,
) -> Range<usize> {
    let held_out = buckets_in(params.test_window_us, series.period_us);
    let until = series.len().saturating_sub(held_out);
    let (mut start, mut end, mut normal) = (0, until, None);
    for point in change_points.iter().filter(|point| point.index < until) {
        let before = normal.unwrap_or(point.before);
        let worse = is_worse(series.key.metric, before, point.after, params.return_margin);
        if worse && !is_near(accepted_us, point.at_us) {
            // Later changes are judged against the level that was normal when the regression began.
            normal = Some(before);
            end = end.min(point.index);
        } else {
            normal = None;
            (start, end) = (point.index, until);
        }
    }
    start..end
}

/// Whether a change point at `at_us` is one that was accepted: more data may move it by a day or two, and regimes are
/// longer than that.
pub(crate) fn is_near(accepted_us: &BTreeSet<i64>, at_us: i64) -> bool {
    let near = at_us.saturating_sub(ACCEPTED_WITHIN_US)..=at_us.saturating_add(ACCEPTED_WITHIN_US);
    accepted_us.range(near).next().is_some()
}

fn is_worse(metric: Metric, before: f64, after: f64, margin: f64) -> bool {
    let slack = margin * before.abs();
    match metric.better() {
        Better::Lower => after > before + slack,
        Better::Higher => after < before - slack,
        Better::Neither => false,
    }
}

/// The centre with its interval, and the distribution that the rest is read from.
struct Summary {
    value: f64,
    lower: f64,
    upper: f64,
    sample_size: u64,
    method: &'static str,
    unit: &'static str,
    sketch: Sketch,
}

impl Summary {
    fn of(series: &Series, window: Range<usize>, used: &[usize], level: Level) -> Self {
        let values: Vec<f64> = used.iter().filter_map(|&i| series.values.get(i).copied()).collect();
        if series.key.metric.is_ratio() {
            let counts: Vec<u32> = used.iter().map(|&i| series.counts.get(i).copied().unwrap_or(0)).collect();
            return Self::of_shares(values, &counts, level);
        }
        match series.key.metric.centre() {
            Centre::Median => Self::of_median(series.merged(window.start, window.end), level),
            Centre::Mean => Self::of_mean(series.merged(window.start, window.end), "executions", level),
            Centre::Count => {
                let mut values = values;
                Self::of_mean(Sketch::of(&mut values), "buckets", level)
            }
        }
    }

    /// The interval of the median by order statistics: it needs no distribution.
    fn of_median(sketch: Sketch, level: Level) -> Self {
        let n = sketch.count();
        let ranks = dist::quantile_ranks(n, 0.5, level.get()).unwrap_or((0, n.saturating_sub(1)));
        Self {
            value: sketch.quantile(0.5),
            lower: sketch.order_statistic(ranks.0),
            upper: sketch.order_statistic(ranks.1),
            sample_size: n,
            method: "median",
            unit: "executions",
            sketch,
        }
    }

    /// Student's interval of the mean, which is never negative here.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn of_mean(sketch: Sketch, unit: &'static str, level: Level) -> Self {
        let (n, mean) = (sketch.count() as f64, sketch.mean());
        let half = dist::t_quantile(1.0 - 0.5 * level.alpha(), n - 1.0) * sketch.std() / n.sqrt();
        Self {
            value: mean,
            lower: (mean - half).max(0.0),
            upper: mean + half,
            sample_size: sketch.count(),
            method: "mean",
            unit,
            sketch,
        }
    }

    /// Wilson's interval of the pooled share.
    fn of_shares(mut values: Vec<f64>, counts: &[u32], level: Level) -> Self {
        let n: u64 = counts.iter().map(|&c| u64::from(c)).sum();
        let hits: f64 = values.iter().zip(counts).map(|(v, &c)| v * f64::from(c)).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let executions = n as f64;
        let (lower, upper) = dist::wilson(hits, executions, level.get());
        let value = if n > 0 { hits / executions } else { f64::NAN };
        Self {
            value,
            lower,
            upper,
            sample_size: n,
            method: "mean",
            unit: "executions",
            sketch: Sketch::of(&mut values),
        }
    }
}

/// 1.4826 times the median distance from the median, each value known to 1 %.
fn spread(sketch: &Sketch) -> f64 {
    let middle = sketch.quantile(0.5);
    let distance = |bin: i16| (sketch::bin_value(bin).clamp(sketch.min(), sketch.max()) - middle).abs();
    let mut distances: Vec<(f64, u32)> = sketch.bins().iter().map(|&(bin, n)| (distance(bin), n)).collect();
    distances.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut seen, half) = (0_u64, sketch.count().div_ceil(2));
    for (distance, n) in distances {
        seen += u64::from(n);
        if seen >= half {
            return MAD_TO_SIGMA * distance;
        }
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::detect::fixtures::{NAMED, at, daily, noisy, step_at};

    fn of(series: &Series, points: &[ChangePoint], accepted: &[usize]) -> Result<Baseline, Skip> {
        let accepted = accepted.iter().map(|&idx| at(idx)).collect();
        baseline(series, points, &accepted, &BaselineParams::default())
    }

    /// 10 executions of 100 ms a day until day 40, of 200 ms from then on.
    fn regression() -> Series {
        daily(Metric::ExecutionTime, &[vec![100.0; 40], vec![200.0; 20]].concat())
    }

    #[test]
    fn an_open_regression_stays_out_until_accepted() {
        let series = regression();
        let open = of(&series, &[step_at(40, 100.0, 200.0)], &[]).unwrap();
        assert_eq!((open.value, open.regime_start_us, open.sample_size), (100.0, at(0), 300));
        let accepted = of(&series, &[step_at(40, 100.0, 200.0)], &[40]).unwrap();
        assert_eq!((accepted.value, accepted.regime_start_us, accepted.sample_size), (200.0, at(40), 190));
    }

    #[test]
    fn an_improvement_opens_a_regime() {
        let series = daily(Metric::ExecutionTime, &[vec![100.0; 40], vec![50.0; 20]].concat());
        let baseline = of(&series, &[step_at(40, 100.0, 50.0)], &[]).unwrap();
        assert_eq!((baseline.value, baseline.regime_start_us), (50.0, at(40)));
        let hits = daily(Metric::CacheHitRate, &[vec![0.9; 40], vec![0.5; 20]].concat());
        assert!((of(&hits, &[step_at(40, 0.9, 0.5)], &[]).unwrap().value - 0.9).abs() < 1e-9, "fewer hits are worse");
    }

    #[test]
    fn a_regression_ends_where_the_level_comes_back() {
        let values = [vec![100.0; 20], vec![200.0; 20], vec![150.0; 10], vec![102.0; 20]].concat();
        let series = daily(Metric::ExecutionTime, &values);
        let mut points = vec![step_at(20, 100.0, 200.0), step_at(40, 200.0, 150.0)];
        assert_eq!(of(&series, &points, &[]).unwrap().regime_start_us, at(0), "150 is still worse than 100");
        points.push(step_at(50, 150.0, 102.0));
        assert_eq!(of(&series, &points, &[]).unwrap().regime_start_us, at(50));
    }

    #[test]
    fn the_window_under_test_is_kept_out() {
        let mut values = vec![100.0; 60];
        values[59] = 1e6;
        let baseline = of(&daily(Metric::ExecutionTime, &values), &[], &[]).unwrap();
        assert_eq!((baseline.value, baseline.normal_upper, baseline.sample_size), (100.0, 100.0, 300));
    }

    #[test]
    fn the_median_and_its_interval_hold_the_truth() {
        let inside = (0..200_u64).filter(|&seed| {
            let values = noisy(29, seed, 0.2, |_| 0.0);
            let series = Series { counts: vec![1; 29], ..daily(Metric::ExecutionTime, &values) };
            let series = Series { sketches: values.iter().map(|&v| Sketch::of(&mut [v])).collect(), ..series };
            let baseline = of(&series, &[], &[]).unwrap();
            baseline.interval.lower <= 100.0 && 100.0 <= baseline.interval.upper && baseline.sample_size == 28
        });
        let inside = inside.count();
        assert!(inside >= 184, "{inside} of 200 at a nominal 95 %");
    }

    #[test]
    fn shares_pool_their_executions() {
        let series = daily(Metric::ErrorRate, &[0.0, 0.1, 0.2, 0.1, 0.0, 0.5]);
        let baseline = of(&series, &[], &[]).unwrap();
        assert!((baseline.value - 0.08).abs() < 1e-12 && baseline.sample_size == 50);
        // statsmodels 0.15.0: proportion_confint(4, 50, .05, "wilson")
        assert!((baseline.interval.lower - 0.03154951408859295).abs() < 1e-9);
        assert!((baseline.interval.upper - 0.18838246918342838).abs() < 1e-9);
    }

    #[test]
    fn too_little_is_a_skip_with_numbers() {
        let few = of(&daily(Metric::ExecutionTime, &[1.0, 2.0, 3.0]), &[], &[]).unwrap_err();
        assert_eq!(few.reason, "2 buckets with data in the regime before the window under test, 3 needed");
        assert_eq!(few.analysis, "baselines");
    }

    #[test]
    fn nothing_panics() {
        for (name, values) in NAMED {
            for metric in Metric::ALL {
                let limit = if metric.is_ratio() { 1.0 } else { f64::INFINITY };
                let values: Vec<f64> = values.iter().map(|v| v.min(limit)).collect();
                if let Ok(baseline) = of(&daily(metric, &values), &[step_at(3, 1.0, 2.0)], &[]) {
                    assert!(
                        baseline.interval.lower <= baseline.value && baseline.value <= baseline.interval.upper,
                        "{name}"
                    );
                }
            }
        }
    }
}
