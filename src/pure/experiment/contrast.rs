//! An effect, how sure of it one is, and the intervals that follow.

use super::{Method, sequential};
use crate::units::Level;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Two ends of an interval.
pub(super) type Bounds = (f64, f64);

/// What is asked of a contrast: looks, coverage, and the units behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) level: Level,
    /// Units of both arms.
    pub(super) n: u64,
}

/// A difference with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Contrast {
    pub(super) value: f64,
    pub(super) standard_error: f64,
    /// Degrees of freedom of the standard error; infinite where it is known.
    pub(super) freedom: f64,
}

impl Contrast {
    /// None without spread (an arm of one unit, values all equal): nothing can be said about chance then.
    pub(super) fn new(value: f64, variance: f64, freedom: f64) -> Option<Self> {
        let sound = value.is_finite() && variance.is_finite() && variance > 0.0 && freedom > 0.0;
        sound.then(|| Self { value, standard_error: variance.sqrt(), freedom })
    }

    /// The interval of the value.
    pub(super) fn bounds(&self, ask: Ask) -> Option<Bounds> {
        let critical = match ask.method {
            Method::Fixed => self.critical(1.0 - 0.5 * ask.level.alpha())?,
            Method::Sequential => sequential::critical(ask.n, ask.level),
        };
        let half = critical * self.standard_error;
        half.is_finite().then_some((self.value - half, self.value + half))
    }

    /// Probability of a value at least as far from zero if there were no effect; valid at any look if sequential.
    pub(super) fn p_value(&self, ask: Ask) -> Option<f64> {
        let z = (self.value / self.standard_error).abs();
        match ask.method {
            Method::Fixed => Some((2.0 * self.tail(z)?).min(1.0)),
            Method::Sequential => Some(sequential::p_value(z, ask.n, ask.level)),
        }
    }

    fn critical(&self, probability: f64) -> Option<f64> {
        if self.freedom.is_infinite() {
            return Some(Normal::standard().inverse_cdf(probability));
        }
        Some(StudentsT::new(0.0, 1.0, self.freedom).ok()?.inverse_cdf(probability))
    }

    fn tail(&self, z: f64) -> Option<f64> {
        if self.freedom.is_infinite() {
            return Some(Normal::standard().sf(z));
        }
        Some(StudentsT::new(0.0, 1.0, self.freedom).ok()?.sf(z))
    }
}

/// Everything that is said about one arm against the control.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Effect {
    pub(super) value: Option<f64>,
    pub(super) bounds: Option<Bounds>,
    pub(super) relative: Option<f64>,
    pub(super) relative_bounds: Option<Bounds>,
    pub(super) p_value: Option<f64>,
}
