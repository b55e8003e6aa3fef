use super::*;
use crate::columns::Words;
use crate::learn::testing::noise;

fn table(columns: Vec<(&str, Column)>) -> Table {
    let n_rows = columns.first().map_or(0, |(_, column)| column.len());
    let features = columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
    Table { n_rows, features, ..Table::default() }
}

fn numbers_of(n: u32, value: impl Fn(u32) -> f64) -> Column {
    Column::Numbers((0..n).map(value).collect())
}

/// Two columns that grow together, and a row (250) that is ordinary in each but not in both.
fn twins() -> Table {
    let first = numbers_of(500, noise);
    let second =
        numbers_of(500, |i| if i == 250 { 1.0 - noise(250).round() } else { noise(i) + 0.02 * noise(i + 900) });
    table(vec![("a", first), ("b", second)])
}

/// Hours of a year's first weeks with a daily season, and one value in the middle that another hour would have.
fn hours(n: u32, odd: u32) -> Table {
    let value = |i: u32| {
        let hour = if i == odd { i + 12 } else { i };
        (f64::from(hour) * std::f64::consts::TAU / 24.0).sin() * 10.0 + noise(i)
    };
    Table {
        seconds: Some((0..n).map(|i| f64::from(i) * 3600.0).collect()),
        ..table(vec![("load", numbers_of(n, value))])
    }
}

fn strangest(verdicts: &[Verdict]) -> Option<usize> {
    (0..verdicts.len()).max_by(|a, b| verdicts[*a].score.total_cmp(&verdicts[*b].score))
}

#[test]
fn a_rare_combination_is_strange_to_the_ensemble() {
    let (verdicts, unjudged) = judge(&twins(), &Params::default());
    assert!(unjudged.is_empty());
    assert_eq!(strangest(&verdicts), Some(250));
    assert!(verdicts[250].is_anomaly && verdicts[250].score >= 0.5);
    assert!(verdicts.iter().all(|v| (0.0..=1.0).contains(&v.score) && v.is_anomaly != v.reasons.is_empty()));
    assert!(verdicts.iter().filter(|v| v.is_anomaly).count() <= 5);
}

#[test]
fn seeds_and_threads() {
    let params = |seed| Params { seed, ..Params::default() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(|pool| pool.install(|| judge(&twins(), &params(3)))).ok()
    };
    assert_eq!(run(1), run(3));
    assert_ne!(judge(&twins(), &params(3)), judge(&twins(), &params(4)));
}

#[test]
fn the_wrong_hour_is_strange_in_a_stream() {
    let (verdicts, _) = judge(&hours(1000, 606), &Params::default());
    assert_eq!(strangest(&verdicts), Some(606), "{:?}", verdicts[606]);
    assert!(verdicts[606].is_anomaly && verdicts[606].reasons[0].starts_with("load: distance from season"));
    assert!(verdicts.iter().filter(|v| v.is_anomaly).count() <= 4);
}

#[test]
fn a_stream_is_judged_by_what_was_before() {
    let (all, _) = judge(&hours(1000, 606), &Params::default());
    let (start, _) = judge(&hours(700, 606), &Params::default());
    assert_eq!(all[..700], start[..]);
}

#[test]
fn a_shifted_level_alarms_once() {
    let value = |i: u32| noise(i) + if i >= 500 { 8.0 } else { 0.0 };
    let mut shifted = table(vec![("v", numbers_of(1500, value))]);
    shifted.seconds = Some((0..1500).map(f64::from).collect());
    let (verdicts, _) = judge(&shifted, &Params::default());
    let alarms: Vec<usize> = (0..1500).filter(|row| verdicts[*row].is_anomaly).collect();
    assert!(alarms.first() == Some(&500) && alarms.len() <= 3, "{alarms:?}");
}

#[test]
fn words_are_judged_by_how_rare_they_are() {
    let words: Vec<Option<&str>> = (0..400).map(|i| Some(if i == 77 { "odd" } else { "usual" })).collect();
    let (verdicts, _) = judge(&table(vec![("machine", Column::Words(Words::of(words)))]), &Params::default());
    assert_eq!(strangest(&verdicts), Some(77));
    assert_eq!(verdicts[77].reasons, ["machine: \"odd\" is one in 400"]);
}

#[test]
fn degenerate_tables_are_told_and_do_no_harm() {
    let constant = || numbers_of(30, |_| 4.0);
    let unknown = || numbers_of(30, |_| f64::NAN);
    for seconds in [None, Some((0..30).map(f64::from).collect::<Vec<_>>())] {
        let mut dull = table(vec![("c", constant()), ("u", unknown())]);
        dull.seconds.clone_from(&seconds);
        let (verdicts, unjudged) = judge(&dull, &Params::default());
        assert_eq!(unjudged.len(), 3, "{unjudged:?}");
        assert!(verdicts.iter().all(|v| v.score.is_nan() && !v.is_anomaly));
        for n in [0, 1, 3, 10, 60] {
            let wild = [f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, 0.0, 1e-300];
            let mut small = table(vec![("w", numbers_of(n, |i| wild[i as usize % 6])), ("c", numbers_of(n, |_| 1.0))]);
            small.seconds = seconds.as_ref().map(|_| (0..n).map(f64::from).collect());
            let (verdicts, unjudged) = judge(&small, &Params::default());
            assert!(verdicts.len() == n as usize && !unjudged.is_empty());
            assert!(verdicts.iter().all(|v| v.score.is_nan() || (0.0..=1.0).contains(&v.score)), "{n}: {verdicts:?}");
        }
    }
    let twice = table(vec![("d", numbers_of(200, |i| f64::from(i % 2)))]);
    assert!(judge(&twice, &Params::default()).0.iter().all(|v| !v.is_anomaly));
}

#[test]
fn groups_are_judged_by_themselves() {
    let mut two = table(vec![("v", numbers_of(203, |i| if i % 2 == 0 { noise(i) } else { 1000.0 + noise(i) }))]);
    two.group = Some(Words::of((0..203).map(|i| match i {
        200 | 201 => Some("few"),
        202 => None,
        _ => Some(if i % 2 == 0 { "low" } else { "high" }),
    })));
    let (verdicts, unjudged) = judge(&two, &Params::default());
    let told: Vec<String> = unjudged.iter().map(|u| format!("{}: {}", u.subject, u.reason)).collect();
    assert_eq!(told, ["group: 1 rows have no group and are not judged", "group \"few\": needs 10 rows, found 2"]);
    assert!(verdicts[200..].iter().all(|v| v.score.is_nan()) && verdicts[..200].iter().all(|v| !v.score.is_nan()));
}
