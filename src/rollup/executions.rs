//! The executions of one day as plain columns: what every reduction of the day starts from.

use crate::error::Result;
use crate::pure::samples::{UNKNOWN, Vocabulary};
use crate::tables::{CanonicalTable, Runs, Steps, runs, steps};
use polars::prelude::*;

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its outcome is trusted.
    Succeeded,
    /// Kept apart from durations.
    Failed,
    /// Kept apart from everything but throughput.
    Cancelled,
    /// Not ended as far as is known at the cutoff.
    Running,
}

/// Stands for an unknown instant.
pub const NO_INSTANT: i64 = i64::MIN;

/// Runs or step attempts, column by column. Codes refer to the day's [`Vocabulary`], NaN and [`UNKNOWN`] are unknown.
#[derive(Debug, Default)]
pub struct Executions {
    /// Code of the run's id.
    pub run: Vec<u32>,
    /// Code of the derived step (`step_id` up to its first `/`); [`UNKNOWN`] for runs.
    pub step: Vec<u32>,
    /// Code of `step_id`; [`UNKNOWN`] for runs.
    pub step_id: Vec<u32>,
    /// Code of the workflow.
    pub workflow_id: Vec<u32>,
    /// Code of the workflow's type.
    pub workflow_type: Vec<u32>,
    /// Code of the step's type.
    pub step_type: Vec<u32>,
    /// Code of the provider.
    pub provider: Vec<u32>,
    /// Code of the platform.
    pub platform: Vec<u32>,
    /// 1-based try.
    pub attempt: Vec<u16>,
    /// How it ended, as known at the cutoff.
    pub status: Vec<Status>,
    /// Its own start in this run, or [`NO_INSTANT`].
    pub own_start_us: Vec<i64>,
    /// Its own start, else its run's.
    pub bucket_us: Vec<i64>,
    /// When its outcome became known.
    pub ended_us: Vec<i64>,
    /// How long it ran, a queue inside a run's times taken out.
    pub duration_ms: Vec<f64>,
    /// CPU, 100 = one core.
    pub cpu_pct: Vec<f64>,
    /// Peak memory.
    pub memory_mb: Vec<f64>,
    /// Memory asked for.
    pub memory_request_mb: Vec<f64>,
    /// Cores asked for.
    pub cpu_request: Vec<f64>,
    /// API calls.
    pub api_calls: Vec<f64>,
    /// Bytes over the network.
    pub network_bytes: Vec<f64>,
    /// Input size.
    pub input_bytes: Vec<f64>,
    /// Size of what came out; of steps only.
    pub output_bytes: Vec<f64>,
    /// Tokens in.
    pub tokens_in: Vec<f64>,
    /// Tokens in and out.
    pub tokens: Vec<f64>,
    /// Money.
    pub cost_usd: Vec<f64>,
    /// Waited before the start.
    pub queue_ms: Vec<f64>,
    /// Hash of the cache key, 0 where there is none.
    pub cache_key: Vec<u64>,
    /// Answered from a cache.
    pub cache_hit: Vec<bool>,
}

impl Executions {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.run.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.run.is_empty()
    }
}

/// All that one day partition holds, as known at the cutoff.
#[derive(Debug, Default)]
pub struct Day {
    /// Words behind the codes.
    pub vocabulary: Vocabulary,
    /// One row a run.
    pub runs: Executions,
    /// One row an attempt of a step.
    pub steps: Executions,
    /// What each step attempt declares to depend on, in step with `steps`; null = unknown.
    pub depends_on: ListChunked,
    /// The span that each step attempt is nested in, in step with `steps`.
    pub parent_step_id: StringChunked,
    /// Code of the arm of each run, or [`UNKNOWN`].
    pub run_variant: Vec<u32>,
    /// Code of the experiment of each run, or [`UNKNOWN`].
    pub run_experiment: Vec<u32>,
    /// Code of the unit that was assigned, on days with runs that have an arm, or [`UNKNOWN`].
    pub run_unit: Vec<u32>,
    /// The cutoff.
    pub as_of_us: i64,
    /// The latest instant in the partition before the cutoff was applied: what was reduced at one cutoff holds at
    /// another when this lies before both.
    pub latest_us: i64,
}

const RUN_START: &str = "run_started_at";
const RUN_WORKFLOW: &str = "run_workflow_id";
const RUN_TYPE: &str = "run_workflow_type";
const BUCKET: &str = "bucket_at";
const FIRST_STEP: &str = "first_step_at";

/// Lays the day's tables out as columns, as they were known at `as_of_us`: what started later is absent, what ended
/// later is still running and has no outcome.
///
/// # Errors
/// Only when a table breaks the contract that its type promises.
pub fn day(run_table: &Runs, step_table: &Steps, as_of_us: i64) -> Result<Day> {
    let latest_us = latest(run_table.frame())?.max(latest(step_table.frame())?);
    let step_frame = placed_steps(step_table, run_table, as_of_us)?;
    let run_frame = placed_runs(run_table, &step_frame, as_of_us)?;
    let mut vocabulary = Vocabulary::default();
    let runs_out = run_columns(&run_frame, &mut vocabulary, as_of_us)?;
    let steps_out = step_columns(&step_frame, &mut vocabulary, as_of_us)?;
    // Names of units would swell the vocabulary where nobody asks for them.
    let has_arms = run_frame.column(runs::VARIANT)?.null_count() < run_frame.height();
    let run_unit = match has_arms {
        true => codes(&run_frame, runs::UNIT_ID, &mut vocabulary)?,
        false => vec![UNKNOWN; run_frame.height()],
    };
    Ok(Day {
        run_unit,
        run_variant: codes(&run_frame, runs::VARIANT, &mut vocabulary)?,
        run_experiment: codes(&run_frame, runs::EXPERIMENT_ID, &mut vocabulary)?,
        depends_on: step_frame.column(steps::DEPENDS_ON)?.list()?.clone(),
        parent_step_id: step_frame.column(steps::PARENT_STEP_ID)?.str()?.clone(),
        vocabulary,
        runs: runs_out,
        steps: steps_out,
        as_of_us,
        latest_us,
    })
}

/// Steps that had started by the cutoff, with the workflow and the start of their run where they have none.
fn placed_steps(step_table: &Steps, run_table: &Runs, as_of_us: i64) -> Result<DataFrame> {
    let of_run = run_table.frame().clone().lazy().select([
        col(runs::RUN_ID),
        col(runs::STARTED_AT).alias(RUN_START),
        col(runs::WORKFLOW_ID).alias(RUN_WORKFLOW),
        col(runs::WORKFLOW_TYPE).alias(RUN_TYPE),
    ]);
    // A cached execution keeps the times of the run that computed it: they are not this run's.
    let own_start = when(col(steps::CACHE_HIT).fill_null(lit(false)))
        .then(lit(NULL).cast(DataType::Int64))
        .otherwise(col(steps::STARTED_AT).to_physical());
    let frame = step_table
        .frame()
        .clone()
        .lazy()
        .join(of_run, [col(steps::RUN_ID)], [col(runs::RUN_ID)], JoinArgs::new(JoinType::Left))
        .with_columns([
            coalesce(&[col(steps::WORKFLOW_ID), col(RUN_WORKFLOW)]).alias(steps::WORKFLOW_ID),
            own_start.alias(steps::STARTED_AT),
        ])
        .with_columns([
            coalesce(&[col(steps::WORKFLOW_TYPE), col(RUN_TYPE), col(steps::WORKFLOW_ID)]).alias(steps::WORKFLOW_TYPE),
            coalesce(&[col(steps::STARTED_AT), col(RUN_START).to_physical()]).alias(BUCKET),
        ])
        .filter(col(BUCKET).is_not_null().and(col(BUCKET).lt_eq(lit(as_of_us))))
        .collect()?;
    Ok(frame)
}

/// Runs that had started by the cutoff, with the start of their first step.
fn placed_runs(run_table: &Runs, step_frame: &DataFrame, as_of_us: i64) -> Result<DataFrame> {
    let first_steps =
        step_frame.clone().lazy().group_by([col(steps::RUN_ID)]).agg([col(steps::STARTED_AT).min().alias(FIRST_STEP)]);
    let frame = run_table
        .frame()
        .clone()
        .lazy()
        .with_column(col(runs::STARTED_AT).to_physical().alias(BUCKET))
        .filter(col(BUCKET).lt_eq(lit(as_of_us)))
        .join(first_steps, [col(runs::RUN_ID)], [col(steps::RUN_ID)], JoinArgs::new(JoinType::Left))
        .sort([runs::RUN_ID], SortMultipleOptions::default())
        .collect()?;
    Ok(frame)
}

fn run_columns(frame: &DataFrame, words: &mut Vocabulary, as_of_us: i64) -> Result<Executions> {
    let n = frame.height();
    let mut rows = shared_columns(frame, words, as_of_us)?;
    rows.own_start_us.clone_from(&rows.bucket_us);
    rows.tokens = floats(frame, runs::TOKENS)?;
    let first_step_us = instants(frame, FIRST_STEP)?;
    rows.duration_ms = (0..n).map(|i| run_duration_ms(&rows, i, first_step_us[i])).collect();
    for column in [
        &mut rows.cpu_pct,
        &mut rows.memory_mb,
        &mut rows.memory_request_mb,
        &mut rows.cpu_request,
        &mut rows.api_calls,
        &mut rows.network_bytes,
        &mut rows.tokens_in,
    ] {
        *column = vec![f64::NAN; n];
    }
    for column in [&mut rows.step, &mut rows.step_id, &mut rows.step_type] {
        *column = vec![UNKNOWN; n];
    }
    rows.attempt = vec![1; n];
    rows.cache_key = vec![0; n];
    rows.cache_hit = vec![false; n];
    Ok(rows)
}

/// A run's own time. The part of its queue that lies between its start and its first step was waiting, not running;
/// systems that stamp the start after the queue have no such part.
#[expect(clippy::cast_precision_loss, reason = "spans in microseconds stay far below 2^53")]
fn run_duration_ms(rows: &Executions, i: usize, first_step_us: i64) -> f64 {
    let (start, end) = (rows.bucket_us[i], rows.ended_us[i]);
    if end == NO_INSTANT {
        return f64::NAN;
    }
    let queue = rows.queue_ms[i];
    let gap_ms = if first_step_us == NO_INSTANT { 0.0 } else { (first_step_us - start).max(0) as f64 / 1e3 };
    let waited_inside = if queue > 0.0 { queue.min(gap_ms) } else { 0.0 };
    ((end - start) as f64 / 1e3 - waited_inside).max(0.0)
}

fn step_columns(frame: &DataFrame, words: &mut Vocabulary, as_of_us: i64) -> Result<Executions> {
    let mut rows = shared_columns(frame, words, as_of_us)?;
    rows.own_start_us = instants(frame, steps::STARTED_AT)?;
    rows.step_id = codes(frame, steps::STEP_ID, words)?;
    rows.step = derived_steps(&rows.step_id, words);
    rows.step_type = codes(frame, steps::STEP_TYPE, words)?;
    rows.attempt =
        ints(frame, steps::ATTEMPT)?.into_iter().map(|a| u16::try_from(a.max(1)).unwrap_or(u16::MAX)).collect();
    rows.duration_ms = floats(frame, steps::DURATION_MS)?;
    rows.cpu_pct = floats(frame, steps::CPU_PCT)?;
    rows.memory_mb = floats(frame, steps::MEMORY_MB)?;
    rows.memory_request_mb = floats(frame, steps::MEMORY_REQUEST_MB)?;
    rows.cpu_request = floats(frame, steps::CPU_REQUEST)?;
    rows.api_calls = floats(frame, steps::API_CALLS)?;
    rows.network_bytes = floats(frame, steps::NETWORK_BYTES)?;
    rows.output_bytes = floats(frame, steps::OUTPUT_BYTES)?;
    rows.tokens_in = floats(frame, steps::TOKENS_IN)?;
    let tokens_out = floats(frame, steps::TOKENS_OUT)?;
    rows.tokens = rows.tokens_in.iter().zip(&tokens_out).map(|(&a, &b)| known_sum(a, b)).collect();
    rows.cache_key = hashes(frame, steps::CACHE_KEY)?;
    rows.cache_hit = frame.column(steps::CACHE_HIT)?.bool()?.iter().map(|hit| hit.unwrap_or(false)).collect();
    for i in 0..rows.len() {
        if rows.cache_hit[i] || rows.ended_us[i] == NO_INSTANT {
            rows.ended_us[i] = plus_ms(rows.bucket_us[i], rows.duration_ms[i]);
        }
        if rows.ended_us[i] > as_of_us {
            rows.status[i] = Status::Running;
        }
    }
    Ok(rows)
}

/// The columns that runs and steps share.
fn shared_columns(frame: &DataFrame, words: &mut Vocabulary, as_of_us: i64) -> Result<Executions> {
    let ended_us = instants(frame, runs::ENDED_AT)?;
    let status = frame
        .column(runs::STATUS)?
        .str()?
        .iter()
        .zip(&ended_us)
        .map(|(word, &end)| if end > as_of_us { Status::Running } else { status_of(word) })
        .collect();
    Ok(Executions {
        run: codes(frame, runs::RUN_ID, words)?,
        workflow_id: codes(frame, runs::WORKFLOW_ID, words)?,
        workflow_type: codes(frame, runs::WORKFLOW_TYPE, words)?,
        provider: codes(frame, runs::PROVIDER, words)?,
        platform: codes(frame, runs::PLATFORM, words)?,
        bucket_us: instants(frame, BUCKET)?,
        input_bytes: floats(frame, runs::INPUT_BYTES)?,
        cost_usd: floats(frame, runs::COST_USD)?,
        queue_ms: floats(frame, runs::QUEUE_MS)?,
        status,
        ended_us,
        ..Executions::default()
    })
}

/// A missing status is that of a finished execution: an engine that records none lists what it has completed.
fn status_of(word: Option<&str>) -> Status {
    match word {
        Some("failed") => Status::Failed,
        Some("cancelled") => Status::Cancelled,
        Some("running") => Status::Running,
        _ => Status::Succeeded,
    }
}

fn latest(frame: &DataFrame) -> Result<i64> {
    let mut latest = NO_INSTANT;
    for name in [runs::STARTED_AT, runs::ENDED_AT] {
        latest = latest.max(frame.column(name)?.cast(&DataType::Int64)?.i64()?.max().unwrap_or(NO_INSTANT));
    }
    Ok(latest)
}

/// `process/index` is one task of `process`.
fn derived_steps(step_ids: &[u32], words: &mut Vocabulary) -> Vec<u32> {
    let mut derived: Vec<u32> = Vec::new();
    step_ids
        .iter()
        .map(|&code| {
            let at = code as usize;
            if at >= derived.len() {
                derived.resize(at + 1, UNKNOWN);
            }
            if derived[at] == UNKNOWN
                && let Some(word) = words.word(code)
            {
                let step = word.split('/').next().unwrap_or(word).to_owned();
                derived[at] = words.intern(&step);
            }
            derived[at]
        })
        .collect()
}

fn codes(frame: &DataFrame, name: &str, words: &mut Vocabulary) -> Result<Vec<u32>> {
    Ok(frame.column(name)?.str()?.iter().map(|word| words.intern_opt(word)).collect())
}

fn floats(frame: &DataFrame, name: &str) -> Result<Vec<f64>> {
    let column = frame.column(name)?.cast(&DataType::Float64)?;
    Ok(column.f64()?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

fn ints(frame: &DataFrame, name: &str) -> Result<Vec<i64>> {
    Ok(frame.column(name)?.i64()?.iter().map(|value| value.unwrap_or(0)).collect())
}

fn instants(frame: &DataFrame, name: &str) -> Result<Vec<i64>> {
    let column = frame.column(name)?.cast(&DataType::Int64)?;
    Ok(column.i64()?.iter().map(|value| value.unwrap_or(NO_INSTANT)).collect())
}

/// Hashes that do not change between versions and platforms; 0 is kept for "no key".
fn hashes(frame: &DataFrame, name: &str) -> Result<Vec<u64>> {
    Ok(frame.column(name)?.str()?.iter().map(|key| key.map_or(0, stable_hash)).collect())
}

/// The first eight bytes of blake3, never 0.
#[must_use]
pub(super) fn stable_hash(text: &str) -> u64 {
    let digest = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(digest.as_bytes().first_chunk::<8>().unwrap_or(&[1; 8]));
    u64::from_le_bytes(first).max(1)
}

pub(super) fn known_sum(a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ => a + b,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float beyond the range of i64 saturates, as it should")]
fn plus_ms(start_us: i64, duration_ms: f64) -> i64 {
    if start_us == NO_INSTANT || duration_ms.is_nan() {
        start_us
    } else {
        start_us.saturating_add((duration_ms * 1e3) as i64)
    }
}
