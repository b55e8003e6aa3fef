//! A step that is slower than it was.

use super::history::Executions;
use super::statistics::{median, rank_sum_p, robust_slope};
use super::{Finding, Scene, duration_text, instant_text, percent, severity};
use crate::analysis::Analysis;
use crate::graph::{Change, NotReplayable, Scratch};
use crate::series::Metric;
use crate::units::DAY_US;
use std::collections::BTreeMap;

/// Slower by less is within what users call normal.
const MIN_RATIO: f64 = 1.2;
const MAX_P_VALUE: f64 = 0.001;
/// A regime with fewer executions has no median to speak of.
const MIN_REGIME: usize = 8;
/// Medians and ranks of more executions cost time and change nothing.
const MAX_REGIME: usize = 2_000;
/// Sizes count where so many executions know them.
const KNOWN_SIZES: f64 = 0.9;
/// Without a change point the last quarter is compared, which must hold a whole week: a weekend is not a degradation.
const MIN_SPAN_US: i64 = 28 * DAY_US;

/// How much slower, and since when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slowdown {
    pub(crate) before_ms: f64,
    pub(crate) after_ms: f64,
    pub(crate) p_value: f64,
    pub(crate) since_us: i64,
    /// Growth of the median input over the same time, where sizes are known.
    pub(crate) input_ratio: Option<f64>,
    /// Whether the beginning is an accepted change point, or just the last quarter.
    pub(crate) at_change_point: bool,
}

impl Slowdown {
    pub(crate) fn ratio(&self) -> f64 {
        self.after_ms / self.before_ms
    }

    /// The change that undoes it.
    pub(crate) fn cure(&self, step: &str) -> Change {
        Change::Speedup { step: step.into(), factor: self.before_ms / self.after_ms }
    }
}

/// Compares the present regime with the fastest earlier one; none where it is not slower by effect and significance.
pub(crate) fn slowdown(executions: &Executions<'_>, analysis: &Analysis) -> Option<Slowdown> {
    let changes: Vec<i64> = analysis.change_points.iter().map(|change| change.at_us).collect();
    let at_change_point = !changes.is_empty();
    let edges = if at_change_point { changes } else { vec![last_quarter(analysis.span_us)?] };
    let since_us = edges.iter().copied().max()?;
    let mut regimes = regimes(executions, edges);
    let present = regimes.pop().filter(|rows| rows.len() >= MIN_REGIME)?;
    let earlier = regimes.into_iter().filter(|rows| rows.len() >= MIN_REGIME);
    let (before_ms, reference) =
        earlier.map(|rows| (median_ms(executions, &rows), rows)).min_by(|a, b| a.0.total_cmp(&b.0))?;
    let after_ms = median_ms(executions, &present);
    let (before_ms, p_value) = if at_change_point {
        (before_ms, rank_sum_p(&durations(executions, &reference), &durations(executions, &present)))
    } else {
        let (ratio, p_value) = drift(executions, &reference, &present);
        (after_ms / ratio, p_value)
    };
    (after_ms >= MIN_RATIO * before_ms && p_value < MAX_P_VALUE).then(|| Slowdown {
        before_ms,
        after_ms,
        p_value,
        since_us,
        input_ratio: input_ratio(executions, &reference, &present),
        at_change_point,
    })
}

/// How much slower `after` is than `before` for inputs of the same size, where sizes are known, and a rank-sum test of that
/// over days: executions of one day share their load and often their run, so each day counts once.
fn drift(executions: &Executions<'_>, before: &[u32], after: &[u32]) -> (f64, f64) {
    let size = |row: &u32| executions.get(&executions.samples.input_bytes, *row).ln();
    let sized: Vec<(f64, f64)> = (before.iter().chain(after))
        .map(|row| (size(row), executions.duration_ms(*row).ln()))
        .filter(|(size, _)| size.is_finite())
        .collect();
    let (x, y): (Vec<f64>, Vec<f64>) = sized.into_iter().unzip();
    let known = x.len() as f64 >= KNOWN_SIZES * (before.len() + after.len()) as f64;
    let growth = robust_slope(&x, &y, 0.95).filter(|_| known).map_or(0.0, |slope| slope.value);
    let of_size = |row: &u32| {
        let explained = growth * size(row);
        executions.duration_ms(*row).ln() - if explained.is_finite() { explained } else { 0.0 }
    };
    let by_day = |rows: &[u32]| -> Vec<f64> {
        let mut days: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for row in rows {
            days.entry(executions.started_us(*row).div_euclid(DAY_US)).or_default().push(of_size(row));
        }
        days.into_values().map(|mut day| median(&mut day)).collect()
    };
    let (mut before, mut after) = (by_day(before), by_day(after));
    let p_value = rank_sum_p(&before, &after);
    ((median(&mut after) - median(&mut before)).exp(), p_value)
}

fn last_quarter((first, last): (i64, i64)) -> Option<i64> {
    let span = last.saturating_sub(first);
    (span >= MIN_SPAN_US).then(|| last - span / 4)
}

/// The latest executions of each stretch between `edges`, oldest stretch first.
fn regimes(executions: &Executions<'_>, mut edges: Vec<i64>) -> Vec<Vec<u32>> {
    edges.sort_unstable();
    edges.dedup();
    let mut regimes = vec![Vec::new(); edges.len() + 1];
    for row in executions.measured().rev() {
        let regime = &mut regimes[edges.partition_point(|edge| *edge <= executions.started_us(row))];
        if regime.len() < MAX_REGIME {
            regime.push(row);
        }
    }
    regimes
}

fn durations(executions: &Executions<'_>, rows: &[u32]) -> Vec<f64> {
    rows.iter().map(|row| executions.duration_ms(*row)).collect()
}

fn median_ms(executions: &Executions<'_>, rows: &[u32]) -> f64 {
    median(&mut durations(executions, rows))
}

fn input_ratio(executions: &Executions<'_>, before: &[u32], after: &[u32]) -> Option<f64> {
    let typical = |rows: &[u32]| {
        let sizes = rows.iter().map(|row| executions.get(&executions.samples.input_bytes, *row));
        median(&mut sizes.filter(|size| size.is_finite()).collect::<Vec<_>>())
    };
    let ratio = typical(after) / typical(before);
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

pub(super) fn find(
    scene: &Scene<'_, '_>,
    step: &str,
    executions: &Executions<'_>,
    scratch: &mut Scratch,
) -> Result<Option<Finding>, NotReplayable> {
    let analysis = scene.history.analysis(Some(step), Metric::ExecutionTime);
    let Some((analysis, slow)) = analysis.and_then(|found| Some((found, slowdown(executions, found)?))) else {
        return Ok(None);
    };
    let saving = scene.ensemble.saving_since(slow.since_us, &[slow.cure(step)], scratch)?;
    Ok(Some(Finding {
        step: Some(step.to_owned()),
        kind: "slow_step",
        severity: severity(slow.ratio(), [1.5, 2.0, 4.0]),
        saving,
        description: format!(
            "{step} takes {} since {}, {:.2} times the {} that it took before; back there, a run would take {} less",
            duration_text(slow.after_ms),
            instant_text(slow.since_us),
            slow.ratio(),
            duration_text(slow.before_ms),
            percent(saving.published().share),
        ),
        causes: causes(&slow),
        evidence: evidence(scene, step, analysis, &slow),
        since_us: slow.since_us,
    }))
}

fn causes(slow: &Slowdown) -> Vec<String> {
    let mut causes = Vec::new();
    if let Some(grown) = slow.input_ratio.filter(|ratio| *ratio >= MIN_RATIO) {
        causes.push(format!("its input grew to {grown:.2} times the size"));
    }
    causes.push(if slow.at_change_point {
        format!("a change of code, configuration or surroundings around {}", instant_text(slow.since_us))
    } else {
        "a slow drift rather than one change".to_owned()
    });
    causes
}

fn evidence(scene: &Scene<'_, '_>, step: &str, analysis: &Analysis, slow: &Slowdown) -> Vec<String> {
    let mut evidence = Vec::new();
    if slow.at_change_point {
        evidence.push(format!("change_points:{}@{}", analysis.key, instant_text(slow.since_us)));
    }
    evidence.push(scene.history.evidence(Some(step), Metric::ExecutionTime));
    evidence
}
