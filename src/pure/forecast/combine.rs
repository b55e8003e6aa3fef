//! What all candidates say together: a weighted mean, each with a weight that falls with its error on the backtest
//! (Bates and Granger 1969). Means of simple methods won the M4 competition's places 2 to 7, and most of the others;
//! weights by a power of the error cost no estimation of covariances, for which series are too short. Which methods are
//! good is known before a series is seen ([its prior](super::backtest)); the backtest adds what it can tell.

use super::Path;
use super::backtest::{Backtest, Trial};
use super::intervals::{HeldOut, independent, octave};
use super::scale::Scale;

/// Weights fall with a power of the error at each octave of distance: half the number of independent errors there, as the
/// likelihood of errors of unknown size would do (Laplace's: the error to the minus n), tempered, since the best of many is
/// best by luck as well.
const POWER_EACH: f64 = 0.5;
/// The most that all these powers sum to.
const MOST_POWER: f64 = 10.0;
/// Errors at one octave, as a share of the leader's at all, below which they are lucky.
const LEAST_ERROR: f64 = 1e-3;
/// A candidate of less weight has no say.
const MIN_WEIGHT: f64 = 0.02;

/// A candidate's, or a combination's, forecasts in the metric's unit.
#[derive(Debug, Clone)]
pub(super) struct Contender {
    pub(super) model: String,
    pub(super) is_naive: bool,
    /// Whether it is made of several others.
    pub(super) is_combination: bool,
    /// Weight before anything is seen, relative to others'.
    pub(super) prior: f64,
    /// Share of it in the combination.
    pub(super) weight: f64,
    /// From the end of the values.
    pub(super) path: Path,
    /// What it said of known values, by origin and distance.
    pub(super) held_out: Vec<HeldOut>,
    /// Mean absolute error of `held_out`.
    pub(super) error: f64,
    /// What it is weighed by: `error`; the root of the mean square where a mean is forecast and no middle value.
    pub(super) loss: f64,
}

impl Contender {
    /// None where nothing could be held out.
    pub(super) fn of(trial: Trial, backtest: &Backtest<'_>, scale: Scale) -> Option<Self> {
        let Trial { model, is_naive, prior, mut paths } = trial;
        for (&origin, path) in backtest.origins.iter().zip(&mut paths) {
            for (ahead, point) in path.point.iter_mut().enumerate() {
                *point = scale.back(*point + backtest.effect(origin + ahead));
            }
        }
        let path = paths.pop()?;
        let mut held_out = Vec::new();
        for (&origin, path) in backtest.origins.iter().zip(&paths) {
            let doubt = backtest.doubt(origin);
            let actuals = backtest.values.iter().skip(origin);
            let known = actuals.zip(path.point.iter().zip(&path.spread)).enumerate().filter(|(_, (v, _))| !v.is_nan());
            held_out.extend(known.map(|(ahead, (&actual, (&forecast, &spread)))| HeldOut {
                origin,
                ahead,
                forecast,
                actual: scale.back(actual + backtest.effect(origin + ahead)),
                spread: spread * doubt,
            }));
        }
        let error = mean_error(&held_out)?;
        let loss = if backtest.is_intermittent { root_mean_square(&held_out) } else { error };
        Self { model, is_naive, is_combination: false, prior, weight: 0.0, path, held_out, error, loss }.checked()
    }

    fn checked(self) -> Option<Self> {
        (self.error.is_finite() && self.path.point.iter().all(|point| point.is_finite())).then_some(self)
    }
}

/// What a leader missed at each octave of distance, and how much that tells.
#[derive(Debug)]
struct Yardstick {
    losses: Vec<f64>,
    /// The power of each octave's error.
    powers: Vec<f64>,
    /// Losses below say no more.
    least: f64,
    by_square: bool,
}

impl Yardstick {
    fn of(leader: &Contender, by_square: bool) -> Self {
        let losses = losses(&leader.held_out, by_square);
        let errors = |at: usize| {
            let held_out = leader.held_out.iter().filter(move |held| octave(held.ahead) == at);
            held_out.map(|held| (held.origin, held.ahead, held.actual - held.forecast))
        };
        let mut powers: Vec<f64> = (0..losses.len()).map(|at| POWER_EACH * independent(errors(at))).collect();
        let tempered = (MOST_POWER / powers.iter().sum::<f64>()).min(1.0);
        powers.iter_mut().for_each(|power| *power *= tempered);
        Self { losses, powers, least: LEAST_ERROR * leader.loss, by_square }
    }

    /// Relative to the leader's.
    fn likelihood(&self, one: &Contender) -> f64 {
        let losses = losses(&one.held_out, self.by_square);
        let ratios = losses.iter().zip(&self.losses).map(|(loss, best)| best.max(self.least) / loss.max(self.least));
        ratios.zip(&self.powers).map(|(ratio, power)| ratio.powf(*power)).product()
    }
}

/// The loss at each octave of distance.
fn losses(held_out: &[HeldOut], by_square: bool) -> Vec<f64> {
    let mut sums: Vec<(f64, f64)> = Vec::new();
    for held in held_out {
        let at = octave(held.ahead);
        if sums.len() <= at {
            sums.resize(at + 1, (0.0, 0.0));
        }
        if let Some((sum, n)) = sums.get_mut(at) {
            *sum += loss_of(held, by_square);
            *n += 1.0;
        }
    }
    sums.iter().map(|(sum, n)| sum / f64::max(*n, 1.0)).map(|mean| if by_square { mean.sqrt() } else { mean }).collect()
}

/// The error, or its square where a mean is forecast and no middle value.
fn loss_of(held: &HeldOut, by_square: bool) -> f64 {
    let error = (held.actual - held.forecast).abs();
    if by_square { error * error } else { error }
}

/// Whether `one` missed less than `other` of the same values by more than a standard error of the difference (Diebold and
/// Mariano 1995), or nothing at all.
pub(super) fn is_better(one: &Contender, other: &Contender, by_square: bool) -> bool {
    let pairs = one.held_out.iter().zip(&other.held_out);
    let loss = |held: &HeldOut| loss_of(held, by_square);
    let differences: Vec<f64> = pairs.map(|(one, other)| loss(other) - loss(one)).collect();
    let n = differences.len().max(1) as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let about = || differences.iter().zip(&one.held_out).map(|(d, held)| (held.origin, held.ahead, d - mean));
    let variance = about().map(|(.., d)| d * d).sum::<f64>() / n;
    one.loss <= 0.0 || mean > (variance / independent(about())).sqrt()
}

fn root_mean_square(held_out: &[HeldOut]) -> f64 {
    let sum: f64 = held_out.iter().map(|held| (held.actual - held.forecast).powi(2)).sum();
    (sum / held_out.len().max(1) as f64).sqrt()
}

fn mean_error(held_out: &[HeldOut]) -> Option<f64> {
    let sum: f64 = held_out.iter().map(|held| (held.actual - held.forecast).abs()).sum();
    (!held_out.is_empty()).then(|| sum / held_out.len() as f64)
}

/// Gives each contender its weight, and makes of all that have one the combination. None without contenders.
pub(super) fn combine(contenders: &mut [Contender], by_square: bool) -> Option<Contender> {
    let leader = contenders.iter().reduce(|best, next| if next.loss < best.loss { next } else { best })?;
    let yardstick = Yardstick::of(leader, by_square);
    // Without any error there is nothing to weigh: the first such stands for all.
    let perfect = contenders.iter().position(|one| one.loss <= 0.0);
    let raw = |at: usize, one: &Contender| match perfect {
        Some(first) => f64::from(u8::from(at == first)),
        None => one.prior * yardstick.likelihood(one),
    };
    let weights: Vec<f64> = contenders.iter().enumerate().map(|(at, one)| raw(at, one)).collect();
    let weights = shares(&shares(&weights).iter().map(|w| if *w < MIN_WEIGHT { 0.0 } else { *w }).collect::<Vec<_>>());
    contenders.iter_mut().zip(weights).for_each(|(one, weight)| one.weight = weight);
    let members: Vec<&Contender> = contenders.iter().filter(|one| one.weight > 0.0).collect();
    let mut held_out = members.first()?.held_out.clone();
    for (idx, held) in held_out.iter_mut().enumerate() {
        let said = || members.iter().filter_map(|one| Some((one.weight, one.held_out.get(idx)?)));
        held.forecast = said().map(|(weight, held)| weight * held.forecast).sum();
        held.spread = said().map(|(weight, held)| weight * held.spread).sum();
    }
    let mean = |values: fn(&Path) -> &[f64]| -> Vec<f64> {
        let n = members.iter().map(|one| values(&one.path).len()).min().unwrap_or(0);
        let at = |idx: usize| members.iter().filter_map(|m| Some(m.weight * values(&m.path).get(idx)?)).sum();
        (0..n).map(at).collect()
    };
    let path = Path { point: mean(|path| &path.point), spread: mean(|path| &path.spread) };
    let error = mean_error(&held_out)?;
    let loss = if by_square { root_mean_square(&held_out) } else { error };
    let (model, is_combination) = (recipe(&members), members.len() > 1);
    Contender { model, is_naive: false, is_combination, prior: 1.0, weight: 1.0, path, held_out, error, loss }.checked()
}

fn shares(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// `0.62 theta(7) + 0.38 naive`, the heaviest first.
fn recipe(members: &[&Contender]) -> String {
    let mut sorted = members.to_vec();
    sorted.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    match sorted.as_slice() {
        [only] => only.model.clone(),
        many => many.iter().map(|one| format!("{:.2} {}", one.weight, one.model)).collect::<Vec<_>>().join(" + "),
    }
}
