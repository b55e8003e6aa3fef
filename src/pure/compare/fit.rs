//! One step: a robust regression of the logarithm on the compared value, the size and the other dimension.

/// Residuals beyond this many robust sigmas are held to it.
const CLIP_SIGMAS: f64 = 3.0;
/// Rounds of fitting and holding; the second settles what the first one's outliers tilted.
const ROUNDS: usize = 2;
/// Makes the median absolute deviation of normal noise its standard deviation.
const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;
/// A column of which less than this share is left after the columns before it tells nothing of its own.
const ALIASED: f64 = 1e-9;

/// One execution of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Execution {
    /// Number of the compared value.
    pub(super) value: usize,
    /// Number of the other dimension's value.
    pub(super) other: usize,
    /// Logarithm of the input's size, centred; 0 where sizes are not known.
    pub(super) size: f64,
    pub(super) log_measure: f64,
    /// Number of the cluster.
    pub(super) cluster: usize,
}

/// How many values each dimension has. Columns: one, values from 1 on, size, others from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) values: usize,
    pub(super) others: usize,
}

impl Shape {
    fn columns(self) -> usize {
        self.values + self.others
    }

    /// The four entries of an execution's row; value 0 is told by the absence of the others.
    fn row(self, execution: &Execution) -> [(usize, f64); 4] {
        let told = |number: usize| if number > 0 { 1.0 } else { 0.0 };
        [
            (0, 1.0),
            (execution.value, told(execution.value)),
            (self.values, execution.size),
            (if execution.other > 0 { self.values + execution.other } else { 0 }, told(execution.other)),
        ]
    }
}

/// A fitted step. Contrasts of the compared values are estimable wherever both have executions, since their columns
/// come before those of the size and the other dimension.
#[derive(Debug, Clone)]
pub(super) struct StepFit {
    shape: Shape,
    coefficients: Vec<f64>,
    /// Generalised inverse of XᵀX, (n_columns, n_columns).
    inverse: Vec<f64>,
    /// Variance of the held residuals.
    variance: f64,
    /// Executions by value.
    pub(super) counts: Vec<u64>,
    executions: Vec<Execution>,
    /// Held residuals, one per execution.
    residuals: Vec<f64>,
}

impl StepFit {
    /// None without more executions than columns can take up.
    pub(super) fn of(executions: Vec<Execution>, shape: Shape) -> Option<Self> {
        let mut counts = vec![0; shape.values];
        for execution in &executions {
            *counts.get_mut(execution.value)? += 1;
        }
        let mut held: Vec<f64> = executions.iter().map(|e| e.log_measure).collect();
        let mut fit = Solution::of(&executions, &held, shape);
        for _ in 0..ROUNDS {
            let fitted: Vec<f64> = executions.iter().map(|e| fit.at(e, shape)).collect();
            let limit = CLIP_SIGMAS * robust_sigma(executions.iter().zip(&fitted).map(|(e, f)| e.log_measure - f));
            for ((held, fitted), execution) in held.iter_mut().zip(&fitted).zip(&executions) {
                *held = fitted + (execution.log_measure - fitted).clamp(-limit, limit);
            }
            fit = Solution::of(&executions, &held, shape);
        }
        let freedom = executions.len().checked_sub(fit.rank).filter(|freedom| *freedom > 0)?;
        let residuals: Vec<f64> = executions.iter().zip(&held).map(|(e, held)| held - fit.at(e, shape)).collect();
        let variance = residuals.iter().map(|r| r * r).sum::<f64>() / freedom as f64;
        let Solution { coefficients, inverse, .. } = fit;
        Some(Self { shape, coefficients, inverse, variance, counts, executions, residuals })
    }

    /// Log ratio of value `b` over value `a`, and its variance if executions were independent.
    pub(super) fn contrast(&self, a: usize, b: usize) -> (f64, f64) {
        let direction = self.direction(a, b);
        let estimate = self.coefficient(b) - self.coefficient(a);
        let at = |column: usize| if column > 0 { direction.get(column).copied().unwrap_or(0.0) } else { 0.0 };
        (estimate, self.variance * (at(b) - at(a)).max(0.0))
    }

    /// Calls `add(cluster, influence)` for each execution: its part in the contrast's error.
    pub(super) fn influences(&self, a: usize, b: usize, mut add: impl FnMut(usize, f64)) {
        let direction = self.direction(a, b);
        for (execution, residual) in self.executions.iter().zip(&self.residuals) {
            let row = self.shape.row(execution);
            let leverage: f64 = row.iter().map(|(column, x)| direction.get(*column).copied().unwrap_or(0.0) * x).sum();
            add(execution.cluster, leverage * residual);
        }
    }

    /// Row of `b` less row of `a` in the inverse; value 0 has no column, so no row.
    fn direction(&self, a: usize, b: usize) -> Vec<f64> {
        let columns = self.shape.columns();
        let row = |value: usize| if value > 0 { self.inverse.chunks_exact(columns).nth(value) } else { None };
        let mut direction = row(b).map_or_else(|| vec![0.0; columns], <[f64]>::to_vec);
        for (sum, x) in direction.iter_mut().zip(row(a).unwrap_or_default()) {
            *sum -= x;
        }
        direction
    }

    fn coefficient(&self, value: usize) -> f64 {
        if value > 0 { self.coefficients.get(value).copied().unwrap_or(0.0) } else { 0.0 }
    }
}

/// Least squares by sweeping the normal equations (Goodnight 1979); columns that tell nothing of their own stay at zero.
struct Solution {
    coefficients: Vec<f64>,
    inverse: Vec<f64>,
    rank: usize,
}

impl Solution {
    fn of(executions: &[Execution], targets: &[f64], shape: Shape) -> Self {
        let columns = shape.columns();
        let width = columns + 1;
        let mut table = vec![0.0; width * width];
        // Every column number is below `width` by the making of `Shape::row`, every index below `width²`.
        for (execution, target) in executions.iter().zip(targets) {
            let row = shape.row(execution);
            for &(i, x) in &row {
                for &(j, y) in &row {
                    table[i * width + j] += x * y;
                }
                table[i * width + columns] += x * target;
            }
        }
        let sizes: Vec<f64> = (0..columns).map(|k| table[k * width + k]).collect();
        let told: Vec<bool> = (0..columns)
            .map(|k| {
                let tells = sizes[k] > 0.0 && table[k * width + k] > ALIASED * sizes[k];
                if tells {
                    sweep(&mut table, width, k);
                }
                tells
            })
            .collect();
        let entry = |i: usize, j: usize| if told[i] && told[j] { table[i * width + j] } else { 0.0 };
        Self {
            coefficients: (0..columns).map(|i| if told[i] { table[i * width + columns] } else { 0.0 }).collect(),
            inverse: (0..columns * columns).map(|ij| entry(ij / columns, ij % columns)).collect(),
            rank: told.iter().filter(|told| **told).count(),
        }
    }

    fn at(&self, execution: &Execution, shape: Shape) -> f64 {
        let coefficient = |column: usize| self.coefficients.get(column).copied().unwrap_or(0.0);
        shape.row(execution).iter().map(|(column, x)| coefficient(*column) * x).sum()
    }
}

/// Sweeps column `k` of a square table of `width` rows; the pivot is not zero.
fn sweep(table: &mut [f64], width: usize, k: usize) {
    let pivot = table[k * width + k];
    let pivot_row: Vec<f64> = table[k * width..(k + 1) * width].iter().map(|x| x / pivot).collect();
    for (i, row) in table.chunks_exact_mut(width).enumerate() {
        let factor = row[k];
        if i == k {
            row.copy_from_slice(&pivot_row);
            row[k] = 1.0 / pivot;
        } else {
            row.iter_mut().zip(&pivot_row).for_each(|(x, p)| *x -= factor * p);
            row[k] = -factor / pivot;
        }
    }
}

/// Scaled median absolute deviation from zero; infinite where more than half are zero: nothing stands out then.
fn robust_sigma(residuals: impl Iterator<Item = f64>) -> f64 {
    let mut sizes: Vec<f64> = residuals.map(f64::abs).collect();
    if sizes.is_empty() {
        return f64::INFINITY;
    }
    let middle = sizes.len() / 2;
    let (_, &mut median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    // Rounding leaves residuals of equal values a little off zero.
    if median > 1e-12 { MAD_TO_SIGMA * median } else { f64::INFINITY }
}
