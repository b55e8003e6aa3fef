//! How good each candidate is: it forecasts from many past moments (rolling origin), knowing only what came before, and
//! at last from the end.

use super::Path;
use super::autoregression::{self, Lags};
use super::ets::Mixture;
use super::intermittent::{Method, is_intermittent};
use super::line::Line;
use super::naive::{seasonal_mean, seasonal_naive};
use super::pooled::{self, Shared};
use super::season::{Profiles, without_spikes};
use super::theta::Theta;

/// Smoothing weights are fitted anew this often along the origins; between, only the states move on.
const REFITS: usize = 2;
/// Lines are drawn anew this often.
const LINES: usize = 12;
/// Seasons longer than this are taken off before smoothing: as states, each phase would be seen too rarely.
const LONGEST_STATE: usize = 13;
/// Cycles of a seasonal mean.
const CYCLES: usize = 3;
/// The last values that a regression learns from, in longest seasons, for one that forgets.
const RECENT_SEASONS: usize = 2;
/// Values before a value that a regression looks at beside the seasonal ones.
const RECENT_LAGS: usize = 3;
const MORE_LAGS: usize = 6;

/// A way of forecasting.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Candidate {
    /// Repeat the last season of so many buckets; 1 repeats the last value.
    SeasonalNaive(usize),
    /// Repeat the mean of the last seasons of so many buckets.
    SeasonalMean(usize),
    /// The form of exponential smoothing with the best information criterion.
    Ets,
    /// Theta without these seasons.
    Theta(Vec<usize>),
    /// A straight line and the seasons round it.
    Line,
    /// Regression on earlier values.
    Autoregression(Lags),
    /// The regression that many series share.
    Pooled(Shared),
    /// The mean of demand that mostly is none.
    Intermittent(Method),
}

/// Before a series is seen, smoothing is as likely to be right as so many of the others: in the competitions of forecasters
/// it was hardly beaten on yearly, quarterly and monthly series (Makridakis and Hibon 2000; Makridakis, Spiliotis and
/// Assimakopoulos 2020).
const SMOOTHING_FIRST: f64 = 6.0;

/// From where, and how far, candidates are tried. `values` are on the scale of the models, NaN = gap.
#[derive(Debug, Clone)]
pub(super) struct Backtest<'a> {
    pub(super) values: &'a [f64],
    /// What was taken off the values, and has to be laid on each forecast: (n + horizon,), or empty.
    effects: Vec<f64>,
    /// Coefficients of the series' kind.
    shared: Option<Shared>,
    /// The same as candidates see them: spikes are gaps. They are held against forecasts all the same.
    seen: Vec<f64>,
    /// Season lengths of which the values hold enough, shortest first.
    pub(super) seasons: Vec<usize>,
    /// Ascending; the last is the end of the values.
    pub(super) origins: Vec<usize>,
    pub(super) horizon: usize,
    /// Whether values mostly are zero: then their mean is forecast.
    pub(super) is_intermittent: bool,
}

/// A candidate's forecasts from each origin.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) model: String,
    pub(super) is_naive: bool,
    /// Weight before anything is seen, relative to others'.
    pub(super) prior: f64,
    /// One for each origin; the last reaches the whole horizon, the others to the end of the values at most.
    pub(super) paths: Vec<Path>,
}

impl<'a> Backtest<'a> {
    /// Holds out the last half, or as much of it as is of use for the horizon; a season counts if two of it and
    /// four values more are there.
    pub(super) fn plan(values: &'a [f64], season_lengths: &[usize], horizon: usize, max_origins: usize) -> Self {
        let n = values.len();
        let known = values.iter().filter(|v| !v.is_nan()).count();
        let mut seasons: Vec<usize> = season_lengths.iter().copied().filter(|&m| m > 1 && known >= 2 * m + 4).collect();
        seasons.sort_unstable();
        seasons.dedup();
        let span = (n / 2).min((4 * horizon).max(max_origins));
        let first = (n - span).max(seasons.last().map_or(1, |longest| 2 * longest)).max(3).min(n);
        let stride = stride((n - first).div_ceil(max_origins.max(1)), &seasons);
        let is_intermittent = is_intermittent(values, seasons.first().copied().unwrap_or(1));
        // Where values mostly are zero, the others are what counts and no spikes.
        let seen = if is_intermittent { values.to_vec() } else { without_spikes(values, &seasons) };
        let origins = (first..n).step_by(stride).chain([n]).collect();
        Self { values, effects: Vec::new(), shared: None, seen, seasons, origins, horizon, is_intermittent }
    }

    /// Lays `effects`, (n + horizon,) or none, on every forecast and on what it is held against; tries what series `shared`.
    pub(super) fn with(self, effects: Vec<f64>, shared: Option<Shared>) -> Self {
        Self { effects, shared, ..self }
    }

    /// Whether anything was taken off.
    pub(super) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// The values as they were.
    pub(super) fn actuals(&self) -> Vec<f64> {
        self.values.iter().zip(0..).map(|(value, idx)| value + self.effect(idx)).collect()
    }

    /// What was taken off the value at `idx`, or will have to be laid on.
    pub(super) fn effect(&self, idx: usize) -> f64 {
        self.effects.get(idx).copied().unwrap_or(0.0)
    }

    /// Every candidate that the values allow, tried; the naive ones first, the longest season before the others.
    pub(super) fn trials(&self) -> Vec<Trial> {
        let candidates = self.candidates();
        let n_regressions = candidates.iter().filter(|one| matches!(one, Candidate::Autoregression(_))).count();
        let trial = |one: &Candidate| self.trial(one, self.prior(one, n_regressions));
        candidates.iter().filter_map(trial).collect()
    }

    /// Weight of a candidate before anything is seen, relative to others'. The regressions share that of one: they are one
    /// way in several variants.
    fn prior(&self, candidate: &Candidate, n_regressions: usize) -> f64 {
        match candidate {
            Candidate::Autoregression(_) => 1.0 / n_regressions as f64,
            Candidate::Ets | Candidate::Theta(_) if self.seasons_are_states() => SMOOTHING_FIRST,
            Candidate::Intermittent(_) => SMOOTHING_FIRST,
            _ => 1.0,
        }
    }

    /// Whether smoothing holds the seasons; long ones are taken off before it, and then how that is done decides.
    fn seasons_are_states(&self) -> bool {
        self.seasons.last().is_none_or(|longest| *longest <= LONGEST_STATE)
    }

    fn candidates(&self) -> Vec<Candidate> {
        let seasons = &self.seasons;
        // Where most values are zero, the last one is too, or is what will hardly come again.
        let last: &[usize] = if self.is_intermittent { &[] } else { &[1] };
        let naive = seasons.iter().rev().chain(last).map(|&season| Candidate::SeasonalNaive(season));
        let means = seasons.iter().rev().map(|&season| Candidate::SeasonalMean(season));
        let mut candidates: Vec<Candidate> = naive.chain(means).collect();
        if self.is_intermittent {
            candidates.extend(Method::ALL.map(Candidate::Intermittent));
            return candidates;
        }
        candidates.extend([Candidate::Ets, Candidate::Theta(seasons.clone()), Candidate::Line]);
        if seasons.len() > 1 {
            candidates.push(Candidate::Theta(seasons.iter().copied().take(1).collect()));
        }
        let mut lags = vec![Lags::of(RECENT_LAGS, seasons, None), Lags::of(MORE_LAGS, seasons, None)];
        if let Some(longest) = seasons.last() {
            lags.push(Lags::of(0, seasons, None));
            lags.push(Lags::of(RECENT_LAGS, seasons, Some(RECENT_SEASONS * longest)));
        }
        if seasons.is_empty() {
            lags.push(Lags::of(RECENT_LAGS, seasons, None).of_changes());
        }
        candidates.extend(lags.into_iter().map(Candidate::Autoregression));
        // Where long seasons are taken off first, how that is done says more than what series share.
        candidates.extend(self.shared.filter(|_| self.seasons_are_states()).map(Candidate::Pooled));
        candidates
    }

    fn trial(&self, candidate: &Candidate, prior: f64) -> Option<Trial> {
        let (model, paths) = match candidate {
            Candidate::SeasonalNaive(1) => ("naive".to_owned(), self.walk(|known, h| seasonal_naive(known, 1, h))?),
            Candidate::SeasonalNaive(season) => {
                (format!("seasonal_naive({season})"), self.walk(|known, h| seasonal_naive(known, *season, h))?)
            }
            Candidate::SeasonalMean(season) => {
                (format!("seasonal_mean({season})"), self.walk(|known, h| seasonal_mean(known, *season, CYCLES, h))?)
            }
            Candidate::Intermittent(method) => (method.name().to_owned(), self.walk(|known, h| method.path(known, h))?),
            Candidate::Ets => self.ets_trial()?,
            Candidate::Theta(seasons) => {
                let name = seasons.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
                (
                    if name.is_empty() { "theta".to_owned() } else { format!("theta({name})") },
                    self.theta_trial(seasons)?,
                )
            }
            Candidate::Line => ("line".to_owned(), self.line_trial()?),
            Candidate::Pooled(shared) => ("pooled".to_owned(), self.pooled_trial(shared)?),
            Candidate::Autoregression(lags) => {
                (lags.name(), autoregression::paths(&self.seen, lags, &self.origins, |origin| self.reach(origin))?)
            }
        };
        let is_naive = matches!(candidate, Candidate::SeasonalNaive(_));
        Some(Trial { model, is_naive, prior, paths })
    }

    /// Growth of errors, relative to those from the end, by what was learned from fewer values: level, slope and each
    /// phase of a season add their share of the noise to the variance.
    pub(super) fn doubt(&self, origin: usize) -> f64 {
        let learned = (2 + self.seasons.last().copied().unwrap_or(0)) as f64;
        let variance = |n: usize| 1.0 + learned / n.max(1) as f64;
        (variance(origin) / variance(self.values.len())).sqrt()
    }

    /// How far is forecast from an origin.
    fn reach(&self, origin: usize) -> usize {
        if origin < self.values.len() { self.horizon.min(self.values.len() - origin) } else { self.horizon }
    }

    fn walk(&self, forecast: impl Fn(&[f64], usize) -> Option<Path>) -> Option<Vec<Path>> {
        let path = |&origin: &usize| forecast(self.seen.get(..origin)?, self.reach(origin));
        self.origins.iter().map(path).collect()
    }

    /// Stretches of origins that share a fit; the end has its own.
    fn blocks(&self) -> impl Iterator<Item = &[usize]> {
        let (past, end) = self.origins.split_at(self.origins.len().saturating_sub(1));
        past.chunks(past.len().div_ceil(REFITS).max(1)).chain([end])
    }

    fn ets_trial(&self) -> Option<(String, Vec<Path>)> {
        let (mut name, mut paths) = (String::new(), Vec::with_capacity(self.origins.len()));
        let as_states = self.seasons_are_states();
        for block in self.blocks() {
            let known = self.seen.get(..*block.first()?)?;
            let profiles = if as_states { Profiles::none() } else { Profiles::of(known, &self.seasons) };
            let rest = profiles.without(&self.seen);
            let mut ets = Mixture::fit(rest.get(..known.len())?, if as_states { &self.seasons } else { &[] })?;
            for &origin in block {
                ets.advance(&rest, origin);
                let mut path = ets.path(self.reach(origin));
                path.point.iter_mut().enumerate().for_each(|(ahead, point)| *point += profiles.at(origin + ahead));
                paths.push(path);
            }
            name = ets.name();
        }
        let seasons = self.seasons.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        Some((if as_states { name } else { format!("mstl({seasons}) {name}") }, paths))
    }

    /// Coefficients of first halves alone for the past.
    fn pooled_trial(&self, shared: &Shared) -> Option<Vec<Path>> {
        let mut paths = Vec::with_capacity(self.origins.len());
        for block in self.blocks() {
            let first = *block.first()?;
            let profiles = Profiles::of(self.seen.get(..first)?, &self.seasons);
            let rest = profiles.without(&self.seen);
            let coefficients = if first < self.values.len() { &shared.early } else { &shared.late };
            for &origin in block {
                paths.push(pooled::path(rest.get(..origin)?, &profiles, coefficients, self.reach(origin))?);
            }
        }
        Some(paths)
    }

    fn line_trial(&self) -> Option<Vec<Path>> {
        let mut line = None;
        let mut paths = Vec::with_capacity(self.origins.len());
        for (position, &origin) in self.origins.iter().enumerate() {
            if position.is_multiple_of(self.origins.len().div_ceil(LINES)) || origin == self.values.len() {
                line = Line::fit(self.seen.get(..origin)?, &self.seasons);
            }
            paths.push(line.as_ref()?.path(origin, self.reach(origin)));
        }
        Some(paths)
    }

    fn theta_trial(&self, seasons: &[usize]) -> Option<Vec<Path>> {
        let mut paths = Vec::with_capacity(self.origins.len());
        for block in self.blocks() {
            let theta = Theta::fit(self.seen.get(..*block.first()?)?, seasons)?;
            for &origin in block {
                paths.push(theta.path(self.seen.get(..origin)?, self.reach(origin))?);
            }
        }
        Some(paths)
    }
}

/// The next stride that does not meet the same phases of a season again and again.
fn stride(at_least: usize, seasons: &[usize]) -> usize {
    let meets_all = |stride: &usize| seasons.iter().all(|m| gcd(*m, *stride) == 1);
    (at_least.max(1)..).find(meets_all).unwrap_or(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::MAX_ORIGINS;

    #[test]
    fn origins_leave_half_to_learn_from_and_meet_all_phases() {
        let values = vec![1.0; 90];
        let plan = Backtest::plan(&values, &[7], 30, MAX_ORIGINS);
        assert_eq!((plan.origins.first(), plan.origins.last(), plan.origins.len()), (Some(&45), Some(&90), 46));
        let values = vec![1.0; 900];
        let plan = Backtest::plan(&values, &[168, 24, 24, 1], 48, MAX_ORIGINS);
        assert_eq!(plan.seasons, [24, 168]);
        assert!(plan.origins.len() <= MAX_ORIGINS + 1);
        assert_eq!(gcd(plan.origins[1] - plan.origins[0], 168), 1);
    }

    #[test]
    fn no_candidate_sees_what_it_is_asked_for() {
        let mut values: Vec<f64> = (0..60).map(|i| f64::from(i % 5) + f64::from(i * 7919 % 13) * 0.1).collect();
        let before = Backtest::plan(&values, &[5], 4, MAX_ORIGINS).trials();
        values[59] = 1e6;
        let after = Backtest::plan(&values, &[5], 4, MAX_ORIGINS).trials();
        assert!(before.len() >= 6, "{}", before.len());
        for (a, b) in before.iter().zip(&after) {
            let past = a.paths.len() - 1;
            for (a, b) in a.paths.iter().zip(&b.paths).take(past) {
                assert!(a.point.iter().zip(&b.point).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn degenerate_series_have_few_trials_and_no_panic() {
        for n in 0..12 {
            let values = vec![1.0; n];
            let trials = Backtest::plan(&values, &[7], 5, MAX_ORIGINS).trials();
            assert_eq!(trials.is_empty(), n == 0, "{n}");
        }
        assert!(Backtest::plan(&[f64::NAN; 20], &[7], 5, MAX_ORIGINS).trials().is_empty());
    }
}
