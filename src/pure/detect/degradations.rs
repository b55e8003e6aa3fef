//! What got slower in the latest stretch of time, beside like executions before it.
//!
//! A change point needs days to show; this asks of the last hour alone. Each execution is compared with what its step,
//! input size, provider, platform and hour of the week let expect (see `anomalies`), so that a large input or a weekend
//! is no loss. The regime that counts as normal is that of the baseline: a regression that nobody accepted is not what
//! executions are compared with. Executions of one window share what happened in it; how much windows differ is learned
//! from earlier ones, and with that a window of many executions is no more certain than it should be. A single spike is
//! drawn in and degrades nothing.

use super::anomalies::Detectors;
use super::{Skip, SkipSubject};
use crate::learn::dataset::groups;
use crate::samples::Samples;
use crate::stats::dist;
use crate::stats::fdr::benjamini_hochberg;
use crate::stats::robust::median_and_mad;
use crate::units::{DAY_US, Interval, Level};
use std::collections::BTreeMap;

/// Name of the analysis in `skips`.
const ANALYSIS: &str = "degradations";
/// Executions in the window without which nothing can be said of a step.
const MIN_NOW: usize = 5;
/// Executions before it.
const MIN_BEFORE: usize = 30;
/// Earlier windows with two executions or more: fewer do not show how much windows differ.
const MIN_WINDOWS: usize = 5;
/// With less history the same hour of the week has not been seen.
const MIN_HISTORY_US: i64 = 8 * DAY_US;
/// Executions farther off their like are drawn in to so many scales.
const DRAWN_IN: f64 = 3.0;
/// Share of false ones among the degradations of a run.
const FALSE_DISCOVERIES: f64 = 0.05;

/// What counts as a degradation.
///
/// | field | default | range | purpose |
/// |---|---|---|---|
/// | `threshold` | 0.2 | > 0 | relative loss from which it counts |
/// | `window_us` | one hour | > 0 | latest stretch, ending at the cutoff |
/// | `baseline_days` | 30 | ≥ 8 | how far back like executions are looked for |
/// | `level` | 0.95 | 0-1 | coverage of the interval of the loss |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DegradationParams {
    /// Relative loss from which it counts.
    pub threshold: f64,
    /// Length of the latest stretch.
    pub window_us: i64,
    /// How far back like executions are looked for.
    pub baseline_days: u32,
    /// Coverage of the interval of the loss.
    pub level: Level,
}

impl Default for DegradationParams {
    fn default() -> Self {
        Self { threshold: 0.2, window_us: 3_600_000_000, baseline_days: 30, level: Level::DEFAULT }
    }
}

/// A step of a workflow that took longer in the latest window than like executions before.
#[derive(Debug, Clone, PartialEq)]
pub struct Degradation {
    /// The workflow's type.
    pub workflow_type: String,
    /// The workflow.
    pub workflow_id: String,
    /// The derived step.
    pub step: String,
    /// Executions in the window.
    pub n: usize,
    /// Like executions before.
    pub n_before: usize,
    /// Geometric mean of what they took, outliers drawn in.
    pub observed_ms: f64,
    /// Geometric mean of what was expected of these very executions.
    pub expected_ms: f64,
    /// `observed_ms / expected_ms`.
    pub ratio: f64,
    /// Of `ratio`.
    pub interval: Interval,
    /// Of no loss at all, one-sided.
    pub p_value: f64,
    /// Beginning and end of the window.
    pub window_us: (i64, i64),
}

/// Beginning and end of the regime that is normal for a workflow's step.
pub type Regimes<'a> = BTreeMap<(&'a str, &'a str), (i64, i64)>;

/// The degradations among `recent`, the executions that ended in the window up to `as_of_us` in parts that have words of
/// their own, beside `samples`, those before it. The largest loss comes first; one false discovery rate covers all steps
/// that could be judged. `regimes` says, by workflow and step, which executions are normal; a step that is not in it is
/// compared with those of the last `baseline_days`. What ran in the window and could not be judged is counted in a skip of
/// its workflow type.
#[must_use]
pub fn degradations(
    samples: &Samples,
    recent: &[Samples],
    detectors: &Detectors,
    regimes: &Regimes<'_>,
    as_of_us: i64,
    params: &DegradationParams,
) -> (Vec<Degradation>, Vec<Skip>) {
    let window_us = (as_of_us.saturating_sub(params.window_us), as_of_us);
    let is_now = |ended_us: i64| ended_us > window_us.0 && ended_us <= window_us.1;
    let mut now: BTreeMap<&str, BySeries<'_>> = BTreeMap::new();
    for part in recent {
        for (workflow_type, rows) in groups(part) {
            let of_type = now.entry(workflow_type).or_default();
            beside(detectors, workflow_type, part, &rows, |_, ended_us| is_now(ended_us), of_type);
        }
    }
    let from_us = as_of_us.saturating_sub(i64::from(params.baseline_days).saturating_mul(DAY_US));
    let of_samples = groups(samples);
    let (mut judged, mut skips) = (Vec::new(), Vec::new());
    for (workflow_type, now) in now {
        let mut before = BySeries::new();
        let is_normal = |series: Series<'_>, ended_us: i64| {
            let (start_us, end_us) = regimes.get(&series).copied().unwrap_or((i64::MIN, i64::MAX));
            let from_us = from_us.max(start_us);
            now.contains_key(&series) && ended_us >= from_us && ended_us < end_us && ended_us <= window_us.0
        };
        let rows = of_samples.get(workflow_type).map_or(&[][..], Vec::as_slice);
        beside(detectors, workflow_type, samples, rows, is_normal, &mut before);
        let found: Vec<Degradation> = now
            .iter()
            .filter_map(|(series, now)| judge(workflow_type, *series, now, before.get(series)?, window_us, params))
            .collect();
        skips.extend((found.len() < now.len()).then(|| skip(workflow_type, now.len() - found.len())));
        judged.extend(found);
    }
    let p_values: Vec<f64> = judged.iter().map(|one| one.p_value).collect();
    let limit = benjamini_hochberg(&p_values, judged.len(), FALSE_DISCOVERIES);
    judged.retain(|one| one.p_value <= limit && one.ratio - 1.0 >= params.threshold);
    judged.sort_by(|a, b| b.ratio.total_cmp(&a.ratio).then_with(|| a.key().cmp(&b.key())));
    (judged, skips)
}

impl Degradation {
    fn key(&self) -> (&str, &str) {
        (&self.workflow_id, &self.step)
    }
}

fn skip(workflow_type: &str, n: usize) -> Skip {
    let reason = format!(
        "{n} steps ran in the latest window and could not be judged: {MIN_NOW} executions in it, and {MIN_BEFORE} over \
         {} days in the regime before it, are needed",
        MIN_HISTORY_US / DAY_US
    );
    let subject = SkipSubject::Workflow { workflow: workflow_type.to_owned(), step: None };
    Skip { analysis: ANALYSIS, subject, reason }
}

/// A workflow and a step of it.
type Series<'a> = (&'a str, &'a str);

type BySeries<'a> = BTreeMap<Series<'a>, Vec<Beside>>;

/// An execution beside its like.
#[derive(Debug, Clone, Copy)]
struct Beside {
    ended_us: i64,
    /// Logarithm of what was expected, in ms.
    expected: f64,
    /// By how much more it took, as a logarithm.
    excess: f64,
}

/// Puts the executions of one workflow type that are wanted, by series and end, to their series.
fn beside<'a>(
    detectors: &Detectors,
    workflow_type: &str,
    samples: &'a Samples,
    rows: &[u32],
    is_wanted: impl Fn(Series<'a>, i64) -> bool,
    into: &mut BySeries<'a>,
) {
    let series = |row: u32| -> Option<(Series<'a>, i64)> {
        let at = row as usize;
        let word = |code| samples.vocabulary.word(code);
        Some(((word(*samples.workflow_id.get(at)?)?, word(*samples.step.get(at)?)?), *samples.ended_us.get(at)?))
    };
    let is_chosen = |row: &u32| series(*row).is_some_and(|(series, ended_us)| is_wanted(series, ended_us));
    let chosen: Vec<u32> = rows.iter().copied().filter(is_chosen).collect();
    for (row, residual) in detectors.durations(workflow_type, samples, &chosen) {
        if let Some((series, ended_us)) = series(row) {
            let one = Beside { ended_us, expected: residual.expected, excess: residual.z * residual.scale };
            into.entry(series).or_default().push(one);
        }
    }
}

/// A step as if it had degraded; none where it can't be judged.
fn judge(
    workflow_type: &str,
    (workflow_id, step): Series<'_>,
    now: &[Beside],
    before: &[Beside],
    window_us: (i64, i64),
    params: &DegradationParams,
) -> Option<Degradation> {
    let first_us = before.iter().map(|one| one.ended_us).min()?;
    if now.len() < MIN_NOW || before.len() < MIN_BEFORE || window_us.0 - first_us < MIN_HISTORY_US {
        return None;
    }
    let like = Like::of(before, window_us.0, params.window_us)?;
    let Loss { mean, se } = like.loss(now)?;
    let half = dist::t_quantile(1.0 - 0.5 * params.level.alpha(), like.df) * se;
    let expected = mean_of(now.iter().map(|one| one.expected))? + like.centre;
    Some(Degradation {
        workflow_type: workflow_type.to_owned(),
        workflow_id: workflow_id.to_owned(),
        step: step.to_owned(),
        n: now.len(),
        n_before: before.len(),
        observed_ms: (expected + mean).exp(),
        expected_ms: expected.exp(),
        ratio: mean.exp(),
        interval: Interval { lower: (mean - half).exp(), upper: (mean + half).exp(), level: params.level },
        p_value: dist::t_sf(mean / se, like.df),
        window_us,
    })
}

/// What like executions did: one-way analysis of variance over windows (Searle, Casella and McCulloch, Variance
/// Components, 1992, §3.6).
struct Like {
    centre: f64,
    scale: f64,
    /// Variance of an execution in its window.
    within: f64,
    /// Variance of windows.
    between: f64,
    /// Variance of the centre.
    of_centre: f64,
    df: f64,
}

/// By how much the executions of a window exceed their like, as a logarithm.
struct Loss {
    mean: f64,
    se: f64,
}

impl Like {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn of(before: &[Beside], until_us: i64, window_us: i64) -> Option<Self> {
        let (middle, scale) = median_and_mad(&mut before.iter().map(|one| one.excess).collect::<Vec<_>>());
        let scale = scale.max(f64::EPSILON);
        let mut windows: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for one in before {
            let excess = drawn_in(one.excess, middle, scale);
            windows.entry((until_us - one.ended_us).div_euclid(window_us.max(1))).or_default().push(excess);
        }
        if windows.values().filter(|window| window.len() > 1).count() < MIN_WINDOWS {
            return None;
        }
        let n = before.len() as f64;
        let centre = windows.values().flatten().sum::<f64>() / n;
        let (mut inside, mut among, mut squares) = (0.0, 0.0, 0.0);
        for window in windows.values() {
            let (size, mean) = (window.len() as f64, mean_of(window.iter().copied())?);
            inside += window.iter().map(|excess| (excess - mean).powi(2)).sum::<f64>();
            among += size * (mean - centre).powi(2);
            squares += size * size;
        }
        let k = windows.len() as f64;
        let within = inside / (n - k);
        let between = ((among / (k - 1.0) - within) * (k - 1.0) / (n - squares / n)).max(0.0);
        let of_centre = within / n + between * squares / (n * n);
        let is_known = within.is_finite() && between.is_finite();
        is_known.then_some(Self { centre, scale, within, between, of_centre, df: k - 1.0 })
    }

    /// None where executions do not vary at all, now or before.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn loss(&self, now: &[Beside]) -> Option<Loss> {
        let mut excesses: Vec<f64> = now.iter().map(|one| one.excess).collect();
        let (middle, _) = median_and_mad(&mut excesses);
        let mean = mean_of(now.iter().map(|one| drawn_in(one.excess, middle, self.scale)))? - self.centre;
        let se = (self.between + self.within / now.len() as f64 + self.of_centre).sqrt();
        (se > 0.0 && mean.is_finite()).then_some(Loss { mean, se })
    }
}

fn drawn_in(excess: f64, middle: f64, scale: f64) -> f64 {
    excess.clamp(middle - DRAWN_IN * scale, middle + DRAWN_IN * scale)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean_of(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = values.len();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::anomalies::{AnomalyParams, fit_detectors};
    use crate::learn::testing::{noise, push};
    use crate::units::HOUR_US;

    const MONDAY_US: i64 = 1_767_571_200_000_000; // 2026-01-05T00:00:00Z
    const WEEKS: i64 = 4;
    const PER_HOUR: i64 = 8;

    /// Four weeks of a step that takes longer at weekends, up to `until_hour`. `factor` says by how much each execution
    /// takes longer than that: of an hour and a number within it.
    fn history(until_hour: i64, salt: u32, factor: impl Fn(i64, i64) -> f64) -> Samples {
        let mut samples = Samples::default();
        let mut row = salt * 100_000;
        let mut random = || {
            row += 1;
            noise(row) + noise(row + 7_000_000) + noise(row + 14_000_000) - 1.5
        };
        for hour in 0..until_hour {
            let of_hour = 0.1 * random();
            let weekend = if (hour / 24) % 7 >= 5 { 1.6 } else { 1.0 };
            for i in 0..PER_HOUR {
                let size = 1e6 * (1.0 + f64::from(u32::try_from(i % 3).unwrap_or(0)));
                let ms = 1e-2 * size * weekend * (of_hour + 0.4 * random()).exp() * factor(hour, i);
                push(&mut samples, "w", "fetch", size, ms);
                let at = samples.len() - 1;
                samples.started_us[at] = MONDAY_US + hour * HOUR_US + i * HOUR_US / PER_HOUR;
                samples.ended_us[at] = samples.started_us[at] + HOUR_US / 60;
            }
        }
        samples
    }

    fn found(samples: &Samples, until_hour: i64, regimes: &Regimes<'_>) -> (Vec<Degradation>, Vec<Skip>) {
        let (detectors, _) = fit_detectors(samples, &BTreeMap::new(), &AnomalyParams::default());
        let params = DegradationParams::default();
        let recent = std::slice::from_ref(samples);
        degradations(samples, recent, &detectors, regimes, MONDAY_US + until_hour * HOUR_US, &params)
    }

    const WEDNESDAY: i64 = (WEEKS * 7 + 2) * 24 + 15;
    const SATURDAY: i64 = (WEEKS * 7 + 5) * 24 + 1;

    #[test]
    fn an_hour_that_took_longer_is_told_with_its_loss() {
        let last = WEDNESDAY - 1;
        let samples = history(WEDNESDAY, 0, |hour, _| if hour == last { 1.6 } else { 1.0 });
        let (found, skips) = found(&samples, WEDNESDAY, &Regimes::new());
        assert_eq!((found.len(), skips.len()), (1, 0), "{found:?}");
        let one = &found[0];
        assert_eq!((one.workflow_id.as_str(), one.step.as_str(), one.n), ("w", "fetch", 8));
        assert!((1.35..1.9).contains(&one.ratio) && one.interval.lower > 1.0 && one.interval.upper > one.ratio);
        assert!((one.observed_ms / one.expected_ms - one.ratio).abs() < 1e-9 && one.p_value < 0.01, "{one:?}");
        assert_eq!(one.window_us, (MONDAY_US + last * HOUR_US, MONDAY_US + WEDNESDAY * HOUR_US));
    }

    #[test]
    fn calm_hours_weekends_and_single_spikes_degrade_nothing() {
        let mut false_alarms = 0;
        for salt in 0..8 {
            for until in [WEDNESDAY, SATURDAY] {
                false_alarms += found(&history(until, salt, |_, _| 1.0), until, &Regimes::new()).0.len();
            }
            let spike = |hour, i| if hour == WEDNESDAY - 1 && i == 3 { 50.0 } else { 1.0 };
            false_alarms += found(&history(WEDNESDAY, salt, spike), WEDNESDAY, &Regimes::new()).0.len();
        }
        assert!(false_alarms <= 1, "{false_alarms} of 24");
    }

    #[test]
    fn an_open_regression_is_not_what_is_normal() {
        let since = (WEEKS * 7 - 2) * 24;
        let samples = history(WEDNESDAY, 0, |hour, _| if hour >= since { 1.6 } else { 1.0 });
        let normal = [(("w", "fetch"), (MONDAY_US, MONDAY_US + since * HOUR_US))].into_iter().collect();
        assert_eq!(found(&samples, WEDNESDAY, &normal).0.len(), 1);
        let accepted = [(("w", "fetch"), (MONDAY_US + since * HOUR_US, i64::MAX))].into_iter().collect();
        let (found, skips) = found(&samples, WEDNESDAY, &accepted);
        assert!(found.is_empty() && skips[0].reason.starts_with("1 steps ran"), "four days are too few: {skips:?}");
    }

    #[test]
    fn steps_that_never_vary_and_empty_histories_do_no_harm() {
        let mut samples = history(WEDNESDAY, 0, |_, _| 1.0);
        samples.duration_ms.fill(1000.0);
        assert!(found(&samples, WEDNESDAY, &Regimes::new()).0.is_empty());
        samples.duration_ms.fill(f64::NAN);
        assert!(found(&samples, WEDNESDAY, &Regimes::new()).0.is_empty());
        assert_eq!(found(&Samples::default(), WEDNESDAY, &Regimes::new()), (vec![], vec![]));
    }
}
