//! Everything through the public interface.

mod ingest;
