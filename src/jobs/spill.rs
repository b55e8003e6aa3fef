//! Finished files that wait on the local disk for the commit: nothing is published before it, and memory need not hold
//! them meanwhile.

use crate::error::{Error, Result};
use crate::publish::Output;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file without a name in the system's place for temporary files: it is gone with its last owner, however that ends.
#[derive(Debug)]
pub(crate) struct SpillFile {
    file: Arc<Mutex<File>>,
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
    start: u64,
    length: usize,
    file: Arc<Mutex<File>>,
}

impl SpillFile {
    pub(crate) fn new() -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed("creating a file in"))?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    pub(crate) fn keep(&self, table: &'static str, path: String, bytes: &[u8], rows: u64) -> Result<Spill> {
        let mut file = locked(&self.file);
        let start = file.seek(SeekFrom::End(0)).map_err(failed("writing to"))?;
        file.write_all(bytes).map_err(failed("writing to"))?;
        Ok(Spill { table, path, rows, start, length: bytes.len(), file: Arc::clone(&self.file) })
    }
}

impl Spill {
    /// The file as it is published.
    pub(crate) fn output(&self) -> Result<Output> {
        let mut bytes = vec![0; self.length];
        let mut file = locked(&self.file);
        file.seek(SeekFrom::Start(self.start)).map_err(failed("reading from"))?;
        file.read_exact(&mut bytes).map_err(failed("reading from"))?;
        Ok(Output { table: self.table, path: self.path.clone(), bytes, rows: self.rows })
    }
}

/// Whoever panicked with the lock left at most bytes behind that nobody asks for.
fn locked(file: &Mutex<File>) -> MutexGuard<'_, File> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Disk { action, path: std::env::temp_dir(), source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn each_comes_back_as_it_was_kept() {
        let spill = SpillFile::new().unwrap();
        let kept = [&b"one"[..], b"", b"three"].map(|bytes| spill.keep("skips", "p".to_owned(), bytes, 1).unwrap());
        drop(spill);
        let read: Vec<Vec<u8>> = kept.iter().rev().map(|spill| spill.output().unwrap().bytes).collect();
        assert_eq!(read, [&b"three"[..], b"", b"one"]);
    }
}
