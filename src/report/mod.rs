//! The weekly report: one HTML file, made of published tables only.
//!
//! [`load`] reads the tables of one as-of, [`view`] decides what is shown and in which words (no I/O, no clock), and
//! [`html`] lays it out. The same tables give the same bytes.

pub mod format;
pub mod history;
pub mod load;
pub mod read;
pub mod rollups;
pub mod view;

mod charts;
mod html;
mod order;

pub use html::html;
pub use load::{Published, as_ofs, choose_as_of, load};
pub use view::{View, ViewParams, view};
