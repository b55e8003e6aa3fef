//! Changes of a step that all workflows of its type have in common, given sizes, providers and the like.

use super::change_points::{ChangePointParams, Input, Shift, change_points_all};
use super::conditioned::{Conditioned, DayMeans, Days};
use super::levelling::Levelled;
use crate::series::Metric;
use crate::stats::dist;
use std::collections::HashMap;
use std::ops::Range;

/// Workflows of which the jumps differ with this significance have no change in common.
const DIFFERS_P: f64 = 0.01;

/// Change points of steps that hold for every workflow of a type.
#[derive(Debug, Default)]
pub struct CommonChanges<'a> {
    days: Option<Days>,
    of_step: HashMap<(&'a str, &'a str, Metric), Vec<Shift>>,
}

impl<'a> CommonChanges<'a> {
    /// Under one false discovery rate over all steps.
    #[must_use]
    pub fn find(steps: &'a [Conditioned], days: Days, params: &ChangePointParams) -> Self {
        let levelled: Vec<Levelled> = steps.iter().map(|step| step.levelled(days)).collect();
        let inputs: Vec<Input<'_>> = (steps.iter().zip(&levelled))
            .map(|(step, levelled)| Input { levelled, counts: Some(&step.pooled.counts) })
            .collect();
        let found = change_points_all(&inputs, params);
        let of_step = steps.iter().zip(found).filter(|(_, shifts)| !shifts.is_empty()).map(|(step, shifts)| {
            let key = (step.workflow_type.as_str(), step.step.as_str(), step.metric);
            (key, shared(step, shifts))
        });
        Self { days: Some(days), of_step: of_step.collect() }
    }

    /// The changes of a step on a grid that starts at `start_us` and has `len` days; their `index` is a position on it.
    pub(crate) fn on(&self, key: (&str, &str, Metric), start_us: i64, len: usize) -> Vec<Shift> {
        let Some(days) = self.days else { return Vec::new() };
        let offset = start_us.saturating_sub(days.start_us).div_euclid(crate::units::DAY_US);
        let shifts = self.of_step.get(&key).map_or(&[][..], Vec::as_slice);
        let place = |shift: &Shift| {
            let index = usize::try_from(i64::try_from(shift.index).ok()?.checked_sub(offset)?).ok()?;
            (index > 0 && index < len).then_some(Shift { index, ..*shift })
        };
        shifts.iter().filter_map(place).collect()
    }
}

/// Those of which the workflows do not differ.
fn shared(step: &Conditioned, shifts: Vec<Shift>) -> Vec<Shift> {
    let starts: Vec<usize> = std::iter::once(0).chain(shifts.iter().map(|shift| shift.index)).collect();
    let ends = shifts.iter().skip(1).map(|shift| shift.index).chain(std::iter::once(step.pooled.values.len()));
    let places: Vec<(usize, usize)> = starts.into_iter().zip(ends).collect();
    let agreed = |(shift, (from, to)): (Shift, (usize, usize))| {
        let jumps: Vec<(f64, f64)> =
            step.workflows.values().filter_map(|means| jump(means, from..shift.index, shift.index..to)).collect();
        (jumps.len() < 2 || differs_p(&jumps) >= DIFFERS_P).then_some(shift)
    };
    shifts.into_iter().zip(places).filter_map(agreed).collect()
}

/// A workflow's jump and its variance; none where it has no two days on either side.
fn jump(means: &DayMeans, before: Range<usize>, after: Range<usize>) -> Option<(f64, f64)> {
    let (before, after) = (level(means, before)?, level(means, after)?);
    Some((after.0 - before.0, after.1 + before.1))
}

/// Weighted mean of days and its variance.
fn level(means: &DayMeans, days: Range<usize>) -> Option<(f64, f64)> {
    let values = means.values.get(days.clone())?.iter().zip(means.counts.get(days)?);
    let known = || values.clone().filter(|(value, _)| value.is_finite()).map(|(value, n)| (*value, f64::from(*n)));
    let (w, wv, n) = known().fold((0.0, 0.0, 0.0), |(w, wv, n), (v, c)| (w + c, wv + c * v, n + 1.0));
    let mean = wv / w;
    let squares: f64 = known().map(|(v, c)| c * (v - mean) * (v - mean)).sum();
    let variance = squares / (n - 1.0) / w;
    (n >= 2.0 && variance > 0.0).then_some((mean, variance))
}

/// Cochran's Q: whether effects, given with their variances, differ.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn differs_p(effects: &[(f64, f64)]) -> f64 {
    let (w, we) = effects.iter().fold((0.0, 0.0), |(w, we), (e, v)| (w + 1.0 / v, we + e / v));
    let q: f64 = effects.iter().map(|(e, v)| (e - we / w).powi(2) / v).sum();
    dist::chi2_sf(q, effects.len() as f64 - 1.0)
}
