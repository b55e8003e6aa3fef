//! The days of the window put together: series, samples, graphs and arms for the analyses.

use super::arms::{ArmCell, ArmKey};
use super::buckets::CellKey;
use super::digest::{DayDigest, DigestBody, InputFile, PackedGraphs};
use super::graphs::RunIssue;
use super::samples::append;
use crate::error::Result;
use crate::pure::graph::RunGraph;
use crate::pure::levels::DayLevels;
use crate::pure::recommend::outcome::{MeasuredRun, Needed};
use crate::pure::samples::{Samples, UNKNOWN, Vocabulary};
use crate::pure::series::{Centre, Metric, Series, SeriesKey};
use crate::pure::stats::sketch::{Bin, Sketch, Sketches};
use crate::pure::units::DAY_US;
use crate::pure::usage::DayUsage;
use crate::tables::Reject;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Newest runs of a workflow that replays, and what is tried on held-out runs, look at.
const RUNS_FOR_REPLAY: usize = 100;

/// Everything the analyses see.
#[derive(Debug, Default)]
pub struct History {
    /// Daily series by key, complete days only.
    pub series: Vec<Series>,
    /// Means over all executions of each step, of each complete day, by its start; their words are those of `samples`.
    pub levels: Vec<(i64, DayLevels)>,
    /// Executions for learning, in order of start.
    pub samples: Samples,
    /// The newest runs of each workflow for replay, in order of start.
    pub graphs: Vec<RunGraph>,
    /// Runs of workflows that have been changed, kept of each day, in order of start.
    pub measured: Vec<MeasuredRun>,
    /// What can't be of their declared dependencies.
    pub graph_issues: Vec<RunIssue>,
    /// Sums for experiments.
    pub arms: BTreeMap<ArmKey, ArmCell>,
    /// What the runs of each complete day used, oldest first.
    pub usage: Vec<DayUsage>,
    /// What was read.
    pub inputs: Vec<InputFile>,
    /// What was refused.
    pub rejects: Vec<Reject>,
    /// Runs and step rows accepted.
    pub rows: (u64, u64),
}

/// Collects digests, oldest day first.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    history: History,
    words: Vocabulary,
    /// Runs of each day, by their order.
    graphs: Vec<DayGraphs>,
    /// Of which runs are measured.
    needed: Needed,
    /// The series of each step.
    cells: HashMap<Place, BTreeMap<Metric, Days>>,
    /// Days that the window can hold: what a series reserves, so that it never moves while it grows.
    n_days: usize,
    last_day_us: Option<i64>,
}

/// The runs that are kept of a day.
#[derive(Debug)]
struct DayGraphs {
    day_us: i64,
    /// How many of each workflow.
    n_runs: BTreeMap<String, usize>,
    packed: PackedGraphs,
}

/// Codes of workflow, type and step: a fraction of the size of a [`SeriesKey`].
type Place = (u32, u32, u32);

/// First day with data, and the days from it on.
type Days = (i64, Sketches);

impl HistoryBuilder {
    /// For a window of at most `n_days` days, with the runs that are `needed` one by one.
    #[must_use]
    pub fn new(n_days: usize, needed: Needed) -> Self {
        Self { n_days, needed, ..Self::default() }
    }

    /// Adds the day that starts at `day_us`. Days come in order of time; a day that is not over at the cutoff is
    /// learned from but is no point of a series.
    pub fn add(&mut self, day_us: i64, digest: DayDigest, as_of_us: i64) {
        let DayDigest { head, body, graphs } = digest;
        let DigestBody {
            rows,
            rejects,
            vocabulary,
            cells,
            sketches,
            levels,
            samples,
            n_graphs,
            graph_issues,
            arms,
            usage,
        } = body;
        let history = &mut self.history;
        history.rows.0 += rows.0;
        history.rows.1 += rows.1;
        history.inputs.extend(head.inputs);
        history.rejects.extend(rejects);
        self.graphs.push(DayGraphs { day_us, n_runs: n_graphs, packed: graphs });
        history.graph_issues.extend(graph_issues);
        append(&mut history.samples, samples);
        for (key, cell) in arms {
            history.arms.entry(key).or_default().merge(&cell);
        }
        if day_us + DAY_US > as_of_us {
            return;
        }
        history.usage.push(usage);
        let known = &mut history.samples.vocabulary;
        let translation: Vec<u32> = vocabulary.words().iter().map(|word| known.intern(word)).collect();
        let own = |code: u32| translation.get(code as usize).copied().unwrap_or(UNKNOWN);
        history.levels.push((day_us, levels.recoded(own)));
        self.last_day_us = Some(day_us);
        let words = &mut self.words;
        let translation: Vec<u32> = vocabulary.words().iter().map(|word| words.intern(word)).collect();
        // An unknown code lies beyond every word and stays unknown.
        let own = |code: u32| translation.get(code as usize).copied().unwrap_or(UNKNOWN);
        let place = |cell: &CellKey| (own(cell.workflow_id), own(cell.workflow_type), own(cell.step));
        let n_days = self.n_days;
        let mut cells = cells.iter().zip(sketches.iter()).peekable();
        // The metrics of a step follow one another.
        while let Some(at) = cells.peek().map(|(cell, _)| place(cell)) {
            let metrics = self.cells.entry(at).or_default();
            while let Some((cell, sketch)) = cells.next_if(|(cell, _)| place(cell) == at) {
                let first = || (day_us, Sketches::with_capacity(n_days, n_days * sketch.bins().len()));
                let (start_us, days) = metrics.entry(cell.metric).or_insert_with(first);
                pad_to(days, *start_us, day_us);
                days.push(&sketch);
            }
        }
    }

    /// The whole. A series reaches from its first day with data to the last complete day of the window.
    ///
    /// # Errors
    /// Where the runs of a day can't be unpacked.
    pub fn finish(self) -> Result<History> {
        let Self { mut history, words, graphs, needed, cells, n_days: _, last_day_us } = self;
        history.measured = measured(&graphs, &needed)?;
        let Some(last_day_us) = last_day_us else {
            history.graphs = newest(&graphs)?;
            return Ok(history);
        };
        let word = |code: u32| words.word(code).map(str::to_owned);
        let of_step = |((workflow_id, workflow_type, step), metrics): (Place, BTreeMap<Metric, Days>)| {
            let key = move |metric| SeriesKey {
                workflow_id: word(workflow_id).unwrap_or_default(),
                workflow_type: word(workflow_type).unwrap_or_default(),
                step: word(step),
                metric,
            };
            metrics.into_iter().map(move |(metric, (start_us, mut days))| {
                pad_to(&mut days, start_us, last_day_us + DAY_US);
                series(key(metric), start_us, days)
            })
        };
        let all_series = || {
            let mut all: Vec<Series> = cells.into_par_iter().flat_map_iter(of_step).collect();
            all.par_sort_unstable_by(|a, b| a.key.cmp(&b.key));
            all
        };
        let (graphs, series) = rayon::join(|| newest(&graphs), all_series);
        history.graphs = graphs?;
        history.series = series;
        Ok(history)
    }
}

/// Runs of the newest days, by start: days are unpacked backwards until [`RUNS_FOR_REPLAY`] of every workflow are there,
/// and the days in which only workflows ran that have theirs stay packed.
fn newest(days: &[DayGraphs]) -> Result<Vec<RunGraph>> {
    let mut n_runs: HashMap<&str, usize> = HashMap::new();
    let mut newest_first = Vec::new();
    for DayGraphs { day_us: _, n_runs: n_graphs, packed } in days.iter().rev() {
        let is_short = |workflow: &str| n_runs.get(workflow).is_none_or(|n| *n < RUNS_FOR_REPLAY);
        let short: BTreeSet<&str> = n_graphs.keys().map(String::as_str).filter(|workflow| is_short(workflow)).collect();
        if short.is_empty() {
            continue;
        }
        let mut runs = packed.unpack()?;
        runs.retain(|run| short.contains(run.workflow_id.as_str()));
        newest_first.push(runs);
        for workflow in short {
            *n_runs.entry(workflow).or_default() += n_graphs.get(workflow).copied().unwrap_or_default();
        }
    }
    Ok(newest_first.into_iter().rev().flatten().collect())
}

/// The runs that are needed, by start.
fn measured(days: &[DayGraphs], needed: &Needed) -> Result<Vec<MeasuredRun>> {
    let is_needed = |workflow: &str, from_us: i64, until_us: i64| {
        let stretches = needed.get(workflow).map_or(&[][..], Vec::as_slice);
        stretches.iter().any(|(first_us, end_us)| from_us < *end_us && until_us > *first_us)
    };
    let has_some = |day: &&DayGraphs| {
        let until_us = day.day_us.saturating_add(DAY_US);
        day.n_runs.keys().any(|workflow| is_needed(workflow, day.day_us, until_us))
    };
    let of_day = |day: &DayGraphs| {
        let mut runs = day.packed.unpack()?;
        runs.retain(|run| is_needed(&run.workflow_id, run.started_us, run.started_us.saturating_add(1)));
        Ok(runs.iter().map(MeasuredRun::of).collect::<Vec<_>>())
    };
    let days: Vec<&DayGraphs> = days.iter().filter(has_some).collect();
    let measured: Vec<Vec<MeasuredRun>> = days.into_par_iter().map(of_day).collect::<Result<_>>()?;
    Ok(measured.into_iter().flatten().collect())
}

/// Adds empty days until the next one to be added is `day_us`.
fn pad_to(days: &mut Sketches, start_us: i64, day_us: i64) {
    days.pad_to(usize::try_from((day_us - start_us).div_euclid(DAY_US)).unwrap_or(0));
}

fn series(key: SeriesKey, start_us: i64, sketches: Sketches) -> Series {
    Series {
        values: sketches.iter().map(|sketch| centre(key.metric, &sketch)).collect(),
        counts: sketches.iter().map(|sketch| u32::try_from(sketch.count()).unwrap_or(u32::MAX)).collect(),
        key,
        period_us: DAY_US,
        start_us,
        sketches,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn centre(metric: Metric, sketch: &Sketch<&[Bin]>) -> f64 {
    match metric.centre() {
        Centre::Median => sketch.quantile(0.5),
        Centre::Mean => sketch.mean(),
        Centre::Count => sketch.count() as f64,
    }
}
