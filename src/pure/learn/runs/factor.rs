//! How far the steps of one run deviate together.
//!
//! Deviations of steps from their predictions, each in units of its expected spread, are seen as `√ρ · run + √(1 − ρ) ·
//! step`: ρ is the intraclass correlation (Fisher 1925), estimated from the products of pairs within runs. A slow
//! machine, a busy cluster and large hidden inputs all show in it. Only durations are recorded execution by execution;
//! costs and tokens are taken to deviate together as durations do.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Deviations beyond so many spreads count as so many: one wild step is no run factor.
const CLIP: f64 = 3.0;
/// Before anything was seen, a tenth of a deviation's variance is taken to be the run's.
const PRIOR: f64 = 0.1;
/// What is known of all workflows counts as much as so many runs of one's own, and [`PRIOR`] as so many of all.
const PRIOR_RUNS: f64 = 10.0;
/// Steps never move as one.
const MOST: f64 = 0.95;

/// Sums over runs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Sums {
    /// Products of pairs, each run's divided by its steps less one, so that large runs don't outvote the others.
    pairs: f64,
    /// Executions.
    steps: f64,
    squares: f64,
    runs: f64,
}

impl Sums {
    fn rho(&self) -> Option<f64> {
        let variance = self.squares / self.steps;
        let rho = self.pairs / self.steps / variance;
        rho.is_finite().then(|| rho.clamp(0.0, MOST))
    }

    fn towards(&self, prior: f64) -> f64 {
        let own = self.rho().unwrap_or(prior);
        (self.runs * own + PRIOR_RUNS * prior) / (self.runs + PRIOR_RUNS)
    }
}

/// What is known of each workflow's run factor.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Factors {
    all: Sums,
    own: BTreeMap<String, Sums>,
}

impl Factors {
    /// Takes in the deviations of one run's executions.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(super) fn observe(&mut self, workflow: &str, deviations: &[f64]) {
        let known = || deviations.iter().filter(|z| z.is_finite()).map(|z| z.clamp(-CLIP, CLIP));
        let n = known().count();
        if n < 2 {
            return;
        }
        let (sum, squares) = known().fold((0.0, 0.0), |(sum, squares), z| (sum + z, squares + z * z));
        let pairs = (sum * sum - squares) / (n as f64 - 1.0);
        let own = self.own.entry(workflow.to_owned()).or_default();
        for sums in [own, &mut self.all] {
            sums.pairs += pairs;
            sums.steps += n as f64;
            sums.squares += squares;
            sums.runs += 1.0;
        }
    }

    /// The share of a deviation's variance that is common to the run, 0-1.
    pub(super) fn of(&self, workflow: &str) -> f64 {
        let all = self.all.towards(PRIOR);
        self.own.get(workflow).copied().unwrap_or_default().towards(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::runs::simulate::Normals;

    fn seen(rho: f64, n_runs: usize, n_steps: usize) -> f64 {
        let mut normals = Normals::new(7);
        let mut factors = Factors::default();
        for _ in 0..n_runs {
            let run = normals.draw();
            let deviations: Vec<f64> =
                (0..n_steps).map(|_| rho.sqrt() * run + (1.0 - rho).sqrt() * normals.draw()).collect();
            factors.observe("w", &deviations);
        }
        factors.of("w")
    }

    #[test]
    fn the_share_that_was_put_in_is_found() {
        for rho in [0.0, 0.3, 0.7] {
            let found = seen(rho, 2_000, 8);
            assert!((found - rho).abs() < 0.05, "{rho}: {found}");
        }
    }

    #[test]
    fn little_history_stays_near_the_prior_and_nonsense_does_no_harm() {
        let mut factors = Factors::default();
        assert!((factors.of("w") - PRIOR).abs() < 1e-12);
        for deviations in [&[][..], &[1.0], &[f64::NAN, 2.0, f64::INFINITY], &[0.0, 0.0]] {
            factors.observe("w", deviations);
        }
        assert!((factors.of("w") - PRIOR).abs() < 0.1);
        factors.observe("w", &[1e9, 1e9, 1e9]);
        assert!((0.0..=MOST).contains(&factors.of("w")));
    }
}
