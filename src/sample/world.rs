//! The three workflows and what is wrong with them.

use super::simulate::History;
use super::{
    PlantedChange, PlantedDip, PlantedExperiment, PlantedPair, PlantedProvider, PlantedRequest, PlantedStep, Truth,
};
use chrono::{DateTime, TimeDelta, Utc};

/// Days of history: six weeks, Monday to Sunday.
pub(super) const DAYS: u32 = 42;
/// Monday, 31 August 2026.
const START_SECONDS: i64 = 1_788_134_400;
/// Share of executions that are made strange, from the second week on, when there is something to compare with.
pub(super) const ANOMALY_RATE: f64 = 0.004;
/// First day with anomalies.
pub(super) const FIRST_ANOMALY_DAY: u32 = 7;
/// Tries that a step gets.
pub(super) const MAX_ATTEMPTS: i64 = 2;
/// How much likelier a second failure is than a first one: what broke once is often still broken.
pub(super) const REPEATED_FAILURE_RATE: f64 = 0.3;

/// A workflow.
#[derive(Debug)]
pub(super) struct WorkflowSpec {
    pub(super) workflow_id: &'static str,
    pub(super) workflow_type: &'static str,
    pub(super) platform: &'static str,
    /// With the factor of time that each brings along.
    pub(super) providers: &'static [(&'static str, f64)],
    pub(super) weekday_runs: u32,
    pub(super) weekend_runs: u32,
    pub(super) input_bytes: f64,
    /// How much inputs differ from run to run, relative to the typical one.
    pub(super) size_spread: f64,
    pub(super) steps: &'static [StepSpec],
}

/// A step, at a typical input.
#[derive(Debug)]
pub(super) struct StepSpec {
    pub(super) name: &'static str,
    pub(super) step_type: &'static str,
    /// Declared dependencies.
    pub(super) after: &'static [&'static str],
    /// What it waits for without declaring it.
    pub(super) waits_for: &'static [&'static str],
    /// Tasks side by side; one runs under the plain name.
    pub(super) tasks: u32,
    pub(super) duration_ms: f64,
    pub(super) noise: f64,
    /// 0: time does not depend on the input; 1: it is proportional to it.
    pub(super) size_slope: f64,
    pub(super) cpu_pct: f64,
    pub(super) memory_mb: f64,
    pub(super) cpu_request: f64,
    pub(super) memory_request_mb: f64,
    /// In and out.
    pub(super) tokens: Option<(f64, f64)>,
    pub(super) api_calls: f64,
    pub(super) failure_rate: f64,
    /// Days for which the same input comes again and again; none where every input is new.
    pub(super) same_input_days: Option<u32>,
}

const STEP: StepSpec = StepSpec {
    name: "",
    step_type: "compute",
    after: &[],
    waits_for: &[],
    tasks: 1,
    duration_ms: 10_000.0,
    noise: 0.08,
    size_slope: 0.0,
    cpu_pct: 70.0,
    memory_mb: 400.0,
    cpu_request: 1.0,
    memory_request_mb: 512.0,
    tokens: None,
    api_calls: 0.0,
    failure_rate: 0.002,
    same_input_days: None,
};

/// A CI pipeline: lint and unit tests could run side by side, dependencies are installed anew every time.
const CI: WorkflowSpec = WorkflowSpec {
    workflow_id: "web-ci",
    workflow_type: "ci",
    platform: "linux-x64",
    providers: &[("runner-m", 1.0)],
    weekday_runs: 16,
    weekend_runs: 5,
    input_bytes: 60e6,
    size_spread: 0.25,
    steps: &[
        StepSpec {
            name: "checkout",
            step_type: "fetch",
            duration_ms: 9_000.0,
            memory_mb: 120.0,
            memory_request_mb: 192.0,
            ..STEP
        },
        StepSpec {
            name: "install",
            step_type: "install",
            after: &["checkout"],
            duration_ms: 95_000.0,
            memory_mb: 600.0,
            memory_request_mb: 1_024.0,
            api_calls: 40.0,
            same_input_days: Some(9),
            ..STEP
        },
        StepSpec {
            name: "lint",
            step_type: "check",
            after: &["install"],
            duration_ms: 70_000.0,
            cpu_pct: 95.0,
            size_slope: 0.4,
            ..STEP
        },
        StepSpec {
            name: "unit",
            step_type: "test",
            after: &["install"],
            waits_for: &["lint"],
            duration_ms: 150_000.0,
            cpu_pct: 90.0,
            size_slope: 0.4,
            memory_mb: 1_300.0,
            memory_request_mb: 2_048.0,
            ..STEP
        },
        StepSpec {
            name: "build",
            step_type: "build",
            after: &["lint", "unit"],
            duration_ms: 120_000.0,
            cpu_pct: 180.0,
            cpu_request: 2.0,
            size_slope: 0.5,
            memory_mb: 1_700.0,
            memory_request_mb: 2_560.0,
            ..STEP
        },
        StepSpec {
            name: "e2e",
            step_type: "test",
            after: &["build"],
            tasks: 4,
            duration_ms: 80_000.0,
            noise: 0.12,
            memory_mb: 900.0,
            memory_request_mb: 1_536.0,
            failure_rate: 0.04,
            ..STEP
        },
        StepSpec {
            name: "publish",
            step_type: "upload",
            after: &["e2e"],
            duration_ms: 14_000.0,
            memory_mb: 150.0,
            memory_request_mb: 256.0,
            ..STEP
        },
    ],
};

/// A data pipeline whose time follows its input; each sample of a batch is a task of its own.
const GENOMICS: WorkflowSpec = WorkflowSpec {
    workflow_id: "rnaseq-daily",
    workflow_type: "rnaseq",
    platform: "linux-x64",
    providers: &[("cluster-a", 1.0)],
    weekday_runs: 7,
    weekend_runs: 3,
    input_bytes: 4e9,
    size_spread: 0.35,
    steps: &[
        StepSpec {
            name: "FETCH",
            step_type: "fetch",
            duration_ms: 60_000.0,
            size_slope: 0.8,
            cpu_pct: 30.0,
            cpu_request: 0.5,
            api_calls: 6.0,
            ..STEP
        },
        StepSpec {
            name: "FASTQC",
            step_type: "qc",
            after: &["FETCH"],
            tasks: 4,
            duration_ms: 75_000.0,
            size_slope: 0.9,
            cpu_pct: 98.0,
            ..STEP
        },
        StepSpec {
            name: "ALIGN",
            step_type: "align",
            after: &["FETCH"],
            tasks: 4,
            duration_ms: 420_000.0,
            size_slope: 1.0,
            cpu_pct: 380.0,
            cpu_request: 4.0,
            memory_mb: 5_200.0,
            memory_request_mb: 8_192.0,
            failure_rate: 0.015,
            ..STEP
        },
        StepSpec {
            name: "SORT",
            step_type: "sort",
            after: &["ALIGN"],
            tasks: 4,
            duration_ms: 110_000.0,
            size_slope: 0.9,
            memory_mb: 900.0,
            memory_request_mb: 8_192.0,
            ..STEP
        },
        StepSpec {
            name: "MERGE",
            step_type: "merge",
            after: &["SORT", "FASTQC"],
            duration_ms: 140_000.0,
            size_slope: 0.7,
            memory_mb: 1_500.0,
            memory_request_mb: 4_096.0,
            ..STEP
        },
    ],
};

/// An agent that calls a language model at two providers of equal price.
const AGENT: WorkflowSpec = WorkflowSpec {
    workflow_id: "support-agent",
    workflow_type: "agent",
    platform: "serverless",
    providers: &[("north", 1.0), ("south", 1.25)],
    weekday_runs: 20,
    weekend_runs: 8,
    input_bytes: 9e3,
    // Small, so that a few hundred runs show what the experiment does.
    size_spread: 0.15,
    steps: &[
        StepSpec {
            name: "retrieve",
            step_type: "search",
            duration_ms: 900.0,
            cpu_pct: 20.0,
            memory_mb: 180.0,
            cpu_request: 0.25,
            memory_request_mb: 256.0,
            api_calls: 2.0,
            ..STEP
        },
        StepSpec {
            name: "plan",
            step_type: "llm",
            after: &["retrieve"],
            duration_ms: 4_200.0,
            noise: 0.12,
            size_slope: 0.5,
            cpu_pct: 4.0,
            memory_mb: 90.0,
            cpu_request: 0.1,
            memory_request_mb: 128.0,
            tokens: Some((2_400.0, 350.0)),
            api_calls: 1.0,
            ..STEP
        },
        StepSpec {
            name: "tool",
            step_type: "tool",
            after: &["plan"],
            tasks: 2,
            duration_ms: 2_600.0,
            noise: 0.15,
            cpu_pct: 35.0,
            memory_mb: 220.0,
            cpu_request: 0.5,
            memory_request_mb: 384.0,
            api_calls: 3.0,
            failure_rate: 0.02,
            ..STEP
        },
        StepSpec {
            name: "answer",
            step_type: "llm",
            after: &["tool"],
            duration_ms: 6_800.0,
            noise: 0.12,
            size_slope: 0.5,
            cpu_pct: 4.0,
            memory_mb: 90.0,
            cpu_request: 0.1,
            memory_request_mb: 128.0,
            tokens: Some((3_900.0, 700.0)),
            api_calls: 1.0,
            ..STEP
        },
    ],
};

/// All of them.
pub(super) const WORKFLOWS: [&WorkflowSpec; 3] = [&CI, &GENOMICS, &AGENT];

/// A lasting change, by day.
struct Change {
    workflow_id: &'static str,
    step: &'static str,
    metric: &'static str,
    day: u32,
    factor: f64,
}

const CHANGES: [Change; 2] = [
    Change { workflow_id: "web-ci", step: "build", metric: "execution_time", day: 28, factor: 1.4 },
    Change { workflow_id: "rnaseq-daily", step: "MERGE", metric: "memory_usage", day: 24, factor: 1.6 },
];

const EXPERIMENT_TYPE: &str = "agent";
/// Name of the experiment.
pub(super) const EXPERIMENT_ID: &str = "shorter-prompt";
/// The arm that is as before.
pub(super) const CONTROL: &str = "control";
/// The arm that is not.
pub(super) const TREATMENT: &str = "treatment";
const EXPERIMENT_DAY: u32 = 14;
const EXPERIMENT_TIME_EFFECT: f64 = -0.12;

/// Midnight of a day of the history.
pub(super) fn day_start(day: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(START_SECONDS, 0).unwrap_or_default() + TimeDelta::days(i64::from(day))
}

/// How a lasting change multiplies a metric of a step on a day.
pub(super) fn changed(workflow_id: &str, step: &str, metric: &str, day: u32) -> f64 {
    let holds = |c: &&Change| c.workflow_id == workflow_id && c.step == step && c.metric == metric && c.day <= day;
    CHANGES.iter().filter(holds).map(|change| change.factor).product()
}

/// Whether runs of the workflow are assigned to arms on a day.
pub(super) fn is_experiment_on(workflow: &WorkflowSpec, day: u32) -> bool {
    workflow.workflow_type == EXPERIMENT_TYPE && day >= EXPERIMENT_DAY
}

/// How an arm multiplies time.
pub(super) fn arm_factor(variant: Option<&str>) -> f64 {
    if variant == Some(TREATMENT) { 1.0 + EXPERIMENT_TIME_EFFECT } else { 1.0 }
}

/// The truth of a history.
pub(super) fn truth(seed: u64, history: &History) -> Truth {
    let changes = CHANGES.iter().map(|&Change { workflow_id, step, metric, day, factor }| PlantedChange {
        workflow_id,
        step,
        metric,
        at: day_start(day),
        factor,
    });
    let dips = WORKFLOWS.iter().map(|w| PlantedDip {
        workflow_id: w.workflow_id,
        weekday_runs: w.weekday_runs,
        weekend_runs: w.weekend_runs,
    });
    Truth {
        seed,
        start: day_start(0),
        end: day_start(DAYS),
        n_runs: history.runs.len(),
        n_steps: history.steps.len(),
        change_points: changes.collect(),
        anomalies: history.anomalies.clone(),
        cacheable: PlantedStep { workflow_id: "web-ci", step: "install" },
        sequential: PlantedPair { workflow_id: "web-ci", first: "lint", second: "unit" },
        over_requested: PlantedRequest {
            workflow_id: "rnaseq-daily",
            step: "SORT",
            memory_request_mb: 8_192.0,
            memory_mb: 900.0,
        },
        slow_provider: PlantedProvider {
            workflow_id: "support-agent",
            slow: "south",
            fast: "north",
            time_ratio: 1.25,
            price_ratio: 1.0,
        },
        experiment: PlantedExperiment {
            id: EXPERIMENT_ID,
            workflow_type: EXPERIMENT_TYPE,
            control: CONTROL,
            treatment: TREATMENT,
            start: day_start(EXPERIMENT_DAY),
            time_effect: EXPERIMENT_TIME_EFFECT,
        },
        weekend_dips: dips.collect(),
    }
}
