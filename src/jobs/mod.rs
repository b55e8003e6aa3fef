//! What the commands do: read, call, publish; and when. Jobs never call jobs.

mod anomalies;
mod days;
mod decided;
mod engines;
mod experiments;
mod graph_skips;
mod leftovers;
mod outputs;
pub(crate) mod progress;
mod refusals;
mod registry;
pub mod run;
pub mod schedule;
mod settings;
mod sources;
mod spill;
mod stage;
mod told_before;
mod window;

pub use stage::{Stage, Stages};
