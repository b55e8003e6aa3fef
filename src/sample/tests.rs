#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use polars::prelude::*;

fn sample() -> Sample {
    generate(DEFAULT_SEED).unwrap()
}

/// The median of a column of `steps` where `keep` holds.
fn median(sample: &Sample, column: &str, keep: Expr) -> f64 {
    let succeeded = col("status").eq(lit("succeeded"));
    let kept =
        sample.steps.clone().lazy().filter(keep.and(succeeded)).select([col(column).median()]).collect().unwrap();
    kept.column(column).unwrap().f64().unwrap().get(0).unwrap()
}

fn step(name: &str) -> Expr {
    col("step_id").eq(lit(name))
}

fn ratio_around(sample: &Sample, change: &PlantedChange, column: &str) -> f64 {
    let at = lit(change.at.timestamp_micros()).cast(DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)));
    let before = median(sample, column, step(change.step).and(col("started_at").lt(at.clone())));
    median(sample, column, step(change.step).and(col("started_at").gt_eq(at))) / before
}

#[test]
fn the_same_seed_makes_the_same_sample_and_another_one_does_not() {
    let (a, b) = (sample(), sample());
    assert!(a.runs.equals_missing(&b.runs) && a.steps.equals_missing(&b.steps));
    assert_eq!(a.truth, b.truth);
    assert!(!a.runs.equals_missing(&generate(8).unwrap().runs));
}

#[test]
fn it_is_small_and_ends_when_it_says() {
    let sample = sample();
    assert!((1_300..1_700).contains(&sample.truth.n_runs), "{}", sample.truth.n_runs);
    assert!((10_000..15_000).contains(&sample.truth.n_steps), "{}", sample.truth.n_steps);
    assert_eq!((sample.runs.height(), sample.steps.height()), (sample.truth.n_runs, sample.truth.n_steps));
    let started = sample.runs.column("started_at").unwrap().datetime().unwrap().physical().clone();
    let (from, to) = (sample.truth.start.timestamp_micros(), sample.truth.end.timestamp_micros());
    assert!(started.iter().flatten().all(|us| from <= us && us < to));
    assert_eq!(sample.truth.end.to_rfc3339(), "2026-10-12T00:00:00+00:00");
}

#[test]
fn keys_are_unique() {
    let sample = sample();
    assert_eq!(sample.runs.column("run_id").unwrap().n_unique().unwrap(), sample.truth.n_runs);
    let keys = sample.steps.select(["run_id", "step_id", "attempt"]).unwrap();
    assert!(keys.is_unique().unwrap().all());
}

#[test]
fn what_is_planted_is_there() {
    let sample = sample();
    let [build, merge] = &sample.truth.change_points[..] else { unreachable!() };
    assert!((ratio_around(&sample, build, "duration_ms") - build.factor).abs() < 0.08);
    assert!((ratio_around(&sample, merge, "memory_mb") - merge.factor).abs() < 0.05);
    let provider = |name: &str| median(&sample, "duration_ms", step("plan").and(col("provider").eq(lit(name))));
    assert!((provider("south") / provider("north") - sample.truth.slow_provider.time_ratio).abs() < 0.05);
    let arm = |name: &str| {
        let runs = sample.runs.clone().lazy().filter(col("variant").eq(lit(name)));
        let time = (col("ended_at") - col("started_at")).dt().total_microseconds(false).cast(DataType::Float64);
        runs.select([time.mean().alias("us")]).collect().unwrap().column("us").unwrap().f64().unwrap().get(0).unwrap()
    };
    let effect = arm("treatment") / arm("control") - 1.0;
    assert!((effect - sample.truth.experiment.time_effect).abs() < 0.03, "{effect}");
    assert!((20..60).contains(&sample.truth.anomalies.len()), "{}", sample.truth.anomalies.len());
    let request = &sample.truth.over_requested;
    let used = median(&sample, "memory_mb", col("step_id").str().starts_with(lit(format!("{}/", request.step))));
    assert!((used / request.memory_mb - 1.0).abs() < 0.1 && request.memory_request_mb > 5.0 * used);
}

#[test]
fn the_pair_waits_without_need() {
    let steps = sample().steps;
    let of = |name: &str, columns: [&str; 2]| {
        let columns: Vec<Expr> = columns.into_iter().map(col).collect();
        steps.clone().lazy().filter(step(name).and(col("attempt").eq(lit(1)))).select(columns)
    };
    let lint = of("lint", ["run_id", "ended_at"]);
    let unit = of("unit", ["run_id", "started_at"]);
    let pairs = lint.join(unit, [col("run_id")], [col("run_id")], JoinType::Inner.into()).collect().unwrap();
    let (ended, started) = (pairs.column("ended_at").unwrap(), pairs.column("started_at").unwrap());
    assert!(pairs.height() > 400);
    assert!(ended.as_materialized_series().lt(started.as_materialized_series()).unwrap().all());
    let depends = steps.clone().lazy().filter(step("unit")).select([col("depends_on")]).collect().unwrap();
    let depends = depends
        .column("depends_on")
        .unwrap()
        .list()
        .unwrap()
        .explode(ExplodeOptions { empty_as_null: true, keep_nulls: true })
        .unwrap();
    assert_eq!(depends.n_unique().unwrap(), 1);
}

#[test]
fn some_runs_fail_and_some_steps_are_tried_again() {
    let sample = sample();
    let failed = sample.runs.clone().lazy().filter(col("status").eq(lit("failed"))).collect().unwrap().height();
    let retries = sample.steps.lazy().filter(col("attempt").gt(lit(1))).collect().unwrap().height();
    assert!((10..150).contains(&failed), "{failed}");
    assert!((50..400).contains(&retries), "{retries}");
}
