//! From results to what others read.

pub mod parquet;
pub mod rows;
