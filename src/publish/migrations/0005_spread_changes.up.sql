-- Where the executions of a series began to scatter more, or less.
CREATE TABLE paceline.spread_changes (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text,
    metric text NOT NULL,
    changed_at timestamptz NOT NULL,
    before double precision,
    after double precision,
    effect_ratio double precision,
    effect_lower double precision,
    effect_upper double precision,
    level double precision,
    p_value double precision
);
CREATE INDEX spread_changes_as_of ON paceline.spread_changes (as_of);
CREATE INDEX spread_changes_workflow ON paceline.spread_changes (workflow_id, as_of);
