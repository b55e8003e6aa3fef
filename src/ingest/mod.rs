//! What real systems write, into the lake. One dialect a file; the name of an engine appears nowhere else.

pub mod columns;
pub mod conform;
pub mod raw;
pub mod time;
