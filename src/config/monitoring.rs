//! `performance_optimization.monitoring`: what is told at once.

use super::section::Section;
use serde::Serialize;
use std::time::Duration;

/// What is told at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Monitoring {
    /// Steps that take longer in the latest window than like executions before.
    pub degradation: DegradationAlert,
}

impl Monitoring {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let degradation =
            section.section("alerts", |alerts| alerts.section("performance_degradation", DegradationAlert::read));
        Self { degradation }
    }
}

/// When a loss of performance is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DegradationAlert {
    /// Relative loss from which it is told.
    pub threshold: f64,
    /// Length of the latest window.
    pub window: Duration,
    /// What it is called.
    pub severity: Severity,
}

impl DegradationAlert {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            threshold: section.positive("threshold", 0.2),
            window: section.seconds("window", 3_600),
            severity: section.choice("severity", Severity::Medium, &Severity::WORDS),
        }
    }
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It can wait.
    Low,
    /// Worth a look.
    Medium,
    /// It hurts.
    High,
    /// Drop everything.
    Critical,
}

impl Severity {
    const WORDS: [(&'static str, Self); 4] =
        [("low", Self::Low), ("medium", Self::Medium), ("high", Self::High), ("critical", Self::Critical)];

    /// The word used in configuration and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, severity)| *severity == self).map_or("", |(word, _)| word)
    }
}
