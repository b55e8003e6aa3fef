//! Whether intervals hold what they promise.

use super::ModelScore;
use crate::stats::dist::binomial_cdf;

/// Probability left on either side of the band: one promise in a hundred that is kept looks broken by chance.
const TAIL: f64 = 0.005;
/// A share of misses that is within this share of the promised one is no matter of concern: with millions of values
/// chance explains nothing, and 0.905 in the place of 0.9 would be an alert.
const TOLERATED: f64 = 0.1;

/// How realised coverage stands to its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoverageState {
    /// Within its band.
    Held,
    /// Below it: intervals are too narrow.
    Low,
    /// Above it: they are wider than needed.
    High,
}

impl CoverageState {
    /// As it is published.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

/// The state of a score; none where its model gives no interval.
#[must_use]
pub fn coverage_state(score: &ModelScore) -> Option<CoverageState> {
    state(score.coverage, score.n, score.level)
}

/// Holds the number of covered values against the binomial distribution with the nominal coverage, with room for a
/// tenth more or fewer misses. `coverage` and `level` are 0-1; none for NaN and without values.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count, far below 2^53"
)]
fn state(coverage: f64, n: u64, level: f64) -> Option<CoverageState> {
    let is_known = n > 0 && (0.0..=1.0).contains(&coverage) && level > 0.0 && level < 1.0;
    if !is_known {
        return None;
    }
    let covered = ((coverage * n as f64).round() as u64).min(n);
    let slack = TOLERATED * (1.0 - level);
    let at_most = binomial_cdf(covered, n, level - slack);
    let at_least = if covered == 0 { 1.0 } else { 1.0 - binomial_cdf(covered - 1, n, level + slack) };
    Some(match (at_most <= TAIL, at_least <= TAIL) {
        (true, _) => CoverageState::Low,
        (_, true) => CoverageState::High,
        _ => CoverageState::Held,
    })
}

#[cfg(test)]
mod tests {
    use super::CoverageState::{Held, High, Low};
    use super::*;

    // scipy 1.17.1: binom.cdf(80, 100, .89) = 0.00587, binom.cdf(79, 100, .89) = 0.00265;
    // binom.sf(96, 100, .91) = 0.01730, binom.sf(97, 100, .91) = 0.00476
    #[test]
    fn the_band_is_that_of_the_binomial() {
        assert_eq!(state(0.80, 100, 0.9), Some(Held));
        assert_eq!(state(0.79, 100, 0.9), Some(Low));
        assert_eq!(state(0.97, 100, 0.9), Some(Held));
        assert_eq!(state(0.98, 100, 0.9), Some(High));
    }

    #[test]
    fn few_values_accuse_nobody_and_many_do_not_split_hairs() {
        assert_eq!(state(0.0, 2, 0.9), Some(Held), "two misses of two happen once in a hundred");
        assert_eq!(state(0.0, 3, 0.9), Some(Low));
        assert_eq!(state(1.0, 40, 0.9), Some(Held));
        assert_eq!(state(0.905, 1_000_000, 0.9), Some(Held));
        assert_eq!(state(0.88, 1_000_000, 0.9), Some(Low));
        assert_eq!(state(0.92, 1_000_000, 0.9), Some(High));
    }

    #[test]
    fn no_interval_has_no_state() {
        assert_eq!(state(f64::NAN, 100, 0.9), None);
        assert_eq!(state(0.9, 0, 0.9), None);
        assert_eq!(state(0.9, 10, f64::NAN), None);
    }
}
