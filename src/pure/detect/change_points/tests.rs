use super::*;
use crate::detect::fixtures::{MONDAY_US, NAMED, noise, noisy};
use crate::detect::levelling::Cycle;
use crate::units::DAY_US;

/// 90 values round 100 with 5 % noise and a level that depends on the position.
fn series(seed: u64, level: impl Fn(usize) -> f64) -> Vec<f64> {
    noisy(90, seed, 0.05, level)
}

fn look(values: &[f64]) -> Vec<Shift> {
    let levelled = Levelled::of(values, Scale::Log, &Cycle::of_grid(DAY_US, MONDAY_US));
    change_points(Input { levelled: &levelled, counts: None }, &ChangePointParams::default())
}

fn indices(values: &[f64]) -> Vec<usize> {
    look(values).iter().map(|shift| shift.index).collect()
}

fn plain(values: &[f64], min_segment: usize) -> Vec<usize> {
    let params = ChangePointParams { min_segment, ..Default::default() };
    let levelled = Levelled::of(values, Scale::Linear, &[]);
    let found = change_points(Input { levelled: &levelled, counts: None }, &params);
    found.iter().map(|shift| shift.index).collect()
}

#[test]
fn degenerate_series_have_none() {
    for (name, values) in NAMED.iter().filter(|(name, _)| *name != "STEP") {
        assert_eq!(indices(values), [0_usize; 0], "{name}");
        assert_eq!(plain(values, 5), [0_usize; 0], "{name}");
    }
    assert_eq!(plain(&[f64::MAX, -f64::MAX, 0.0, 1.0].repeat(20), 5), [0_usize; 0]);
}

#[test]
fn step_is_found_with_its_effect() {
    let values = series(1, |i| if i >= 40 { 0.3 } else { 0.0 });
    let found = look(&values);
    assert_eq!(found.len(), 1);
    let shift = found[0];
    assert!(shift.index.abs_diff(40) <= 1);
    assert!(shift.effect_lower < 0.3_f64.exp() && 0.3_f64.exp() < shift.effect_upper, "{shift:?}");
    assert!((shift.after / shift.before - shift.effect_ratio).abs() < 1e-9);
    assert!(shift.p_value < 1e-10 && shift.p_value > 0.0);
}

#[test]
fn two_steps_and_a_return_are_found() {
    let found = indices(&series(2, |i| if (30..60).contains(&i) { 0.4 } else { 0.0 }));
    assert!(matches!(found[..], [a, b] if a.abs_diff(30) <= 1 && b.abs_diff(60) <= 1), "{found:?}");
}

#[test]
fn a_step_without_any_noise_is_found_exactly() {
    let step = [vec![50.0; 15], vec![100.0; 15]].concat();
    assert_eq!(plain(&step, 5), [15]);
}

#[test]
fn spikes_of_up_to_four_values_are_no_change() {
    let mut values = series(3, |_| 0.0);
    values[40..44].iter_mut().for_each(|v| *v *= 20.0);
    values[70] /= 50.0;
    assert_eq!(indices(&values), [0_usize; 0]);
}

#[test]
fn a_spike_beside_a_step_does_not_move_it() {
    let mut values = series(4, |i| if i >= 50 { -0.5 } else { 0.0 });
    values[45] /= 30.0;
    assert_eq!(indices(&values), [50]);
}

#[test]
fn a_trend_is_no_staircase() {
    for total in [0.5, 1.0, 3.0] {
        assert_eq!(indices(&series(5, |i| total * i as f64 / 90.0)), [0_usize; 0], "drift {total}");
    }
    let exact: Vec<f64> = (0..90).map(|i| 100.0 + f64::from(i)).collect();
    assert_eq!(plain(&exact, 5), [0_usize; 0]);
}

#[test]
fn a_step_on_a_trend_is_told_without_the_trend() {
    let found = look(&series(6, |i| 0.006 * i as f64 + if i >= 45 { 0.5 } else { 0.0 }));
    let at = found.iter().find(|s| s.index.abs_diff(45) <= 1).map(|s| (s.effect_lower, s.effect_upper));
    assert!(at.is_some_and(|(lower, upper)| lower < 0.5_f64.exp() && 0.5_f64.exp() < upper), "{found:?}");
}

#[test]
fn weekends_are_no_changes_and_hide_none() {
    let weekend = |i: usize| if i % 7 >= 5 { -0.6 } else { 0.0 };
    assert_eq!(indices(&series(7, weekend)), [0_usize; 0]);
    let found = indices(&series(7, |i| weekend(i) + if i >= 52 { 0.3 } else { 0.0 }));
    assert!(matches!(found[..], [at] if at.abs_diff(52) <= 1), "{found:?}");
}

#[test]
fn gaps_keep_positions() {
    let mut values = series(8, |i| if i >= 60 { 0.4 } else { 0.0 });
    (0..90).filter(|i| i % 3 == 1).for_each(|i| values[i] = f64::NAN);
    let found = indices(&values);
    assert!(matches!(found[..], [at] if at.abs_diff(60) <= 2), "{found:?}");
}

#[test]
fn autocorrelation_alone_is_rarely_a_change() {
    let wandering = |seed| {
        let mut level = 0.0;
        noise(90, seed).into_iter().map(move |e| {
            level = 0.6 * level + 0.8 * e;
            100.0 * (0.1 * level).exp()
        })
    };
    let false_alarms = (100..300).filter(|&seed| !look(&wandering(seed).collect::<Vec<_>>()).is_empty()).count();
    assert!(false_alarms <= 30, "{false_alarms} of 200 at a nominal 5 %");
}

#[test]
fn many_quiet_series_give_next_to_no_false_change() {
    let quiet: Vec<Vec<f64>> = (0..400).map(|seed| series(1000 + seed, |_| 0.0)).collect();
    let loud = series(9, |i| if i >= 45 { 0.2 } else { 0.0 });
    let all: Vec<Levelled> = quiet.iter().chain([&loud]).map(|v| Levelled::of(v, Scale::Log, &[])).collect();
    let inputs: Vec<Input<'_>> = all.iter().map(|levelled| Input { levelled, counts: None }).collect();
    let found = change_points_all(&inputs, &ChangePointParams::default());
    assert_eq!(found.last().map(Vec::len), Some(1));
    assert!(found.iter().filter(|f| !f.is_empty()).count() <= 2);
}

#[test]
fn values_of_few_executions_weigh_less() {
    let counts: Vec<u32> = (0..90).map(|i| if i % 2 == 0 { 2 } else { 200 }).collect();
    let wide = noise(90, 11);
    let values: Vec<f64> = (0..90)
        .map(|i| 100.0 * (wide[i] / f64::from(counts[i]).sqrt() + if i >= 45 { 0.3 } else { 0.0 }).exp())
        .collect();
    let levelled = Levelled::of(&values, Scale::Log, &[]);
    let with = |counts| change_points(Input { levelled: &levelled, counts }, &ChangePointParams::default());
    let (weighted, plain) = (with(Some(&counts[..])), with(None));
    let width = |found: &[Shift]| found.first().map_or(f64::INFINITY, |s| s.effect_upper - s.effect_lower);
    assert!(matches!(weighted[..], [s] if s.index.abs_diff(45) <= 6), "{weighted:?}");
    assert!(width(&weighted) < 0.5 * width(&plain));
}

#[test]
fn other_units_change_nothing_but_the_levels() {
    let values = series(12, |i| if i >= 33 { 0.3 } else { 0.0 });
    let scaled: Vec<f64> = values.iter().map(|v| v * 1e-6).collect();
    for (a, b) in look(&values).iter().zip(look(&scaled)) {
        assert_eq!(a.index, b.index);
        assert!((a.effect_ratio - b.effect_ratio).abs() < 1e-9 && (a.before * 1e-6 - b.before).abs() < 1e-9);
    }
    let scaled: Vec<f64> = values.iter().map(|v| v * -1e9).collect();
    assert_eq!(plain(&scaled, 5), plain(&values, 5));
}

#[test]
fn reversed_time_mirrors_the_points() {
    let values = series(13, |i| {
        if i < 25 {
            0.0
        } else if i < 60 {
            0.4
        } else {
            -0.2
        }
    });
    let reversed: Vec<f64> = values.iter().rev().copied().collect();
    let mirrored: Vec<usize> = plain(&reversed, 5).iter().rev().map(|at| 90 - at).collect();
    assert_eq!(plain(&values, 5), mirrored);
    assert_eq!(mirrored.len(), 2);
}

#[test]
fn long_series_are_cut_as_well() {
    let values: Vec<f64> =
        noise(20_000, 14).iter().enumerate().map(|(i, e)| e + 20.0 + (i / 4000) as f64 * 3.0).collect();
    let found = plain(&values, 5);
    assert!(found.len() == 4 && found.iter().zip(1..).all(|(at, k)| at.abs_diff(4000 * k) <= 3), "{found:?}");
}

// Fixtures of signal-processing-algorithms (MongoDB), tests/test_detection.py at aec099a9, with its expectations, and
// of Apache Otava, tests/analysis_test.py at 1ceb1537.
#[test]
fn agrees_with_the_fixtures_of_other_detectors() {
    let flat = |n, level: f64| vec![level; n];
    let mut outlier = [flat(15, 50.0), flat(15, 100.0)].concat();
    outlier[2] = 100.0;
    assert_eq!(plain(&outlier, 5), [15]);
    assert_eq!(plain(&[flat(14, 50.0), vec![76.0], flat(15, 100.0)].concat(), 5), [14]);
    let otava = [0.3, 2.4, 1.5, -0.9, -0.5, 99.7, 98.3, 99.1, 149.0, 149.7, 149.5, 149.1, 148.8, 150.0];
    assert_eq!(plain(&otava, 3), [5, 8]);
}
