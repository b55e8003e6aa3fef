//! Strange executions among those that ended since the last run.

use super::days::{self, DayFiles, on_cpu};
use super::engines::Findings;
use super::window::Window;
use crate::error::Result;
use crate::io::Store;
use crate::publish::rows::{self, Execution};
use crate::pure::detect::Skip;
use crate::pure::detect::anomalies::{AlarmRate, Detectors};
use crate::pure::samples::Samples;
use crate::pure::units::Level;
use crate::rollup::{Origins, step_samples_ended};
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
    let detectors = Arc::new(std::mem::take(&mut findings.detectors));
    let range_us = (previous.map_or(i64::MIN, |instant| instant.timestamp_micros()), as_of.timestamp_micros());
    let mut tasks = Vec::new();
    for (date, files) in &window.days {
        if latest_us.get(date).is_some_and(|&latest| latest > range_us.0) {
            tasks.push(score_day(lake, files, Arc::clone(&detectors), range_us, level));
        }
    }
    let scored: Vec<Scored> = stream::iter(tasks).buffered(DAYS_AT_ONCE).try_collect().await?;
    let mut anomalies = Vec::new();
    for Scored { rows, skips, rates } in scored {
        anomalies.extend(rows);
        findings.skips.extend(skips);
        for (name, AlarmRate { n_judged, n_alarms, promised }) in rates {
            let sum = findings.alarm_rates.entry(name).or_default();
            *sum = AlarmRate { n_judged: sum.n_judged + n_judged, n_alarms: sum.n_alarms + n_alarms, promised };
        }
    }
    Ok(anomalies)
}

/// What a day gave.
struct Scored {
    rows: Vec<AnomalyRow>,
    skips: Vec<Skip>,
    rates: BTreeMap<String, AlarmRate>,
}

async fn score_day(
    lake: &Store,
    files: &DayFiles,
    detectors: Arc<Detectors>,
    (after_us, until_us): (i64, i64),
    level: Level,
) -> Result<Scored> {
    let read = days::read(lake, files, until_us).await?;
    on_cpu(move || {
        let (samples, origins) = step_samples_ended(&read.day, after_us, until_us);
        let anomalies = detectors.score(&samples, level);
        let rows = anomalies.iter().map(|anomaly| rows::anomaly(anomaly, &execution(&samples, &origins, anomaly.row)));
        Scored {
            rows: rows.collect(),
            skips: detectors.unscored(&samples),
            rates: detectors.alarm_rates(&samples, &anomalies),
        }
    })
    .await
}

fn execution<'a>(samples: &'a Samples, origins: &'a Origins, row: usize) -> Execution<'a> {
    let word = |codes: &[u32]| codes.get(row).and_then(|&code| samples.vocabulary.word(code));
    Execution {
        run_id: origins.run_id.get(row).map_or("", String::as_str),
        step_id: origins.step_id.get(row).map(String::as_str),
        attempt: samples.attempt.get(row).map(|&attempt| i64::from(attempt)),
        workflow_id: word(&samples.workflow_id).unwrap_or_default(),
        workflow_type: word(&samples.workflow_type).unwrap_or_default(),
        step: word(&samples.step),
        started_us: samples.started_us.get(row).copied(),
        ended_us: samples.ended_us.get(row).copied(),
    }
}
