//! Columns of any table, as the engines that work on any table take them.

use crate::samples::UNKNOWN;
use serde::{Deserialize, Serialize};

/// What an instant of a table was written as, so that it can be written back the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// Whole numbers of whatever unit; the values are these numbers.
    Integer,
    /// Numbers with a fraction; the values are millionths of their unit.
    Fraction,
    /// Dates and times; the values are microseconds since the Unix epoch in UTC (wall-clock time where `zoned` is false).
    Time {
        /// Whether they named their zone.
        zoned: bool,
    },
}

/// A column by which rows are ordered in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instants {
    /// (n_rows,); none is unknown.
    pub values: Vec<Option<i64>>,
    /// What they are.
    pub clock: Clock,
}

/// A column of words as codes. Words are sorted, so that codes do not depend on the order of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// (n_rows,) positions in `words`; [`UNKNOWN`] for nulls.
    pub codes: Vec<u32>,
    /// Distinct words, sorted.
    pub words: Vec<String>,
}

impl Words {
    /// Codes of optional words.
    pub fn of<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let values: Vec<Option<&str>> = values.into_iter().collect();
        let mut words: Vec<&str> = values.iter().copied().flatten().collect();
        words.sort_unstable();
        words.dedup();
        let code = |word: &str| words.binary_search(&word).ok().and_then(|at| u32::try_from(at).ok());
        let codes = values.into_iter().map(|word| word.and_then(code).unwrap_or(UNKNOWN)).collect();
        Self { codes, words: words.into_iter().map(str::to_owned).collect() }
    }

    /// The word of a row; none where it is unknown.
    #[must_use]
    pub fn at(&self, row: usize) -> Option<&str> {
        self.words.get(usize::try_from(*self.codes.get(row)?).ok()?).map(String::as_str)
    }
}

/// A column that something is learned from, by the type that the table gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Numbers; NaN is unknown. Instants are seconds since the Unix epoch.
    Numbers(Vec<f64>),
    /// Texts, dictionary values, truth values.
    Words(Words),
}

impl Column {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Words(words) => words.codes.len(),
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_do_not_depend_on_the_order_of_rows() {
        let forwards = Words::of([Some("b"), None, Some("a"), Some("b")]);
        let backwards = Words::of([Some("b"), Some("a"), None, Some("b")]);
        assert_eq!(forwards.codes, [1, UNKNOWN, 0, 1]);
        assert_eq!(forwards.words, backwards.words);
        assert_eq!([forwards.at(0), forwards.at(1), forwards.at(9)], [Some("b"), None, None]);
        assert_eq!(Words::of([]), Words::default());
    }
}
