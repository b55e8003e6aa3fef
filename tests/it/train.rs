//! `paceline train`, `predict` and `model show`, as they are typed.

use crate::commands::command;
use crate::folder::Folder;
use paceline::ingest::any::AnyTable;
use std::path::Path;

/// Two steps of which one follows its size, on two machines; a third that ran once. `memory_mb` is known afterwards.
fn table(rows: std::ops::Range<i64>) -> String {
    let mut text = "step,size,machine,seconds,memory_mb\n".to_owned();
    for i in rows {
        let size = i * 7 % 23 + 3;
        let factor = if i % 3 == 0 { 2 } else { 1 };
        let (step, seconds) = if i % 2 == 0 { ("align", size * factor) } else { ("sort", 12 * factor) };
        text.push_str(&format!("{step},{size},m{},{seconds}.{},1\n", i % 3, i * 13 % 10));
    }
    text + "index,5,m0,30,1\n"
}

impl Folder {
    async fn train(&self, model: &str, more: &[&str]) -> Result<u8, paceline::error::Error> {
        let (input, model) = (self.path("in.csv"), self.path(model));
        command(&[&["train", &input, "--model", &model, "--format", "json"], more].concat()).await
    }

    async fn predict(&self, text: &str, more: &[&str]) -> Result<AnyTable, paceline::error::Error> {
        let (input, model, out) = (self.path("asked.csv"), self.path("m"), self.path("out.parquet"));
        std::fs::write(&input, text).unwrap();
        command(&[&["predict", &input, "--model", &model, "--out", &out], more].concat()).await?;
        Ok(AnyTable::read(&std::fs::read(out).unwrap(), "out.parquet", |_| true).unwrap())
    }
}

const ASKED: [&str; 6] = ["--target", "seconds", "--features", "size,machine", "--group", "step"];

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_trained_shown_and_used() {
    let folder = Folder::new(&table(0..300));
    assert_eq!(folder.train("m", &ASKED).await.unwrap(), 0);
    assert_eq!(folder.train("again", &ASKED).await.unwrap(), 0);
    let read = |name| std::fs::read(folder.path(name)).unwrap();
    assert!(read("m") == read("again"), "the same rows and seed give the same model");
    for format in ["json", "table"] {
        assert_eq!(command(&["model", "show", &folder.path("m"), "--format", format]).await.unwrap(), 0);
    }
    let asked = "machine,step,size\nm0,align,10\nm1,align,10\nm1,sort,10\nm9,never,\n";
    let out = folder.predict(asked, &["--level", "0.8"]).await.unwrap();
    assert_eq!(out.names().collect::<Vec<_>>(), ["row", "point", "level", "lower", "upper"]);
    let [points, lower, upper] = ["point", "lower", "upper"].map(|name| out.numbers(name).unwrap());
    for (point, want) in points.iter().zip([20.5, 10.5, 12.5]) {
        assert!((point / want - 1.0).abs() < 0.1, "{points:?}");
    }
    assert!((0..4).all(|row| lower[row] <= points[row] && points[row] <= upper[row]), "{lower:?} {points:?} {upper:?}");
    assert!(out.numbers("level").unwrap().iter().all(|level| (level - 0.8).abs() < 1e-12));
}

#[tokio::test(flavor = "multi_thread")]
async fn least_squares_come_with_their_standard_errors() {
    let folder = Folder::new("x,y\n1,3.1\n2,4.9\n3,7.2\n4,8.8\n");
    let ols = ["--target", "y", "--features", "x", "--learner", "ols"];
    assert_eq!(folder.train("m", &ols).await.unwrap(), 0);
    let out = folder.predict("x\n10\n", &[]).await.unwrap();
    // numpy 2.4: polyfit([1, 2, 3, 4], [3.1, 4.9, 7.2, 8.8], 1) = [1.94, 1.15]
    assert!((out.numbers("point").unwrap()[0] - 20.55).abs() < 1e-9);
    assert_eq!(folder.train("m", &[&ols[..], &["--no-intercept"]].concat()).await.unwrap(), 0);
    let out = folder.predict("x\n10\n", &[]).await.unwrap();
    // Σxy / Σx² = 69.7 / 30
    assert!((out.numbers("point").unwrap()[0] - 10.0 * 69.7 / 30.0).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaks_or_does_not_fit_is_refused_with_a_sentence() {
    let folder = Folder::new(&table(0..50));
    let refused = [
        (
            vec!["--target", "seconds", "--features", "size,memory_mb"],
            2,
            "memory_mb can't be a feature: it is measured",
        ),
        (vec!["--target", "seconds", "--features", "seconds"], 2, "\"seconds\" is the target"),
        (vec!["--target", "seconds", "--features", "length"], 2, "there is no column \"length\""),
        (vec!["--target", "machine", "--features", "size"], 2, "is not a number"),
        (vec!["--target", "seconds", "--features", "size", "--no-intercept"], 2, "--no-intercept is for --learner ols"),
    ];
    for (more, code, sentence) in refused {
        let error = folder.train("m", &more).await.unwrap_err();
        assert_eq!(error.exit_code(), code, "{error}");
        assert!(error.to_string().contains(sentence), "{error}");
    }
    let empty = Folder::new("size,seconds\n1,\n2,\n");
    let error = empty.train("m", &["--target", "seconds", "--features", "size"]).await.unwrap_err();
    assert!(error.exit_code() == 4 && error.to_string().contains("none of 2 rows has a target"), "{error}");
    assert!(!Path::new(&folder.path("m")).exists());

    assert_eq!(folder.predict("size\n1\n", &[]).await.unwrap_err().exit_code(), 4, "there is no model");
    folder.train("m", &ASKED).await.unwrap();
    let error = folder.predict("size,step\n1,sort\n", &[]).await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("there is no column \"machine\""), "{error}");
    let error = folder.predict("size,step,machine\nlarge,sort,m0\n", &[]).await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("\"large\" is not a number"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_with_few_rows_are_published_as_skips_with_the_pooled_answer() {
    let folder = Folder::new(&table(0..300));
    let paceline = env!("CARGO_BIN_EXE_paceline");
    let (input, model) = (folder.path("in.csv"), folder.path("m"));
    let run = |words: &[&str]| std::process::Command::new(paceline).args(words).output().unwrap();
    let trained = run(&[&["train", &input, "--model", &model][..], &ASKED].concat());
    assert!(trained.status.success());
    assert!(String::from_utf8_lossy(&trained.stderr).contains("1 rows with a target, 5 needed"));
    let shown = run(&["model", "show", &model, "--format", "json"]);
    let card: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(card["skips"][0]["group"], "index");
    assert!(card["skips"][0]["reason"].as_str().unwrap().contains("as all groups together show"));
    assert_eq!(
        (&card["n_rows"], &card["features"][0], &card["target"]),
        (&301.into(), &"size".into(), &"seconds".into())
    );
    assert!(card["scores"].as_array().unwrap().iter().any(|score| score["name"] == "global_median"));
    let out = folder.predict("size,step,machine\n5,index,m0\n", &[]).await.unwrap();
    assert!(out.numbers("point").unwrap()[0] > 0.0);
}
