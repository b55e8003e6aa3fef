//! The allocator on small histories with a known answer, and on recorded runs.

use super::{Allocator, Answer, Params, Realised, Rivals, Task};
use crate::learn::testing::noise;

/// One after another: each is asked for after all before it were learned. Peaks by (group, size).
fn walk(rows: &[(usize, f64, f64)], params: Params) -> Vec<Answer> {
    let mut allocator = Allocator::new(1, params);
    let one = |(group, size, peak): &(usize, f64, f64)| {
        let task = Task { group: *group, sizes: &[*size], request: f64::NAN };
        let answer = allocator.ask(&task);
        allocator.learn(&task, &answer, *peak, 0.25);
        answer
    };
    rows.iter().map(one).collect()
}

fn requests(answers: &[Answer]) -> Vec<f64> {
    answers.iter().map(|answer| answer.allocation.map_or(f64::NAN, |allocation| allocation.request)).collect()
}

/// Four groups whose peaks grow with the size, each in its own way.
fn sized() -> Vec<(usize, f64, f64)> {
    (0..400)
        .map(|i| {
            let (group, size) = (i as usize % 4, 10.0 + 990.0 * noise(i));
            let spread = 1.0 + 0.04 * (noise(i + 5000) - 0.5);
            (group, size, spread * [3.0 * size, 500.0 + 2.0 * size, 800.0, 40.0 * size.sqrt()][group])
        })
        .collect()
}

#[test]
fn sizes_are_used_where_they_tell() {
    let rows = sized();
    let mut ours = Realised::default();
    let mut highest = Realised::default();
    let mut rivals = Rivals::default();
    for ((group, _, peak), request) in rows.iter().zip(requests(&walk(&rows, Params::default()))) {
        if rivals.ask(*group, f64::NAN)[1].is_finite() {
            ours.add(request, *peak, 0.25, 1.0);
            highest.add(rivals.ask(*group, f64::NAN)[2], *peak, 0.25, 1.0);
        }
        rivals.learn(*group, *peak);
    }
    assert!(ours.waste < 0.35 * highest.waste, "{ours:?} {highest:?}");
    assert!(ours.killed <= 16, "{ours:?}");
}

#[test]
fn kills_are_as_rare_as_stated() {
    let rows: Vec<(usize, f64, f64)> = (0..3000).map(|i| (i as usize % 3, 1.0, 100.0 * (1.0 + noise(i)))).collect();
    let params = Params { kill_price: 0.0, max_kill_probability: 0.05, ..Params::default() };
    let answers = walk(&rows, params);
    let late = rows.iter().zip(&answers).skip(300);
    let killed = late.clone().filter(|(row, answer)| answer.allocation.is_some_and(|a| row.2 > a.request)).count();
    let stated: f64 = late.filter_map(|(_, answer)| answer.allocation).map(|a| a.kill_probability).sum();
    assert!((killed as f64) < 0.06 * 2700.0, "{killed}");
    assert!((stated / killed as f64 - 1.0).abs() < 0.4, "{stated} {killed}");
}

#[test]
fn a_new_group_is_given_what_others_needed_or_what_was_asked_for() {
    let rows: Vec<(usize, f64, f64)> = (0..40).map(|i| (i as usize, 1.0, 50.0 + noise(i))).collect();
    let answers = walk(&rows, Params::default());
    assert_eq!((answers[0].allocation, answers[0].n_seen), (None, 0));
    let last = answers[39].allocation.map(|allocation| allocation.request);
    assert!(last.is_some_and(|request| (50.0..52.0).contains(&request)), "{last:?}");
    let mut allocator = Allocator::new(0, Params { most: 60.0, ..Params::default() });
    let asked = |allocator: &mut Allocator, request| {
        allocator.ask(&Task { group: 9, sizes: &[], request }).allocation.map(|allocation| allocation.request)
    };
    assert_eq!(asked(&mut allocator, 40.0), Some(40.0));
    assert_eq!(asked(&mut allocator, 80.0), Some(60.0), "within the bounds");
    assert_eq!(asked(&mut allocator, f64::NAN), None);
}

#[test]
fn a_constant_peak_is_asked_for_almost_exactly() {
    let rows = vec![(0, 5.0, 1234.0); 60];
    let requests = requests(&walk(&rows, Params::default()));
    assert!(requests[0].is_nan());
    assert!(requests[1..].iter().all(|request| *request > 1234.0 && *request <= 2.0 * 1234.0 * 1.001), "{requests:?}");
    assert!(requests[59] < 1234.0 * 1.2, "{requests:?}");
}

#[test]
fn what_was_not_measured_teaches_nothing() {
    let mut rows = sized();
    rows.truncate(60);
    let clean = requests(&walk(&rows, Params::default()));
    let mut dirty = rows.clone();
    for (at, peak) in [(10, 0.0), (20, f64::NAN), (30, -5.0), (40, f64::INFINITY)] {
        dirty.insert(at, (0, 7.0, peak));
    }
    let mut kept = requests(&walk(&dirty, Params::default()));
    for at in [40, 30, 20, 10] {
        kept.remove(at);
    }
    assert_eq!(format!("{clean:?}"), format!("{kept:?}"));
}

#[test]
fn unknown_sizes_leave_the_peaks() {
    for size in [f64::NAN, 0.0, -1.0] {
        let rows: Vec<(usize, f64, f64)> = (0..50).map(|i| (0, size, 100.0 + 10.0 * noise(i))).collect();
        let requests = requests(&walk(&rows, Params::default()));
        assert!(requests[10..].iter().all(|request| (100.0..200.0).contains(request)), "{requests:?}");
    }
}

#[test]
fn bounds_are_kept() {
    let params = Params { least: 900.0, most: 1500.0, ..Params::default() };
    let requests = requests(&walk(&sized(), params));
    assert!(requests[1..].iter().all(|request| (900.0..=1500.0).contains(request)));
}

#[test]
fn requests_scale_with_the_unit_and_repeat_to_the_bit() {
    let rows = sized();
    let scaled: Vec<(usize, f64, f64)> =
        rows.iter().map(|(group, size, peak)| (*group, *size, peak * 4096.0)).collect();
    let small = requests(&walk(&rows, Params::default()));
    let large = requests(&walk(&scaled, Params::default()));
    let same = |(a, b): (&f64, &f64)| (a.is_nan() && b.is_nan()) || (b / a / 4096.0 - 1.0).abs() < 1e-6;
    assert!(small.iter().zip(&large).all(same));
    assert_eq!(format!("{small:?}"), format!("{:?}", requests(&walk(&rows, Params::default()))));
}

#[test]
fn what_comes_later_changes_nothing() {
    let mut rows = sized();
    let before = requests(&walk(&rows, Params::default()));
    for row in &mut rows[200..] {
        row.2 *= 50.0;
    }
    assert_eq!(format!("{:?}", &before[..201]), format!("{:?}", &requests(&walk(&rows, Params::default()))[..201]));
}
