//! From the history to all that is learned of it: the calculations in their order, none of which knows a file.

use super::days::give_up;
use super::decided::DecidedBefore;
use super::graph_skips::graph_skips;
use super::settings::Settings;
use super::stage::{Stage, Stages};
use crate::pure::analysis::{Analysis, analyze_all};
use crate::pure::compare::{Comparison, compare};
use crate::pure::detect::anomalies::{AlarmRate, Detectors, fit_detectors};
use crate::pure::detect::bottlenecks::{Found, WorkflowTimes, bottlenecks};
use crate::pure::detect::common::CommonChanges;
use crate::pure::detect::conditioned::{Days, conditioned};
use crate::pure::detect::degradations::Degradation;
use crate::pure::detect::{Skip, SkipSubject};
use crate::pure::forecast::capacity::{self, CapacityPlan};
use crate::pure::forecast::pooled::{Pool, Told};
use crate::pure::forecast::{ForecastError, Prepared, prepare_series};
use crate::pure::learn::champion::{Champion, Elected, Election, ElectionParams, elect};
use crate::pure::learn::dataset::Target;
use crate::pure::learn::predictions::predictions;
use crate::pure::learn::runs::{backtest_runs, predict_runs};
use crate::pure::learn::{ModelScore, Prediction};
use crate::pure::recommend::outcome::{Changes, Evidence, Outcome, outcomes};
use crate::pure::recommend::policy::Policy;
use crate::pure::recommend::{self, Bottleneck, Inputs, Learned, Recommendation, propose};
use crate::pure::series::{Metric, Series, SeriesKey};
use crate::pure::units::DAY_US;
use crate::rollup::History;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// All that one run found out.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) analyses: Vec<Analysis>,
    /// End of the last complete bucket, where forecasts begin.
    pub(crate) cutoff_us: i64,
    pub(crate) capacity: Vec<CapacityPlan>,
    pub(crate) predictions: Vec<Prediction>,
    pub(crate) scores: Vec<ModelScore>,
    /// Of predictions of whole runs.
    pub(crate) run_scores: Vec<ModelScore>,
    /// Whose predictions these are.
    pub(crate) elected: Vec<Elected>,
    pub(crate) detectors: Detectors,
    /// Alarms among what was scored, by workflow type.
    pub(crate) alarm_rates: BTreeMap<String, AlarmRate>,
    /// blake3 of each model as serialised, by name.
    pub(crate) model_digests: BTreeMap<String, String>,
    pub(crate) degradations: Vec<Degradation>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) bottlenecks: Vec<Bottleneck>,
    pub(crate) step_times: Vec<WorkflowTimes>,
    pub(crate) recommendations: Vec<Recommendation>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) skips: Vec<Skip>,
}

/// What earlier runs have left for this one.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The models that predicted so far.
    pub(crate) champions: BTreeMap<Target, Champion>,
    /// What was decided on recommendations.
    pub(crate) decided: DecidedBefore,
    /// The cutoff.
    pub(crate) as_of_us: i64,
}

/// Runs the stages that are asked for, and what they need of one another. The series are given up once they are
/// learned from: they are the larger part of the history, and nothing later looks at them.
pub(crate) fn analyse(history: &mut History, settings: &Settings, stages: &Stages, standing: Standing) -> Findings {
    let Standing { champions, decided, as_of_us } = standing;
    let mut findings = Findings::default();
    if stages.any(&[Stage::Analysis, Stage::Forecasts, Stage::Recommendations]) {
        timed("series", || learn_series(history, settings, stages, &mut findings));
    }
    if stages.has(Stage::Forecasts) {
        timed("capacity", || {
            let (plans, skips) = capacity::plan(&history.usage, &settings.capacity);
            findings.capacity = plans;
            findings.skips.extend(skips);
        });
    }
    let weekly = weekly_executions(&history.series);
    give_up(std::mem::take(&mut history.series));
    if stages.has(Stage::Predictions) {
        timed("predictions", || learn_executions(history, settings, champions, as_of_us, &mut findings));
    }
    if stages.has(Stage::Anomalies) {
        timed("detectors", || {
            let (detectors, skips) = fit_detectors(&history.samples, &weekly, &settings.anomalies);
            findings.model_digests.extend(digest_of("anomalies", &detectors));
            findings.detectors = detectors;
            findings.skips.extend(skips);
        });
    }
    if stages.any(&[Stage::Comparisons, Stage::Recommendations]) {
        timed("comparisons", || findings.comparisons = compare(&history.samples, &settings.compare));
    }
    if stages.has(Stage::Recommendations) {
        findings.skips.extend(graph_skips(&history.graph_issues));
        timed("recommendations", || recommend_changes(history, settings, &decided, as_of_us, &mut findings));
    }
    findings
}

/// Executions per series (workflow and step) and week, by workflow type: all of them, where samples may be thinned.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a few years stay below 2^53")]
fn weekly_executions(series: &[Series]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for series in series.iter().filter(|s| s.key.step.is_some() && s.key.metric == Metric::ExecutionTime) {
        let weeks = series.len() as f64 * series.period_us as f64 / (7 * DAY_US) as f64;
        let (executions, series_weeks) = sums.entry(&series.key.workflow_type).or_default();
        *executions += series.counts.iter().map(|&count| f64::from(count)).sum::<f64>();
        *series_weeks += weeks;
    }
    let known = sums.into_iter().filter(|(_, (executions, _))| *executions > 0.0);
    known.map(|(name, (executions, weeks))| (name.to_owned(), executions / weeks)).collect()
}

fn timed(step: &'static str, work: impl FnOnce()) {
    let started = Instant::now();
    work();
    tracing::info!(step, elapsed_ms = started.elapsed().as_millis(), "analysed");
}

fn learn_series(history: &History, settings: &Settings, stages: &Stages, findings: &mut Findings) {
    let days = days(&history.series);
    let steps = conditioned(&history.levels, &history.samples, days, settings.train.seed);
    let common = CommonChanges::find(&steps, days, &settings.analysis.change_points);
    let (mut analyses, skips) = analyze_all(&history.series, &common, &settings.analysis);
    findings.skips.extend(skips);
    findings.cutoff_us = history.series.first().map_or(0, |series| series.bucket_start_us(series.len()));
    if stages.has(Stage::Forecasts) {
        findings.skips.extend(forecast_runs(&history.series, &mut analyses, settings));
    }
    findings.analyses = analyses;
}

/// The days that the series span.
fn days(series: &[Series]) -> Days {
    let start_us = series.iter().map(|one| one.start_us).min().unwrap_or(0);
    let end_us = series.iter().map(|one| one.bucket_start_us(one.len())).max().unwrap_or(0);
    Days { start_us, n: usize::try_from((end_us - start_us) / DAY_US).unwrap_or(0) }
}

/// Forecasts the series of whole runs; steps follow their run. Those of one metric tell one another what they share.
fn forecast_runs(series: &[Series], analyses: &mut [Analysis], settings: &Settings) -> Vec<Skip> {
    let by_key: HashMap<&SeriesKey, &Series> = series.iter().map(|series| (&series.key, series)).collect();
    let mut ready: Vec<(&mut Analysis, Result<Prepared, ForecastError>, Option<Told>)> = analyses
        .par_iter_mut()
        .filter(|analysis| analysis.key.step.is_none())
        .filter_map(|analysis| {
            let regime_start_idx = analysis.change_points.last().map_or(0, |change| change.index);
            let ready = prepare_series(by_key.get(&analysis.key)?, regime_start_idx, &settings.forecast);
            let told = ready.as_ref().ok().map(Prepared::tells);
            Some((analysis, ready, told))
        })
        .collect();
    let mut told: BTreeMap<Metric, Vec<_>> = BTreeMap::new();
    for (analysis, _, of_one) in &mut ready {
        told.entry(analysis.key.metric).or_default().extend(of_one.take());
    }
    let pools: BTreeMap<Metric, Pool> = told.into_iter().map(|(metric, told)| (metric, Pool::of(told))).collect();
    let alone = Pool::default();
    let skips: Vec<Option<Skip>> = ready
        .into_par_iter()
        .map(|(analysis, ready, _)| {
            let pool = pools.get(&analysis.key.metric).unwrap_or(&alone);
            match ready.and_then(|ready| ready.forecast(pool)) {
                Ok(forecast) => analysis.forecast = Some(forecast),
                Err(error) => {
                    let subject = SkipSubject::Series(analysis.key.clone());
                    return Some(Skip { analysis: "forecasts", subject, reason: error.to_string() });
                }
            }
            None
        })
        .collect();
    skips.into_iter().flatten().collect()
}

fn learn_executions(
    history: &History,
    settings: &Settings,
    champions: BTreeMap<Target, Champion>,
    as_of_us: i64,
    findings: &mut Findings,
) {
    let params = ElectionParams { train: settings.train.clone(), as_of_us, retrain_us: settings.retrain_us };
    let Election { models, scores, skips, mut elected, runs } = elect(&history.samples, champions, &params);
    findings.predictions = predictions(&models, &history.samples);
    findings.scores = scores;
    findings.skips.extend(skips);
    timed("run predictions", || {
        let train = &settings.train;
        let runs = runs.unwrap_or_else(|| backtest_runs(&history.samples, &history.graphs, train, &settings.runs));
        let (predictions, skips) = predict_runs(&models, &history.graphs, &runs, &settings.runs);
        findings.predictions.extend(predictions);
        findings.skips.extend(skips);
        findings.run_scores.clone_from(&runs.scores);
        let of_durations = elected.iter_mut().find(|elected| elected.target == Target::DurationMs);
        if let Some(new) = of_durations.and_then(|elected| elected.new.as_mut()) {
            new.runs = Some(runs);
        }
    });
    findings.elected = elected;
}

fn recommend_changes(
    history: &History,
    settings: &Settings,
    decided: &DecidedBefore,
    as_of_us: i64,
    findings: &mut Findings,
) {
    let Found { bottlenecks: found, step_times, skips } =
        bottlenecks(&history.graphs, &findings.analyses, &history.samples, &settings.bottlenecks);
    findings.step_times = step_times;
    findings.skips.extend(skips);
    let inputs = Inputs {
        graphs: &history.graphs,
        samples: &history.samples,
        bottlenecks: &found,
        comparisons: &findings.comparisons,
        analyses: &findings.analyses,
    };
    let proposals = propose(&inputs, &settings.recommend);
    let (runs, samples, earlier) = (&history.measured, &history.samples, &decided.earlier);
    let changes = changes_of_time(&findings.analyses);
    let evidence = Evidence { runs, samples, earlier, changes: &changes, as_of_us };
    findings.outcomes = outcomes(&decided.decided.applied, &evidence, settings.outcome_level);
    let learned = learned(history, settings, decided, as_of_us, findings);
    findings.recommendations = recommend::rank(proposals, &history.graphs, &settings.recommend, &learned);
    findings.bottlenecks = found;
}

/// When what runs and steps take changed its level.
fn changes_of_time(analyses: &[Analysis]) -> Changes {
    let of_time = analyses.iter().filter(|one| one.key.metric == Metric::ExecutionTime);
    let instants = |one: &Analysis| one.change_points.iter().map(|change| change.at_us).collect();
    of_time.map(|one| ((one.key.workflow_id.clone(), one.key.step.clone()), instants(one))).collect()
}

/// What is known of proposals before they are ranked. The rules' word and the greedy order where nothing is to be learned.
fn learned(
    history: &History,
    settings: &Settings,
    decided: &DecidedBefore,
    as_of_us: i64,
    findings: &Findings,
) -> Learned {
    let of_runs = history.graphs.iter().map(|graph| (graph.workflow_id.clone(), graph.workflow_type.clone()));
    let of_series = findings.analyses.iter().map(|one| (one.key.workflow_id.clone(), one.key.workflow_type.clone()));
    let standing = decided.decided.standing.iter();
    let mut learned = Learned {
        statuses: standing.map(|(id, standing)| (id.clone(), standing.status)).collect(),
        workflow_types: of_runs.chain(of_series).collect(),
        ..Learned::default()
    };
    let Some(exploration_rate) = settings.exploration_rate else { return learned };
    learned.policy = Policy { exploration_rate, seed: settings.train.seed, as_of_us };
    learned.beliefs = findings.outcomes.iter().collect();
    learned
}

fn digest_of(name: &str, model: &impl Serialize) -> Option<(String, String)> {
    let bytes = postcard::to_stdvec(model).ok()?;
    Some((name.to_owned(), blake3::hash(&bytes).to_hex().to_string()))
}
