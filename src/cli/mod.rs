//! The commands.

pub mod ingest;
