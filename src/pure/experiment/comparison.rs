//! One arm against the control: what is known, whatever stands for an arm, and what follows at a level.

use super::ArmStatistics;
use super::contrast::{Ask, Bounds, Contrast, Effect};
use super::linear::{self, Pair};
use super::proportions::{self, Share};
use super::ranked::{self, Quantile, Ranked};
use crate::stats::sketch::Sketch;

/// What is known of an arm beside the control.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// Estimates on the scale of the metric.
    Natural(Pair),
    /// Logarithms of what is estimated: their difference is a ratio.
    Log(Pair),
    /// Shares of units: arm, control.
    Shares(Share, Share),
    /// Quantiles: arm, control.
    Quantiles(Box<(Quantile, Quantile)>),
}

impl Comparison {
    /// Difference of means (Welch, Biometrika 34, 1947). None where an arm has no unit.
    #[must_use]
    pub fn means(arm: &ArmStatistics, control: &ArmStatistics) -> Option<Self> {
        pair((arm.n, arm.sum, arm.sum_sq), (control.n, control.sum, control.sum_sq)).map(Self::Natural)
    }

    /// Ratio of geometric means: Welch's test of the logarithms. None where an arm has no positive value.
    #[must_use]
    pub fn log_means(arm: &ArmStatistics, control: &ArmStatistics) -> Option<Self> {
        let of = |one: &ArmStatistics| (one.n_positive, one.sum_log, one.sum_log_sq);
        pair(of(arm), of(control)).map(Self::Log)
    }

    /// Difference of the `q`-quantiles of independent units, from histograms. None where an arm has no unit.
    #[must_use]
    pub fn quantiles(arm: &Sketch, control: &Sketch, q: f64) -> Option<Self> {
        let of = |one: &Sketch| Quantile { ranked: Ranked::Histogram(one.clone()), q, design_effect: 1.0 };
        (arm.count() > 0 && control.count() > 0).then(|| Self::Quantiles(Box::new((of(arm), of(control)))))
    }

    /// Units of both arms.
    pub(super) fn n(&self) -> u64 {
        match self {
            Self::Natural(pair) | Self::Log(pair) => pair.n,
            Self::Shares(arm, control) => arm.pair(*control).n,
            Self::Quantiles(both) => both.0.ranked.n() + both.1.ranked.n(),
        }
    }

    /// Effect, interval and significance.
    pub(super) fn effect(&self, ask: Ask) -> Effect {
        match self {
            Self::Natural(pair) => natural(pair, ask),
            Self::Log(pair) => log(pair, ask),
            Self::Shares(arm, control) => proportions::difference(*arm, *control, ask),
            Self::Quantiles(both) => ranked::difference(&both.0, &both.1, ask),
        }
    }

    /// The relative effect as one number with one error, on the scale on which it is normal: for posteriors, guardrails and
    /// plans. On the scale of logarithms where `is_log`.
    pub(super) fn relative(&self) -> Option<Contrast> {
        match self {
            Self::Natural(pair) => relative(pair),
            Self::Log(pair) => Contrast::new(pair.difference, pair.variance, pair.freedom),
            Self::Shares(arm, control) => relative(&arm.pair(*control)),
            Self::Quantiles(both) => {
                let (t, c) = (both.0.value(), both.1.value());
                let (t_error, c_error) = (ranked::standard_error(&both.0)?, ranked::standard_error(&both.1)?);
                let variance = (t_error.powi(2) + (c_error * t / c).powi(2)) / c.powi(2);
                Contrast::new(t / c - 1.0, variance, f64::INFINITY).filter(|_| c > 0.0)
            }
        }
    }

    /// Whether [`Comparison::relative`] is a logarithm.
    pub(super) fn is_log(&self) -> bool {
        matches!(self, Self::Log(_))
    }

    /// Estimate of the control and of the arm with their variances, on one scale, for the probability to be best.
    pub(super) fn levels(&self) -> Option<[(f64, f64); 2]> {
        let of = |pair: &Pair| {
            let arm = pair.variance + pair.control_variance + 2.0 * pair.covariance;
            [(pair.control, pair.control_variance), (pair.control + pair.difference, arm)]
        };
        match self {
            Self::Natural(pair) | Self::Log(pair) => Some(of(pair)),
            Self::Shares(arm, control) => Some(of(&arm.pair(*control))),
            Self::Quantiles(both) => {
                let level = |one: &Quantile| Some((one.value(), ranked::standard_error(one)?.powi(2)));
                Some([level(&both.1)?, level(&both.0)?])
            }
        }
    }
}

/// Two arms' means, from their sums.
fn pair(arm: (u64, f64, f64), control: (u64, f64, f64)) -> Option<Pair> {
    let ((t, t_variance, t_n), (c, c_variance, c_n)) = (mean(arm)?, mean(control)?);
    let (t_variance, c_variance) = (linear::spread(t_variance), linear::spread(c_variance));
    let share = |variance: f64, n: f64| variance * variance / (n - 1.0);
    Some(Pair {
        control: c,
        difference: t - c,
        variance: t_variance + c_variance,
        control_variance: c_variance,
        covariance: -c_variance,
        freedom: (t_variance + c_variance).powi(2) / (share(t_variance, t_n) + share(c_variance, c_n)),
        n: arm.0 + control.0,
    })
}

/// Mean, its variance (NaN for fewer than two units), units.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean((n, sum, sum_sq): (u64, f64, f64)) -> Option<(f64, f64, f64)> {
    let n = Some(n as f64).filter(|n| *n > 0.0)?;
    let mean = sum / n;
    let variance = if n > 1.0 { ((sum_sq - sum * mean) / (n - 1.0)).max(0.0) / n } else { f64::NAN };
    Some((mean, variance, n))
}

/// Relative to the control by the delta method, where the control's estimate is positive.
fn relative(pair: &Pair) -> Option<Contrast> {
    let ratio = pair.difference / pair.control;
    let variance = pair.variance - 2.0 * ratio * pair.covariance + ratio.powi(2) * pair.control_variance;
    Contrast::new(ratio, variance / pair.control.powi(2), pair.freedom).filter(|_| pair.control > 0.0)
}

fn natural(pair: &Pair, ask: Ask) -> Effect {
    let absolute = Contrast::new(pair.difference, pair.variance, pair.freedom);
    Effect {
        value: Some(pair.difference),
        bounds: absolute.and_then(|contrast| contrast.bounds(ask)),
        relative: (pair.control > 0.0).then(|| pair.difference / pair.control),
        relative_bounds: relative(pair).and_then(|contrast| contrast.bounds(ask)),
        p_value: absolute.and_then(|contrast| contrast.p_value(ask)),
        e_value: absolute.and_then(|contrast| contrast.e_value(ask)),
    }
}

/// `value` is the relative effect times the control's geometric mean, and so are its bounds: both intervals hold zero or
/// neither does.
fn log(pair: &Pair, ask: Ask) -> Effect {
    let contrast = Contrast::new(pair.difference, pair.variance, pair.freedom);
    let level = pair.control.exp();
    let relative = pair.difference.exp_m1();
    let bounds: Option<Bounds> =
        contrast.and_then(|contrast| contrast.bounds(ask)).map(|(lower, upper)| (lower.exp_m1(), upper.exp_m1()));
    Effect {
        value: Some(level * relative),
        bounds: bounds.map(|(lower, upper)| (level * lower, level * upper)),
        relative: Some(relative),
        relative_bounds: bounds,
        p_value: contrast.and_then(|contrast| contrast.p_value(ask)),
        e_value: contrast.and_then(|contrast| contrast.e_value(ask)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::experiment::{Method, Tuning};
    use crate::units::Level;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} for {expected}");
    }

    fn fixed(n: u64) -> Ask {
        Ask { method: Method::Fixed, level: Level::DEFAULT, n, tuning: Tuning::AnySize }
    }

    fn arm(n: u64, sum: f64, sum_sq: f64, sum_log: f64, sum_log_sq: f64) -> ArmStatistics {
        ArmStatistics { n, sum, sum_sq, n_positive: n, sum_log, sum_log_sq, ..ArmStatistics::default() }
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

    fn difference(arm: &ArmStatistics, control: &ArmStatistics, ask: Ask) -> Effect {
        Comparison::means(arm, control).map_or_else(Effect::default, |one| one.effect(ask))
    }

    fn log_ratio(arm: &ArmStatistics, control: &ArmStatistics, ask: Ask) -> Effect {
        Comparison::log_means(arm, control).map_or_else(Effect::default, |one| one.effect(ask))
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
        let negative: ArmStatistics = [-2.0, -3.0].into_iter().collect();
        assert_eq!(difference(&some, &negative, fixed(4)).relative, None);
    }
}
