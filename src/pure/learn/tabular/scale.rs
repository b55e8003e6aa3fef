//! The scale on which outcomes are learned: as they are, or by their logarithm.

use super::basis::Basis;
use super::effects::Effects;
use super::rows::Rows;
use serde::{Deserialize, Serialize};

/// Zeros are read as "less than the smallest that was seen" if at most this share are zeros.
const MOST_ZEROS: f64 = 0.1;
/// Predictions stay within these factors of the smallest and the largest outcome.
const BELOW: f64 = 20.0;
const ABOVE: f64 = 50.0;
/// Parts of the rows that tell which scale fits.
const PARTS: u32 = 3;

/// How outcomes are turned before they are added up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Scale {
    /// Not at all.
    Raw,
    /// By their logarithm.
    Log {
        /// Stands for zeros.
        least: f64,
        /// Predictions are held between these.
        range: (f64, f64),
    },
}

impl Scale {
    /// The logarithm for outcomes that allow it; zeros may be among them, if few.
    pub(super) fn log(y: &[f64]) -> Option<Self> {
        let positive = || y.iter().copied().filter(|v| *v > 0.0);
        let zeros = count(y.iter().filter(|v| **v == 0.0).count());
        let negative = y.iter().any(|v| *v < 0.0);
        let (low, high) = positive().fold((f64::INFINITY, 0.0), |(low, high), v| (f64::min(low, v), f64::max(high, v)));
        if negative || zeros > MOST_ZEROS * count(y.len()) || !low.is_finite() {
            return None;
        }
        Some(Self::Log { least: low / 2.0, range: (low / BELOW, high * ABOVE) })
    }

    /// The scale on which straight lines leave the more likely residuals (Box and Cox 1964, for the powers 0 and 1),
    /// each third of the configurations predicted from the others.
    pub(super) fn of(rows: &Rows, y: &[f64], configurations: &[u32]) -> Self {
        let Some(log) = Self::log(y) else { return Self::Raw };
        if y.iter().all(|v| (v - y.first().copied().unwrap_or_default()).abs() <= 0.0) {
            return log;
        }
        let on_log: Vec<f64> = y.iter().map(|v| log.to(*v)).collect();
        let n = count(y.len());
        // Absolute residuals of a Laplace distribution; the sum of logarithms is the change of measure.
        let log_likelihood = |values: &[f64]| -n * mean_error(rows, values, configurations).max(1e-300).ln();
        if log_likelihood(&on_log) - on_log.iter().sum::<f64>() >= log_likelihood(y) { log } else { Self::Raw }
    }

    /// An outcome on this scale.
    pub(super) fn to(self, y: f64) -> f64 {
        match self {
            Self::Raw => y,
            Self::Log { least, .. } => if y > 0.0 { y } else { least }.ln(),
        }
    }

    /// Back again.
    pub(super) fn back(self, value: f64) -> f64 {
        match self {
            Self::Raw => value,
            Self::Log { range: (low, high), .. } => value.exp().clamp(low, high),
        }
    }

    /// A prediction made on the outcome's own scale, on this one.
    pub(super) fn of_prediction(self, y: f64) -> f64 {
        match self {
            Self::Raw => y,
            Self::Log { range: (low, high), .. } => y.clamp(low, high).ln(),
        }
    }

    /// `raw` or `log`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Log { .. } => "log",
        }
    }
}

fn mean_error(rows: &Rows, y: &[f64], configurations: &[u32]) -> f64 {
    let part = |row: &u32| configurations.get(*row as usize).copied().unwrap_or_default() % PARTS;
    let mut sum = 0.0;
    for k in 0..PARTS {
        let (test, training): (Vec<u32>, Vec<u32>) = (0..).zip(y).map(|(row, _)| row).partition(|row| part(row) == k);
        let at =
            |picked: &[u32]| -> Vec<f64> { picked.iter().filter_map(|&row| y.get(row as usize)).copied().collect() };
        let training_rows = rows.take(&training);
        let fitted = Effects::fit(&training_rows, &at(&training), Basis::of(&training_rows, true));
        let predicted = fitted.predict(&rows.take(&test));
        sum += predicted.iter().zip(at(&test)).map(|(p, y)| (p - y).abs()).sum::<f64>();
    }
    sum / count(y.len().max(1))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
