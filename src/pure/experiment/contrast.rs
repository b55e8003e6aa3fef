//! An effect, how sure of it one is, and the intervals that follow.

use super::{Method, Tuning, sequential};
use crate::stats::dist::{normal_quantile, normal_sf, normal_to_t, t_quantile, t_sf, t_to_normal};
use crate::units::Level;

/// Two ends of an interval.
pub(super) type Bounds = (f64, f64);

/// What is asked of a contrast: looks, coverage, and the units behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) level: Level,
    /// Units of both arms.
    pub(super) n: u64,
    /// Where sequential intervals are tight.
    pub(super) tuning: Tuning,
}

impl Ask {
    /// Standard errors that the interval reaches to either side, for an error with `freedom` degrees of freedom.
    pub(super) fn reach(self, freedom: f64) -> f64 {
        match self.method {
            Method::Fixed if freedom.is_infinite() => normal_quantile(1.0 - 0.5 * self.level.alpha()),
            Method::Fixed => t_quantile(1.0 - 0.5 * self.level.alpha(), freedom),
            Method::Sequential => normal_to_t(sequential::critical(self.n, self.level, self.tuning), freedom),
        }
    }

    /// Probability of an estimate `t` standard errors from the truth, or farther to either side.
    fn two_sided(self, t: f64, freedom: f64) -> f64 {
        match self.method {
            Method::Fixed => (2.0 * tail(t.abs(), freedom)).min(1.0),
            Method::Sequential => (1.0 / self.e_value(t, freedom)).min(1.0),
        }
    }

    /// Evidence of an estimate `t` standard errors from the truth: what a bet against that truth has grown to.
    fn e_value(self, t: f64, freedom: f64) -> f64 {
        sequential::e_value(t_to_normal(t, freedom), self.n, self.level, self.tuning)
    }
}

fn tail(t: f64, freedom: f64) -> f64 {
    if freedom.is_infinite() { normal_sf(t) } else { t_sf(t, freedom) }
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
        let half = ask.reach(self.freedom) * self.standard_error;
        half.is_finite().then_some((self.value - half, self.value + half))
    }

    /// Probability of a value at least as far from zero if there were no effect; valid at any look if sequential.
    pub(super) fn p_value(&self, ask: Ask) -> Option<f64> {
        let p = ask.two_sided(self.value / self.standard_error, self.freedom);
        p.is_finite().then_some(p)
    }

    /// Evidence against no effect, for sequential looks: by Ville's inequality it exceeds 1/α with probability α at most.
    pub(super) fn e_value(&self, ask: Ask) -> Option<f64> {
        let is_asked = ask.method == Method::Sequential;
        is_asked.then(|| ask.e_value(self.value / self.standard_error, self.freedom)).filter(|e| !e.is_nan())
    }

    /// Significance against "the value is `limit` or more": small where it is shown to lie below. The sequential one is
    /// two-sided, and so errs to the safe side.
    pub(super) fn p_below(&self, limit: f64, ask: Ask) -> f64 {
        let t = (limit - self.value) / self.standard_error;
        match ask.method {
            Method::Fixed => tail(t, self.freedom),
            Method::Sequential if t > 0.0 => ask.two_sided(t, self.freedom),
            Method::Sequential => 1.0,
        }
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
    pub(super) e_value: Option<f64>,
}
