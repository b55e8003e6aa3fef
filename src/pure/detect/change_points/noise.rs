//! What a series looks like to the segmentation: levelled, spikes removed, with its noise measured.

use super::Input;
use crate::detect::levelling::{Levelled, Scale};
use crate::stats::rank::{self, MAD_TO_SIGMA};

/// A spike lies this many noise sigmas from its neighbourhood's medians.
const SPIKE_SIGMAS: f64 = 3.0;
/// Differences beyond this many robust standard deviations say nothing about the noise.
const TRIM_SIGMAS: f64 = 3.0;
/// Shares of the noise that come from the number of executions behind a value; the likeliest is taken.
const COUNT_SHARES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// A series is never taken for fewer independent values than this: of a shorter one nobody can tell whether it wanders
/// or jumps.
const MIN_INDEPENDENT: f64 = 10.0;
/// Largest autocorrelation that is believed: beyond it a level is not a useful notion.
const MAX_RHO: f64 = 0.9;
/// Fewer series do not tell how alike they are.
const MIN_POPULATION: usize = 20;
/// Standard errors that are held against a series which speaks for itself: of simulated first-order series of 90 days with
/// a week, 1 % at most have a change point then at a significance of 1 %, up to an autocorrelation of 0.7.
const LONE_MARGIN: f64 = 1.5;
/// A series whose autocorrelation lies so many standard errors off the others' is none of them.
const OUTSIDER_SIGMAS: f64 = 3.0;

/// The values that are there, in order, with their noise.
#[derive(Debug, Clone)]
pub(super) struct Observations {
    /// Positions on the grid.
    pub(super) index: Vec<usize>,
    /// Levelled values without spikes on the working scale, less `centre`.
    pub(super) values: Vec<f64>,
    /// Inverse relative variances, about 1.
    pub(super) weights: Vec<f64>,
    /// Was subtracted from the values, to keep sums of squares accurate.
    pub(super) centre: f64,
    /// Standard deviation of a value with weight 1 about its regime's level.
    pub(super) sigma: f64,
    /// Long-run over marginal variance, at least 1: how many values are worth one independent value.
    pub(super) inflation: f64,
    /// The scale that is worked on.
    pub(super) scale: Scale,
}

/// A series with its noise measured, of which the autocorrelation is still to be settled.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    index: Vec<usize>,
    values: Vec<f64>,
    variances: Vec<f64>,
    centre: f64,
    scale: Scale,
    /// Standard deviation of differences between neighbours, over √2.
    of_differences: f64,
    /// What it says of its first-order autocorrelation; anywhere about the truth, and not biased.
    rho: f64,
}

impl Measured {
    /// None where there are fewer than two segments' finite values or they do not vary.
    pub(super) fn new(input: &Input<'_>, min_segment: usize) -> Option<Self> {
        let Levelled { values, scale, .. } = input.levelled;
        let finite = values.iter().copied().enumerate().filter(|(_, value)| value.is_finite());
        let (index, mut values): (Vec<usize>, Vec<f64>) = finite.unzip();
        if index.len() < 2 * min_segment {
            return None;
        }
        let centre = rank::median(&values);
        values.iter_mut().for_each(|v| *v -= centre);
        let variances = relative_variances(&values, input.counts, &index);
        let (of_differences, rho) = difference_moments(&values, &variances)?;
        Some(Self { index, values, variances, centre, scale: *scale, of_differences, rho })
    }

    /// Takes `rho` for the autocorrelation. A run of strange values that is too short for a segment is a spike, and
    /// removed.
    pub(super) fn settled(self, rho: f64, min_segment: usize) -> Observations {
        let Self { index, mut values, variances, centre, scale, of_differences, rho: _ } = self;
        let rho = rho.max(0.0).min(max_rho(values.len()));
        let (sigma, inflation) = (of_differences / (1.0 - rho).sqrt(), (1.0 + rho) / (1.0 - rho));
        remove_spikes(&mut values, &variances, sigma, 2 * min_segment - 1);
        let weights = variances.iter().map(|v| 1.0 / v).collect();
        Observations { index, values, weights, centre, sigma, inflation, scale }
    }
}

impl Observations {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// The autocorrelations of the series that are looked at together.
///
/// One series of 90 values leaves its autocorrelation uncertain by 0.2, and a change looks as significant as it is taken
/// for small. Where series are many they say how alike they are, and each is taken to lie near the others as far as that
/// goes (Efron and Morris, JASA 70, 1975). What is still uncertain is held against a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Population {
    mean: f64,
    /// Variance between series; infinite where they are too few to tell.
    between: f64,
}

impl Population {
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Measured>) -> Self {
        let (mut of_all, errors): (Vec<f64>, Vec<f64>) =
            all.map(|one| (one.rho, rho_variance(one.values.len()))).unzip();
        if of_all.len() < MIN_POPULATION {
            return Self { mean: 0.0, between: f64::INFINITY };
        }
        let mean = rank::median_in_place(&mut of_all);
        of_all.iter_mut().for_each(|rho| *rho = (*rho - mean).powi(2));
        // The median of squares is that of χ² with one degree of freedom.
        let total = rank::median_in_place(&mut of_all) * MAD_TO_SIGMA * MAD_TO_SIGMA;
        Self { mean, between: (total - rank::median(&errors)).max(0.0) }
    }

    /// Where the autocorrelation of a series lies, a standard error on the safe side. A series that is none of the others'
    /// kind speaks for itself, and is held to a wider margin.
    pub(super) fn rho_of(self, one: &Measured) -> f64 {
        let error = rho_variance(one.values.len());
        let is_other = (one.rho - self.mean).powi(2) > OUTSIDER_SIGMAS * OUTSIDER_SIGMAS * (error + self.between);
        if self.between.is_infinite() || is_other {
            return one.rho + LONE_MARGIN * error.sqrt();
        }
        let trust = self.between / (self.between + error);
        self.mean + trust * (one.rho - self.mean) + (trust * error).sqrt()
    }
}

/// Of an autocorrelation from differences: 20,000 simulated first-order series of 45, 90 and 300 values with
/// autocorrelations from 0 to 0.7 have standard deviations of 1.6 to 2.7 over the root of their length.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn rho_variance(n: usize) -> f64 {
    4.0 / n as f64
}

/// From differences at lags one and two, of which jumps and spikes touch few: their variances are in the ratio 1 + ρ for
/// a first-order process. After Chakar, Lebarbier, Lévy-Leduc and Robin, "A robust approach for estimating change-points
/// in the mean of an AR(1) process", Bernoulli 23 (2017), with trimmed squares in the place of medians, which would leave
/// ρ too uncertain for a few dozen values. None without noise.
fn difference_moments(values: &[f64], variances: &[f64]) -> Option<(f64, f64)> {
    let one = difference_scale(values, variances, 1);
    if !one.is_finite() || one <= 0.0 {
        return None;
    }
    let two = difference_scale(values, variances, 2);
    Some((one, (two / one).powi(2) - 1.0))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn max_rho(n: usize) -> f64 {
    let inflation = (n as f64 / MIN_INDEPENDENT).max(1.0);
    ((inflation - 1.0) / (inflation + 1.0)).min(MAX_RHO)
}

/// Standard deviation of the standardised differences at a lag about their median, of those that are no outliers. Where
/// most differences are tied all of them are taken.
fn difference_scale(values: &[f64], variances: &[f64], lag: usize) -> f64 {
    let pairs = values.iter().zip(variances);
    let later = pairs.clone().skip(lag);
    let mut steps: Vec<f64> = pairs.zip(later).map(|((a, u), (b, v))| (b - a) / (u + v).sqrt()).collect();
    let drift = rank::median_in_place(&mut steps);
    steps.iter_mut().for_each(|step| *step = (*step - drift).abs());
    let limit = TRIM_SIGMAS * MAD_TO_SIGMA * rank::median_in_place(&mut steps);
    let kept = steps.iter().filter(|step| **step <= limit || limit <= 0.0);
    let (sum, n) = kept.fold((0.0, 0.0), |(sum, n), step| (sum + step * step, n + 1.0));
    (sum / n).sqrt()
}

/// How noisy each value is relative to the others: a share of the noise falls with the number of executions, the rest
/// does not. The share is the one under which the differences are likeliest, as Laplace variables, which spikes and
/// jumps sway little.
fn relative_variances(values: &[f64], counts: Option<&[u32]>, index: &[usize]) -> Vec<f64> {
    let Some(counts) = counts else { return vec![1.0; values.len()] };
    let mut per_count: Vec<f64> =
        index.iter().map(|&i| 1.0 / f64::from(counts.get(i).copied().unwrap_or(1).max(1))).collect();
    let typical = rank::median(&per_count);
    per_count.iter_mut().for_each(|u| *u /= typical);
    let blend = |share: f64| -> Vec<f64> { per_count.iter().map(|u| 1.0 - share + share * u).collect() };
    let best = COUNT_SHARES
        .into_iter()
        .map(|share| (minus_log_likelihood(values, &blend(share)), share))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    blend(best.map_or(0.0, |(_, share)| share))
}

/// Over differences at lags one and two: where busy and quiet buckets alternate one lag alone tells nothing.
fn minus_log_likelihood(values: &[f64], variances: &[f64]) -> f64 {
    let (mut sizes, mut logs, mut n) = (0.0, 0.0, 0.0);
    // Logarithms are added as products, as long as these stay in range.
    let mut product = 1.0_f64;
    for lag in [1, 2] {
        let pairs = values.iter().zip(variances);
        let later = pairs.clone().skip(lag);
        for ((a, u), (b, v)) in pairs.zip(later) {
            sizes += (b - a).abs() / (u + v).sqrt();
            product *= u + v;
            if !(1e-100..1e100).contains(&product) {
                logs += 0.5 * product.ln();
                product = 1.0;
            }
            n += 1.0;
        }
    }
    n * (sizes / n).ln() + logs + 0.5 * product.ln()
}

/// A value that lies more than three sigmas beyond both the median of the window that ends with it and that of the
/// window that begins with it becomes the nearer of the two: Hampel's filter with one-sided windows, so that a run of
/// spikes is gone and a step, even one beside a spike, stays where it is.
fn remove_spikes(values: &mut [f64], variances: &[f64], sigma: f64, width: usize) {
    let width = width.min(values.len());
    let mut scratch = Vec::with_capacity(width);
    let mut median_of = |window: &[f64]| {
        scratch.clear();
        scratch.extend_from_slice(window);
        rank::median_in_place(&mut scratch)
    };
    let medians: Vec<f64> = values.windows(width.max(1)).map(&mut median_of).collect();
    let Some(last) = medians.len().checked_sub(1) else { return };
    for (idx, (value, variance)) in values.iter_mut().zip(variances).enumerate() {
        let sides = [(idx + 1).saturating_sub(width), idx].map(|start| medians.get(start.min(last)).copied());
        if let [Some(ending), Some(beginning)] = sides {
            let reach = SPIKE_SIGMAS * sigma * variance.sqrt();
            let (low, high) = (ending.min(beginning), ending.max(beginning));
            if *value > high + reach {
                *value = high;
            } else if *value < low - reach {
                *value = low;
            }
        }
    }
}
