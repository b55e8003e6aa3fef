//! What people decided about change points: the fold of the ledger's entries of that kind.

use super::ledger::{Event, State};
use crate::error::{Error, Result};
use crate::pure::series::SeriesKey;
use crate::tables::published::ChangePointRow;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Somebody's decision about one change point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The change point.
    pub change_point: ChangePointKey,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub decided_at: DateTime<Utc>,
}

/// What a change point is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangePointKey {
    /// The workflow.
    pub workflow_id: String,
    /// Its type.
    pub workflow_type: String,
    /// The derived step, none for the run.
    pub step: Option<String>,
    /// What is measured.
    pub metric: String,
    /// Start of the first bucket of the new regime.
    pub changed_at: DateTime<Utc>,
}

impl ChangePointKey {
    /// That of a published row; none where its instant is beyond the calendar.
    #[must_use]
    pub fn of(row: &ChangePointRow) -> Option<Self> {
        let ChangePointRow { workflow_id, workflow_type, step, metric, changed_at, .. } = row;
        Some(Self {
            workflow_id: workflow_id.clone(),
            workflow_type: workflow_type.clone(),
            step: step.clone(),
            metric: metric.clone(),
            changed_at: DateTime::from_timestamp_micros(changed_at.0)?,
        })
    }

    /// A short name for it: the same wherever it is published.
    #[must_use]
    pub fn id(&self) -> String {
        let Self { workflow_id, workflow_type, step, metric, changed_at } = self;
        // Every part is set off by its length, so that no two keys run together.
        let mut hasher = blake3::Hasher::new();
        for part in [workflow_id, workflow_type, step.as_ref().unwrap_or(&String::new()), metric] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(&[u8::from(step.is_some())]).update(&changed_at.timestamp_micros().to_le_bytes());
        hasher.finalize().to_hex().chars().take(12).collect()
    }

    fn series(&self) -> Result<SeriesKey> {
        let Self { workflow_id, workflow_type, step, metric, changed_at: _ } = self.clone();
        let unknown =
            |_| Error::Verification(format!("the ledger accepts a change point of an unknown metric {metric:?}"));
        Ok(SeriesKey { workflow_id, workflow_type, step, metric: metric.parse().map_err(unknown)? })
    }
}

impl State {
    /// The change points that are accepted as the new normal, each by its latest decision.
    #[must_use]
    pub fn accepted(&self) -> BTreeSet<&ChangePointKey> {
        let mut accepted = BTreeSet::new();
        for sealed in self.entries() {
            match &sealed.entry.event {
                Event::ChangePointAccepted(decision) => {
                    accepted.insert(&decision.change_point);
                }
                Event::ChangePointReopened(decision) => {
                    accepted.remove(&decision.change_point);
                }
                _ => {}
            }
        }
        accepted
    }

    /// The same by series, as the analyses want them: starts of buckets.
    ///
    /// # Errors
    /// [`Error::Verification`] where the ledger names a metric that this version does not know.
    pub fn accepted_us(&self) -> Result<BTreeMap<SeriesKey, BTreeSet<i64>>> {
        let mut by_series: BTreeMap<SeriesKey, BTreeSet<i64>> = BTreeMap::new();
        for key in self.accepted() {
            by_series.entry(key.series()?).or_default().insert(key.changed_at.timestamp_micros());
        }
        Ok(by_series)
    }
}
