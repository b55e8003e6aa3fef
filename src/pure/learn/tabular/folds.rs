//! What is held out when learners are compared: the situations in which predictions are asked for.

use super::basis::Transform;
use super::repeats::Repeats;
use super::rows::Rows;
use crate::learn::share;
use crate::samples::UNKNOWN;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// Parts of the configurations, of which each is held out once.
const PARTS: u32 = 5;
/// Where rows have times: each stretch is predicted from all before it.
const FORWARD: [(f64, f64); 3] = [(0.5, 0.65), (0.65, 0.8), (0.8, 1.0)];
/// Shares of a group's sizes that are known when the larger ones are predicted.
const KNOWN_SIZES: [f64; 4] = [0.5, 0.6, 0.7, 0.8];
/// Parts of the groups, of which each is held out once.
const GROUP_PARTS: usize = 4;
/// A size must follow the outcome at least so closely (correlation within groups) to have a beyond.
const LEAST_CORRELATION: f64 = 0.1;
/// Distinct sizes that a group needs for a beyond.
const LEAST_SIZES: usize = 5;

/// In which relation a row stands to what was learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// Its very features and group came over and over (`repeats`).
    Repeated,
    /// Its group is known, its size lies among those seen, in their smaller half or among sizes seen over and over.
    Within,
    /// The same, in their larger half: what is exact for small sizes need not be for large ones.
    Large,
    /// Its group is known, its size lies outside what was seen there, or at its edge, with hardly a size on one side:
    /// lines must extrapolate, trees can't.
    Beyond,
    /// Its group was never seen.
    Unseen,
}

impl Situation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Repeated, Self::Within, Self::Large, Self::Beyond, Self::Unseen];

    /// Its name in cards.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::Within => "within",
            Self::Large => "within_large",
            Self::Beyond => "beyond",
            Self::Unseen => "unseen_group",
        }
    }
}

/// The size by which a row is told to lie beyond what its group has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// Position among the numeric features.
    pub(crate) feature: usize,
    /// By group: between which sizes there are neighbours on both sides.
    ranges: Vec<(f64, f64)>,
    /// By group: the median size.
    middles: Vec<f64>,
    /// Sizes that are seen over and over, sorted; empty where nearly every row has its own.
    levels: Vec<f64>,
}

/// A row lies within if so many distinct sizes of its group lie on either side.
const EDGE: usize = 2;

impl Gate {
    /// The numeric feature (of the first `n_own`) that follows the outcome most closely within groups; none where none
    /// does. `y` is on the scale of learning.
    pub(super) fn of(rows: &Rows, y: &[f64], n_own: usize) -> Option<Self> {
        let strengths = rows.numbers.iter().take(n_own).map(|column| correlation(rows, column, y)).enumerate();
        let best = strengths.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let (feature, _) = best.filter(|(_, strength)| *strength >= LEAST_CORRELATION)?;
        let column = rows.numbers.get(feature)?;
        let sizes = sizes(rows, column);
        let ranges = sizes.iter().map(|sizes| inner_range(sizes)).collect();
        let middles = sizes.iter().map(|sizes| sizes.get(sizes.len() / 2).copied().unwrap_or(f64::INFINITY)).collect();
        Some(Self { feature, ranges, middles, levels: super::basis::levels(column) })
    }

    /// Where the size of a row lies in what its group has seen.
    fn place(&self, rows: &Rows, row: usize) -> Situation {
        let size = rows.numbers.get(self.feature).and_then(|c| c.get(row)).copied().unwrap_or(f64::NAN);
        let group = rows.group.get(row).map_or(usize::MAX, |group| *group as usize);
        let range = self.ranges.get(group).copied().unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        if self.levels.binary_search_by(|level| level.total_cmp(&size)).is_ok() {
            Situation::Within
        } else if size < range.0 || size > range.1 {
            Situation::Beyond
        } else if self.middles.get(group).is_some_and(|middle| size > *middle) {
            Situation::Large
        } else {
            Situation::Within
        }
    }

    /// The situation of a row that was held out from among all sizes.
    pub(super) fn half(&self, rows: &Rows, row: usize) -> Situation {
        let size = rows.numbers.get(self.feature).and_then(|c| c.get(row)).copied().unwrap_or(f64::NAN);
        let middle = rows.group.get(row).and_then(|group| self.middles.get(*group as usize));
        let is_level = self.levels.binary_search_by(|level| level.total_cmp(&size)).is_ok();
        if !is_level && middle.is_some_and(|middle| size > *middle) { Situation::Large } else { Situation::Within }
    }
}

/// The situation of a row, where `has_rows` says of each group whether something was learned from it.
pub(super) fn situation(
    gate: Option<&Gate>,
    repeats: &Repeats,
    has_rows: &[bool],
    rows: &Rows,
    row: usize,
) -> Situation {
    let group = rows.group.get(row).copied().unwrap_or(UNKNOWN);
    match gate {
        _ if has_rows.get(group as usize) != Some(&true) => Situation::Unseen,
        _ if repeats.hold(rows, row) => Situation::Repeated,
        Some(gate) => gate.place(rows, row),
        None => Situation::Within,
    }
}

/// |correlation| of a feature with the outcome, both around the means of their groups.
fn correlation(rows: &Rows, column: &[f64], y: &[f64]) -> f64 {
    let transform = Transform::of(column);
    let mut sums = vec![(0.0, 0.0, 0.0_f64); rows.n_groups];
    let known = || {
        let pairs = column.iter().map(|v| transform.at(*v)).zip(y).zip(&rows.group);
        pairs.filter(|((x, _), group)| x.is_finite() && (**group as usize) < rows.n_groups)
    };
    for ((x, y), &group) in known() {
        let sum = &mut sums[group as usize];
        *sum = (sum.0 + x, sum.1 + y, sum.2 + 1.0);
    }
    let [mut xx, mut yy, mut xy] = [0.0; 3];
    for ((x, y), &group) in known() {
        let (sx, sy, n) = sums[group as usize];
        let (x, y) = (x - sx / n, y - sy / n);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    let strength: f64 = xy.abs() / (xx * yy).sqrt();
    if strength.is_finite() { strength } else { 0.0 }
}

/// One comparison: learn from some rows, predict others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) situation: Situation,
    pub(super) training: Vec<u32>,
    pub(super) test: Vec<u32>,
}

/// All comparisons that rows allow.
pub(super) fn folds(rows: &Rows, configurations: &[u32], gate: Option<&Gate>, seed: u64) -> Vec<Fold> {
    let mut out = if rows.seconds.is_empty() {
        [shuffled(rows, configurations, seed), stretches(rows)].concat()
    } else {
        forward(rows)
    };
    if let Some(column) = gate.and_then(|gate| rows.numbers.get(gate.feature)) {
        out.extend(beyond(rows, column));
    }
    out.extend(unseen(rows, seed));
    out.retain(|fold| !fold.training.is_empty() && !fold.test.is_empty());
    out
}

/// One comparison of each kind within what is known: of the latest rows, or of a part of the configurations and of a
/// stretch of every group.
pub(super) fn last_within(rows: &Rows, configurations: &[u32], seed: u64) -> Vec<Fold> {
    let kinds = if rows.seconds.is_empty() {
        vec![shuffled(rows, configurations, seed), stretches(rows)]
    } else {
        vec![forward(rows)]
    };
    let last = kinds.into_iter().filter_map(|folds| folds.into_iter().next_back());
    last.filter(|fold| !fold.training.is_empty() && !fold.test.is_empty()).collect()
}

/// Test rows whose group is among the training rows.
fn known_groups(rows: &Rows, training: &[u32], test: Vec<u32>) -> Vec<u32> {
    let has_rows = rows.has_rows(training);
    let is_known = |row: &u32| rows.group.get(*row as usize).and_then(|&g| has_rows.get(g as usize)) == Some(&true);
    test.into_iter().filter(is_known).collect()
}

fn all(rows: &Rows) -> impl Iterator<Item = u32> {
    (0..).zip(0..rows.n).map(|(row, _)| row)
}

fn shuffled(rows: &Rows, configurations: &[u32], seed: u64) -> Vec<Fold> {
    let n = configurations.iter().max().map_or(0, |max| *max as usize + 1);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    // Dealt out in a shuffled order, so that parts are equally large.
    let mut order: Vec<usize> = (0..n).collect();
    for at in (1..n).rev() {
        order.swap(at, rng.random_range(0..=at));
    }
    let mut part = vec![0; n];
    for (&configuration, k) in order.iter().zip((0..PARTS).cycle()) {
        part[configuration] = k;
    }
    held_by_part(rows, |row| configurations.get(row as usize).and_then(|c| part.get(*c as usize)).copied())
}

/// Stretches of every group in the order of the table, each held out once: rows that follow one another are often of one
/// run, and what tells runs apart is no help with the next one.
fn stretches(rows: &Rows) -> Vec<Fold> {
    let mut part = vec![u32::MAX; rows.n];
    for members in rows.by_group() {
        let n = members.len().max(1);
        for (at, &row) in members.iter().enumerate() {
            if let (Some(slot), Ok(k)) = (part.get_mut(row as usize), u32::try_from(at * PARTS as usize / n)) {
                *slot = k;
            }
        }
    }
    held_by_part(rows, |row| part.get(row as usize).copied())
}

/// Each part of the rows, predicted from the others.
fn held_by_part(rows: &Rows, part: impl Fn(u32) -> Option<u32>) -> Vec<Fold> {
    let fold = |k: u32| {
        let (test, training): (Vec<u32>, Vec<u32>) = all(rows).partition(|row| part(*row) == Some(k));
        Fold { situation: Situation::Within, test: known_groups(rows, &training, test), training }
    };
    (0..PARTS).map(fold).collect()
}

fn forward(rows: &Rows) -> Vec<Fold> {
    let at = |row: &u32| rows.seconds.get(*row as usize).copied().unwrap_or(f64::NAN);
    let mut order: Vec<u32> = all(rows).filter(|row| at(row).is_finite()).collect();
    order.sort_by(|a, b| at(a).total_cmp(&at(b)).then(a.cmp(b)));
    let fold = |(start, end): (f64, f64)| {
        let (start, end) = (share(order.len(), start), share(order.len(), end));
        let training: Vec<u32> = order.get(..start).unwrap_or_default().to_vec();
        let test = order.get(start..end).unwrap_or_default().to_vec();
        Fold { situation: Situation::Within, test: known_groups(rows, &training, test), training }
    };
    FORWARD.into_iter().map(fold).collect()
}

/// The distinct sizes of every group, sorted.
fn sizes(rows: &Rows, column: &[f64]) -> Vec<Vec<f64>> {
    let of_group = |members: &Vec<u32>| {
        let known = members.iter().filter_map(|&row| column.get(row as usize)).copied().filter(|v| v.is_finite());
        let mut sizes: Vec<f64> = known.collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        sizes
    };
    rows.by_group().iter().map(of_group).collect()
}

/// From the size with [`EDGE`] smaller ones to that with as many larger; all sizes of a group that has so few.
fn inner_range(sizes: &[f64]) -> (f64, f64) {
    let edge = EDGE.min(sizes.len().saturating_sub(1) / 2);
    let low = sizes.get(edge).copied().unwrap_or(f64::INFINITY);
    (low, sizes.iter().rev().nth(edge).copied().unwrap_or(f64::NEG_INFINITY))
}

/// Of every group with enough distinct sizes the larger ones, predicted from the smaller.
fn beyond(rows: &Rows, column: &[f64]) -> Vec<Fold> {
    let size = |row: &u32| column.get(*row as usize).copied().unwrap_or(f64::NAN);
    let sizes = sizes(rows, column);
    let fold = |known: f64| {
        let most: Vec<f64> = sizes
            .iter()
            .map(|sizes| {
                let last = share(sizes.len(), known).saturating_sub(1);
                if sizes.len() < LEAST_SIZES {
                    f64::INFINITY
                } else {
                    sizes.get(last).copied().unwrap_or(f64::INFINITY)
                }
            })
            .collect();
        let is_larger = |row: &u32| {
            let most = rows.group.get(*row as usize).and_then(|&group| most.get(group as usize));
            most.is_some_and(|most| size(row) > *most)
        };
        let (test, training) = all(rows).partition(is_larger);
        Fold { situation: Situation::Beyond, training, test }
    };
    KNOWN_SIZES.into_iter().map(fold).collect()
}

fn unseen(rows: &Rows, seed: u64) -> Vec<Fold> {
    let filled = rows.by_group().iter().filter(|members| !members.is_empty()).count();
    if filled < GROUP_PARTS {
        return Vec::new();
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 1);
    let shift = rng.random_range(0..GROUP_PARTS);
    let fold = |k: usize| {
        let is_held = |row: &u32| {
            let group = rows.group.get(*row as usize).copied().unwrap_or(UNKNOWN);
            group != UNKNOWN && (group as usize + shift) % GROUP_PARTS == k
        };
        let (test, training) = all(rows).partition(is_held);
        Fold { situation: Situation::Unseen, training, test }
    };
    (0..GROUP_PARTS).map(fold).collect()
}
