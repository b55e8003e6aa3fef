//! One column from whatever type it has into the type of the contract.

use crate::ingest::time;
use crate::tables::{Field, Kind, Range};
use polars::chunked_array::cast::CastOptions;
use polars::error::PolarsResult;
use polars::prelude::{
    BooleanChunked, Column, DataType, Float64Chunked, Int64Chunked, IntoColumn, IntoSeries, ListBuilderTrait,
    ListStringChunkedBuilder, NewChunkedArray, Series, StringChunked,
};

/// Rows of a column that can't be trusted, for one reason.
pub(super) struct Fault {
    /// Where.
    pub(super) mask: BooleanChunked,
    /// Why.
    pub(super) reason: &'static str,
}

/// A column in its canonical type and the rows where that failed (they are null).
pub(super) struct Cast {
    pub(super) column: Column,
    pub(super) faults: Vec<Fault>,
}

/// Why a column as a whole can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CastError {
    #[error("column {column:?} has type {found}, expected {expected}{advice}")]
    Type { column: String, found: String, expected: &'static str, advice: &'static str },
    #[error(transparent)]
    Frame(#[from] polars::error::PolarsError),
}

const NAIVE: &str =
    ": its timestamps state no time zone; write them as UTC, or give the column a `zone` in a column map";
const NO_UNIT: &str = ": its numbers state no unit; give the column a `unit` in a column map";
pub(super) const UNPARSABLE_TIME: &str =
    "unparsable time: expected a date and time with its offset, such as 2026-01-31T09:00:00Z";

const ABSURD_TIME: &str = "unparsable time: it lies outside the years 1 to 9999; is its unit another?";

/// The years that RFC 3339 can write, in microseconds since the epoch.
const YEARS_1_TO_9999_US: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;

/// Brings `column` into the type of `field`.
pub(super) fn cast(column: &Column, field: &Field) -> Result<Cast, CastError> {
    let series = column.as_materialized_series();
    if matches!(series.dtype(), DataType::Null) {
        let column = Column::full_null(field.name.into(), series.len(), &field.kind.dtype());
        return Ok(Cast { column, faults: Vec::new() });
    }
    let (series, mut faults) = match field.kind {
        Kind::Text => (texts(series)?, Vec::new()),
        Kind::TextList => text_lists(series)?,
        Kind::Instant => instants(series)?,
        Kind::Float => floats(series)?,
        Kind::Integer => integers(series)?,
        Kind::Flag => flags(series)?,
    };
    faults.extend(out_of_range(&series, field)?);
    Ok(Cast { column: series.into_column().with_name(field.name.into()), faults })
}

fn wrong_type(series: &Series, kind: Kind, advice: &'static str) -> CastError {
    CastError::Type {
        column: series.name().to_string(),
        found: series.dtype().to_string(),
        expected: kind.words(),
        advice,
    }
}

fn texts(series: &Series) -> Result<Series, CastError> {
    let text = match series.dtype() {
        DataType::String => series.clone(),
        dtype if dtype.is_integer() || dtype.is_categorical() => series.cast(&DataType::String)?,
        _ => return Err(wrong_type(series, Kind::Text, "")),
    };
    let values = text.str()?;
    if !values.iter().flatten().any(str::is_empty) {
        return Ok(text);
    }
    let known: StringChunked = values.iter().map(|value| value.filter(|text| !text.is_empty())).collect();
    Ok(known.with_name(series.name().clone()).into_series())
}

fn text_lists(series: &Series) -> Result<(Series, Vec<Fault>), CastError> {
    let kind = Kind::TextList;
    match series.dtype() {
        DataType::List(inner) if matches!(**inner, DataType::String) => Ok((series.clone(), Vec::new())),
        DataType::List(inner) if matches!(**inner, DataType::Null) || inner.is_integer() || inner.is_categorical() => {
            Ok((series.cast(&kind.dtype())?, Vec::new()))
        }
        DataType::String => Ok(parsed_lists(series.str()?)),
        _ => Err(wrong_type(series, kind, "")),
    }
}

/// A list in a text: JSON (`["a", "b"]`, `[]`), or names between semicolons.
fn parsed_lists(texts: &StringChunked) -> (Series, Vec<Fault>) {
    let mut lists = ListStringChunkedBuilder::new(texts.name().clone(), texts.len(), texts.len());
    let mut failed = vec![false; texts.len()];
    for (text, failed) in texts.iter().zip(&mut failed) {
        match known(text).map(parsed_list) {
            Some(Some(names)) => lists.append_values_iter(names.iter().map(String::as_str)),
            Some(None) => {
                *failed = true;
                lists.append_null();
            }
            None => lists.append_null(),
        }
    }
    let reason = "not a list: expected [\"a\", \"b\"], or a;b";
    (lists.finish().into_series(), fault(&failed, reason).into_iter().collect())
}

/// A JSON list, or names between semicolons.
pub(in crate::ingest) fn parsed_list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    Some(text.split(';').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
}

fn instants(series: &Series) -> Result<(Series, Vec<Fault>), CastError> {
    let kind = Kind::Instant;
    match series.dtype() {
        dtype if *dtype == kind.dtype() => Ok((series.clone(), Vec::new())),
        DataType::Datetime(_, Some(_)) => Ok((series.cast(&kind.dtype())?, Vec::new())),
        DataType::Datetime(_, None) | DataType::Date => Err(wrong_type(series, kind, NAIVE)),
        DataType::String => Ok(parsed(series.str()?, &kind.dtype(), UNPARSABLE_TIME, time::parse_instant)?),
        dtype if dtype.is_primitive_numeric() => Err(wrong_type(series, kind, NO_UNIT)),
        _ => Err(wrong_type(series, kind, "")),
    }
}

/// Reads each text to an integer that stands for a value of `dtype`.
fn parsed(
    texts: &StringChunked,
    dtype: &DataType,
    reason: &'static str,
    parse: impl Fn(&str) -> Option<i64>,
) -> PolarsResult<(Series, Vec<Fault>)> {
    let values: Vec<Option<i64>> = texts.iter().map(|text| known(text).and_then(&parse)).collect();
    let failed: Vec<bool> = texts.iter().zip(&values).map(|(text, v)| known(text).is_some() && v.is_none()).collect();
    let series = Int64Chunked::from_slice_options(texts.name().clone(), &values).into_series().cast(dtype)?;
    Ok((series, fault(&failed, reason).into_iter().collect()))
}

fn known(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn floats(series: &Series) -> Result<(Series, Vec<Fault>), CastError> {
    let numbers = match series.dtype() {
        DataType::Float64 => return Ok((series.clone(), Vec::new())),
        DataType::String => trimmed(series.str()?),
        dtype if dtype.is_primitive_numeric() => series.clone(),
        _ => return Err(wrong_type(series, Kind::Float, "")),
    };
    Ok(lenient(&numbers, &DataType::Float64, "not a number")?)
}

fn integers(series: &Series) -> Result<(Series, Vec<Fault>), CastError> {
    let reason = "not a whole number";
    match series.dtype() {
        DataType::Int64 => Ok((series.clone(), Vec::new())),
        DataType::String => Ok(parsed(series.str()?, &DataType::Int64, reason, whole_number)?),
        dtype if dtype.is_integer() => Ok(lenient(series, &DataType::Int64, reason)?),
        dtype if dtype.is_float() => {
            let numbers = series.cast(&DataType::Float64)?;
            let values: Vec<Option<i64>> = numbers.f64()?.iter().map(|value| value.and_then(whole)).collect();
            let failed: Vec<bool> =
                numbers.f64()?.iter().zip(&values).map(|(v, i)| v.is_some() && i.is_none()).collect();
            let series = Int64Chunked::from_slice_options(series.name().clone(), &values).into_series();
            Ok((series, fault(&failed, reason).into_iter().collect()))
        }
        _ => Err(wrong_type(series, Kind::Integer, "")),
    }
}

fn whole_number(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| whole(text.parse().ok()?))
}

/// Beyond 2⁵³ a float no longer tells neighbouring integers apart.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

#[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "checked to be whole and in range")]
fn whole(value: f64) -> Option<i64> {
    (value.abs() <= MAX_WHOLE && value.trunc() == value).then_some(value as i64)
}

fn flags(series: &Series) -> Result<(Series, Vec<Fault>), CastError> {
    match series.dtype() {
        DataType::Boolean => Ok((series.clone(), Vec::new())),
        DataType::String => Ok(parsed(series.str()?, &DataType::Boolean, "neither true nor false", flag)?),
        _ => Err(wrong_type(series, Kind::Flag, "")),
    }
}

fn flag(text: &str) -> Option<i64> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(1),
        "false" | "0" | "no" => Some(0),
        _ => None,
    }
}

fn trimmed(texts: &StringChunked) -> Series {
    let values: StringChunked = texts.iter().map(known).collect();
    values.with_name(texts.name().clone()).into_series()
}

/// Casts; what does not fit is a fault.
fn lenient(series: &Series, dtype: &DataType, reason: &'static str) -> PolarsResult<(Series, Vec<Fault>)> {
    let cast = series.cast_with_options(dtype, CastOptions::NonStrict)?;
    if cast.null_count() == series.null_count() {
        return Ok((cast, Vec::new()));
    }
    let mask = series.is_not_null() & cast.is_null();
    Ok((cast, vec![Fault { mask, reason }]))
}

fn out_of_range(series: &Series, field: &Field) -> PolarsResult<Vec<Fault>> {
    let is_duration = field.name.ends_with("_ms");
    let negative = if is_duration { "negative duration" } else { "negative value" };
    let faults = match (field.kind, field.range) {
        (Kind::Float, range) => {
            let non_finite = if is_duration { "non-finite duration" } else { "non-finite value" };
            let values = series.f64()?;
            let negatives = (range == Range::NonNegative).then(|| where_float(values, |v| v < 0.0, negative));
            [where_float(values, |v| !v.is_finite(), non_finite), negatives.flatten()]
        }
        (Kind::Instant, _) => {
            let is_absurd = |micros| !YEARS_1_TO_9999_US.contains(&micros);
            [where_integer(series.datetime()?.physical(), is_absurd, ABSURD_TIME), None]
        }
        (Kind::Integer, Range::NonNegative) => [where_integer(series.i64()?, |v| v < 0, negative), None],
        _ => [None, None],
    };
    Ok(faults.into_iter().flatten().collect())
}

fn where_float(values: &Float64Chunked, is_bad: impl Fn(f64) -> bool, reason: &'static str) -> Option<Fault> {
    if !values.iter().flatten().any(&is_bad) {
        return None;
    }
    fault(&values.iter().map(|value| value.is_some_and(&is_bad)).collect::<Vec<_>>(), reason)
}

/// Where an integer column has a value that it can't have.
pub(super) fn where_integer(
    values: &Int64Chunked,
    is_bad: impl Fn(i64) -> bool,
    reason: &'static str,
) -> Option<Fault> {
    if !values.iter().flatten().any(&is_bad) {
        return None;
    }
    fault(&values.iter().map(|value| value.is_some_and(&is_bad)).collect::<Vec<_>>(), reason)
}

fn fault(failed: &[bool], reason: &'static str) -> Option<Fault> {
    failed.contains(&true).then(|| Fault { mask: BooleanChunked::from_slice("mask".into(), failed), reason })
}
