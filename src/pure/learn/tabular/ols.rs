//! Ordinary least squares that reaches the digits which the data allow.
//!
//! Householder's QR (Golub and Van Loan, Matrix Computations, 5.3) in numbers of twice the precision. In plain doubles a
//! condition number of 1e10, as polynomials have it, takes ten of sixteen digits from the standard errors.

use crate::stats::double::Double;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What is left of a column beyond those before it, relative to its length, below which it repeats them: the doubles
/// that hold the data are no more precise.
const COLLINEAR: f64 = 1e-14;

/// A coefficient, and how well it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coefficient {
    /// `(intercept)`, a feature, or `feature=word`.
    pub name: String,
    /// Least-squares estimate.
    pub value: f64,
    /// Its standard error; NaN where no degree of freedom is left.
    pub std_error: f64,
    /// Of the hypothesis that it is 0 (two-sided, Student's t).
    pub p_value: f64,
}

/// A fitted plane and the usual figures about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ols {
    /// In the order of the design's columns; those that repeat others are left out.
    pub coefficients: Vec<Coefficient>,
    /// Columns that are combinations of those before them: they have no coefficient.
    pub collinear: Vec<String>,
    /// Rows.
    pub n: u64,
    /// Rows less coefficients.
    pub degrees_of_freedom: u64,
    /// √(residual sum of squares / degrees of freedom).
    pub residual_std: f64,
    /// Share of the variation that is explained; of the variation around zero where there is no intercept.
    pub r_squared: f64,
    /// Positions of `coefficients` in the design.
    columns: Vec<usize>,
}

/// Why no plane could be fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OlsError {
    /// Fewer rows than coefficients.
    #[error("{got} rows can't determine {needed} coefficients")]
    NotEnoughRows {
        /// Columns that don't repeat others.
        needed: usize,
        /// Rows.
        got: usize,
    },
    /// Some value is infinite or NaN.
    #[error("some value is not finite")]
    NotFinite,
}

/// Columns of a design and their names: `columns` are (n_columns) of (n_rows,).
#[derive(Debug, Clone, Default)]
pub struct Plane {
    /// One a column.
    pub names: Vec<String>,
    /// Column by column.
    pub columns: Vec<Vec<f64>>,
    /// Whether a constant is among the columns, so that R² is around the mean.
    pub has_intercept: bool,
}

impl Plane {
    /// Fits `y`: (n_rows,).
    ///
    /// # Errors
    /// [`OlsError`] where values are not finite or rows too few.
    pub fn fit(&self, y: &[f64]) -> Result<Ols, OlsError> {
        if self.columns.iter().flatten().chain(y).any(|value| !value.is_finite()) {
            return Err(OlsError::NotFinite);
        }
        let triangle = Triangle::of(&self.columns, y);
        let (n, p) = (y.len(), triangle.kept.len());
        if n < p {
            return Err(OlsError::NotEnoughRows { needed: p, got: n });
        }
        let freedom = n - p;
        let left = Double::from(triangle.rest_of_squares.value());
        let variance = if freedom == 0 { f64::NAN } else { (left / count(freedom).into()).value() };
        let named = triangle.kept.iter().zip(triangle.solution()).zip(triangle.inverse_row_norms());
        let coefficients = named
            .map(|((&at, value), norm)| {
                let name = self.names.get(at).cloned().unwrap_or_default();
                let std_error = norm * variance.sqrt();
                Coefficient { name, value, std_error, p_value: two_sided(value / std_error, freedom) }
            })
            .collect();
        let total = self.total(y);
        Ok(Ols {
            coefficients,
            collinear: triangle.dropped.iter().filter_map(|&at| self.names.get(at).cloned()).collect(),
            n: n as u64,
            degrees_of_freedom: freedom as u64,
            residual_std: variance.sqrt(),
            r_squared: (Double::from(1.0) - left / total).value(),
            columns: triangle.kept,
        })
    }

    /// The variation of `y`: around its mean where there is an intercept, else around zero.
    fn total(&self, y: &[f64]) -> Double {
        let sum: Double = y.iter().copied().map(Double::from).sum();
        let centre = if self.has_intercept { sum / count(y.len()).into() } else { Double::ZERO };
        y.iter().map(|&value| Double::from(value) - centre).map(|d| d * d).sum()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

fn two_sided(t: f64, freedom: usize) -> f64 {
    let student = StudentsT::new(0.0, 1.0, count(freedom));
    student.map_or(f64::NAN, |student| if t.is_nan() { f64::NAN } else { 2.0 * student.sf(t.abs()) })
}

impl Ols {
    /// The value at a row of the design it was fitted with.
    #[must_use]
    pub fn at(&self, row: &[f64]) -> f64 {
        let terms = self.columns.iter().zip(&self.coefficients);
        terms.map(|(&at, c)| Double::product(c.value, row.get(at).copied().unwrap_or_default())).sum::<Double>().value()
    }
}

/// R of the design, Qᵀy, and what is left of y. In here all of `r`'s columns have `kept.len()` entries or their own
/// number and one; positions run over these.
struct Triangle {
    /// Columns of R: the k-th holds k + 1 entries.
    r: Vec<Vec<Double>>,
    /// (n_kept,)
    projected: Vec<Double>,
    rest_of_squares: Double,
    kept: Vec<usize>,
    dropped: Vec<usize>,
}

impl Triangle {
    fn of(columns: &[Vec<f64>], y: &[f64]) -> Self {
        let mut rest: Vec<Double> = y.iter().copied().map(Double::from).collect();
        let mut reflectors: Vec<Vec<Double>> = Vec::new();
        let mut out = Self {
            r: Vec::new(),
            projected: Vec::new(),
            rest_of_squares: Double::ZERO,
            kept: Vec::new(),
            dropped: Vec::new(),
        };
        for (at, column) in columns.iter().enumerate() {
            let mut column: Vec<Double> = column.iter().copied().map(Double::from).collect();
            let length = norm(&column).value();
            for (skip, reflector) in reflectors.iter().enumerate() {
                reflect(reflector, column.get_mut(skip..).unwrap_or_default());
            }
            let done = reflectors.len();
            let below = column.get(done..).unwrap_or_default();
            let left = norm(below);
            let determined = left.value() > COLLINEAR * length;
            // A column that rows are missing for is counted all the same: the caller says how many rows are needed.
            if !determined && done < y.len() || length <= 0.0 {
                out.dropped.push(at);
                continue;
            }
            out.kept.push(at);
            if done >= y.len() {
                continue;
            }
            let (reflector, corner) = reflector(below, left);
            reflect(&reflector, rest.get_mut(done..).unwrap_or_default());
            column.truncate(done);
            column.push(corner);
            out.r.push(column);
            reflectors.push(reflector);
        }
        let p = out.r.len();
        out.projected = rest.get(..p).unwrap_or_default().to_vec();
        out.rest_of_squares = rest.get(p..).unwrap_or_default().iter().map(|&v| v * v).sum();
        out
    }

    /// R x = Qᵀy from below.
    fn solution(&self) -> Vec<f64> {
        back_substituted(&self.r, self.projected.clone()).into_iter().map(Double::value).collect()
    }

    /// Lengths of the rows of R⁻¹: standard errors over the residual standard deviation.
    fn inverse_row_norms(&self) -> Vec<f64> {
        let p = self.r.len();
        let mut squares = vec![Double::ZERO; p];
        for unit in 0..p {
            let right = (0..=unit).map(|k| Double::from(f64::from(u8::from(k == unit)))).collect();
            let column = back_substituted(self.r.get(..=unit).unwrap_or_default(), right);
            squares.iter_mut().zip(column).for_each(|(sum, v)| *sum = *sum + v * v);
        }
        squares.into_iter().map(|sum| sum.sqrt().value()).collect()
    }
}

fn back_substituted(r: &[Vec<Double>], mut x: Vec<Double>) -> Vec<Double> {
    for (k, column) in r.iter().enumerate().rev() {
        let (Some(&corner), Some(&right)) = (column.get(k), x.get(k)) else { continue };
        let value = right / corner;
        x.iter_mut().zip(column).take(k).for_each(|(x, &above)| *x = *x - above * value);
        if let Some(x) = x.get_mut(k) {
            *x = value;
        }
    }
    x
}

fn norm(values: &[Double]) -> Double {
    values.iter().map(|&v| v * v).sum::<Double>().sqrt()
}

/// The unit vector whose reflection takes `column` (of the given length) to a multiple of the first axis, and that
/// multiple.
fn reflector(column: &[Double], length: Double) -> (Vec<Double>, Double) {
    let mut reflector = column.to_vec();
    let first = column.first().copied().unwrap_or(Double::ZERO);
    let corner = if first.is_negative() { length } else { -length };
    if let Some(v) = reflector.first_mut() {
        *v = *v - corner;
    }
    let scale = norm(&reflector);
    if scale.value() > 0.0 {
        reflector.iter_mut().for_each(|v| *v = *v / scale);
    }
    (reflector, corner)
}

fn reflect(reflector: &[Double], column: &mut [Double]) {
    let along: Double = reflector.iter().zip(&*column).map(|(&r, &c)| r * c).sum();
    let twice = along + along;
    column.iter_mut().zip(reflector).for_each(|(c, &r)| *c = *c - twice * r);
}

#[cfg(test)]
#[path = "ols_tests.rs"]
mod tests;
