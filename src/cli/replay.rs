//! `paceline replay`: what a change would do to the makespan of recorded runs.

use super::output::{Format, print, table};
use super::table::{Ending, ResultTable};
use crate::error::{Error, Result};
use crate::ingest::conform::{conform_runs, conform_steps};
use crate::ingest::raw;
use crate::pure::graph::{
    Change, CriticalPath, Dependencies, Ensemble, EnsembleParams, Inferred, InferredDependency, NotReplayable,
    RunGraph, RunReplay, Saving, Scratch, StepTimes, critical_path, infer, step_times, unnest,
};
use crate::rollup::{RunIssue, Selection, day, run_graphs};
use crate::tables::{CanonicalTable, Runs, Steps, runs, steps};
use polars::prelude::*;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Replays recorded runs with their own slots, unchanged and changed; writes one row a run, prints one a workflow.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// Steps with canonical columns (Parquet or CSV): run_id, step_id, depends_on, and duration_ms or both times.
    steps: PathBuf,
    /// Where the rows go: .parquet or .csv.
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// Runs with canonical columns: gives recorded makespans where steps have no times.
    #[arg(long, value_name = "F")]
    runs: Option<PathBuf>,
    /// Multiplies the durations of a derived step: align=0.5 halves them. Repeatable.
    #[arg(long, value_name = "STEP=FACTOR", value_parser = parse_speedup)]
    speedup: Vec<(String, f64)>,
    /// Answers a share of a derived step's executions from a cache: parse=0.3. Repeatable.
    #[arg(long, value_name = "STEP=SHARE", value_parser = parse_cached)]
    cached: Vec<(String, f64)>,
    /// Leaves a derived step out; what waited for it waits for what it waited for. Repeatable.
    #[arg(long, value_name = "STEP")]
    remove: Vec<String>,
    /// Executions that may run at the same time, instead of what was observed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slots: Option<u32>,
    /// Where a row a workflow and step goes: what runs wait for, and how much longer it could take; .parquet or .csv.
    #[arg(long, value_name = "F")]
    by_step: Option<PathBuf>,
    /// Where a row a dependency goes that was inferred from times, because none are declared; .parquet or .csv.
    #[arg(long, value_name = "F")]
    inferred: Option<PathBuf>,
    /// How the savings of the workflows are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn parse_speedup(text: &str) -> std::result::Result<(String, f64), String> {
    step_and_number(text)
        .filter(|(_, factor)| factor.is_finite() && *factor >= 0.0)
        .ok_or_else(|| "write STEP=FACTOR with a factor of 0 or more: align=0.5 halves the step".to_owned())
}

fn parse_cached(text: &str) -> std::result::Result<(String, f64), String> {
    step_and_number(text)
        .filter(|(_, share)| (0.0..=1.0).contains(share))
        .ok_or_else(|| "write STEP=SHARE with a share of 0 to 1: parse=0.3 answers three in ten".to_owned())
}

fn step_and_number(text: &str) -> Option<(String, f64)> {
    let (step, number) = text.rsplit_once('=').filter(|(step, _)| !step.is_empty())?;
    Some((step.to_owned(), number.parse().ok()?))
}

/// Replays and writes.
///
/// # Errors
/// [`Error::Input`] when nothing can be read or replayed, [`Error::Usage`] for a bad `--out`.
pub async fn replay(args: &ReplayArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || replay_all(&args));
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

fn replay_all(args: &ReplayArgs) -> Result<u8> {
    Ending::of(&args.out)?;
    args.by_step.as_deref().map(Ending::of).transpose()?;
    args.inferred.as_deref().map(Ending::of).transpose()?;
    let steps = read_steps(&args.steps)?;
    let runs = match &args.runs {
        Some(path) => read_runs(path)?,
        None => runs_of(&steps)?,
    };
    let (graphs, issues) = run_graphs(&day(&runs, &steps, i64::MAX)?, Selection::All);
    for RunIssue { run_id, issue, .. } in &issues {
        tracing::warn!(run_id, "dependencies left out: {issue}");
    }
    check_steps(args, &graphs)?;
    let changes = changes(args);
    let mut workflows: BTreeMap<&str, Vec<&RunGraph>> = BTreeMap::new();
    for graph in &graphs {
        workflows.entry(&graph.workflow_id).or_default().push(graph);
    }
    let of_workflow = |(workflow_id, graphs): (&str, Vec<&RunGraph>)| replay_workflow(workflow_id, &graphs, &changes);
    let replayed: Vec<Workflow> = workflows.into_par_iter().map(of_workflow).collect();
    let told: Vec<&Told> = replayed.iter().filter_map(|workflow| workflow.told.as_ref()).collect();
    let mut rows: Vec<Row> = replayed.iter().flat_map(|workflow| workflow.rows.iter().cloned()).collect();
    if rows.is_empty() {
        return Err(Error::Input(format!(
            "{}: none of its {} runs can be replayed; a run needs steps whose depends_on is known (empty where a step waits \
             for none), a parent_step_id, or started_at, ended_at and queue_ms that show what waits for what",
            args.steps.display(),
            graphs.len()
        )));
    }
    let order: HashMap<&str, usize> = graphs.iter().map(|graph| graph.run_id.as_str()).zip(0..).collect();
    rows.sort_by_key(|row| order.get(row.run_id.as_str()).copied());
    write(&args.out, &rows)?;
    if let Some(out) = &args.by_step {
        write_steps(out, &replayed)?;
    }
    if let Some(out) = &args.inferred {
        write_inferred(out, &replayed)?;
    }
    print(&match args.format {
        Format::Json => as_json(&told)?,
        Format::Table => as_table(&told),
    })?;
    Ok(if rows.len() == graphs.len() { 0 } else { 3 })
}

/// A change of a step that no run has would be a change of nothing.
fn check_steps(args: &ReplayArgs, graphs: &[RunGraph]) -> Result<()> {
    let known: BTreeSet<&str> = graphs.iter().flat_map(|graph| &graph.nodes).map(|node| &*node.step).collect();
    let mut named = args.speedup.iter().chain(&args.cached).map(|(step, _)| step).chain(&args.remove);
    match named.find(|step| !known.contains(step.as_str())) {
        Some(step) => Err(Error::Usage(format!(
            "no run has a step {step:?}; expected one of {}",
            known.into_iter().take(20).collect::<Vec<_>>().join(", ")
        ))),
        None => Ok(()),
    }
}

fn changes(args: &ReplayArgs) -> Vec<Change> {
    let speedups =
        args.speedup.iter().map(|(step, factor)| Change::Speedup { step: Arc::from(step.as_str()), factor: *factor });
    let cached = args.cached.iter().map(|(step, share)| Change::Cached {
        step: Arc::from(step.as_str()),
        share: *share,
        lookup_ms: 0.0,
    });
    let removed = args.remove.iter().map(|step| Change::Remove { step: Arc::from(step.as_str()) });
    let other_slots = args.slots.map(|n| Change::Slots(usize::try_from(n).ok()));
    speedups.chain(cached).chain(removed).chain(other_slots).collect()
}

/// A row of the output.
#[derive(Debug, Clone)]
struct Row {
    run_id: String,
    slots: Option<i64>,
    recorded_ms: Option<f64>,
    replayed_ms: f64,
    changed_ms: f64,
    path: CriticalPath,
}

/// What is printed of a workflow.
struct Told {
    workflow_id: String,
    replay_error: f64,
    saving: Saving,
    steps: Vec<StepTimes>,
    dependencies: Dependencies,
}

#[derive(Default)]
struct Workflow {
    rows: Vec<Row>,
    told: Option<Told>,
}

/// How it is known what waits for what in the runs of a workflow. Runs that declare it stand; what others show is asked only
/// where none does.
enum Known {
    Declared,
    Nested(Vec<RunGraph>),
    Inferred(Inferred),
}

impl Known {
    fn of(graphs: &[&RunGraph]) -> Self {
        if graphs.iter().any(|graph| graph.dependencies_known) {
            return Self::Declared;
        }
        let unnested: Vec<RunGraph> = graphs.iter().filter_map(|graph| unnest(graph)).collect();
        if !unnested.is_empty() {
            return Self::Nested(unnested);
        }
        infer(graphs).map_or(Self::Declared, Self::Inferred)
    }
}

/// All runs of a workflow, in which slots that one was seen to use were there for the others. Where none declares its
/// dependencies, with those of nested spans or those that times show.
fn replay_workflow(workflow_id: &str, graphs: &[&RunGraph], changes: &[Change]) -> Workflow {
    let all = EnsembleParams { max_runs: usize::MAX, max_nodes: usize::MAX, min_runs: 1, ..EnsembleParams::default() };
    let known = Known::of(graphs);
    let graphs: Vec<&RunGraph> = match &known {
        Known::Declared => graphs.to_vec(),
        Known::Nested(runs) => runs.iter().collect(),
        Known::Inferred(inferred) => inferred.runs().collect(),
    };
    let sound = graphs.into_iter().filter_map(|graph| match critical_path(graph) {
        Ok(path) => Some((graph, path)),
        Err(reason) => {
            tracing::warn!(run_id = graph.run_id, "not replayed: {reason}");
            None
        }
    });
    let (sound, paths): (Vec<&RunGraph>, Vec<CriticalPath>) = sound.unzip();
    let paths: HashMap<&str, CriticalPath> = sound.iter().map(|graph| graph.run_id.as_str()).zip(paths).collect();
    let mut scratch = Scratch::default();
    let mut replayed = || {
        let ensemble = match &known {
            Known::Declared => Ensemble::new(&sound, all)?,
            Known::Nested(runs) => Ensemble::from_unnested(runs, all)?,
            Known::Inferred(inferred) => Ensemble::from_inferred(inferred, all)?,
        };
        let saving = ensemble.saving(changes, &mut scratch)?;
        let rows = ensemble.each(changes, &mut scratch)?.into_iter().filter_map(|run| Row::of(&run, &paths)).collect();
        let (workflow_id, replay_error) = (workflow_id.to_owned(), ensemble.replay_error());
        let steps = step_times(&sound).unwrap_or_default();
        let told = Told { workflow_id, replay_error, saving, steps, dependencies: ensemble.dependencies().clone() };
        Ok::<_, NotReplayable>(Workflow { rows, told: Some(told) })
    };
    replayed().unwrap_or_else(|reason| {
        tracing::warn!(workflow_id, "not replayed: {reason}");
        Workflow::default()
    })
}

impl Row {
    fn of(run: &RunReplay<'_>, paths: &HashMap<&str, CriticalPath>) -> Option<Self> {
        let RunReplay { run_id, slots, recorded_ms, replayed_ms, changed_ms } = *run;
        let slots = slots.and_then(|n| i64::try_from(n).ok());
        let path = paths.get(run_id)?.clone();
        Some(Self { run_id: run_id.to_owned(), slots, recorded_ms, replayed_ms, changed_ms, path })
    }
}

/// Fewest runs whose spread says something about runs to come.
const MIN_RUNS: usize = 5;

impl Told {
    /// What was inferred; empty where dependencies are known otherwise.
    fn inferred(&self) -> &[InferredDependency] {
        match &self.dependencies {
            Dependencies::Declared | Dependencies::Nested => &[],
            Dependencies::Inferred(shown) => shown,
        }
    }

    /// Interval of milliseconds saved a run. Of too few runs it is unknown, unless dependencies are inferred: then it spans what
    /// is saved with those that are shown and with all that are possible, and has no level.
    fn interval(&self) -> Option<(f64, f64)> {
        (!self.is_of_few() || !self.inferred().is_empty()).then(|| self.saving.ms_interval())
    }

    fn is_of_few(&self) -> bool {
        self.saving.n_runs < MIN_RUNS
    }
}

fn as_json(told: &[&Told]) -> Result<String> {
    let of_workflow = |one: &&Told| {
        let (saving, interval) = (&one.saving, one.interval());
        json!({
            "workflow_id": one.workflow_id,
            "n_runs": saving.n_runs,
            "end_to_end_ms": saving.end_to_end_ms,
            "replay_error": one.replay_error,
            "saving_ms": saving.ms(),
            "saving_ms_lower": interval.map(|(lower, _)| lower),
            "saving_ms_upper": interval.map(|(_, upper)| upper),
            "saving_share": saving.share,
            "level": (!one.is_of_few()).then(|| saving.level.get()),
            "dependencies": match one.dependencies {
                Dependencies::Declared => "declared",
                Dependencies::Nested => "nested",
                Dependencies::Inferred(_) => "inferred",
            },
            "n_inferred": one.inferred().len(),
        })
    };
    serde_json::to_string_pretty(&told.iter().map(of_workflow).collect::<Vec<Value>>())
        .map_err(|e| Error::Internal(format!("savings as JSON: {e}")))
}

fn as_table(told: &[&Told]) -> String {
    let row = |one: &&Told| {
        let seconds = |ms: f64| format!("{:.3}", ms / 1e3);
        let note = if one.is_of_few() { " (bounds)" } else { "" };
        let interval = one
            .interval()
            .map_or_else(String::new, |(lower, upper)| format!("{} to {}{note}", seconds(lower), seconds(upper)));
        vec![
            one.workflow_id.clone(),
            one.saving.n_runs.to_string(),
            seconds(one.saving.end_to_end_ms),
            format!("{:.1} %", one.replay_error.exp_m1() * 100.0),
            seconds(one.saving.ms()),
            interval,
            format!("{:.1} %", one.saving.share * 100.0),
            match &one.dependencies {
                Dependencies::Declared => "declared".to_owned(),
                Dependencies::Nested => "nested".to_owned(),
                Dependencies::Inferred(shown) => format!("{} inferred", shown.len()),
            },
        ]
    };
    table(
        &["workflow", "runs", "a run, s", "replay off by", "saved, s", "90 % interval", "of the run", "dependencies"],
        told.iter().map(row),
    )
}

fn read_frame(path: &Path) -> Result<DataFrame> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|e| Error::Input(format!("{shown}: {e}; name a Parquet or CSV file")))?;
    let frame = if raw::looks_like_parquet(&bytes) { raw::parquet(&bytes, |_| true) } else { raw::delimited(&bytes) };
    frame.map_err(|unreadable| Error::Input(format!("{shown}: {unreadable}")))
}

fn read_steps(path: &Path) -> Result<Steps> {
    let name = path.display().to_string();
    let conformed = conform_steps(&read_frame(path)?, name.as_str())?;
    accepted(&name, conformed.table, conformed.rejects.iter().next())
}

fn read_runs(path: &Path) -> Result<Runs> {
    let name = path.display().to_string();
    let conformed = conform_runs(&read_frame(path)?, name.as_str())?;
    accepted(&name, conformed.table, conformed.rejects.iter().next())
}

fn accepted<T: CanonicalTable>(name: &str, table: T, first: Option<&crate::tables::Reject>) -> Result<T> {
    match first {
        Some(reject) if table.height() == 0 => {
            Err(Error::Input(format!("{name}: no row is accepted; {}", reject.reason)))
        }
        Some(reject) => {
            tracing::warn!(
                file = name,
                row = reject.row,
                column = reject.column,
                "rows were refused; {}",
                reject.reason
            );
            Ok(table)
        }
        None => Ok(table),
    }
}

/// The runs that the steps belong to. A run without any time starts at the epoch: replay needs no dates.
fn runs_of(steps: &Steps) -> Result<Runs> {
    let frame = steps
        .frame()
        .clone()
        .lazy()
        .group_by_stable([col(steps::RUN_ID)])
        .agg([
            col(steps::WORKFLOW_ID).first().fill_null(lit("workflow")),
            col(steps::STARTED_AT).min().to_physical().fill_null(lit(0)).cast(runs_instant()),
        ])
        .collect()?;
    Ok(conform_runs(&frame, "runs of the steps")?.table)
}

fn runs_instant() -> DataType {
    runs::SCHEMA.field(runs::STARTED_AT).map_or(DataType::Int64, |field| field.kind.dtype())
}

fn write(out: &Path, rows: &[Row]) -> Result<()> {
    ResultTable::default()
        .texts("run_id", rows.iter().map(|row| Some(&row.run_id)))
        .integers("slots", rows.iter().map(|row| row.slots))
        .numbers("recorded_ms", rows.iter().map(|row| row.recorded_ms.unwrap_or(f64::NAN)))
        .numbers("replayed_ms", rows.iter().map(|row| row.replayed_ms))
        .numbers("changed_ms", rows.iter().map(|row| row.changed_ms))
        .numbers("saving_ms", rows.iter().map(|row| row.replayed_ms - row.changed_ms))
        .numbers("critical_path_ms", rows.iter().map(|row| row.path.length_ms))
        .numbers("total_work_ms", rows.iter().map(|row| row.path.total_work_ms))
        .integers("depth", rows.iter().map(|row| i64::try_from(row.path.depth).ok()))
        .integers("width", rows.iter().map(|row| i64::try_from(row.path.width).ok()))
        .write(out)
}

fn write_steps(out: &Path, workflows: &[Workflow]) -> Result<()> {
    let told = workflows.iter().filter_map(|workflow| workflow.told.as_ref());
    let rows: Vec<(&str, &StepTimes)> =
        told.flat_map(|told| told.steps.iter().map(|step| (told.workflow_id.as_str(), step))).collect();
    let count = |n: usize| i64::try_from(n).ok();
    let numbers = |of: fn(&StepTimes) -> f64| rows.iter().map(move |(_, step)| of(step));
    ResultTable::default()
        .texts("workflow_id", rows.iter().map(|(workflow_id, _)| Some(*workflow_id)))
        .texts("step", rows.iter().map(|(_, step)| Some(&*step.step)))
        .integers("n_runs", rows.iter().map(|(_, step)| count(step.n_runs)))
        .integers("n_executions", rows.iter().map(|(_, step)| count(step.n_executions)))
        .numbers("duration_ms", numbers(|step| step.duration_ms))
        .numbers("wait_ms", numbers(|step| step.wait_ms))
        .numbers("slack_ms", numbers(|step| step.slack_ms))
        .numbers("blocking_ms", numbers(|step| step.blocking_ms))
        .numbers("blocking_share", numbers(|step| step.blocking_share))
        .write(out)
}

fn write_inferred(out: &Path, workflows: &[Workflow]) -> Result<()> {
    let told = workflows.iter().filter_map(|workflow| workflow.told.as_ref());
    let rows: Vec<(&str, &InferredDependency)> =
        told.flat_map(|told| told.inferred().iter().map(|found| (told.workflow_id.as_str(), found))).collect();
    ResultTable::default()
        .texts("workflow_id", rows.iter().map(|(workflow_id, _)| Some(*workflow_id)))
        .texts("step", rows.iter().map(|(_, found)| Some(&*found.step)))
        .texts("waits_for", rows.iter().map(|(_, found)| Some(&*found.waits_for)))
        .texts("tasks", rows.iter().map(|(_, found)| Some(found.relation.name())))
        .integers("n_reactions", rows.iter().map(|(_, found)| i64::try_from(found.n_reactions).ok()))
        .numbers("confidence", rows.iter().map(|(_, found)| found.confidence))
        .write(out)
}
