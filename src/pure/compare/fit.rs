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

    /// What `coefficients`, one a column, give for an execution.
    fn at(self, coefficients: &[f64], execution: &Execution) -> f64 {
        self.row(execution).iter().map(|(column, x)| coefficients.get(*column).copied().unwrap_or(0.0) * x).sum()
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
        let design = Design::of(&executions, shape);
        let freedom = executions.len().checked_sub(design.rank).filter(|freedom| *freedom > 0)?;
        let mut coefficients = design.coefficients(&executions, executions.iter().map(|e| e.log_measure));
        let mut residuals = Vec::new();
        for _ in 0..ROUNDS {
            let fitted: Vec<f64> = executions.iter().map(|e| shape.at(&coefficients, e)).collect();
            residuals = executions.iter().zip(&fitted).map(|(e, fitted)| e.log_measure - fitted).collect::<Vec<_>>();
            let limit = CLIP_SIGMAS * robust_sigma(&residuals);
            residuals.iter_mut().for_each(|residual| *residual = residual.clamp(-limit, limit));
            // The held values are fitted + residual: fitting them moves the coefficients by the fit of the residuals.
            let moves = design.coefficients(&executions, residuals.iter().copied());
            for (residual, execution) in residuals.iter_mut().zip(&executions) {
                *residual -= shape.at(&moves, execution);
            }
            coefficients.iter_mut().zip(&moves).for_each(|(coefficient, step)| *coefficient += step);
        }
        let variance = residuals.iter().map(|r| r * r).sum::<f64>() / freedom as f64;
        Some(Self { shape, coefficients, inverse: design.inverse, variance, counts, executions, residuals })
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
            add(execution.cluster, self.shape.at(&direction, execution) * residual);
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

/// The generalised inverse of the normal equations, by sweeping (Goodnight 1979); columns that tell nothing of their own
/// stay at zero.
struct Design {
    shape: Shape,
    inverse: Vec<f64>,
    rank: usize,
}

impl Design {
    fn of(executions: &[Execution], shape: Shape) -> Self {
        let columns = shape.columns();
        let mut table = vec![0.0; columns * columns];
        // Every column number is below `columns` by the making of `Shape::row`, every index below its square.
        for execution in executions {
            let row = shape.row(execution);
            for &(i, x) in &row {
                for &(j, y) in &row {
                    table[i * columns + j] += x * y;
                }
            }
        }
        let sizes: Vec<f64> = (0..columns).map(|k| table[k * columns + k]).collect();
        let told: Vec<bool> = (0..columns)
            .map(|k| {
                let tells = sizes[k] > 0.0 && table[k * columns + k] > ALIASED * sizes[k];
                if tells {
                    sweep(&mut table, columns, k);
                }
                tells
            })
            .collect();
        for (ij, entry) in table.iter_mut().enumerate() {
            if !(told[ij / columns] && told[ij % columns]) {
                *entry = 0.0;
            }
        }
        Self { shape, inverse: table, rank: told.iter().filter(|told| **told).count() }
    }

    /// Least squares.
    fn coefficients(&self, executions: &[Execution], targets: impl Iterator<Item = f64>) -> Vec<f64> {
        let columns = self.shape.columns();
        let mut moments = vec![0.0; columns];
        for (execution, target) in executions.iter().zip(targets) {
            for (column, x) in self.shape.row(execution) {
                moments[column] += x * target;
            }
        }
        let product = |row: &[f64]| row.iter().zip(&moments).map(|(x, y)| x * y).sum();
        self.inverse.chunks_exact(columns).map(product).collect()
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
fn robust_sigma(residuals: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    if sizes.is_empty() {
        return f64::INFINITY;
    }
    let middle = sizes.len() / 2;
    let (_, &mut median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    // Rounding leaves residuals of equal values a little off zero.
    if median > 1e-12 { MAD_TO_SIGMA * median } else { f64::INFINITY }
}
