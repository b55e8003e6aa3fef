//! Ordinary least squares for a table: one plane a group, and one through all rows for groups that have none.

use super::TrainError;
use super::ols::{Ols, Plane};
use super::rows::{Encoding, Kind, Rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which columns the planes have: the intercept, then features in their order, words as 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Layout {
    names: Vec<String>,
    has_intercept: bool,
    /// Means of the numeric features, for rows that lack one.
    means: Vec<f64>,
    features: Vec<Slot>,
}

/// Where the columns of a feature come from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Slot {
    /// The k-th numeric feature.
    Number(usize),
    /// The k-th categorical feature, words from `first` to before `end`: the one before the first is what others differ
    /// from.
    Words { feature: usize, first: u32, end: u32 },
}

/// Fitted planes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planes {
    layout: Layout,
    /// Through all rows.
    pub all: Ols,
    /// By code of the group, where rows are grouped and the group has rows enough.
    pub groups: BTreeMap<u32, Ols>,
    /// Rows that lack a feature, which are left out.
    pub incomplete: u64,
}

impl Layout {
    fn of(encoding: &Encoding, rows: &Rows, has_intercept: bool) -> Self {
        let mean = |column: &Vec<f64>| {
            let known = column.iter().filter(|v| v.is_finite());
            let (sum, n) = known.fold((0.0, 0.0_f64), |(sum, n), v| (sum + v, n + 1.0));
            sum / n.max(1.0)
        };
        let mut out = Self {
            names: Vec::new(),
            has_intercept,
            means: rows.numbers.iter().map(mean).collect(),
            features: Vec::new(),
        };
        if has_intercept {
            out.names.push("(intercept)".to_owned());
        }
        let (mut numbers, mut categories) = (0, 0);
        for feature in &encoding.features {
            match &feature.kind {
                Kind::Number => {
                    out.features.push(Slot::Number(numbers));
                    out.names.push(feature.name.clone());
                    numbers += 1;
                }
                Kind::Category(words) => {
                    // Without an intercept the first category has a column for each word.
                    let first = u32::from(has_intercept || categories > 0);
                    let end = u32::try_from(words.len()).unwrap_or(u32::MAX);
                    out.features.push(Slot::Words { feature: categories, first, end });
                    out.names.extend(words.iter().skip(first as usize).map(|w| format!("{}={w}", feature.name)));
                    categories += 1;
                }
            }
        }
        out
    }

    fn fill(&self, rows: &Rows, row: usize, out: &mut Vec<f64>) {
        out.clear();
        if self.has_intercept {
            out.push(1.0);
        }
        for slot in &self.features {
            match *slot {
                Slot::Number(at) => {
                    let value = rows.numbers.get(at).and_then(|c| c.get(row)).copied().unwrap_or(f64::NAN);
                    let mean = self.means.get(at).copied().unwrap_or_default();
                    out.push(if value.is_finite() { value } else { mean });
                }
                Slot::Words { feature, first, end } => {
                    let code = rows.codes.get(feature).and_then(|c| c.get(row)).copied();
                    out.extend((first..end).map(|word| f64::from(u8::from(code == Some(word)))));
                }
            }
        }
    }

    fn plane(&self, rows: &Rows, picked: &[u32]) -> Plane {
        let mut columns = vec![Vec::with_capacity(picked.len()); self.names.len()];
        let mut cells = Vec::new();
        for &row in picked {
            self.fill(rows, row as usize, &mut cells);
            columns.iter_mut().zip(&cells).for_each(|(column, cell)| column.push(*cell));
        }
        Plane { names: self.names.clone(), columns, has_intercept: self.has_intercept }
    }
}

impl Planes {
    /// Fits `y`: (n_rows,), finite. Rows that lack a feature are left out.
    ///
    /// # Errors
    /// [`TrainError::Ols`] where rows are too few for one plane.
    pub(super) fn fit(encoding: &Encoding, rows: &Rows, y: &[f64], has_intercept: bool) -> Result<Self, TrainError> {
        let layout = Layout::of(encoding, rows, has_intercept);
        let is_complete = |row: &u32| {
            let row = *row as usize;
            let known = |column: &Vec<f64>| column.get(row).is_some_and(|v| v.is_finite());
            let named = |column: &Vec<u32>| column.get(row).is_some_and(|code| *code != crate::samples::UNKNOWN);
            rows.numbers.iter().all(known) && rows.codes.iter().all(named)
        };
        let complete: Vec<u32> = (0..).zip(y).map(|(row, _)| row).filter(is_complete).collect();
        let fit = |picked: &[u32]| {
            let outcomes: Vec<f64> = picked.iter().filter_map(|&row| y.get(row as usize)).copied().collect();
            layout.plane(rows, picked).fit(&outcomes)
        };
        let all = fit(&complete)?;
        let mut groups = BTreeMap::new();
        if encoding.is_grouped {
            let own = |members: Vec<u32>| fit(&members.into_iter().filter(is_complete).collect::<Vec<u32>>()).ok();
            let fitted = (0..).zip(rows.by_group()).filter_map(|(group, members)| Some((group, own(members)?)));
            groups = fitted.filter(|(_, ols)| ols.degrees_of_freedom > 0).collect();
        }
        Ok(Self { layout, all, groups, incomplete: (y.len() - complete.len()) as u64 })
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let mut cells = Vec::new();
        (0..rows.n)
            .map(|row| {
                self.layout.fill(rows, row, &mut cells);
                let own = rows.group.get(row).and_then(|group| self.groups.get(group));
                own.unwrap_or(&self.all).at(&cells)
            })
            .collect()
    }
}
