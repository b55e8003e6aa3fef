//! A table as learners see it: numbers and codes by position, in the encoding that the model was trained with.

use super::TrainError;
use crate::columns::{Column, Words};
use crate::samples::UNKNOWN;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Columns of a table that something is learned from or predicted for. All have one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Rows, also where there is no column.
    pub n_rows: usize,
    /// Features by name, in the order in which they were asked for.
    pub features: Vec<(String, Column)>,
    /// What rows belong to, where they are grouped; a null belongs to no group.
    pub group: Option<Words>,
    /// Seconds since the epoch (or numbers of any unit that order rows) where a time is known; NaN is unknown.
    pub seconds: Option<Vec<f64>>,
    /// Whether `seconds` are seconds since the epoch, so that they have hours and days.
    pub has_calendar: bool,
}

/// What a feature was when the model was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Words, sorted.
    Category(Vec<String>),
}

/// A feature of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Column name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// Names and words behind positions and codes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// In the order of training.
    pub features: Vec<Feature>,
    /// Names of the groups, sorted; a single nameless one where rows are not grouped.
    pub groups: Vec<String>,
    /// Whether rows are grouped.
    pub is_grouped: bool,
}

/// Rows in an encoding. Unknown numbers are NaN, unknown words and groups [`UNKNOWN`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) n: usize,
    /// By numeric feature, each (n,).
    pub(crate) numbers: Vec<Vec<f64>>,
    /// By categorical feature, each (n,).
    pub(crate) codes: Vec<Vec<u32>>,
    /// Number of words by categorical feature.
    pub(crate) n_words: Vec<usize>,
    /// (n,)
    pub(crate) group: Vec<u32>,
    pub(crate) n_groups: usize,
    /// (n,), or empty where the table has no time.
    pub(crate) seconds: Vec<f64>,
    /// Which of the numbers is the day, where rows are placed in a calendar.
    pub(crate) day: Option<usize>,
}

impl Encoding {
    /// The encoding of a table to train on.
    pub(crate) fn of(table: &Table) -> Self {
        let kind = |column: &Column| match column {
            Column::Numbers(_) => Kind::Number,
            Column::Words(words) => Kind::Category(words.words.clone()),
        };
        let features = table.features.iter().map(|(name, column)| Feature { name: name.clone(), kind: kind(column) });
        let groups = table.group.as_ref().map_or_else(|| vec![String::new()], |group| group.words.clone());
        Self { features: features.collect(), groups, is_grouped: table.group.is_some() }
    }

    /// Names of the numeric features, in the order of [`Rows::numbers`].
    pub(crate) fn number_names(&self) -> impl Iterator<Item = &str> {
        self.features.iter().filter(|f| f.kind == Kind::Number).map(|f| f.name.as_str())
    }

    /// Names and words of the categorical features, in the order of [`Rows::codes`].
    pub(crate) fn categories(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.features.iter().filter_map(|f| match &f.kind {
            Kind::Number => None,
            Kind::Category(words) => Some((f.name.as_str(), words.as_slice())),
        })
    }

    /// Rows of a table in this encoding.
    ///
    /// # Errors
    /// [`TrainError::Features`] when the table lacks a feature, or has another kind of column under its name.
    pub(crate) fn rows(&self, table: &Table) -> Result<Rows, TrainError> {
        let mut rows = Rows { n: table.n_rows, n_groups: self.groups.len(), ..Rows::default() };
        for feature in &self.features {
            let column = table.features.iter().find(|(name, _)| *name == feature.name).map(|(_, column)| column);
            match (&feature.kind, column) {
                (Kind::Number, Some(Column::Numbers(values))) if values.len() == rows.n => {
                    // Infinite sizes say nothing that could be reckoned with.
                    let known = values.iter().map(|v| if v.is_finite() { *v } else { f64::NAN });
                    rows.numbers.push(known.collect());
                }
                (Kind::Category(known), Some(Column::Words(words))) if words.codes.len() == rows.n => {
                    rows.codes.push(recoded(words, known));
                    rows.n_words.push(known.len());
                }
                _ => return Err(TrainError::Features { feature: feature.name.clone() }),
            }
        }
        rows.group = match &table.group {
            Some(words) if self.is_grouped => recoded(words, &self.groups),
            _ if self.is_grouped => vec![UNKNOWN; rows.n],
            _ => vec![0; rows.n],
        };
        rows.seconds = table.seconds.clone().unwrap_or_default();
        Ok(rows)
    }
}

/// Codes of words in another vocabulary.
fn recoded(words: &Words, known: &[String]) -> Vec<u32> {
    let codes: HashMap<&str, u32> = known.iter().map(String::as_str).zip(0..).collect();
    let map: Vec<u32> = words.words.iter().map(|word| codes.get(word.as_str()).copied().unwrap_or(UNKNOWN)).collect();
    words.codes.iter().map(|&code| map.get(code as usize).copied().unwrap_or(UNKNOWN)).collect()
}

impl Rows {
    /// The rows at `picked`, in that order.
    pub(crate) fn take(&self, picked: &[u32]) -> Self {
        let numbers = |column: &Vec<f64>| picked.iter().filter_map(|&row| column.get(row as usize)).copied().collect();
        let codes = |column: &Vec<u32>| picked.iter().filter_map(|&row| column.get(row as usize)).copied().collect();
        Self {
            n: picked.len(),
            numbers: self.numbers.iter().map(numbers).collect(),
            codes: self.codes.iter().map(codes).collect(),
            n_words: self.n_words.clone(),
            group: codes(&self.group),
            n_groups: self.n_groups,
            seconds: if self.seconds.is_empty() { Vec::new() } else { numbers(&self.seconds) },
            day: self.day,
        }
    }

    /// Of each group whether any of `picked` belongs to it: (n_groups,)
    pub(crate) fn has_rows(&self, picked: &[u32]) -> Vec<bool> {
        let mut out = vec![false; self.n_groups];
        for group in picked.iter().filter_map(|&row| self.group.get(row as usize)) {
            if let Some(has) = out.get_mut(*group as usize) {
                *has = true;
            }
        }
        out
    }

    /// Rows by group, (n_groups,); those of no known group are in none.
    pub(crate) fn by_group(&self) -> Vec<Vec<u32>> {
        let mut out = vec![Vec::new(); self.n_groups];
        for (row, &group) in (0..).zip(&self.group) {
            if let Some(rows) = out.get_mut(group as usize) {
                rows.push(row);
            }
        }
        out
    }

    /// A number for each row such that rows have the same if and only if they agree in all features and the group:
    /// they are repetitions of one configuration.
    pub(crate) fn configurations(&self) -> Vec<u32> {
        let mut seen: HashMap<Vec<u64>, u32> = HashMap::new();
        (0..self.n)
            .map(|row| {
                let numbers = self.numbers.iter().map(|c| c.get(row).copied().unwrap_or(f64::NAN).to_bits());
                let codes = self.codes.iter().chain([&self.group]);
                let codes = codes.map(|c| u64::from(c.get(row).copied().unwrap_or(UNKNOWN)));
                let next = u32::try_from(seen.len()).unwrap_or(UNKNOWN);
                *seen.entry(numbers.chain(codes).collect()).or_insert(next)
            })
            .collect()
    }
}
