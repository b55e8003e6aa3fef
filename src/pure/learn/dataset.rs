//! Executions of one workflow type as a regression sees them: what is known before the start, and one outcome.

use crate::samples::{Samples, Sizes, UNKNOWN};
use crate::units::{DAY_US, HOUR_US};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Hours of a week, the buckets of the weekly profile.
pub const HOURS_OF_WEEK: usize = 168;

/// How many sizes may bend an outcome.
pub const N_SIZES: usize = 4;
/// Their names: first those of the execution itself, then what lies before it in its run.
pub const SIZES: [&str; N_SIZES] = ["input_bytes", "tokens_in", "upstream_bytes", "step_count"];
/// The first so many are the execution's own.
pub(crate) const N_OWN_SIZES: usize = 2;

/// An outcome that can be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// How long an execution takes.
    DurationMs,
    /// Its peak memory.
    MemoryMb,
    /// What it costs.
    CostUsd,
    /// Tokens in and out.
    Tokens,
}

impl Target {
    /// All of them, in published order.
    pub const ALL: [Self; 4] = [Self::DurationMs, Self::MemoryMb, Self::CostUsd, Self::Tokens];

    /// The name of the column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DurationMs => "duration_ms",
            Self::MemoryMb => "memory_mb",
            Self::CostUsd => "cost_usd",
            Self::Tokens => "tokens",
        }
    }

    /// The outcomes of all samples.
    #[must_use]
    pub fn column(self, samples: &Samples) -> &[f64] {
        match self {
            Self::DurationMs => &samples.duration_ms,
            Self::MemoryMb => &samples.memory_mb,
            Self::CostUsd => &samples.cost_usd,
            Self::Tokens => &samples.tokens,
        }
    }
}

/// Which facts known before the start are used; all are on by default. Outcomes are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Features {
    /// Bytes of input, with a slope for each step.
    pub input_bytes: bool,
    /// Tokens sent in, with a slope for each step.
    pub tokens_in: bool,
    /// Bytes that the direct dependencies took in, with a slope for each step that shows one.
    pub upstream_bytes: bool,
    /// Executions of the run before the step, with a slope for each step that shows one.
    pub step_count: bool,
    /// The type of the step: what an unseen step borrows from.
    pub step_type: bool,
    /// The provider.
    pub provider: bool,
    /// The platform.
    pub platform: bool,
    /// First try or a retry.
    pub attempt: bool,
    /// Hour of the week, in UTC.
    pub hour_of_week: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            input_bytes: true,
            tokens_in: true,
            upstream_bytes: true,
            step_count: true,
            step_type: true,
            provider: true,
            platform: true,
            attempt: true,
            hour_of_week: true,
        }
    }
}

/// The bucket of the weekly profile that an instant falls into; 0 is Monday 00:00 UTC.
#[must_use]
pub fn hour_of_week(started_us: i64) -> u8 {
    // The epoch was a Thursday.
    let hour = (started_us.div_euclid(HOUR_US) + 3 * (DAY_US / HOUR_US)).rem_euclid(168);
    u8::try_from(hour).unwrap_or(0)
}

/// The logarithm of a size; NaN where it is unknown or not positive.
#[must_use]
pub fn log_size(size: f64) -> f64 {
    if size > 0.0 && size.is_finite() { size.ln() } else { f64::NAN }
}

impl Features {
    /// Logarithms of the sizes that are used, in the order of [`SIZES`].
    #[must_use]
    pub fn log_sizes(&self, sizes: &Sizes) -> [f64; N_SIZES] {
        let log = |on: bool, size: f64| if on { log_size(size) } else { f64::NAN };
        [
            log(self.input_bytes, sizes.input_bytes),
            log(self.tokens_in, sizes.tokens_in),
            log(self.upstream_bytes, sizes.upstream_bytes),
            log(self.step_count, sizes.step_count),
        ]
    }
}

/// A column of codes, numbered anew from 0 in order of first sight.
#[derive(Debug, Default)]
pub(crate) struct Coded {
    /// The vocabulary's code by local number.
    pub(crate) codes: Vec<u32>,
    /// Local number of each row, [`UNKNOWN`] where the code is unknown.
    pub(crate) of_row: Vec<u32>,
    numbers: HashMap<u32, u32>,
}

impl Coded {
    fn push(&mut self, code: u32) -> u32 {
        let number = if code == UNKNOWN {
            UNKNOWN
        } else {
            *self.numbers.entry(code).or_insert_with(|| {
                self.codes.push(code);
                u32::try_from(self.codes.len() - 1).unwrap_or(UNKNOWN)
            })
        };
        self.of_row.push(number);
        number
    }
}

/// Executions of one workflow type with a usable outcome, sorted by start; all columns have one length.
#[derive(Debug, Default)]
pub(crate) struct Dataset {
    /// Steps, by local number.
    pub(crate) step: Coded,
    /// Code of the type of each step.
    pub(crate) step_type: Vec<u32>,
    pub(crate) provider: Coded,
    pub(crate) platform: Coded,
    pub(crate) retry: Vec<bool>,
    pub(crate) hour: Vec<u8>,
    /// Logarithms of the sizes, NaN where unknown or switched off.
    pub(crate) size: Vec<[f32; N_SIZES]>,
    pub(crate) started_us: Vec<i64>,
    pub(crate) ended_us: Vec<i64>,
    /// Logarithm of the outcome.
    pub(crate) log_y: Vec<f64>,
    /// Whether the outcome is only known to be larger than that.
    pub(crate) censored: Vec<bool>,
    /// Position of each row in the samples; of a censored one, in the unfinished ones.
    pub(crate) rows: Vec<u32>,
}

impl Dataset {
    /// How many executions.
    pub(crate) fn len(&self) -> usize {
        self.log_y.len()
    }

    /// The executions among `rows` (positions in `samples`, by start) whose outcome is known and positive. Executions
    /// answered from a cache are left out; so are steps most of whose outcomes are zero, for which a logarithm has no
    /// meaning.
    pub(crate) fn new(samples: &Samples, rows: &[u32], target: Target, features: Features) -> Self {
        let outcome = target.column(samples);
        let zeros = mostly_zero_steps(samples, rows, outcome);
        let log_outcome = |row: usize| {
            let y = outcome.get(row).copied().filter(|y| *y > 0.0 && y.is_finite())?;
            samples.step.get(row).is_some_and(|step| !zeros.contains(step)).then(|| y.ln())
        };
        Self::with_outcome(samples, rows, features, log_outcome)
    }

    /// The executions among `rows` that were not answered from a cache and for which `outcome` gives a value.
    pub(crate) fn with_outcome(
        samples: &Samples,
        rows: &[u32],
        features: Features,
        outcome: impl Fn(usize) -> Option<f64>,
    ) -> Self {
        let mut out = Self::default();
        for &number in rows {
            let row = number as usize;
            let known_step = samples.step.get(row).is_some_and(|&step| step != UNKNOWN);
            if let (true, false, Some(y)) = (known_step, is_cached(samples, row), outcome(row)) {
                out.push(samples, row, y, features);
                out.rows.push(number);
            }
        }
        out.censored = vec![false; out.len()];
        out
    }

    /// Of durations, the same with executions that did not come to a good end: all that is known
    /// of it is that it would have been longer. Those that were known by `before_us` are put among the others by start.
    pub(crate) fn with_unfinished(
        mut self,
        samples: &Samples,
        rows: &[u32],
        features: Features,
        before_us: i64,
    ) -> Self {
        let group = rows.first().and_then(|&row| samples.workflow_type.get(row as usize));
        let Some(unfinished) = samples.unfinished.as_deref().filter(|_| group.is_some()) else { return self };
        let is_known = |step: Option<&u32>| step.is_some_and(|step| self.step.numbers.contains_key(step));
        let of_group = |row: &usize| {
            let was_known = unfinished.ended_us.get(*row).is_some_and(|&end| end < before_us);
            was_known && unfinished.workflow_type.get(*row) == group && is_known(unfinished.step.get(*row))
        };
        let chosen: Vec<usize> = (0..unfinished.len()).filter(of_group).collect();
        for row in chosen {
            let lasted = unfinished.duration_ms.get(row).copied().unwrap_or(f64::NAN);
            if lasted > 0.0 && lasted.is_finite() {
                self.push(unfinished, row, lasted.ln(), features);
                self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
        self.censored.resize(self.len(), true);
        self.by_start()
    }

    fn by_start(self) -> Self {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&row| self.started_us.get(row).copied());
        fn taken<T: Copy>(column: &[T], order: &[usize]) -> Vec<T> {
            order.iter().filter_map(|&row| column.get(row).copied()).collect()
        }
        let coded = |column: Coded| Coded { of_row: taken(&column.of_row, &order), ..column };
        Self {
            retry: taken(&self.retry, &order),
            hour: taken(&self.hour, &order),
            size: taken(&self.size, &order),
            started_us: taken(&self.started_us, &order),
            ended_us: taken(&self.ended_us, &order),
            log_y: taken(&self.log_y, &order),
            censored: taken(&self.censored, &order),
            rows: taken(&self.rows, &order),
            step: coded(self.step),
            step_type: self.step_type,
            provider: coded(self.provider),
            platform: coded(self.platform),
        }
    }

    /// Whether the outcome of a row is only known to be larger than what stands there.
    pub(crate) fn is_censored(&self, row: usize) -> bool {
        self.censored.get(row) == Some(&true)
    }

    /// How many outcomes are known.
    pub(crate) fn n_known(&self) -> usize {
        self.len() - self.censored.iter().filter(|censored| **censored).count()
    }

    fn push(&mut self, samples: &Samples, row: usize, log_y: f64, features: Features) {
        let code = |on: bool, column: &[u32]| if on { column.get(row).copied().unwrap_or(UNKNOWN) } else { UNKNOWN };
        let started_us = samples.started_us.get(row).copied().unwrap_or_default();
        let step = self.step.push(code(true, &samples.step)) as usize;
        if step == self.step_type.len() {
            self.step_type.push(code(features.step_type, &samples.step_type));
        }
        self.provider.push(code(features.provider, &samples.provider));
        self.platform.push(code(features.platform, &samples.platform));
        self.retry.push(features.attempt && samples.attempt.get(row).is_some_and(|&attempt| attempt > 1));
        self.hour.push(if features.hour_of_week { hour_of_week(started_us) } else { 0 });
        self.size.push(features.log_sizes(&samples.sizes(row)).map(single));
        self.started_us.push(started_us);
        self.ended_us.push(samples.ended_us.get(row).copied().unwrap_or(started_us));
        self.log_y.push(log_y);
    }

    /// Positions sorted by end: the order in which outcomes become known.
    pub(crate) fn by_end(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..).take(self.len()).collect();
        order.sort_by_key(|&row| self.ended_us.get(row as usize).copied());
        order
    }
}

/// Something that happens while a history is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The execution starts: now it must be predicted.
    Started(usize),
    /// The execution has ended: its outcome is known.
    Ended(usize),
}

/// Starts in order, each after all ends that lie strictly before it; last the ends that no start follows.
pub(crate) fn events(data: &Dataset) -> impl Iterator<Item = Event> {
    let by_end = data.by_end();
    let (mut started, mut ended) = (0, 0);
    std::iter::from_fn(move || {
        let next_end = by_end.get(ended).map(|&row| row as usize);
        let end_us = next_end.and_then(|row| data.ended_us.get(row));
        let end_first = match (data.started_us.get(started), end_us) {
            (Some(start_us), Some(end_us)) => end_us < start_us,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => return None,
        };
        if end_first {
            ended += 1;
            next_end.map(Event::Ended)
        } else {
            started += 1;
            Some(Event::Started(started - 1))
        }
    })
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits of a logarithm are plenty, and halve the memory")]
fn single(value: f64) -> f32 {
    value as f32
}

pub(crate) fn is_cached(samples: &Samples, row: usize) -> bool {
    samples.cache_hit.get(row).copied().unwrap_or(false)
}

/// Steps more than half of whose known outcomes are zero.
pub(crate) fn mostly_zero_steps(samples: &Samples, rows: &[u32], outcome: &[f64]) -> HashSet<u32> {
    let mut counts: HashMap<u32, (u64, u64)> = HashMap::new();
    for row in rows.iter().map(|&row| row as usize) {
        let (Some(&y), Some(&step)) = (outcome.get(row), samples.step.get(row)) else { continue };
        if y.is_finite() && !is_cached(samples, row) {
            let (zeros, known) = counts.entry(step).or_default();
            *zeros += u64::from(y <= 0.0);
            *known += 1;
        }
    }
    counts.into_iter().filter(|(_, (zeros, known))| 2 * zeros > *known).map(|(step, _)| step).collect()
}

/// Positions of the executions of each workflow type, by name, in the order of `samples`.
#[must_use]
pub fn groups(samples: &Samples) -> BTreeMap<&str, Vec<u32>> {
    let mut by_code: HashMap<u32, Vec<u32>> = HashMap::new();
    for (row, &code) in (0_u32..).zip(&samples.workflow_type) {
        by_code.entry(code).or_default().push(row);
    }
    by_code.into_iter().filter_map(|(code, rows)| Some((samples.vocabulary.word(code)?, rows))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_starts_on_monday_midnight() {
        let monday_us = 1_767_571_200_000_000; // 2026-01-05T00:00:00Z
        assert_eq!(hour_of_week(monday_us), 0);
        assert_eq!(hour_of_week(monday_us - 1), 167);
        assert_eq!(hour_of_week(monday_us + 25 * HOUR_US), 25);
        assert_eq!(hour_of_week(0), 72);
        assert!(usize::from(hour_of_week(i64::MIN)) < HOURS_OF_WEEK);
    }

    #[test]
    fn an_outcome_is_known_only_after_its_end() {
        let columns = |started_us: &[i64], ended_us: &[i64]| Dataset {
            started_us: started_us.to_vec(),
            ended_us: ended_us.to_vec(),
            log_y: vec![0.0; started_us.len()],
            ..Dataset::default()
        };
        let order: Vec<Event> = events(&columns(&[0, 5, 9], &[9, 6, 9])).collect();
        let (started, ended) = (Event::Started, Event::Ended);
        assert_eq!(order, [started(0), started(1), ended(1), started(2), ended(0), ended(2)]);
        assert_eq!(events(&Dataset::default()).count(), 0);
    }

    #[test]
    fn sizes_that_are_none_have_no_logarithm() {
        assert!([0.0, -1.0, f64::NAN, f64::INFINITY].iter().all(|&size| log_size(size).is_nan()));
    }
}
