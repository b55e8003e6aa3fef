//! What the job's run before told of change points.

use super::stage::Stage;
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::ledger::{Run, State};
use crate::pure::detect::change_points::Shift;
use crate::pure::detect::continuity::{Earlier, Told};
use crate::pure::series::SeriesKey;
use crate::report::load::all;
use crate::tables::published::{ChangePointRow, Instant, Row, SpreadChangeRow};
use chrono::{DateTime, Utc};

/// The changes of the run before, and the digests of their files.
#[derive(Debug, Default)]
pub(crate) struct ToldBefore {
    pub(crate) changes: Earlier,
    pub(crate) digest: Option<String>,
}

/// Nothing where no run of `job` before `as_of` looked for change points, or what it published is gone.
pub(crate) async fn load(results: &Store, ledger: &State, job: &str, as_of: DateTime<Utc>) -> Result<ToldBefore> {
    let Some(last) = last_with(ledger, job, as_of, Stage::Analysis) else { return Ok(ToldBefore::default()) };
    let (levels, spreads) = match read(results, last.slot.as_of).await {
        Ok(rows) => rows,
        Err(Error::Verification(damage)) => {
            tracing::warn!("change points are looked for anew: {damage}");
            return Ok(ToldBefore::default());
        }
        Err(error) => return Err(error),
    };
    let Some(levels) = levels else { return Ok(ToldBefore::default()) };
    let as_of_us = last.slot.as_of.timestamp_micros();
    let (level, spread) = (told(levels, of_level), told(spreads.unwrap_or_default(), of_spread));
    let tables = [ChangePointRow::SPEC.name, SpreadChangeRow::SPEC.name];
    let files = last.files.iter().filter(|file| tables.contains(&file.table.as_str()));
    let digests: Vec<&str> = files.map(|file| file.digest.as_str()).collect();
    let digest = (!digests.is_empty()).then(|| digests.join("+"));
    Ok(ToldBefore { changes: Earlier { as_of_us, level, spread }, digest })
}

/// The latest run of `job` before `as_of` in which `stage` ran.
pub(crate) fn last_with<'a>(ledger: &'a State, job: &str, as_of: DateTime<Utc>, stage: Stage) -> Option<&'a Run> {
    let ran = |stages: &[String]| stages.iter().any(|name| name == stage.as_str());
    let runs = ledger.entries().iter().filter_map(|sealed| sealed.entry.event.run());
    let earlier = runs.filter(|run| run.slot.job == job && run.slot.as_of < as_of && ran(&run.slot.stages));
    earlier.max_by_key(|run| run.slot.as_of)
}

async fn read(
    results: &Store,
    as_of: DateTime<Utc>,
) -> Result<(Option<Vec<ChangePointRow>>, Option<Vec<SpreadChangeRow>>)> {
    Ok((all(results, as_of, |_| true).await?, all(results, as_of, |_| true).await?))
}

/// A change with the workflow, its type, the step and the metric that it is of.
type OfSeries = ([String; 2], Option<String>, String, Instant, Shift);

fn told<R>(rows: Vec<R>, parts: impl Fn(R) -> OfSeries) -> Told {
    let mut told = Told::new();
    for ([workflow_id, workflow_type], step, metric, at, shift) in rows.into_iter().map(parts) {
        if let Ok(metric) = metric.parse() {
            let key = SeriesKey { workflow_id, workflow_type, step, metric };
            told.entry(key).or_default().insert(at.0, shift);
        }
    }
    told
}

fn of_level(row: ChangePointRow) -> OfSeries {
    let ChangePointRow { before, after, effect_ratio, effect_lower, effect_upper, p_value, .. } = row;
    let shift = Shift { index: 0, before, after, effect_ratio, effect_lower, effect_upper, p_value };
    ([row.workflow_id, row.workflow_type], row.step, row.metric, row.changed_at, shift)
}

fn of_spread(row: SpreadChangeRow) -> OfSeries {
    let SpreadChangeRow { before, after, effect_ratio, effect_lower, effect_upper, p_value, .. } = row;
    let shift = Shift { index: 0, before, after, effect_ratio, effect_lower, effect_upper, p_value };
    ([row.workflow_id, row.workflow_type], row.step, row.metric, row.changed_at, shift)
}
