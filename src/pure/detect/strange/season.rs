//! The season of a stream, found in what has passed.

use crate::stats::rank::mid_ranks;

/// A season needs so many rows.
const MIN_ROWS: usize = 60;
/// Rows that are looked at: the latest.
const MAX_ROWS: usize = 4096;
/// It is looked for again whenever there are so many times more rows.
const GROWTH: f64 = 1.15;
/// No season is shorter.
const MIN_LENGTH: usize = 4;
/// Autocorrelation of ranks that makes a season.
const MIN_CORRELATION: f64 = 0.4;
/// Below it, autocorrelation has fallen from that of neighbours.
const FALLEN: f64 = 0.1;
/// The first peak of at least this share of the highest is the season; others are its multiples.
const SHARE_OF_HIGHEST: f64 = 0.85;

/// Length in rows of the season known at each row from the rows before it; 0 where there is none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "row numbers stay far below 2^53"
)]
pub(super) fn lengths(values: &[f64]) -> Vec<usize> {
    let (mut next, mut length) = (MIN_ROWS, 0);
    (0..values.len())
        .map(|row| {
            if row >= next {
                let past = values.get(row.saturating_sub(MAX_ROWS)..row).unwrap_or_default();
                length = season(past).unwrap_or(0);
                next = (row + 1).max((row as f64 * GROWTH) as usize);
            }
            length
        })
        .collect()
}

/// The length of the season of all of `past`, by the autocorrelation of ranks, which one wild value can't hide.
fn season(past: &[f64]) -> Option<usize> {
    let correlation = autocorrelation(past);
    let from = correlation.iter().position(|a| *a < FALLEN)?;
    let later = correlation.get(from..)?;
    let highest = later.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let at = |i: usize| later.get(i).copied().unwrap_or(f64::NEG_INFINITY);
    let is_peak = |i: &usize| at(*i) >= at(i - 1) && at(*i) >= at(i + 1) && at(*i) >= SHARE_OF_HIGHEST * highest;
    let end = later.len().saturating_sub(1);
    let mut top = (1..end).find(is_peak)?;
    let mut i = top;
    while i + 1 < end && i - top < ((from + top) / 10).max(2) {
        i += 1;
        if at(i) > at(top) {
            top = i;
        }
    }
    (from + top >= MIN_LENGTH && at(top) > MIN_CORRELATION).then_some(from + top)
}

/// Of mid-ranks, at lags up to half of the length.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn autocorrelation(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let (ranks, _) = mid_ranks(values);
    let mean = ranks.iter().sum::<f64>() / n.max(1) as f64;
    let centred: Vec<f64> = ranks.iter().map(|rank| rank - mean).collect();
    let product = |lag: usize| -> f64 {
        centred.iter().zip(centred.get(lag..).unwrap_or_default()).map(|(a, b)| a * b).sum::<f64>()
    };
    let variance = product(0);
    if variance <= 0.0 {
        return Vec::new();
    }
    (0..n / 2).map(|lag| product(lag) / variance * n as f64 / (n - lag) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::noise;

    fn daily(row: u32) -> f64 {
        (f64::from(row) * std::f64::consts::TAU / 24.0).sin() + 0.3 * noise(row)
    }

    #[test]
    fn a_day_of_hours_is_found_and_noise_has_no_season() {
        let values: Vec<f64> = (0..400).map(daily).collect();
        assert_eq!(season(&values), Some(24));
        let known = lengths(&values);
        assert_eq!((known.get(59), known.last()), (Some(&0), Some(&24)));
        let noisy: Vec<f64> = (0..400).map(noise).collect();
        assert_eq!(season(&noisy), None);
    }

    #[test]
    fn degenerate_streams_have_none() {
        assert_eq!(season(&[]), None);
        assert_eq!(season(&[1.0; 200]), None);
        let trend: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(season(&trend), None);
    }
}
