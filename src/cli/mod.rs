//! The commands: arguments in, exit code out.

pub mod init;
pub mod ledger;
pub mod migrate;
pub mod output;
pub mod recommend;
pub mod report;
pub mod results;
pub mod schedule;
