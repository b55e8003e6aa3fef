//! How much each learner counts, by situation and group.
//!
//! A group's own errors count by their number beside those of all groups, so that a group with few rows follows the
//! others. Weights fall off exponentially with the relative error (exponential weighting: Vovk 1990).

use super::folds::Situation;
use super::learner::Learner;
use super::scale::Scale;
use super::spread::Spread;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Errors of all groups together count as much as so many of the group's own.
const POOLED_ROWS: f64 = 200.0;
/// Relative excesses of the error at which a weight falls to 1/e: the one that does best is taken.
const TEMPERATURES: [f64; 4] = [0.01, 0.05, 0.15, 0.5];
/// A hotter temperature must make the error smaller by this share: flat optima are noise.
const WORTH: f64 = 0.05;
/// A flexible learner must err less than a line by this share. Of what came over and over any must err less than its own
/// median, the more so the fewer configurations tell.
const CONVINCING: f64 = 0.1;
/// A factor of more than two is as wrong as any.
const MOST_LOG_ERROR: f64 = std::f64::consts::LN_2;
/// Shares below this are dropped.
const LEAST_SHARE: f64 = 0.05;
/// A group's rows beyond so many add nothing to its say in what holds for all.
const MOST_SAY: f64 = 50.0;

/// Held-out rows of one situation with the predictions of every learner, all on the scale of learning.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    pub(super) groups: Vec<u32>,
    /// Rows with the same number repeat one another.
    pub(super) configurations: Vec<u32>,
    pub(super) actual: Vec<f64>,
    /// The median of what each was predicted from: the rival that everybody has.
    pub(super) middles: Vec<f64>,
    /// By learner: (n_held,); none where it dropped out.
    pub(super) predicted: Vec<Option<Vec<f64>>>,
}

/// Shares of learners in one situation; they add up to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shares {
    pub(crate) pooled: Vec<f64>,
    pub(crate) own: BTreeMap<u32, Vec<f64>>,
}

/// Shares by situation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mix {
    pub(crate) situations: BTreeMap<Situation, Shares>,
}

impl Mix {
    /// The shares for a row.
    pub(super) fn shares(&self, situation: Situation, group: u32) -> &[f64] {
        // A situation that could not be tried out is answered like the one that is nearest to it.
        let nearest =
            [situation, Situation::Within, Situation::Large, Situation::Repeated, Situation::Beyond, Situation::Unseen];
        let shares = nearest.iter().find_map(|situation| self.situations.get(situation));
        shares.map_or(&[], |shares| shares.own.get(&group).unwrap_or(&shares.pooled).as_slice())
    }

    /// The largest share that a learner has anywhere.
    pub(super) fn largest(&self, learner: usize) -> f64 {
        let all =
            self.situations.values().flat_map(|shares| std::iter::once(&shares.pooled).chain(shares.own.values()));
        all.filter_map(|shares| shares.get(learner)).copied().fold(0.0, f64::max)
    }
}

/// Weighted sum of predictions by learner.
pub(super) fn blended(shares: &[f64], of_learner: impl Fn(usize) -> f64) -> f64 {
    let used = shares.iter().enumerate().filter(|(_, share)| **share > 0.0);
    used.map(|(learner, share)| share * of_learner(learner)).sum()
}

impl Held {
    /// What a learner predicts of a row; 0 where it dropped out.
    pub(super) fn at(&self, learner: usize, row: usize) -> f64 {
        let predicted = self.predicted.get(learner).and_then(Option::as_ref);
        predicted.and_then(|p| p.get(row)).copied().unwrap_or_default()
    }

    /// What a blend predicts of a row.
    pub(super) fn blend(&self, shares: &Shares, row: usize) -> f64 {
        let own = self.groups.get(row).and_then(|group| shares.own.get(group)).unwrap_or(&shares.pooled);
        blended(own, |learner| self.at(learner, row))
    }

    /// How far outcomes lie from a blend.
    pub(super) fn spread(&self, shares: &Shares) -> Option<Spread> {
        let residuals = self.actual.iter().enumerate().map(|(row, y)| y - self.blend(shares, row));
        Spread::of(&residuals.collect::<Vec<f64>>(), &self.groups)
    }

    /// What an error costs: its size, wild ones no more than a bound.
    fn losses(&self, scale: Scale, learner: usize) -> Option<Vec<f64>> {
        let predicted = self.predicted.get(learner)?.as_ref()?;
        Some(predicted.iter().zip(&self.actual).map(|(p, y)| loss(scale, *p, *y)).collect())
    }

    /// Mean loss of a blend with these shares for each group.
    fn blended_loss(&self, scale: Scale, shares: &Shares) -> f64 {
        let total: f64 = self.actual.iter().enumerate().map(|(row, y)| loss(scale, self.blend(shares, row), *y)).sum();
        total / count(self.actual.len().max(1))
    }

    /// The best shares, none where no learner could be tried.
    pub(super) fn shares(&self, scale: Scale, learners: &[Learner], situation: Situation) -> Option<Shares> {
        let n_learners = learners.len();
        let losses: Vec<Option<Vec<f64>>> = (0..n_learners).map(|learner| self.losses(scale, learner)).collect();
        if self.actual.is_empty() || losses.iter().all(Option::is_none) {
            return None;
        }
        let means = self.group_means(&losses);
        let floor = 0.02 * typical(&means);
        let excess: BTreeMap<u32, (f64, Vec<f64>)> =
            means.into_iter().map(|(group, (n, means))| (group, (n, excesses(&means, floor)))).collect();
        let mut pooled = vec![0.0; n_learners];
        let mut say = 0.0;
        for (n, own) in excess.values() {
            let n = n.min(MOST_SAY);
            say += n;
            pooled.iter_mut().zip(own).for_each(|(sum, e)| *sum += n * e);
        }
        pooled.iter_mut().for_each(|sum| *sum /= say);
        let n_configurations = self.n_configurations();
        let handicaps = |n_configurations: usize| -> Vec<f64> {
            let of_one = |learner: &Learner| match situation {
                _ if learner.is_flexible() => CONVINCING,
                Situation::Repeated if *learner != Learner::Repeats => CONVINCING / count(n_configurations).sqrt(),
                _ => 0.0,
            };
            learners.iter().map(of_one).collect()
        };
        let of_all = handicaps(n_configurations.values().sum());
        pooled.iter_mut().zip(&of_all).for_each(|(sum, handicap)| *sum += handicap);
        let at = |temperature: f64| Shares {
            pooled: softmax(&pooled, temperature),
            own: excess
                .iter()
                .map(|(group, (n, own))| {
                    let handicaps = handicaps(n_configurations.get(group).copied().unwrap_or(1));
                    let own = own.iter().zip(&handicaps).map(|(excess, handicap)| excess + handicap);
                    let blend = own.zip(&pooled).map(|(o, p)| (n * o + POOLED_ROWS * p) / (n + POOLED_ROWS));
                    (*group, softmax(&blend.collect::<Vec<f64>>(), temperature))
                })
                .collect(),
        };
        let tried = TEMPERATURES.map(|temperature| {
            let shares = at(temperature);
            (self.blended_loss(scale, &shares), shares)
        });
        let better =
            |best: (f64, Shares), next: (f64, Shares)| if next.0 < best.0 * (1.0 - WORTH) { next } else { best };
        tried.into_iter().reduce(better).map(|(_, shares)| shares)
    }

    /// How many different configurations there are of each group.
    fn n_configurations(&self) -> BTreeMap<u32, usize> {
        let pairs: BTreeSet<(u32, u32)> =
            self.groups.iter().copied().zip(self.configurations.iter().copied()).collect();
        pairs.iter().fold(BTreeMap::new(), |mut out, (group, _)| {
            *out.entry(*group).or_default() += 1;
            out
        })
    }

    /// Rows and mean losses by learner, of each group; a learner that dropped out has infinity.
    fn group_means(&self, losses: &[Option<Vec<f64>>]) -> BTreeMap<u32, (f64, Vec<f64>)> {
        let mut out: BTreeMap<u32, (f64, Vec<f64>)> = BTreeMap::new();
        for (row, &group) in self.groups.iter().enumerate() {
            let (n, sums) = out.entry(group).or_insert_with(|| (0.0, vec![0.0; losses.len()]));
            *n += 1.0;
            for (sum, losses) in sums.iter_mut().zip(losses) {
                *sum += losses.as_ref().and_then(|l| l.get(row)).copied().unwrap_or(f64::INFINITY);
            }
        }
        out.values_mut().for_each(|(n, sums)| sums.iter_mut().for_each(|sum| *sum /= *n));
        out
    }
}

fn loss(scale: Scale, predicted: f64, actual: f64) -> f64 {
    let error = (predicted - actual).abs();
    match scale {
        Scale::Raw => error,
        Scale::Log { .. } => error.min(MOST_LOG_ERROR),
    }
}

/// The middle of the groups' least errors.
fn typical(means: &BTreeMap<u32, (f64, Vec<f64>)>) -> f64 {
    let mut least: Vec<f64> =
        means.values().map(|(_, means)| means.iter().copied().fold(f64::INFINITY, f64::min)).collect();
    crate::stats::robust::median(&mut least).max(f64::MIN_POSITIVE)
}

/// Logarithms of errors over the least one.
fn excesses(means: &[f64], floor: f64) -> Vec<f64> {
    let least = means.iter().copied().fold(f64::INFINITY, f64::min) + floor;
    means.iter().map(|mean| ((mean + floor) / least).ln()).collect()
}

fn softmax(excesses: &[f64], temperature: f64) -> Vec<f64> {
    let least = excesses.iter().copied().fold(f64::INFINITY, f64::min);
    let mut shares: Vec<f64> = excesses.iter().map(|e| (-(e - least) / temperature).exp()).collect();
    let normalise = |shares: &mut Vec<f64>| {
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
    };
    normalise(&mut shares);
    shares.iter_mut().filter(|share| **share < LEAST_SHARE).for_each(|share| *share = 0.0);
    normalise(&mut shares);
    shares
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn few_configurations_do_not_tell_that_the_group_is_the_better_guide() {
        let learners = [Learner::Median, Learner::Repeats];
        let best = |n_configurations: u32, situation| {
            let held = Held {
                groups: vec![0; 100],
                configurations: (0..100).map(|row| row % n_configurations).collect(),
                actual: vec![0.0; 100],
                middles: vec![0.0; 100],
                predicted: vec![Some(vec![0.095; 100]), Some(vec![0.1; 100])],
            };
            let shares = held.shares(Scale::Raw, &learners, situation).unwrap();
            shares.pooled.iter().position(|share| *share > 0.9).map(|at| learners[at])
        };
        assert_eq!(best(1, Situation::Repeated), Some(Learner::Repeats));
        assert_eq!(best(100, Situation::Repeated), Some(Learner::Median));
        assert_eq!(best(1, Situation::Within), Some(Learner::Median));
    }
}
