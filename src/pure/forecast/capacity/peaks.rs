//! How much is held at once, from arrivals and service times.
//!
//! Where every arrival finds a server, the number under way is Poisson with mean a = λ·E[S] whatever the distribution of
//! service times (M/G/∞: Palm 1943; a = λ·E[S] for any system: Little 1961), so that the most at once exceeds the load a
//! by a multiple of √a; arrivals that come in batches, such as the steps of a run, and amounts that differ, such as
//! memory, make the multiple larger, not the root (Eckberg's peakedness; Whitt on square-root staffing). The multiple of
//! each recorded day is therefore what carries over to days with more load.

use super::totals::Loads;
use crate::forecast::ForecastStep;
use crate::stats::robust::median;
use crate::units::Interval;

/// Days that make a regime's peaks known; in a younger regime the days before stand in.
const MIN_DAYS: usize = 7;
/// ln 2: Gumbel's scale is the second L-moment over it.
const LN_2: f64 = std::f64::consts::LN_2;

/// What is learned of the most at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Peaks {
    /// Load of the busiest hour that a run a day makes.
    per_run: f64,
    /// By how many roots of that load days exceeded it, ascending.
    multiples: Vec<f64>,
    /// Scale of Gumbel's distribution, the limit of maxima: how the tail goes on beyond the days that were seen.
    tail: f64,
}

impl Peaks {
    /// `runs` (n_days,) are those that started on each day; `regime` finds the first day of the present regime in what a
    /// run held. None without a day that had runs and a load.
    pub(super) fn learn(loads: &Loads, runs: &[f64], regime: impl Fn(&[f64]) -> usize) -> Option<Self> {
        let need = |(mean, runs): (&f64, &f64)| if *runs > 0.0 { mean / runs } else { f64::NAN };
        let needs: Vec<f64> = loads.means.iter().zip(runs).map(need).collect();
        let from = regime(&needs).min(needs.len().saturating_sub(MIN_DAYS));
        let mut present: Vec<f64> = needs.iter().skip(from).copied().filter(|need| need.is_finite()).collect();
        let per_run = loads.busiest * Some(median(&mut present)).filter(|need| *need > 0.0)?;
        let multiple = |(peak, runs): (&f64, &f64)| {
            let load = per_run * runs;
            (peak - load) / load.sqrt()
        };
        let days = loads.peaks.iter().zip(runs).skip(from).filter(|(_, runs)| **runs > 0.0);
        let mut multiples: Vec<f64> = days.map(multiple).collect();
        multiples.sort_by(f64::total_cmp);
        let tail = gumbel_scale(&multiples);
        Some(Self { per_run, multiples, tail })
    }

    /// The most at once on a day with so many runs.
    pub(super) fn demand(&self, runs: &ForecastStep) -> ForecastStep {
        let at_once = |runs: f64, multiple: f64| {
            let load = self.per_run * runs;
            load + multiple * load.sqrt()
        };
        let usual = self.multiple(0.5);
        let point = at_once(runs.point, usual).max(0.0);
        let interval = |one: &Interval| {
            let level = one.level.get();
            // The error of the runs, and the luck of the day, which knows nothing of it.
            let off = |runs_at: f64, p: f64| {
                let of_runs = at_once(runs_at, usual) - at_once(runs.point, usual);
                of_runs.hypot(at_once(runs.point, self.multiple(p)) - at_once(runs.point, usual))
            };
            Interval {
                lower: (point - off(one.lower, 0.5 * (1.0 - level))).max(0.0),
                upper: point + off(one.upper, 0.5 * (1.0 + level)),
                level: one.level,
            }
        };
        ForecastStep { point, intervals: runs.intervals.iter().map(interval).collect() }
    }

    /// The `p`-quantile of the multiple: between order statistics at ranks p·(n + 1), beyond them along Gumbel's slope.
    fn multiple(&self, p: f64) -> f64 {
        let n = self.multiples.len();
        let at = |rank: usize| self.multiples.get(rank.saturating_sub(1)).copied().unwrap_or(0.0);
        let ends = [1.0, n as f64].map(|rank| rank / (n + 1) as f64);
        let reduced = |p: f64| -(-p.ln()).ln();
        let [first, last] = ends;
        if p < first {
            return at(1) + self.tail * (reduced(p) - reduced(first));
        }
        if p > last {
            return at(n) + self.tail * (reduced(p) - reduced(last));
        }
        let rank = p * (n + 1) as f64;
        let below = (rank.floor() as usize).clamp(1, n);
        at(below) + (at((below + 1).min(n)) - at(below)) * (rank - below as f64)
    }
}

/// By L-moments (Hosking, JRSS B 1990), which a wild day moves little; 0 of fewer than two values.
fn gumbel_scale(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let weighted = sorted.iter().enumerate().map(|(rank, value)| (2.0 * rank as f64 + 1.0 - n) * value);
    weighted.sum::<f64>() / (n * (n - 1.0)) / LN_2
}
