//! Intervals that may be looked at any number of times.
//!
//! The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
//! theory and asymptotic confidence sequences" (Annals of Statistics 52, 2024, theorem 2.2): Robbins' normal mixture with
//! estimated variance. After n units the effect lies within
//! `se · sqrt(2 (nρ² + 1) / (nρ²) · ln(sqrt(nρ² + 1) / α))` of its estimate, for all n at once with probability 1 − α. A mean
//! of such mixtures is one more martingale that starts at 1, and so as valid.

use crate::units::Level;

/// Where a confidence sequence is tight.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Tuning {
    /// The mean of three mixtures, for a hundred, a thousand and ten thousand units of both arms: when an experiment will be
    /// decided is not known before its effect is. At 95 % it reaches 3.4 standard errors at a hundred units, 3.2 at a
    /// thousand and at ten thousand, 3.5 at a hundred thousand (a single look: 2.0).
    #[default]
    AnySize,
    /// One mixture, tightest after so many units of both arms: 3.0 standard errors there, 3.9 at a tenth of them, 3.2 at
    /// ten times as many.
    Units(f64),
}

impl Tuning {
    fn mixtures(&self) -> &[f64] {
        match self {
            Self::AnySize => &[100.0, 1_000.0, 10_000.0],
            Self::Units(units) => std::slice::from_ref(units),
        }
    }
}

/// n·ρ², with ρ chosen to be tightest after `units` (equation 10 of the paper's appendix).
fn mixture(n: u64, level: Level, units: f64) -> f64 {
    let spent = -2.0 * level.alpha().ln();
    n as f64 * (spent + (spent + 1.0).ln()) / units
}

/// How many standard errors the interval reaches to either side after `n` units of both arms.
pub(super) fn critical(n: u64, level: Level, tuning: Tuning) -> f64 {
    let mixtures = tuning.mixtures();
    let reach = |units: &f64| {
        let mixed = mixture(n, level, *units);
        // One of several has to carry the mean alone at most.
        let wanted = (mixtures.len() as f64 / level.alpha()).ln();
        (2.0 * (mixed + 1.0) / mixed * (0.5 * (mixed + 1.0).ln() + wanted)).sqrt()
    };
    let mut above = mixtures.iter().map(reach).fold(f64::INFINITY, f64::min);
    if mixtures.len() == 1 {
        return above;
    }
    let mut below = 0.0;
    while above - below > 1e-12 * above {
        let middle = 0.5 * (below + above);
        if e_value(middle, n, level, tuning) < 1.0 / level.alpha() {
            below = middle;
        } else {
            above = middle;
        }
    }
    above
}

/// The mixture martingale of the sequence for an estimate `z` standard errors from zero. It exceeds 1/α, at any look, just
/// where the interval at level 1 − α (with the mixture of `level`) excludes zero.
pub(super) fn e_value(z: f64, n: u64, level: Level, tuning: Tuning) -> f64 {
    let one = |units: &f64| {
        let mixed = mixture(n, level, *units);
        (0.5 * z * z * mixed / (mixed + 1.0)).exp() / (mixed + 1.0).sqrt()
    };
    let mixtures = tuning.mixtures();
    mixtures.iter().map(one).sum::<f64>() / mixtures.len() as f64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::experiment::comparison::Comparison;
    use crate::experiment::contrast::Ask;
    use crate::experiment::{ArmStatistics, Method};
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// gbstats 0.8.0, `SequentialTwoSidedTTest`, absolute, tuning 5000, of 400 and 350 units.
    #[test]
    fn equals_gbstats() {
        let standard_error = 1.420_639_105_367_513_4;
        let half = critical(750, Level::DEFAULT, Tuning::Units(5_000.0)) * standard_error;
        assert!((-2.144_951_637_142_838_8 - half + 7.161_091_830_103_5).abs() < 1e-9);
        let p = 1.0 / e_value(2.144_951_637_142_838_8 / standard_error, 750, Level::DEFAULT, Tuning::Units(5_000.0));
        assert!((p - 0.796_594_792_837_476_3).abs() < 1e-9);
    }

    #[test]
    fn p_value_and_interval_agree() {
        for tuning in [Tuning::AnySize, Tuning::Units(1_000.0)] {
            for n in [2, 10, 1_000, 1_000_000, 1_000_000_000_000] {
                let z = critical(n, Level::DEFAULT, tuning);
                assert!((e_value(z, n, Level::DEFAULT, tuning) - 20.0).abs() < 1e-8, "{tuning:?} {n} {z}");
                assert!(z > 1.96);
            }
            assert!(e_value(0.0, 10, Level::DEFAULT, tuning) < 1.0);
        }
    }

    /// The figures of the documentation of [`Tuning`].
    #[test]
    fn any_size_is_nearly_as_tight_as_tuned_from_a_hundred_units_on() {
        let reach = |n, tuning| format!("{:.1}", critical(n, Level::DEFAULT, tuning));
        let any = [100, 1_000, 10_000, 100_000].map(|n| reach(n, Tuning::AnySize));
        assert_eq!(any, ["3.4", "3.2", "3.2", "3.5"]);
        assert_eq!([100, 1_000, 10_000].map(|n| reach(n, Tuning::Units(1_000.0))), ["3.9", "3.0", "3.2"]);
    }

    /// 600 experiments without effect on lognormal values, looked at 28 times each.
    #[test]
    fn an_aa_test_seldom_rejects_though_it_is_looked_at_often() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
        let mut draw = || ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).exp();
        let ask = |method, n| Ask { method, level: Level::DEFAULT, n, tuning: Tuning::AnySize };
        let (mut at_the_end, mut at_any_look, mut sequential) = (0, 0, 0);
        for _ in 0..600 {
            let (mut a, mut b) = (ArmStatistics::default(), ArmStatistics::default());
            let (mut peeked, mut crossed, mut last) = (false, false, false);
            for _look in 0..28 {
                for _ in 0..20 {
                    a.add(draw());
                    b.add(draw());
                }
                let p = |method| Comparison::log_means(&a, &b).unwrap().effect(ask(method, a.n + b.n)).p_value.unwrap();
                last = p(Method::Fixed) < 0.05;
                peeked |= last;
                crossed |= p(Method::Sequential) < 0.05;
            }
            at_the_end += u32::from(last);
            at_any_look += u32::from(peeked);
            sequential += u32::from(crossed);
        }
        let rate = |n: u32| f64::from(n) / 600.0;
        // Two standard errors of a rate of 5 % are 1.8 points here.
        assert!((0.03..0.07).contains(&rate(at_the_end)), "{}", rate(at_the_end));
        assert!(rate(at_any_look) > 0.15, "peeking at fixed intervals should fail: {}", rate(at_any_look));
        assert!(rate(sequential) <= 0.05, "{}", rate(sequential));
    }
}
