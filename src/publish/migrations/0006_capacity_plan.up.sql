-- What the runs of the days to come need of each resource, and whether that is there.
CREATE TABLE paceline.capacity_plan (
    as_of timestamptz NOT NULL,
    resource text NOT NULL,
    provider text,
    unit text NOT NULL,
    growth double precision,
    horizon bigint NOT NULL,
    ds timestamptz NOT NULL,
    demand_p50 double precision,
    demand_p80 double precision,
    demand_p95 double precision,
    demand_lower double precision,
    demand_upper double precision,
    level double precision,
    capacity double precision,
    shortage_probability double precision,
    exhausted_on timestamptz,
    exhausted_lower timestamptz,
    exhausted_upper timestamptz,
    cutoff timestamptz NOT NULL
);
CREATE INDEX capacity_plan_as_of ON paceline.capacity_plan (as_of);
