//! How far simulated runs were off, in units of the simulated spread: the typical miss moves the point, split conformal
//! bounds over runs make the interval. A workflow's own are shrunk towards those of all.

use super::super::conformal::Bounds;
use super::super::dataset::Target;
use super::simulate::Simulated;
use crate::stats::robust::median;
use crate::units::{Interval, Level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A workflow's own bounds weigh as much as those of all at this many runs.
const OWN_RUNS: f64 = 30.0;
/// Fewer runs do not show a typical miss.
const MIN_RUNS: usize = 5;

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

    /// Point and interval of a simulated run. Without history the simulation is believed.
    pub(super) fn corrected(
        &self,
        workflow: &str,
        target: Target,
        simulated: &Simulated,
        level: Level,
    ) -> (f64, Interval) {
        let all = self.all.get(&target).map_or(&[][..], Vec::as_slice);
        let own = self.own.get(&(workflow.to_owned(), target)).map_or(&[][..], Vec::as_slice);
        let middle = shrunk(centre(own), own.len(), centre(all).unwrap_or(0.0));
        let normal = Bounds::normal(level);
        let of_all = Bounds::conformal(&mut all.to_vec(), level).unwrap_or(normal);
        let of_own = Bounds::conformal(&mut own.to_vec(), level);
        let lower = shrunk(of_own.map(|bounds| bounds.lower), own.len(), of_all.lower);
        let upper = shrunk(of_own.map(|bounds| bounds.upper), own.len(), of_all.upper);
        let interval =
            Interval { lower: simulated.at(lower.min(middle)), upper: simulated.at(upper.max(middle)), level };
        (simulated.at(middle), interval)
    }
}

/// The typical miss; none where too few runs show it.
fn centre(misses: &[f64]) -> Option<f64> {
    (misses.len() >= MIN_RUNS).then(|| median(&mut misses.to_vec()))
}

/// A workflow's own value, as far as its runs carry it, else that of all.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn shrunk(own: Option<f64>, n: usize, all: f64) -> f64 {
    own.map_or(all, |own| all + n as f64 / (n as f64 + OWN_RUNS) * (own - all))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::learn::runs::simulate::Normals;

    #[test]
    fn what_simulations_miss_is_made_up_for() {
        let level = Level::new(0.9).unwrap();
        let mut normals = Normals::new(9);
        let mut outcomes: Vec<f64> = (0..999).map(|_| (0.1 * normals.draw()).exp()).collect();
        let simulated = Simulated::of(&mut outcomes, level);
        let mut calibrations = Calibrations::default();
        let (point, interval) = calibrations.corrected("w", Target::DurationMs, &simulated, level);
        assert!((point - 1.0).abs() < 0.02 && (interval.upper.ln() - 0.1645).abs() < 0.02, "{interval:?}");
        // Truth is a quarter longer, and twice as wide.
        for _ in 0..2_000 {
            calibrations.observe("w", Target::DurationMs, &simulated, (0.25 + 0.2 * normals.draw()).exp());
        }
        let (point, interval) = calibrations.corrected("w", Target::DurationMs, &simulated, level);
        assert!((point.ln() - 0.25).abs() < 0.03, "{point}");
        assert!(
            (interval.lower.ln() + 0.079).abs() < 0.04 && (interval.upper.ln() - 0.579).abs() < 0.04,
            "{interval:?}"
        );
        let (other, _) = calibrations.corrected("other", Target::DurationMs, &simulated, level);
        assert!((other.ln() - 0.25).abs() < 0.03, "what all miss is taken from a workflow without history, too");
        assert!((calibrations.corrected("w", Target::Tokens, &simulated, level).0 - 1.0).abs() < 0.02);
    }
}
