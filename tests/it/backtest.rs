//! `paceline backtest`: as it is typed, and how good its answers are on recorded runs.

use crate::commands::command;
use paceline::ingest::any::AnyTable;
use paceline::pure::learn::allocation::{Params, RIVALS, Realised, allocate_online};
use paceline::pure::learn::online::{Executions, OnlineParams, Order, Score, Scored, predict_online, rivals, scores};
use paceline::pure::units::Level;
use std::path::Path;

/// Two steps whose seconds follow their size, a row a minute.
fn table() -> String {
    let mut text = "step,size,machine,started_at,ended_at,seconds,memory_mb\n".to_owned();
    for i in 0..200_i64 {
        let (step, size, seconds) = if i % 2 == 0 { ("align", i % 17 + 5, i % 17 + 5) } else { ("sort", i % 5, 12) };
        let at = |second: i64| {
            let minute = i + second / 60;
            format!("2026-01-01T{:02}:{:02}:{:02}Z", minute / 60, minute % 60, second % 60)
        };
        text.push_str(&format!("{step},{size}e6,m{},{},{},{seconds},1\n", i % 3, at(0), at(seconds)));
    }
    text
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("in.csv"), text).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn written(&self, name: &str) -> AnyTable {
        AnyTable::read(&std::fs::read(self.path(name)).unwrap(), name, |_| true).unwrap()
    }

    async fn backtest(&self, out: &str, more: &[&str]) -> Result<u8, paceline::error::Error> {
        let (input, out) = (self.path("in.csv"), self.path(out));
        let fixed =
            ["backtest", &input, "--out", &out, "--start", "started_at", "--end", "ended_at", "--format", "json"];
        command(&[&fixed, more].concat()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_for_each_row_and_level() {
    let folder = Folder::new(&table());
    let more = ["--target", "seconds", "--features", "size,machine", "--group", "step", "--level", "0.9,0.5"];
    for out in ["out.parquet", "again.parquet", "out.csv"] {
        assert_eq!(folder.backtest(out, &more).await.unwrap(), 0);
    }
    let read = |name| std::fs::read(folder.path(name)).unwrap();
    assert!(read("out.parquet") == read("again.parquet"), "the same input gives the same bytes");
    let out = folder.written("out.parquet");
    assert_eq!(out.names().collect::<Vec<_>>(), ["row", "point", "level", "lower", "upper", "model", "n_seen"]);
    assert_eq!(out.height(), 400);
    let column = |name: &str| out.numbers(name).unwrap();
    let rows = (0..400).map(|at| f64::from(at / 2).to_bits());
    assert!(column("row").iter().map(|row| row.to_bits()).eq(rows));
    let levels: Vec<String> = column("level").iter().take(4).map(f64::to_string).collect();
    assert_eq!(levels, ["0.5", "0.9", "0.5", "0.9"]);
    assert!(column("point")[0].is_nan() && (column("point")[399] / 12.0 - 1.0).abs() < 0.01);
    let seen = out.words("n_seen").unwrap();
    assert_eq!((seen.at(0), seen.at(399)), (Some("0"), Some("99")));
    let models = out.words("model").unwrap();
    assert_eq!((models.at(0), models.at(2)), (Some("none"), Some("pooled")));
    assert_eq!(folder.written("out.csv").numbers("point").unwrap()[399].to_bits(), column("point")[399].to_bits());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaks_or_does_not_fit_is_refused_with_a_sentence() {
    let folder = Folder::new(&table());
    let refused = [
        (vec!["--target", "seconds", "--features", "size,memory_mb"], "memory_mb can't be a feature: it is measured"),
        (vec!["--target", "seconds", "--features", "seconds"], "\"seconds\" is the target"),
        (vec!["--target", "seconds", "--features", "ended_at"], "ended_at can't be a feature"),
        (vec!["--target", "seconds", "--features", "size,size"], "\"size\" twice"),
        (vec!["--target", "second"], "there is no column \"second\"; its 7 columns are \"seconds\""),
        (vec!["--target", "machine"], "column \"machine\", row 0: \"m0\" is not a number"),
    ];
    for (more, sentence) in refused {
        let error = folder.backtest("out.csv", &more).await.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(sentence), "{error}");
    }
    assert!(!Path::new(&folder.path("out.csv")).exists());
    for (text, sentence) in [
        ("seconds,started_at,ended_at\n1,5,6\n1,,6\n", "row 1: column \"started_at\" is empty"),
        ("seconds,started_at,ended_at\n1,5,4\n", "row 0: column \"ended_at\" lies before column \"started_at\""),
        ("seconds,started_at,ended_at\n1,5,2026-01-01T00:00:00Z\n", "one holds times, the other numbers"),
    ] {
        let error = Folder::new(text).backtest("out.csv", &["--target", "seconds"]).await.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(sentence), "{error}");
    }
    assert_eq!(Folder::new("").backtest("out.csv", &["--target", "y"]).await.unwrap_err().exit_code(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn none_and_one_and_unknown_rows() {
    for (rows, n) in [("", 0), ("3,5,6\n", 1), (",5,6\nNaN,6,\n3,7,\n", 3)] {
        let folder = Folder::new(&format!("seconds,started_at,ended_at\n{rows}"));
        assert_eq!(folder.backtest("out.csv", &["--target", "seconds"]).await.unwrap(), 0);
        let out = folder.written("out.csv");
        assert_eq!(out.height(), n);
        assert!(out.numbers("point").unwrap().iter().all(|point| point.is_nan()));
    }
    // Starts in whole seconds, ends with fractions: one unit.
    let folder = Folder::new("seconds,started_at,ended_at\n0.5,0,0.5\n0.5,1,1.5\n");
    assert_eq!(folder.backtest("out.csv", &["--target", "seconds"]).await.unwrap(), 0);
    let seen = folder.written("out.csv").words("n_seen").unwrap();
    assert_eq!((seen.at(0), seen.at(1)), (Some("0"), Some("1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_written_beside_the_answers() {
    let folder = Folder::new(&table());
    let fixed = ["--target", "memory_mb", "--features", "size", "--group", "step", "--objective", "allocation"];
    let bounded = [&fixed[..], &["--min", "3", "--max", "9", "--request", "size", "--level", "0.9,0.5"]].concat();
    assert_eq!(folder.backtest("out.parquet", &fixed).await.unwrap(), 0);
    assert_eq!(folder.backtest("bounded.parquet", &bounded).await.unwrap(), 0);
    let out = folder.written("out.parquet");
    let names = ["n_seen", "allocation", "kill_probability", "expected_waste"];
    assert_eq!(out.names().skip(6).collect::<Vec<_>>(), names);
    let allocation = out.numbers("allocation").unwrap();
    assert!(allocation[0].is_nan(), "nothing is known");
    // Every peak is 1 MB.
    assert!(allocation[20..].iter().all(|request| (1.0..=2.01).contains(request)), "{allocation:?}");
    assert!(out.numbers("kill_probability").unwrap()[150..].iter().all(|p| (0.0..=0.1).contains(p)));
    assert!(out.numbers("expected_waste").unwrap()[150..].iter().all(|waste| *waste > 0.0));
    let bounded = folder.written("bounded.parquet").numbers("allocation").unwrap();
    assert_eq!(bounded.len(), 400, "a row for each row and level");
    assert!(bounded.iter().all(|request| (3.0..=9.0).contains(request)));
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_requests_that_can_not_act_are_refused() {
    let folder = Folder::new(&table());
    let refused = [
        (vec!["--min", "1"], "--min acts with --objective allocation only"),
        (vec!["--request", "size"], "--request acts with"),
        (vec!["--objective", "allocation", "--min", "5", "--max", "4"], "no request is between them"),
        (vec!["--objective", "allocation", "--request", "siez"], "siez"),
    ];
    for (more, expected) in refused {
        let error = folder.backtest("out.csv", &[&["--target", "memory_mb"], &more[..]].concat()).await.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(!Path::new(&folder.path("out.csv")).exists());
}

/// A recorded run: the step is the group, bytes read stand in for the input's size.
fn recorded(steps: &AnyTable, run: &str) -> Executions {
    let (runs, groups) = (steps.words("run_id").unwrap(), steps.words("step_type").unwrap());
    let status = steps.words("status").unwrap();
    let (seconds, sizes) = (steps.numbers("duration_s").unwrap(), steps.numbers("io_read_bytes").unwrap());
    let (start, end) = (steps.instants("started_at").unwrap(), steps.instants("ended_at").unwrap());
    let mut data = Executions { numeric: vec![Vec::new()], ..Executions::default() };
    for row in 0..steps.height() {
        if runs.at(row) == Some(run) && status.at(row) == Some("success") && seconds[row] > 0.0 {
            data.group.push(groups.codes[row]);
            data.numeric[0].push(sizes[row]);
            data.target.push(seconds[row]);
            data.start.push(start.values[row].unwrap());
            data.end.push(end.values[row]);
        }
    }
    data
}

fn overall(data: &Executions, order: Order) -> (Score, Score) {
    let params = OnlineParams { order, levels: vec![Level::new(0.9).unwrap()] };
    let answers = predict_online(data, &params, |_| {});
    let rivals = rivals(data, order, &answers.levels);
    let all = scores(data, &answers, &rivals, &Scored::new(data, &answers, 0.2));
    let of = |model: &str| all.iter().find(|score| score.group.is_none() && score.model == model).unwrap().clone();
    (of("online"), of("size_line"))
}

#[test]
fn recorded_runs_are_predicted_better_than_by_a_line_of_sizes() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/nextflow_sizey/steps.parquet"));
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
        return;
    }
    let steps = AnyTable::read(&std::fs::read(path).unwrap(), "steps.parquet", |_| true).unwrap();
    // Rows scored and floors of in20, as a simple size-aware model reaches it, a little below what was measured.
    let floors = [
        (Order::Start, "rnaseq", 755, 0.945),
        (Order::Start, "methylseq", 761, 0.915),
        (Order::Start, "chipseq", 1836, 0.75),
        (Order::Completion, "rnaseq", 922, 0.955),
        (Order::Completion, "methylseq", 761, 0.925),
        (Order::Completion, "chipseq", 2052, 0.875),
    ];
    let mut gains = [(0.0, 0.0); 2];
    for (order, run, n, floor) in floors {
        let (online, line) = overall(&recorded(&steps, &format!("sizey:{run}")), order);
        assert_eq!((online.n, line.n), (n, n), "{run}");
        assert!(online.in20 >= floor && online.in20 > line.in20, "{run} {order:?}: {online:?} {line:?}");
        assert!((0.88..=0.92).contains(&online.coverage), "{run} {order:?}: {online:?}");
        assert!(online.width <= line.width, "{run} {order:?}: {online:?} {line:?}");
        let gain = &mut gains[usize::from(order == Order::Completion)];
        gain.0 += (online.in20 - line.in20) * n as f64;
        gain.1 += n as f64;
    }
    for (gain, n) in gains {
        assert!(gain / n > 0.025, "{} points better than a line of sizes", 100.0 * gain / n);
    }
}

/// Peaks of memory of a recorded run, in GB, and what was requested.
fn recorded_peaks(steps: &AnyTable, run: &str) -> (Executions, Vec<f64>) {
    let (runs, groups) = (steps.words("run_id").unwrap(), steps.words("step_type").unwrap());
    let status = steps.words("status").unwrap();
    let (peaks, sizes) = (steps.numbers("memory_peak_bytes").unwrap(), steps.numbers("io_read_bytes").unwrap());
    let requests = steps.numbers("memory_requested_bytes").unwrap();
    let (start, end) = (steps.instants("started_at").unwrap(), steps.instants("ended_at").unwrap());
    let (mut data, mut requested) = (Executions { numeric: vec![Vec::new()], ..Executions::default() }, Vec::new());
    for row in 0..steps.height() {
        if runs.at(row) == Some(run) && status.at(row) == Some("success") {
            data.group.push(groups.codes[row]);
            data.numeric[0].push(sizes[row]);
            data.target.push(peaks[row] / 1e9);
            data.start.push(start.values[row].unwrap());
            data.end.push(end.values[row]);
            requested.push(requests[row] / 1e9);
        }
    }
    (data, requested)
}

/// Ours, not told what was requested, and the simple rules, which are.
fn wastes(data: &Executions, requested: &[f64], order: Order) -> Vec<Realised> {
    let rows: Vec<usize> = (0..data.len()).collect();
    let walk = |requested: &[f64]| {
        let scores = allocate_online(data, requested, 3.6e9, order, &Params::default(), |_| {}).scores(data, &rows);
        scores.into_iter().filter(|score| score.group.is_none()).map(|score| score.realised).collect::<Vec<_>>()
    };
    [&walk(&[])[..1], &walk(requested)[1..]].concat()
}

#[test]
fn recorded_runs_waste_less_memory_than_under_the_best_simple_rule_with_no_more_kills() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/nextflow_sizey/steps.parquet"));
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
        return;
    }
    let steps = AnyTable::read(&std::fs::read(path).unwrap(), "steps.parquet", |_| true).unwrap();
    let best = |sums: &[Realised]| sums[1..].iter().copied().min_by(|a, b| a.waste.total_cmp(&b.waste)).unwrap();
    for order in [Order::Start, Order::Completion] {
        let mut pooled = [Realised::default(); 1 + RIVALS.len()];
        for run in ["rnaseq", "methylseq", "chipseq"] {
            let (data, requested) = recorded_peaks(&steps, &format!("sizey:{run}"));
            let sums = wastes(&data, &requested, order);
            assert_eq!(sums.len(), pooled.len());
            let (ours, rival) = (sums[0], best(&sums));
            assert!(ours.waste < rival.waste && ours.killed <= rival.killed, "{run} {order:?}: {ours:?} {rival:?}");
            pooled.iter_mut().zip(&sums).for_each(|(all, one)| all.merge(one));
        }
        let (ours, rival) = (pooled[0], best(&pooled));
        assert!(ours.waste <= 0.65 * rival.waste && ours.killed <= rival.killed, "{order:?}: {ours:?} {rival:?}");
    }
}
