#!/usr/bin/env python3
"""Measures `paceline anomalies` on public data, as a user would call it.

  python tests/detection.py --paceline BIN --data SHARED/data [adbench cpu nab nezha clean]

adbench  area under the ROC curve of both detectors on each set beside scikit-learn's forest, mean of seeds 0-4
cpu      CPU seconds of the forest and of the default on 100,000 x 10 beside scikit-learn's forest, scoring included
nab      NAB's score of the standard profile; see `Nab`
nezha    minutes with injected faults against fault-free ones by the strangest of their rows; see `nezha`
clean    alarms on 1,000 simulated series of 90 days with a weekly season and AR(1) noise

Prints one JSON object a line. Needs numpy, pandas, pyarrow, scikit-learn.
"""
import argparse
import glob
import json
import os
import resource
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

SEEDS = range(5)


class Bench:
    def __init__(self, paceline, data):
        self.paceline, self.data = paceline, data
        self.folder = tempfile.mkdtemp(prefix="detection-")

    def anomalies(self, frame, *options):
        """(rows, CPU seconds) of the verb on a frame."""
        given, out = f"{self.folder}/in.parquet", f"{self.folder}/out.parquet"
        frame.to_parquet(given, index=False)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([self.paceline, "anomalies", given, "--out", out, "--format", "json", *options], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"{' '.join(options)}: exit {done.returncode}\n{done.stderr}")
        return pd.read_parquet(out), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def tell(**what):
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


def adbench(bench):
    reference = pd.read_csv(f"{bench.data}/adbench/iforest_reference_sklearn.csv").set_index("dataset")
    means = {}
    for path in sorted(glob.glob(f"{bench.data}/adbench/datasets/*.parquet")):
        name = os.path.basename(path).removesuffix(".parquet")
        frame = pd.read_parquet(path)
        labels, frame = frame["y"], frame.drop(columns="y")
        row = {"sklearn": float(reference.loc[name, "iforest_auroc_mean3"])}
        for detector in ("isolation-forest", "default"):
            scores = [bench.anomalies(frame, "--detector", detector, "--seed", str(seed))[0] for seed in SEEDS]
            row[detector] = float(np.mean([roc_auc_score(labels, s["score"]) for s in scores]))
            row[f"flagged_{detector}"] = float(np.mean([s["is_anomaly"].mean() for s in scores]))
        means[name] = row
        tell(set=name, anomalies=float(labels.mean()), **row)
    table = pd.DataFrame(means).T
    tell(set="mean", **{k: float(v) for k, v in table.mean().items()},
         worst_beside_forest=float((table["default"] - table["isolation-forest"]).min()))


def cpu(bench):
    from sklearn.ensemble import IsolationForest

    values = np.random.default_rng(7).normal(size=(100_000, 10))
    frame = pd.DataFrame(values, columns=[f"x{i}" for i in range(10)])
    before = time.process_time()
    IsolationForest(random_state=0).fit(values).score_samples(values)
    rival = time.process_time() - before
    for detector in ("isolation-forest", "default"):
        spent = min(bench.anomalies(frame, "--detector", detector)[1] for _ in range(3))
        tell(cpu=detector, seconds=spent, sklearn_seconds=rival, share=spent / rival)


class Nab:
    """NAB's scorer (numenta/NAB, nab/sweeper.py), standard profile, written from its rules.

    Windows are those of combined_windows.json. Rows of the probation period, the first 15 % (of 5,000 rows at most), are
    not scored. A window earns the best of its detections: 2 / (1 + exp(5 p)) - 1 over its value at p = -1, where p goes
    from -1 at the window's first row to 0 after its last; a missed window costs 1. A detection outside costs 0.11 times
    1 (before the first window, or more than 3 widths behind the last one), else 0.11 times the sigmoid at p = distance to
    the end of the window before over its width. One threshold for all series: the one with the best sum. 0 is the score of
    a detector that says nothing, 100 that of one that finds every window at its first row.
    """

    WEIGHT_OF_FALSE = 0.11

    def __init__(self, folder):
        with open(f"{folder}/combined_windows.json") as file:
            windows = json.load(file)
        self.series = []
        for name, rows in pd.read_parquet(f"{folder}/series.parquet").groupby("series", sort=True):
            rows = rows.reset_index(drop=True)
            spans = [tuple(pd.to_datetime(end) for end in span) for span in windows[name]]
            self.series.append((name, rows[["timestamp", "value"]], spans, *self.worth(rows["timestamp"], spans)))
        self.n_windows = sum(len(spans) for _, _, spans, _, _ in self.series)

    @staticmethod
    def sigmoid(position):
        return -1.0 if position > 3 else 2 / (1 + np.exp(5 * position)) - 1

    def worth(self, times, spans):
        """What a detection at each row is worth, and the row's window (-1: none, -2: probation)."""
        times, left = list(pd.to_datetime(times)), list(spans)
        worth, window = np.zeros(len(times)), np.full(len(times), -1)
        current = end = width = None
        number, last_end, last_width = -1, None, None
        for row, now in enumerate(times):
            if left and now == left[0][0]:
                current = left.pop(0)
                number, end = number + 1, times.index(current[1])
                width = float(end - times.index(current[0]) + 1)
            if current is not None:
                worth[row] = self.sigmoid(-(end - row + 1) / width) / self.sigmoid(-1.0)
                window[row] = number
                if now == current[1]:
                    last_end, last_width, current = row, width, None
            else:
                far = -1.0 if last_end is None else self.sigmoid(abs(last_end - row) / (last_width - 1))
                worth[row] = far * self.WEIGHT_OF_FALSE
        window[: int(min(0.15 * len(times), 0.15 * 5000))] = -2
        return worth, window

    def score(self, scores):
        """(score, threshold) at the best threshold, of one array of scores a series."""
        rows = []
        for number, (given, (_, _, _, worth, window)) in enumerate(zip(scores, self.series)):
            given = np.nan_to_num(given)
            rows += [(given[i], worth[i], None if window[i] < 0 else (number, window[i])) for i in np.flatnonzero(window != -2)]
        rows.sort(key=lambda row: -row[0])
        total, best, threshold, found = -float(self.n_windows), -float(self.n_windows), 1.1, {}
        for at, (score, worth, window) in enumerate(rows):
            if window is None:
                total += worth
            elif worth > found.get(window, -1.0):
                total += worth - found.get(window, -1.0)
                found[window] = worth
            if total > best and (at + 1 == len(rows) or rows[at + 1][0] != score):
                best, threshold = total, score
        return 100 * (best + self.n_windows) / (2 * self.n_windows), threshold


def nab(bench):
    corpus = Nab(f"{bench.data}/nab")
    judged = [bench.anomalies(rows, "--time", "timestamp")[0] for _, rows, _, _, _ in corpus.series]
    score, threshold = corpus.score([rows["score"].to_numpy() for rows in judged])
    flagged, _ = corpus.score([rows["is_anomaly"].to_numpy(float) for rows in judged])
    for (name, _, spans, _, window), rows in zip(corpus.series, judged):
        hits = rows["score"].to_numpy() >= threshold
        found = {int(w) for w in window[hits] if w >= 0}
        tell(series=name, windows=len(spans), found=len(found), false=int((hits & (window == -1)).sum()))
    tell(nab_standard=float(score), threshold=float(threshold), nab_of_is_anomaly_as_it_is=float(flagged), series=len(judged))


def nezha(bench):
    """TrainTicket: a row is a minute of one kind of span (service and operation, --group): mean and longest duration
    (logarithms) and spans a run. A minute's score is that of its strangest row. Faulty is the minute after the one in
    which a fault was injected (its effect takes that long to show), or, told apart, the minute of injection; fault-free
    are minutes that are neither. Minutes with fewer than 15 runs are left out. OnlineBoutique has no fault-free minute here.
    """
    folder = f"{bench.data}/traces_nezha/trainticket_2023-01-29"
    with open(f"{folder}/fault_list.json") as file:
        faults = [fault for hour in json.load(file).values() for fault in hour]
    injected = {pd.Timestamp(f["inject_time"], tz="UTC").floor("min"): f["inject_type"] for f in faults}
    spans = pd.read_parquet(f"{folder}/steps.parquet", columns=["run_id", "step_type", "started_at", "duration_s"])
    spans["minute"] = spans["started_at"].dt.floor("min")
    runs = spans.groupby("minute")["run_id"].nunique()
    spans = spans[spans["minute"].isin(runs[runs >= 15].index)]
    spans["log_s"] = np.log(spans["duration_s"].clip(lower=1e-6))
    rows = spans.groupby(["step_type", "minute"])["log_s"].agg(["mean", "max", "size"]).reset_index()
    rows["size"] = rows["size"] / rows["minute"].map(runs)
    for label, features in (("durations", "mean,max"), ("durations and counts", "mean,max,size")):
        judged, _ = bench.anomalies(rows, "--group", "step_type", "--features", features)
        score = judged["score"].groupby(rows["minute"]).max()
        after = {minute + pd.Timedelta("1min"): kind for minute, kind in injected.items()}
        is_free = ~(score.index.isin(list(injected)) | score.index.isin(list(after)))
        for when, kinds in (("minute after injection", after), ("minute of injection", injected)):
            kind = pd.Series(score.index.map(kinds), index=score.index)
            for name in ["all", *sorted(set(injected.values()))]:
                chosen = kind.notna() if name == "all" else kind == name
                both = chosen | is_free
                auroc = roc_auc_score(chosen[both], score[both]) if chosen.any() else float("nan")
                tell(nezha=label, faulty=when, kind=name, minutes=int(chosen.sum()), free=int(is_free.sum()), auroc=float(auroc))


def clean(bench):
    rng = np.random.default_rng(11)
    hours = pd.date_range("2026-01-01", periods=90 * 24, freq="h")
    for label, times in (("daily", hours[::24]), ("hourly", hours)):
        n_series = 1000 if label == "daily" else 200
        n, frames = len(times), []
        for number in range(n_series):
            noise = np.zeros(n)
            draws = rng.normal(size=n)
            for i in range(n):
                noise[i] = (0.5 * noise[i - 1] if i else 0.0) + draws[i]
            week = np.where(times.dayofweek >= 5, -3.0, 0.0) + (3 * np.sin(2 * np.pi * times.hour / 24) if label == "hourly" else 0)
            frames.append(pd.DataFrame({"series": f"s{number:04}", "at": times, "value": 100 + week + noise}))
        rows, _ = bench.anomalies(pd.concat(frames), "--time", "at", "--group", "series")
        weeks = n_series * 90 / 7
        tell(clean=label, series=n_series, rows=len(rows), alarms=int(rows["is_anomaly"].sum()),
             alarms_per_series_and_week=float(rows["is_anomaly"].sum() / weeks), alarms_per_1000_rows=float(1000 * rows["is_anomaly"].mean()))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--paceline", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("what", nargs="*", default=["adbench", "cpu", "nab", "nezha", "clean"])
    given = arguments.parse_args()
    bench = Bench(given.paceline, given.data)
    for what in given.what:
        {"adbench": adbench, "cpu": cpu, "nab": nab, "nezha": nezha, "clean": clean}[what](bench)


if __name__ == "__main__":
    main()
