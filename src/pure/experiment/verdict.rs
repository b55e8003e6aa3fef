//! What to do about experiments.

use super::bayes::{self, Posterior};
use super::comparison::Comparison;
use super::contrast::{Ask, Contrast, Effect};
use super::health::Health;
use super::power;
use super::{ArmStatistics, DecisionParams, ExperimentRow, ExperimentStatistics, Method, Stat, reason};
use crate::series::Better;
use crate::stats::fdr::benjamini_hochberg;
use crate::units::Level;

/// The five verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Ship,
    Rollback,
    KeepRunning,
    Inconclusive,
    Invalid,
}

impl Decision {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Rollback => "rollback",
            Self::KeepRunning => "keep_running",
            Self::Inconclusive => "inconclusive",
            Self::Invalid => "invalid",
        }
    }
}

/// What a metric is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// It decides.
    Primary,
    /// It must not get worse by more than this relative margin (0.05 = 5 %).
    Guardrail(f64),
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Guardrail(_) => "guardrail",
        }
    }
}

/// One arm of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialArm {
    /// Its name.
    pub name: String,
    /// Units with a value.
    pub n: u64,
    /// Its own estimate.
    pub estimate: f64,
    /// Beside the control; none for the control itself, and where nothing can be compared.
    pub comparison: Option<Comparison>,
    /// What should be known of this arm's numbers.
    pub caution: Option<String>,
}

/// One experiment and one metric of it, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The experiment.
    pub id: String,
    /// The metric.
    pub metric: String,
    /// What stands for an arm, in words.
    pub stat: String,
    /// What the metric is for.
    pub role: Role,
    /// Which way is an improvement; with neither, nothing is shipped or rolled back.
    pub better: Better,
    /// The arm that the others are compared with.
    pub control: String,
    /// All arms.
    pub arms: Vec<TrialArm>,
    /// Whether it can be believed.
    pub health: Health,
    /// Why the metric can't be judged at all, if so.
    pub unfit: Option<String>,
    /// Smallest relative effect that matters (0.02 = 2 %); 0: any.
    pub min_effect: f64,
    /// Whether no more units will come.
    pub finished: bool,
    /// New units a day, all arms together; none where times are unknown.
    pub units_per_day: Option<f64>,
    /// Most days that anybody would wait for a decision.
    pub max_days: f64,
}

/// What is known of an arm before decisions are made.
struct Found {
    effect: Effect,
    /// Significance over all arms of the trial (Bonferroni).
    p_joint: Option<f64>,
    relative: Option<Contrast>,
    ask: Ask,
}

/// [`judge`] for each experiment, in order, each by itself.
#[must_use]
pub fn judge_all(experiments: &[ExperimentStatistics], params: &DecisionParams) -> Vec<Vec<ExperimentRow>> {
    experiments.iter().map(|experiment| judge(experiment, params)).collect()
}

/// One row an arm, in the arms' order: [`judge_trials`] of a single metric.
#[must_use]
pub fn judge(experiment: &ExperimentStatistics, params: &DecisionParams) -> Vec<ExperimentRow> {
    judge_trials(&[trial_of(experiment)], params).pop().unwrap_or_default()
}

/// One row an arm for each trial; the control's own has no effect. Trials of one id are metrics of one experiment.
///
/// The rule, first match wins:
/// 1. `invalid`: the split of the units is broken (sample-ratio mismatch with p < 0.001), values are missing from arms
///    unequally, or the metric has no such estimate;
/// 2. nothing to compare with, or no spread: `keep_running` while units come, else `inconclusive`;
/// 3. `inconclusive`: the arm never ran side by side with the control;
/// 4. `keep_running`: units are still to come and the method allows one look only;
/// 5. `inconclusive`: the whole interval lies within ± `min_effect`: no effect that matters;
/// 6. `ship`, `rollback`: the effect is significant at the level that all experiments share. `ship` waits until every
///    guardrail of the experiment is shown to hold, and a guardrail that is shown to be broken is a `rollback`;
/// 7. `inconclusive` if no more units will come, or too few; else `keep_running`.
///
/// Error control: α holds over all arms of a trial (Bonferroni), and as a false discovery rate over all primary metrics
/// (Benjamini and Hochberg 1995; families of arms as by Benjamini and Bogomolov, JRSS B 76, 2014). Guardrails hold by
/// non-inferiority, each at α over all guardrails and arms of the experiment (Holm 1979). Intervals and p-values that are
/// shown are each its own.
#[must_use]
pub fn judge_trials(trials: &[Trial], params: &DecisionParams) -> Vec<Vec<ExperimentRow>> {
    let found: Vec<Vec<Option<Found>>> = trials.iter().map(|trial| look(trial, params)).collect();
    let threshold = discovery_threshold(trials, &found, params.level);
    let guards = guardrails(trials, &found, params.level);
    let rows = |(at, (trial, found)): (usize, (&Trial, &Vec<Option<Found>>))| {
        let best = probabilities_best(trial);
        let row = |(place, (arm, found)): (usize, (&TrialArm, &Option<Found>))| {
            let (decision, why) = match (trial.role, found) {
                (Role::Guardrail(_), Some(_)) if trial.health.invalid().or(trial.unfit.clone()).is_none() => {
                    guards.verdict(at, place, trial)
                }
                _ => {
                    let guard = guards.of_experiment(trials, &trial.id, &arm.name);
                    decide(trial, arm, found.as_ref(), params, threshold, guard)
                }
            };
            describe(
                trial,
                arm,
                found.as_ref(),
                params,
                Told { decision, why, best: best.get(place).copied().flatten() },
            )
        };
        trial.arms.iter().zip(found).enumerate().map(row).collect()
    };
    trials.iter().zip(&found).enumerate().map(rows).collect()
}

/// What judging leaves to be told of an arm.
struct Told {
    decision: Decision,
    why: String,
    best: Option<f64>,
}

fn look(trial: &Trial, params: &DecisionParams) -> Vec<Option<Found>> {
    let rivals = trial.arms.iter().filter(|arm| arm.name != trial.control).count().max(1);
    let of_arm = |arm: &TrialArm| {
        let comparison = arm.comparison.as_ref()?;
        let ask = Ask { method: params.method, level: params.level, n: comparison.n(), tuning: params.tuning };
        let effect = comparison.effect(ask);
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let p_joint = effect.p_value.map(|p| (p * rivals as f64).min(1.0));
        Some(Found { effect, p_joint, relative: comparison.relative(), ask })
    };
    trial.arms.iter().map(of_arm).collect()
}

/// The joint significance up to which effects count as found.
fn discovery_threshold(trials: &[Trial], found: &[Vec<Option<Found>>], level: Level) -> f64 {
    let primary = || trials.iter().zip(found).filter(|(trial, _)| trial.role == Role::Primary);
    let smallest = |found: &[Option<Found>]| found.iter().flatten().filter_map(|one| one.p_joint).reduce(f64::min);
    let p_values: Vec<f64> = primary().filter_map(|(_, found)| smallest(found)).collect();
    let alpha = level.alpha();
    let last = benjamini_hochberg(&p_values, p_values.len(), alpha);
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let share = p_values.iter().filter(|p| **p <= last).count() as f64 / p_values.len().max(1) as f64;
    if p_values.len() < 2 { alpha } else { alpha * share }
}

/// How the guardrails of all experiments stand.
struct Guardrails {
    /// (trial, arm) → state, with the p-values adjusted over the experiment.
    states: Vec<((usize, usize), Guard)>,
    /// Experiments that have guardrails, sorted.
    ids: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Guard {
    Holds,
    Open,
    Broken,
}

fn guardrails(trials: &[Trial], found: &[Vec<Option<Found>>], level: Level) -> Guardrails {
    let mut states = Vec::new();
    let with_guards = trials.iter().filter(|trial| trial.role != Role::Primary);
    let mut ids: Vec<&str> = with_guards.map(|trial| trial.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    for &id in &ids {
        let mut holds: Vec<((usize, usize), f64)> = Vec::new();
        let mut broken = Vec::new();
        for (at, (trial, found)) in trials.iter().zip(found).enumerate().filter(|(_, (trial, _))| trial.id == id) {
            let Role::Guardrail(margin) = trial.role else { continue };
            for (place, found) in found.iter().enumerate() {
                let Some(found) = found else { continue };
                let (below, above) = worse_than(trial, found, margin);
                holds.push(((at, place), below));
                broken.push(above);
            }
        }
        let shown = holm(&holds.iter().map(|(_, p)| *p).collect::<Vec<_>>(), level.alpha());
        let failed = holm(&broken, level.alpha());
        for (((key, _), shown), failed) in holds.iter().zip(shown).zip(failed) {
            let state = if failed {
                Guard::Broken
            } else if shown {
                Guard::Holds
            } else {
                Guard::Open
            };
            states.push((*key, state));
        }
    }
    Guardrails { states, ids: ids.into_iter().map(str::to_owned).collect() }
}

/// Significance of "it is not worse by `margin`" and of "it is".
fn worse_than(trial: &Trial, found: &Found, margin: f64) -> (f64, f64) {
    let Some(relative) = found.relative else { return (1.0, 1.0) };
    let is_log = trial.arms.iter().filter_map(|arm| arm.comparison.as_ref()).any(Comparison::is_log);
    let scaled = |change: f64| if is_log { change.ln_1p() } else { change };
    let mirrored = Contrast { value: -relative.value, ..relative };
    match trial.better {
        Better::Higher => {
            let limit = scaled(-margin);
            (mirrored.p_below(-limit, found.ask), relative.p_below(limit, found.ask))
        }
        Better::Lower | Better::Neither => {
            let limit = scaled(margin);
            (relative.p_below(limit, found.ask), mirrored.p_below(-limit, found.ask))
        }
    }
}

/// Which hypotheses are rejected when α is held over all of them (Holm, Scandinavian Journal of Statistics 6, 1979).
fn holm(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<(f64, usize)> = p_values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut rejected = vec![false; p_values.len()];
    for (rank, (p, at)) in order.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let limit = alpha / (p_values.len() - rank) as f64;
        if p.is_nan() || p > limit {
            break;
        }
        if let Some(flag) = rejected.get_mut(at) {
            *flag = true;
        }
    }
    rejected
}

impl Guardrails {
    fn state(&self, trial: usize, arm: usize) -> Option<Guard> {
        self.states.iter().find(|(key, _)| *key == (trial, arm)).map(|(_, state)| *state)
    }

    /// The worst state of an arm over the experiment's guardrails, with the metric; none without guardrails.
    fn of_experiment<'a>(&self, trials: &'a [Trial], id: &str, arm: &str) -> Option<(Guard, &'a str)> {
        let of_trial = |(at, trial): (usize, &'a Trial)| {
            let place = trial.arms.iter().position(|one| one.name == arm)?;
            let has_control = trial.control == arm;
            (trial.role != Role::Primary && !has_control)
                .then(|| (self.state(at, place).unwrap_or(Guard::Open), trial.metric.as_str()))
        };
        self.ids.binary_search_by(|known| known.as_str().cmp(id)).ok()?;
        trials.iter().enumerate().filter(|(_, trial)| trial.id == id).filter_map(of_trial).max()
    }

    fn verdict(&self, at: usize, place: usize, trial: &Trial) -> (Decision, String) {
        let Role::Guardrail(margin) = trial.role else { return (Decision::KeepRunning, String::new()) };
        let open = if trial.finished { Decision::Inconclusive } else { Decision::KeepRunning };
        match self.state(at, place) {
            Some(Guard::Holds) => (Decision::Ship, reason::guardrail_holds(margin)),
            Some(Guard::Broken) => (Decision::Rollback, reason::guardrail_broken(margin)),
            Some(Guard::Open) | None => (open, reason::guardrail_open(margin)),
        }
    }
}

fn decide(
    trial: &Trial,
    arm: &TrialArm,
    found: Option<&Found>,
    params: &DecisionParams,
    threshold: f64,
    guard: Option<(Guard, &str)>,
) -> (Decision, String) {
    let open = if trial.finished { Decision::Inconclusive } else { Decision::KeepRunning };
    if let Some(why) = trial.health.invalid().or_else(|| trial.unfit.clone()) {
        return (Decision::Invalid, why);
    }
    if trial.arms.len() < 2 {
        return (open, "there is only one arm".to_owned());
    }
    if arm.name == trial.control {
        return (Decision::KeepRunning, "the control".to_owned());
    }
    let Some(found) = found else { return (open, reason::nothing_to_compare(trial, arm)) };
    let (Some(value), Some(p)) = (found.effect.value, found.p_joint) else {
        return (open, reason::no_spread(trial, arm));
    };
    if trial.health.apart_in_time.contains(&arm.name) {
        return (Decision::Inconclusive, reason::before_and_after());
    }
    if params.method == Method::Fixed && !trial.finished {
        return (Decision::KeepRunning, "one look only, at the end".to_owned());
    }
    let margin = trial.min_effect;
    if found.effect.relative_bounds.is_some_and(|(lower, upper)| -margin < lower && upper < margin) {
        return (Decision::Inconclusive, reason::no_effect_that_matters(margin));
    }
    let is_better = match trial.better {
        Better::Lower => Some(value < 0.0),
        Better::Higher => Some(value > 0.0),
        Better::Neither => None,
    };
    if let Some((Guard::Broken, metric)) = guard {
        return (Decision::Rollback, format!("guardrail {metric} is broken"));
    }
    match is_better.filter(|_| p <= threshold) {
        Some(true) => match guard {
            Some((Guard::Open, metric)) => (open, format!("better, but guardrail {metric} is not yet shown to hold")),
            _ => (Decision::Ship, reason::significant("better", p, threshold, params)),
        },
        Some(false) => (Decision::Rollback, reason::significant("worse", p, threshold, params)),
        None => outlook(trial, found, open),
    }
}

/// What an experiment that is not decided may still come to.
fn outlook(trial: &Trial, found: &Found, open: Decision) -> (Decision, String) {
    let Some(needed) = units_to_decision(trial, found) else { return (open, "no effect in sight".to_owned()) };
    let days = days_to_decision(trial, found);
    if trial.finished {
        return (open, reason::not_significant(needed));
    }
    match days {
        Some(days) if days > trial.max_days => (Decision::Inconclusive, reason::hopeless(needed, days, trial.max_days)),
        _ => (open, reason::goes_on(needed, days)),
    }
}

/// Units of both arms after which the effect would be found: the smallest that matters, else the one that is estimated.
fn units_to_decision(trial: &Trial, found: &Found) -> Option<f64> {
    let relative = found.relative?;
    let sought = if trial.min_effect > 0.0 { trial.min_effect } else { relative.value.abs() };
    power::units_needed(&relative, sought, found.ask)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn days_to_decision(trial: &Trial, found: &Found) -> Option<f64> {
    let flow = trial.units_per_day.filter(|flow| *flow > 0.0)?;
    let all: u64 = trial.arms.iter().map(|arm| arm.n).sum();
    let share = found.ask.n as f64 / (all.max(1)) as f64;
    Some(((units_to_decision(trial, found)? - found.ask.n as f64) / (flow * share)).max(0.0))
}

fn probabilities_best(trial: &Trial) -> Vec<Option<f64>> {
    let none = || vec![None; trial.arms.len()];
    let levels: Vec<Option<[(f64, f64); 2]>> =
        trial.arms.iter().map(|arm| arm.comparison.as_ref().and_then(Comparison::levels)).collect();
    let Some(own) = levels.iter().flatten().next().map(|[own, _]| *own) else { return none() };
    let level = |(arm, level): (&TrialArm, &Option<[(f64, f64); 2]>)| {
        if arm.name == trial.control { Some(own) } else { level.map(|[_, arm]| arm) }
    };
    let known: Vec<Option<(f64, f64)>> = trial.arms.iter().zip(&levels).map(level).collect();
    let sound: Vec<(f64, f64)> = known.iter().flatten().copied().filter(|(_, v)| *v > 0.0 && v.is_finite()).collect();
    if sound.len() != known.iter().flatten().count() || sound.len() > MOST_COMPARED || trial.better == Better::Neither {
        return none();
    }
    let mut best = bayes::probabilities_best(&sound, trial.better == Better::Higher).into_iter();
    known.iter().map(|one| one.and_then(|_| best.next())).collect()
}

/// Arms beyond which nobody asks for the best one by its probability.
const MOST_COMPARED: usize = 100;

fn describe(
    trial: &Trial,
    arm: &TrialArm,
    found: Option<&Found>,
    params: &DecisionParams,
    told: Told,
) -> ExperimentRow {
    let effect = found.map_or_else(Effect::default, |found| found.effect);
    let relative = found.and_then(|found| found.relative);
    let posterior = relative.map(|one| Posterior::of_contrast(&one, params.prior));
    let loss = |posterior: Posterior| match trial.better {
        Better::Higher => posterior.mean_below(),
        Better::Lower | Better::Neither => posterior.mean_above(),
    };
    let is_two = trial.arms.len() == 2;
    let better = posterior.filter(|_| trial.better != Better::Neither).map(|posterior| match trial.better {
        Better::Higher => posterior.above_zero(),
        Better::Lower | Better::Neither => 1.0 - posterior.above_zero(),
    });
    let drifted = trial.health.drifted().filter(|_| arm.name != trial.control);
    let said = [Some(told.why).filter(|why| !why.is_empty()), arm.caution.clone(), drifted];
    let reason = said.into_iter().flatten().collect::<Vec<_>>().join("; ");
    ExperimentRow {
        metric: trial.metric.clone(),
        arm: arm.name.clone(),
        n: arm.n,
        estimate: arm.estimate,
        effect: effect.value,
        effect_lower: effect.bounds.map(|bounds| bounds.0),
        effect_upper: effect.bounds.map(|bounds| bounds.1),
        relative_effect: effect.relative,
        relative_lower: effect.relative_bounds.map(|bounds| bounds.0),
        relative_upper: effect.relative_bounds.map(|bounds| bounds.1),
        level: params.level,
        p_value: effect.p_value,
        method: params.method.as_str().to_owned(),
        srm_p_value: trial.health.srm_p_value(),
        decision: told.decision.as_str().to_owned(),
        role: trial.role.as_str().to_owned(),
        reason,
        stat: trial.stat.clone(),
        e_value: effect.e_value,
        srm_sequential_p_value: trial.health.srm_sequential_p_value(),
        probability_best: if is_two && found.is_some() { better } else { told.best },
        expected_loss: posterior.map(loss),
        detectable_effect: found.and_then(|found| Some(power::detectable(&found.relative?, found.ask))),
        units_to_decision: found.and_then(|found| units_to_decision(trial, found)),
        days_to_decision: found.and_then(|found| days_to_decision(trial, found)),
    }
}

/// What the sums of an experiment say, as a trial.
pub(super) fn trial_of(experiment: &ExperimentStatistics) -> Trial {
    let control = experiment.arms.get(&experiment.control);
    let arm = |(name, arm): (&String, &ArmStatistics)| {
        let against = control.filter(|_| *name != experiment.control);
        TrialArm {
            name: name.clone(),
            n: if experiment.stat == Stat::LogMean { arm.n_positive } else { arm.n },
            estimate: arm.estimate(experiment.stat),
            comparison: against.and_then(|control| ArmStatistics::compare(arm, control, experiment.stat)),
            caution: None,
        }
    };
    let counted = || experiment.arms.iter().map(|(name, arm)| (name.clone(), arm.n)).collect();
    Trial {
        id: experiment.id.clone(),
        metric: experiment.metric.clone(),
        stat: experiment.stat.as_str().to_owned(),
        role: Role::Primary,
        better: experiment.better,
        control: experiment.control.clone(),
        arms: experiment.arms.iter().map(arm).collect(),
        health: Health {
            assigned: if experiment.assigned.is_empty() { counted() } else { experiment.assigned.clone() },
            shares: experiment.shares.clone(),
            ..Health::default()
        },
        unfit: None,
        min_effect: experiment.min_effect,
        finished: experiment.finished,
        units_per_day: None,
        max_days: f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SEQUENTIAL: DecisionParams = DecisionParams::of(Method::Sequential);
    const FIXED: DecisionParams = DecisionParams::of(Method::Fixed);

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
