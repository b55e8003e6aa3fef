//! Configurations that come over and over: the very features and the group of earlier rows.

use super::medians::Medians;
use super::rows::Rows;
use crate::stats::robust::median;
use serde::{Deserialize, Serialize};

/// Rows that make a configuration one that comes over and over.
const OVER_AND_OVER: usize = 3;

/// The configurations that came over and over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repeats {
    /// Hashes of configurations, sorted. Two that share one are taken for the same, which makes a prediction somewhat
    /// worse, one time in 10¹³.
    hashes: Vec<u64>,
}

impl Repeats {
    /// Of the rows at `among`.
    pub(super) fn of(rows: &Rows, among: &[u32]) -> Self {
        let mut all: Vec<u64> = among.iter().map(|&row| hash(rows, row as usize)).collect();
        all.sort_unstable();
        let often = all.chunk_by(|a, b| a == b).filter(|same| same.len() >= OVER_AND_OVER);
        Self { hashes: often.filter_map(|same| same.first().copied()).collect() }
    }

    /// Whether the configuration of a row is one of them.
    pub(super) fn hold(&self, rows: &Rows, row: usize) -> bool {
        !self.hashes.is_empty() && self.hashes.binary_search(&hash(rows, row)).is_ok()
    }
}

/// The median of each of them, and for all other rows that of their group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RepeatMedians {
    /// By hash of the configuration, sorted.
    own: Vec<(u64, f64)>,
    others: Medians,
}

impl RepeatMedians {
    /// Fits `y`: (n_rows,), finite.
    pub(super) fn fit(rows: &Rows, y: &[f64]) -> Self {
        let mut all: Vec<(u64, f64)> = y.iter().enumerate().map(|(row, &y)| (hash(rows, row), y)).collect();
        all.sort_unstable_by_key(|(hash, _)| *hash);
        let often = all.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() >= OVER_AND_OVER);
        let of_one = |same: &[(u64, f64)]| {
            let mut values: Vec<f64> = same.iter().map(|(_, y)| *y).collect();
            same.first().map(|(hash, _)| (*hash, median(&mut values)))
        };
        Self { own: often.filter_map(of_one).collect(), others: Medians::fit(rows, y) }
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let own = |row: usize| {
            let at = self.own.binary_search_by_key(&hash(rows, row), |(hash, _)| *hash).ok()?;
            self.own.get(at).map(|(_, median)| *median)
        };
        let others = self.others.predict(rows).into_iter().enumerate();
        others.map(|(row, of_group)| own(row).unwrap_or(of_group)).collect()
    }
}

/// Of the features, those of the calendar left out, and the group (FNV-1a over their bits, mixed at the end).
fn hash(rows: &Rows, row: usize) -> u64 {
    let n_own = rows.day.unwrap_or(rows.numbers.len());
    let numbers = rows.numbers.iter().take(n_own).filter_map(|column| column.get(row)).map(|value| value.to_bits());
    let codes =
        rows.codes.iter().chain([&rows.group]).filter_map(|column| column.get(row)).map(|code| u64::from(*code));
    let sum = numbers.chain(codes).fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| {
        let hash = (hash ^ (bits & 0xffff_ffff)).wrapping_mul(0x0100_0000_01b3);
        (hash.rotate_left(29) ^ (bits >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    sum ^ (sum >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_three_times_is_known_again() {
        let numbers = vec![vec![1.0, 1.0, 1.0, 2.0, 2.0, f64::NAN, f64::NAN, f64::NAN, 1.0]];
        let rows = Rows { n: 9, numbers, group: vec![0, 0, 0, 0, 0, 0, 0, 0, 1], n_groups: 2, ..Rows::default() };
        let repeats = Repeats::of(&rows, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let known: Vec<bool> = (0..9).map(|row| repeats.hold(&rows, row)).collect();
        assert_eq!(known, [true, true, true, false, false, true, true, true, false]);
        assert!(!Repeats::of(&rows, &[0, 1]).hold(&rows, 0) && !Repeats::default().hold(&rows, 0));
        let medians = RepeatMedians::fit(&rows, &[5.0, 4.0, 90.0, 1.0, 2.0, 7.0, 7.0, 8.0, 3.0]);
        assert_eq!(medians.predict(&rows), [5.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 7.0, 3.0]);
    }
}
