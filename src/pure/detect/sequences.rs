//! Series out of a table whose rows are points: sorted by time, one point an instant, on a regular grid where there is
//! one.

use super::levelling::Cycle;
use crate::columns::{Clock, Instants, Words};
use crate::samples::UNKNOWN;
use crate::stats::rank;
use chrono::{DateTime, Datelike};
use std::collections::BTreeMap;

/// A grid with more places than this many times the points is none.
const MAX_PLACES_A_POINT: usize = 3;
/// Months in a year: the turn of a monthly grid.
const MONTHS: usize = 12;

/// The columns of a table of points.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    /// (n,) Which series a point is of; all are of one without it.
    pub ids: Option<&'a Words>,
    /// (n,) When; the order of the rows without it.
    pub times: Option<&'a Instants>,
    /// (n,) NaN or infinite is unknown.
    pub values: &'a [f64],
}

/// One series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sequence {
    /// Its name; none where rows have none.
    pub id: Option<String>,
    /// (n,) Strictly increasing: as in the table, or row numbers.
    pub instants: Vec<i64>,
    /// (n,) The point of each instant; NaN is unknown.
    pub values: Vec<f64>,
    /// Rows that share their instant with an earlier one: the point is the median of the distinct rows.
    pub n_shared: usize,
    /// Rows without a time, which are left out.
    pub n_untimed: usize,
    /// Points whose value is unknown.
    pub n_unknown: usize,
}

/// The series of a table by name, those without a name first.
#[must_use]
pub fn sequences(points: Points<'_>) -> Vec<Sequence> {
    let mut rows: BTreeMap<Option<u32>, Vec<(Option<i64>, f64)>> = BTreeMap::new();
    for (row, &value) in points.values.iter().enumerate() {
        let code = points.ids.and_then(|ids| ids.codes.get(row)).copied().filter(|code| *code != UNKNOWN);
        let at = match points.times {
            Some(times) => times.values.get(row).copied().flatten(),
            None => i64::try_from(row).ok(),
        };
        rows.entry(code).or_default().push((at, value));
    }
    let name = |code: u32| points.ids?.words.get(usize::try_from(code).ok()?).cloned();
    rows.into_iter().map(|(code, rows)| sequence(code.and_then(name), rows, points.times.is_none())).collect()
}

fn sequence(id: Option<String>, rows: Vec<(Option<i64>, f64)>, renumber: bool) -> Sequence {
    let n_rows = rows.len();
    let mut timed: Vec<(i64, f64)> = rows.into_iter().filter_map(|(at, value)| Some((at?, value))).collect();
    timed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut out = Sequence { id, n_untimed: n_rows - timed.len(), ..Sequence::default() };
    let n_timed = timed.len();
    for (position, shared) in (0..).zip(timed.chunk_by(|a, b| a.0 == b.0)) {
        let mut values: Vec<f64> = shared.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).collect();
        // The same row twice says no more than once.
        values.dedup();
        let Some((at, _)) = shared.first() else { continue };
        out.instants.push(if renumber { position } else { *at });
        out.values.push(rank::median_in_place(&mut values));
    }
    out.n_shared = n_timed - out.instants.len();
    out.n_unknown = out.values.iter().filter(|value| !value.is_finite()).count();
    out
}

/// A series with a place for every step of its clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Gridded {
    /// NaN where there is no point.
    pub values: Vec<f64>,
    /// Position of each value in the sequence; where there is none, of the next.
    pub position: Vec<usize>,
    /// Cycles that the calendar suggests, coarsest first.
    pub cycles: Vec<Cycle>,
}

impl Sequence {
    /// The series on the grid that its instants lie on, days and months included. Instants that lie on none are taken
    /// as equally far apart.
    #[must_use]
    pub fn gridded(&self, clock: Clock) -> Gridded {
        let is_calendar = matches!(clock, Clock::Time { .. });
        let months = if is_calendar { months(&self.instants) } else { None };
        if let Some((places, period)) = months.as_deref().and_then(regular) {
            let turn = MONTHS / usize::try_from(period).unwrap_or(MONTHS).clamp(1, MONTHS);
            let cycles = if turn > 1 { vec![Cycle::Phase { length: turn }] } else { Vec::new() };
            return self.placed(&places, cycles);
        }
        if let Some((places, period)) = regular(&self.instants) {
            let start = self.instants.first().copied().unwrap_or(0);
            let cycles = if is_calendar { Cycle::of_grid(period, start) } else { Vec::new() };
            return self.placed(&places, cycles);
        }
        let position = (0..self.values.len()).collect();
        Gridded { values: self.values.clone(), position, cycles: Vec::new() }
    }

    fn placed(&self, places: &[usize], cycles: Vec<Cycle>) -> Gridded {
        let n = places.last().map_or(0, |last| last + 1);
        let mut grid = Gridded { values: vec![f64::NAN; n], position: vec![0; n], cycles };
        let mut filled = 0;
        for (position, (&place, &value)) in places.iter().zip(&self.values).enumerate() {
            grid.values.iter_mut().skip(place).take(1).for_each(|slot| *slot = value);
            grid.position.iter_mut().take(place + 1).skip(filled).for_each(|slot| *slot = position);
            filled = place + 1;
        }
        grid
    }
}

/// Places on the grid whose step is the usual distance, and that step; none where instants lie off it or far apart.
fn regular(instants: &[i64]) -> Option<(Vec<usize>, i64)> {
    let first = *instants.first()?;
    let mut steps: Vec<i64> = instants.iter().zip(instants.iter().skip(1)).map(|(a, b)| b.saturating_sub(*a)).collect();
    let middle = steps.len().checked_sub(1)? / 2;
    let step = *steps.select_nth_unstable(middle).1;
    let place = |at: &i64| {
        let distance = at.checked_sub(first)?;
        (step > 0 && distance % step == 0).then(|| usize::try_from(distance / step).ok()).flatten()
    };
    let places = instants.iter().map(place).collect::<Option<Vec<usize>>>()?;
    let fits = places.last().is_some_and(|last| *last < MAX_PLACES_A_POINT.saturating_mul(places.len()));
    fits.then_some((places, step))
}

/// Months since the year 0 of instants that share their time of the month, counted from its start or from its end.
fn months(instants: &[i64]) -> Option<Vec<i64>> {
    let dates: Vec<_> = instants.iter().map(|&at| DateTime::from_timestamp_micros(at)).collect::<Option<_>>()?;
    let place = |date: &DateTime<chrono::Utc>| {
        let next = date.date_naive().checked_add_days(chrono::Days::new(1));
        (date.day(), next.is_some_and(|next| next.day() == 1), date.time())
    };
    let (day, is_last, time) = place(dates.first()?);
    let same = |date: &DateTime<chrono::Utc>| {
        let found = place(date);
        (found.0 == day || (is_last && found.1)) && found.2 == time
    };
    let months: Vec<i64> = dates.iter().map(|date| i64::from(date.year()) * 12 + i64::from(date.month0())).collect();
    let distinct = months.iter().zip(months.iter().skip(1)).all(|(a, b)| a < b);
    (months.len() > 2 && distinct && dates.iter().all(same)).then_some(months)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::detect::fixtures::{MONDAY_US, at};

    fn timed(values: &[Option<i64>]) -> Instants {
        Instants { values: values.to_vec(), clock: Clock::Integer }
    }

    #[test]
    fn rows_are_sorted_and_what_is_said_twice_counts_once() {
        let times = timed(&[Some(3), Some(1), None, Some(1), Some(1), Some(2)]);
        let values = [30.0, 9.0, 5.0, 9.0, 11.0, f64::INFINITY];
        let found = sequences(Points { ids: None, times: Some(&times), values: &values });
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((&one.instants[..], one.n_shared, one.n_untimed, one.n_unknown), (&[1, 2, 3][..], 2, 1, 1));
        assert!((one.values[0] - 10.0).abs() < 1e-12 && one.values[1].is_nan() && one.values[2] > 29.0);
    }

    #[test]
    fn series_are_told_apart_by_name_and_numbered_from_zero() {
        let ids = Words::of([Some("b"), Some("a"), None, Some("b")]);
        let found = sequences(Points { ids: Some(&ids), times: None, values: &[1.0, 2.0, 3.0, 4.0] });
        let names: Vec<_> = found.iter().map(|one| (one.id.as_deref(), one.instants.as_slice())).collect();
        assert_eq!(names, [(None, &[0][..]), (Some("a"), &[0]), (Some("b"), &[0, 1])]);
        assert!(sequences(Points { ids: None, times: None, values: &[] }).is_empty());
    }

    fn sequence_at(instants: Vec<i64>) -> Sequence {
        Sequence { values: vec![1.0; instants.len()], instants, ..Sequence::default() }
    }

    #[test]
    fn gaps_get_places_and_positions_lead_back() {
        let grid = sequence_at(vec![10, 20, 50, 60]).gridded(Clock::Integer);
        assert_eq!(
            grid.values.iter().map(|v| v.is_finite()).collect::<Vec<_>>(),
            [true, true, false, false, true, true]
        );
        assert_eq!(grid.position, [0, 1, 2, 2, 2, 3]);
        for odd in [vec![], vec![7], vec![0, 10, 25], vec![0, 1, 1_000_000], vec![i64::MIN, 0, i64::MAX]] {
            let n = odd.len();
            assert_eq!(sequence_at(odd).gridded(Clock::Integer).values.len(), n);
        }
    }

    #[test]
    fn days_have_weeks_and_months_have_years() {
        let clock = Clock::Time { zoned: true };
        let days = sequence_at((0..30).map(at).collect()).gridded(clock);
        assert_eq!(days.cycles, Cycle::of_grid(crate::units::DAY_US, MONDAY_US));
        let ends = ["2026-01-31", "2026-02-28", "2026-03-31", "2026-05-31"];
        let micros = |day: &str| chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").unwrap().and_hms_opt(0, 0, 0);
        let ends = ends.iter().map(|day| micros(day).unwrap().and_utc().timestamp_micros()).collect();
        let months = sequence_at(ends).gridded(clock);
        assert_eq!((months.values.len(), &months.cycles[..]), (5, &[Cycle::Phase { length: 12 }][..]));
    }
}
