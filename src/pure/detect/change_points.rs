//! When a series changed its level.
//!
//! One series: the working scale is the logarithm for multiplicative metrics; a significant weekly (daily) profile is
//! taken out; runs of strange values too short for a regime give way to their neighbourhood; values count by the
//! executions behind them. Noise and autocorrelation are measured on differences, which jumps do not sway. Optimal
//! partitioning under squared error proposes cuts, and each is kept if it is significant against the long-run variance
//! with the search for its place paid for, at least [`ChangePointParams::min_effect`] large, and no straight line
//! explains the stretches on both sides as well: a drift is a trend, not a staircase.
//!
//! Many series: one false discovery rate over all of them, series in which nothing was proposed included.

mod confirm;
mod noise;
mod segment;
#[cfg(test)]
mod tests;

use crate::columns::Clock;
use crate::detect::levelling::{Levelled, Scale};
use crate::detect::sequences::{Gridded, Sequence};
use crate::stats::{dist, fdr};
use crate::units::Level;
use confirm::Jump;
use noise::{Measured, Observations, Population};
use rayon::prelude::*;
use segment::Prefix;

/// The penalty of a cut in units of the long-run variance is this times ln n: Schwarz' criterion for a level and a
/// place. It only proposes; the tests decide.
const PENALTY: f64 = 2.0;

/// How change points are looked for.
///
/// | field | default | range | purpose |
/// |---|---|---|---|
/// | `min_segment` | 5 | ≥ 2 | observations in a regime, so that a spike is no regime |
/// | `min_effect` | 0.05 | ≥ 0 | smallest relative change worth telling |
/// | `min_difference` | 0.01 | ≥ 0 | smallest absolute change of a share worth telling |
/// | `fdr` | 0.01 | 0-1 | share of false ones among all that are reported |
/// | `level` | 0.95 | 0-1 | coverage of the effects' intervals |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePointParams {
    /// Fewest observations between two change points, and before the first and after the last.
    pub min_segment: usize,
    /// Smallest relative effect.
    pub min_effect: f64,
    /// Smallest difference of values that are shares (0-1).
    pub min_difference: f64,
    /// False discovery rate over all series that are looked at together.
    pub fdr: f64,
    /// Coverage of the intervals.
    pub level: Level,
}

impl Default for ChangePointParams {
    fn default() -> Self {
        Self { min_segment: 5, min_effect: 0.05, min_difference: 0.01, fdr: 0.01, level: Level::DEFAULT }
    }
}

impl ChangePointParams {
    /// Observations without which no series is looked at.
    #[must_use]
    pub fn min_values(&self) -> usize {
        2 * self.min_segment.max(2)
    }
}

/// A series to look at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The series.
    pub levelled: &'a Levelled,
    /// Executions behind each value, if values differ in that.
    pub counts: Option<&'a [u32]>,
}

/// A change of level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// 0-based position of the first point of the new regime.
    pub index: usize,
    /// Level before, in the unit of the values.
    pub before: f64,
    /// Level after.
    pub after: f64,
    /// `after / before`; NaN where `before` is not positive.
    pub effect_ratio: f64,
    /// Interval of the ratio.
    pub effect_lower: f64,
    /// Interval of the ratio.
    pub effect_upper: f64,
    /// Significance, the search for the place included.
    pub p_value: f64,
}

/// The change points of one series, oldest first; empty where it has fewer than [`ChangePointParams::min_values`]
/// values.
///
/// `params.fdr` is then the significance of each. Near-linear in the length.
#[must_use]
pub fn change_points(input: Input<'_>, params: &ChangePointParams) -> Vec<Shift> {
    let min_segment = params.min_segment.max(2);
    let Some(measured) = Measured::new(&input, min_segment) else { return Vec::new() };
    let rho = Population::of(std::iter::empty()).rho_of(&measured);
    let proposal = Proposal::find(measured.settled(rho, min_segment), params);
    proposal.map_or_else(Vec::new, |proposal| proposal.shifts(params, params.fdr))
}

/// The change points of each of many series, under one false discovery rate. In the order of `inputs`.
#[must_use]
pub fn change_points_all(inputs: &[Input<'_>], params: &ChangePointParams) -> Vec<Vec<Shift>> {
    let min_segment = params.min_segment.max(2);
    let measured: Vec<Option<Measured>> = inputs.par_iter().map(|input| Measured::new(input, min_segment)).collect();
    let population = Population::of(measured.iter().flatten());
    let propose = |measured: Option<Measured>| {
        let Some(measured) = measured else { return (None, Vec::new()) };
        let rho = population.rho_of(&measured);
        propose(measured.settled(rho, min_segment), params)
    };
    let proposals: Vec<(Option<Proposal>, Vec<f64>)> = measured.into_par_iter().map(propose).collect();
    let looked_at = |input: &&Input<'_>| input.levelled.n_finite() >= params.min_values();
    let silent =
        inputs.iter().filter(looked_at).count().saturating_sub(proposals.iter().filter(|(p, _)| p.is_some()).count());
    let p_values: Vec<f64> = proposals.iter().flat_map(|(_, p)| p.iter().copied()).collect();
    let cutoff = fdr::benjamini_hochberg(&p_values, silent + p_values.len(), params.fdr);
    let shifts = |(proposal, _): (Option<Proposal>, _)| proposal.map_or_else(Vec::new, |p| p.shifts(params, cutoff));
    proposals.into_par_iter().map(shifts).collect()
}

/// The change points of each of many series of a table, of whose values nothing is known, under one false discovery rate.
/// `Shift::index` counts the points of the sequence.
#[must_use]
pub fn change_points_of_sequences(sequences: &[Sequence], clock: Clock, params: &ChangePointParams) -> Vec<Vec<Shift>> {
    let grids: Vec<(Gridded, Levelled)> = sequences.par_iter().map(|one| levelled(one, clock)).collect();
    let inputs: Vec<Input<'_>> = grids.iter().map(|(_, levelled)| Input { levelled, counts: None }).collect();
    let mut found = change_points_all(&inputs, params);
    for (shifts, (grid, _)) in found.iter_mut().zip(&grids) {
        for shift in shifts {
            shift.index = grid.position.get(shift.index).copied().unwrap_or(0);
        }
    }
    found
}

fn levelled(sequence: &Sequence, clock: Clock) -> (Gridded, Levelled) {
    let grid = sequence.gridded(clock);
    let levelled = Levelled::of(&grid.values, Scale::suited_to(&grid.values), &grid.cycles);
    (grid, levelled)
}

/// A proposal with the significances of what holds by itself; none where nothing does.
fn propose(obs: Observations, params: &ChangePointParams) -> (Option<Proposal>, Vec<f64>) {
    let Some(proposal) = Proposal::find(obs, params) else { return (None, Vec::new()) };
    let p_values: Vec<f64> = proposal.jumps(params, params.fdr).iter().map(|jump| jump.p_value).collect();
    if p_values.is_empty() { (None, p_values) } else { (Some(proposal), p_values) }
}

/// A series with the cuts that may be change points.
struct Proposal {
    obs: Observations,
    prefix: Prefix,
    cuts: Vec<usize>,
}

impl Proposal {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn find(obs: Observations, params: &ChangePointParams) -> Option<Self> {
        let prefix = Prefix::new(&obs);
        let penalty = PENALTY * (obs.len() as f64).ln() * obs.sigma * obs.sigma * obs.inflation;
        let cuts = segment::cuts(&obs, &prefix, params.min_segment.max(2), penalty);
        (!cuts.is_empty()).then_some(Self { obs, prefix, cuts })
    }

    fn jumps(&self, params: &ChangePointParams, alpha: f64) -> Vec<Jump> {
        confirm::confirmed(&self.obs, &self.prefix, &self.cuts, params, alpha)
    }

    fn shifts(&self, params: &ChangePointParams, alpha: f64) -> Vec<Shift> {
        self.jumps(params, alpha).iter().map(|jump| self.shift(jump, params.level)).collect()
    }

    fn shift(&self, jump: &Jump, level: Level) -> Shift {
        let quantile = dist::t_quantile(1.0 - 0.5 * level.alpha(), jump.df);
        let index = self.obs.index.get(jump.cut).copied().unwrap_or(0);
        let p_value = jump.p_value.max(f64::MIN_POSITIVE);
        if self.obs.scale == Scale::Log {
            let effect = |z: f64| (jump.after - jump.before + z * jump.se).exp();
            return Shift {
                index,
                before: jump.before.exp(),
                after: jump.after.exp(),
                effect_ratio: effect(0.0),
                effect_lower: effect(-quantile),
                effect_upper: effect(quantile),
                p_value,
            };
        }
        let (effect_ratio, effect_lower, effect_upper) = ratio_of_levels(jump, quantile);
        Shift { index, before: jump.before, after: jump.after, effect_ratio, effect_lower, effect_upper, p_value }
    }
}

/// `after / before` with the delta method's interval; NaN where `before` is not positive.
fn ratio_of_levels(jump: &Jump, quantile: f64) -> (f64, f64, f64) {
    if jump.before.is_nan() || jump.before <= 0.0 {
        return (f64::NAN, f64::NAN, f64::NAN);
    }
    let ratio = jump.after / jump.before;
    let half = quantile * (jump.se_after.powi(2) + (ratio * jump.se_before).powi(2)).sqrt() / jump.before;
    (ratio, ratio - half, ratio + half)
}
