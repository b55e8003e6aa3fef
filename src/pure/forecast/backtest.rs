//! Which model to trust: each candidate forecasts from many past moments (rolling origin), knowing only what came before.

use super::Path;
use super::ets::Ets;
use super::intervals::{HeldOut, realised_coverage};
use super::naive::seasonal_naive;
use super::scale::Scale;
use crate::units::Level;

/// Forecast origins at most: more cost time and say little that is new.
const MAX_ORIGINS: usize = 60;
/// Smoothing weights are fitted anew this often along the origins; between, only the states move on.
const REFITS: usize = 3;

/// A way of forecasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidate {
    /// Repeat the last season of so many buckets; 1 repeats the last value.
    SeasonalNaive(usize),
    /// The form of exponential smoothing with the best information criterion.
    Ets,
}

/// From where, and how far, candidates are tried. `values` are on the scale of the models, NaN = gap.
#[derive(Debug, Clone)]
pub(super) struct Backtest<'a> {
    pub(super) values: &'a [f64],
    /// Season lengths of which the values hold enough, shortest first.
    pub(super) seasons: Vec<usize>,
    origins: Vec<usize>,
    horizon: usize,
}

/// A candidate's held-out forecasts, ordered by origin and distance.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) candidate: Candidate,
    pub(super) held_out: Vec<HeldOut>,
}

impl<'a> Backtest<'a> {
    /// Holds out the last half, or as much of it as is of use for the horizon; a season counts if two of it and
    /// four values more are there.
    pub(super) fn plan(values: &'a [f64], season_lengths: &[usize], horizon: usize) -> Self {
        let n = values.len();
        let known = values.iter().filter(|v| !v.is_nan()).count();
        let mut seasons: Vec<usize> = season_lengths.iter().copied().filter(|&m| m > 1 && known >= 2 * m + 4).collect();
        seasons.sort_unstable();
        seasons.dedup();
        let span = (n / 2).min((4 * horizon).max(MAX_ORIGINS));
        let first = (n - span).max(seasons.last().map_or(1, |longest| 2 * longest)).max(3).min(n);
        let stride = stride((n - first).div_ceil(MAX_ORIGINS), &seasons);
        Self { values, seasons, origins: (first..n).step_by(stride).collect(), horizon }
    }

    /// Every candidate that the values allow, tried; the naive ones first, the longest season before the others.
    pub(super) fn trials(&self) -> Vec<Trial> {
        let naive = self.seasons.iter().rev().chain([&1]).map(|&season| Candidate::SeasonalNaive(season));
        naive.chain([Candidate::Ets]).filter_map(|candidate| self.trial(candidate)).collect()
    }

    fn trial(&self, candidate: Candidate) -> Option<Trial> {
        let held_out = match candidate {
            Candidate::SeasonalNaive(season) => self.naive_trial(season),
            Candidate::Ets => self.ets_trial()?,
        };
        Some(Trial { candidate, held_out }).filter(|trial| !trial.held_out.is_empty())
    }

    fn naive_trial(&self, season: usize) -> Vec<HeldOut> {
        let mut held_out = Vec::new();
        for &origin in &self.origins {
            let known = self.values.get(..origin).unwrap_or_default();
            if let Some(path) = seasonal_naive(known, season, self.horizon.min(self.values.len() - origin)) {
                self.hold_out(origin, &path, &mut held_out);
            }
        }
        held_out
    }

    fn ets_trial(&self) -> Option<Vec<HeldOut>> {
        let mut held_out = Vec::new();
        for block in self.origins.chunks(self.origins.len().div_ceil(REFITS).max(1)) {
            let mut seen = 0;
            let ets = Ets::best(self.values.get(..*block.first()?)?, &self.seasons)?;
            let mut state = ets.start();
            for &origin in block {
                ets.advance(&mut state, self.values, seen, origin);
                seen = origin;
                let path = ets.path(&state, origin, self.horizon.min(self.values.len() - origin));
                self.hold_out(origin, &path, &mut held_out);
            }
        }
        Some(held_out)
    }

    fn hold_out(&self, origin: usize, path: &Path, held_out: &mut Vec<HeldOut>) {
        let actuals = self.values.iter().skip(origin);
        let pairs = actuals.zip(path.point.iter().zip(&path.spread)).enumerate();
        held_out.extend(
            pairs.filter(|(_, (actual, _))| !actual.is_nan()).map(|(ahead, (&actual, (&forecast, &spread)))| HeldOut {
                origin,
                ahead,
                forecast,
                actual,
                spread,
            }),
        );
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

impl Trial {
    /// Mean absolute error in the metric's unit over `unit` (the in-sample error of the naive forecast).
    pub(super) fn mase(&self, scale: Scale, unit: f64) -> f64 {
        let errors = self.held_out.iter().map(|held| (scale.back(held.actual) - scale.back(held.forecast)).abs());
        errors.map(|error| error / unit).sum::<f64>() / self.held_out.len() as f64
    }

    /// Share of held-out values inside the interval at `level`.
    pub(super) fn coverage(&self, level: Level) -> f64 {
        realised_coverage(&self.held_out, level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_leave_half_to_learn_from_and_meet_all_phases() {
        let values = vec![1.0; 90];
        let plan = Backtest::plan(&values, &[7], 30);
        assert_eq!((plan.origins.first(), plan.origins.len()), (Some(&45), 45));
        let values = vec![1.0; 900];
        let plan = Backtest::plan(&values, &[168, 24, 24, 1], 48);
        assert_eq!(plan.seasons, [24, 168]);
        assert!(plan.origins.len() <= MAX_ORIGINS);
        assert_eq!(gcd(plan.origins[1] - plan.origins[0], 168), 1);
    }

    #[test]
    fn no_candidate_sees_what_it_is_asked_for() {
        let mut values: Vec<f64> = (0..40).map(|i| f64::from(i % 5)).collect();
        let before = Backtest::plan(&values, &[5], 4).trials();
        values[39] = 1e6;
        let after = Backtest::plan(&values, &[5], 4).trials();
        for (a, b) in before.iter().zip(&after) {
            assert!(a.held_out.iter().zip(&b.held_out).all(|(a, b)| (a.forecast - b.forecast).abs() < 1e-9));
        }
    }

    #[test]
    fn degenerate_series_have_few_trials_and_no_panic() {
        for n in 0..12 {
            let values = vec![1.0; n];
            let trials = Backtest::plan(&values, &[7], 5).trials();
            assert_eq!(trials.is_empty(), n < 4, "{n}");
        }
        assert!(Backtest::plan(&[f64::NAN; 20], &[7], 5).trials().is_empty());
    }
}
