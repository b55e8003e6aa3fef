//! How far outcomes lie from predictions: split-conformal intervals at any level (Lei et al. 2018), in units of how far
//! they lie in the group.

use crate::stats::dist::t_quantile;
use crate::stats::robust::median;
use crate::units::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Residuals that are kept, as quantiles of all.
const MAX_KEPT: usize = 999;
/// The spread of all groups counts as much as so many rows of the group.
const POOLED_ROWS: f64 = 10.0;

/// Held-out residuals in one situation, on the scale of learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Residuals over their group's typical size, sorted.
    sorted: Vec<f64>,
    /// Typical size by group.
    groups: BTreeMap<u32, f64>,
    all: f64,
}

impl Spread {
    /// From residuals (actual − predicted) and their groups; none of none.
    pub(super) fn of(residuals: &[f64], groups: &[u32]) -> Option<Self> {
        let mut sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
        if sizes.is_empty() {
            return None;
        }
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        // Where more than half of the residuals are 0 the median can't be a unit.
        let all = median(&mut sizes).max(largest * 1e-6).max(f64::MIN_POSITIVE);
        let mut by_group: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (residual, group) in residuals.iter().zip(groups) {
            by_group.entry(*group).or_default().push(residual.abs());
        }
        let own = |mut sizes: Vec<f64>| {
            let n = count(sizes.len());
            (n * median(&mut sizes) + POOLED_ROWS * all) / (n + POOLED_ROWS)
        };
        let groups_typical: BTreeMap<u32, f64> =
            by_group.into_iter().map(|(group, sizes)| (group, own(sizes))).collect();
        let scaled =
            residuals.iter().zip(groups).map(|(r, group)| r / groups_typical.get(group).copied().unwrap_or(all));
        let mut sorted: Vec<f64> = scaled.collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self { sorted: thinned(sorted), groups: groups_typical, all })
    }

    /// What to add to a prediction to reach the lower and the upper end.
    pub(super) fn offsets(&self, group: u32, level: Level) -> (f64, f64) {
        let unit = self.groups.get(&group).copied().unwrap_or(self.all);
        let tail = level.alpha() / 2.0;
        (unit * self.at(tail).min(0.0), unit * self.at(1.0 - tail).max(0.0))
    }

    /// The quantile that a further residual stays below with this probability. Beyond what so few residuals can tell,
    /// Student's quantile of their spread, if that is farther out.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks lie in 1..=n, which is small")]
    fn at(&self, probability: f64) -> f64 {
        let n = count(self.sorted.len());
        let upper = probability > 0.5;
        // Rounded outwards, so that the promise is kept.
        let rank = (n + 1.0) * probability;
        let rank = if upper { rank.ceil() } else { rank.floor() };
        let edge = if upper { self.sorted.last() } else { self.sorted.first() }.copied().unwrap_or_default();
        if (1.0..=n).contains(&rank) {
            return self.sorted.get(rank as usize - 1).copied().unwrap_or(edge);
        }
        let square = self.sorted.iter().map(|r| r * r).sum::<f64>() / n.max(1.0);
        let student = t_quantile(probability, f64::max(n - 1.0, 1.0)) * square.sqrt() * (1.0 + 1.0 / n.max(1.0)).sqrt();
        if upper { edge.max(student) } else { edge.min(student) }
    }
}

/// At most [`MAX_KEPT`] of sorted values, evenly by rank.
fn thinned(sorted: Vec<f64>) -> Vec<f64> {
    let n = sorted.len();
    if n <= MAX_KEPT {
        return sorted;
    }
    (1..=MAX_KEPT).filter_map(|k| sorted.get(k * (n + 1) / (MAX_KEPT + 1) - 1)).copied().collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
