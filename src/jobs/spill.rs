//! Finished files that wait on the local disk for the commit: nothing is published before it, and memory need not hold
//! them meanwhile.

use crate::error::{Error, Result};
use crate::publish::Output;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A folder in the system's place for temporary files, gone with its last owner.
#[derive(Debug)]
pub(crate) struct SpillFolder {
    folder: Arc<TempDir>,
}

/// One finished file.
#[derive(Debug, Clone)]
pub(crate) struct Spill {
    /// The table that it belongs to.
    pub(crate) table: &'static str,
    /// Where it will be published, relative to the results.
    pub(crate) path: String,
    /// Rows in it.
    pub(crate) rows: u64,
    file: PathBuf,
    _folder: Arc<TempDir>,
}

impl SpillFolder {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("paceline-").tempdir().map_err(|source| Error::Disk {
            action: "creating a temporary folder in",
            path: std::env::temp_dir(),
            source,
        })?;
        Ok(Self { folder: Arc::new(folder) })
    }

    pub(crate) fn keep(&self, table: &'static str, path: String, bytes: &[u8], rows: u64) -> Result<Spill> {
        let file = self.folder.path().join(path.replace('/', "~"));
        std::fs::write(&file, bytes).map_err(|source| Error::Disk { action: "writing", path: file.clone(), source })?;
        Ok(Spill { table, path, rows, file, _folder: Arc::clone(&self.folder) })
    }
}

impl Spill {
    /// The file as it is published.
    pub(crate) fn output(&self) -> Result<Output> {
        let bytes = std::fs::read(&self.file)
            .map_err(|source| Error::Disk { action: "reading", path: self.file.clone(), source })?;
        Ok(Output { table: self.table, path: self.path.clone(), bytes, rows: self.rows })
    }
}
