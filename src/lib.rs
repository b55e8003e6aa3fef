//! Paceline reads the history of workflow runs and says what will happen, what changed, what is slow, what a fix
//! would really save, and what to do next.
//!
//! ```text
//! lake ─ ingest ─ tables ─ rollup ─┬─ pure: analysis, learning, replay, experiments, ranking ─┬─ publish ─ report
//!  (EDGE, TABLE)      (TABLE)      └───────────────── no I/O in here ─────────────────────────┘   (EDGE)
//! ```
//!
//! The modules stand in the order in which data flows through them; `ARCHITECTURE.md` is the map.

pub mod cli;
pub mod config;

pub mod clock;
pub mod error;
pub mod io;

pub mod jobs;

pub mod ingest;
pub mod rollup;
pub mod tables;

pub use paceline_pure as pure;

pub mod publish;
pub mod report;
pub mod sample;
