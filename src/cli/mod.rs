//! The commands: arguments in, exit code out.

pub mod ledger;
pub mod migrate;
pub mod output;
