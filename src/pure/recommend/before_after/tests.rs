#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use super::*;
use crate::stats::dist::normal_quantile;
use crate::units::HOUR_US;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A Monday.
const CHANGE_DAY: i64 = 20_003;

/// Runs of a workflow around a change that multiplies what they take by `ratio`.
#[derive(Clone, Copy)]
struct World {
    ratio: f64,
    days_before: i64,
    days_after: i64,
    runs_a_day: i64,
    /// Standard deviation (of logarithms) of what runs of a day have in common.
    of_days: f64,
    /// Correlation of that with the day before.
    repeats: f64,
    /// What weekends do to the logarithm.
    weekends: f64,
    /// Factor by which inputs are larger after the change; nothing is told of sizes where it is 0.
    growth: f64,
}

const PLAIN: World = World {
    ratio: 1.0,
    days_before: 28,
    days_after: 14,
    runs_a_day: 8,
    of_days: 0.1,
    repeats: 0.0,
    weekends: 0.0,
    growth: 0.0,
};

fn normal(draws: &mut Xoshiro256PlusPlus) -> f64 {
    normal_quantile(draws.random_range(1e-12..1.0 - 1e-12))
}

impl World {
    fn draw(&self, seed: u64) -> [Vec<Point>; 2] {
        let mut draws = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut sides = [Vec::new(), Vec::new()];
        let mut of_day = normal(&mut draws);
        for day in CHANGE_DAY - self.days_before..CHANGE_DAY + self.days_after {
            let is_after = day >= CHANGE_DAY;
            of_day = self.repeats * of_day + (1.0 - self.repeats.powi(2)).sqrt() * normal(&mut draws);
            for run in 0..self.runs_a_day {
                let grown = if is_after { self.growth } else { 1.0 };
                let size = (self.growth > 0.0).then(|| 1e9 * grown * (0.7 * normal(&mut draws)).exp());
                let mut log = 10.0 + self.of_days * of_day + 0.2 * normal(&mut draws);
                log += size.map_or(0.0, |size| 0.8 * (size / 1e9).ln());
                log += if is_weekend(day) { self.weekends } else { 0.0 };
                log += if is_after { self.ratio.ln() } else { 0.0 };
                let point = Point { at_us: day * DAY_US + run * HOUR_US, value: log.exp(), size };
                sides[usize::from(is_after)].push(point);
            }
        }
        sides
    }

    /// Shares of worlds whose interval holds the truth, and in which all of it is a saving.
    fn judged(&self) -> (f64, f64) {
        const WORLDS: u64 = 400;
        let (mut covered, mut saved) = (0.0, 0.0);
        for seed in 0..WORLDS {
            let [before, after] = self.draw(seed);
            let (_, lower, upper) = shift(&before, &after).unwrap().ratio(Level::DEFAULT);
            covered += f64::from(u8::from(lower <= self.ratio && self.ratio <= upper));
            saved += f64::from(u8::from(upper < 1.0));
        }
        (covered / WORLDS as f64, saved / WORLDS as f64)
    }
}

/// Worlds in which something else than the change moves, by name.
fn worlds() -> Vec<(&'static str, World)> {
    vec![
        ("plain", PLAIN),
        ("three days", World { days_after: 3, ..PLAIN }),
        ("a run a day", World { runs_a_day: 1, days_after: 7, ..PLAIN }),
        ("two weeks either side", World { days_before: 14, ..PLAIN }),
        ("inputs grow by half", World { growth: 1.5, ..PLAIN }),
        ("inputs of few runs double", World { growth: 2.0, runs_a_day: 1, ..PLAIN }),
        ("weekends are short", World { weekends: -0.5, days_after: 5, ..PLAIN }),
        ("days are most of it", World { of_days: 0.4, ..PLAIN }),
        ("days repeat", World { of_days: 0.2, repeats: 0.3, ..PLAIN }),
        ("four weeks that repeat", World { of_days: 0.2, repeats: 0.5, days_after: 28, ..PLAIN }),
    ]
}

#[test]
fn the_interval_holds_the_planted_change() {
    for (name, world) in worlds() {
        let (covered, _) = World { ratio: 0.8, ..world }.judged();
        assert!(covered >= 0.9, "{name}: {covered}");
    }
}

#[test]
fn no_change_is_seldom_a_saving() {
    for (name, world) in worlds() {
        let (_, saved) = world.judged();
        assert!(saved <= 0.05, "{name}: {saved}");
    }
}

#[test]
fn a_change_by_a_fifth_is_found_in_two_weeks() {
    let (_, saved) = World { ratio: 0.8, growth: 1.5, ..PLAIN }.judged();
    assert!(saved > 0.95, "{saved}");
}

#[test]
fn swapping_sides_and_scaling_values_do_what_they_should() {
    // Weekdays alone: which side a kind of day is taken from would make a difference.
    let weekdays = |side: &[Point]| -> Vec<Point> {
        side.iter().copied().filter(|point| !is_weekend(point.at_us.div_euclid(DAY_US))).collect()
    };
    let [before, after] = World { growth: 1.5, ..PLAIN }.draw(7).map(|side| weekdays(&side));
    let there = shift(&before, &after).unwrap();
    let back = shift(&after, &before).unwrap();
    assert!(
        (there.log_ratio + back.log_ratio).abs() < 1e-12 && (there.standard_error - back.standard_error).abs() < 0.02
    );
    let thrice = |side: &[Point]| -> Vec<Point> {
        side.iter().map(|point| Point { value: 3.0 * point.value, ..*point }).collect()
    };
    let scaled = shift(&before, &thrice(&after)).unwrap();
    assert!((scaled.log_ratio - there.log_ratio - 3_f64.ln()).abs() < 1e-12);
    assert!((scaled.standard_error - there.standard_error).abs() < 1e-12);
}

#[test]
fn what_cannot_be_compared_says_so() {
    let [before, after] = PLAIN.draw(1);
    let too_few = |side, needed, found| Err(NotComparable::TooFewDays { side, needed, found });
    assert_eq!(shift(&[], &[]), too_few("before", MIN_DAYS, 0));
    assert_eq!(shift(&before, &[]), too_few("before", MIN_DAYS, 0), "no kind of day is on both sides");
    assert_eq!(shift(&before, &after[..8]), too_few("after", MIN_DAYS, 1));
    let same = |side: &[Point]| -> Vec<Point> { side.iter().map(|point| Point { value: 5.0, ..*point }).collect() };
    assert_eq!(shift(&same(&before), &same(&after)), Err(NotComparable::NoSpread));
    let bad = |side: &[Point]| -> Vec<Point> {
        let values = [f64::NAN, -1.0, 0.0, f64::INFINITY];
        side.iter().zip(values.iter().cycle()).map(|(point, value)| Point { value: *value, ..*point }).collect()
    };
    assert_eq!(shift(&bad(&before), &after), too_few("before", MIN_DAYS, 0));
}

#[test]
fn two_weeks_by_hand() {
    // One run a day, no weekends: 10 days before of e² and e⁴ in turn, 4 days after of e¹ and e³ in turn.
    let of = |days: &[i64], logs: [f64; 2]| -> Vec<Point> {
        let point = |(idx, day): (usize, &i64)| Point {
            at_us: (CHANGE_DAY + day) * DAY_US,
            value: logs[idx % 2].exp(),
            size: None,
        };
        days.iter().enumerate().map(point).collect()
    };
    let before = of(&[-14, -13, -12, -11, -10, -7, -6, -5, -4, -3], [2.0, 4.0]);
    let found = shift(&before, &of(&[0, 1, 2, 3], [1.0, 3.0])).unwrap();
    // Variances 10/9 and 4/3, so 1/9 + 1/3 of the means; neighbours differ, which widens nothing.
    assert!((found.log_ratio + 1.0).abs() < 1e-12);
    assert!((found.standard_error.powi(2) - 4.0 / 9.0).abs() < 1e-12);
    let freedom = (4.0_f64 / 9.0).powi(2) / ((1.0_f64 / 9.0).powi(2) / 9.0 + (1.0_f64 / 3.0).powi(2) / 3.0);
    assert!((found.freedom - freedom).abs() < 1e-9);
}
