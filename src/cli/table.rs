//! Any table in, result tables out: what the verbs for analysts share.

use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::pure::columns::{Clock, Instants};
use crate::pure::learn::leakage;
use polars::prelude::{
    Column, CsvWriter, DataFrame, Float64Chunked, Int64Chunked, IntoColumn, IntoSeries, NamedFrom, NewChunkedArray,
    ParquetWriter, SerWriter, Series, TimeUnit, TimeZone,
};
use std::io::Write;
use std::path::Path;

/// Reads a Parquet or CSV file, of Parquet the `wanted` columns.
///
/// # Errors
/// [`Error::Input`] when it can't be read.
pub fn read(path: &Path, wanted: &[&str]) -> Result<AnyTable> {
    read_where(path, |name| wanted.contains(&name))
}

/// The same with all its columns.
///
/// # Errors
/// As [`read`].
pub fn read_all(path: &Path) -> Result<AnyTable> {
    read_where(path, |_| true)
}

fn read_where(path: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<AnyTable> {
    let shown = path.display().to_string();
    let bytes =
        std::fs::read(path).map_err(|error| Error::Input(format!("{shown}: {error}; name a Parquet or CSV file")))?;
    AnyTable::read(&bytes, &shown, is_wanted)
}

/// Refuses features that are named twice, or that nobody knows before the start.
///
/// # Errors
/// [`Error::Usage`] with the reason.
pub fn check_features(features: &[String], target: &str) -> Result<()> {
    let twice = features.iter().enumerate().find(|(at, name)| features.iter().take(*at).any(|other| other == *name));
    if let Some((_, name)) = twice {
        return Err(Error::Usage(format!("--features names {name:?} twice; name each column once")));
    }
    leakage::refuse(features, target).map_err(|leak| Error::Usage(format!("--features: {leak}")))
}

/// A table to be written, column by column.
#[derive(Debug, Default)]
pub struct ResultTable {
    columns: Vec<Column>,
}

impl ResultTable {
    /// Whole numbers.
    #[must_use]
    pub fn integers(mut self, name: &str, values: impl IntoIterator<Item = Option<i64>>) -> Self {
        let values: Int64Chunked = Int64Chunked::from_iter_options(name.into(), values.into_iter());
        self.columns.push(values.into_column());
        self
    }

    /// Numbers; NaN is written as null.
    #[must_use]
    pub fn numbers(mut self, name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let known = values.into_iter().map(|value| (!value.is_nan()).then_some(value));
        self.columns.push(Float64Chunked::from_iter_options(name.into(), known).into_column());
        self
    }

    /// Texts.
    #[must_use]
    pub fn texts<S: AsRef<str>>(mut self, name: &str, values: impl IntoIterator<Item = Option<S>>) -> Self {
        self.columns.push(crate::ingest::raw::texts(name, values.into_iter()));
        self
    }

    /// Truth values.
    #[must_use]
    pub fn flags(mut self, name: &str, values: &[bool]) -> Self {
        self.columns.push(Series::new(name.into(), values).into_column());
        self
    }

    /// Instants as the input had them.
    #[must_use]
    pub fn instants(mut self, name: &str, instants: &Instants) -> Self {
        let Instants { values, clock } = instants;
        let whole = || Int64Chunked::from_iter_options(name.into(), values.iter().copied());
        self.columns.push(match clock {
            Clock::Integer => whole().into_column(),
            Clock::Fraction => {
                #[expect(clippy::cast_precision_loss, reason = "they came from doubles")]
                let numbers = values.iter().map(|value| value.map(|value| value as f64 / 1e6));
                Float64Chunked::from_iter_options(name.into(), numbers).into_column()
            }
            Clock::Time { zoned } => {
                let zone = zoned.then_some(TimeZone::UTC);
                whole().into_datetime(TimeUnit::Microseconds, zone).into_series().into_column()
            }
        });
        self
    }

    /// Writes Parquet or CSV by the ending of `out`: all of it, or nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] for another ending, [`Error::Disk`] when it can't be written.
    pub fn write(self, out: &Path) -> Result<()> {
        let ending = Ending::of(out)?;
        let height = self.columns.first().map_or(0, Column::len);
        let mut frame = DataFrame::new(height, self.columns)?;
        write_whole(out, |file| {
            match ending {
                Ending::Parquet => {
                    ParquetWriter::new(file).set_parallel(false).finish(&mut frame)?;
                }
                Ending::Csv => CsvWriter::new(file).finish(&mut frame)?,
            }
            Ok(())
        })
    }
}

/// How a result table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `.parquet`
    Parquet,
    /// `.csv`
    Csv,
}

impl Ending {
    /// What the name of a file asks for. Call it before long work, so that a wrong name costs nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] for any other ending.
    pub fn of(out: &Path) -> Result<Self> {
        match out.extension().and_then(|ending| ending.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            _ => Err(Error::Usage(format!("{}: end it in .parquet or .csv", out.display()))),
        }
    }
}

/// Replaces a file as a whole: whoever reads it meanwhile sees the old one or the new one.
///
/// # Errors
/// What `write` says; [`Error::Disk`] when the file can't be made or moved into place.
pub fn write_whole(out: &Path, write: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<()> {
    let failed = |source| Error::Disk { action: "writing", path: out.to_owned(), source };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    write(file.as_file_mut())?;
    file.as_file_mut().flush().map_err(failed)?;
    readable_by_others(file.as_file()).map_err(failed)?;
    file.persist(out).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Temporary files are private; results are for reading.
#[cfg(unix)]
fn readable_by_others(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_others(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
