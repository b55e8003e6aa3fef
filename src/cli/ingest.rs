//! `paceline ingest`: what real systems write, into the lake.

use super::output::{Format, print, table};
use crate::error::{Error, Result};
use crate::ingest::columns::{ColumnMap, ColumnRule, Table, Unit};
use crate::ingest::{Dialect, IngestSummary, Source, ingest_with_progress};
use crate::io::Store;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Exit code of a finished command with more rejects than allowed.
const TOO_MANY_REJECTS: u8 = 3;

/// Bring what a workflow system wrote into the lake. Doing it twice changes nothing.
#[derive(Debug, Clone, clap::Args)]
pub struct IngestArgs {
    /// What wrote the files.
    #[arg(long, value_enum, value_name = "DIALECT")]
    pub from: Dialect,
    /// Files, folders, globs (`*`, `?`, `**`) or object-store URLs.
    #[arg(required = true, value_name = "SRC")]
    pub sources: Vec<String>,
    /// The lake: a folder, or file:, s3://, gs://, az://.
    #[arg(long, value_name = "URL")]
    pub lake: String,
    /// The workflow, where a file doesn't say. Default: the file's name without ending, time and run number.
    #[arg(long, value_name = "W")]
    pub workflow_id: Option<String>,
    /// The run, where a file doesn't say. Default: the file's name without ending.
    #[arg(long, value_name = "R")]
    pub run_id: Option<String>,
    /// When the run started, where a file doesn't say (RFC 3339). Default: the time in the file's name.
    #[arg(long, value_name = "T")]
    pub started_at: Option<DateTime<Utc>>,
    /// Time zone of times that state none, such as Europe/Berlin. Default: UTC for traces, else none: such
    /// times are refused.
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<Tz>,
    /// What a row of a csv or parquet file is. Default: steps if there is a step_id, else runs.
    #[arg(long, value_enum)]
    pub table: Option<Table>,
    /// A YAML file with the column map of csv or parquet files.
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// One column of that map: canonical name, the file's column, and its unit if it is another.
    #[arg(long = "column", value_name = "NAME=FROM[:UNIT]")]
    pub columns: Vec<String>,
    /// Share of refused rows (0-1) above which the exit code is 3.
    #[arg(long, value_name = "RATIO", default_value_t = 0.01)]
    pub max_rejects_ratio: f64,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Brings the sources into the lake and prints what it did: exit code 0, or 3 above the limit of rejects.
///
/// # Errors
/// Usage, unreadable input, or a store that fails.
pub async fn ingest(args: &IngestArgs) -> Result<u8> {
    let columns = column_map(args)?;
    if !(0.0..=1.0).contains(&args.max_rejects_ratio) {
        let found = args.max_rejects_ratio;
        return Err(Error::Usage(format!("--max-rejects-ratio: expected a share from 0 to 1, found {found}")));
    }
    let sources: Vec<Source> = args
        .sources
        .iter()
        .map(|path| Source {
            from: args.from,
            path: path.clone(),
            table: args.table,
            workflow_id: args.workflow_id.clone(),
            run_id: args.run_id.clone(),
            started_at: args.started_at,
            zone: args.zone,
            columns: columns.clone(),
        })
        .collect();
    sources.iter().try_for_each(Source::check)?;
    let lake = Store::open(&args.lake)?;
    let progress = progress();
    let summary = ingest_with_progress(&lake, &sources, &progress).await;
    progress.finish_and_clear();
    let summary = summary?;
    print(&shown(&summary, &lake, args.format))?;
    Ok(if summary.rejects_ratio() > args.max_rejects_ratio { TOO_MANY_REJECTS } else { 0 })
}

fn column_map(args: &IngestArgs) -> Result<ColumnMap> {
    let mut map = args.map.as_deref().map(read_map).transpose()?.unwrap_or_default();
    for text in &args.columns {
        let (name, rule) = column_rule(text).ok_or_else(|| {
            Error::Usage(format!(
                "--column {text:?}: expected NAME=FROM or NAME=FROM:UNIT, such as duration_ms=seconds:s"
            ))
        })?;
        map.insert(name, rule);
    }
    Ok(map)
}

fn read_map(path: &Path) -> Result<ColumnMap> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Error::Usage(format!("--map {shown}: {error}")))?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Error::Usage(format!("--map {shown}: {error}; expected e.g. duration_ms: {{ from: seconds, unit: s }}"))
    })
}

fn column_rule(text: &str) -> Option<(String, ColumnRule)> {
    let (name, from) = text.split_once('=').filter(|(name, from)| !name.is_empty() && !from.is_empty())?;
    // A colon may stand in a column's name: only a unit behind the last one is a unit.
    let with_unit = from.rsplit_once(':').and_then(|(from, unit)| Some((from, unit.parse::<Unit>().ok()?)));
    let (from, unit) = with_unit.map_or((from, None), |(from, unit)| (from, Some(unit)));
    Some((name.to_owned(), ColumnRule { from: Some(from.to_owned()), unit, ..ColumnRule::default() }))
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {elapsed}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn shown(summary: &IngestSummary, lake: &Store, format: Format) -> String {
    match format {
        Format::Table => for_people(summary, lake),
        Format::Json => serde_json::json!(summary).to_string(),
    }
}

fn for_people(summary: &IngestSummary, lake: &Store) -> String {
    let IngestSummary { files, unreadable, rows, new, known, replaced, rejected, partitions, unknown_columns } =
        summary;
    let counts = [files, unreadable, rows, new, known, replaced, rejected, partitions].map(u64::to_string);
    let header = ["files", "unreadable", "rows", "new", "known", "replaced", "rejected", "partitions"];
    let mut text = table(&header, std::iter::once(counts.to_vec()));
    if !unknown_columns.is_empty() {
        let names = unknown_columns.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\nkept out unknown columns: {names}"));
    }
    if *rejected > 0 {
        text.push_str(&format!("\nwhat was refused, and why: {}; the next run publishes it", lake.locate("_rejects")));
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_column_of_the_map_on_the_command_line() {
        let (name, rule) = column_rule("duration_ms=seconds:s").unwrap();
        assert_eq!((name.as_str(), rule.from.as_deref(), rule.unit), ("duration_ms", Some("seconds"), Some(Unit::S)));
        let (_, rule) = column_rule("step_id=task:name").unwrap();
        assert_eq!((rule.from.as_deref(), rule.unit), (Some("task:name"), None));
        assert_eq!(column_rule("duration_ms"), None);
        assert_eq!(column_rule("=x"), None);
    }
}
