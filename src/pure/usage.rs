//! What the runs of a day used, over all workflows: what capacity is planned from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is used up: of a day the sum counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Spent {
    /// Money in USD.
    CostUsd,
    /// Tokens in and out.
    Tokens,
    /// Calls to external APIs.
    ApiCalls,
}

impl Spent {
    /// All, in the order of [`DayUsage::spent`].
    pub const ALL: [Self; 3] = [Self::CostUsd, Self::Tokens, Self::ApiCalls];
}

/// What is held for a time: of a day the most at once counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Held {
    /// Runs under way.
    Runs,
    /// Executions of steps under way.
    Slots,
    /// Cores in use.
    CpuCores,
    /// Peak memory in MB (10⁶ bytes) of the executions under way.
    MemoryMb,
}

impl Held {
    /// All, in the order of [`DayUsage::held`].
    pub const ALL: [Self; 4] = [Self::Runs, Self::Slots, Self::CpuCores, Self::MemoryMb];
}

/// What the runs of a day spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    /// Runs of which it is recorded.
    pub n_runs: u32,
    /// Sum.
    pub sum: f64,
    /// Sum of the squares of what each run spent.
    pub sum_sq: f64,
}

impl Total {
    /// What one more run spent; what is not finite is unknown and not counted.
    pub fn add(&mut self, spent: f64) {
        if spent.is_finite() {
            *self = self.merged(Self { n_runs: 1, sum: spent, sum_sq: spent * spent });
        }
    }

    /// Both together.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let n_runs = self.n_runs.saturating_add(other.n_runs);
        Self { n_runs, sum: self.sum + other.sum, sum_sq: self.sum_sq + other.sum_sq }
    }
}

/// What was held while a day went by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Executions (or runs) that hold something, and those of them of which it is known how much and from when to when.
    pub n: (u32, u32),
    /// Mean of each hour from the day's start on, for as long as what started on the day goes on, beyond its end too.
    pub hours: Vec<f32>,
    /// (24,) The most at once in each hour of the day.
    pub peaks: Vec<f32>,
}

/// One day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DayUsage {
    /// Start of the day.
    pub start_us: i64,
    /// Runs that started, whatever became of them.
    pub n_runs: u32,
    /// One for each of [`Spent::ALL`].
    pub spent: [Total; Spent::ALL.len()],
    /// API calls by provider, where one is recorded.
    pub calls: BTreeMap<String, Total>,
    /// One for each of [`Held::ALL`].
    pub held: [Load; Held::ALL.len()],
}
