//! What must not be a feature: the outcomes of the very execution that is predicted.

/// Columns that are known only after an execution has ended.
pub const OUTCOMES: [&str; 11] = [
    "duration_ms",
    "ended_at",
    "status",
    "cpu_pct",
    "memory_mb",
    "output_bytes",
    "network_bytes",
    "api_calls",
    "tokens_out",
    "cost_usd",
    "cache_hit",
];

/// Why columns can't be features.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Leak {
    /// The target itself.
    #[error(
        "{target:?} is the target and can't be a feature as well: it would be predicted from itself; leave it out of \
         --features"
    )]
    Target {
        /// The column.
        target: String,
    },
    /// Outcomes of the same execution.
    #[error(
        "{} can't be a feature: it is measured while the execution runs, so it isn't known when the execution has to \
         be predicted, and a model that saw it would look better than it can be; leave it out of --features",
        .columns.join(", ")
    )]
    Outcome {
        /// The columns.
        columns: Vec<String>,
    },
}

/// Refuses features that nobody knows before the start. Case and surrounding spaces of names don't matter.
///
/// # Errors
/// [`Leak`] with the columns that leak.
pub fn refuse<S: AsRef<str>>(features: &[S], target: &str) -> Result<(), Leak> {
    let plain = |name: &str| name.trim().to_ascii_lowercase();
    if features.iter().any(|feature| plain(feature.as_ref()) == plain(target)) {
        return Err(Leak::Target { target: target.to_owned() });
    }
    let leaks = features.iter().map(AsRef::as_ref).filter(|name| OUTCOMES.contains(&plain(name).as_str()));
    let columns: Vec<String> = leaks.map(str::to_owned).collect();
    if columns.is_empty() { Ok(()) } else { Err(Leak::Outcome { columns }) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn outcomes_and_the_target_are_refused_with_their_names() {
        for outcome in OUTCOMES {
            let error = refuse(&["input_bytes", outcome], "seconds").unwrap_err();
            assert_eq!(error, Leak::Outcome { columns: vec![outcome.to_owned()] });
        }
        let sentence = refuse(&["Memory_MB ", "status"], "duration_ms").unwrap_err().to_string();
        assert!(sentence.starts_with("Memory_MB , status can't be a feature: it is measured"), "{sentence}");
        assert!(refuse(&["y"], "y").unwrap_err().to_string().contains("predicted from itself"));
        assert_eq!(refuse(&["input_bytes", "cpu_request", "tokens_in"], "duration_ms"), Ok(()));
        assert_eq!(refuse::<&str>(&[], "duration_ms"), Ok(()));
    }
}
