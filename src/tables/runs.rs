//! Table `runs`. Grain: one run (one execution of a workflow). Key: `run_id`.

use super::schema::{CanonicalTable, Field, Kind, Schema};
use polars::prelude::DataFrame;

/// Identifies the run in the whole lake.
pub const RUN_ID: &str = "run_id";
/// The definition that was executed.
pub const WORKFLOW_ID: &str = "workflow_id";
/// Groups alike workflows; the workflow itself where a source says nothing.
pub const WORKFLOW_TYPE: &str = "workflow_type";
/// When the run started.
pub const STARTED_AT: &str = "started_at";
/// When it ended.
pub const ENDED_AT: &str = "ended_at";
/// One of [`SUCCEEDED`], [`FAILED`], [`CANCELLED`], [`RUNNING`].
pub const STATUS: &str = "status";
/// Who executed it.
pub const PROVIDER: &str = "provider";
/// Where it ran.
pub const PLATFORM: &str = "platform";
/// The experiment it took part in.
pub const EXPERIMENT_ID: &str = "experiment_id";
/// The arm of that experiment.
pub const VARIANT: &str = "variant";
/// What was randomised.
pub const UNIT_ID: &str = "unit_id";
/// Time in the queue before the start, ms.
pub const QUEUE_MS: &str = "queue_ms";
/// Tokens, all kinds together.
pub const TOKENS: &str = "tokens";
/// Cost, USD.
pub const COST_USD: &str = "cost_usd";
/// Size of the input, bytes.
pub const INPUT_BYTES: &str = "input_bytes";

/// Status of an execution that ended well.
pub const SUCCEEDED: &str = "succeeded";
/// Status of an execution that ended in an error.
pub const FAILED: &str = "failed";
/// Status of an execution that was stopped or never started.
pub const CANCELLED: &str = "cancelled";
/// Status of an execution that had not ended when it was recorded.
pub const RUNNING: &str = "running";

/// The contract of the table.
pub static SCHEMA: Schema = Schema {
    table: "runs",
    fields: &[
        Field::required(RUN_ID, Kind::Text, "identifies the run"),
        Field::required(WORKFLOW_ID, Kind::Text, "the workflow definition that was executed"),
        Field::optional(WORKFLOW_TYPE, Kind::Text, "groups alike workflows; workflow_id where unknown"),
        Field::required(STARTED_AT, Kind::Instant, "when the run started"),
        Field::optional(ENDED_AT, Kind::Instant, "when the run ended"),
        Field::optional(STATUS, Kind::Text, "succeeded, failed, cancelled or running"),
        Field::optional(PROVIDER, Kind::Text, "who executed it: model vendor, cloud, machine type"),
        Field::optional(PLATFORM, Kind::Text, "where it ran"),
        Field::optional(EXPERIMENT_ID, Kind::Text, "the experiment that the run took part in"),
        Field::optional(VARIANT, Kind::Text, "the arm of that experiment"),
        Field::optional(UNIT_ID, Kind::Text, "the unit that was randomised"),
        Field::measure(QUEUE_MS, Kind::Float, "time in the queue before the start, ms"),
        Field::measure(TOKENS, Kind::Integer, "tokens of all kinds"),
        Field::optional(COST_USD, Kind::Float, "cost, USD"),
        Field::measure(INPUT_BYTES, Kind::Integer, "size of the input, bytes"),
    ],
    key: &[RUN_ID],
};

/// Runs that keep [`SCHEMA`].
#[derive(Debug, Clone, PartialEq)]
pub struct Runs(DataFrame);

impl CanonicalTable for Runs {
    const SCHEMA: &'static Schema = &SCHEMA;

    fn from_arranged(frame: DataFrame) -> Self {
        Self(frame)
    }

    fn frame(&self) -> &DataFrame {
        &self.0
    }
}

impl Runs {
    /// Gives up the table for its rows.
    #[must_use]
    pub fn into_frame(self) -> DataFrame {
        self.0
    }
}
