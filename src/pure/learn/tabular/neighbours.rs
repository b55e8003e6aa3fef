//! The nearest rows of a group: what happened at alike sizes.

use super::places::{Place, Space};
use super::rows::Rows;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows of a group that are kept, spread evenly.
const MAX_KEPT: usize = 1000;
/// Rows of all groups that are kept.
const MAX_KEPT_IN_ALL: usize = 50_000;
/// Rows that the number of neighbours is chosen by, spread evenly.
const MAX_TRIED: usize = 300;
/// Numbers of neighbours that are tried.
const CHOICES: [usize; 5] = [1, 2, 4, 8, 16];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    place: Place,
    outcome: f64,
    /// Rows that agree in everything have the same.
    configuration: u32,
}

/// Rows by group.
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
            let stride = members.len().div_ceil(most).max(1);
            let one = |row: u32| {
                let (&outcome, &configuration) = y.get(row as usize).zip(configurations.get(row as usize))?;
                Some(Kept { place: space.place(rows, row as usize), outcome, configuration })
            };
            members.into_iter().step_by(stride).filter_map(one).collect::<Vec<Kept>>()
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

    /// The number of neighbours with the least error when each row's own configuration is left out.
    fn best_k(&self) -> usize {
        let all: Vec<(&Vec<Kept>, &Kept)> =
            self.groups.values().flat_map(|kept| kept.iter().map(move |one| (kept, one))).collect();
        let stride = all.len().div_ceil(MAX_TRIED).max(1);
        let tried: Vec<(&Vec<Kept>, &Kept)> = all.into_iter().step_by(stride).collect();
        let errors = |(kept, one): &(&Vec<Kept>, &Kept)| {
            let near = nearest(kept, &one.place, CHOICES[CHOICES.len() - 1], Some(one.configuration));
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

/// The `k` nearest as (squared distance, outcome), nearest first, without those of one configuration.
fn nearest(kept: &[Kept], place: &Place, k: usize, without: Option<u32>) -> Vec<(f64, f64)> {
    let others = kept.iter().filter(|other| Some(other.configuration) != without);
    let mut near: Vec<(f64, f64)> = others.map(|o| (place.squares(&o.place).sum(), o.outcome)).collect();
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
