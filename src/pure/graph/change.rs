//! What is changed before a replay, and what that makes of single steps.

use super::recording::{Recording, StepCodes};
use super::replay::ReplayError;
use std::sync::Arc;

/// What is changed before a replay. `step` is the derived step; a step that a run doesn't have changes nothing in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Multiplies the durations of a step by `factor`, without the pauses between its tries; several on one step multiply.
    Speedup {
        /// The step.
        step: Arc<str>,
        /// 0.5 halves its durations.
        factor: f64,
    },
    /// In a share of the runs, evenly over them, the step is answered from a cache: it takes no slot and only the look-up,
    /// which the other runs pay as well. Several such steps are answered in the same runs, as far as their shares go: where
    /// an input comes again it does so for all steps.
    Cached {
        /// The step.
        step: Arc<str>,
        /// The share that is answered, 0-1.
        share: f64,
        /// How long a look-up takes.
        lookup_ms: f64,
    },
    /// The step's last tries are its first: the time before they began, pauses included, is gone.
    FirstTry {
        /// The step.
        step: Arc<str>,
    },
    /// Multiplies those durations of a step that exceed `above_ms` by `factor`, but not to less than `above_ms`. The latest
    /// such change of a step counts.
    Tail {
        /// The step.
        step: Arc<str>,
        /// Shorter executions stay as they are.
        above_ms: f64,
        /// 0.5 halves the durations of the longer ones.
        factor: f64,
    },
    /// Of the step's tries before the last one, the longest is given up after so long. The shortest limit on a step counts.
    Timeout {
        /// The step.
        step: Arc<str>,
        /// The limit.
        ms: f64,
    },
    /// The step takes no time, no slot, and no lag.
    Remove {
        /// The step.
        step: Arc<str>,
    },
    /// The step no longer waits, once it is ready and a slot is free.
    StartWhenReady {
        /// The step.
        step: Arc<str>,
    },
    /// Another number of slots; none for no limit.
    Slots(Option<usize>),
    /// Of the steps that wait, the one with the longest remaining path goes first (Topcuoglu's upward rank), judged by the
    /// mean duration of each step in the run.
    LongestFirst,
}

/// Changes with names resolved to step codes. Steps beyond the vectors are unchanged, so the default changes nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edits {
    steps: Vec<StepEdit>,
    pub(crate) slots: Option<Option<usize>>,
    pub(super) longest_first: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct StepEdit {
    factor: f64,
    pub(super) answered: f64,
    pub(super) lookup_ms: f64,
    /// Longer durations than the first number are multiplied by the second.
    tail: (f64, f64),
    timeout_ms: f64,
    pub(super) keeps_lag: bool,
    keeps_tries: bool,
    pub(super) removed: bool,
}

const UNCHANGED: StepEdit = StepEdit {
    factor: 1.0,
    answered: 0.0,
    lookup_ms: 0.0,
    tail: (f64::INFINITY, 1.0),
    timeout_ms: f64::INFINITY,
    keeps_lag: true,
    keeps_tries: true,
    removed: false,
};

impl StepEdit {
    /// How long a node that is not gone takes, pauses between its tries included.
    pub(super) fn span_ms(&self, recording: &Recording, id: usize) -> f64 {
        let whole = recording.durations_ms[id];
        let (paused, work) = match self.keeps_tries {
            true => {
                let paused = recording.paused_ms[id];
                let beyond = (recording.longest_retried_ms[id] - self.timeout_ms).max(0.0);
                (paused, (whole - paused - beyond).max(0.0))
            }
            false => (0.0, whole - recording.retried_ms[id]),
        };
        let (above, factor) = self.tail;
        let work = if work > above { (factor * work).max(above) } else { work };
        paused + self.factor * work
    }
}

impl Edits {
    pub(crate) fn new(changes: &[Change], codes: &StepCodes) -> Result<Self, ReplayError> {
        let mut edits = Self { steps: vec![UNCHANGED; codes.names().len()], ..Self::default() };
        for change in changes {
            match change {
                Change::Speedup { step, factor } | Change::Tail { step, factor, .. }
                    if !(factor.is_finite() && *factor >= 0.0) =>
                {
                    return Err(ReplayError::Factor { step: step.to_string(), factor: *factor });
                }
                Change::Speedup { step, factor } => edits.edit(codes.code(step), |edit| edit.factor *= factor),
                Change::Cached { step, share, lookup_ms }
                    if !((0.0..=1.0).contains(share) && lookup_ms.is_finite() && *lookup_ms >= 0.0) =>
                {
                    return Err(ReplayError::Cached { step: step.to_string(), share: *share, lookup_ms: *lookup_ms });
                }
                Change::Cached { step, share, lookup_ms } => edits.edit(codes.code(step), |edit| {
                    edit.answered = edit.answered.max(*share);
                    edit.lookup_ms = edit.lookup_ms.max(*lookup_ms);
                }),
                Change::Tail { step, above_ms: ms, .. } | Change::Timeout { step, ms }
                    if !(ms.is_finite() && *ms >= 0.0) =>
                {
                    return Err(ReplayError::Limit { step: step.to_string(), ms: *ms });
                }
                Change::Tail { step, above_ms, factor } => {
                    edits.edit(codes.code(step), |edit| edit.tail = (*above_ms, *factor));
                }
                Change::Timeout { step, ms } => {
                    edits.edit(codes.code(step), |edit| edit.timeout_ms = edit.timeout_ms.min(*ms));
                }
                Change::FirstTry { step } => edits.edit(codes.code(step), |edit| edit.keeps_tries = false),
                Change::Remove { step } => edits.edit(codes.code(step), |edit| edit.removed = true),
                Change::StartWhenReady { step } => edits.edit(codes.code(step), |edit| edit.keeps_lag = false),
                Change::Slots(Some(0)) => return Err(ReplayError::NoSlots),
                Change::Slots(slots) => edits.slots = Some(*slots),
                Change::LongestFirst => edits.longest_first = true,
            }
        }
        Ok(edits)
    }

    fn edit(&mut self, code: Option<u32>, how: impl FnOnce(&mut StepEdit)) {
        if let Some(edit) = code.and_then(|code| self.steps.get_mut(code as usize)) {
            how(edit);
        }
    }

    pub(super) fn of(&self, step: u32) -> StepEdit {
        self.steps.get(step as usize).copied().unwrap_or(UNCHANGED)
    }
}
