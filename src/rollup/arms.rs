//! What experiments see of a day: sums by experiment, arm, stratum and hour, never rows.

use super::executions::{Day, NO_INSTANT, Status};
use crate::pure::experiment::{ArmStatistics, RatioSums};
use crate::pure::samples::UNKNOWN;
use crate::pure::series::Metric;
use crate::pure::stats::sketch::{Bin, Sketch, Sketches};
use crate::pure::units::HOUR_US;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What identifies one cell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArmKey {
    /// The workflow type that the experiment runs in.
    pub workflow_type: String,
    /// As recorded; none where only variants are.
    pub experiment_id: Option<String>,
    /// The arm.
    pub arm: String,
    /// Where it ran, and whether the size of its input is known: what is alike here is compared with its like.
    pub stratum: String,
    /// Start of the hour in which the runs started.
    pub hour_us: i64,
}

/// Runs of one arm in one hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmCell {
    /// Runs assigned to the arm, whatever became of them.
    pub assigned: u64,
    /// One for each of [`ARM_METRICS`], in that order.
    pub statistics: Vec<ArmStatistics>,
    /// Histograms for quantiles, in the same order; of several cells one after the other.
    pub values: Sketches,
    /// Cost over tokens.
    pub cost_per_token: RatioSums,
    /// Runs of which it is known what was assigned, by that unit.
    pub units: BTreeMap<String, UnitSums>,
}

/// Runs of one unit, such as a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitSums {
    /// How many.
    pub runs: u64,
    /// One for each of [`ARM_METRICS`], in that order.
    pub outcomes: [UnitOutcome; ARM_METRICS.len()],
    /// Cost and tokens of runs of which both are known.
    pub cost_and_tokens: (f64, f64),
}

/// A metric of the runs of one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// Runs with a value, and its sum.
    pub sum: (u64, f64),
    /// Runs with a positive value, and the sum of its logarithms.
    pub sum_log: (u64, f64),
}

impl UnitSums {
    /// Takes in other runs of the unit.
    pub fn merge(&mut self, other: &Self) {
        let add = |(n, sum): &mut (u64, f64), (more, by): (u64, f64)| (*n, *sum) = (*n + more, *sum + by);
        self.runs += other.runs;
        for (mine, theirs) in self.outcomes.iter_mut().zip(&other.outcomes) {
            add(&mut mine.sum, theirs.sum);
            add(&mut mine.sum_log, theirs.sum_log);
        }
        self.cost_and_tokens.0 += other.cost_and_tokens.0;
        self.cost_and_tokens.1 += other.cost_and_tokens.1;
    }
}

impl ArmCell {
    /// Takes in other runs of the arm in the same hour.
    pub fn merge(&mut self, other: &Self) {
        let Self { assigned, statistics, values, cost_per_token, units } = other;
        self.assigned += assigned;
        self.statistics.resize_with(self.statistics.len().max(statistics.len()), Default::default);
        self.statistics.iter_mut().zip(statistics).for_each(|(mine, theirs)| mine.merge(theirs));
        values.iter().for_each(|one| self.values.push(&one));
        self.cost_per_token.merge(cost_per_token);
        units.iter().for_each(|(unit, sums)| self.units.entry(unit.clone()).or_default().merge(sums));
    }

    /// The histograms of one of [`ARM_METRICS`], by its position there.
    pub fn values_of(&self, metric: usize) -> impl Iterator<Item = Sketch<&[Bin]>> {
        self.values.iter().skip(metric).step_by(ARM_METRICS.len())
    }
}

/// What experiments can be judged by.
pub const ARM_METRICS: [Metric; 4] = [Metric::ExecutionTime, Metric::Cost, Metric::Tokens, Metric::ErrorRate];

/// The day's cells.
#[must_use]
pub(super) fn arm_statistics(day: &Day) -> BTreeMap<ArmKey, ArmCell> {
    let mut cells: BTreeMap<ArmKey, (ArmCell, [Vec<f64>; ARM_METRICS.len()])> = BTreeMap::new();
    let word = |code: u32| day.vocabulary.word(code).map(str::to_owned);
    let sizes = run_inputs(day);
    for i in (0..day.runs.len()).filter(|&i| day.run_variant[i] != UNKNOWN) {
        let size = sizes.get(&day.runs.run[i]).copied();
        let key = ArmKey {
            stratum: stratum(day, i, size.is_some()),
            workflow_type: word(day.runs.workflow_type[i]).unwrap_or_default(),
            experiment_id: word(day.run_experiment[i]),
            arm: word(day.run_variant[i]).unwrap_or_default(),
            hour_us: day.runs.bucket_us[i].div_euclid(HOUR_US) * HOUR_US,
        };
        let (cell, values) = cells.entry(key).or_default();
        cell.assigned += 1;
        cell.statistics.resize_with(ARM_METRICS.len(), ArmStatistics::default);
        let outcomes = ARM_METRICS.map(|metric| outcome(day, i, metric));
        for ((statistics, values), value) in cell.statistics.iter_mut().zip(values).zip(outcomes) {
            if let Some(value) = value {
                statistics.add_with(value, size.unwrap_or(0.0).ln_1p());
                values.push(value);
            }
        }
        let cost_and_tokens = outcome(day, i, Metric::Cost).zip(outcome(day, i, Metric::Tokens));
        if let Some((cost, tokens)) = cost_and_tokens {
            cell.cost_per_token.add(cost, tokens);
        }
        if let Some(unit) = word(day.run_unit[i]) {
            let outcomes = outcomes.map(|value| UnitOutcome {
                sum: value.map_or((0, 0.0), |value| (1, value)),
                sum_log: value.filter(|value| *value > 0.0).map_or((0, 0.0), |value| (1, value.ln())),
            });
            let run = UnitSums { runs: 1, outcomes, cost_and_tokens: cost_and_tokens.unwrap_or_default() };
            cell.units.entry(unit).or_default().merge(&run);
        }
    }
    let whole = |(key, (mut cell, values)): (ArmKey, (ArmCell, [Vec<f64>; ARM_METRICS.len()]))| {
        cell.values = values.into_iter().map(|mut values| Sketch::of(&mut values)).collect();
        (key, cell)
    };
    cells.into_iter().map(whole).collect()
}

fn stratum(day: &Day, i: usize, is_size_known: bool) -> String {
    let word = |code: u32| day.vocabulary.word(code).unwrap_or_default();
    let size = if is_size_known { "" } else { ", size unknown" };
    format!("{} on {}{size}", word(day.runs.provider[i]), word(day.runs.platform[i]))
}

/// Bytes that each run of an experiment had to read when it began: its own, else those of its first step. Later steps read
/// what earlier ones wrote, which an arm may have changed.
fn run_inputs(day: &Day) -> HashMap<u32, f64> {
    let mut sizes: HashMap<u32, (i64, f64)> = HashMap::new();
    let in_experiments = (0..day.runs.len()).filter(|&i| day.run_variant[i] != UNKNOWN);
    for i in in_experiments {
        let own = day.runs.input_bytes[i];
        let start = if own.is_finite() { i64::MIN } else { i64::MAX };
        sizes.insert(day.runs.run[i], (start, own));
    }
    let steps = &day.steps;
    for row in (0..steps.len()).filter(|&row| steps.attempt[row] == 1 && steps.own_start_us[row] != NO_INSTANT) {
        let Some((first, size)) = sizes.get_mut(&steps.run[row]) else { continue };
        let start = steps.own_start_us[row];
        if start < *first {
            (*first, *size) = (start, steps.input_bytes[row]);
        } else if start == *first {
            *size += steps.input_bytes[row];
        }
    }
    sizes.into_iter().map(|(run, (_, size))| (run, size)).filter(|(_, size)| *size >= 0.0 && size.is_finite()).collect()
}

fn outcome(day: &Day, i: usize, metric: Metric) -> Option<f64> {
    let status = day.runs.status[i];
    let succeeded = status == Status::Succeeded;
    let finished = succeeded || status == Status::Failed;
    let (counts, value) = match metric {
        Metric::ExecutionTime => (succeeded, day.runs.duration_ms[i]),
        Metric::Cost => (finished, day.runs.cost_usd[i]),
        Metric::Tokens => (finished, day.runs.tokens[i]),
        Metric::ErrorRate => (finished, f64::from(status == Status::Failed)),
        _ => (false, f64::NAN),
    };
    (counts && value.is_finite()).then_some(value)
}
