//! Learning from any table: an outcome from what is known beforehand, with intervals.
//!
//! ```text
//! Table ─ Encoding ─ Rows ─┬─ folds ─ trial: every learner on held-out rows ─ mix, spreads ─┐
//!                          └─ the learners that count, on all rows ─────────────────────────┴─ Model
//! ```
//!
//! Which learner is used where is decided by what happens on held-out rows, in the situation in which a prediction is
//! asked for: within what a group has seen, beyond its sizes, in a group never seen ([`folds::Situation`]).

mod basis;
mod calendar;
pub mod card;
mod dense;
mod effects;
mod elastic_net;
mod ensemble;
pub mod folds;
pub mod learner;
mod linear;
mod medians;
mod mix;
pub mod model;
mod neighbours;
pub mod ols;
mod places;
pub mod planes;
mod process;
mod repeats;
pub mod rows;
pub mod scale;
mod spread;
#[cfg(test)]
mod tests;
mod train;
mod trees;
mod trial;

pub use card::Card;
pub use learner::{Fit, Learner};
pub use model::{Expectation, Model, VERSION};
pub use rows::Table;
pub use train::{Choice, TrainParams, train};

/// Why nothing could be learned or predicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// A table lacks a feature, or holds words where the model learned from numbers, or the other way round.
    #[error("the column {feature:?} is missing, or is not of the kind (numbers or words) that the model learned from")]
    Features {
        /// The column.
        feature: String,
    },
    /// Columns of another length than the table.
    #[error("the target has {found} values, the table {expected} rows")]
    Length {
        /// Values.
        found: usize,
        /// Rows.
        expected: usize,
    },
    /// No row has a target.
    #[error("none of {n_rows} rows has a target that is a finite number")]
    NoTarget {
        /// Rows.
        n_rows: usize,
    },
    /// Ordinary least squares can't be done.
    #[error("ordinary least squares: {0}")]
    Ols(#[from] ols::OlsError),
    /// A solver found nothing.
    #[error("{learner} finds no solution on {n_rows} rows; it needs more rows than columns and an outcome that varies")]
    Unsolved {
        /// The learner.
        learner: &'static str,
        /// Rows.
        n_rows: usize,
    },
}
