//! Dialect `nextflow`: the trace file, one row a task attempt; tab or comma separated, with human units or raw numbers,
//! whatever columns it was configured to have.
//!
//! - `realtime` is the run time; `duration` includes the queue and stands only for `complete - submit`.
//! - Times are ms since the epoch, or wall-clock times of the head node, whose zone the caller knows (default UTC).
//! - Sizes with a unit are powers of 1024 (`1 GB` is 2³⁰ bytes there); `-` is unknown.
//! - A process that runs several tasks has steps `process/tag`; tasks of one tag are counted (`tag#2`).
//! - A cached task keeps the times of the run that computed it, so it says nothing about when this run was.
//! - A trace has no dependencies and no input sizes: `rchar` is what was read in the end, not the size of the input.

use super::conform::status;
use super::names::Names;
use super::raw::{self, Parsed, Raw, Unreadable};
use super::time;
use crate::tables::runs::{self, CANCELLED, FAILED, RUNNING, SUCCEEDED};
use crate::tables::steps;
use chrono_tz::Tz;
use polars::prelude::{Column, DataFrame, StringChunked};
use std::collections::{BTreeMap, BTreeSet};

const MICROS_PER_MILLI: f64 = 1e3;
const BYTES_PER_MB: f64 = 1e6;

/// Reads one trace: the run and its task attempts.
///
/// # Errors
/// [`Unreadable`] when the bytes are no trace, it has no tasks, or says no time and the caller neither.
pub fn read(bytes: &[u8], names: &Names) -> Result<Raw, Unreadable> {
    let frame = raw::delimited(bytes)?;
    let trace = Trace::new(&frame)?;
    let tasks: Vec<Task<'_>> = (0..frame.height()).map(|row| trace.task(row, names.zone)).collect();
    if tasks.is_empty() {
        return Err(Unreadable::Lacks("the trace has no tasks".to_owned()));
    }
    let ids = step_ids(&tasks);
    let run = run_row(&tasks, &ids, names)?;
    let steps = step_rows(&trace, &tasks, &ids, names).map_err(|error| Unreadable::Lacks(error.to_string()))?;
    Ok(Raw { runs: Some(run), steps: Some(steps) })
}

/// A trace file by columns.
struct Trace<'a> {
    columns: BTreeMap<&'a str, &'a StringChunked>,
    rows: usize,
}

impl<'a> Trace<'a> {
    fn new(frame: &'a DataFrame) -> Result<Self, Unreadable> {
        let texts =
            frame.columns().iter().filter_map(|c| Some((c.name().as_str(), c.as_materialized_series().str().ok()?)));
        let columns: BTreeMap<&str, &StringChunked> = texts.collect();
        let lacks = |what: &str| {
            let found = columns.keys().copied().collect::<Vec<_>>().join(", ");
            Unreadable::Lacks(format!("not a trace: it has no column {what}; found {found}"))
        };
        if !columns.contains_key("name") && !columns.contains_key("process") {
            return Err(lacks("`name` or `process`"));
        }
        if !columns.contains_key("status") {
            return Err(lacks("`status`"));
        }
        Ok(Self { columns, rows: frame.height() })
    }

    fn get(&self, column: &str, row: usize) -> Option<&'a str> {
        self.columns.get(column)?.get(row).map(str::trim).filter(|text| !text.is_empty() && *text != "-")
    }

    fn values(&self, column: &'static str) -> impl Iterator<Item = Option<&'a str>> {
        (0..self.rows).map(move |row| self.get(column, row))
    }

    fn numbers(&self, name: &str, column: &'static str, read: impl Fn(&str) -> Option<f64>) -> Column {
        raw::numbers(name, self.values(column).map(|text| text.map(|text| read(text).ok_or(text))))
    }

    fn task(&self, row: usize, zone: Tz) -> Task<'a> {
        let name = self.get("name", row);
        let (process, tag) = name.map_or((None, None), split_name);
        let instant = |column| self.get(column, row).map(|text| instant(text, zone).ok_or(text));
        let times = Times { submit: instant("submit"), start: instant("start"), complete: instant("complete") };
        let milliseconds = |column| self.get(column, row).map(|text| milliseconds(text).ok_or(text));
        let (realtime, elapsed) = (milliseconds("realtime"), milliseconds("duration"));
        Task {
            process: self.get("process", row).or(process),
            tag: self.get("tag", row).or(tag),
            status: self.get("status", row),
            attempt: self.get("attempt", row).and_then(|text| text.parse().ok()),
            ignored: self.get("error_action", row).is_some_and(|action| action.eq_ignore_ascii_case("ignore")),
            order: self.get("task_id", row).and_then(|text| text.parse().ok()).unwrap_or(row as u64),
            queue_ms: times.queue_ms(),
            times: times.completed(realtime, elapsed),
            realtime,
        }
    }
}

/// `PROCESS (tag)` → process, tag.
fn split_name(name: &str) -> (Option<&str>, Option<&str>) {
    match name.strip_suffix(')').and_then(|name| name.split_once(" (")) {
        Some((process, tag)) => (Some(process), Some(tag)),
        None => (Some(name), None),
    }
}

#[derive(Clone, Copy)]
struct Times<'a> {
    submit: Parsed<'a, i64>,
    start: Parsed<'a, i64>,
    complete: Parsed<'a, i64>,
}

impl<'a> Times<'a> {
    /// Executors that record whole seconds can start a task before it was submitted: its queue time is unknown then.
    fn queue_ms(&self) -> Option<f64> {
        let waited = known(self.start)?.saturating_sub(known(self.submit)?);
        (waited >= 0).then_some(waited as f64 / MICROS_PER_MILLI)
    }

    /// Traces with the default columns say only when a task was submitted: it was complete `duration` later, and ran
    /// the last `realtime` of that.
    fn completed(self, realtime: Parsed<'a, f64>, elapsed: Parsed<'a, f64>) -> Self {
        let complete = self.complete.or_else(|| Some(Ok(known(self.submit)?.saturating_add(micros(known(elapsed)?)))));
        let start = self.start.or_else(|| Some(Ok(known(complete)?.saturating_sub(micros(known(realtime)?)))));
        Self { complete, start, ..self }
    }
}

fn known<T: Copy>(value: Parsed<'_, T>) -> Option<T> {
    value?.ok()
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn micros(milliseconds: f64) -> i64 {
    (milliseconds * MICROS_PER_MILLI).round() as i64
}

/// One row of a trace.
struct Task<'a> {
    process: Option<&'a str>,
    tag: Option<&'a str>,
    status: Option<&'a str>,
    attempt: Option<i64>,
    ignored: bool,
    order: u64,
    times: Times<'a>,
    queue_ms: Option<f64>,
    realtime: Parsed<'a, f64>,
}

impl Task<'_> {
    fn is_cached(&self) -> bool {
        self.status.and_then(status::status).is_some_and(|status| status.cached)
    }

    fn outcome(&self) -> Option<&'static str> {
        self.status.and_then(status::status).map(|status| status.word)
    }
}

/// Step and attempt of each task, in the order of the tasks.
fn step_ids<'a>(tasks: &[Task<'a>]) -> Vec<(Option<String>, i64)> {
    let mut order: Vec<(usize, &Task<'a>)> = tasks.iter().enumerate().collect();
    order.sort_by_key(|(row, task)| (task.order, *row));
    let mut counter = Counter::default();
    let mut numbered: Vec<(usize, usize, i64)> = order
        .into_iter()
        .map(|(row, task)| {
            let (ordinal, attempt) = counter.next(task);
            (row, ordinal, attempt)
        })
        .collect();
    numbered.sort_unstable();
    let mut siblings: BTreeMap<Option<&str>, BTreeSet<(Option<&str>, usize)>> = BTreeMap::new();
    for (task, (_, ordinal, _)) in tasks.iter().zip(&numbered) {
        siblings.entry(task.process).or_default().insert((task.tag, *ordinal));
    }
    let is_alone = |task: &Task<'_>| siblings.get(&task.process).is_none_or(|tasks| tasks.len() < 2);
    let ids = tasks.iter().zip(&numbered);
    ids.map(|(task, (_, ordinal, attempt))| (step_id(task, *ordinal, is_alone(task)), *attempt)).collect()
}

fn step_id(task: &Task<'_>, ordinal: usize, is_alone: bool) -> Option<String> {
    let process = task.process?;
    Some(match (task.tag, ordinal) {
        _ if is_alone => process.to_owned(),
        (Some(tag), 1) => format!("{process}/{tag}"),
        (Some(tag), _) => format!("{process}/{tag}#{ordinal}"),
        (None, _) => format!("{process}/{ordinal}"),
    })
}

/// Tells tasks of one process and tag apart. Where a trace has no `attempt`, a task after a failed one of the same
/// process and tag is its retry.
#[derive(Default)]
struct Counter<'a> {
    /// Tasks so far of each process, tag and attempt.
    seen: BTreeMap<(ProcessAndTag<'a>, i64), usize>,
    last: BTreeMap<ProcessAndTag<'a>, Last>,
}

type ProcessAndTag<'a> = (Option<&'a str>, Option<&'a str>);

/// The last task of a process and tag.
struct Last {
    ordinal: usize,
    attempt: i64,
    has_failed: bool,
}

impl<'a> Counter<'a> {
    /// Ordinal and attempt of the next task in the order of submission.
    fn next(&mut self, task: &Task<'a>) -> (usize, i64) {
        let key = (task.process, task.tag);
        if let Some(attempt) = task.attempt {
            let seen = self.seen.entry((key, attempt)).or_default();
            *seen += 1;
            return (*seen, attempt);
        }
        let (ordinal, attempt) = match self.last.get(&key) {
            None => (1, 1),
            Some(last) if last.has_failed => (last.ordinal, last.attempt + 1),
            Some(last) => (last.ordinal + 1, 1),
        };
        self.last.insert(key, Last { ordinal, attempt, has_failed: task.outcome() == Some(FAILED) });
        (ordinal, attempt)
    }
}

fn run_row(tasks: &[Task<'_>], ids: &[(Option<String>, i64)], names: &Names) -> Result<DataFrame, Unreadable> {
    let own: Vec<&Task<'_>> = tasks.iter().filter(|task| !task.is_cached()).collect();
    let started =
        own.iter().filter_map(|task| known(task.times.submit).into_iter().chain(known(task.times.start)).min());
    let ended = own.iter().filter_map(|task| known(task.times.complete)).max();
    let status = run_status(tasks, ids);
    let Some(started) = started.min().or(names.started_at) else {
        let reason = "the trace records no time of this run (no submit, start or complete of a task that was not cached), \
                      nor does its name; say when the run started with --started-at";
        return Err(Unreadable::Lacks(reason.to_owned()));
    };
    let ended = ended.filter(|_| status != Some(RUNNING));
    DataFrame::new_infer_height(vec![
        raw::texts(runs::RUN_ID, [Some(&names.run_id)].into_iter()),
        raw::texts(runs::WORKFLOW_ID, [Some(&names.workflow_id)].into_iter()),
        raw::instants(runs::STARTED_AT, [Some(Ok(started))].into_iter()),
        raw::instants(runs::ENDED_AT, [ended.map(Ok)].into_iter()),
        raw::texts(runs::STATUS, [status].into_iter()),
    ])
    .map_err(|error| Unreadable::Lacks(error.to_string()))
}

/// How the run ended: by the last attempt of each step. A failure that the workflow ignores is none of the run's.
fn run_status(tasks: &[Task<'_>], ids: &[(Option<String>, i64)]) -> Option<&'static str> {
    let mut last: BTreeMap<&str, (i64, Option<&'static str>)> = BTreeMap::new();
    for (task, (step, attempt)) in tasks.iter().zip(ids) {
        let Some(step) = step.as_deref() else { continue };
        let outcome = task.outcome().map(|word| if word == FAILED && task.ignored { SUCCEEDED } else { word });
        let entry = last.entry(step).or_insert((*attempt, outcome));
        if *attempt >= entry.0 {
            *entry = (*attempt, outcome);
        }
    }
    let any = |word| last.values().any(|(_, outcome)| *outcome == Some(word));
    [RUNNING, FAILED, CANCELLED, SUCCEEDED].into_iter().find(|word| any(word))
}

fn step_rows(
    trace: &Trace<'_>,
    tasks: &[Task<'_>],
    ids: &[(Option<String>, i64)],
    names: &Names,
) -> polars::error::PolarsResult<DataFrame> {
    let megabytes = |text: &str| bytes(text).map(|bytes| bytes / BYTES_PER_MB);
    DataFrame::new(
        tasks.len(),
        vec![
            raw::constant(steps::RUN_ID, &names.run_id, tasks.len()),
            raw::constant(steps::WORKFLOW_ID, &names.workflow_id, tasks.len()),
            raw::texts(steps::STEP_ID, ids.iter().map(|(step, _)| step.as_deref())),
            raw::texts(steps::STEP_TYPE, tasks.iter().map(|task| task.process)),
            Column::new(steps::ATTEMPT.into(), ids.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>()),
            raw::instants(steps::STARTED_AT, tasks.iter().map(|task| task.times.start)),
            raw::instants(steps::ENDED_AT, tasks.iter().map(|task| task.times.complete)),
            raw::numbers(steps::DURATION_MS, tasks.iter().map(|task| task.realtime)),
            raw::texts(steps::STATUS, tasks.iter().map(|task| task.status)),
            raw::texts(steps::PROVIDER, trace.values("cpu_model")),
            raw::texts(steps::PLATFORM, trace.values("hostname")),
            trace.numbers(steps::CPU_PCT, "%cpu", |text| text.trim_end_matches('%').trim().parse().ok()),
            trace.numbers(steps::MEMORY_MB, "peak_rss", megabytes),
            trace.numbers(steps::CPU_REQUEST, "cpus", |text| text.parse().ok()),
            trace.numbers(steps::MEMORY_REQUEST_MB, "memory", megabytes),
            raw::numbers(steps::QUEUE_MS, tasks.iter().map(|task| task.queue_ms.map(Ok))),
        ],
    )
}

fn instant(text: &str, zone: Tz) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(milliseconds) => milliseconds.checked_mul(1_000),
        Err(_) => time::parse_in(text, zone),
    }
}

/// `3m 4s`, `46.3s`, `733ms`, `1d 2h`, or a bare number of ms.
fn milliseconds(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    text.split_whitespace().map(|part| quantity(part, milliseconds_per)).sum()
}

fn milliseconds_per(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" => 1.0,
        "s" | "sec" => 1e3,
        "m" | "min" => 60e3,
        "h" | "hour" => 3_600e3,
        "d" | "day" => 86_400e3,
        _ => return None,
    })
}

/// `1.2 GB`, `80 KB`, or a bare number of bytes.
fn bytes(text: &str) -> Option<f64> {
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => quantity(text, bytes_per),
    }
}

fn bytes_per(unit: &str) -> Option<f64> {
    let power = match unit.to_ascii_uppercase().as_str() {
        "B" => 0,
        "K" | "KB" => 1,
        "M" | "MB" => 2,
        "G" | "GB" => 3,
        "T" | "TB" => 4,
        "P" | "PB" => 5,
        _ => return None,
    };
    Some(1024_f64.powi(power))
}

/// A number with its unit right behind it or after a space.
fn quantity(text: &str, per: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let unit = text.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic());
    let number = text.strip_suffix(unit)?.trim();
    Some(number.parse::<f64>().ok()? * per(unit.trim())?)
}

#[cfg(test)]
#[path = "nextflow_tests.rs"]
mod tests;
