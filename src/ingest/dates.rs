//! On which date a row lies: that on which its run started.

use super::lake::list_partitions;
use crate::error::Result;
use crate::ingest::raw;
use crate::io::Store;
use crate::pure::units::DAY_US;
use crate::tables::{runs, steps};
use polars::error::PolarsResult;
use polars::prelude::{DataFrame, InitHashMaps, PlHashMap, PlHashSet};
use std::collections::BTreeMap;

/// A run rarely starts more than this before the first of its steps that is not cached; its partition is looked for no
/// further back.
const RUN_LOOKBACK_DAYS: i32 = 7;

/// Days since the epoch of the runs' starts.
pub(super) fn days(runs: &DataFrame) -> PolarsResult<Vec<i32>> {
    let starts = runs.column(runs::STARTED_AT)?.datetime()?;
    Ok(starts.physical().iter().map(|start| day(start.unwrap_or_default())).collect())
}

fn day(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_US)).unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX })
}

pub(super) fn days_by_run(runs: &DataFrame, days: &[i32]) -> PolarsResult<PlHashMap<String, i32>> {
    let mut by_run = PlHashMap::with_capacity(days.len());
    for (run, day) in runs.column(runs::RUN_ID)?.str()?.iter().zip(days) {
        if let Some(run) = run {
            by_run.entry(run.to_owned()).or_insert(*day);
        }
    }
    Ok(by_run)
}

/// The date of each step: that of its run, here or in the lake; else of the earliest step of its run that is not cached.
pub(super) async fn step_days(
    store: &Store,
    steps: &DataFrame,
    mut known: PlHashMap<String, i32>,
) -> Result<Vec<Option<i32>>> {
    let own = earliest_days(steps, &known)?;
    if !own.is_empty() {
        let first = own.values().copied().min().flatten();
        let last = own.values().copied().max().flatten();
        let missing: PlHashSet<String> = own.keys().cloned().collect();
        known.extend(days_in_lake(store, missing, first, last).await?);
    }
    let days = steps.column(steps::RUN_ID)?.str()?.iter();
    Ok(days
        .map(|run| run.and_then(|run| known.get(run).copied().or_else(|| own.get(run).copied().flatten())))
        .collect())
}

/// Of each run that is not `known`: the day of its first step with a time of its own, if any has one.
fn earliest_days(steps: &DataFrame, known: &PlHashMap<String, i32>) -> PolarsResult<BTreeMap<String, Option<i32>>> {
    let mut own: BTreeMap<String, Option<i32>> = BTreeMap::new();
    let starts = steps.column(steps::STARTED_AT)?.datetime()?.physical();
    let cached = steps.column(steps::CACHE_HIT)?.bool()?;
    for ((run, start), cached) in steps.column(steps::RUN_ID)?.str()?.iter().zip(starts.iter()).zip(cached.iter()) {
        let Some(run) = run.filter(|run| !known.contains_key(*run)) else { continue };
        let day = start.filter(|_| cached != Some(true)).map(day);
        match own.get_mut(run) {
            Some(earliest) => *earliest = earliest.iter().copied().chain(day).min(),
            None => {
                own.insert(run.to_owned(), day);
            }
        }
    }
    Ok(own)
}

/// Looks for runs in the lake, newest date first; no later than `last` and not long before `first` where those are
/// known.
async fn days_in_lake(
    store: &Store,
    mut missing: PlHashSet<String>,
    first: Option<i32>,
    last: Option<i32>,
) -> Result<PlHashMap<String, i32>> {
    let mut found = PlHashMap::new();
    let partitions = list_partitions(store, runs::SCHEMA.table).await?;
    for partition in partitions.into_iter().rev() {
        let at = partition.date.to_epoch_days();
        let is_possible =
            last.is_none_or(|last| at <= last) && first.is_none_or(|first| at >= first - RUN_LOOKBACK_DAYS);
        if !is_possible {
            continue;
        }
        for object in &partition.objects {
            let bytes = store.get(&object.path).await?.unwrap_or_default();
            // A file that can't be read knows no runs; the next run rejects it.
            let Ok(frame) = raw::parquet(&bytes, |name| name == runs::RUN_ID) else { continue };
            let Ok(ids) = frame.column(runs::RUN_ID).and_then(|ids| ids.str().cloned()) else { continue };
            found.extend(ids.iter().flatten().filter(|id| missing.remove(*id)).map(|id| (id.to_owned(), at)));
        }
        if missing.is_empty() {
            break;
        }
    }
    Ok(found)
}
