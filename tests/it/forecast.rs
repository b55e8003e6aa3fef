//! `paceline forecast`, as it is typed.

use crate::folder::Folder;
use paceline::ingest::any::AnyTable;
use paceline::pure::columns::Clock;
use std::process::Output;

impl Folder {
    fn forecast_on(&self, threads: &str, more: &[&str]) -> Output {
        let (input, out) = (self.path("in.csv"), self.path("out.parquet"));
        let words = [&["forecast", &input, "--out", &out], more].concat();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_paceline"));
        command.args(words).env("RAYON_NUM_THREADS", threads).output().unwrap()
    }

    /// What was written, and what was said on stderr.
    fn forecast(&self, more: &[&str]) -> (AnyTable, String) {
        let done = self.forecast_on("2", more);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        (AnyTable::read(&std::fs::read(self.path("out.parquet")).unwrap(), "out.parquet", |_| true).unwrap(), said)
    }
}

/// Noise between -0.5 and 0.5 (a multiplicative hash).
fn wobble(i: usize) -> f64 {
    f64::from(u32::try_from(i as u64 * 2_654_435_761 % 4_294_967_296 * 40_503 % 65_537).unwrap()) / 65_537.0 - 0.5
}

fn week(i: usize) -> f64 {
    100.0 + if i % 7 >= 5 { -40.0 } else { 0.0 } + 4.0 * wobble(i)
}

/// A name, how many values, and each of them.
type Written<'a> = (&'a str, usize, &'a dyn Fn(usize) -> String);

fn table(series: &[Written<'_>]) -> String {
    let mut text = "unique_id,ds,y\n".to_owned();
    for (id, n, value) in series {
        (0..*n).for_each(|i| text.push_str(&format!("{id},{i},{}\n", value(i))));
    }
    text
}

#[test]
fn a_week_goes_on_one_row_a_step_and_level_with_nested_levels() {
    let folder = Folder::new(&table(&[("week", 120, &|i| week(i).to_string())]));
    let (found, said) = folder.forecast(&["--horizon", "14", "--level", "0.95,0.5,0.8"]);
    let columns = ["unique_id", "ds", "step", "model", "point", "level", "lower", "upper"];
    assert_eq!(found.names().collect::<Vec<_>>(), columns);
    assert_eq!((found.height(), said.as_str()), (14 * 3, ""));
    let number = |name: &str| found.numbers(name).unwrap();
    let (step, ds, point, level) = (number("step"), number("ds"), number("point"), number("level"));
    let (lower, upper) = (number("lower"), number("upper"));
    for row in 0..found.height() {
        let ahead = row / 3;
        assert_eq!((step[row], ds[row]), ((ahead + 1) as f64, (120 + ahead) as f64));
        let truth = if (120 + ahead) % 7 >= 5 { 60.0 } else { 100.0 };
        assert!((point[row] - truth).abs() < 3.0 && lower[row] <= point[row] && point[row] <= upper[row], "{row}");
        if row % 3 > 0 {
            assert!(level[row - 1] < level[row] && lower[row] <= lower[row - 1] && upper[row - 1] <= upper[row]);
        }
    }
    assert!(found.words("model").unwrap().at(0).unwrap().contains('7'));
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let noisy = |i: usize| (5.0 + wobble(3 * i)).to_string();
    let folder = Folder::new(&table(&[("a", 90, &|i| week(i).to_string()), ("b", 60, &noisy), ("c", 30, &noisy)]));
    let bytes = |threads: &str| {
        assert!(folder.forecast_on(threads, &["--horizon", "9"]).status.success());
        std::fs::read(folder.path("out.parquet")).unwrap()
    };
    assert!(bytes("1") == bytes("4"));
}

#[test]
fn days_come_back_as_days_under_other_names() {
    let rows: Vec<String> =
        (0..60).map(|i| format!("2026-{:02}-{:02},{},b\n", 1 + i / 28, 1 + i % 28, week(i))).collect();
    let folder = Folder::new(&("day,ms,build\n".to_owned() + &rows.concat()));
    let (found, _) = folder.forecast(&["--id", "build", "--time", "day", "--target", "ms", "--horizon", "2"]);
    let at = found.instants("ds").unwrap();
    assert_eq!(at.clock, Clock::Time { zoned: false });
    let days: Vec<i64> = at.values.iter().map(|us| us.unwrap() / 86_400_000_000).collect();
    assert_eq!(days, [20_517, 20_517, 20_518, 20_518], "2026-03-05 and the day after, in days since 1970");
}

#[test]
fn odd_series_answer_sensibly_or_are_skipped_with_a_reason() {
    let series: [Written<'_>; 7] = [
        ("constant", 40, &|_| "7".to_owned()),
        ("gaps", 60, &|i| if i % 4 == 1 { String::new() } else { week(i).to_string() }),
        ("huge", 30, &|i| if i % 2 == 0 { "1.7e308".to_owned() } else { "-1.7e308".to_owned() }),
        ("negative", 60, &|i| (week(i) - 100.0).to_string()),
        ("short", 3, &|i| i.to_string()),
        ("unknown", 30, &|_| "NaN".to_owned()),
        ("zero", 40, &|_| "0".to_owned()),
    ];
    let (found, said) = Folder::new(&table(&series)).forecast(&["--horizon", "5", "--level", "0.9"]);
    let ids = found.words("unique_id").unwrap();
    let (point, lower, upper) =
        (found.numbers("point").unwrap(), found.numbers("lower").unwrap(), found.numbers("upper").unwrap());
    for row in 0..found.height() {
        assert!(point[row].is_finite() && lower[row] <= point[row] && point[row] <= upper[row]);
        match ids.at(row) {
            Some("constant") => assert!((lower[row] - 7.0).abs() < 1e-9 && (upper[row] - 7.0).abs() < 1e-9),
            Some("zero") => assert!(lower[row].abs() < 1e-12 && upper[row].abs() < 1e-12),
            Some("gaps") => assert!(lower[row] >= 0.0),
            _ => {}
        }
    }
    let named: std::collections::BTreeSet<_> = (0..found.height()).filter_map(|row| ids.at(row)).collect();
    assert!(["constant", "gaps", "negative", "zero"].iter().all(|name| named.contains(name)), "{named:?} {said}");
    assert!(said.contains("\"short\": skipped, a forecast needs 4 buckets with values, found 3"), "{said}");
    assert!(said.contains("\"unknown\": skipped"), "{said}");
    assert!(named.contains("huge") || said.contains("\"huge\": skipped"), "{said}");
}

#[test]
fn scores_tell_weights_and_coverage_by_distance() {
    let folder = Folder::new(&table(&[("week", 120, &|i| week(i).to_string())]));
    let scores = folder.path("scores.parquet");
    folder.forecast(&["--horizon", "14", "--scores", &scores]);
    let found = AnyTable::read(&std::fs::read(&scores).unwrap(), "scores.parquet", |_| true).unwrap();
    let number = |name: &str| found.numbers(name).unwrap();
    let (weight, coverage, from) = (number("weight"), number("coverage"), number("from_step"));
    let members: f64 =
        weight.iter().zip(&from).skip(1).filter(|(w, f)| f.is_nan() && !w.is_nan()).map(|(w, _)| w).sum();
    assert!((members - 1.0).abs() < 1e-6 || (weight[0] - 1.0).abs() < 1e-9, "{weight:?}");
    let distances: Vec<f64> = from.iter().copied().filter(|from| !from.is_nan()).collect();
    assert_eq!(distances, [1.0, 2.0, 4.0, 8.0]);
    assert!(coverage.iter().all(|share| share.is_nan() || (0.0..=1.0).contains(share)));
}

#[test]
fn what_can_not_be_asked_is_refused() {
    let folder = Folder::new(&table(&[("week", 30, &|i| week(i).to_string())]));
    for (more, word) in [
        (&["--horizon", "0"][..], "--horizon"),
        (&["--horizon", "3", "--level", "95"], "--level"),
        (&["--horizon", "3", "--season", "0"], "season"),
        (&["--horizon", "3", "--target", "nothing"], "nothing"),
        (&["--horizon", "3", "--growth", "0"], "--growth"),
    ] {
        let done = folder.forecast_on("1", more);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(2) && said.contains(word), "{said}");
    }
}

#[test]
fn growth_multiplies_what_is_forecast_and_brings_shortages() {
    let folder = Folder::new(&table(&[("week", 120, &|i| week(i).to_string())]));
    let plan = folder.path("plan.parquet");
    let of = |growth: &str| {
        let more = ["--horizon", "7", "--level", "0.9", "--growth", growth, "--capacity", "120", "--plan", &plan];
        let (found, _) = folder.forecast(&more);
        let plan = AnyTable::read(&std::fs::read(&plan).unwrap(), "plan.parquet", |_| true).unwrap();
        (found.numbers("upper").unwrap(), plan.numbers("shortage_probability").unwrap())
    };
    let ((upper, few), (grown, many)) = (of("1"), of("1.5"));
    assert!(upper.iter().zip(&grown).all(|(one, more)| (more / one - 1.5).abs() < 1e-9), "{upper:?} {grown:?}");
    assert!(few.iter().all(|p| *p < 0.05) && many.iter().filter(|p| **p > 0.95).count() == 5, "{few:?} {many:?}");
}
