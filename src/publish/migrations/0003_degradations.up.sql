-- Steps that took longer in the latest window than like executions before.
CREATE TABLE paceline.degradations (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text NOT NULL,
    metric text NOT NULL,
    severity text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    n bigint NOT NULL,
    n_before bigint NOT NULL,
    observed_ms double precision,
    expected_ms double precision,
    ratio double precision,
    ratio_lower double precision,
    ratio_upper double precision,
    level double precision,
    p_value double precision
);
CREATE INDEX degradations_as_of ON paceline.degradations (as_of);
CREATE INDEX degradations_workflow ON paceline.degradations (workflow_id, as_of);
