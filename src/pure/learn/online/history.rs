//! The latest executions of a group.

/// How many executions back the experts look. More made no difference where it was measured, and costs time.
pub(crate) const REACH: usize = 64;

/// The latest known executions of a group, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    places: Vec<f64>,
    /// (n, `n_numeric`) rows of features.
    numeric: Vec<f64>,
    /// (n, `n_categorical`) rows of codes.
    categorical: Vec<u32>,
}

impl History {
    /// Adds an execution: the place of its target and its features.
    pub(crate) fn push(&mut self, place: f64, numeric: &[f64], categorical: &[u32]) {
        // Twice the reach is kept before the older half goes, so that a push moves little.
        if self.places.len() == 2 * REACH {
            self.places.drain(..REACH);
            self.numeric.drain(..REACH * numeric.len());
            self.categorical.drain(..REACH * categorical.len());
        }
        self.places.push(place);
        self.numeric.extend_from_slice(numeric);
        self.categorical.extend_from_slice(categorical);
    }

    /// Number of executions within reach.
    pub(crate) fn len(&self) -> usize {
        self.places.len().min(REACH)
    }

    /// Targets within reach.
    pub(crate) fn places(&self) -> &[f64] {
        last(&self.places, self.len())
    }

    /// Rows of numeric features within reach.
    pub(crate) fn numeric(&self, width: usize) -> &[f64] {
        last(&self.numeric, self.len() * width)
    }

    /// Rows of categorical features within reach.
    pub(crate) fn categorical(&self, width: usize) -> &[u32] {
        last(&self.categorical, self.len() * width)
    }
}

fn last<T>(all: &[T], n: usize) -> &[T] {
    all.get(all.len().saturating_sub(n)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_are_kept_and_their_features_stay_with_them() {
        let mut history = History::default();
        for i in 0..1000_u32 {
            history.push(f64::from(i), &[f64::from(i) + 0.5, 1.0], &[i]);
            assert_eq!(history.len(), REACH.min(i as usize + 1));
            assert!((history.places().last().copied().unwrap_or_default() - f64::from(i)).abs() < 1e-12);
        }
        let numeric = history.numeric(2);
        assert_eq!((numeric.len(), history.categorical(1).len()), (2 * REACH, REACH));
        assert!((numeric[0] - history.places()[0] - 0.5).abs() < 1e-12);
        assert!((f64::from(history.categorical(1)[0]) - history.places()[0]).abs() < 1e-12);
    }
}
