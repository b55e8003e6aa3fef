//! Dialects `csv` and `parquet`: any table, brought under canonical names by a column map.

use super::raw::{self, Parsed, Unreadable};
use super::time;
use super::within::within;
use crate::tables::{Field, Kind, Schema, runs, steps};
use chrono::DateTime;
use chrono_tz::Tz;
use polars::chunked_array::cast::CastOptions;
use polars::error::{PolarsError, PolarsResult};
use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, Scalar, Series, StringChunked, TimeUnit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Canonical column → where its values come from. Columns that are not in the map are taken by their own names.
pub type ColumnMap = BTreeMap<String, ColumnRule>;

/// Which of the two tables a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// One row a run.
    Runs,
    /// One row an attempt of a step.
    Steps,
}

impl Table {
    /// The contract of the table.
    #[must_use]
    pub fn schema(self) -> &'static Schema {
        match self {
            Self::Runs => &runs::SCHEMA,
            Self::Steps => &steps::SCHEMA,
        }
    }
}

/// Where the values of a canonical column come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRule {
    /// Column of the source; the same name if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Unit of the source's numbers; the canonical unit if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// The same value for every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Constant>,
    /// Old value → new value; others stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// Time zone (IANA name) of timestamps that state none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Tz>,
    /// Of `step_id`: the source's column that names the process whose tasks the steps are. A step is then called
    /// `process/task`, also where others depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// A value for every row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Constant {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// A text.
    Text(String),
}

/// Unit of a source's numbers. Times and epochs: `ns us ms s min h`; sizes: `bytes kb mb gb` (powers of 1000) and
/// `kib mib gib` (of 1024); processors: `cores millicores pct ratio` (100 pct = 1 core = ratio 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unit {
    Ns,
    Us,
    Ms,
    S,
    Min,
    H,
    #[serde(alias = "b", alias = "B")]
    Bytes,
    #[serde(alias = "kB", alias = "KB")]
    Kb,
    #[serde(alias = "MB")]
    Mb,
    #[serde(alias = "GB")]
    Gb,
    #[serde(alias = "KiB")]
    Kib,
    #[serde(alias = "MiB")]
    Mib,
    #[serde(alias = "GiB")]
    Gib,
    Cores,
    Millicores,
    Pct,
    Ratio,
}

impl std::str::FromStr for Unit {
    type Err = serde::de::value::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::deserialize(serde::de::value::StrDeserializer::new(text))
    }
}

/// What a unit measures, and one of it in ms, bytes or cores.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantity {
    Time(f64),
    Size(f64),
    Processors(f64),
}

impl Unit {
    fn quantity(self) -> Quantity {
        match self {
            Self::Ns => Quantity::Time(1e-6),
            Self::Us => Quantity::Time(1e-3),
            Self::Ms => Quantity::Time(1.0),
            Self::S => Quantity::Time(1e3),
            Self::Min => Quantity::Time(60e3),
            Self::H => Quantity::Time(3_600e3),
            Self::Bytes => Quantity::Size(1.0),
            Self::Kb => Quantity::Size(1e3),
            Self::Mb => Quantity::Size(1e6),
            Self::Gb => Quantity::Size(1e9),
            Self::Kib => Quantity::Size(1024.0),
            Self::Mib => Quantity::Size(1_048_576.0),
            Self::Gib => Quantity::Size(1_073_741_824.0),
            Self::Cores | Self::Ratio => Quantity::Processors(1.0),
            Self::Millicores => Quantity::Processors(1e-3),
            Self::Pct => Quantity::Processors(1e-2),
        }
    }

    /// What a number in this unit is multiplied with for `field`; none if `field` is measured in something else.
    fn factor(self, field: &Field) -> Option<f64> {
        match (self.quantity(), field.kind) {
            (Quantity::Time(ms), Kind::Instant) => Some(ms * 1e3),
            (Quantity::Time(ms), Kind::Float) if field.name.ends_with("_ms") => Some(ms),
            (Quantity::Size(bytes), _) if field.name.ends_with("_bytes") => Some(bytes),
            (Quantity::Size(bytes), _) if field.name.ends_with("_mb") => Some(bytes / 1e6),
            (Quantity::Processors(cores), _) if field.name == steps::CPU_PCT => Some(cores * 1e2),
            (Quantity::Processors(cores), _) if field.name == steps::CPU_REQUEST => Some(cores),
            _ => None,
        }
    }
}

/// What is wrong with a column map.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MapError {
    /// The contract has no such column.
    #[error("columns.{column}: the table {table} has no such column; it has {known}")]
    UnknownColumn {
        /// Key in the map.
        column: String,
        /// Table.
        table: &'static str,
        /// Its columns.
        known: String,
    },
    /// The unit measures something else.
    #[error("columns.{column}.unit: {unit:?} is no unit of {column}")]
    Unit {
        /// Key in the map.
        column: String,
        /// Its unit.
        unit: Unit,
    },
    /// Keys that exclude each other.
    #[error("columns.{column}: {found}; expected {expected}")]
    Combination {
        /// Key in the map.
        column: String,
        /// What was given.
        found: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

/// Checks a map against the table that it is for, before anything is read.
///
/// # Errors
/// [`MapError`] names the key.
pub fn check(map: &ColumnMap, schema: &Schema) -> Result<(), MapError> {
    map.iter().try_for_each(|(column, rule)| check_rule(column, rule, schema))
}

/// Checks the rule of one column.
pub(crate) fn check_rule(column: &str, rule: &ColumnRule, schema: &Schema) -> Result<(), MapError> {
    let Some(field) = schema.field(column) else {
        let known = schema.fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
        return Err(MapError::UnknownColumn { column: column.to_owned(), table: schema.table, known });
    };
    let combination = |found, expected| Err(MapError::Combination { column: column.to_owned(), found, expected });
    if rule.value.is_some() && *rule != (ColumnRule { value: rule.value.clone(), ..ColumnRule::default() }) {
        return combination("`value` beside other keys", "a constant alone, or where values come `from`");
    }
    if rule.within.is_some() && field.name != steps::STEP_ID {
        return combination("a `within` that can't act", "a `within` of step_id only");
    }
    if rule.zone.is_some() && (field.kind != Kind::Instant || rule.unit.is_some()) {
        return combination("a `zone` that can't act", "a `zone` for timestamps that state none, without a `unit`");
    }
    match rule.unit.filter(|unit| unit.factor(field).is_none()) {
        Some(unit) => Err(MapError::Unit { column: column.to_owned(), unit }),
        None => Ok(()),
    }
}

/// The frame under canonical names. Columns that no rule takes keep their names.
///
/// # Errors
/// [`Unreadable::Lacks`] when a rule takes a column that the file does not have.
pub fn apply(frame: &DataFrame, map: &ColumnMap, schema: &Schema) -> Result<DataFrame, Unreadable> {
    let taken = |name: &str| map.values().any(|rule| rule.from.as_deref() == Some(name));
    let untouched =
        frame.columns().iter().filter(|column| !map.contains_key(column.name().as_str()) && !taken(column.name()));
    let mut columns: Vec<Column> = untouched.cloned().collect();
    for (name, rule) in map {
        let field = schema.field(name).ok_or_else(|| Unreadable::Lacks(format!("no column {name}")))?;
        columns.push(ruled(frame, field, rule)?);
    }
    let lacks = |error: PolarsError| Unreadable::Lacks(error.to_string());
    let named = DataFrame::new(frame.height(), columns).map_err(lacks)?;
    match map.get(steps::STEP_ID).and_then(|rule| rule.within.as_deref()) {
        Some(process) => within(named, taken_from(frame, "step_id.within", process)?).map_err(lacks),
        None => Ok(named),
    }
}

fn taken_from<'a>(frame: &'a DataFrame, key: &str, name: &str) -> Result<&'a Column, Unreadable> {
    frame.column(name).map_err(|_missing| {
        let found = frame.get_column_names().iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        Unreadable::Lacks(format!("columns.{key}: the file has no column {name:?}; found {found}"))
    })
}

fn ruled(frame: &DataFrame, field: &Field, rule: &ColumnRule) -> Result<Column, Unreadable> {
    if let Some(value) = &rule.value {
        return Ok(Column::new_scalar(field.name.into(), scalar(value), frame.height()));
    }
    let from = rule.from.as_deref().unwrap_or(field.name);
    let series = taken_from(frame, &format!("{}.from", field.name), from)?.as_materialized_series();
    let read = || -> PolarsResult<Column> {
        let relabelled = if rule.values.is_empty() { series.clone() } else { relabel(series, &rule.values)? };
        match (rule.unit, rule.zone) {
            (Some(unit), _) => convert(&relabelled, field, unit.factor(field).unwrap_or(1.0)),
            (None, Some(zone)) => localise(&relabelled, field, zone),
            (None, None) => Ok(relabelled.into_column().with_name(field.name.into())),
        }
    };
    read().map_err(|error| Unreadable::Lacks(format!("columns.{}: {error}", field.name)))
}

fn scalar(value: &Constant) -> Scalar {
    match value {
        Constant::Flag(flag) => Scalar::new(DataType::Boolean, AnyValue::Boolean(*flag)),
        Constant::Integer(number) => Scalar::new(DataType::Int64, AnyValue::Int64(*number)),
        Constant::Number(number) => Scalar::new(DataType::Float64, AnyValue::Float64(*number)),
        Constant::Text(text) => Scalar::new(DataType::String, AnyValue::StringOwned(text.as_str().into())),
    }
}

fn relabel(series: &Series, values: &BTreeMap<String, String>) -> PolarsResult<Series> {
    let old = series.cast(&DataType::String)?;
    let new: StringChunked =
        old.str()?.iter().map(|text| text.map(|text| values.get(text).map_or(text, String::as_str))).collect();
    Ok(new.with_name(series.name().clone()).into_column().take_materialized_series())
}

/// Multiplies with `factor`; instants come as numbers since the epoch.
fn convert(series: &Series, field: &Field, factor: f64) -> PolarsResult<Column> {
    let numbers = series.cast_with_options(&DataType::Float64, CastOptions::NonStrict)?;
    let texts = series.cast(&DataType::String)?;
    let parsed = numbers.f64()?.iter().zip(texts.str()?.iter()).map(|(number, text)| match (number, text) {
        (Some(number), _) => Some(Ok(number * factor)),
        (None, text) => text.map(str::trim).filter(|text| !text.is_empty()).map(Err),
    });
    Ok(match field.kind {
        Kind::Instant => raw::instants(field.name, parsed.map(|value| value.map(|read| read.map(rounded)))),
        Kind::Integer => raw::numbers(field.name, parsed.map(|value| value.map(|read| read.map(f64::round)))),
        _ => raw::numbers(field.name, parsed),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "saturates; no such instant is then a reject")]
fn rounded(value: f64) -> i64 {
    value.round() as i64
}

fn localise(series: &Series, field: &Field, zone: Tz) -> PolarsResult<Column> {
    match series.dtype() {
        DataType::Datetime(_, None) | DataType::Date => {
            let micros = series.cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
            let texts = series.cast(&DataType::String)?;
            let wall_clock = micros.datetime()?.physical().iter().zip(texts.str()?.iter());
            Ok(raw::instants(field.name, wall_clock.map(|(micros, text)| in_zone(micros, text, zone))))
        }
        DataType::String => {
            let texts = series.str()?.iter().map(|text| text.map(str::trim).filter(|text| !text.is_empty()));
            Ok(raw::instants(field.name, texts.map(|text| text.map(|text| time::parse_in(text, zone).ok_or(text)))))
        }
        _ => Ok(series.clone().into_column().with_name(field.name.into())),
    }
}

fn in_zone<'a>(micros: Option<i64>, text: Option<&'a str>, zone: Tz) -> Parsed<'a, i64> {
    let wall_clock = DateTime::from_timestamp_micros(micros?)?.naive_utc();
    Some(time::in_zone(wall_clock, zone).ok_or(text.unwrap_or_default()))
}
