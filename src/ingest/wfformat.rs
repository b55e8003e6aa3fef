//! Dialect `wfformat`: WfCommons JSON, one instance (run) a file; schemas 1.3 to 1.6 (older ones where they agree).
//!
//! - 1.5 and later keep what a task is (`specification`) apart from how it ran (`execution`); before, a task is both.
//! - 1.3 has `runtime`, `size` (bytes) and `memory` (kB); later names carry their unit.
//! - Most files record no times per task: durations and dependencies only.
//! - Parents are named by id, in older files by name; either way they become the same `step_id`.
//! - A task called `process_ID000002` or `process_00000002` is one of many: its step is `process/ID000002`; so is
//!   `program_whatever`, where `program` is what it runs.

use super::names::Names;
use super::raw::{self, Raw, Unreadable};
use super::time;
use crate::tables::{runs, steps};
use polars::prelude::{Column, DataFrame, IntoColumn, ListBuilderTrait, ListStringChunkedBuilder};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const BYTES_PER_MB: f64 = 1e6;
const BYTES_PER_KB: f64 = 1e3;
const MICROS_PER_SECOND: f64 = 1e6;
const MILLIS_PER_SECOND: f64 = 1e3;

/// Digits that a number without `ID` needs to be the index of a task rather than part of its name.
const INDEX_DIGITS: usize = 3;

/// A longer "program" is a script.
const MAX_PROGRAM_CHARS: usize = 128;

/// Reads one instance: the run and its tasks.
///
/// # Errors
/// [`Unreadable`] when the bytes are no such JSON, or it says no time and the caller neither.
pub fn read(bytes: &[u8], names: &Names) -> Result<Raw, Unreadable> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable::Empty);
    }
    let instance: Instance = serde_json::from_slice(bytes).map_err(|error| Unreadable::Format {
        expected: "WfFormat JSON",
        found: error.to_string(),
        advice: "; it needs `workflow` with `tasks`, or with `specification` and `execution`",
    })?;
    let workflow = instance.workflow.merged();
    if workflow.tasks.is_empty() {
        return Err(Unreadable::Lacks("the workflow has no tasks".to_owned()));
    }
    let failed = |error: polars::error::PolarsError| Unreadable::Lacks(error.to_string());
    let runs = run_row(&workflow, names)?;
    Ok(Raw { runs: Some(runs), steps: Some(step_rows(&workflow, names).map_err(failed)?) })
}

#[derive(Deserialize)]
struct Instance {
    workflow: Workflow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Workflow {
    #[serde(flatten)]
    execution: Execution,
    #[serde(rename = "execution")]
    split_execution: Option<Execution>,
    specification: Option<Specification>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Execution {
    #[serde(alias = "makespan")]
    makespan_in_seconds: Option<f64>,
    executed_at: Option<String>,
    #[serde(default, alias = "jobs")]
    tasks: Vec<Task>,
    #[serde(default)]
    machines: Vec<Machine>,
}

#[derive(Deserialize)]
struct Specification {
    #[serde(default)]
    tasks: Vec<Task>,
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    node_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(alias = "name")]
    id: String,
    #[serde(alias = "size")]
    size_in_bytes: Option<f64>,
    link: Option<String>,
}

#[derive(Deserialize)]
struct Command {
    program: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Task {
    name: Option<String>,
    id: Option<String>,
    category: Option<String>,
    parents: Option<Vec<String>>,
    children: Option<Vec<String>>,
    input_files: Option<Vec<String>>,
    output_files: Option<Vec<String>>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(alias = "runtime")]
    runtime_in_seconds: Option<f64>,
    executed_at: Option<String>,
    command: Option<Command>,
    #[serde(alias = "cores")]
    core_count: Option<f64>,
    #[serde(rename = "avgCPU")]
    avg_cpu: Option<f64>,
    memory_in_bytes: Option<f64>,
    /// kB, in schema 1.3.
    memory: Option<f64>,
    #[serde(default)]
    machines: Vec<String>,
    machine: Option<String>,
}

impl Task {
    fn reference(&self) -> &str {
        self.id.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    /// Adds what ran to what was specified.
    fn with_execution(self, ran: Option<Self>) -> Self {
        let Some(ran) = ran else { return self };
        Self {
            name: self.name,
            id: self.id,
            category: self.category.or(ran.category),
            parents: self.parents,
            children: self.children,
            input_files: self.input_files,
            output_files: self.output_files,
            files: self.files,
            ..ran
        }
    }

    /// The category, or the program: its name says what a step does; a script, which some systems put there, does not.
    fn kind(&self) -> Option<&str> {
        let program = self.command.as_ref().and_then(|command| command.program.as_deref());
        let is_name = |text: &&str| {
            !text.is_empty()
                && text.len() <= MAX_PROGRAM_CHARS
                && !text.contains(|letter: char| letter.is_whitespace() || letter == '/')
        };
        self.category.as_deref().or(program).filter(is_name)
    }

    fn linked(&self, link: &str) -> Option<Vec<String>> {
        let linked =
            self.files.iter().filter(|file| file.link.as_deref().is_some_and(|l| l.eq_ignore_ascii_case(link)));
        Some(linked.map(|file| file.id.clone()).collect::<Vec<_>>()).filter(|names| !names.is_empty())
    }

    fn inputs(&self) -> Vec<String> {
        self.input_files.clone().or_else(|| self.linked("input")).unwrap_or_default()
    }

    fn outputs(&self) -> Vec<String> {
        self.output_files.clone().or_else(|| self.linked("output")).unwrap_or_default()
    }

    fn memory_mb(&self) -> Option<f64> {
        self.memory_in_bytes.or_else(|| Some(self.memory? * BYTES_PER_KB)).map(|bytes| bytes / BYTES_PER_MB)
    }

    fn host(&self) -> Option<&str> {
        self.machines.first().or(self.machine.as_ref()).map(String::as_str)
    }
}

/// An instance of any schema, in one shape.
struct Merged {
    makespan_seconds: Option<f64>,
    executed_at: Option<String>,
    tasks: Vec<Task>,
    machines: Vec<Machine>,
    sizes: BTreeMap<String, Option<f64>>,
}

impl Workflow {
    fn merged(self) -> Merged {
        let execution = self.split_execution.unwrap_or_default();
        let mut sizes: BTreeMap<String, Option<f64>> = BTreeMap::new();
        let tasks = match self.specification {
            Some(specification) => {
                sizes.extend(specification.files.into_iter().map(|file| (file.id, file.size_in_bytes)));
                let by_id = |task: Task| (task.reference().to_owned(), task);
                let mut ran: BTreeMap<String, Task> = execution.tasks.into_iter().map(by_id).collect();
                let specified = specification.tasks.into_iter();
                let joined = specified.map(|task| {
                    let ran = ran.remove(task.reference());
                    task.with_execution(ran)
                });
                joined.collect()
            }
            None => self.execution.tasks,
        };
        for file in tasks.iter().flat_map(|task: &Task| &task.files) {
            sizes.entry(file.id.clone()).or_insert(file.size_in_bytes);
        }
        Merged {
            makespan_seconds: execution.makespan_in_seconds.or(self.execution.makespan_in_seconds),
            executed_at: execution.executed_at.or(self.execution.executed_at),
            machines: if execution.machines.is_empty() { self.execution.machines } else { execution.machines },
            tasks,
            sizes,
        }
    }
}

impl Merged {
    /// Bytes of all `files` together; unknown if there are none or one has no size.
    fn size<'a>(&self, files: impl IntoIterator<Item = &'a String>) -> Option<f64> {
        let sizes: Option<Vec<f64>> = files.into_iter().map(|file| self.sizes.get(file).copied().flatten()).collect();
        sizes.filter(|sizes| !sizes.is_empty()).map(|sizes| sizes.iter().sum())
    }

    /// Bytes that came from outside: of files that are read and that no task writes.
    fn input_size(&self) -> Option<f64> {
        let written: BTreeSet<String> = self.tasks.iter().flat_map(Task::outputs).collect();
        let read: BTreeSet<String> = self.tasks.iter().flat_map(Task::inputs).collect();
        self.size(read.difference(&written))
    }

    /// The one machine of the run.
    fn platform(&self) -> Option<&str> {
        match self.machines.as_slice() {
            [machine] => machine.node_name.as_deref(),
            _ => None,
        }
    }
}

/// Process and index of a task. The process is its program where its id begins with that, else what is before the index.
fn step_of(task: &Task) -> (&str, Option<&str>) {
    let (id, name) = (task.reference(), task.name.as_deref().unwrap_or_default());
    let behind = |process: &str| id.strip_prefix(process)?.strip_prefix('_').filter(|index| !index.is_empty());
    for process in [task.kind(), Some(name).filter(|name| !name.is_empty())].into_iter().flatten() {
        if let Some(index) = behind(process) {
            return (process, Some(index));
        }
    }
    // Before schema 1.5 an id may be the bare index of a name that ends in it, or have nothing to do with the name.
    let full = if name.ends_with(id) && !name.is_empty() { name } else { id };
    match full.rsplit_once('_').filter(|(process, index)| !process.is_empty() && is_index(index)) {
        Some((process, index)) => (process, Some(index)),
        None if full == id && is_index(id) && !name.is_empty() => (name, Some(id)),
        None => (full, None),
    }
}

fn is_index(text: &str) -> bool {
    let digits = text.strip_prefix("ID").unwrap_or(text);
    let least = if digits.len() < text.len() { 1 } else { INDEX_DIGITS };
    digits.len() >= least && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn step_id(task: &Task) -> String {
    match step_of(task) {
        (process, Some(index)) => format!("{process}/{index}"),
        (process, None) => process.to_owned(),
    }
}

fn step_type(task: &Task) -> &str {
    task.kind().unwrap_or_else(|| step_of(task).0)
}

/// The steps that each task waits for: declared by the task itself or by its parents; unknown where neither says.
fn dependencies(tasks: &[Task]) -> Vec<Option<BTreeSet<String>>> {
    let ids: Vec<String> = tasks.iter().map(step_id).collect();
    let mut known_as: BTreeMap<&str, &str> = BTreeMap::new();
    for (task, id) in tasks.iter().zip(&ids) {
        for reference in [task.id.as_deref(), task.name.as_deref()].into_iter().flatten() {
            known_as.entry(reference).or_insert(id);
        }
    }
    let resolve = |reference: &str| known_as.get(reference).copied().unwrap_or(reference).to_owned();
    let mut waits: Vec<Option<BTreeSet<String>>> = tasks
        .iter()
        .map(|task| task.parents.as_ref().map(|parents| parents.iter().map(|parent| resolve(parent)).collect()))
        .collect();
    let rows: BTreeMap<&str, usize> = ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
    for (task, id) in tasks.iter().zip(&ids) {
        for child in task.children.iter().flatten() {
            if let Some(slot) = rows.get(resolve(child).as_str()).and_then(|&row| waits.get_mut(row)) {
                slot.get_or_insert_default().insert(id.clone());
            }
        }
    }
    waits
}

fn run_row(workflow: &Merged, names: &Names) -> Result<DataFrame, Unreadable> {
    let recorded = workflow.executed_at.as_deref().map(|text| time::parse_in(text, names.zone).ok_or(text));
    let Some(started) = recorded.or_else(|| names.started_at.map(Ok)) else {
        let reason = "workflow.execution.executedAt is missing; say when the run started with --started-at";
        return Err(Unreadable::Lacks(reason.to_owned()));
    };
    let ended = started.ok().zip(workflow.makespan_seconds).map(|(at, seconds)| Ok(after(at, seconds)));
    DataFrame::new_infer_height(vec![
        raw::texts(runs::RUN_ID, [Some(&names.run_id)].into_iter()),
        raw::texts(runs::WORKFLOW_ID, [Some(&names.workflow_id)].into_iter()),
        raw::instants(runs::STARTED_AT, [Some(started)].into_iter()),
        raw::instants(runs::ENDED_AT, [ended].into_iter()),
        raw::texts(runs::PLATFORM, [workflow.platform()].into_iter()),
        raw::numbers(runs::INPUT_BYTES, [workflow.input_size().map(Ok)].into_iter()),
    ])
    .map_err(|error| Unreadable::Lacks(error.to_string()))
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn after(micros: i64, seconds: f64) -> i64 {
    micros.saturating_add((seconds * MICROS_PER_SECOND).round() as i64)
}

fn step_rows(workflow: &Merged, names: &Names) -> polars::error::PolarsResult<DataFrame> {
    let tasks = &workflow.tasks;
    let measure =
        |name, value: &dyn Fn(&Task) -> Option<f64>| raw::numbers(name, tasks.iter().map(|t| value(t).map(Ok)));
    let starts: Vec<raw::Parsed<'_, i64>> = tasks
        .iter()
        .map(|task| task.executed_at.as_deref().map(|text| time::parse_in(text, names.zone).ok_or(text)))
        .collect();
    let ends = starts.iter().zip(tasks).map(|(start, task)| {
        let start = start.and_then(Result::ok)?;
        Some(Ok(after(start, task.runtime_in_seconds?)))
    });
    DataFrame::new(
        tasks.len(),
        vec![
            raw::constant(steps::RUN_ID, &names.run_id, tasks.len()),
            raw::constant(steps::WORKFLOW_ID, &names.workflow_id, tasks.len()),
            raw::texts(steps::STEP_ID, tasks.iter().map(|task| Some(step_id(task)))),
            raw::texts(steps::STEP_TYPE, tasks.iter().map(|task| Some(step_type(task)))),
            lists(steps::DEPENDS_ON, &dependencies(tasks)),
            raw::instants(steps::STARTED_AT, starts.iter().copied()),
            raw::instants(steps::ENDED_AT, ends),
            measure(steps::DURATION_MS, &|task| Some(task.runtime_in_seconds? * MILLIS_PER_SECOND)),
            raw::texts(steps::PLATFORM, tasks.iter().map(|task| task.host().or(workflow.platform()))),
            measure(steps::CPU_PCT, &|task| task.avg_cpu),
            measure(steps::MEMORY_MB, &Task::memory_mb),
            measure(steps::CPU_REQUEST, &|task| task.core_count),
            measure(steps::INPUT_BYTES, &|task| workflow.size(&task.inputs())),
            measure(steps::OUTPUT_BYTES, &|task| workflow.size(&task.outputs())),
        ],
    )
}

fn lists(name: &str, lists: &[Option<BTreeSet<String>>]) -> Column {
    let mut builder = ListStringChunkedBuilder::new(name.into(), lists.len(), lists.len());
    for list in lists {
        match list {
            Some(names) => builder.append_values_iter(names.iter().map(String::as_str)),
            None => builder.append_null(),
        }
    }
    builder.finish().into_column()
}

#[cfg(test)]
#[path = "wfformat_tests.rs"]
mod tests;
