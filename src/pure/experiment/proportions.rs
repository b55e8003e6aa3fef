//! Differences of shares.

use super::Method;
use super::contrast::{Ask, Bounds, Contrast, Effect};
use super::linear::Pair;
use crate::stats::dist::{normal_sf, wilson};

/// Successes out of units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    count: u64,
    n: f64,
    pub(super) value: f64,
}

impl Share {
    /// None for an empty arm and for a sum that is no count of successes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn of(count: u64, successes: f64) -> Option<Self> {
        let n = count as f64;
        let value = successes / n;
        (0.0..=1.0).contains(&value).then_some(Self { count, n, value })
    }

    /// With one success and one failure more (Agresti and Caffo 2000): never zero.
    fn softened_variance(self) -> f64 {
        let n = self.n + 2.0;
        let value = (self.value * self.n + 1.0) / n;
        value * (1.0 - value) / n
    }

    /// The difference to the control with the variances of both, none of them zero.
    pub(super) fn pair(self, control: Self) -> Pair {
        let (arm, own) = (self.softened_variance(), control.softened_variance());
        Pair {
            control: control.value,
            difference: self.value - control.value,
            variance: arm + own,
            control_variance: own,
            covariance: -own,
            freedom: f64::INFINITY,
            n: self.count + control.count,
        }
    }
}

/// Difference of shares: pooled z-test, interval by Newcombe's hybrid of the two Wilson intervals (Statistics in Medicine
/// 17, 1998, method 10), which also holds near 0 and 1; relative to the control by the same rule. Sequential:
/// the confidence sequence of the difference with softened variances.
pub(super) fn difference(t: Share, c: Share, ask: Ask) -> Effect {
    let value = t.value - c.value;
    let (bounds, p_value, e_value) = match ask.method {
        Method::Fixed => (Some(newcombe(t, c, ask)), pooled(t, c).and_then(|z| z.p_value(ask)), None),
        Method::Sequential => {
            let variance = t.softened_variance() + c.softened_variance();
            let contrast = Contrast::new(value, variance, f64::INFINITY);
            let z = |tell: fn(&Contrast, Ask) -> Option<f64>| contrast.and_then(|contrast| tell(&contrast, ask));
            (contrast.and_then(|z| z.bounds(ask)), z(Contrast::p_value), z(Contrast::e_value))
        }
    };
    let relative = (c.value > 0.0).then(|| value / c.value);
    let relative_bounds = relative.map(|_| ratio_bounds(t, c, ask)).map(|(lower, upper)| (lower - 1.0, upper - 1.0));
    Effect { value: Some(value), bounds, relative, relative_bounds, p_value, e_value }
}

/// The difference with the standard error that it has if there is no effect.
fn pooled(t: Share, c: Share) -> Option<Contrast> {
    let all = (t.value * t.n + c.value * c.n) / (t.n + c.n);
    Contrast::new(t.value - c.value, all * (1.0 - all) * (1.0 / t.n + 1.0 / c.n), f64::INFINITY)
}

/// The interval of the ratio of shares that goes with the hybrid interval of their difference (Donner and Zou, Statistical
/// Methods in Medical Research 21, 2012): the delta method misses it where successes are few.
fn ratio_bounds(t: Share, c: Share, ask: Ask) -> Bounds {
    let level = 1.0 - 2.0 * normal_sf(ask.reach(f64::INFINITY));
    let own = |share: Share| wilson(share.value * share.n, share.n, level);
    let ((t_lower, t_upper), (c_lower, c_upper)) = (own(t), own(c));
    let product = t.value * c.value;
    let end = |t_end: f64, c_end: f64, sign: f64| {
        let scale = c_end * (2.0 * c.value - c_end);
        let root = (product.powi(2) - t_end * (2.0 * t.value - t_end) * scale).max(0.0).sqrt();
        (product + sign * root) / scale
    };
    let upper = end(t_upper, c_lower, 1.0);
    let lower = end(t_lower, c_upper, -1.0);
    // A control whose interval reaches beyond twice its share bounds the ratio from below by nothing but zero.
    (if lower.is_finite() { lower.max(0.0) } else { 0.0 }, upper)
}

fn newcombe(t: Share, c: Share, ask: Ask) -> Bounds {
    let own = |share: Share| wilson(share.value * share.n, share.n, ask.level.get());
    let ((t_lower, t_upper), (c_lower, c_upper)) = (own(t), own(c));
    let value = t.value - c.value;
    (value - (t.value - t_lower).hypot(c_upper - c.value), value + (t_upper - t.value).hypot(c.value - c_lower))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::units::Level;

    fn arm(n: u64, successes: f64) -> Share {
        Share::of(n, successes).unwrap()
    }

    fn ask(method: Method, n: u64) -> Ask {
        Ask { method, level: Level::DEFAULT, n, tuning: crate::experiment::Tuning::AnySize }
    }

    /// statsmodels 0.15.0: `proportions_ztest`, `confint_proportions_2indep(method="newcomb")`; spotify-confidence 4.1.0
    /// gives the same relative effect.
    #[test]
    fn equals_statsmodels() {
        let effect = difference(arm(4911, 368.0), arm(4820, 312.0), ask(Method::Fixed, 9731));
        assert!((effect.p_value.unwrap() - 0.048_388_023_699_633_756).abs() < 1e-9);
        let (lower, upper) = effect.bounds.unwrap();
        assert!((lower - 6.569_940_160_355_836e-5).abs() < 1e-9 && (upper - 0.020_348_894_253_429_537).abs() < 1e-9);
        assert!((effect.relative.unwrap() - 0.157_631_481_394_462_42).abs() < 1e-12);
        // Within a twentieth of the delta method's, where successes are hundreds.
        let (lower, upper) = effect.relative_bounds.unwrap();
        assert!((lower - 0.001_0).abs() < 0.01 && (upper - 0.338).abs() < 0.02, "{lower} {upper}");
    }

    #[test]
    fn holds_at_the_edges() {
        for method in [Method::Fixed, Method::Sequential] {
            let none = difference(arm(20, 0.0), arm(20, 0.0), ask(method, 40));
            assert!(none.bounds.is_some_and(|(lower, upper)| lower < 0.0 && upper > 0.0), "{none:?}");
            assert_eq!(none.relative, None);
            let whole = difference(arm(20, 20.0), arm(20, 1.0), ask(method, 40));
            assert!(whole.bounds.is_some_and(|(lower, _)| lower > -1.0), "{whole:?}");
        }
        assert!(Share::of(0, 0.0).is_none() && Share::of(3, 50.0).is_none() && Share::of(3, -1.0).is_none());
    }
}
