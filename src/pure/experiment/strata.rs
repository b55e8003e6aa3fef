//! Arms compared like with like, from sums that were kept by stratum.

use super::contrast::Contrast;
use super::health::homogeneity_of;
use super::linear::{Layout, Stratum, compare};
use super::moments::Moments;
use super::{ArmStatistics, Comparison, Stat};
use std::collections::{BTreeMap, BTreeSet};

/// An arm's sums by stratum: what was the case before the start, in words.
pub type Strata = BTreeMap<String, ArmStatistics>;

/// A comparison, and what it was adjusted for.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjusted {
    /// None where nothing can be compared.
    pub comparison: Option<Comparison>,
    /// Whether strata and the covariate were taken out.
    pub is_adjusted: bool,
    /// Why they were not, where they could have been.
    pub caution: Option<String>,
}

/// Arms whose strata or covariates differ more than chance lets them (at this significance) were not assigned regardless of
/// them, or changed them: what the treatment does must not be taken out of its effect.
const IMBALANCED: f64 = 0.001;

/// Compares within strata and takes the covariate out. Shares are compared as they are.
#[must_use]
pub fn adjusted(arm: &Strata, control: &Strata, stat: Stat) -> Adjusted {
    let whole = |strata: &Strata| {
        let mut all = ArmStatistics::default();
        strata.values().for_each(|one| all.merge(one));
        all
    };
    let plain =
        |caution| Adjusted { comparison: whole(arm).compare(&whole(control), stat), is_adjusted: false, caution };
    if stat == Stat::Proportion {
        return plain(None);
    }
    let count = |strata: &Strata, key: &String| strata.get(key).map_or(0, |one| one.n);
    let keys: BTreeSet<&String> = arm.keys().chain(control.keys()).collect();
    let counts: Vec<Vec<u64>> = keys.iter().map(|key| vec![count(control, key), count(arm, key)]).collect();
    if homogeneity_of(&counts) < IMBALANCED {
        return plain(Some("arms differ in provider or platform: they are not compared like with like".to_owned()));
    }
    let of = |strata: &Strata| {
        strata.iter().map(|(key, one)| (key.clone(), one.moments(stat))).collect::<BTreeMap<String, Moments>>()
    };
    let (own, others) = poststrata(&of(control), &of(arm));
    let pairs: Vec<Stratum<'_>> =
        own.iter().zip(&others).map(|(control, arm)| Stratum::Apart { control, arm }).collect();
    if own.iter().chain(&others).all(|one| one.scatter(1, 1) <= 0.0) && pairs.len() < 2 {
        return plain(None);
    }
    if covariate_differs(&own, &others) {
        return plain(Some("arms differ in the size of their inputs: they are not compared like with like".to_owned()));
    }
    let pair = compare(&pairs, Layout { is_ratio: false, n_covariates: 1 });
    match pair.filter(|pair| pair.variance > 0.0) {
        Some(pair) => Adjusted {
            comparison: Some(if stat == Stat::LogMean { Comparison::Log(pair) } else { Comparison::Natural(pair) }),
            is_adjusted: true,
            caution: None,
        },
        None => plain(None),
    }
}

/// Whether the covariate itself shows an effect within strata.
fn covariate_differs(own: &[Moments], others: &[Moments]) -> bool {
    let alone = |moments: &Moments| {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let n = moments.n() as f64;
        let (sum, scatter) = (moments.total(1), moments.scatter(1, 1));
        Moments::of_sums(moments.n(), &[sum], &[scatter + sum * sum / n])
    };
    let (own, others): (Vec<Moments>, Vec<Moments>) =
        (own.iter().map(alone).collect(), others.iter().map(alone).collect());
    let varied: Vec<Stratum<'_>> = own
        .iter()
        .zip(&others)
        .filter(|(control, arm)| control.covariance(0, 0) > 0.0 && arm.covariance(0, 0) > 0.0)
        .map(|(control, arm)| Stratum::Apart { control, arm })
        .collect();
    let pair = compare(&varied, Layout { is_ratio: false, n_covariates: 0 });
    let contrast = pair.and_then(|pair| Contrast::new(pair.difference, pair.variance, pair.freedom));
    contrast.is_some_and(|one| (one.value / one.standard_error).abs() > IMBALANCED_ERRORS)
}

/// Standard errors beyond which a normal estimate has the significance [`IMBALANCED`].
const IMBALANCED_ERRORS: f64 = 3.29;

/// Strata that have two units in both arms; the others are put together, and go to the largest where they are still too
/// few.
pub(super) fn poststrata<K: Ord>(
    control: &BTreeMap<K, Moments>,
    arm: &BTreeMap<K, Moments>,
) -> (Vec<Moments>, Vec<Moments>) {
    let enough = |moments: Option<&Moments>| moments.is_some_and(|moments| moments.n() >= 2);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let mut rest: Option<(Moments, Moments)> = None;
    let keys: BTreeSet<&K> = control.keys().chain(arm.keys()).collect();
    for key in keys {
        let (c, t) = (control.get(key), arm.get(key));
        let Some(dims) = c.or(t).map(Moments::dims) else { continue };
        let of = |one: Option<&Moments>| one.cloned().unwrap_or_else(|| Moments::new(dims));
        if enough(c) && enough(t) {
            own.push(of(c));
            others.push(of(t));
        } else {
            let (rest_c, rest_t) = rest.get_or_insert_with(|| (Moments::new(dims), Moments::new(dims)));
            rest_c.merge(&of(c));
            rest_t.merge(&of(t));
        }
    }
    if let Some((c, t)) = rest {
        let size = |at: usize| own.get(at).map(Moments::n);
        let largest = (0..own.len()).max_by_key(|at| size(*at));
        let into = largest.filter(|_| !(enough(Some(&c)) && enough(Some(&t))));
        match into.and_then(|at| own.get_mut(at).zip(others.get_mut(at))) {
            Some((own, other)) => {
                own.merge(&c);
                other.merge(&t);
            }
            None => {
                own.push(c);
                others.push(t);
            }
        }
    }
    (own, others)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::experiment::contrast::Ask;
    use crate::experiment::{Method, Tuning};
    use crate::units::Level;

    fn effect(found: &Adjusted) -> (f64, f64) {
        let ask = Ask { method: Method::Fixed, level: Level::DEFAULT, n: 400, tuning: Tuning::AnySize };
        let effect = found.comparison.as_ref().unwrap().effect(ask);
        let (lower, upper) = effect.bounds.unwrap();
        (effect.value.unwrap(), upper - lower)
    }

    /// Values that depend on the stratum and on a covariate; `shift` is the effect.
    fn arm(shift: f64, counts: [u32; 2]) -> Strata {
        let mut strata = Strata::new();
        for (stratum, n) in ["fast", "slow"].into_iter().zip(counts) {
            let of = strata.entry(stratum.to_owned()).or_default();
            for i in 0..n {
                let (x, noise) = (f64::from(i % 10), f64::from((i * 7) % 5) * 0.1);
                of.add_with(10.0 + if stratum == "slow" { 20.0 } else { 0.0 } + x + noise + shift, x);
            }
        }
        strata
    }

    #[test]
    fn strata_and_covariate_take_the_noise_out() {
        let found = adjusted(&arm(1.0, [100, 100]), &arm(0.0, [100, 100]), Stat::Mean);
        assert!(found.is_adjusted && found.caution.is_none());
        let (value, width) = effect(&found);
        assert!((value - 1.0).abs() < 1e-9, "{value}");
        let plain = |strata: &Strata| {
            strata.values().fold(ArmStatistics::default(), |mut all, one| {
                all.merge(one);
                all
            })
        };
        let comparison = plain(&arm(1.0, [100, 100])).compare(&plain(&arm(0.0, [100, 100])), Stat::Mean);
        let bare = Adjusted { comparison, is_adjusted: false, caution: None };
        assert!(width < 0.1 * effect(&bare).1, "{width} beside {}", effect(&bare).1);
    }

    #[test]
    fn what_the_treatment_may_have_changed_is_not_taken_out() {
        let found = adjusted(&arm(1.0, [150, 50]), &arm(0.0, [50, 150]), Stat::Mean);
        assert!(!found.is_adjusted && found.caution.is_some_and(|why| why.contains("provider")));
        let larger: Strata = [(
            "one".to_owned(),
            (0..100).map(f64::from).fold(ArmStatistics::default(), |mut all, x| {
                all.add_with(x, x % 10.0 + 20.0);
                all
            }),
        )]
        .into();
        let usual: Strata = [(
            "one".to_owned(),
            (0..100).map(f64::from).fold(ArmStatistics::default(), |mut all, x| {
                all.add_with(x, x % 10.0);
                all
            }),
        )]
        .into();
        let found = adjusted(&larger, &usual, Stat::Mean);
        assert!(!found.is_adjusted && found.caution.is_some_and(|why| why.contains("inputs")));
    }

    #[test]
    fn strata_of_one_arm_alone_are_put_together() {
        let mut treatment = arm(1.0, [100, 100]);
        treatment.entry("new".to_owned()).or_default().add_with(31.0, 3.0);
        let found = adjusted(&treatment, &arm(0.0, [100, 100]), Stat::Mean);
        assert!(found.comparison.is_some());
        let empty = Strata::new();
        assert_eq!(adjusted(&empty, &empty, Stat::LogMean).comparison, None);
        assert_eq!(adjusted(&treatment, &empty, Stat::Mean).comparison, None);
    }
}
