//! Checked quantities that travel through every module.

use serde::{Deserialize, Serialize};

/// A coverage probability strictly between 0 and 1, never a percentage.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level(f64);

/// A number that is no [`Level`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a level lies strictly between 0 and 1, found {0}; write 0.95 for 95 %")]
pub struct LevelError(pub f64);

impl Level {
    /// The level at which intervals are published when nothing else is configured.
    pub const DEFAULT: Self = Self(0.95);

    /// Checks that `value` lies strictly between 0 and 1.
    ///
    /// # Errors
    /// [`LevelError`] otherwise, also for NaN.
    pub fn new(value: f64) -> Result<Self, LevelError> {
        if value > 0.0 && value < 1.0 { Ok(Self(value)) } else { Err(LevelError(value)) }
    }

    /// The level as a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The probability left in both tails together.
    #[must_use]
    pub fn alpha(self) -> f64 {
        1.0 - self.0
    }
}

impl TryFrom<f64> for Level {
    type Error = LevelError;
    fn try_from(value: f64) -> Result<Self, LevelError> {
        Self::new(value)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> Self {
        level.0
    }
}

/// An estimate with the interval that it is sure of at `level`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Coverage probability.
    pub level: Level,
}

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 3_600 * SECOND_US;
/// Microseconds in a day.
pub const DAY_US: i64 = 24 * HOUR_US;
