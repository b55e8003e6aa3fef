//! Statistics that several modules share.

pub mod sketch;
