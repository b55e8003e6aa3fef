//! What the time of a row says: hour of the day, day of the week, and how late in the history it lies.

use super::rows::Rows;
use serde::{Deserialize, Serialize};

const DAY_S: f64 = 86_400.0;
/// Days of history that an hour of the day needs, and a day of the week.
const DAYS_FOR_HOURS: f64 = 3.0;
const DAYS_FOR_WEEK: f64 = 14.0;

/// Which columns rows get from their time. Later rows count as of the last day that was learned from: how a trend goes
/// on is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calendar {
    first_day: f64,
    last_day: f64,
    has_hours: bool,
    has_week: bool,
}

impl Calendar {
    /// The calendar of a history; none where no time is known.
    pub(super) fn of(seconds: &[f64]) -> Option<Self> {
        let days = seconds.iter().filter(|s| s.is_finite()).map(|s| s / DAY_S);
        let (first, last) = days.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), d| (a.min(d), b.max(d)));
        let span = last - first;
        span.is_finite().then_some(Self {
            first_day: first,
            last_day: last,
            has_hours: span >= DAYS_FOR_HOURS,
            has_week: span >= DAYS_FOR_WEEK,
        })
    }

    /// Names of the columns it adds.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["day"];
        names.extend(self.has_hours.then_some("hour of the day"));
        names.extend(self.has_week.then_some("day of the week"));
        names
    }

    /// Adds the columns, the day first.
    pub(super) fn place(&self, rows: &mut Rows) {
        let unknown = vec![f64::NAN; rows.n];
        let seconds = if rows.seconds.len() == rows.n { &rows.seconds } else { &unknown };
        let column = |value: &dyn Fn(f64) -> f64| seconds.iter().map(|s| value(s / DAY_S)).collect::<Vec<f64>>();
        let day = column(&|day| (day - self.first_day).clamp(0.0, self.last_day - self.first_day));
        // The epoch was a Thursday; the phase of the week does not matter.
        let hour = column(&|day| (day.rem_euclid(1.0) * 24.0).floor());
        let weekday = column(&|day| day.floor().rem_euclid(7.0));
        rows.day = Some(rows.numbers.len());
        rows.numbers.push(day);
        rows.numbers.extend(self.has_hours.then_some(hour));
        rows.numbers.extend(self.has_week.then_some(weekday));
    }
}

impl Rows {
    /// Counts rows later than all of `known` as of its last day.
    pub(super) fn hold_days(&mut self, known: &Self) {
        let Some(day) = self.day else { return };
        let last = known.numbers.get(day).and_then(|c| c.iter().copied().reduce(f64::max)).unwrap_or(f64::INFINITY);
        if let Some(column) = self.numbers.get_mut(day) {
            column.iter_mut().for_each(|value| *value = value.min(last));
        }
    }
}
