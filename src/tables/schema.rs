//! What a canonical table promises, and the check that it keeps its promise.

use polars::prelude::{Column, DataFrame, DataType, PlSmallStr, TimeUnit, TimeZone};

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text; unknown is null, never empty.
    Text,
    /// A list of texts; null is unknown, empty is known to have none.
    TextList,
    /// An instant: microseconds since the epoch, UTC.
    Instant,
    /// A finite 64-bit float.
    Float,
    /// A 64-bit integer.
    Integer,
    /// True or false.
    Flag,
}

impl Kind {
    /// The one polars type that a column of this kind has.
    #[must_use]
    pub fn dtype(self) -> DataType {
        match self {
            Self::Text => DataType::String,
            Self::TextList => DataType::List(Box::new(DataType::String)),
            Self::Instant => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            Self::Float => DataType::Float64,
            Self::Integer => DataType::Int64,
            Self::Flag => DataType::Boolean,
        }
    }

    /// The kind in words, for messages.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::TextList => "a list of texts",
            Self::Instant => "a timestamp with a time zone",
            Self::Float => "a number",
            Self::Integer => "a whole number",
            Self::Flag => "true or false",
        }
    }
}

/// Which numbers a column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Any finite number, or the column holds no numbers.
    Any,
    /// No negative number: sizes, counts, durations.
    NonNegative,
}

/// A column of a canonical table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Column name; numbers carry their unit in it.
    pub name: &'static str,
    /// Type of the values.
    pub kind: Kind,
    /// Whether every row must have a value.
    pub required: bool,
    /// Which numbers are possible.
    pub range: Range,
    /// What it means, for the data dictionary.
    pub meaning: &'static str,
}

impl Field {
    pub(super) const fn required(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, required: true, range: Range::Any, meaning }
    }

    pub(super) const fn optional(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, required: false, range: Range::Any, meaning }
    }

    pub(super) const fn measure(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, required: false, range: Range::NonNegative, meaning }
    }
}

/// The contract of a canonical table.
#[derive(Debug)]
pub struct Schema {
    /// Name of the table, and of its folder in the lake.
    pub table: &'static str,
    /// Its columns in published order.
    pub fields: &'static [Field],
    /// The columns that together name a row.
    pub key: &'static [&'static str],
}

impl Schema {
    /// The column called `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Brings `frame` into the published column order, with null columns for optional ones that it lacks.
    ///
    /// # Errors
    /// When a column is unknown, has another type, or is required and missing; key values are not looked at.
    pub(crate) fn arrange(&'static self, frame: &DataFrame) -> Result<DataFrame, TableError> {
        if let Some(unknown) = frame.get_column_names().iter().find(|name| self.field(name).is_none()) {
            return Err(TableError::Unknown { table: self.table, column: unknown.to_string() });
        }
        let columns = self.fields.iter().map(|field| self.arranged(frame, field)).collect::<Result<Vec<_>, _>>()?;
        Ok(DataFrame::new(frame.height(), columns)?)
    }

    fn arranged(&self, frame: &DataFrame, field: &Field) -> Result<Column, TableError> {
        let (table, expected) = (self.table, field.kind.dtype());
        let missing = TableError::Missing { table, column: field.name };
        match frame.column(field.name) {
            Ok(column) if *column.dtype() != expected => {
                let found = column.dtype().to_string();
                Err(TableError::WrongType { table, column: field.name, found, expected: expected.to_string() })
            }
            Ok(column) if field.required && column.null_count() > 0 => Err(missing),
            Ok(column) => Ok(column.clone()),
            Err(_) if field.required => Err(missing),
            Err(_) => Ok(Column::full_null(PlSmallStr::from_static(field.name), frame.height(), &expected)),
        }
    }

    fn checked(&'static self, frame: &DataFrame) -> Result<DataFrame, TableError> {
        let arranged = self.arrange(frame)?;
        match super::fates(&arranged, self)? {
            Some(_) => Err(TableError::DuplicateKey { table: self.table, key: self.key.join(", ") }),
            None => Ok(arranged),
        }
    }
}

/// A table whose rows keep a [`Schema`].
pub trait CanonicalTable: Sized {
    /// The contract.
    const SCHEMA: &'static Schema;

    /// Wraps a frame that [`Schema::arrange`] returned and whose keys are known to be distinct.
    #[doc(hidden)]
    fn from_arranged(frame: DataFrame) -> Self;

    /// The rows, with every column of the schema in order.
    fn frame(&self) -> &DataFrame;

    /// Checks columns, types and key; optional columns that are missing are added as nulls.
    ///
    /// # Errors
    /// [`TableError`] names the first column or key that breaks the contract.
    fn try_from_frame(frame: &DataFrame) -> Result<Self, TableError> {
        Self::SCHEMA.checked(frame).map(Self::from_arranged)
    }

    /// A table of no rows.
    ///
    /// # Errors
    /// Never in practice: only if the schema itself were broken.
    fn empty() -> Result<Self, TableError> {
        let columns = Self::SCHEMA.fields.iter().map(|field| Column::new_empty(field.name.into(), &field.kind.dtype()));
        Ok(Self::from_arranged(DataFrame::new(0, columns.collect())?))
    }

    /// Number of rows.
    fn height(&self) -> usize {
        self.frame().height()
    }
}

/// How a frame breaks the contract of its table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A required column is missing or has nulls.
    #[error("{table}: the required column {column:?} is missing or has nulls")]
    Missing {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
    },
    /// A column has another type.
    #[error("{table}: column {column:?} has type {found}, expected {expected}")]
    WrongType {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Its type.
        found: String,
        /// The type of the contract.
        expected: String,
    },
    /// A column that the contract does not know.
    #[error("{table}: unknown column {column:?}")]
    Unknown {
        /// Table.
        table: &'static str,
        /// Column.
        column: String,
    },
    /// Two rows have one key.
    #[error("{table}: more than one row has the same {key}")]
    DuplicateKey {
        /// Table.
        table: &'static str,
        /// Key columns.
        key: String,
    },
    /// Polars failed.
    #[error(transparent)]
    Frame(#[from] polars::error::PolarsError),
}
