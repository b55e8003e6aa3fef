//! Features as the columns of a linear design, few of them non-zero in a row.

use super::rows::Rows;
use crate::stats::robust::quantile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A number with at most so many distinct values (hours of a day, attempts) is also a category.
const MAX_LEVELS: usize = 24;
/// Each level of such a number must be seen so often on average.
const ROWS_A_LEVEL: usize = 5;
/// Words beyond the most common so many share the average.
const MAX_WORDS: usize = 48;
/// A number whose largest value is this many times its smallest counts by its logarithm.
const WIDE: f64 = 3.0;

/// How a number becomes a column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Transform {
    /// What is added before the logarithm is taken; none where it isn't.
    log_after: Option<f64>,
    centre: f64,
    spread: f64,
}

impl Transform {
    /// Learns from the known values of a column.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut known: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let (low, high) = known.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let least = known.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        let log_after = match () {
            () if low > 0.0 && high >= WIDE * low => Some(0.0),
            // Zeros among sizes: one unit of the smallest size keeps them finite.
            () if low >= 0.0 && least.is_finite() && high >= WIDE * least => Some(least),
            () => None,
        };
        let mut transform = Self { log_after, centre: 0.0, spread: 1.0 };
        known.iter_mut().for_each(|v| *v = transform.raw(*v));
        if known.is_empty() {
            return transform;
        }
        transform.centre = quantile(&mut known, 0.5);
        let squares: f64 = known.iter().map(|v| (v - transform.centre).powi(2)).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let spread = (squares / known.len() as f64).sqrt();
        transform.spread = if spread > 0.0 && spread.is_finite() { spread } else { 1.0 };
        transform
    }

    fn raw(&self, value: f64) -> f64 {
        match self.log_after {
            Some(offset) => (value + offset).max(offset.max(f64::MIN_POSITIVE) * 1e-3).ln(),
            None => value,
        }
    }

    /// Standardised; NaN stays NaN.
    pub(super) fn at(&self, value: f64) -> f64 {
        if value.is_nan() { value } else { (self.raw(value) - self.centre) / self.spread }
    }
}

/// Columns of one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NumberColumns {
    transform: Transform,
    value: usize,
    /// Distinct values and their columns.
    levels: Vec<(f64, usize)>,
    missing: Option<usize>,
}

/// Columns of a design: which column is which, and which belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Basis {
    numbers: Vec<NumberColumns>,
    /// By categorical feature: column of each word's code.
    categories: Vec<BTreeMap<u32, usize>>,
    /// (n_columns,): columns of one block are alike in size of effect.
    blocks: Vec<usize>,
    /// (n_blocks,): what is known beforehand about the sizes of their effects.
    freedoms: Vec<Freedom>,
}

/// How a block is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Freedom {
    /// By the size that its effects turn out to have.
    Learned,
    /// Not at all: where a number is missing the level is another, and nothing else must take that up.
    Free,
}

impl Basis {
    /// Learns the columns from rows. Without `numbers` only categories (and what is missing) have columns.
    pub(super) fn of(rows: &Rows, with_numbers: bool) -> Self {
        let mut out = Self { numbers: Vec::new(), categories: Vec::new(), blocks: Vec::new(), freedoms: Vec::new() };
        for values in &rows.numbers {
            let value = if with_numbers { out.block(1) } else { usize::MAX };
            let levels = if with_numbers { levels(values) } else { Vec::new() };
            let first = out.block(levels.len());
            let levels = levels.into_iter().zip(first..).collect();
            let missing = values.iter().any(|v| v.is_nan()).then(|| out.free_column());
            out.numbers.push(NumberColumns { transform: Transform::of(values), value, levels, missing });
        }
        for codes in &rows.codes {
            let common = common(codes);
            let first = out.block(common.len());
            out.categories.push(common.into_iter().zip(first..).collect());
        }
        out
    }

    /// As [`Basis::of`], but numbers are never categories as well.
    pub(super) fn smooth(rows: &Rows) -> Self {
        let mut out = Self { numbers: Vec::new(), categories: Vec::new(), blocks: Vec::new(), freedoms: Vec::new() };
        for values in &rows.numbers {
            let value = out.block(1);
            let missing = values.iter().any(|v| v.is_nan()).then(|| out.free_column());
            out.numbers.push(NumberColumns { transform: Transform::of(values), value, levels: Vec::new(), missing });
        }
        for codes in &rows.codes {
            let common = common(codes);
            let first = out.block(common.len());
            out.categories.push(common.into_iter().zip(first..).collect());
        }
        out
    }

    /// Numbers as they are, and categories where asked for.
    pub(super) fn plain(rows: &Rows, with_categories: bool) -> Self {
        let mut out = Self { numbers: Vec::new(), categories: Vec::new(), blocks: Vec::new(), freedoms: Vec::new() };
        for _ in &rows.numbers {
            let transform = Transform { log_after: None, centre: 0.0, spread: 1.0 };
            let value = out.block(1);
            out.numbers.push(NumberColumns { transform, value, levels: Vec::new(), missing: None });
        }
        for codes in rows.codes.iter().filter(|_| with_categories) {
            let common = common(codes);
            let first = out.block(common.len());
            out.categories.push(common.into_iter().zip(first..).collect());
        }
        out
    }

    /// Adds a block of so many columns; says the first.
    fn block(&mut self, n_columns: usize) -> usize {
        let first = self.blocks.len();
        if n_columns > 0 {
            self.blocks.resize(first + n_columns, self.freedoms.len());
            self.freedoms.push(Freedom::Learned);
        }
        first
    }

    fn free_column(&mut self) -> usize {
        self.blocks.push(self.freedoms.len());
        self.freedoms.push(Freedom::Free);
        self.blocks.len() - 1
    }

    pub(super) fn n_columns(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn blocks(&self) -> &[usize] {
        &self.blocks
    }

    pub(super) fn freedoms(&self) -> &[Freedom] {
        &self.freedoms
    }

    /// The columns of a row that are not 0, into `out`.
    pub(super) fn fill(&self, rows: &Rows, row: usize, out: &mut Vec<(usize, f64)>) {
        out.clear();
        for (columns, values) in self.numbers.iter().zip(&rows.numbers) {
            let value = values.get(row).copied().unwrap_or(f64::NAN);
            if value.is_nan() {
                out.extend(columns.missing.map(|column| (column, 1.0)));
                continue;
            }
            if columns.value != usize::MAX {
                out.push((columns.value, columns.transform.at(value)));
            }
            let level = columns.levels.binary_search_by(|(level, _)| level.total_cmp(&value));
            out.extend(level.ok().and_then(|at| columns.levels.get(at)).map(|&(_, column)| (column, 1.0)));
        }
        for (columns, codes) in self.categories.iter().zip(&rows.codes) {
            let column = codes.get(row).and_then(|code| columns.get(code));
            out.extend(column.map(|&column| (column, 1.0)));
        }
    }

    /// Names of the columns, from those of the features.
    pub(super) fn names(&self, numbers: &[&str], categories: &[(&str, &[String])]) -> Vec<String> {
        let mut names = vec![String::new(); self.n_columns()];
        let mut name = |column: usize, text: String| {
            if let Some(name) = names.get_mut(column) {
                *name = text;
            }
        };
        for (columns, feature) in self.numbers.iter().zip(numbers) {
            let prefix = if columns.transform.log_after.is_some() { "log " } else { "" };
            name(columns.value, format!("{prefix}{feature}"));
            columns.levels.iter().for_each(|(level, column)| name(*column, format!("{feature}={level}")));
            columns.missing.iter().for_each(|column| name(*column, format!("{feature} unknown")));
        }
        for (columns, (feature, words)) in self.categories.iter().zip(categories) {
            for (code, column) in columns {
                let word = words.get(*code as usize).map_or("", String::as_str);
                name(*column, format!("{feature}={word}"));
            }
        }
        names
    }
}

/// The distinct values of a number that has few; empty for any other.
pub(super) fn levels(values: &[f64]) -> Vec<f64> {
    let mut distinct: Vec<f64> = Vec::new();
    for &value in values.iter().filter(|v| !v.is_nan()) {
        if let Err(at) = distinct.binary_search_by(|level| level.total_cmp(&value)) {
            distinct.insert(at, value);
            if distinct.len() > MAX_LEVELS {
                return Vec::new();
            }
        }
    }
    if distinct.len() < 3 || values.len() < ROWS_A_LEVEL * distinct.len() { Vec::new() } else { distinct }
}

/// The most common words' codes, sorted.
fn common(codes: &[u32]) -> Vec<u32> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    codes
        .iter()
        .filter(|code| **code != crate::samples::UNKNOWN)
        .for_each(|code| *counts.entry(*code).or_default() += 1);
    let mut counted: Vec<(u32, u64)> = counts.into_iter().collect();
    counted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut common: Vec<u32> = counted.into_iter().take(MAX_WORDS).map(|(code, _)| code).collect();
    common.sort_unstable();
    common
}
