//! What a proposal saves in money.

use crate::stats::dist::normal_quantile;
use crate::units::Level;

/// Money saved per run, with its interval and what it is a share of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Money {
    pub(super) usd: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    /// Of what a run costs.
    pub(super) share: f64,
}

/// Single amounts that would be saved, added up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Amounts {
    pub(super) sum: f64,
    pub(super) sum_sq: f64,
}

impl Amounts {
    pub(super) fn of(amounts: impl IntoIterator<Item = f64>) -> Self {
        let add = |sums: Self, usd: f64| Self { sum: sums.sum + usd, sum_sq: sums.sum_sq + usd * usd };
        amounts.into_iter().fold(Self::default(), add)
    }

    /// The amounts, times `factor`, per run. The interval is that of a sum of as many amounts as there were by chance
    /// (compound Poisson): its variance is the sum of their squares.
    pub(super) fn money(self, factor: f64, share: f64, level: Level) -> Money {
        let z = normal_quantile(1.0 - level.alpha() / 2.0);
        let (usd, spread) = (self.sum * factor, z * self.sum_sq.sqrt() * factor);
        Money { usd, lower: (usd - spread).max(0.0), upper: usd + spread, share }
    }
}

/// USD with three digits, and cents as such: `1,230 USD` never needs more.
pub(super) fn usd_text(usd: f64) -> String {
    let digits = if usd > 0.0 { (2.0 - usd.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{usd:.digits$} USD")
}
