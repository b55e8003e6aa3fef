//! When executions began to scatter more, or less: a change that the level does not show.

use crate::series::{Centre, Series};
use crate::stats::sketch::{Sketch, Sketches};

/// Fewer executions a day have no tenths.
pub const MIN_EXECUTIONS: u32 = 10;
/// What a day's executions scatter by: how many times the fast tenth the slow tenth takes.
const TENTHS: (f64, f64) = (0.1, 0.9);

/// The series of the spread of `series`: by bucket, the 90th over the 10th percentile of its executions. NaN where there
/// are fewer than [`MIN_EXECUTIONS`] or the lower one is zero; none for a metric that executions are not the values of.
///
/// Logarithms of it are compared, as are those of levels: the spread counts in proportion to the level, and what scatters
/// by a hundredth may scatter by two without being worth telling.
#[must_use]
pub fn spread(series: &Series) -> Option<Series> {
    (series.key.metric.centre() == Centre::Median).then(|| Series {
        key: series.key.clone(),
        period_us: series.period_us,
        start_us: series.start_us,
        values: series.sketches.iter().zip(&series.counts).map(|(sketch, n)| ratio_of_tenths(&sketch, *n)).collect(),
        counts: series.counts.clone(),
        sketches: Sketches::default(),
    })
}

fn ratio_of_tenths<B: AsRef<[(i16, u32)]>>(sketch: &Sketch<B>, n: u32) -> f64 {
    let (low, high) = (sketch.quantile(TENTHS.0), sketch.quantile(TENTHS.1));
    if n >= MIN_EXECUTIONS && low > 0.0 { high / low } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{AnalysisParams, analyze_all};
    use crate::detect::common::CommonChanges;
    use crate::detect::fixtures::{NAMED, daily, noise};
    use crate::series::Metric;

    /// Ninety days of `per_day` executions round 100, with a scatter and a level on the log scale.
    fn scattered(seed: u64, per_day: usize, sigma: impl Fn(usize) -> f64, level: impl Fn(usize) -> f64) -> Series {
        let noise = noise(90 * per_day, seed);
        let mut series = daily(Metric::ExecutionTime, &[100.0; 90]);
        series.key.step = Some(format!("s{seed}"));
        let of_day = |day: usize| -> Vec<f64> {
            let errors = noise.iter().skip(day * per_day).take(per_day);
            errors.map(|e| 100.0 * (level(day) + sigma(day) * e).exp()).collect()
        };
        let days: Vec<Sketch> = (0..90).map(|day| Sketch::of(&mut of_day(day))).collect();
        series.values = days.iter().map(|day| day.quantile(0.5)).collect();
        series.counts = vec![per_day as u32; 90];
        series.sketches = days.into_iter().collect();
        series
    }

    /// Changes of spread, and of level.
    fn changes(series: &[Series]) -> Vec<(Vec<usize>, Vec<usize>)> {
        let (analyses, _) = analyze_all(series, &CommonChanges::default(), &AnalysisParams::default());
        let at = |changes: &[crate::detect::ChangePoint]| changes.iter().map(|change| change.index).collect();
        analyses.iter().map(|a| (at(&a.spread_changes), at(&a.change_points))).collect()
    }

    #[test]
    fn a_doubled_scatter_is_found_and_is_no_change_of_level() {
        let found = changes(&[scattered(1, 40, |day| if day >= 50 { 0.4 } else { 0.2 }, |_| 0.0)]);
        assert!(matches!(&found[0].0[..], [at] if at.abs_diff(50) <= 3), "{found:?}");
        assert!(found[0].1.is_empty(), "{found:?}");
    }

    #[test]
    fn a_change_of_level_is_none_of_spread() {
        let found = changes(&[scattered(2, 40, |_| 0.3, |day| if day >= 50 { 0.5 } else { 0.0 })]);
        assert!(found[0].0.is_empty() && matches!(&found[0].1[..], [at] if at.abs_diff(50) <= 1), "{found:?}");
    }

    #[test]
    fn the_effect_is_that_of_the_ratio_of_tenths() {
        let series = [scattered(3, 200, |day| if day < 45 { 0.5 } else { 0.25 }, |_| 0.0)];
        let (analyses, _) = analyze_all(&series, &CommonChanges::default(), &AnalysisParams::default());
        let [change] = &analyses[0].spread_changes[..] else { unreachable!("{:?}", analyses[0].spread_changes) };
        // A normal's tenths lie 2.5631 standard deviations apart.
        let (before, after) = ((0.5_f64 * 2.5631).exp(), (0.25_f64 * 2.5631).exp());
        assert!((change.before / before - 1.0).abs() < 0.03 && (change.after / after - 1.0).abs() < 0.03, "{change:?}");
        assert!(change.effect_lower < after / before && after / before < change.effect_upper, "{change:?}");
    }

    #[test]
    fn nothing_is_told_of_steady_scatter_or_of_few_executions() {
        let steady: Vec<Series> = (0..300).map(|k| scattered(10 + k, 12, |_| 0.3, |_| 0.0)).collect();
        let told = changes(&steady).iter().filter(|(spread, _)| !spread.is_empty()).count();
        assert!(told <= 3, "{told} of 300");
        let few = scattered(5, 9, |day| if day >= 50 { 1.0 } else { 0.1 }, |_| 0.0);
        let (analyses, skips) = analyze_all(&[few], &CommonChanges::default(), &AnalysisParams::default());
        assert!(analyses[0].spread_changes.is_empty());
        assert!(skips.iter().any(|skip| skip.analysis == "spread_changes"), "{skips:?}");
    }

    #[test]
    fn named_series_and_other_metrics_have_no_change_of_spread() {
        let series: Vec<Series> = NAMED.iter().map(|(_, values)| daily(Metric::ExecutionTime, values)).collect();
        assert!(changes(&series).iter().all(|(spread, _)| spread.is_empty()));
        assert!(spread(&daily(Metric::Throughput, &[3.0; 40])).is_none());
    }
}
