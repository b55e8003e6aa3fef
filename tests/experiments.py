#!/usr/bin/env python3
"""Scores `experiment` on public data beside what others compute from the same rows.

  python tests/experiments.py --paceline BIN --data SHARED/data [qsark cookies agents]

Everything goes through the command, as a user would. Prints one JSON object a line. Needs pandas, pyarrow and scipy. What
the folders hold is told in their READMEs. (A/A tests, coverage and power by simulation:
`cargo run --release -p paceline-pure --example experiments`.)
"""
import argparse
import json
import subprocess
import tempfile

import numpy as np
import pandas as pd
from scipy import stats


class Bench:
    def __init__(self, paceline, data):
        self.paceline, self.data = paceline, data
        self.folder = tempfile.mkdtemp(prefix="experiments-")

    def read(self, path):
        return pd.read_parquet(f"{self.data}/{path}")

    def compare(self, rows, *options):
        """The verdicts on rows, as a table."""
        table, out = f"{self.folder}/in.parquet", f"{self.folder}/out.parquet"
        rows.to_parquet(table, index=False)
        done = subprocess.run([self.paceline, "experiment", table, "--out", out, *options], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(options)}: exit {done.returncode}\n{done.stderr}")
        return pd.read_parquet(out)


def tell(**what):
    rounded = {k: float(f"{v:.6g}") if isinstance(v, (float, np.floating)) else v for k, v in what.items()}
    print(json.dumps(rounded), flush=True)


def qsark(bench):
    """Tasks of bam against cram: equal to SciPy on the same rows; then by runs, of which there are three an arm."""
    oracle = pd.read_csv(f"{bench.data}/nextflow_qsark/oracle_ab_bam_vs_cram.csv").set_index("process")
    steps = bench.read("nextflow_qsark/steps.parquet")
    steps = steps[steps.variant.isin(["bam", "cram"]) & steps.status.isin(["success", "cached"])]
    steps = steps[["run_id", "variant", "step_type", "duration_s"]]
    names = {name: next(p for p in steps.step_type.unique() if p.split(":")[-1] == name) for name in oracle.index}
    steps = steps[steps.step_type.isin(names.values())]
    options = ["--variant", "variant", "--control", "bam", "--metric", "duration_s", "--id", "step_type"]
    fixed = bench.compare(steps, *options, "--method", "fixed")
    median = bench.compare(steps, *options, "--method", "fixed", "--stat", "median")
    runs = bench.compare(steps, *options, "--method", "fixed", "--unit", "run_id")
    sequential = bench.compare(steps, *options, "--unit", "run_id")
    worst = 0.0
    for name, row in oracle.iterrows():
        of = lambda table, arm: table[(table.experiment_id == names[name]) & (table.arm == arm)].iloc[0]
        cram, bam = of(fixed, "cram"), of(fixed, "bam")
        assert (bam.n, cram.n) == (row.n_bam, row.n_cram), name
        pairs = [(bam.estimate, row.mean_s_bam, 5e-4), (cram.estimate, row.mean_s_cram, 5e-4),
                 (of(median, "bam").estimate, row.median_s_bam, 5e-4), (of(median, "cram").estimate, row.median_s_cram, 5e-4)]
        if not np.isnan(row.welch_p):
            # Printed with six digits.
            pairs.append((cram.p_value, row.welch_p, 6e-6 * row.welch_p))
        for found, expected, tolerance in pairs:
            assert abs(found - expected) <= tolerance + 1e-12, (name, found, expected)
            worst = max(worst, abs(found - expected))
        by_run, live = of(runs, "cram"), of(sequential, "cram")
        tell(set="qsark", process=name, tasks_p=cram.p_value, oracle_p=row.welch_p, relative=cram.relative_effect,
             runs=int(by_run.n), runs_p=by_run.p_value, runs_lower=by_run.relative_lower, runs_upper=by_run.relative_upper,
             decision=by_run.decision, anytime=live.decision, reason=by_run.reason)
    tell(set="qsark", agrees=True, largest_difference=worst)


def cookies(bench):
    players = bench.read("ab_experiments/cookie_cats.parquet")
    for column in ("retention_1", "retention_7"):
        players[column] = players[column].astype(float)
    for method in ("fixed", "sequential"):
        found = bench.compare(players, "--variant", "version", "--control", "gate_30", "--metric", "retention_1,retention_7",
                              "--stat", "proportion", "--direction", "increase", "--method", method)
        for row in found[found.effect.notna()].itertuples():
            tell(set="cookies", method=method, metric=row.metric, effect=row.effect, lower=row.effect_lower,
                 upper=row.effect_upper, p=row.p_value, srm_p=row.srm_p_value, decision=row.decision, reason=row.reason)


def agents(bench):
    """Two models on the same tasks: the t-test of pairs is what SciPy says, and far sharper than that of strangers."""
    rows = bench.read("llm_agent_runs/instance_results.parquet")
    rows = rows[(rows.benchmark == "swe-bench") & (rows.agent == "openhands")]
    rows = rows.assign(resolved=rows.resolved.astype(float))
    for a, b in [("claude-opus-4-6", "claude-opus-4-8"), ("claude-opus-4-5", "claude-opus-4-6")]:
        two = rows[rows.model.isin([a, b])].dropna(subset=["resolved", "cost_usd"])
        two = two[two.groupby("instance_id").model.transform("nunique") == 2]
        for metric in ("resolved", "cost_usd"):
            wide = two.pivot(index="instance_id", columns="model", values=metric)
            options = ["--variant", "model", "--control", a, "--metric", metric, "--method", "fixed", "--direction",
                       "increase" if metric == "resolved" else "decrease"]
            plain, paired = bench.compare(two, *options), bench.compare(two, *options, "--unit", "instance_id")
            row = paired[paired.arm == b].iloc[0]
            expected = stats.ttest_rel(wide[b], wide[a])
            interval = expected.confidence_interval(0.95)
            for found, wanted in [(row.p_value, expected.pvalue), (row.effect_lower, interval.low), (row.effect_upper, interval.high)]:
                assert abs(found - wanted) <= 1e-6 * abs(wanted), (a, b, metric, found, wanted)
            apart = plain[plain.arm == b].iloc[0]
            tell(set="agents", a=a, b=b, metric=metric, pairs=len(wide), effect=row.effect, lower=row.effect_lower,
                 upper=row.effect_upper, p=row.p_value, p_unpaired=apart.p_value, decision=row.decision)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--paceline", required=True)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("sets", nargs="*", default=["qsark", "cookies", "agents"])
    given = arguments.parse_args()
    bench = Bench(given.paceline, given.data)
    for name in given.sets:
        {"qsark": qsark, "cookies": cookies, "agents": agents}[name](bench)


if __name__ == "__main__":
    main()
