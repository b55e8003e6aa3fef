//! How many units an experiment needs, and what it can see.

use super::contrast::{Ask, Contrast};
use super::{Method, Tuning};
use crate::stats::dist::normal_quantile;

/// Probability with which an effect of the size asked for should be found.
pub const POWER: f64 = 0.8;
/// Beyond so many units nobody waits.
const MOST_UNITS: f64 = 1e15;

/// Standard errors between "no effect" and an effect that is found with [`POWER`]. At looks that go on it is found at this
/// one or before.
fn distance(ask: Ask) -> f64 {
    ask.reach(f64::INFINITY) + normal_quantile(POWER)
}

/// The smallest effect that `contrast` finds with [`POWER`], in its unit.
pub(super) fn detectable(contrast: &Contrast, ask: Ask) -> f64 {
    contrast.standard_error * distance(ask)
}

/// Units of both arms, split as they are now, after which an effect of the size `effect` is found with [`POWER`]; none
/// for no effect.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded by MOST_UNITS"
)]
pub(super) fn units_needed(contrast: &Contrast, effect: f64, ask: Ask) -> Option<f64> {
    let unit_error = contrast.standard_error * (ask.n as f64).sqrt();
    let is_found = |n: f64| unit_error / n.sqrt() * distance(Ask { n: n as u64, ..ask }) <= effect.abs();
    if !(effect != 0.0 && unit_error.is_finite() && is_found(MOST_UNITS)) {
        return None;
    }
    let (mut too_few, mut enough) = (1.0_f64, MOST_UNITS);
    while enough / too_few > 1.0 + 1e-9 && enough - too_few > 0.5 {
        let mid = (too_few * enough).sqrt();
        if is_found(mid) {
            enough = mid;
        } else {
            too_few = mid;
        }
    }
    Some(enough.ceil())
}

/// What an experiment needs before it starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Units of both arms for one look at the end.
    pub units_fixed: f64,
    /// Units of both arms until a test that may be looked at any time has found it.
    pub units_sequential: f64,
}

/// Plans for a metric of `mean` and standard deviation `sd` a unit, and a relative effect to be found; `share` of the units
/// get the treatment. None without a mean, spread, or effect.
#[must_use]
pub fn plan(mean: f64, sd: f64, effect: f64, share: f64, level: crate::units::Level, tuning: Tuning) -> Option<Plan> {
    // Two units, split as planned, have this error.
    let variance = (sd / mean).powi(2) * (1.0 / share + 1.0 / (1.0 - share)) / 2.0;
    let contrast = Contrast::new(effect, variance, f64::INFINITY)?;
    let ask = |method| Ask { method, level, n: 2, tuning };
    Some(Plan {
        units_fixed: units_needed(&contrast, effect, ask(Method::Fixed))?,
        units_sequential: units_needed(&contrast, effect, ask(Method::Sequential))?,
    })
}

/// The relative effect that `units` of both arms find with [`POWER`], at one look and at any number of looks: for a metric
/// of `mean` and standard deviation `sd` a unit, `share` of the units in the treatment. None without mean, spread or units.
#[must_use]
pub fn detectable_with(
    mean: f64,
    sd: f64,
    units: u64,
    share: f64,
    level: crate::units::Level,
    tuning: Tuning,
) -> Option<[f64; 2]> {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let variance = (sd / mean).powi(2) * (1.0 / share + 1.0 / (1.0 - share)) / units as f64;
    let contrast = Contrast::new(0.0, variance, f64::INFINITY)?;
    let of = |method| detectable(&contrast, Ask { method, level, n: units, tuning });
    Some([of(Method::Fixed), of(Method::Sequential)])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::units::Level;

    /// statsmodels 0.15.0: `NormalIndPower().solve_power(0.1, alpha=.05, power=.8)` = 1569.77 an arm, both tails; one tail
    /// counts here.
    #[test]
    fn equals_statsmodels() {
        let plan = plan(10.0, 1.0, 0.01, 0.5, Level::DEFAULT, Tuning::AnySize).unwrap();
        assert!((plan.units_fixed - 2.0 * 1_569.8).abs() < 2.0, "{plan:?}");
        assert!(plan.units_sequential > 1.5 * plan.units_fixed && plan.units_sequential < 4.0 * plan.units_fixed);
    }

    #[test]
    fn what_is_planned_for_is_what_can_be_detected() {
        let plan = plan(10.0, 3.0, 0.05, 0.3, Level::DEFAULT, Tuning::AnySize).unwrap();
        let [fixed, _] =
            detectable_with(10.0, 3.0, plan.units_fixed as u64, 0.3, Level::DEFAULT, Tuning::AnySize).unwrap();
        let [_, sequential] =
            detectable_with(10.0, 3.0, plan.units_sequential as u64, 0.3, Level::DEFAULT, Tuning::AnySize).unwrap();
        assert!((fixed - 0.05).abs() < 1e-4 && (sequential - 0.05).abs() < 1e-4, "{fixed} {sequential}");
        assert_eq!(detectable_with(10.0, 3.0, 0, 0.5, Level::DEFAULT, Tuning::AnySize), None);
    }

    #[test]
    fn no_plan_without_an_effect() {
        for (mean, sd, effect, share) in
            [(0.0, 1.0, 0.1, 0.5), (1.0, 0.0, 0.1, 0.5), (1.0, 1.0, 0.0, 0.5), (1.0, 1.0, 0.1, 0.0)]
        {
            assert_eq!(plan(mean, sd, effect, share, Level::DEFAULT, Tuning::AnySize), None);
        }
    }
}
