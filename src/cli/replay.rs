//! `paceline replay`: what a change would do to the makespan of recorded runs.

use super::table::{Ending, ResultTable};
use crate::error::{Error, Result};
use crate::ingest::conform::{conform_runs, conform_steps};
use crate::ingest::raw;
use crate::pure::graph::{Change, ReplayPlan, RunGraph, replay as replay_run, slots};
use crate::rollup::{RunIssue, Selection, day, run_graphs};
use crate::tables::{CanonicalTable, Runs, Steps, runs, steps};
use polars::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Replays recorded runs with their own slots, unchanged and changed, and writes one row a run.
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
    /// Executions that may run at the same time, instead of what was observed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slots: Option<u32>,
}

fn parse_speedup(text: &str) -> std::result::Result<(String, f64), String> {
    let parsed = text.rsplit_once('=').and_then(|(step, factor)| Some((step, factor.parse::<f64>().ok()?)));
    match parsed {
        Some((step, factor)) if !step.is_empty() && factor.is_finite() && factor >= 0.0 => {
            Ok((step.to_owned(), factor))
        }
        _ => Err("write STEP=FACTOR with a factor of 0 or more: align=0.5 halves the step".to_owned()),
    }
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
    let steps = read_steps(&args.steps)?;
    let runs = match &args.runs {
        Some(path) => read_runs(path)?,
        None => runs_of(&steps)?,
    };
    let (graphs, issues) = run_graphs(&day(&runs, &steps, i64::MAX)?, Selection::All);
    for RunIssue { run_id, issue, .. } in &issues {
        tracing::warn!(run_id, "dependencies left out: {issue}");
    }
    let mut rows: Vec<Row> = Vec::with_capacity(graphs.len());
    for graph in &graphs {
        match replay_one(graph, args) {
            Ok(row) => rows.push(row),
            Err(reason) => tracing::warn!(run_id = graph.run_id, "not replayed: {reason}"),
        }
    }
    if rows.is_empty() {
        return Err(Error::Input(format!(
            "{}: none of its {} runs can be replayed; a run needs steps whose depends_on is known (empty where a step \
             waits for none)",
            args.steps.display(),
            graphs.len()
        )));
    }
    let n_left_out = graphs.len() - rows.len();
    write(&args.out, &rows)?;
    Ok(if n_left_out == 0 { 0 } else { 3 })
}

/// A row of the output.
struct Row {
    run_id: String,
    slots: Option<i64>,
    recorded_ms: Option<f64>,
    replayed_ms: f64,
    changed_ms: f64,
}

fn replay_one(graph: &RunGraph, args: &ReplayArgs) -> std::result::Result<Row, String> {
    let text = |error: crate::pure::graph::ReplayError| error.to_string();
    // Where slots are unknown the run is replayed without a limit: what a fix then saves is the most that it can.
    let recorded = slots(graph).map_err(text)?.scenarios().1;
    let speedups =
        args.speedup.iter().map(|(step, factor)| Change::Speedup { step: Arc::from(step.as_str()), factor: *factor });
    let other_slots = args.slots.map(|n| Change::Slots(usize::try_from(n).ok()));
    let changes: Vec<Change> = speedups.chain(other_slots).collect();
    let unchanged = replay_run(graph, &ReplayPlan { slots: recorded, changes: &[] }).map_err(text)?;
    let changed = replay_run(graph, &ReplayPlan { slots: recorded, changes: &changes }).map_err(text)?;
    Ok(Row {
        run_id: graph.run_id.clone(),
        slots: changed.slots.and_then(|n| i64::try_from(n).ok()),
        recorded_ms: graph.makespan_ms,
        replayed_ms: unchanged.makespan_ms,
        changed_ms: changed.makespan_ms,
    })
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
        .write(out)
}
