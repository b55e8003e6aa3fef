//! Lengths of seasons, found in the values and tested on them.
//!
//! Candidates are peaks of the autocorrelation, of the values about a slow mean and of their changes, and lengths that a
//! calendar suggests. Each is tested by how well a phase is predicted from the other cycles (leave one out): noise,
//! also autocorrelated noise, does not repeat. What forecasts make of a season is up to their own backtest.

use super::season::moving_mean;
use crate::stats::dist;

/// Lags of the autocorrelation at most; longer seasons have to be named.
const MAX_LAG: usize = 4_000;
/// Peaks of each autocorrelation that are tested.
const MAX_PEAKS: usize = 8;
/// Seasons at most.
const MAX_SEASONS: usize = 3;
/// Least share of the variance that a season predicts.
const MIN_SHARE: f64 = 0.03;
/// Sigmas by which that share must beat what noise gives; many lengths are looked at.
const MIN_SIGMAS: f64 = 6.0;
/// Share of what the first season leaves that a further one must predict.
const MIN_FURTHER: f64 = 0.05;
/// A season within a longer one counts as one of its own if it predicts this share of what the longer one does.
const MIN_WITHIN: f64 = 0.25;
/// A divisor of a season that does nearly as well stands for it.
const NEARLY: f64 = 0.97;
/// Harmonics that are looked at: what is sharp has all of them.
const MAX_HARMONICS: usize = 12;
/// Frequencies beside a harmonic, on each side, that tell what noise has there.
const MAX_NEIGHBOURS: usize = 6;
/// Chance of noise that is taken for a season of one length; many lengths are looked at.
const MAX_CHANCE: f64 = 1e-4;

/// Season lengths of `values` (NaN = gap), shortest first; none if there are none. `hints` are lengths to test as well.
pub(super) fn seasons(values: &[f64], hints: &[usize]) -> Vec<usize> {
    let longest = (values.len() / 2).min(MAX_LAG.max(hints.iter().copied().max().unwrap_or(0)));
    if longest < 2 {
        return Vec::new();
    }
    let mut rest = interpolated(values);
    let mut candidates = peaks(&about_slow_mean(&rest));
    candidates.extend(peaks(&changes(&rest)));
    candidates.extend(hints);
    // A peak can lie one off.
    candidates.extend(candidates.iter().flat_map(|m| [m.saturating_sub(1), m.saturating_add(1)]).collect::<Vec<_>>());
    candidates.retain(|m| (2..=longest).contains(m));
    candidates.sort_unstable();
    candidates.dedup();
    let mut found: Vec<usize> = Vec::new();
    while found.len() < MAX_SEASONS {
        let mut tried: Vec<Tried> = candidates.iter().filter_map(|&m| Tried::of(&rest, m)).collect();
        let Some(chosen) = strongest(&mut tried, &rest) else { break };
        if !found.is_empty() && chosen.share < MIN_FURTHER {
            break;
        }
        let within = tried.iter().filter(|one| chosen.length > one.length && chosen.length.is_multiple_of(one.length));
        let within = within.filter(|one| one.share >= MIN_WITHIN * chosen.share && stands_out(&rest, one.length));
        let within = within.reduce(|a, b| if b.share > a.share { b } else { a }).map(|one| one.length);
        take_off(&mut rest, chosen.length);
        found.extend(within.into_iter().chain([chosen.length]));
        // A season whose shape drifts leaves peaks beside its multiples.
        candidates.iter_mut().for_each(|m| *m = onto_multiple(*m, within.unwrap_or(chosen.length)));
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|m| *m <= longest && !found.contains(m));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The season that explains most, or the shortest that divides it and explains nearly as much: every multiple of a season
/// is one. Those that do not stand out of noise are taken from `tried`.
fn strongest(tried: &mut Vec<Tried>, values: &[f64]) -> Option<Tried> {
    loop {
        let best = tried.iter().copied().reduce(|a, b| if b.share > a.share { b } else { a })?;
        let divides = |one: &&Tried| best.length.is_multiple_of(one.length);
        let chosen = *tried.iter().filter(divides).find(|one| one.share >= NEARLY * best.share).unwrap_or(&best);
        if stands_out(values, chosen.length) {
            return Some(chosen);
        }
        tried.retain(|one| one.length != chosen.length);
    }
}

/// The multiple of `season` that lies within an eighth of a season of `length`, else `length`.
fn onto_multiple(length: usize, season: usize) -> usize {
    let nearest = (length + season / 2) / season * season;
    if length.abs_diff(nearest) <= (season / 8).max(1) && nearest > 0 { nearest } else { length }
}

/// A season that passed its test.
#[derive(Debug, Clone, Copy)]
struct Tried {
    length: usize,
    /// Share of the variance about the moving mean that other cycles predict.
    share: f64,
}

impl Tried {
    fn of(values: &[f64], length: usize) -> Option<Self> {
        let (sums, squares) = phases(values, length);
        let n: f64 = sums.iter().map(|(_, n)| n).sum();
        let total = squares / n.max(1.0);
        if total.is_nan() || total <= 0.0 {
            return None;
        }
        // Leaving a cycle out of k turns a deviation from the mean into k/(k-1) of it.
        let each = |&(sum, n): &(f64, f64)| if n > 1.0 { (sum * sum / n, (n / (n - 1.0)).powi(2)) } else { (0.0, 1.0) };
        let cycles = n / length as f64;
        let inflation = if cycles > 1.0 { (cycles / (cycles - 1.0)).powi(2) } else { return None };
        let between: f64 = sums.iter().map(|phase| each(phase).0).sum();
        let left = (squares - between).max(0.0) * inflation / n;
        let share = 1.0 - left / total;
        // Of pure noise, other cycles predict less than nothing: -1/(k-1) of it, and the sum between phases is
        // chi-squared with one degree for each phase.
        let sigma = (2.0 * length as f64).sqrt() / n;
        (share > MIN_SHARE && share + 1.0 / (cycles - 1.0) > MIN_SIGMAS * sigma).then_some(Self { length, share })
    }
}

/// Whether the spectrum stands out at the multiples of the season's frequency from what lies beside them.
///
/// Noise that wanders has waves of any length, and some repeat by chance; but it has them at neighbouring frequencies as
/// well. Each harmonic's power over the mean of its neighbours' is Fisher's F under noise whose spectrum is level there
/// (Percival and Walden, "Spectral Analysis for Physical Applications", 1993, chapter 10); Fisher's sum of logarithms
/// joins the harmonics. Changes are looked at: a wandering level has no ends that leak into other frequencies.
fn stands_out(values: &[f64], length: usize) -> bool {
    let changes = changes(values);
    let cycles = changes.len() / length;
    if cycles < 2 {
        return false;
    }
    let whole = changes.get(changes.len() - cycles * length..).unwrap_or_default();
    let reach = (cycles - 1).min(MAX_NEIGHBOURS);
    let (mut evidence, mut n_harmonics) = (0.0, 0);
    for harmonic in (1..=length / 2).take(MAX_HARMONICS) {
        let at = harmonic * cycles;
        let beside = (1..=reach).flat_map(|off| [at - off, at + off]).filter(|bin| *bin > 0 && 2 * bin < whole.len());
        let beside: Vec<f64> = beside.map(|bin| power(whole, bin)).collect();
        let (n, mean) = (beside.len() as f64, beside.iter().sum::<f64>() / beside.len().max(1) as f64);
        // At the highest frequency there is one degree of freedom and not two.
        let own = if 2 * at == whole.len() { 0.5 } else { 1.0 } * power(whole, at);
        if n > 0.0 && own > 0.0 {
            evidence += 2.0 * n * (own / (mean * n).max(f64::MIN_POSITIVE)).ln_1p();
            n_harmonics += 1;
        }
    }
    n_harmonics > 0 && dist::chi2_sf(evidence, 2.0 * f64::from(n_harmonics)) < MAX_CHANCE
}

/// Squared amplitude of `values` at `bin` turns over their length (Goertzel's recursion).
fn power(values: &[f64], bin: usize) -> f64 {
    let twice = 2.0 * (std::f64::consts::TAU * bin as f64 / values.len() as f64).cos();
    let (last, before) = values.iter().fold((0.0, 0.0), |(last, before), v| (v + twice * last - before, last));
    last * last + before * before - twice * last * before
}

/// Sum and number by phase of what lies above the moving mean, and the sum of its squares over all.
fn phases(values: &[f64], length: usize) -> (Vec<(f64, f64)>, f64) {
    let centre = moving_mean(values, length);
    let (mut sums, mut squares) = (vec![(0.0, 0.0); length], 0.0);
    for (idx, above) in values.iter().zip(&centre).map(|(v, c)| v - c).enumerate().filter(|(_, above)| !above.is_nan())
    {
        if let Some((sum, n)) = sums.get_mut(idx % length) {
            *sum += above;
            *n += 1.0;
            squares += above * above;
        }
    }
    (sums, squares)
}

fn take_off(values: &mut [f64], length: usize) {
    let (sums, _) = phases(values, length);
    let profile = sums.iter().map(|(sum, n)| if *n > 0.0 { sum / n } else { 0.0 }).cycle();
    values.iter_mut().zip(profile).for_each(|(v, p)| *v -= p);
}

/// Gaps filled on a line between their ends.
fn interpolated(values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    let mut before: Option<(usize, f64)> = None;
    for idx in 0..=values.len() {
        let value = values.get(idx).copied().filter(|v| !v.is_nan());
        if value.is_none() && idx < values.len() {
            continue;
        }
        let (from, start) = before.map_or((0, value.unwrap_or(0.0)), |(at, v)| (at + 1, v));
        let end = value.unwrap_or(start);
        let steps = (idx + 1 - from) as f64;
        (from..idx).for_each(|gap| out[gap] = start + (end - start) * (gap + 1 - from) as f64 / steps);
        before = value.map(|v| (idx, v)).or(before);
    }
    out
}

fn changes(values: &[f64]) -> Vec<f64> {
    values.iter().zip(values.iter().skip(1)).map(|(a, b)| b - a).collect()
}

/// The values about the mean of a third of them round each, which leaves seasons of up to that length.
fn about_slow_mean(values: &[f64]) -> Vec<f64> {
    let window = (values.len() / 3).max(3);
    let centre = moving_mean(values, window);
    let last = values.len().saturating_sub(window / 2 + 1);
    let at_ends = |idx: usize| centre.get(idx.max(window / 2).min(last));
    values.iter().enumerate().map(|(idx, v)| v - at_ends(idx).copied().filter(|c| !c.is_nan()).unwrap_or(0.0)).collect()
}

/// The highest and the first local peaks of the autocorrelation that noise hardly gives.
fn peaks(values: &[f64]) -> Vec<usize> {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n.max(1) as f64;
    let about: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let product = |lag: usize| about.iter().zip(about.iter().skip(lag)).map(|(a, b)| a * b).sum::<f64>();
    let zero = product(0);
    if zero.is_nan() || zero <= 0.0 {
        return Vec::new();
    }
    let lags = (n / 2 + 2).min(MAX_LAG + 2).min(n);
    let correlation: Vec<f64> = (0..lags).map(|lag| product(lag) / zero).collect();
    let least = 2.0 / (n as f64).sqrt();
    let is_peak = |w: &[f64]| matches!(w, &[a, b, c] if b > a && b >= c && b > least);
    let mut peaks: Vec<usize> =
        correlation.windows(3).enumerate().filter(|(_, w)| is_peak(w)).map(|(idx, _)| idx + 1).collect();
    let first = peaks.clone();
    let height = |lag: &usize| correlation.get(*lag).copied().unwrap_or(f64::NEG_INFINITY);
    peaks.sort_by(|a, b| height(b).total_cmp(&height(a)).then(a.cmp(b)));
    let shortest: Vec<usize> = first.into_iter().take(MAX_PEAKS / 2).collect();
    peaks.truncate(MAX_PEAKS);
    peaks.extend(shortest);
    peaks
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// AR(1) noise of this autocorrelation and unit variance.
    fn noise(n: usize, rho: f64, seed: u64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut last = 0.0;
        let mut next = || {
            let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            last = rho * last + (1.0 - rho * rho).sqrt() * normal;
            last
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn noise_repeats_nothing() {
        let seasonal = |rho: f64| (0..200).filter(|seed| !seasons(&noise(150, rho, *seed), &[7]).is_empty()).count();
        let found = [0.0, 0.5, 0.8].map(seasonal);
        // Autocorrelated noise wanders in waves, some of which repeat by chance; the backtest is there for them.
        assert!(found.iter().zip([4, 20, 60]).all(|(n, most)| *n <= most), "of 200: {found:?}");
    }

    #[test]
    fn a_week_a_day_and_both_are_found() {
        let day = |i: usize| (i as f64 * std::f64::consts::TAU / 24.0).sin() * 3.0;
        let week = |i: usize| if i / 24 % 7 >= 5 { -4.0 } else { 0.0 };
        let of = |n: usize, value: &dyn Fn(usize) -> f64| -> Vec<f64> {
            noise(n, 0.3, 5).iter().enumerate().map(|(i, e)| value(i) + 0.02 * i as f64 + e).collect()
        };
        assert_eq!(seasons(&of(700, &day), &[]), [24]);
        assert_eq!(seasons(&of(900, &|i| day(i) + week(i)), &[]), [24, 168]);
        assert_eq!(seasons(&of(120, &|i| if i % 7 >= 5 { -3.0 } else { 0.0 }), &[]), [7]);
    }

    #[test]
    fn degenerate_values_have_no_season() {
        for values in [vec![], vec![1.0], vec![5.0; 50], vec![f64::NAN; 50], vec![1.0, f64::NAN, 2.0]] {
            assert!(seasons(&values, &[7, 0, 1, usize::MAX]).is_empty(), "{values:?}");
        }
        assert_eq!(interpolated(&[f64::NAN, 1.0, f64::NAN, f64::NAN, 4.0, f64::NAN]), [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
    }
}
