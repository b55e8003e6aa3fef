//! Days that a month singles out, in series of days: invoices on the first, closing on the last.
//!
//! What the days near a month's turn are above or below their neighbours and their weekday is an effect where it returns
//! month after month; it is taken off before anything is fitted and laid on again. A year's single days (holidays) come too
//! rarely to be told from noise.

use super::season::{Profiles, held, median};
use chrono::{DateTime, Datelike, Days};

/// The first three days of a month, and the last three.
const NEAR: usize = 3;
const CLASSES: usize = 2 * NEAR;
/// Days to either side whose median is the level of a day.
const NEIGHBOURS: usize = 10;
/// An effect is seen in so many months at least, in the same direction in such a share of them, and so many standard errors
/// from nothing: of 6 days one is believed by chance in one series of some hundred.
const MIN_MONTHS: usize = 3;
const MIN_ALIKE: f64 = 0.75;
const MIN_ERRORS: f64 = 3.5;

/// Where on the calendar a series of days lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// Day of the first value, since 1970-01-01.
    pub first_day: i64,
}

impl Calendar {
    /// Which of the singled out days the one at `idx` is.
    fn class(self, idx: usize) -> Option<usize> {
        let day = self.first_day.checked_add(i64::try_from(idx).ok()?)?;
        let date = DateTime::from_timestamp(day.checked_mul(86_400)?, 0)?.date_naive();
        let from_start = usize::try_from(date.day0()).ok()?;
        if from_start < NEAR {
            return Some(from_start);
        }
        let in_next_month = |days: usize| {
            let later = u64::try_from(days).ok().and_then(|days| date.checked_add_days(Days::new(days)));
            later.is_some_and(|later| later.month() != date.month())
        };
        (1..=NEAR).find(|days| in_next_month(*days)).map(|days| NEAR + days - 1)
    }

    /// (n + horizon,) What each day is above its level and season, on the scale of `values` (n,); empty where no day of the
    /// month stands out.
    pub(super) fn effects(self, values: &[f64], seasons: &[usize], horizon: usize) -> Vec<f64> {
        let rest = Profiles::of(values, seasons).without(values);
        let mut by_class: Vec<Vec<f64>> = vec![Vec::new(); CLASSES];
        let mut ordinary = Vec::new();
        for (idx, value) in rest.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let off = value - level(&rest, idx, |at| self.class(at).is_none());
            match self.class(idx).and_then(|class| by_class.get_mut(class)) {
                _ if off.is_nan() => {}
                Some(of_class) => of_class.push(off),
                None => ordinary.push(off),
            }
        }
        let (_, variance) = held(ordinary);
        let by_class: Vec<f64> = by_class.into_iter().map(|off| effect(off, variance)).collect();
        if by_class.iter().all(|effect| *effect == 0.0) {
            return Vec::new();
        }
        let of_day = |idx| self.class(idx).and_then(|class| by_class.get(class)).copied().unwrap_or(0.0);
        (0..values.len() + horizon).map(of_day).collect()
    }
}

/// Median of the days round `idx` that are `ordinary`; NaN where none is known.
fn level(rest: &[f64], idx: usize, ordinary: impl Fn(usize) -> bool) -> f64 {
    let round = idx.saturating_sub(NEIGHBOURS)..(idx + NEIGHBOURS + 1).min(rest.len());
    let known = round.filter(|at| *at != idx && ordinary(*at)).filter_map(|at| rest.get(at).copied());
    median(known.filter(|value| !value.is_nan()).collect()).unwrap_or(f64::NAN)
}

/// The mean of what a day is `off`, drawn in by its chance; 0 where it may be nothing. `variance` is that of other days.
fn effect(off: Vec<f64>, variance: f64) -> f64 {
    let n = off.len();
    let alike = |sign: f64| off.iter().filter(|value| **value * sign > 0.0).count() as f64 >= MIN_ALIKE * n as f64;
    if n < MIN_MONTHS || !(alike(1.0) || alike(-1.0)) {
        return 0.0;
    }
    let (mean, within) = held(off);
    let chance = variance.max(within) / n as f64;
    if mean * mean > MIN_ERRORS * MIN_ERRORS * chance { mean * (1.0 - chance / (mean * mean)) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// 2026-01-01.
    const START: Calendar = Calendar { first_day: 20_454 };

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..n).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect()
    }

    #[test]
    fn days_near_the_turn_of_a_month_have_a_class() {
        // 2026-01-30 to 2026-02-04, and the end of February.
        let found: Vec<_> = (29..35).chain(55..59).map(|idx| START.class(idx)).collect();
        let turn = [Some(4), Some(3), Some(0), Some(1), Some(2), None];
        assert_eq!(found, turn.into_iter().chain([None, Some(5), Some(4), Some(3)]).collect::<Vec<_>>());
        assert_eq!(Calendar { first_day: i64::MAX }.class(5), None);
    }

    #[test]
    fn a_first_that_stands_out_is_an_effect_beside_a_week() {
        let is_first = |idx: usize| START.class(idx) == Some(0);
        let day = |(idx, e): (usize, &f64)| {
            100.0 + e + if idx % 7 > 4 { -8.0 } else { 0.0 } + if is_first(idx) { 12.0 } else { 0.0 }
        };
        let mut with_others = 0;
        for seed in 0..40 {
            let values: Vec<f64> = noise(150, seed).iter().enumerate().map(day).collect();
            let effects = START.effects(&values, &[7], 31);
            assert_eq!(effects.len(), 181);
            let of = |first: bool| effects.iter().enumerate().filter(move |(idx, _)| is_first(*idx) == first);
            assert!(of(true).all(|(_, effect)| (effect - 12.0).abs() < 2.5), "{effects:?}");
            with_others += u32::from(of(false).any(|(_, effect)| *effect != 0.0));
        }
        assert!(with_others <= 3, "{with_others} of 40");
    }

    #[test]
    fn noise_has_no_calendar() {
        let found = (0..300).filter(|seed| !START.effects(&noise(200, 500 + seed), &[], 5).is_empty()).count();
        assert!(found <= 6, "{found} of 300");
        let mut spike = noise(200, 9);
        spike.iter_mut().skip(31).take(1).for_each(|v| *v = 500.0);
        assert!(START.effects(&spike, &[], 5).is_empty());
        assert!(START.effects(&[f64::NAN; 90], &[7], 5).is_empty() && START.effects(&[], &[], 5).is_empty());
    }
}
