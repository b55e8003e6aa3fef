//! How runs go: arrivals, waiting, work, failures and retries.

use super::PlantedAnomaly;
use super::draws::Draws;
use super::world::{
    ANOMALY_RATE, CONTROL, DAYS, EXPERIMENT_ID, FIRST_ANOMALY_DAY, MAX_ATTEMPTS, REPEATED_FAILURE_RATE, StepSpec,
    TREATMENT, WORKFLOWS, WorkflowSpec, arm_factor, changed, day_start, is_experiment_on,
};
use std::collections::BTreeMap;

/// A row of `runs`; instants are microseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub(super) struct RunRow {
    pub(super) run_id: String,
    pub(super) workflow_id: &'static str,
    pub(super) workflow_type: &'static str,
    pub(super) platform: &'static str,
    pub(super) provider: &'static str,
    pub(super) experiment_id: Option<&'static str>,
    pub(super) variant: Option<&'static str>,
    pub(super) unit_id: Option<String>,
    pub(super) started_us: i64,
    pub(super) ended_us: i64,
    pub(super) has_failed: bool,
    pub(super) queue_ms: f64,
    pub(super) tokens: i64,
    pub(super) cost_usd: f64,
    pub(super) input_bytes: i64,
}

/// A row of `steps`.
#[derive(Debug, Clone)]
pub(super) struct StepRow {
    pub(super) run_id: String,
    pub(super) workflow_id: &'static str,
    pub(super) workflow_type: &'static str,
    pub(super) platform: &'static str,
    pub(super) provider: &'static str,
    pub(super) step_id: String,
    pub(super) step_type: &'static str,
    pub(super) attempt: i64,
    pub(super) depends_on: &'static [&'static str],
    pub(super) started_us: i64,
    pub(super) duration_ms: f64,
    pub(super) has_failed: bool,
    pub(super) cpu_pct: f64,
    pub(super) memory_mb: f64,
    pub(super) cpu_request: f64,
    pub(super) memory_request_mb: f64,
    pub(super) api_calls: i64,
    pub(super) network_bytes: i64,
    pub(super) input_bytes: i64,
    pub(super) output_bytes: i64,
    pub(super) tokens_in: Option<i64>,
    pub(super) tokens_out: Option<i64>,
    pub(super) cost_usd: f64,
    pub(super) cache_key: Option<String>,
}

impl StepRow {
    pub(super) fn ended_us(&self) -> i64 {
        self.started_us.saturating_add(whole(self.duration_ms * 1e3))
    }
}

/// All that happened.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) runs: Vec<RunRow>,
    pub(super) steps: Vec<StepRow>,
    pub(super) anomalies: Vec<PlantedAnomaly>,
}

/// Price of a core for an hour.
const CORE_HOUR_USD: f64 = 0.048;
/// Prices of tokens in and out, the same at every provider.
const TOKEN_USD: (f64, f64) = (3e-6, 15e-6);
/// Time between a step and those that follow it, and before a retry.
const HANDOVER_MS: f64 = 250.0;
const BACKOFF_MS: f64 = 2_000.0;
/// Users that an experiment assigns to arms.
const N_USERS: u64 = 300;

/// Simulates all days; runs are sorted by start, steps by run.
pub(super) fn history(seed: u64) -> History {
    let mut blocks = Vec::new();
    for (workflow_idx, workflow) in (0_u64..).zip(WORKFLOWS) {
        let mut serial = 0_u64;
        for day in 0..DAYS {
            for _ in 0..runs_on(workflow, day, &mut Draws::of(&[seed, workflow_idx, u64::from(day)])) {
                serial += 1;
                blocks.push(simulate(workflow, day, serial, Draws::of(&[seed, workflow_idx, u64::from(day), serial])));
            }
        }
    }
    blocks.sort_by(|a, b| (a.run.started_us, &a.run.run_id).cmp(&(b.run.started_us, &b.run.run_id)));
    let mut history = History::default();
    for Block { run, steps, anomalies } in blocks {
        history.runs.push(run);
        history.steps.extend(steps);
        history.anomalies.extend(anomalies);
    }
    history
}

/// One run more or less than planned.
fn runs_on(workflow: &WorkflowSpec, day: u32, draws: &mut Draws) -> u64 {
    let planned = if day % 7 >= 5 { workflow.weekend_runs } else { workflow.weekday_runs };
    (u64::from(planned) + draws.below(3)).saturating_sub(1)
}

struct Block {
    run: RunRow,
    steps: Vec<StepRow>,
    anomalies: Vec<PlantedAnomaly>,
}

/// What all steps of a run share.
struct Circumstances {
    workflow: &'static WorkflowSpec,
    run_id: String,
    day: u32,
    provider: &'static str,
    /// Of time, by provider and arm.
    time_factor: f64,
    /// Of the input, 1 is typical.
    size: f64,
}

fn simulate(workflow: &'static WorkflowSpec, day: u32, serial: u64, mut draws: Draws) -> Block {
    let started_us = start_of_run(day, &mut draws);
    let (provider, provider_factor) = pick(workflow.providers, &mut draws);
    let user = draws.below(N_USERS);
    let variant = is_experiment_on(workflow, day).then(|| if draws.chance(0.5) { TREATMENT } else { CONTROL });
    let run_id = format!("{}-{serial:05}", workflow.workflow_id);
    let circumstances = Circumstances {
        workflow,
        run_id,
        day,
        provider,
        time_factor: provider_factor * arm_factor(variant),
        size: (1.0 + workflow.size_spread * draws.normal()).clamp(0.3, 2.5),
    };
    let queue_ms = round(1_500.0 * draws.factor(0.6), 1.0);
    let (steps, anomalies, has_failed) = run_steps(&circumstances, started_us, &mut draws);
    let run = RunRow {
        workflow_id: workflow.workflow_id,
        workflow_type: workflow.workflow_type,
        platform: workflow.platform,
        provider,
        experiment_id: variant.map(|_| EXPERIMENT_ID),
        variant,
        unit_id: variant.map(|_| format!("user-{user:03}")),
        started_us,
        ended_us: steps.iter().map(StepRow::ended_us).max().unwrap_or(started_us),
        has_failed,
        queue_ms,
        tokens: steps.iter().flat_map(|s| [s.tokens_in, s.tokens_out]).flatten().sum(),
        cost_usd: round(steps.iter().map(|s| s.cost_usd).sum(), 1e-6),
        input_bytes: whole(workflow.input_bytes * circumstances.size),
        run_id: circumstances.run_id,
    };
    Block { run, steps, anomalies }
}

/// Between 7:00 and 20:00, mostly around half past one.
fn start_of_run(day: u32, draws: &mut Draws) -> i64 {
    let hours = 7.0 + 6.5 * (draws.uniform() + draws.uniform());
    day_start(day).timestamp_micros().saturating_add(whole(hours * 3.6e9))
}

fn pick(providers: &'static [(&'static str, f64)], draws: &mut Draws) -> (&'static str, f64) {
    let idx = usize::try_from(draws.below(providers.len() as u64)).unwrap_or_default();
    providers.get(idx).copied().unwrap_or(("", 1.0))
}

/// Steps in the order of the workflow; what depends on a failed one does not start.
fn run_steps(run: &Circumstances, started_us: i64, draws: &mut Draws) -> (Vec<StepRow>, Vec<PlantedAnomaly>, bool) {
    let mut rows = Vec::new();
    let mut anomalies = Vec::new();
    // When each step was over, for those that came to an end.
    let mut done_us: BTreeMap<&str, i64> = BTreeMap::new();
    for step in run.workflow.steps {
        let waits = step.after.iter().chain(step.waits_for).map(|name| done_us.get(name).copied());
        let Some(ready_us) = waits.collect::<Option<Vec<i64>>>() else { continue };
        let ready_us = ready_us.into_iter().max().unwrap_or(started_us).saturating_add(whole(HANDOVER_MS * 1e3));
        let mut ends_us = Vec::new();
        for task in 0..step.tasks {
            let (attempts, end_us) = run_task(run, step, task, ready_us, &mut anomalies, draws);
            rows.extend(attempts);
            ends_us.push(end_us);
        }
        if let Some(all_us) = ends_us.into_iter().collect::<Option<Vec<i64>>>() {
            done_us.insert(step.name, all_us.into_iter().max().unwrap_or(ready_us));
        }
    }
    (rows, anomalies, done_us.len() < run.workflow.steps.len())
}

/// The attempts of one task, and when it was over, none where all attempts failed.
fn run_task(
    run: &Circumstances,
    step: &StepSpec,
    task: u32,
    ready_us: i64,
    anomalies: &mut Vec<PlantedAnomaly>,
    draws: &mut Draws,
) -> (Vec<StepRow>, Option<i64>) {
    let mut rows = Vec::new();
    let mut start_us = ready_us;
    for attempt in 1..=MAX_ATTEMPTS {
        let failure_rate = if attempt == 1 { step.failure_rate } else { REPEATED_FAILURE_RATE };
        let has_failed = draws.chance(failure_rate);
        let mut row = execution(run, step, task, start_us, draws);
        row.attempt = attempt;
        if has_failed {
            row.has_failed = true;
            row.duration_ms = round(row.duration_ms * (0.2 + 0.7 * draws.uniform()), 1.0);
        } else if run.day >= FIRST_ANOMALY_DAY && draws.chance(ANOMALY_RATE) {
            anomalies.push(plant(&mut row, draws));
        }
        let end_us = row.ended_us();
        rows.push(row);
        if !has_failed {
            return (rows, Some(end_us));
        }
        start_us = end_us.saturating_add(whole(BACKOFF_MS * 1e3));
    }
    (rows, None)
}

/// One attempt that goes well.
fn execution(run: &Circumstances, step: &StepSpec, task: u32, started_us: i64, draws: &mut Draws) -> StepRow {
    let workflow = run.workflow;
    let changed = |metric| changed(workflow.workflow_id, step.name, metric, run.day);
    // Tasks of one batch have inputs of their own.
    let size = if step.tasks > 1 { run.size * draws.factor(0.2) } else { run.size };
    let by_size = |slope: f64| 1.0 + slope * (size - 1.0);
    let duration_ms = step.duration_ms
        * by_size(step.size_slope)
        * run.time_factor
        * changed("execution_time")
        * draws.factor(step.noise);
    let memory_mb = step.memory_mb * by_size(0.4 * step.size_slope) * changed("memory_usage") * draws.factor(0.04);
    let input_bytes = workflow.input_bytes * size / f64::from(step.tasks);
    let tokens = step
        .tokens
        .map(|(read, written)| (read * by_size(0.8) * draws.factor(0.08), written * by_size(0.3) * draws.factor(0.12)));
    let core_usd = duration_ms / 3.6e6 * step.cpu_request * CORE_HOUR_USD;
    let token_usd = tokens.map_or(0.0, |(read, written)| read * TOKEN_USD.0 + written * TOKEN_USD.1);
    StepRow {
        run_id: run.run_id.clone(),
        workflow_id: workflow.workflow_id,
        workflow_type: workflow.workflow_type,
        platform: workflow.platform,
        provider: run.provider,
        step_id: if step.tasks > 1 { format!("{}/{task}", step.name) } else { step.name.to_owned() },
        step_type: step.step_type,
        attempt: 1,
        depends_on: step.after,
        started_us,
        duration_ms: round(duration_ms, 1.0),
        has_failed: false,
        cpu_pct: round(step.cpu_pct * draws.factor(0.06), 0.1),
        memory_mb: round(memory_mb, 0.1),
        cpu_request: step.cpu_request,
        memory_request_mb: step.memory_request_mb,
        api_calls: whole(step.api_calls),
        network_bytes: whole(input_bytes * 0.3 * draws.factor(0.15)),
        input_bytes: whole(input_bytes),
        output_bytes: whole(input_bytes * 0.6 * draws.factor(0.1)),
        tokens_in: tokens.map(|(read, _)| whole(read)),
        tokens_out: tokens.map(|(_, written)| whole(written)),
        cost_usd: round(core_usd + token_usd, 1e-6),
        cache_key: step.same_input_days.map(|days| format!("{}-{:03}", step.name, run.day / days)),
    }
}

/// Makes an execution strange.
fn plant(row: &mut StepRow, draws: &mut Draws) -> PlantedAnomaly {
    let strength = 1.0 + draws.uniform();
    let kind = match draws.below(3) {
        0 => {
            row.duration_ms = round(row.duration_ms * 5.0 * strength, 1.0);
            "duration_spike"
        }
        1 => {
            row.memory_mb = round(row.memory_mb * 3.0 * strength, 0.1);
            "memory_blowup"
        }
        _ => {
            row.network_bytes = row.network_bytes.saturating_mul(whole(20.0 * strength));
            "network_flood"
        }
    };
    PlantedAnomaly { run_id: row.run_id.clone(), step_id: row.step_id.clone(), attempt: row.attempt, kind }
}

fn round(value: f64, unit: f64) -> f64 {
    // Dividing by the inverse keeps decimal units exact: 0.1 is no double, 10 is.
    let per_unit = (1.0 / unit).round();
    (value * per_unit).round() / per_unit
}

fn whole(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and sizes here are far below 2⁶³")]
    let whole = value.round() as i64;
    whole
}
