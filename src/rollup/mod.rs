//! From canonical tables to what the analyses see: buckets, series, samples, arm statistics, run graphs,
//! what a day used.
//!
//! A day of the lake is reduced once, to a [`DayDigest`]; the analyses work on the digests of the window. A later run
//! reads only the days whose files have changed, so its cost goes with what is new and memory with what is kept.

mod arms;
mod buckets;
mod digest;
mod executions;
mod graphs;
mod history;
mod levels;
mod outcomes;
mod samples;
mod upstream;
mod usage;

pub use arms::{ARM_METRICS, ArmCell, ArmKey, UnitSums};
pub use buckets::{CellKey, DailyCell, Period, daily_cells, rollups};
pub use digest::{DayDigest, DigestHead, InputFile, Provenance, digest};
pub use executions::{Day, Executions, NO_INSTANT, Status, day};
pub use graphs::{RunIssue, Selection, run_graphs};
pub use history::{History, HistoryBuilder};
pub use samples::{Origins, step_samples_ended};
