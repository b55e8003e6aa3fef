//! `performance_optimization.analytics`.

use super::document::{Node, Value};
use super::section::Section;
use crate::rollup::Period;
use paceline_pure::series::Metric;
use serde::Serialize;
use std::time::Duration;

/// What is analysed, and how far back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analytics {
    /// Whether anything is analysed; if not, only rollups are published.
    pub enabled: bool,
    /// Days of history before the as-of that are read.
    pub data_retention_days: u32,
    /// Grid to which an as-of of `now` is rounded down.
    pub analysis_interval: Duration,
    /// Days before the as-of from which a baseline is taken at most; its regime may be shorter.
    pub baseline_calculation_days: u32,
    /// What is measured, in published order.
    pub metrics: Vec<Metric>,
    /// Lengths of the buckets that are published, shortest first.
    pub aggregation_levels: Vec<Period>,
    /// The latest days that get buckets shorter than a day.
    pub subdaily_retention_days: u32,
}

impl Analytics {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let known = Metric::ALL.map(Metric::as_str).join(", ");
        let metrics = section.items("metrics", &Metric::ALL, &format!("a metric: {known}"), |node| {
            let name = word(node)?;
            name.parse().map_err(|_unknown| {
                super::section::nearest_or(name, Metric::ALL.map(Metric::as_str), "write one of these")
            })
        });
        let levels = section.items("aggregation_levels", &Period::ALL, "5m, 15m, 1h or 1d", |node| {
            let name = word(node)?;
            let found = Period::ALL.into_iter().find(|level| level.label() == name);
            found.ok_or_else(|| "write one of these".to_owned())
        });
        let analytics = Self {
            enabled: section.flag("enabled", true),
            data_retention_days: section.days("data_retention_days", 90),
            analysis_interval: section.seconds("analysis_interval", 3600),
            baseline_calculation_days: section.days("baseline_calculation_days", 30),
            metrics: sorted(metrics),
            aggregation_levels: sorted(levels),
            subdaily_retention_days: section.days("subdaily_retention_days", 7),
        };
        analytics.refuse_longer_than_history(section);
        analytics
    }

    fn refuse_longer_than_history(&self, section: &Section<'_>) {
        let kept = self.data_retention_days;
        let windows = [
            ("baseline_calculation_days", self.baseline_calculation_days),
            ("subdaily_retention_days", self.subdaily_retention_days),
        ];
        for (key, days) in windows.into_iter().filter(|(_, days)| *days > kept) {
            let expected = format!("at most data_retention_days ({kept})");
            section.refuse(key, days, &expected, "lower it, or keep more days");
        }
    }
}

pub(super) fn word(node: &Node) -> Result<&str, String> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err("write one of these words".to_owned()),
    }
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}
