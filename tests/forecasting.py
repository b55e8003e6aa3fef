#!/usr/bin/env python3
"""Scores `forecast` beside what one would take instead, in the same sitting.

  python tests/forecasting.py --paceline BIN --data SHARED/data [--rollup FILE] [--rivals] [m4 daily simulated many odd]

Forecasts come from the command, with its defaults, as a user would get them. Prints one JSON object a line. Needs numpy
and polars; statsforecast for the rivals. FILE is the daily rollup that the yardstick's stage `rollup` leaves
(rollup_run_day.parquet), for `daily`.
"""
import argparse
import json
import os
import resource
import subprocess
import tempfile
import time

import numpy as np
import polars as pl

from simulated_series import KINDS


class Bench:
    def __init__(self, paceline, data, rollup, with_rivals, simulations):
        self.paceline, self.data, self.rollup, self.rivals = paceline, data, rollup, with_rivals
        self.simulations = simulations
        self.folder = tempfile.mkdtemp(prefix="forecasting-")
        self.cpu_s = self.wall_s = self.peak_mb = 0.0

    def forecast(self, series, horizon, *more):
        """Point, lower and upper at 95 % of each series: (horizon, 3). Series that were skipped are missing."""
        paths = [f"{self.folder}/in.parquet", f"{self.folder}/out.parquet"]
        pl.DataFrame({"unique_id": np.repeat(list(series), [len(y) for y in series.values()]),
                      "ds": np.concatenate([np.arange(len(y)) for y in series.values()]),
                      "y": np.concatenate(list(series.values()))}).write_parquet(paths[0])
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([self.paceline, "forecast", paths[0], "--out", paths[1], "--horizon", str(horizon), "--level",
                        "0.95", *more], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.wall_s, self.peak_mb = time.perf_counter() - start, after.ru_maxrss / 1e3
        found = pl.read_parquet(paths[1]).sort("unique_id", "step")
        return {key[0]: rows.select("point", "lower", "upper").to_numpy()
                for key, rows in found.group_by("unique_id", maintain_order=True)}


def tell(**what):
    print(json.dumps({k: round(float(v), 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


def by_rivals(series, horizon, season, names=("SeasonalNaive", "AutoTheta", "AutoETS", "MSTL")):
    """Yields name, CPU seconds, and forecasts as `Bench.forecast` gives them; compiling is outside the clock."""
    from statsforecast import models

    longest = season if isinstance(season, list) else [season]
    for name in names:
        model = getattr(models, name)(season_length=season if name == "MSTL" else longest[0])
        model.forecast(y=next(iter(series.values()))[:400], h=horizon, level=[95])
        start, found = time.process_time(), {}
        for key, y in series.items():
            said = model.forecast(y=y, h=horizon, level=[95])
            found[key] = np.column_stack([said["mean"], said["lo-95"], said["hi-95"]])
        yield name, time.process_time() - start, found


def scores(train, test, found, season):
    """Means over series: MASE, coverage at 95 %, MSIS, sMAPE. Series constant at the season's lag have no MASE."""
    rows = []
    for key, y in train.items():
        if key not in found:
            continue
        unit, actual = np.nanmean(np.abs(y[season:] - y[:-season])), test[key]
        point, lower, upper = found[key].T
        known = np.isfinite(actual)
        missed = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
        if unit > 0:
            rows.append([np.mean(np.abs(actual - point)[known]) / unit,
                         np.mean(((actual >= lower) & (actual <= upper))[known]),
                         np.mean((upper - lower + 40 * missed)[known]) / unit,
                         np.mean((200 * np.abs(actual - point) / (np.abs(actual) + np.abs(point) + 1e-12))[known])])
    mase, cover, msis, smape = np.mean(rows, axis=0)
    return dict(n=len(rows), mase=float(mase), cover95=float(cover), msis=float(msis), smape=float(smape))


def naive2(y, m, horizon):
    """M4's Naive2: naive after classical multiplicative decomposition where a 90 % test finds a season."""
    n, z = len(y), y - y.mean()
    correlation = np.array([(z[k:] * z[:n - k]).sum() for k in range(m + 1)]) / (z * z).sum()
    if abs(correlation[m]) <= 1.645 * np.sqrt((1 + 2 * (correlation[1:m] ** 2).sum()) / n):
        return np.full(horizon, y[-1])
    mean = np.convolve(y, np.r_[.5, np.ones(m - 1), .5] / m, "valid")
    ratio = np.full(n, np.nan)
    ratio[m // 2:m // 2 + len(mean)] = y[m // 2:m // 2 + len(mean)] / mean
    index = np.array([np.nanmean(ratio[k::m]) for k in range(m)])
    index /= index.mean()
    return y[-1] / index[(n - 1) % m] * index[(n + np.arange(horizon)) % m]


def m4(bench):
    table = pl.read_parquet(f"{bench.data}/m4/m4_hourly.parquet").sort("series_id")
    train = {row["series_id"]: np.array(row["train"], float) for row in table.iter_rows(named=True)}
    test = {row["series_id"]: np.array(row["test"], float) for row in table.iter_rows(named=True)}
    simple = {key: np.repeat(naive2(y, 24, 48)[:, None], 3, axis=1) for key, y in train.items()}
    base = scores(train, test, simple, 24)

    def told(method, found, cpu_s):
        score = scores(train, test, found, 24)
        owa = 0.5 * (score["mase"] / base["mase"] + score["smape"] / base["smape"])
        tell(set="m4 hourly", method=method, owa=owa, cpu_s=float(cpu_s), **score)

    found = bench.forecast(train, 48)
    told("paceline", found, bench.cpu_s)
    if bench.rivals:
        for name, cpu_s, found in by_rivals(train, 48, [24, 168], ("SeasonalNaive", "AutoTheta", "MSTL")):
            told(name, found, cpu_s)


def daily(bench):
    rollup = pl.read_parquet(bench.rollup).with_columns((pl.col("cost") / pl.col("n")).alias("cost_per_run"))
    long = rollup.unpivot(index=["date", "workflow_type"], on=["n", "wall_mean", "wall_p95", "cost", "cost_per_run"])
    start, train, test = long["date"].min(), {}, {}
    for (workflow, metric), rows in long.sort("date").group_by("workflow_type", "variable", maintain_order=True):
        values = np.full(90, np.nan)
        values[[(date - start).days for date in rows["date"]]] = rows["value"].to_numpy()
        train[f"{workflow}/{metric}"], test[f"{workflow}/{metric}"] = values[:60], values[60:]
    tell(set="daily", method="paceline", **scores(train, test, bench.forecast(train, 30), 7), cpu_s=bench.cpu_s)
    if bench.rivals:
        for name, cpu_s, found in by_rivals(train, 30, 7):
            tell(set="daily", method=name, **scores(train, test, found, 7), cpu_s=cpu_s)


def simulated(bench):
    """Errors over those of the true form fitted to the same values, and of the truth with its states."""
    for kind, n, horizon, season, process, fitted in KINDS:
        rng = np.random.default_rng(11)
        pairs = {f"s{i:03d}": process(rng, n, horizon) for i in range(bench.simulations)}
        train, test = ({key: part(y) for key, (y, _) in pairs.items()} for part in (lambda y: y[:n], lambda y: y[n:]))

        def points(of):
            return {key: np.repeat(np.asarray(of(key))[:, None], 3, axis=1) for key in pairs}

        exact = scores(train, test, points(lambda key: pairs[key][1]), 1)["mase"]
        form = scores(train, test, points(lambda key: fitted(train[key], horizon, season)), 1)["mase"]

        def told(method, found):
            score = scores(train, test, found, 1)
            tell(set="simulated", kind=kind, length=n, method=method, over_fitted_form=score["mase"] / form,
                 over_known_states=score["mase"] / exact, cover95=score["cover95"])

        told("paceline", bench.forecast(train, horizon))
        if bench.rivals:
            for name, _, found in by_rivals(train, horizon, season, ("AutoTheta", "AutoETS")):
                told(name, found)


def many(bench):
    rng = np.random.default_rng(5)
    week = rng.normal(size=(10_000, 7)) * 0.2
    level = np.cumsum(rng.normal(size=(10_000, 400)) * 0.02, axis=1)
    values = 100 * np.exp(level + week[:, np.arange(400) % 7] + 0.1 * rng.normal(size=(10_000, 400)))
    bench.forecast({f"s{i:05d}": y for i, y in enumerate(values)}, 30)
    tell(set="many", series=10_000, points=400, horizon=30, cpu_s=bench.cpu_s, wall_s=bench.wall_s, peak_mb=bench.peak_mb)


def odd(bench):
    rng = np.random.default_rng(6)
    long = 50 + 10 * np.sin(np.arange(100_000) * 2 * np.pi / 24) + rng.normal(size=100_000)
    found = bench.forecast({"long": long}, 48)
    truth = 50 + 10 * np.sin(np.arange(100_000, 100_048) * 2 * np.pi / 24)
    tell(set="odd", kind="100,000 points", error=float(np.abs(found["long"][:, 0] - truth).mean()), cpu_s=bench.cpu_s)


def main():
    parts = dict(m4=m4, daily=daily, simulated=simulated, many=many, odd=odd)
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--paceline", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--rollup")
    arguments.add_argument("--rivals", action="store_true")
    arguments.add_argument("--simulations", type=int, default=300, help="series of each kind")
    arguments.add_argument("parts", nargs="*", default=[])
    given = arguments.parse_args()
    bench = Bench(os.path.abspath(given.paceline), given.data, given.rollup, given.rivals, given.simulations)
    for part in given.parts or [part for part in parts if part != "daily" or given.rollup]:
        parts[part](bench)


if __name__ == "__main__":
    main()
