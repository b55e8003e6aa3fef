-- Every published table as the database holds it: the columns of its Parquet files, and the folders of their path
-- (as_of, or period and date) as columns. A test holds these columns against the tables' own declarations.
-- No row is unique here beyond what the writer checks, so that nothing that was published can fail to load.

CREATE TABLE paceline.applied_version (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    version bigint NOT NULL,
    digest text NOT NULL
);
COMMENT ON TABLE paceline.applied_version IS 'The last ledger entry whose files are in these tables';

CREATE TABLE paceline.rollups (
    period text NOT NULL,
    date date NOT NULL,
    bucket_start timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text,
    provider text,
    platform text,
    metric text NOT NULL,
    count bigint NOT NULL,
    error_count bigint NOT NULL,
    sum double precision,
    mean double precision,
    std double precision,
    min double precision,
    max double precision,
    p50 double precision,
    p90 double precision,
    p95 double precision,
    p99 double precision,
    bins smallint[] NOT NULL,
    bin_counts bigint[] NOT NULL
);
CREATE INDEX rollups_partition ON paceline.rollups (period, date);
CREATE INDEX rollups_series ON paceline.rollups (workflow_id, metric, period, bucket_start);

CREATE TABLE paceline.baselines (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text,
    metric text NOT NULL,
    unit text NOT NULL,
    value double precision,
    value_lower double precision,
    value_upper double precision,
    level double precision,
    spread double precision,
    normal_lower double precision,
    normal_upper double precision,
    normal_level double precision,
    method text NOT NULL,
    sample_size bigint NOT NULL,
    regime_started_at timestamptz NOT NULL,
    version bigint NOT NULL
);
CREATE INDEX baselines_as_of ON paceline.baselines (as_of);
CREATE INDEX baselines_workflow ON paceline.baselines (workflow_id, as_of);

CREATE TABLE paceline.predictions (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text NOT NULL,
    provider text,
    size_bucket text NOT NULL,
    input_bytes double precision,
    target text NOT NULL,
    point double precision,
    lower double precision,
    upper double precision,
    level double precision,
    n_seen bigint NOT NULL
);
CREATE INDEX predictions_as_of ON paceline.predictions (as_of);
CREATE INDEX predictions_workflow ON paceline.predictions (workflow_id, as_of);

CREATE TABLE paceline.model_scores (
    as_of timestamptz NOT NULL,
    engine text NOT NULL,
    target text NOT NULL,
    group_id text NOT NULL,
    model text NOT NULL,
    is_rival boolean NOT NULL,
    n bigint NOT NULL,
    in20 double precision,
    mdape double precision,
    wape double precision,
    mase double precision,
    coverage double precision,
    width_ratio double precision,
    level double precision
);
CREATE INDEX model_scores_as_of ON paceline.model_scores (as_of);

CREATE TABLE paceline.anomalies (
    as_of timestamptz NOT NULL,
    run_id text NOT NULL,
    step_id text,
    attempt bigint,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text,
    started_at timestamptz,
    ended_at timestamptz,
    score double precision,
    direction text NOT NULL,
    severity text NOT NULL,
    metric text NOT NULL,
    observed double precision,
    expected double precision,
    expected_lower double precision,
    expected_upper double precision,
    level double precision,
    reasons text[] NOT NULL
);
CREATE INDEX anomalies_as_of ON paceline.anomalies (as_of);
CREATE INDEX anomalies_workflow ON paceline.anomalies (workflow_id, as_of);

CREATE TABLE paceline.change_points (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text,
    metric text NOT NULL,
    unit text NOT NULL,
    changed_at timestamptz NOT NULL,
    before double precision,
    after double precision,
    effect_ratio double precision,
    effect_lower double precision,
    effect_upper double precision,
    level double precision,
    p_value double precision,
    state text NOT NULL
);
CREATE INDEX change_points_as_of ON paceline.change_points (as_of);
CREATE INDEX change_points_workflow ON paceline.change_points (workflow_id, as_of);

CREATE TABLE paceline.bottlenecks (
    as_of timestamptz NOT NULL,
    rank bigint NOT NULL,
    bottleneck_id text NOT NULL,
    workflow_id text NOT NULL,
    step text,
    type text NOT NULL,
    severity text NOT NULL,
    impact double precision,
    impact_lower double precision,
    impact_upper double precision,
    level double precision,
    saving_ms double precision,
    description text NOT NULL,
    causes text[] NOT NULL,
    evidence text[] NOT NULL,
    status text NOT NULL,
    opened_at timestamptz NOT NULL
);
CREATE INDEX bottlenecks_as_of ON paceline.bottlenecks (as_of);
CREATE INDEX bottlenecks_workflow ON paceline.bottlenecks (workflow_id, as_of);

CREATE TABLE paceline.comparisons (
    as_of timestamptz NOT NULL,
    workflow_type text NOT NULL,
    dimension text NOT NULL,
    a text NOT NULL,
    b text NOT NULL,
    metric text NOT NULL,
    ratio double precision,
    ratio_lower double precision,
    ratio_upper double precision,
    level double precision,
    n_a bigint NOT NULL,
    n_b bigint NOT NULL
);
CREATE INDEX comparisons_as_of ON paceline.comparisons (as_of);

CREATE TABLE paceline.trends (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text,
    metric text NOT NULL,
    unit text NOT NULL,
    window_days bigint NOT NULL,
    change double precision,
    change_lower double precision,
    change_upper double precision,
    level double precision,
    slope_per_day double precision,
    strength double precision,
    direction text NOT NULL,
    sample_size bigint NOT NULL
);
CREATE INDEX trends_as_of ON paceline.trends (as_of);
CREATE INDEX trends_workflow ON paceline.trends (workflow_id, as_of);

CREATE TABLE paceline.forecasts (
    as_of timestamptz NOT NULL,
    workflow_id text NOT NULL,
    workflow_type text NOT NULL,
    step text,
    metric text NOT NULL,
    unit text NOT NULL,
    horizon bigint NOT NULL,
    ds timestamptz NOT NULL,
    model text NOT NULL,
    point double precision,
    lower double precision,
    upper double precision,
    level double precision,
    cutoff timestamptz NOT NULL
);
CREATE INDEX forecasts_as_of ON paceline.forecasts (as_of);
CREATE INDEX forecasts_workflow ON paceline.forecasts (workflow_id, as_of);

CREATE TABLE paceline.experiments (
    as_of timestamptz NOT NULL,
    experiment_id text NOT NULL,
    workflow_type text NOT NULL,
    metric text NOT NULL,
    arm text NOT NULL,
    n bigint NOT NULL,
    estimate double precision,
    effect double precision,
    effect_lower double precision,
    effect_upper double precision,
    relative_effect double precision,
    relative_lower double precision,
    relative_upper double precision,
    level double precision,
    p_value double precision,
    method text NOT NULL,
    srm_p_value double precision,
    decision text NOT NULL,
    looks bigint NOT NULL,
    first_look_at timestamptz NOT NULL
);
CREATE INDEX experiments_as_of ON paceline.experiments (as_of);

CREATE TABLE paceline.recommendations (
    as_of timestamptz NOT NULL,
    recommendation_id text NOT NULL,
    rank bigint NOT NULL,
    workflow_id text NOT NULL,
    target text NOT NULL,
    type text NOT NULL,
    category text NOT NULL,
    title text NOT NULL,
    impact double precision,
    impact_lower double precision,
    impact_upper double precision,
    level double precision,
    saving_ms double precision,
    saving_ms_lower double precision,
    saving_ms_upper double precision,
    saving_usd double precision,
    saving_usd_lower double precision,
    saving_usd_upper double precision,
    feasibility double precision,
    effort text NOT NULL,
    risk text NOT NULL,
    probability double precision,
    actions json NOT NULL,
    evidence text[] NOT NULL,
    status text NOT NULL,
    portfolio_rank bigint NOT NULL,
    portfolio_saving_ms double precision
);
CREATE INDEX recommendations_as_of ON paceline.recommendations (as_of);
CREATE INDEX recommendations_workflow ON paceline.recommendations (workflow_id, as_of);

CREATE TABLE paceline.skips (
    as_of timestamptz NOT NULL,
    analysis text NOT NULL,
    workflow text NOT NULL,
    workflow_type text,
    step text,
    metric text,
    reason text NOT NULL
);
CREATE INDEX skips_as_of ON paceline.skips (as_of);

CREATE TABLE paceline.rejects (
    as_of timestamptz NOT NULL,
    file text NOT NULL,
    row bigint,
    "column" text,
    value text,
    reason text NOT NULL
);
CREATE INDEX rejects_as_of ON paceline.rejects (as_of);
