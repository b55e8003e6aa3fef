//! The Theta method (Assimakopoulos and Nikolopoulos 2000; as simple exponential smoothing with half the drift, Hyndman
//! and Billah 2003): level by a searched weight, half of the robust slope of the whole as far as it stands out of what
//! such a level draws without any (James and Stein 1961), seasons taken off before and laid on again.

use super::Path;
use super::season::{Outline, Profiles};

/// Errors beyond this many sigmas move the level as if they were this many.
const CLIP_SIGMAS: f64 = 3.0;
/// Weights that are tried.
const WEIGHTS: [f64; 12] = [0.01, 0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4, 0.52, 0.66, 0.82, 0.97];

/// Variance of the slope of a line through n values of a random walk of unit steps, times n (Durlauf and Phillips 1988).
const SLOPE_OF_WALK: f64 = 1.2;

/// What was fitted: weight and slope, the seasons, and where the level stands.
#[derive(Debug, Clone)]
pub(super) struct Theta {
    alpha: f64,
    slope: f64,
    clip: f64,
    profiles: Profiles,
}

impl Theta {
    /// Fits to `values` (NaN = gap) with seasons of these lengths. None where nothing is known.
    pub(super) fn fit(values: &[f64], seasons: &[usize]) -> Option<Self> {
        let profiles = Profiles::of(values, seasons);
        let rest = profiles.without(values);
        let outline = Outline::of(&rest, 1);
        let clip = if outline.noise > 0.0 { CLIP_SIGMAS * outline.noise } else { f64::MAX };
        let theta = |alpha| Self { alpha, slope: outline.slope, clip, profiles: Profiles::none() };
        let loss = |alpha: f64| theta(alpha).smooth(&rest).map(|(_, loss)| (alpha, loss));
        let best = WEIGHTS.iter().filter_map(|&alpha| loss(alpha)).reduce(|a, b| if b.1 < a.1 { b } else { a })?;
        let (alpha, loss) = best;
        let n = rest.iter().filter(|v| !v.is_nan()).count() as f64;
        // A slope through a walk of steps α sigma, and through noise about it.
        let chance = loss / n * (SLOPE_OF_WALK * alpha * alpha / n + 12.0 / n.powi(3));
        let squared = outline.slope * outline.slope;
        let slope = if squared > chance { outline.slope * (1.0 - chance / squared) } else { 0.0 };
        Some(Self { slope, profiles, ..theta(alpha) })
    }

    /// Level after the last value, and Huber's loss of the one-step errors.
    fn smooth(&self, rest: &[f64]) -> Option<(f64, f64)> {
        let start = rest.iter().position(|v| !v.is_nan())?;
        let known = rest.iter().filter(|v| !v.is_nan()).take(START_VALUES);
        let (sum, n) = known.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
        let (mut level, mut loss) = (sum / n, 0.0);
        for &value in rest.iter().skip(start).filter(|v| !v.is_nan()) {
            let error = value - level;
            let size = error.abs();
            loss += if size <= self.clip { size * size } else { self.clip * (2.0 * size - self.clip) };
            level += self.alpha * error.clamp(-self.clip, self.clip);
        }
        Some((level, loss))
    }

    /// The forecast of what follows `values`, of which more may be known than was fitted to.
    pub(super) fn path(&self, values: &[f64], horizon: usize) -> Option<Path> {
        let (level, _) = self.smooth(&self.profiles.without(values))?;
        let drift = 0.5 * self.slope;
        // The level lags behind a drift by (1 - α)/α of it.
        let lag = (1.0 - self.alpha) / self.alpha * (1.0 - (1.0 - self.alpha).powf(values.len() as f64));
        let point = |ahead: usize| level + drift * (ahead as f64 + 1.0 + lag) + self.profiles.at(values.len() + ahead);
        let spread = |ahead: usize| (1.0 + self.alpha * self.alpha * ahead as f64).sqrt();
        Some(Path { point: (0..horizon).map(point).collect(), spread: (0..horizon).map(spread).collect() })
    }
}

/// First values whose mean is the first level.
const START_VALUES: usize = 10;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn half_the_drift_goes_on_from_the_level_and_seasons_in_phase() {
        let week = [0.0, 1.0, 2.0, 3.0, 2.0, -4.0, -4.0];
        let values: Vec<f64> = (0..70).map(|i| 10.0 + 0.2 * f64::from(i) + week[i as usize % 7]).collect();
        let path = Theta::fit(&values, &[7]).unwrap().path(&values, 14).unwrap();
        for (ahead, point) in path.point.iter().enumerate() {
            // The level holds the last value and the slope at it; half of what follows is believed.
            let expected = 10.0 + 0.2 * 69.0 + 0.1 * (ahead as f64 + 1.0) + week[(70 + ahead) % 7];
            assert!((point - expected).abs() < 0.3, "{ahead}: {point} {expected}");
        }
    }

    #[test]
    fn noise_has_no_drift_and_a_spike_no_say() {
        let mut values: Vec<f64> = (0..90).map(|i| 5.0 + ((i * 7_919 + 13) % 101) as f64 / 101.0).collect();
        values[88] = 900.0;
        let path = Theta::fit(&values, &[]).unwrap().path(&values, 30).unwrap();
        assert!(path.point.iter().all(|p| (p - 5.5).abs() < 0.5), "{path:?}");
        assert!(Theta::fit(&[f64::NAN; 9], &[]).is_none());
    }
}
