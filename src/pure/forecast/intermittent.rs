//! Demand that mostly is none: Croston's method with Syntetos and Boylan's correction (SBA, Int. J. Forecasting 21, 2005),
//! Teunter, Syntetos and Babai's (TSB, Eur. J. Operational Research 214, 2011), and the plain mean.
//!
//! The middle value of such a series is zero, and says nothing of what is needed: its mean is forecast, and models are
//! weighed by squared errors, which the mean makes least.

use super::Path;

/// Mean distance of values that are not zero from which on demand is called intermittent (Syntetos, Boylan and Croston,
/// J. Operational Research Society 56, 2005).
const MIN_DISTANCE: f64 = 1.32;
/// Share of zeros with which a phase of the season is one without demand: a weekend is no want of it.
const CLOSED: f64 = 0.9;
/// Share that a new value has in sizes, distances and chances; the literature's 0.1.
const ALPHA: f64 = 0.1;
/// Values whose mean is where a chance starts.
const START_VALUES: usize = 10;

/// Ways of forecasting them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Smoothed size over smoothed distance.
    Sba,
    /// Smoothed chance times smoothed size: falls while nothing comes.
    Tsb,
    Mean,
}

impl Method {
    pub(super) const ALL: [Self; 3] = [Self::Sba, Self::Tsb, Self::Mean];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sba => "croston_sba",
            Self::Tsb => "tsb",
            Self::Mean => "mean",
        }
    }

    /// What follows `values` (NaN = gap): one level. None where nothing is known.
    pub(super) fn path(self, values: &[f64], horizon: usize) -> Option<Path> {
        let known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        let level = match self {
            Self::Sba => sba(&known),
            Self::Tsb => tsb(&known),
            Self::Mean => mean(&known)?,
        };
        (!known.is_empty()).then(|| Path { point: vec![level; horizon], spread: vec![1.0; horizon] })
    }
}

/// Whether `values` (NaN = gap) are zero that often, phases of `season` (1 = none) left out that nearly always are.
pub(super) fn is_intermittent(values: &[f64], season: usize) -> bool {
    let mut phases = vec![(0.0, 0.0); season.max(1)];
    for (idx, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        if *value < 0.0 {
            return false;
        }
        if let Some((zeros, all)) = phases.get_mut(idx % season.max(1)) {
            *zeros += f64::from(u8::from(*value <= 0.0));
            *all += 1.0;
        }
    }
    let is_open = |(zeros, all): &&(f64, f64)| season <= 1 || *zeros < CLOSED * all;
    let (zeros, all) = phases.iter().filter(is_open).fold((0.0, 0.0), |sum, phase| (sum.0 + phase.0, sum.1 + phase.1));
    zeros < all && MIN_DISTANCE * (all - zeros) < all
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn sba(values: &[f64]) -> f64 {
    let mut state: Option<(f64, f64)> = None;
    let mut since = 1.0;
    for &value in values {
        if value > 0.0 {
            state = Some(match state {
                None => (value, since),
                Some((size, distance)) => (size + ALPHA * (value - size), distance + ALPHA * (since - distance)),
            });
            since = 1.0;
        } else {
            since += 1.0;
        }
    }
    state.map_or(0.0, |(size, distance)| (1.0 - 0.5 * ALPHA) * size / distance)
}

fn tsb(values: &[f64]) -> f64 {
    let first = values.get(..START_VALUES.min(values.len())).unwrap_or_default();
    let comes = |value: f64| f64::from(u8::from(value > 0.0));
    let mut chance = mean(&first.iter().map(|v| comes(*v)).collect::<Vec<_>>()).unwrap_or(0.0);
    let mut size: Option<f64> = None;
    for &value in values {
        chance += ALPHA * (comes(value) - chance);
        if value > 0.0 {
            size = Some(size.map_or(value, |size| size + ALPHA * (value - size)));
        }
    }
    chance * size.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const DEMAND: [f64; 12] = [0.0, 3.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0, 0.0];

    const SBA: f64 = 1.3327731092436976;

    // statsforecast 2.1.1: CrostonSBA().forecast(y=DEMAND, h=1)
    #[test]
    fn sba_agrees_with_statsforecast() {
        let level = Method::Sba.path(&DEMAND, 2).unwrap().point;
        assert!(level.iter().all(|v| (v - SBA).abs() < 1e-6), "{level:?}");
    }

    #[test]
    fn a_chance_falls_while_nothing_comes() {
        let quiet: Vec<f64> = DEMAND.iter().copied().chain([0.0; 40]).collect();
        let of = |method: Method, values: &[f64]| method.path(values, 1).unwrap().point[0];
        assert!(of(Method::Tsb, &quiet) < 0.05 * of(Method::Tsb, &DEMAND));
        assert!((of(Method::Sba, &quiet) - of(Method::Sba, &DEMAND)).abs() < 1e-12);
        assert!((of(Method::Mean, &DEMAND) - 14.0 / 12.0).abs() < 1e-12);
        assert!(Method::ALL.iter().all(|method| method.path(&[f64::NAN], 3).is_none()));
    }

    #[test]
    fn closed_weekends_are_no_intermittent_demand() {
        let weeks: Vec<f64> = (0..70).map(|i| if i % 7 >= 5 { 0.0 } else { 9.0 }).collect();
        assert!(is_intermittent(&weeks, 1) && !is_intermittent(&weeks, 7));
        assert!(is_intermittent(&DEMAND, 1) && is_intermittent(&DEMAND, 7));
        for other in [vec![], vec![0.0; 9], vec![1.0; 9], vec![0.0, -1.0, 0.0, 3.0]] {
            assert!(!is_intermittent(&other, 1), "{other:?}");
        }
    }
}
