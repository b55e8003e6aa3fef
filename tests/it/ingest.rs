//! `paceline ingest`: real and bad files, through the command.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use clap::Parser;
use paceline::cli::ingest::{IngestArgs, ingest};
use paceline::error::Error;
use paceline::ingest::lake::{list_partitions, read_rejects};
use paceline::ingest::raw;
use paceline::io::Store;
use paceline::tables::{CanonicalTable, Reject, Runs, Steps};
use polars::prelude::{Column, DataFrame, DataType, ParquetWriter, TimeUnit, df};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: IngestArgs,
}

/// A folder with files to bring in, and a lake.
struct World {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn parquet(&self, name: &str, frame: &DataFrame) -> String {
        self.write(name, parquet_bytes(frame))
    }

    fn lake(&self) -> String {
        self.path("lake").display().to_string()
    }

    fn store(&self) -> Store {
        Store::open(&self.lake()).unwrap()
    }

    /// Exit code of `paceline ingest --lake … arguments`.
    fn ingest(&self, arguments: &[&str]) -> u8 {
        match self.try_ingest(arguments) {
            Ok(code) => code,
            Err(error) => panic!("exit {}: {error}", error.exit_code()),
        }
    }

    fn try_ingest(&self, arguments: &[&str]) -> Result<u8, Error> {
        let lake = self.lake();
        let cli = Cli::try_parse_from(["ingest", "--lake", &lake].iter().chain(arguments)).unwrap();
        self.runtime.block_on(ingest(&cli.args))
    }

    fn refused(&self, arguments: &[&str]) -> (u8, String) {
        let error = self.try_ingest(arguments).unwrap_err();
        (error.exit_code(), error.to_string())
    }

    fn rejects(&self) -> Vec<Reject> {
        let files = self.runtime.block_on(read_rejects(&self.store())).unwrap();
        files.into_iter().flat_map(|file| file.rejects).collect()
    }

    /// Every file of the lake and its bytes.
    fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let store = self.store();
        let objects = self.runtime.block_on(store.list("")).unwrap();
        objects.into_iter().map(|o| (o.path.clone(), fs::read(self.path("lake").join(o.path)).unwrap())).collect()
    }

    /// All rows of a table by partition date.
    fn partitions(&self, table: &str) -> Vec<(String, DataFrame)> {
        let store = self.store();
        let partitions = self.runtime.block_on(list_partitions(&store, table)).unwrap();
        let read = |path: &str| raw::parquet(&fs::read(self.path("lake").join(path)).unwrap(), |_| true).unwrap();
        let files = partitions.iter().flat_map(|p| p.objects.iter().map(|o| (p.date.to_string(), read(&o.path))));
        files.collect()
    }

    fn rows(&self, table: &str) -> usize {
        self.partitions(table).iter().map(|(_, frame)| frame.height()).sum()
    }
}

fn parquet_bytes(frame: &DataFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame.clone()).unwrap();
    bytes
}

/// The real traces, if they are there.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(folder);
    if !path.exists() {
        println!("skipped: no {}", path.display());
    }
    path.exists().then_some(path)
}

/// Steps of three runs on two dates, with their runs' names.
fn steps() -> DataFrame {
    df!(
        "run_id" => ["r1", "r1", "r2", "r3"],
        "workflow_id" => ["w", "w", "w", "w"],
        "step_id" => ["a", "b", "a", "a"],
        "started_at" => ["2026-01-01T23:59:00Z", "2026-01-02T00:00:30Z", "2026-01-02T10:00:00Z", "2026-01-02T11:00:00Z"],
        "duration_ms" => [60_000.0, 5_000.0, 61_000.0, 62_000.0],
        "status" => ["success", "success", "failed", "success"],
    )
    .unwrap()
}

fn runs() -> DataFrame {
    df!(
        "run_id" => ["r1", "r2", "r3"],
        "workflow_id" => ["w", "w", "w"],
        "started_at" => ["2026-01-01T23:59:00Z", "2026-01-02T10:00:00Z", "2026-01-02T11:00:00Z"],
        "status" => ["success", "failed", "success"],
    )
    .unwrap()
}

#[test]
fn a_step_lies_with_its_run() {
    let world = World::new();
    let (runs, steps) = (world.parquet("in/runs.parquet", &runs()), world.parquet("in/steps.parquet", &steps()));
    assert_eq!(world.ingest(&["--from", "canonical", &steps, &runs]), 0);
    let heights =
        |table| world.partitions(table).iter().map(|(date, f)| (date.clone(), f.height())).collect::<Vec<_>>();
    let dates = |n, m| vec![("2026-01-01".to_owned(), n), ("2026-01-02".to_owned(), m)];
    assert_eq!(heights("runs"), dates(1, 2));
    assert_eq!(heights("steps"), dates(2, 2), "the step after midnight lies with its run");
    for (_, frame) in world.partitions("steps") {
        assert!(frame.column("date").is_err(), "partition values are not repeated");
        assert!(Steps::try_from_frame(&frame).is_ok());
    }
    for (_, frame) in world.partitions("runs") {
        assert!(Runs::try_from_frame(&frame).is_ok());
    }
}

#[test]
fn a_step_lies_with_a_run_that_the_lake_has_already() {
    let world = World::new();
    let (runs, steps) = (world.parquet("runs.parquet", &runs()), world.parquet("steps.parquet", &steps()));
    world.ingest(&["--from", "parquet", &runs]);
    world.ingest(&["--from", "parquet", &steps]);
    assert_eq!(world.partitions("steps")[0].1.height(), 2);
}

#[test]
fn twice_is_once() {
    let world = World::new();
    let source = world.parquet("in/steps.parquet", &steps());
    world.parquet("in/runs.parquet", &runs());
    let folder = world.path("in").display().to_string();
    world.ingest(&["--from", "canonical", &folder]);
    let once = world.snapshot();
    world.ingest(&["--from", "canonical", &folder]);
    world.ingest(&["--from", "parquet", "--format", "json", &source]);
    assert_eq!(world.snapshot(), once);
}

#[test]
fn the_order_of_files_makes_no_difference() {
    let (one, other) = (World::new(), World::new());
    for (world, order) in [(&one, [0, 1, 2]), (&other, [2, 0, 1])] {
        for at in order {
            let source =
                world.parquet("s.parquet", &steps().slice(at + i64::from(at > 0), if at == 0 { 2 } else { 1 }));
            world.ingest(&["--from", "parquet", &source]);
        }
    }
    assert_eq!(one.snapshot(), other.snapshot());
}

#[test]
fn a_running_row_is_replaced_and_a_conflict_is_refused() {
    let world = World::new();
    let state = |status: &str, duration: Option<f64>| {
        df!(
            "run_id" => ["r"], "step_id" => ["a"], "started_at" => ["2026-01-01T12:00:00Z"],
            "duration_ms" => [duration], "status" => [status],
        )
        .unwrap()
    };
    let put =
        |frame| world.ingest(&["--from", "parquet", "--max-rejects-ratio", "1", &world.parquet("s.parquet", &frame)]);
    put(state("running", None));
    put(state("success", Some(5.0)));
    let finished = world.snapshot();
    assert_eq!(world.partitions("steps")[0].1.column("status").unwrap().str().unwrap().get(0), Some("succeeded"));
    put(state("running", None));
    assert_eq!(world.snapshot(), finished, "older news change nothing");
    put(state("success", Some(6.0)));
    let rejects = world.rejects();
    assert_eq!((rejects.len(), rejects[0].reason.as_str()), (1, "duplicate key with different content"));
    assert_eq!((rejects[0].row, rejects[0].value.as_deref()), (Some(0), Some("r,a,1")));
    let steps: BTreeMap<_, _> = world.snapshot().into_iter().filter(|(path, _)| path.starts_with("steps")).collect();
    assert_eq!(steps, finished, "the lake keeps its row");
}

#[test]
fn a_step_without_run_or_time_belongs_nowhere() {
    let world = World::new();
    let frame = df!("run_id" => ["r", "q"], "step_id" => ["a", "a"], "duration_ms" => [1.0, 2.0],
        "started_at" => [None, Some("2026-01-01T12:00:00Z")]);
    let source = world.parquet("s.parquet", &frame.unwrap());
    assert_eq!(world.ingest(&["--from", "parquet", &source]), 3);
    assert!(world.rejects()[0].reason.contains("ingest its run first"));
    assert_eq!(world.rows("steps"), 1);
}

#[test]
fn files_of_others_are_left_as_they_are() {
    let world = World::new();
    let mut theirs = steps().head(Some(2));
    theirs.with_column(Column::new("colour".into(), ["red", "blue"])).unwrap();
    let path = "lake/steps/date=2026-01-01/part-0.parquet";
    world.parquet(path, &theirs);
    let before = fs::read(world.path(path)).unwrap();
    world.parquet("runs.parquet", &runs());
    world.ingest(&["--from", "canonical", &world.path("runs.parquet").display().to_string()]);
    let mut mine = steps().head(Some(2));
    mine.with_column(Column::new("step_id".into(), ["a", "c"])).unwrap();
    world.ingest(&["--from", "parquet", &world.parquet("s.parquet", &mine)]);
    assert_eq!(fs::read(world.path(path)).unwrap(), before);
    let steps: Vec<usize> = world.partitions("steps").iter().map(|(_, frame)| frame.height()).collect();
    assert_eq!(steps, [2, 1], "only the row that it did not have");
}

/// One bad file, alone: exit 4, a message, and an unharmed lake.
fn is_no_input(dialect: &str, name: &str, bytes: &[u8], expected: &str) {
    let world = World::new();
    world.ingest(&["--from", "parquet", &world.parquet("good.parquet", &steps())]);
    let before = world.snapshot();
    let source = world.write(name, bytes);
    let (code, message) = world.refused(&["--from", dialect, &source]);
    assert!(message.contains(expected) && message.contains(name), "{name}: {message}");
    assert_eq!(code, 4, "{message}");
    assert_eq!(world.snapshot(), before);
}

#[test]
fn bad_files_alone_are_no_input() {
    let good = parquet_bytes(&steps());
    is_no_input("parquet", "truncated.parquet", &good[..good.len() / 2], "truncated");
    is_no_input("parquet", "empty.parquet", b"", "empty");
    is_no_input("parquet", "a.parquet", b"run_id,step_id\nr,a\n", "if it is a CSV");
    is_no_input("csv", "a.csv", &good, "Parquet");
    is_no_input("csv", "empty.csv", b"\n", "empty");
    is_no_input("csv", "binary.csv", b"run_id,step_id\n\xff\xfe,1\n", "UTF-8");
    is_no_input("csv", "ragged.csv", b"run_id,step_id\na,b,c,d\n", "as many fields");
    is_no_input("csv", "short.csv", b"run_id,duration_ms\nr,1\n", "workflow_id and started_at");
    is_no_input("parquet", "missing.parquet", &parquet_bytes(&steps().drop("run_id").unwrap()), "run_id");
    is_no_input("nextflow", "trace.txt", b"", "empty");
    is_no_input("nextflow", "table.csv", b"a,b\n1,2\n", "not a trace");
    is_no_input("wfformat", "x.json", b"{\"workflow\": ", "WfFormat");
    let mut naive = steps();
    let times =
        Column::new("started_at".into(), [0_i64, 1, 2, 3]).cast(&DataType::Datetime(TimeUnit::Milliseconds, None));
    naive.with_column(times.unwrap()).unwrap();
    is_no_input("parquet", "naive.parquet", &parquet_bytes(&naive), "no time zone");
    let mut typed = steps();
    typed.with_column(Column::new("duration_ms".into(), [true, true, false, false])).unwrap();
    is_no_input("parquet", "typed.parquet", &parquet_bytes(&typed), "expected a number");
}

#[test]
fn corrupt_bytes_never_end_the_process() {
    let good = parquet_bytes(&steps());
    for at in 4..good.len() - 4 {
        let mut bytes = good.clone();
        bytes[at] ^= 0xA5;
        // Whether a flip is noticed depends on where it falls; what matters is an answer instead of an abort.
        let _ = raw::parquet(&bytes, |_| true);
    }
    let mut torn = good;
    let middle = torn.len() / 3;
    torn.splice(middle..middle + 20, []);
    assert!(raw::parquet(&torn, |_| true).is_err());
}

#[test]
fn a_bad_file_among_others_is_a_reject() {
    let world = World::new();
    world.parquet("in/good.parquet", &steps());
    world.write("in/bad.parquet", b"PAR1 and no more");
    let folder = world.path("in").display().to_string();
    assert_eq!(world.ingest(&["--from", "parquet", &folder]), 3, "one of five is above 1 %");
    assert_eq!(world.ingest(&["--from", "parquet", "--max-rejects-ratio", "0.5", &folder]), 0);
    let rejects = world.rejects();
    assert_eq!(rejects.len(), 1, "the same reject, once");
    assert!(rejects[0].file.ends_with("bad.parquet") && rejects[0].row.is_none());
    assert_eq!(world.rows("steps"), 4);
}

#[test]
fn bad_rows_are_rejects_and_the_rest_is_kept() {
    let world = World::new();
    let text = "run_id,workflow_id,started_at,ended_at,status,cost_usd\n\
        ok,w,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,success,1\n\
        late,w,2026-01-01T02:00:00Z,2026-01-01T01:00:00Z,success,1\n\
        naive,w,2026-01-01 02:00:00,,success,1\n\
        odd,w,2026-01-01T00:00:00Z,,sucess,1\n\
        nan,w,2026-01-01T00:00:00Z,,failed,NaN\n\
        ,w,2026-01-01T00:00:00Z,,failed,1\n\
        ok,w,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,success,1\n\
        ok,w,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,success,2\n";
    let source = world.write("runs.csv", text);
    assert_eq!(world.ingest(&["--from", "csv", &source]), 3);
    let found: Vec<(u64, String)> =
        world.rejects().into_iter().map(|r| (r.row.unwrap(), r.reason.split(':').next().unwrap().to_owned())).collect();
    let expected = [
        (1, "end before start"),
        (2, "unparsable time"),
        (3, "unknown status"),
        (4, "non-finite value"),
        (5, "missing key"),
        (7, "duplicate key with different content"),
    ];
    assert_eq!(found, expected.map(|(row, reason)| (row, reason.to_owned())));
    assert_eq!(world.rows("runs"), 1);
}

#[test]
fn names_never_become_paths() {
    let world = World::new();
    let mut frame = steps();
    frame
        .with_column(Column::new("run_id".into(), ["../../up", "'; drop table runs; --", "<b>&\"x\"</b>", "new\nline"]))
        .unwrap();
    frame.with_column(Column::new("step_id".into(), ["../a", "/etc/passwd", "a/../b", "é\u{0}"])).unwrap();
    let source = world.parquet("../odd'\"name.parquet", &frame);
    world.ingest(&["--from", "parquet", "--table", "steps", &source]);
    let paths: Vec<String> = world.snapshot().into_keys().collect();
    let expected = ["steps/date=2026-01-01/part-0.parquet", "steps/date=2026-01-02/part-0.parquet"];
    assert_eq!(paths, expected);
    assert_eq!(world.rows("steps"), 4);
    let trace =
        world.write("tr/x.txt", "name\tstatus\trealtime\tsubmit\n../P (<i>\"q\"</i>)\tCOMPLETED\t1s\t1700000000000\n");
    world.ingest(&["--from", "nextflow", "--run-id", "../../r", "--workflow-id", "a/b", &trace]);
    assert!(world.snapshot().keys().all(|path| path.contains("/date=")), "{:?}", world.snapshot().keys());
    fs::remove_file(source).unwrap();
}

#[test]
fn a_column_map_renames_converts_and_relabels() {
    let world = World::new();
    let frame = df!(
        "build" => ["7", "8"], "job" => ["compile", "compile"], "begin" => [1_767_225_600_i64, 1_767_225_601],
        "seconds" => [1.5, 2.5], "peak" => [512, 1024], "result" => ["green", "red"], "cpu" => [0.5, 1.0],
    );
    let source = world.parquet("builds.parquet", &frame.unwrap());
    let map = world.write(
        "map.yaml",
        "run_id: { from: build }\nstep_id: { from: job }\nstarted_at: { from: begin, unit: s }\n\
         duration_ms: { from: seconds, unit: s }\nmemory_mb: { from: peak, unit: mib }\n\
         status: { from: result, values: { green: success, red: failed } }\nworkflow_type: { value: ci }\n",
    );
    let arguments = ["--from", "parquet", "--table", "steps", "--map", &map, "--column", "cpu_pct=cpu:ratio"];
    assert_eq!(world.ingest(&[&arguments[..], &["--workflow-id", "nightly", &source]].concat()), 0);
    let (date, rows) = world.partitions("steps").remove(0);
    assert_eq!(date, "2026-01-01");
    let floats = |name: &str| rows.column(name).unwrap().f64().unwrap().to_vec();
    let texts =
        |name: &str| rows.column(name).unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(floats("duration_ms"), [Some(1_500.0), Some(2_500.0)]);
    assert_eq!(floats("memory_mb"), [Some(536.870_912), Some(1_073.741_824)]);
    assert_eq!(floats("cpu_pct"), [Some(50.0), Some(100.0)]);
    assert_eq!(texts("status"), ["succeeded", "failed"]);
    assert_eq!((texts("workflow_type"), texts("workflow_id")), (vec!["ci".into(); 2], vec!["nightly".to_owned(); 2]));
    assert_eq!(rows.column("started_at").unwrap().datetime().unwrap().physical().get(0), Some(1_767_225_600_000_000));
}

#[test]
fn wrong_maps_are_usage_errors_that_name_the_key() {
    let world = World::new();
    let source = world.parquet("s.parquet", &steps());
    for (column, expected) in [
        ("colour=x", "columns.colour"),
        ("duration_ms=x:gb", "columns.duration_ms.unit"),
        ("status=x:s", "columns.status.unit"),
        ("duration_ms", "NAME=FROM"),
    ] {
        let (code, message) = world.refused(&["--from", "parquet", "--table", "steps", "--column", column, &source]);
        assert!(code == 2 && message.contains(expected), "{column}: {code} {message}");
    }
    let map = world.write("map.yaml", "duration_ms: { form: seconds }\n");
    let (code, message) = world.refused(&["--from", "parquet", "--map", &map, &source]);
    assert!(code == 2 && message.contains("form"), "{message}");
    let (code, message) = world.refused(&["--from", "parquet", "--column", "memory_mb=peak", &source]);
    assert!(code == 4 && message.contains("columns.memory_mb.from") && message.contains("peak"), "{message}");
    let (code, message) = world.refused(&["--from", "nextflow", "--column", "memory_mb=peak", &source]);
    assert!(code == 2 && message.contains("column map"), "{message}");
}

#[test]
fn a_zone_makes_naive_times_instants() {
    let world = World::new();
    let text = "run_id,workflow_id,started_at\nr,w,2026-07-01 01:30:00\n";
    let source = world.write("runs.csv", text);
    assert_eq!(world.ingest(&["--from", "csv", "--zone", "Europe/Berlin", &source]), 0);
    let (date, rows) = world.partitions("runs").remove(0);
    assert_eq!(date, "2026-06-30");
    let starts = rows.column("started_at").unwrap().datetime().unwrap().physical().get(0);
    assert_eq!(starts, Some(1_782_862_200_000_000));
}

#[test]
fn sources_that_are_not_there() {
    let world = World::new();
    let (code, message) = world.refused(&["--from", "csv", "/no/such/file.csv"]);
    assert!(code == 4 && message.contains("no such file"), "{message}");
    let glob = world.path("*.csv").display().to_string();
    let (code, message) = world.refused(&["--from", "csv", &glob]);
    assert!(code == 4 && message.contains("no files"), "{message}");
    let traces = [world.write("a.txt", "x"), world.write("b.txt", "x")];
    let glob = world.path("?.txt").display().to_string();
    let (code, message) = world.refused(&["--from", "nextflow", "--run-id", "r", &glob]);
    assert!(code == 2 && message.contains("2 files"), "{message} {traces:?}");
}

#[test]
fn real_nextflow_traces() {
    let (Some(sizey), Some(qsark)) = (shared("nextflow_sizey/raw"), shared("nextflow_qsark/raw")) else { return };
    let world = World::new();
    let folders = [sizey.display().to_string(), qsark.join("sarek-*.txt").display().to_string()];
    assert_eq!(world.ingest(&["--from", "nextflow", &folders[0], &folders[1]]), 0);
    let human = qsark.join("human_units_trace_example_sarek.txt").display().to_string();
    let (code, message) = world.refused(&["--from", "nextflow", &human]);
    assert!(code == 4 && message.contains("--started-at"), "{message}");
    assert_eq!(world.ingest(&["--from", "nextflow", "--started-at", "2024-01-01T00:00:00Z", &human]), 0);
    assert_eq!(world.rejects(), []);
    assert_eq!(world.rows("runs"), 6);
    let lines = |path: PathBuf| fs::read_to_string(path).unwrap().lines().count() - 1;
    let files = fs::read_dir(&sizey).unwrap().chain(fs::read_dir(&qsark).unwrap());
    let tasks: usize = files.map(|entry| lines(entry.unwrap().path())).sum();
    assert_eq!(world.rows("steps"), tasks);
    let once = world.snapshot();
    world.ingest(&["--from", "nextflow", &folders[0], &folders[1]]);
    assert_eq!(world.snapshot(), once);
}

#[test]
fn real_wfformat_instances() {
    let Some(folder) = shared("wfinstances/raw") else { return };
    let world = World::new();
    assert_eq!(world.ingest(&["--from", "wfformat", &folder.display().to_string()]), 0);
    assert_eq!(world.rejects(), []);
    assert_eq!((world.rows("runs"), world.rows("steps")), (8, 52 + 11 + 43 + 41 + 10 + 197 + 26 + 22));
    for (_, frame) in world.partitions("steps") {
        assert_eq!(frame.column("depends_on").unwrap().null_count(), 0, "every task says what it waits for");
    }
}

#[test]
fn real_tables_through_a_column_map() {
    let (Some(wfinstances), Some(sizey), Some(qsark)) =
        (shared("wfinstances"), shared("nextflow_sizey"), shared("nextflow_qsark"))
    else {
        return;
    };
    let world = World::new();
    for (folder, n_runs, n_steps) in [(wfinstances, 98, 28_835), (sizey, 3, 5_329), (qsark, 9, 5_001)] {
        let (runs, steps) = (world.rows("runs"), world.rows("steps"));
        let run_source = folder.join("runs.parquet").display().to_string();
        let step_source = folder.join("steps.parquet").display().to_string();
        assert_eq!(world.ingest(&["--from", "parquet", "--column", "workflow_id=workflow", &run_source]), 0);
        world.ingest(&[
            "--from",
            "parquet",
            "--column",
            "duration_ms=duration_s:s",
            "--column",
            "memory_mb=memory_peak_bytes:bytes",
            "--column",
            "memory_request_mb=memory_requested_bytes:bytes",
            "--column",
            "cpu_request=cpu_requested:cores",
            "--column",
            "platform=machine",
            &step_source,
        ]);
        assert_eq!(world.rows("runs") - runs, n_runs);
        assert_eq!(world.rows("steps") - steps + world.rejects().len(), n_steps, "{:?}", world.rejects());
    }
}
