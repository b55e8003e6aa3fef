//! A step that is slower than it was.

use super::history::Executions;
use super::statistics::{median, quantile, quantile_test_over_days_p, quantile_test_p, rank_sum_p, robust_slope};
use super::{Finding, Scene, duration_text, instant_text, percent, severity};
use crate::analysis::Analysis;
use crate::graph::{Change, NotReplayable, Scratch};
use crate::series::Metric;
use crate::units::DAY_US;
use std::collections::BTreeMap;

/// Slower by less is within what users call normal.
pub(crate) const MIN_RATIO: f64 = 1.2;
pub(crate) const MAX_P_VALUE: f64 = 0.001;
/// A regime with fewer executions has no median to speak of.
pub(crate) const MIN_REGIME: usize = 8;
/// Of the executions of a regime, expected beyond the percentile that is compared: half of those above.
const MIN_BEYOND: f64 = 4.0;
/// Medians and ranks of more executions cost time and change nothing.
const MAX_REGIME: usize = 2_000;
/// Sizes count where so many executions know them.
const KNOWN_SIZES: f64 = 0.9;
/// Without a change point the last quarter is compared, which must hold a whole week: a weekend is not a degradation.
const MIN_SPAN_US: i64 = 28 * DAY_US;

/// The percentile of a regime's durations that is compared with that of an earlier regime: by default the median; 95 finds a
/// step whose tail became slower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile(u8);

impl Percentile {
    /// The median.
    pub const MEDIAN: Self = Self(50);

    /// None outside 1-99.
    #[must_use]
    pub fn new(percentile: u8) -> Option<Self> {
        (1..=99).contains(&percentile).then_some(Self(percentile))
    }

    fn share(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Executions that a regime needs to have such a percentile.
    fn min_regime(self) -> usize {
        let beyond = self.share().min(1.0 - self.share());
        ((MIN_BEYOND / beyond - 1e-9).ceil() as usize).max(MIN_REGIME)
    }

    /// What it is of a step, for a sentence; nothing for the median, which stands for the step as such.
    pub(crate) fn of_text(self, step: &str) -> String {
        let ordinal = match (self.0 / 10, self.0 % 10) {
            (1, _) => "th",
            (_, 1) => "st",
            (_, 2) => "nd",
            (_, 3) => "rd",
            _ => "th",
        };
        if self == Self::MEDIAN { step.to_owned() } else { format!("the {}{ordinal} percentile of {step}", self.0) }
    }

    /// `duration_ms`, `duration_p95_ms`.
    pub(crate) fn target(self) -> String {
        if self == Self::MEDIAN { "duration_ms".to_owned() } else { format!("duration_p{}_ms", self.0) }
    }
}

impl Default for Percentile {
    fn default() -> Self {
        Self::MEDIAN
    }
}

/// What says since when a step is slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// A change point of its duration.
    ChangePoint,
    /// A change of its scatter.
    SpreadChange,
    /// Nothing: the last quarter of the window is compared.
    LastQuarter,
}

/// How much slower, and since when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slowdown {
    pub(crate) percentile: Percentile,
    pub(crate) before_ms: f64,
    pub(crate) after_ms: f64,
    pub(crate) p_value: f64,
    pub(crate) since_us: i64,
    /// Growth of the median input over the same time, where sizes are known.
    pub(crate) input_ratio: Option<f64>,
    pub(crate) since: Since,
}

impl Slowdown {
    pub(crate) fn ratio(&self) -> f64 {
        self.after_ms / self.before_ms
    }

    /// The change that undoes it. Of a tail only the executions that are longer than it was become shorter.
    pub(crate) fn cure(&self, step: &str) -> Change {
        let factor = self.before_ms / self.after_ms;
        match self.percentile.share() > 0.5 {
            true => Change::Tail { step: step.into(), above_ms: self.before_ms, factor },
            false => Change::Speedup { step: step.into(), factor },
        }
    }
}

/// Where regimes begin, and what says so of the latest. A tail may change where the level does not: then changes of scatter
/// count, too.
fn edges(analysis: &Analysis, percentile: Percentile) -> Option<(Vec<i64>, Since)> {
    let levels = analysis.change_points.iter().map(|change| (change.at_us, Since::ChangePoint));
    let spreads = analysis.spread_changes.iter().map(|change| (change.at_us, Since::SpreadChange));
    let spreads = spreads.filter(|_| percentile != Percentile::MEDIAN);
    let told: Vec<(i64, Since)> = spreads.chain(levels).collect();
    match told.iter().max_by_key(|(at_us, _)| *at_us) {
        Some((_, since)) => Some((told.iter().map(|(at_us, _)| *at_us).collect(), *since)),
        None => Some((vec![last_quarter(analysis.span_us)?], Since::LastQuarter)),
    }
}

/// Compares the present regime with the fastest earlier one; none where it is not slower by effect and significance.
pub(crate) fn slowdown(executions: &Executions<'_>, analysis: &Analysis, percentile: Percentile) -> Option<Slowdown> {
    let (edges, since) = edges(analysis, percentile)?;
    let since_us = edges.iter().copied().max()?;
    let typical_ms = |rows: &[u32]| quantile(&mut durations(executions, rows), percentile.share());
    let mut regimes = regimes(executions, edges);
    let present = regimes.pop().filter(|rows| rows.len() >= percentile.min_regime())?;
    let earlier = regimes.into_iter().filter(|rows| rows.len() >= percentile.min_regime());
    let (before_ms, reference) = earlier.map(|rows| (typical_ms(&rows), rows)).min_by(|a, b| a.0.total_cmp(&b.0))?;
    let after_ms = typical_ms(&present);
    let (before_ms, p_value) = if since == Since::LastQuarter {
        let (ratio, p_value) = drift(executions, &reference, &present, percentile);
        (after_ms / ratio, p_value)
    } else {
        let (before, after) = (durations(executions, &reference), durations(executions, &present));
        let p_value = match percentile {
            Percentile::MEDIAN => rank_sum_p(&before, &after),
            _ => quantile_test_p(&before, &after, percentile.share()),
        };
        (before_ms, p_value)
    };
    (after_ms >= MIN_RATIO * before_ms && p_value < MAX_P_VALUE).then(|| Slowdown {
        percentile,
        before_ms,
        after_ms,
        p_value,
        since_us,
        input_ratio: input_ratio(executions, &reference, &present),
        since,
    })
}

/// How much slower `after` is than `before` for inputs of the same size, where sizes are known, and a test of that over days:
/// executions of one day share their load and often their run, so each day counts once. Of medians it is a rank-sum test, of
/// other percentiles one of how many executions lie above.
fn drift(executions: &Executions<'_>, before: &[u32], after: &[u32], percentile: Percentile) -> (f64, f64) {
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
    let day = |row: &u32| executions.started_us(*row).div_euclid(DAY_US);
    if percentile != Percentile::MEDIAN {
        let dated = |rows: &[u32]| rows.iter().map(|row| (day(row), of_size(row))).collect::<Vec<(i64, f64)>>();
        let typical = |rows: &[u32]| quantile(&mut rows.iter().map(of_size).collect::<Vec<f64>>(), percentile.share());
        let p_value = quantile_test_over_days_p(&dated(before), &dated(after), percentile.share());
        return ((typical(after) - typical(before)).exp(), p_value);
    }
    let by_day = |rows: &[u32]| -> Vec<f64> {
        let mut days: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for row in rows {
            days.entry(day(row)).or_default().push(of_size(row));
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
pub(crate) fn regimes(executions: &Executions<'_>, mut edges: Vec<i64>) -> Vec<Vec<u32>> {
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

pub(crate) fn median_ms(executions: &Executions<'_>, rows: &[u32]) -> f64 {
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
    let Some((analysis, slow)) =
        analysis.and_then(|found| Some((found, slowdown(executions, found, scene.percentile)?)))
    else {
        return Ok(None);
    };
    let saving = scene.ensemble.saving_since(slow.since_us, &[slow.cure(step)], scratch)?;
    Ok(Some(Finding {
        step: Some(step.to_owned()),
        kind: "slow_step",
        severity: severity(slow.ratio(), [1.5, 2.0, 4.0]),
        saving,
        description: format!(
            "{} takes {} since {}, {:.2} times the {} that it took before; back there, a run would take {} less",
            slow.percentile.of_text(step),
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
    causes.push(match slow.since {
        Since::LastQuarter => "a slow drift rather than one change".to_owned(),
        _ => format!("a change of code, configuration or surroundings around {}", instant_text(slow.since_us)),
    });
    causes
}

fn evidence(scene: &Scene<'_, '_>, step: &str, analysis: &Analysis, slow: &Slowdown) -> Vec<String> {
    let table = match slow.since {
        Since::ChangePoint => Some("change_points"),
        Since::SpreadChange => Some("spread_changes"),
        Since::LastQuarter => None,
    };
    let change = table.map(|table| format!("{table}:{}@{}", analysis.key, instant_text(slow.since_us)));
    change.into_iter().chain([scene.history.evidence(Some(step), Metric::ExecutionTime)]).collect()
}
