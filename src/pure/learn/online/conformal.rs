//! Intervals that keep their promise while things change.
//!
//! A score is the distance of an outcome from the centre of its prediction, in units of the spread that was expected.
//! The quantile of past scores, a group's own and those of groups that were as young, gives the half-width; the level
//! at which it is read is moved after every outcome so that the promised share is met in the long run whatever
//! happens (adaptive conformal inference: Gibbs & Candès 2021).

use crate::units::Level;

/// Scores kept of a group, and of all groups of an age.
const OWN: usize = 64;
const POOLED: usize = 48;
/// Memory of a group's scores and errors.
const DECAY: f64 = 0.98;
/// The scores of others count as much as this many of the group's own.
const POOLED_WEIGHT: f64 = 20.0;
/// Scores of the same age count this many times those of the ages beside it.
const SAME_AGE: f64 = 3.0;
/// The errors usual at an age count as much as this many of the group's own, and an atom of the mixture this much.
const USUAL_COUNT: f64 = 5.0;
const ATOM_COUNT: f64 = 0.5;
const MAX_ATOMS: u32 = 50;
/// Memory of the errors usual at an age.
const USUAL_DECAY: f64 = 0.99;
/// The error that is expected before any was seen, and the largest that counts, on the log scale.
const FIRST_ERROR: f64 = 0.5;
/// Of a group never seen: a factor of seven. It fades only as groups are seen for the first time.
const FIRST_ERROR_UNSEEN: f64 = 2.0;
const UNSEEN_COUNT: f64 = 5.0;
const LARGEST_ERROR: f64 = 3.0;
/// No spread is smaller than this share of what is usual at the age, nor than what coarse clocks make of it.
const LEAST_SHARE: f64 = 0.1;
const LEAST_SPREAD: f64 = 1e-4;
/// Half-width in spreads before any score was seen.
const FIRST_REACH: f64 = 3.0;
/// Step by which the level moves after an outcome.
const STEP: f64 = 0.01;
/// How far the level may move: below 0 the widest score is not enough and is stretched.
const MISSED: (f64, f64) = (-0.05, 0.5);
const STRETCH: f64 = 1.1;

/// Ages in executions seen: none, 1, 2, 3-4, 5-8, 9-16, 17-32, more.
const N_AGES: usize = 8;

fn age(n_seen: u32) -> usize {
    let doublings = if n_seen == 0 { 0 } else { 1 + n_seen.next_power_of_two().trailing_zeros() as usize };
    doublings.min(N_AGES - 1)
}

/// What a group remembers of its predictions.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnScores {
    /// Oldest first.
    scores: Vec<f64>,
    errors: (f64, f64),
}

/// A prediction that waits for its outcome.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(crate) centre: f64,
    spread: f64,
    age: usize,
    /// Half-widths on the scale, one for each level.
    pub(crate) reach: Vec<f64>,
}

#[derive(Debug, Clone, Default)]
struct AgeScores {
    scores: Vec<f64>,
    next: usize,
    errors: (f64, f64),
}

/// What is remembered over all groups.
#[derive(Debug)]
pub(crate) struct Conformal {
    levels: Vec<Level>,
    ages: [AgeScores; N_AGES],
    errors: (f64, f64),
    /// Share of outcomes allowed to be missed just now for each level: of groups never seen, and of all others.
    missed: [Vec<f64>; 2],
    /// The largest error so far, likewise.
    farthest: [f64; 2],
    sorted: Vec<(f64, f64)>,
}

impl Conformal {
    /// `levels` in ascending order.
    pub(crate) fn new(levels: &[Level]) -> Self {
        let alphas: Vec<f64> = levels.iter().map(|level| level.alpha()).collect();
        Self {
            levels: levels.to_vec(),
            ages: Default::default(),
            errors: (0.0, 0.0),
            missed: [alphas.clone(), alphas],
            farthest: [0.0; 2],
            sorted: Vec::new(),
        }
    }

    /// Promises an interval about `centre`. `atoms_spread` is the mean distance of the mixture's atoms from it.
    pub(crate) fn promise(&mut self, own: &OwnScores, n_seen: u32, centre: f64, atoms_spread: f64) -> Promise {
        let age = age(n_seen);
        let spread = self.spread(own, age, n_seen, atoms_spread);
        self.collect(own, age);
        let total: f64 = self.sorted.iter().map(|(_, weight)| weight).sum();
        let squares: f64 = self.sorted.iter().map(|(_, weight)| weight * weight).sum();
        let effective = if squares > 0.0 { total * total / squares } else { 0.0 };
        let is_seen = usize::from(n_seen > 0);
        let missed = &self.missed[is_seen];
        // However far scores of other groups reach, nothing was ever off by more than this.
        let farthest = match self.farthest[is_seen] {
            0.0 => f64::INFINITY,
            farthest => STRETCH * farthest,
        };
        let mut reach = Vec::with_capacity(missed.len());
        let mut widest = 0.0_f64;
        for missed in missed {
            // A wider level is never answered with a narrower interval.
            let half_width = spread * score_quantile(&self.sorted, total, effective, *missed);
            widest = widest.max(half_width.min(farthest));
            reach.push(widest);
        }
        Promise { centre, spread, age, reach }
    }

    fn spread(&self, own: &OwnScores, age: usize, n_seen: u32, atoms_spread: f64) -> f64 {
        let (of_all, count) = match self.errors {
            _ if age == 0 => (FIRST_ERROR_UNSEEN, UNSEEN_COUNT),
            (sum, count) if count > 0.0 => (sum / count, 1.0),
            _ => (FIRST_ERROR, 1.0),
        };
        let of_age = self.ages.get(age).map_or((0.0, 0.0), |age| age.errors);
        let usual = (of_age.0 + of_all * count) / (of_age.1 + count);
        let atoms = ATOM_COUNT * f64::from(n_seen.min(MAX_ATOMS));
        let sum = USUAL_COUNT * usual + atoms * atoms_spread + own.errors.0;
        (sum / (USUAL_COUNT + atoms + own.errors.1)).max(LEAST_SHARE * usual).max(LEAST_SPREAD)
    }

    /// Scores with their weights, in order.
    fn collect(&mut self, own: &OwnScores, age: usize) {
        self.sorted.clear();
        let mut weight = 1.0;
        for score in own.scores.iter().rev() {
            self.sorted.push((*score, weight));
            weight *= DECAY;
        }
        // A group never seen is unlike one seen once, and what is known of such groups is their own.
        if age > 0 {
            self.collect_near(age);
        }
        self.sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    }

    /// Scores of other groups that were about as young.
    fn collect_near(&mut self, age: usize) {
        let (from, to) = (age.saturating_sub(1).max(1), (age + 1).min(N_AGES - 1));
        let share = |other: usize| if other == age { SAME_AGE } else { 1.0 };
        let near = || self.ages.iter().enumerate().take(to + 1).skip(from);
        let total: f64 = near().map(|(other, age)| share(other) * age.scores.len() as f64).sum();
        for (other, age) in near() {
            let weight = POOLED_WEIGHT * share(other) / total;
            self.sorted.extend(age.scores.iter().map(|score| (*score, weight)));
        }
    }

    /// Learns how the promise was kept.
    pub(crate) fn learn(&mut self, own: &mut OwnScores, promise: &Promise, place: f64) {
        let Promise { centre, spread, age, reach } = promise;
        let error = (place - centre).abs();
        let score = error / spread;
        let counted = error.min(LARGEST_ERROR);
        if own.scores.len() == OWN {
            own.scores.remove(0);
        }
        own.scores.push(score);
        remember(&mut own.errors, counted, DECAY);
        if *age > 0 {
            remember(&mut self.errors, counted, USUAL_DECAY);
        }
        if let Some(of_age) = self.ages.get_mut(*age) {
            remember(&mut of_age.errors, counted, USUAL_DECAY);
            match of_age.scores.get_mut(of_age.next) {
                Some(oldest) => *oldest = score,
                None => of_age.scores.push(score),
            }
            of_age.next = (of_age.next + 1) % POOLED;
        }
        let is_seen = usize::from(*age > 0);
        self.farthest[is_seen] = self.farthest[is_seen].max(error);
        let missed = &mut self.missed[is_seen];
        for ((missed, level), reach) in missed.iter_mut().zip(&self.levels).zip(reach) {
            let was_missed = if error <= *reach { 0.0 } else { 1.0 };
            *missed = (*missed + STEP * (level.alpha() - was_missed)).clamp(MISSED.0, MISSED.1.max(level.alpha()));
        }
    }
}

fn remember(errors: &mut (f64, f64), error: f64, decay: f64) {
    errors.0 = decay * errors.0 + error;
    errors.1 = decay * errors.1 + 1.0;
}

/// The score that `1 − missed` of the weight does not exceed, with the correction for a finite number of scores.
fn score_quantile(sorted: &[(f64, f64)], total: f64, effective: f64, missed: f64) -> f64 {
    let Some(&(widest, _)) = sorted.last() else { return FIRST_REACH };
    let share = (1.0 - missed) * (1.0 + 1.0 / effective);
    if missed <= 0.0 {
        return widest * STRETCH;
    }
    if share > 1.0 {
        // So few scores can't promise so much.
        return widest.max(FIRST_REACH);
    }
    let mut cumulated = 0.0;
    let reached = |&&(_, weight): &&(f64, f64)| {
        cumulated += weight;
        cumulated >= share * total
    };
    sorted.iter().find(reached).map_or(widest, |(score, _)| *score)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::learn::testing::noise;

    fn levels(values: &[f64]) -> Vec<Level> {
        values.iter().map(|value| Level::new(*value).unwrap()).collect()
    }

    #[test]
    fn ages_double() {
        assert_eq!([0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 9999].map(age), [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 7]);
    }

    #[test]
    fn intervals_cover_their_share_although_the_spread_triples() {
        let mut conformal = Conformal::new(&levels(&[0.5, 0.9]));
        let mut own = OwnScores::default();
        let (mut inside, mut n) = ([0_u32; 2], 0_u32);
        for i in 0..4000_u32 {
            let place = noise(i) * if i < 2000 { 1.0 } else { 3.0 };
            let promise = conformal.promise(&own, i.min(60) + 1, 0.0, 0.1);
            assert!(promise.reach[0] <= promise.reach[1]);
            if i >= 200 {
                n += 1;
                inside
                    .iter_mut()
                    .zip(&promise.reach)
                    .for_each(|(inside, reach)| *inside += u32::from(place.abs() <= *reach));
            }
            conformal.learn(&mut own, &promise, place);
        }
        let shares = inside.map(|inside| f64::from(inside) / f64::from(n));
        assert!((shares[0] - 0.5).abs() < 0.03 && (shares[1] - 0.9).abs() < 0.02, "{shares:?}");
    }

    #[test]
    fn nothing_seen_is_answered_wide() {
        let mut conformal = Conformal::new(&levels(&[0.9]));
        let promise = conformal.promise(&OwnScores::default(), 0, 1.0, 0.0);
        assert!(promise.reach[0] > 1.0);
    }
}
