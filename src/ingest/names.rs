//! What a file doesn't say about itself: ids and times from the caller, else from its name.

use super::time;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// Digits that a trailing number needs to be the number of a run (`…-001`) rather than part of a name (`…-v2`).
const RUN_NUMBER_DIGITS: usize = 3;

/// What the dialects of single runs take for what a file doesn't say.
#[derive(Debug, Clone, PartialEq)]
pub struct Names {
    /// The run.
    pub run_id: String,
    /// Its workflow.
    pub workflow_id: String,
    /// When the run started, if its file records no time.
    pub started_at: Option<i64>,
    /// Zone of times that state none.
    pub zone: Tz,
}

/// What the caller says for all files of a source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides<'a> {
    /// Workflow of every file.
    pub workflow_id: Option<&'a str>,
    /// Run of the one file.
    pub run_id: Option<&'a str>,
    /// Start of runs whose files record no time.
    pub started_at: Option<DateTime<Utc>>,
    /// Zone of times that state none; UTC if not given.
    pub zone: Option<Tz>,
}

impl Names {
    /// The run is called as the file, without folder and ending; its workflow too, without a time or a run number of
    /// three digits or more at the end, which tell runs of one workflow apart.
    #[must_use]
    pub fn of(path: &str, overrides: Overrides<'_>) -> Self {
        let stem = stem(path);
        let zone = overrides.zone.unwrap_or(Tz::UTC);
        let stamp = time::stamp_in_name(stem);
        Self {
            run_id: overrides.run_id.unwrap_or(stem).to_owned(),
            workflow_id: overrides.workflow_id.unwrap_or_else(|| workflow(stem, stamp.map(|(at, _)| at))).to_owned(),
            started_at: overrides
                .started_at
                .map(|instant| instant.timestamp_micros())
                .or_else(|| time::in_zone(stamp?.1, zone)),
            zone,
        }
    }
}

/// The file name without folder and ending.
#[must_use]
pub fn stem(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    match name.rfind('.') {
        Some(dot) if dot > 0 && name != ".." => name.get(..dot).unwrap_or(name),
        _ => name,
    }
}

fn workflow(stem: &str, stamp: Option<usize>) -> &str {
    let separators = ['-', '_', '.', ' '];
    let untimed = stamp.and_then(|at| stem.get(..at)).unwrap_or(stem);
    let unnumbered = untimed.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let is_run_number = untimed.len() - unnumbered.len() >= RUN_NUMBER_DIGITS && unnumbered.ends_with(separators);
    let workflow = if is_run_number { unnumbered } else { untimed }.trim_end_matches(separators);
    if workflow.is_empty() { stem } else { workflow }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_workflow_share_its_name() {
        let workflow = |path| Names::of(path, Overrides::default()).workflow_id;
        assert_eq!(workflow("a/1000genome-chameleon-2ch-100k-001.json"), "1000genome-chameleon-2ch-100k");
        assert_eq!(workflow("execution_trace_2023-04-10_10-09-42.txt"), "execution_trace");
        assert_eq!(workflow("trace_rnaseq.csv"), "trace_rnaseq");
        assert_eq!(workflow("model-v2.txt"), "model-v2");
        assert_eq!(workflow("2023-04-10_10-09-42.txt"), "2023-04-10_10-09-42");
        assert_eq!(workflow("001"), "001");
        assert_eq!(workflow(".."), "..");
    }

    #[test]
    fn what_the_caller_says_wins() {
        let overrides = Overrides { workflow_id: Some("w"), run_id: Some("r"), ..Overrides::default() };
        let names = Names::of("x_2023-04-10_10-09-42.txt", overrides);
        assert_eq!((names.run_id.as_str(), names.workflow_id.as_str()), ("r", "w"));
        assert_eq!(names.started_at, time::parse_instant("2023-04-10T10:09:42Z"));
    }
}
