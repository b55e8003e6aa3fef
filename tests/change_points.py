#!/usr/bin/env python3
"""Scores `change-points` on public data by the data's own definitions, and on simulated series.

  python tests/change_points.py --paceline BIN --data SHARED/data [--rivals] [tcpd perf clean append speed]

Every series is looked at through the command with its default settings, as a user would. Prints one JSON object a line.
Needs numpy and polars; --rivals needs ruptures too.
"""
import argparse
import csv
import glob
import json
import os
import resource
import subprocess
import tempfile

import numpy as np

MARGIN = 5


class Bench:
    def __init__(self, paceline, data, rivals):
        self.paceline, self.data, self.rivals = paceline, data, rivals
        self.folder = tempfile.mkdtemp(prefix="change-points-")
        self.cpu_s = 0.0

    def find(self, series, more=(), start=None):
        """{name: values} -> {name: indexes of change points}, and the rows of the output."""
        paths = [f"{self.folder}/{name}" for name in ("in.csv", "out.csv")]
        days = start and [str(d) for d in np.datetime64(start) + np.arange(max(map(len, series.values())))]
        with open(paths[0], "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["unique_id", "ds", "y"])
            for name, values in series.items():
                rows.writerows((name, days[i] if days else i, "" if np.isnan(v) else repr(float(v))) for i, v in enumerate(values))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([self.paceline, "change-points", paths[0], "--out", paths[1], *more], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = {name: [] for name in series}
        with open(paths[1], newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            found[row["unique_id"]].append(int(row["index"]))
        return found, rows


def tell(**what):
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


def true_positives(truth, found, margin=MARGIN):
    left, hits = set(found), set()
    for point in sorted(truth):
        near = sorted((abs(point - other), other) for other in left if abs(point - other) <= margin)
        if near:
            hits.add(point)
            left.remove(near[0][1])
    return hits


def f1_of(annotations, found):
    """TCPDBench: precision against all annotators together, recall averaged over them; 0 is a point of everybody's."""
    each, found = [set(points) | {0} for points in annotations.values()], set(found) | {0}
    precision = len(true_positives(set().union(*each), found)) / len(found)
    recall = float(np.mean([len(true_positives(points, found)) / len(points) for points in each]))
    return 2 * precision * recall / (precision + recall), precision, recall


def cover_of(annotations, found, n):
    def segments(points):
        inner = sorted(set(points) - {0})
        return [(a, b) for a, b in zip([0] + inner, inner + [n]) if b > a]

    def overlap(a, b):
        both = min(a[1], b[1]) - max(a[0], b[0])
        return both / (max(a[1], b[1]) - min(a[0], b[0])) if both > 0 else 0.0

    ours = segments(found)
    covers = [sum((s[1] - s[0]) * max(overlap(s, o) for o in ours) for s in segments(points)) / n
              for points in annotations.values()]
    return float(np.mean(covers))


def tcpd(bench):
    with open(f"{bench.data}/tcpd/annotations.json") as file:
        annotations = json.load(file)
    series = {}
    for path in sorted(glob.glob(f"{bench.data}/tcpd/series/*.json")):
        with open(path) as file:
            one = json.load(file)
        if one["n_dim"] == 1:
            series[one["name"]] = np.array([np.nan if v is None else float(v) for v in one["series"][0]["raw"]])
    found, _ = bench.find(series)
    scores = {name: (*f1_of(annotations[name], found[name]), cover_of(annotations[name], found[name], len(series[name])))
              for name in series}
    for name, (f1, _, _, cover) in scores.items():
        tell(set="tcpd", series=name, found=found[name], f1=f1, cover=cover)
    f1, precision, recall, cover = np.mean(list(scores.values()), axis=0).tolist()
    tell(set="tcpd", method="paceline", n=len(series), f1=f1, precision=precision, recall=recall, cover=cover)
    published(bench, set(series))
    if bench.rivals:
        rivals(series, annotations)


def published(bench, names):
    """Scores with default parameters, from TCPDBench's files, on the series that it has scores of."""
    with open(f"{bench.data}/tcpd/tcpdbench_per_series_scores.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["series"] in names]
    for method in ("binseg", "pelt", "bocpd", "zero", "ecp"):
        values = [(float(row[f"default_f1_{method}"]), float(row[f"default_cover_{method}"])) for row in rows]
        f1, cover = np.mean(values, axis=0).tolist()
        tell(set="tcpd", method=f"{method}, as published", n=len(values), f1=f1, cover=cover)


def rivals(series, annotations):
    import ruptures

    def filled(y):
        gap = np.isnan(y)
        return np.interp(np.arange(len(y)), np.nonzero(~gap)[0], y[~gap]) if gap.any() else y

    def standard(y):
        return ((y - y.mean()) / (y.std() or 1.0)).reshape(-1, 1)

    methods = {"PELT l2": lambda y, n: ruptures.KernelCPD("linear", min_size=2).fit(y).predict(pen=2 * np.log(n)),
               "Binseg l2": lambda y, n: ruptures.Binseg("l2", min_size=2, jump=1).fit(y).predict(pen=2 * np.log(n))}
    for name, method in methods.items():
        scores = []
        for key, values in series.items():
            found = method(standard(filled(values)), len(values))[:-1]
            scores.append((f1_of(annotations[key], found)[0], cover_of(annotations[key], found, len(values))))
        f1, cover = np.mean(scores, axis=0).tolist()
        tell(set="tcpd", method=f"ruptures {name}", n=len(series), f1=f1, cover=cover)


def perf(bench):
    folder = f"{bench.data}/perf_change_points"

    def load(name):
        with open(f"{folder}/{name}.json") as file:
            return json.load(file)

    cases = {f"mongodb {case['name']}": (case["series"], case["expected"]) for case in load("mongodb_small_cases")["cases"]}
    cases |= {f"otava {i}": (case["series"], case["expected_change_point_indexes"])
              for i, case in enumerate(load("otava_small_cases")["cases"])}
    found, _ = bench.find({name: np.array(values, float) for name, (values, _) in cases.items()})
    for name, (_, expected) in cases.items():
        tell(set="perf", case=name, found=found[name], expected=expected, agrees=found[name] == expected)
    long = load("mongodb_long_series")
    found, _ = bench.find({"long": np.array(long["series"], float)})
    tell(set="perf", case="mongodb long", found=found["long"], expected_count=long["expected_change_point_count"])
    tigerbeetle = load("otava_tigerbeetle")
    values = np.array(tigerbeetle["series"], float)
    for effect in (None, "0"):
        found, _ = bench.find({"tb": values}, ["--min-effect", effect] if effect else [])
        for case in tigerbeetle["cases"]:
            if (case["min_magnitude"] > 0) == (effect is None):
                expected = case["expected_change_point_indexes"]
                f1 = {m: f1_plain(expected, found["tb"], m) for m in (0, 2, MARGIN)}
                tell(set="perf", case=case["case"], found=found["tb"], expected=expected, f1_within=f1)


def f1_plain(expected, found, margin):
    hits = len(true_positives(expected, found, margin))
    return round(2 * hits / max(1, len(expected) + len(found)), 3)


def simulated(rng, n, rho, week=1.0, sigma=0.1):
    """Logarithm: a weekly season of random size, and AR(1) noise."""
    noise = np.empty(n)
    noise[0] = rng.normal() * sigma
    for i in range(1, n):
        noise[i] = rho * noise[i - 1] + rng.normal() * sigma * np.sqrt(1 - rho**2)
    profile = rng.normal(size=7) * 0.1 * week
    profile[5:] -= rng.uniform(0, 0.5) * week
    return 100 * np.exp(profile[np.arange(n) % 7] + noise)


def clean(bench):
    for start in ("2026-01-05", None):
        for rho in (0.0, 0.3, 0.5, 0.7):
            rng = np.random.default_rng(1)
            series = {f"s{i:04d}": simulated(rng, 90, rho) for i in range(1000)}
            found, _ = bench.find(series, start=start)
            # One series at a time: no false discovery rate over many helps.
            alone = [bool(bench.find({name: series[name]}, start=start)[0][name]) for name in list(series)[:100]]
            tell(set="clean", rho=rho, time="days" if start else "0, 1, 2…", n=1000,
                 with_change=sum(map(bool, found.values())) / 1000, with_change_when_alone=sum(alone) / len(alone))


def append(bench):
    """The job, day after day for 90 days, over workflows with two planted shifts: what becomes of what it told."""
    import polars as pl

    for rho, sigma in ((0.0, 0.05), (0.0, 0.1), (0.3, 0.1), (0.6, 0.1)):
        rng = np.random.default_rng(2)
        place = tempfile.mkdtemp(dir=bench.folder)
        shift = 0.3 * (np.arange(180) >= 75) - 0.2 * (np.arange(180) >= 130)
        medians = np.array([simulated(rng, 180, rho, sigma=sigma) * np.exp(shift) for _ in range(40)])
        start = np.datetime64("2026-01-05T00:00:00", "us")
        for day in range(180):
            folder = f"{place}/lake/runs/date={str(start + np.timedelta64(day, 'D'))[:10]}"
            os.makedirs(folder)
            at = [start + np.timedelta64(day, "D") + np.timedelta64(hour, "h") for hour in range(2, 22, 4)]
            rows = [(f"w{i:02d}-{day}-{k}", f"w{i:02d}", t, medians[i, day] * np.exp(0.02 * (k - 2)))
                    for i in range(len(medians)) for k, t in enumerate(at)]
            columns = list(zip(*rows))
            starts = pl.Series(np.array(columns[2])).dt.replace_time_zone("UTC")
            length = (np.array(columns[3]) * 1e6).astype("int64")
            pl.DataFrame({"run_id": columns[0], "workflow_id": columns[1], "started_at": starts,
                          "ended_at": starts + pl.Series(length).cast(pl.Duration("us")),
                          "status": ["succeeded"] * len(rows)}).write_parquet(f"{folder}/part-0.parquet")
        told, fates = {}, dict(moved=0, withdrawn=0, without_reason=0)
        settled_then_moved = 0
        for day in range(91, 181):
            as_of = str(start + np.timedelta64(day, "D"))[:19]
            command = [bench.paceline, "run", "--lake", f"{place}/lake", "--results", f"{place}/results", "--as-of",
                       as_of + "Z", "--stage", "analysis"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            where = f"as_of={as_of.replace(':', '-')}Z/part-0.parquet"
            points = pl.read_parquet(f"{place}/results/change_points/{where}").filter(pl.col("metric") == "execution_time")
            skips = pl.read_parquet(f"{place}/results/skips/{where}")
            said = set(skips.filter(pl.col("reason").str.contains("told before"))["reason"].str.extract(r"(\d{4}-\d\d-\d\d)"))
            now = {}
            for workflow, at in points.select("workflow_id", "changed_at").iter_rows():
                now.setdefault(workflow, set()).add(at.date())
            # What nears the start of the window has no past to stand out from.
            window = (start + np.timedelta64(day - 75, "D")).astype("datetime64[D]").item()
            for workflow, before in told.items():
                for gone in before - now.get(workflow, set()):
                    if gone < window:
                        continue
                    near = any(abs((gone - other).days) <= 7 for other in now.get(workflow, ()))
                    fates["moved" if near else "withdrawn"] += 1
                    fates["without_reason"] += str(gone) not in said
                    was_settled = int((np.datetime64(as_of, "D") - np.datetime64(gone, "D")).astype(int)) > 7
                    settled_then_moved += int(near and was_settled)
            told = now
        last = [(w, (d - start.astype("datetime64[D]").item()).days) for w, ds in told.items() for d in ds]
        tell(set="append", rho=rho, sigma=sigma, series=len(medians), told_at_the_end=len(last),
             within_3_days=sum(min(abs(d - at) for at in (75, 130)) <= 3 for _, d in last),
             settled_then_moved=settled_then_moved, **fates)


def speed(bench):
    for n in (1_000, 10_000, 100_000, 1_000_000):
        rng = np.random.default_rng(3)
        level = np.repeat(rng.normal(size=10) * 0.2, n // 10)
        values = 100 * np.exp(level + 0.1 * rng.normal(size=n))
        found, _ = bench.find({"s": values})
        tell(set="speed", n=n, found=len(found["s"]), planted=9, cpu_s=bench.cpu_s)


def main():
    parts = dict(tcpd=tcpd, perf=perf, clean=clean, append=append, speed=speed)
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--paceline", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--rivals", action="store_true")
    arguments.add_argument("parts", nargs="*", default=list(parts))
    given = arguments.parse_args()
    bench = Bench(os.path.abspath(given.paceline), given.data, given.rivals)
    for part in given.parts:
        parts[part](bench)


if __name__ == "__main__":
    main()
