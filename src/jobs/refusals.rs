//! What `ingest` refused: published by the first run that finds it.

use super::outputs::known_inputs;
use crate::error::Result;
use crate::ingest::lake::{RejectFile, read_rejects};
use crate::io::{Object, Store};
use crate::publish::ledger::State;
use crate::rollup::{History, InputFile};
use chrono::{DateTime, Utc};

/// Adds to the history what `ingest` left in the lake. Every list of rejects is an input of the run, by which the next
/// one knows it; its rows count as refused, for the limit too, in the one run that publishes them.
pub(crate) async fn add(
    history: &mut History,
    lake: &Store,
    ledger: &State,
    job: &str,
    as_of: DateTime<Utc>,
) -> Result<()> {
    let known = known_inputs(ledger, job, as_of);
    for RejectFile { object, digest, rejects } in read_rejects(lake).await? {
        if !known.contains(&(object.path.clone(), digest.clone())) {
            history.rejects.extend(rejects);
        }
        let Object { path, size, tag } = object;
        history.inputs.push(InputFile { path, size, tag, digest });
    }
    Ok(())
}
