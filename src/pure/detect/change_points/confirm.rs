//! Which cuts are changes: significant after the search for them, large enough, and no drift in disguise.

use super::noise::Observations;
use super::segment::{Prefix, Sums};
use super::{ChangePointParams, Scale};
use crate::stats::dist;

/// A slope inside the stretches on both sides is believed at this significance.
const DRIFT_P: f64 = 0.01;
/// A scale from a median of differences is worth this share of the values it comes from (Gaussian efficiency of the
/// median absolute deviation).
const MAD_EFFICIENCY: f64 = 0.37;
/// Squares below this share of the noise are rounding.
const ROUNDING: f64 = 1e-9;

/// A change of level, on the working scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Jump {
    /// First observation after it.
    pub(super) cut: usize,
    /// Level just before it.
    pub(super) before: f64,
    /// Level just after it.
    pub(super) after: f64,
    /// Standard error of `before`.
    pub(super) se_before: f64,
    /// Standard error of `after`.
    pub(super) se_after: f64,
    /// Standard error of the difference.
    pub(super) se: f64,
    /// Degrees of freedom of the standard errors.
    pub(super) df: f64,
    /// Significance, the search for the place included; 1 for what a drift explains or is too small to matter.
    pub(super) p_value: f64,
}

/// Drops the cuts that fail at `alpha`, the least significant first, looks anew for the place of their neighbours on the
/// longer stretches and tests them, until all that are left hold.
pub(super) fn confirmed(
    obs: &Observations,
    prefix: &Prefix,
    cuts: &[usize],
    params: &ChangePointParams,
    alpha: f64,
) -> Vec<Jump> {
    let mut cuts = cuts.to_vec();
    loop {
        let jumps = test_all(obs, prefix, &cuts, params);
        let kept = without_worst(&jumps, alpha);
        if kept.len() == jumps.len() {
            return jumps;
        }
        let drifts = drifts_throughout(obs, prefix, &kept);
        cuts = relocated(obs, prefix, &cuts, kept, drifts, params.min_segment.max(2));
    }
}

/// Each of the `kept` cuts that has lost a neighbour at the best place between those that it has now.
fn relocated(
    obs: &Observations,
    prefix: &Prefix,
    cuts: &[usize],
    mut kept: Vec<usize>,
    drifts: bool,
    min_segment: usize,
) -> Vec<usize> {
    let is_kept = |cut: Option<&usize>| cut.is_none_or(|cut| kept.binary_search(cut).is_ok());
    let orphans: Vec<bool> = (cuts.iter().enumerate())
        .filter(|(_, cut)| kept.binary_search(cut).is_ok())
        .map(|(i, _)| !is_kept(cuts.get(i + 1)) || !is_kept(i.checked_sub(1).and_then(|before| cuts.get(before))))
        .collect();
    for (i, _) in orphans.into_iter().enumerate().filter(|(_, is_orphan)| *is_orphan) {
        let from = i.checked_sub(1).and_then(|before| kept.get(before)).copied().unwrap_or(0);
        let to = kept.get(i + 1).copied().unwrap_or(obs.len());
        let Some(cut) = kept.get_mut(i) else { continue };
        let sloped = drifts || slope_p(&[prefix.over(from, *cut), prefix.over(*cut, to)], to - from, obs) < DRIFT_P;
        let squares = |at: usize| {
            let (left, right) = (prefix.over(from, at), prefix.over(at, to));
            let (time, cross) = (left.time_square() + right.time_square(), left.cross() + right.cross());
            left.square() + right.square() - if sloped { cross * cross / time } else { 0.0 }
        };
        let places = from + min_segment..(to + 1).saturating_sub(min_segment);
        *cut = places.min_by(|&a, &b| squares(a).total_cmp(&squares(b))).unwrap_or(*cut);
    }
    kept
}

fn test_all(obs: &Observations, prefix: &Prefix, cuts: &[usize], params: &ChangePointParams) -> Vec<Jump> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().skip(1).chain(std::iter::once(obs.len()));
    let drifts = drifts_throughout(obs, prefix, cuts);
    let places = starts.zip(cuts).zip(ends).map(|((from, &cut), to)| [from, cut, to]);
    places.map(|place| test(obs, prefix, place, drifts, params)).collect()
}

/// Whether a common slope inside all stretches is significant: a drift that is too slow to show between two cuts.
fn drifts_throughout(obs: &Observations, prefix: &Prefix, cuts: &[usize]) -> bool {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(obs.len()));
    let stretches: Vec<Sums> = starts.zip(ends).map(|(from, to)| prefix.over(from, to)).collect();
    slope_p(&stretches, obs.len(), obs) < DRIFT_P
}

/// Significance of a common slope inside `stretches`, which hold `n` observations.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn slope_p(stretches: &[Sums], n: usize, obs: &Observations) -> f64 {
    let total = |part: fn(Sums) -> f64| stretches.iter().map(|&s| part(s)).sum::<f64>();
    let (squares, time, cross) = (total(Sums::square), total(Sums::time_square), total(Sums::cross));
    let floor = ROUNDING * obs.sigma * obs.sigma * n as f64;
    let explained = cross * cross / time;
    let df = (n as f64 / obs.inflation - stretches.len() as f64 - 1.0).max(1.0);
    dist::t_two_sided((explained / (squares - explained).max(floor) * df).sqrt(), df)
}

/// Of neighbouring cuts that fail only the worse one goes in a round: without it the other may hold.
fn without_worst(jumps: &[Jump], alpha: f64) -> Vec<usize> {
    let mut kept = Vec::with_capacity(jumps.len());
    let mut dropped_last = false;
    for (i, jump) in jumps.iter().enumerate() {
        let next_is_worse = jumps.get(i + 1).is_some_and(|next| next.p_value > jump.p_value);
        dropped_last = jump.p_value > alpha && !dropped_last && !next_is_worse;
        if !dropped_last {
            kept.push(jump.cut);
        }
    }
    kept
}

fn test(
    obs: &Observations,
    prefix: &Prefix,
    [from, cut, to]: [usize; 3],
    drifts: bool,
    params: &ChangePointParams,
) -> Jump {
    let (left, right) = (prefix.over(from, cut), prefix.over(cut, to));
    let model = Model::choose(obs, [left, right], to - from, drifts);
    let mut jump = model.jump(obs, prefix, cut, to - from);
    let explained = model.is_drift() || !is_large(&jump, obs.scale, params);
    jump.p_value = if explained { 1.0 } else { significance(&jump, obs.inflation, [from, cut, to], params) };
    jump
}

/// Of all cuts in `from..to` the best one was taken, which the significance has to pay for.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn significance(jump: &Jump, inflation: f64, [from, _, to]: [usize; 3], params: &ChangePointParams) -> f64 {
    let n = (to - from) as f64;
    let cuts = (n - 2.0 * params.min_segment as f64 + 1.0) / inflation;
    let t = (jump.after - jump.before) / jump.se;
    dist::maximally_selected(dist::t_to_normal(t, jump.df), params.min_segment as f64 / n, cuts)
}

fn is_large(jump: &Jump, scale: Scale, params: &ChangePointParams) -> bool {
    let size = (jump.after - jump.before).abs();
    match scale {
        Scale::Log => size >= params.min_effect.ln_1p(),
        Scale::Linear => size >= params.min_effect * jump.before.abs().max(jump.after.abs()),
        Scale::Share => {
            size >= params.min_difference && size >= params.min_effect * jump.before.abs().max(jump.after.abs())
        }
    }
}

/// What two neighbouring stretches are made of.
#[derive(Debug, Clone, Copy)]
enum Model {
    /// A straight line through both explains them as well.
    Drift { left: Sums, right: Sums, squares: f64 },
    /// Two levels.
    Step { left: Sums, right: Sums, squares: f64 },
    /// Two parallel lines.
    StepOnDrift { left: Sums, right: Sums, squares: f64, slope: f64 },
}

impl Model {
    /// With a significant slope inside the stretches, or throughout the series, a jump must be needed on top of it;
    /// without one the two levels must beat the line. Both by Schwarz' criterion as modified for places that are searched
    /// for, which count as two parameters (Zhang and Siegmund, Biometrics 63, 2007); `n` values count as `n / inflation`
    /// independent ones.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn choose(obs: &Observations, [left, right]: [Sums; 2], n: usize, drifts: bool) -> Self {
        let has_slope = drifts || slope_p(&[left, right], n, obs) < DRIFT_P;
        let floor = ROUNDING * obs.sigma * obs.sigma * n as f64;
        let n = (n as f64 / obs.inflation).max(2.0);
        let step = left.square() + right.square() + floor;
        let (time, cross) = (left.time_square() + right.time_square(), left.cross() + right.cross());
        let sloped = (step - cross * cross / time).max(floor);
        let (squares, parameters) = if has_slope { (sloped, 3.0) } else { (step, 2.0) };
        let line = line_squares(left, right).max(floor);
        if n * (squares / line).ln() + parameters * n.ln() >= 0.0 {
            Self::Drift { left, right, squares: step }
        } else if has_slope {
            Self::StepOnDrift { left, right, squares, slope: cross / time }
        } else {
            Self::Step { left, right, squares }
        }
    }

    fn is_drift(self) -> bool {
        matches!(self, Self::Drift { .. })
    }

    /// The jump under this model, its significance still open.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn jump(self, obs: &Observations, prefix: &Prefix, cut: usize, n: usize) -> Jump {
        let (left, right, squares, slope, df) = match self {
            Self::Drift { left, right, squares } | Self::Step { left, right, squares } => {
                (left, right, squares, 0.0, n as f64 - 2.0)
            }
            Self::StepOnDrift { left, right, squares, slope } => (left, right, squares, slope, n as f64 - 3.0),
        };
        // Differences know the noise of the whole series, the fit that of this place: the larger one is safe.
        let variance = (squares / df.max(1.0)).max(obs.sigma * obs.sigma) * obs.inflation;
        let at = prefix.time_of_cut(cut);
        let (to_left, to_right) = (at - left.t / left.w, right.t / right.w - at);
        let tilt = if slope.abs() > 0.0 { 1.0 / (left.time_square() + right.time_square()) } else { 0.0 };
        let se = |weights: f64, lever: f64| (variance * (weights + lever * lever * tilt)).sqrt();
        Jump {
            cut,
            before: obs.centre + left.mean() + slope * to_left,
            after: obs.centre + right.mean() - slope * to_right,
            se_before: se(1.0 / left.w, to_left),
            se_after: se(1.0 / right.w, to_right),
            se: se(1.0 / left.w + 1.0 / right.w, to_left + to_right),
            df: (df.max(MAD_EFFICIENCY * (obs.len() as f64 - 1.0)) / obs.inflation).max(1.0),
            p_value: f64::NAN,
        }
    }
}

/// Squares about one line through both stretches.
fn line_squares(left: Sums, right: Sums) -> f64 {
    let both = left.plus_all(right);
    both.square() - both.cross() * both.cross() / both.time_square()
}
