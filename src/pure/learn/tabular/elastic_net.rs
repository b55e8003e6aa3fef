//! A linear model with few coefficients (Zou and Hastie 2005), by smartcore; one for all groups.

use super::basis::Basis;
use super::rows::Rows;
use crate::samples::UNKNOWN;
use serde::{Deserialize, Serialize};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::elastic_net::{ElasticNet as Solver, ElasticNetParameters};

/// Strengths of the penalty that are tried, in standard deviations of the outcome.
const PENALTIES: [f64; 4] = [0.001, 0.01, 0.03, 0.1];
/// Half lasso, half ridge.
const L1_RATIO: f64 = 0.5;
/// Rows that are learned from, spread evenly: more add no precision to a few dozen coefficients.
const MAX_ROWS: usize = 3000;
/// Every so many configurations one tells which penalty is best.
const HELD_OUT: u32 = 5;

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ElasticNet {
    basis: Basis,
    intercept: f64,
    coefficients: Vec<f64>,
    /// The penalty that was chosen.
    pub(super) penalty: f64,
}

/// The group is a category like any other here.
fn with_group(rows: &Rows) -> Rows {
    let mut rows = rows.clone();
    if rows.n_groups > 1 {
        rows.codes.push(rows.group.clone());
        rows.n_words.push(rows.n_groups);
    }
    rows
}

impl ElasticNet {
    /// Fits `y`: (n_rows,), finite. None where the solver finds nothing.
    pub(super) fn fit(rows: &Rows, y: &[f64], configurations: &[u32]) -> Option<Self> {
        let rows = with_group(rows);
        let basis = Basis::of(&rows, true);
        let stride = rows.n.div_ceil(MAX_ROWS).max(1);
        let all: Vec<u32> = (0..).zip(y).map(|(row, _)| row).step_by(stride).collect();
        let is_held = |row: &u32| configurations.get(*row as usize).copied().unwrap_or(UNKNOWN) % HELD_OUT == 0;
        let (held, kept): (Vec<u32>, Vec<u32>) = all.iter().partition(|row| is_held(row));
        let error = |penalty: f64| {
            let fitted = Self::with_penalty(&rows, y, &basis, &kept, penalty)?;
            let predicted = fitted.values(&rows.take(&held));
            let actual = held.iter().filter_map(|&row| y.get(row as usize));
            Some(predicted.iter().zip(actual).map(|(p, y)| (p - y).abs()).sum::<f64>())
        };
        let tried = PENALTIES.iter().filter_map(|&penalty| Some((penalty, error(penalty)?)));
        let (penalty, _) = tried.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Self::with_penalty(&rows, y, &basis, &all, penalty)
    }

    fn with_penalty(rows: &Rows, y: &[f64], basis: &Basis, picked: &[u32], penalty: f64) -> Option<Self> {
        // Kept inside: in scope of the file this trait would shadow the `get` of every vector.
        use smartcore::linalg::basic::arrays::Array;
        let outcomes: Vec<f64> = picked.iter().filter_map(|&row| y.get(row as usize)).copied().collect();
        let (n, p) = (outcomes.len(), basis.n_columns());
        let spread = spread(&outcomes);
        if p == 0 || n <= p || spread <= 0.0 {
            return None;
        }
        let mut cells = vec![0.0; n * p];
        let mut columns = Vec::new();
        for (&row, cells) in picked.iter().zip(cells.chunks_exact_mut(p)) {
            basis.fill(rows, row as usize, &mut columns);
            for &(column, value) in &columns {
                if let Some(cell) = cells.get_mut(column) {
                    *cell = value;
                }
            }
        }
        let x = DenseMatrix::new(n, p, cells, false).ok()?;
        let parameters = ElasticNetParameters {
            alpha: penalty * spread,
            l1_ratio: L1_RATIO,
            normalize: false,
            ..ElasticNetParameters::default()
        };
        let solved = Solver::fit(&x, &outcomes, parameters).ok()?;
        let coefficients: Vec<f64> = solved.coefficients().iterator(0).copied().collect();
        let intercept = *solved.intercept();
        let is_finite = intercept.is_finite() && coefficients.iter().all(|c| c.is_finite());
        is_finite.then(|| Self { basis: basis.clone(), intercept, coefficients, penalty })
    }

    fn values(&self, rows: &Rows) -> Vec<f64> {
        let mut columns = Vec::new();
        (0..rows.n)
            .map(|row| {
                self.basis.fill(rows, row, &mut columns);
                let terms = columns.iter().filter_map(|&(column, value)| Some(self.coefficients.get(column)? * value));
                self.intercept + terms.sum::<f64>()
            })
            .collect()
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        self.values(&with_group(rows))
    }

    /// Names and values of the coefficients that are not 0.
    pub(super) fn named(&self, numbers: &[&str], categories: &[(&str, &[String])]) -> Vec<(String, f64)> {
        let named = self.basis.names(numbers, categories).into_iter().zip(self.coefficients.iter().copied());
        let first = ("(intercept)".to_owned(), self.intercept);
        std::iter::once(first).chain(named.filter(|(_, value)| value.abs() > 0.0)).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn spread(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}
