//! What had been decided on recommendations when a run began, and what the job's run before told of their outcomes.

use super::stage::Stage;
use super::told_before::last_with;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::applications::Decided;
use crate::publish::ledger::State;
use crate::publish::outcomes::earlier;
use crate::pure::recommend::outcome::Earlier;
use crate::report::load::all;
use crate::tables::published::{OutcomeRow, Row};
use chrono::{DateTime, Utc};

/// Decisions and earlier outcomes.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecidedBefore {
    pub(crate) decided: Decided,
    pub(crate) earlier: Earlier,
    /// Of both; none where nothing was ever decided.
    pub(crate) digest: Option<String>,
}

/// Nothing where nobody decided anything.
pub(crate) async fn load(
    results: &Store,
    ledger: &State,
    config: &Config,
    as_of: DateTime<Utc>,
) -> Result<DecidedBefore> {
    let decided = ledger.decided();
    if decided == Decided::default() {
        return Ok(DecidedBefore::default());
    }
    let mut hasher = blake3::Hasher::new();
    let bytes = serde_json::to_vec(&decided).map_err(|e| Error::Internal(format!("decisions as JSON: {e}")))?;
    hasher.update(&bytes);
    let mut outcomes = Vec::new();
    if let Some(last) = last_with(ledger, &config.job, as_of, Stage::Recommendations) {
        match all(results, last.slot.as_of, |_: &OutcomeRow| true).await {
            Ok(rows) => outcomes = rows.unwrap_or_default(),
            Err(Error::Verification(damage)) => tracing::warn!("outcomes are measured anew: {damage}"),
            Err(error) => return Err(error),
        }
        let files = last.files.iter().filter(|file| file.table == OutcomeRow::SPEC.name && !outcomes.is_empty());
        files.for_each(|file| {
            hasher.update(file.digest.as_bytes());
        });
    }
    Ok(DecidedBefore { decided, earlier: earlier(&outcomes), digest: Some(hasher.finalize().to_hex().to_string()) })
}
