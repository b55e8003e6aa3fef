//! Who predicts: the model that stands, or one trained anew.
//!
//! A model that was trained once goes on predicting, its running levels moved by what has ended since, until it is due
//! for retraining. Then it stands as champion against the challenger: both predict the same recent executions, the
//! champion from what it was trained on and all that ended before each of them started, the challenger likewise, trained
//! on all that had ended before the first of them. (The challenger that would be kept has learned from those executions
//! and can't be tried on them; its twin is.) A challenger that is worse beyond noise is refused, and the champion stays.

use super::backtest::Errors;
use super::dataset::{Target, is_cached};
use super::models::{Models, Predicted};
use super::runs::RunHistory;
use super::train::{TrainParams, train, train_before};
use super::walk::{Walk, query};
use super::{ModelCard, ModelScore, unfit};
use crate::detect::{Skip, SkipSubject};
use crate::samples::Samples;
use crate::stats::dist::t_sf;
use crate::units::Level;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Grows whenever the layout or the meaning of [`Kept`] changes: models that an earlier version kept can't be read then.
pub const FORMAT: u32 = 2;
/// The name of the model that stands, on executions since it was trained.
pub const CHAMPION: &str = "champion";
/// The name of the model that was trained anew, on the same executions.
pub const CHALLENGER: &str = "challenger";
/// A challenger is refused where a champion as good would look so much better less often than this.
const SIGNIFICANCE: f64 = 0.01;
/// And only where its loss is larger by more than this share, or its share within ±20 % smaller by more than this: what
/// is less is not worth an older model.
const MARGIN: f64 = 0.01;
/// Losses of executions that follow one another are alike; means over stretches of time are nearly independent. So many
/// stretches at most,
const MAX_STRETCHES: usize = 24;
/// and so many executions in each at least.
const MIN_STRETCH: usize = 3;
/// Fewer executions say nothing, and no challenger is refused.
const MIN_PAIRS: usize = 24;

/// The model of one target as it is kept between runs: what it needs to go on, and how good it was when trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// All that had ended by then is in it.
    pub trained_us: i64,
    /// The model, of one target alone.
    pub models: Models,
    /// Its backtest and that of its rivals when it was trained.
    pub scores: Vec<ModelScore>,
    /// The groups that it was trained on.
    pub standings: Vec<Standing>,
    /// Beside the model of durations: what was learned then about predictions of whole runs.
    pub runs: Option<RunHistory>,
}

/// One workflow type of a kept model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The workflow type.
    pub group: String,
    /// Executions learned from.
    pub n: u64,
    /// First and last end of what was learned from.
    pub window_us: (i64, i64),
    /// Share within ±20 % on the backtest; NaN where nothing could be held out.
    pub in20: f64,
}

/// What earlier runs have left of a target's models.
#[derive(Debug, Clone, PartialEq)]
pub struct Champion {
    /// Counts the models of a target from 1.
    pub version: u64,
    /// The model; none where it can't be used: then a new one is trained, under the next number.
    pub kept: Option<Kept>,
}

/// How an election is held.
#[derive(Debug, Clone, PartialEq)]
pub struct ElectionParams {
    /// How models are trained.
    pub train: TrainParams,
    /// The cutoff.
    pub as_of_us: i64,
    /// Only a model older than this is trained anew.
    pub retrain_us: i64,
}

/// How a target came to its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// There was none before that could be used.
    First,
    /// Trained anew, and not shown to be worse.
    Promoted,
    /// A worse one was trained: the model of before stays.
    Refused,
    /// Too young to be trained anew, or nothing could be trained.
    Stays,
}

/// The model that predicts a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Elected {
    /// The target.
    pub target: Target,
    /// Its number.
    pub version: u64,
    /// How it came to be.
    pub decision: Decision,
    /// What was compared, where something was.
    pub contest: Option<Contest>,
    /// A new model, to be kept; none where the one of before stays.
    pub new: Option<Kept>,
}

/// Champion and challenger on the same executions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Contest {
    /// How many executions.
    pub n: u64,
    /// Mean pinball loss of the median and both ends of the interval, on the log scale.
    pub champion_pinball: f64,
    /// Likewise.
    pub challenger_pinball: f64,
    /// Share within ±20 %.
    pub champion_in20: f64,
    /// Likewise.
    pub challenger_in20: f64,
    /// Whether the challenger is worse beyond noise.
    pub is_worse: bool,
}

/// Who predicts what, and what is to be published of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Election {
    /// The models that predict, up to the last end.
    pub models: Models,
    /// Backtests of these models when they were trained, beside fixed rivals; champions and challengers on what came
    /// since.
    pub scores: Vec<ModelScore>,
    /// What could not be trained, who is unfit, who was refused.
    pub skips: Vec<Skip>,
    /// By target.
    pub elected: Vec<Elected>,
    /// What was known about predictions of whole runs when the model of durations that stays was trained; none where a
    /// new one is trained.
    pub runs: Option<RunHistory>,
}

/// Trains what is due, and lets it stand against `champions`, what earlier runs have left by target.
#[must_use]
pub fn elect(samples: &Samples, champions: BTreeMap<Target, Champion>, params: &ElectionParams) -> Election {
    let targets: BTreeSet<Target> = params.train.targets.iter().copied().collect();
    let mut champions = champions;
    let mut skips = usable(&mut champions, params.train.level);
    let age_us = |kept: &Kept| params.as_of_us.saturating_sub(kept.trained_us);
    let is_due = |target: &&Target| {
        let kept = champions.get(*target).and_then(|champion| champion.kept.as_ref());
        kept.is_none_or(|kept| age_us(kept) > params.retrain_us)
    };
    let due: Vec<Target> = targets.iter().filter(is_due).copied().collect();
    let (mut trained, untrained) = train(samples, &TrainParams { targets: due, ..params.train.clone() });
    skips.extend(untrained);
    let models = Models::empty(params.train.level);
    let mut election = Election { models, scores: Vec::new(), skips, elected: Vec::new(), runs: None };
    for target in targets {
        let challenger = Kept::of(&mut trained, target, params.as_of_us);
        let champion = champions.remove(&target);
        let version = champion.as_ref().map_or(0, |champion| champion.version);
        match (champion.and_then(|champion| champion.kept), challenger) {
            (None, None) => {}
            (None, Some(new)) => election.seat(target, version + 1, Decision::First, None, new, params),
            (Some(kept), challenger) => election.hold(samples, target, version, kept, challenger, params),
        }
    }
    election
}

/// Takes out the models whose intervals are of another level than is asked for, and says so.
fn usable(champions: &mut BTreeMap<Target, Champion>, level: Level) -> Vec<Skip> {
    let mut skips = Vec::new();
    for (target, champion) in champions {
        let version = champion.version;
        let other = champion.kept.take_if(|kept| kept.models.level != level);
        skips.extend(other.map(|kept| {
            let found = kept.models.level.get();
            let reason = format!(
                "version {version} is not used: its intervals are of level {found}, asked for is {}",
                level.get()
            );
            about(*target, &reason)
        }));
    }
    skips
}

/// A skip about the model of a target.
#[must_use]
pub fn about(target: Target, reason: &str) -> Skip {
    Skip {
        analysis: "performance_prediction",
        subject: SkipSubject::Workflow { workflow: "*".to_owned(), step: None },
        reason: format!("{}: {reason}", target.as_str()),
    }
}

impl Kept {
    /// Takes one target's model out of what was trained.
    fn of(trained: &mut Models, target: Target, trained_us: i64) -> Option<Self> {
        let model = trained.targets.remove(&target)?;
        let mut models = Models::empty(trained.level);
        models.targets.insert(target, model);
        let is_of_target = |name: &str| name == target.as_str();
        let standing = |card: &ModelCard| Standing {
            group: card.group.clone(),
            n: card.n,
            window_us: card.window_us,
            in20: card.in20,
        };
        Some(Self {
            trained_us,
            models,
            scores: trained.scores.iter().filter(|score| is_of_target(&score.target)).cloned().collect(),
            standings: trained.cards.iter().filter(|card| is_of_target(card.target)).map(standing).collect(),
            runs: None,
        })
    }
}

impl Election {
    /// A new model takes its seat.
    fn seat(
        &mut self,
        target: Target,
        version: u64,
        decision: Decision,
        contest: Option<Contest>,
        new: Kept,
        params: &ElectionParams,
    ) {
        self.publish(target, &new, params);
        self.models.targets.extend(new.models.targets.clone());
        self.elected.push(Elected { target, version, decision, contest, new: Some(new) });
    }

    /// A model that stands is asked about what came since, and stays unless a challenger may take its place.
    fn hold(
        &mut self,
        samples: &Samples,
        target: Target,
        version: u64,
        kept: Kept,
        challenger: Option<Kept>,
        params: &ElectionParams,
    ) {
        let level = params.train.level.get();
        let mut since = executions_since(samples, target, kept.trained_us);
        let mut champion = Walk::new(kept.models.clone(), samples, kept.trained_us);
        let Some(new) = challenger else {
            self.scores.extend(live(samples, target, &since, &mut champion).scores(target, CHAMPION, level));
            return self.stay(target, version, Decision::Stays, None, &kept, champion, params);
        };
        // The older half teaches the challenger what the champion was not trained on, if the rest is enough to compare on.
        let older = if since.len() < 2 * MIN_PAIRS { 0 } else { since.len() / 2 };
        let recent = since.split_off(older);
        let from_us = recent.first().and_then(|&row| samples.started_us.get(row)).copied().unwrap_or(i64::MAX);
        let train = TrainParams { targets: vec![target], ..params.train.clone() };
        let mut twin = Walk::new(train_before(samples, &train, from_us), samples, from_us.saturating_sub(1));
        let (theirs, ours) = (live(samples, target, &recent, &mut champion), live(samples, target, &recent, &mut twin));
        let contest = contest(&theirs, &ours);
        self.scores.extend(theirs.scores(target, CHAMPION, level));
        self.scores.extend(ours.scores(target, CHALLENGER, level));
        if contest.is_none_or(|contest| !contest.is_worse) {
            return self.seat(target, version + 1, Decision::Promoted, contest, new, params);
        }
        self.skips.extend(contest.map(|contest| about(target, &refusal(version, &contest))));
        self.stay(target, version, Decision::Refused, contest, &kept, champion, params);
    }

    #[expect(clippy::too_many_arguments, reason = "one place where a model keeps its seat")]
    fn stay(
        &mut self,
        target: Target,
        version: u64,
        decision: Decision,
        contest: Option<Contest>,
        kept: &Kept,
        walk: Walk<'_>,
        params: &ElectionParams,
    ) {
        self.publish(target, kept, params);
        self.runs = kept.runs.clone().or_else(|| self.runs.take());
        self.models.targets.extend(walk.finish().targets);
        self.elected.push(Elected { target, version, decision, contest, new: None });
    }

    /// How good it was when trained, and for whom it is not good enough.
    fn publish(&mut self, target: Target, kept: &Kept, params: &ElectionParams) {
        self.scores.extend(kept.scores.iter().cloned());
        let threshold = params.train.accuracy_threshold;
        let unfit = kept.standings.iter().filter_map(|of| unfit(target.as_str(), &of.group, of.n, of.in20, threshold));
        self.skips.extend(unfit);
    }
}

fn refusal(version: u64, contest: &Contest) -> String {
    let Contest { n, champion_pinball, challenger_pinball, champion_in20, challenger_in20, is_worse: _ } = contest;
    format!(
        "the model that was trained anew is refused and version {version} stays: on the same {n} executions its pinball \
         loss is {challenger_pinball:.4} beside {champion_pinball:.4}, its in20 {challenger_in20:.3} beside \
         {champion_in20:.3}"
    )
}

/// Rows with a usable outcome that started after `us`, by start.
fn executions_since(samples: &Samples, target: Target, us: i64) -> Vec<usize> {
    let usable = |row: &usize| {
        let started = samples.started_us.get(*row).is_some_and(|&start| start > us);
        let outcome = target.column(samples).get(*row).is_some_and(|y| *y > 0.0 && y.is_finite());
        started && outcome && !is_cached(samples, *row)
    };
    let mut since: Vec<usize> = (0..samples.len()).filter(usable).collect();
    // A day's executions may reach into the next.
    since.sort_by_key(|&row| samples.started_us.get(row).copied());
    since
}

/// What a model said of executions before they started, and what came true.
#[derive(Debug, Default)]
struct Live {
    /// By workflow type.
    groups: BTreeMap<String, Errors>,
    /// Loss and rightness of each execution, by start; none where nothing was said.
    outcomes: Vec<Option<(f64, bool)>>,
}

fn live(samples: &Samples, target: Target, rows: &[usize], walk: &mut Walk<'_>) -> Live {
    let mut out = Live::default();
    for &row in rows {
        let started_us = samples.started_us.get(row).copied().unwrap_or(i64::MIN);
        let actual = target.column(samples).get(row).copied().unwrap_or(f64::NAN);
        let said = query(samples, &samples.vocabulary, row).and_then(|query| {
            let predicted = walk.before(started_us).predict(target, &query)?;
            Some((query.workflow_type, predicted))
        });
        out.outcomes.push(said.map(|(_, predicted)| (pinball(&predicted, actual), is_right(&predicted, actual))));
        if let Some((group, predicted)) = said {
            let errors = out.groups.entry(group.to_owned()).or_default();
            errors.add(actual, predicted.point);
            errors.add_interval(actual.ln(), predicted.interval.lower.ln(), predicted.interval.upper.ln());
        }
    }
    out
}

fn is_right(predicted: &Predicted, actual: f64) -> bool {
    (predicted.point / actual - 1.0).abs() <= 0.2
}

/// Mean pinball loss (Koenker and Bassett 1978) of the median and both ends of the interval, on the log scale, so that
/// long steps don't outweigh short ones.
fn pinball(predicted: &Predicted, actual: f64) -> f64 {
    let tail = predicted.interval.level.alpha() / 2.0;
    let quantiles = [(tail, predicted.interval.lower), (0.5, predicted.point), (1.0 - tail, predicted.interval.upper)];
    let loss = |(p, quantile): (f64, f64)| {
        let off = (actual / quantile).ln();
        if off < 0.0 { (p - 1.0) * off } else { p * off }
    };
    quantiles.map(loss).iter().sum::<f64>() / 3.0
}

impl Live {
    fn scores(&self, target: Target, name: &str, level: f64) -> Vec<ModelScore> {
        let mut all = Errors::default();
        self.groups.values().for_each(|errors| all.merge(errors));
        let groups = self.groups.iter().map(|(group, errors)| (group.as_str(), errors));
        std::iter::once(("*", &all))
            .chain(groups)
            .filter_map(|(group, errors)| errors.score(target.as_str(), group, name, level))
            .collect()
    }
}

/// None where there are too few executions to tell.
fn contest(champion: &Live, challenger: &Live) -> Option<Contest> {
    let said = champion.outcomes.iter().zip(&challenger.outcomes);
    let (theirs, ours): (Vec<_>, Vec<_>) = said.filter_map(|(theirs, ours)| (*theirs).zip(*ours)).unzip();
    if theirs.len() < MIN_PAIRS {
        return None;
    }
    let ((champion_pinball, champion_in20), (challenger_pinball, challenger_in20)) = (means(&theirs), means(&ours));
    let share = |right: bool| f64::from(u8::from(right));
    let pairs = || ours.iter().zip(&theirs);
    let lost: Vec<f64> = pairs().map(|(ours, theirs)| (ours.0 - theirs.0) / champion_pinball).collect();
    let missed: Vec<f64> = pairs().map(|(ours, theirs)| share(theirs.1) - share(ours.1)).collect();
    let misses_more = is_beyond_noise(&missed) && challenger_pinball >= champion_pinball;
    Some(Contest {
        n: theirs.len() as u64,
        champion_pinball,
        challenger_pinball,
        champion_in20,
        challenger_in20,
        is_worse: is_beyond_noise(&lost) || misses_more,
    })
}

/// Mean loss, and share of those that were right.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn means(outcomes: &[(f64, bool)]) -> (f64, f64) {
    let n = outcomes.len() as f64;
    let loss: f64 = outcomes.iter().map(|(loss, _)| loss).sum();
    (loss / n, outcomes.iter().filter(|(_, right)| *right).count() as f64 / n)
}

/// Whether the mean of paired differences in order of time exceeds the margin, and zero by more than chance: Student's t
/// over the means of stretches (batch means, Schmeiser 1982).
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn is_beyond_noise(differences: &[f64]) -> bool {
    let n_stretches = (differences.len() / MIN_STRETCH).min(MAX_STRETCHES);
    let means: Vec<f64> = (0..n_stretches)
        .filter_map(|i| {
            let at = |i: usize| i * differences.len() / n_stretches;
            let stretch = differences.get(at(i)..at(i + 1))?;
            Some(stretch.iter().sum::<f64>() / stretch.len() as f64)
        })
        .collect();
    let n = means.len() as f64;
    let mean = means.iter().sum::<f64>() / n;
    let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let standard_error = (variance / n).sqrt().max(f64::MIN_POSITIVE);
    mean > MARGIN && t_sf(mean / standard_error, n - 1.0) < SIGNIFICANCE
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::learn::dataset::Features;
    use crate::learn::testing::{noise, push};
    use crate::units::{DAY_US, HOUR_US};

    /// Four steps whose durations grow with their input; an execution an hour.
    fn history(n: u32) -> Samples {
        let mut samples = Samples::default();
        for i in 0..n {
            let step = i % 4;
            let size = 1e6 * (2.0 * noise(i + 900_000) - 1.0).exp();
            let shock = (noise(i) + noise(i + 100_000) - 1.0) * 0.3;
            push(&mut samples, "w", &format!("s{step}"), size, f64::from(step + 1) * size.powf(0.7) * shock.exp());
        }
        samples
    }

    fn params(samples: &Samples, retrain_us: i64, features: Features) -> ElectionParams {
        let train = TrainParams {
            targets: vec![Target::DurationMs],
            level: Level::new(0.9).unwrap(),
            features,
            ..TrainParams::default()
        };
        ElectionParams { train, as_of_us: samples.ended_us.last().copied().unwrap_or_default() + 1, retrain_us }
    }

    fn first(samples: &Samples) -> Election {
        elect(samples, BTreeMap::new(), &params(samples, DAY_US, Features::default()))
    }

    fn champion(election: &Election) -> BTreeMap<Target, Champion> {
        let one = &election.elected[0];
        BTreeMap::from([(one.target, Champion { version: one.version, kept: one.new.clone() })])
    }

    fn names(election: &Election, group: &str) -> Vec<String> {
        election.scores.iter().filter(|score| score.group == group).map(|score| score.model.clone()).collect()
    }

    #[test]
    fn the_first_is_what_training_gives() {
        let samples = history(800);
        let election = first(&samples);
        let trained = train(&samples, &params(&samples, 0, Features::default()).train).0;
        assert_eq!(election.models.targets, trained.targets);
        assert_eq!((election.elected[0].version, election.elected[0].decision), (1, Decision::First));
        assert_eq!(names(&election, "*"), ["loglinear", "global_median", "step_median", "last_run"]);
        assert!(election.skips.is_empty(), "{:?}", election.skips);
    }

    #[test]
    fn a_young_model_goes_on_and_learns_from_what_ended_since() {
        let standing = champion(&first(&history(800)));
        let mut samples = history(800);
        for i in 800..820 {
            push(&mut samples, "w", &format!("s{}", i % 4), 1e6, f64::from(i % 4 + 1) * 1e6_f64.powf(0.7) * 2.0);
        }
        let election = elect(&samples, standing.clone(), &params(&samples, DAY_US, Features::default()));
        let one = &election.elected[0];
        assert_eq!((one.version, one.decision, one.contest, one.new.is_none()), (1, Decision::Stays, None, true));
        let before = standing[&Target::DurationMs].kept.as_ref().unwrap();
        let at = |models: &Models| {
            models.predict(Target::DurationMs, &query(&samples, &samples.vocabulary, 0).unwrap()).unwrap().point
        };
        assert!(at(&election.models) > 1.002 * at(&before.models), "its level has moved");
        assert!(
            names(&election, "*").contains(&CHAMPION.to_owned())
                && !names(&election, "*").contains(&CHALLENGER.to_owned())
        );
        let live = election.scores.iter().find(|score| score.model == CHAMPION && score.group == "w").unwrap();
        assert_eq!((live.n, live.is_rival), (20, false));
    }

    #[test]
    fn one_that_is_due_and_not_worse_is_replaced() {
        let standing = champion(&first(&history(800)));
        let samples = history(1200);
        let election = elect(&samples, standing, &params(&samples, DAY_US, Features::default()));
        let one = &election.elected[0];
        assert_eq!((one.version, one.decision), (2, Decision::Promoted), "{one:?}");
        assert_eq!(one.contest.unwrap().n, 200, "the newer half of what came since");
        assert_eq!(election.models.targets, one.new.as_ref().unwrap().models.targets);
        assert_eq!(names(&election, "w").iter().filter(|name| *name == CHALLENGER || *name == CHAMPION).count(), 2);
    }

    #[test]
    fn a_worse_one_is_refused_and_that_is_told() {
        let standing = champion(&first(&history(800)));
        let samples = history(1200);
        let blind = Features { input_bytes: false, ..Features::default() };
        let election = elect(&samples, standing.clone(), &params(&samples, DAY_US, blind));
        let one = &election.elected[0];
        assert_eq!((one.version, one.decision, one.new.is_none()), (1, Decision::Refused, true), "{one:?}");
        let contest = one.contest.unwrap();
        assert!(contest.is_worse && contest.challenger_pinball > 1.3 * contest.champion_pinball, "{contest:?}");
        let told = &election.skips.iter().find(|skip| skip.reason.contains("refused")).unwrap().reason;
        assert!(told.contains("version 1 stays") && told.contains("the same 200 executions"), "{told}");
        // The champion goes on, as of the last end.
        let kept = standing[&Target::DurationMs].kept.clone().unwrap();
        let walked = Walk::new(kept.models, &samples, kept.trained_us).finish();
        assert_eq!(election.models.targets, walked.targets);
    }

    #[test]
    fn too_few_executions_refuse_nobody() {
        let standing = champion(&first(&history(800)));
        let samples = history(820);
        let blind = Features { input_bytes: false, ..Features::default() };
        let election = elect(&samples, standing, &params(&samples, HOUR_US, blind));
        assert_eq!((election.elected[0].decision, election.elected[0].contest), (Decision::Promoted, None));
    }

    #[test]
    fn one_that_cannot_be_used_leaves_its_number_behind() {
        let samples = history(800);
        let gone = BTreeMap::from([(Target::DurationMs, Champion { version: 4, kept: None })]);
        let election = elect(&samples, gone, &params(&samples, DAY_US, Features::default()));
        assert_eq!((election.elected[0].version, election.elected[0].decision), (5, Decision::First));
        let mut other = champion(&first(&samples));
        other.get_mut(&Target::DurationMs).unwrap().kept.as_mut().unwrap().models.level = Level::DEFAULT;
        let election = elect(&samples, other, &params(&samples, DAY_US, Features::default()));
        assert_eq!(election.elected[0].version, 2);
        assert!(election.skips[0].reason.contains("its intervals are of level 0.95, asked for is 0.9"));
    }

    #[test]
    fn a_model_outlives_the_history_that_made_it() {
        let standing = champion(&first(&history(800)));
        let few = history(20);
        let late = ElectionParams { as_of_us: i64::MAX, ..params(&few, HOUR_US, Features::default()) };
        let election = elect(&few, standing, &late);
        assert_eq!(election.elected[0].decision, Decision::Stays, "nothing could be trained");
        assert!(election.models.knows(Target::DurationMs, "w", "s1"));
        assert!(elect(&Samples::default(), BTreeMap::new(), &late).elected.is_empty());
    }

    #[test]
    fn noise_is_told_from_a_difference() {
        let noisy: Vec<f64> = (0..480).map(|i| noise(i) - 0.5).collect();
        assert!(!is_beyond_noise(&noisy));
        let worse: Vec<f64> = noisy.iter().map(|d| d + 0.2).collect();
        assert!(is_beyond_noise(&worse));
        assert!(!is_beyond_noise(&vec![0.005; 480]), "sure, and too small to matter");
        assert!(is_beyond_noise(&vec![0.5; 480]));
    }
}
