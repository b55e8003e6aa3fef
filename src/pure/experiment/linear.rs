//! Means, ratios of sums and means adjusted for covariates, of arms that are independent, clustered, stratified or paired:
//! all of them functions of means, whose variance follows by the delta method.
//!
//! A unit is a vector `[y, x…]`, or `[y, d, e, x…]` where what stands for the arm is a ratio of sums Σy / Σd: a ratio
//! metric, or a mean over rows of clusters (then d = e = rows of the unit, which makes the variance cluster-robust; Deng,
//! Knoblich and Lu, KDD 2018). Covariates are Σx / Σe.

use super::moments::Moments;

/// What the numbers of a unit are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Whether units carry denominators.
    pub is_ratio: bool,
    /// How many covariates they carry.
    pub n_covariates: usize,
}

impl Layout {
    /// Numbers a unit.
    #[must_use]
    pub fn dims(self) -> usize {
        self.first_covariate() + self.n_covariates
    }

    fn first_covariate(self) -> usize {
        if self.is_ratio { 3 } else { 1 }
    }
}

/// The units of both arms in one stratum (all of them where there is but one).
#[derive(Debug, Clone, Copy)]
pub enum Stratum<'a> {
    /// No unit is in both arms.
    Apart {
        /// Units of the control.
        control: &'a Moments,
        /// Units of the arm.
        arm: &'a Moments,
    },
    /// Units are in both arms: vectors of the control's numbers and then the arm's, zeros where a unit is in one only.
    Joint(&'a Moments),
}

/// Control and difference to it, as far as the data say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The control's own estimate, without covariates (as GrowthBook takes it).
    pub control: f64,
    /// Arm − control.
    pub difference: f64,
    /// Variance of `difference`.
    pub variance: f64,
    /// Variance of `control`.
    pub control_variance: f64,
    /// Covariance of the two.
    pub covariance: f64,
    /// Satterthwaite's degrees of freedom of `variance`.
    pub freedom: f64,
    /// Units behind it.
    pub n: u64,
}

/// A function of means: its value and its derivatives by them.
struct Functional {
    value: f64,
    gradient: Vec<f64>,
}

/// Values of the estimate and of each covariate's mean, with the covariances of those values.
struct Values {
    values: Vec<f64>,
    covariances: Vec<Vec<f64>>,
    n: f64,
}

/// Compares an arm with the control. More than one stratum is post-stratified: differences within strata, weighted by the
/// units of both arms (Miratrix, Sekhon and Yu, JRSS B 75, 2013). Covariates are taken out by the regression of both arms
/// together, centred within strata (CUPED: Deng, Xu, Kohavi and Walker, WSDM 2013). None without units in both arms of
/// every stratum, or without a denominator.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn compare(strata: &[Stratum<'_>], layout: Layout) -> Option<Pair> {
    let theta = slopes(strata, layout)?;
    let total: f64 = strata.iter().map(|stratum| units(stratum) as f64).sum();
    let mut pair = Pair {
        control: 0.0,
        difference: 0.0,
        variance: 0.0,
        control_variance: 0.0,
        covariance: 0.0,
        freedom: 0.0,
        n: strata.iter().map(units).sum(),
    };
    let mut freedom = 0.0;
    for stratum in strata {
        let weight = units(stratum) as f64 / total;
        let one = within(stratum, layout, &theta)?;
        pair.control += weight * one.pair.control;
        pair.difference += weight * one.pair.difference;
        pair.variance += weight.powi(2) * one.pair.variance;
        pair.control_variance += weight.powi(2) * one.pair.control_variance;
        pair.covariance += weight.powi(2) * one.pair.covariance;
        freedom += weight.powi(4) * one.squares_by_freedom;
    }
    // Each covariate after the first costs a degree of freedom; the first is counted as reference implementations do.
    let spent = layout.n_covariates.saturating_sub(1) as f64;
    let correction = (total - 2.0) / (total - 2.0 - spent);
    pair.freedom = pair.variance.powi(2) / freedom;
    pair.variance *= correction;
    let is_known = pair.difference.is_finite() && (correction > 0.0 || spent <= 0.0);
    is_known.then_some(pair)
}

struct Within {
    pair: Pair,
    /// Σ variance² / degrees of freedom.
    squares_by_freedom: f64,
}

fn units(stratum: &Stratum<'_>) -> u64 {
    match stratum {
        Stratum::Apart { control, arm } => control.n() + arm.n(),
        Stratum::Joint(joint) => joint.n(),
    }
}

fn within(stratum: &Stratum<'_>, layout: Layout, theta: &[f64]) -> Option<Within> {
    let (control, arm, across) = match stratum {
        Stratum::Apart { control, arm } => (values(control, layout, 0)?, values(arm, layout, 0)?, None),
        Stratum::Joint(joint) => {
            let dims = layout.dims();
            let across = covariances(joint, &functionals(joint, layout, 0)?, &functionals(joint, layout, dims)?);
            (values(joint, layout, 0)?, values(joint, layout, dims)?, Some(across))
        }
    };
    let adjusted: Vec<f64> = std::iter::once(1.0).chain(theta.iter().map(|slope| -slope)).collect();
    let own = [1.0];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let difference = dot(&adjusted, &arm.values) - dot(&adjusted, &control.values);
    // Where units are in both arms, what the arms have in common cancels.
    let cross = |a: &[f64], b: &[f64]| across.as_ref().map_or(0.0, |across| form(a, across, b));
    let (from_arm, from_control) =
        (form(&adjusted, &arm.covariances, &adjusted), form(&adjusted, &control.covariances, &adjusted));
    let (from_arm, from_control) =
        if across.is_none() { (spread(from_arm), spread(from_control)) } else { (from_arm, from_control) };
    let variance = from_arm + from_control - 2.0 * cross(&adjusted, &adjusted);
    let pair = Pair {
        control: control.values.first().copied().unwrap_or(f64::NAN),
        difference,
        variance,
        control_variance: form(&own, &control.covariances, &own),
        covariance: cross(&own, &adjusted) - form(&adjusted, &control.covariances, &own),
        freedom: f64::NAN,
        n: 0,
    };
    let squares_by_freedom = match stratum {
        Stratum::Apart { .. } => from_arm.powi(2) / (arm.n - 1.0) + from_control.powi(2) / (control.n - 1.0),
        Stratum::Joint(_) => variance.powi(2) / (control.n - 1.0),
    };
    Some(Within { pair, squares_by_freedom })
}

/// A variance as it is; NaN where an arm has none: its values are all equal, and tell nothing of how others would vary.
pub(super) fn spread(variance: f64) -> f64 {
    if variance > 0.0 { variance } else { f64::NAN }
}

/// The regression on the covariates, pooled over strata: of both arms together (as GrowthBook and spotify-confidence take
/// it), for ratios of what their variances add up to.
fn slopes(strata: &[Stratum<'_>], layout: Layout) -> Option<Vec<f64>> {
    let p = layout.n_covariates;
    let mut normal = vec![vec![0.0; p + 1]; p];
    for stratum in strata {
        let scatter = match stratum {
            Stratum::Apart { control, arm } => {
                if layout.is_ratio {
                    added(values(control, layout, 0)?.covariances, &values(arm, layout, 0)?.covariances)
                } else {
                    let mut both = (*control).clone();
                    both.merge(arm);
                    scaled(values(&both, layout, 0)?)
                }
            }
            Stratum::Joint(joint) => difference_covariances(joint, layout)?,
        };
        for (i, row) in normal.iter_mut().enumerate() {
            let of = |a: usize, b: usize| scatter.get(a).and_then(|r| r.get(b)).copied().unwrap_or(f64::NAN);
            for (j, cell) in row.iter_mut().enumerate() {
                *cell += if j < p { of(i + 1, j + 1) } else { of(i + 1, 0) };
            }
        }
    }
    Some(solve(normal))
}

fn added(mut one: Vec<Vec<f64>>, other: &[Vec<f64>]) -> Vec<Vec<f64>> {
    one.iter_mut().zip(other).for_each(|(row, other)| row.iter_mut().zip(other).for_each(|(cell, more)| *cell += more));
    one
}

/// Covariances of the values as scatter over units.
fn scaled(values: Values) -> Vec<Vec<f64>> {
    let factor = values.n * (values.n - 1.0);
    values.covariances.into_iter().map(|row| row.into_iter().map(|cell| cell * factor).collect()).collect()
}

/// What best explains the differences of units that are in both arms.
fn difference_covariances(joint: &Moments, layout: Layout) -> Option<Vec<Vec<f64>>> {
    let (control, arm) = (functionals(joint, layout, 0)?, functionals(joint, layout, layout.dims())?);
    let minus = |(a, c): (&Functional, &Functional)| Functional {
        value: a.value - c.value,
        gradient: a.gradient.iter().zip(&c.gradient).map(|(a, c)| a - c).collect(),
    };
    let differences: Vec<Functional> = arm.iter().zip(&control).map(minus).collect();
    Some(covariances(joint, &differences, &differences))
}

fn values(moments: &Moments, layout: Layout, offset: usize) -> Option<Values> {
    let functionals = functionals(moments, layout, offset)?;
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let n = moments.n() as f64;
    let covariances = covariances(moments, &functionals, &functionals);
    Some(Values { values: functionals.iter().map(|f| f.value).collect(), covariances, n })
}

/// The estimate and the means of the covariates of the arm whose numbers begin at `offset`.
fn functionals(moments: &Moments, layout: Layout, offset: usize) -> Option<Vec<Functional>> {
    if moments.n() == 0 {
        return None;
    }
    let ratio = |above: usize, below: usize| {
        let mut gradient = vec![0.0; moments.dims()];
        let mut derive = |at: usize, by: f64| {
            if let Some(cell) = gradient.get_mut(offset + at) {
                *cell += by;
            }
        };
        let numerator = moments.mean(offset + above);
        if !layout.is_ratio {
            derive(above, 1.0);
            return Some(Functional { value: numerator, gradient });
        }
        let denominator = moments.mean(offset + below);
        let value = numerator / denominator;
        derive(above, 1.0 / denominator);
        derive(below, -value / denominator);
        (denominator != 0.0).then_some(Functional { value, gradient })
    };
    let covariates = (layout.first_covariate()..layout.dims()).map(|at| ratio(at, 2));
    std::iter::once(ratio(0, 1)).chain(covariates).collect()
}

fn covariances(moments: &Moments, left: &[Functional], right: &[Functional]) -> Vec<Vec<f64>> {
    let dims = moments.dims();
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let n = moments.n() as f64;
    let matrix: Vec<Vec<f64>> = (0..dims).map(|i| (0..dims).map(|j| moments.covariance(i, j) / n).collect()).collect();
    left.iter().map(|a| right.iter().map(|b| form(&a.gradient, &matrix, &b.gradient)).collect()).collect()
}

/// a′ M b; terms with a zero weight count nothing, whatever M holds there.
fn form(a: &[f64], matrix: &[Vec<f64>], b: &[f64]) -> f64 {
    let term = |(weight, row): (&f64, &Vec<f64>)| {
        let inner: f64 = row.iter().zip(b).filter(|(_, b)| **b != 0.0).map(|(cell, b)| cell * b).sum();
        weight * inner
    };
    a.iter().zip(matrix).filter(|(weight, _)| **weight != 0.0).map(term).sum()
}

/// Pivots below this share of their diagonal mean a covariate without spread, or one that others make up for.
const SINGULAR: f64 = 1e-10;

/// Gauss–Jordan on the normal equations `[A | b]`; a covariate that explains nothing of its own gets the slope 0.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let p = rows.len();
    let diagonal: Vec<f64> = rows.iter().enumerate().map(|(i, row)| row.get(i).copied().unwrap_or(0.0)).collect();
    let mut used = vec![false; p];
    for at in 0..p {
        let Some(pivot_row) = rows.get(at).cloned() else { continue };
        let pivot = pivot_row.get(at).copied().unwrap_or(0.0);
        let scale = diagonal.get(at).copied().unwrap_or(0.0);
        if !(pivot.is_finite() && pivot > SINGULAR * scale && pivot > 0.0) {
            continue;
        }
        if let Some(flag) = used.get_mut(at) {
            *flag = true;
        }
        for (i, row) in rows.iter_mut().enumerate() {
            let factor = row.get(at).copied().unwrap_or(0.0) / pivot;
            if i != at && factor != 0.0 {
                row.iter_mut().zip(&pivot_row).for_each(|(cell, above)| *cell -= factor * above);
            }
        }
    }
    let slope = |(i, row): (usize, &Vec<f64>)| {
        let is_used = used.get(i).copied().unwrap_or(false);
        if is_used { row.last().zip(row.get(i)).map_or(0.0, |(b, a)| b / a) } else { 0.0 }
    };
    rows.iter().enumerate().map(slope).collect()
}

/// Variance of Σy / Σd over units; none without units or denominators.
pub(super) fn variance_of_ratio(moments: &Moments) -> Option<f64> {
    let layout = Layout { is_ratio: true, n_covariates: 0 };
    let variance = values(moments, layout, 0)?.covariances.first()?.first().copied()?;
    Some(variance).filter(|variance| variance.is_finite())
}
