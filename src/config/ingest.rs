//! `ingest`: sources that are brought into the lake before a run.

use super::document::{Node, Value};
use super::section::{Section, nearest_or};
use super::{locations, parse_instant, parse_timezone};
use crate::ingest::columns::{ColumnMap, ColumnRule, Constant, MapError, Table, Unit, check_rule};
use crate::ingest::{Dialect, Source};
use clap::ValueEnum;
use std::collections::BTreeMap;

/// Dialects of the schema that no adapter reads yet.
const UNBUILT_DIALECTS: [&str; 6] = ["airflow", "github-actions", "otlp", "jaeger", "dify", "langfuse"];

/// Reads one source.
pub(super) fn read(section: &mut Section<'_>) -> Source {
    let from = read_dialect(section);
    if section.take("path").is_none() {
        section.refuse("path", "nothing", "a file, folder, glob or URL", "write it");
    }
    let path = locations::read(section, "path", "");
    let table = read_table(section, from);
    Source {
        from,
        path,
        table,
        workflow_id: section.text("workflow_id"),
        run_id: section.text("run_id"),
        started_at: section.parsed("started_at", None, "an RFC 3339 instant", |text| parse_instant(text).map(Some)),
        zone: section.parsed("zone", None, "the name of a time zone", |text| parse_timezone(text).map(Some)),
        columns: read_columns(section, from, table),
    }
}

fn read_dialect(section: &mut Section<'_>) -> Dialect {
    let expected = words::<Dialect>().join(", ");
    if section.take("from").is_none() {
        section.refuse("from", "nothing", "what wrote the source", &format!("write one of {expected}"));
    }
    section.parsed("from", Dialect::Canonical, &format!("one of {expected}"), |text| {
        if UNBUILT_DIALECTS.contains(&text) {
            return Err(format!("reading {text} is not built yet in this version; export to csv or parquet"));
        }
        word(text)
    })
}

/// A mapped file may lack the columns that would tell its table, so what a row of it is must be said.
fn read_table(section: &mut Section<'_>, from: Dialect) -> Option<Table> {
    let is_given = section.take("table").is_some();
    match from {
        Dialect::Csv | Dialect::Parquet if !is_given => {
            section.refuse("table", "nothing", "runs or steps", "say what a row of this source is");
        }
        Dialect::Nextflow | Dialect::Wfformat if is_given => {
            section.refuse("table", "it", "it with csv, parquet and canonical only", "remove it: the dialect knows");
        }
        _ => {}
    }
    section.parsed("table", None, "runs or steps", |text| word(text).map(Some))
}

fn read_columns(section: &mut Section<'_>, from: Dialect, table: Option<Table>) -> ColumnMap {
    let is_given = section.take("columns").is_some();
    if is_given && !matches!(from, Dialect::Csv | Dialect::Parquet) {
        section.refuse("columns", "it", "it with csv and parquet only", "remove it: the dialect knows its columns");
    }
    section.named("columns", |column, section| read_rule(section, column, table)).into_iter().collect()
}

fn read_rule(section: &mut Section<'_>, column: &str, table: Option<Table>) -> ColumnRule {
    let units = format!("one of {}", words::<Unit>().join(", "));
    let rule = ColumnRule {
        from: section.text("from"),
        unit: section.parsed("unit", None, &units, |text| word(text).map(Some)),
        value: section.take("value").and_then(|node| constant(section, node)),
        values: read_values(section),
        zone: section.parsed("zone", None, "the name of a time zone", |text| parse_timezone(text).map(Some)),
        within: section.text("within"),
    };
    if rule == ColumnRule::default() {
        section.refuse_whole(
            "an empty rule",
            "from, value, unit, values, zone or within",
            "say where the values come from",
        );
    }
    if let Some(error) = table.and_then(|table| check_rule(column, &rule, table.schema()).err()) {
        refuse_rule(section, &error);
    }
    rule
}

fn refuse_rule(section: &Section<'_>, error: &MapError) {
    match error {
        MapError::UnknownColumn { column, table, known } => {
            let advice = nearest_or(column, known.split(", "), &format!("it has {known}"));
            section.refuse_whole("an unknown column", &format!("a column of {table}"), &advice);
        }
        MapError::Unit { column, unit } => {
            let found = unit.to_possible_value().map(|unit| unit.get_name().to_owned()).unwrap_or_default();
            section.refuse("unit", found, &format!("a unit of {column}"), "write what the source's numbers are in");
        }
        MapError::Combination { found, expected, .. } => section.refuse_whole(found, expected, "remove one of them"),
    }
}

fn constant(section: &Section<'_>, node: &Node) -> Option<Constant> {
    match &node.value {
        Value::Flag(flag) => Some(Constant::Flag(*flag)),
        Value::Whole(number) => i64::try_from(*number).ok().map(Constant::Integer),
        Value::Number(number) => Some(Constant::Number(*number)),
        Value::Text(text) => Some(Constant::Text(text.clone())),
        Value::Null | Value::List(_) | Value::Map(_) => {
            section.refuse("value", node, "one word or number", "write it after the colon");
            None
        }
    }
}

fn read_values(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for entry in section.entries_of("values") {
        match entry.node.value {
            Value::List(_) | Value::Map(_) => {
                section.refuse("values", &entry.node, "old: new, both words", "write one word after the colon");
            }
            _ => {
                values.insert(entry.key.clone(), entry.node.to_string());
            }
        }
    }
    values
}

/// The names of all values of a type, as on the command line.
fn words<T: ValueEnum>() -> Vec<String> {
    let names = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    names.map(|name| name.get_name().to_owned()).collect()
}

fn word<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true).map_err(|_unknown| {
        let names = words::<T>();
        nearest_or(text, names.iter().map(String::as_str), "write one of these")
    })
}
