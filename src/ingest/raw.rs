//! Rows as a source has them, before they are conformed, and how bytes become such rows.

use polars::prelude::{
    ArrowDataType, Column, CsvEncoding, CsvParseOptions, CsvReadOptions, DataFrame, DataType, Float64Chunked,
    Int64Chunked, IntoColumn, IntoSeries, NewChunkedArray, ParquetReader, SerReader, StringChunked, TimeUnit, TimeZone,
};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What one file holds.
#[derive(Debug, Default)]
pub struct Raw {
    /// Rows of runs.
    pub runs: Option<DataFrame>,
    /// Rows of steps.
    pub steps: Option<DataFrame>,
}

/// Why a file as a whole can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No bytes, or nothing but white space.
    #[error("the file is empty")]
    Empty,
    /// Another format, truncated, or corrupt.
    #[error("not a readable {expected} file: {found}{advice}")]
    Format {
        /// The format that was asked for.
        expected: &'static str,
        /// What stands there instead.
        found: String,
        /// What to do; starts with `; `, or is empty.
        advice: &'static str,
    },
    /// It lacks what its dialect needs.
    #[error("{0}")]
    Lacks(String),
}

const PARQUET_MAGIC: &[u8] = b"PAR1";

/// Whether the bytes begin as a Parquet file does.
#[must_use]
pub fn looks_like_parquet(bytes: &[u8]) -> bool {
    bytes.starts_with(PARQUET_MAGIC)
}

/// Reads the columns of a Parquet file that are `wanted`; any other comes back as a column of nulls, so that its name
/// is still known.
///
/// # Errors
/// [`Unreadable`] when the bytes are none, truncated or corrupt, or a wanted column has a type that can't be read.
pub fn parquet(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<DataFrame, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable::Empty);
    }
    if !looks_like_parquet(bytes) {
        let start: String = String::from_utf8_lossy(bytes.get(..20).unwrap_or(bytes)).into_owned();
        let found = format!("it starts with {start:?}");
        return Err(Unreadable::Format { expected: "Parquet", found, advice: "; if it is a CSV, read it with `csv`" });
    }
    if !bytes.ends_with(PARQUET_MAGIC) || bytes.len() < 12 {
        let found = "it does not end in PAR1: it is truncated".to_owned();
        return Err(Unreadable::Format { expected: "Parquet", found, advice: "; write it anew" });
    }
    // The decoder answers some corrupt pages with a panic; a corrupt file must not end the run.
    match catch_unwind(AssertUnwindSafe(|| decode_parquet(bytes, wanted))) {
        Ok(decoded) => decoded,
        Err(_) => Err(corrupt("its pages are corrupt")),
    }
}

fn corrupt(found: impl std::fmt::Display) -> Unreadable {
    Unreadable::Format { expected: "Parquet", found: found.to_string(), advice: "; write it anew" }
}

fn decode_parquet(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<DataFrame, Unreadable> {
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let schema = reader.schema().map_err(corrupt)?;
    let (wanted, others): (Vec<_>, Vec<_>) = schema.iter_values().partition(|field| wanted(&field.name));
    if let Some(field) = wanted.iter().find(|field| !is_readable(&field.dtype)) {
        let found = format!("column {:?} has type {:?}", field.name, field.dtype);
        let advice = ", which can't be read; write numbers as double or int64";
        return Err(Unreadable::Format { expected: "Parquet", found, advice });
    }
    let names = wanted.iter().map(|field| field.name.to_string()).collect();
    let rows = reader.num_rows().map_err(corrupt)?;
    let mut frame = reader.with_columns(Some(names)).finish().map_err(corrupt)?;
    if frame.width() == 0 {
        frame = DataFrame::empty_with_height(rows);
    }
    let others = others.into_iter().map(|field| Column::full_null(field.name.clone(), frame.height(), &DataType::Null));
    frame.hstack(&others.collect::<Vec<_>>()).map_err(corrupt)
}

/// Types that the table library is built with.
fn is_readable(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as T;
    match dtype {
        T::Int128 | T::UInt128 | T::Float16 | T::Interval(_) | T::FixedSizeList(..) | T::FixedSizeBinary(_) => false,
        T::Decimal(..) | T::Decimal32(..) | T::Decimal64(..) | T::Decimal256(..) => false,
        T::List(item) | T::LargeList(item) => is_readable(&item.dtype),
        T::Struct(fields) => fields.iter().all(|field| is_readable(&field.dtype)),
        T::Map(..) | T::Union(_) | T::Extension(_) | T::Unknown => false,
        _ => true,
    }
}

/// How the fields of a text file are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// Commas; fields may stand in double quotes.
    Comma,
    /// Tabs; a quote is a letter like any other.
    Tab,
}

impl Separator {
    /// Tab if the first line has one, else comma.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
        if header.contains(&b'\t') { Self::Tab } else { Self::Comma }
    }
}

/// Reads a text file with a header line; every column is text.
///
/// # Errors
/// [`Unreadable`] when it is empty, no UTF-8, or its lines have more fields than its header.
pub fn delimited(bytes: &[u8]) -> Result<DataFrame, Unreadable> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable::Empty);
    }
    let format = |found: String, advice| Unreadable::Format { expected: "CSV", found, advice };
    if looks_like_parquet(bytes) {
        return Err(format("it is a Parquet file".to_owned(), "; read it with `parquet`"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format(format!("byte {} is no UTF-8", error.valid_up_to()), "; save it as UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}').as_bytes();
    let quote = (Separator::of(text) == Separator::Comma).then_some(b'"');
    let separator = if quote.is_some() { b',' } else { b'\t' };
    let parse =
        CsvParseOptions::default().with_separator(separator).with_quote_char(quote).with_encoding(CsvEncoding::Utf8);
    let options = CsvReadOptions::default().with_infer_schema_length(Some(0)).with_parse_options(parse);
    let read = catch_unwind(AssertUnwindSafe(|| options.into_reader_with_file_handle(Cursor::new(text)).finish()));
    match read {
        Ok(Ok(frame)) => Ok(frame),
        Ok(Err(error)) => {
            let found = error.to_string().lines().next().unwrap_or_default().to_owned();
            Err(format(found, "; its lines must have as many fields as its header"))
        }
        Err(_) => Err(format("its lines can't be told apart".to_owned(), "")),
    }
}

/// A value that was read, or the text that could not be.
pub(super) type Parsed<'a, T> = Option<Result<T, &'a str>>;

/// A column of numbers. If some text could not be read, the column is of texts, so that `conform` refuses those rows and shows
/// what stood there.
pub(super) fn numbers<'a>(name: &str, values: impl Iterator<Item = Parsed<'a, f64>>) -> Column {
    let values: Vec<Parsed<'a, f64>> = values.collect();
    let Some(read) = all_read(&values) else {
        return texts(name, values.iter().map(|value| value.as_ref().map(|v| shown(v, |number| number.to_string()))));
    };
    Float64Chunked::from_slice_options(name.into(), &read).into_column()
}

/// A column of instants from microseconds since the epoch; see [`numbers`] for what could not be read.
pub(super) fn instants<'a>(name: &str, values: impl Iterator<Item = Parsed<'a, i64>>) -> Column {
    let values: Vec<Parsed<'a, i64>> = values.collect();
    let Some(read) = all_read(&values) else {
        return texts(name, values.iter().map(|value| value.as_ref().map(|v| shown(v, |micros| rfc3339(*micros)))));
    };
    let micros = Int64Chunked::from_slice_options(name.into(), &read);
    micros.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_series().into_column()
}

fn all_read<T: Copy>(values: &[Parsed<'_, T>]) -> Option<Vec<Option<T>>> {
    values
        .iter()
        .map(|value| value.as_ref().map(|v| v.as_ref().ok().copied()).map_or(Some(None), |v| v.map(Some)))
        .collect()
}

fn shown<T>(value: &Result<T, &str>, show: impl Fn(&T) -> String) -> String {
    match value {
        Ok(value) => show(value),
        Err(text) => (*text).to_owned(),
    }
}

fn rfc3339(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros).map_or_else(|| micros.to_string(), |instant| instant.to_rfc3339())
}

/// A column of texts.
pub fn texts<S: AsRef<str>>(name: &str, values: impl Iterator<Item = Option<S>>) -> Column {
    let values: StringChunked = values.collect();
    values.with_name(name.into()).into_column()
}

/// The same text in every row.
pub(super) fn constant(name: &str, value: &str, rows: usize) -> Column {
    let scalar = polars::prelude::Scalar::new(DataType::String, polars::prelude::AnyValue::StringOwned(value.into()));
    Column::new_scalar(name.into(), scalar, rows)
}
