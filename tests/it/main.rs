//! All integration tests in one binary, as linking is what costs time.
#![expect(clippy::unwrap_used, reason = "tests")]

mod config;
mod postgres;
mod publish;
mod readers;
mod schedule;
mod stores;
