//! Strange executions among those that ended since the last run, and what got slower in the latest stretch.

use super::days::{self, DayFiles, on_cpu};
use super::engines::Findings;
use super::window::Window;
use crate::error::Result;
use crate::io::Store;
use crate::publish::rows::{self, Execution};
use crate::pure::analysis::Analysis;
use crate::pure::detect::Skip;
use crate::pure::detect::anomalies::{AlarmRate, Detectors};
use crate::pure::detect::degradations::{DegradationParams, Regimes, degradations};
use crate::pure::samples::Samples;
use crate::pure::series::Metric;
use crate::pure::units::Level;
use crate::rollup::{Origins, step_samples_ended};
use crate::tables::published::AnomalyRow;
use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days that are read at the same time.
const DAYS_AT_ONCE: usize = 2;

/// What was found among new executions.
#[derive(Default)]
pub(crate) struct Scored {
    pub(crate) anomalies: Vec<AnomalyRow>,
    /// The executions that ended in the latest window, by day.
    recent: Vec<Samples>,
    detectors: Arc<Detectors>,
}

/// Reads again the days in which something ended after the previous cutoff (all of the window on a first run) or in the
/// latest stretch of `latest_us`, one at a time so that memory is that of a day, and scores what ended after that cutoff.
pub(crate) async fn score_new(
    lake: &Store,
    window: &Window,
    newest_us: &BTreeMap<NaiveDate, i64>,
    findings: &mut Findings,
    times: Times,
    level: Level,
) -> Result<Scored> {
    let detectors = Arc::new(std::mem::take(&mut findings.detectors));
    let from_us = times.after_us.min(times.latest_from_us);
    let mut tasks = Vec::new();
    for (date, files) in &window.days {
        if newest_us.get(date).is_some_and(|&newest| newest > from_us) {
            tasks.push(score_day(lake, files, Arc::clone(&detectors), times, level));
        }
    }
    let days: Vec<OfDay> = stream::iter(tasks).buffered(DAYS_AT_ONCE).try_collect().await?;
    let mut scored = Scored { detectors, ..Scored::default() };
    for OfDay { rows, skips, rates, recent } in days {
        scored.anomalies.extend(rows);
        scored.recent.push(recent);
        findings.skips.extend(skips);
        for (name, AlarmRate { n_judged, n_alarms, promised }) in rates {
            let sum = findings.alarm_rates.entry(name).or_default();
            *sum = AlarmRate { n_judged: sum.n_judged + n_judged, n_alarms: sum.n_alarms + n_alarms, promised };
        }
    }
    Ok(scored)
}

/// Which executions are new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Those that ended after the previous cutoff are scored.
    after_us: i64,
    /// Those that ended after this are the latest.
    latest_from_us: i64,
    until_us: i64,
}

impl Times {
    pub(crate) fn new(previous: Option<DateTime<Utc>>, as_of: DateTime<Utc>, latest_us: i64) -> Self {
        let until_us = as_of.timestamp_micros();
        let after_us = previous.map_or(i64::MIN, |instant| instant.timestamp_micros());
        Self { after_us, latest_from_us: until_us.saturating_sub(latest_us), until_us }
    }

    pub(crate) fn until_us(self) -> i64 {
        self.until_us
    }
}

/// What got slower in the latest stretch, beside the history.
pub(crate) fn find_degradations(
    samples: &Samples,
    scored: &Scored,
    findings: &mut Findings,
    as_of_us: i64,
    params: &DegradationParams,
) {
    let regimes = regimes(&findings.analyses);
    let (found, skips) = degradations(samples, &scored.recent, &scored.detectors, &regimes, as_of_us, params);
    drop(regimes);
    findings.degradations = found;
    findings.skips.extend(skips);
}

/// The regimes that are normal for the durations of steps.
fn regimes(analyses: &[Analysis]) -> Regimes<'_> {
    let durations = analyses.iter().filter(|analysis| analysis.key.metric == Metric::ExecutionTime);
    let steps = durations.filter_map(|analysis| {
        let baseline = analysis.baseline.as_ref()?;
        let key = (analysis.key.workflow_id.as_str(), analysis.key.step.as_deref()?);
        Some((key, (baseline.regime_start_us, baseline.regime_end_us)))
    });
    steps.collect()
}

/// What a day gave.
struct OfDay {
    rows: Vec<AnomalyRow>,
    skips: Vec<Skip>,
    rates: BTreeMap<String, AlarmRate>,
    recent: Samples,
}

async fn score_day(
    lake: &Store,
    files: &DayFiles,
    detectors: Arc<Detectors>,
    times: Times,
    level: Level,
) -> Result<OfDay> {
    let read = days::read_to_score(lake, files, times.until_us).await?;
    on_cpu(move || {
        let (samples, origins) = step_samples_ended(&read.day, times.after_us, times.until_us);
        let anomalies = detectors.score(&samples, level);
        let rows = anomalies.iter().map(|anomaly| rows::anomaly(anomaly, &execution(&samples, &origins, anomaly.row)));
        OfDay {
            rows: rows.collect(),
            skips: detectors.unscored(&samples),
            rates: detectors.alarm_rates(&samples, &anomalies),
            recent: step_samples_ended(&read.day, times.latest_from_us, times.until_us).0,
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
