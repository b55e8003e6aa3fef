//! What all executions of a step did on a day, in means: enough to lay any line through, however many there were.

use serde::{Deserialize, Serialize};

/// Outcomes of which means are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// How long they took.
    DurationMs,
    /// Their peak memory.
    MemoryMb,
}

/// The mean of a size's natural logarithm over the executions of which it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanSize {
    /// Of how many.
    pub n: u32,
    /// The mean; 0 where of none.
    pub mean_log: f32,
}

/// A day of a step in a workflow: executions that succeeded, were not answered from a cache, and whose outcome is known
/// and positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LevelCell {
    /// Code of the workflow.
    pub workflow_id: u32,
    /// Code of its type.
    pub workflow_type: u32,
    /// Code of the derived step.
    pub step: u32,
    /// What is measured.
    pub outcome: Outcome,
    /// How many executions.
    pub n: u32,
    /// Mean natural logarithm of the outcome, outliers drawn in.
    pub mean_log: f32,
    /// Bytes in, tokens in.
    pub sizes: [MeanSize; 2],
    /// Entries of the mix that tell of providers.
    pub n_providers: u32,
    /// Entries of the mix that tell of platforms.
    pub n_platforms: u32,
}

/// All cells of a day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DayLevels {
    /// One a workflow, step and outcome.
    pub cells: Vec<LevelCell>,
    /// Code and executions of each known provider, then platform, cell after cell.
    pub mix: Vec<(u32, u32)>,
}

impl DayLevels {
    /// Each cell with its providers and its platforms.
    pub fn iter(&self) -> impl Iterator<Item = (&LevelCell, [&[(u32, u32)]; 2])> {
        let mut at = 0;
        let mut take = move |n: u32| {
            let from = at;
            at += n as usize;
            self.mix.get(from..at).unwrap_or_default()
        };
        self.cells.iter().map(move |cell| {
            let providers = take(cell.n_providers);
            (cell, [providers, take(cell.n_platforms)])
        })
    }

    /// The same with other codes.
    #[must_use]
    pub fn recoded(mut self, code: impl Fn(u32) -> u32) -> Self {
        for cell in &mut self.cells {
            for own in [&mut cell.workflow_id, &mut cell.workflow_type, &mut cell.step] {
                *own = code(*own);
            }
        }
        self.mix.iter_mut().for_each(|(own, _)| *own = code(*own));
        self
    }
}
