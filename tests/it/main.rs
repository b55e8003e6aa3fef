//! The integration tests of paceline, in one binary, as linking is what costs time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they skip"
)]

mod anomalies;
mod backtest;
mod bad_lake;
mod capacity;
mod change_points;
mod changes;
mod commands;
mod config;
mod crash;
mod degradations;
mod experiment;
mod experiment_goldens;
mod experiments;
mod folder;
mod forecast;
mod ingest;
mod job;
mod outcomes;
mod postgres;
mod publish;
mod readers;
mod refusals;
mod registry;
mod replay;
mod report;
mod rollups;
mod s3;
mod schedule;
mod spread_changes;
mod stores;
mod train;
mod workplace;
mod zones;
