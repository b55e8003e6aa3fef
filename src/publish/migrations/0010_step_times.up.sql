-- What costs the time of a run.
CREATE TABLE paceline.step_times (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    step text NOT NULL,
    n_runs bigint NOT NULL,
    n_executions double precision,
    duration_ms double precision,
    wait_ms double precision,
    slack_ms double precision,
    blocking_ms double precision,
    blocking_share double precision,
    typical_run_id text NOT NULL,
    typical_ready_ms double precision,
    typical_start_ms double precision,
    typical_end_ms double precision,
    is_on_critical_path boolean NOT NULL,
    inferred_confidence double precision
);
CREATE INDEX step_times_as_of ON paceline.step_times (as_of);
CREATE INDEX step_times_workflow ON paceline.step_times (workflow_id, as_of);
