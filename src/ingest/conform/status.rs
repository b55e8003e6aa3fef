//! The words of other systems for how an execution ended.

use crate::tables::runs::{CANCELLED, FAILED, RUNNING, SUCCEEDED};
use polars::prelude::{BooleanChunked, NewChunkedArray, StringChunked, StringChunkedBuilder};

/// What a status word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// One of the four canonical words.
    pub word: &'static str,
    /// Whether the result came from a cache.
    pub cached: bool,
}

/// Reads a status word, whatever its case; none for an unknown one. The table is in the doc of [`super`].
#[must_use]
pub fn status(word: &str) -> Option<Status> {
    let lower = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let word = match lower.as_str() {
        "succeeded" | "success" | "successful" | "completed" | "complete" | "ok" | "passed" | "pass" | "done"
        | "finished" | "cached" | "status_code_ok" => SUCCEEDED,
        "failed" | "failure" | "fail" | "error" | "errored" | "err" | "timeout" | "timed_out" | "crashed"
        | "killed" | "oom" | "out_of_memory" | "startup_failure" | "exception" | "status_code_error" => FAILED,
        "cancelled" | "canceled" | "cancel" | "aborted" | "abort" | "stopped" | "terminated" | "revoked"
        | "skipped" | "upstream_failed" | "removed" => CANCELLED,
        "running" | "started" | "in_progress" | "inprogress" | "queued" | "pending" | "waiting" | "scheduled"
        | "submitted" | "new" | "up_for_retry" => RUNNING,
        _ => return None,
    };
    Some(Status { word, cached: lower == "cached" })
}

/// A column of status words, read.
#[derive(Debug)]
pub(super) struct Statuses {
    /// Canonical words; null where the word was null or unknown.
    pub(super) words: StringChunked,
    /// Where the word was unknown; none if nowhere.
    pub(super) unknown: Option<BooleanChunked>,
    /// Where the word said that the result was cached; none if nowhere.
    pub(super) cached: Option<BooleanChunked>,
}

/// Reads a whole column; a column that is canonical already is returned as it is.
pub(super) fn read(column: &StringChunked) -> Statuses {
    let mut words = Words::default();
    let is_canonical = column.iter().flatten().all(|word| words.get(word).is_some_and(|s| s.word == word && !s.cached));
    if is_canonical {
        return Statuses { words: column.clone(), unknown: None, cached: None };
    }
    let mut read = StringChunkedBuilder::new(column.name().clone(), column.len());
    let (mut unknown, mut cached) = (vec![false; column.len()], vec![false; column.len()]);
    for ((word, unknown), cached) in column.iter().zip(&mut unknown).zip(&mut cached) {
        let status = word.and_then(|word| words.get(word));
        *unknown = word.is_some() && status.is_none();
        *cached = status.is_some_and(|status| status.cached);
        read.append_option(status.map(|status| status.word));
    }
    Statuses { words: read.finish(), unknown: some_true(&unknown), cached: some_true(&cached) }
}

fn some_true(mask: &[bool]) -> Option<BooleanChunked> {
    mask.contains(&true).then(|| BooleanChunked::from_slice("mask".into(), mask))
}

/// A column has a handful of words: each is read once.
#[derive(Default)]
struct Words<'a>(Vec<(&'a str, Option<Status>)>);

/// Beyond this many distinct words the column holds no statuses, and looking them up would cost more than reading them.
const MAX_WORDS: usize = 64;

impl<'a> Words<'a> {
    fn get(&mut self, word: &'a str) -> Option<Status> {
        if let Some((_, known)) = self.0.iter().find(|(known, _)| *known == word) {
            return *known;
        }
        let read = status(word);
        if self.0.len() < MAX_WORDS {
            self.0.push((word, read));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn words_of_other_systems() {
        for (word, expected) in [
            ("success", SUCCEEDED),
            ("COMPLETED", SUCCEEDED),
            (" OK ", SUCCEEDED),
            ("FAILED", FAILED),
            ("error", FAILED),
            ("timed out", FAILED),
            ("ABORTED", CANCELLED),
            ("canceled", CANCELLED),
            ("in-progress", RUNNING),
        ] {
            assert_eq!(status(word), Some(Status { word: expected, cached: false }), "{word}");
        }
        assert_eq!(status("CACHED"), Some(Status { word: SUCCEEDED, cached: true }));
        assert_eq!(status("sucess"), None);
        assert_eq!(status(""), None);
    }

    #[test]
    fn a_column_keeps_nulls_and_names_the_unknown() {
        let column =
            StringChunked::from_slice_options("status".into(), &[Some("ok"), None, Some("what"), Some("cached")]);
        let read = read(&column);
        assert_eq!(read.words.iter().collect::<Vec<_>>(), [Some(SUCCEEDED), None, None, Some(SUCCEEDED)]);
        assert_eq!(read.unknown.unwrap().iter().flatten().collect::<Vec<_>>(), [false, false, true, false]);
        assert_eq!(read.cached.unwrap().iter().flatten().collect::<Vec<_>>(), [false, false, false, true]);
    }
}
