//! Isolation forest (Liu, Ting and Zhou 2008): what a few random cuts separate from the rest is strange.
//!
//! Neither linfa nor smartcore has one. Each tree draws from a generator of its own, seeded from the seed and its
//! number, so the result does not depend on the number of threads. Values that are not finite are replaced by the median
//! of their column in the training data (of 16,384 rows of it), both when fitting and when scoring: unknown is unremarkable.

use crate::stats::robust::median;
use crate::stats::subsample;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How to grow a forest.
///
/// | name | default | purpose | range |
/// |---|---|---|---|
/// | `n_trees` | 100 | more trees, steadier scores | ≥ 1 |
/// | `sample_size` | 256 | rows a tree sees | 2 to 65,536 |
/// | `seed` | 0 | | any |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForestParams {
    /// Trees.
    pub n_trees: usize,
    /// Rows that each tree is grown from, drawn without replacement; all rows if there are fewer.
    pub sample_size: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for ForestParams {
    fn default() -> Self {
        Self { n_trees: 100, sample_size: 256, seed: 0 }
    }
}

/// Why no forest was grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Nothing can be isolated among fewer than two rows.
    #[error("an isolation forest needs {needed} rows, found {got}")]
    NotEnoughSamples {
        /// Rows needed.
        needed: usize,
        /// Rows found.
        got: usize,
    },
    /// The values are no whole number of rows, or there are no columns.
    #[error("{values} values do not make rows of {n_features} columns")]
    Shape {
        /// Values given.
        values: usize,
        /// Columns given.
        n_features: usize,
    },
    /// A forest needs a tree and a tree two rows.
    #[error("n_trees must be at least 1 and sample_size 2 to 65,536, found {n_trees} and {sample_size}")]
    Params {
        /// Trees asked for.
        n_trees: usize,
        /// Rows per tree asked for.
        sample_size: usize,
    },
}

/// Rows whose value of the feature has a greater [`key`] go to the right, the others to the left. Cut `i` of a tree, from
/// 1, leads to `2 i` and `2 i + 1`. All trees are complete: below an early leaf everything goes to the left, so that a walk
/// of fixed length needs neither links nor a test for the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Cut {
    feature: u32,
    key: u32,
}

/// All to the left.
const NO_CUT: Cut = Cut { feature: 0, key: u32::MAX };

/// An integer in the order of the numbers (NaN aside): integers are compared without waiting for their flags.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_sign_negative() { !bits } else { bits | 1 << 31 }
}

/// A grown forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    n_features: usize,
    medians: Vec<f32>,
    depth: u32,
    /// `2^depth` of each tree, one tree after the other; the first is unused.
    cuts: Vec<Cut>,
    /// Of the `2^depth` ends of each tree: the depth of the leaf plus the mean depth of a tree of the rows left in it.
    paths: Vec<f32>,
    /// Mean path in a tree of the sample's size, which scores are relative to.
    mean_path: f64,
}

/// A complete tree of more rows would fill memory.
const MAX_SAMPLE_SIZE: usize = 1 << 16;
/// Rows scored together, so that they and one tree fit the first-level cache.
const BLOCK: usize = 256;
/// Rows that go down a tree side by side: each waits for memory while the others move. More would not fit the registers.
const ABREAST: usize = 6;

/// Grows a forest from `x`: (n_samples, n_features), row-major.
///
/// # Errors
/// [`FitError`] where there are fewer than two rows, or the shape or the parameters make no sense.
pub fn fit(x: &[f32], n_features: usize, params: &ForestParams) -> Result<Forest, FitError> {
    let &ForestParams { n_trees, sample_size, seed } = params;
    if n_features == 0 || !x.len().is_multiple_of(n_features) {
        return Err(FitError::Shape { values: x.len(), n_features });
    }
    if n_trees == 0 || !(2..=MAX_SAMPLE_SIZE).contains(&sample_size) {
        return Err(FitError::Params { n_trees, sample_size });
    }
    let n = x.len() / n_features;
    if n < 2 {
        return Err(FitError::NotEnoughSamples { needed: 2, got: n });
    }
    let size = sample_size.min(n);
    let medians = column_medians(x, n_features);
    let depth = size.next_power_of_two().trailing_zeros();
    let trees: Vec<Tree> = (0..n_trees as u64)
        .into_par_iter()
        .map(|tree| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ (tree + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let sample = gather(x, n_features, &medians, &draw(n, size, &mut rng));
            Grower { sample: &sample, n_features, depth, tree: Tree::of_depth(depth), rng }.grow(size)
        })
        .collect();
    let (mut cuts, mut paths) = (Vec::new(), Vec::new());
    for tree in trees {
        cuts.extend(tree.cuts);
        paths.extend(tree.paths);
    }
    Ok(Forest { n_features, medians, depth, cuts, paths, mean_path: mean_path(size) })
}

/// Of some rows, where there are many: the place of what is unknown needs no more.
fn column_medians(x: &[f32], n_features: usize) -> Vec<f32> {
    let rows: Vec<usize> = subsample::positions(x.len() / n_features, subsample::ENOUGH).collect();
    let middle = |j: usize| {
        let column = rows.iter().filter_map(|row| x.get(row * n_features + j)).filter(|v| v.is_finite());
        let middle = median(&mut column.map(|&v| f64::from(v)).collect::<Vec<_>>());
        if middle.is_finite() { single(middle) } else { 0.0 }
    };
    (0..n_features).into_par_iter().map(middle).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "values came from f32 or need no more precision")]
fn single(value: f64) -> f32 {
    value as f32
}

/// `size` of `n` rows without replacement (Floyd's algorithm).
fn draw(n: usize, size: usize, rng: &mut Xoshiro256PlusPlus) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    for last in n - size..n {
        let row = rng.random_range(0..=last);
        if !chosen.insert(row) {
            chosen.insert(last);
        }
    }
    chosen
}

fn gather(x: &[f32], n_features: usize, medians: &[f32], rows: &BTreeSet<usize>) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * n_features);
    for &row in rows {
        let values = x.get(row * n_features..(row + 1) * n_features).unwrap_or_default();
        out.extend(values.iter().zip(medians).map(|(v, median)| if v.is_finite() { *v } else { *median }));
    }
    out
}

/// One tree: see [`Cut`] and [`Forest::paths`].
struct Tree {
    cuts: Vec<Cut>,
    paths: Vec<f32>,
}

impl Tree {
    fn of_depth(depth: u32) -> Self {
        let ends = 1_usize << depth;
        Self { cuts: vec![NO_CUT; ends], paths: vec![0.0; ends] }
    }
}

struct Grower<'a> {
    sample: &'a [f32],
    n_features: usize,
    depth: u32,
    tree: Tree,
    rng: Xoshiro256PlusPlus,
}

impl Grower<'_> {
    fn grow(mut self, size: usize) -> Tree {
        let mut rows: Vec<u32> = (0..).take(size).collect();
        self.split(1, &mut rows, 0);
        self.tree
    }

    fn value(&self, row: u32, feature: usize) -> f32 {
        self.sample.get(row as usize * self.n_features + feature).copied().unwrap_or_default()
    }

    /// Makes node `at` a cut or a leaf of `rows`.
    fn split(&mut self, at: usize, rows: &mut [u32], depth: u32) {
        let cut = if depth < self.depth && rows.len() > 1 { self.random_cut(rows) } else { None };
        let Some((feature, threshold)) = cut else {
            let end = (depth..self.depth).fold(at, |at, _| 2 * at) - self.tree.cuts.len();
            if let Some(path) = self.tree.paths.get_mut(end) {
                *path = single(f64::from(depth) + mean_path(rows.len()));
            }
            return;
        };
        let middle = partition(rows, |&row| self.value(row, feature) <= threshold);
        if let Some(cut) = self.tree.cuts.get_mut(at) {
            *cut = Cut { feature: u32::try_from(feature).unwrap_or(0), key: key(threshold) };
        }
        let (below, above) = rows.split_at_mut(middle);
        self.split(2 * at, below, depth + 1);
        self.split(2 * at + 1, above, depth + 1);
    }

    /// A random column among those that vary in `rows`, and a uniform threshold that leaves rows on both sides.
    fn random_cut(&mut self, rows: &[u32]) -> Option<(usize, f32)> {
        let mut features: Vec<usize> = (0..self.n_features).collect();
        while !features.is_empty() {
            let feature = features.swap_remove(self.rng.random_range(0..features.len()));
            let values = || rows.iter().map(|&row| self.value(row, feature));
            let (low, high) = (values().fold(f32::INFINITY, f32::min), values().fold(f32::NEG_INFINITY, f32::max));
            if low < high {
                // In f64, where neither the difference overflows nor the sum reaches `high` before it is rounded.
                let share: f64 = self.rng.random();
                let threshold = single(f64::from(low) + share * (f64::from(high) - f64::from(low)));
                return Some((feature, if threshold < high { threshold } else { low }));
            }
        }
        None
    }
}

/// Moves the rows for which `is_left` holds to the front; returns how many.
fn partition(rows: &mut [u32], is_left: impl Fn(&u32) -> bool) -> usize {
    let mut middle = 0;
    for i in 0..rows.len() {
        if rows.get(i).is_some_and(&is_left) {
            rows.swap(i, middle);
            middle += 1;
        }
    }
    middle
}

/// Mean depth of an unsuccessful search in a binary tree of `n` rows: c(n) of the paper.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean_path(n: usize) -> f64 {
    /// Euler and Mascheroni's constant.
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => 2.0 * ((n as f64 - 1.0).ln() + EULER_GAMMA) - 2.0 * (n as f64 - 1.0) / n as f64,
    }
}

impl Forest {
    /// Columns of the data that it was grown from.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The score of each row of `x`: (n_samples, n_features), row-major, 0-1, about 0.5 for ordinary rows and near 1 for
    /// strange ones. A last incomplete row is left out.
    #[must_use]
    pub fn score(&self, x: &[f32]) -> Vec<f64> {
        x.par_chunks(BLOCK * self.n_features).flat_map_iter(|block| self.score_block(block)).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn score_block(&self, block: &[f32]) -> Vec<f64> {
        let keys: Vec<u32> = self.imputed(block).iter().map(|value| key(*value)).collect();
        let ends = 1_usize << self.depth;
        let mut sums = vec![0.0_f32; keys.len() / self.n_features];
        for (cuts, paths) in self.cuts.chunks_exact(ends).zip(self.paths.chunks_exact(ends)) {
            let abreast = keys.chunks(ABREAST * self.n_features);
            sums.chunks_mut(ABREAST).zip(abreast).for_each(|(sums, rows)| self.add_paths(cuts, paths, rows, sums));
        }
        let scale = 1.0 / (self.mean_path * (self.paths.len() / ends).max(1) as f64);
        sums.into_iter().map(|sum| (-f64::from(sum) * scale).exp2()).collect()
    }

    /// Adds to each of `sums` the path of its row in one tree; `rows` holds at most [`ABREAST`] of them.
    fn add_paths(&self, cuts: &[Cut], paths: &[f32], rows: &[u32], sums: &mut [f32]) {
        let n_features = self.n_features;
        let mut at = [1_usize; ABREAST];
        for _ in 0..self.depth {
            for (row, at) in at.iter_mut().enumerate() {
                let cut = cuts.get(*at).copied().unwrap_or(NO_CUT);
                let value = rows.get(row * n_features + cut.feature as usize).copied().unwrap_or_default();
                *at = 2 * *at + usize::from(value > cut.key);
            }
        }
        for (sum, at) in sums.iter_mut().zip(at) {
            *sum += paths.get(at - cuts.len()).copied().unwrap_or_default();
        }
    }

    fn imputed<'a>(&self, block: &'a [f32]) -> std::borrow::Cow<'a, [f32]> {
        if block.iter().all(|v| v.is_finite()) {
            return block.into();
        }
        let medians = self.medians.iter().cycle();
        block.iter().zip(medians).map(|(v, median)| if v.is_finite() { *v } else { *median }).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::learn::testing::noise;

    /// A grid of 20 × 20 rows, and one far away.
    fn grid_and_outlier() -> Vec<f32> {
        let mut x: Vec<f32> = (0..400_u16).flat_map(|i| [f32::from(i % 20), f32::from(i / 20)]).collect();
        x.extend([60.0, -40.0]);
        x
    }

    fn scores(x: &[f32], n_features: usize) -> Vec<f64> {
        fit(x, n_features, &ForestParams::default()).unwrap().score(x)
    }

    #[test]
    fn what_lies_apart_scores_highest() {
        let scores = scores(&grid_and_outlier(), 2);
        let (last, rest) = scores.split_last().unwrap();
        assert!(*last > 0.7 && rest.iter().all(|s| s < last && *s > 0.0), "{last}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let x = grid_and_outlier();
        let run =
            |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| scores(&x, 2));
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn another_seed_is_another_forest() {
        let grow = |seed| fit(&grid_and_outlier(), 2, &ForestParams { seed, ..ForestParams::default() }).unwrap();
        assert_ne!(grow(1), grow(2));
        assert_eq!(grow(1), grow(1));
    }

    #[test]
    fn shifting_and_scaling_columns_keeps_the_order_of_scores() {
        let x = grid_and_outlier();
        let moved: Vec<f32> = x.iter().map(|v| v * 8.0 - 64.0).collect();
        let far =
            |scores: &[f64]| scores.iter().rposition(|s| *s >= scores.iter().copied().fold(0.0, f64::max)).unwrap();
        assert_eq!(far(&scores(&x, 2)), far(&scores(&moved, 2)));
    }

    #[test]
    fn constant_duplicate_and_missing_values_do_no_harm() {
        let constant = scores(&[3.0; 64], 2);
        assert!(constant.iter().all(|s| (s - constant[0]).abs() < 1e-9 && s.is_finite()));
        let mut gaps = grid_and_outlier();
        gaps.extend([f32::NAN, f32::INFINITY]);
        let scored = scores(&gaps, 2);
        assert!(scored.last().unwrap() < &0.55, "unknown is unremarkable: {:?}", scored.last());
        assert!(scores(&[f32::NAN; 8], 2).iter().all(|s| s.is_finite()));
        assert!(scores(&[-f32::MAX, f32::MAX], 1).iter().all(|s| s.is_finite()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_numbers() {
        let params = ForestParams::default();
        assert_eq!(fit(&[], 2, &params).unwrap_err(), FitError::NotEnoughSamples { needed: 2, got: 0 });
        assert_eq!(fit(&[1.0; 5], 2, &params).unwrap_err(), FitError::Shape { values: 5, n_features: 2 });
        assert_eq!(fit(&[1.0; 5], 0, &params).unwrap_err(), FitError::Shape { values: 5, n_features: 0 });
        let none = ForestParams { n_trees: 0, ..params };
        assert_eq!(fit(&[1.0; 4], 2, &none).unwrap_err(), FitError::Params { n_trees: 0, sample_size: 256 });
    }

    #[test]
    fn the_mean_path_is_that_of_the_paper() {
        // scikit-learn 1.9: sklearn.ensemble._iforest._average_path_length([1, 2, 3, 256])
        for (n, want) in [(1, 0.0), (2, 1.0), (3, 1.207_392_357_587), (256, 10.244_770_920_116)] {
            assert!((mean_path(n) - want).abs() < 1e-9, "{n}");
        }
    }

    /// Share of pairs of one strange and one ordinary row that the scores put in the right order.
    fn auc(scores: &[f64], is_strange: impl Fn(usize) -> bool) -> f64 {
        let (mut strange, mut ordinary) = (Vec::new(), Vec::new());
        for (row, &score) in scores.iter().enumerate() {
            if is_strange(row) { strange.push(score) } else { ordinary.push(score) }
        }
        let wins: usize = strange.iter().map(|s| ordinary.iter().filter(|o| *o < s).count()).sum();
        wins as f64 / (strange.len() * ordinary.len()) as f64
    }

    #[test]
    fn it_tells_apart_what_scikit_learn_tells_apart() {
        // scikit-learn 1.9 IsolationForest(100 trees, 256 samples) on the same rows, 20 seeds: AUC 0.8118, std 0.0050.
        let value = |i: u32, j: u32| (0..4).map(|k| noise((i * 4 + j) * 4 + k)).sum::<f64>() - 2.0;
        let stretch = |i: u32| if i.is_multiple_of(40) { 1.8 } else { 1.0 };
        let x: Vec<f32> = (0..2000).flat_map(|i| [0, 1, 2, 3].map(|j| single(value(i, j) * stretch(i)))).collect();
        let auc_of = |seed| {
            let forest = fit(&x, 4, &ForestParams { seed, ..ForestParams::default() }).unwrap();
            auc(&forest.score(&x), |row| row % 40 == 0)
        };
        let mean = (0..5).map(auc_of).sum::<f64>() / 5.0;
        assert!((mean - 0.8118).abs() < 0.01, "{mean}");
    }
}
