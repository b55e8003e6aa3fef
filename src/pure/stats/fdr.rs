//! Many tests at once.

/// The largest significance that may count as a discovery when `p_values`, and `n_tests` tests in all, share a false
/// discovery rate of `rate`; 0 where none may.
///
/// Benjamini and Hochberg, JRSS B 57 (1995); valid for independent and positively dependent tests. Tests without a
/// listed p-value count as p = 1.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn benjamini_hochberg(p_values: &[f64], n_tests: usize, rate: f64) -> f64 {
    let mut sorted: Vec<f64> = p_values.iter().copied().filter(|p| !p.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let n_tests = n_tests.max(sorted.len()) as f64;
    let limit = |rank: usize| rate * rank as f64 / n_tests;
    sorted.iter().enumerate().rev().find(|&(idx, &p)| p <= limit(idx + 1)).map_or(0.0, |(_, &p)| p)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of Benjamini and Hochberg (1995), §3.2: 15 p-values, q = 0.05, four rejected.
    #[test]
    fn rejects_as_in_the_paper() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0,
        ];
        assert!((benjamini_hochberg(&p, 15, 0.05) - 0.0095).abs() < 1e-12);
        assert!((benjamini_hochberg(&p, 1500, 0.05) - 0.0).abs() < 1e-12, "more silent tests, fewer discoveries");
    }

    #[test]
    fn nothing_tested_nothing_found() {
        assert!(benjamini_hochberg(&[], 0, 0.05).abs() < f64::EPSILON);
        assert!(benjamini_hochberg(&[f64::NAN], 1, 0.05).abs() < f64::EPSILON);
    }
}
