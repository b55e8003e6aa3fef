//! What the mean of an arm can't show, in words.

use crate::stats::sketch::{Sketch, bin_value};

/// Skewness of an arm's mean beyond which its interval is not trusted to one point of coverage: by simulation of log-normal
/// arms, and half as strict as the rule of thumb of Kohavi et al. (KDD 2014), n > 355 · skewness².
const SKEWED: f64 = 0.1;
/// Fewer values than this do not show how skewed they are.
const FEW: u64 = 30;
/// How far the skewness of a mean, told from n values, lies below the true one in one case of ten: so much over n. (The
/// standard error of the values' skewness is √(6/n).)
const UNSEEN: f64 = 1.281_551_565_544_600_4 * 2.449_489_742_783_178;

/// Of a mean (or a ratio of sums) where the arm that has the fewest units has `fewest`, and the means have these skewnesses.
pub(super) fn of_mean(fewest: u64, skewness_of_means: impl IntoIterator<Item = f64>) -> Option<String> {
    if fewest < FEW {
        return Some(format!(
            "with {fewest} units in an arm it can't be seen whether a few large ones decide the mean, whose interval may \
             then miss the truth more often than it says"
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let seen = SKEWED - UNSEEN / fewest as f64;
    skewness_of_means.into_iter().any(|skewness| skewness.abs() > seen).then(|| {
        "a few large values decide the mean, whose interval may miss the truth more often than it says: ask for a log \
         ratio, a quantile or a winsorised mean"
            .to_owned()
    })
}

/// The caution of means for values that are known by histograms: those of the arm and of the control.
#[must_use]
pub fn of_binned_means(arms: [&Sketch; 2]) -> Option<String> {
    let fewest = arms.map(Sketch::count).into_iter().min().unwrap_or(0);
    of_mean(fewest, arms.map(skewness_of_binned_mean))
}

/// Skewness of the mean of values.
pub(super) fn skewness_of_mean(values: &[f64]) -> f64 {
    skewness(values.iter().map(|value| (*value, 1.0)))
}

/// The same of values that are known by their histogram.
fn skewness_of_binned_mean(sketch: &Sketch) -> f64 {
    let bins = sketch.bins();
    skewness(bins.iter().map(|(bin, n)| (bin_value(*bin), f64::from(*n))))
}

/// Of the mean of values with the numbers of units that have them.
fn skewness(values: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (n, sum) = values.clone().fold((0.0, 0.0), |(n, sum), (value, of)| (n + of, sum + of * value));
    let mean = sum / n;
    let (second, third) = values.fold((0.0, 0.0), |(second, third), (value, of)| {
        let off = value - mean;
        (second + of * off * off, third + of * off * off * off)
    });
    third / second.powf(1.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_knows_the_skewness_of_its_values() {
        let values: Vec<f64> = (1..2000).map(|i| (f64::from(i * 7919 % 1999) / 300.0).exp()).collect();
        let (exact, binned) = (skewness_of_mean(&values), skewness_of_binned_mean(&Sketch::of(&mut values.clone())));
        assert!(exact > 0.02 && (binned / exact - 1.0).abs() < 0.01, "{binned} beside {exact}");
    }

    #[test]
    fn few_units_and_a_skewed_mean_are_told() {
        assert!(of_mean(29, []).is_some_and(|why| why.contains("29 units")));
        assert!(of_mean(30, [0.0, -0.2]).is_some_and(|why| why.contains("log ratio")));
        assert_eq!(of_mean(1_000, [0.09, f64::NAN]), None);
        assert!(of_mean(100, [0.09]).is_some(), "a hundred values show little of a long tail");
    }
}
