//! Table `rejects`. Grain: one row (or one whole file) that was not accepted, and why.

use serde::{Deserialize, Serialize};

/// How much of a refused value is kept: enough to recognise it, too little to flood a report.
pub const VALUE_CHARS: usize = 200;

/// A row, or a whole file, that can't be trusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reject {
    /// The file that the row stood in.
    pub file: String,
    /// 0-based data row; none when the whole file was refused.
    pub row: Option<u64>,
    /// The column at fault; none when none is.
    pub column: Option<String>,
    /// The value at fault, cut to [`VALUE_CHARS`].
    pub value: Option<String>,
    /// Why.
    pub reason: String,
}

impl Reject {
    /// A whole file.
    #[must_use]
    pub fn file(file: &str, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), row: None, column: None, value: None, reason: reason.into() }
    }

    /// A value of a row.
    #[must_use]
    pub fn value(file: &str, row: u64, column: &str, value: Option<&str>, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            row: Some(row),
            column: Some(column.to_owned()),
            value: value.map(|text| text.chars().take(VALUE_CHARS).collect()),
            reason: reason.into(),
        }
    }
}

/// What was not accepted, in the order of file and row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rejects(Vec<Reject>);

impl Rejects {
    /// Adds one.
    pub fn push(&mut self, reject: Reject) {
        self.0.push(reject);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Reject> {
        self.0.iter()
    }

    /// Sorts by file, row and column, so that the table does not depend on which check ran first.
    pub fn sort(&mut self) {
        self.0.sort();
    }
}

impl From<Reject> for Rejects {
    fn from(reject: Reject) -> Self {
        Self(vec![reject])
    }
}

impl Extend<Reject> for Rejects {
    fn extend<I: IntoIterator<Item = Reject>>(&mut self, rejects: I) {
        self.0.extend(rejects);
    }
}

impl FromIterator<Reject> for Rejects {
    fn from_iter<I: IntoIterator<Item = Reject>>(rejects: I) -> Self {
        Self(rejects.into_iter().collect())
    }
}

impl IntoIterator for Rejects {
    type Item = Reject;
    type IntoIter = std::vec::IntoIter<Reject>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Rejects {
    type Item = &'a Reject;
    type IntoIter = std::slice::Iter<'a, Reject>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
