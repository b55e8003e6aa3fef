//! What was found out, as the tables that are published.

use super::engines::Findings;
use super::experiments::Judged;
use super::settings::Settings;
use super::stage::{Stage, Stages};
use crate::config::Config;
use crate::error::Result;
use crate::io::Store;
use crate::publish::ledger::{InputFile, State, as_of_folder};
use crate::publish::parquet::read_table;
use crate::publish::rows::{self, ChangePointState, ExperimentLook, ForecastGrid, Scored};
use crate::publish::{self, Output};
use crate::pure::detect::ChangePoint;
use crate::pure::recommend::Bottleneck;
use crate::pure::series::SeriesKey;
use crate::pure::units::DAY_US;
use crate::rollup::History;
use crate::tables::Reject;
use crate::tables::published::{AnomalyRow, RejectRow, Row, SkipRow};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Utc};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What earlier runs of the job say that this one goes on from.
pub(crate) struct Context {
    as_of: DateTime<Utc>,
    /// Path and digest of what the run before had read.
    known_inputs: BTreeSet<(String, String)>,
    /// When each bottleneck was first seen.
    opened_us: BTreeMap<String, i64>,
    /// Cutoffs of earlier runs that judged experiments.
    looks: Vec<DateTime<Utc>>,
}

impl Context {
    pub(crate) async fn of(results: &Store, ledger: &State, config: &Config, as_of: DateTime<Utc>) -> Result<Self> {
        let runs = ledger.entries().iter().filter_map(|sealed| sealed.entry.event.run());
        let earlier: Vec<_> = runs.filter(|run| run.slot.job == config.job && run.slot.as_of < as_of).collect();
        let has = |stages: &[String], stage: Stage| stages.iter().any(|name| name == stage.as_str());
        let judged = earlier.iter().filter(|run| has(&run.slot.stages, Stage::Experiments));
        let recommended = earlier.iter().filter(|run| has(&run.slot.stages, Stage::Recommendations));
        let opened_us = match recommended.max_by_key(|run| run.slot.as_of) {
            Some(run) => opened(results, run.slot.as_of).await?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            as_of,
            known_inputs: known_inputs(ledger, &config.job, as_of),
            opened_us,
            looks: judged.map(|run| run.slot.as_of).collect(),
        })
    }

    fn carried_over(&self, found: &Bottleneck) -> Bottleneck {
        let opened_at_us = self.opened_us.get(&found.bottleneck_id).copied().unwrap_or(self.as_of.timestamp_micros());
        Bottleneck { opened_at_us, ..found.clone() }
    }

    fn look<'a>(&self, judged: &'a Judged) -> ExperimentLook<'a> {
        let since = |look: &&DateTime<Utc>| look.timestamp_micros() > judged.first_run_us;
        let earlier: Vec<&DateTime<Utc>> = self.looks.iter().filter(since).collect();
        ExperimentLook {
            experiment_id: &judged.experiment_id,
            workflow_type: &judged.workflow_type,
            looks: i64::try_from(earlier.len()).unwrap_or(i64::MAX).saturating_add(1),
            first_look_us: earlier.iter().min().map_or(self.as_of, |first| **first).timestamp_micros(),
        }
    }
}

/// Path and digest of what the job's run before `as_of` had read.
pub(crate) fn known_inputs(ledger: &State, job: &str, as_of: DateTime<Utc>) -> BTreeSet<(String, String)> {
    let runs = ledger.entries().iter().filter_map(|sealed| sealed.entry.event.run());
    let last = runs.filter(|run| run.slot.job == job && run.slot.as_of < as_of).max_by_key(|run| run.slot.as_of);
    let inputs = last.into_iter().flat_map(|run| &run.slot.inputs);
    inputs.map(|input| (input.path.clone(), input.digest.clone())).collect()
}

async fn opened(results: &Store, as_of: DateTime<Utc>) -> Result<BTreeMap<String, i64>> {
    let path = format!("bottlenecks/as_of={}/part-0.parquet", as_of_folder(as_of));
    let Some(bytes) = results.get(&path).await? else { return Ok(BTreeMap::new()) };
    let mut opened = BTreeMap::new();
    for batch in read_table(bytes)? {
        opened.extend(opened_in(&batch?));
    }
    Ok(opened)
}

fn opened_in(batch: &RecordBatch) -> Vec<(String, i64)> {
    let (Some(ids), Some(instants)) = (batch.column_by_name("bottleneck_id"), batch.column_by_name("opened_at")) else {
        return Vec::new();
    };
    let ids = ids.as_string::<i32>().iter();
    let instants = instants.as_primitive::<TimestampMicrosecondType>().iter();
    ids.zip(instants).filter_map(|(id, instant)| Some((id?.to_owned(), instant?))).collect()
}

/// The tables of the stages that ran.
pub(crate) fn tables(
    context: &Context,
    stages: &Stages,
    history: &History,
    findings: &Findings,
    anomalies: &[AnomalyRow],
    experiments: &[Judged],
    settings: &Settings,
) -> Result<Vec<Output>> {
    let mut outputs = Outputs::default();
    let analyses = &findings.analyses;
    if stages.has(Stage::Analysis) {
        outputs.add(analyses.iter().filter_map(rows::baseline).collect());
        let state = |key: &SeriesKey, change: &ChangePoint| match settings.analysis.is_accepted(key, change.at_us) {
            true => ChangePointState::Accepted,
            false => ChangePointState::Open,
        };
        outputs.add(analyses.iter().flat_map(|a| rows::change_points(a, |change| state(&a.key, change))).collect());
        outputs.add(analyses.iter().flat_map(rows::spread_changes).collect());
        outputs.add(analyses.iter().flat_map(rows::trends).collect());
    }
    if stages.has(Stage::Forecasts) {
        let grid = ForecastGrid { cutoff_us: findings.cutoff_us, period_us: DAY_US };
        outputs.add(analyses.iter().flat_map(|a| rows::forecasts(a, grid)).collect());
        outputs.add(findings.capacity.iter().flat_map(rows::capacity_plan).collect());
    }
    if stages.has(Stage::Predictions) {
        outputs.add(findings.predictions.iter().map(rows::prediction).collect());
    }
    if stages.any(&[Stage::Predictions, Stage::Forecasts, Stage::Anomalies]) {
        let steps = findings.scores.iter().map(|score| rows::model_score(score, Scored::Executions));
        let runs = findings.run_scores.iter().map(|score| rows::model_score(score, Scored::Runs));
        let alarms = findings.alarm_rates.iter().map(|(name, rate)| rows::alarm_score(name, rate));
        outputs.add(steps.chain(runs).chain(alarms).chain(analyses.iter().flat_map(rows::forecast_scores)).collect());
    }
    if stages.has(Stage::Anomalies) {
        outputs.add(anomalies.to_vec());
        let severity = settings.degradation_severity.as_str();
        outputs.add(findings.degradations.iter().map(|found| rows::degradation(found, severity)).collect());
    }
    if stages.has(Stage::Comparisons) {
        outputs.add(findings.comparisons.iter().map(rows::comparison).collect());
    }
    if stages.has(Stage::Experiments) {
        let of_one = |judged: &Judged| {
            let look = context.look(judged);
            judged.rows.iter().map(|row| rows::experiment(row, &look)).collect::<Vec<_>>()
        };
        outputs.add(experiments.iter().flat_map(of_one).collect());
    }
    if stages.has(Stage::Recommendations) {
        let found: Vec<Bottleneck> = findings.bottlenecks.iter().map(|found| context.carried_over(found)).collect();
        outputs.add(rows::bottlenecks(&found));
        outputs.add(findings.step_times.iter().flat_map(rows::step_times).collect());
        outputs.add(findings.recommendations.iter().map(rows::recommendation).collect());
        let level = settings.outcome_level;
        outputs.add(findings.outcomes.iter().map(|outcome| publish::outcomes::row(outcome, level)).collect());
    }
    outputs.add::<SkipRow>(findings.skips.iter().map(rows::skip).collect());
    outputs.add(new_rejects(context, history));
    outputs.encode(context.as_of)
}

/// Makes the file of a table as of an instant.
type Encode = Box<dyn FnOnce(DateTime<Utc>) -> Result<Output> + Send>;

/// Rows of several tables that wait to be encoded at the same time.
#[derive(Default)]
struct Outputs(Vec<Encode>);

impl Outputs {
    fn add<R: Row + Send + 'static>(&mut self, rows: Vec<R>) {
        self.0.push(Box::new(|as_of| Output::of_rows(as_of, rows)));
    }

    fn encode(self, as_of: DateTime<Utc>) -> Result<Vec<Output>> {
        self.0.into_par_iter().map(|encode| encode(as_of)).collect()
    }
}

/// What was refused of files that the run before had not read, or had read otherwise.
fn new_rejects(context: &Context, history: &History) -> Vec<RejectRow> {
    let digests: BTreeMap<&str, &str> = history.inputs.iter().map(|i| (i.path.as_str(), i.digest.as_str())).collect();
    let is_known = |reject: &&Reject| {
        let digest = digests.get(reject.file.as_str()).copied().unwrap_or_default();
        context.known_inputs.contains(&(reject.file.clone(), digest.to_owned()))
    };
    history.rejects.iter().filter(|reject| !is_known(reject)).map(reject_row).collect()
}

fn reject_row(reject: &Reject) -> RejectRow {
    let Reject { file, row, column, value, reason } = reject.clone();
    RejectRow { file, row: row.map(|row| i64::try_from(row).unwrap_or(i64::MAX)), column, value, reason }
}

/// What the run read, for the ledger.
pub(crate) fn inputs(history: &History) -> Vec<InputFile> {
    let file = |input: &crate::rollup::InputFile| InputFile {
        path: input.path.clone(),
        size: input.size,
        digest: input.digest.clone(),
    };
    let mut inputs: Vec<InputFile> = history.inputs.iter().map(file).collect();
    inputs.sort();
    inputs
}
