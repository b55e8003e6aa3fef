//! The commands.

pub mod init;
pub mod schedule;
