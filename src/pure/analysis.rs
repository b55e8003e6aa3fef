//! What is learned about one series, and why not where nothing can be.

use crate::detect::{Baseline, ChangePoint, Trend};
use crate::forecast::Forecast;
use crate::series::SeriesKey;

/// Everything learned about one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Which series.
    pub key: SeriesKey,
    /// First and last bucket with data.
    pub span_us: (i64, i64),
    /// Where the normal changed, oldest first.
    pub change_points: Vec<ChangePoint>,
    /// What is normal in the present regime.
    pub baseline: Option<Baseline>,
    /// One per window that held enough data.
    pub trends: Vec<Trend>,
    /// What comes, for the series that are forecast.
    pub forecast: Option<Forecast>,
}
