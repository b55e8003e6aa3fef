//! How far each row lies from the nearest of a few others: the mean over many small subsamples.
//!
//! Pang, Ting and Albrecht 2015, LeSiNN. A subsample of few rows holds hardly any strange one, so even strange rows that
//! keep together have no near neighbour in it; one of more rows sees finer structure, but strange rows hide each other.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

/// How distances are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// The root of the sum of squares: what is far in one column counts.
    Euclid,
    /// The sum: what is a little off in many columns counts as much.
    Manhattan,
}

/// Rows of a subsample, and how many subsamples there are: fewer where each says more.
pub(super) const SCALES: [(usize, usize); 5] = [(4, 50), (8, 50), (16, 25), (64, 8), (256, 4)];
/// Rows that are measured together, so that a subsample stays in the first-level cache.
const BLOCK: usize = 128;

/// Mean distance of each row of `x`, (n_samples, n_features), row-major, to its nearest among `size` others over
/// `n_subsamples` draws. Rows equal to it are passed over, for one of them is the row itself.
pub(super) fn distances(
    x: &[f32],
    n_features: usize,
    measure: Measure,
    (size, n_subsamples): (usize, usize),
    seed: u64,
) -> Vec<f64> {
    let n = x.len() / n_features.max(1);
    let size = size.min(n.saturating_sub(1));
    if size == 0 {
        return vec![0.0; n];
    }
    let stream = 2 * size as u64 + u64::from(measure == Measure::Manhattan);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let subsamples: Vec<Vec<f32>> = (0..n_subsamples).map(|_| columns(x, n_features, n, size, &mut rng)).collect();
    let blocks = x.par_chunks(BLOCK * n_features);
    match measure {
        Measure::Euclid => {
            blocks.flat_map_iter(|rows| block(rows, n_features, size, &subsamples, |d| d * d, f64::sqrt)).collect()
        }
        Measure::Manhattan => {
            blocks.flat_map_iter(|rows| block(rows, n_features, size, &subsamples, f32::abs, |d| d)).collect()
        }
    }
}

/// `size` rows drawn with replacement, column by column.
fn columns(x: &[f32], n_features: usize, n: usize, size: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<f32> {
    let drawn: Vec<usize> = (0..size).map(|_| rng.random_range(0..n)).collect();
    let value = |feature: usize, row: &usize| x.get(row * n_features + feature).copied().unwrap_or_default();
    (0..n_features).flat_map(|feature| drawn.iter().map(move |row| value(feature, row))).collect()
}

/// The mean over the subsamples of `whole` of the least sum of `part`s.
#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn block(
    rows: &[f32],
    n_features: usize,
    size: usize,
    subsamples: &[Vec<f32>],
    part: impl Fn(f32) -> f32,
    whole: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let mut means = vec![0.0; rows.len() / n_features];
    let mut sums = vec![0.0_f32; size];
    for subsample in subsamples {
        for (mean, row) in means.iter_mut().zip(rows.chunks_exact(n_features)) {
            sums.fill(0.0);
            for (value, column) in row.iter().zip(subsample.chunks_exact(size)) {
                for (sum, other) in sums.iter_mut().zip(column) {
                    *sum += part(value - other);
                }
            }
            let nearest = sums.iter().fold(f32::INFINITY, |nearest, &s| if s > 0.0 { nearest.min(s) } else { nearest });
            if nearest.is_finite() {
                *mean += whole(f64::from(nearest)) / subsamples.len() as f64;
            }
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_to_others() {
        // Every subsample of two distinct points holds the other one sooner or later, at distance 5.
        let x = [0.0, 0.0, 3.0, 4.0].repeat(50);
        for (measure, distance) in [(Measure::Euclid, 5.0), (Measure::Manhattan, 7.0)] {
            let found = distances(&x, 2, measure, (16, 20), 1);
            assert!(found.len() == 100 && found.iter().all(|d| (d - distance).abs() < 0.01), "{found:?}");
            assert!(distances(&[2.0; 40], 2, measure, (4, 10), 1).iter().all(|d| d.abs() < 1e-12), "all are equal");
            assert_eq!(distances(&[1.0, 2.0], 2, measure, (4, 10), 1), [0.0]);
        }
    }
}
