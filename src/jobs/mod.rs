//! What the commands do: read, call, publish; and when.

pub mod schedule;
