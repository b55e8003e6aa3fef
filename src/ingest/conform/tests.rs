#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use polars::df;
use polars::prelude::{Column, DataType, ListNameSpaceImpl, TimeUnit};

const NOON: i64 = 1_767_268_800_000_000;

/// Two good rows of steps.
fn good() -> DataFrame {
    df!(
        "run_id" => ["r", "r"],
        "step_id" => ["a", "b"],
        "started_at" => ["2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z"],
        "ended_at" => ["2026-01-01T12:00:10Z", "2026-01-01T12:00:11Z"],
        "duration_ms" => [10_000.0, 10_000.0],
        "status" => ["success", "FAILED"],
    )
    .unwrap()
}

fn with(column: Column) -> Conformed<Steps> {
    let mut frame = good();
    frame.with_column(column).unwrap();
    conform_steps(&frame, "f.csv").unwrap()
}

/// `(row, column, value, reason)` of every reject.
fn rejects<T>(conformed: &Conformed<T>) -> Vec<(Option<u64>, &str, &str, &str)> {
    conformed
        .rejects
        .iter()
        .map(|r| (r.row, r.column.as_deref().unwrap_or(""), r.value.as_deref().unwrap_or(""), r.reason.as_str()))
        .collect()
}

fn floats(conformed: &Conformed<Steps>, name: &str) -> Vec<Option<f64>> {
    conformed.table.frame().column(name).unwrap().f64().unwrap().iter().collect()
}

#[test]
fn good_rows_get_types_words_and_defaults() {
    let steps = conform_steps(&good(), "f.csv").unwrap();
    let frame = steps.table.frame();
    assert!(steps.rejects.is_empty());
    assert_eq!(frame.get_column_names(), steps::SCHEMA.fields.iter().map(|f| f.name).collect::<Vec<_>>());
    assert_eq!(frame.column("attempt").unwrap().i64().unwrap().to_vec(), [Some(1), Some(1)]);
    assert_eq!(frame.column("started_at").unwrap().datetime().unwrap().physical().get(0), Some(NOON));
    let words: Vec<_> = frame.column("status").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect();
    assert_eq!(words, ["succeeded", "failed"]);
    assert_eq!(frame.column("depends_on").unwrap().null_count(), 2);
    assert!(Steps::try_from_frame(frame).is_ok(), "what was conformed keeps the contract");
}

#[test]
fn conforming_twice_changes_nothing() {
    let once = conform_steps(&good(), "f").unwrap().table;
    assert_eq!(conform_steps(once.frame(), "f").unwrap().table, once);
}

#[test]
fn missing_durations_come_from_the_times() {
    let steps = with(Column::new("duration_ms".into(), [None, Some(5.0)]));
    assert_eq!(floats(&steps, "duration_ms"), [Some(10_000.0), Some(5.0)]);
    let steps = conform_steps(&good().drop("duration_ms").unwrap(), "f").unwrap();
    assert_eq!(floats(&steps, "duration_ms"), [Some(10_000.0), Some(10_000.0)]);
}

#[test]
fn bad_rows_are_refused_and_named() {
    let cases = [
        (Column::new("run_id".into(), [Some("r"), None]), (Some(1), "run_id", "", "missing key")),
        (Column::new("step_id".into(), ["a", ""]), (Some(1), "step_id", "", "missing key")),
        (Column::new("duration_ms".into(), [1.0, -1.0]), (Some(1), "duration_ms", "-1.0", "negative duration")),
        (Column::new("duration_ms".into(), [f64::NAN, 1.0]), (Some(0), "duration_ms", "NaN", "non-finite duration")),
        (
            Column::new("duration_ms".into(), [1.0, f64::INFINITY]),
            (Some(1), "duration_ms", "inf", "non-finite duration"),
        ),
        (Column::new("duration_ms".into(), ["1", "long"]), (Some(1), "duration_ms", "long", "not a number")),
        (Column::new("memory_mb".into(), [f64::NAN, 1.0]), (Some(0), "memory_mb", "NaN", "non-finite value")),
        (Column::new("tokens_in".into(), [-1, 1]), (Some(0), "tokens_in", "-1", "negative value")),
        (Column::new("tokens_in".into(), [1.0, 1.5]), (Some(1), "tokens_in", "1.5", "not a whole number")),
        (Column::new("attempt".into(), [0, 1]), (Some(0), "attempt", "0", "attempts count from 1")),
        (Column::new("status".into(), ["ok", "sucess"]), (Some(1), "status", "sucess", "unknown status")),
        (Column::new("cache_hit".into(), ["maybe", "no"]), (Some(0), "cache_hit", "maybe", "neither true nor false")),
        (
            Column::new("ended_at".into(), ["2026-01-01T11:00:00Z", "2026-01-01T13:00:00Z"]),
            (Some(0), "ended_at", "2026-01-01T11:00:00Z", "end before start"),
        ),
        (
            Column::new("started_at".into(), ["2026-01-01T12:00:00Z", "+12026-01-01T12:00:00Z"]),
            (Some(1), "started_at", "+12026-01-01T12:00:00Z", cast::UNPARSABLE_TIME),
        ),
    ];
    for (column, expected) in cases {
        let steps = with(column);
        assert_eq!(rejects(&steps), [expected]);
        assert_eq!(steps.table.height(), 1, "the other row stands: {expected:?}");
        assert_eq!(steps.locate(0).1, 1 - expected.0.unwrap(), "the accepted row is still found in its file");
    }
}

#[test]
fn times_in_texts_need_an_offset() {
    let steps = with(Column::new("started_at".into(), ["2026-01-01T12:00:00", "soon"]));
    assert_eq!(steps.table.height(), 0);
    assert!(
        rejects(&steps).iter().all(|(_, column, _, why)| *column == "started_at" && why.starts_with("unparsable time"))
    );
}

#[test]
fn a_row_is_refused_once() {
    let mut frame = good();
    frame.with_column(Column::new("duration_ms".into(), [-1.0, 1.0])).unwrap();
    frame.with_column(Column::new("memory_mb".into(), [-1.0, 1.0])).unwrap();
    assert_eq!(conform_steps(&frame, "f").unwrap().rejects.len(), 1);
}

#[test]
fn only_an_execution_that_did_not_succeed_may_lack_a_duration() {
    let mut frame = good();
    frame.with_column(Column::new("duration_ms".into(), [None::<f64>, None])).unwrap();
    frame.with_column(Column::new("ended_at".into(), [None::<&str>, None])).unwrap();
    let steps = conform_steps(&frame, "f").unwrap();
    assert_eq!(rejects(&steps)[0].1, "duration_ms");
    assert_eq!(floats(&steps, "duration_ms"), [None], "the failed one stands");
}

#[test]
fn whole_files_are_refused() {
    let naive =
        Column::new("started_at".into(), [NOON, NOON]).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    for (column, expected) in [
        (naive, "no time zone"),
        (Column::new("started_at".into(), [NOON, NOON]), "no unit"),
        (Column::new("duration_ms".into(), [true, false]), "expected a number"),
        (Column::new("step_id".into(), [1.5, 2.5]), "expected text"),
        (Column::new("depends_on".into(), [1, 2]), "expected a list of texts"),
    ] {
        let steps = with(column);
        assert_eq!((steps.table.height(), steps.rejects.len()), (0, 1));
        let (row, _, _, reason) = rejects(&steps)[0];
        assert!(row.is_none() && reason.contains(expected), "{reason}");
    }
    for missing in ["run_id", "step_id"] {
        let steps = conform_steps(&good().drop(missing).unwrap(), "f").unwrap();
        assert!(rejects(&steps)[0].3.contains(missing));
    }
    let timeless = good().drop_many(["duration_ms", "ended_at"]);
    assert!(rejects(&conform_steps(&timeless, "f").unwrap())[0].3.contains("duration_ms"));
    let runs = conform_runs(&df!("run_id" => ["r"]).unwrap(), "f").unwrap();
    assert!(rejects(&runs)[0].3.contains("workflow_id and started_at"));
}

#[test]
fn empty_frames_are_fine() {
    let steps = conform_steps(&good().clear(), "f").unwrap();
    assert_eq!((steps.table.height(), steps.rejects.len()), (0, 0));
}

#[test]
fn exact_duplicates_are_counted_and_others_refused() {
    let frame = good().vstack(&good()).unwrap();
    let steps = conform_steps(&frame, "f").unwrap();
    assert_eq!((steps.table.height(), steps.exact_duplicates, steps.rejects.len()), (2, 2, 0));

    let mut other = good();
    other.with_column(Column::new("duration_ms".into(), [7.0, 10_000.0])).unwrap();
    let steps = conform_steps(&good().vstack(&other).unwrap(), "f").unwrap();
    assert_eq!((steps.table.height(), steps.exact_duplicates), (2, 1));
    assert_eq!(rejects(&steps), [(Some(2), "run_id,step_id,attempt", "r,a,1", "duplicate key with different content")]);
    assert_eq!(floats(&steps, "duration_ms")[0], Some(10_000.0), "the first stands");
}

#[test]
fn a_running_execution_gives_way_to_its_end() {
    let mut running = good();
    running.with_column(Column::new("status".into(), ["RUNNING", "RUNNING"])).unwrap();
    for frame in [running.vstack(&good()).unwrap(), good().vstack(&running).unwrap()] {
        let steps = conform_steps(&frame, "f").unwrap();
        assert_eq!((steps.table.height(), steps.superseded, steps.rejects.len()), (2, 2, 0));
        let status = steps.table.frame().column("status").unwrap().str().unwrap().get(0).map(str::to_owned);
        assert_eq!(status.as_deref(), Some("succeeded"));
    }
}

#[test]
fn cached_reads_as_a_success_from_the_cache() {
    let mut frame = good();
    frame.with_column(Column::new("status".into(), ["cached", "ok"])).unwrap();
    let hits = |frame: &DataFrame| {
        let steps = conform_steps(frame, "f").unwrap();
        steps.table.frame().column("cache_hit").unwrap().bool().unwrap().iter().collect::<Vec<_>>()
    };
    assert_eq!(hits(&frame), [Some(true), None]);
    frame.with_column(Column::new("cache_hit".into(), [None, Some(false)])).unwrap();
    assert_eq!(hits(&frame), [Some(true), Some(false)]);
}

#[test]
fn lists_may_be_texts_and_unknown_is_not_none() {
    for texts in [["a;b", "[]"], ["[\"a\", \"b\"]", "[]"]] {
        let steps = with(Column::new("depends_on".into(), texts));
        let lists = steps.table.frame().column("depends_on").unwrap().list().unwrap().clone();
        assert_eq!(lists.lst_lengths().to_vec(), [Some(2), Some(0)]);
    }
    let steps = with(Column::new("depends_on".into(), [Some("[1"), None]));
    assert_eq!(rejects(&steps)[0].2, "[1");
    let empty = Column::new(
        "depends_on".into(),
        [Series::new_empty("".into(), &DataType::Null), Series::new_empty("".into(), &DataType::Null)],
    );
    let steps = with(empty);
    assert_eq!((steps.rejects.len(), steps.table.frame().column("depends_on").unwrap().null_count()), (0, 0));
}

#[test]
fn unknown_columns_are_kept_out_and_told() {
    let mut frame = good();
    frame.with_column(Column::new("colour".into(), ["red", "blue"])).unwrap();
    frame.with_column(Column::new("date".into(), ["2026-01-01", "2026-01-01"])).unwrap();
    let steps = conform_steps(&frame, "f").unwrap();
    assert_eq!(steps.unknown_columns, ["colour"]);
    assert!(steps.table.frame().column("colour").is_err());
}

#[test]
fn odd_names_are_only_names() {
    let odd = ["../../etc/passwd", "<script>alert('x')</script>\n\"quoted\""];
    let steps = with(Column::new("step_id".into(), odd));
    let kept: Vec<_> =
        steps.table.frame().column("step_id").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect();
    assert_eq!(kept, odd);
}

#[test]
fn rejects_name_the_file_of_each_row() {
    let mut second = good();
    second.with_column(Column::new("duration_ms".into(), [1.0, -1.0])).unwrap();
    second.with_column(Column::new("run_id".into(), ["s", "s"])).unwrap();
    let frame = good().vstack(&second).unwrap();
    let steps = conform_steps(&frame, Origin::files_of([("one", 2), ("two", 2)])).unwrap();
    let reject = steps.rejects.iter().next().unwrap();
    assert_eq!((reject.file.as_str(), reject.row), ("two", Some(1)));
    assert_eq!(steps.locate(2), ("two", 0));
}

#[test]
fn long_values_are_cut() {
    let long = "x".repeat(1_000);
    let steps = with(Column::new("status".into(), [long.as_str(), "ok"]));
    assert_eq!(rejects(&steps)[0].2.len(), 200);
}
