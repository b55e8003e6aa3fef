//! `paceline anomalies`, as it is typed.

use crate::commands::command;
use crate::folder::Folder;
use paceline::error::Error;
use paceline::ingest::any::AnyTable;

impl Folder {
    async fn judge(&self, more: &[&str]) -> Result<AnyTable, Error> {
        let (input, out) = (self.path("in.csv"), self.path("out.parquet"));
        command(&[&["anomalies", &input, "--out", &out], more].concat()).await?;
        Ok(AnyTable::read(&std::fs::read(out).unwrap(), "out.parquet", |_| true).unwrap())
    }
}

/// A number in 0-1000 that looks random.
fn noise(i: u64) -> u64 {
    let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) % 1000
}

/// Executions of two steps on two machines; row 123 took far too long.
fn executions() -> String {
    let mut text = "step,machine,seconds,megabytes,note\n".to_owned();
    for i in 0..400 {
        let seconds = 1000 + noise(i) + if i == 123 { 9000 } else { 0 };
        text.push_str(&format!("s{},m{},{seconds},{},same\n", i % 2, i % 3, 50 + noise(i + 9000) / 10));
    }
    text
}

fn strangest(out: &AnyTable) -> usize {
    let scores = out.numbers("score").unwrap();
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_execution_is_named_with_its_reason() {
    let folder = Folder::new(&executions());
    for more in [&["--group", "step"][..], &["--features", "seconds,megabytes"], &["--detector", "isolation-forest"]] {
        let out = folder.judge(more).await.unwrap();
        assert_eq!(out.names().collect::<Vec<_>>(), ["row", "score", "is_anomaly", "reasons"]);
        assert_eq!((out.height(), strangest(&out)), (400, 123), "{more:?}");
        assert!(out.numbers("score").unwrap().iter().all(|score| (0.0..=1.0).contains(score)));
        let (flags, reasons) = (out.words("is_anomaly").unwrap(), out.words("reasons").unwrap());
        assert_eq!(flags.at(123), Some("true"), "{more:?}");
        assert!(reasons.at(123).unwrap().contains("seconds: 1"), "{:?}", reasons.at(123));
        assert!((0..400).all(|row| (flags.at(row) == Some("true")) == reasons.at(row).is_some()));
    }
    for format in ["json", "table"] {
        folder.judge(&["--format", format]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_bytes() {
    let folder = Folder::new(&executions());
    folder.judge(&["--seed", "3"]).await.unwrap();
    let first = std::fs::read(folder.path("out.parquet")).unwrap();
    folder.judge(&["--seed", "3"]).await.unwrap();
    assert!(first == std::fs::read(folder.path("out.parquet")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_time_rows_are_judged_by_those_before() {
    let row = |i: u64| {
        let (day, hour) = (1 + i / 24, i % 24);
        let load = 100 + if (8..18).contains(&hour) { 400 } else { 0 } + noise(i) / 20 + if i == 500 { 900 } else { 0 };
        format!("2026-01-{day:02}T{hour:02}:00:00Z,{load}\n")
    };
    let series = |n: u64| (0..n).map(row).fold("at,load\n".to_owned(), |text, row| text + &row);
    let out = Folder::new(&series(700)).judge(&["--time", "at"]).await.unwrap();
    assert_eq!(strangest(&out), 500);
    let part = Folder::new(&series(600)).judge(&["--time", "at"]).await.unwrap();
    assert_eq!(out.numbers("score").unwrap()[..600], part.numbers("score").unwrap()[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_judged_is_told_on_stderr() {
    let paceline = env!("CARGO_BIN_EXE_paceline");
    for (text, sentences) in [
        ("a,b\n1,2\n2,3\n", vec!["all rows: needs 10 rows, found 2"]),
        ("a,b\n", vec!["all rows: needs 10 rows, found 0"]),
        (&("a\n".to_owned() + &"5\n".repeat(40)), vec!["column \"a\": has one value only", "no column can be judged"]),
        (&("a,b\n".to_owned() + &"NaN,x\n".repeat(40)), vec!["column \"a\": no value is known"]),
    ] {
        let folder = Folder::new(text);
        let args = ["anomalies", &folder.path("in.csv"), "--out", &folder.path("out.csv"), "--format", "json"];
        let done = std::process::Command::new(paceline).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && sentences.iter().all(|s| said.contains(s)), "{said}");
        let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!((&summary["judged"], &summary["anomalies"]), (&0.into(), &0.into()));
        assert!(!summary["skips"].as_array().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_with_a_sentence() {
    let folder = Folder::new(&executions());
    for (more, sentence) in [
        (&["--features", "second"][..], "there is no column \"second\""),
        (&["--features", "seconds,seconds"], "names \"seconds\" twice"),
        (&["--features", "step", "--group", "step"], "\"step\" is --group"),
        (&["--time", "step"], "is not a number, or a date"),
        (&["--time", "seconds", "--detector", "isolation-forest"], "is blind to time"),
        (&["--out", "x.txt"], "end it in .parquet or .csv"),
    ] {
        let input = folder.path("in.csv");
        let out = folder.path("never.parquet");
        let out: &[&str] = if more.contains(&"--out") { &[] } else { &["--out", &out] };
        let error = command(&[&["anomalies", &input], out, more].concat()).await.unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(sentence), "{error}");
    }
    let missing = folder.path("missing.csv");
    let error = command(&["anomalies", &missing, "--out", &folder.path("never.csv")]).await.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(!std::path::Path::new(&folder.path("never.parquet")).exists());
}
