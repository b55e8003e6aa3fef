//! Which proposal of a workflow is put first: the best, or now and then another, with a probability that is published.
//!
//! An ε-greedy contextual bandit (Langford and Zhang, "The epoch-greedy algorithm for multi-armed bandits with side
//! information", NIPS 2007). With probability `1 − ε` the proposal of greatest expected worth comes first, with
//! probability ε one drawn uniformly among the workflow's open proposals, the best among them. So proposal `i` of `n` is
//! first with the propensity `(1 − ε) [i is best] + ε / n`. A uniform draw is chosen over Thompson's for that: its
//! propensities are exact, where those of Thompson's are integrals, and none is below ε / n, so that weights by their inverse
//! are bounded and any policy can be judged by what was logged. What it costs is bounded by ε times the difference between
//! the best and the mean. Only who is first is drawn: a list of n has n! orders, and few look past the first.

use super::stable_id;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// How the first proposal is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Policy {
    /// Probability of a draw instead of the best, ε, 0-1; 0 is greedy.
    pub exploration_rate: f64,
    /// Of the configuration.
    pub seed: u64,
    /// The cutoff: every as-of draws anew, and repeats its draw when it is repeated.
    pub as_of_us: i64,
}

/// Who is first.
#[derive(Debug, Clone, PartialEq)]
pub struct Lead {
    /// Position of the first among the open proposals, best first.
    pub position: usize,
    /// Probability of each to be first; sums to 1.
    pub propensities: Vec<f64>,
}

impl Policy {
    /// Chooses among `n` open proposals of a workflow, best first. None without any.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a handful of proposals")]
    pub fn lead(&self, workflow_id: &str, n: usize) -> Option<Lead> {
        let rate = if self.exploration_rate.is_finite() { self.exploration_rate.clamp(0.0, 1.0) } else { 0.0 };
        let drawn = rate / n as f64;
        let propensities = (0..n).map(|position| if position == 0 { 1.0 - rate + drawn } else { drawn }).collect();
        let mut draws = self.draws(workflow_id);
        let explores = draws.random::<f64>() < rate;
        let position = if explores && n > 1 { draws.random_range(0..n) } else { 0 };
        (n > 0).then_some(Lead { position, propensities })
    }

    fn draws(&self, workflow_id: &str) -> Xoshiro256PlusPlus {
        let (seed, as_of) = (self.seed.to_string(), self.as_of_us.to_string());
        let hash = u64::from_str_radix(&stable_id(&["policy", &seed, &as_of, workflow_id]), 16);
        Xoshiro256PlusPlus::seed_from_u64(hash.unwrap_or(self.seed))
    }
}

#[cfg(test)]
mod tests;
