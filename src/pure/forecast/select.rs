//! From a history to its forecast: the candidates are tried, the best one is fitted to all and told what it missed.

use super::backtest::Backtest;
use super::calendar::Calendar;
use super::combine::{Contender, combine, is_better};
use super::intervals::{Calibration, Realised, Yard, coverage, realised_coverage};
use super::pooled::{Pool, Told};
use super::scale::Scale;
use super::season::align_regimes;
use super::{CandidateScore, Forecast, ForecastError, ForecastParams, ForecastStep, HorizonCoverage, Support};
use crate::units::Level;

/// What the combination is called among its members.
const COMBINATION: &str = "combination";
/// Known values without which nothing is forecast: one to hold out, three behind it.
const MIN_VALUES: usize = 4;
/// Buckets beyond which a horizon is a slip of the pen.
const MAX_HORIZON: usize = 100_000;
/// A regime of so many seasons, and not less than so many values, stands for itself.
const ENOUGH_SEASONS: usize = 5;
const ENOUGH_VALUES: usize = 30;

/// A history made ready: what the models see of it.
#[derive(Debug, Clone)]
pub struct Prepared {
    params: ForecastParams,
    scale: Scale,
    seasons: Vec<usize>,
    /// On the scale of the models, NaN = gap.
    history: Vec<f64>,
    /// What was taken off it for the days of the month.
    effects: Vec<f64>,
    /// By how much a short regime widens intervals.
    level_doubt: f64,
    /// Least and largest value.
    range: (f64, f64),
}

/// Makes `values` ready, of which those from `regime_start` on are the present regime.
pub(super) fn prepare(
    values: &[f64],
    regime_start: usize,
    support: Support,
    calendar: Option<Calendar>,
    params: &ForecastParams,
) -> Result<Prepared, ForecastError> {
    check(values, regime_start, support, params)?;
    let scale = Scale::of(values, support);
    // Longer ones could not be told anyway; a bound here keeps memory one for any length asked for.
    let seasons: Vec<usize> = params.season_lengths.iter().copied().filter(|&m| m <= values.len() / 2).collect();
    let mut scaled = scale.forward(values);
    let mut effects = calendar.map(|days| days.effects(&scaled, &seasons, params.horizon)).unwrap_or_default();
    scaled.iter_mut().zip(&effects).for_each(|(value, effect)| *value -= effect);
    let (history, level_doubt) = present_history(scaled, regime_start, &seasons);
    effects.drain(..(values.len() - history.len()).min(effects.len()));
    let known = || values.iter().copied().filter(|v| v.is_finite());
    let range = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    Ok(Prepared { params: params.clone(), scale, seasons, history, effects, level_doubt, range })
}

impl Prepared {
    /// What it tells of coefficients that series share.
    #[must_use]
    pub fn tells(&self) -> Told {
        Told::of(&self.history, &self.seasons)
    }

    /// What follows; `pool` is what series of its kind say together, itself included.
    ///
    /// # Errors
    /// See [`ForecastError`].
    pub fn forecast(self, pool: &Pool) -> Result<Forecast, ForecastError> {
        let Self { params, scale, seasons, history, effects, level_doubt, range: (min, max) } = self;
        let shared = pool.get(&seasons);
        let backtest = Backtest::plan(&history, &seasons, params.horizon, params.max_origins).with(effects, shared);
        let mut contenders: Vec<Contender> =
            backtest.trials().into_iter().filter_map(|trial| Contender::of(trial, &backtest, scale)).collect();
        let combination = combine(&mut contenders, backtest.is_intermittent);
        let none = || ForecastError::NotEnoughValues { needed: MIN_VALUES, found: n_known(&history) };
        let winner = winner(&mut contenders, combination, backtest.is_intermittent).ok_or_else(none)?;
        let levels = ascending(&params.levels);
        let widest = levels.last().copied().unwrap_or(Level::DEFAULT);
        let yard = Yard::best(&winner.held_out, scale, widest);
        let steps = steps(&winner, &levels, yard, level_doubt).ok_or_else(none)?;
        if !steps.iter().all(is_finite) {
            return Err(ForecastError::NotFinite { min, max });
        }
        let unit = mase_unit(&backtest.actuals(), scale, backtest.seasons.first().copied().unwrap_or(1));
        let judge = Judge { scale, yard, widest, unit };
        let days = if backtest.has_effects() { " + days of the month" } else { "" };
        Ok(Forecast {
            model: judge.name(&winner, &winner.model) + days,
            steps,
            scores: judge.scores(&winner, &contenders),
            by_horizon: judge.realised(&winner).iter().map(horizon_coverage).collect(),
        })
    }
}

fn ascending(levels: &[Level]) -> Vec<Level> {
    let mut levels = levels.to_vec();
    levels.sort_by(|a, b| a.get().total_cmp(&b.get()));
    levels.dedup();
    levels
}

/// By what contenders are measured.
#[derive(Debug, Clone, Copy)]
struct Judge {
    scale: Scale,
    /// The winner's, for all: to choose one for each would cost more than all forecasts of a short series.
    yard: Yard,
    widest: Level,
    /// Error that counts as 1.
    unit: f64,
}

impl Judge {
    fn name(&self, one: &Contender, model: &str) -> String {
        let scale = if self.scale.is_log() && !one.is_naive { "log " } else { "" };
        format!("{scale}{model}")
    }

    fn realised(&self, one: &Contender) -> Vec<Realised> {
        realised_coverage(&one.held_out, self.yard, self.widest)
    }

    fn score(&self, one: &Contender, model: &str) -> CandidateScore {
        CandidateScore {
            model: self.name(one, model),
            weight: one.weight,
            mase: one.error / self.unit,
            coverage: coverage(&self.realised(one)),
            n: one.held_out.len(),
        }
    }

    /// The winner's score, then those of the naive ones and of all that have a say in it.
    fn scores(&self, winner: &Contender, contenders: &[Contender]) -> Vec<CandidateScore> {
        // Each recipe is another: scores are compared over series under one name.
        let heading = if winner.is_combination { COMBINATION } else { &winner.model };
        let with_a_say = |one: &&Contender| one.model != winner.model && (one.is_naive || one.weight > 0.0);
        let others = contenders.iter().filter(with_a_say).map(|one| self.score(one, &one.model));
        std::iter::once(self.score(winner, heading)).chain(others).collect()
    }
}

/// The combination, or the naive forecast where that was better beyond chance: then it stands alone.
fn winner(contenders: &mut [Contender], combination: Option<Contender>, by_square: bool) -> Option<Contender> {
    // The naive ones come first and win ties.
    let naive = contenders.iter().filter(|one| one.is_naive);
    let naive = naive.reduce(|best, next| if next.loss < best.loss { next } else { best }).cloned();
    match (naive, combination) {
        (Some(naive), Some(combination)) if !is_better(&naive, &combination, by_square) => Some(combination),
        (Some(naive), _) => {
            contenders.iter_mut().for_each(|one| one.weight = f64::from(u8::from(one.model == naive.model)));
            Some(Contender { weight: 1.0, ..naive })
        }
        (None, combination) => combination,
    }
}

fn horizon_coverage(realised: &Realised) -> HorizonCoverage {
    let Realised { ahead, inside, n } = *realised;
    HorizonCoverage { from: ahead + 1, to: 2 * ahead + 1, coverage: inside as f64 / n as f64, n }
}

fn check(values: &[f64], regime_start: usize, support: Support, params: &ForecastParams) -> Result<(), ForecastError> {
    if !(1..=MAX_HORIZON).contains(&params.horizon) {
        return Err(ForecastError::Horizon { found: params.horizon, max: MAX_HORIZON });
    }
    let outside = |v: &f64| v.is_finite() && !support.contains(*v);
    if let Some((index, &value)) = values.iter().enumerate().find(|(_, v)| outside(v)) {
        return Err(ForecastError::OutOfSupport { index, value, support });
    }
    let found = n_known(values);
    if found < MIN_VALUES {
        return Err(ForecastError::NotEnoughValues { needed: MIN_VALUES, found });
    }
    let present = n_known(values.get(regime_start..).unwrap_or_default());
    if present == 0 { Err(ForecastError::NotEnoughValues { needed: 1, found: 0 }) } else { Ok(()) }
}

fn n_known(values: &[f64]) -> usize {
    values.iter().filter(|v| v.is_finite()).count()
}

/// What the models may learn from, starting with a known value, and the factor by which a level known from a few values
/// only widens the intervals: a mean of k values adds 1/k of the noise's variance.
fn present_history(mut scaled: Vec<f64>, regime_start: usize, season_lengths: &[usize]) -> (Vec<f64>, f64) {
    let longest = season_lengths.iter().copied().max().unwrap_or(1).max(1);
    let present = n_known(scaled.get(regime_start..).unwrap_or_default());
    let level_doubt = if regime_start == 0 || present >= ENOUGH_VALUES.max(ENOUGH_SEASONS * longest) {
        scaled.drain(..regime_start.min(scaled.len()));
        1.0
    } else {
        align_regimes(&mut scaled, regime_start, longest);
        (1.0 + 1.0 / present as f64).sqrt()
    };
    let start = scaled.iter().position(|v| !v.is_nan()).unwrap_or(0);
    scaled.drain(..start);
    (scaled, level_doubt)
}

/// In-sample error of the seasonal naive forecast, in the metric's unit; of the naive one, then the mean size, where
/// that is zero.
fn mase_unit(history: &[f64], scale: Scale, season: usize) -> f64 {
    let natural: Vec<f64> = history.iter().map(|v| if v.is_nan() { *v } else { scale.back(*v) }).collect();
    let mean = |sizes: Vec<f64>| sizes.iter().map(|size| size / sizes.len().max(1) as f64).sum::<f64>();
    let lagged = |lag: usize| {
        let steps = natural.iter().zip(natural.iter().skip(lag)).map(|(a, b)| (b - a).abs());
        mean(steps.filter(|step| !step.is_nan()).collect())
    };
    let size = || mean(natural.iter().filter(|v| !v.is_nan()).map(|v| v.abs()).collect());
    [lagged(season), lagged(1), size()].into_iter().find(|unit| *unit > 0.0).unwrap_or(1.0)
}

/// The steps of the horizon with their intervals.
fn steps(winner: &Contender, levels: &[Level], yard: Yard, level_doubt: f64) -> Option<Vec<ForecastStep>> {
    let calibration = Calibration::of(winner.held_out.iter(), yard)?;
    let radii: Vec<(Level, Vec<f64>)> =
        levels.iter().map(|&level| (level, calibration.radii(&winner.path.spread, level))).collect();
    let step = |(ahead, &point): (usize, &f64)| ForecastStep {
        point,
        intervals: radii
            .iter()
            .filter_map(|(level, radii)| Some(yard.interval(point, radii.get(ahead)? * level_doubt, *level)))
            .collect(),
    };
    Some(winner.path.point.iter().enumerate().map(step).collect())
}

fn is_finite(step: &ForecastStep) -> bool {
    step.point.is_finite() && step.intervals.iter().all(|i| i.lower.is_finite() && i.upper.is_finite())
}
