//! What a step borrows from alike steps: its slopes from its group, and, if it was never seen, its whole level.
//!
//! Slopes are shrunk by random effects (DerSimonian and Laird 1986): the less sure a step's own slope, the closer it
//! comes to that of its type, and the type's to that of the group. Levels of steps are regressed on step type and
//! typical input size with a ridge regression, over all workflow types; the workflow type then adds its own shrunk offset.

use super::dataset::{N_OWN_SIZES, N_SIZES};
use super::line::{Line, MIN_SCALE};
use super::shared::ridge;
use super::solve::{inverse_diagonal, solve};
use crate::samples::{UNKNOWN, Vocabulary};
use crate::stats::robust::median;
use crate::units::Level;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use std::collections::{BTreeMap, HashMap};

/// Spread of slopes over steps (variance) where too few steps show it: slopes lie between 0 and 1 as a rule.
const DEFAULT_SLOPE_VARIANCE: f64 = 0.25;
/// Never taken to be smaller than this, so that a step can always speak for itself.
const MIN_SLOPE_VARIANCE: f64 = 1e-4;
/// Spread of levels over steps on the log scale where it can't be seen.
const DEFAULT_LEVEL_STD: f64 = 1.0;
/// Step types beyond the most common so many have no effect of their own.
const MAX_TYPES: usize = 48;
/// Steps beyond so many add no precision to the effects of types.
const MAX_STEPS: usize = 4000;

/// What is known about the slopes of a step before it is seen.
#[derive(Debug)]
pub(crate) struct SlopePrior {
    all: [f64; N_SIZES],
    variance: [f64; N_SIZES],
    by_type: HashMap<u32, [f64; N_SIZES]>,
}

impl SlopePrior {
    /// Learns from the lines of the steps of a group; `types` are the codes of their types.
    pub(crate) fn of(lines: &[Option<Line>], types: &[u32]) -> Self {
        let slopes = |j: usize, of: u32| -> Vec<(f64, f64)> {
            let chosen = lines.iter().zip(types).filter(|(_, t)| of == UNKNOWN || **t == of);
            chosen
                .filter_map(|(l, _)| l.as_ref())
                .map(|l| (l.slope[j], l.slope_var[j]))
                .filter(|s| s.1.is_finite())
                .collect()
        };
        let fitted: [(f64, f64); N_SIZES] = std::array::from_fn(|j| random_effects(&slopes(j, UNKNOWN)));
        let (all, variance) = (fitted.map(|f| f.0), fitted.map(|f| f.1));
        let mut known: Vec<u32> = types.iter().copied().filter(|&t| t != UNKNOWN).collect();
        known.sort_unstable();
        known.dedup();
        let own = |t: u32| std::array::from_fn(|j| shrunk_mean(&slopes(j, t), all[j], variance[j]));
        let by_type =
            if known.len() > MAX_TYPES { HashMap::new() } else { known.into_iter().map(|t| (t, own(t))).collect() };
        Self { all, variance, by_type }
    }

    fn mean(&self, step_type: u32) -> [f64; N_SIZES] {
        self.by_type.get(&step_type).copied().unwrap_or(self.all)
    }

    /// The slopes expected of a step of this type that was never seen, with their variances.
    pub(crate) fn unseen(&self, step_type: u32) -> ([f64; N_SIZES], [f64; N_SIZES]) {
        // What lies before an execution must be seen to bend it.
        let own = |of: [f64; N_SIZES]| std::array::from_fn(|j| if j < N_OWN_SIZES { of[j] } else { 0.0 });
        (own(self.mean(step_type)), own(self.variance))
    }

    /// The posterior slopes of a step and their variances: its own moments and the prior, each by its precision.
    pub(crate) fn shrink(&self, line: &Line, step_type: u32) -> ([f64; N_SIZES], [f64; N_SIZES]) {
        let bends = |j: usize| j < N_OWN_SIZES || line.slope_var[j].is_finite();
        let prior = self.mean(step_type);
        let noise = line.scale * line.scale;
        let mut precision = line.size_products.map(|row| row.map(|product| product / noise));
        let mut slope = [0.0; N_SIZES];
        for j in (0..N_SIZES).filter(|&j| bends(j)) {
            precision[j][j] += 1.0 / self.variance[j];
            slope[j] = line.outcome_products[j] / noise + prior[j] / self.variance[j];
        }
        let variance = inverse_diagonal(&precision);
        solve(precision.as_flattened_mut(), &mut slope);
        (slope, variance)
    }
}

/// Mean and variance of true effects behind estimates with known error variances.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn random_effects(estimates: &[(f64, f64)]) -> (f64, f64) {
    let weighted = |extra: f64| {
        let (sum, total) = estimates.iter().fold((0.0, 0.0), |(sum, total), (b, var)| {
            let w = 1.0 / (var + extra).max(1e-12);
            (sum + w * b, total + w)
        });
        if total > 0.0 { sum / total } else { 0.0 }
    };
    if estimates.len() < 3 {
        return (weighted(DEFAULT_SLOPE_VARIANCE), DEFAULT_SLOPE_VARIANCE);
    }
    let fixed = weighted(0.0);
    let [mut q, mut w1, mut w2] = [0.0; 3];
    for (b, var) in estimates {
        let w = 1.0 / var.max(1e-12);
        q += w * (b - fixed).powi(2);
        w1 += w;
        w2 += w * w;
    }
    let freedom = estimates.len() as f64 - 1.0;
    let variance = ((q - freedom) / (w1 - w2 / w1).max(f64::MIN_POSITIVE)).clamp(MIN_SLOPE_VARIANCE, 4.0);
    (weighted(variance), variance)
}

/// The mean effect of a type, shrunk towards that of the group, which counts as one step.
fn shrunk_mean(estimates: &[(f64, f64)], prior: f64, variance: f64) -> f64 {
    let start = (prior / variance, 1.0 / variance);
    let (sum, weight) = estimates.iter().fold(start, |(sum, total), (b, var)| {
        let w = 1.0 / (var + variance);
        (sum + w * b, total + w)
    });
    sum / weight
}

/// One step, as the regression over steps sees it.
#[derive(Debug, Clone)]
pub(crate) struct StepSummary {
    /// Number of its group.
    pub(crate) group: usize,
    /// Code of its type.
    pub(crate) step_type: u32,
    /// Mean log input size, NaN where unknown.
    pub(crate) log_size: f64,
    /// Mean log outcome there.
    pub(crate) mean: f64,
    /// Size of its residuals.
    pub(crate) scale: f64,
}

/// What is expected of a step that was never seen, from its type, its input size and its workflow type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pooled {
    intercept: f64,
    size_mean: f64,
    size_slope: f64,
    by_type: BTreeMap<String, f64>,
    by_group: BTreeMap<String, f64>,
    /// Half-width factor of a new step's level over z, inside a known group.
    std_within: f64,
    /// The same in a group never seen.
    std_new_group: f64,
    /// What a type never seen adds to either.
    std_new_type: f64,
    /// Typical size of the residuals of a step.
    pub(crate) scale: f64,
}

impl Pooled {
    /// Learns from all steps; `groups` are the names behind [`StepSummary::group`].
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn fit(steps: &[StepSummary], groups: &[&str], vocabulary: &Vocabulary, level: Level) -> Self {
        let mut sizes: Vec<f64> = steps.iter().map(|s| s.log_size).filter(|s| s.is_finite()).collect();
        let size_mean = if sizes.is_empty() { 0.0 } else { median(&mut sizes) };
        let intercept = average(steps.iter().map(|s| s.mean)).unwrap_or_default();
        let types = common_types(steps);
        let beta = regress(steps, &types, size_mean, intercept);
        let (size_slope, effects) = beta.split_first().map_or((0.0, &[][..]), |(s, e)| (*s, e));
        let effect: BTreeMap<u32, f64> = types.iter().copied().zip(effects.iter().copied()).collect();
        let counts = type_counts(steps);
        // As if each step had been left out: with k steps of its type and a penalty of one, a step has had a share of
        // 1 / (k + 1) in the effect that it is compared with.
        let residual = |s: &StepSummary| {
            let known = effect.get(&s.step_type).copied().unwrap_or_default();
            let in_sample = s.mean - intercept - known - size_slope * offset(s.log_size, size_mean);
            let alike = if effect.contains_key(&s.step_type) { counts.get(&s.step_type).copied() } else { None };
            in_sample * alike.map_or(1.0, |k| (k + 1.0) / k)
        };
        let type_variance = effect.values().map(|e| e * e).sum::<f64>() / effect.len().max(1) as f64;
        let offsets = GroupOffsets::of(steps, residual, groups.len());
        let widen = student_factor(steps.len(), level);
        let mut scales: Vec<f64> = steps.iter().map(|s| s.scale).collect();
        let scale = if scales.is_empty() { DEFAULT_LEVEL_STD } else { median(&mut scales) };
        let name = |code: u32| vocabulary.word(code).map(str::to_owned);
        Self {
            intercept,
            size_mean,
            size_slope,
            by_type: effect.into_iter().filter_map(|(code, e)| Some((name(code)?, e))).collect(),
            by_group: groups.iter().map(|g| (*g).to_owned()).zip(offsets.effects).collect(),
            std_within: widen * offsets.within.sqrt(),
            std_new_group: widen * (offsets.within + offsets.between).sqrt(),
            std_new_type: widen * type_variance.sqrt(),
            scale: scale.max(MIN_SCALE),
        }
    }

    /// Log size at which the intercept holds.
    pub(crate) fn size_mean(&self) -> f64 {
        self.size_mean
    }

    /// Slope over steps of different typical size.
    pub(crate) fn size_slope(&self) -> f64 {
        self.size_slope
    }

    /// Expected log outcome of a step never seen, and how far its level may lie off (a standard deviation).
    pub(crate) fn at(&self, group: &str, step_type: Option<&str>, log_size: f64) -> (f64, f64) {
        let by_type = step_type.and_then(|t| self.by_type.get(t));
        let by_group = self.by_group.get(group);
        let std = if by_group.is_some() { self.std_within } else { self.std_new_group };
        let std = if by_type.is_some() { std } else { std.hypot(self.std_new_type) };
        let mean = self.intercept + by_type.copied().unwrap_or_default() + by_group.copied().unwrap_or_default();
        (mean + self.size_slope * offset(log_size, self.size_mean), std)
    }
}

fn offset(log_size: f64, centre: f64) -> f64 {
    let x = log_size - centre;
    if x.is_finite() { x } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u64), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / n as f64)
}

fn type_counts(steps: &[StepSummary]) -> BTreeMap<u32, f64> {
    let mut counts = BTreeMap::new();
    for step in steps.iter().filter(|s| s.step_type != UNKNOWN) {
        *counts.entry(step.step_type).or_default() += 1.0;
    }
    counts
}

fn common_types(steps: &[StepSummary]) -> Vec<u32> {
    let mut types: Vec<(f64, u32)> = type_counts(steps).into_iter().map(|(code, n)| (n, code)).collect();
    types.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    types.into_iter().take(MAX_TYPES).map(|(_, code)| code).collect()
}

/// Coefficients: size, then one for each type, each type shrunk as if one more step had shown the average.
fn regress(steps: &[StepSummary], types: &[u32], size_mean: f64, intercept: f64) -> Vec<f64> {
    let p = 1 + types.len();
    let stride = steps.len().div_ceil(MAX_STEPS).max(1);
    let (mut cells, mut y) = (Vec::new(), Vec::new());
    for step in steps.iter().step_by(stride) {
        cells.push(offset(step.log_size, size_mean));
        cells.extend(types.iter().map(|&t| f64::from(u8::from(t == step.step_type))));
        y.push(step.mean - intercept);
    }
    ridge(cells, &y, p, 1.0).unwrap_or_else(|| vec![0.0; p])
}

struct GroupOffsets {
    effects: Vec<f64>,
    within: f64,
    between: f64,
}

impl GroupOffsets {
    /// Shrunk means of the groups' residuals, and the variances of steps within and of groups around them.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn of(steps: &[StepSummary], residual: impl Fn(&StepSummary) -> f64, n_groups: usize) -> Self {
        let mut sums = vec![(0.0, 0.0); n_groups];
        for step in steps {
            if let Some((sum, n)) = sums.get_mut(step.group) {
                *sum += residual(step);
                *n += 1.0;
            }
        }
        let mean_of = |group: usize| sums.get(group).map_or(0.0, |(sum, n)| sum / f64::max(*n, 1.0));
        let squares: f64 = steps.iter().map(|s| (residual(s) - mean_of(s.group)).powi(2)).sum();
        let filled = sums.iter().filter(|(_, n)| *n > 0.0).count();
        let freedom = steps.len().saturating_sub(filled);
        let default = DEFAULT_LEVEL_STD * DEFAULT_LEVEL_STD;
        let within = if freedom < 2 { default } else { squares / freedom as f64 }.max(1e-4);
        let spread = average(sums.iter().filter(|(_, n)| *n > 0.0).map(|(sum, n)| (sum / n).powi(2) - within / n));
        let between = if filled < 2 { within } else { spread.unwrap_or_default().max(0.0) };
        let shrink = |(sum, n): &(f64, f64)| if between > 0.0 { sum / (n + within / between) } else { 0.0 };
        Self { effects: sums.iter().map(shrink).collect(), within, between }
    }
}

/// How much wider than a normal's the interval of a new step is when its spread is known from `n` steps only.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn student_factor(n: usize, level: Level) -> f64 {
    let tail = 1.0 - level.alpha() / 2.0;
    let freedom = n.saturating_sub(1).max(2) as f64;
    let z = Normal::standard().inverse_cdf(tail);
    let t = StudentsT::new(0.0, 1.0, freedom).map_or(z, |t| t.inverse_cdf(tail));
    (t / z) * (1.0 + 1.0 / n.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_effects_equal_the_textbook() {
        // statsmodels 0.15 meta_analysis.combine_effects([.3, .5, .9, .4], [.01, .02, .01, .05], method_re="chi2"):
        // tau2 = 0.0864, mean_effect_re = 0.5357968745708714
        let (mean, variance) = random_effects(&[(0.3, 0.01), (0.5, 0.02), (0.9, 0.01), (0.4, 0.05)]);
        assert!((variance - 0.0864).abs() < 1e-9, "{variance}");
        assert!((mean - 0.535_796_874_570_871_4).abs() < 1e-9, "{mean}");
    }

    fn summary(group: usize, step_type: u32, log_size: f64, mean: f64) -> StepSummary {
        StepSummary { group, step_type, log_size, mean, scale: 0.2 }
    }

    #[test]
    fn an_unseen_step_gets_the_answer_of_its_type() {
        let mut words = Vocabulary::default();
        let (fetch, train) = (words.intern("fetch"), words.intern("train"));
        let steps: Vec<StepSummary> = (0..40)
            .map(|i| summary(i % 4, if i % 2 == 0 { fetch } else { train }, 10.0, if i % 2 == 0 { 5.0 } else { 9.0 }))
            .collect();
        let pooled = Pooled::fit(&steps, &["a", "b", "c", "d"], &words, Level::DEFAULT);
        let (low, _) = pooled.at("a", Some("fetch"), 10.0);
        let (high, std) = pooled.at("a", Some("train"), 10.0);
        assert!((low - 5.0).abs() < 0.3 && (high - 9.0).abs() < 0.3, "{low} {high}");
        let (middle, _) = pooled.at("nowhere", None, f64::NAN);
        assert!((middle - 7.0).abs() < 0.3 && std > 0.0);
    }

    #[test]
    fn no_step_at_all_still_answers_with_finite_numbers() {
        let pooled = Pooled::fit(&[], &[], &Vocabulary::default(), Level::DEFAULT);
        let (mean, std) = pooled.at("a", None, f64::NAN);
        assert!(mean.is_finite() && std.is_finite() && std > 0.0);
    }
}
