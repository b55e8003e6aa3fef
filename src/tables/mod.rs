//! One table a file: its columns, types, units, grain and key. A table is a type whose constructor checks them; no bare
//! data frame crosses a module line.

mod duplicates;
mod schema;

pub mod published;
pub mod rejects;
pub mod runs;
pub mod steps;

pub use duplicates::{Fate, fates};
pub use rejects::{Reject, Rejects};
pub use runs::Runs;
pub use schema::{CanonicalTable, Field, Kind, Range, Schema, TableError};
pub use steps::Steps;
