//! `paceline replay`, as it is typed.

use crate::commands::command;
use paceline::error::Error;
use paceline::ingest::any::AnyTable;

/// Twenty runs: fetch 10 s, then align 30 s beside index 20 s, then join 5 s.
fn steps() -> String {
    let mut text = "run_id,workflow_id,step_id,depends_on,started_at,ended_at,status\n".to_owned();
    let rows = [
        ("fetch", "[]", 0, 10),
        ("align", "fetch", 10, 40),
        ("index", "fetch", 10, 30),
        ("join", "align;index", 40, 45),
    ];
    for run in 0..20 {
        for (step, depends_on, start, end) in rows {
            let at = |second: i32| format!("2026-01-{:02}T00:00:{second:02}Z", run + 1);
            text.push_str(&format!("r{run},wf,{step},{depends_on},{},{},succeeded\n", at(start), at(end)));
        }
    }
    text
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("steps.csv"), steps()).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> AnyTable {
        AnyTable::read(&std::fs::read(self.path(name)).unwrap(), name, |_| true).unwrap()
    }

    async fn replay(&self, more: &[&str]) -> Result<u8, Error> {
        command(&[&["replay", &self.path("steps.csv"), "--out", &self.path("out.parquet")], more].concat()).await
    }

    /// Mean end-to-end seconds under a change.
    async fn changed_s(&self, more: &[&str]) -> f64 {
        assert_eq!(self.replay(more).await.unwrap(), 0, "{more:?}");
        let changed = self.read("out.parquet").numbers("changed_ms").unwrap();
        changed.iter().sum::<f64>() / changed.len() as f64 / 1e3
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_do_end_to_end_what_they_do_on_the_path() {
    let folder = Folder::new();
    for (change, seconds) in [
        (vec![], 45.0),
        (vec!["--speedup", "align=0.5"], 35.0),
        (vec!["--speedup", "index=0.5"], 45.0),
        (vec!["--slots", "1"], 65.0),
        (vec!["--remove", "align"], 35.0),
        (vec!["--remove", "align", "--remove", "index"], 15.0),
        (vec!["--cached", "align=1"], 35.0),
        (vec!["--cached", "index=0.9"], 45.0),
        // Half of the runs save ten seconds.
        (vec!["--cached", "align=0.5"], 40.0),
    ] {
        let found = folder.changed_s(&change).await;
        // One run more or less than the share may be answered.
        assert!((found - seconds).abs() < 10.0 / 20.0 + 1e-9, "{change:?}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_told_by_what_runs_wait_for() {
    let folder = Folder::new();
    let by_step = folder.path("steps.csv.parquet");
    assert_eq!(folder.replay(&["--by-step", &by_step]).await.unwrap(), 0);
    let table = folder.read("steps.csv.parquet");
    let steps = table.words("step").unwrap();
    assert_eq!(table.height(), 4);
    let name = |row: usize| steps.words[steps.codes[row] as usize].as_str();
    assert_eq!([name(0), name(1), name(2), name(3)], ["align", "fetch", "join", "index"]);
    assert_eq!(table.numbers("blocking_ms").unwrap(), [30e3, 10e3, 5e3, 0.0]);
    assert_eq!(table.numbers("slack_ms").unwrap(), [0.0, 0.0, 0.0, 10e3]);
    assert!((table.numbers("blocking_share").unwrap().iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_is_refused() {
    let folder = Folder::new();
    let refused = folder.replay(&["--by-step", "steps.txt"]).await.unwrap_err().to_string();
    assert!(refused.contains("steps.txt: end it in .parquet or .csv"), "{refused}");
    let unknown = folder.replay(&["--speedup", "alin=0.5"]).await.unwrap_err().to_string();
    assert!(unknown.contains("no run has a step \"alin\"; expected one of align, fetch"), "{unknown}");
    std::fs::write(folder.path("steps.csv"), "run_id,step_id,duration_ms\nr1,a,5\n").unwrap();
    let undeclared = folder.replay(&[]).await.unwrap_err().to_string();
    assert!(undeclared.contains("none of its 1 runs can be replayed"), "{undeclared}");
}

/// Eight runs of which nobody declared what waits for what: align is submitted 1 s after fetch ends, and so is index; join
/// after align.
fn undeclared() -> String {
    let mut text = "run_id,workflow_id,step_id,started_at,ended_at,queue_ms,status\n".to_owned();
    for run in 0..8 {
        let fetched = 60 + 7 * run;
        let aligned = fetched + 91 + 5 * run;
        let rows = [
            ("fetch", 0, fetched),
            ("align", fetched + 1, aligned),
            ("index", fetched + 1, fetched + 30),
            ("join", aligned + 1, aligned + 20),
        ];
        for (step, start, end) in rows {
            let at = |second: i32| format!("2026-01-{:02}T00:{:02}:{:02}Z", run + 1, second / 60, second % 60);
            text.push_str(&format!("r{run},wf,{step},{},{},0,succeeded\n", at(start), at(end)));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_times_show_stands_in_for_what_nobody_declared() {
    let folder = Folder::new();
    std::fs::write(folder.path("steps.csv"), undeclared()).unwrap();
    let shown = folder.path("shown.csv");
    let unchanged = folder.changed_s(&["--inferred", &shown]).await;
    let faster = folder.changed_s(&["--speedup", "align=0.5"]).await;
    assert!(unchanged - faster > 40.0, "{unchanged} {faster}");
    let table = folder.read("shown.csv");
    let words = |column: &str| {
        let found = table.words(column).unwrap();
        found.codes.iter().map(|code| found.words[*code as usize].clone()).collect::<Vec<_>>()
    };
    let pairs: Vec<(String, String)> = words("waits_for").into_iter().zip(words("step")).collect();
    let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned());
    assert_eq!(pairs, [pair("fetch", "align"), pair("fetch", "index"), pair("align", "join")]);
    assert!(table.numbers("confidence").unwrap().iter().all(|confidence| (0.99..=1.0).contains(confidence)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_waits_for_its_children() {
    let folder = Folder::new();
    let mut text = "run_id,workflow_id,step_id,parent_step_id,started_at,ended_at,status\n".to_owned();
    for run in 0..6 {
        for (step, parent, start, end) in [("front", "", 0, 50), ("stock", "front", 5, 25), ("price", "front", 30, 45)]
        {
            let at = |second: i32| format!("2026-01-{:02}T00:00:{second:02}Z", run + 1);
            text.push_str(&format!("r{run},shop,{step},{parent},{},{},succeeded\n", at(start), at(end)));
        }
    }
    std::fs::write(folder.path("steps.csv"), text).unwrap();
    for (change, seconds) in [("stock=1", 50.0), ("stock=0.5", 40.0), ("front=0", 35.0)] {
        assert!((folder.changed_s(&["--speedup", change]).await - seconds).abs() < 1e-6, "{change}");
    }
}
