//! The median of a group; of the groups' medians, where a group was never seen.

use super::rows::Rows;
use crate::stats::robust::median;
use serde::{Deserialize, Serialize};

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Medians {
    groups: Vec<Option<f64>>,
    elsewhere: f64,
}

impl Medians {
    /// Fits `y`: (n_rows,), finite.
    pub(super) fn fit(rows: &Rows, y: &[f64]) -> Self {
        let own = |members: Vec<u32>| {
            let mut values: Vec<f64> = members.iter().filter_map(|&row| y.get(row as usize)).copied().collect();
            (!values.is_empty()).then(|| median(&mut values))
        };
        let groups: Vec<Option<f64>> = rows.by_group().into_iter().map(own).collect();
        let mut known: Vec<f64> = groups.iter().copied().flatten().collect();
        let elsewhere = if known.is_empty() { 0.0 } else { median(&mut known) };
        Self { groups, elsewhere }
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let own = |group: &u32| self.groups.get(*group as usize).copied().flatten().unwrap_or(self.elsewhere);
        rows.group.iter().map(own).collect()
    }
}
