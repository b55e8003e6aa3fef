//! What a lake may hold that it should not: each is told or refused with its reason, the exit code says so, and
//! earlier results stand.

use crate::workplace::{Ended, Workplace, numbers, parquet_bytes, texts};
use paceline::io::Store;
use polars::prelude::{Column, DataFrame, DataType, IntoColumn, NamedFrom, Series, TimeUnit, df};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Days of good history, 1 to 7 March 2026, before the bad day.
const GOOD_DAYS: std::ops::RangeInclusive<u32> = 1..=7;
const RUNS_A_DAY: usize = 8;
const BEFORE: [&str; 2] = ["--as-of", "2026-03-08T00:00:00Z"];
const AFTER: [&str; 2] = ["--as-of", "2026-03-09T00:00:00Z"];
const BAD: &str = "steps/date=2026-03-08/bad.parquet";

fn runs(day: u32) -> DataFrame {
    let ids: Vec<String> = (0..RUNS_A_DAY).map(|i| format!("r{day}-{i}")).collect();
    let at = |minute: usize| {
        (0..RUNS_A_DAY).map(|i| format!("2026-03-{day:02}T{:02}:{minute:02}:00Z", 8 + i)).collect::<Vec<_>>()
    };
    df!(
        "run_id" => ids,
        "workflow_id" => vec!["w"; RUNS_A_DAY],
        "started_at" => at(0),
        "ended_at" => at(3),
        "status" => vec!["succeeded"; RUNS_A_DAY],
    )
    .unwrap()
}

/// Steps `a`, then `b`, of each run of the day.
fn steps(day: u32) -> DataFrame {
    let ids: Vec<String> = (0..2 * RUNS_A_DAY).map(|i| format!("r{day}-{}", i / 2)).collect();
    let names: Vec<&str> = (0..2 * RUNS_A_DAY).map(|i| ["a", "b"][i % 2]).collect();
    let at = |end: usize| {
        let minute = |i: usize| {
            format!("2026-03-{day:02}T{:02}:0{}:{:02}Z", 8 + i / 2, i % 2 + end, if end == 1 { i } else { 0 })
        };
        (0..2 * RUNS_A_DAY).map(minute).collect::<Vec<_>>()
    };
    df!(
        "run_id" => ids,
        "step_id" => names,
        "started_at" => at(0),
        "ended_at" => at(1),
        "status" => vec!["succeeded"; 2 * RUNS_A_DAY],
    )
    .unwrap()
}

fn good() -> Workplace {
    let place = Workplace::empty();
    for day in GOOD_DAYS {
        put_day(&place, day, &runs(day), &steps(day));
    }
    place
}

fn put_day(place: &Workplace, day: u32, runs: &DataFrame, steps: &DataFrame) {
    for (table, frame) in [("runs", runs), ("steps", steps)] {
        place.put(&format!("{table}/date=2026-03-{day:02}/part-0.parquet"), parquet_bytes(frame));
    }
}

/// A step that stands in a file of its own, beside the good ones.
fn step(run_id: &[&str], step_id: &[&str], duration_ms: &[f64]) -> DataFrame {
    df!("run_id" => run_id, "step_id" => step_id, "duration_ms" => duration_ms).unwrap()
}

/// Runs over good history, then over a day that has what is bad, too. What was published at first must stand.
async fn run_beside_good(bad: &[(&str, Vec<u8>)]) -> (Workplace, Ended) {
    let place = good();
    place.run("results", &BEFORE).outcome(0);
    let before = place.published("results").await;
    put_day(&place, 8, &runs(8), &steps(8));
    bad.iter().for_each(|(path, bytes)| place.put(path, bytes));
    let ended = place.run("results", &AFTER);
    unharmed(&place, &before).await;
    (place, ended)
}

async fn unharmed(place: &Workplace, before: &BTreeMap<String, Vec<u8>>) {
    let after = place.published("results").await;
    let harmed: Vec<&String> =
        before.iter().filter(|(path, bytes)| after.get(*path) != Some(bytes)).map(|(path, _)| path).collect();
    assert!(harmed.iter().all(|path| *path == "_ledger/latest.json"), "{harmed:?} have changed");
    assert!(place.verified_entries("results").await >= 1);
}

/// File, row, column and value of each reject, and its reason.
async fn rejects(place: &Workplace) -> Vec<([String; 4], String)> {
    let table = place.table("results", "rejects").await;
    let (files, columns, values, reasons) =
        (texts(&table, "file"), texts(&table, "column"), texts(&table, "value"), texts(&table, "reason"));
    let rows = numbers(&table, "row");
    let one = |idx: usize| {
        let row = if rows[idx].is_nan() { String::new() } else { rows[idx].to_string() };
        ([files[idx].clone(), row, columns[idx].clone(), values[idx].clone()], reasons[idx].clone())
    };
    (0..table.height()).map(one).collect()
}

fn overwritten(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + 24].fill(0xff);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_are_refused_as_a_whole() {
    let whole = parquet_bytes(&step(&["r8-0"; 400], &["c"; 400], &[5.0; 400]));
    let naive = Series::new("started_at".into(), [1_772_928_000_000_000_i64])
        .cast(&DataType::Datetime(TimeUnit::Microseconds, None))
        .unwrap()
        .into_column();
    let with = |column: Column| {
        let mut frame = step(&["r8-0"], &["c"], &[5.0]);
        frame.with_column(column).unwrap();
        parquet_bytes(&frame)
    };
    let without = |column: &str| parquet_bytes(&step(&["r8-0"], &["c"], &[5.0]).drop(column).unwrap());
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("EMPTY_FILE", Vec::new(), "0 bytes"),
        ("TRUNCATED", whole[..whole.len() / 2].to_vec(), "truncated"),
        ("CORRUPT_PAGE", overwritten(&whole, 12), "Parquet"),
        ("CORRUPT_FOOTER", overwritten(&whole, whole.len() - 60), "Parquet"),
        ("CSV", b"run_id,step_id,duration_ms\nr8-0,c,5\n".to_vec(), "another format"),
        ("NO_STEP_ID", without("step_id"), "step_id"),
        ("NO_DURATION", without("duration_ms"), "duration_ms (or started_at and ended_at)"),
        ("NAIVE_TIME", with(naive), "state no time zone"),
        ("WRONG_TYPE", with(Column::new("duration_ms".into(), [true])), "column \"duration_ms\" has type"),
    ];
    for (name, bytes, why) in cases {
        let (place, ended) = run_beside_good(&[(BAD, bytes)]).await;
        let outcome = ended.outcome(0);
        assert_eq!((&outcome["rejects"], &outcome["steps"]), (&1.into(), &128.into()), "{name}: {outcome}");
        let rejects = rejects(&place).await;
        assert_eq!(rejects[0].0, [BAD, "", "", ""], "{name}");
        assert!(rejects[0].1.contains(why), "{name}: {rejects:?}");
        assert_eq!(place.verified_entries("results").await, 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_trusted_are_refused_one_by_one() {
    let one = |duration_ms: f64| step(&["r8-0", "r8-1"], &["c", "c"], &[7.0, duration_ms]);
    let with = |name: &str, value: &str| {
        let mut frame = one(8.0);
        frame.with_column(Column::new(name.into(), [None, Some(value)])).unwrap();
        frame
    };
    let mut backwards = with("started_at", "2026-03-08T10:00:00Z");
    backwards.with_column(Column::new("ended_at".into(), [None, Some("2026-03-08T09:00:00Z")])).unwrap();
    let mut no_key = one(8.0);
    no_key.replace("step_id", Column::new("step_id".into(), [Some("c"), None])).unwrap();
    let twice = step(&["r8-0", "r8-0", "r8-0"], &["c", "c", "c"], &[7.0, 7.0, 8.0]);
    let cases: [(&str, DataFrame, [&str; 3], &str); 10] = [
        ("NAN", one(f64::NAN), ["1", "duration_ms", "NaN"], "non-finite duration"),
        ("INFINITE", one(f64::INFINITY), ["1", "duration_ms", "inf"], "non-finite duration"),
        ("NEGATIVE", one(-8.0), ["1", "duration_ms", "-8.0"], "negative duration"),
        ("BACKWARDS", backwards, ["1", "ended_at", "2026-03-08T09:00:00Z"], "end before start"),
        ("MISSING_KEY", no_key, ["1", "step_id", ""], "missing key"),
        ("NOT_A_NUMBER", with("memory_mb", "lots"), ["1", "memory_mb", "lots"], "not a number"),
        ("NO_TIME", with("started_at", "yesterday"), ["1", "started_at", "yesterday"], "unparsable time"),
        (
            "NAIVE_TIME",
            with("started_at", "2026-03-08T10:00:00"),
            ["1", "started_at", "2026-03-08T10:00:00"],
            "with its offset",
        ),
        ("NO_STATUS", with("status", "purple"), ["1", "status", "purple"], "unknown status"),
        ("TWICE", twice, ["2", "run_id,step_id,attempt", "r8-0,c,1"], "duplicate key with different content"),
    ];
    for (name, frame, [row, column, value], why) in cases {
        let (place, ended) = run_beside_good(&[(BAD, parquet_bytes(&frame))]).await;
        let outcome = ended.outcome(0);
        assert_eq!((&outcome["rejects"], &outcome["steps"]), (&1.into(), &129.into()), "{name}: {outcome}");
        let rejects = rejects(&place).await;
        assert_eq!(rejects[0].0, [BAD, row, column, value], "{name}");
        assert!(rejects[0].1.contains(why), "{name}: {rejects:?}");
        assert_eq!(place.verified_entries("results").await, 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_two_files_of_a_day_is_refused_where_it_comes_second() {
    // The row before it is refused, too, and must not shift what is told of it.
    let second = step(&["r8-1", "r8-0"], &["c", "c"], &[f64::NAN, 9.0]);
    let first = step(&["r8-0"], &["c"], &[7.0]);
    let other = "steps/date=2026-03-08/also.parquet";
    let (place, ended) = run_beside_good(&[(other, parquet_bytes(&first)), (BAD, parquet_bytes(&second))]).await;
    // Two of 194 rows are more than the 1 % that the limits allow.
    assert_eq!(ended.outcome(3)["rejects"], 2);
    let rejects: Vec<[String; 4]> = rejects(&place).await.into_iter().map(|(place, _)| place).collect();
    assert!(rejects.contains(&[BAD, "1", "run_id,step_id,attempt", "r8-0,c,1"].map(str::to_owned)), "{rejects:?}");
    assert!(rejects.contains(&[BAD, "0", "duration_ms", "NaN"].map(str::to_owned)), "{rejects:?}");
    assert_eq!(place.verified_entries("results").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_are_published_once() {
    let (place, ended) = run_beside_good(&[(BAD, b"no Parquet at all".to_vec())]).await;
    ended.outcome(0);
    place.run("results", &["--as-of", "2026-03-09T12:00:00Z"]).outcome(0);
    assert_eq!(rejects(&place).await.len(), 1, "the second run had nothing new to refuse");
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_that_cannot_be_are_told_and_left_out() {
    let names = |names: &[&str]| Series::new("".into(), names);
    let depends_on = |column: [Series; 3]| Column::new("depends_on".into(), column.to_vec());
    let steps_of = |run: &str, column| {
        let mut frame = step(&[run; 3], &["x", "y", "z"], &[5.0; 3]);
        frame.with_column(column).unwrap();
        parquet_bytes(&frame)
    };
    let dangling = steps_of("r8-0", depends_on([names(&[]), names(&["x", "nowhere"]), names(&["y"])]));
    let cyclic = steps_of("r8-1", depends_on([names(&["z"]), names(&["x"]), names(&["y"])]));
    let files = [(BAD, dangling), ("steps/date=2026-03-08/cyclic.parquet", cyclic)];
    let (place, ended) = run_beside_good(&files).await;
    assert_eq!(ended.outcome(0)["rejects"], 0);
    let skips = place.table("results", "skips").await;
    let rows: Vec<(String, String, String)> = texts(&skips, "analysis")
        .into_iter()
        .zip(texts(&skips, "step"))
        .zip(texts(&skips, "reason"))
        .map(|((analysis, step), reason)| (analysis, step, reason))
        .filter(|(analysis, ..)| analysis == "dependencies")
        .collect();
    let tells = |step: &str, parts: &[&str]| {
        rows.iter().any(|(_, of, reason)| of == step && parts.iter().all(|part| reason.contains(part)))
    };
    assert!(tells("y", &["\"r8-0\"", "\"y\"", "\"nowhere\""]), "{rows:?}");
    assert!(tells("", &["\"r8-1\"", "\"x\", \"y\", \"z\""]), "{rows:?}");
    assert_eq!(rows.len(), 2, "{rows:?}");
}

/// A name, files by name, and what is said of them.
type Bad<'a> = (&'a str, Vec<(&'a str, Vec<u8>)>, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_with_nothing_to_read_is_exit_4_and_publishes_nothing() {
    let no_rows = parquet_bytes(&runs(8).slice(0, 0));
    let cases: [Bad<'_>; 4] = [
        ("EMPTY", Vec::new(), "found no partition"),
        ("OTHER_FILES", vec![("readme.txt", b"hello".to_vec())], "found no partition"),
        (
            "ALL_CORRUPT",
            vec![("runs/date=2026-03-08/a.parquet", b"PAR1, not".to_vec())],
            "runs/date=2026-03-08/a.parquet",
        ),
        ("NO_ROWS", vec![("runs/date=2026-03-08/a.parquet", no_rows)], " run"),
    ];
    for (name, files, why) in cases {
        let place = Workplace::empty();
        files.iter().for_each(|(path, bytes)| place.put(path, bytes));
        for arguments in [&AFTER[..], &[]] {
            let ended = place.run("results", arguments);
            assert_eq!(ended.code, Some(4), "{name}: {ended:?}");
            assert!(ended.stderr.contains(why) && ended.stdout.is_empty(), "{name}: {ended:?}");
            assert!(place.published("results").await.is_empty(), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_instant_is_that_of_days_that_can_be_read() {
    let place = good();
    for day in ["08", "09", "10"] {
        place.put(&format!("runs/date=2026-03-{day}/a.parquet"), "no Parquet at all");
    }
    let outcome = place.run("results", &["--as-of", "latest"]).outcome(0);
    // The window ends with the newest instant, and so before the corrupt days.
    assert_eq!((&outcome["as_of"], &outcome["rejects"]), (&"2026-03-07T15:03:00Z".into(), &0.into()), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_lake_is_gone_earlier_results_stand() {
    let place = good();
    place.run("results", &BEFORE).outcome(0);
    let before = place.published("results").await;
    fs::remove_dir_all(place.path("lake")).unwrap();
    let ended = place.run("results", &AFTER);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(place.published("results").await.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    unharmed(&place, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_partitions_are_no_news() {
    let empty = [
        ("runs/date=2026-03-08/none.parquet", parquet_bytes(&runs(8).slice(0, 0))),
        (BAD, parquet_bytes(&steps(8).slice(0, 0))),
    ];
    let (place, ended) = run_beside_good(&empty).await;
    assert_eq!((&ended.outcome(0)["rejects"], &ended.outcome(0)["steps"]), (&0.into(), &128.into()));
    fs::create_dir_all(place.path("lake/steps/date=2026-03-07/")).unwrap();
    fs::remove_file(place.path("lake/steps/date=2026-03-07/part-0.parquet")).unwrap();
    assert_eq!(place.run("results", &["--as-of", "2026-03-09T12:00:00Z"]).outcome(0)["steps"], 112);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_only_is_a_history() {
    let place = Workplace::empty();
    put_day(&place, 8, &runs(8).slice(0, 1), &steps(8).slice(0, 2));
    let outcome = place.run("results", &[]).outcome(0);
    assert_eq!((&outcome["runs"], &outcome["steps"]), (&1.into(), &2.into()));
    assert!(outcome["published"]["rollups"].as_u64() > Some(0) && outcome["skips"].as_u64() > Some(0), "{outcome}");
    assert_eq!(place.verified_entries("results").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_distinct_steps() {
    let place = Workplace::empty();
    place.configure("as_of: latest\nperformance_optimization:\n  analytics:\n    aggregation_levels: [1d]\n");
    let names: Vec<String> = (0..10_000).map(|i| format!("step {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let durations: Vec<f64> = (0..10_000).map(f64::from).collect();
    put_day(&place, 8, &runs(8).slice(0, 1), &step(&["r8-0"; 10_000], &names, &durations));
    let outcome = place.run("results", &[]).outcome(0);
    assert_eq!((&outcome["steps"], &outcome["rejects"]), (&10_000.into(), &0.into()), "{outcome}");
    let steps: BTreeSet<String> = texts(&place.table("results", "rollups").await, "step").into_iter().collect();
    assert_eq!(steps.len(), 10_001, "and the run itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_data_wherever_they_come_from() {
    let hostile = "../../etc/\"it's\"\n<script>alert(1)</script>\t\\'; DROP TABLE runs; --";
    let place = Workplace::empty();
    place.configure("as_of: latest\n");
    for day in 1..=3 {
        let mut runs = runs(day);
        let mut steps = steps(day);
        for column in ["workflow_id", "provider", "platform", "workflow_type"] {
            runs.with_column(Column::new(column.into(), vec![hostile; runs.height()])).unwrap();
        }
        let ids: Vec<String> = texts(&runs, "run_id").iter().map(|id| format!("{hostile}{id}")).collect();
        runs.replace("run_id", Column::new("run_id".into(), ids)).unwrap();
        let ids: Vec<String> = texts(&steps, "run_id").iter().map(|id| format!("{hostile}{id}")).collect();
        steps.replace("run_id", Column::new("run_id".into(), ids)).unwrap();
        let names: Vec<String> = texts(&steps, "step_id").iter().map(|name| format!("{name}<b>'\"\n..")).collect();
        steps.replace("step_id", Column::new("step_id".into(), names)).unwrap();
        put_day(&place, day, &runs, &steps);
    }
    let entries =
        || fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>();
    let mut before = entries();
    place.run("results", &[]).outcome(0);
    before.insert("results".into());
    assert_eq!(entries(), before, "nothing is written anywhere else");
    let rollups = place.table("results", "rollups").await;
    assert!(texts(&rollups, "workflow_id").iter().all(|name| name == hostile));
    assert!(texts(&rollups, "step").contains(&"a<b>'\"\n..".to_owned()));
    assert_eq!(place.verified_entries("results").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_run_publishes_nothing() {
    let place = good();
    place.run("results", &BEFORE).outcome(0);
    let before = place.published("results").await;
    put_day(&place, 8, &runs(8), &steps(8));
    let nowhere = place.path("nowhere").display().to_string().replace('/', "%2F");
    fs::write(place.path("database"), format!("postgres://ann:hunter2@{nowhere}/x")).unwrap();
    place.configure("as_of: latest\npostgres: env:PACELINE_TEST_DATABASE\n");
    let ended = place.run("results", &AFTER);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(
        ended.stderr.contains("connecting to the Postgres database") && !ended.stderr.contains("hunter2"),
        "{ended:?}"
    );
    assert_eq!(place.published("results").await, before);
    unharmed(&place, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_cannot_be_written_are_exit_5() {
    let place = good();
    fs::write(place.path("file"), "in the way").unwrap();
    let ended = place.run("file/results", &BEFORE);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("file/results"), "{ended:?}");

    place.run("results", &BEFORE).outcome(0);
    let before = place.published("results").await;
    put_day(&place, 8, &runs(8), &steps(8));
    // A file where a folder of the results must be: not even an administrator can write there.
    let blocked = place.path("results/baselines/as_of=2026-03-09T00-00-00Z");
    fs::write(&blocked, "in the way").unwrap();
    let ended = place.run("results", &AFTER);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("baselines/as_of=2026-03-09T00-00-00Z"), "{ended:?}");
    assert_eq!(place.verified_entries("results").await, 1);
    fs::remove_file(blocked).unwrap();
    unharmed(&place, &before).await;
    place.run("results", &AFTER).outcome(0);
    assert_eq!(place.verified_entries("results").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_is_results_is_refused() {
    let place = good();
    let ended = place.run("lake", &BEFORE);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        !Store::open(place.path("lake").to_str().unwrap())
            .unwrap()
            .folders("")
            .await
            .unwrap()
            .contains(&"_ledger".to_owned())
    );
}
