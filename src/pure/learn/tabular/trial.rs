//! Learners tried out on held-out rows.

use super::folds::{Fold, Gate, Situation, last_within};
use super::learner::{Data, Fit, Fitted, Learner};
use super::mix::Held;
use super::repeats::Repeats;
use super::rows::Rows;
use super::scale::Scale;
use crate::stats::robust::median;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Rows that learners are compared on at most: more change no choice.
const MOST_ROWS: usize = 12_000;
/// Residuals that spreads are learned from at most.
const MOST_ROWS_TO_CALIBRATE: usize = 100_000;
/// Groups that they come from at most: what holds for so many holds for the others, and with more rows of each it is
/// nearer to what all rows would show.
const MOST_GROUPS: usize = 150;
/// Of a group at least so many of them.
const LEAST_OF_GROUP: usize = 12;
/// Where fewer than one in so many held-out rows repeat others, they are too few to be a situation of their own.
const LEAST_REPEATED: usize = 10;
/// After the first comparison in a situation, a costly learner that errs so many times as much as the best drops out.
const OUT_AT: f64 = 1.6;

/// Evenly chosen rows of evenly chosen groups, so that times keep their order; all, where they are few.
pub(super) fn sample(rows: &Rows) -> Vec<u32> {
    if rows.n <= MOST_ROWS {
        return (0..).zip(0..rows.n).map(|(row, _)| row).collect();
    }
    let groups: Vec<Vec<u32>> = rows.by_group().into_iter().filter(|members| !members.is_empty()).collect();
    let every = groups.len().div_ceil(MOST_GROUPS).max(1);
    let groups: Vec<Vec<u32>> = groups.into_iter().step_by(every).collect();
    let most = (MOST_ROWS / groups.len().max(1)).max(LEAST_OF_GROUP);
    let seconds = |row: &u32| rows.seconds.get(*row as usize).copied().unwrap_or_default();
    let mut out: Vec<u32> = Vec::new();
    for mut members in groups {
        members.sort_by(|a, b| seconds(a).total_cmp(&seconds(b)).then(a.cmp(b)));
        let stride = members.len().div_ceil(most).max(1);
        out.extend(members.into_iter().step_by(stride));
    }
    out.sort_unstable();
    out
}

/// Fitted to all rows, for learners whose settings are costly to find.
fn settled(learners: &[Learner], data: &Data<'_>) -> Vec<Option<Fitted>> {
    let costly = |learner: &Learner| *learner == Learner::GaussianProcess;
    learners.par_iter().map(|learner| costly(learner).then(|| learner.fit(data).ok()).flatten()).collect()
}

/// Predictions of every learner in every situation that the folds hold. A learner that fails, or errs far more than
/// the best, drops out of that situation.
pub(super) fn held_out(
    learners: &[Learner],
    data: &Data<'_>,
    folds: &[Fold],
    gate: Option<&Gate>,
) -> BTreeMap<Situation, Held> {
    let like = settled(learners, data);
    let repeats: Vec<Repeats> = folds.iter().map(|fold| Repeats::of(data.rows, &fold.training)).collect();
    let counts = count_repeated(data.rows, folds, &repeats);
    let tells_repeated = counts.0 * LEAST_REPEATED >= counts.1;
    let mut out: BTreeMap<Situation, Held> = BTreeMap::new();
    for kind in [Situation::Within, Situation::Beyond, Situation::Unseen] {
        let mut racing: Vec<bool> = vec![true; learners.len()];
        let of_kind = folds.iter().zip(&repeats).filter(|(fold, _)| fold.situation == kind);
        for (number, (fold, repeats)) in of_kind.enumerate() {
            let predictions = predict_fold(learners, &racing, &like, data, fold);
            let repeats = Some(repeats).filter(|_| tells_repeated);
            hold(&mut out, data, fold, &places(data.rows, fold, gate, repeats), &predictions);
            if number == 0 {
                drop_the_worst(&mut racing, learners, &out);
            }
        }
    }
    out
}

/// What the learners that count, fitted to most of all rows, predict of the rest: residuals of a trial on few rows are
/// larger than those of a model of all.
pub(super) fn calibrated(
    learners: &[Learner],
    counting: &[bool],
    data: &Data<'_>,
    gate: Option<&Gate>,
    tells_repeated: bool,
) -> BTreeMap<Situation, Held> {
    let mut out = BTreeMap::new();
    for mut fold in last_within(data.rows, data.configurations, data.seed) {
        let stride = fold.test.len().div_ceil(MOST_ROWS_TO_CALIBRATE).max(1);
        fold.test = fold.test.into_iter().step_by(stride).collect();
        let predictions = predict_fold(learners, counting, &vec![None; learners.len()], data, &fold);
        let repeats = tells_repeated.then(|| Repeats::of(data.rows, &fold.training));
        hold(&mut out, data, &fold, &places(data.rows, &fold, gate, repeats.as_ref()), &predictions);
    }
    out
}

/// The situation of every test row of a fold: (n_test,)
fn places(rows: &Rows, fold: &Fold, gate: Option<&Gate>, repeats: Option<&Repeats>) -> Vec<Situation> {
    let is_within = fold.situation == Situation::Within;
    let place = |row: &u32| match gate {
        _ if is_within && repeats.is_some_and(|repeats| repeats.hold(rows, *row as usize)) => Situation::Repeated,
        Some(gate) if is_within => gate.half(rows, *row as usize),
        _ => fold.situation,
    };
    fold.test.iter().map(place).collect()
}

/// Adds the test rows of a fold, each where it belongs.
fn hold(
    out: &mut BTreeMap<Situation, Held>,
    data: &Data<'_>,
    fold: &Fold,
    places: &[Situation],
    predictions: &[Option<Vec<f64>>],
) {
    let mut known: Vec<f64> = fold.training.iter().map(|&row| outcome(data, row)).collect();
    let middle = median(&mut known);
    for situation in Situation::ALL {
        let at: Vec<usize> = (0..places.len()).filter(|at| places.get(*at) == Some(&situation)).collect();
        if !at.is_empty() {
            let held = out.entry(situation).or_insert_with(|| Held::new(predictions.len()));
            held.add(data, fold, &at, predictions);
            held.middles.resize(held.actual.len(), middle);
        }
    }
}

/// Held-out rows with a configuration that came over and over, and all, of the folds within.
fn count_repeated(rows: &Rows, folds: &[Fold], repeats: &[Repeats]) -> (usize, usize) {
    let within = folds.iter().zip(repeats).filter(|(fold, _)| fold.situation == Situation::Within);
    within.fold((0, 0), |(repeated, all), (fold, repeats)| {
        let of_fold = fold.test.iter().filter(|row| repeats.hold(rows, **row as usize)).count();
        (repeated + of_fold, all + fold.test.len())
    })
}

impl Held {
    fn new(n_learners: usize) -> Self {
        Self { predicted: vec![Some(Vec::new()); n_learners], ..Self::default() }
    }

    /// Adds the test rows of a fold that lie at these positions. A learner without a prediction is out from then on.
    fn add(&mut self, data: &Data<'_>, fold: &Fold, at: &[usize], predictions: &[Option<Vec<f64>>]) {
        let rows: Vec<u32> = at.iter().filter_map(|&at| fold.test.get(at)).copied().collect();
        self.groups.extend(rows.iter().filter_map(|&row| data.rows.group.get(row as usize)));
        self.configurations.extend(rows.iter().filter_map(|&row| data.configurations.get(row as usize)));
        self.actual.extend(rows.iter().map(|&row| outcome(data, row)));
        for (all, predicted) in self.predicted.iter_mut().zip(predictions) {
            match (all.as_mut(), predicted) {
                (Some(all), Some(values)) => all.extend(at.iter().filter_map(|&at| values.get(at))),
                _ => *all = None,
            }
        }
    }

    /// Sums of absolute errors by learner over the least of them.
    fn ratios(&self) -> Vec<f64> {
        let error = |predicted: &Option<Vec<f64>>| {
            let values = predicted.as_ref().map(|values| values.iter().zip(&self.actual));
            values.map_or(f64::INFINITY, |values| values.map(|(p, y)| (p - y).abs().min(1e6)).sum::<f64>())
        };
        let errors: Vec<f64> = self.predicted.iter().map(error).collect();
        let least = errors.iter().copied().fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
        errors.into_iter().map(|error| error / least).collect()
    }

    /// Predictions of a blend: (n_held,), back on the outcomes' own scale, beside the outcomes.
    pub(super) fn pairs(&self, scale: Scale, blend: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
        (0..self.actual.len()).zip(&self.actual).map(|(row, y)| (scale.back(*y), scale.back(blend(row)))).collect()
    }
}

/// What takes long and errs far more than the best in every situation so far runs no further. What is quick always does:
/// one fold can mislead.
fn drop_the_worst(racing: &mut [bool], learners: &[Learner], held: &BTreeMap<Situation, Held>) {
    let ratios: Vec<Vec<f64>> = held.values().map(Held::ratios).collect();
    for (at, (racing, learner)) in racing.iter_mut().zip(learners).enumerate() {
        let least = ratios.iter().filter_map(|r| r.get(at)).copied().fold(f64::INFINITY, f64::min);
        *racing &= !learner.is_flexible() || least <= OUT_AT;
    }
}

fn outcome(data: &Data<'_>, row: u32) -> f64 {
    data.y.get(row as usize).map_or(f64::NAN, |y| data.scale.to(*y))
}

fn predict_fold(
    learners: &[Learner],
    racing: &[bool],
    like: &[Option<Fitted>],
    data: &Data<'_>,
    fold: &Fold,
) -> Vec<Option<Vec<f64>>> {
    let training = data.rows.take(&fold.training);
    let mut test = data.rows.take(&fold.test);
    if fold.situation == Situation::Within {
        test.hold_days(&training);
    }
    let y: Vec<f64> = fold.training.iter().filter_map(|&row| data.y.get(row as usize)).copied().collect();
    let configurations: Vec<u32> =
        fold.training.iter().filter_map(|&row| data.configurations.get(row as usize)).copied().collect();
    let one = |((learner, racing), like): ((&Learner, &bool), &Option<Fitted>)| {
        if !racing {
            return None;
        }
        let data = Data { rows: &training, y: &y, configurations: &configurations, like: like.as_ref(), ..*data };
        let predicted = learner.fit(&data).ok()?.predict(&test, data.scale);
        predicted.iter().all(|p| p.is_finite()).then_some(predicted)
    };
    let all: Vec<((&Learner, &bool), &Option<Fitted>)> = learners.iter().zip(racing).zip(like).collect();
    all.into_par_iter().map(one).collect()
}
