//! What the runs of a workflow came to, and what they took and cost: what one that succeeds costs together with those that
//! fail beside it.

use crate::usage::Total;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What some runs took and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Outlay {
    /// The runs.
    pub n_runs: u32,
    /// Milliseconds, of those whose duration is known.
    pub ms: Total,
    /// Money in USD, of those of which it is known.
    pub usd: Total,
}

impl Outlay {
    /// What one run took and cost; NaN is unknown.
    pub fn add(&mut self, duration_ms: f64, cost_usd: f64) {
        self.n_runs = self.n_runs.saturating_add(1);
        self.ms.add(duration_ms);
        self.usd.add(cost_usd);
    }

    /// Both together.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let n_runs = self.n_runs.saturating_add(other.n_runs);
        Self { n_runs, ms: self.ms.merged(other.ms), usd: self.usd.merged(other.usd) }
    }
}

/// The runs of one workflow that started on one day and have ended; cancelled ones are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayOutcomes {
    /// Code of the workflow.
    pub workflow_id: u32,
    /// Start of the day.
    pub day_us: i64,
    /// Those that succeeded.
    pub succeeded: Outlay,
    /// Those that failed, by the code of the step whose last try failed first, or [`crate::samples::UNKNOWN`] where no
    /// step's did.
    pub failed: BTreeMap<u32, Outlay>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_counts_as_a_run_and_as_nothing_else() {
        let mut outlay = Outlay::default();
        outlay.add(3.0, f64::NAN);
        outlay.add(4.0, 0.5);
        let both = outlay.merged(outlay);
        assert_eq!((both.n_runs, both.ms.n_runs, both.usd.n_runs), (4, 4, 2));
        assert_eq!((both.ms.sum, both.ms.sum_sq, both.usd.sum), (14.0, 50.0, 1.0));
    }
}
