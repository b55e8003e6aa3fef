//! From the types of row structs to Arrow arrays.

use super::spec::ColumnKind;
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use std::sync::Arc;

/// A type that a field of a row may have.
pub trait Value: Sized {
    /// The column's type.
    const KIND: ColumnKind;
    /// Whether the column may hold nulls.
    const NULLABLE: bool;
    /// The column of these values, in order.
    fn array(values: Vec<Self>) -> ArrayRef;
}

/// Microseconds since the epoch in UTC, as a column of instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

/// A JSON value, written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(pub String);

impl Value for String {
    const KIND: ColumnKind = ColumnKind::Text;
    const NULLABLE: bool = false;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }
}

impl Value for Option<String> {
    const KIND: ColumnKind = ColumnKind::Text;
    const NULLABLE: bool = true;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter(values))
    }
}

impl Value for Json {
    const KIND: ColumnKind = ColumnKind::Json;
    const NULLABLE: bool = false;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values.into_iter().map(|json| json.0)))
    }
}

impl Value for f64 {
    const KIND: ColumnKind = ColumnKind::Float;
    const NULLABLE: bool = true;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(values.into_iter().map(known).collect::<Float64Array>())
    }
}

impl Value for Option<f64> {
    const KIND: ColumnKind = ColumnKind::Float;
    const NULLABLE: bool = true;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(values.into_iter().map(|value| value.and_then(known)).collect::<Float64Array>())
    }
}

impl Value for i64 {
    const KIND: ColumnKind = ColumnKind::Int;
    const NULLABLE: bool = false;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(Int64Array::from(values))
    }
}

impl Value for Option<i64> {
    const KIND: ColumnKind = ColumnKind::Int;
    const NULLABLE: bool = true;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(Int64Array::from(values))
    }
}

impl Value for bool {
    const KIND: ColumnKind = ColumnKind::Bool;
    const NULLABLE: bool = false;
    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(BooleanArray::from(values))
    }
}

impl Value for Instant {
    const KIND: ColumnKind = ColumnKind::Timestamp;
    const NULLABLE: bool = false;
    fn array(values: Vec<Self>) -> ArrayRef {
        let instants = values.into_iter().map(|instant| instant.0);
        Arc::new(TimestampMicrosecondArray::from_iter_values(instants).with_timezone("UTC"))
    }
}

impl Value for Option<Instant> {
    const KIND: ColumnKind = ColumnKind::Timestamp;
    const NULLABLE: bool = true;
    fn array(values: Vec<Self>) -> ArrayRef {
        let instants = values.into_iter().map(|instant| instant.map(|instant| instant.0));
        Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    }
}

impl Value for Vec<String> {
    const KIND: ColumnKind = ColumnKind::TextList;
    const NULLABLE: bool = false;
    fn array(values: Vec<Self>) -> ArrayRef {
        let item = Field::new("item", DataType::Utf8, false);
        let mut lists = ListBuilder::new(StringBuilder::new()).with_field(item);
        for list in values {
            lists.append_value(list.into_iter().map(Some));
        }
        Arc::new(lists.finish())
    }
}

/// None for what is not a number.
pub(super) fn known(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}
