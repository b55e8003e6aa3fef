//! Sources that the configuration brings into the lake before a run.

use crate::config::Config;
use crate::error::Result;
use crate::ingest::ingest_sources;
use crate::io::Store;

/// Brings in what the configured sources hold; what is known already changes nothing.
pub(crate) async fn bring_in(config: &Config, lake: &Store) -> Result<()> {
    if config.ingest.is_empty() {
        return Ok(());
    }
    let summary = ingest_sources(lake, &config.ingest).await?;
    if !summary.unknown_columns.is_empty() {
        tracing::warn!(columns = ?summary.unknown_columns, "kept out columns that the contract does not know");
    }
    tracing::info!(files = summary.files, new = summary.new, rejected = summary.rejected, "brought in the sources");
    Ok(())
}
