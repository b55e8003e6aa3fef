//! Table `steps`. Grain: one attempt of one step of one run. Key: `run_id, step_id, attempt`.

use super::schema::{CanonicalTable, Field, Kind, Schema};
use polars::prelude::DataFrame;

/// The run that the step belongs to.
pub const RUN_ID: &str = "run_id";
/// The workflow of that run.
pub const WORKFLOW_ID: &str = "workflow_id";
/// The type of that workflow.
pub const WORKFLOW_TYPE: &str = "workflow_type";
/// The step, `process/index` where a process runs many tasks in one run.
pub const STEP_ID: &str = "step_id";
/// Groups alike steps over workflows.
pub const STEP_TYPE: &str = "step_type";
/// 1-based try.
pub const ATTEMPT: &str = "attempt";
/// The steps it waits for; null is unknown, empty is known to have none.
pub const DEPENDS_ON: &str = "depends_on";
/// The span that it is nested in, which is no dependency.
pub const PARENT_STEP_ID: &str = "parent_step_id";
/// When the attempt started; for a cached step, when the run that computed it did.
pub const STARTED_AT: &str = "started_at";
/// When the attempt ended.
pub const ENDED_AT: &str = "ended_at";
/// Run time, ms; without the queue.
pub const DURATION_MS: &str = "duration_ms";
/// The words of [`super::runs::STATUS`].
pub const STATUS: &str = "status";
/// Who executed it.
pub const PROVIDER: &str = "provider";
/// Where it ran.
pub const PLATFORM: &str = "platform";
/// CPU used; 100 is one core.
pub const CPU_PCT: &str = "cpu_pct";
/// Peak memory, MB of 10⁶ bytes.
pub const MEMORY_MB: &str = "memory_mb";
/// Cores asked for.
pub const CPU_REQUEST: &str = "cpu_request";
/// Memory asked for, MB.
pub const MEMORY_REQUEST_MB: &str = "memory_request_mb";
/// Calls of outside services.
pub const API_CALLS: &str = "api_calls";
/// Bytes over the network.
pub const NETWORK_BYTES: &str = "network_bytes";
/// Size of the input, bytes.
pub const INPUT_BYTES: &str = "input_bytes";
/// Size of the output, bytes.
pub const OUTPUT_BYTES: &str = "output_bytes";
/// Tokens read.
pub const TOKENS_IN: &str = "tokens_in";
/// Tokens written.
pub const TOKENS_OUT: &str = "tokens_out";
/// Cost, USD.
pub const COST_USD: &str = "cost_usd";
/// What the result is cached under.
pub const CACHE_KEY: &str = "cache_key";
/// Whether the result came from a cache.
pub const CACHE_HIT: &str = "cache_hit";
/// Time in the queue before the start, ms.
pub const QUEUE_MS: &str = "queue_ms";

/// The contract of the table.
pub static SCHEMA: Schema = Schema {
    table: "steps",
    fields: &[
        Field::required(RUN_ID, Kind::Text, "the run that the step belongs to"),
        Field::optional(WORKFLOW_ID, Kind::Text, "the workflow of that run"),
        Field::optional(WORKFLOW_TYPE, Kind::Text, "groups alike workflows; workflow_id where unknown"),
        Field::required(STEP_ID, Kind::Text, "the step; process/index for one task of many"),
        Field::optional(STEP_TYPE, Kind::Text, "groups alike steps over workflows"),
        Field::required(ATTEMPT, Kind::Integer, "1-based try; retries are rows of their own"),
        Field::optional(DEPENDS_ON, Kind::TextList, "steps it waits for; null unknown, empty known to have none"),
        Field::optional(PARENT_STEP_ID, Kind::Text, "span that it is nested in; no dependency"),
        Field::optional(
            STARTED_AT,
            Kind::Instant,
            "start of the attempt; of a cached one, in the run that computed it",
        ),
        Field::optional(ENDED_AT, Kind::Instant, "end of the attempt"),
        Field::measure(DURATION_MS, Kind::Float, "run time, ms; ended_at - started_at where not recorded"),
        Field::optional(STATUS, Kind::Text, "succeeded, failed, cancelled or running"),
        Field::optional(PROVIDER, Kind::Text, "who executed it: model vendor, cloud, machine type"),
        Field::optional(PLATFORM, Kind::Text, "where it ran"),
        Field::measure(CPU_PCT, Kind::Float, "CPU used; 100 is one core"),
        Field::measure(MEMORY_MB, Kind::Float, "peak memory, MB of 10^6 bytes"),
        Field::measure(CPU_REQUEST, Kind::Float, "cores asked for"),
        Field::measure(MEMORY_REQUEST_MB, Kind::Float, "memory asked for, MB of 10^6 bytes"),
        Field::measure(API_CALLS, Kind::Integer, "calls of outside services"),
        Field::measure(NETWORK_BYTES, Kind::Integer, "bytes over the network"),
        Field::measure(INPUT_BYTES, Kind::Integer, "size of the input, bytes"),
        Field::measure(OUTPUT_BYTES, Kind::Integer, "size of the output, bytes"),
        Field::measure(TOKENS_IN, Kind::Integer, "tokens read"),
        Field::measure(TOKENS_OUT, Kind::Integer, "tokens written"),
        Field::optional(COST_USD, Kind::Float, "cost, USD"),
        Field::optional(CACHE_KEY, Kind::Text, "what the result is cached under"),
        Field::optional(CACHE_HIT, Kind::Flag, "whether the result came from a cache"),
        Field::measure(QUEUE_MS, Kind::Float, "time in the queue before the start, ms"),
    ],
    key: &[RUN_ID, STEP_ID, ATTEMPT],
};

/// Step attempts that keep [`SCHEMA`].
#[derive(Debug, Clone, PartialEq)]
pub struct Steps(DataFrame);

impl CanonicalTable for Steps {
    const SCHEMA: &'static Schema = &SCHEMA;

    fn from_arranged(frame: DataFrame) -> Self {
        Self(frame)
    }

    fn frame(&self) -> &DataFrame {
        &self.0
    }
}

impl Steps {
    /// Gives up the table for its rows.
    #[must_use]
    pub fn into_frame(self) -> DataFrame {
        self.0
    }
}
