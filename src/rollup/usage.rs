//! What the runs of a day used: sums, and how much was held at once.

use super::executions::{Day, Executions, NO_INSTANT, Status};
use crate::pure::samples::UNKNOWN;
use crate::pure::units::{DAY_US, HOUR_US};
use crate::pure::usage::{DayUsage, Load, Total};
use std::collections::{BTreeMap, HashMap};

const HOURS_A_DAY: usize = 24;
/// What goes on for longer than this is followed no further: two weeks.
const MAX_HOURS: usize = 14 * HOURS_A_DAY;

/// All that the day's runs used, as it was known at the cutoff.
#[must_use]
pub(super) fn day_usage(day: &Day) -> DayUsage {
    // A partition is the day on which runs started; steps may have come later.
    let first = day.runs.bucket_us.iter().min().or(day.steps.bucket_us.iter().min());
    let start_us = first.map_or(0, |first| first.div_euclid(DAY_US) * DAY_US);
    let place_of: HashMap<u32, usize> = (0..day.runs.len()).map(|i| (day.runs.run[i], i)).collect();
    let (steps, runs) = (&day.steps, &day.runs);
    let by_run = |column: &[f64]| sums_by_run(steps, column, &place_of, runs.len());
    let finished = |mut spent: Vec<f64>| {
        for (spent, status) in spent.iter_mut().zip(&runs.status) {
            *spent = if *status == Status::Running { f64::NAN } else { *spent };
        }
        spent
    };
    let cost = finished(own(&runs.cost_usd, by_run(&steps.cost_usd)));
    let tokens = finished(own(&runs.tokens, by_run(&steps.tokens)));
    let [slots, cpu_cores, memory_mb] = loads(&spans_of_steps(day), start_us);
    let [runs_at_once] = loads(&spans_of_runs(day), start_us);
    DayUsage {
        start_us,
        n_runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        spent: [total(&cost), total(&tokens), total(&by_run(&steps.api_calls))],
        calls: calls_by_provider(day),
        held: [runs_at_once, slots, cpu_cores, memory_mb],
    }
}

/// What a run says of itself stands; where it says nothing, its steps do.
fn own(own: &[f64], of_steps: Vec<f64>) -> Vec<f64> {
    own.iter().zip(of_steps).map(|(own, steps)| if own.is_finite() { *own } else { steps }).collect()
}

/// (n_runs,) What each run cost, all tries of its steps together (USD); NaN where that is unknown.
pub(super) fn costs_by_run(day: &Day) -> Vec<f64> {
    let place_of: HashMap<u32, usize> = (0..day.runs.len()).map(|i| (day.runs.run[i], i)).collect();
    own(&day.runs.cost_usd, sums_by_run(&day.steps, &day.steps.cost_usd, &place_of, day.runs.len()))
}

/// Whether it is known what an execution used.
fn has_ended(rows: &Executions, i: usize) -> bool {
    rows.status[i] != Status::Running
}

/// (n_runs,) What the steps of each run have together; NaN where none has any.
fn sums_by_run(steps: &Executions, column: &[f64], place_of: &HashMap<u32, usize>, n_runs: usize) -> Vec<f64> {
    let mut sums = vec![f64::NAN; n_runs];
    for (i, &value) in column.iter().enumerate().filter(|(i, value)| value.is_finite() && has_ended(steps, *i)) {
        if let Some(sum) = place_of.get(&steps.run[i]).and_then(|&place| sums.get_mut(place)) {
            *sum = if sum.is_nan() { value } else { *sum + value };
        }
    }
    sums
}

fn total(spent: &[f64]) -> Total {
    let mut total = Total::default();
    spent.iter().for_each(|spent| total.add(*spent));
    total
}

fn calls_by_provider(day: &Day) -> BTreeMap<String, Total> {
    let steps = &day.steps;
    let mut sums: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    for i in (0..steps.len()).filter(|&i| steps.provider[i] != UNKNOWN && has_ended(steps, i)) {
        if steps.api_calls[i].is_finite() {
            *sums.entry((steps.provider[i], steps.run[i])).or_default() += steps.api_calls[i];
        }
    }
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    for ((provider, _), calls) in sums {
        let provider = day.vocabulary.word(provider).unwrap_or_default().to_owned();
        totals.entry(provider).or_default().add(calls);
    }
    totals
}

/// From when to when something is held, and how much of each of `K` things; NaN is unknown, also of the times.
struct Span<const K: usize> {
    times_us: Option<(i64, i64)>,
    amounts: [f64; K],
}

/// One slot, cores, memory of each execution that was not answered from a cache.
fn spans_of_steps(day: &Day) -> Vec<Span<3>> {
    let rows = &day.steps;
    let span = |i: usize| {
        let start = rows.own_start_us[i];
        let end = if has_ended(rows, i) { rows.ended_us[i] } else { day.as_of_us };
        Span {
            times_us: (start != NO_INSTANT && end != NO_INSTANT).then_some((start, end)),
            amounts: [1.0, rows.cpu_pct[i] / 100.0, rows.memory_mb[i]],
        }
    };
    (0..rows.len()).filter(|&i| !rows.cache_hit[i]).map(span).collect()
}

/// Runs, what they waited before their first step taken out.
fn spans_of_runs(day: &Day) -> Vec<Span<1>> {
    let rows = &day.runs;
    let span = |i: usize| {
        let (start, end) = (rows.bucket_us[i], rows.ended_us[i]);
        let times_us = match (has_ended(rows, i), rows.duration_ms[i]) {
            (false, _) => Some((start, day.as_of_us)),
            (true, duration_ms) if end != NO_INSTANT && duration_ms.is_finite() => {
                #[expect(clippy::cast_possible_truncation, reason = "milliseconds between two instants")]
                let waited_until = end.saturating_sub((duration_ms * 1e3) as i64);
                Some((start.max(waited_until), end))
            }
            (true, _) => None,
        };
        Span { times_us, amounts: [1.0] }
    };
    (0..rows.len()).map(span).collect()
}

/// Hourly means and peaks of each of the `K` things.
fn loads<const K: usize>(spans: &[Span<K>], start_us: i64) -> [Load; K] {
    let mut loads: [Load; K] = std::array::from_fn(|_| Load {
        n: (u32::try_from(spans.len()).unwrap_or(u32::MAX), 0),
        hours: Vec::new(),
        peaks: vec![0.0; HOURS_A_DAY],
    });
    let mut means: [Vec<f64>; K] = std::array::from_fn(|_| vec![0.0; HOURS_A_DAY]);
    let mut turns: Vec<(i64, bool, usize)> = Vec::with_capacity(2 * spans.len());
    for (at, span) in spans.iter().enumerate() {
        let Some((start, end)) = span.times_us else { continue };
        let known = span.amounts.map(f64::is_finite);
        loads.iter_mut().zip(known).for_each(|(load, known)| load.n.1 += u32::from(known));
        if end > start {
            spread(&mut means, &span.amounts, start - start_us, end - start_us);
            turns.extend([(start - start_us, true, at), (end - start_us, false, at)]);
        }
    }
    // What ends when another starts makes room for it: nothing counts that lasts for no time.
    turns.sort_unstable();
    let mut now = [0.0; K];
    let mut since_us = 0;
    for (at_us, is_start, span) in turns {
        if at_us > since_us {
            raise(&mut loads, &now, since_us, at_us);
            since_us = at_us;
        }
        let Some(span) = spans.get(span) else { continue };
        for (now, amount) in now.iter_mut().zip(span.amounts).filter(|(_, amount)| amount.is_finite()) {
            *now += if is_start { amount } else { -amount };
        }
    }
    for (load, mean) in loads.iter_mut().zip(means) {
        #[expect(clippy::cast_possible_truncation, reason = "hourly means need no more digits")]
        load.hours.extend(mean.into_iter().map(|mean| mean as f32));
    }
    loads
}

/// What is held from `start` to `end` (microseconds from the day's start, from 0 on) is held in all hours between.
#[expect(clippy::cast_possible_truncation, reason = "peaks need no more digits")]
fn raise<const K: usize>(loads: &mut [Load; K], now: &[f64; K], start: i64, end: i64) {
    for hour in hour_of(start)..=hour_of(end - 1).min(HOURS_A_DAY - 1) {
        for (load, now) in loads.iter_mut().zip(now) {
            if let Some(peak) = load.peaks.get_mut(hour) {
                *peak = peak.max(*now as f32);
            }
        }
    }
}

/// The hour of an instant, counted from the day's start; of what lies before it the first.
fn hour_of(at: i64) -> usize {
    usize::try_from(at.div_euclid(HOUR_US)).unwrap_or(0).min(MAX_HOURS - 1)
}

/// Adds what is held from `start` to `end` (microseconds from the day's start) to the means of the hours between.
#[expect(clippy::cast_precision_loss, reason = "microseconds of two weeks stay far below 2^53")]
fn spread<const K: usize>(means: &mut [Vec<f64>; K], amounts: &[f64; K], start: i64, end: i64) {
    for hour in hour_of(start)..=hour_of(end - 1) {
        let from = i64::try_from(hour).unwrap_or(0) * HOUR_US;
        let share = (end.min(from + HOUR_US) - start.max(from)).max(0) as f64 / HOUR_US as f64;
        for (means, amount) in means.iter_mut().zip(amounts).filter(|(_, amount)| amount.is_finite()) {
            if means.len() <= hour {
                means.resize(hour + 1, 0.0);
            }
            if let Some(mean) = means.get_mut(hour) {
                *mean += share * amount;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    fn span(from_minute: i64, to_minute: i64, amount: f64) -> Span<2> {
        Span { times_us: Some((from_minute * MINUTE_US, to_minute * MINUTE_US)), amounts: [1.0, amount] }
    }

    #[test]
    fn hours_hold_means_and_peaks_of_what_overlaps() {
        //  0:00 ──2──────── 0:45
        //       0:30 ──3──────────── 1:30
        //                0:45 ──5── 1:00            23:30 ──1──────── 26:00
        let spans = [span(0, 45, 2.0), span(30, 90, 3.0), span(45, 60, 5.0), span(23 * 60 + 30, 26 * 60, f64::NAN)];
        let [count, amount] = loads(&spans, 0);
        assert_eq!((count.n, amount.n), ((4, 4), (4, 3)));
        assert_eq!(count.hours.len(), 26);
        assert!((f64::from(count.hours[0]) - (0.75 + 0.5 + 0.25)).abs() < 1e-6, "{count:?}");
        assert!((f64::from(amount.hours[0]) - (1.5 + 1.5 + 1.25)).abs() < 1e-6, "{amount:?}");
        assert!((f64::from(amount.hours[1]) - 1.5).abs() < 1e-6);
        // What ends at 0:45 and what starts then are not there at once.
        assert_eq!((count.peaks[0], amount.peaks[0], count.peaks[1], amount.peaks[1]), (2.0, 8.0, 1.0, 3.0));
        assert_eq!((count.hours[23], count.peaks[23], count.hours[24], count.hours[25]), (0.5, 1.0, 1.0, 1.0));
        assert_eq!((count.peaks[5], count.peaks.len(), amount.hours.len()), (0.0, 24, 24));
    }

    #[test]
    fn nothing_is_held_by_what_has_no_times() {
        let none = Span { times_us: None, amounts: [1.0, 1.0] };
        let [count, _] = loads(&[none, span(5, 5, 1.0)], 0);
        assert_eq!((count.n, count.peaks.iter().copied().fold(0.0, f32::max)), ((2, 1), 0.0));
    }
}
