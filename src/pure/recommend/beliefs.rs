//! How likely proposals are to work: what the rules state, and what outcomes have taught since.
//!
//! A class is a kind with a category; a context is a type of workflows. The stated prior `m` of a class counts as
//! [`PRIOR_OUTCOMES`] outcomes. Of a context with `s` successes among `n` outcomes, where other contexts of the class had `S`
//! among `N`, the posterior is
//!
//! ```text
//! Beta(k p + s, k (1 − p) + n − s),  p = (4 m + S) / (4 + N),  k = min(4 + N, 10)
//! ```
//!
//! so a context learns from the others of its class as if it had seen ten outcomes of its own at most, and each outcome
//! counts once. Outcomes that are unclear do not count.

use super::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Outcomes that a stated prior counts for: a rule's word yields to a handful.
pub const PRIOR_OUTCOMES: f64 = 4.0;
/// Outcomes that what is known of other contexts counts for at most.
pub const CLASS_OUTCOMES: f64 = 10.0;

/// A distribution of a probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beta {
    /// Successes, the prior's among them.
    pub alpha: f64,
    /// Failures, likewise.
    pub beta: f64,
}

impl Beta {
    /// The expected probability.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }
}

/// Successes and outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    successes: f64,
    outcomes: f64,
}

/// What outcomes say of each class, context by context.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beliefs {
    classes: BTreeMap<(String, String), BTreeMap<Option<String>, Tally>>,
}

impl Beliefs {
    /// Takes in one outcome of a kind and category in a context, if that is known.
    pub fn learn(&mut self, kind: &str, category: &str, context: Option<&str>, success: bool) {
        let class = self.classes.entry((kind.to_owned(), category.to_owned())).or_default();
        let tally = class.entry(context.map(str::to_owned)).or_default();
        tally.successes += f64::from(u8::from(success));
        tally.outcomes += 1.0;
    }

    /// What is believed of proposals of a class in a context, whose rule states the probability `prior` (0-1).
    #[must_use]
    pub fn posterior(&self, kind: &str, category: &str, context: Option<&str>, prior: f64) -> Beta {
        let (mut own, mut others) = (Tally::default(), Tally::default());
        let class = self.classes.get(&(kind.to_owned(), category.to_owned()));
        for (of, tally) in class.into_iter().flatten() {
            // A context that is unknown is no other than any: what is known of it belongs to the class.
            let sum = if context.is_some() && of.as_deref() == context { &mut own } else { &mut others };
            sum.successes += tally.successes;
            sum.outcomes += tally.outcomes;
        }
        let weight = PRIOR_OUTCOMES + others.outcomes;
        let class = (PRIOR_OUTCOMES * prior + others.successes) / weight;
        let counted = weight.min(CLASS_OUTCOMES);
        Beta { alpha: counted * class + own.successes, beta: counted * (1.0 - class) + own.outcomes - own.successes }
    }
}

impl<'a> FromIterator<&'a Outcome> for Beliefs {
    fn from_iter<I: IntoIterator<Item = &'a Outcome>>(outcomes: I) -> Self {
        let mut beliefs = Self::default();
        for Outcome { applied, found } in outcomes {
            if let Some(success) = found.verdict.success() {
                beliefs.learn(&applied.kind, &applied.category, applied.workflow_type.as_deref(), success);
            }
        }
        beliefs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(outcomes: &[(Option<&str>, bool)]) -> Beliefs {
        let mut beliefs = Beliefs::default();
        outcomes.iter().for_each(|(context, success)| beliefs.learn("CACHING", "performance", *context, *success));
        beliefs
    }

    fn posterior(beliefs: &Beliefs, context: Option<&str>) -> (f64, f64) {
        let Beta { alpha, beta } = beliefs.posterior("CACHING", "performance", context, 0.7);
        (alpha, beta)
    }

    fn close(found: (f64, f64), expected: (f64, f64)) {
        assert!((found.0 - expected.0).abs() < 1e-12 && (found.1 - expected.1).abs() < 1e-12, "{found:?} {expected:?}");
    }

    #[test]
    fn without_outcomes_the_stated_prior_stands() {
        close(posterior(&Beliefs::default(), Some("etl")), (2.8, 1.2));
        assert!((of(&[]).posterior("CACHING", "performance", None, 0.7).mean() - 0.7).abs() < 1e-12);
        let others = of(&[(Some("etl"), false); 9]);
        assert!((others.posterior("CACHING", "cost", Some("etl"), 0.7).mean() - 0.7).abs() < 1e-12, "another class");
    }

    #[test]
    fn outcomes_of_one_context_are_added_to_the_prior() {
        let beliefs = of(&[(Some("etl"), false), (Some("etl"), false), (Some("etl"), true)]);
        close(posterior(&beliefs, Some("etl")), (2.8 + 1.0, 1.2 + 2.0));
    }

    #[test]
    fn a_context_is_shrunk_towards_the_others_of_its_class() {
        let mut outcomes = vec![(Some("etl"), false); 20];
        outcomes.extend([(Some("ml"), true); 3]);
        let beliefs = of(&outcomes);
        // p = 2.8 / 24, ten outcomes of it, and three successes.
        close(posterior(&beliefs, Some("ml")), (10.0 * 2.8 / 24.0 + 3.0, 10.0 * 21.2 / 24.0));
        // p = 5.8 / 7, seven outcomes of it, and twenty failures.
        close(posterior(&beliefs, Some("etl")), (5.8, 1.2 + 20.0));
        // p = 5.8 / 27 for a context that nobody has seen, and for one that nobody knows.
        for context in [Some("ci"), None] {
            close(posterior(&beliefs, context), (10.0 * 5.8 / 27.0, 10.0 * 21.2 / 27.0));
        }
    }

    #[test]
    fn order_does_not_matter() {
        let outcomes = [(Some("a"), true), (None, false), (Some("b"), true), (Some("a"), false)];
        let mut reversed = outcomes;
        reversed.reverse();
        assert_eq!(of(&outcomes), of(&reversed));
    }
}
