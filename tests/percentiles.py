#!/usr/bin/env python3
"""Compares the percentiles of published rollups with exact ones of the raw rows.

  python tests/percentiles.py --lake LAKE --results RESULTS [--period 1d]

Exact is DuckDB's quantile_cont (linear interpolation, type 7) over the executions that count for a metric: succeeded
and not answered from a cache. Takes every day that the rollups have; results must be as of an instant after the last
execution. Prints one JSON object a metric; exits 1 if any percentile is more than 1 % off or a group is missing on
either side. Needs duckdb. Memory and time go with a day, so a lake may be large.
"""
import argparse
import glob
import json
import os
import re
import sys

import duckdb

LIMIT = 0.01
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
BUCKETS = {"5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "1d": "1 day"}
METRICS = {"execution_time": "duration_ms", "memory_usage": "memory_mb", "cpu_usage": "cpu_pct"}
KEY = ["workflow_id", "workflow_type", "step", "provider", "platform", "bucket_start"]


RUN_COLUMNS = "run_id workflow_id workflow_type started_at ended_at status provider platform queue_ms".split()
STEP_COLUMNS = (
    "run_id workflow_id workflow_type step_id started_at ended_at duration_ms status provider platform cpu_pct memory_mb cache_hit"
).split()
WORDS = "succeeded success successful completed complete ok passed pass done finished status_code_ok".split()
SUCCEEDED = "coalesce(lower(replace(replace({}, '-', '_'), ' ', '_')), 'succeeded') IN ('" + "', '".join(WORDS) + "')"


def rows_of(connection, given, table, date, columns):
    """A day of a table as a query; optional columns that it lacks are null."""
    files = os.path.join(given.lake, table, f"date={date}", "*.parquet").replace("'", "''")
    source = f"read_parquet('{files}', union_by_name = true, hive_partitioning = false)"
    known = {name for name, *_ in connection.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    return f"(SELECT {', '.join(name if name in known else f'NULL AS {name}' for name in columns)} FROM {source})"


def steps_of(runs, steps):
    """Step executions that count, with what they take from their run."""
    return f"""
      SELECT coalesce(s.workflow_id, r.workflow_id) AS workflow_id,
             coalesce(s.workflow_type, r.workflow_type, s.workflow_id, r.workflow_id) AS workflow_type,
             split_part(s.step_id, '/', 1) AS step, s.provider, s.platform,
             coalesce(s.started_at, r.started_at) AS began,
             coalesce(s.duration_ms, date_diff('microsecond', s.started_at, s.ended_at) / 1e3) AS duration_ms,
             s.memory_mb, s.cpu_pct
      FROM {steps} s LEFT JOIN {runs} r USING (run_id)
      WHERE {SUCCEEDED.format('s.status')} AND NOT coalesce(s.cache_hit, false)"""


def runs_of(runs, steps):
    """Runs that count. What a run waited between its start and its first step is no time of its own."""
    return f"""
      SELECT r.workflow_id, coalesce(r.workflow_type, r.workflow_id) AS workflow_type, NULL AS step, r.provider,
             r.platform, r.started_at AS began,
             greatest(0, date_diff('microsecond', r.started_at, r.ended_at) / 1e3 - least(coalesce(r.queue_ms, 0),
               greatest(0, coalesce(date_diff('microsecond', r.started_at, first_step), 0) / 1e3))) AS duration_ms,
             NULL AS memory_mb, NULL AS cpu_pct
      FROM {runs} r
      LEFT JOIN (SELECT run_id, min(started_at) AS first_step FROM {steps}
                 WHERE NOT coalesce(cache_hit, false) GROUP BY run_id) USING (run_id)
      WHERE {SUCCEEDED.format('r.status')}"""


def exact(runs, steps, column, length):
    key = "workflow_id, workflow_type, step, provider, platform"
    quantiles = ", ".join(f"quantile_cont(v, {q}) AS {name}" for name, q in QUANTILES.items())
    return f"""
      SELECT {key}, time_bucket(INTERVAL '{length}', began) AS bucket_start, count(*) AS n, {quantiles}
      FROM (SELECT *, {column}::DOUBLE AS v
            FROM ({steps_of(runs, steps)} UNION ALL {runs_of(runs, steps)})) WHERE v IS NOT NULL AND isfinite(v) GROUP BY ALL"""


def compare(connection, given, date, metric, column):
    runs = rows_of(connection, given, "runs", date, RUN_COLUMNS)
    steps = rows_of(connection, given, "steps", date, STEP_COLUMNS)
    rollups = os.path.join(given.results, "rollups", f"period={given.period}", f"date={date}", "*.parquet")
    published = f"""
      SELECT * FROM read_parquet('{rollups.replace("'", "''")}', hive_partitioning = false)
      WHERE metric = '{metric}' AND count > 0"""
    same = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in KEY)
    off = ", ".join(f"max(CASE WHEN b.{q} = a.{q} THEN 0 ELSE abs(b.{q} / a.{q} - 1) END)" for q in QUANTILES)
    rows = connection.sql(f"""
      WITH raw AS ({exact(runs, steps, column, BUCKETS[given.period])}), published AS ({published})
      SELECT count(*), coalesce(sum(a.n), 0), count(*) FILTER (a.n IS NULL OR b.count IS NULL OR a.n <> b.count), {off}
      FROM raw a FULL JOIN published b ON {same}""").fetchall()
    return rows[0]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lake", required=True)
    arguments.add_argument("--results", required=True)
    arguments.add_argument("--period", default="1d", choices=BUCKETS)
    given = arguments.parse_args()
    folders = glob.glob(os.path.join(given.results, "rollups", f"period={given.period}", "date=*"))
    dates = sorted(match.group(1) for match in (re.search(r"date=(\d{4}-\d\d-\d\d)$", folder) for folder in folders) if match)
    connection = duckdb.connect()
    connection.sql("SET TimeZone = 'UTC'")
    failed = not dates
    for metric, column in METRICS.items():
        total = dict(metric=metric, days=len(dates), groups=0, rows=0, differing_counts=0, **dict.fromkeys(QUANTILES, 0.0))
        for date in dates:
            groups, rows, differing, *off = compare(connection, given, date, metric, column)
            total["groups"] += groups
            total["rows"] += int(rows)
            total["differing_counts"] += differing
            for name, worst in zip(QUANTILES, off):
                total[name] = max(total[name], worst or 0.0)
        failed |= total["differing_counts"] > 0 or any(total[name] > LIMIT for name in QUANTILES)
        print(json.dumps({name: round(value, 6) if isinstance(value, float) else value for name, value in total.items()}))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
