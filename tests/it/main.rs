//! The integration tests of paceline, in one binary.

mod postgres;
mod publish;
mod readers;
mod stores;
