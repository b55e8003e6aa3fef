//! Many trees: one after the other on what is left over (Friedman 2001, 2002), or side by side on redrawn rows
//! (Breiman 2001).

use super::rows::Rows;
use super::trees::{Binned, Growth, Tree};
use crate::stats::robust::{median, quantile};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How to boost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct BoostingParams {
    /// Trees at most; fewer where held-out rows say so.
    pub max_trees: usize,
    /// Share of each tree's values that is added.
    pub rate: f64,
    /// Leaves of a tree at most.
    pub max_leaves: usize,
    /// Rows of a leaf at least.
    pub min_rows: usize,
    /// Share of the rows that a tree sees.
    pub rows: f64,
}

impl BoostingParams {
    /// Settings that suit a number of rows: small tables have small trees and slow steps.
    #[must_use]
    pub(super) fn for_rows(n: usize) -> Self {
        let max_leaves = (n / 25).clamp(4, 32);
        let min_rows = if n > 20_000 { 20 } else { 3 };
        let rate = if n > 5_000 { 0.1 } else { 0.05 };
        Self { max_trees: if n > 5_000 { 300 } else { 600 }, rate, max_leaves, min_rows, rows: 0.8 }
    }
}

/// Residuals beyond this quantile of their sizes pull no harder than it.
const CLIP: f64 = 0.95;
/// Share of the configurations that tell when to stop.
const STOPPING_SHARE: f64 = 0.15;
/// Trees without a gain after which it stops.
const PATIENCE: usize = 30;
/// With fewer rows nothing is held out.
const MIN_ROWS_TO_STOP: usize = 60;

/// A sum of trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Boosting {
    start: f64,
    rate: f64,
    trees: Vec<Tree>,
}

/// An average of trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forest {
    trees: Vec<Tree>,
}

impl Boosting {
    /// Fits `y`: (n_rows,), finite. Rows that agree in everything (`configurations`) are held out together.
    pub(super) fn fit(rows: &Rows, y: &[f64], configurations: &[u32], params: &BoostingParams, seed: u64) -> Self {
        let binned = Binned::of(rows, rows.n_groups > 1);
        let all: Vec<u32> = (0..).zip(y).map(|(row, _)| row).collect();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        if rows.n < MIN_ROWS_TO_STOP {
            let few = BoostingParams { max_trees: params.max_trees / 4, ..*params };
            return Self::grow(rows, &binned, y, &all, &[], &few, &mut rng).0;
        }
        let n_configurations = configurations.iter().max().map_or(0, |max| *max as usize + 1);
        let held: Vec<bool> = (0..n_configurations).map(|_| rng.random_range(0.0..1.0) < STOPPING_SHARE).collect();
        let is_held = |row: &u32| {
            configurations.get(*row as usize).and_then(|c| held.get(*c as usize)).copied().unwrap_or_default()
        };
        let (out, kept): (Vec<u32>, Vec<u32>) = all.iter().partition(|row| is_held(row));
        let (_, n_trees) = Self::grow(rows, &binned, y, &kept, &out, params, &mut rng);
        let enough = BoostingParams { max_trees: n_trees, ..*params };
        Self::grow(rows, &binned, y, &all, &[], &enough, &mut rng).0
    }

    /// Grows on `kept`, and says after how many trees the error on `held` was least (all, where nothing is held).
    fn grow(
        rows: &Rows,
        binned: &Binned,
        y: &[f64],
        kept: &[u32],
        held: &[u32],
        params: &BoostingParams,
        rng: &mut Xoshiro256PlusPlus,
    ) -> (Self, usize) {
        let mut outcomes: Vec<f64> = kept.iter().filter_map(|&row| y.get(row as usize)).copied().collect();
        let start = if outcomes.is_empty() { 0.0 } else { median(&mut outcomes) };
        let mut out = Self { start, rate: params.rate, trees: Vec::new() };
        let mut fitted = vec![start; y.len()];
        let weights = vec![1.0; y.len()];
        let growth =
            Growth { max_leaves: params.max_leaves, min_rows: count(params.min_rows), shrink: 1.0, features: 1.0 };
        let mut best = (f64::INFINITY, 0);
        for _ in 0..params.max_trees {
            let residuals = clipped(y, &fitted, kept);
            let drawn: Vec<u32> = kept.iter().copied().filter(|_| rng.random_range(0.0..1.0) < params.rows).collect();
            let tree = Tree::grow(binned, &residuals, &weights, drawn, &growth, rng);
            add(&tree, rows, params.rate, &mut fitted);
            out.trees.push(tree);
            if held.is_empty() {
                continue;
            }
            let error: f64 = held.iter().map(|&row| distance(y, &fitted, row)).sum();
            if error < best.0 {
                best = (error, out.trees.len());
            } else if out.trees.len() > best.1 + PATIENCE {
                break;
            }
        }
        let n_trees = if held.is_empty() { out.trees.len() } else { best.1 };
        (out, n_trees)
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        predict(&self.trees, rows, |sum| self.start + self.rate * sum)
    }

    /// Trees.
    pub(super) fn len(&self) -> usize {
        self.trees.len()
    }
}

fn distance(y: &[f64], fitted: &[f64], row: u32) -> f64 {
    y.get(row as usize).zip(fitted.get(row as usize)).map_or(0.0, |(y, f)| (y - f).abs())
}

/// What is left over, wild values held at a quantile of its size: (n_rows,), 0 outside `kept`.
fn clipped(y: &[f64], fitted: &[f64], kept: &[u32]) -> Vec<f64> {
    let mut sizes: Vec<f64> = kept.iter().map(|&row| distance(y, fitted, row)).collect();
    let most = if sizes.is_empty() { 0.0 } else { quantile(&mut sizes, CLIP) };
    y.iter().zip(fitted).map(|(y, f)| (y - f).clamp(-most, most)).collect()
}

fn add(tree: &Tree, rows: &Rows, rate: f64, fitted: &mut [f64]) {
    fitted.par_iter_mut().enumerate().with_min_len(4096).for_each(|(row, f)| *f += rate * tree.at(rows, row));
}

fn predict(trees: &[Tree], rows: &Rows, finish: impl Fn(f64) -> f64 + Sync) -> Vec<f64> {
    let sum = |row: usize| finish(trees.iter().map(|tree| tree.at(rows, row)).sum());
    (0..rows.n).into_par_iter().with_min_len(1024).map(sum).collect()
}

/// Trees of a forest.
const N_TREES: usize = 200;
/// Share of the features that a split may choose from (a third: Breiman's default for regression).
const FOREST_FEATURES: f64 = 1.0 / 3.0;
/// Leaves beyond which more rows say nothing new.
const FOREST_LEAVES: usize = 1024;
/// Rows that a tree is grown on at most.
const FOREST_ROWS: usize = 20_000;

impl Forest {
    /// Fits `y`: (n_rows,), finite.
    pub(super) fn fit(rows: &Rows, y: &[f64], seed: u64) -> Self {
        let binned = Binned::of(rows, rows.n_groups > 1);
        let min_rows = if rows.n > 1000 { 3.0 } else { 1.0 };
        let growth = Growth { max_leaves: FOREST_LEAVES, min_rows, shrink: 0.0, features: FOREST_FEATURES };
        let tree = |number: u64| {
            // A tree's draws depend on its number alone, not on the thread that grows it.
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_mul(N_TREES as u64).wrapping_add(number));
            let mut weights = vec![0.0; binned.n_rows()];
            for _ in 0..rows.n.min(FOREST_ROWS) {
                let row = rng.random_range(0..rows.n);
                if let Some(weight) = weights.get_mut(row) {
                    *weight += 1.0;
                }
            }
            let drawn = (0..).zip(&weights).filter(|(_, weight)| **weight > 0.0).map(|(row, _)| row).collect();
            Tree::grow(&binned, y, &weights, drawn, &growth, &mut rng)
        };
        Self { trees: (0..N_TREES as u64).into_par_iter().map(tree).collect() }
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let n = count(self.trees.len().max(1));
        predict(&self.trees, rows, |sum| sum / n)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
