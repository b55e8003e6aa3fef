//! Small symmetric systems.

/// A pivot below this share of its diagonal says that its row depends on the rows before.
const DEPENDENT: f64 = 1e-12;

/// Solves `matrix · x = right` in place, `x` in `right`; `matrix` is (n, n), symmetric and not negative. An unknown
/// that the system does not determine becomes 0.
pub(crate) fn solve(matrix: &mut [f64], right: &mut [f64]) {
    let n = right.len();
    let at = |row: usize, column: usize| row * n + column;
    debug_assert_eq!(matrix.len(), n * n, "the matrix is square");
    // Gauss without pivoting is stable for such matrices. Indices stay below n by construction.
    let diagonal: Vec<f64> = (0..n).map(|i| matrix[at(i, i)]).collect();
    let mut free = vec![false; n];
    for k in 0..n {
        let pivot = matrix[at(k, k)];
        if !(pivot.is_finite() && pivot > DEPENDENT * diagonal[k] && pivot > 0.0) {
            free[k] = true;
            continue;
        }
        for row in k + 1..n {
            let factor = matrix[at(row, k)] / pivot;
            for column in k..n {
                matrix[at(row, column)] -= factor * matrix[at(k, column)];
            }
            right[row] -= factor * right[k];
        }
    }
    for k in (0..n).rev() {
        let rest: f64 = (k + 1..n).map(|column| matrix[at(k, column)] * right[column]).sum();
        right[k] = if free[k] { 0.0 } else { (right[k] - rest) / matrix[at(k, k)] };
    }
}

/// Diagonal of the inverse of a symmetric positive matrix; 0 for an unknown that the system does not determine.
pub(crate) fn inverse_diagonal<const N: usize>(matrix: &[[f64; N]; N]) -> [f64; N] {
    std::array::from_fn(|j| {
        let mut unit = [0.0; N];
        unit[j] = 1.0;
        solve(matrix.clone().as_flattened_mut(), &mut unit);
        unit[j]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved_and_a_dependent_row_is_free() {
        let mut right = [5.0, 10.0, 4.0];
        solve(&mut [4.0, 1.0, 0.0, 1.0, 3.0, 1.0, 0.0, 1.0, 2.0], &mut right);
        let expect = [0.5, 3.0, 0.5];
        assert!(right.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-12), "{right:?}");
        let mut right = [2.0, 4.0];
        solve(&mut [1.0, 2.0, 2.0, 4.0], &mut right);
        assert!((right[0] - 2.0).abs() < 1e-12 && right[1].abs() < 1e-300);
        solve(&mut [], &mut []);
        // numpy 2.3: diag(inv([[4, 1], [1, 3]])) = 3/11, 4/11
        let diagonal = inverse_diagonal(&[[4.0, 1.0], [1.0, 3.0]]);
        assert!((diagonal[0] - 3.0 / 11.0).abs() < 1e-12 && (diagonal[1] - 4.0 / 11.0).abs() < 1e-12);
    }
}
