//! A long table of series, as two verbs read it: which columns there are, and what its rows were taken for.

use super::table::read;
use crate::error::Result;
use crate::ingest::any::AnyTable;
use crate::pure::columns::{Clock, Instants, Words};
use crate::pure::detect::sequences::{Points, Sequence, sequences};
use std::path::PathBuf;

/// What the columns are called where nobody says.
pub const DEFAULT_ID: &str = "unique_id";
/// See [`DEFAULT_ID`].
pub const DEFAULT_TIME: &str = "ds";
/// Series that are told of one by one.
pub const MAX_TOLD: usize = 20;

/// The table and its columns.
#[derive(Debug, Clone, clap::Args)]
pub struct SeriesTable {
    /// Points of series, one a row: Parquet or CSV.
    input: PathBuf,
    /// The column that names the series [default: unique_id; without it all rows are of one series].
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// The column that orders points: dates with times, or numbers [default: ds; without it the order of the rows].
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// The column of values.
    #[arg(long, value_name = "COLUMN", default_value = "y")]
    target: String,
}

impl SeriesTable {
    /// The series, and what their instants are.
    ///
    /// # Errors
    /// [`crate::error::Error::Usage`] for columns that are missing or hold no numbers, [`crate::error::Error::Input`]
    /// when the file can't be read.
    pub fn series(&self) -> Result<(Vec<Sequence>, Clock)> {
        let [id, time] = [(&self.id, DEFAULT_ID), (&self.time, DEFAULT_TIME)]
            .map(|(named, default)| named.as_deref().unwrap_or(default));
        let input = read(&self.input, &[id, time, &self.target])?;
        let (ids, times) = (self.ids(&input)?, self.times(&input)?);
        let values = input.numbers(&self.target)?;
        let clock = times.as_ref().map_or(Clock::Integer, |times| times.clock);
        Ok((sequences(Points { ids: ids.as_ref(), times: times.as_ref(), values: &values }), clock))
    }

    fn ids(&self, input: &AnyTable) -> Result<Option<Words>> {
        match &self.id {
            None if !input.has(DEFAULT_ID) => {
                tracing::warn!(
                    "there is no column {DEFAULT_ID:?}: all rows are taken for one series; name one with --id"
                );
                Ok(None)
            }
            name => input.words(name.as_deref().unwrap_or(DEFAULT_ID)).map(Some),
        }
    }

    fn times(&self, input: &AnyTable) -> Result<Option<Instants>> {
        match &self.time {
            None if !input.has(DEFAULT_TIME) => {
                tracing::warn!(
                    "there is no column {DEFAULT_TIME:?}: rows are taken in their order; name one with --time"
                );
                Ok(None)
            }
            name => input.instants(name.as_deref().unwrap_or(DEFAULT_TIME)).map(Some),
        }
    }
}

/// Rows that a series does without, or that share a place.
pub fn left_out(series: &Sequence) -> Vec<String> {
    let Sequence { n_shared, n_untimed, .. } = series;
    let untimed = (*n_untimed > 0).then(|| format!("{n_untimed} rows without a time are left out"));
    let shared = (*n_shared > 0).then(|| {
        format!("{n_shared} rows share their time with others; each time counts as one point, the median of its distinct values")
    });
    [untimed, shared].into_iter().flatten().map(|remark| format!("series {}: {remark}", name(series))).collect()
}

/// The series in a sentence.
pub fn name(series: &Sequence) -> String {
    series.id.as_ref().map_or_else(|| "without a name".to_owned(), |id| format!("{id:?}"))
}

/// Warns of the first few, and of how many more there are.
pub fn tell(remarks: &[String]) {
    for remark in remarks.iter().take(MAX_TOLD) {
        tracing::warn!("{remark}");
    }
    if let Some(more) = remarks.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        tracing::warn!("{more} more such remarks on other series");
    }
}
