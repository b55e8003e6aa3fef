#!/usr/bin/env python3
"""Holds `capacity_plan` against what came in afterwards.

  python tests/capacity.py --paceline BIN [--days 50,60] LAKE…

LAKE is one of the yardstick's (synth.py). The job runs as of the end of each of the days, and every planned day that the
lake holds is compared: what was really spent, and the most at once by a sweep over all starts and ends. Prints one JSON
object a lake and resource: mean log of what came over the median, mean relative error of the median, and the shares of days
below each quantile and inside the interval (nominal: 0.5, 0.8, 0.95, 0.95). Needs numpy and polars.
"""
import argparse
import datetime
import json
import os
import subprocess
import tempfile

import numpy as np
import polars as pl

DAY_US = 86_400_000_000


def most_at_once(rows, amounts, first_us, n_days):
    """(n_days,) What ends when another starts makes room for it."""
    start, end = (rows[name].dt.epoch("us").to_numpy() for name in ("started_at", "ended_at"))
    lasts = end > start
    start, end, amounts = start[lasts], end[lasts], amounts[lasts]
    at = np.concatenate([start, end])
    order = np.lexsort((np.repeat([1, 0], len(start)), at))
    held = np.cumsum(np.concatenate([amounts, -amounts])[order])
    day = (at[order] - first_us) // DAY_US
    most = np.zeros(n_days)
    np.maximum.at(most, day[day < n_days], held[day < n_days])
    return most


def truth(lake):
    """First day, and (n_days,) of each resource, by its name and provider."""
    runs = pl.scan_parquet(f"{lake}/runs/**/*.parquet").collect()
    steps = pl.scan_parquet(f"{lake}/steps/**/*.parquet").select(
        "run_id", "started_at", "ended_at", "cache_hit", "provider", "api_calls", "memory_mb", "cpu_pct").collect()
    first = runs["started_at"].min().date()
    first_us = int(datetime.datetime(first.year, first.month, first.day, tzinfo=datetime.UTC).timestamp()) * 1_000_000
    n_days = (runs["started_at"].max().date() - first).days + 1
    # What a run spends counts on the day on which it started.
    day_of = runs.select("run_id", day=(pl.col("started_at").dt.epoch("us") - first_us) // DAY_US)
    steps = steps.join(day_of, on="run_id")
    runs = runs.join(day_of, on="run_id")

    def daily(rows, what):
        sums = np.zeros(n_days)
        found = rows.group_by("day").agg(what.alias("sum"))
        sums[found["day"].to_numpy()] = found["sum"].to_numpy()
        return sums

    came = {("runs", None): daily(runs, pl.len()), ("api_calls", None): daily(steps, pl.col("api_calls").sum())}
    for spent in ("cost_usd", "tokens"):
        came[spent, None] = daily(runs, pl.col(spent).sum())
    for (provider,), rows in steps.drop_nulls("provider").group_by("provider"):
        came["api_calls", provider] = daily(rows, pl.col("api_calls").sum())
    own = steps.filter(~pl.col("cache_hit"))
    for name, rows, amounts in (("concurrent_runs", runs, np.ones(runs.height)), ("slots", own, np.ones(own.height)),
                                ("memory_mb", own, own["memory_mb"].fill_null(0).to_numpy()),
                                ("cpu_cores", own, own["cpu_pct"].fill_null(0).to_numpy() / 100)):
        came[name, None] = most_at_once(rows, amounts, first_us, n_days)
    return first, came


def score(paceline, lake, days):
    first, came = truth(lake)
    compared = {key: [] for key in came}
    with tempfile.TemporaryDirectory(prefix="capacity-") as results:
        for day in days:
            as_of = f"{first + datetime.timedelta(days=day)}T00:00:00Z"
            subprocess.run([paceline, "run", "--lake", lake, "--results", results, "--as-of", as_of, "--stage",
                            "rollups,forecasts"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           cwd=results)
            plan = pl.read_parquet(f"{results}/capacity_plan/as_of={as_of[:10]}T00-00-00Z/*.parquet")
            for row in plan.filter(pl.col("growth") == 1).iter_rows(named=True):
                amounts = came[row["resource"], row["provider"]]
                ahead = (row["ds"].date() - first).days
                if ahead < len(amounts):
                    quantiles = [row[f"demand_{name}"] for name in ("p50", "p80", "p95", "lower", "upper")]
                    compared[row["resource"], row["provider"]].append([amounts[ahead], *quantiles])
    for (resource, provider), rows in sorted(compared.items(), key=lambda one: (one[0][0], one[0][1] or "")):
        y, p50, p80, p95, lower, upper = np.array(rows).T
        told = {"bias": np.log(y / p50).mean(), "error": np.abs(p50 / y - 1).mean(), "below_p50": (y <= p50).mean(),
                "below_p80": (y <= p80).mean(), "below_p95": (y <= p95).mean(),
                "inside": ((lower <= y) & (y <= upper)).mean()}
        print(json.dumps({"lake": lake, "resource": resource, "provider": provider, "n": len(y),
                          **{name: round(float(value), 3) for name, value in told.items()}}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paceline", required=True)
    parser.add_argument("--days", default="50,60", help="days of the lake after which the job runs")
    parser.add_argument("lakes", nargs="+", metavar="LAKE")
    asked = parser.parse_args()
    for one in asked.lakes:
        score(os.path.abspath(asked.paceline), os.path.abspath(one), [int(day) for day in asked.days.split(",")])
