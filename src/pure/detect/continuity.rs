//! Change points from one run to the next: what was told once stays where it was told, or it is said why not.

use super::change_points::Shift;
use super::levelling::{Levelled, Scale};
use super::{Skip, SkipSubject};
use crate::series::{Series, SeriesKey};
use crate::stats::rank::median;
use crate::units::DAY_US;
use std::collections::BTreeMap;

/// A change point this near to one that was told before is the same.
const SAME_WITHIN: usize = 7;
/// The place of a change is settled when so long a stretch after it has been seen.
const SETTLED_AFTER_US: i64 = 7 * DAY_US;
/// This near to the start of the window a change can't be seen any more, and its absence says nothing.
const AGED_OUT: usize = 14;
/// A settled change that is not found any more still stands while the levels around it differ by this share of it. Two
/// weeks before it or a regime that ends soon are too little to find it anew, and no news about it.
const STILL_THERE: f64 = 0.5;
/// Levels are of so many values at least.
const MIN_VALUES: usize = 3;

/// Changes by series and start of the bucket; their `index` means nothing.
pub type Told = BTreeMap<SeriesKey, BTreeMap<i64, Shift>>;

/// The changes that the job's run before told of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Earlier {
    /// Its cutoff.
    pub as_of_us: i64,
    /// Of level.
    pub level: Told,
    /// Of spread.
    pub spread: Told,
}

/// What was told before by one analysis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before<'a> {
    as_of_us: i64,
    told: &'a Told,
    analysis: &'static str,
}

impl Earlier {
    pub(crate) fn of_level(&self) -> Before<'_> {
        Before { as_of_us: self.as_of_us, told: &self.level, analysis: "change_points" }
    }

    pub(crate) fn of_spread(&self) -> Before<'_> {
        Before { as_of_us: self.as_of_us, told: &self.spread, analysis: "spread_changes" }
    }
}

/// Puts each of `shifts` (oldest first) where it was told before, if its place was settled by then; says which have moved
/// and which are withdrawn. Indices are positions in `series`.
#[must_use]
pub(crate) fn continued(
    series: &Series,
    levelled: &Levelled,
    mut shifts: Vec<Shift>,
    before: Before<'_>,
) -> (Vec<Shift>, Vec<Skip>) {
    let (mut skips, mut standing) = (Vec::new(), Vec::new());
    let mut taken = vec![false; shifts.len()];
    for (&at_us, told) in before.told.get(&series.key).into_iter().flatten() {
        let offset = at_us.saturating_sub(series.start_us).div_euclid(series.period_us.max(1));
        let Some(index) = usize::try_from(offset).ok().filter(|index| (AGED_OUT..series.len()).contains(index)) else {
            continue;
        };
        let is_settled = before.as_of_us.saturating_sub(at_us) >= SETTLED_AFTER_US;
        let free = (0..shifts.len()).filter(|&at| taken.get(at) == Some(&false));
        let distance = |at: &usize| shifts.get(*at).map_or(usize::MAX, |shift| shift.index.abs_diff(index));
        let nearest = free.min_by_key(distance).filter(|at| distance(at) <= SAME_WITHIN);
        let Some((shift, taken)) = nearest.and_then(|at| Some((shifts.get_mut(at)?, taken.get_mut(at)?))) else {
            if is_settled && stands(levelled, &shifts, index, told) {
                standing.push(Shift { index, ..*told });
            } else {
                skips.push(before.skip(series, withdrawn(series, index)));
            }
            continue;
        };
        *taken = true;
        if is_settled {
            shift.index = index;
        } else if shift.index != index {
            skips.push(before.skip(series, moved(series, index, shift.index)));
        }
    }
    shifts.extend(standing);
    shifts.sort_by_key(|shift| shift.index);
    shifts.dedup_by_key(|shift| shift.index);
    (shifts, skips)
}

/// Whether the level still goes the way of a change that was told, by half as much at least, between its neighbours.
fn stands(levelled: &Levelled, shifts: &[Shift], index: usize, told: &Shift) -> bool {
    let jump = match levelled.scale {
        Scale::Log => told.effect_ratio.ln(),
        Scale::Linear | Scale::Share => told.after - told.before,
    };
    let from = shifts.iter().map(|shift| shift.index).filter(|at| *at < index).max().unwrap_or(0);
    let to = shifts.iter().map(|shift| shift.index).filter(|at| *at > index).min().unwrap_or(levelled.values.len());
    let level = |range: std::ops::Range<usize>| {
        let known: Vec<f64> = levelled.values.get(range)?.iter().copied().filter(|value| value.is_finite()).collect();
        (known.len() >= MIN_VALUES).then(|| median(&known))
    };
    let now = level(from..index).zip(level(index..to)).map(|(before, after)| after - before);
    now.is_some_and(|now| now / jump >= STILL_THERE)
}

impl Before<'_> {
    fn skip(&self, series: &Series, reason: String) -> Skip {
        Skip { analysis: self.analysis, subject: SkipSubject::Series(series.key.clone()), reason }
    }
}

fn withdrawn(series: &Series, index: usize) -> String {
    let since = series.values.iter().skip(index).filter(|value| value.is_finite()).count();
    let day = day(series, index);
    format!(
        "the change of {day} that was told before is withdrawn: with {since} buckets of data since, it is no longer told from chance, or too small to tell"
    )
}

fn moved(series: &Series, from: usize, to: usize) -> String {
    let (from, to) = (day(series, from), day(series, to));
    format!("the change of {from} that was told before is now placed on {to}: less than a week had been seen after it")
}

fn day(series: &Series, index: usize) -> String {
    let at = chrono::DateTime::from_timestamp_micros(series.bucket_start_us(index));
    at.map_or_else(|| "an unknown day".to_owned(), |at| at.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::fixtures::{at, daily};
    use crate::series::Metric;

    fn shift(index: usize) -> Shift {
        let (before, after, p_value) = (100.0, 120.0, 1e-6);
        Shift { index, before, after, effect_ratio: 1.2, effect_lower: 1.1, effect_upper: 1.3, p_value }
    }

    /// What becomes of a change found at `found` that was told at `told` when `seen` days after it were known.
    fn after(found: &[usize], told: usize, seen: usize) -> (Vec<usize>, Vec<String>) {
        after_in(&[100.0; 90], found, told, seen)
    }

    fn after_in(values: &[f64], found: &[usize], told: usize, seen: usize) -> (Vec<usize>, Vec<String>) {
        let series = daily(Metric::ExecutionTime, values);
        let one = BTreeMap::from([(at(told), shift(0))]);
        let level = BTreeMap::from([(series.key.clone(), one)]);
        let earlier = Earlier { as_of_us: at(told + seen), level, ..Earlier::default() };
        let found = found.iter().map(|&index| shift(index)).collect();
        let (shifts, skips) = continued(&series, &Levelled::of_series(&series), found, earlier.of_level());
        (shifts.iter().map(|shift| shift.index).collect(), skips.into_iter().map(|skip| skip.reason).collect())
    }

    #[test]
    fn a_settled_change_stays_and_a_fresh_one_moves_with_a_reason() {
        assert_eq!(after(&[52, 70], 50, 20), (vec![50, 70], Vec::new()));
        let (places, reasons) = after(&[52], 50, 5);
        assert_eq!(places, [52]);
        assert!(reasons.len() == 1 && reasons[0].contains("is now placed on"), "{reasons:?}");
    }

    #[test]
    fn a_settled_change_that_is_still_there_stays_found_or_not() {
        let step = [vec![100.0; 50], vec![115.0; 40]].concat();
        assert_eq!(after_in(&step, &[], 50, 20), (vec![50], Vec::new()));
        assert_eq!(after_in(&step, &[], 50, 5).0, [0_usize; 0], "not settled");
        let undone = [vec![100.0; 50], vec![103.0; 40]].concat();
        assert!(after_in(&undone, &[], 50, 20).1[0].contains("withdrawn"));
    }

    #[test]
    fn a_change_that_is_gone_is_withdrawn_with_a_reason() {
        let (places, reasons) = after(&[70], 50, 20);
        assert_eq!(places, [70]);
        assert!(reasons.len() == 1 && reasons[0].contains("withdrawn: with 40 buckets"), "{reasons:?}");
        assert_eq!(after(&[], 5, 20), (vec![], vec![]), "what leaves the window was not wrong");
    }
}
