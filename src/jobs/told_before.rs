//! What the job's run before told of change points.

use super::stage::Stage;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::ledger::State;
use crate::pure::detect::change_points::Shift;
use crate::pure::detect::continuity::Earlier;
use crate::pure::series::SeriesKey;
use crate::report::load::all;
use crate::tables::published::{ChangePointRow, Row};
use chrono::{DateTime, Utc};

/// The change points of the run before, and the digest of their file.
#[derive(Debug, Default)]
pub(crate) struct ToldBefore {
    pub(crate) changes: Earlier,
    pub(crate) digest: Option<String>,
}

/// Nothing where no run of `job` before `as_of` looked for change points, or what it published is gone.
pub(crate) async fn load(results: &Store, ledger: &State, job: &str, as_of: DateTime<Utc>) -> Result<ToldBefore> {
    let looked = |stages: &[String]| stages.iter().any(|name| name == Stage::Analysis.as_str());
    let runs = ledger.entries().iter().filter_map(|sealed| sealed.entry.event.run());
    let earlier = runs.filter(|run| run.slot.job == job && run.slot.as_of < as_of && looked(&run.slot.stages));
    let Some(last) = earlier.max_by_key(|run| run.slot.as_of) else { return Ok(ToldBefore::default()) };
    let rows = match all::<ChangePointRow>(results, last.slot.as_of, |_| true).await {
        Ok(Some(rows)) => rows,
        Ok(None) => return Ok(ToldBefore::default()),
        Err(Error::Verification(damage)) => {
            tracing::warn!("change points are looked for anew: {damage}");
            return Ok(ToldBefore::default());
        }
        Err(error) => return Err(error),
    };
    let mut changes = Earlier { as_of_us: last.slot.as_of.timestamp_micros(), ..Earlier::default() };
    for row in rows {
        let shift = Shift {
            index: 0,
            before: row.before,
            after: row.after,
            effect_ratio: row.effect_ratio,
            effect_lower: row.effect_lower,
            effect_upper: row.effect_upper,
            p_value: row.p_value,
        };
        if let Ok(metric) = row.metric.parse() {
            let ChangePointRow { workflow_id, workflow_type, step, changed_at, .. } = row;
            let key = SeriesKey { workflow_id, workflow_type, step, metric };
            changes.told.entry(key).or_default().insert(changed_at.0, shift);
        }
    }
    let file = last.files.iter().find(|file| file.table == ChangePointRow::SPEC.name);
    Ok(ToldBefore { changes, digest: file.map(|file| file.digest.clone()) })
}
