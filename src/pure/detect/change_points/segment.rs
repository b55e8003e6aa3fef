//! Cuts a series into stretches of constant level, exactly.

use super::noise::Observations;

/// Up to this many observations every position is a candidate for a cut; beyond, those that a seeded search finds.
const EXACT_UP_TO: usize = 1024;
/// Lengths of seeded intervals shrink by this factor from layer to layer.
const SEED_DECAY: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// The seeded search proposes what gains this share of the penalty.
const PROPOSAL_SHARE: f64 = 0.5;

/// Weighted sums over the first observations of a series.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Σ w
    pub(super) w: f64,
    /// Σ w z
    pub(super) z: f64,
    /// Σ w z²
    pub(super) zz: f64,
    /// Σ w t
    pub(super) t: f64,
    /// Σ w t²
    pub(super) tt: f64,
    /// Σ w t z
    pub(super) tz: f64,
}

impl Sums {
    fn plus(self, weight: f64, time: f64, value: f64) -> Self {
        Self {
            w: self.w + weight,
            z: self.z + weight * value,
            zz: self.zz + weight * value * value,
            t: self.t + weight * time,
            tt: self.tt + weight * time * time,
            tz: self.tz + weight * time * value,
        }
    }

    /// The sums over both.
    pub(super) fn plus_all(self, other: Self) -> Self {
        Self {
            w: self.w + other.w,
            z: self.z + other.z,
            zz: self.zz + other.zz,
            t: self.t + other.t,
            tt: self.tt + other.tt,
            tz: self.tz + other.tz,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            w: self.w - other.w,
            z: self.z - other.z,
            zz: self.zz - other.zz,
            t: self.t - other.t,
            tt: self.tt - other.tt,
            tz: self.tz - other.tz,
        }
    }

    /// Weighted mean of the values.
    pub(super) fn mean(self) -> f64 {
        self.z / self.w
    }

    /// Weighted squares of the values about their mean.
    pub(super) fn square(self) -> f64 {
        (self.zz - self.z * self.z / self.w).max(0.0)
    }

    /// Weighted squares of the times about their mean.
    pub(super) fn time_square(self) -> f64 {
        (self.tt - self.t * self.t / self.w).max(0.0)
    }

    /// Weighted products of times and values about their means.
    pub(super) fn cross(self) -> f64 {
        self.tz - self.t * self.z / self.w
    }
}

/// Sums over any stretch in constant time.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    sums: Vec<Sums>,
    /// Positions less the middle one, to keep sums of squares accurate.
    times: Vec<f64>,
}

impl Prefix {
    #[expect(clippy::cast_precision_loss, reason = "positions stay far below 2^53")]
    pub(super) fn new(obs: &Observations) -> Self {
        let middle = obs.index.last().copied().unwrap_or(0) as f64 / 2.0;
        let times: Vec<f64> = obs.index.iter().map(|&index| index as f64 - middle).collect();
        let mut sums = Vec::with_capacity(obs.len() + 1);
        let mut all = Sums::default();
        sums.push(all);
        for ((&time, &value), &weight) in times.iter().zip(&obs.values).zip(&obs.weights) {
            all = all.plus(weight, time, value);
            sums.push(all);
        }
        Self { sums, times }
    }

    /// The time half-way between the observations on both sides of a cut.
    pub(super) fn time_of_cut(&self, cut: usize) -> f64 {
        let at = |idx: usize| self.times.get(idx).copied().unwrap_or(0.0);
        0.5 * (at(cut.saturating_sub(1)) + at(cut))
    }

    /// The sums over observations `from..to`.
    pub(super) fn over(&self, from: usize, to: usize) -> Sums {
        let at = |idx: usize| self.sums.get(idx).copied().unwrap_or_default();
        at(to).minus(at(from))
    }

    /// Squares saved by cutting `from..to` at `cut`.
    fn gain(&self, from: usize, cut: usize, to: usize) -> f64 {
        let (left, right) = (self.over(from, cut), self.over(cut, to));
        let step = left.mean() - right.mean();
        step * step * left.w * right.w / (left.w + right.w)
    }
}

/// The cuts that minimise squared error plus `penalty` for each, no stretch shorter than `min_len`.
///
/// Optimal partitioning (Jackson et al., IEEE Signal Processing Letters 12, 2005), over all positions of a short
/// series and over proposed ones of a long one, so that the cost stays near-linear.
pub(super) fn cuts(obs: &Observations, prefix: &Prefix, min_len: usize, penalty: f64) -> Vec<usize> {
    let n = obs.len();
    let mut ends = vec![0];
    if n <= EXACT_UP_TO {
        ends.extend(min_len..(n + 1).saturating_sub(min_len));
    } else {
        ends.extend(proposals(prefix, n, min_len, PROPOSAL_SHARE * penalty));
    }
    ends.push(n);
    partition(prefix, &ends, min_len, penalty)
}

/// Optimal partitioning with stretches that start and end at `ends`.
fn partition(prefix: &Prefix, ends: &[usize], min_len: usize, penalty: f64) -> Vec<usize> {
    // The sums that a level needs, in the order in which the inner loop reads them.
    let sums: Vec<[f64; 3]> = ends.iter().map(|&end| prefix.over(0, end)).map(|sum| [sum.w, sum.z, sum.zz]).collect();
    let mut costs: Vec<f64> = Vec::with_capacity(ends.len());
    let mut starts: Vec<usize> = Vec::with_capacity(ends.len());
    costs.push(-penalty);
    starts.push(0);
    for (&to, [w, z, zz]) in ends.iter().zip(&sums).skip(1) {
        let reachable = ends.iter().take(costs.len()).take_while(|from| to - **from >= min_len).count();
        let (mut least, mut start) = (f64::INFINITY, 0);
        for (i, (cost, [w0, z0, zz0])) in costs.iter().zip(&sums).enumerate().take(reachable) {
            let (dw, dz) = (w - w0, z - z0);
            let total = cost + (zz - zz0 - dz * dz / dw).max(0.0);
            if total < least {
                (least, start) = (total, i);
            }
        }
        costs.push(least + penalty);
        starts.push(start);
    }
    let mut path = Vec::new();
    let mut at = ends.len() - 1;
    while let Some(&from) = starts.get(at).filter(|from| **from > 0) {
        path.extend(ends.get(from));
        at = from;
    }
    path.reverse();
    path
}

/// The best cut of every seeded interval in which it gains `threshold`.
///
/// Kovács, Li, Bühlmann and Haubold, "Seeded binary segmentation", Biometrika 110 (2023): deterministic intervals whose
/// lengths add up to O(n log n).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths lie in 0..=n, far below 2^53"
)]
fn proposals(prefix: &Prefix, n: usize, min_len: usize, threshold: f64) -> Vec<usize> {
    let mut found = Vec::new();
    let mut length = n as f64;
    while length >= (2 * min_len) as f64 {
        let intervals = 2 * (n as f64 / length).ceil() as usize - 1;
        let shift = if intervals > 1 { (n as f64 - length) / (intervals - 1) as f64 } else { 0.0 };
        for k in 0..intervals {
            let from = (k as f64 * shift) as usize;
            let to = ((k as f64 * shift + length).ceil() as usize).min(n);
            found.extend(best_cut(prefix, from, to, min_len).filter(|(_, gain)| *gain > threshold).map(|(cut, _)| cut));
        }
        length *= SEED_DECAY;
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn best_cut(prefix: &Prefix, from: usize, to: usize, min_len: usize) -> Option<(usize, f64)> {
    let cuts = from + min_len..(to + 1).saturating_sub(min_len);
    cuts.map(|cut| (cut, prefix.gain(from, cut, to))).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
}
