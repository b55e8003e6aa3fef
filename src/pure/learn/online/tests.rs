//! The walk as a whole: what it may know, what it promises, and what it does with odd tables.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::learn::testing::noise;

/// Two groups, one in proportion to a size, one constant; an execution a second, each lasting a few.
fn executions(n: u32) -> Executions {
    let mut data = Executions { numeric: vec![Vec::new()], ..Executions::default() };
    for i in 0..n {
        let size = 1e6 * (1.0 + f64::from(i * 7919 % 89));
        let group = i % 2;
        let expected = if group == 0 { 3e-5 * size } else { 40.0 };
        data.group.push(group);
        data.numeric[0].push(size);
        data.target.push(expected * (0.3 * noise(i)).exp());
        data.start.push(i64::from(i) * 10);
        data.end.push(Some(i64::from(i) * 10 + 25 + i64::from(i * 31 % 7)));
    }
    data
}

fn levels(values: &[f64]) -> Vec<Level> {
    values.iter().map(|value| Level::new(*value).unwrap()).collect()
}

fn answers(data: &Executions, order: Order) -> Answers {
    predict_online(data, &OnlineParams { order, levels: levels(&[0.5, 0.9, 0.99]) }, |_| {})
}

fn same(a: &Answers, b: &Answers, rows: impl Iterator<Item = usize>) {
    let n_levels = a.levels.len();
    for row in rows {
        assert_eq!(a.point[row].to_bits(), b.point[row].to_bits(), "row {row}");
        assert_eq!((a.n_seen[row], a.speaker[row]), (b.n_seen[row], b.speaker[row]), "row {row}");
        for cell in row * n_levels..(row + 1) * n_levels {
            assert_eq!(a.lower[cell].to_bits(), b.lower[cell].to_bits(), "row {row}");
            assert_eq!(a.upper[cell].to_bits(), b.upper[cell].to_bits(), "row {row}");
        }
    }
}

/// Everything that was not known when row `at` started, changed.
fn with_another_future(data: &Executions, at: usize, order: Order) -> Executions {
    let mut other = data.clone();
    let asked = if order == Order::Start { data.start[at] } else { data.end[at].unwrap() };
    for row in 0..data.len() {
        if data.end[row].unwrap() >= asked {
            other.target[row] = 1e3 + 7.0 * data.target[data.len() - 1 - row];
            if row > at {
                other.numeric[0][row] *= 5.0;
            }
        }
    }
    other
}

#[test]
fn another_future_and_another_outcome_of_the_same_row_change_nothing() {
    let data = executions(240);
    for order in [Order::Start, Order::Completion] {
        let told = answers(&data, order);
        for at in [0, 3, 40, 150, 239] {
            let other = with_another_future(&data, at, order);
            assert_ne!(other.target[at].to_bits(), data.target[at].to_bits());
            same(&told, &answers(&other, order), std::iter::once(at));
        }
    }
}

#[test]
fn the_past_does_matter() {
    let data = executions(240);
    let mut other = data.clone();
    other.target[100] *= 50.0;
    other.target[102] *= 50.0;
    let (a, b) = (answers(&data, Order::Start), answers(&other, Order::Start));
    assert!((110..120).any(|row| a.point[row].to_bits() != b.point[row].to_bits()));
}

#[test]
fn rows_may_come_in_any_order() {
    let data = executions(200);
    let reversed = {
        let mut reversed = data.clone();
        reversed.group.reverse();
        reversed.numeric[0].reverse();
        reversed.target.reverse();
        reversed.start.reverse();
        reversed.end.reverse();
        reversed
    };
    let (told, backwards) = (answers(&data, Order::Start), answers(&reversed, Order::Start));
    for row in 0..200 {
        assert_eq!(told.point[row].to_bits(), backwards.point[199 - row].to_bits());
    }
}

#[test]
fn names_of_groups_do_not_matter() {
    let data = executions(200);
    let mut renamed = data.clone();
    renamed.group.iter_mut().for_each(|group| *group = if *group == 0 { UNKNOWN } else { 5 });
    same(&answers(&data, Order::Start), &answers(&renamed, Order::Start), 0..200);
}

#[test]
fn a_target_in_another_unit_is_the_same_answer_in_that_unit() {
    let data = executions(300);
    let mut other = data.clone();
    other.target.iter_mut().for_each(|target| *target *= 1024.0);
    let (a, b) = (answers(&data, Order::Start), answers(&other, Order::Start));
    let close = |x: f64, y: f64| x.is_nan() && y.is_nan() || (y / x / 1024.0 - 1.0).abs() < 1e-9;
    assert!(a.point.iter().zip(&b.point).all(|(x, y)| close(*x, *y)));
    assert!(a.upper.iter().zip(&b.upper).all(|(x, y)| close(*x, *y)));
}

#[test]
fn each_group_is_found_out() {
    let data = executions(600);
    let told = answers(&data, Order::Start);
    let good = |row: &usize| (told.point[*row] / data.target[*row] - 1.0).abs() <= 0.2;
    let right = (200..600).filter(good).count();
    // Noise of ±9 % at most, uniform: nearly all are within ±20 % once line and level are known.
    assert!(right > 390, "{right}");
    assert!(told.n_seen[599] > 250 && told.speaker[599].as_str() != "pooled");
}

#[test]
fn beyond_the_sizes_that_were_seen_growth_is_as_usual() {
    // Ten groups in proportion to the size; one whose few small executions suggest a cube.
    let mut data = executions(400);
    data.group = (0..400).map(|i| i % 10).collect();
    data.target = data.numeric[0].iter().map(|size| 1e-5 * size).collect();
    for (i, size) in (0_i64..).zip([1e6_f64, 1.1e6, 1.2e6, 1e9]) {
        data.group.push(10);
        data.numeric[0].push(size);
        data.target.push(if i < 3 { 10.0 * (size / 1e6).powi(3) } else { 1e4 });
        data.start.push(10_000 + 100 * i);
        data.end.push(Some(10_050 + 100 * i));
    }
    let told = answers(&data, Order::Start);
    let ratio = told.point[403] / (10.0 * 1.2_f64.powi(3) * 1e9 / 1.2e6);
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn intervals_are_nested_and_hold_the_point() {
    let told = answers(&executions(400), Order::Start);
    for row in (0..400).filter(|row| !told.point[*row].is_nan()) {
        let (lower, upper) = (&told.lower[3 * row..3 * row + 3], &told.upper[3 * row..3 * row + 3]);
        assert!(lower[0] <= told.point[row] && told.point[row] <= upper[0], "row {row}");
        assert!(lower[2] <= lower[1] && lower[1] <= lower[0] && upper[0] <= upper[1] && upper[1] <= upper[2]);
    }
}

#[test]
fn intervals_cover_their_share_although_everything_drifts_and_jumps() {
    let mut data = executions(6000);
    for (row, target) in data.target.iter_mut().enumerate() {
        let drift = row as f64 / 4000.0;
        let jump = if row > 3000 { 0.7 } else { 0.0 };
        let wider = if row > 4500 { 3.0 * noise(row as u32 + 9) } else { noise(row as u32 + 9) };
        *target *= (drift + jump + wider).exp();
    }
    let told = answers(&data, Order::Start);
    let share = |level: usize| {
        let inside = |row: &usize| {
            let cell = 3 * row + level;
            told.lower[cell] <= data.target[*row] && data.target[*row] <= told.upper[cell]
        };
        (1000..6000).filter(inside).count() as f64 / 5000.0
    };
    assert!((share(0) - 0.5).abs() < 0.04, "{}", share(0));
    assert!((share(1) - 0.9).abs() < 0.02, "{}", share(1));
    assert!((share(2) - 0.99).abs() < 0.01, "{}", share(2));
}

#[test]
fn groups_never_seen_get_a_wide_answer_that_says_so() {
    // Each group is seen once; its values lie within a factor of 20 of each other.
    let mut data = executions(400);
    data.group = (0..400).collect();
    data.target = (0..400).map(|i| 50.0 * (3.0 * noise(i)).exp()).collect();
    let told = answers(&data, Order::Start);
    let inside =
        |row: &usize| told.lower[3 * row + 1] <= data.target[*row] && data.target[*row] <= told.upper[3 * row + 1];
    assert!(told.n_seen.iter().all(|n_seen| *n_seen == 0));
    assert!(told.speaker[10..].iter().all(|speaker| *speaker == Speaker::Pooled));
    let covered = (50..400).filter(inside).count() as f64 / 350.0;
    assert!((0.86..=0.96).contains(&covered), "{covered}");
}

#[test]
fn a_machine_that_is_slower_is_found_out() {
    let mut data = executions(800);
    let machine: Vec<u32> = (0..800_u32).map(|i| i / 2 * 7 % 3).collect();
    for (target, machine) in data.target.iter_mut().zip(&machine) {
        *target *= [1.0, 1.6, 2.5][*machine as usize];
    }
    let errors = |data: &Executions| {
        let told = answers(data, Order::Start);
        (300..800).filter(|row| (told.point[*row] / data.target[*row] - 1.0).abs() > 0.2).count()
    };
    let without = errors(&data);
    data.categorical = vec![machine];
    let with = errors(&data);
    assert!(with < 50 && without > 200, "{with} {without}");
}

#[test]
fn unknown_targets_ends_and_features_are_answered_and_not_learned_from() {
    let mut data = executions(300);
    let full = answers(&data, Order::Start);
    for row in (0..300).step_by(10) {
        data.target[row] = if row % 20 == 0 { f64::NAN } else { f64::INFINITY };
    }
    data.end[55] = None;
    data.numeric[0][60] = f64::NAN;
    let told = answers(&data, Order::Start);
    assert!(told.point[20..].iter().all(|point| point.is_finite()));
    assert!(told.n_seen[298] + 25 <= full.n_seen[298]);
    data.target.fill(f64::NAN);
    let told = answers(&data, Order::Start);
    assert!(told.point.iter().chain(&told.lower).all(|value| value.is_nan()));
    assert!(told.speaker.iter().all(|speaker| speaker.as_str() == "none"));
}

#[test]
fn none_and_one_and_constant() {
    let none = answers(&Executions::default(), Order::Start);
    assert!(none.point.is_empty() && none.lower.is_empty());
    let one = answers(&executions(1), Order::Completion);
    assert!(one.point[0].is_nan() && one.n_seen[0] == 0);
    let mut constant = executions(200);
    constant.target.fill(7.0);
    constant.numeric[0].fill(3.0);
    let told = answers(&constant, Order::Start);
    assert!(told.point[20..].iter().all(|point| (point - 7.0).abs() < 1e-9));
    assert!(told.upper[599] < 7.1 && told.lower[599] > 6.9);
}

#[test]
fn zero_and_negative_targets_are_values_too() {
    let mut data = executions(300);
    data.target = (0..300).map(|i| if i % 2 == 0 { 0.0 } else { -5.0 + 0.1 * noise(i) }).collect();
    let told = answers(&data, Order::Start);
    assert!(told.point[298].abs() < 1e-9, "{}", told.point[298]);
    assert!((told.point[299] + 5.0).abs() < 0.1, "{}", told.point[299]);
    data.target = vec![0.0; 300];
    assert!(answers(&data, Order::Start).point[299].abs() < 1e-300);
    data.target = (0..300).map(|i| f64::from(i) * 1e300).collect();
    assert!(answers(&data, Order::Start).upper[20..].iter().all(|upper| upper.is_finite()));
}

#[test]
fn scores_count_what_is_right() {
    let data = executions(100);
    let told = answers(&data, Order::Start);
    let scored = Scored::new(&data, &told, 0.2);
    assert_eq!((scored.rows.len(), scored.burn_in, scored.unseen, scored.unknown), (80, 20, 0, 0));
    let rivals = rivals(&data, Order::Start, &told.levels);
    let all = scores(&data, &told, &rivals, &scored);
    let of = |model: &str, group| all.iter().find(|s| s.model == model && s.group == group && s.level.get() > 0.8);
    let (model, last) = (of("online", None).unwrap(), of("last_run", None).unwrap());
    let right = scored.rows.iter().filter(|r| (told.point[**r] - data.target[**r]).abs() <= 0.2 * data.target[**r]);
    assert!((model.in20 - right.count() as f64 / 80.0).abs() < 1e-12 && model.n == 80);
    assert!(model.in20 > last.in20 && last.coverage.is_nan() && model.coverage > 0.5);
    assert_eq!(of("online", Some(0)).unwrap().n + of("online", Some(1)).unwrap().n, 80);
    assert!(of("size_line", None).unwrap().in20 > of("step_median", None).unwrap().in20);
}
