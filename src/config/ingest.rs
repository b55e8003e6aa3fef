//! `ingest`: sources that are brought into the lake before a run.

use super::document::Value;
use super::locations;
use super::section::Section;
use std::collections::BTreeMap;

/// One source.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestSource {
    /// What wrote it.
    pub dialect: Dialect,
    /// File, folder, glob or URL.
    pub path: String,
    /// The workflow, where the files don't say.
    pub workflow_id: Option<String>,
    /// The run, where the files don't say.
    pub run_id: Option<String>,
    /// The table that rows belong to; `csv` and `parquet` only, and always there.
    pub table: Option<SourceTable>,
    /// Canonical column → where its values come from; `csv` and `parquet` only.
    pub columns: BTreeMap<String, ColumnMap>,
}

/// What wrote a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `trace.txt` of Nextflow.
    Nextflow,
    /// WfCommons JSON.
    Wfformat,
    /// Any CSV, with a column map.
    Csv,
    /// Any Parquet, with a column map.
    Parquet,
}

/// Dialects of the schema that no adapter reads yet.
const UNBUILT_DIALECTS: [&str; 6] = ["airflow", "github-actions", "otlp", "jaeger", "dify", "langfuse"];

/// The canonical table that rows belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceTable {
    /// One row a run.
    Runs,
    /// One row an attempt of a step.
    Steps,
}

/// Where the values of one canonical column come from.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnMap {
    /// A column, or a constant.
    pub source: ColumnSource,
    /// Unit of the source's numbers.
    pub unit: Option<String>,
    /// Old word → new word.
    pub values: BTreeMap<String, String>,
}

/// A column of the source or a constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnSource {
    /// Name of the source's column.
    From(String),
    /// The same for all rows, as text.
    Value(String),
}

/// Units that a column map understands.
const UNITS: [&str; 17] = [
    "ns",
    "us",
    "ms",
    "s",
    "min",
    "h",
    "bytes",
    "kb",
    "mb",
    "gb",
    "kib",
    "mib",
    "gib",
    "cores",
    "millicores",
    "pct",
    "ratio",
];

impl IngestSource {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let source = Self {
            dialect: read_dialect(section),
            path: locations::read(section, "path", ""),
            workflow_id: section.text("workflow_id"),
            run_id: section.text("run_id"),
            table: section.choice(
                "table",
                None,
                &[("runs", Some(SourceTable::Runs)), ("steps", Some(SourceTable::Steps))],
            ),
            columns: section.named("columns", ColumnMap::read).into_iter().collect(),
        };
        source.refuse_contradictions(section);
        source
    }

    fn refuse_contradictions(&self, section: &mut Section<'_>) {
        if section.take("path").is_none() {
            section.refuse("path", "nothing", "a file, folder, glob or URL", "write it");
        }
        let is_mapped = matches!(self.dialect, Dialect::Csv | Dialect::Parquet);
        if is_mapped && section.take("table").is_none() {
            section.refuse("table", "nothing", "runs or steps", "say what a row of this source is");
        }
        for key in ["table", "columns"] {
            if !is_mapped && section.take(key).is_some() {
                let expected = "it with csv and parquet only";
                section.refuse(key, "it", expected, "remove it: the dialect knows its columns");
            }
        }
    }
}

fn read_dialect(section: &mut Section<'_>) -> Dialect {
    if section.take("from").is_none() {
        section.refuse("from", "nothing", "what wrote the source", "write nextflow, wfformat, csv or parquet");
    }
    let words = [
        ("nextflow", Dialect::Nextflow),
        ("wfformat", Dialect::Wfformat),
        ("csv", Dialect::Csv),
        ("parquet", Dialect::Parquet),
    ];
    section.parsed("from", Dialect::Parquet, "nextflow, wfformat, csv or parquet", |text| {
        if UNBUILT_DIALECTS.contains(&text) {
            return Err(format!("reading {text} is not built yet in this version; export to csv or parquet"));
        }
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, dialect)| *dialect);
        let known = words.iter().map(|(word, _)| *word);
        found.ok_or_else(|| super::section::nearest_or(text, known, "write one of these"))
    })
}

impl ColumnMap {
    fn read(section: &mut Section<'_>) -> Self {
        let from = section.text("from").map(ColumnSource::From);
        let value = section.take("value").map(|node| ColumnSource::Value(node.to_string()));
        if from.is_some() == value.is_some() {
            let found = if from.is_some() { "both from and value" } else { "neither from nor value" };
            section.refuse("from", found, "one of the two", "name the source's column, or a constant");
        }
        let unit = section.choice("unit", "", &UNITS.map(|unit| (unit, unit)));
        Self {
            source: from.or(value).unwrap_or(ColumnSource::Value(String::new())),
            unit: Some(unit.to_owned()).filter(|unit| !unit.is_empty()),
            values: read_words(section),
        }
    }
}

fn read_words(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    for entry in section.entries_of("values") {
        match entry.node.value {
            Value::List(_) | Value::Map(_) => {
                section.refuse("values", &entry.node, "old: new, both words", "write one word after the colon");
            }
            _ => {
                words.insert(entry.key.clone(), entry.node.to_string());
            }
        }
    }
    words
}
