#!/usr/bin/env python3
"""Scores `train` and `predict` on public data beside what one would take instead.

  python tests/prediction.py --paceline BIN --data SHARED/data [--synth DIR] [lotaru c3o wfinstances nist leak synth]

Every model is trained and used through the command, as a user would. Prints one JSON object a line. Needs pandas and
pyarrow; lightgbm for the rivals. What the folders hold is told in their READMEs; DIR is what the generator of
synthetic history left.
"""
import argparse
import json
import os
import re
import resource
import subprocess
import tempfile

import numpy as np
import pandas as pd

SPLITS = 10


class Bench:
    def __init__(self, paceline, data, synth):
        self.paceline, self.data, self.synth = paceline, data, synth
        self.folder = tempfile.mkdtemp(prefix="prediction-")
        self.cpu_s = 0.0

    def read(self, path):
        return pd.read_parquet(f"{self.data}/{path}")

    def run(self, *args, accept=0):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([self.paceline, *args], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode != accept:
            raise SystemExit(f"{' '.join(args)}: exit {done.returncode}\n{done.stderr}")
        return done

    def predict(self, train, test, target, features, group=None, time=None, level=0.9, more=()):
        """Rows of `test` by a model of `train`: point, lower, upper."""
        paths = [f"{self.folder}/{name}" for name in ("train.parquet", "test.parquet", "model", "out.parquet")]
        columns = [*features, *([group] if group else []), *([time] if time else [])]
        train[[*columns, target]].to_parquet(paths[0], index=False)
        test[columns].to_parquet(paths[1], index=False)
        options = ["--target", target, "--features", ",".join(features), *(["--group", group] if group else []),
                   *(["--time", time] if time else []), *more]
        self.run("train", paths[0], "--model", paths[2], *options)
        self.run("predict", paths[1], "--model", paths[2], "--out", paths[3], "--level", str(level))
        return pd.read_parquet(paths[3])


def errors(actual, predicted):
    return np.abs(np.asarray(predicted) / np.asarray(actual) - 1.0)


def tell(**what):
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


def covered(actual, predicted):
    return float(((predicted.lower <= actual.values) & (actual.values <= predicted.upper)).mean())


def lightgbm_predict(train, test, target, features, log=True, rounds=200, objective="l1"):
    """LightGBM on the same columns, categories by its own handling."""
    import lightgbm as lgb

    train, test = train[[*features, target]].copy(), test[features].copy()
    words = [f for f in features if train[f].dtype == object]
    for f in words:
        code = {word: i for i, word in enumerate(sorted(train[f].dropna().unique()))}
        train[f], test[f] = train[f].map(code), test[f].map(code)
    few = len(train) < 20_000
    params = dict(objective=objective, learning_rate=0.1, num_leaves=31 if few else 63, verbose=-1, seed=1,
                  min_data_in_leaf=5 if few else 50, min_data_per_group=5 if few else 100, cat_smooth=10)
    y = np.log(train[target].values) if log else train[target].values
    data = lgb.Dataset(train[features].astype(float), y, categorical_feature=words)
    predicted = lgb.train(params, data, rounds).predict(test[features].astype(float))
    return np.exp(predicted) if log else predicted


def group_median(train, test, target, group):
    medians = train.groupby(group)[target].median()
    return test[group].map(medians).fillna(train[target].median()).values


def lotaru(bench):
    """Task run times from down-sampled inputs: on the same machine, and on others by benchmarks."""
    runs = bench.read("lotaru/task_runs.parquet")
    runs = runs.assign(runtime_s=runs.realtime_ms / 1000, input_bytes=runs.task_input_bytes_uncompressed.astype(float),
                       kind=runs.workflow + ":" + runs.task)
    runs = runs[runs.runtime_s > 0]
    small, full = runs[runs.split_label != "test"], runs[runs.split_label == "test"]
    found, by_machine = [], {}
    for machine in sorted(runs.machine.unique()):
        train, test = small[small.machine == machine], full[full.machine == machine]
        predicted = bench.predict(train, test, "runtime_s", ["input_bytes"], "kind")
        one = pd.DataFrame({"error": errors(test.runtime_s, predicted.point),
                            "covered": (predicted.lower <= test.runtime_s.values) & (test.runtime_s.values <= predicted.upper),
                            "median": errors(test.runtime_s, group_median(train, test, "runtime_s", "kind"))})
        found.append(one)
        by_machine[machine] = round(float(one.error.median()), 4)
    found = pd.concat(found)
    tell(set="lotaru", what="same machine", n=len(found), median_error=float(found.error.median()),
         group_median=float(found["median"].median()), coverage=float(found.covered.mean()), by_machine=by_machine)
    benchmarks = pd.read_csv(f"{bench.data}/lotaru/node_benchmarks_lotaru-a.csv")
    repeats = benchmarks.assign(kind=benchmarks.workflow + ":" + benchmarks.task).melt(
        ["kind", "node"], ["realtime1", "realtime2", "realtime3"], value_name="runtime_s")
    repeats = repeats[repeats.runtime_s > 0].assign(input_bytes=np.nan).rename(columns={"node": "machine"})
    local = small[small.machine == "local"]
    train = pd.concat([local, repeats])
    test = full[full.machine.isin(["asok01", "asok02", "n1", "n2", "c2"])]
    predicted = bench.predict(train, test, "runtime_s", ["input_bytes", "machine"], "kind")
    error = errors(test.runtime_s, predicted.point)
    tell(set="lotaru", what="other machines, benchmarks as rows without a size", n=len(test),
         median_error=float(np.median(error)), coverage=covered(test.runtime_s, predicted),
         local_median=float(np.median(errors(test.runtime_s, group_median(local, test, "runtime_s", "kind")))))


def c3o(bench):
    """Spark jobs, a tenth of the configurations held out."""
    from scipy.optimize import nnls

    published = pd.read_csv(f"{bench.data}/c3o_spark/published_mean_relative_error.csv")
    for job, rows in bench.read("c3o_spark/jobs.parquet").groupby("job"):
        features = [c for c in rows.columns if c not in ("gross_runtime", "job") and rows[c].nunique() > 1]
        configuration = rows.groupby(features, dropna=False).ngroup().values
        n = configuration.max() + 1
        found = {"paceline": [], "lightgbm": [], "ernest": []}
        hits = []
        for split in range(SPLITS):
            held = np.isin(configuration, np.random.default_rng(split).permutation(n)[: max(1, round(n * 0.1))])
            train, test = rows[~held], rows[held]
            predicted = bench.predict(train, test, "gross_runtime", features)
            found["paceline"].append(errors(test.gross_runtime, predicted.point).mean())
            hits.append(covered(test.gross_runtime, predicted))
            found["lightgbm"].append(
                errors(test.gross_runtime, lightgbm_predict(train, test, "gross_runtime", features)).mean())
            columns = lambda t: np.column_stack([np.ones(len(t)), t.data_size_MB / t.instance_count,
                                                 np.log(t.instance_count), t.instance_count])
            found["ernest"].append(errors(test.gross_runtime,
                                          columns(test) @ nnls(columns(train), train.gross_runtime.values)[0]).mean())
        theirs = published[(published.job == job) & (published.training_data == "global")].set_index("model")
        tell(set="c3o", job=job, splits=SPLITS, **{f"mean_error_{k}": float(np.mean(v)) for k, v in found.items()},
             coverage=float(np.mean(hits)), published_c3o=float(theirs.mean_relative_error["C3O"]),
             published_ernest=float(theirs.mean_relative_error["Ernest"]))


def wfinstances(bench):
    """Families of workflows, a fifth of their instances held out in turn; of those with one run, a fifth of the steps."""
    steps = bench.read("wfinstances/steps.parquet")
    runs = bench.read("wfinstances/runs.parquet")[["run_id", "workflow", "workflow_system"]]
    steps = steps.merge(runs, on="run_id")
    steps = steps[steps.duration_s > 0.05].assign(kind=lambda t: t.workflow + ":" + t.step_type)
    steps["input_bytes"] = steps.input_bytes.astype(float)
    single = (steps.groupby("workflow").run_id.transform("nunique") == 1) & (steps.workflow_system == "nextflow")
    families = [(family, rows, rows.run_id) for family, rows in steps[~single].groupby("workflow")
                if rows.run_id.nunique() >= 5]
    one_run = steps[single].reset_index(drop=True)
    families.append(("nf-core (one run each)", one_run, one_run.index.to_series()))
    for family, rows, unit in families:
        units = np.random.default_rng(0).permutation(sorted(unit.unique()))
        pooled, hits = {}, []
        for k in range(5):
            held = unit.isin(units[k::5]).values
            train, test = rows[~held], rows[held]
            predicted = bench.predict(train, test, "duration_s", ["input_bytes"], "kind")
            hits.append((predicted.lower <= test.duration_s.values) & (test.duration_s.values <= predicted.upper))
            one = {"paceline": predicted.point, "median": group_median(train, test, "duration_s", "kind")}
            for name, objective in (("l1", "l1"), ("l2", "regression")):
                columns = ["kind", "input_bytes"]
                one[f"lightgbm_{name}"] = lightgbm_predict(train, test, "duration_s", columns, objective=objective)
            for name, point in one.items():
                pooled.setdefault(name, []).append(errors(test.duration_s, point))
        tell(set="wfinstances", family=family, n=len(rows), coverage=float(np.concatenate(hits).mean()),
             **{f"mdape_{name}": float(np.median(np.concatenate(v))) for name, v in pooled.items()})


def nist(bench):
    """Correct digits of every certified coefficient and standard error."""
    powers = {"Wampler": 5}
    for name in ("Norris", "Longley", "NoInt1", "Wampler1", "Wampler2", "Wampler4"):
        lines = open(f"{bench.data}/nist_strd/{name}.dat").read().splitlines()
        certified = [m.groups() for m in (re.match(r"\s+B(\d+)\s+(\S+)\s+(\S+)\s*$", line) for line in lines) if m]
        start = max(i for i, line in enumerate(lines) if re.match(r"\s*Data:", line))
        values = np.array([[float(v) for v in line.split()] for line in lines[start + 1 :] if line.strip()])
        frame = pd.DataFrame({"y": values[:, 0]})
        n_powers = next((p for prefix, p in powers.items() if name.startswith(prefix)), None)
        if n_powers:
            frame = frame.assign(**{f"x{p}": values[:, 1] ** p for p in range(1, n_powers + 1)})
        else:
            frame = frame.assign(**{f"x{j}": values[:, j] for j in range(1, values.shape[1])})
        features = [c for c in frame if c != "y"]
        path, model = f"{bench.folder}/nist.csv", f"{bench.folder}/nist.model"
        frame.to_csv(path, index=False, float_format="%.17g")
        no_intercept = ["--no-intercept"] if name.startswith("NoInt") else []
        bench.run("train", path, "--model", model, "--target", "y", "--features", ",".join(features), "--learner", "ols",
                  *no_intercept)
        card = json.loads(bench.run("model", "show", model, "--format", "json").stdout)
        got = {c["name"]: (c["value"], c["std_error"]) for c in card["planes"][0]["ols"]["coefficients"]}
        digits = []
        for index, value, std_error in certified:
            mine = got["(intercept)" if index == "0" else f"x{index}"]
            for ours, theirs in zip(mine, (float(value), float(std_error))):
                close = abs(ours - theirs) / abs(theirs) if theirs else abs(ours)
                digits.append(15.0 if close == 0 else min(15.0, -np.log10(close)))
        tell(set="nist", name=name, n_values=len(digits), fewest_digits=float(min(digits)))


def leak(bench):
    """What the same execution yields is refused as a feature."""
    frame = pd.DataFrame({"duration_s": np.arange(1.0, 50.0), "memory_mb": np.arange(1.0, 50.0)})
    path = f"{bench.folder}/leak.parquet"
    frame.to_parquet(path, index=False)
    refused = bench.run("train", path, "--model", f"{bench.folder}/leak.model", "--target", "duration_s", "--features",
                        "memory_mb", accept=2)
    tell(set="leak", exit=2, sentence=refused.stderr.strip().splitlines()[-1])


def calendar(steps, last):
    at = steps.started_at
    return {"hour": at.dt.hour, "weekday": at.dt.weekday, "day": np.minimum(at, last).astype("int64") // 86_400_000_000}


def synth(bench):
    """75 days of synthetic history against the 15 after them. LightGBM gets the same rows, and no interval."""
    import glob
    import time

    columns = ["workflow_type", "step_id", "step_type", "provider", "attempt", "input_bytes", "tokens_in", "started_at",
               "duration_ms", "memory_mb", "status", "cache_hit"]
    steps = pd.concat(pd.read_parquet(p, columns=columns) for p in sorted(glob.glob(f"{bench.synth}/steps/*/*.parquet")))
    steps = steps[steps.status.isin(["success", "succeeded"]) & ~steps.cache_hit.fillna(False).astype(bool)]
    steps = steps.assign(step=steps.workflow_type + "/" + steps.step_id, duration_ms=steps.duration_ms.astype(float))
    steps = steps.sort_values("started_at")
    cut = steps.started_at.min().normalize() + pd.Timedelta(days=75)
    train, test = steps[steps.started_at < cut], steps[steps.started_at >= cut]
    features = ["input_bytes", "tokens_in", "provider", "attempt"]
    for target in ("duration_ms", "memory_mb"):
        a, b = (t[t[target].notna() & (t[target] > 0)] for t in (train, test))
        bench.cpu_s = 0.0
        predicted = bench.predict(a, b, target, features, "step", "started_at")
        ours = bench.cpu_s
        actual = b[target]
        started = time.process_time()
        times = ["hour", "weekday", "day"]
        rival = lightgbm_predict(a.assign(**calendar(a, cut)), b.assign(**calendar(b, cut)), target,
                                 ["step", *features, *times], objective="regression")
        lightgbm_cpu = time.process_time() - started
        ratio = float(np.median(predicted.upper / predicted.lower))
        tell(set="synth", target=target, train=len(a), test=len(b), mdape=float(np.median(errors(actual, predicted.point))),
             coverage=covered(actual, predicted), width_ratio=ratio, cpu_s=ours,
             lightgbm_mdape=float(np.median(errors(actual, rival))), lightgbm_cpu_s=lightgbm_cpu,
             step_median_mdape=float(np.median(errors(actual, group_median(a, b, target, "step")))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = dict(lotaru=lotaru, c3o=c3o, wfinstances=wfinstances, nist=nist, leak=leak, synth=synth)
    parser.add_argument("--paceline", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--synth")
    parser.add_argument("sets", nargs="*", default=[name for name in sets if name != "synth"])
    args = parser.parse_args()
    bench = Bench(os.path.abspath(args.paceline), args.data, args.synth)
    for name in args.sets:
        sets[name](bench)


if __name__ == "__main__":
    main()
