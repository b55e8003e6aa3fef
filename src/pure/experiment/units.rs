//! Arms of units that were assigned as a whole, such as users: all runs of a unit are one draw.

use super::Comparison;
use super::linear::{Layout, Stratum, compare as compare_moments};
use super::moments::Moments;
use std::collections::{BTreeMap, BTreeSet};

/// Of each unit that has a value: the sum of what is measured, and what it is divided by: runs with a value, or another
/// sum.
pub type Units<'a> = BTreeMap<&'a str, (f64, f64)>;

/// Whether arms were drawn for units and not for their runs: no unit that has several runs is in two arms, and there are
/// enough of those that chance would have put one there. `units`: runs in each arm, by unit.
#[must_use]
pub fn are_assigned_whole<'a>(units: impl IntoIterator<Item = &'a [u64]>) -> bool {
    /// By chance all of them would be in one arm once in a million.
    const ENOUGH: usize = 20;
    let mut n = 0;
    for runs in units {
        let several = runs.iter().sum::<u64>() > 1;
        if several && runs.iter().filter(|n| **n > 0).count() > 1 {
            return false;
        }
        n += usize::from(several);
    }
    n >= ENOUGH
}

/// What stands for an arm: Σ above / Σ below over its units.
#[must_use]
pub fn value(units: &Units<'_>) -> f64 {
    let (above, below) = units.values().fold((0.0, 0.0), |(above, below), (a, b)| (above + a, below + b));
    above / below
}

/// The arm beside the control, each a ratio of sums over units by the delta method (Deng, Knoblich and Lu, KDD 2018); units
/// in both are compared with themselves. The difference of logarithms where `is_log`. None where nothing can be compared.
#[must_use]
pub fn compare(arm: &Units<'_>, control: &Units<'_>, is_log: bool) -> Option<Comparison> {
    let layout = Layout { is_ratio: true, n_covariates: 0 };
    let vector =
        |units: &Units<'_>, unit: &str| units.get(unit).map_or([0.0; 3], |(above, below)| [*above, *below, 1.0]);
    let pair = if arm.keys().any(|unit| control.contains_key(unit)) {
        let mut both = Moments::new(2 * layout.dims());
        let all: BTreeSet<&str> = arm.keys().chain(control.keys()).copied().collect();
        all.into_iter().for_each(|unit| both.add(&[vector(control, unit), vector(arm, unit)].concat()));
        compare_moments(&[Stratum::Joint(&both)], layout)
    } else {
        let moments = |units: &Units<'_>| {
            let mut all = Moments::new(layout.dims());
            units.keys().for_each(|unit| all.add(&vector(units, unit)));
            all
        };
        let (control, arm) = (moments(control), moments(arm));
        compare_moments(&[Stratum::Apart { control: &control, arm: &arm }], layout)
    }?;
    Some(if is_log { Comparison::Log(pair) } else { Comparison::Natural(pair) })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::experiment::Method;
    use crate::experiment::Tuning;
    use crate::experiment::contrast::Ask;
    use crate::experiment::measure::{RowStat, Rows, measure};
    use crate::units::Level;

    /// Rows of sixty units in two arms, every third unit in both where `shared`: what sums say is what rows say.
    fn agree(shared: bool) {
        let (mut outcome, mut arm, mut unit) = (Vec::new(), Vec::new(), Vec::new());
        let names: Vec<String> = (0..60).map(|i| format!("u{i}")).collect();
        let mut sums = [Units::new(), Units::new()];
        for i in 0..600_u32 {
            let of = i * 7 % 60;
            let in_arm = if shared && of % 3 == 0 { i / 60 % 2 } else { of % 2 };
            let value = 10.0 + f64::from(of % 11) + f64::from(i * 37 % 101) * 0.05 + 2.0 * f64::from(in_arm);
            outcome.push(value);
            arm.push(in_arm);
            unit.push(of);
            let of_unit = names.get(of as usize).unwrap().as_str();
            let sum = sums.get_mut(in_arm as usize).unwrap().entry(of_unit).or_default();
            (sum.0, sum.1) = (sum.0 + value, sum.1 + 1.0);
        }
        let rows = Rows {
            arm: &arm,
            names: &["a".to_owned(), "b".to_owned()],
            outcome: &outcome,
            denominator: None,
            covariates: &[],
            unit: Some(&unit),
            stratum: None,
            time: None,
        };
        let measured = measure(&rows, &(0..600).collect::<Vec<usize>>(), "a", RowStat::Mean);
        let ask = Ask { method: Method::Fixed, level: Level::DEFAULT, n: 60, tuning: Tuning::AnySize };
        let by_rows = measured.arms.iter().find_map(|arm| arm.comparison.as_ref()).unwrap().effect(ask);
        let [control, arm] = sums;
        let by_sums = compare(&arm, &control, false).unwrap().effect(ask);
        let (rows, sums) = (by_rows.bounds.unwrap(), by_sums.bounds.unwrap());
        assert!((rows.0 - sums.0).abs() < 1e-9 && (rows.1 - sums.1).abs() < 1e-9, "{rows:?} {sums:?}");
        assert!((value(&arm) - value(&control) - by_sums.value.unwrap()).abs() < 1e-9);
    }

    #[test]
    fn sums_of_units_say_what_their_rows_say() {
        agree(false);
        agree(true);
    }

    #[test]
    fn arms_of_whole_units_are_told_from_arms_of_runs() {
        let whole: Vec<[u64; 2]> = (0..20).map(|i| if i % 2 == 0 { [5, 0] } else { [0, 3] }).collect();
        let of = |units: &[[u64; 2]]| are_assigned_whole(units.iter().map(|runs| &runs[..]));
        assert!(of(&whole) && !of(&whole[..19]));
        assert!(!of(&[&whole[..], &[[1, 1]]].concat()));
        assert!(!of(&[[1, 0]; 100]), "single runs tell nothing");
    }

    #[test]
    fn nothing_is_not_compared() {
        assert!(compare(&Units::new(), &Units::new(), false).is_none());
    }
}
