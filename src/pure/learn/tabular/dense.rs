//! Small dense systems with a symmetric positive definite matrix.
//!
//! Matrices are row-major, n × n, of which the lower triangle counts. All slices of rows below lie inside n × n by
//! construction: `of` refuses any other length.

/// L of A = L Lᵀ.
#[derive(Debug, Clone)]
pub(super) struct Cholesky {
    n: usize,
    lower: Vec<f64>,
}

/// Sum of products, over the shorter one.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 =
        if a.len() == b.len() { a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum() } else { 0.0 };
    if a.len() != b.len() {
        return a.iter().zip(b).map(|(x, y)| x * y).sum();
    }
    let mut sums = [0.0; 4];
    for (x, y) in a4.zip(b4) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

impl Cholesky {
    /// None where the matrix is not n × n, or not positive definite.
    pub(super) fn of(mut matrix: Vec<f64>, n: usize) -> Option<Self> {
        if matrix.len() != n * n {
            return None;
        }
        for i in 0..n {
            let (done, rest) = matrix.split_at_mut(i * n);
            let row = &mut rest[..n];
            for (j, above) in done.chunks_exact(n).enumerate() {
                row[j] = (row[j] - dot(&row[..j], &above[..j])) / above[j];
            }
            let corner = row[i] - dot(&row[..i], &row[..i]);
            if corner.is_nan() || corner <= 0.0 {
                return None;
            }
            row[i] = corner.sqrt();
        }
        Some(Self { n, lower: matrix })
    }

    fn rows(&self) -> impl DoubleEndedIterator<Item = (usize, &[f64])> + ExactSizeIterator {
        self.lower.chunks_exact(self.n.max(1)).enumerate()
    }

    /// L⁻¹ b, in place; b: (n,).
    pub(super) fn forward(&self, b: &mut [f64]) {
        for (i, row) in self.rows() {
            let (done, rest) = b.split_at_mut(i);
            if let Some(value) = rest.first_mut() {
                *value = (*value - dot(&row[..i], done)) / row[i];
            }
        }
    }

    /// A⁻¹ b, in place; b: (n,).
    pub(super) fn solve(&self, b: &mut [f64]) {
        self.forward(b);
        for (i, row) in self.rows().rev() {
            let (before, rest) = b.split_at_mut(i);
            let Some(value) = rest.first_mut() else { continue };
            *value /= row[i];
            let value = *value;
            before.iter_mut().zip(row).for_each(|(b, l)| *b -= l * value);
        }
    }

    /// ln det A.
    pub(super) fn log_determinant(&self) -> f64 {
        2.0 * self.rows().map(|(i, row)| row[i].ln()).sum::<f64>()
    }

    /// The diagonal of A⁻¹: (n,).
    pub(super) fn inverse_diagonal(&self) -> Vec<f64> {
        let n = self.n;
        let mut column = vec![0.0; n];
        let of = |k: usize| {
            // The k-th column of L⁻¹, of which nothing lies above k.
            column[k] = 1.0 / self.lower[k * n + k];
            for (i, row) in self.rows().skip(k + 1) {
                column[i] = -dot(&row[k..i], &column[k..i]) / row[i];
            }
            dot(&column[k..], &column[k..])
        };
        (0..n).map(of).collect()
    }

    /// A⁻¹, all of it, row-major.
    pub(super) fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        // Columns of L⁻¹ as rows: the k-th starts at k.
        let mut inverse_lower = vec![0.0; n * n];
        for (k, column) in inverse_lower.chunks_exact_mut(n.max(1)).enumerate() {
            column[k] = 1.0;
            for (i, row) in self.rows().skip(k) {
                let sum = dot(&row[k..i], &column[k..i]);
                column[i] = (if i == k { 1.0 } else { 0.0 } - sum) / row[i];
            }
        }
        let mut inverse = vec![0.0; n * n];
        for (i, a) in inverse_lower.chunks_exact(n.max(1)).enumerate() {
            for (j, b) in inverse_lower.chunks_exact(n.max(1)).enumerate().take(i + 1) {
                let value = dot(&a[i..], &b[i..]);
                inverse[i * n + j] = value;
                inverse[j * n + i] = value;
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_known_system_is_solved() {
        let matrix = vec![4.0, 0.0, 0.0, 2.0, 5.0, 0.0, 0.6, 1.0, 3.0];
        let cholesky = Cholesky::of(matrix, 3).unwrap();
        let mut x = vec![4.0 + 4.0 + 1.8, 2.0 + 10.0 + 3.0, 0.6 + 2.0 + 9.0];
        cholesky.solve(&mut x);
        assert!(x.iter().zip([1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{x:?}");
        let full = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let inverse = cholesky.inverse();
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = (0..3).map(|k| full[i * 3 + k] * inverse[k * 3 + j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        assert!((cholesky.log_determinant() - 45.0_f64.ln()).abs() < 0.2);
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        assert!(Cholesky::of(vec![1.0, 0.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::of(vec![f64::NAN], 1).is_none());
        assert!(Cholesky::of(vec![1.0], 2).is_none());
        assert!(Cholesky::of(Vec::new(), 0).unwrap().inverse().is_empty());
    }
}
