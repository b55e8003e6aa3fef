//! `performance_optimization.reporting`: what the report shows.

use super::document::Value;
use super::section::Section;
use paceline_pure::units::Level;
use serde::Serialize;

/// What the report shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reporting {
    /// Whether recommendations stand in it.
    pub include_recommendations: bool,
    /// Whether trends stand in it.
    pub include_trends: bool,
    /// What is known of the direction of things.
    pub performance_trends: PerformanceTrends,
}

impl Reporting {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let (include_recommendations, include_trends) = section.section("automated_reports", |reports| {
            (reports.flag("include_recommendations", true), reports.flag("include_trends", true))
        });
        let performance_trends = section.section("performance_trends", PerformanceTrends::read);
        Self { include_recommendations, include_trends, performance_trends }
    }
}

/// Trends and forecasts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PerformanceTrends {
    /// Whether trends and forecasts are made.
    pub enabled: bool,
    /// Windows before the as-of over which trends are taken, in days, shortest first.
    pub comparison_periods_days: Vec<u32>,
    /// Days that are forecast.
    pub forecast_days: u32,
    /// Coverage of the intervals of trends and forecasts.
    pub level: Level,
}

impl PerformanceTrends {
    fn read(section: &mut Section<'_>) -> Self {
        let mut periods = section.items("comparison_periods", &[7, 30, 90], "whole numbers of days above 0", |node| {
            match node.value {
                Value::Whole(days @ 1..=36_500) => u32::try_from(days).map_err(|error| error.to_string()),
                _ => Err("write such numbers, without a unit".to_owned()),
            }
        });
        periods.sort_unstable();
        Self {
            enabled: section.flag("enabled", true),
            comparison_periods_days: periods,
            forecast_days: section.whole("forecast_days", 30, 1..=3_660),
            level: section.level("confidence_interval", 0.95),
        }
    }
}
