//! What to do about an experiment.

use super::contrast::{Ask, Effect};
use super::{
    ArmStatistics, DecisionParams, ExperimentRow, ExperimentStatistics, Method, Stat, means, proportions, srm,
};
use crate::series::Better;
use crate::units::Level;

/// The five verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Ship,
    Rollback,
    KeepRunning,
    Inconclusive,
    Invalid,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Rollback => "rollback",
            Self::KeepRunning => "keep_running",
            Self::Inconclusive => "inconclusive",
            Self::Invalid => "invalid",
        }
    }
}

/// [`judge`] for each experiment, in order.
#[must_use]
pub fn judge_all(experiments: &[ExperimentStatistics], params: &DecisionParams) -> Vec<Vec<ExperimentRow>> {
    experiments.iter().map(|experiment| judge(experiment, params)).collect()
}

/// One row an arm, in the arms' order; the control's own has no effect.
///
/// The rule, first match wins, with the interval that holds over all arms together:
/// 1. `invalid`: the split of the units is broken (sample-ratio mismatch with p < 0.001);
/// 2. `keep_running`: units are still to come and the method allows one look only;
/// 3. `inconclusive`: the whole interval lies within ± `min_effect`: no effect that matters;
/// 4. `ship`, `rollback`: the whole interval is better, worse than no effect;
/// 5. `inconclusive` if no more units will come, else `keep_running`.
///
/// The control's own row says `invalid` or, nothing being to decide, `keep_running`. Intervals and p-values are none where
/// there is no spread to judge by; `srm_p_value` is NaN where there is no split to check.
#[must_use]
pub fn judge(experiment: &ExperimentStatistics, params: &DecisionParams) -> Vec<ExperimentRow> {
    let srm_p_value = if experiment.assigned.is_empty() {
        let counted = experiment.arms.iter().map(|(name, arm)| (name.clone(), arm.n)).collect();
        srm::p_value(&counted, &experiment.shares)
    } else {
        srm::p_value(&experiment.assigned, &experiment.shares)
    };
    let control = experiment.arms.get(&experiment.control);
    let rivals = experiment.arms.len().saturating_sub(usize::from(control.is_some())).max(1);
    let row = |(name, arm): (&String, &ArmStatistics)| {
        let against = control.filter(|_| *name != experiment.control);
        let effect_at =
            |level| against.map_or_else(Effect::default, |c| effect(experiment.stat, arm, c, params, level));
        let shown = effect_at(params.level);
        let joint = if rivals > 1 { effect_at(joint_level(params.level, rivals)) } else { shown };
        let decision = if srm_p_value < srm::MISMATCH {
            Decision::Invalid
        } else if against.is_none() {
            Decision::KeepRunning
        } else {
            decide(experiment, params.method, &joint)
        };
        ExperimentRow {
            metric: experiment.metric.clone(),
            arm: name.clone(),
            n: if experiment.stat == Stat::LogMean { arm.n_positive } else { arm.n },
            estimate: estimate(experiment.stat, arm),
            effect: shown.value,
            effect_lower: shown.bounds.map(|bounds| bounds.0),
            effect_upper: shown.bounds.map(|bounds| bounds.1),
            relative_effect: shown.relative,
            relative_lower: shown.relative_bounds.map(|bounds| bounds.0),
            relative_upper: shown.relative_bounds.map(|bounds| bounds.1),
            level: params.level,
            p_value: shown.p_value,
            method: params.method.as_str().to_owned(),
            srm_p_value,
            decision: decision.as_str().to_owned(),
        }
    };
    experiment.arms.iter().map(row).collect()
}

/// The level at which each of `rivals` intervals has to hold so that all do at `level` (Bonferroni).
fn joint_level(level: Level, rivals: usize) -> Level {
    Level::new(1.0 - level.alpha() / rivals as f64).unwrap_or(level)
}

fn estimate(stat: Stat, arm: &ArmStatistics) -> f64 {
    match stat {
        Stat::Mean => means::mean(arm),
        Stat::LogMean => means::geometric_mean(arm),
        Stat::Proportion => proportions::share(arm),
    }
}

fn effect(stat: Stat, arm: &ArmStatistics, control: &ArmStatistics, params: &DecisionParams, level: Level) -> Effect {
    let ask = |n| Ask { method: params.method, level, n };
    match stat {
        Stat::Mean => means::difference(arm, control, ask(arm.n + control.n)),
        Stat::LogMean => means::log_ratio(arm, control, ask(arm.n_positive + control.n_positive)),
        Stat::Proportion => proportions::difference(arm, control, ask(arm.n + control.n)),
    }
}

fn decide(experiment: &ExperimentStatistics, method: Method, effect: &Effect) -> Decision {
    let open = if experiment.finished { Decision::Inconclusive } else { Decision::KeepRunning };
    let Some((lower, upper)) = effect.bounds else { return open };
    if method == Method::Fixed && !experiment.finished {
        return Decision::KeepRunning;
    }
    let margin = experiment.min_effect;
    if effect.relative_bounds.is_some_and(|(lower, upper)| -margin < lower && upper < margin) {
        return Decision::Inconclusive;
    }
    match experiment.better {
        Better::Lower if upper < 0.0 => Decision::Ship,
        Better::Lower if lower > 0.0 => Decision::Rollback,
        Better::Higher if lower > 0.0 => Decision::Ship,
        Better::Higher if upper < 0.0 => Decision::Rollback,
        _ => open,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SEQUENTIAL: DecisionParams = DecisionParams { level: Level::DEFAULT, method: Method::Sequential };
    const FIXED: DecisionParams = DecisionParams { level: Level::DEFAULT, method: Method::Fixed };

    /// 2 n units around `centre`, alternating 1 above and 1 below.
    fn around(centre: f64, n: u64) -> ArmStatistics {
        (0..n).flat_map(|_| [centre - 1.0, centre + 1.0]).collect()
    }

    fn experiment(arms: &[(&str, ArmStatistics)]) -> ExperimentStatistics {
        ExperimentStatistics {
            id: "e".into(),
            metric: "execution_time".into(),
            stat: Stat::Mean,
            better: Better::Lower,
            control: "a".into(),
            arms: arms.iter().map(|(name, arm)| ((*name).to_owned(), arm.clone())).collect(),
            assigned: [].into(),
            shares: [].into(),
            min_effect: 0.0,
            finished: false,
        }
    }

    fn decision_on_b(experiment: &ExperimentStatistics, params: &DecisionParams) -> String {
        judge(experiment, params).into_iter().find(|row| row.arm == "b").unwrap().decision
    }

    #[test]
    fn each_rule_has_its_case() {
        let mut e = experiment(&[("a", around(10.0, 200)), ("b", around(8.0, 200))]);
        assert_eq!(decision_on_b(&e, &SEQUENTIAL), "ship");
        assert_eq!(decision_on_b(&e, &FIXED), "keep_running", "one look only, and it is not over");
        e.finished = true;
        assert_eq!(decision_on_b(&e, &FIXED), "ship");
        e.better = Better::Higher;
        assert_eq!(decision_on_b(&e, &SEQUENTIAL), "rollback");
        e.better = Better::Neither;
        assert_eq!(decision_on_b(&e, &SEQUENTIAL), "inconclusive");
        e.assigned = [("a".into(), 900), ("b".into(), 400)].into();
        assert_eq!(decision_on_b(&e, &SEQUENTIAL), "invalid");
        let mut same = experiment(&[("a", around(10.0, 200)), ("b", around(10.0, 200))]);
        assert_eq!(decision_on_b(&same, &SEQUENTIAL), "keep_running");
        same.min_effect = 0.2;
        assert_eq!(decision_on_b(&same, &SEQUENTIAL), "inconclusive", "shown to be without effect");
    }

    #[test]
    fn the_control_has_no_effect_of_its_own() {
        let rows = judge(&experiment(&[("a", around(10.0, 9)), ("b", around(8.0, 9))]), &SEQUENTIAL);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].arm.as_str(), rows[0].effect, rows[0].p_value), ("a", None, None));
        assert!(
            (rows[1].effect.unwrap() + 2.0).abs() < 1e-12 && (rows[1].relative_effect.unwrap() + 0.2).abs() < 1e-12
        );
        assert!((rows[0].srm_p_value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn several_arms_are_decided_at_the_joint_level() {
        // p = 0.03 for b against a: enough for one arm, not for one of five.
        let b = around(9.793, 110);
        let two = ExperimentStatistics { finished: true, ..experiment(&[("a", around(10.0, 110)), ("b", b.clone())]) };
        let c = around(10.0, 110);
        let five = [("a", c.clone()), ("b", b), ("c", c.clone()), ("d", c.clone()), ("e", c)];
        let five = ExperimentStatistics { finished: true, ..experiment(&five) };
        let p = |e| judge(e, &FIXED).into_iter().find(|row| row.arm == "b").unwrap().p_value.unwrap();
        assert!(p(&two) < 0.05 && p(&two) > 0.0125, "{}", p(&two));
        assert!((p(&two) - p(&five)).abs() < 1e-12, "what is shown is the arm's own");
        assert_eq!((decision_on_b(&two, &FIXED), decision_on_b(&five, &FIXED)), ("ship".into(), "inconclusive".into()));
    }

    #[test]
    fn degenerate_experiments_are_judged_without_numbers() {
        for arms in [
            vec![],
            vec![("a", around(1.0, 5))],
            vec![("b", around(1.0, 5))],
            vec![("a", ArmStatistics::default()), ("b", around(1.0, 5))],
            vec![("a", around(1.0, 5)), ("b", ArmStatistics::default())],
            vec![("a", [1.0].into_iter().collect()), ("b", [2.0].into_iter().collect())],
            vec![("a", [0.0; 4].into_iter().collect()), ("b", [0.0; 4].into_iter().collect())],
        ] {
            for stat in [Stat::Mean, Stat::LogMean, Stat::Proportion] {
                let e = ExperimentStatistics { stat, ..experiment(&arms) };
                let rows = judge(&e, &SEQUENTIAL);
                assert_eq!(rows.len(), arms.len());
                assert!(rows.iter().all(|row| row.p_value.is_none_or(|p| (0.0..=1.0).contains(&p))), "{rows:?}");
            }
        }
        let e = experiment(&[("a", around(1.0, 5))]);
        assert_eq!(
            judge_all(&[e.clone(), experiment(&[]), e], &FIXED).iter().map(Vec::len).collect::<Vec<_>>(),
            [1, 0, 1]
        );
    }
}
