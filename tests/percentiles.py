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
STEP_METRICS = {"execution_time": "duration_ms", "memory_usage": "memory_mb", "cpu_usage": "cpu_pct"}
KEY = ["workflow_id", "workflow_type", "step", "provider", "platform", "bucket_start"]


def steps_of(day):
    """Step executions that count, with what they take from their run."""
    return f"""
      SELECT coalesce(s.workflow_id, r.workflow_id) AS workflow_id,
             coalesce(s.workflow_type, r.workflow_type, s.workflow_id, r.workflow_id) AS workflow_type,
             split_part(s.step_id, '/', 1) AS step, s.provider, s.platform,
             coalesce(s.started_at, r.started_at) AS at,
             coalesce(s.duration_ms, date_diff('microsecond', s.started_at, s.ended_at) / 1e3) AS duration_ms,
             s.memory_mb, s.cpu_pct
      FROM read_parquet('{day("steps")}', union_by_name = true, hive_partitioning = false) s
      LEFT JOIN read_parquet('{day("runs")}', union_by_name = true, hive_partitioning = false) r USING (run_id)
      WHERE coalesce(s.status, 'succeeded') = 'succeeded' AND NOT coalesce(s.cache_hit, false)"""


def exact(connection, day, column, length):
    key = "workflow_id, workflow_type, step, provider, platform"
    quantiles = ", ".join(f"quantile_cont(v, {q}) AS {name}" for name, q in QUANTILES.items())
    return connection.sql(f"""
      SELECT {key}, time_bucket(INTERVAL '{length}', at) AS bucket_start, count(*) AS n, {quantiles}
      FROM (SELECT *, {column}::DOUBLE AS v FROM ({steps_of(day)})) WHERE v IS NOT NULL AND isfinite(v) GROUP BY ALL""")


def compare(connection, given, date, metric, column):
    def day(table):
        return os.path.join(given.lake, table, f"date={date}", "*.parquet").replace("'", "''")

    rollups = os.path.join(given.results, "rollups", f"period={given.period}", f"date={date}", "*.parquet")
    raw = exact(connection, day, column, BUCKETS[given.period])
    published = connection.sql(f"""
      SELECT * FROM read_parquet('{rollups.replace("'", "''")}', hive_partitioning = false)
      WHERE metric = '{metric}' AND step IS NOT NULL AND count > 0""")
    same = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in KEY)
    off = ", ".join(f"max(CASE WHEN b.{q} = a.{q} THEN 0 ELSE abs(b.{q} / a.{q} - 1) END)" for q in QUANTILES)
    return connection.sql(f"""
      SELECT count(*), coalesce(sum(a.n), 0), count(*) FILTER (a.n IS NULL OR b.count IS NULL OR a.n <> b.count), {off}
      FROM raw a FULL JOIN published b ON {same}""").fetchone()


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
    for metric, column in STEP_METRICS.items():
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
