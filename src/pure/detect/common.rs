//! Changes of a step that all workflows of its type have in common, given sizes, providers and the like.

use super::change_points::{ChangePointParams, Input, Shift, change_points_all};
use super::conditioned::{Conditioned, DayMeans, Days};
use super::levelling::{Cycle, Levelled};
use crate::series::Metric;
use crate::stats::{dist, rank};
use crate::units::DAY_US;
use std::collections::HashMap;
use std::ops::Range;

/// Workflows of which the jumps differ with this significance have no change in common.
const DIFFERS_P: f64 = 0.01;
/// Fewer steps have no median that a single one could not move: a step that took a quarter less made one of all five.
const MIN_STEPS: usize = 8;
/// Three of four steps must go the same way.
const AGREEING: (usize, usize) = (3, 4);

/// Change points of steps that hold for every workflow of a type.
#[derive(Debug, Default)]
pub struct CommonChanges<'a> {
    days: Option<Days>,
    of_step: HashMap<(&'a str, &'a str, Metric), Vec<Shift>>,
}

impl<'a> CommonChanges<'a> {
    /// First what all steps of a type have in common, then what is left of each step; under a false discovery rate each.
    /// `steps` come by type and metric.
    #[must_use]
    pub fn find(steps: &'a [Conditioned], days: Days, params: &ChangePointParams) -> Self {
        let groups: Vec<&[Conditioned]> =
            steps.chunk_by(|a, b| (&a.workflow_type, a.metric) == (&b.workflow_type, b.metric)).collect();
        let wide: Vec<Vec<Shift>> = of_all_steps(&groups, days, params);
        let wide: Vec<&[Shift]> =
            groups.iter().zip(&wide).flat_map(|(group, wide)| group.iter().map(move |_| wide.as_slice())).collect();
        let levelled: Vec<Levelled> = (steps.iter().zip(&wide))
            .map(|(step, wide)| {
                let mut levelled = Levelled::of_logarithms(&step.pooled.values, &cycles(days));
                levelled.subtract_steps(wide.iter().map(|shift| (shift.index, shift.effect_ratio.ln())));
                levelled
            })
            .collect();
        let inputs: Vec<Input<'_>> = (steps.iter().zip(&levelled))
            .map(|(step, levelled)| Input { levelled, counts: Some(&step.pooled.counts) })
            .collect();
        let found = change_points_all(&inputs, params);
        let of_step = steps.iter().zip(found).zip(wide).map(|((step, own), wide)| {
            let key = (step.workflow_type.as_str(), step.step.as_str(), step.metric);
            (key, joined(shared(step, own), wide, params))
        });
        Self { days: Some(days), of_step: of_step.filter(|(_, shifts)| !shifts.is_empty()).collect() }
    }

    /// The changes of a step on a grid that starts at `start_us` and has `len` days; their `index` is a position on it.
    pub(crate) fn on(&self, key: (&str, &str, Metric), start_us: i64, len: usize) -> Vec<Shift> {
        let Some(days) = self.days else { return Vec::new() };
        let offset = start_us.saturating_sub(days.start_us).div_euclid(DAY_US);
        let shifts = self.of_step.get(&key).map_or(&[][..], Vec::as_slice);
        let place = |shift: &Shift| {
            let index = usize::try_from(i64::try_from(shift.index).ok()?.checked_sub(offset)?).ok()?;
            (index > 0 && index < len).then_some(Shift { index, ..*shift })
        };
        shifts.iter().filter_map(place).collect()
    }
}

fn cycles(days: Days) -> Vec<Cycle> {
    Cycle::of_grid(DAY_US, days.start_us)
}

/// Changes of whole workflows, by group: of the median over steps by day, where most steps went the same way. Small ones
/// are among them, for they would make some of the steps look changed by more.
fn of_all_steps(groups: &[&[Conditioned]], days: Days, params: &ChangePointParams) -> Vec<Vec<Shift>> {
    let means: Vec<DayMeans> = groups.iter().map(|group| median_step(group, days.n)).collect();
    let levelled: Vec<Levelled> =
        means.iter().map(|means| Levelled::of_logarithms(&means.values, &cycles(days))).collect();
    let inputs: Vec<Input<'_>> = (means.iter().zip(&levelled))
        .map(|(means, levelled)| Input { levelled, counts: Some(&means.counts) })
        .collect();
    let found = change_points_all(&inputs, &ChangePointParams { min_effect: 0.0, ..*params });
    let agreed = |(group, shifts): (&&[Conditioned], Vec<Shift>)| {
        let places = places(&shifts, days.n);
        let agreed = shifts.into_iter().zip(places).filter(|(shift, place)| most_agree(group, shift, *place));
        agreed.map(|(shift, _)| shift).collect()
    };
    groups.iter().zip(found).map(agreed).collect()
}

/// The median over steps by day; nothing where steps are few.
fn median_step(group: &[Conditioned], n_days: usize) -> DayMeans {
    let mut out = DayMeans { values: vec![f64::NAN; n_days], counts: vec![0; n_days] };
    if group.len() < MIN_STEPS {
        return out;
    }
    for (day, (value, count)) in out.values.iter_mut().zip(&mut out.counts).enumerate() {
        let steps = group.iter().filter_map(|step| {
            let value = step.pooled.values.get(day).copied().filter(|value| value.is_finite())?;
            Some((value, step.pooled.counts.get(day).copied().unwrap_or(0)))
        });
        let (mut values, counts): (Vec<f64>, Vec<u32>) = steps.unzip();
        if values.len() >= MIN_STEPS {
            *value = rank::median_in_place(&mut values);
            *count = counts.into_iter().fold(0, u32::saturating_add);
        }
    }
    out
}

/// Whether enough steps went the way of `shift` between its neighbours.
fn most_agree(group: &[Conditioned], shift: &Shift, (from, to): (usize, usize)) -> bool {
    let jumps = group.iter().filter_map(|step| jump(&step.pooled, from..shift.index, shift.index..to));
    let (same, all) = jumps.fold((0_usize, 0_usize), |(same, all), (jump, _)| {
        (same + usize::from((jump > 0.0) == (shift.effect_ratio > 1.0)), all + 1)
    });
    all >= MIN_STEPS && AGREEING.0 * all <= AGREEING.1 * same
}

/// A step's own changes, and those of all steps that are large enough to be told, in the order of time.
fn joined(own: Vec<Shift>, wide: &[Shift], params: &ChangePointParams) -> Vec<Shift> {
    let told = |shift: &&Shift| shift.effect_ratio.ln().abs() >= params.min_effect.ln_1p();
    let wide: Vec<Shift> = wide.iter().filter(told).copied().collect();
    let apart = |shift: &Shift| wide.iter().all(|other| other.index.abs_diff(shift.index) >= params.min_segment);
    let mut all: Vec<Shift> = own.into_iter().filter(apart).collect();
    all.extend(&wide);
    all.sort_by_key(|shift| shift.index);
    all
}

/// Start of the stretch before each change, and end of that after it.
fn places(shifts: &[Shift], n: usize) -> Vec<(usize, usize)> {
    let starts = std::iter::once(0).chain(shifts.iter().map(|shift| shift.index));
    starts.zip(shifts.iter().skip(1).map(|shift| shift.index).chain(std::iter::once(n))).collect()
}

/// Those of which the workflows do not differ.
fn shared(step: &Conditioned, shifts: Vec<Shift>) -> Vec<Shift> {
    let places = places(&shifts, step.pooled.values.len());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::conditioned::DayMeans;
    use crate::detect::fixtures::{MONDAY_US, noise};
    use std::collections::BTreeMap;

    const DAYS: Days = Days { start_us: MONDAY_US, n: 90 };

    fn means(seed: u64, level: impl Fn(usize) -> f64) -> DayMeans {
        let values = noise(90, seed).iter().enumerate().map(|(i, e)| 0.05 * e + level(i)).collect();
        DayMeans { values, counts: vec![20; 90] }
    }

    /// Workflows `w0`, `w1` … of type `t`, with a level each.
    fn step(name: &str, seed: u64, levels: &[&dyn Fn(usize) -> f64]) -> Conditioned {
        let workflows: BTreeMap<String, DayMeans> = (levels.iter().enumerate())
            .map(|(i, level)| (format!("w{i}"), means(100 * seed + i as u64, level)))
            .collect();
        let n = levels.len() as f64;
        let values = (0..90).map(|day| workflows.values().map(|m| m.values[day]).sum::<f64>() / n).collect();
        let pooled = DayMeans { values, counts: vec![20 * levels.len() as u32; 90] };
        Conditioned {
            workflow_type: "t".to_owned(),
            step: name.to_owned(),
            metric: Metric::ExecutionTime,
            workflows,
            pooled,
        }
    }

    fn found(steps: &[Conditioned], name: &str) -> Vec<usize> {
        let common = CommonChanges::find(steps, DAYS, &ChangePointParams::default());
        common.on(("t", name, Metric::ExecutionTime), MONDAY_US, 90).iter().map(|shift| shift.index).collect()
    }

    fn quiet(_: usize) -> f64 {
        0.0
    }

    fn late(i: usize) -> f64 {
        if i >= 50 { 0.2 } else { 0.0 }
    }

    #[test]
    fn what_both_workflows_do_is_common_and_what_one_does_is_not() {
        let steps =
            [step("both", 1, &[&late, &late]), step("one", 2, &[&late, &quiet]), step("none", 3, &[&quiet, &quiet])];
        assert!(matches!(found(&steps, "both")[..], [at] if at.abs_diff(50) <= 1));
        assert_eq!(found(&steps, "one"), [0_usize; 0]);
        assert_eq!(found(&steps, "none"), [0_usize; 0]);
    }

    #[test]
    fn a_change_of_the_whole_workflow_is_one_of_each_step_on_the_same_day() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let steps: Vec<Conditioned> = names.iter().zip(10..).map(|(name, seed)| step(name, seed, &[&late])).collect();
        let days: Vec<_> = names.iter().map(|name| found(&steps, name)).collect();
        assert!(
            days.iter().all(|found| *found == days[0] && matches!(found[..], [at] if at.abs_diff(50) <= 1)),
            "{days:?}"
        );
        let mut apart = steps;
        for (seed, other) in (20..).zip(apart.iter_mut().skip(1)) {
            *other = step(&other.step.clone(), seed, &[&quiet]);
        }
        assert_eq!(names.map(|name| found(&apart, name).len()), [1, 0, 0, 0, 0, 0, 0, 0], "one step is not all");
    }

    #[test]
    fn a_series_that_starts_later_has_its_own_positions() {
        let steps = [step("both", 1, &[&late, &late])];
        let common = CommonChanges::find(&steps, DAYS, &ChangePointParams::default());
        let on = |start: i64| {
            common.on(("t", "both", Metric::ExecutionTime), MONDAY_US + start * DAY_US, 90 - start as usize)
        };
        assert_eq!(on(0)[0].index, on(20)[0].index + 20);
        assert!(on(60).is_empty());
        assert!(CommonChanges::default().on(("t", "both", Metric::ExecutionTime), 0, 90).is_empty());
    }
}
