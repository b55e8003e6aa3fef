//! Statistics that several modules share.

pub mod dist;
pub(crate) mod double;
pub mod fdr;
pub mod optimize;
pub mod rank;
pub mod robust;
pub mod sketch;
pub mod subsample;
