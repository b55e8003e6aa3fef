//! How far the executions of a step lay off what was to be expected of them, day by day.
//!
//! A day's median follows the sizes that happened to come and who executed them: that hides small changes of the step
//! itself where little runs, and makes changes of what is none. So from each day's mean logarithm is taken what sizes,
//! providers and platforms add to it, as a regression over sampled executions says (`GroupFit`); the means are over all
//! executions. Workflows of a type share their steps, and are seen together: effects of days and of workflows are
//! estimated side by side, so that a workflow that comes or goes is no change.

use crate::learn::dataset::{Dataset, Features, N_SIZES, Target, groups};
use crate::learn::pooling::SlopePrior;
use crate::learn::regression::GroupFit;
use crate::learn::shared::ROWS_TO_JUDGE;
use crate::levels::{DayLevels, LevelCell, MeanSize, Outcome};
use crate::samples::Samples;
use crate::series::Metric;
use crate::units::DAY_US;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// The outcomes that follow sizes.
const TARGETS: [(Outcome, Target, Metric); 2] = [
    (Outcome::DurationMs, Target::DurationMs, Metric::ExecutionTime),
    (Outcome::MemoryMb, Target::MemoryMb, Metric::MemoryUsage),
];
/// Rounds of effects of days and of workflows in turn.
const ROUNDS: usize = 20;

/// Complete days: where they start, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// Start of the first.
    pub start_us: i64,
    /// How many.
    pub n: usize,
}

/// Means of residuals by day, and the executions behind each.
#[derive(Debug, Clone, PartialEq)]
pub struct DayMeans {
    /// (n_days,) Natural logarithm of observed over expected; NaN where nothing ran.
    pub values: Vec<f64>,
    /// (n_days,)
    pub counts: Vec<u32>,
}

/// A step of all workflows of a type.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditioned {
    /// The type.
    pub workflow_type: String,
    /// The derived step.
    pub step: String,
    /// What is measured.
    pub metric: Metric,
    /// By workflow, each less its own level.
    pub workflows: BTreeMap<String, DayMeans>,
    /// All of them together.
    pub pooled: DayMeans,
}

/// The steps of all types, by type, metric and step: `levels` by the start of their day, corrected by what `samples` tell
/// of sizes, providers and platforms. The words of both are those of `samples`.
#[must_use]
pub fn conditioned(levels: &[(i64, DayLevels)], samples: &Samples, days: Days, seed: u64) -> Vec<Conditioned> {
    let groups = groups(samples);
    let mut cells: HashMap<(u32, Outcome), Vec<Cell<'_>>> = HashMap::new();
    for (day_us, levels) in levels {
        let day = day_us.saturating_sub(days.start_us).div_euclid(DAY_US);
        let Some(day) = usize::try_from(day).ok().filter(|day| *day < days.n) else { continue };
        for (cell, mix) in levels.iter() {
            cells.entry((cell.workflow_type, cell.outcome)).or_default().push(Cell { day, cell, mix });
        }
    }
    let tasks: Vec<_> = groups.iter().flat_map(|group| TARGETS.map(|target| (group, target))).collect();
    let of_task = |&((name, rows), (outcome, target, metric)): &((&&str, &Vec<u32>), _)| {
        let code = rows.first().and_then(|&row| samples.workflow_type.get(row as usize)).copied();
        let cells = code.and_then(|code| cells.get(&(code, outcome))).map_or(&[][..], Vec::as_slice);
        let effects = Effects::learn(samples, rows, target, seed);
        of_group(samples, name, metric, cells, &effects, days)
    };
    tasks.par_iter().flat_map_iter(of_task).collect()
}

/// A day of a step.
#[derive(Debug, Clone, Copy)]
struct Cell<'a> {
    day: usize,
    cell: &'a LevelCell,
    /// Of providers and platforms.
    mix: [&'a [(u32, u32)]; 2],
}

/// What executions are expected to take by what is known of them before they start.
struct Effects {
    /// Slopes over log sizes and the sizes that they are centred at, by code of the step.
    slopes: HashMap<u32, [(f64, f64); N_SIZES]>,
    /// By code of the provider, and of the platform.
    mix: [HashMap<u32, f64>; 2],
}

impl Effects {
    fn learn(samples: &Samples, rows: &[u32], target: Target, seed: u64) -> Self {
        // A mean over a day knows nothing of hours and of what lay before single executions.
        let data = Dataset::new(
            samples,
            rows,
            target,
            Features { hour_of_week: false, upstream_bytes: false, step_count: false, ..Features::default() },
        );
        let all: Vec<u32> = (0..).zip(&data.rows).map(|(position, _)| position).collect();
        let fit = GroupFit::new(&data, &all, ROWS_TO_JUDGE, seed);
        let prior = SlopePrior::of(&fit.lines, &data.step_type);
        let steps = fit.lines.iter().zip(&fit.centres).zip(data.step_type.iter().zip(&data.step.codes));
        let slopes = steps.filter_map(|((line, centre), (&step_type, &step))| {
            let (slope, _) = prior.shrink(line.as_ref()?, step_type);
            Some((step, std::array::from_fn(|j| (slope[j], centre[j]))))
        });
        let by_code = |codes: &[u32], effects: &[f64]| codes.iter().copied().zip(effects.iter().copied()).collect();
        let mix =
            [by_code(&data.provider.codes, &fit.shared.provider), by_code(&data.platform.codes, &fit.shared.platform)];
        Self { slopes: slopes.collect(), mix }
    }

    /// Mean log outcome of a cell less what its sizes, providers and platforms add to it.
    fn rest(&self, cell: &Cell<'_>) -> f64 {
        let n = f64::from(cell.cell.n.max(1));
        let slopes = self.slopes.get(&cell.cell.step).into_iter().flatten();
        let of_size = |((slope, centre), size): (&(f64, f64), &MeanSize)| {
            let off = f64::from(size.mean_log) - centre;
            if size.n > 0 && off.is_finite() { slope * off * f64::from(size.n) / n } else { 0.0 }
        };
        let sizes: f64 = slopes.zip(&cell.cell.sizes).map(of_size).sum();
        let of_mix = |(effects, shares): (&HashMap<u32, f64>, &[(u32, u32)])| -> f64 {
            let known = shares.iter().filter_map(|(code, count)| Some(effects.get(code)? * f64::from(*count)));
            known.sum::<f64>() / n
        };
        let mixes: f64 = self.mix.iter().zip(cell.mix).map(of_mix).sum();
        f64::from(cell.cell.mean_log) - sizes - mixes
    }
}

fn of_group(
    samples: &Samples,
    workflow_type: &str,
    metric: Metric,
    cells: &[Cell<'_>],
    effects: &Effects,
    days: Days,
) -> Vec<Conditioned> {
    let word = |code: u32| samples.vocabulary.word(code).unwrap_or_default();
    let mut steps: BTreeMap<&str, BTreeMap<String, DayMeans>> = BTreeMap::new();
    for cell in cells {
        let workflows = steps.entry(word(cell.cell.step)).or_default();
        let name = word(cell.cell.workflow_id);
        if !workflows.contains_key(name) {
            workflows.insert(name.to_owned(), DayMeans { values: vec![f64::NAN; days.n], counts: vec![0; days.n] });
        }
        let Some(means) = workflows.get_mut(name) else { continue };
        if let (Some(value), Some(count)) = (means.values.get_mut(cell.day), means.counts.get_mut(cell.day)) {
            (*value, *count) = (effects.rest(cell), cell.cell.n);
        }
    }
    let of_step = |(step, means): (&str, BTreeMap<String, DayMeans>)| {
        let (workflows, pooled) = pooled(means, days.n);
        Conditioned { workflow_type: workflow_type.to_owned(), step: step.to_owned(), metric, workflows, pooled }
    };
    steps.into_iter().map(of_step).collect()
}

/// Effects of days, and what is left of each workflow without its own level: least squares in turn, workflows first. So
/// where two workflows never ran on the same days, what tells them apart is taken for theirs.
fn pooled(mut workflows: BTreeMap<String, DayMeans>, n_days: usize) -> (BTreeMap<String, DayMeans>, DayMeans) {
    let mut effects = vec![0.0; n_days];
    let mut counts = vec![0_u32; n_days];
    for means in workflows.values() {
        counts.iter_mut().zip(&means.counts).for_each(|(all, n)| *all = all.saturating_add(*n));
    }
    let rounds = if workflows.len() > 1 { ROUNDS } else { 1 };
    for _ in 0..rounds {
        for means in workflows.values_mut() {
            let known = means.values.iter().zip(&means.counts).zip(&effects).filter(|((v, _), _)| v.is_finite());
            let (sum, n) = known.fold((0.0, 0.0), |(sum, n), ((v, count), effect)| {
                (sum + f64::from(*count) * (v - effect), n + f64::from(*count))
            });
            let level = if n > 0.0 { sum / n } else { 0.0 };
            means.values.iter_mut().for_each(|v| *v -= level);
        }
        effects.fill(0.0);
        for means in workflows.values() {
            let known =
                means.values.iter().zip(&means.counts).zip(effects.iter_mut()).filter(|((v, _), _)| v.is_finite());
            known.for_each(|((v, count), effect)| *effect += f64::from(*count) * v);
        }
        effects.iter_mut().zip(&counts).for_each(|(effect, n)| *effect /= f64::from((*n).max(1)));
    }
    let values = effects.into_iter().zip(&counts).map(|(effect, n)| if *n > 0 { effect } else { f64::NAN }).collect();
    (workflows, DayMeans { values, counts })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::detect::fixtures::{MONDAY_US, at, noise};
    use crate::learn::testing::push;

    const DAYS: Days = Days { start_us: MONDAY_US, n: 40 };

    /// A step whose duration goes with its size; every other day inputs are four times as large. From day 20 on it takes
    /// half as long again.
    #[test]
    fn sizes_are_taken_out_and_what_changed_stays() {
        let (mut samples, mut levels) = (Samples::default(), Vec::new());
        let wobble = noise(400, 3);
        for day in 0..40 {
            let mut sums = [0.0; 2];
            for i in 0..10 {
                let size = if day % 2 == 0 { 4000.0 } else { 1000.0 } * (1.0 + 0.1 * i as f64);
                let factor = if day >= 20 { 1.5 } else { 1.0 };
                let duration = size * factor * (0.02 * wobble[10 * day + i]).exp();
                push(&mut samples, "t", "align", size, duration);
                *samples.started_us.last_mut().unwrap() = at(day) + i64::try_from(i).unwrap();
                sums = [sums[0] + size.ln() / 10.0, sums[1] + duration.ln() / 10.0];
            }
            let size = MeanSize { n: 10, mean_log: sums[0] as f32 };
            let [workflow_id, workflow_type, step] =
                [samples.workflow_id[0], samples.workflow_type[0], samples.step[0]];
            let cell = LevelCell {
                workflow_id,
                workflow_type,
                step,
                outcome: Outcome::DurationMs,
                n: 10,
                mean_log: sums[1] as f32,
                sizes: [size, MeanSize::default()],
                n_providers: 0,
                n_platforms: 0,
            };
            levels.push((at(day), DayLevels { cells: vec![cell], mix: Vec::new() }));
        }
        let steps = conditioned(&levels, &samples, DAYS, 0);
        assert_eq!((steps.len(), steps[0].step.as_str(), steps[0].metric), (1, "align", Metric::ExecutionTime));
        let mean = |days: std::ops::Range<usize>| {
            let values = &steps[0].pooled.values[days];
            values.iter().sum::<f64>() / values.len() as f64
        };
        assert!((mean(20..40) - mean(0..20) - 1.5_f64.ln()).abs() < 0.03);
        let ripple = (0..20).step_by(2).map(|day| steps[0].pooled.values[day] - steps[0].pooled.values[day + 1]);
        assert!(ripple.sum::<f64>().abs() / 10.0 < 0.1, "sizes differ by 1.39");
    }

    #[test]
    fn a_workflow_that_takes_over_from_another_is_no_change() {
        let part = |from: usize, to: usize, level: f64| DayMeans {
            values: (0..40).map(|day| if (from..to).contains(&day) { level } else { f64::NAN }).collect(),
            counts: (0..40).map(|day| u32::from((from..to).contains(&day)) * 5).collect(),
        };
        let apart = BTreeMap::from([("old".to_owned(), part(0, 20, 1.0)), ("new".to_owned(), part(20, 40, 3.0))]);
        let (_, all) = pooled(apart, 40);
        assert!(all.values.iter().all(|value| value.abs() < 1e-9), "{:?}", all.values);
        let overlapping = BTreeMap::from([("old".to_owned(), part(0, 30, 1.0)), ("new".to_owned(), part(10, 40, 3.0))]);
        let (_, all) = pooled(overlapping, 40);
        assert!(all.values.iter().all(|value| value.abs() < 0.05), "{:?}", all.values);
    }
}
