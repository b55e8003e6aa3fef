//! Which file and row a row of a frame came from.

/// The files whose rows make up a frame, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// First row and name of each file; first rows ascend and start at 0.
    files: Vec<(u64, String)>,
}

impl Origin {
    /// All rows are from one file.
    #[must_use]
    pub fn file(name: &str) -> Self {
        Self { files: vec![(0, name.to_owned())] }
    }

    /// Rows of several files: name and number of rows of each, in order.
    #[must_use]
    pub fn files_of<'a>(files: impl IntoIterator<Item = (&'a str, usize)>) -> Self {
        let mut next = 0;
        let starts = files.into_iter().map(|(name, rows)| {
            let start = next;
            next += rows as u64;
            (start, name.to_owned())
        });
        Self { files: starts.collect() }
    }

    /// File and row in it of row `row`.
    #[must_use]
    pub fn locate(&self, row: u64) -> (&str, u64) {
        let after = self.files.partition_point(|(start, _)| *start <= row);
        match after.checked_sub(1).and_then(|at| self.files.get(at)) {
            Some((start, name)) => (name, row - start),
            None => ("", row),
        }
    }

    /// The names of the files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(_, name)| name.as_str())
    }
}

impl From<&str> for Origin {
    fn from(name: &str) -> Self {
        Self::file(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_their_files() {
        let origin = Origin::files_of([("a", 2), ("empty", 0), ("b", 3)]);
        assert_eq!(origin.locate(0), ("a", 0));
        assert_eq!(origin.locate(1), ("a", 1));
        assert_eq!(origin.locate(2), ("b", 0));
        assert_eq!(origin.locate(4), ("b", 2));
        assert_eq!(Origin::files_of([]).locate(7), ("", 7));
    }
}
