//! What becomes of rows that share a key.
//!
//! Rows are looked at in order. The first row of a key stands. A later row with the same content is an exact duplicate;
//! one with other content is refused, unless one of the two says `running`: an execution that was recorded
//! before it ended gives way to what was recorded later. Since the first row stands otherwise, bringing files in one
//! after the other or all at once leaves the same rows.

use super::{Schema, runs};
use polars::error::PolarsResult;
use polars::prelude::row_encode::encode_rows_unordered;
use polars::prelude::{
    BinaryOffsetChunked, Column, DataFrame, IdxCa, IdxSize, InitHashMaps, NewChunkedArray, PlHashMap, PlHashSet,
};

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is kept.
    Stands,
    /// It repeats a row that stands.
    Exact,
    /// It was recorded while it ran, and another row says more.
    Superseded,
    /// Its key is taken by a row with other content.
    Conflict,
}

/// The fate of every row, or none when all keys are distinct. Keys and contents are compared byte by byte, so two
/// rows are never taken for one because their hashes meet.
///
/// # Errors
/// When polars can't encode a column.
pub fn fates(frame: &DataFrame, schema: &Schema) -> PolarsResult<Option<Vec<Fate>>> {
    if frame.height() < 2 {
        return Ok(None);
    }
    let keys = encoded(frame, schema.key.iter().copied())?;
    let Some(shared) = rows_that_share_a_key(&keys) else {
        return Ok(None);
    };
    let mut frame = frame.clone();
    frame.rechunk_mut();
    let rows = frame.take(&IdxCa::from_slice("row".into(), &shared))?;
    let contents = encoded(&rows, schema.fields.iter().map(|field| field.name))?;
    let running: Vec<bool> = match rows.column(runs::STATUS) {
        Ok(status) => status.str()?.iter().map(|word| word == Some(runs::RUNNING)).collect(),
        Err(_) => vec![false; shared.len()],
    };
    Ok(Some(decide(frame.height(), &keys, &shared, &contents, &running)))
}

fn encoded<'a>(frame: &DataFrame, names: impl Iterator<Item = &'a str>) -> PolarsResult<BinaryOffsetChunked> {
    let columns: Vec<Column> = names.filter_map(|name| frame.column(name).ok().cloned()).collect();
    encode_rows_unordered(&columns)
}

fn rows_that_share_a_key(keys: &BinaryOffsetChunked) -> Option<Vec<IdxSize>> {
    let mut seen: PlHashSet<&[u8]> = PlHashSet::with_capacity(keys.len());
    let repeated: PlHashSet<&[u8]> = keys.iter().flatten().filter(|key| !seen.insert(key)).collect();
    if repeated.is_empty() {
        return None;
    }
    let shared = (0..).zip(keys.iter()).filter(|(_, key)| key.is_some_and(|key| repeated.contains(key)));
    Some(shared.map(|(row, _)| row).collect())
}

/// The row that has a key for now.
#[derive(Clone, Copy)]
struct Standing<'a> {
    row: usize,
    content: Option<&'a [u8]>,
    is_running: bool,
}

fn decide(
    height: usize,
    keys: &BinaryOffsetChunked,
    shared: &[IdxSize],
    contents: &BinaryOffsetChunked,
    running: &[bool],
) -> Vec<Fate> {
    let mut fates = vec![Fate::Stands; height];
    let mut standing: PlHashMap<Option<&[u8]>, Standing<'_>> = PlHashMap::new();
    for ((&row, content), &is_running) in shared.iter().zip(contents.iter()).zip(running) {
        let row = row as usize;
        let key = keys.get(row);
        let fate = match standing.get(&key).copied() {
            None => Fate::Stands,
            Some(former) if former.content == content => Fate::Exact,
            Some(former) if former.is_running => {
                set(&mut fates, former.row, Fate::Superseded);
                Fate::Stands
            }
            Some(_) if is_running => Fate::Superseded,
            Some(_) => Fate::Conflict,
        };
        if fate == Fate::Stands {
            standing.insert(key, Standing { row, content, is_running });
        }
        set(&mut fates, row, fate);
    }
    fates
}

fn set(fates: &mut [Fate], row: usize, fate: Fate) {
    if let Some(slot) = fates.get_mut(row) {
        *slot = fate;
    }
}
