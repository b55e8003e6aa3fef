//! The data dictionary: every column of every published table, made from their declarations.

use super::parquet::write_table;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::tables::published::{ColumnKind, ColumnSpec, Partition, TABLES, TableSpec};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use std::fmt::Write;
use std::sync::Arc;

const MARKDOWN: &str = "data_dictionary.md";
const PARQUET: &str = "data_dictionary.parquet";

/// The dictionary as a table of its own.
const DICTIONARY: TableSpec = TableSpec {
    name: "data_dictionary",
    meaning: "Every column of every published table.",
    grain: "table × column",
    columns: &[
        text("table", "The table."),
        ColumnSpec { kind: ColumnKind::Int, ..text("position", "Place of the column in its table, from 1.") },
        text("column", "The column."),
        text("type", "Its type in Parquet."),
        text("unit", "Its unit; empty where there is none, or another column names it."),
        ColumnSpec { kind: ColumnKind::Bool, ..text("nullable", "Whether it may be null: unknown or not computable.") },
        ColumnSpec { kind: ColumnKind::Bool, ..text("key", "Whether it is part of the key that names a row.") },
        text("meaning", "What it means."),
    ],
    key: &["table", "position"],
    repeats: false,
    partition: Partition::AsOf,
};

const fn text(name: &'static str, meaning: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind: ColumnKind::Text, nullable: false, unit: "", meaning }
}

/// The columns that stand in the path instead of the file.
fn path_columns(spec: &TableSpec) -> &'static [(&'static str, &'static str)] {
    match spec.partition {
        Partition::AsOf => &[(
            "as_of",
            "The cutoff of the run: nothing that ended after it was known. Folder of the path \
                                       (YYYY-MM-DDTHH-MM-SSZ), timestamptz in Postgres.",
        )],
        Partition::PeriodAndDate => &[
            ("period", "Length of a bucket: 5m, 15m, 1h or 1d. Folder of the path, text in Postgres."),
            ("date", "UTC date of the bucket's start. Folder of the path, date in Postgres."),
        ],
    }
}

/// Writes `data_dictionary.md` and `data_dictionary.parquet`, unless they stand there as they are.
///
/// # Errors
/// When the store fails.
pub async fn write(store: &Store) -> Result<()> {
    replace(store, MARKDOWN, markdown()?.into_bytes()).await?;
    replace(store, PARQUET, parquet()?).await
}

async fn replace(store: &Store, path: &str, bytes: Vec<u8>) -> Result<()> {
    let there = store.get(path).await?;
    if there.is_some_and(|there| *there == *bytes) { Ok(()) } else { store.put(path, bytes).await }
}

/// The dictionary to be read by people.
///
/// # Errors
/// Never: text always takes another line.
pub fn markdown() -> Result<String> {
    let mut page = String::from(
        "# Data dictionary\n\nEvery column of every published table. Times are UTC, ratios are 0-1, unknown is null.\n",
    );
    TABLES.into_iter().try_for_each(|spec| section(&mut page, spec)).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(page)
}

fn section(page: &mut String, spec: &TableSpec) -> std::fmt::Result {
    write!(page, "\n## {}\n\n{}\n\n", spec.name, spec.meaning)?;
    write!(page, "One row per {}. Key: {}.\n\n", spec.grain, spec.key.join(", "))?;
    page.push_str("| column | type | unit | null | meaning |\n|---|---|---|---|---|\n");
    for (name, meaning) in path_columns(spec) {
        writeln!(page, "| `{name}` | folder | | no | {meaning} |")?;
    }
    for ColumnSpec { name, kind, nullable, unit, meaning } in spec.columns {
        let null = if *nullable { "yes" } else { "no" };
        writeln!(page, "| `{name}` | {} | {unit} | {null} | {meaning} |", kind.as_str())?;
    }
    Ok(())
}

fn parquet() -> Result<Vec<u8>> {
    let columns: Vec<(&TableSpec, i64, &ColumnSpec)> = TABLES
        .into_iter()
        .flat_map(|spec| (1..).zip(spec.columns).map(move |(position, column)| (spec, position, column)))
        .collect();
    let texts = |of: fn(&TableSpec, &ColumnSpec) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(columns.iter().map(|(spec, _, column)| of(spec, column))))
    };
    let flags = |of: fn(&TableSpec, &ColumnSpec) -> bool| -> ArrayRef {
        Arc::new(columns.iter().map(|(spec, _, column)| Some(of(spec, column))).collect::<BooleanArray>())
    };
    let arrays = vec![
        texts(|spec, _| spec.name),
        Arc::new(Int64Array::from_iter_values(columns.iter().map(|(_, position, _)| *position))),
        texts(|_, column| column.name),
        texts(|_, column| column.kind.as_str()),
        texts(|_, column| column.unit),
        flags(|_, column| column.nullable),
        flags(|spec, column| spec.key.contains(&column.name)),
        texts(|_, column| column.meaning),
    ];
    write_table(&RecordBatch::try_new(DICTIONARY.schema(), arrays)?, &DICTIONARY)
}
