//! What a day needs: its runs times what a run needs.

use super::peaks::Peaks;
use crate::forecast::ForecastStep;
use crate::stats::dist::normal_quantile;
use crate::units::Interval;

/// What a run needs.
pub(super) enum Need {
    /// One of what is counted: the run itself.
    Itself,
    /// So much is used up.
    Spent {
        /// (H,) Mean of a run, forecast with the same levels as runs are.
        steps: Vec<ForecastStep>,
        /// Variance of one run over the squared mean.
        cv_sq: f64,
    },
    /// So much is held at once.
    Held(Peaks),
}

/// The demand of the day `ahead` (0-based) when there are `growth` times the `runs` that are forecast.
pub(super) fn demand(runs: &ForecastStep, need: &Need, ahead: usize, growth: f64) -> ForecastStep {
    let runs = runs.grown(growth);
    match need {
        Need::Itself => runs,
        Need::Spent { steps, cv_sq } => steps.get(ahead).map_or(runs.clone(), |need| product(&runs, need, *cv_sq)),
        Need::Held(peaks) => peaks.demand(&runs),
    }
}

/// Runs times need, neither of which tells of the other's error: squares of what each error makes of the product add
/// up, tail by tail (the variance of a product: Goodman, JASA 1960).
///
/// A mean over n runs errs by no less than what runs differ by: a variance of σ²/n, which makes the sum's
/// n·σ² + Var(n)·μ² (Blackwell and Girshick's random sum). A need that was forecast from days has that in its interval,
/// where there were enough days.
fn product(runs: &ForecastStep, need: &ForecastStep, cv_sq: f64) -> ForecastStep {
    let point = runs.point * need.point;
    let chance = if runs.point > 0.0 { need.point * (cv_sq / runs.point).sqrt() } else { 0.0 };
    let interval = |(runs_at, need_at): (&Interval, &Interval)| {
        let least = normal_quantile(0.5 * (1.0 + need_at.level.get())) * chance;
        let off = |runs_off: f64, need_off: f64| (runs_off * need.point).hypot(runs.point * need_off.max(least));
        Interval {
            lower: (point - off(runs.point - runs_at.lower, need.point - need_at.lower)).max(0.0),
            upper: point + off(runs_at.upper - runs.point, need_at.upper - need.point),
            level: runs_at.level,
        }
    };
    ForecastStep { point, intervals: runs.intervals.iter().zip(&need.intervals).map(interval).collect() }
}
