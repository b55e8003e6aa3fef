//! Row structs: written once, they give the struct, the spec and the columns of a table.

use super::spec::TableSpec;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;

/// A row of a published table.
pub trait Row: Sized {
    /// The table.
    const SPEC: TableSpec;
    /// The columns of these rows, in the order of the spec.
    fn columns(rows: Vec<Self>) -> Vec<ArrayRef>;
}

/// The rows as one batch, in the order given.
///
/// # Errors
/// Never for rows of [`Row`] types, whose columns and spec come from one declaration; Arrow's check is kept.
pub fn to_batch<R: Row>(rows: Vec<R>) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(R::SPEC.schema(), R::columns(rows))
}

/// The column of a field: fields whose name is a word of Rust are written `r#type`.
pub(super) const fn column_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Declares a table: the doc comment of the struct is the table's meaning, that of a field the column's, and
/// `=> "ms"` behind a field's type its unit. `may repeat` behind the key allows rows with the same key.
macro_rules! published_table {
    (
        $(#[doc = $meaning:literal])+
        $name:literal => $row:ident, grain $grain:literal, key [$($key:ident),+] $(, may $repeat:ident)?;
        $( $(#[doc = $field_meaning:literal])+ $field:ident : $kind:ty $(=> $unit:literal)? ),+ $(,)?
    ) => {
        $(#[doc = $meaning])+
        #[doc = concat!("\n\nOne row per ", $grain, ".")]
        #[derive(Debug, Clone, PartialEq)]
        pub struct $row {
            $( $(#[doc = $field_meaning])+ pub $field: $kind, )+
        }

        impl $crate::tables::published::Row for $row {
            const SPEC: $crate::tables::published::TableSpec = $crate::tables::published::TableSpec {
                name: $name,
                meaning: concat!($($meaning),+).trim_ascii(),
                grain: $grain,
                columns: &[ $( $crate::tables::published::ColumnSpec {
                    name: $crate::tables::published::column_name(stringify!($field)),
                    kind: <$kind as $crate::tables::published::Value>::KIND,
                    nullable: <$kind as $crate::tables::published::Value>::NULLABLE,
                    unit: concat!($($unit)?),
                    meaning: concat!($($field_meaning),+).trim_ascii(),
                } ),+ ],
                key: &[$($crate::tables::published::column_name(stringify!($key))),+],
                repeats: !concat!($(stringify!($repeat))?).is_empty(),
                partition: $crate::tables::published::Partition::AsOf,
            };

            fn columns(rows: Vec<Self>) -> Vec<arrow::array::ArrayRef> {
                $( let mut $field: Vec<$kind> = Vec::with_capacity(rows.len()); )+
                for row in rows {
                    $( $field.push(row.$field); )+
                }
                vec![ $( <$kind as $crate::tables::published::Value>::array($field) ),+ ]
            }
        }
    };
}

pub(super) use published_table;
