//! The calculations of paceline, and nothing else.
//!
//! Everything here is total, synchronous and deterministic: slices and plain structs in, plain structs
//! out. There is no file, clock, environment variable, network or unseeded randomness in this crate, and its
//! `Cargo.toml` keeps it so: no polars, tokio, sqlx or object_store. Instants are microseconds since the
//! Unix epoch in UTC (`*_us: i64`), the cutoff and the seed are arguments.
//!
//! ```text
//! Series ─┬─ detect::change_points ─ detect::baselines ─ detect::trends ─┐
//!         └─ forecast ─────────────────────────────────────────────────────┤
//! Samples ── learn (regression, conformal, isolation forest) ─ compare ────┼─ recommend
//! RunGraph ─ graph (critical path, slots, replay) ─ detect::bottlenecks ───┤
//! ArmStatistics ─ experiment ──────────────────────────────────────────────┘
//! DayUsage ─ forecast::capacity
//! ```

pub mod analysis;
pub mod columns;
pub mod compare;
pub mod detect;
pub mod experiment;
pub mod forecast;
pub mod graph;
pub mod keys;
pub mod learn;
pub mod levels;
pub mod outcomes;
pub mod recommend;
pub mod samples;
pub mod series;
pub mod stats;
pub mod units;
pub mod usage;
