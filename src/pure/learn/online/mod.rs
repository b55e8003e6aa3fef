//! Predictions that are learned as executions end: test, then train.
//!
//! Rows are walked in the order of time. Each is predicted from what had ended before; when it ends, it is learned
//! from. A group (a step, say) is predicted by several [`experts`] over its latest executions, believed by how well
//! they did; a group that was never seen, by what the first executions of other groups were like. The answer is a
//! [`mixture`] of what the experts would have said of each execution, its point the place that is likeliest to be
//! right within ±20 % (the accuracy that is reported), its interval [`conformal`].
//!
//! The walk is sequential, so the result is the same for any number of threads.

mod conformal;
mod effects;
pub(crate) mod events;
mod experts;
mod history;
mod mixture;
mod rivals;
mod scale;
mod score;
mod slopes;
#[cfg(test)]
mod tests;
mod walk;

pub use events::Order;
pub use rivals::{Rival, Rivals, rivals};
pub use score::{Score, Scored, scores};

use crate::samples::UNKNOWN;
use crate::units::Level;

/// Executions to be predicted one after another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Executions {
    /// (n_rows,) the group of each; [`UNKNOWN`] is a group of its own.
    pub group: Vec<u32>,
    /// (n_numeric,) columns of (n_rows,): NaN is unknown.
    pub numeric: Vec<Vec<f64>>,
    /// (n_categorical,) columns of (n_rows,) codes: [`UNKNOWN`] is unknown.
    pub categorical: Vec<Vec<u32>>,
    /// (n_rows,) what is predicted; a row whose target is not finite is predicted, but not learned from.
    pub target: Vec<f64>,
    /// (n_rows,) in any unit of time.
    pub start: Vec<i64>,
    /// (n_rows,) in the same; a row without end is predicted, but not learned from.
    pub end: Vec<Option<i64>>,
}

impl Executions {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    /// One more than the largest code of a group; the unknown group comes last.
    pub(crate) fn n_groups(&self) -> usize {
        let known = self.group.iter().filter(|group| **group != UNKNOWN);
        known.max().map_or(0, |group| *group as usize + 1) + 1
    }

    /// The group of a row as a position below [`Self::n_groups`].
    pub(crate) fn group_at(&self, row: usize, n_groups: usize) -> usize {
        let group = self.group.get(row).copied().unwrap_or(UNKNOWN);
        if group == UNKNOWN { n_groups - 1 } else { group as usize }
    }

    /// The target of a row, none where it is unknown or never ends.
    pub(crate) fn outcome(&self, row: usize) -> Option<f64> {
        self.end.get(row).copied().flatten()?;
        self.target.get(row).copied().filter(|target| target.is_finite())
    }
}

/// How to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineParams {
    /// What is known when a row is predicted.
    pub order: Order,
    /// Levels of the intervals.
    pub levels: Vec<Level>,
}

/// Who gave an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Nobody: nothing had ended.
    Nobody,
    /// The first executions of other groups.
    Pooled,
    /// The expert that the group believed most.
    Expert(usize),
}

impl Speaker {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "none",
            Self::Pooled => "pooled",
            Self::Expert(expert) => experts::NAMES.get(expert).copied().unwrap_or("none"),
        }
    }
}

/// An answer for every row. Before anything has ended, point and bounds are NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// Levels in ascending order, each once.
    pub levels: Vec<Level>,
    /// (n_rows,) expected values.
    pub point: Vec<f64>,
    /// (n_rows · n_levels,) lower bounds: levels of a row lie side by side.
    pub lower: Vec<f64>,
    /// (n_rows · n_levels,) upper bounds.
    pub upper: Vec<f64>,
    /// (n_rows,) who spoke.
    pub speaker: Vec<Speaker>,
    /// (n_rows,) executions of the row's group that were known; 0 where the answer is pooled.
    pub n_seen: Vec<u32>,
}

/// Predicts every row from what had ended before it, then learns from it. `progress` is called now and then with the
/// number of rows predicted since the last call.
///
/// Rows may come in any order of time. A target far from zero is compared by ratios, one near or below zero by
/// differences.
#[must_use]
pub fn predict_online(data: &Executions, params: &OnlineParams, progress: impl Fn(usize)) -> Answers {
    walk::Walk::new(data, params).run(params.order, progress)
}
