//! A first look at a series that outliers and gaps do not tilt: seasonal profile, level, slope, noise.

use crate::stats::rank::MAD_TO_SIGMA;

/// The outline of a stretch of values; the state from which smoothing starts its way back through time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outline {
    /// What each phase adds; one zero where there is no season. Phases count from index 0 of the values.
    pub(super) profile: Vec<f64>,
    /// Median without the profile.
    pub(super) level: f64,
    /// Robust change per bucket.
    pub(super) slope: f64,
    /// Level on the slope at the last bucket.
    pub(super) end_level: f64,
    /// Standard deviation of the noise between neighbours, robust.
    pub(super) noise: f64,
}

impl Outline {
    /// The outline of `values` (NaN = gap) with a season of `season` buckets (1 = none).
    pub(super) fn of(values: &[f64], season: usize) -> Self {
        let profile = if season > 1 { profile(values, season) } else { vec![0.0] };
        let rest: Vec<f64> = values.iter().zip(profile.iter().cycle()).map(|(v, p)| v - p).collect();
        let level = median(known(&rest).collect()).unwrap_or(0.0);
        let slope = slope(&rest);
        let ahead: Vec<f64> = (0..).zip(&rest).map(|(i, v): (u32, _)| v - slope * f64::from(i)).collect();
        let start = median(known(&ahead).collect()).unwrap_or(level);
        let end_level = start + slope * values.len().saturating_sub(1) as f64;
        Self { profile, level, slope, end_level, noise: noise(&rest) }
    }
}

/// What each phase of one or more seasons adds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profiles {
    each: Vec<Vec<f64>>,
}

impl Profiles {
    /// No season.
    pub(super) fn none() -> Self {
        Self { each: Vec::new() }
    }

    /// The profiles of `values` (NaN = gap), season after season of `seasons` (shortest first): each is the median by
    /// phase of what lies above a moving mean of its length, drawn to zero by the share of it that noise explains
    /// (James and Stein 1961).
    pub(super) fn of(values: &[f64], seasons: &[usize]) -> Self {
        let mut profiles = Self::none();
        let mut rest = values.to_vec();
        for &season in seasons.iter().filter(|season| **season > 1) {
            let profile = shrunken_profile(&rest, season);
            rest.iter_mut().zip(profile.iter().cycle()).for_each(|(v, p)| *v -= p);
            profiles.each.push(profile);
        }
        profiles
    }

    /// What all of them add at a position.
    pub(super) fn at(&self, idx: usize) -> f64 {
        self.each.iter().filter_map(|profile| profile.get(idx % profile.len().max(1))).sum()
    }

    /// The values without them.
    pub(super) fn without(&self, values: &[f64]) -> Vec<f64> {
        let mut rest = values.to_vec();
        for profile in &self.each {
            rest.iter_mut().zip(profile.iter().cycle()).for_each(|(v, p)| *v -= p);
        }
        rest
    }
}

/// Noise sigmas beyond which one or two values beside ordinary ones are a spike.
const SPIKE_SIGMAS: f64 = 8.0;
/// Values whose median a spike stands out from; two spikes in a row do not move it.
const SPIKE_WINDOW: usize = 5;

/// The values with spikes as gaps: what lies far from the median of the values round it, seasons taken off, or of those
/// before it at the end. A new level is a spike until its third value. A forecast repeats none of them.
pub(super) fn without_spikes(values: &[f64], seasons: &[usize]) -> Vec<f64> {
    let rest = Profiles::of(values, seasons).without(values);
    let n = rest.len();
    let off = |idx: usize| -> f64 {
        let from = idx.saturating_sub(SPIKE_WINDOW / 2).min(n.saturating_sub(SPIKE_WINDOW));
        let window = rest.iter().skip(from).take(SPIKE_WINDOW).copied().filter(|v| !v.is_nan());
        rest.get(idx).copied().unwrap_or(f64::NAN) - median(window.collect()).unwrap_or(f64::NAN)
    };
    let off: Vec<f64> = (0..n).map(off).collect();
    let sigma = median(known(&off).map(f64::abs).collect()).unwrap_or(0.0) * MAD_TO_SIGMA;
    if sigma <= 0.0 {
        return values.to_vec();
    }
    // A level that wanders is further from the median of the values before it than from that of those round it: at the
    // end, values are held against what all others lie from theirs.
    let behind = |window: &[f64]| Some((window.last()? - median(known(window).collect())?).abs());
    let behind = rest.windows(SPIKE_WINDOW).filter_map(behind).filter(|off| !off.is_nan()).collect();
    let at_ends = sigma.max(median(behind).unwrap_or(0.0) * MAD_TO_SIGMA);
    let half = SPIKE_WINDOW / 2;
    let sigma = |idx: usize| if (half..n.saturating_sub(half)).contains(&idx) { sigma } else { at_ends };
    let clean = |(idx, (&value, off)): (usize, (&f64, &f64))| {
        if off.abs() > SPIKE_SIGMAS * sigma(idx) { f64::NAN } else { value }
    };
    let cleaned: Vec<f64> = values.iter().zip(&off).enumerate().map(clean).collect();
    // Where hardly anything is left, spikes are how it is.
    if known(&cleaned).count() * 10 >= known(values).count() * 9 { cleaned } else { values.to_vec() }
}

/// By position, the mean of the known values within one season about it; NaN where less than half of them are known.
pub(super) fn moving_mean(values: &[f64], season: usize) -> Vec<f64> {
    let sums = |value: &dyn Fn(f64) -> f64| {
        let steps = values.iter().scan(0.0, |sum, &v| {
            *sum += value(v);
            Some(*sum)
        });
        std::iter::once(0.0).chain(steps).collect::<Vec<f64>>()
    };
    let (total, known) = (sums(&|v| if v.is_nan() { 0.0 } else { v }), sums(&|v| f64::from(u8::from(!v.is_nan()))));
    let half = season / 2;
    let mean = |idx: usize| {
        // An even season counts its two ends half each. Positions lie inside by construction.
        let (from, to) = (idx.checked_sub(half)?, idx + half + 1);
        let over = |sums: &[f64]| {
            let inner = |from: usize, to: usize| Some(sums.get(to)? - sums.get(from)?);
            if season.is_multiple_of(2) {
                Some(0.5 * (inner(from, to - 1)? + inner(from + 1, to)?))
            } else {
                inner(from, to)
            }
        };
        let n = over(&known)?;
        (n >= 0.5 * season as f64).then(|| over(&total).map(|sum| sum / n)).flatten()
    };
    (0..values.len()).map(|idx| mean(idx).unwrap_or(f64::NAN)).collect()
}

fn shrunken_profile(values: &[f64], season: usize) -> Vec<f64> {
    let centre = moving_mean(values, season);
    let mut by_phase = vec![Vec::new(); season];
    for (idx, (value, centre)) in values.iter().zip(&centre).enumerate() {
        if let (Some(phase), false) = (by_phase.get_mut(idx % season), (value - centre).is_nan()) {
            phase.push(value - centre);
        }
    }
    let n: usize = by_phase.iter().map(Vec::len).sum();
    let mut profile: Vec<f64> = by_phase.iter().map(|above| median(above.clone()).unwrap_or(0.0)).collect();
    hold_means(&mut profile, &by_phase);
    let mean = profile.iter().sum::<f64>() / season as f64;
    profile.iter_mut().for_each(|p| *p -= mean);
    let off = by_phase.iter().zip(&profile).flat_map(|(above, p)| above.iter().map(move |v| (v - p).abs()));
    let within = (median(off.collect()).unwrap_or(0.0) * MAD_TO_SIGMA).powi(2);
    // A phase's median has been taken off, and knows its share of the noise.
    let (n, cycles) = (n as f64, n as f64 / season as f64);
    let noise = within * n / (n - season as f64).max(1.0) / cycles.max(1.0);
    let between = profile.iter().map(|p| p * p).sum::<f64>() / season as f64;
    let believed = if between > 0.0 { (1.0 - noise / between).max(0.0) } else { 0.0 };
    profile.iter_mut().for_each(|p| *p *= believed);
    profile
}

/// Sigmas about a median beyond which values are held to it in a mean.
const HELD_SIGMAS: f64 = 2.5;

/// From the medians by phase to means of values that are held near them: as robust, and nearly as exact as means.
fn hold_means(profile: &mut [f64], by_phase: &[Vec<f64>]) {
    let off = by_phase.iter().zip(&*profile).flat_map(|(above, p)| above.iter().map(move |v| (v - p).abs()));
    let n: usize = by_phase.iter().map(Vec::len).sum();
    // A phase's median has been taken off, and knows its share of the noise.
    let free = n as f64 / n.saturating_sub(by_phase.len()).max(1) as f64;
    let hold = HELD_SIGMAS * MAD_TO_SIGMA * median(off.collect()).unwrap_or(0.0) * free.sqrt();
    for (centre, above) in profile.iter_mut().zip(by_phase) {
        let off: f64 = above.iter().map(|v| (v - *centre).clamp(-hold, hold)).sum();
        *centre += off / above.len().max(1) as f64;
    }
}

/// Mean and variance of values held near their median; zeros of nothing.
pub(super) fn held(mut values: Vec<f64>) -> (f64, f64) {
    let centre = median(values.clone()).unwrap_or(0.0);
    let hold = HELD_SIGMAS * MAD_TO_SIGMA * median(values.iter().map(|v| (v - centre).abs()).collect()).unwrap_or(0.0);
    values.iter_mut().for_each(|v| *v = v.clamp(centre - hold, centre + hold));
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

fn known(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied().filter(|v| !v.is_nan())
}

/// Median (mean of the middle two); none of nothing.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = if even { below.iter().copied().max_by(f64::total_cmp) } else { None };
    Some(lower.map_or(upper, |lower| 0.5 * (lower + upper)))
}

/// Median by phase of what lies above the moving median of one season, centred on zero.
fn profile(values: &[f64], season: usize) -> Vec<f64> {
    let half = season / 2;
    let mut by_phase = vec![Vec::new(); season];
    let whole_windows = half..values.len().saturating_sub(half);
    let positions = if whole_windows.len() >= season { whole_windows } else { 0..values.len() };
    for idx in positions {
        // `idx` lies inside `values` and a remainder of `season` inside `by_phase`.
        let window = &values[idx.saturating_sub(half)..(idx + half + 1).min(values.len())];
        let value = values[idx];
        if let (false, Some(centre)) = (value.is_nan(), median(known(window).collect())) {
            by_phase[idx % season].push(value - centre);
        }
    }
    let mut profile: Vec<f64> = by_phase.iter().map(|above| median(above.clone()).unwrap_or(0.0)).collect();
    hold_means(&mut profile, &by_phase);
    let mean = profile.iter().sum::<f64>() / season as f64;
    profile.iter_mut().for_each(|p| *p -= mean);
    profile
}

/// Median slope between the medians of up to twelve equal blocks (Theil-Sen on blocks: quick, and as robust).
fn slope(values: &[f64]) -> f64 {
    const BLOCKS: usize = 12;
    let width = values.len().div_ceil(BLOCKS).max(1);
    let centres: Vec<(f64, f64)> = values
        .chunks(width)
        .enumerate()
        .filter_map(|(i, block)| Some(((i * width) as f64 + 0.5 * block.len() as f64, median(known(block).collect())?)))
        .collect();
    let pairs = centres.iter().enumerate().flat_map(|(i, a)| centres.iter().skip(i + 1).map(move |b| (a, b)));
    median(pairs.map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect()).unwrap_or(0.0)
}

/// Robust size of the steps from one known value to the next; the mean step where most of them are zero.
fn noise(values: &[f64]) -> f64 {
    let steps: Vec<f64> = known(values).zip(known(values).skip(1)).map(|(a, b)| (b - a).abs()).collect();
    let mean = steps.iter().sum::<f64>() / steps.len().max(1) as f64;
    let robust = median(steps).unwrap_or(0.0) * MAD_TO_SIGMA;
    if robust > 0.0 { robust } else { mean }
}

/// Lays the stretch before `regime_start` on the level of the stretch after it, so that it tells about the season and the
/// noise but not about the level. Unchanged where either side is empty.
pub(super) fn align_regimes(values: &mut [f64], regime_start: usize, season: usize) {
    let Some((before, after)) = values.split_at_mut_checked(regime_start) else { return };
    let window = (4 * season).max(8);
    let profile = Outline::of(before, season).profile;
    let rest = |(idx, value): (usize, &f64)| value - profile[idx % profile.len()];
    let recent: Vec<f64> = before.iter().enumerate().rev().map(rest).filter(|v| !v.is_nan()).take(window).collect();
    let start = before.len();
    let new: Vec<f64> =
        after.iter().enumerate().map(|(i, v)| rest((start + i, v))).filter(|v| !v.is_nan()).take(window).collect();
    if let (Some(old_level), Some(new_level)) = (median(recent), median(new)) {
        before.iter_mut().for_each(|v| *v += new_level - old_level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weekly(n: usize, slope: f64) -> Vec<f64> {
        (0..n).map(|i| 10.0 + slope * i as f64 + if i % 7 >= 5 { -3.0 } else { 0.0 }).collect()
    }

    #[test]
    fn sees_season_slope_and_level_through_spikes_and_gaps() {
        let mut values = weekly(70, 0.1);
        values[20] = 500.0;
        values[33] = f64::NAN;
        let outline = Outline::of(&values, 7);
        assert!((outline.slope - 0.1).abs() < 0.01, "{outline:?}");
        let dip = outline.profile[0] - outline.profile[6];
        assert!((dip - 3.0).abs() < 0.5, "{outline:?}");
        assert!((outline.end_level - (10.0 + 6.9 - 6.0 / 7.0)).abs() < 0.3, "{outline:?}");
    }

    #[test]
    fn degenerate_input_gives_zeros() {
        for values in [vec![], vec![f64::NAN; 5], vec![2.0]] {
            let outline = Outline::of(&values, 7);
            assert!(outline.slope.abs() + outline.noise < 1e-12, "{outline:?}");
        }
    }

    #[test]
    fn an_older_regime_is_laid_on_the_new_level() {
        let mut values = weekly(42, 0.0);
        values[35..].iter_mut().for_each(|v| *v += 20.0);
        align_regimes(&mut values, 35, 7);
        let whole = weekly(42, 0.0);
        assert!(values.iter().zip(&whole).all(|(a, b)| (a - b - 20.0).abs() < 1e-9), "{values:?}");
    }

    #[test]
    fn median_of_even_and_odd() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
