#!/usr/bin/env python3
"""Measures `paceline replay` against what a change really did.

  python tests/replay.py --paceline BIN --data SHARED/data --bench SHARED/bench [real timed inferred truth portfolio caching]

real       published runs (WfInstances): critical path, work, depth and width beside the oracle; how near an unchanged replay
           comes to the recorded end-to-end time
timed      the same for runs with times: Nextflow traces, whose dependencies are inferred, and the generator's worlds
inferred   the generator's worlds with dependencies hidden and times of submission given: which of those that are inferred are so,
           and the saving of a change beside the truth
truth      worlds of the benchmark's generator executed twice with the same random stream, the second time with one step
           faster or slower, or with other slots; see `World`. Predicted from the first, compared with the second: the error
           of the saving, the coverage of its interval by the same runs and by runs to come, and how often the best of five
           candidate fixes is named
portfolio  the same with two steps at once: the joint saving beside the truth and beside the sum of its parts
caching    hit rates that the recommendations of a lake of the benchmark's generator predict (--lake, --results) beside a cache
           that answers every recorded execution, and whether what was planted is recommended

Prints one JSON object a line. Needs numpy, polars, pyarrow.
"""
import argparse
import heapq
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import polars as pl

CASES = 200
DAYS, RUNS_A_DAY = 12, 5
CANDIDATES = 5


def tell(**what):
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


class Bench:
    def __init__(self, paceline, data):
        self.paceline, self.data = paceline, data
        self.folder = tempfile.mkdtemp(prefix="replay-")

    def replay(self, steps, *options, runs=None):
        """(one row a run, one dict a workflow) of the verb on a frame of steps."""
        given, out = f"{self.folder}/steps.parquet", f"{self.folder}/out.parquet"
        steps.write_parquet(given)
        command = [self.paceline, "replay", given, "--out", out, "--format", "json", *options]
        if runs is not None:
            runs.write_parquet(f"{self.folder}/runs.parquet")
            command += ["--runs", f"{self.folder}/runs.parquet"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 3):
            raise SystemExit(f"{' '.join(options)}: exit {done.returncode}\n{done.stderr}")
        return pl.read_parquet(out), json.loads(done.stdout)


# --- published runs

def real(bench, _synth):
    folder = f"{bench.data}/wfinstances"
    runs, steps = pl.read_parquet(f"{folder}/runs.parquet"), pl.read_parquet(f"{folder}/steps.parquet")
    names = runs.select("run_id", pl.col("workflow").alias("workflow_id"))
    steps = steps.join(names, on="run_id").select(
        "run_id", "workflow_id", "step_id", "depends_on", attempt=1, duration_ms=pl.col("duration_s") * 1e3)
    length = pl.duration(microseconds=(pl.col("duration_s") * 1e6).cast(pl.Int64))
    runs = runs.select("run_id", pl.col("workflow").alias("workflow_id"), "started_at", ended_at=pl.col("started_at") + length)
    rows, _ = bench.replay(steps, runs=runs)
    oracle = pl.read_csv(f"{folder}/oracle_dag.csv")
    # A fit has its own error on the run that it was made from; where only an overhead explains the makespan it is none.
    j = rows.join(oracle, on="run_id", how="inner")
    seconds = lambda own, theirs: int(((j[own] / 1e3 - j[theirs]).abs() < 2e-3).sum())
    off = (j["replayed_ms"] / 1e3 / j["makespan_s"] - 1).abs()
    tell(real="wfinstances", runs=oracle.height, replayed=j.height, critical_path=seconds("critical_path_ms", "critical_path_s"),
         work=seconds("total_work_ms", "total_work_s"), depth=int((j["depth"] == j["depth_levels"]).sum()),
         width=int((j["width"] == j["max_level_width"]).sum()), within_20=float((off <= 0.2).mean()), median_error=float(off.median()), by_overhead=int(j["slots"].is_null().sum() + ((off < 1e-6) & (j["slots"] == 1)).sum()))


def nextflow(folder):
    """Tasks as the lake names them: process/tag, counted where a tag comes again."""
    runs, steps = pl.read_parquet(f"{folder}/runs.parquet"), pl.read_parquet(f"{folder}/steps.parquet")
    steps = steps.join(runs.select("run_id", workflow_id="workflow"), on="run_id")
    turn = pl.col("step_id").cum_count().over("run_id", "step_type", "tag")
    tag = pl.when(turn > 1).then(pl.format("{}#{}", pl.col("tag").fill_null(""), turn)).otherwise(pl.col("tag"))
    alone = pl.len().over("run_id", "step_type") == 1
    step = pl.when(alone | tag.is_null()).then("step_type").otherwise(pl.format("{}/{}", "step_type", tag))
    return steps.filter(pl.col("started_at").is_not_null() & pl.col("ended_at").is_not_null()).select(
        "run_id", "workflow_id", "started_at", "ended_at", "status", step_id=step, step_type="step_type", attempt=1,
        duration_ms=pl.col("duration_s") * 1e3, queue_ms=pl.when(pl.col("queue_s") >= 0).then(pl.col("queue_s") * 1e3), cache_hit=pl.col("cache_hit").fill_null(False))


def timed(bench, synth):
    for source in ["nextflow_sizey", "nextflow_qsark"]:
        steps = nextflow(f"{bench.data}/{source}")
        for (workflow,), own in steps.partition_by("workflow_id", as_dict=True).items():
            rows, told = bench.replay(own)
            off = (rows["replayed_ms"] / rows["recorded_ms"] - 1).abs()
            tell(timed=workflow, runs=own["run_id"].n_unique(), replayed=rows.height, median_error=float(off.median()), worst=float(off.max()),
                 inferred=told[0]["n_inferred"])
    off = []
    for world, _, _ in worlds(synth, 40):
        rows, _ = bench.replay(world.steps(world.run()[0]))
        off.append((rows["replayed_ms"] / rows["recorded_ms"] - 1).abs())
    off = pl.concat(off)
    tell(timed="synth", runs=len(off), median_error=float(off.median()), within_5=float((off <= 0.05).mean()))


# --- dependencies inferred from times

def inferred(bench, synth):
    n_shown = n_true = n_direct = n_declared = n_worlds = near = covered = 0
    off = []
    for world, _, draw in worlds(synth, CASES // 2):
        frame, base = world.run()
        steps = hidden(world, world.steps(frame), draw)
        step, factor = int(draw.integers(world.wf["S"])), float(draw.choice([0.2, 0.5, 0.7, 1.5]))
        true = base.mean() - world.run(factors_of(world, [(step, factor)]))[1].mean()
        try:
            _, told = bench.replay(steps, *asked(world, factors_of(world, [(step, factor)]), None), "--inferred", f"{bench.folder}/inferred.parquet")
        except SystemExit:
            continue
        n_worlds += 1
        ids = world.wf["step_ids"]
        declared = {(ids[s], ids[d]) for s, deps in enumerate(world.wf["deps"]) for d in deps}
        shown = set(pl.read_parquet(f"{bench.folder}/inferred.parquet").select("step", "waits_for").rows())
        n_shown, n_declared = n_shown + len(shown), n_declared + len(declared)
        n_direct, n_true = n_direct + len(shown & declared), n_true + len(shown & closure(declared))
        told = told[0]
        near += is_near(told["saving_ms"], true, base.mean())
        covered += told["saving_ms_lower"] - 1e-6 * base.mean() <= true <= told["saving_ms_upper"] + 1e-6 * base.mean()
        off.append((told["saving_ms"] - true) / base.mean())
    tell(inferred=n_worlds, shown=n_shown, so=n_true / max(1, n_shown), declared_found=n_direct / max(1, n_declared), near=near / max(1, n_worlds),
         covered=covered / max(1, n_worlds), most_over=float(max(off)), most_under=float(min(off)))


def hidden(world, steps, draw):
    """As a system records it that knows no dependencies, but when it handed each step over: a moment after the last that the step
    waits for had ended."""
    ends = steps.filter(pl.col("status") == "succeeded").group_by("run_id", "step_id").agg(pl.col("ended_at").max())
    waits = steps.select("run_id", "step_id", waits_for="depends_on").explode("waits_for")
    ready = waits.join(ends, left_on=["run_id", "waits_for"], right_on=["run_id", "step_id"]).group_by("run_id", "step_id").agg(ready=pl.col("ended_at").max())
    first = pl.col("started_at").min().over("run_id")
    pause = pl.Series(draw.uniform(1, 30, steps.height))
    waited = (pl.col("started_at") - pl.coalesce("ready", first)).dt.total_microseconds() / 1e3
    return steps.join(ready, on=["run_id", "step_id"], how="left").with_columns(
        queue_ms=(waited - pause).clip(0), depends_on=pl.lit(None, pl.List(pl.String))).drop("ready")


def closure(pairs):
    """Who waits for whom, at once or by way of others."""
    pairs = set(pairs)
    while True:
        more = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
        if not more:
            return pairs
        pairs |= more


# --- truth

class World:
    """Runs of one workflow type of the generator, executed under given factors of its steps and, where `slots` is given, on
    so many slots by who is ready first, each execution after a dispatch of 5 to 50 ms that keeps its slot. Without slots the
    generator's own schedule is taken, retries, pauses between them and caches included. The random stream is the same for all
    factors."""

    def __init__(self, synth, seed, wf, w, days, a_day, slots=None):
        self.synth, self.seed, self.wf, self.w, self.days, self.a_day, self.slots = synth, seed, wf, w, days, a_day, slots
        self.n = len(days) * a_day

    def executions(self, factors):
        wf = dict(self.wf, mu=self.wf["mu"] + np.log(factors))
        frames = []
        for number, day in enumerate(self.days):
            _, rows = self.synth.block(self.seed, day, self.w, wf, self.a_day, [], [])
            frames.append(pl.DataFrame({k: rows[k] for k in ("i", "j", "att", "st", "du", "bad", "hit")}).with_columns(pl.col("i") + number * self.a_day))
        return pl.concat(frames)

    def run(self, factors=None, slots=None):
        """(steps as a frame, end-to-end ms of each run from its first start to its last end)."""
        wf = self.wf
        frame = self.executions(np.ones(wf["S"]) if factors is None else factors)
        if self.slots is not None:
            frame = self.scheduled(frame.filter(pl.col("att") == 1), slots or self.slots)
        ends = frame.filter(~pl.col("hit")).group_by("i").agg((pl.col("st") + pl.col("du")).max() - pl.col("st").min()).sort("i")
        return frame, ends.to_series(1).to_numpy()

    def scheduled(self, frame, slots):
        durations = np.zeros((self.n, self.wf["S"]))
        hits = np.zeros((self.n, self.wf["S"]), bool)
        durations[frame["i"], frame["j"]] = frame["du"]
        hits[frame["i"], frame["j"]] = frame["hit"]
        dispatch = 5 + 45 * self.synth.rng_for(self.seed, self.days[0], self.w, 77).random(durations.shape)
        starts = np.array([schedule(self.wf["deps"], d + h, slots) + h for d, h in zip(durations, dispatch)])
        i, j = np.divmod(np.arange(durations.size), self.wf["S"])
        return pl.DataFrame(dict(i=i, j=j, att=1, st=starts.ravel(), du=durations.ravel(), bad=False, hit=hits.ravel()))

    def steps(self, frame):
        ids, deps = self.wf["step_ids"], [[self.wf["step_ids"][d] for d in dep] for dep in self.wf["deps"]]
        day0 = np.datetime64("2026-01-05", "us").astype("int64")
        start = pl.col("i") * 10_000_000_000 + day0 + (pl.col("st") * 1000).cast(pl.Int64)
        j = frame["j"].to_list()
        return frame.select(
            run_id=pl.format("r{}", "i"), workflow_id=pl.lit("w"), step_id=pl.Series([ids[s] for s in j]),
            depends_on=pl.Series([deps[s] for s in j], dtype=pl.List(pl.String)), attempt=pl.col("att").cast(pl.Int64),
            started_at=start.cast(pl.Datetime("us", "UTC")), ended_at=(start + (pl.col("du") * 1000).cast(pl.Int64)).cast(pl.Datetime("us", "UTC")),
            duration_ms=pl.col("du"), status=pl.when("bad").then(pl.lit("failed")).otherwise(pl.lit("succeeded")), cache_hit=pl.col("hit"))


def schedule(deps, spans, slots):
    """Starts (n,) of a list schedule: whoever was ready first goes first."""
    n = len(deps)
    waiting, after, starts = [len(d) for d in deps], [[] for _ in range(n)], np.zeros(n)
    for s, d in enumerate(deps):
        for other in d:
            after[other].append(s)
    ready, running, now, free = [(0.0, s) for s in range(n) if not deps[s]], [], 0.0, slots
    heapq.heapify(ready)
    while ready or running:
        while ready and free:
            _, s = heapq.heappop(ready)
            starts[s], free = now, free - 1
            heapq.heappush(running, (now + spans[s], s))
        now, s = heapq.heappop(running)
        free += 1
        for other in after[s]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, (now, other))
    return starts


def worlds(synth, n_cases):
    """Every second one on slots that bind: fewer than its steps could use."""
    draw = np.random.default_rng(11)
    for case in range(n_cases):
        seed = 1000 + case
        types, _, _ = synth.make_world(seed, 6, 90)
        w = int(draw.integers(len(types)))
        slots = int(draw.integers(1, 5)) if case % 2 else None
        day = int(draw.integers(90 - 3 * DAYS))
        later = range(day + DAYS, day + 3 * DAYS)
        yield (World(synth, seed, types[w], w, range(day, day + DAYS), RUNS_A_DAY, slots), World(synth, seed, types[w], w, later, 2 * RUNS_A_DAY, slots), draw)


def asked(world, factors, slots):
    ids = world.wf["step_ids"]
    options = [o for s, f in enumerate(factors) if f != 1 for o in ("--speedup", f"{ids[s]}={f}")]
    return options + (["--slots", str(slots)] if slots else [])


def predicted(bench, world, steps, factors, slots=None):
    _, told = bench.replay(steps, *asked(world, factors, slots))
    return told[0]


def factors_of(world, changes):
    factors = np.ones(world.wf["S"])
    for step, factor in changes:
        factors[step] = factor
    return factors


def is_near(saving, true, end_to_end):
    return abs(saving - true) <= max(0.15 * abs(true), 0.01 * end_to_end)


def truth(bench, synth):
    scores = {"open": [], "slots": []}
    for number, (world, later, draw) in enumerate(worlds(synth, CASES)):
        frame, base = world.run()
        steps = world.steps(frame)
        family = "slots" if world.slots else "open"
        step, factor = int(draw.integers(world.wf["S"])), float(draw.choice([0.2, 0.5, 0.5, 0.7, 0.9, 1.5]))
        # One in four changes of a world with slots is one of slots.
        slots = world.slots + int(draw.integers(1, 3)) if world.slots and draw.random() < 0.25 else None
        factors = factors_of(world, [] if slots else [(step, factor)])
        saved = lambda one, base, **how: base.mean() - one.run(**how)[1].mean()
        true = saved(world, base, factors=factors, slots=slots)
        to_come = saved(later, later.run()[1], factors=factors, slots=slots)
        told = predicted(bench, world, steps, factors, slots)
        slack = 1e-3 * base.mean() * 1e-3
        within = lambda value: told["saving_ms_lower"] - slack <= value <= told["saving_ms_upper"] + slack
        # The best of five fixes that halve a step.
        candidates = draw.choice(world.wf["S"], min(CANDIDATES, world.wf["S"]), replace=False)
        halved = [factors_of(world, [(int(c), 0.5)]) for c in candidates]
        really = [saved(world, base, factors=f) for f in halved]
        by_replay = [predicted(bench, world, steps, f)["saving_ms"] for f in halved]
        picked, best = really[int(np.argmax(by_replay))], max(really)
        one = dict(near=is_near(told["saving_ms"], true, base.mean()), covered=within(true), covered_to_come=within(to_come),
                   best=picked >= best - 1e-6 * base.mean(), lost=(best - picked) / base.mean(), off=(told["saving_ms"] - true) / base.mean(),
                   replay_error=told["replay_error"])
        scores[family].append(one)
        if not (one["near"] and one["best"]):
            tell(missed=number, family=family, slots=world.slots, to_slots=slots, step=step, factor=factor, saving=told["saving_ms"],
                 true=true, end_to_end=base.mean(), told_end_to_end=told["end_to_end_ms"], picked=picked, best=best)
    for family, of in [*scores.items(), ("all", scores["open"] + scores["slots"])]:
        mean = lambda key: float(np.mean([one[key] for one in of]))
        tell(truth=family, cases=len(of), near=mean("near"), best_of_five=mean("best"), most_lost=max(one["lost"] for one in of), covered=mean("covered"),
             covered_to_come=mean("covered_to_come"), median_replay_error=float(np.median([one["replay_error"] for one in of])))


def portfolio(bench, synth):
    near = below = truly_below = 0
    ratios = []
    for world, _, draw in worlds(synth, CASES // 2):
        frame, base = world.run()
        steps = world.steps(frame)
        pair = [(int(s), 0.5) for s in draw.choice(world.wf["S"], 2, replace=False)]
        saved = lambda changes: base.mean() - world.run(factors_of(world, changes))[1].mean()
        true = saved(pair)
        truly_below += true <= sum(saved([one]) for one in pair) * (1 + 1e-9) + 1e-6
        told = predicted(bench, world, steps, factors_of(world, pair))["saving_ms"]
        parts = sum(predicted(bench, world, steps, factors_of(world, [one]))["saving_ms"] for one in pair)
        near += is_near(told, true, base.mean())
        below += told <= parts * (1 + 1e-9) + 1e-6
        ratios.append(told / parts if parts > 0 else 1.0)
    n = CASES // 2
    # Two branches side by side: together they can save more than one after the other alone, in truth as in the replay.
    tell(portfolio=n, near=near / n, no_more_than_parts=below / n, truly_no_more=truly_below / n, most_over_parts=float(max(ratios)), median_of_parts=float(np.median(ratios)))


# --- caching

def caching(bench, _synth):
    steps = pl.scan_parquet(f"{bench.lake}/steps/*/*.parquet").filter(pl.col("cache_key").is_not_null() & (pl.col("status") == "success"))
    steps = steps.select("workflow_id", "step_id", "cache_key", "started_at", "ended_at", "cache_hit").collect().sort("started_at")
    streams = {key: rows for key, rows in steps.partition_by("workflow_id", "step_id", as_dict=True).items()}
    told = pl.read_parquet(f"{bench.results}/recommendations/*/*.parquet", hive_partitioning=True).filter(pl.col("type") == "CACHING")
    off = []
    for row in told.iter_rows(named=True):
        predicted = int(re.search(r"(\d+) % of the", row["title"]).group(1)) / 100
        amount, unit = re.search(r"for (\d+) (\w+?)s?:", row["title"]).groups()
        ttl = int(amount) * dict(day=86_400, hour=3_600, minute=60, second=1)[unit] * 1_000_000
        off.append(predicted - hit_rate(streams[(row["workflow_id"], row["target"])], ttl))
    tell(caching=len(off), within_2_points=float(np.mean(np.abs(off) <= 0.025)), mean_off=float(np.mean(off)), worst=float(np.max(np.abs(off))))


def hit_rate(stream, ttl_us):
    """Share of the executions that ran which a cache of any size would have answered."""
    kept, ran, hits = {}, 0, 0
    columns = stream["cache_key"].to_list(), stream["started_at"].to_physical().to_list(), stream["ended_at"].to_physical().to_list(), stream["cache_hit"].to_list()
    for key, start, end, cached in zip(*columns):
        since = kept.get(key)
        hit = since is not None and since <= start <= since + ttl_us
        if not hit:
            kept[key] = end
        if not cached:
            ran += 1
            hits += hit
    return hits / max(1, ran)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--paceline", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--bench", required=True)
    arguments.add_argument("--lake")
    arguments.add_argument("--results")
    arguments.add_argument("what", nargs="*", default=["real", "timed", "inferred", "truth", "portfolio"])
    given = arguments.parse_args()
    sys.path.insert(0, given.bench)
    import synth

    bench = Bench(os.path.abspath(given.paceline), given.data)
    bench.lake, bench.results = given.lake, given.results
    for what in given.what:
        {"real": real, "timed": timed, "inferred": inferred, "truth": truth, "portfolio": portfolio, "caching": caching}[what](bench, synth)


if __name__ == "__main__":
    main()
