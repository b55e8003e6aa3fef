#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::columns::{Column, Words};
use crate::learn::testing;
use crate::units::Level;

/// Evenly spread from −0.5 to 0.5.
fn noise(i: u64) -> f64 {
    testing::noise(u32::try_from(i).unwrap()) - 0.5
}

/// Rows of two features and a group, and what they cost: an amount for each unit of size, times a factor of the machine.
struct Sample {
    size: Vec<f64>,
    machine: Vec<String>,
    group: Vec<String>,
    y: Vec<f64>,
}

impl Sample {
    fn new() -> Self {
        Self { size: Vec::new(), machine: Vec::new(), group: Vec::new(), y: Vec::new() }
    }

    fn push(&mut self, group: &str, machine: &str, size: f64, y: f64) {
        self.size.push(size);
        self.machine.push(machine.to_owned());
        self.group.push(group.to_owned());
        self.y.push(y);
    }

    /// `n` rows for each of six groups, sizes from `low` to `high` times the group's own unit, 5 % noise.
    fn proportional(n: usize, low: f64, high: f64, seed: u64) -> Self {
        let mut out = Self::new();
        for (g, unit) in [1.0, 3.0, 10.0, 30.0, 100.0, 300.0].into_iter().enumerate() {
            for i in 0..n {
                let u = noise(seed + 7919 * i as u64 + 101 * g as u64) + 0.5;
                let size = unit * (low + (high - low) * u.clamp(0.0, 1.0));
                let (machine, factor) = [("slow", 2.0), ("fast", 1.0)][i % 2];
                let y = size * factor * (0.1 * noise(seed + 31 * i as u64 + 13 * g as u64)).exp();
                out.push(&format!("g{g}"), machine, size, y);
            }
        }
        out
    }

    fn table(&self) -> Table {
        let words = |values: &[String]| Words::of(values.iter().map(|word| Some(word.as_str())));
        Table {
            n_rows: self.y.len(),
            features: vec![
                ("size".to_owned(), Column::Numbers(self.size.clone())),
                ("machine".to_owned(), Column::Words(words(&self.machine))),
            ],
            group: Some(words(&self.group)),
            ..Table::default()
        }
    }

    fn train(&self, choice: Choice) -> Model {
        let params =
            TrainParams { target: "y".to_owned(), group: Some("group".to_owned()), time: None, choice, seed: 1 };
        train(&self.table(), &self.y, &params).unwrap()
    }

    /// Median of |predicted / actual − 1|, and the share of actuals within their intervals.
    fn error_and_coverage(&self, model: &Model) -> (f64, f64) {
        let expected = model.predict(&self.table(), Level::new(0.9).unwrap()).unwrap();
        let mut errors: Vec<f64> = expected.iter().zip(&self.y).map(|(e, y)| (e.point / y - 1.0).abs()).collect();
        let held = expected.iter().zip(&self.y).filter(|(e, y)| e.lower <= **y && **y <= e.upper).count();
        (crate::stats::robust::median(&mut errors), held as f64 / self.y.len() as f64)
    }
}

#[test]
fn what_is_in_proportion_is_found_and_its_noise_too() {
    let model = Sample::proportional(60, 0.2, 5.0, 1).train(Choice::Auto);
    let (error, coverage) = Sample::proportional(60, 0.2, 5.0, 9_000_011).error_and_coverage(&model);
    assert!(error < 0.04 && (0.84..=0.97).contains(&coverage), "{error} {coverage}");
    let of_model: Vec<_> = model.card.scores.iter().filter(|score| score.name == "model").collect();
    assert!(of_model.iter().any(|score| score.situation == folds::Situation::Beyond));
    for score in of_model {
        let rival = model.card.scores.iter().find(|s| s.situation == score.situation && s.name == "global_median");
        assert!(rival.is_some_and(|rival| score.mae < rival.mae), "{score:?} beside {rival:?}");
    }
}

#[test]
fn lines_go_on_beyond_the_sizes_that_were_seen() {
    let model = Sample::proportional(40, 0.1, 1.0, 1).train(Choice::Auto);
    let (error, _) = Sample::proportional(40, 4.0, 8.0, 9_000_011).error_and_coverage(&model);
    assert!(error < 0.08, "{error}");
}

#[test]
fn every_learner_beats_the_middle_of_all() {
    let (known, next) = (Sample::proportional(60, 0.2, 5.0, 1), Sample::proportional(60, 0.2, 5.0, 9_000_011));
    for learner in Learner::CANDIDATES.into_iter().chain([Learner::ElasticNet, Learner::Ols { intercept: true }]) {
        let model = known.train(Choice::Only(learner));
        let (error, _) = next.error_and_coverage(&model);
        assert!(error < 0.75, "{}: {error}", learner.as_str());
        assert_eq!(model.card.learner, learner.as_str());
    }
}

#[test]
fn groups_never_seen_and_groups_with_few_rows_are_answered_by_the_others() {
    let mut sample = Sample::proportional(60, 0.2, 5.0, 1);
    sample.push("young", "fast", 20.0, 21.0);
    let model = sample.train(Choice::Auto);
    let skips: Vec<(&str, u64)> = model.card.skips.iter().map(|skip| (skip.group.as_str(), skip.n_rows)).collect();
    assert_eq!(skips, [("young", 1)]);
    let mut asked = Sample::new();
    for group in ["young", "never", "g2"] {
        asked.push(group, "fast", 25.0, 25.0);
    }
    asked.push("g2", "a machine never seen", 25.0, 25.0);
    let expected = model.predict(&asked.table(), Level::new(0.9).unwrap()).unwrap();
    assert!(expected.iter().all(|e| e.lower <= e.point && e.point <= e.upper && e.point > 5.0 && e.point < 200.0));
    let width = |at: usize| expected[at].upper / expected[at].lower;
    assert!(width(1) > width(2), "a group never seen is less certain: {expected:?}");
}

#[test]
fn benchmarks_tell_of_machines_and_loud_groups_do_not_drown_them() {
    // Sizes on one machine only; benchmarks without a size on both, twice as slow on the other. One group is nothing but
    // noise.
    let mut sample = Sample::new();
    for g in 0..8_u64 {
        let spread = if g == 7 { 3.0 } else { 0.02 };
        for i in 0..12_u64 {
            let size = 1.0 + i as f64;
            sample.push(&format!("g{g}"), "home", size, 5.0 * size * (spread * noise(g * 131 + i)).exp());
        }
        for (machine, factor) in [("home", 1.0), ("away", 2.0)] {
            for i in 0..3_u64 {
                let y = 3.0 * factor * (spread * noise(g * 17 + i * 5 + 1_000)).exp();
                sample.push(&format!("g{g}"), machine, f64::NAN, y);
            }
        }
    }
    let mut away = Sample::new();
    for g in 0..7 {
        away.push(&format!("g{g}"), "away", 6.0, 60.0);
    }
    let (error, _) = away.error_and_coverage(&sample.train(Choice::Only(Learner::Linear)));
    assert!(error < 0.05, "{error}");
}

#[test]
fn what_tells_runs_apart_is_not_believed_of_the_next_run() {
    // Ten runs of one kind: in each another level, and sizes that are found in no other run.
    let (mut known, mut next) = (Sample::new(), Sample::new());
    for run in 0..12_u64 {
        let level = (2.0 * noise(run * 77 + 5)).exp();
        for i in 0..30_u64 {
            let into = if run < 10 { &mut known } else { &mut next };
            into.push("g", "m", 1.0 + run as f64 / 1e3 + i as f64 / 1e6, level * (0.02 * noise(run * 1_000 + i)).exp());
        }
    }
    let model = known.train(Choice::Auto);
    let (_, coverage) = next.error_and_coverage(&model);
    assert!(coverage > 0.8, "{coverage}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let sample = Sample::proportional(30, 0.2, 5.0, 3);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| format!("{:?}", sample.train(Choice::Auto)))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn what_cannot_be_learned_from_is_told() {
    let params = TrainParams { target: "y".to_owned(), group: None, time: None, choice: Choice::Auto, seed: 0 };
    let table = |n: usize| Table {
        n_rows: n,
        features: vec![("x".to_owned(), Column::Numbers(vec![1.0; n]))],
        ..Table::default()
    };
    assert_eq!(train(&table(2), &[f64::NAN; 2], &params).unwrap_err(), TrainError::NoTarget { n_rows: 2 });
    assert_eq!(train(&table(2), &[1.0], &params).unwrap_err(), TrainError::Length { found: 1, expected: 2 });
    for (n, wild) in [(1, 3.0), (2, -1.0), (7, 0.0), (40, 1e300), (40, -1e300)] {
        let mut y = vec![2.0; n];
        y[n - 1] = wild;
        let model = train(&table(n), &y, &params).unwrap();
        let expected = model.predict(&table(3), Level::new(0.5).unwrap()).unwrap();
        assert!(expected.iter().all(|e| e.point.is_finite()), "{n} {wild}: {expected:?}");
    }
    let other =
        Table { features: vec![("x".to_owned(), Column::Words(Words::of([Some("a")])))], n_rows: 1, ..table(1) };
    let model = train(&table(9), &[1.0; 9], &params).unwrap();
    let error = model.predict(&other, Level::new(0.5).unwrap()).unwrap_err();
    assert_eq!(error, TrainError::Features { feature: "x".to_owned() });
}
