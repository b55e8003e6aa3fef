//! How far simulated runs were off, in units of the simulated spread: split conformal bounds over runs, own ones
//! shrunk towards those of all workflows.

use super::super::conformal::Bounds;
use super::super::dataset::Target;
use super::simulate::Simulated;
use crate::units::{Interval, Level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A workflow's own bounds weigh as much as those of all at this many runs.
const OWN_RUNS: f64 = 30.0;

/// Misses so far, by target, and by workflow and target.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Calibrations {
    all: BTreeMap<Target, Vec<f64>>,
    own: BTreeMap<(String, Target), Vec<f64>>,
}

impl Calibrations {
    /// Takes in a run whose outcome has become known.
    pub(super) fn observe(&mut self, workflow: &str, target: Target, simulated: &Simulated, actual: f64) {
        let miss = simulated.miss(actual);
        if miss.is_finite() {
            self.all.entry(target).or_default().push(miss);
            self.own.entry((workflow.to_owned(), target)).or_default().push(miss);
        }
    }

    /// The interval of a simulated run. Without history the simulation is believed.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(super) fn interval(&self, workflow: &str, target: Target, simulated: &Simulated, level: Level) -> Interval {
        let conformal = |misses: Option<&Vec<f64>>| {
            let mut misses = misses?.clone();
            Some((Bounds::conformal(&mut misses, level)?, misses.len() as f64))
        };
        let all = conformal(self.all.get(&target)).map_or_else(|| Bounds::normal(level), |(bounds, _)| bounds);
        let bounds = match conformal(self.own.get(&(workflow.to_owned(), target))) {
            None => all,
            Some((own, n)) => {
                let mix = |all: f64, own: f64| all + n / (n + OWN_RUNS) * (own - all);
                Bounds { lower: mix(all.lower, own.lower), upper: mix(all.upper, own.upper) }
            }
        };
        simulated.interval(bounds, level)
    }
}
