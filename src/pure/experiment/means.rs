//! Differences of means and ratios of geometric means.

use super::ArmStatistics;
use super::contrast::{Ask, Contrast, Effect};

/// Mean of one arm with the variance of that mean.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    n: f64,
    mean: f64,
    /// Of the mean; NaN for fewer than two units.
    variance: f64,
}

impl Moment {
    fn of(n: u64, sum: f64, sum_sq: f64) -> Option<Self> {
        let n = Some(n as f64).filter(|n| *n > 0.0)?;
        let mean = sum / n;
        let variance = if n > 1.0 { ((sum_sq - sum * mean) / (n - 1.0)).max(0.0) / n } else { f64::NAN };
        Some(Self { n, mean, variance })
    }

    fn natural(arm: &ArmStatistics) -> Option<Self> {
        Self::of(arm.n, arm.sum, arm.sum_sq)
    }

    fn log(arm: &ArmStatistics) -> Option<Self> {
        Self::of(arm.n_positive, arm.sum_log, arm.sum_log_sq)
    }
}

/// Satterthwaite's degrees of freedom of a sum of two variances of means.
fn welch_freedom(arm: (f64, f64), control: (f64, f64)) -> f64 {
    let share = |(variance, n): (f64, f64)| variance * variance / (n - 1.0);
    (arm.0 + control.0).powi(2) / (share(arm) + share(control))
}

/// The arm's mean; NaN for an empty arm.
pub(super) fn mean(arm: &ArmStatistics) -> f64 {
    Moment::natural(arm).map_or(f64::NAN, |moment| moment.mean)
}

/// The arm's geometric mean; NaN without a positive value.
pub(super) fn geometric_mean(arm: &ArmStatistics) -> f64 {
    Moment::log(arm).map_or(f64::NAN, |moment| moment.mean.exp())
}

/// Difference of means without assuming equal variances (Welch 1947); relative to the control by the delta method, where
/// the control's mean is positive.
pub(super) fn difference(arm: &ArmStatistics, control: &ArmStatistics, ask: Ask) -> Effect {
    let (Some(t), Some(c)) = (Moment::natural(arm), Moment::natural(control)) else { return Effect::default() };
    let freedom = welch_freedom((t.variance, t.n), (c.variance, c.n));
    let absolute = Contrast::new(t.mean - c.mean, t.variance + c.variance, freedom);
    let ratio = t.mean / c.mean;
    let positive = c.mean > 0.0;
    let scaled = (t.variance + c.variance * ratio.powi(2)) / c.mean.powi(2);
    let relative = Contrast::new(ratio - 1.0, scaled, freedom).filter(|_| positive);
    Effect {
        value: Some(t.mean - c.mean),
        bounds: absolute.and_then(|contrast| contrast.bounds(ask)),
        relative: positive.then_some(ratio - 1.0),
        relative_bounds: relative.and_then(|contrast| contrast.bounds(ask)),
        p_value: absolute.and_then(|contrast| contrast.p_value(ask)),
    }
}

/// Ratio of geometric means: Welch's test of the logarithms. `value` is the relative effect times the control's geometric
/// mean, and so are its bounds: both intervals hold zero or neither does.
pub(super) fn log_ratio(arm: &ArmStatistics, control: &ArmStatistics, ask: Ask) -> Effect {
    let (Some(t), Some(c)) = (Moment::log(arm), Moment::log(control)) else { return Effect::default() };
    let freedom = welch_freedom((t.variance, t.n), (c.variance, c.n));
    let contrast = Contrast::new(t.mean - c.mean, t.variance + c.variance, freedom);
    let level = c.mean.exp();
    let relative = (t.mean - c.mean).exp_m1();
    let bounds = contrast.and_then(|contrast| contrast.bounds(ask)).map(|(lo, hi)| (lo.exp_m1(), hi.exp_m1()));
    Effect {
        value: Some(level * relative),
        bounds: bounds.map(|(lower, upper)| (level * lower, level * upper)),
        relative: Some(relative),
        relative_bounds: bounds,
        p_value: contrast.and_then(|contrast| contrast.p_value(ask)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::experiment::Method;
    use crate::units::Level;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} for {expected}");
    }

    fn fixed(n: u64) -> Ask {
        Ask { method: Method::Fixed, level: Level::DEFAULT, n }
    }

    fn arm(n: u64, sum: f64, sum_sq: f64, sum_log: f64, sum_log_sq: f64) -> ArmStatistics {
        ArmStatistics { n, sum, sum_sq, n_positive: n, sum_log, sum_log_sq }
    }

    /// scipy 1.17.1, `ttest_ind(equal_var=False)` of the values and of their logarithms; relative: gbstats 0.8.0,
    /// `TwoSidedTTest` with `difference_type="relative"`.
    #[test]
    fn equals_scipy_and_gbstats() {
        let control = arm(400, 40_011.564_632, 4_105_202.867_281_115_6, 1_836.802_875_584_675_6, 8_445.693_189_504_489);
        let treatment =
            arm(350, 34_259.385_980_000_01, 3_521_222.733_701_42, 1_594.670_556_617_173_4, 7_286.227_781_421_429);
        let effect = difference(&treatment, &control, fixed(750));
        near(effect.p_value.unwrap(), 0.131_581_723_776_969_1);
        near(effect.bounds.unwrap().0, -4.934_697_730_564_834);
        near(effect.bounds.unwrap().1, 0.644_794_456_279_156_8);
        near(effect.relative.unwrap(), -0.021_443_316_769_745_85);
        near(effect.relative_bounds.unwrap().0, -0.049_143_087_672_503_01);
        near(effect.relative_bounds.unwrap().1, 0.006_256_454_133_011_305);
        let effect = log_ratio(&treatment, &control, fixed(750));
        near(effect.p_value.unwrap(), 0.020_614_021_785_644_97);
        near(1.0 + effect.relative_bounds.unwrap().0, 0.936_036_153_800_374_5);
        near(1.0 + effect.relative_bounds.unwrap().1, 0.994_505_132_458_378);
    }

    /// The same sources, lognormal values with σ = 1.2.
    #[test]
    fn equals_scipy_on_a_heavy_tail() {
        let control =
            arm(500, 1_213_197.066_372_000_1, 16_656_230_691.278_625, 3_510.866_062_988_096, 25_435.169_369_879_18);
        let treatment =
            arm(480, 973_087.267_021_999_9, 6_388_387_613.494_323, 3_325.496_671_923_174, 23_714.328_382_507_12);
        let effect = difference(&treatment, &control, fixed(980));
        near(effect.p_value.unwrap(), 0.143_149_734_693_214_51);
        near(effect.relative_bounds.unwrap().0, -0.358_602_068_390_696_75);
        let effect = log_ratio(&treatment, &control, fixed(980));
        near(effect.p_value.unwrap(), 0.229_933_069_891_935_2);
        near(1.0 + effect.relative_bounds.unwrap().0, 0.781_499_753_225_573_2);
    }

    #[test]
    fn swapping_the_arms_turns_the_sign() {
        let a: ArmStatistics = [1.0, 2.0, 4.0, 8.0].into_iter().collect();
        let b: ArmStatistics = [2.0, 3.0, 5.0, 9.5, 11.0].into_iter().collect();
        let (there, back) = (difference(&a, &b, fixed(9)), difference(&b, &a, fixed(9)));
        near(there.value.unwrap(), -back.value.unwrap());
        near(there.bounds.unwrap().0, -back.bounds.unwrap().1);
        let (there, back) = (log_ratio(&a, &b, fixed(9)), log_ratio(&b, &a, fixed(9)));
        near(1.0 + there.relative.unwrap(), 1.0 / (1.0 + back.relative.unwrap()));
    }

    #[test]
    fn without_spread_there_is_an_effect_but_no_interval() {
        let empty = ArmStatistics::default();
        let one: ArmStatistics = [3.0].into_iter().collect();
        let constant: ArmStatistics = [2.0; 5].into_iter().collect();
        let some: ArmStatistics = [2.0, 3.0].into_iter().collect();
        assert_eq!(difference(&some, &empty, fixed(2)), Effect::default());
        for (arm, control) in [(&one, &some), (&constant, &constant), (&one, &one)] {
            let effect = difference(arm, control, fixed(arm.n + control.n));
            assert!(effect.value.is_some() && effect.bounds.is_none() && effect.p_value.is_none(), "{effect:?}");
            assert!(log_ratio(arm, control, fixed(2)).p_value.is_none());
        }
        assert!(mean(&empty).is_nan() && geometric_mean(&empty).is_nan());
        let negative: ArmStatistics = [-2.0, -3.0].into_iter().collect();
        assert_eq!(difference(&some, &negative, fixed(4)).relative, None);
    }
}
