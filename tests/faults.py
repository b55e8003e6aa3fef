#!/usr/bin/env python3
"""Measures which service `paceline anomalies` leads to when a fault was injected into one, as a user would ask it.

  python tests/faults.py --paceline BIN --data SHARED/data [boutique trainticket] [--variants] [--each] [--visible]

Nezha's data (traces_nezha; the logs that its own method also reads are not among them). Four tables go through the
command, each of a row a minute and group, and every strange row points at a service:

resources  pods' CPU, memory, system calls, network bytes: the pod's service
work       operations' mean and longest self time (duration less what child spans cover), logarithms: their service;
           TrainTicket only, as of OnlineBoutique's traces none is from the minutes after a fault
waits      calls between services, mean time at the caller, and beside that at the callee: the callee
calls      share of an operation's spans (or whether a service in a minute) that made a call: the caller, who left it out

A service's score in a table is its strangest row's in the minutes after the injection. Its evidence is -log10 of how often
windows of that length at other times score as high (exponential tail above their 90 % quantile: peaks over threshold), the
fault's own minutes and their neighbours left out. Services are ranked by the sum over the tables (Fisher). AS@k is the share
of faults whose service is among the first k; a tie counts as lost.

--variants  the same with other windows, detectors, tables and sums     --each  a line a fault: rank, first three, evidence
--visible   with the labels in hand: does any number of the guilty service move in its own faults more than in others?

Prints one JSON object a line. Needs numpy, pandas, pyarrow.
"""
import argparse
import json
import subprocess
import tempfile

import numpy as np
import pandas as pd

APPLICATIONS = {"boutique": "onlineboutique_2022-08-22", "trainticket": "trainticket_2023-01-29"}
PUBLISHED = {"boutique": (0.9286, 0.9643), "trainticket": (0.8667, 0.9778)}
RESOURCES = ["CpuUsage(m)", "CpuUsageRate(%)", "MemoryUsage(Mi)", "MemoryUsageRate(%)", "SyscallRead", "SyscallWrite",
             "NetworkReceiveBytes", "NetworkTransmitBytes"]
LATENCIES = [f"Pod{side}LatencyP{p}(s)" for side in ("Client", "Server") for p in (90, 95, 99)]
MINUTE = pd.Timedelta("1min")


def tell(**what):
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


def service_of(pod):
    return pod.rsplit("-", 2)[0]


def reading_time(text):
    return pd.to_datetime(text.str.split(" +", regex=False).str[0], format="ISO8601")


def log_s(seconds):
    return np.log(seconds.clip(lower=1e-6))


def read_faults(folder):
    """A row a fault. inject_time is the column that agrees with the spans' clock."""
    with open(f"{folder}/fault_list.json") as file:
        faults = pd.DataFrame([fault for hour in json.load(file).values() for fault in hour])
    return pd.DataFrame({"at": pd.to_datetime(faults["inject_time"]), "kind": faults["inject_type"],
                         "service": faults["inject_pod"].map(service_of)})


def pods(metrics):
    """A row a pod and reading; both phases hold the same readings."""
    rows = metrics[metrics["PodName"].notna()].drop_duplicates(["PodName", "Time"])
    return rows.assign(at=reading_time(rows["Time"]), service=rows["PodName"].map(service_of), group=rows["PodName"])


def links(metrics):
    """A row a pair of services and reading, from the meshes' median latencies at both ends; without a call they are null."""
    ends = {}
    for end in ("source", "destination"):
        rows = metrics[metrics["file"] == f"{end}_50.csv"].drop_duplicates("time").dropna(axis=1, how="all")
        pairs = [c for c in rows.columns if "_" in c and rows[c].dtype == float]
        ends[end] = rows.assign(at=reading_time(rows["time"]).dt.floor("min")).melt("at", pairs, "group", end).set_index(["at", "group"])[end]
    rows = pd.concat(ends, axis=1).reset_index()
    rows[["caller", "callee"]] = rows["group"].str.split("_", expand=True)
    waits = rows.dropna().assign(service=rows["callee"], time=np.log(rows["source"]), gap=np.log(rows["source"] / rows["destination"]))
    return waits, rows.assign(service=rows["caller"], share=rows["source"].notna().astype(float))


def self_times(spans):
    """Seconds of each span that no child covers."""
    bounds = spans[["run_id", "step_id", "started_at", "ended_at"]].rename(columns={"step_id": "parent_step_id"})
    key = ["run_id", "parent_step_id"]
    children = spans.merge(bounds, on=key, suffixes=("", "_parent")).sort_values([*key, "started_at"])
    start = children[["started_at", "started_at_parent"]].max(axis=1)
    end = children[["ended_at", "ended_at_parent"]].min(axis=1)
    start, end = ((side - pd.Timestamp(0)).dt.total_seconds() for side in (start, end))
    reached = end.groupby([children[k] for k in key]).cummax().groupby([children[k] for k in key]).shift().fillna(0)
    covered = (end - np.maximum(start, reached)).clip(lower=0).groupby([children[k] for k in key]).sum()
    index = pd.MultiIndex.from_frame(spans[["run_id", "step_id"]])
    return (spans["duration_s"] - covered.reindex(index).fillna(0).to_numpy()).clip(lower=0)


def read_spans(folder, readings):
    """A row a span with its parent's; `at` is the first reading after its run began, as readings tell of the minute before."""
    columns = ["run_id", "step_id", "parent_step_id", "step_type", "provider", "started_at", "ended_at", "duration_s"]
    spans = pd.read_parquet(f"{folder}/steps.parquet", columns=columns)
    for column in ("started_at", "ended_at"):
        spans[column] = spans[column].dt.tz_localize(None)
    began = spans.groupby("run_id")["started_at"].transform("min")
    spans["at"] = readings[np.searchsorted(readings, began.to_numpy())]
    spans["self_s"] = self_times(spans)
    parents = spans[["run_id", "step_id", "step_type", "provider", "duration_s"]]
    parents = parents.rename(columns={"step_id": "parent_step_id"})
    return spans.merge(parents, on=["run_id", "parent_step_id"], how="left", suffixes=("", "_parent"))


def from_spans(spans):
    """Tables `work`, `waits` and `calls` of traces."""
    spans = spans.assign(self_log=log_s(spans["self_s"]), time=log_s(spans["duration_s"]))
    work = spans.groupby(["step_type", "provider", "at"]).agg(
        mean=("self_log", "mean"), longest=("self_log", "max"), duration=("time", "mean"), longest_duration=("time", "max"), n=("time", "size"))
    work = work.reset_index().rename(columns={"step_type": "group", "provider": "service"})
    across = spans[spans["provider_parent"].notna() & (spans["provider_parent"] != spans["provider"])]
    across = across.assign(group=across["provider_parent"] + " " + across["provider"], service=across["provider"],
                           time=log_s(across["duration_s_parent"]), gap=log_s(across["duration_s_parent"]) - across["time"])
    waits = across.groupby(["group", "service", "at"])[["time", "gap"]].mean().reset_index()
    made = spans.dropna(subset="step_type_parent").drop_duplicates(["run_id", "parent_step_id", "step_type"])
    made = made.groupby(["step_type_parent", "step_type", "provider_parent", "at"]).size().rename("made")
    pairs = made.reset_index()[["step_type_parent", "step_type", "provider_parent"]].drop_duplicates()
    calls = pairs.merge(work[["group", "at", "n"]].rename(columns={"group": "step_type_parent"}), on="step_type_parent")
    calls = calls.join(made, on=made.index.names)
    calls = calls.assign(share=calls["made"].fillna(0) / calls["n"], service=calls["provider_parent"],
                         group=calls["step_type_parent"] + " > " + calls["step_type"])
    return work, waits, calls


class Application:
    """The tables of one application, and the scores that the command gives their rows."""

    FEATURES = {"resources": RESOURCES, "resources and latencies": RESOURCES + LATENCIES, "work": ["mean", "longest"],
                "durations": ["duration", "longest_duration"], "waits": ["time", "gap"], "calls": ["share"]}

    def __init__(self, paceline, data, name):
        self.paceline, self.name, folder = paceline, name, f"{data}/traces_nezha/{APPLICATIONS[name]}"
        self.scratch, self.judged = tempfile.mkdtemp(prefix="faults-"), {}
        self.faults, metrics = read_faults(folder), pd.read_parquet(f"{folder}/metrics.parquet")
        rows = pods(metrics)
        readings = np.sort(rows.loc[rows["group"] == rows["group"].iloc[0], "at"].unique())
        self.spans = read_spans(folder, readings)
        self.tables = {"resources": rows, "resources and latencies": rows}
        if "source_50.csv" in set(metrics["file"]):
            self.tables["waits"], self.tables["calls"] = links(metrics)
            self.on_paths = {end for pair in self.tables["calls"]["group"] for end in pair.split("_")}
        else:
            work, self.tables["waits"], self.tables["calls"] = from_spans(self.spans)
            self.tables.update({"work": work, "durations": work})
            self.on_paths = set(self.spans["provider"])
        traced = set(self.spans["at"])
        self.traced = sum(any(at < t <= at + 2 * MINUTE for t in traced) for at in self.faults["at"])

    def scores(self, table, detector):
        """(readings x services): the strangest row's score."""
        if (table, detector) not in self.judged:
            rows, features = self.tables[table], self.FEATURES[table]
            given, out = f"{self.scratch}/in.parquet", f"{self.scratch}/out.parquet"
            rows[["group", "at", *features]].to_parquet(given, index=False)
            options = ["--time", "at"] if detector == "time" else ["--detector", detector]
            command = [self.paceline, "anomalies", given, "--out", out, "--group", "group", "--features", ",".join(features), *options]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{table}: exit {done.returncode}\n{done.stderr}")
            rows = rows[["at", "service"]].assign(score=pd.read_parquet(out)["score"].to_numpy())
            rows["at"] = rows["at"].dt.floor("min")
            self.judged[table, detector] = rows.pivot_table(index="at", columns="service", values="score", aggfunc="max")
        return self.judged[table, detector]


def evidence(score, others):
    """-log10 of the chance of a score at least as high as this, by the others."""
    others = others[np.isfinite(others)]
    if not np.isfinite(score) or not len(others):
        return np.nan
    threshold = np.quantile(others, 0.9)
    beyond = others[others > threshold] - threshold
    if score <= threshold or not len(beyond):
        return -np.log10((1 + (others >= score).sum()) / (1 + len(others)))
    return 1 + (score - threshold) / beyond.mean() * np.log10(np.e)


def weigh(scores, after, minutes):
    """Evidence against each service in the readings of some minutes after an instant."""
    last = after.floor("min") + minutes * MINUTE
    inside = (scores.index > after.floor("min")) & (scores.index <= last)
    if not inside.any():
        return pd.Series(dtype=float)
    length = int(inside.sum())
    windows = scores.rolling(length, min_periods=1).max()
    apart = (scores.index <= after.floor("min")) | (scores.index > last + (length - 1) * MINUTE)
    return pd.Series({service: evidence(scores.loc[inside, service].max(), windows.loc[apart, service].to_numpy()) for service in scores})


def rank(application, tables=("resources", "work", "waits", "calls"), minutes=2, detector="default", how="sum", only_on_paths=True):
    """A row a fault: rank of the guilty service (null: no table has it), first three, evidence of each table."""
    found = []
    tables = [table for table in tables if table in application.tables]
    for fault in application.faults.itertuples():
        table = pd.DataFrame({name: weigh(application.scores(name, detector), fault.at, minutes) for name in tables})
        table = table[table.index.isin(application.on_paths)] if only_on_paths else table
        total = (table.max(axis=1) if how == "max" else table.sum(axis=1, min_count=1)).dropna().sort_values(ascending=False)
        place = int((total >= total[fault.service]).sum()) if fault.service in total else None
        found.append({"at": str(fault.at), "kind": fault.kind, "service": fault.service, "rank": place, "first": list(total.index[:3]),
                      "of": len(total), "evidence": {n: round(float(v), 2) + 0.0 for n, v in table.loc[fault.service].dropna().items()} if place else {}})
    return pd.DataFrame(found)


def summarise(found, **label):
    place = found["rank"].fillna(np.inf)
    kinds = {kind: f"{(p <= 1).sum()} and {(p <= 3).sum()} of {len(p)}" for kind, p in place.groupby(found["kind"])}
    tell(**label, faults=len(found), rankable=int(found["rank"].notna().sum()), as_1=float((place <= 1).mean()),
         as_3=float((place <= 3).mean()), **kinds)


def variants(application):
    alone = [table for table in Application.FEATURES if table in application.tables]
    for table in alone:
        summarise(rank(application, (table,)), application=application.name, variant=f"{table} alone")
    cases = {"1 minute": {"minutes": 1}, "3 minutes": {"minutes": 3}, "largest evidence instead of the sum": {"how": "max"},
             "isolation forest alone": {"detector": "isolation-forest"}, "by the past only (--time)": {"detector": "time"},
             "all pods, also those no run went through": {"only_on_paths": False},
             "pods' latencies too": {"tables": ("resources and latencies", "work", "waits", "calls")},
             "durations instead of self times": {"tables": ("resources", "durations", "waits", "calls")},
             "without waits": {"tables": ("resources", "work", "calls")}, "without calls": {"tables": ("resources", "work", "waits")}}
    if "work" not in application.tables:
        del cases["durations instead of self times"]
    for label, options in cases.items():
        summarise(rank(application, **options), application=application.name, variant=label)


def visible(application):
    """For each service with repeated faults of a kind: how well does the best single number of each service (two minutes
    after less two before) tell these faults from the others (area under the curve, either way round), and at which
    place is the guilty service by that? First places would mean that the fault shows; any would do by chance."""
    tables = [(name, table, Application.FEATURES[name]) for name, table in application.tables.items() if name != "durations"]
    numbers = pd.concat([table.assign(at=table["at"].dt.floor("min")).melt(["service", "group", "at"], features)
                         for _, table, features in tables])
    numbers = numbers.pivot_table(index=["service", "group", "variable"], columns="at", values="value")
    moves = []
    for at in application.faults["at"].dt.floor("min"):
        after, before = ([at + k * MINUTE for k in steps] for steps in ((1, 2), (0, -1)))
        moves.append(numbers.reindex(columns=after).mean(axis=1) - numbers.reindex(columns=before).mean(axis=1))
    moves = pd.concat(moves, axis=1).dropna(thresh=len(moves) // 2)
    for (service, kind), faults in application.faults.groupby(["service", "kind"]):
        own = np.isin(np.arange(moves.shape[1]), faults.index)
        mine, others = moves.loc[:, own].dropna().to_numpy(), moves.loc[:, ~own].reindex(moves.loc[:, own].dropna().index).to_numpy()
        if len(faults) < 2 or not len(mine):
            continue
        known = ~np.isnan(others)
        wins = (mine[:, :, None] > others[:, None, :]).sum((1, 2)) + 0.5 * (mine[:, :, None] == others[:, None, :]).sum((1, 2))
        area = pd.Series(wins / (mine.shape[1] * known.sum(1)), index=moves.loc[:, own].dropna().index)
        best = (abs(area - 0.5) + 0.5).groupby(level="service").max()
        best = best[best.index.isin(application.on_paths)]
        tell(application=application.name, visible=service, kind=kind, faults=len(faults), area=float(best.get(service, np.nan)),
             place=int((best >= best.get(service, np.inf)).sum()) or None, of=len(best))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--paceline", required=True)
    arguments.add_argument("--data", required=True)
    for flag in ("--variants", "--each", "--visible"):
        arguments.add_argument(flag, action="store_true")
    arguments.add_argument("what", nargs="*", default=list(APPLICATIONS))
    given = arguments.parse_args()
    for name in given.what:
        application = Application(given.paceline, given.data, name)
        found = rank(application)
        published = PUBLISHED[name]
        summarise(found, application=name, faults_with_spans_after=application.traced, published_as_1=published[0], published_as_3=published[1])
        if given.each:
            for row in found.to_dict("records"):
                tell(**row)
        if given.variants:
            variants(application)
        if given.visible:
            visible(application)


if __name__ == "__main__":
    main()
