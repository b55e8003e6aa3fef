//! What changed at an instant: what came after it beside what came before, like with like.
//!
//! Means of logarithms are compared, so that a change is a ratio. Days are the units: runs of one day share their
//! circumstances, and ten of them say little more than three. A day is held against days of its kind (weekend or not),
//! what larger inputs explain is taken out by a regression on the logarithm of the size, and the interval is Welch's
//! (Biometrika 34, 1947) over days, widened by the error of that regression and by what neighbouring days repeat of each
//! other. Comparisons of [`crate::experiment`] leave the error of a regression out, as arms that were drawn by lot do not
//! differ in their covariates; what comes before and after does.

use crate::stats::dist::t_quantile;
use crate::units::{DAY_US, Level};
use std::collections::BTreeMap;

/// Days with runs that either side needs.
pub const MIN_DAYS: usize = 3;
/// Sizes are corrected for where at least this share of either side's runs tell theirs, 0-1; the others are left out.
const KNOWN_SIZES: f64 = 0.9;
/// A day is held against the days before of its kind, of which there are at least so many.
const MIN_DAYS_OF_KIND: usize = 2;
/// Degrees of freedom below which nothing is said of a slope.
const MIN_SLOPE_FREEDOM: f64 = 3.0;
/// Pairs of neighbouring days below which nothing is said of their likeness.
const MIN_NEIGHBOURS: usize = 8;
/// Likeness of neighbouring days that is allowed for at most.
const MAX_AUTOCORRELATION: f64 = 0.8;
/// A standard error of logarithms below this is what rounding leaves.
const ROUNDING: f64 = 1e-9;

/// A run, or an execution, as it counts here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it started.
    pub at_us: i64,
    /// What is compared, in any unit; only what is positive counts.
    pub value: f64,
    /// Size of its input, where it is known.
    pub size: Option<f64>,
}

/// How the later values differ from the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Logarithm of after / before.
    pub log_ratio: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Satterthwaite's degrees of freedom of that.
    pub freedom: f64,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotComparable {
    /// Not enough days.
    #[error("needs {needed} days {side} that compare, found {found}")]
    TooFewDays {
        /// `before` or `after`.
        side: &'static str,
        /// At least.
        needed: usize,
        /// Of a kind (weekend or not) that both sides have.
        found: usize,
    },
    /// All days are alike.
    #[error("days do not differ at all, so nothing says what chance would do")]
    NoSpread,
}

/// One point on the scale on which means are taken.
struct Row {
    is_after: bool,
    day: i64,
    /// Logarithm of the value.
    y: f64,
    /// Logarithm of the size; 0 where sizes are left alone.
    x: f64,
}

/// What a larger input does.
#[derive(Clone, Copy, Default)]
struct Slope {
    value: f64,
    variance: f64,
    freedom: f64,
}

/// The mean of a day's runs.
struct Day {
    is_after: bool,
    day: i64,
    y: f64,
    x: f64,
}

impl Shift {
    /// After / before, with the interval that holds it with probability `level`: estimate, lower, upper.
    #[must_use]
    pub fn ratio(&self, level: Level) -> (f64, f64, f64) {
        let half = t_quantile(1.0 - 0.5 * level.alpha(), self.freedom) * self.standard_error;
        (self.log_ratio.exp(), (self.log_ratio - half).exp(), (self.log_ratio + half).exp())
    }
}

/// Compares what came after with what came before.
///
/// # Errors
/// [`NotComparable`] says what is missing.
pub fn shift(before: &[Point], after: &[Point]) -> Result<Shift, NotComparable> {
    let with_size = [before, after].into_iter().all(|side| known_sizes(side) >= KNOWN_SIZES);
    let rows: Vec<Row> = rows(before, false, with_size).chain(rows(after, true, with_size)).collect();
    let slope = if with_size { slope(&rows) } else { None };
    let days = comparable(days(&rows, slope.unwrap_or_default().value))?;
    contrast(&days, slope.unwrap_or_default()).ok_or(NotComparable::NoSpread)
}

fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn known_sizes(points: &[Point]) -> f64 {
    points.iter().filter(|point| point.size.is_some_and(is_positive)).count() as f64 / points.len() as f64
}

fn rows(points: &[Point], is_after: bool, with_size: bool) -> impl Iterator<Item = Row> {
    points.iter().filter(|point| is_positive(point.value)).filter_map(move |point| {
        let x = if with_size { point.size.filter(|size| is_positive(*size))?.ln() } else { 0.0 };
        Some(Row { is_after, day: point.at_us.div_euclid(DAY_US), y: point.value.ln(), x })
    })
}

/// The first of January 1970 was a Thursday.
fn is_weekend(day: i64) -> bool {
    (day + 3).rem_euclid(7) >= 5
}

/// The regression within sides and kinds of days, with a variance that is robust to days whose runs are alike. None where
/// sizes do not vary, or too few days would judge it.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn slope(rows: &[Row]) -> Option<Slope> {
    let mut groups: BTreeMap<(bool, bool), (f64, f64, f64)> = BTreeMap::new();
    for row in rows {
        let (n, x, y) = groups.entry((row.is_after, is_weekend(row.day))).or_default();
        (*n, *x, *y) = (*n + 1.0, *x + row.x, *y + row.y);
    }
    let centred = |row: &Row| {
        let (n, x, y) = groups.get(&(row.is_after, is_weekend(row.day))).copied().unwrap_or_default();
        (row.x - x / n, row.y - y / n)
    };
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in rows.iter().map(centred) {
        (xx, xy) = (xx + x * x, xy + x * y);
    }
    let value = xy / xx;
    let mut scores: BTreeMap<(bool, i64), f64> = BTreeMap::new();
    for row in rows {
        let (x, y) = centred(row);
        *scores.entry((row.is_after, row.day)).or_default() += x * (y - value * x);
    }
    let (n_days, spent) = (scores.len() as f64, groups.len() as f64 + 1.0);
    let freedom = n_days - spent;
    let variance = scores.values().map(|score| score * score).sum::<f64>() / (xx * xx) * n_days / freedom;
    (freedom >= MIN_SLOPE_FREEDOM && value.is_finite() && variance.is_finite()).then_some(Slope {
        value,
        variance,
        freedom,
    })
}

/// Each day once, `before` first, by time.
fn days(rows: &[Row], slope: f64) -> Vec<Day> {
    let mut sums: BTreeMap<(bool, i64), (f64, f64, f64)> = BTreeMap::new();
    for row in rows {
        let (n, y, x) = sums.entry((row.is_after, row.day)).or_default();
        (*n, *y, *x) = (*n + 1.0, *y + row.y - slope * row.x, *x + row.x);
    }
    sums.into_iter().map(|((is_after, day), (n, y, x))| Day { is_after, day, y: y / n, x: x / n }).collect()
}

/// The days of kinds that both sides have.
fn comparable(mut days: Vec<Day>) -> Result<Vec<Day>, NotComparable> {
    let count = |days: &[Day], is_after: bool, keep: &dyn Fn(i64) -> bool| {
        days.iter().filter(|day| day.is_after == is_after && keep(day.day)).count()
    };
    let stays = [false, true].map(|weekend| {
        let of_kind = |day: i64| is_weekend(day) == weekend;
        count(&days, false, &of_kind) >= MIN_DAYS_OF_KIND && count(&days, true, &of_kind) > 0
    });
    days.retain(|day| stays[usize::from(is_weekend(day.day))]);
    for (side, is_after) in [("before", false), ("after", true)] {
        let found = count(&days, is_after, &|_| true);
        if found < MIN_DAYS {
            return Err(NotComparable::TooFewDays { side, needed: MIN_DAYS, found });
        }
    }
    Ok(days)
}

/// What the days before say of a kind of day.
#[derive(Clone, Copy, Default)]
struct Kind {
    n: f64,
    y: f64,
    x: f64,
    /// Share of it among the days after.
    weight: f64,
}

/// Each day after against the mean of the days before of its kind. None without spread.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn contrast(days: &[Day], slope: Slope) -> Option<Shift> {
    let (before, after) = days.split_at(days.iter().take_while(|day| !day.is_after).count());
    let (n_before, n_after) = (before.len() as f64, after.len() as f64);
    let kinds = kinds(before, after);
    let kind = |day: &Day| kinds[usize::from(is_weekend(day.day))];
    let own: Vec<f64> = before.iter().map(|day| day.y - kind(day).y).collect();
    let against: Vec<f64> = after.iter().map(|day| day.y - kind(day).y).collect();
    let log_ratio = against.iter().sum::<f64>() / n_after;
    let x = after.iter().map(|day| day.x - kind(day).x).sum::<f64>() / n_after;
    let errors: Vec<f64> = against.iter().map(|one| one - log_ratio).collect();
    let squares = |errors: &[f64]| errors.iter().map(|error| error * error).sum::<f64>();
    let free_before = n_before - kinds.iter().filter(|kind| kind.n > 0.0).count() as f64;
    let spread_before = squares(&own) / free_before;
    let spread_after = squares(&errors) / (n_after - 1.0);
    let repeated = repetition(days, &[own, errors].concat(), [spread_before, spread_after]);
    let of_kinds: f64 = kinds.iter().filter(|kind| kind.n > 0.0).map(|kind| kind.weight.powi(2) / kind.n).sum();
    let parts = [
        (repeated * spread_after / n_after, n_after - 1.0),
        (repeated * spread_before * of_kinds, free_before),
        (x * x * slope.variance, slope.freedom),
    ];
    let variance: f64 = parts.iter().map(|(part, _)| part).sum();
    let by_freedom: f64 = parts.iter().filter(|(_, free)| *free > 0.0).map(|(part, free)| part * part / free).sum();
    let (standard_error, freedom) = (variance.sqrt(), variance * variance / by_freedom);
    let is_sound = log_ratio.is_finite() && standard_error > ROUNDING && freedom.is_finite();
    (is_sound && freedom > 0.0).then_some(Shift { log_ratio, standard_error, freedom })
}

/// Weekdays and weekends.
fn kinds(before: &[Day], after: &[Day]) -> [Kind; 2] {
    let mut kinds = [Kind::default(); 2];
    for day in before {
        let kind = &mut kinds[usize::from(is_weekend(day.day))];
        (kind.n, kind.y, kind.x) = (kind.n + 1.0, kind.y + day.y, kind.x + day.x);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    for day in after {
        kinds[usize::from(is_weekend(day.day))].weight += 1.0 / after.len() as f64;
    }
    kinds.map(|kind| Kind { y: kind.y / kind.n, x: kind.x / kind.n, ..kind })
}

/// How many times larger the variance of a mean is than that of independent days: `(1 + ρ) / (1 − ρ)` by the correlation ρ
/// of neighbouring days, whose estimate is `(1 + 3ρ) / n` too low (Kendall, Biometrika 41, 1954), and nothing below 1.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn repetition(days: &[Day], errors: &[f64], spreads: [f64; 2]) -> f64 {
    let scaled = |(day, error): (&Day, &f64)| error / spreads[usize::from(day.is_after)].sqrt();
    let z: Vec<f64> = days.iter().zip(errors).map(scaled).collect();
    let pairs = days.windows(2).zip(z.windows(2)).filter_map(|(days, z)| match (days, z) {
        ([a, b], [one, next]) if b.day == a.day + 1 => Some(one * next),
        _ => None,
    });
    let products: Vec<f64> = pairs.collect();
    let n = products.len() as f64;
    if products.len() < MIN_NEIGHBOURS {
        return 1.0;
    }
    let power = z.iter().map(|z| z * z).sum::<f64>() / z.len() as f64;
    let raw = products.iter().sum::<f64>() / n / power;
    let rho = (raw + (1.0 + 3.0 * raw) / n).clamp(0.0, MAX_AUTOCORRELATION);
    if rho.is_finite() { (1.0 + rho) / (1.0 - rho) } else { 1.0 }
}

#[cfg(test)]
mod tests;
