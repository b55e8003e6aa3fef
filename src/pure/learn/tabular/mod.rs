//! Learning from any table.

mod double;
pub mod ols;
