//! From a history to its forecast: the candidates are tried, the best one is fitted to all and told what it missed.

use super::backtest::{Backtest, Candidate, Trial};
use super::ets::Ets;
use super::intervals::{Calibration, HeldOut};
use super::naive::seasonal_naive;
use super::scale::Scale;
use super::season::align_regimes;
use super::{CandidateScore, Forecast, ForecastError, ForecastParams, ForecastStep, Path, Support};
use crate::units::{Interval, Level};

/// Known values without which nothing is forecast: one to hold out, three behind it.
const MIN_VALUES: usize = 4;
/// Buckets beyond which a horizon is a slip of the pen.
const MAX_HORIZON: usize = 100_000;
/// A regime of so many seasons, and not less than so many values, stands for itself.
const ENOUGH_SEASONS: usize = 5;
const ENOUGH_VALUES: usize = 30;

/// A candidate that was tried and then fitted to the whole history.
struct Contender {
    score: CandidateScore,
    path: Path,
    held_out: Vec<HeldOut>,
}

/// Forecasts what follows `values`, of which those from `regime_start` on are the present regime.
pub(super) fn forecast_regime(
    values: &[f64],
    regime_start: usize,
    support: Support,
    params: &ForecastParams,
) -> Result<Forecast, ForecastError> {
    check(values, regime_start, support, params)?;
    let scale = Scale::of(values, support);
    // Longer ones could not be told anyway; a bound here keeps memory one for any length asked for.
    let seasons: Vec<usize> = params.season_lengths.iter().copied().filter(|&m| m <= values.len() / 2).collect();
    let (history, level_doubt) = present_history(scale.forward(values), regime_start, &seasons);
    let backtest = Backtest::plan(&history, &seasons, params.horizon);
    let mut levels = params.levels.clone();
    levels.sort_by(|a, b| a.get().total_cmp(&b.get()));
    levels.dedup();

    let unit = mase_unit(&history, scale, backtest.seasons.first().copied().unwrap_or(1));
    let widest = levels.last().copied().unwrap_or(Level::DEFAULT);
    let finish = |trial| Contender::finish(trial, &backtest, params.horizon, scale, unit, widest);
    let contenders: Vec<Contender> = backtest.trials().into_iter().filter_map(finish).collect();
    // The naive ones come first and win ties.
    let winner = contenders.iter().reduce(|best, next| if next.score.mase < best.score.mase { next } else { best });
    let steps = winner
        .and_then(|winner| winner.steps(&levels, scale, level_doubt))
        .ok_or_else(|| ForecastError::NotEnoughValues { needed: MIN_VALUES, found: n_known(&history) })?;
    if !steps.iter().all(is_finite) {
        return Err(not_finite(values));
    }
    Ok(Forecast {
        model: winner.map(|winner| winner.score.model.clone()).unwrap_or_default(),
        steps,
        scores: contenders.into_iter().map(|contender| contender.score).collect(),
    })
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

impl Contender {
    fn finish(
        trial: Trial,
        backtest: &Backtest<'_>,
        horizon: usize,
        scale: Scale,
        unit: f64,
        widest: Level,
    ) -> Option<Self> {
        let (model, path) = fit_to_all(trial.candidate, backtest, horizon)?;
        let score = CandidateScore {
            model: if scale.is_log() && trial.candidate == Candidate::Ets { format!("log {model}") } else { model },
            mase: trial.mase(scale, unit),
            coverage: trial.coverage(widest),
            n: trial.held_out.len(),
        };
        Some(Self { score, path, held_out: trial.held_out })
    }

    fn steps(&self, levels: &[Level], scale: Scale, level_doubt: f64) -> Option<Vec<ForecastStep>> {
        let calibration = Calibration::of(self.held_out.iter())?;
        let radii: Vec<(Level, Vec<f64>)> =
            levels.iter().map(|&level| (level, calibration.radii(&self.path.spread, level))).collect();
        let step = |(ahead, &point): (usize, &f64)| ForecastStep {
            point: scale.back(point),
            intervals: radii
                .iter()
                .filter_map(|(level, radii)| Some((*level, radii.get(ahead)? * level_doubt)))
                .map(|(level, radius)| Interval {
                    lower: scale.back(point - radius),
                    upper: scale.back(point + radius),
                    level,
                })
                .collect(),
        };
        Some(self.path.point.iter().enumerate().map(step).collect())
    }
}

fn fit_to_all(candidate: Candidate, backtest: &Backtest<'_>, horizon: usize) -> Option<(String, Path)> {
    let values = backtest.values;
    match candidate {
        Candidate::SeasonalNaive(1) => Some(("naive".to_owned(), seasonal_naive(values, 1, horizon)?)),
        Candidate::SeasonalNaive(season) => {
            Some((format!("seasonal_naive({season})"), seasonal_naive(values, season, horizon)?))
        }
        Candidate::Ets => {
            let ets = Ets::best(values, &backtest.seasons)?;
            let mut state = ets.start();
            ets.advance(&mut state, values, 0, values.len());
            Some((ets.form.name(), ets.path(&state, values.len(), horizon)))
        }
    }
}

fn is_finite(step: &ForecastStep) -> bool {
    step.point.is_finite() && step.intervals.iter().all(|i| i.lower.is_finite() && i.upper.is_finite())
}

fn not_finite(values: &[f64]) -> ForecastError {
    let known = || values.iter().copied().filter(|v| v.is_finite());
    ForecastError::NotFinite {
        min: known().fold(f64::INFINITY, f64::min),
        max: known().fold(f64::NEG_INFINITY, f64::max),
    }
}
