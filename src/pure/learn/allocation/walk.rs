//! Requests for recorded executions, test, then train.

use super::realised::{RIVALS, Realised, Rivals};
use super::{Allocation, Allocator, Answer, Params, Task};
use crate::learn::online::events::{Event, events};
use crate::learn::online::{Executions, Order};
use crate::samples::UNKNOWN;
use std::collections::BTreeMap;

/// The name of these requests among the rivals.
const MODEL: &str = "allocation";

/// What executions are to be given.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocated {
    /// (n_rows,) none before anything is known.
    pub allocations: Vec<Option<Allocation>>,
    /// (n_rows,) what each of [`RIVALS`] requests; NaN where it has nothing to go by.
    rivals: Vec<[f64; RIVALS.len()]>,
    /// (n_rows,) how long each ran; NaN without end.
    hours: Vec<f64>,
    killed_after: f64,
}

/// What one rule has realised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AllocationScore {
    /// The group's code, none for all together.
    pub group: Option<u32>,
    /// `allocation`, or one of [`RIVALS`].
    pub model: &'static str,
    /// Its sums.
    pub realised: Realised,
}

/// Requests for every row from what had ended before it; targets are peaks. Numeric features are sizes; words are not
/// used. `requested` is what was requested, (n_rows,) with NaN for unknown, or empty. `ticks_per_hour` is the unit of
/// start and end. `progress` is called with the number of rows answered since the last call.
#[must_use]
pub fn allocate_online(
    data: &Executions,
    requested: &[f64],
    ticks_per_hour: f64,
    order: Order,
    params: &Params,
    progress: impl Fn(usize),
) -> Allocated {
    let (n, n_groups) = (data.len(), data.n_groups());
    let mut allocator = Allocator::new(data.numeric.len(), *params);
    let mut rules = Rivals::default();
    let mut pending: Vec<Option<Answer>> = vec![None; n];
    let mut out = Allocated {
        allocations: vec![None; n],
        rivals: vec![[f64::NAN; RIVALS.len()]; n],
        hours: (0..n).map(|row| hours(data, row, ticks_per_hour)).collect(),
        killed_after: params.killed_after,
    };
    let mut sizes = Vec::new();
    for event in events(&data.start, &data.end, order) {
        let (Event::Predict(row) | Event::Learn(row)) = event;
        let group = data.group_at(row, n_groups);
        sizes.clear();
        sizes.extend(data.numeric.iter().map(|column| column.get(row).copied().unwrap_or(f64::NAN)));
        let request = requested.get(row).copied().unwrap_or(f64::NAN);
        let task = Task { group, sizes: &sizes, request };
        if let Event::Predict(_) = event {
            let answer = allocator.ask(&task);
            set(&mut out.allocations, row, answer.allocation);
            set(&mut out.rivals, row, rules.ask(group, request));
            set(&mut pending, row, Some(answer));
            progress(1);
        } else if let (Some(peak), Some(answer)) = (data.outcome(row), pending.get_mut(row).and_then(Option::take)) {
            allocator.learn(&task, &answer, peak, out.hours.get(row).copied().unwrap_or(f64::NAN));
            rules.learn(group, peak);
        }
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "spans far below 2^53 ticks")]
fn hours(data: &Executions, row: usize, ticks_per_hour: f64) -> f64 {
    let end = data.end.get(row).copied().flatten();
    let span = end.zip(data.start.get(row)).map(|(end, start)| end.saturating_sub(*start));
    span.map_or(f64::NAN, |ticks| ticks.max(0) as f64 / ticks_per_hour)
}

fn set<T>(column: &mut [T], row: usize, value: T) {
    if let Some(slot) = column.get_mut(row) {
        *slot = value;
    }
}

impl Allocated {
    /// What these requests and the rivals' have realised over `rows`, all together first, then by group in order of
    /// codes. Left out are rows without an outcome, and those of which the group's highest peak was not known yet; a rival
    /// that has no answer to one of the rest is not there.
    #[must_use]
    pub fn scores(&self, data: &Executions, rows: &[usize]) -> Vec<AllocationScore> {
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut all = Vec::with_capacity(rows.len());
        for row in rows.iter().copied().filter(|row| self.is_scored(data, *row)) {
            all.push(row);
            groups.entry(data.group.get(row).copied().unwrap_or(UNKNOWN)).or_default().push(row);
        }
        let parts = std::iter::once((None, &all)).chain(groups.iter().map(|(group, rows)| (Some(*group), rows)));
        let score = |(group, rows): (Option<u32>, &Vec<usize>)| {
            let models = std::iter::once(MODEL).chain(RIVALS).enumerate();
            let realised = models.map(|(at, model)| Some((model, self.realised(data, rows, at)?)));
            realised.flatten().map(|(model, realised)| AllocationScore { group, model, realised }).collect::<Vec<_>>()
        };
        parts.filter(|(_, rows)| !rows.is_empty()).flat_map(score).collect()
    }

    fn is_scored(&self, data: &Executions, row: usize) -> bool {
        let knows = self.rivals.get(row).is_some_and(|[_, highest, ..]| highest.is_finite());
        let has_outcome = data.outcome(row).is_some_and(|peak| peak >= 0.0);
        knows && has_outcome && self.hours.get(row).is_some_and(|hours| hours.is_finite())
    }

    /// Of the model (0) or a rival (1..); none where a request is missing.
    fn realised(&self, data: &Executions, rows: &[usize], model: usize) -> Option<Realised> {
        let mut sum = Realised::default();
        for row in rows {
            let request = match model.checked_sub(1) {
                None => self.allocations.get(*row).copied().flatten()?.request,
                Some(rival) => self.rivals.get(*row)?.get(rival).copied().filter(|request| *request > 0.0)?,
            };
            sum.add(request, data.outcome(*row)?, *self.hours.get(*row)?, self.killed_after);
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three executions one after another, of half an hour each, and one that overlaps them all.
    fn data() -> Executions {
        Executions {
            group: vec![0; 4],
            target: vec![10.0, 20.0, 8.0, 9.0],
            start: vec![0, 40, 80, 10],
            end: vec![Some(30), Some(70), Some(110), Some(90)],
            ..Executions::default()
        }
    }

    #[test]
    fn rules_are_scored_on_rows_that_all_could_answer() {
        let allocated = allocate_online(&data(), &[64.0; 4], 60.0, Order::Start, &Params::default(), |_| ());
        let scores = allocated.scores(&data(), &[0, 1, 2, 3]);
        let of = |model: &str| scores.iter().find(|s| s.model == model && s.group.is_none()).map(|s| s.realised);
        // Rows 1 and 2 know of row 0, and of rows 0 and 1. 10 is too little for 20; 20 is 12 too much for 8.
        assert!(of("max").is_some_and(|max| max.n == 2 && max.killed == 1 && (max.waste - (5.0 + 6.0)).abs() < 1e-9));
        assert!(of("requested").is_some_and(|r| r.killed == 0 && (r.waste - 0.5 * (44.0 + 56.0)).abs() < 1e-9));
        assert!(of("allocation").is_some_and(|ours| ours.n == 2));
        assert_eq!(scores.len(), 2 * (1 + RIVALS.len()), "all together, and the group");
        let first = allocated.allocations.iter().map(|a| a.map(|a| a.request)).collect::<Vec<_>>();
        assert_eq!((first[0], first[3]), (Some(64.0), Some(64.0)), "what was requested, where nothing is known");
    }

    #[test]
    fn a_rival_without_an_answer_is_not_there_and_nothing_comes_of_nothing() {
        let allocated = allocate_online(&data(), &[], 60.0, Order::Completion, &Params::default(), |_| ());
        assert!(allocated.scores(&data(), &[0, 1, 2, 3]).iter().all(|score| score.model != "requested"));
        assert!(allocated.allocations[0].is_none(), "nothing had ended");
        let empty = Executions::default();
        let nothing = allocate_online(&empty, &[], 60.0, Order::Start, &Params::default(), |_| ());
        assert_eq!(nothing.scores(&empty, &[0]), []);
    }
}
