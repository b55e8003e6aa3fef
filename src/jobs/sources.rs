//! Sources that the configuration brings into the lake before a run.

use crate::config::{ColumnSource, Config, IngestSource};
use crate::error::{Error, Result};
use crate::ingest::{Source, ingest_sources};
use crate::io::Store;
use serde_json::json;

/// Brings in what the configured sources hold; what is known already changes nothing.
pub(crate) async fn bring_in(config: &Config, lake: &Store) -> Result<()> {
    if config.ingest.is_empty() {
        return Ok(());
    }
    let sources = config.ingest.iter().map(source).collect::<Result<Vec<Source>>>()?;
    let summary = ingest_sources(lake, &sources).await?;
    tracing::info!(files = summary.files, new = summary.new, rejected = summary.rejected, "brought in the sources");
    Ok(())
}

fn source(configured: &IngestSource) -> Result<Source> {
    let IngestSource { dialect, path, workflow_id, run_id, table, columns } = configured;
    let column = |(name, rule): (&String, &crate::config::ColumnMap)| {
        let (from, value) = match &rule.source {
            ColumnSource::From(column) => (Some(column), None),
            ColumnSource::Value(value) => (None, Some(value)),
        };
        (name.clone(), json!({ "from": from, "value": value, "unit": rule.unit, "values": rule.values }))
    };
    let columns: serde_json::Map<String, serde_json::Value> = columns.iter().map(column).collect();
    let whole = json!({
        "from": dialect.as_str(), "path": path, "workflow_id": workflow_id, "run_id": run_id,
        "table": table.map(|table| table.as_str()), "columns": columns,
    });
    serde_json::from_value(whole).map_err(|error| Error::Usage(format!("ingest: source {path:?}: {error}")))
}
