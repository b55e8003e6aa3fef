//! What a published table is made of, as data: the schema, the data dictionary, the database projection and the
//! readers' checks all come from here.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::collections::HashMap;
use std::sync::Arc;

/// A published table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name, plural: the first folder of its path and its name in Postgres.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub meaning: &'static str,
    /// What one row is.
    pub grain: &'static str,
    /// The columns in the order of the file.
    pub columns: &'static [ColumnSpec],
    /// Columns that name a row; rows are sorted by them, nulls first.
    pub key: &'static [&'static str],
    /// Whether rows may share a key: what was refused or skipped can be so twice.
    pub repeats: bool,
    /// What its folders are cut by.
    pub partition: Partition,
}

/// A column of a published table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name; carries the unit where that is fixed (`_ms`, `_usd`).
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnKind,
    /// Whether it may be null. Every measure may: a number that can't be computed is null, never 0 or NaN.
    pub nullable: bool,
    /// The unit, empty where there is none.
    pub unit: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
}

/// The types that published columns have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// UTF-8 text that holds a JSON value.
    Json,
    /// 64-bit float.
    Float,
    /// 64-bit signed integer.
    Int,
    /// True or false.
    Bool,
    /// Microseconds since the epoch, UTC.
    Timestamp,
    /// A list of texts.
    TextList,
    /// A list of 16-bit signed integers.
    ShortList,
    /// A list of 64-bit signed integers.
    IntList,
}

/// How the files of a table are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// `<table>/as_of=YYYY-MM-DDTHH-MM-SSZ/`: each run adds a folder.
    AsOf,
    /// `<table>/period=1h/date=YYYY-MM-DD/`: replaced in place when late rows arrive.
    PeriodAndDate,
}

impl TableSpec {
    /// The schema of its Parquet files, with units and meanings as field metadata.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self.columns.iter().map(ColumnSpec::field).collect();
        Arc::new(Schema::new(fields))
    }

    /// The positions of its key's columns.
    #[must_use]
    pub fn key_indices(&self) -> Vec<usize> {
        self.key.iter().filter_map(|key| self.columns.iter().position(|column| column.name == *key)).collect()
    }
}

impl ColumnSpec {
    /// The Arrow field, with unit and meaning as metadata.
    #[must_use]
    pub fn field(&self) -> Field {
        let mut metadata = HashMap::from([("description".to_owned(), self.meaning.to_owned())]);
        if !self.unit.is_empty() {
            metadata.insert("unit".to_owned(), self.unit.to_owned());
        }
        Field::new(self.name, self.kind.arrow(), self.nullable).with_metadata(metadata)
    }
}

impl ColumnKind {
    /// The Arrow type.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Float => DataType::Float64,
            Self::Int => DataType::Int64,
            Self::Bool => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TextList => list_of(DataType::Utf8),
            Self::ShortList => list_of(DataType::Int16),
            Self::IntList => list_of(DataType::Int64),
        }
    }

    /// The name that the data dictionary shows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Json => "string (JSON)",
            Self::Float => "double",
            Self::Int => "int64",
            Self::Bool => "boolean",
            Self::Timestamp => "timestamp[us, UTC]",
            Self::TextList => "list<string>",
            Self::ShortList => "list<int16>",
            Self::IntList => "list<int64>",
        }
    }
}

/// Lists never hold nulls.
fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, false)))
}
