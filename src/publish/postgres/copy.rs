//! Rows of a published file in the binary format of Postgres' `COPY`.
//!
//! Two things that Parquet holds and Postgres can't are mapped: the character NUL in a text becomes U+FFFD, and an
//! instant before 4713 BC `-infinity`. JSON goes into `json`, which keeps the text as it is.

use crate::error::{Error, Result};
use arrow::array::{
    Array, AsArray, BooleanArray, Float64Array, Int16Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int16Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, Utc};

/// What a stream starts with: signature, flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// 2000-01-01, from which Postgres counts, after 1970-01-01.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
const POSTGRES_EPOCH_DAYS: i32 = 10_957;
/// 4713-11-24 BC, the first instant that Postgres can hold, in its own count.
const FIRST_INSTANT_US: i64 = -211_813_488_000_000_000;

const TEXT_OID: u32 = 25;
const SMALLINT_OID: u32 = 21;
const BIGINT_OID: u32 = 20;

/// The columns that stand in a file's path, encoded once for all of its rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Constants {
    fields: i16,
    bytes: Vec<u8>,
}

impl Constants {
    pub(super) fn instant(mut self, instant: DateTime<Utc>) -> Self {
        put_instant(&mut self.bytes, instant.timestamp_micros());
        self.fields += 1;
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        put_text(&mut self.bytes, text);
        self.fields += 1;
        self
    }

    pub(super) fn date(mut self, date: NaiveDate) -> Self {
        let days =
            chrono::Datelike::num_days_from_ce(&date) - chrono::Datelike::num_days_from_ce(&NaiveDate::default());
        put_field(&mut self.bytes, &(days - POSTGRES_EPOCH_DAYS).to_be_bytes());
        self.fields += 1;
        self
    }
}

/// The values of a column, with their type found once.
enum Cells<'a> {
    Text(&'a StringArray),
    Float(&'a Float64Array),
    Int(&'a Int64Array),
    Short(&'a Int16Array),
    Bool(&'a BooleanArray),
    Instant(&'a TimestampMicrosecondArray),
    List(&'a ListArray, Box<Cells<'a>>),
}

/// Appends the rows of a batch, the constants first in each.
///
/// # Errors
/// [`Error::Internal`] for a column type that no published table has.
pub(super) fn encode(batch: &RecordBatch, constants: &Constants, out: &mut Vec<u8>) -> Result<()> {
    let columns: Vec<Cells<'_>> = batch.columns().iter().map(|column| Cells::of(column)).collect::<Result<_>>()?;
    let fields = i16::try_from(columns.len()).unwrap_or(i16::MAX).saturating_add(constants.fields);
    for row in 0..batch.num_rows() {
        out.extend_from_slice(&fields.to_be_bytes());
        out.extend_from_slice(&constants.bytes);
        for column in &columns {
            column.put(row, out);
        }
    }
    Ok(())
}

impl<'a> Cells<'a> {
    fn of(array: &'a dyn Array) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>()),
            DataType::Int16 => Self::Short(array.as_primitive::<Int16Type>()),
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Instant(array.as_primitive::<TimestampMicrosecondType>())
            }
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                Self::List(lists, Box::new(Self::of(lists.values())?))
            }
            other => return Err(Error::Internal(format!("no published column has the type {other}"))),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(cells) => cells.is_null(row),
            Self::Float(cells) => cells.is_null(row),
            Self::Int(cells) => cells.is_null(row),
            Self::Short(cells) => cells.is_null(row),
            Self::Bool(cells) => cells.is_null(row),
            Self::Instant(cells) => cells.is_null(row),
            Self::List(cells, _) => cells.is_null(row),
        }
    }

    /// One field: its length and its bytes, or the length −1 for null.
    fn put(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return;
        }
        match self {
            Self::Text(cells) => put_text(out, cells.value(row)),
            Self::Float(cells) => put_field(out, &cells.value(row).to_be_bytes()),
            Self::Int(cells) => put_field(out, &cells.value(row).to_be_bytes()),
            Self::Short(cells) => put_field(out, &cells.value(row).to_be_bytes()),
            Self::Bool(cells) => put_field(out, &[u8::from(cells.value(row))]),
            Self::Instant(cells) => put_instant(out, cells.value(row)),
            Self::List(cells, items) => put_list(out, cells, items, row),
        }
    }

    fn oid(&self) -> u32 {
        match self {
            Self::Short(_) => SMALLINT_OID,
            Self::Int(_) => BIGINT_OID,
            _ => TEXT_OID,
        }
    }
}

fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    if text.contains('\0') {
        put_field(out, text.replace('\0', "\u{fffd}").as_bytes());
    } else {
        put_field(out, text.as_bytes());
    }
}

fn put_instant(out: &mut Vec<u8>, unix_us: i64) {
    let instant = unix_us.saturating_sub(POSTGRES_EPOCH_US);
    let held = if instant < FIRST_INSTANT_US { i64::MIN } else { instant };
    put_field(out, &held.to_be_bytes());
}

/// Dimensions, "no nulls", the items' type, then length and lower bound of the one dimension, then the items.
fn put_list(out: &mut Vec<u8>, lists: &ListArray, items: &Cells<'_>, row: usize) {
    let offsets = lists.value_offsets();
    let at = |idx: usize| offsets.get(idx).map_or(0, |&offset| usize::try_from(offset).unwrap_or(0));
    let (start, end) = (at(row), at(row + 1));
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&i32::from(start < end).to_be_bytes());
    out.extend_from_slice(&0_i32.to_be_bytes());
    out.extend_from_slice(&items.oid().to_be_bytes());
    if start < end {
        out.extend_from_slice(&length(end - start));
        out.extend_from_slice(&1_i32.to_be_bytes());
        for idx in start..end {
            items.put(idx, out);
        }
    }
    let written = length(out.len() - length_at - 4);
    if let Some(place) = out.get_mut(length_at..length_at + 4) {
        place.copy_from_slice(&written);
    }
}

/// Postgres holds no field above 1 GB; a longer one is refused by the server as malformed.
fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}
