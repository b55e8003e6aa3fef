//! Which rows of any table are strange.
//!
//! Without an order in time, a row is judged beside all others: an isolation forest, and distances to the nearest of
//! few others on several scales, each trusted as far as it agrees with the forest (see `crowd`). With one, each row is
//! judged by the rows before it alone, as a stream (see `stream`). Either way the score is 0-1 and a half is where
//! anomalies begin, which ordinary rows reach about once in a thousand.

mod crowd;
mod encode;
mod neighbours;
mod past;
mod season;
mod stream;

use crate::columns::Column;
use crate::learn::tabular::Table;
use rayon::prelude::*;

/// What judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detector {
    /// The ensemble, or the stream where rows are ordered in time.
    #[default]
    Default,
    /// The isolation forest alone, blind to time.
    IsolationForest,
}

/// How to judge.
///
/// | name | default | purpose | range |
/// |---|---|---|---|
/// | `detector` | `Default` | what judges | |
/// | `seed` | 0 | seed of trees and subsamples | any |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params {
    /// What judges.
    pub detector: Detector,
    /// Seed of trees and subsamples.
    pub seed: u64,
}

/// What is said about a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// 0-1, higher is stranger, anomalies from a half on; NaN where the row could not be judged.
    pub score: f64,
    /// Whether it is an anomaly.
    pub is_anomaly: bool,
    /// Why, the strongest reason first; none for rows that are no anomaly.
    pub reasons: Vec<String>,
}

/// What could not be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// A column, a group, or rows.
    pub subject: String,
    /// Why, with the numbers.
    pub reason: String,
}

/// A group with fewer rows has no normal.
pub const MIN_ROWS: usize = 10;

impl Verdict {
    fn unknown() -> Self {
        Self { score: f64::NAN, ..Self::default() }
    }
}

/// Judges every row of `table`, within its group where there is one, in order of `seconds` where there are any. What
/// can't be judged is told: constant columns, groups with fewer than [`MIN_ROWS`] rows, rows of unknown group or time.
#[must_use]
pub fn judge(table: &Table, params: &Params) -> (Vec<Verdict>, Vec<Unjudged>) {
    let mut verdicts = vec![Verdict::unknown(); table.n_rows];
    let mut unjudged = Vec::new();
    let groups = groups(table, &mut unjudged);
    let judged: Vec<(Vec<Verdict>, Vec<Unjudged>)> =
        groups.par_iter().map(|(name, rows)| judge_group(table, name.as_deref(), rows, params)).collect();
    for ((_, rows), (said, skips)) in groups.iter().zip(judged) {
        for (&row, verdict) in rows.iter().zip(said) {
            verdicts.get_mut(row).into_iter().for_each(|slot| slot.clone_from(&verdict));
        }
        unjudged.extend(skips);
    }
    (verdicts, unjudged)
}

/// Rows by group in their order; of unknown ones it is told.
fn groups(table: &Table, unjudged: &mut Vec<Unjudged>) -> Vec<(Option<String>, Vec<usize>)> {
    let mut tell = |subject: &str, n: usize, reason: &str| {
        if n > 0 {
            unjudged.push(Unjudged { subject: subject.to_owned(), reason: format!("{n} rows {reason}") });
        }
    };
    let mut rows: Vec<usize> = (0..table.n_rows).collect();
    if let Some(seconds) = &table.seconds {
        let second = |row: &usize| seconds.get(*row).copied().unwrap_or(f64::NAN);
        rows.retain(|row| second(row).is_finite());
        rows.sort_by(|a, b| second(a).total_cmp(&second(b)));
        tell("time", table.n_rows - rows.len(), "have no time and are not judged");
    }
    let Some(words) = &table.group else { return vec![(None, rows)] };
    let mut by_group: Vec<(Option<String>, Vec<usize>)> =
        words.words.iter().map(|word| (Some(word.clone()), Vec::new())).collect();
    let mut n_unknown = 0;
    for row in rows {
        let code = words.codes.get(row).and_then(|&code| usize::try_from(code).ok());
        match code.and_then(|code| by_group.get_mut(code)) {
            Some((_, rows)) => rows.push(row),
            None => n_unknown += 1,
        }
    }
    tell("group", n_unknown, "have no group and are not judged");
    by_group
}

fn judge_group(table: &Table, name: Option<&str>, rows: &[usize], params: &Params) -> (Vec<Verdict>, Vec<Unjudged>) {
    let of_group = |subject: &str| match name {
        Some(name) if subject.is_empty() => format!("group {name:?}"),
        Some(name) => format!("group {name:?}, {subject}"),
        None if subject.is_empty() => "all rows".to_owned(),
        None => subject.to_owned(),
    };
    if rows.len() < MIN_ROWS {
        let reason = format!("needs {MIN_ROWS} rows, found {}", rows.len());
        return (vec![Verdict::unknown(); rows.len()], vec![Unjudged { subject: of_group(""), reason }]);
    }
    let (verdicts, mut skips) = match (&table.seconds, params.detector) {
        (Some(_), Detector::Default) => stream::judge(&table.features, rows),
        _ => crowd::judge(&table.features, rows, params),
    };
    for skip in &mut skips {
        skip.subject = of_group(&skip.subject);
    }
    (verdicts, skips)
}

/// The numbers of a column in the given rows; NaN where it holds none.
fn numbers(values: &[f64], rows: &[usize]) -> Vec<f64> {
    let finite = |v: f64| if v.is_finite() { v } else { f64::NAN };
    rows.iter().map(|&row| values.get(row).copied().map_or(f64::NAN, finite)).collect()
}

/// A column, by name.
type Feature = (String, Column);

/// A number with the digits that matter.
fn digits(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 1e15 || (size > 0.0 && size < 1e-4) => format!("{value:.3e}"),
        _ if size >= 1000.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests;
