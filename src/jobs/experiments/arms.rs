//! The arms of one experiment, put together from hours and strata: what is known of each, and how it compares.

use crate::config::{ArmStat, Measure, Unit};
use crate::pure::experiment::health::{Health, differ, drift, side_by_side};
use crate::pure::experiment::ranked::Ranked;
use crate::pure::experiment::strata::{Strata, adjusted};
use crate::pure::experiment::units::{self, Units};
use crate::pure::experiment::{ArmStatistics, Comparison, RatioSums, Stat, TrialArm, of_binned_means};
use crate::pure::series::Metric;
use crate::pure::stats::sketch::{Sketch, Sketches};
use crate::rollup::{ARM_METRICS, ArmCell, ArmKey, UnitSums};
use std::collections::BTreeMap;

/// An arm over all hours.
#[derive(Default)]
pub(super) struct Arm<'a> {
    /// Start of each hour with its runs.
    pub(super) hours: Vec<(i64, u64)>,
    /// By metric, in the order of [`ARM_METRICS`].
    strata: Vec<Strata>,
    cost_per_token: RatioSums,
    /// With the hour of the first run.
    units: BTreeMap<&'a str, (i64, UnitSums)>,
    cells: Vec<&'a ArmCell>,
}

pub(super) type Arms<'a> = BTreeMap<String, Arm<'a>>;

/// Hours and strata put together, by arm.
pub(super) fn together<'a>(cells: impl Iterator<Item = (&'a ArmKey, &'a ArmCell)>) -> Arms<'a> {
    let mut arms = Arms::new();
    for (key, cell) in cells {
        let arm = arms.entry(key.arm.clone()).or_default();
        arm.hours.push((key.hour_us, cell.assigned));
        arm.strata.resize_with(ARM_METRICS.len(), Strata::default);
        for (strata, one) in arm.strata.iter_mut().zip(&cell.statistics) {
            strata.entry(key.stratum.clone()).or_default().merge(one);
        }
        arm.cost_per_token.merge(&cell.cost_per_token);
        for (unit, sums) in &cell.units {
            let (first_us, all) = arm.units.entry(unit).or_insert((key.hour_us, UnitSums::default()));
            *first_us = key.hour_us.min(*first_us);
            all.merge(sums);
        }
        arm.cells.push(cell);
    }
    arms
}

/// What was assigned, as the runs tell.
pub(super) fn unit_of(arms: &Arms<'_>) -> Unit {
    let mut runs: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (place, arm) in arms.values().enumerate() {
        for (unit, (_, sums)) in &arm.units {
            let of_unit = runs.entry(unit).or_insert_with(|| vec![0; arms.len()]);
            of_unit.get_mut(place).into_iter().for_each(|n| *n = sums.runs);
        }
    }
    let are_known =
        arms.values().all(|arm| arm.units.values().map(|(_, sums)| sums.runs).sum::<u64>() == arm.assigned());
    if are_known && units::are_assigned_whole(runs.values().map(Vec::as_slice)) { Unit::UnitId } else { Unit::RunId }
}

/// Whether the experiment can be believed, whatever is measured.
pub(super) fn health(arms: &Arms<'_>, control: &str, unit: Unit) -> Health {
    let hours = |arm: &Arm<'_>| arm.hours.iter().map(|(hour_us, _)| *hour_us).collect::<Vec<i64>>();
    let of_control = arms.get(control).map(hours).unwrap_or_default();
    let apart = |(_, arm): &(&String, &Arm<'_>)| !side_by_side(&hours(arm), &of_control);
    let apart_in_time: Vec<String> = arms.iter().filter(apart).map(|(name, _)| name.clone()).collect();
    let mut units: Vec<(i64, u32, u64)> = Vec::new();
    for (arm, code) in arms.values().zip(0..) {
        match unit {
            Unit::RunId => units.extend(arm.hours.iter().map(|(at, n)| (*at, code, *n))),
            Unit::UnitId => units.extend(arm.units.values().map(|(at, _)| (*at, code, 1))),
        }
    }
    let assigned = |arm: &Arm<'_>| match unit {
        Unit::RunId => arm.assigned(),
        Unit::UnitId => arm.units.len() as u64,
    };
    Health {
        assigned: arms.iter().map(|(name, arm)| (name.clone(), assigned(arm))).collect(),
        drift_p_value: drift(&units).filter(|_| apart_in_time.is_empty()),
        apart_in_time,
        ..Health::default()
    }
}

/// Runs that ought to have a value and have none, and all that ought to, by arm: time is that of runs that succeeded, cost
/// and tokens those of runs that ended.
pub(super) fn missing(arms: &Arms<'_>, measure: Measure) -> BTreeMap<String, (u64, u64)> {
    let of_arm = |(name, arm): (&String, &Arm<'_>)| {
        let finished = arm.sums(Metric::ErrorRate).n;
        let (known, all) = match measure {
            Measure::Of(Metric::ErrorRate, _) => (finished, arm.assigned()),
            Measure::Of(Metric::ExecutionTime, _) => {
                (arm.sums(Metric::ExecutionTime).n, finished.saturating_sub(arm.failed()))
            }
            Measure::Of(metric, _) => (arm.sums(metric).n, finished),
            Measure::CostPerToken => (arm.cost_per_token.n, finished),
        };
        (name.clone(), (all.saturating_sub(known), all))
    };
    arms.iter().map(of_arm).collect()
}

/// What is compared, and how.
#[derive(Clone, Copy)]
pub(super) struct Comparing {
    pub(super) measure: Measure,
    pub(super) unit: Unit,
    /// Whether means of runs are compared within strata and with what was known before taken out.
    pub(super) is_adjusted: bool,
}

/// Every arm beside the control.
pub(super) fn compared(arms: &Arms<'_>, control: &str, how: &Comparing) -> Vec<TrialArm> {
    let none = Arm::default();
    let own = arms.get(control).unwrap_or(&none);
    let arm = |(name, arm): (&String, &Arm<'_>)| {
        let (n, estimate) = arm.estimate(how);
        let (comparison, cautions) = if name == control {
            (None, Vec::new())
        } else {
            let (comparison, caution) = arm.compare(own, how);
            let of_time = matches!(how.measure, Measure::Of(Metric::ExecutionTime, _));
            (comparison, caution.into_iter().chain(survivors(arm, own).filter(|_| of_time)).collect())
        };
        let caution = (!cautions.is_empty()).then(|| cautions.join("; "));
        TrialArm { name: name.clone(), n, estimate, comparison, caution }
    };
    arms.iter().map(arm).collect()
}

/// That times are those of runs that succeeded, where arms differ in how many did.
fn survivors(arm: &Arm<'_>, control: &Arm<'_>) -> Option<String> {
    let of = |arm: &Arm<'_>| [arm.failed(), arm.sums(Metric::ErrorRate).n.saturating_sub(arm.failed())];
    differ([of(arm), of(control)]).then(|| {
        "times are those of runs that succeeded, and arms differ in how many did: what failed is not compared"
            .to_owned()
    })
}

fn place(metric: Metric) -> Option<usize> {
    ARM_METRICS.iter().position(|known| *known == metric)
}

/// What sums are compared by; shares of runs as such.
fn stat_of_sums(metric: Metric, stat: ArmStat) -> Stat {
    match stat {
        _ if metric.is_ratio() => Stat::Proportion,
        ArmStat::LogRatio => Stat::LogMean,
        ArmStat::Mean | ArmStat::Quantile(_) => Stat::Mean,
    }
}

impl Arm<'_> {
    /// Runs, whatever became of them.
    pub(super) fn assigned(&self) -> u64 {
        self.hours.iter().map(|(_, n)| n).sum()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of ones")]
    fn failed(&self) -> u64 {
        self.sums(Metric::ErrorRate).sum as u64
    }

    fn strata(&self, metric: Metric) -> Option<&Strata> {
        self.strata.get(place(metric)?)
    }

    /// Over all strata.
    fn sums(&self, metric: Metric) -> ArmStatistics {
        let mut all = ArmStatistics::default();
        self.strata(metric).into_iter().flat_map(Strata::values).for_each(|one| all.merge(one));
        all
    }

    /// The histogram over all hours.
    fn values(&self, metric: Metric) -> Sketch {
        let of_cells = |at: usize| self.cells.iter().flat_map(move |cell| cell.values_of(at));
        let all: Sketches = place(metric).into_iter().flat_map(of_cells).collect();
        all.merged(0..all.len())
    }

    /// Units with a value, and whether that is a logarithm.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn by_unit(&self, measure: Measure) -> (Units<'_>, bool) {
        let is_log = matches!(measure, Measure::Of(metric, ArmStat::LogRatio) if !metric.is_ratio());
        let of_unit = |sums: &UnitSums| match measure {
            Measure::CostPerToken => Some(sums.cost_and_tokens).filter(|(_, tokens)| *tokens > 0.0),
            Measure::Of(metric, _) => {
                let outcome = sums.outcomes.get(place(metric)?)?;
                let (n, sum) = if is_log { outcome.sum_log } else { outcome.sum };
                (n > 0).then_some((sum, n as f64))
            }
        };
        let known = self.units.iter().filter_map(|(unit, (_, sums))| Some((*unit, of_unit(sums)?)));
        (known.collect(), is_log)
    }

    /// Units with a value, and what stands for them.
    fn estimate(&self, how: &Comparing) -> (u64, f64) {
        if how.unit == Unit::UnitId {
            let (units, is_log) = self.by_unit(how.measure);
            let value = units::value(&units);
            return (units.len() as u64, if is_log { value.exp() } else { value });
        }
        match how.measure {
            Measure::CostPerToken => (self.cost_per_token.n, self.cost_per_token.value()),
            Measure::Of(metric, ArmStat::Quantile(q)) => {
                let values = self.values(metric);
                (values.count(), Ranked::Histogram(values).quantile(q))
            }
            Measure::Of(metric, stat) => {
                let (sums, stat) = (self.sums(metric), stat_of_sums(metric, stat));
                (if stat == Stat::LogMean { sums.n_positive } else { sums.n }, sums.estimate(stat))
            }
        }
    }

    /// Beside the control, with what should be known of it.
    fn compare(&self, control: &Self, how: &Comparing) -> (Option<Comparison>, Vec<String>) {
        if how.unit == Unit::UnitId {
            let ((units, is_log), (own, _)) = (self.by_unit(how.measure), control.by_unit(how.measure));
            let in_both = units.keys().filter(|unit| own.contains_key(*unit)).count();
            let shared = format!("{in_both} units are in more than one arm and are compared with themselves");
            return (units::compare(&units, &own, is_log), (in_both > 0).then_some(shared).into_iter().collect());
        }
        match how.measure {
            Measure::CostPerToken => (self.cost_per_token.compare(&control.cost_per_token), Vec::new()),
            Measure::Of(metric, ArmStat::Quantile(q)) => {
                (Comparison::quantiles(&self.values(metric), &control.values(metric), q), Vec::new())
            }
            Measure::Of(metric, stat) => {
                let of_sums = stat_of_sums(metric, stat);
                let skewed = (of_sums == Stat::Mean)
                    .then(|| of_binned_means([&self.values(metric), &control.values(metric)]))
                    .flatten();
                let none = Strata::default();
                let (own, others) = (self.strata(metric).unwrap_or(&none), control.strata(metric).unwrap_or(&none));
                let (comparison, unadjusted) = if how.is_adjusted {
                    let found = adjusted(own, others, of_sums);
                    (found.comparison, found.caution)
                } else {
                    (self.sums(metric).compare(&control.sums(metric), of_sums), None)
                };
                (comparison, unadjusted.into_iter().chain(skewed).collect())
            }
        }
    }
}
