//! Statistics that several modules share.

pub mod optimize;
pub mod sketch;
