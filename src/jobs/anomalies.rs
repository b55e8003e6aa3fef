//! Strange executions among those that ended since the last run.

use super::days::{self, on_cpu};
use super::engines::Findings;
use super::window::Window;
use crate::error::Result;
use crate::io::Store;
use crate::publish::rows::{self, Execution};
use crate::pure::units::Level;
use crate::rollup::step_samples_ended;
use crate::tables::published::AnomalyRow;
use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days that are read at the same time.
const DAYS_AT_ONCE: usize = 2;

/// Reads again the days in which something ended after the previous cutoff (all of the window on a first run), one at a
/// time so that memory is that of a day, and scores their executions.
pub(crate) async fn score_new(
    lake: &Store,
    window: &Window,
    latest_us: &BTreeMap<NaiveDate, i64>,
    findings: &mut Findings,
    previous: Option<DateTime<Utc>>,
    as_of: DateTime<Utc>,
    level: Level,
) -> Result<Vec<AnomalyRow>> {
    let after_us = previous.map_or(i64::MIN, |instant| instant.timestamp_micros());
    let as_of_us = as_of.timestamp_micros();
    let detectors = Arc::new(std::mem::take(&mut findings.detectors));
    let detectors = &detectors;
    let days = window.days.iter().filter(|(date, _)| latest_us.get(date).is_some_and(|&latest| latest > after_us));
    let scored: Vec<_> = stream::iter(days)
        .map(|(_, files)| async move {
            let read = days::read(lake, files, as_of_us).await?;
            let detectors = Arc::clone(detectors);
            on_cpu(move || {
                let (samples, origins) = step_samples_ended(&read.day, after_us, as_of_us);
                let word = |code: u32| samples.vocabulary.word(code);
                let row = |anomaly: &crate::pure::learn::Anomaly| {
                    let i = anomaly.row;
                    let execution = Execution {
                        run_id: origins.run_id.get(i).map_or("", String::as_str),
                        step_id: origins.step_id.get(i).map(String::as_str),
                        attempt: samples.attempt.get(i).map(|&attempt| i64::from(attempt)),
                        workflow_id: samples.workflow_id.get(i).and_then(|&code| word(code)).unwrap_or_default(),
                        workflow_type: samples.workflow_type.get(i).and_then(|&code| word(code)).unwrap_or_default(),
                        step: samples.step.get(i).and_then(|&code| word(code)),
                        started_us: samples.started_us.get(i).copied(),
                        ended_us: samples.ended_us.get(i).copied(),
                    };
                    rows::anomaly(anomaly, &execution)
                };
                let found = detectors.score(&samples, level);
                (found.iter().map(row).collect::<Vec<AnomalyRow>>(), detectors.unscored(&samples))
            })
            .await
        })
        .buffered(DAYS_AT_ONCE)
        .try_collect()
        .await?;
    let mut anomalies = Vec::new();
    for (rows, skips) in scored {
        anomalies.extend(rows);
        findings.skips.extend(skips);
    }
    Ok(anomalies)
}
