//! A linear model whose coefficients vary over groups around common ones (random coefficients: Laird and Ware 1982).
//!
//! `y = level of the group + Σ (common coefficient + the group's own deviation) · column`
//!
//! How far groups deviate, block by block of columns, is estimated from the data by expectation-maximisation, so a group
//! with few rows, or a column that says nothing, is held at what the others show. Residuals are weighed by Huber's rule.

use super::basis::{Basis, Freedom};
use super::dense::{Cholesky, dot};
use super::rows::Rows;
use crate::stats::robust::{MAD_TO_STD, huber_weight, median};
use serde::{Deserialize, Serialize};

/// Rounds of fitting and weighing: the third changes no digit that matters.
const ROBUST_ROUNDS: usize = 3;
/// Groups and rows that tell how large effects are: more change nothing that matters.
const GROUPS_FOR_PRIOR: usize = 128;
const ROWS_FOR_PRIOR: usize = 100_000;
/// Rounds are over when no variance changes by more than this share. It is small, as variances of what says nothing
/// shrink slowly.
const SETTLED: f64 = 0.001;
/// Rounds of expectation and maximisation at most.
const EM_ROUNDS: usize = 40;
/// Huber's bend in robust standard deviations: 95 % efficient with normal residuals.
const BEND: f64 = 1.345;
/// The rows of one group are at most so much less precise than those of another.
const LEAST_PRECISION: f64 = 0.01;
/// Variances of effects are taken to be at least this, in units of the variance of the outcome.
const LEAST_VARIANCE: f64 = 1e-6;
/// What one more effect of size 1 (in standard deviations of the outcome) would say about the variance of a block.
const PRIOR_VARIANCE: f64 = 0.1;

/// The variance of effects that are free, in units of that of the outcome.
const FREE: f64 = 1e4;

/// Level and coefficients of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Own {
    /// Expected outcome at column values of 0.
    intercept: f64,
    /// (n_columns,)
    slopes: Vec<f64>,
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Effects {
    basis: Basis,
    /// By group; none where a group had no row.
    groups: Vec<Option<Own>>,
    /// For rows of groups never seen: from the differences between groups.
    unseen: Own,
}

/// Sums over the rows of a group, weighted; products are row-major, lower triangle.
#[derive(Debug, Clone)]
struct Moments {
    n: usize,
    weight: f64,
    x: Vec<f64>,
    xx: Vec<f64>,
    xy: Vec<f64>,
    y: f64,
    yy: f64,
}

impl Moments {
    fn new(p: usize) -> Self {
        Self { n: 0, weight: 0.0, x: vec![0.0; p], xx: vec![0.0; p * p], xy: vec![0.0; p], y: 0.0, yy: 0.0 }
    }

    /// `columns` are sorted by position, so that products land in the lower triangle.
    fn add(&mut self, columns: &[(usize, f64)], y: f64, w: f64) {
        let p = self.x.len();
        self.n += 1;
        self.weight += w;
        self.y += w * y;
        self.yy += w * y * y;
        for (k, &(i, a)) in columns.iter().enumerate() {
            self.x[i] += w * a;
            self.xy[i] += w * a * y;
            for &(j, b) in &columns[..=k] {
                self.xx[i * p + j] += w * a * b;
            }
        }
    }

    /// Products around the means.
    fn centred(mut self) -> Self {
        let p = self.x.len();
        if self.weight <= 0.0 {
            return self;
        }
        let w = self.weight;
        for i in 0..p {
            for j in 0..=i {
                self.xx[i * p + j] -= self.x[i] * self.x[j] / w;
            }
            self.xy[i] -= self.x[i] * self.y / w;
        }
        self.yy = (self.yy - self.y * self.y / w).max(0.0);
        self.x.iter_mut().for_each(|x| *x /= w);
        self.y /= w;
        self
    }

    /// `xx · slopes`: (n_columns,)
    fn times(&self, slopes: &[f64]) -> Vec<f64> {
        let p = self.x.len();
        let mut out = vec![0.0; p];
        for (i, row) in self.xx.chunks_exact(p.max(1)).enumerate() {
            out[i] += dot(&row[..=i], &slopes[..=i]);
            for j in 0..i {
                out[j] += row[j] * slopes[i];
            }
        }
        out
    }

    /// Sum of squared residuals of `slopes`.
    fn residual(&self, slopes: &[f64]) -> f64 {
        (self.yy - 2.0 * dot(slopes, &self.xy) + dot(slopes, &self.times(slopes))).max(0.0)
    }

    /// Columns that vary.
    fn active(&self) -> Vec<usize> {
        let p = self.x.len();
        let least = 1e-9 * self.weight;
        (0..p).filter(|&i| self.xx[i * p + i] > least).collect()
    }
}

/// What is believed about the deviations of a group's coefficients from common ones.
#[derive(Debug)]
struct Prior {
    common: Vec<f64>,
    /// By block.
    variance: Vec<f64>,
    noise: f64,
}

/// Deviations of a group and the variances of what is believed of them, by active column.
struct Posterior {
    deviations: Vec<f64>,
    variances: Vec<f64>,
}

impl Prior {
    fn posterior(&self, moments: &Moments, active: &[usize], blocks: &[usize]) -> Option<Posterior> {
        let (p, k) = (moments.x.len(), active.len());
        let mut precision = vec![0.0; k * k];
        let fitted = moments.times(&self.common);
        let mut right = Vec::with_capacity(k);
        for (a, &i) in active.iter().enumerate() {
            for (b, &j) in active[..=a].iter().enumerate() {
                precision[a * k + b] = moments.xx[i * p + j] / self.noise;
            }
            precision[a * k + a] += 1.0 / self.variance[blocks[i]];
            right.push((moments.xy[i] - fitted[i]) / self.noise);
        }
        let cholesky = Cholesky::of(precision, k)?;
        cholesky.solve(&mut right);
        Some(Posterior { deviations: right, variances: cholesky.inverse_diagonal() })
    }

    fn slopes(&self, posterior: &Posterior, active: &[usize]) -> Vec<f64> {
        let mut slopes = self.common.clone();
        for (&i, d) in active.iter().zip(&posterior.deviations) {
            slopes[i] += d;
        }
        slopes
    }
}

/// Slopes of every group around common ones, by expectation-maximisation. With one group nothing is common.
fn fit_slopes(groups: &[Moments], blocks: &[usize], freedoms: &[Freedom]) -> (Prior, Vec<Vec<f64>>) {
    let p = blocks.len();
    let total: f64 = groups.iter().map(|g| g.weight).sum();
    let spread = (groups.iter().map(|g| g.yy).sum::<f64>() / total.max(1.0)).max(f64::MIN_POSITIVE);
    let active: Vec<Vec<usize>> = groups.iter().map(Moments::active).collect();
    let n_blocks = freedoms.len();
    let held = |variance: f64| -> Vec<f64> {
        freedoms.iter().map(|f| if *f == Freedom::Free { FREE * spread } else { variance }).collect()
    };
    let mut prior = Prior { common: vec![0.0; p], variance: held(spread), noise: 0.5 * spread };
    let shares = groups.iter().filter(|g| g.weight > 1.0).count() > 1;
    if shares {
        prior.common = common_slopes(groups, blocks, &prior);
        prior.variance = held(PRIOR_VARIANCE * spread);
    }
    let stride =
        (groups.len() / GROUPS_FOR_PRIOR).min(groups.iter().map(|g| g.n).sum::<usize>() / ROWS_FOR_PRIOR).max(1);
    for _ in 0..EM_ROUNDS {
        let some = || groups.iter().zip(&active).step_by(stride);
        let posteriors: Vec<Option<Posterior>> = some().map(|(g, a)| prior.posterior(g, a, blocks)).collect();
        let before = [prior.variance.as_slice(), &[prior.noise]].concat();
        let (mut moved, mut n_of) = (vec![0.0; p], vec![0.0_f64; p]);
        let (mut squares, mut counts) = (vec![PRIOR_VARIANCE * spread; n_blocks], vec![1.0_f64; n_blocks]);
        let (mut rest, mut freedom) = (0.0, 0.0_f64);
        for ((group, active), posterior) in some().zip(&posteriors) {
            let Some(posterior) = posterior else { continue };
            let mut known = 0.0;
            for ((&i, d), v) in active.iter().zip(&posterior.deviations).zip(&posterior.variances) {
                let block = blocks[i];
                moved[i] += d;
                n_of[i] += 1.0;
                squares[block] += d * d + v;
                counts[block] += 1.0;
                known += 1.0 - v / prior.variance[block];
            }
            rest += group.residual(&prior.slopes(posterior, active)) + prior.noise * known.max(0.0);
            freedom += group.weight - 1.0;
        }
        if shares {
            for i in 0..p {
                // The average deviation belongs to what is common; one group's own is not.
                prior.common[i] += moved[i] / (n_of[i] + 1.0);
            }
        }
        let least = LEAST_VARIANCE * spread;
        for (block, variance) in prior.variance.iter_mut().enumerate().filter(|(b, _)| freedoms[*b] == Freedom::Learned)
        {
            *variance = (squares[block] / counts[block]).max(least);
        }
        prior.noise = (rest / freedom.max(1.0)).max(least);
        let after = prior.variance.iter().chain([&prior.noise]);
        if before.iter().zip(after).all(|(before, after)| (after / before).ln().abs() < SETTLED) {
            break;
        }
    }
    let slopes = groups
        .iter()
        .zip(&active)
        .map(|(g, a)| prior.posterior(g, a, blocks).map_or_else(|| prior.common.clone(), |post| prior.slopes(&post, a)))
        .collect();
    (prior, slopes)
}

/// Where groups are many: the slopes that they share, from all differences within groups.
fn common_slopes(groups: &[Moments], blocks: &[usize], prior: &Prior) -> Vec<f64> {
    let mut all = Moments::new(blocks.len());
    for group in groups {
        all.weight += group.weight;
        all.yy += group.yy;
        all.xx.iter_mut().zip(&group.xx).for_each(|(sum, v)| *sum += v);
        all.xy.iter_mut().zip(&group.xy).for_each(|(sum, v)| *sum += v);
    }
    let active = all.active();
    prior.posterior(&all, &active, blocks).map_or_else(|| prior.common.clone(), |post| prior.slopes(&post, &active))
}

impl Effects {
    /// Fits `y`: (n_rows,), finite.
    pub(super) fn fit(rows: &Rows, y: &[f64], basis: Basis) -> Self {
        Self::fit_weighted(rows, y, basis, &vec![1.0; rows.n])
    }

    /// As [`Effects::fit`], where some rows are known to be more precise: `precision` (n_rows,) multiplies their weight.
    pub(super) fn fit_weighted(rows: &Rows, y: &[f64], basis: Basis, precision: &[f64]) -> Self {
        let by_group = rows.by_group();
        let mut weights = precision.to_vec();
        let mut out = Self::weighted(rows, y, &basis, &by_group, &weights);
        for _ in 1..ROBUST_ROUNDS {
            let mut residuals = out.residuals(rows, y);
            residuals.iter_mut().zip(precision).for_each(|(residual, precision)| *residual *= precision.sqrt());
            reweigh(&residuals, &by_group, &mut weights);
            weights.iter_mut().zip(precision).for_each(|(weight, precision)| *weight *= precision);
            out = Self::weighted(rows, y, &basis, &by_group, &weights);
        }
        out
    }

    fn residuals(&self, rows: &Rows, y: &[f64]) -> Vec<f64> {
        self.predict(rows).iter().zip(y).map(|(p, y)| y - p).collect()
    }

    fn weighted(rows: &Rows, y: &[f64], basis: &Basis, by_group: &[Vec<u32>], weights: &[f64]) -> Self {
        let p = basis.n_columns();
        let mut columns = Vec::new();
        let moments = |members: &Vec<u32>| {
            let mut moments = Moments::new(p);
            for &row in members {
                let at = row as usize;
                let (Some(y), Some(w)) = (y.get(at), weights.get(at)) else { continue };
                basis.fill(rows, at, &mut columns);
                columns.sort_unstable_by_key(|(column, _)| *column);
                moments.add(&columns, *y, *w);
            }
            moments.centred()
        };
        let filled: Vec<usize> =
            (0..by_group.len()).filter(|&g| by_group.get(g).is_some_and(|m| !m.is_empty())).collect();
        let groups: Vec<Moments> = filled.iter().filter_map(|&g| by_group.get(g)).map(moments).collect();
        let (prior, slopes) = fit_slopes(&groups, basis.blocks(), basis.freedoms());
        let unseen = between(&groups, basis, &prior);
        let mut owns = vec![None; by_group.len()];
        for ((g, own), slot) in groups.iter().zip(levels(&groups, slopes, &unseen, prior.noise)).zip(&filled) {
            debug_assert!(g.weight > 0.0, "a group with rows has weight");
            if let Some(place) = owns.get_mut(*slot) {
                *place = Some(own);
            }
        }
        Self { basis: basis.clone(), groups: owns, unseen }
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let mut columns = Vec::new();
        (0..rows.n)
            .map(|row| {
                self.basis.fill(rows, row, &mut columns);
                let group = rows.group.get(row).and_then(|&g| self.groups.get(g as usize)).and_then(Option::as_ref);
                let own = group.unwrap_or(&self.unseen);
                let terms = columns.iter().filter_map(|&(column, value)| Some(own.slopes.get(column)? * value));
                own.intercept + terms.sum::<f64>()
            })
            .collect()
    }

    /// Names of the columns, from those of the features.
    pub(super) fn names(&self, numbers: &[&str], categories: &[(&str, &[String])]) -> Vec<String> {
        self.basis.names(numbers, categories)
    }

    /// Names and values of the coefficients that all groups share (of the only group where there is one).
    pub(super) fn common(&self, names: &[String]) -> Vec<(String, f64)> {
        let own = match self.groups.as_slice() {
            [Some(only)] => only,
            _ => &self.unseen,
        };
        let named = names.iter().cloned().zip(own.slopes.iter().copied());
        std::iter::once(("(intercept)".to_owned(), own.intercept)).chain(named).collect()
    }
}

/// Huber's weights, each group by its own scale where it has rows enough for one.
fn reweigh(residuals: &[f64], by_group: &[Vec<u32>], weights: &mut [f64]) {
    let mut all: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    let typical = if all.is_empty() { 0.0 } else { MAD_TO_STD * median(&mut all) };
    for rows in by_group {
        let mut own: Vec<f64> = rows.iter().filter_map(|&r| residuals.get(r as usize)).map(|r| r.abs()).collect();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let n = own.len() as f64;
        let own = if own.is_empty() { typical } else { MAD_TO_STD * median(&mut own) };
        let scale = ((n * own + 5.0 * typical) / (n + 5.0)).max(f64::MIN_POSITIVE);
        let own_precision =
            (typical.max(f64::MIN_POSITIVE) / scale).powi(2).clamp(LEAST_PRECISION, 1.0 / LEAST_PRECISION);
        for &row in rows {
            if let (Some(weight), Some(residual)) = (weights.get_mut(row as usize), residuals.get(row as usize)) {
                *weight = huber_weight(residual / scale, BEND) * own_precision;
            }
        }
    }
}

/// What differences between groups say: the model for groups never seen, and what small groups are held at.
fn between(groups: &[Moments], basis: &Basis, prior: &Prior) -> Own {
    let p = basis.n_columns();
    let mut all = Moments::new(p);
    let every: Vec<usize> = (0..p).collect();
    for group in groups {
        let columns: Vec<(usize, f64)> =
            every.iter().map(|&i| (i, group.x[i])).filter(|(_, x)| x.abs() > 0.0).collect();
        all.add(&columns, group.y, 1.0);
    }
    let all = all.centred();
    if groups.len() < 2 {
        let intercept = all.y - dot(&prior.common, &all.x);
        return Own { intercept, slopes: prior.common.clone() };
    }
    // Columns that vary within groups start from what is common there; the rest of the difference is learned anew.
    let fitted = all.times(&prior.common);
    let mut left = all.clone();
    left.yy = all.residual(&prior.common);
    left.xy.iter_mut().zip(fitted).for_each(|(xy, f)| *xy -= f);
    let (_, slopes) = fit_slopes(std::slice::from_ref(&left), basis.blocks(), basis.freedoms());
    let own = slopes.into_iter().next().unwrap_or_else(|| vec![0.0; p]);
    let slopes: Vec<f64> = own.iter().zip(&prior.common).map(|(a, b)| a + b).collect();
    Own { intercept: all.y - dot(&slopes, &all.x), slopes }
}

/// Levels of groups, those with few rows held at what their features say.
fn levels(groups: &[Moments], slopes: Vec<Vec<f64>>, unseen: &Own, noise: f64) -> Vec<Own> {
    let expected = |g: &Moments| unseen.intercept + dot(&unseen.slopes, &g.x);
    let squares: f64 = groups.iter().map(|g| (g.y - expected(g)).powi(2) - noise / g.weight.max(1.0)).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let variance = squares / groups.len().max(1) as f64;
    let single = groups.len() < 2;
    let level = |g: &Moments| {
        let held = if single { 0.0 } else { noise / variance.max(noise * 1e-3).max(f64::MIN_POSITIVE) };
        (g.weight * g.y + held * expected(g)) / (g.weight + held)
    };
    let own = |(g, slopes): (&Moments, Vec<f64>)| Own { intercept: level(g) - dot(&slopes, &g.x), slopes };
    groups.iter().zip(slopes).map(own).collect()
}
