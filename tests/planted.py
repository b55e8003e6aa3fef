#!/usr/bin/env python3
"""Scores published results against planted truth.

  python tests/planted.py --results RESULTS --truth DIR

DIR holds what the generator left: truth.json, and anomalies/*.parquet with run_id, step_id, attempt, kind. Prints one
JSON object. Change points count as found within 3 days; those of one step in several workflows of a type count once; the
edges of an experiment with an effect on durations count neither way. Needs polars.
"""
import argparse
import json
import os

import polars as pl

TOLERANCE_DAYS = 3


def table(results, name):
    return pl.read_parquet(f"{results}/{name}/*/*.parquet", hive_partitioning=True)


def change_points(results, truth, start):
    metrics = {"execution_time": "duration_ms", "memory_usage": "memory_mb"}
    rows = table(results, "change_points").filter(pl.col("step").is_not_null() & pl.col("metric").is_in(list(metrics)))
    found = {}
    for row in rows.iter_rows(named=True):
        key = (row["workflow_type"], row["step"], metrics[row["metric"]])
        found.setdefault(key, []).append((row["changed_at"].date() - start).days)
    planted = {}
    for one in truth["change_points"]:
        planted.setdefault((one["workflow_type"], one["step_id"], one["metric"]), []).append(one["day"])
    experimental = {e["workflow_type"]: (e["start_day"], e["end_day"]) for e in truth["experiments"] if e["effect_duration"]}
    hits = false = 0
    for key, days in found.items():
        left = list(planted.get(key, []))
        seen = []
        for day in sorted(days):
            if any(abs(day - other) <= TOLERANCE_DAYS for other in seen):
                continue
            seen.append(day)
            match = [other for other in left if abs(other - day) <= TOLERANCE_DAYS]
            edges = experimental.get(key[0], ())
            if match:
                hits += 1
                left.remove(match[0])
            elif not any(abs(day - edge) <= TOLERANCE_DAYS for edge in edges):
                false += 1
    total = sum(map(len, planted.values()))
    precision = hits / max(1, hits + false)
    return dict(planted=total, found=hits, false=false, precision=round(precision, 3), recall=round(hits / total, 3))


def anomalies(results, where):
    planted = pl.read_parquet(f"{where}/anomalies/*.parquet").with_columns(pl.col("attempt").cast(pl.Int64))
    rows = table(results, "anomalies").with_columns(pl.col("attempt").cast(pl.Int64))
    joined = rows.join(planted, on=["run_id", "step_id", "attempt"], how="left").sort("score", descending=True)
    hits = joined["kind"].is_not_null()
    by_kind = dict(joined.filter(hits).group_by("kind").len().iter_rows())
    all_kinds = dict(planted.group_by("kind").len().iter_rows())
    alarms = rows.height - (rows["severity"] == "info").sum()
    true_alarms = joined.filter(pl.col("severity") != "info")["kind"].is_not_null().sum()
    critical = joined.filter(pl.col("severity") == "critical")
    precisions = hits.cast(pl.Float64).cum_sum() / pl.Series(range(1, joined.height + 1))
    rates = table(results, "model_scores").filter(pl.col("engine") == "anomaly")
    return dict(
        planted=planted.height,
        reported=rows.height,
        alarms=alarms,
        # Of executions in order of score; those that are not reported come last and add nothing.
        average_precision=round((precisions * hits.cast(pl.Float64)).sum() / planted.height, 4),
        false_alarms=alarms - true_alarms,
        false_alarms_promised=round(((1 - rates["level"]) * rates["n"]).sum()),
        precision=round(hits.sum() / max(1, rows.height), 3),
        recall=round(hits.sum() / planted.height, 3),
        precision_of_critical=round(critical["kind"].is_not_null().sum() / max(1, critical.height), 3),
        recall_by_kind={kind: round(by_kind.get(kind, 0) / n, 3) for kind, n in sorted(all_kinds.items())},
    )


def predictions(results):
    rows = table(results, "model_scores").filter((pl.col("engine") == "prediction") & (pl.col("group_id") == "*"))
    columns = ["target", "model", "n", "in20", "mdape", "coverage", "width_ratio", "level"]
    return rows.select(columns).sort("target", "mdape").to_dicts()


def experiments(results, truth):
    effects = {e["workflow_type"]: e["effect_duration"] for e in truth["experiments"]}
    rows = table(results, "experiments").filter((pl.col("metric") == "execution_time") & pl.col("effect").is_not_null())
    rows = [row for row in rows.iter_rows(named=True) if row["workflow_type"] in effects]
    errors = [abs(row["relative_effect"] - effects[row["workflow_type"]]) for row in rows]
    inside = [row["relative_lower"] <= effects[row["workflow_type"]] <= row["relative_upper"] for row in rows]
    verdicts = {row["workflow_type"]: (effects[row["workflow_type"]], round(row["relative_effect"], 4), row["decision"]) for row in rows}
    mean_error = sum(errors) / max(1, len(errors))
    return dict(experiments=len(rows), mean_abs_error=round(mean_error, 4), covered=sum(inside), verdicts=verdicts)


def caching(results, truth):
    wanted = {(t["workflow_type"], t["step_id"]) for t in truth["cacheable"] if not t["cache_on"]}
    types = table(results, "predictions").select("workflow_id", "workflow_type").unique()
    rows = table(results, "recommendations").filter(pl.col("type") == "CACHING").join(types, on="workflow_id", how="left")
    got = set(rows.select("workflow_type", "target").iter_rows())
    return dict(planted=len(wanted), found=len(got & wanted), false=len(got - wanted))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--results", required=True)
    arguments.add_argument("--truth", required=True)
    given = arguments.parse_args()
    with open(os.path.join(given.truth, "truth.json")) as file:
        truth = json.load(file)
    start = pl.Series([truth["start"]]).str.to_date()[0]
    scores = dict(
        change_points=change_points(given.results, truth, start),
        anomalies=anomalies(given.results, given.truth),
        predictions=predictions(given.results),
        experiments=experiments(given.results, truth),
        caching=caching(given.results, truth),
    )
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
