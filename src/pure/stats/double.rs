//! Numbers of twice the precision of a double: a sum of two, of which the second is below half a unit in the last place
//! of the first (Dekker 1971; Knuth, TAOCP 2, 4.2.2).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// About 31 decimal digits, in the range of a double.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Double {
    high: f64,
    low: f64,
}

impl Double {
    pub(crate) const ZERO: Self = Self { high: 0.0, low: 0.0 };

    /// The nearest double.
    pub(crate) fn value(self) -> f64 {
        self.high
    }

    /// Newton's step on the root of the high part doubles its digits.
    pub(crate) fn sqrt(self) -> Self {
        if self.high <= 0.0 {
            return Self::ZERO;
        }
        let root = self.high.sqrt();
        let rest = self - Self::product(root, root);
        two_sum(root, rest.high / (2.0 * root))
    }

    pub(crate) fn is_negative(self) -> bool {
        self.high < 0.0
    }

    /// The exact product of two doubles.
    pub(crate) fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }
}

/// The exact sum of two doubles.
fn two_sum(a: f64, b: f64) -> Double {
    let high = a + b;
    let from_b = high - a;
    Double { high, low: (a - (high - from_b)) + (b - from_b) }
}

impl From<f64> for Double {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Add for Double {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (sum, rest) = (two_sum(self.high, other.high), two_sum(self.low, other.low));
        let once = two_sum(sum.high, sum.low + rest.high);
        two_sum(once.high, once.low + rest.low)
    }
}

impl Neg for Double {
    type Output = Self;

    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Sub for Double {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Double {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        two_sum(product.high, product.low + self.high.mul_add(other.low, self.low * other.high))
    }
}

impl Div for Double {
    type Output = Self;

    /// Long division, a double at a time.
    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * first.into();
        let second = rest.high / other.high;
        let rest = rest - other * second.into();
        let quotient = two_sum(first, second);
        two_sum(quotient.high, quotient.low + rest.high / other.high)
    }
}

impl std::iter::Sum for Double {
    fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
        values.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "exact by construction")]
    use super::*;

    #[test]
    fn what_a_double_loses_is_kept() {
        let small = Double::from(1e-25);
        let one = Double::from(1.0);
        assert_eq!((one + small - one).value(), 1e-25);
        let third = one / Double::from(3.0);
        assert!((third * Double::from(3.0) - one).value().abs() < 1e-31);
        let root = Double::from(2.0).sqrt();
        assert!((root * root - Double::from(2.0)).value().abs() < 1e-30);
        assert_eq!((root.is_negative(), (-root).is_negative()), (false, true));
        assert_eq!(Double::from(-1.0).sqrt(), Double::ZERO);
        let sum: Double = [1e16, 1.0, -1e16].map(Double::from).into_iter().sum();
        assert_eq!(sum.value(), 1.0);
    }
}
