//! Forecasts of the series of any table: on their grid, with seasons found in each.

use super::calendar::Calendar;
use super::pooled::{Pool, Told};
use super::select::prepare;
use super::{Forecast, ForecastError, ForecastParams, MAX_ORIGINS, Prepared, Support, find_seasons};
use crate::columns::Clock;
use crate::detect::sequences::{Gridded, Sequence};
use crate::units::{DAY_US, HOUR_US, Level};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use rayon::prelude::*;

/// Values that are looked at, the latest; older ones say little of what comes and cost time.
const MAX_HISTORY: usize = 20_000;
/// Steps to the next whole ones of a calendar: a year of days has a season, too.
const DAYS_A_YEAR: i64 = 365;
/// Months in a year.
const MONTHS: usize = 12;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceParams {
    /// Steps to forecast, at least 1.
    pub horizon: usize,
    /// Coverage of the intervals, in any order.
    pub levels: Vec<Level>,
    /// Lengths of the seasons in steps; none: they are found in each series.
    pub seasons: Option<Vec<usize>>,
}

/// What follows a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceForecast {
    /// Points, intervals, scores.
    pub forecast: Forecast,
    /// (H,) The instant of each step, as the table has instants.
    pub instants: Vec<i64>,
    /// Lengths of the seasons that were looked at, in steps.
    pub seasons: Vec<usize>,
}

/// How instants go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stride {
    Even(i64),
    /// Calendar months; at the month's end, if so.
    Months {
        step: u32,
        at_end: bool,
    },
}

/// Forecasts the steps that follow each of `series`: all are made ready, tell one another what they share, and are forecast.
/// `step` is called after each of the two passes over each.
///
/// Values are taken to be zero or more where all are, and effects to multiply where all are more than zero; intervals stay
/// there. What is not finite is a gap.
pub fn forecast_sequences(
    series: &[Sequence],
    clock: Clock,
    params: &SequenceParams,
    step: impl Fn() + Sync,
) -> Vec<Result<SequenceForecast, ForecastError>> {
    let (ready, told): (Vec<Result<Ready, ForecastError>>, Vec<Option<Told>>) = series
        .par_iter()
        .map(|series| {
            let ready = Ready::of(series, clock, params);
            step();
            let told = ready.as_ref().ok().map(|ready| ready.prepared.tells());
            (ready, told)
        })
        .unzip();
    let pool = Pool::of(told.into_iter().flatten());
    ready
        .into_par_iter()
        .map(|ready| {
            let found = ready.and_then(|ready| ready.forecast(&pool, params.horizon));
            step();
            found
        })
        .collect()
}

/// A series made ready.
struct Ready {
    prepared: Prepared,
    stride: Stride,
    last: i64,
    seasons: Vec<usize>,
}

impl Ready {
    fn of(series: &Sequence, clock: Clock, params: &SequenceParams) -> Result<Self, ForecastError> {
        let Gridded { values, .. } = series.gridded(clock);
        let values = values.get(values.len().saturating_sub(MAX_HISTORY)..).unwrap_or_default();
        let stride = stride(&series.instants, clock);
        let last = series.instants.last().copied().unwrap_or(0);
        let is_daily = stride == Stride::Even(DAY_US) && matches!(clock, Clock::Time { .. });
        let first_day = last.div_euclid(DAY_US) + 1 - i64::try_from(values.len()).unwrap_or(0);
        let calendar = is_daily.then_some(Calendar { first_day });
        let seasons = params.seasons.clone().unwrap_or_else(|| find_seasons(values, &hints(stride, clock), calendar));
        let known = || values.iter().filter(|v| v.is_finite());
        let support = if known().all(|v| *v >= 0.0) { Support::NonNegative } else { Support::Real };
        let SequenceParams { horizon, levels, .. } = params;
        let asked = ForecastParams {
            horizon: *horizon,
            levels: levels.clone(),
            season_lengths: seasons.clone(),
            max_origins: MAX_ORIGINS,
        };
        Ok(Self { prepared: prepare(values, 0, support, calendar, &asked)?, stride, last, seasons })
    }

    fn forecast(self, pool: &Pool, horizon: usize) -> Result<SequenceForecast, ForecastError> {
        let Self { prepared, stride, last, seasons } = self;
        let instants = (1..=horizon).map(|ahead| stride.after(last, ahead)).collect();
        Ok(SequenceForecast { forecast: prepared.forecast(pool)?, instants, seasons })
    }
}

/// The usual distance of instants, in months where they lie on months.
fn stride(instants: &[i64], clock: Clock) -> Stride {
    let is_calendar = matches!(clock, Clock::Time { .. });
    if let Some(months) = is_calendar.then(|| month_stride(instants)).flatten() {
        return months;
    }
    let mut steps: Vec<i64> = instants.iter().zip(instants.iter().skip(1)).map(|(a, b)| b.saturating_sub(*a)).collect();
    let middle = steps.len().saturating_sub(1) / 2;
    let usual = if steps.is_empty() { 1 } else { *steps.select_nth_unstable(middle).1 };
    Stride::Even(usual.max(1))
}

fn date(instant: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(instant)
}

fn is_month_end(date: NaiveDate) -> bool {
    date.checked_add_days(Days::new(1)).is_some_and(|next| next.day() == 1)
}

fn month_stride(instants: &[i64]) -> Option<Stride> {
    let dates: Vec<DateTime<Utc>> = instants.iter().map(|&at| date(at)).collect::<Option<_>>()?;
    let first = dates.first().filter(|_| dates.len() > 2)?;
    let at_end = dates.iter().all(|date| is_month_end(date.date_naive()));
    let alike = dates.iter().all(|date| date.time() == first.time() && (at_end || date.day() == first.day()));
    let month = |date: &DateTime<Utc>| i64::from(date.year()) * 12 + i64::from(date.month0());
    let mut steps: Vec<i64> = dates.iter().zip(dates.iter().skip(1)).map(|(a, b)| month(b) - month(a)).collect();
    let middle = steps.len().saturating_sub(1) / 2;
    let usual = *steps.select_nth_unstable(middle).1;
    (alike && usual > 0).then_some(Stride::Months { step: u32::try_from(usual).ok()?, at_end })
}

impl Stride {
    /// The instant so many steps after `last`.
    fn after(self, last: i64, ahead: usize) -> i64 {
        match self {
            Self::Even(step) => last.saturating_add(step.saturating_mul(i64::try_from(ahead).unwrap_or(i64::MAX))),
            Self::Months { step, at_end } => {
                let months = Months::new(step.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX)));
                let later = date(last).and_then(|last| last.checked_add_months(months));
                let later = later.and_then(|later| {
                    let to_end = |date: DateTime<Utc>| {
                        let first = date.with_day(1)?.checked_add_months(Months::new(1))?;
                        first.checked_sub_days(Days::new(1))
                    };
                    if at_end { to_end(later) } else { Some(later) }
                });
                later.map_or(i64::MAX, |later| later.timestamp_micros())
            }
        }
    }
}

/// Lengths that the calendar suggests: a day, a week, a year.
fn hints(stride: Stride, clock: Clock) -> Vec<usize> {
    match (stride, clock) {
        (Stride::Months { step, .. }, _) => {
            let step = usize::try_from(step).unwrap_or(MONTHS);
            if step > 0 && MONTHS.is_multiple_of(step) { vec![MONTHS / step] } else { Vec::new() }
        }
        (Stride::Even(step), Clock::Time { .. }) => [24 * HOUR_US, 7 * DAY_US, DAYS_A_YEAR * DAY_US]
            .into_iter()
            .filter(|turn| turn % step == 0 && turn / step > 1)
            .filter_map(|turn| usize::try_from(turn / step).ok())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const TIME: Clock = Clock::Time { zoned: false };

    fn params(horizon: usize) -> SequenceParams {
        SequenceParams { horizon, levels: vec![Level::DEFAULT], seasons: None }
    }

    fn sequence(instants: Vec<i64>, value: impl Fn(usize) -> f64) -> Sequence {
        Sequence { values: (0..instants.len()).map(value).collect(), instants, ..Sequence::default() }
    }

    fn forecast_sequence(
        series: &Sequence,
        clock: Clock,
        params: &SequenceParams,
    ) -> Result<SequenceForecast, ForecastError> {
        forecast_sequences(std::slice::from_ref(series), clock, params, || {}).pop().unwrap()
    }

    fn micros(day: &str) -> i64 {
        NaiveDate::parse_from_str(day, "%Y-%m-%d").unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_micros()
    }

    #[test]
    fn instants_go_on_as_they_came() {
        let wobble = |i: usize| 10.0 + ((i * 7_919 + 13) % 101) as f64 / 101.0;
        let hours = forecast_sequence(&sequence((0..40).map(|i| i * HOUR_US).collect(), wobble), TIME, &params(2));
        assert_eq!(hours.unwrap().instants, [40 * HOUR_US, 41 * HOUR_US]);
        let twos =
            forecast_sequence(&sequence((0..40).map(|i| 5 + 2 * i).collect(), wobble), Clock::Integer, &params(2));
        assert_eq!(twos.unwrap().instants, [85, 87]);
        let ends: Vec<i64> = ["2025-10-31", "2025-11-30", "2025-12-31", "2026-01-31"].map(micros).to_vec();
        let months = forecast_sequence(&sequence(ends, wobble), TIME, &params(2)).unwrap();
        assert_eq!(months.instants, [micros("2026-02-28"), micros("2026-03-31")]);
    }

    #[test]
    fn seasons_are_found_and_named_ones_are_taken() {
        let week = |i: usize| 50.0 + if i % 7 >= 5 { -20.0 } else { 0.0 } + ((i * 7_919 + 13) % 101) as f64 / 20.0;
        let series = sequence((0..200).collect(), week);
        assert_eq!(forecast_sequence(&series, Clock::Integer, &params(3)).unwrap().seasons.first(), Some(&7));
        let named = SequenceParams { seasons: Some(vec![5]), ..params(3) };
        assert_eq!(forecast_sequence(&series, Clock::Integer, &named).unwrap().seasons, [5]);
        let days: Vec<i64> = (0..200).map(|i| i * DAY_US).collect();
        assert_eq!(forecast_sequence(&sequence(days, week), TIME, &params(3)).unwrap().seasons.first(), Some(&7));
    }

    #[test]
    fn a_day_of_the_month_returns() {
        let days: Vec<i64> = (0..181).map(|i| micros("2025-08-01") + i * DAY_US).collect();
        let is_first = |at: i64| date(at).unwrap().day() == 1;
        let wobble = |i: usize| 100.0 + ((i * 7_919 + 13) % 101) as f64 / 20.0;
        let on_first = days.clone();
        let series = sequence(days, |i| wobble(i) * if is_first(on_first[i]) { 1.5 } else { 1.0 });
        let found = forecast_sequence(&series, TIME, &params(10)).unwrap();
        assert!(found.forecast.model.ends_with("days of the month"), "{}", found.forecast.model);
        let one_name = |score: &crate::forecast::CandidateScore| !score.model.contains("days");
        assert!(found.forecast.scores.iter().all(one_name), "scores are compared over series");
        for (at, step) in found.instants.iter().zip(&found.forecast.steps) {
            let truth = if is_first(*at) { 154.0 } else { 102.5 };
            assert!((step.point / truth - 1.0).abs() < 0.06, "{at}: {} and not {truth}", step.point);
        }
        assert_eq!(found.instants.iter().filter(|at| is_first(**at)).count(), 1);
    }

    #[test]
    fn series_of_a_table_share_a_regression() {
        let series: Vec<Sequence> =
            (0..12).map(|k| sequence((0..60).collect(), move |i| ((i * 7_919 + 13 * k) % 101) as f64 - 50.0)).collect();
        let asked = SequenceParams { seasons: Some(vec![]), ..params(4) };
        let is_pooled = |found: Vec<Result<SequenceForecast, ForecastError>>| {
            let scores = found.into_iter().flat_map(|found| found.unwrap().forecast.scores);
            scores.into_iter().any(|score| score.model == "pooled")
        };
        assert!(is_pooled(forecast_sequences(&series, Clock::Integer, &asked, || {})));
        assert!(!is_pooled(forecast_sequences(&series[..9], Clock::Integer, &asked, || {})), "too few");
    }

    #[test]
    fn what_can_not_be_forecast_says_why() {
        let few = forecast_sequence(&sequence(vec![1, 2, 3], |i| i as f64), Clock::Integer, &params(3));
        assert_eq!(few.unwrap_err(), ForecastError::NotEnoughValues { needed: 4, found: 3 });
        let unknown = forecast_sequence(&sequence((0..30).collect(), |_| f64::NAN), Clock::Integer, &params(3));
        assert_eq!(unknown.unwrap_err(), ForecastError::NotEnoughValues { needed: 4, found: 0 });
    }
}
