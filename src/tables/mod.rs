//! Tables as types: columns, units, grain and key, one table a file.

pub mod published;
