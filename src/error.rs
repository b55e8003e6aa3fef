//! What can go wrong at the edge, and the exit code that says so.

use std::path::PathBuf;

/// A failure that ends a command. Every message names the file, key or column, what was found, what was expected,
/// and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong usage or configuration: exit 2.
    #[error("{0}")]
    Usage(String),
    /// The input as a whole can't be read: exit 4.
    #[error("{0}")]
    Input(String),
    /// The object store failed: exit 5.
    #[error("{action} {location}: {source}")]
    Store {
        /// What was tried, e.g. `reading`.
        action: &'static str,
        /// Which object.
        location: String,
        /// The store's own words.
        #[source]
        source: object_store::Error,
    },
    /// The local disk failed: exit 5.
    #[error("{action} {path}: {source}", path = path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// The database failed: exit 5.
    #[error("{action} the Postgres database: {source}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// The driver's own words.
        #[source]
        source: sqlx::Error,
    },
    /// Something published does not verify: exit 6.
    #[error("{0}")]
    Verification(String),
    /// A fault of paceline itself, e.g. a table that breaks its own contract: exit 1.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

/// The result of everything at the edge.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The process exit code of this failure (3 is not a failure: it is a finished run over its limits).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Input(_) => 4,
            Self::Store { .. } | Self::Disk { .. } | Self::Database { .. } => 5,
            Self::Verification(_) => 6,
            Self::Internal(_) => 1,
        }
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Internal(format!("writing Parquet: {error}"))
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Internal(format!("building a result table: {error}"))
    }
}

impl From<polars::error::PolarsError> for Error {
    fn from(error: polars::error::PolarsError) -> Self {
        Self::Internal(format!("transforming a table: {error}"))
    }
}
