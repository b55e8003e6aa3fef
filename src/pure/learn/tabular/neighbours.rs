//! The nearest places of a group: what happened at alike sizes.
//!
//! Rows that agree in everything are one place with the median of their outcomes: one of them by itself is noise, and
//! many of them would crowd out all other places.

use super::places::{Place, Space};
use super::rows::Rows;
use crate::stats::rank::median_in_place;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Places of a group that are kept, spread evenly.
const MAX_KEPT: usize = 1000;
/// Places of all groups that are kept.
const MAX_KEPT_IN_ALL: usize = 50_000;
/// Places that the number of neighbours is chosen by, spread evenly.
const MAX_TRIED: usize = 300;
/// Numbers of neighbours that are tried.
const CHOICES: [usize; 5] = [1, 2, 4, 8, 16];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    place: Place,
    outcome: f64,
}

/// Places by group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbours {
    space: Space,
    k: usize,
    groups: BTreeMap<u32, Vec<Kept>>,
    /// For groups never seen: the average of the groups' averages.
    elsewhere: f64,
}

impl Neighbours {
    /// Fits `y`: (n_rows,), finite.
    pub(super) fn fit(rows: &Rows, y: &[f64], configurations: &[u32]) -> Self {
        let space = Space::of(rows);
        let kept = |members: Vec<u32>| {
            let most = MAX_KEPT.min(MAX_KEPT_IN_ALL / rows.n_groups.max(1)).max(1);
            let places = by_configuration(&members, y, configurations);
            let stride = places.len().div_ceil(most).max(1);
            let one = |(row, mut outcomes): (u32, Vec<f64>)| Kept {
                place: space.place(rows, row as usize),
                outcome: median_in_place(&mut outcomes),
            };
            places.into_iter().step_by(stride).map(one).collect::<Vec<Kept>>()
        };
        let filled = (0..).zip(rows.by_group()).filter(|(_, members)| !members.is_empty());
        let groups: BTreeMap<u32, Vec<Kept>> = filled.map(|(group, members)| (group, kept(members))).collect();
        let averages: Vec<f64> = groups.values().map(|kept| average(kept.iter().map(|k| k.outcome))).collect();
        let elsewhere = average(averages.into_iter());
        let mut out = Self { space, k: 1, groups, elsewhere };
        out.k = out.best_k();
        out
    }

    /// The number of neighbours that was chosen.
    pub(super) fn k(&self) -> usize {
        self.k
    }

    /// The number of neighbours with the least error when each place itself is left out.
    fn best_k(&self) -> usize {
        let all = self.groups.values().flat_map(|kept| (0..kept.len()).map(move |at| (kept, at)));
        let stride = all.clone().count().div_ceil(MAX_TRIED).max(1);
        let tried: Vec<(&Vec<Kept>, usize)> = all.step_by(stride).collect();
        let errors = |&(kept, at): &(&Vec<Kept>, usize)| {
            let Some(one) = kept.get(at) else { return [0.0; CHOICES.len()] };
            let near = nearest(kept, &one.place, CHOICES[CHOICES.len() - 1], Some(at));
            CHOICES.map(|k| {
                (weighed(near.get(..k.min(near.len())).unwrap_or_default()).unwrap_or(one.outcome) - one.outcome).abs()
            })
        };
        let errors: Vec<[f64; CHOICES.len()]> = tried.par_iter().map(errors).collect();
        let total = |at: usize| errors.iter().filter_map(|e| e.get(at)).sum::<f64>();
        let best = (0..CHOICES.len()).min_by(|a, b| total(*a).total_cmp(&total(*b)));
        best.and_then(|at| CHOICES.get(at)).copied().unwrap_or(1)
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let one = |row: usize| {
            let kept = rows.group.get(row).and_then(|group| self.groups.get(group))?;
            weighed(&nearest(kept, &self.space.place(rows, row), self.k, None))
        };
        (0..rows.n).into_par_iter().with_min_len(64).map(|row| one(row).unwrap_or(self.elsewhere)).collect()
    }
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0_f64), |(sum, n), v| (sum + v, n + 1.0));
    sum / n.max(1.0)
}

/// The first row of each configuration among `members`, in their order, with the outcomes of all its rows.
fn by_configuration(members: &[u32], y: &[f64], configurations: &[u32]) -> Vec<(u32, Vec<f64>)> {
    let (mut numbers, mut places) = (HashMap::new(), Vec::<(u32, Vec<f64>)>::new());
    for &row in members {
        let Some((&outcome, &configuration)) = y.get(row as usize).zip(configurations.get(row as usize)) else {
            continue;
        };
        let number = *numbers.entry(configuration).or_insert(places.len());
        match places.get_mut(number) {
            Some((_, outcomes)) => outcomes.push(outcome),
            None => places.push((row, vec![outcome])),
        }
    }
    places
}

/// The `k` nearest as (squared distance, outcome), nearest first, without the one at position `without`.
fn nearest(kept: &[Kept], place: &Place, k: usize, without: Option<usize>) -> Vec<(f64, f64)> {
    let others = kept.iter().enumerate().filter(|(at, _)| Some(*at) != without);
    let mut near: Vec<(f64, f64)> = others.map(|(_, o)| (place.squares(&o.place).sum(), o.outcome)).collect();
    if near.len() > k && k > 0 {
        near.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0));
        near.truncate(k);
    }
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near
}

/// Their average, the nearer the more; none of none.
fn weighed(near: &[(f64, f64)]) -> Option<f64> {
    let widest = near.iter().map(|(square, _)| *square).fold(0.0, f64::max);
    let (sum, total) = near.iter().fold((0.0, 0.0), |(sum, total), (square, outcome)| {
        let weight = 1.0 / (1e-6 + square / widest.max(1e-9));
        (sum + weight * outcome, total + weight)
    });
    (total > 0.0).then(|| sum / total)
}
