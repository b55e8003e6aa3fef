//! The keys of the schema whose part is not built yet.
//!
//! They are accepted with the values listed here, so that a file written for the whole schema loads, and have no
//! effect; every other value is refused, because nobody should believe that something happens which doesn't. This is
//! the one table of them: when a part is built, its rows go and a reader takes the key.

use super::document::Node;

/// A key that has no effect yet.
#[derive(Debug)]
pub(super) struct Unbuilt {
    /// Full path; `[]` stands for any index.
    pub(super) path: &'static str,
    /// The values that promise nothing that isn't kept, the default first.
    accepted: &'static [&'static str],
    /// The part that would act on it.
    pub(super) part: &'static str,
}

impl Unbuilt {
    /// Whether the value is one that may stand there.
    pub(super) fn accepts(&self, node: &Node) -> bool {
        let found = node.to_string();
        self.accepted.iter().any(|accepted| *accepted == found)
    }

    /// The default, as it is written in the file.
    pub(super) fn default(&self) -> &'static str {
        self.accepted.first().copied().unwrap_or("null")
    }
}

macro_rules! unbuilt {
    ($($part:literal: { $($path:literal => $accepted:expr,)+ })+) => {
        /// All of them, by part.
        pub(super) const UNBUILT: &[Unbuilt] = &[
            $($(Unbuilt { path: $path, accepted: &$accepted, part: $part },)+)+
        ];
    };
}

unbuilt! {
    "applying recommendations": {
        "performance_optimization.optimization.auto_apply" => ["false"],
        "performance_optimization.optimization.approval_required" => ["true"],
        "performance_optimization.optimization.max_concurrent_optimizations" => ["3"],
        "performance_optimization.optimization.strategies.resource_allocation.auto_scale" => ["true", "false"],
        "performance_optimization.optimization.strategies.provider_selection.auto_switch" => ["false"],
        "performance_optimization.optimization.strategies.parallel_processing.auto_parallelize" => ["false"],
    }
    "comparing providers at an interval of its own (every run compares them)": {
        "performance_optimization.optimization.strategies.provider_selection.evaluation_interval" => ["86400"],
    }
    "reading the arm from another column than variant": {
        "performance_optimization.experiments[].variant_column" => ["variant"],
    }
    "the live dashboard": {
        "performance_optimization.monitoring.real_time_dashboard.enabled" => ["true", "false"],
        "performance_optimization.monitoring.real_time_dashboard.refresh_interval" => ["5000"],
        "performance_optimization.monitoring.real_time_dashboard.max_data_points" => ["1000"],
    }
    "sending alerts": {
        "performance_optimization.monitoring.alerts.bottleneck_detected.severity" => ["high"],
        "performance_optimization.monitoring.alerts.bottleneck_detected.auto_escalate" => ["true", "false"],
        "performance_optimization.monitoring.alerts.bottleneck_detected.escalation_delay" => ["1800"],
        "performance_optimization.monitoring.alerts.optimization_failure.severity" => ["medium"],
        "performance_optimization.monitoring.alerts.optimization_failure.retry_attempts" => ["3"],
        "performance_optimization.monitoring.alerts.optimization_failure.retry_delay" => ["300"],
        "performance_optimization.monitoring.channels" => ["[]"],
    }
    "sending reports (`paceline report` writes one)": {
        "performance_optimization.reporting.automated_reports.enabled" => ["true", "false"],
        "performance_optimization.reporting.automated_reports.schedule" => ["0 9 * * 1"],
        "performance_optimization.reporting.automated_reports.recipients" => ["[]", "[devops@example.com]"],
    }
}

/// What the table says of a path.
pub(super) enum Found {
    /// A key that is not built.
    Key(&'static Unbuilt),
    /// A mapping in which nothing is built.
    Section,
    /// Nothing.
    Nothing,
}

/// Looks a path of the file up.
pub(super) fn find(path: &str) -> Found {
    let path = without_indices(path);
    if let Some(row) = UNBUILT.iter().find(|row| row.path == path) {
        return Found::Key(row);
    }
    if keys_below(&path).next().is_some() { Found::Section } else { Found::Nothing }
}

/// The keys right below a mapping that are in the table, or lead to one that is.
pub(super) fn keys_below(path: &str) -> impl Iterator<Item = &'static str> {
    let prefix = if path.is_empty() { String::new() } else { format!("{}.", without_indices(path)) };
    UNBUILT.iter().filter_map(move |row| row.path.strip_prefix(prefix.as_str())?.split('.').next())
}

/// `a[3].b` as `a[].b`.
fn without_indices(path: &str) -> String {
    let mut inside = false;
    let keep = |letter: &char| {
        inside = (inside || *letter == '[') && *letter != ']';
        !inside || *letter == '['
    };
    path.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_left_out() {
        assert_eq!(without_indices("a[12].b[0].c"), "a[].b[].c");
        assert!(matches!(find("performance_optimization.experiments[7].variant_column"), Found::Key(_)));
    }

    #[test]
    fn a_wholly_unbuilt_section_is_known_as_one() {
        assert!(matches!(find("performance_optimization.monitoring.real_time_dashboard"), Found::Section));
        assert!(matches!(find("performance_optimization.monitoring.dashboard"), Found::Nothing));
    }
}
