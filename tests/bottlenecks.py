#!/usr/bin/env python3
"""Plants bottlenecks of every type in a lake, runs the job, and scores what it tells.

  python tests/bottlenecks.py --paceline BIN [--seed 7] [--per-cell N] [--keep DIR]

A workflow is a diamond of steps with sizes, hours, weekends and noise of its own, 60 days of five runs; a cell is a type at an
effect, and each workflow of it has one bottleneck. Effects are ratios: of the step's time to what it was (slow_step), of a run's
time to that without the limit (slots) or with both steps side by side (sequential_dependency), of the memory needed to what
would do (memory), of the step's time to that without throttling (api_limit), of a step's time at the 90 % quantile of sizes to
what linear growth from the median would need (inefficient_algorithm), and to that without repeats (cache_miss). As many clean
workflows as there are in a cell of all types stand beside them.

Prints precision and recall of each type and effect as JSON, one object a line. Needs numpy, polars.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np
import polars as pl

EFFECTS = [1.1, 1.2, 1.35, 1.5, 2.0, 3.0]
KINDS = ["slow_step", "slots", "memory", "api_limit", "api_limit_shared", "inefficient_algorithm", "sequential_dependency", "cache_miss"]
TYPE = {"slots": "resource_exhaustion", "memory": "resource_exhaustion", "api_limit_shared": "api_limit"}
DAYS, RUNS_A_DAY, TASKS = 60, 5, 6
HOURS = np.array([2, 2, 2, 2, 2, 3, 4, 6, 9, 11, 12, 12, 10, 11, 12, 11, 10, 8, 6, 5, 4, 3, 3, 2], float)
STEPS = ["fetch", "scan", "left", "right", "call", "parse", "join"]
DEPS = {"fetch": [], "scan": ["fetch"], "left": ["fetch"], "right": ["fetch"], "call": ["fetch"], "parse": ["call"],
        "join": ["scan", "left", "right", "parse"]}


class Workflow:
    """Executions of one workflow: arrays of (n_runs,), and of (n_runs, TASKS) for the tasks of `scan`."""

    def __init__(self, name, seed, kind, effect):
        self.name, self.kind, self.effect = name, kind, effect
        self.draw = draw = np.random.default_rng(seed)
        n = self.n = DAYS * RUNS_A_DAY
        self.day = np.repeat(np.arange(DAYS), RUNS_A_DAY)
        self.hour = draw.choice(24, n, p=HOURS / HOURS.sum()) + draw.random(n)
        self.x = 0.8 * draw.standard_normal(n)
        load = draw.uniform(0, 0.2) * np.sin((self.hour - draw.uniform(0, 24)) * np.pi / 12) + np.where(self.day % 7 >= 5, draw.normal(0, 0.05), 0)
        self.size = np.exp(draw.normal(np.log(20e6), 1) + self.x)
        self.sigma, self.beta, self.ms = {}, {}, {}
        for step in STEPS:
            shape = (n, TASKS) if step == "scan" else (n,)
            self.sigma[step], self.beta[step] = draw.uniform(0.08, 0.3), draw.choice([0, draw.uniform(0.2, 1)])
            base = np.log(draw.uniform(2e3, 30e3)) + self.beta[step] * self.x + load
            noise = self.sigma[step] * draw.standard_normal(shape)
            self.ms[step] = np.exp((base[:, None] if step == "scan" else base) + noise)
        self.calls = {"call": draw.poisson(draw.uniform(10, 40) * np.exp(0.5 * self.x) * np.exp(0.4 * draw.standard_normal(n))) + 1,
                      "scan": draw.poisson(draw.uniform(4, 10) * np.exp(0.2 * self.x)[:, None] * np.ones((1, TASKS))) + 1}
        self.memory = {s: np.exp(draw.normal(6, 0.7) + 0.15 * draw.standard_normal(self.ms[s].shape)) for s in STEPS}
        self.request = {s: 1.5 * np.median(m) for s, m in self.memory.items()}
        self.keys = np.arange(n)
        self.slots, self.turns, self.target = None, False, None
        if kind:
            getattr(self, f"plant_{kind}")(effect)
        self.place()

    def plant_slow_step(self, effect):
        self.target = str(self.draw.choice(["left", "right", "call", "parse"]))
        self.ms[self.target] *= np.where(self.day >= self.draw.integers(30, 46), effect, 1)

    def plant_slots(self, effect):
        self.ms["scan"] *= self.draw.uniform(2, 4)
        self.place()
        free = self.ends["join"].mean()
        ratios = {}
        for slots in range(1, 9):
            self.slots = slots
            self.place()
            ratios[slots] = self.ends["join"].mean() / free
        self.slots = min(ratios, key=lambda k: abs(np.log(ratios[k] / effect)))
        self.effect_real = ratios[self.slots]

    def plant_memory(self, effect):
        self.target = str(self.draw.choice(["left", "right", "parse", "join"]))
        self.memory[self.target] *= effect

    def plant_api_limit(self, effect):
        """A burst is free, further calls come at a rate: each execution on its own."""
        self.target = "call"
        calls, ms = self.calls["call"], self.ms["call"]
        beyond = np.maximum(calls - np.quantile(calls, 0.3), 0)
        self.ms["call"] = ms + beyond * (effect - 1) * ms.mean() / beyond.mean()

    def plant_api_limit_shared(self, effect):
        """The same with one quota for all tasks of a run."""
        self.target = "scan"
        calls = self.calls["scan"].sum(1)
        beyond = np.maximum(calls - np.quantile(calls, 0.3), 0)[:, None]
        self.ms["scan"] = self.ms["scan"] + beyond * (effect - 1) * self.ms["scan"].mean() / beyond.mean()

    def plant_inefficient_algorithm(self, effect):
        self.target = str(self.draw.choice(["left", "right", "parse"]))
        power = 1 + np.log(effect) / (0.8 * 1.2816)
        self.ms[self.target] *= np.exp((power - self.beta[self.target]) * self.x)

    def plant_sequential_dependency(self, effect):
        self.target, self.turns = "right", True
        for step in ("fetch", "join", "call", "parse"):
            self.ms[step] *= 0.15
        self.ms["scan"] *= 0.3
        # Longer than what runs beside them, so that their turns are what a run takes.
        beside = max(np.median(self.ms["scan"].max(1)), np.median(self.ms["call"] + self.ms["parse"]))
        left = max(np.median(self.ms["left"]), 1.5 * beside)
        self.ms["left"] *= left / np.median(self.ms["left"])
        right, ratios = self.ms["right"] * left / np.median(self.ms["right"]), {}
        for share in np.linspace(0.02, 1, 50):
            self.ms["right"] = share * right
            ends = []
            for self.turns in (True, False):
                self.place()
                ends.append(self.ends["join"].mean())
            ratios[share] = ends[0] / ends[1]
        share = min(ratios, key=lambda k: abs(np.log(ratios[k] / effect)))
        self.ms["right"], self.turns, self.effect_real = share * right, True, ratios[share]

    def plant_cache_miss(self, effect):
        self.target = "left"
        repeat = self.draw.random(self.n) < 1 - 1 / effect
        self.keys = np.where(repeat, self.draw.integers(0, 5, self.n) - 10, self.keys)

    def place(self):
        """Starts and ends by dependencies and slots, the first ready going first."""
        self.starts, self.ends = {s: np.zeros_like(m) for s, m in self.ms.items()}, {s: np.zeros_like(m) for s, m in self.ms.items()}
        gap = {s: 5 + 45 * np.random.default_rng(i).random(self.ms[s].shape) for i, s in enumerate(STEPS)}
        if self.slots is None:
            for step in STEPS:
                ready = np.max([self.ends[d] if d != "scan" else self.ends[d].max(1) for d in DEPS[step]], axis=0) if DEPS[step] else np.zeros(self.n)
                if step == "right" and self.turns:
                    ready = np.maximum(ready, self.ends["left"])
                self.starts[step] = (ready[:, None] if step == "scan" else ready) + gap[step]
                self.ends[step] = self.starts[step] + self.ms[step]
            return
        for run in range(self.n):
            free = np.zeros(self.slots)
            nodes = ["fetch", *[("scan", t) for t in range(TASKS)], "left", "right", "call"]
            pending, done = [(0.0, i, node) for i, node in enumerate(nodes[:1])], {}
            later = nodes[1:]
            while pending:
                pending.sort(key=lambda one: one[:2])
                ready, _, node = pending.pop(0)
                step, task = node if isinstance(node, tuple) else (node, None)
                at = (run,) if task is None else (run, task)
                slot = int(np.argmin(free))
                self.starts[step][at] = max(ready, free[slot]) + gap[step][at]
                end = self.ends[step][at] = self.starts[step][at] + self.ms[step][at]
                free[slot] = end
                done[node] = end
                if node == "fetch":
                    pending += [(end, 1 + i, other) for i, other in enumerate(later)]
                elif node == "call":
                    pending.append((end, 50, "parse"))
                if len(done) == len(nodes) + 1 and "join" not in done and "parse" in done and not pending:
                    pending.append((max(done.values()), 99, "join"))

    def frames(self):
        t0 = np.datetime64("2026-01-05", "us").astype("int64") + ((self.day * 24 + self.hour) * 3600e6).astype("int64")
        ids = np.array([f"{self.name}-{i}" for i in range(self.n)])
        parts = []
        for step in STEPS:
            tasks = TASKS if step == "scan" else 1
            flat = lambda a: np.asarray(a).reshape(self.n * tasks)
            many = lambda a: np.repeat(a, tasks)
            start = many(t0) + (flat(self.starts[step]) * 1e3).astype("int64")
            peak, request = flat(self.memory[step]), self.request[step]
            calls = flat(self.calls[step]).astype("int64") if step in self.calls else np.zeros(self.n * tasks, "int64")
            name = np.tile([f"scan/{t}" for t in range(TASKS)], self.n) if tasks > 1 else np.repeat(step, self.n)
            parts.append(pl.DataFrame(dict(
                run_id=many(ids), workflow_id=self.name, workflow_type=self.name, step_id=name, attempt=1, started_us=start,
                duration_ms=flat(self.ms[step]), status="succeeded", provider="cloud", input_bytes=many(self.size).astype("int64"),
                memory_mb=np.minimum(peak, request), memory_request_mb=request, api_calls=calls,
                cache_key=[f"{self.name}-{k}" for k in self.keys] if step == "left" else None,
            ), schema_overrides=dict(cache_key=pl.String)).with_columns(depends_on=pl.Series([DEPS[step]] * (self.n * tasks), dtype=pl.List(pl.String))))
        steps = pl.concat(parts).with_columns(
            started_at=pl.col("started_us").cast(pl.Datetime("us", "UTC")),
            ended_at=(pl.col("started_us") + (pl.col("duration_ms") * 1e3).cast(pl.Int64)).cast(pl.Datetime("us", "UTC")), cache_hit=False)
        runs = pl.DataFrame(dict(run_id=ids, workflow_id=self.name, workflow_type=self.name, started_us=t0, ended_us=t0 + (self.ends["join"] * 1e3).astype("int64")))
        runs = runs.with_columns(started_at=pl.col("started_us").cast(pl.Datetime("us", "UTC")), ended_at=pl.col("ended_us").cast(pl.Datetime("us", "UTC")),
                                 status=pl.lit("succeeded"), provider=pl.lit("cloud")).drop("started_us", "ended_us")
        return runs, steps.drop("started_us")


def write(lake, workflows):
    runs, steps = map(pl.concat, zip(*[one.frames() for one in workflows]))
    dates = runs.select("run_id", date=pl.col("started_at").dt.date().cast(pl.String))
    for name, frame in (("runs", runs), ("steps", steps)):
        for (date,), day in frame.join(dates, on="run_id").partition_by("date", as_dict=True).items():
            os.makedirs(f"{lake}/{name}/date={date}", exist_ok=True)
            day.drop("date").sort("started_at").write_parquet(f"{lake}/{name}/date={date}/part-0.parquet")


def score(found, workflows):
    rows = found.select("workflow_id", "step", "type", "impact").to_dicts()
    by_workflow = {}
    for row in rows:
        by_workflow.setdefault(row["workflow_id"], []).append((row["type"], row["step"]))
    truth = {one.name: (TYPE.get(one.kind, one.kind), one.target) for one in workflows if one.kind}
    false = {}
    for one in workflows:
        for kind, step in by_workflow.get(one.name, []):
            if truth.get(one.name) != (kind, step):
                false.setdefault(kind, []).append((one.kind, one.effect, step))
    n_found = {}
    for kind in KINDS:
        recall = {}
        for effect in EFFECTS:
            cell = [one for one in workflows if one.kind == kind and one.effect == effect]
            hits = [one for one in cell if truth[one.name] in by_workflow.get(one.name, [])]
            if cell:
                recall[str(effect)] = round(len(hits) / len(cell), 3)
            if effect >= 1.5:
                n_found[TYPE.get(kind, kind)] = n_found.get(TYPE.get(kind, kind), 0) + len(hits)
        real = {e: [o.effect_real for o in workflows if o.kind == kind and o.effect == e and hasattr(o, "effect_real")] for e in EFFECTS}
        extra = dict(effect_real=[round(float(np.mean(real[e])), 2) for e in EFFECTS if real[e]]) if any(real.values()) else {}
        print(json.dumps(dict(kind=kind, recall=recall, **extra)), flush=True)
    for kind in sorted({TYPE.get(k, k) for k in KINDS}):
        bad = false.get(kind, [])
        hits = n_found.get(kind, 0)
        where = {}
        for planted, _, step in bad:
            where[f"{planted}:{step}"] = where.get(f"{planted}:{step}", 0) + 1
        print(json.dumps(dict(type=kind, precision=round(hits / max(1, hits + len(bad)), 3), found=hits, false=len(bad), false_in=where)), flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--paceline", required=True)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--per-cell", type=int, default=10)
    arguments.add_argument("--keep")
    given = arguments.parse_args()
    folder = given.keep or tempfile.mkdtemp(prefix="bottlenecks-")
    everything, found = [], []
    for number, kind in enumerate(KINDS):
        workflows = []
        for effect in EFFECTS:
            if kind == "sequential_dependency" and effect > 2:
                continue
            for one in range(given.per_cell):
                workflows.append(Workflow(f"{kind}-{effect}-{one}", [given.seed, number, len(workflows)], kind, effect))
        for one in range(given.per_cell):
            workflows.append(Workflow(f"clean-{kind}-{one}", [given.seed, number, len(workflows)], None, 1.0))
        write(f"{folder}/{kind}/lake", workflows)
        found.append(bottlenecks(given.paceline, f"{folder}/{kind}"))
        everything += workflows
    score(pl.concat(found), everything)


def bottlenecks(paceline, folder):
    lake, results = f"{folder}/lake", f"{folder}/results"
    done = subprocess.run([paceline, "run", "--lake", lake, "--results", results, "--as-of", "latest", "--stage", "recommendations"],
                          capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"exit {done.returncode}\n{done.stderr}")
    return pl.read_parquet(f"{results}/bottlenecks/*/*.parquet", hive_partitioning=True)


if __name__ == "__main__":
    main()
