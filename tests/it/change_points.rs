//! `paceline change-points`, as it is typed.

use crate::folder::Folder;
use paceline::ingest::any::AnyTable;
use paceline::pure::columns::Clock;
use std::process::Output;

impl Folder {
    fn run(&self, more: &[&str]) -> Output {
        let (input, out) = (self.path("in.csv"), self.path("out.parquet"));
        let words = [&["change-points", &input, "--out", &out], more].concat();
        std::process::Command::new(env!("CARGO_BIN_EXE_paceline")).args(words).output().unwrap()
    }

    /// What was written, and what was said on stderr.
    fn find(&self, more: &[&str]) -> (AnyTable, String) {
        let done = self.run(more);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        (AnyTable::read(&std::fs::read(self.path("out.parquet")).unwrap(), "out.parquet", |_| true).unwrap(), said)
    }
}

/// Small steps up and down that repeat themselves after long only.
fn wobble(i: usize) -> f64 {
    ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5
}

fn table(series: &[(&str, &dyn Fn(usize) -> String)], n: usize) -> String {
    let mut text = "unique_id,ds,y\n".to_owned();
    for (id, value) in series {
        (0..n).for_each(|i| text.push_str(&format!("{id},{i},{}\n", value(i))));
    }
    text
}

fn step(i: usize) -> String {
    (100.0 + wobble(i) + if i >= 40 { 25.0 } else { 0.0 }).to_string()
}

#[test]
fn a_step_is_found_and_a_steady_series_has_none() {
    let steady = |i: usize| (50.0 + wobble(i)).to_string();
    let folder = Folder::new(&table(&[("slower", &step), ("steady", &steady)], 60));
    let (found, said) = folder.find(&[]);
    let columns =
        ["unique_id", "index", "ds", "before", "after", "effect_ratio", "effect_lower", "effect_upper", "p_value"];
    assert_eq!(found.names().collect::<Vec<_>>(), columns);
    assert_eq!((found.height(), found.words("unique_id").unwrap().at(0)), (1, Some("slower")));
    let number = |name: &str| found.numbers(name).unwrap()[0];
    assert_eq!((number("index"), number("ds")), (40.0, 40.0));
    assert!((number("before") - 100.0).abs() < 0.5 && (number("after") - 125.0).abs() < 0.5);
    assert!(number("effect_lower") < 1.25 && 1.25 < number("effect_upper") && number("p_value") < 1e-6);
    assert_eq!(said, "", "nothing was left out");
    let again = std::fs::read(folder.path("out.parquet")).unwrap();
    folder.find(&[]);
    assert!(again == std::fs::read(folder.path("out.parquet")).unwrap(), "the same input gives the same bytes");
}

#[test]
fn other_columns_times_and_orders_give_the_same_and_instants_come_back_as_they_came() {
    let mut rows: Vec<String> =
        (0..60).map(|i| format!("2026-{:02}-{:02},{},b\n", 1 + i / 28, 1 + i % 28, step(i))).collect();
    rows.reverse();
    let folder = Folder::new(&("day,ms,build\n".to_owned() + &rows.concat()));
    let (found, _) = folder.find(&["--id", "build", "--time", "day", "--target", "ms"]);
    assert_eq!(found.numbers("index").unwrap(), [40.0]);
    let at = found.instants("ds").unwrap();
    assert_eq!(at.clock, Clock::Time { zoned: false });
    assert_eq!(at.values[0].map(|us| us / 86_400_000_000), Some(20_497), "2026-02-13 in days since 1970");
}

#[test]
fn the_format_of_what_is_printed_is_asked_for() {
    let folder = Folder::new(&table(&[("slower", &step)], 60));
    let printed: serde_json::Value = serde_json::from_slice(&folder.run(&["--format", "json"]).stdout).unwrap();
    assert_eq!(
        (&printed[0]["unique_id"], &printed[0]["index"], &printed[0]["ds"]),
        (&"slower".into(), &40.into(), &40.into())
    );
    let text = String::from_utf8(folder.run(&[]).stdout).unwrap();
    assert!(text.contains("effect_ratio") && text.contains("slower"), "{text}");
    let quiet = Folder::new(&table(&[("steady", &|i| (50.0 + wobble(i)).to_string())], 60));
    assert_eq!(String::from_utf8(quiet.run(&[]).stdout).unwrap().trim(), "no change points");
    assert_eq!(quiet.find(&[]).0.height(), 0);
}

#[test]
fn odd_series_are_skipped_with_a_reason_and_hide_no_other() {
    let constant = |_: usize| "7".to_owned();
    let unknown = |i: usize| if i < 3 { "1.5".to_owned() } else { "NaN".to_owned() };
    let huge = |i: usize| if i.is_multiple_of(2) { "1.7e308".to_owned() } else { "-1.7e308".to_owned() };
    let gaps = |i: usize| if i % 3 == 1 { String::new() } else { step(i) };
    let series: [(&str, &dyn Fn(usize) -> String); 4] =
        [("constant", &constant), ("gaps", &gaps), ("huge", &huge), ("unknown", &unknown)];
    let (found, said) = Folder::new(&table(&series, 60)).find(&[]);
    let names: Vec<_> =
        (0..found.height()).map(|row| found.words("unique_id").unwrap().at(row).map(str::to_owned)).collect();
    assert_eq!(names, [Some("gaps".to_owned())], "{said}");
    assert!((found.numbers("index").unwrap()[0] - 40.0).abs() <= 2.0);
    assert!(said.contains("\"constant\": skipped, its 60 known values are all equal"), "{said}");
    assert!(said.contains("\"unknown\": skipped, 3 known values, 6 needed"), "{said}");
}

#[test]
fn rows_that_share_a_time_count_once_and_rows_without_one_are_told_of() {
    let once = table(&[("slower", &step)], 60);
    let rows = once.split_once('\n').unwrap().1;
    let folder = Folder::new(&(once.clone() + rows + "slower,,99\n"));
    let (found, said) = folder.find(&[]);
    assert_eq!(found.numbers("index").unwrap(), [40.0]);
    assert!(said.contains("60 rows share their time with others") && said.contains("1 rows without a time"), "{said}");
    let plain = Folder::new(&once.replace("unique_id", "name").replace("ds", "n"));
    let (found, said) = plain.find(&[]);
    assert_eq!((found.numbers("index").unwrap(), found.words("unique_id").unwrap().at(0)), (vec![40.0], None));
    assert!(said.contains("no column \"unique_id\"") && said.contains("no column \"ds\""), "{said}");
}

#[test]
fn what_is_no_series_of_numbers_is_refused() {
    let folder = Folder::new(&table(&[("a", &|i| ["low", "high"][i % 2].to_owned())], 20));
    let refused = [
        (vec![], 2, "column \"y\", row 0: \"low\" is not a number"),
        (vec!["--target", "z"], 2, "there is no column \"z\""),
        (vec!["--id", "name"], 2, "there is no column \"name\""),
        (vec!["--time", "unique_id"], 2, "\"a\" is not a number, or a date"),
        (vec!["--out", "x.json"], 2, "cannot be used multiple times"),
        (vec!["--min-effect=-1"], 2, "an effect is a number from 0 on"),
    ];
    for (more, code, sentence) in refused {
        let done = folder.run(&more);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(code) && said.contains(sentence), "{more:?}: {said}");
    }
    assert!(!std::path::Path::new(&folder.path("out.parquet")).exists());
    assert_eq!(Folder::new("").run(&[]).status.code(), Some(4));
    assert_eq!(Folder::new("unique_id,ds,y\n").run(&[]).status.code(), Some(0), "no row is no failure");
}
