//! Differences of quantiles, from values in their order or from a histogram of them.

use super::contrast::{Ask, Bounds, Effect};
use crate::stats::dist::normal_quantile;
use crate::stats::sketch::Sketch;

/// The values of an arm by rank.
#[derive(Debug, Clone, PartialEq)]
pub enum Ranked {
    /// Sorted, finite.
    Values(Vec<f64>),
    /// A histogram: each value known to 1 %, and better where many share a bin. Merging is exact.
    Histogram(Sketch),
}

impl Ranked {
    /// Sorts values; those that are not finite are no values.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self::Values(sorted)
    }

    /// How many.
    #[must_use]
    pub fn n(&self) -> u64 {
        match self {
            Self::Values(sorted) => sorted.len() as u64,
            Self::Histogram(sketch) => sketch.count(),
        }
    }

    /// The value at the 0-based `rank`.
    fn order_statistic(&self, rank: u64) -> f64 {
        match self {
            Self::Values(sorted) => {
                usize::try_from(rank).ok().and_then(|rank| sorted.get(rank)).copied().unwrap_or(f64::NAN)
            }
            Self::Histogram(sketch) => sketch.even_order_statistic(rank),
        }
    }

    /// The `q`-quantile with linear interpolation between order statistics (type 7, numpy's default); NaN when empty.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie in 0..n, far below 2^53"
    )]
    pub fn quantile(&self, q: f64) -> f64 {
        let Some(last) = self.n().checked_sub(1) else { return f64::NAN };
        let rank = q.clamp(0.0, 1.0) * last as f64;
        let (low, high) = (self.order_statistic(rank.floor() as u64), self.order_statistic(rank.ceil() as u64));
        low + (high - low) * rank.fract()
    }

    /// The share of values up to `limit`.
    pub(super) fn share_up_to(&self, limit: f64) -> f64 {
        match self {
            Self::Values(sorted) => sorted.partition_point(|value| *value <= limit) as f64 / sorted.len() as f64,
            Self::Histogram(_) => f64::NAN,
        }
    }
}

/// An arm's quantile.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantile {
    /// The values.
    pub ranked: Ranked,
    /// Which quantile, 0-1.
    pub q: f64,
    /// How many times as large the variance of the share below it is as that of independent units: 1, or more where rows
    /// come in clusters (Deng, Knoblich and Lu, KDD 2018).
    pub design_effect: f64,
}

impl Quantile {
    /// The estimate.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.ranked.quantile(self.q)
    }

    /// The order statistics that hold the quantile where the share below it is within `reach` standard errors of `q`
    /// (Woodruff, JASA 47, 1952; at every look: Howard and Ramdas, Bernoulli 28, 2022). None where they lie beyond the values.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks lie in 0..n, far below 2^53"
    )]
    fn bounds(&self, reach: f64) -> Option<Bounds> {
        let n = self.ranked.n() as f64;
        let centre = n * self.q;
        let half = reach * (n * self.q * (1.0 - self.q) * self.design_effect).sqrt();
        let (lower, upper) = ((centre - half).floor(), (centre + half).ceil());
        let is_within = lower >= 1.0 && upper <= n;
        is_within
            .then(|| (self.ranked.order_statistic(lower as u64 - 1), self.ranked.order_statistic(upper as u64 - 1)))
    }
}

/// Steps of the bisection for the significance: the reach is known to 10⁻⁹ of a standard error.
const STEPS: u32 = 40;
/// No difference is farther from zero than so many standard errors, as far as significance goes.
const FARTHEST: f64 = 38.0;

/// Difference of quantiles; its interval joins those of the arms by Newcombe's and Zou's rule (MOVER: Zou and Donner,
/// Statistics in Medicine 27, 2008), which keeps their skew. The significance is that of the interval that just touches
/// zero.
pub(super) fn difference(arm: &Quantile, control: &Quantile, ask: Ask) -> Effect {
    let (t, c) = (arm.value(), control.value());
    if !(t.is_finite() && c.is_finite()) {
        return Effect::default();
    }
    let reach = ask.reach(f64::INFINITY);
    let bounds_at = |reach: f64| Some(joined(t, arm.bounds(reach)?, c, control.bounds(reach)?));
    let relative_at = |reach: f64| relative(t, arm.bounds(reach)?, c, control.bounds(reach)?);
    let touching = bounds_at(reach).map(|_| touching(&|reach| bounds_at(reach), t - c));
    let contrast = touching.and_then(|z| super::contrast::Contrast::new(z, 1.0, f64::INFINITY));
    Effect {
        value: Some(t - c),
        bounds: bounds_at(reach),
        relative: (c > 0.0).then(|| t / c - 1.0),
        relative_bounds: relative_at(reach),
        p_value: touching
            .map(|z| if z <= 0.0 { 1.0 } else { contrast.and_then(|one| one.p_value(ask)).unwrap_or(1.0) }),
        e_value: contrast.and_then(|one| one.e_value(ask)),
    }
}

fn joined(t: f64, of_arm: Bounds, c: f64, of_control: Bounds) -> Bounds {
    let value = t - c;
    (value - (t - of_arm.0).hypot(of_control.1 - c), value + (of_arm.1 - t).hypot(c - of_control.0))
}

/// The same on the scale of logarithms, where a ratio is a difference.
fn relative(t: f64, of_arm: Bounds, c: f64, of_control: Bounds) -> Option<Bounds> {
    let all = [t, of_arm.0, of_arm.1, c, of_control.0, of_control.1];
    all.iter().all(|value| *value > 0.0).then(|| {
        let log = |(lower, upper): Bounds| (lower.ln(), upper.ln());
        let (lower, upper) = joined(t.ln(), log(of_arm), c.ln(), log(of_control));
        (lower.exp_m1(), upper.exp_m1())
    })
}

/// The reach at which the interval just touches zero; where values end before that, the largest that they allow.
fn touching(bounds_at: &dyn Fn(f64) -> Option<Bounds>, value: f64) -> f64 {
    let excludes = |reach: f64| {
        bounds_at(reach)
            .is_some_and(|(lower, upper)| if value > 0.0 { lower > 0.0 } else { value < 0.0 && upper < 0.0 })
    };
    let (mut yes, mut no) = (0.0, FARTHEST);
    for _ in 0..STEPS {
        let mid = 0.5 * (yes + no);
        if excludes(mid) {
            yes = mid;
        } else {
            no = mid;
        }
    }
    yes
}

/// The standard error that an interval of one standard error to either side tells, for what needs a single number.
pub(super) fn standard_error(quantile: &Quantile) -> Option<f64> {
    let reach = normal_quantile(0.975);
    quantile.bounds(reach).map(|(lower, upper)| 0.5 * (upper - lower) / reach)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::experiment::{Method, Tuning};
    use crate::units::Level;

    fn quantile(values: impl IntoIterator<Item = f64>, q: f64) -> Quantile {
        Quantile { ranked: Ranked::of(values), q, design_effect: 1.0 }
    }

    fn ask(method: Method, n: u64) -> Ask {
        Ask { method, level: Level::DEFAULT, n, tuning: Tuning::AnySize }
    }

    fn hundred(factor: f64) -> impl Iterator<Item = f64> {
        (1..=100).map(move |i| f64::from(i) * factor)
    }

    /// numpy 2: `quantile(range(1, 101), [.5, .95])`; ranks 40 and 60 by Woodruff.
    #[test]
    fn quantiles_and_their_ranks() {
        let median = quantile(hundred(1.0), 0.5);
        assert!((median.value() - 50.5).abs() < 1e-12);
        assert!((quantile(hundred(1.0), 0.95).value() - 95.05).abs() < 1e-12);
        assert_eq!(median.bounds(1.96), Some((40.0, 60.0)));
        assert_eq!(quantile(hundred(1.0), 0.99).bounds(1.96), None, "a hundred values say little of their 99th");
    }

    #[test]
    fn interval_and_significance_agree() {
        for method in [Method::Fixed, Method::Sequential] {
            for factor in [0.5, 0.8, 0.95, 1.0, 1.1, 1.5, 2.0] {
                let effect =
                    difference(&quantile(hundred(factor), 0.5), &quantile(hundred(1.0), 0.5), ask(method, 200));
                let (lower, upper) = effect.bounds.unwrap();
                let excluded = lower > 0.0 || upper < 0.0;
                assert_eq!(effect.p_value.unwrap() < 0.05, excluded, "{method:?} {factor}: {effect:?}");
                assert!(
                    effect.relative_bounds.is_some_and(|(lower, upper)| lower < factor - 1.0 && factor - 1.0 < upper)
                );
            }
        }
    }

    #[test]
    fn a_histogram_says_nearly_what_values_say() {
        let mut values: Vec<f64> = hundred(1.0).collect();
        let coarse = Quantile { ranked: Ranked::Histogram(Sketch::of(&mut values)), q: 0.5, design_effect: 1.0 };
        let exact = quantile(hundred(1.0), 0.5);
        assert!((coarse.value() / exact.value() - 1.0).abs() < 0.02);
        let arm = quantile(hundred(1.5), 0.5);
        let (one, other) =
            (difference(&arm, &coarse, ask(Method::Fixed, 200)), difference(&arm, &exact, ask(Method::Fixed, 200)));
        assert!((one.bounds.unwrap().0 - other.bounds.unwrap().0).abs() < 1.0);
    }

    #[test]
    fn degenerate_arms() {
        let empty = quantile([], 0.5);
        let one = quantile([1.0], 0.5);
        assert_eq!(difference(&empty, &one, ask(Method::Fixed, 1)), Effect::default());
        let effect = difference(&one, &one, ask(Method::Fixed, 2));
        assert!(effect.value.is_some() && effect.bounds.is_none() && effect.p_value.is_none());
        let equal = quantile([3.0; 50], 0.5);
        let effect = difference(&equal, &equal, ask(Method::Fixed, 100));
        assert_eq!((effect.bounds, effect.p_value), (Some((0.0, 0.0)), Some(1.0)));
        let negative = quantile(hundred(-1.0), 0.5);
        assert_eq!(difference(&negative, &negative, ask(Method::Fixed, 200)).relative, None);
    }
}
