//! What is learned about one series, and why not where nothing can be.

use crate::detect::baselines::{self, BaselineParams};
use crate::detect::change_points::{self, ChangePointParams, Input, Shift};
use crate::detect::common::CommonChanges;
use crate::detect::continuity::{Earlier, continued};
use crate::detect::levelling::{Levelled, Scale};
use crate::detect::spread::{self, MIN_EXECUTIONS};
use crate::detect::trends::{self, TrendParams};
use crate::detect::{Baseline, ChangePoint, Skip, SkipSubject, Trend};
use crate::forecast::Forecast;
use crate::series::{Centre, Series, SeriesKey};
use crate::stats::rank;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Everything learned about one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Which series.
    pub key: SeriesKey,
    /// First and last bucket with data.
    pub span_us: (i64, i64),
    /// Where the normal changed, oldest first.
    pub change_points: Vec<ChangePoint>,
    /// Where executions began to scatter more or less, oldest first; before and after are the ratio of the 90th to the
    /// 10th percentile of a day.
    pub spread_changes: Vec<ChangePoint>,
    /// What is normal in the present regime.
    pub baseline: Option<Baseline>,
    /// One per window that held enough data.
    pub trends: Vec<Trend>,
    /// What comes, for the series that are forecast.
    pub forecast: Option<Forecast>,
}

/// How series are analysed.
#[derive(Debug, Clone, Default)]
pub struct AnalysisParams {
    /// Change points.
    pub change_points: ChangePointParams,
    /// Baselines.
    pub baselines: BaselineParams,
    /// Trends.
    pub trends: TrendParams,
    /// Change points that were accepted as the new normal: start of the bucket ([`ChangePoint::at_us`]), by series.
    pub accepted_us: BTreeMap<SeriesKey, BTreeSet<i64>>,
    /// What the run before told of.
    pub earlier: Earlier,
}

impl AnalysisParams {
    /// Whether the change point of this series at this instant was accepted as the new normal.
    #[must_use]
    pub fn is_accepted(&self, key: &SeriesKey, at_us: i64) -> bool {
        self.accepted_us.get(key).is_some_and(|accepted| baselines::is_near(accepted, at_us))
    }
}

/// Change points, changes of spread, baselines and trends of every series, in the order of `series`, and what was left out for want of data.
/// Forecasts are left open.
///
/// `common` are changes that are known already; a series is searched for what they leave unexplained, under one false
/// discovery rate over all series. A series without any value yields a skip and no analysis. The result does not depend on
/// the number of threads.
#[must_use]
pub fn analyze_all(
    series: &[Series],
    common: &CommonChanges<'_>,
    params: &AnalysisParams,
) -> (Vec<Analysis>, Vec<Skip>) {
    let levelled: Vec<Levelled> = series.par_iter().map(Levelled::of_series).collect();
    let known: Vec<Vec<Shift>> = series.iter().zip(&levelled).map(|(one, l)| known_changes(one, l, common)).collect();
    let shifts = shifts_of_all(series, &levelled, known, &params.change_points);
    let spreads = spread_changes(series, params);
    let results: Vec<(Option<Analysis>, Vec<Skip>)> = series
        .par_iter()
        .zip(&levelled)
        .zip(shifts.into_par_iter().zip(spreads))
        .map(|((one, levelled), (shifts, spread))| analyze(one, levelled, shifts, spread, params))
        .collect();
    let (mut analyses, mut skips) = (Vec::with_capacity(results.len()), Vec::new());
    for (analysis, skipped) in results {
        analyses.extend(analysis);
        skips.extend(skipped);
    }
    (analyses, skips)
}

/// The changes of spread of each series, under a false discovery rate of their own.
fn spread_changes(series: &[Series], params: &AnalysisParams) -> Vec<(Vec<ChangePoint>, Vec<Skip>)> {
    let spreads: Vec<Option<(Series, Levelled)>> = series
        .par_iter()
        .map(|one| {
            let spread = spread::spread(one)?;
            let levelled = Levelled::of_series(&spread);
            Some((spread, levelled))
        })
        .collect();
    let inputs: Vec<Input<'_>> = spreads.iter().flatten().map(|(spread, levelled)| input(spread, levelled)).collect();
    let mut found = change_points::change_points_all(&inputs, &params.change_points).into_iter();
    let needed = params.change_points.min_values();
    let changes = spreads.iter().map(|spread| {
        let Some((spread, levelled)) = spread else { return (Vec::new(), Vec::new()) };
        let (shifts, mut skips) =
            continued(spread, levelled, found.next().unwrap_or_default(), params.earlier.of_spread());
        if levelled.n_finite() < needed {
            let n = levelled.n_finite();
            let reason = format!("{n} buckets with {MIN_EXECUTIONS} executions or more, {needed} needed");
            skips.push(skip(spread, "spread_changes", reason));
        }
        (shifts.iter().map(|shift| change_point(spread, shift, params)).collect(), skips)
    });
    changes.collect()
}

/// What is known of the series of a step, on its grid. Only logarithms can be corrected for it.
fn known_changes(series: &Series, levelled: &Levelled, common: &CommonChanges<'_>) -> Vec<Shift> {
    let Some(step) = series.key.step.as_deref().filter(|_| levelled.scale == Scale::Log) else { return Vec::new() };
    common.on((&series.key.workflow_type, step, series.key.metric), series.start_us, series.len())
}

/// The known changes of each series, and those of what they leave over, by position.
fn shifts_of_all(
    series: &[Series],
    levelled: &[Levelled],
    known: Vec<Vec<Shift>>,
    params: &ChangePointParams,
) -> Vec<Vec<Shift>> {
    let rest: Vec<Option<Levelled>> = (levelled.iter().zip(&known))
        .map(|(levelled, known)| {
            let steps = known.iter().map(|shift| (shift.index, shift.effect_ratio.ln()));
            (!known.is_empty()).then(|| {
                let mut rest = levelled.clone();
                rest.subtract_steps(steps);
                rest
            })
        })
        .collect();
    let inputs: Vec<Input<'_>> = (series.iter().zip(levelled).zip(&rest))
        .map(|((one, levelled), rest)| input(one, rest.as_ref().unwrap_or(levelled)))
        .collect();
    let found = change_points::change_points_all(&inputs, params);
    let merged = known
        .into_par_iter()
        .zip(found)
        .zip(levelled)
        .map(|((known, own), levelled)| if known.is_empty() { own } else { merge(known, own, levelled, params) });
    merged.collect()
}

/// Known changes with the levels of this series beside them, and its own where none is known.
fn merge(known: Vec<Shift>, own: Vec<Shift>, levelled: &Levelled, params: &ChangePointParams) -> Vec<Shift> {
    let is_new = |shift: &Shift| known.iter().all(|other| other.index.abs_diff(shift.index) >= params.min_segment);
    let own: Vec<Shift> = own
        .into_iter()
        .filter(is_new)
        .map(|shift| {
            let earlier = known.iter().filter(|other| other.index <= shift.index).map(|other| other.effect_ratio);
            let factor: f64 = earlier.product();
            Shift { before: shift.before * factor, after: shift.after * factor, ..shift }
        })
        .collect();
    let mut all: Vec<Shift> = known.iter().copied().chain(own).collect();
    all.sort_by_key(|shift| shift.index);
    let starts: Vec<usize> = std::iter::once(0).chain(all.iter().map(|shift| shift.index)).collect();
    for (shift, from) in all.iter_mut().zip(starts) {
        if known.iter().any(|other| other.index == shift.index) {
            let stretch = levelled.values.get(from..shift.index).unwrap_or_default();
            shift.before = rank::median(stretch).exp();
            shift.after = shift.before * shift.effect_ratio;
        }
    }
    all
}

fn input<'a>(series: &'a Series, levelled: &'a Levelled) -> Input<'a> {
    // A bucket's count is the value itself for throughput, and no measure of how well the value is known.
    let is_count = series.key.metric.centre() == Centre::Count;
    let counts = (!is_count).then_some(series.counts.as_slice());
    Input { levelled, counts }
}

fn analyze(
    series: &Series,
    levelled: &Levelled,
    shifts: Vec<Shift>,
    (spread_changes, unsaid): (Vec<ChangePoint>, Vec<Skip>),
    params: &AnalysisParams,
) -> (Option<Analysis>, Vec<Skip>) {
    let with_data: Vec<usize> =
        (0..series.len()).filter(|&i| series.values.get(i).is_some_and(|v| v.is_finite())).collect();
    let (Some(&first), Some(&last)) = (with_data.first(), with_data.last()) else {
        return (None, vec![skip(series, "analysis", "no bucket with data, 1 needed".to_owned())]);
    };
    let (shifts, mut skips) = continued(series, levelled, shifts, params.earlier.of_level());
    let change_points: Vec<ChangePoint> = shifts.iter().map(|shift| change_point(series, shift, params)).collect();
    let none = BTreeSet::new();
    let accepted_us = params.accepted_us.get(&series.key).unwrap_or(&none);
    let needed = params.change_points.min_values();
    if with_data.len() < needed {
        let reason = format!("{} buckets with data, {needed} needed", with_data.len());
        skips.push(skip(series, "change_points", reason));
    }
    skips.extend(unsaid);
    let baseline = baselines::baseline(series, &change_points, accepted_us, &params.baselines);
    let baseline = baseline.map_err(|why| skips.push(why)).ok();
    let trends = trends::trends(series, levelled, &params.trends);
    if trends.is_empty() && !params.trends.comparison_periods.is_empty() {
        let reason = format!(
            "{} buckets with data; a window needs {} and half of its days",
            with_data.len(),
            params.trends.min_points
        );
        skips.push(skip(series, "trends", reason));
    }
    let span_us = (series.bucket_start_us(first), series.bucket_start_us(last));
    let key = series.key.clone();
    (Some(Analysis { key, span_us, change_points, spread_changes, baseline, trends, forecast: None }), skips)
}

fn change_point(series: &Series, shift: &Shift, params: &AnalysisParams) -> ChangePoint {
    let Shift { index, before, after, effect_ratio, effect_lower, effect_upper, p_value } = *shift;
    let at_us = series.bucket_start_us(index);
    let level = params.change_points.level;
    ChangePoint { index, at_us, before, after, effect_ratio, effect_lower, effect_upper, level, p_value }
}

fn skip(series: &Series, analysis: &'static str, reason: String) -> Skip {
    Skip { analysis, subject: SkipSubject::Series(series.key.clone()), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::fixtures::{NAMED, at, daily, noisy};
    use crate::series::Metric;

    fn named(idx: usize, values: &[f64]) -> Series {
        let mut series = daily(Metric::ExecutionTime, values);
        series.key.step = Some(format!("step-{idx}"));
        series
    }

    #[test]
    fn every_series_is_analysed_or_says_why_not() {
        let series: Vec<Series> = NAMED.iter().enumerate().map(|(idx, (_, values))| named(idx, values)).collect();
        let (analyses, skips) = analyze_all(&series, &CommonChanges::default(), &AnalysisParams::default());
        for one in &series {
            let skipped = skips.iter().any(|s| s.subject == SkipSubject::Series(one.key.clone()));
            let whole = analyses.iter().any(|a| a.key == one.key && a.baseline.is_some() && !a.trends.is_empty());
            assert!(skipped || whole, "{}", one.key);
        }
        assert!(analyses.is_sorted_by_key(|a| series.iter().position(|s| s.key == a.key)));
    }

    #[test]
    fn a_regression_is_found_and_kept_out_until_accepted() {
        let values = noisy(90, 1, 0.05, |i| if i >= 50 { 0.4 } else { 0.0 });
        let series = [named(0, &values)];
        let (open, _) = analyze_all(&series, &CommonChanges::default(), &AnalysisParams::default());
        assert_eq!(open[0].change_points.len(), 1);
        let point = &open[0].change_points[0];
        assert!(point.index.abs_diff(50) <= 1 && point.at_us == at(point.index));
        assert_eq!(open[0].baseline.as_ref().map(|b| b.regime_start_us), Some(at(0)));
        let accepted_us = BTreeMap::from([(series[0].key.clone(), BTreeSet::from([point.at_us]))]);
        let (accepted, _) =
            analyze_all(&series, &CommonChanges::default(), &AnalysisParams { accepted_us, ..Default::default() });
        assert_eq!(accepted[0].baseline.as_ref().map(|b| b.regime_start_us), Some(point.at_us));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let series: Vec<Series> = (0..60)
            .map(|k| named(k, &noisy(90, k as u64, 0.1, |i| if i >= 30 + k { 0.05 * (k % 5) as f64 } else { 0.0 })))
            .collect();
        let on = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().ok();
            pool.map(|p| {
                p.install(|| {
                    format!("{:?}", analyze_all(&series, &CommonChanges::default(), &AnalysisParams::default()))
                })
            })
        };
        assert!(on(1).is_some());
        assert_eq!(on(1), on(4));
    }
}
