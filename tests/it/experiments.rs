//! Experiments of a run beside what `experiment` says of the same rows, and what can't be believed of them.
#![expect(clippy::cast_possible_wrap, clippy::float_cmp, reason = "small whole numbers")]

use crate::workplace::{Workplace, numbers, texts};
use chrono::{DateTime, TimeDelta, Utc};
use polars::prelude::DataFrame;
use std::fmt::Write;

/// A run of the experiment.
struct Run {
    arm: &'static str,
    /// Hours after the start.
    hour: i64,
    seconds: f64,
    cost: f64,
    tokens: i64,
    failed: bool,
    user: u64,
}

/// Between 0 and 1, the same in every run of the test.
fn uniform(i: u64) -> f64 {
    let mixed = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)) as f64 / u64::MAX as f64
}

/// Twenty days of `n` runs; `b` takes a tenth less time, and a fifth less money a token.
fn runs(n: u64) -> Vec<Run> {
    let run = |i: u64| {
        let arm = if uniform(3 * i) < 0.5 { "a" } else { "b" };
        let (time, price) = if arm == "b" { (0.9, 0.8) } else { (1.0, 1.0) };
        let tokens = 1_000 + (uniform(3 * i + 1) * 9_000.0) as i64;
        let seconds = 60.0 * time * (0.5 * (uniform(3 * i + 2) + uniform(3 * i + 7) + uniform(3 * i + 11))).exp();
        Run {
            arm,
            hour: (i * 480 / n) as i64,
            seconds,
            cost: price * tokens as f64 * 1e-5 * (0.9 + 0.2 * uniform(5 * i + 4)),
            tokens,
            failed: false,
            user: i * 7 % 60,
        }
    };
    (0..n).map(run).collect()
}

const START: &str = "2026-01-05T00:00:00Z";

fn csv(runs: &[Run]) -> String {
    let begin: DateTime<Utc> = START.parse().unwrap();
    let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let mut csv =
        "run_id,workflow_id,workflow_type,started_at,ended_at,duration_ms,status,variant,cost_usd,tokens,unit_id\n"
            .to_owned();
    for (i, run) in runs.iter().enumerate() {
        let start = begin + TimeDelta::hours(run.hour) + TimeDelta::seconds(i as i64 % 3_000);
        let ms = (1_000.0 * run.seconds).round();
        let end = start + TimeDelta::milliseconds(ms as i64);
        let status = if run.failed { "failed" } else { "succeeded" };
        let Run { arm, tokens, user, .. } = run;
        let cost = if run.cost.is_nan() { String::new() } else { run.cost.to_string() };
        writeln!(csv, "r{i},w,w,{},{},{ms},{status},{arm},{cost},{tokens},u{user}", text(start), text(end)).unwrap();
    }
    csv
}

/// A place with these runs in its lake, and what a run publishes of them under `experiments`.
async fn judged(runs: &[Run], experiments: &str) -> (Workplace, DataFrame) {
    let place = Workplace::empty();
    place.configure(&format!("as_of: 2026-02-04T00:00:00Z\nperformance_optimization:\n  experiments:\n{experiments}"));
    std::fs::write(place.path("runs.csv"), csv(runs)).unwrap();
    let (source, lake) = (place.path("runs.csv"), place.path("lake"));
    let paths = [source.to_str().unwrap(), lake.to_str().unwrap()];
    let ingest = ["ingest", "--from", "csv", "--table", "runs", paths[0], "--lake", paths[1]];
    let done = place.command(&ingest).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    place.run("results", &[]).outcome(0);
    let found = place.table("results", "experiments").await;
    (place, found)
}

/// The value of a column in the row of arm b and a metric.
fn of_b(found: &DataFrame, metric: &str, column: &str) -> f64 {
    let row = row_of_b(found, metric);
    found.column(column).unwrap().f64().unwrap().get(row).unwrap()
}

fn row_of_b(found: &DataFrame, metric: &str) -> usize {
    let (metrics, arms) = (texts(found, "metric"), texts(found, "arm"));
    (0..found.height()).find(|&row| metrics[row] == metric && arms[row] == "b").unwrap()
}

fn reason(found: &DataFrame, metric: &str) -> String {
    texts(found, "reason")[row_of_b(found, metric)].clone()
}

/// What `experiment` says of the rows, at one look.
fn says_what_rows_say(place: &Workplace, found: &DataFrame, metric: &str, options: &[&str], tolerance: f64) {
    let (source, out) = (place.path("runs.csv"), place.path("out.csv"));
    let paths = ["experiment", source.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let always = ["--variant", "variant", "--control", "a", "--method", "fixed"];
    let done = place.command(&[&paths[..], &always, options].concat()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let written = std::fs::read_to_string(&out).unwrap();
    let mut lines = written.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let place_of = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let row = lines.find(|row| row[place_of("arm")] == "b").unwrap();
    for name in ["estimate", "relative_effect", "relative_lower", "relative_upper"] {
        let (of_rows, of_sums): (f64, f64) = (row[place_of(name)].parse().unwrap(), of_b(found, metric, name));
        let scale = if name == "estimate" { of_rows } else { 1.0 };
        assert!(((of_rows - of_sums) / scale).abs() < tolerance, "{metric} {name}: {of_sums} beside {of_rows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_unit_are_one_draw() {
    let mut of_users = runs(2_000);
    of_users.iter_mut().for_each(|run| run.arm = if run.user % 2 == 0 { "a" } else { "b" });
    let config = "    - id: e\n      workflow_type: w\n      control: a\n      method: fixed\n      end: 2026-02-01T00:00:00Z\n      \
                  unit: unit_id\n      primary: { metric: execution_time }\n      guardrails:\n        \
                  - { metric: cost/tokens }\n        - { metric: cost, stat: log_ratio }\n";
    let (place, found) = judged(&of_users, config).await;
    let by_user = ["--unit", "unit_id"];
    for (metric, column, stat) in [
        ("execution_time", "duration_ms", "mean"),
        ("cost/tokens", "cost_usd/tokens", "ratio"),
        ("cost", "cost_usd", "log-ratio"),
    ] {
        says_what_rows_say(
            &place,
            &found,
            metric,
            &[&["--metric", column, "--stat", stat], &by_user[..]].concat(),
            1e-9,
        );
    }
    assert_eq!(numbers(&found, "n")[row_of_b(&found, "cost")], 30.0, "users");
    // Nobody declared it: no user of many is in both arms, so users were assigned.
    let (_, found) = judged(&of_users, "    []\n").await;
    assert_eq!(numbers(&found, "n")[row_of_b(&found, "cost")], 30.0, "{found:?}");
    let (_, found) = judged(&runs(2_000), "    []\n").await;
    assert!(numbers(&found, "n")[row_of_b(&found, "cost")] > 900.0, "runs were assigned: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn quantiles_and_ratios_are_those_of_the_rows() {
    let config = "    - id: e\n      workflow_type: w\n      control: a\n      method: fixed\n      end: 2026-02-01T00:00:00Z\n      \
                  primary: { metric: execution_time, stat: p95 }\n      guardrails:\n        \
                  - { metric: cost/tokens, max_relative_increase: 0.05 }\n        \
                  - { metric: cost, stat: log_ratio, max_relative_increase: 0.05 }\n";
    let (place, found) = judged(&runs(2_000), config).await;
    assert!(texts(&found, "stat").iter().zip(texts(&found, "metric")).all(|(stat, metric)| {
        *stat
            == match metric.as_str() {
                "execution_time" => "p95",
                "cost/tokens" => "ratio",
                _ => "log_ratio",
            }
    }));
    for (metric, column, stat, tolerance) in [
        ("execution_time", "duration_ms", "p95", 0.01),
        ("cost/tokens", "cost_usd/tokens", "ratio", 1e-9),
        ("cost", "cost_usd", "log-ratio", 1e-9),
    ] {
        says_what_rows_say(&place, &found, metric, &["--metric", column, "--stat", stat], tolerance);
    }
    assert_eq!(texts(&found, "decision")[row_of_b(&found, "cost/tokens")], "ship", "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_believed_is_said() {
    let config = "    - id: e\n      workflow_type: w\n      control: a\n      primary: { metric: execution_time }\n      \
                  guardrails: [ { metric: cost } ]\n";
    // A third of the runs of arm b fail, none of the others.
    let mut failing = runs(1_000);
    failing.iter_mut().enumerate().for_each(|(i, run)| run.failed = run.arm == "b" && i % 3 == 0);
    let (_, found) = judged(&failing, config).await;
    assert!(reason(&found, "execution_time").contains("arms differ in how many did"), "{found:?}");
    assert!(!reason(&found, "cost").contains("arms differ in how many did"), "{found:?}");
    // Early runs are nearly all of arm a, late ones of arm b, though both ran all the time.
    let mut drifting = runs(1_000);
    drifting
        .iter_mut()
        .enumerate()
        .for_each(|(i, run)| run.arm = if uniform(9 * i as u64) < i as f64 / 1_000.0 { "b" } else { "a" });
    let (_, found) = judged(&drifting, config).await;
    assert!(reason(&found, "cost").contains("the shares of the arms changed over time"), "{found:?}");
    // The cost of half of the runs of arm b is unknown.
    let mut unknown = runs(1_000);
    unknown.iter_mut().enumerate().for_each(|(i, run)| {
        if run.arm == "b" && i % 4 < 2 {
            run.cost = f64::NAN;
        }
    });
    let (_, found) = judged(&unknown, config).await;
    let row = row_of_b(&found, "cost");
    assert_eq!(texts(&found, "decision")[row], "invalid", "{found:?}");
    assert!(reason(&found, "cost").contains("values are missing in a 0.0 %, b "), "{found:?}");
    let (_, found) = judged(&runs(1_000), config).await;
    assert!(
        ["changed over time", "missing", "differ"].iter().all(|words| !reason(&found, "cost").contains(words)),
        "{found:?}"
    );
}
