//! Statistics that several modules share.

pub mod robust;
pub mod sketch;
