//! The arms of one experiment, put together from hours and strata: what is known of each, and how it compares.

use crate::config::{ArmStat, Measure};
use crate::pure::experiment::health::{Health, differ, drift, side_by_side};
use crate::pure::experiment::ranked::Ranked;
use crate::pure::experiment::strata::{Strata, adjusted};
use crate::pure::experiment::{ArmStatistics, Comparison, RatioSums, Stat, TrialArm, of_binned_means};
use crate::pure::series::Metric;
use crate::pure::stats::sketch::{Sketch, Sketches};
use crate::rollup::{ARM_METRICS, ArmCell, ArmKey};
use std::collections::BTreeMap;

/// An arm over all hours.
#[derive(Default)]
pub(super) struct Arm<'a> {
    /// Start of each hour with its runs.
    pub(super) hours: Vec<(i64, u64)>,
    /// By metric, in the order of [`ARM_METRICS`].
    strata: Vec<Strata>,
    cost_per_token: RatioSums,
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
        arm.cells.push(cell);
    }
    arms
}

/// Whether the experiment can be believed, whatever is measured.
pub(super) fn health(arms: &Arms<'_>, control: &str) -> Health {
    let hours = |arm: &Arm<'_>| arm.hours.iter().map(|(hour_us, _)| *hour_us).collect::<Vec<i64>>();
    let of_control = arms.get(control).map(hours).unwrap_or_default();
    let apart = |(_, arm): &(&String, &Arm<'_>)| !side_by_side(&hours(arm), &of_control);
    let apart_in_time: Vec<String> = arms.iter().filter(apart).map(|(name, _)| name.clone()).collect();
    let units = arms.values().zip(0..).flat_map(|(arm, code)| arm.hours.iter().map(move |(at, n)| (*at, code, *n)));
    let units: Vec<(i64, u32, u64)> = units.collect();
    Health {
        assigned: arms.iter().map(|(name, arm)| (name.clone(), arm.assigned())).collect(),
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

/// Every arm beside the control; within strata and with what was known before taken out where `is_adjusted` and where
/// means are compared.
pub(super) fn compared(arms: &Arms<'_>, control: &str, measure: Measure, is_adjusted: bool) -> Vec<TrialArm> {
    let none = Arm::default();
    let own = arms.get(control).unwrap_or(&none);
    let arm = |(name, arm): (&String, &Arm<'_>)| {
        let (n, estimate) = arm.estimate(measure);
        let (comparison, cautions) = if name == control {
            (None, Vec::new())
        } else {
            let (comparison, caution) = arm.compare(own, measure, is_adjusted);
            let of_time = matches!(measure, Measure::Of(Metric::ExecutionTime, _));
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

    /// Units with a value, and what stands for them.
    fn estimate(&self, measure: Measure) -> (u64, f64) {
        match measure {
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
    fn compare(&self, control: &Self, measure: Measure, is_adjusted: bool) -> (Option<Comparison>, Vec<String>) {
        match measure {
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
                let (comparison, unadjusted) = if is_adjusted {
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
