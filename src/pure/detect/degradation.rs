//! Whether the latest window is worse than the same hours of the week used to be.
//!
//! A degradation needs both effect and significance, and like is compared with like: a Saturday with Saturdays.

use crate::detect::ChangePoint;
use crate::detect::baselines::{self, BaselineParams, buckets_in};
use crate::detect::change_points::Scale;
use crate::detect::levelling::Cycle;
use crate::series::{Better, Series, SeriesKey};
use crate::stats::{dist, fdr, rank};
use crate::units::{DAY_US, Interval, Level};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;

/// Scale of the noise below which a regime counts as constant, relative (log scale) or absolute (shares): the width of
/// a bin of the sketches, whose values are not known better.
const MIN_SIGMA: f64 = 0.01;

/// How the latest window is judged.
///
/// | field | default | range | purpose |
/// |---|---|---|---|
/// | `threshold` | 0.2 | > 0 | relative degradation worth an alert |
/// | `min_difference` | 0.01 | ≥ 0 | absolute degradation of a share (0-1) worth an alert |
/// | `window_us` | one hour | > 0 | the latest stretch, rounded up to whole buckets |
/// | `baseline_days` | 30 | ≥ 1 | how far back it is compared |
/// | `min_like` | 3 | ≥ 2 | earlier buckets of the same hour of the week |
/// | `fdr` | 0.05 | 0-1 | share of false ones among those that are reported |
/// | `level` | 0.95 | 0-1 | coverage of the ratio's interval |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DegradationParams {
    /// Smallest relative degradation.
    pub threshold: f64,
    /// Smallest absolute degradation of a share.
    pub min_difference: f64,
    /// Length of the window under test.
    pub window_us: i64,
    /// Days back at most.
    pub baseline_days: u32,
    /// Fewest earlier buckets that are alike.
    pub min_like: usize,
    /// False discovery rate over all series that are judged together.
    pub fdr: f64,
    /// Coverage of the interval.
    pub level: Level,
}

impl Default for DegradationParams {
    fn default() -> Self {
        Self {
            threshold: 0.2,
            min_difference: 0.01,
            window_us: crate::units::HOUR_US,
            baseline_days: 30,
            min_like: 3,
            fdr: 0.05,
            level: Level::DEFAULT,
        }
    }
}

/// The latest window beside its like.
#[derive(Debug, Clone, PartialEq)]
pub struct Degradation {
    /// Start of the window.
    pub window_start_us: i64,
    /// Centre in the window, in the metric's unit.
    pub observed: f64,
    /// Centre of the like buckets of the regime.
    pub expected: f64,
    /// `observed / expected`; above 1 is worse for durations and the like, below 1 for cache hits. Infinite where a
    /// share was 0.
    pub ratio: f64,
    /// Interval of the ratio, bucket-to-bucket noise included.
    pub interval: Interval,
    /// One-sided significance of a change for the worse.
    pub p_value: f64,
    /// Earlier buckets that it was compared with.
    pub n_like: usize,
    /// Executions in the window.
    pub sample_size: u64,
    /// Whether the effect reaches the threshold; significance is judged over all series ([`degradations`]).
    pub is_large: bool,
}

/// A series with what is known of its regimes: the latest window is compared with the regime that counts as normal.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The series.
    pub series: &'a Series,
    /// Its change points, oldest first.
    pub change_points: &'a [ChangePoint],
    /// The instants of those that were accepted.
    pub accepted_us: &'a BTreeSet<i64>,
}

/// The latest window of one series beside the same hours of the week of its regime; none where neither way is worse,
/// the window is empty, or fewer than `min_like` earlier buckets are alike.
///
/// Like is the same hour (day) of the week; where too few of those are left, the same hour on the same kind of day
/// (weekday or weekend), then the same kind of day. A prediction interval by Student's t: the window is compared with
/// the scatter of single buckets about their like, not with the scatter of executions, because whole days differ.
#[must_use]
pub fn degradation(judged: Judged<'_>, params: &DegradationParams) -> Option<Degradation> {
    let Judged { series, change_points, accepted_us } = judged;
    let sign = match series.key.metric.better() {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
        Better::Neither => return None,
    };
    let split = series.len().checked_sub(buckets_in(params.window_us, series.period_us).max(1))?;
    let held_out = BaselineParams { test_window_us: params.window_us, ..BaselineParams::default() };
    let regime = baselines::regime(series, change_points, accepted_us, &held_out);
    let days = buckets_in(i64::from(params.baseline_days) * DAY_US, series.period_us);
    let past = regime.start.max(regime.end.saturating_sub(days))..regime.end.min(split);
    let (values, scale) = Scale::of(series.key.metric).apply(&series.values);
    let contrast = Contrast::of(series, &values, past, split, params.min_like.max(2))?;
    Some(contrast.judge(series, scale, sign, params))
}

/// The degradations that are large and, under one false discovery rate over all series that could be judged,
/// significant. In the order of `judged`.
#[must_use]
pub fn degradations(judged: &[Judged<'_>], params: &DegradationParams) -> Vec<(SeriesKey, Degradation)> {
    let all: Vec<Option<Degradation>> = judged.par_iter().map(|&one| degradation(one, params)).collect();
    let p_values: Vec<f64> = all.iter().flatten().map(|d| d.p_value).collect();
    let cutoff = fdr::benjamini_hochberg(&p_values, p_values.len(), params.fdr);
    let pairs = judged.iter().zip(all).filter_map(|(one, d)| Some((one.series.key.clone(), d?)));
    pairs.filter(|(_, d)| d.is_large && d.p_value <= cutoff).collect()
}

/// The window's departure from its like, on the working scale.
struct Contrast {
    split: usize,
    observed: f64,
    expected: f64,
    sigma: f64,
    df: f64,
    n_like: usize,
    past: Vec<usize>,
}

impl Contrast {
    /// Of several buckets in a window each is compared with its own like, and the median departure counts.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn of(series: &Series, values: &[f64], past: Range<usize>, split: usize, min_like: usize) -> Option<Self> {
        let calendar = Calendar::of(series);
        let finite = |i: &usize| values.get(*i).is_some_and(|v| v.is_finite());
        let past: Vec<usize> = past.filter(finite).collect();
        let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        let (mut observed, mut expected, mut n_like, mut kind) = (Vec::new(), Vec::new(), usize::MAX, 0);
        for i in (split..series.len()).filter(finite) {
            let (like, likeness) = calendar.like(i, &past, min_like)?;
            observed.push(at(i));
            expected.push(rank::median(&like.iter().map(|&j| at(j)).collect::<Vec<_>>()));
            n_like = n_like.min(like.len());
            kind = kind.max(likeness);
        }
        if observed.is_empty() {
            return None;
        }
        let (residuals, groups) = calendar.residuals(&past, values, kind);
        let df = (residuals.len() as f64 - groups as f64).max(1.0);
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        let sigma = (squares / df).sqrt().max(MIN_SIGMA);
        let (observed, expected) = (rank::median(&observed), rank::median(&expected));
        Some(Self { split, observed, expected, sigma, df, n_like, past })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn judge(&self, series: &Series, scale: Scale, sign: f64, params: &DegradationParams) -> Degradation {
        let difference = self.observed - self.expected;
        // The expected level is a median of n values: π/2 times the variance of their mean.
        let of_expected = std::f64::consts::FRAC_PI_2 / self.n_like as f64;
        let se = self.sigma * (self.relative_variance(series) + of_expected).sqrt();
        let reach = dist::t_quantile(1.0 - 0.5 * params.level.alpha(), self.df) * se;
        let ratio_of =
            |d: f64| if scale == Scale::Log { d.exp() } else { (self.expected + d).max(0.0) / self.expected };
        let unit = |v: f64| if scale == Scale::Log { v.exp() } else { v };
        let ratio = ratio_of(difference);
        let is_relevant = scale != Scale::Share || sign * difference >= params.min_difference;
        let p_noise = dist::t_sf(sign * difference / se, self.df);
        let p_value = if scale == Scale::Share { p_noise.max(self.binomial_p(series, sign)) } else { p_noise };
        Degradation {
            window_start_us: series.bucket_start_us(self.split),
            observed: unit(self.observed),
            expected: unit(self.expected),
            ratio,
            interval: Interval {
                lower: ratio_of(difference - reach),
                upper: ratio_of(difference + reach),
                level: params.level,
            },
            p_value,
            n_like: self.n_like,
            sample_size: (self.split..series.len()).map(|i| u64::from(executions(series, i))).sum(),
            is_large: sign * (ratio - 1.0) >= params.threshold && is_relevant,
        }
    }

    /// A window of fewer executions than usual is noisier than its like, at most in inverse proportion.
    fn relative_variance(&self, series: &Series) -> f64 {
        let typical = |idx: &mut dyn Iterator<Item = usize>| {
            rank::median(&idx.map(|i| f64::from(executions(series, i))).filter(|c| *c > 0.0).collect::<Vec<_>>())
        };
        let usual = typical(&mut self.past.iter().copied());
        (usual / typical(&mut (self.split..series.len()))).max(1.0)
    }

    /// Chance of a share this bad in as many executions as the window has, at the rate of past and window together: one
    /// failed run alone is no degradation.
    fn binomial_p(&self, series: &Series, sign: f64) -> f64 {
        let tally = |idx: &mut dyn Iterator<Item = usize>| {
            idx.filter_map(|i| {
                Some((*series.values.get(i).filter(|v| v.is_finite())?, f64::from(executions(series, i))))
            })
            .fold((0.0, 0.0), |(hits, n), (share, count)| (hits + share * count, n + count))
        };
        let (hits, n) = tally(&mut (self.split..series.len()));
        let (past_hits, past_n) = tally(&mut self.past.iter().copied());
        let rate = (past_hits + hits + 0.5) / (past_n + n + 1.0);
        let hits = hits.round();
        let (at_least, at_most) =
            (dist::beta_cdf(rate, hits, n - hits + 1.0), dist::beta_cdf(1.0 - rate, n - hits, hits + 1.0));
        let p = if sign > 0.0 { at_least } else { at_most };
        if p.is_nan() { 1.0 } else { p }
    }
}

fn executions(series: &Series, idx: usize) -> u32 {
    series.counts.get(idx).copied().unwrap_or(0)
}

/// Kinds of likeness, from the narrowest to the widest.
const N_KINDS: usize = 3;

/// Tells which buckets are alike.
struct Calendar {
    hour: Cycle,
    week: Cycle,
    weekend: Cycle,
}

impl Calendar {
    fn of(series: &Series) -> Self {
        let cycles = Cycle::of_grid(series.period_us, series.start_us);
        let weekend = cycles.iter().copied().find(|c| matches!(c, Cycle::Weekend { .. }));
        let weekend = weekend.unwrap_or(Cycle::Phase { length: 1 });
        let per_week = weekend.turn();
        Self { hour: Cycle::Phase { length: (per_week / 7).max(1) }, week: Cycle::Phase { length: per_week }, weekend }
    }

    /// A label that alike buckets share.
    fn label(&self, idx: usize, kind: usize) -> (usize, usize) {
        match kind {
            0 => (self.week.group(idx), 0),
            1 => (self.hour.group(idx), self.weekend.group(idx)),
            _ => (0, self.weekend.group(idx)),
        }
    }

    /// The past buckets like `idx`, by the narrowest likeness that `min_like` of them share; none where none does.
    fn like(&self, idx: usize, past: &[usize], min_like: usize) -> Option<(Vec<usize>, usize)> {
        (0..N_KINDS).find_map(|kind| {
            let label = self.label(idx, kind);
            let like: Vec<usize> = past.iter().copied().filter(|&i| self.label(i, kind) == label).collect();
            (like.len() >= min_like).then_some((like, kind))
        })
    }

    /// Departures of past buckets from the median of their like, and how many groups they form.
    fn residuals(&self, past: &[usize], values: &[f64], kind: usize) -> (Vec<f64>, usize) {
        let mut labelled: Vec<((usize, usize), f64)> =
            past.iter().filter_map(|&i| Some((self.label(i, kind), *values.get(i)?))).collect();
        labelled.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (mut residuals, mut groups) = (Vec::with_capacity(labelled.len()), 0);
        for group in labelled.chunk_by(|a, b| a.0 == b.0) {
            let middle = rank::median(&group.iter().map(|(_, v)| *v).collect::<Vec<_>>());
            residuals.extend(group.iter().map(|(_, v)| v - middle));
            groups += 1;
        }
        (residuals, groups)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::detect::fixtures::{NAMED, daily, hourly, noisy, step_at};
    use crate::series::Metric;

    fn judge(series: &Series, points: &[ChangePoint]) -> Option<Degradation> {
        let accepted_us = BTreeSet::new();
        degradation(Judged { series, change_points: points, accepted_us: &accepted_us }, &DegradationParams::default())
    }

    fn alarms(series: &Series) -> bool {
        let accepted_us = BTreeSet::new();
        !degradations(
            &[Judged { series, change_points: &[], accepted_us: &accepted_us }],
            &DegradationParams::default(),
        )
        .is_empty()
    }

    /// Four weeks of hours with a daily wave, slower weekends, and 5 % noise.
    fn hours(n: usize, seed: u64, last: f64) -> Series {
        let values = noisy(n, seed, 0.05, |i| {
            let wave = 0.4 * (i as f64 * std::f64::consts::TAU / 24.0).sin();
            wave + if i / 24 % 7 >= 5 { 0.5 } else { 0.0 } + if i + 1 == n { last } else { 0.0 }
        });
        hourly(Metric::ExecutionTime, &values)
    }

    #[test]
    fn a_slow_hour_is_told_from_a_busy_hour_and_a_weekend() {
        // 26 days from a Monday end on a Friday; 27 days on the first Saturday hour after it.
        for n in [26 * 24, 26 * 24 + 9, 26 * 24 + 24 + 1, 26 * 24 + 30] {
            assert!(!alarms(&hours(n, 1, 0.0)), "quiet, {n} hours");
            assert!(alarms(&hours(n, 1, 0.4)), "slow, {n} hours");
        }
    }

    #[test]
    fn effect_and_significance_are_both_needed() {
        let small = judge(&hours(26 * 24, 6, 0.17), &[]).unwrap();
        assert!(!small.is_large && small.p_value < 0.05, "{small:?}");
        let loud = |seed| daily(Metric::ExecutionTime, &noisy(60, seed, 0.4, |_| 0.0));
        let by_chance = (0..300).filter(|&seed| alarms(&loud(seed))).count();
        assert!(by_chance <= 24, "{by_chance} of 300 at a nominal 5 %");
    }

    #[test]
    fn the_ratio_and_its_interval() {
        let found = judge(&hours(26 * 24, 4, 0.4), &[]).unwrap();
        assert!(found.interval.lower < 0.4_f64.exp() && 0.4_f64.exp() < found.interval.upper, "{found:?}");
        assert!((found.observed / found.expected - found.ratio).abs() < 1e-9);
    }

    #[test]
    fn a_regression_that_is_open_still_counts() {
        let values = noisy(60, 5, 0.05, |i| if i >= 20 { 0.5 } else { 0.0 });
        let series = daily(Metric::ExecutionTime, &values);
        assert!(!judge(&series, &[]).unwrap().is_large);
        assert!(judge(&series, &[step_at(20, 100.0, 165.0)]).unwrap().is_large);
    }

    #[test]
    fn one_failure_is_no_degradation() {
        let quiet = |last, count| {
            let mut values = vec![0.0; 60];
            values[59] = last;
            Series { counts: vec![count; 60], ..daily(Metric::ErrorRate, &values) }
        };
        assert!(judge(&quiet(1.0, 1), &[]).unwrap().p_value > 0.01);
        assert!(judge(&quiet(0.3, 100), &[]).unwrap().p_value < 1e-9);
    }

    #[test]
    fn nothing_panics() {
        for (name, values) in NAMED {
            for metric in Metric::ALL {
                for series in [daily(metric, values), hourly(metric, values)] {
                    let p_value = judge(&series, &[]).map_or(0.5, |d| d.p_value);
                    assert!((0.0..=1.0).contains(&p_value), "{name} {metric}");
                }
            }
        }
    }
}
