//! Executions of steps, column by column, as learning needs them.

use crate::keys::KeyStream;
use crate::outcomes::DayOutcomes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Stands for "unknown" in a column of codes.
pub const UNKNOWN: u32 = u32::MAX;

/// Strings given small numbers in order of first sight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    words: Vec<String>,
    #[serde(skip)]
    codes: HashMap<String, u32>,
}

impl Vocabulary {
    /// The code of `word`, a new one if it was not seen before.
    pub fn intern(&mut self, word: &str) -> u32 {
        if self.codes.len() != self.words.len() {
            self.codes = (0..).zip(&self.words).map(|(code, word)| (word.clone(), code)).collect();
        }
        if let Some(&code) = self.codes.get(word) {
            return code;
        }
        let code = u32::try_from(self.words.len()).unwrap_or(UNKNOWN);
        self.words.push(word.to_owned());
        self.codes.insert(word.to_owned(), code);
        code
    }

    /// The code of an optional word.
    pub fn intern_opt(&mut self, word: Option<&str>) -> u32 {
        word.map_or(UNKNOWN, |word| self.intern(word))
    }

    /// The code of a word that was seen before.
    #[must_use]
    pub fn code(&self, word: &str) -> Option<u32> {
        if self.codes.len() == self.words.len() {
            return self.codes.get(word).copied();
        }
        self.words.iter().position(|known| known == word).and_then(|at| u32::try_from(at).ok())
    }

    /// The word behind a code; none for [`UNKNOWN`].
    #[must_use]
    pub fn word(&self, code: u32) -> Option<&str> {
        self.words.get(usize::try_from(code).ok()?).map(String::as_str)
    }

    /// All words by code.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// Executions of steps that succeeded, column by column; all vectors have one length, rows are sorted by
/// `(started_us, run, step, attempt)`. NaN is unknown in measures, [`UNKNOWN`] in codes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The words behind all code columns.
    pub vocabulary: Vocabulary,
    /// Code of the workflow.
    pub workflow_id: Vec<u32>,
    /// Code of the workflow's type.
    pub workflow_type: Vec<u32>,
    /// Code of the derived step.
    pub step: Vec<u32>,
    /// Code of the step's type, or [`UNKNOWN`].
    pub step_type: Vec<u32>,
    /// Code of the provider, or [`UNKNOWN`].
    pub provider: Vec<u32>,
    /// Code of the platform, or [`UNKNOWN`].
    pub platform: Vec<u32>,
    /// 1-based try.
    pub attempt: Vec<u16>,
    /// Start of the execution; of its run where the step has no time of its own.
    pub started_us: Vec<i64>,
    /// End of the execution, when its outcome became known.
    pub ended_us: Vec<i64>,
    /// Size of the input, known before the start.
    pub input_bytes: Vec<f64>,
    /// Tokens sent in, known before the start.
    pub tokens_in: Vec<f64>,
    /// Bytes that its direct dependencies took in, known before the start.
    pub upstream_bytes: Vec<f64>,
    /// Executions of its run that come before its step, and itself, known before the start.
    pub step_count: Vec<f64>,
    /// Outcome: size of what came out.
    pub output_bytes: Vec<f64>,
    /// Outcome: how long it took.
    pub duration_ms: Vec<f64>,
    /// Outcome: peak memory.
    pub memory_mb: Vec<f64>,
    /// Outcome: CPU, 100 = one core.
    pub cpu_pct: Vec<f64>,
    /// Outcome: tokens in and out.
    pub tokens: Vec<f64>,
    /// Outcome: money.
    pub cost_usd: Vec<f64>,
    /// Outcome: bytes over the network.
    pub network_bytes: Vec<f64>,
    /// Outcome: API calls.
    pub api_calls: Vec<f64>,
    /// Memory asked for, or NaN.
    pub memory_request_mb: Vec<f64>,
    /// CPUs asked for (cores), or NaN.
    pub cpu_request: Vec<f64>,
    /// Answered from a cache: such rows never count for durations.
    pub cache_hit: Vec<bool>,
    /// Of those that are unfinished (see below): still running when last seen. Empty for others.
    pub is_running: Vec<bool>,
    /// What was asked for under a cache key, by the codes of workflow and step, for steps that have such keys.
    pub keys: BTreeMap<(u32, u32), KeyStream>,
    /// Executions that failed with their memory at the limit, in order of start.
    pub kills: Vec<Kill>,
    /// What the runs of each workflow came to, oldest day first.
    pub outcomes: Vec<DayOutcomes>,
    /// Executions that did not come to a good end, or not yet: failed, cancelled, still running. Their codes are words of
    /// the vocabulary above, theirs is empty; `duration_ms` is how long they had lasted when they ended or were last seen,
    /// `ended_us` when that was.
    pub unfinished: Option<Box<Samples>>,
}

/// A peak this near to the request is at the limit; an execution that fails there is taken to have been killed.
pub const NEAR_LIMIT: f64 = 0.95;

/// An execution that failed with its memory at the limit: a peak that is only known to have been exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kill {
    /// Code of the workflow.
    pub workflow_id: u32,
    /// Code of the workflow's type.
    pub workflow_type: u32,
    /// Code of the derived step.
    pub step: u32,
    /// 1-based try.
    pub attempt: u16,
    /// Start of the execution; of its run where the step has no time of its own.
    pub started_us: i64,
    /// How long it ran, or NaN.
    pub duration_ms: f64,
    /// What it asked for, and was killed at.
    pub memory_request_mb: f64,
}

/// How much there is to do, as far as it is known before the start; NaN is unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// Bytes of input.
    pub input_bytes: f64,
    /// Tokens sent in.
    pub tokens_in: f64,
    /// Bytes that the direct dependencies took in.
    pub upstream_bytes: f64,
    /// Executions of the run that come before this step, and itself.
    pub step_count: f64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { input_bytes: f64::NAN, tokens_in: f64::NAN, upstream_bytes: f64::NAN, step_count: f64::NAN }
    }
}

impl Samples {
    /// What was known of the sizes of one execution.
    #[must_use]
    pub fn sizes(&self, row: usize) -> Sizes {
        let at = |column: &[f64]| column.get(row).copied().unwrap_or(f64::NAN);
        Sizes {
            input_bytes: at(&self.input_bytes),
            tokens_in: at(&self.tokens_in),
            upstream_bytes: at(&self.upstream_bytes),
            step_count: at(&self.step_count),
        }
    }

    /// How many executions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.step.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.step.is_empty()
    }
}
