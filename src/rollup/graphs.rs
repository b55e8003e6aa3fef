//! Recorded runs as graphs: attempts joined, declared dependencies resolved, none added. What can't be is taken out and
//! told.

use super::executions::{Day, Executions, NO_INSTANT, Status, stable_hash};
use crate::pure::graph::{Circumstances, GraphIssue, Node, RunGraph, RunOutcome};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Runs of one workflow kept of one day: enough for replay to see the spread, few enough to keep for months.
pub(super) const RUNS_PER_DAY: usize = 8;

/// Attempts of one step of one run, as positions in the day's step rows.
type Attempts<'a> = BTreeMap<&'a str, Vec<usize>>;

/// Which runs become graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Up to [`RUNS_PER_DAY`] succeeded runs of each workflow, chosen by the hash of their ids.
    Sample,
    /// Every run, however it ended.
    All,
}

/// What is wrong with the declared dependencies of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunIssue {
    /// The run.
    pub run_id: String,
    /// Its workflow.
    pub workflow_id: String,
    /// What can't be.
    pub issue: GraphIssue,
}

/// The selected runs in order of start, and what had to be taken out of them.
#[must_use]
pub fn run_graphs(day: &Day, selection: Selection) -> (Vec<RunGraph>, Vec<RunIssue>) {
    let word = |code: u32| day.vocabulary.word(code).unwrap_or_default();
    let chosen = chosen_runs(day, selection);
    let mut steps_of: BTreeMap<usize, Attempts<'_>> = BTreeMap::new();
    for row in 0..day.steps.len() {
        if let Some(&run) = chosen.get(&day.steps.run[row]) {
            steps_of.entry(run).or_default().entry(word(day.steps.step_id[row])).or_default().push(row);
        }
    }
    let mut checked: Vec<(RunGraph, Vec<GraphIssue>)> =
        steps_of.into_iter().map(|(run, attempts)| assemble(day, run, &attempts)).collect();
    checked.sort_by(|(a, _), (b, _)| (a.started_us, &a.run_id).cmp(&(b.started_us, &b.run_id)));
    let mut issues = Vec::new();
    for (RunGraph { run_id, workflow_id, .. }, found) in &mut checked {
        let of_run = |issue| RunIssue { run_id: run_id.clone(), workflow_id: workflow_id.clone(), issue };
        issues.extend(found.drain(..).map(of_run));
    }
    (checked.into_iter().map(|(graph, _)| graph).collect(), issues)
}

/// Rows of the chosen runs by the code of their id.
fn chosen_runs(day: &Day, selection: Selection) -> HashMap<u32, usize> {
    let runs = &day.runs;
    if selection == Selection::All {
        return (0..runs.len()).map(|i| (runs.run[i], i)).collect();
    }
    let word = |code: u32| day.vocabulary.word(code).unwrap_or_default();
    let mut by_workflow: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for i in (0..runs.len()).filter(|&i| runs.status[i] == Status::Succeeded) {
        by_workflow.entry(runs.workflow_id[i]).or_default().push(i);
    }
    let mut chosen = HashMap::new();
    for members in by_workflow.values_mut() {
        members.sort_by_cached_key(|&i| (stable_hash(word(runs.run[i])), runs.run[i]));
        chosen.extend(members.iter().take(RUNS_PER_DAY).map(|&i| (runs.run[i], i)));
    }
    chosen
}

fn assemble(day: &Day, run: usize, attempts: &Attempts<'_>) -> (RunGraph, Vec<GraphIssue>) {
    let word = |code: u32| day.vocabulary.word(code).unwrap_or_default();
    let rows = &day.steps;
    let first_us = attempts.values().flatten().map(|&r| rows.own_start_us[r]).filter(|&t| t != NO_INSTANT).min();
    let mut dependencies_known = true;
    let targets = Targets::of(day, attempts);
    let mut issues = Vec::new();
    let mut names = Names::default();
    let mut nodes = Vec::with_capacity(attempts.len());
    for (step_id, tries) in attempts {
        let declared = tries.iter().find_map(|&row| declared(day, row));
        dependencies_known &= declared.is_some();
        let last = last_try(rows, tries);
        let (deps, missing) = targets.resolve(&declared.unwrap_or_default());
        issues.extend(missing.into_iter().map(|missing| GraphIssue::Dangling { step: (*step_id).to_owned(), missing }));
        let duration_ms = elapsed_ms(rows, tries);
        nodes.push(Node {
            step_id: Arc::from(*step_id),
            step: Arc::from(word(rows.step[last])),
            duration_ms,
            start_ms: start_ms(rows, tries, first_us),
            submitted_ms: submitted_ms(rows, tries, first_us),
            ended_ms: ended_ms(rows, tries, first_us),
            parent: tries.first().and_then(|&row| targets.step(day.parent_step_id.get(row)?)),
            deps,
            cached: tries.iter().any(|&row| rows.cache_hit[row]),
            under: circumstances(day, tries, duration_ms, &mut names),
        });
    }
    if dependencies_known {
        nodes.iter_mut().for_each(|node| (node.submitted_ms, node.ended_ms, node.parent) = (None, None, None));
    }
    let mut graph = RunGraph {
        run_id: word(day.runs.run[run]).to_owned(),
        workflow_id: word(day.runs.workflow_id[run]).to_owned(),
        workflow_type: word(day.runs.workflow_type[run]).to_owned(),
        started_us: day.runs.bucket_us[run],
        makespan_ms: makespan_ms(&nodes).or_else(|| Some(day.runs.duration_ms[run]).filter(|ms| ms.is_finite())),
        dependencies_known,
        nodes,
        outcome: outcome(day, run, attempts),
        words: names.words,
    };
    issues.extend(graph.validate());
    (graph, issues)
}

/// The names of one run's providers and platforms.
#[derive(Default)]
struct Names {
    words: Vec<Arc<str>>,
}

impl Names {
    fn position(&mut self, name: Option<&str>) -> Option<u16> {
        let name = name?;
        let found = self.words.iter().position(|word| **word == *name);
        let position = found.unwrap_or_else(|| {
            self.words.push(Arc::from(name));
            self.words.len() - 1
        });
        u16::try_from(position).ok()
    }
}

fn last_try(rows: &Executions, tries: &[usize]) -> usize {
    tries.iter().copied().max_by_key(|&row| rows.attempt[row]).unwrap_or_default()
}

fn circumstances<'a>(day: &'a Day, tries: &'a [usize], elapsed_ms: f64, names: &mut Names) -> Circumstances {
    let (rows, last) = (&day.steps, last_try(&day.steps, tries));
    let last_ms = if tries.len() > 1 { rows.duration_ms[last] } else { elapsed_ms };
    let retried_ms = elapsed_ms - last_ms;
    let before_last =
        |column: &'a [f64]| tries.iter().filter(move |&&row| row != last).filter_map(|&row| known(column[row]));
    Circumstances {
        provider: names.position(day.vocabulary.word(rows.provider[last])),
        platform: names.position(day.vocabulary.word(rows.platform[last])),
        input_bytes: known(rows.input_bytes[last]),
        tokens_in: known(rows.tokens_in[last]),
        retried_ms: if retried_ms > 0.0 { retried_ms } else { 0.0 },
        paused_ms: paused_ms(rows, tries, elapsed_ms),
        longest_retried_ms: before_last(&rows.duration_ms).fold(0.0, f64::max),
        retried_usd: before_last(&rows.cost_usd).sum(),
    }
}

/// What of `elapsed_ms` no try explains; 0 where one's duration is unknown.
fn paused_ms(rows: &Executions, tries: &[usize], elapsed_ms: f64) -> f64 {
    let busy_ms: f64 = tries.iter().map(|&row| rows.duration_ms[row]).sum();
    let paused_ms = elapsed_ms - busy_ms;
    if tries.len() > 1 && paused_ms > 0.0 { paused_ms } else { 0.0 }
}

fn known(measure: f64) -> Option<f64> {
    measure.is_finite().then_some(measure)
}

/// Ends of steps count; the run's own stands in where none is known.
fn outcome(day: &Day, run: usize, attempts: &Attempts<'_>) -> RunOutcome {
    let rows = &day.steps;
    let tries = || attempts.values().flatten().copied();
    let ends = tries().filter(|&row| !rows.cache_hit[row]).map(|row| rows.ended_us[row]);
    let ended_us = ends.chain([day.runs.ended_us[run]]).filter(|&end| end != NO_INSTANT).max();
    let sum = |column: &[f64]| tries().filter_map(|row| known(column[row])).reduce(|sum, measure| sum + measure);
    RunOutcome { ended_us, cost_usd: sum(&rows.cost_usd), tokens: sum(&rows.tokens) }
}

/// What a declared name can mean within one run: a step, or all tasks of a process.
struct Targets<'a> {
    by_step_id: HashMap<&'a str, u32>,
    by_process: HashMap<&'a str, Vec<u32>>,
}

impl<'a> Targets<'a> {
    fn of(day: &'a Day, attempts: &Attempts<'a>) -> Self {
        let mut targets = Self { by_step_id: HashMap::new(), by_process: HashMap::new() };
        for (position, (step_id, tries)) in (0..).zip(attempts) {
            targets.by_step_id.insert(step_id, position);
            let process = tries.first().and_then(|&row| day.vocabulary.word(day.steps.step[row]));
            targets.by_process.entry(process.unwrap_or(step_id)).or_default().push(position);
        }
        targets
    }

    /// Position of the step of this very name.
    fn step(&self, step_id: &str) -> Option<u32> {
        self.by_step_id.get(step_id).copied()
    }

    /// Positions of what the names stand for, and the names that the run does not hold.
    fn resolve(&self, names: &[String]) -> (Vec<u32>, Vec<String>) {
        let mut deps: Vec<u32> = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        for name in names {
            if let Some(&step) = self.by_step_id.get(name.as_str()) {
                deps.push(step);
            } else if let Some(tasks) = self.by_process.get(name.as_str()) {
                deps.extend(tasks);
            } else {
                missing.push(name.clone());
            }
        }
        deps.sort_unstable();
        deps.dedup();
        missing.sort_unstable();
        missing.dedup();
        (deps, missing)
    }
}

fn declared(day: &Day, row: usize) -> Option<Vec<String>> {
    let names = day.depends_on.get_as_series(row)?;
    let names = names.str().ok()?;
    Some(names.iter().flatten().map(str::to_owned).collect())
}

/// From the first attempt's start to the last one's end; the sum of the attempts where no times are known.
#[expect(clippy::cast_precision_loss, reason = "spans in microseconds stay far below 2^53")]
fn elapsed_ms(rows: &Executions, tries: &[usize]) -> f64 {
    let started = tries.iter().map(|&r| rows.own_start_us[r]).min().unwrap_or(NO_INSTANT);
    let ended = tries.iter().map(|&r| rows.ended_us[r]).max().unwrap_or(NO_INSTANT);
    if tries.len() > 1 && started != NO_INSTANT && ended != NO_INSTANT {
        return (ended - started).max(0) as f64 / 1e3;
    }
    tries.iter().map(|&r| rows.duration_ms[r]).filter(|ms| ms.is_finite()).sum()
}

#[expect(clippy::cast_precision_loss, reason = "spans in microseconds stay far below 2^53")]
fn start_ms(rows: &Executions, tries: &[usize], first_us: Option<i64>) -> Option<f64> {
    let started = tries.iter().map(|&r| rows.own_start_us[r]).min().filter(|&t| t != NO_INSTANT)?;
    Some((started - first_us?) as f64 / 1e3)
}

/// When the first attempt was handed over: its queue time before its start.
fn submitted_ms(rows: &Executions, tries: &[usize], first_us: Option<i64>) -> Option<f64> {
    let first = tries.iter().copied().min_by_key(|&row| rows.attempt[row])?;
    Some(start_ms(rows, &[first], first_us)? - known(rows.queue_ms[first])?)
}

/// When the last of the attempts ended, as recorded.
#[expect(clippy::cast_precision_loss, reason = "spans in microseconds stay far below 2^53")]
fn ended_ms(rows: &Executions, tries: &[usize], first_us: Option<i64>) -> Option<f64> {
    let ended = tries.iter().map(|&r| rows.ended_us[r]).max().filter(|&t| t != NO_INSTANT)?;
    Some((ended - first_us?) as f64 / 1e3)
}

/// From the first start to the last end, if every uncached step has its times.
fn makespan_ms(nodes: &[Node]) -> Option<f64> {
    let mut last = None;
    for node in nodes.iter().filter(|node| !node.cached) {
        let end = node.start_ms? + node.duration_ms;
        last = Some(last.map_or(end, |so_far: f64| so_far.max(end)));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::samples::UNKNOWN;

    #[test]
    fn tries_before_the_last_are_kept_with_what_they_took_and_cost() {
        let n = 3;
        let steps = Executions {
            attempt: vec![1, 3, 2],
            duration_ms: vec![10.0, 20.0, 30.0],
            cost_usd: vec![0.5, 0.25, f64::NAN],
            provider: vec![UNKNOWN; n],
            platform: vec![UNKNOWN; n],
            input_bytes: vec![f64::NAN; n],
            tokens_in: vec![f64::NAN; n],
            ..Executions::default()
        };
        let day = Day { steps, ..Day::default() };
        let under = circumstances(&day, &[0, 1, 2], 65.0, &mut Names::default());
        assert_eq!((under.retried_ms, under.paused_ms), (45.0, 5.0));
        assert_eq!((under.longest_retried_ms, under.retried_usd), (30.0, 0.5));
        let under = circumstances(&day, &[1], 20.0, &mut Names::default());
        assert_eq!((under.retried_ms, under.longest_retried_ms, under.retried_usd), (0.0, 0.0, 0.0));
    }
}
