//! `paceline replay`: what a change would do to the makespan of recorded runs.

use crate::error::{Error, Result};
use crate::ingest::conform::{conform_runs, conform_steps};
use crate::io::Store;
use crate::publish::parquet;
use crate::pure::graph::{Change, ReplayPlan, RunGraph, replay as replay_run, slots};
use crate::rollup::{Selection, day, run_graphs};
use crate::tables::{CanonicalTable, Runs, Steps, runs, steps};
use polars::prelude::*;
use std::io::Cursor;
use std::path::{Path, PathBuf};

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
        Some((step, factor)) if !step.is_empty() && factor.is_finite() && factor >= 0.0 => Ok((step.to_owned(), factor)),
        _ => Err("write STEP=FACTOR with a factor of 0 or more: align=0.5 halves the step".to_owned()),
    }
}
