//! Sums, squares and cross-products of the units of an arm: all that a comparison of means sees of them.

use crate::stats::double::Double;

/// Counts, sums and cross-products of vectors, one vector a unit, in twice the precision of a double: a large offset costs
/// no digits, and merging in any order gives the same numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    n: u64,
    /// (dims,)
    sums: Vec<Double>,
    /// (dims · (dims + 1) / 2,): row by row of the lower triangle.
    products: Vec<Double>,
}

impl Moments {
    /// Nothing seen yet of vectors of `dims` numbers.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        Self { n: 0, sums: vec![Double::ZERO; dims], products: vec![Double::ZERO; dims * (dims + 1) / 2] }
    }

    /// From sums that were kept in doubles: `sums` (dims,), `products` the lower triangle row by row.
    #[must_use]
    pub fn of_sums(n: u64, sums: &[f64], products: &[f64]) -> Self {
        let exact = |values: &[f64]| values.iter().copied().map(Double::from).collect();
        Self { n, sums: exact(sums), products: exact(products) }
    }

    /// Takes in one unit; `unit`: (dims,).
    pub fn add(&mut self, unit: &[f64]) {
        self.n += 1;
        let mut cells = self.products.iter_mut();
        for (i, (sum, &value)) in self.sums.iter_mut().zip(unit).enumerate() {
            *sum = *sum + value.into();
            for (cell, &other) in cells.by_ref().take(i + 1).zip(unit) {
                *cell = *cell + Double::product(value, other);
            }
        }
    }

    /// Takes in all that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        let pairs = self.sums.iter_mut().zip(&other.sums);
        for (mine, &theirs) in pairs.chain(self.products.iter_mut().zip(&other.products)) {
            *mine = *mine + theirs;
        }
    }

    /// Units.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Numbers a unit.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.sums.len()
    }

    /// Mean of the `i`th number; NaN without units.
    #[must_use]
    pub fn mean(&self, i: usize) -> f64 {
        (self.sum(i) / self.count()).value()
    }

    /// Sum of the `i`th number.
    #[must_use]
    pub fn total(&self, i: usize) -> f64 {
        self.sum(i).value()
    }

    /// Σ (a − ā)(b − b̄) of the `i`th and `j`th numbers.
    #[must_use]
    pub fn scatter(&self, i: usize, j: usize) -> f64 {
        self.exact_scatter(i, j).value()
    }

    /// Covariance of the `i`th and `j`th numbers over units, with n − 1; NaN below two units.
    #[must_use]
    pub fn covariance(&self, i: usize, j: usize) -> f64 {
        if self.n < 2 {
            return f64::NAN;
        }
        let covariance = (self.exact_scatter(i, j) / (self.count() - 1.0.into())).value();
        if i == j { covariance.max(0.0) } else { covariance }
    }

    pub(super) fn exact_scatter(&self, i: usize, j: usize) -> Double {
        let (row, column) = (i.max(j), i.min(j));
        let product = self.products.get(row * (row + 1) / 2 + column).copied().unwrap_or(Double::from(f64::NAN));
        product - self.sum(i) * self.sum(j) / self.count()
    }

    fn sum(&self, i: usize) -> Double {
        self.sums.get(i).copied().unwrap_or(Double::from(f64::NAN))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn count(&self) -> Double {
        Double::from(self.n as f64)
    }
}

/// One-way analysis of variance of the `i`th number over arms: F, and its degrees of freedom between and within. None
/// below two arms with units, or without spread within them.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn anova<'a>(arms: impl IntoIterator<Item = &'a Moments>, i: usize) -> Option<(f64, f64, f64)> {
    let arms: Vec<&Moments> = arms.into_iter().filter(|arm| arm.n > 0).collect();
    let mut all = Moments::new(arms.first()?.dims());
    arms.iter().for_each(|arm| all.merge(arm));
    let between_df = (arms.len() - 1) as f64;
    let within_df = all.n as f64 - arms.len() as f64;
    let within: Double = arms.iter().map(|arm| arm.exact_scatter(i, i)).sum();
    let between = all.exact_scatter(i, i) - within;
    let f = (between / Double::from(between_df) / (within / Double::from(within_df))).value();
    (between_df > 0.0 && within_df > 0.0 && within.value() > 0.0).then_some((f, between_df, within_df))
}

/// Lag-1 autocorrelation of values in their order (NIST's definition: autocovariance over variance, one mean); NaN below
/// two values or without spread.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn lag1(values: &[f64]) -> f64 {
    let total: Double = values.iter().copied().map(Double::from).sum();
    let mean = total / Double::from(values.len() as f64);
    let off: Vec<Double> = values.iter().map(|&value| Double::from(value) - mean).collect();
    let spread: Double = off.iter().map(|&d| d * d).sum();
    let next: Double = off.iter().zip(off.iter().skip(1)).map(|(&a, &b)| a * b).sum();
    if spread.value() > 0.0 { (next / spread).value() } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(units: &[[f64; 2]]) -> Moments {
        let mut moments = Moments::new(2);
        units.iter().for_each(|unit| moments.add(unit));
        moments
    }

    #[test]
    fn merging_is_exact_in_any_order_and_an_offset_costs_nothing() {
        let units: Vec<[f64; 2]> = (0..300_i32).map(|i| [1e9 + f64::from(i % 7) * 0.1, f64::from(i)]).collect();
        let whole = of(&units);
        for cut in [0, 1, 100, 299, 300] {
            let mut merged = of(&units[cut..]);
            merged.merge(&of(&units[..cut]));
            assert_eq!(merged.n(), 300);
            for (i, j) in [(0, 0), (0, 1), (1, 1)] {
                let (one, other) = (merged.covariance(i, j), whole.covariance(i, j));
                assert!((one - other).abs() <= 1e-11 * other.abs(), "{one} {other}");
            }
        }
        let plain: Vec<[f64; 2]> = units.iter().map(|[a, b]| [a - 1e9, *b]).collect();
        assert!((whole.covariance(0, 0) / of(&plain).covariance(0, 0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_and_one_unit_have_no_spread() {
        assert!(of(&[]).mean(0).is_nan() && of(&[[1.0, 2.0]]).covariance(0, 0).is_nan());
        assert!(anova([&of(&[]), &of(&[[1.0, 2.0]])], 0).is_none() && anova([], 0).is_none());
        assert!(anova([&of(&[[1.0, 0.0]; 3]), &of(&[[2.0, 0.0]; 3])], 0).is_none(), "no spread within");
        assert!(lag1(&[]).is_nan() && lag1(&[3.0, 3.0]).is_nan());
        assert!((lag1(&[1.0, -1.0, 1.0, -1.0]) + 0.75).abs() < 1e-15);
    }
}
