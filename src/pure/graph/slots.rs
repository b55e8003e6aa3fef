//! How many steps a run could execute at once: seen, fitted, or bounded.

use super::RunGraph;
use super::change::Edits;
use super::recording::{Recording, StepCodes};
use super::replay::{ReplayError, Scratch, simulate};

/// How many executions could run side by side, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Slots {
    /// The most that were seen running at once: at least as many were there.
    Observed(usize),
    /// Times are unknown; this number replays nearest to the recorded makespan.
    Fitted {
        /// The number.
        slots: usize,
        /// Replayed / recorded makespan with that number. Far from 1, the number says little.
        ratio: f64,
    },
    /// Times are unknown and even one execution at a time would have been faster than what was recorded, so that time
    /// went elsewhere: transfers, polling, queues. Anything from one slot to no limit is possible, each with what has to
    /// be added before every execution to come out at the recorded makespan.
    Overhead {
        /// With one slot.
        serial_lag_ms: f64,
        /// Without a limit.
        parallel_lag_ms: f64,
    },
    /// Neither times nor a makespan: anything from one slot to no limit.
    Unknown,
}

/// What a replay takes for granted beside the recorded run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regime {
    /// Executions at once, none for no limit.
    pub slots: Option<usize>,
    /// Time before every execution, in its slot, beside its own recorded lag.
    pub lag_ms: f64,
}

impl Regime {
    /// Slots alone.
    #[must_use]
    pub fn of_slots(slots: Option<usize>) -> Self {
        Self { slots, lag_ms: 0.0 }
    }
}

/// A fit is believed where the replay comes within 20 % of the recording.
const CREDIBLE_LOG_RATIO: f64 = 0.182_321_556_793_955; // ln 1.2

impl Slots {
    /// What to replay with: twice the same where it is known, else both bounds, one slot and no limit.
    #[must_use]
    pub fn scenarios(self) -> (Regime, Regime) {
        let bounds = |serial_ms, parallel_ms| {
            (Regime { slots: Some(1), lag_ms: serial_ms }, Regime { slots: None, lag_ms: parallel_ms })
        };
        match self {
            Self::Observed(slots) => (Regime::of_slots(Some(slots)), Regime::of_slots(Some(slots))),
            Self::Fitted { slots, ratio } if ratio.ln().abs() <= CREDIBLE_LOG_RATIO => {
                (Regime::of_slots(Some(slots)), Regime::of_slots(Some(slots)))
            }
            Self::Overhead { serial_lag_ms, parallel_lag_ms } => bounds(serial_lag_ms, parallel_lag_ms),
            Self::Fitted { .. } | Self::Unknown => bounds(0.0, 0.0),
        }
    }
}

/// The slots of a run: the largest overlap of its executions where times are known, else the count whose replay is nearest
/// to the recorded makespan, or [`Slots::Overhead`] where none comes near it from below, else [`Slots::Unknown`].
///
/// # Errors
/// As [`super::Topology::new`], and for durations that are negative or not finite.
pub fn slots(graph: &RunGraph) -> Result<Slots, ReplayError> {
    let recording = Recording::new(graph, &mut StepCodes::default())?;
    Ok(slots_of(&recording, &mut Scratch::default()))
}

pub(crate) fn slots_of(recording: &Recording, scratch: &mut Scratch) -> Slots {
    match (&recording.times, recording.recorded_ms) {
        (Some(times), _) => Slots::Observed(times.slots),
        (None, Some(recorded_ms)) => fit(recording, recorded_ms, scratch),
        (None, None) => Slots::Unknown,
    }
}

/// Bisection over the slot count, as more slots replay no slower (but for rare anomalies of list scheduling).
fn fit(recording: &Recording, recorded_ms: f64, scratch: &mut Scratch) -> Slots {
    let unchanged = Edits::default();
    let mut makespan = |slots| simulate(recording, &unchanged, Regime::of_slots(slots), scratch);
    let target_ms = recorded_ms.max(makespan(None) * (1.0 + 1e-9));
    let (mut low, mut high) = (1, recording.len().max(1));
    while low < high {
        let mid = low.midpoint(high);
        if makespan(Some(mid)) <= target_ms { high = mid } else { low = mid + 1 }
    }
    let mut ratio_of = |slots| (slots, makespan(Some(slots)) / recorded_ms);
    let (enough, one_less) = (ratio_of(low), ratio_of((low - 1).max(1)));
    let off = |(_, ratio): (usize, f64)| ratio.ln().abs();
    let (slots, ratio) = if off(one_less) < off(enough) { one_less } else { enough };
    if slots == 1 && ratio.ln() < -CREDIBLE_LOG_RATIO {
        let mut lag = |slots| lag_for(recording, recorded_ms, slots, scratch);
        return Slots::Overhead { serial_lag_ms: lag(Some(1)), parallel_lag_ms: lag(None) };
    }
    Slots::Fitted { slots, ratio }
}

/// What has to be added before every execution so that the replay takes `recorded_ms`: the makespan grows with it, by at
/// most as much as there are executions, so bisection finds it to a relative 1e-9.
fn lag_for(recording: &Recording, recorded_ms: f64, slots: Option<usize>, scratch: &mut Scratch) -> f64 {
    let (mut low, mut high) = (0.0, recorded_ms);
    while high - low > 1e-9 * recorded_ms {
        let lag_ms = low.midpoint(high);
        let makespan = simulate(recording, &Edits::default(), Regime { slots, lag_ms }, scratch);
        if makespan < recorded_ms { low = lag_ms } else { high = lag_ms }
    }
    low.midpoint(high)
}

/// Clocks round: an overlap shorter than this share of the earlier execution is none.
const CLOCK_TOLERANCE: f64 = 0.01;

/// The most executions at one instant, at least 1. `start_ms`, `durations_ms`: (n_nodes,).
pub(crate) fn observed_slots(start_ms: &[f64], durations_ms: &[f64]) -> usize {
    let events = events(start_ms, durations_ms, 1.0 - CLOCK_TOLERANCE);
    let (mut running, mut most) = (0_usize, 1);
    for (_, starts) in events {
        running = if starts { running + 1 } else { running.saturating_sub(1) };
        most = most.max(running);
    }
    most
}

/// The instants, ascending, at which all of `slots` had been busy and one came free.
pub(crate) fn saturation_ends(start_ms: &[f64], durations_ms: &[f64], slots: usize) -> Vec<f64> {
    let mut ends = Vec::new();
    let mut running = 0_usize;
    for (at, starts) in events(start_ms, durations_ms, 1.0) {
        if starts {
            running += 1;
            continue;
        }
        if running == slots {
            ends.push(at);
        }
        running = running.saturating_sub(1);
    }
    ends
}

/// Starts (true) and ends (false) by time, ends first among equals; what takes no time occupies nothing.
fn events(start_ms: &[f64], durations_ms: &[f64], shrink: f64) -> Vec<(f64, bool)> {
    let busy = start_ms.iter().zip(durations_ms).filter(|(_, duration)| **duration > 0.0);
    let mut events: Vec<_> = busy.flat_map(|(start, d)| [(*start, true), (start + d * shrink, false)]).collect();
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    events
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::examples::{empty, fork_join, timed};
    use super::*;

    #[test]
    fn overlap_counts_and_touching_does_not() {
        // a ▇▇▇▇▇      b starts as a ends, c overlaps b
        let run = timed(&[("a", 0.0, 10.0, &[]), ("b", 10.0, 10.0, &[0]), ("c", 12.0, 3.0, &[0])]);
        assert_eq!(slots(&run).unwrap(), Slots::Observed(2));
        let rounded = timed(&[("a", 0.0, 1_000.0, &[]), ("b", 999.0, 10.0, &[0])]);
        assert_eq!(slots(&rounded).unwrap(), Slots::Observed(1));
    }

    #[test]
    fn without_times_the_makespan_decides() {
        let mut run = fork_join();
        assert_eq!(slots(&run).unwrap(), Slots::Unknown);
        run.makespan_ms = Some(64.0);
        assert!(
            matches!(slots(&run).unwrap(), Slots::Fitted { slots: 1, ratio } if (ratio - 65.0 / 64.0).abs() < 1e-12)
        );
        run.makespan_ms = Some(46.0);
        assert!(matches!(slots(&run).unwrap(), Slots::Fitted { slots: 2, .. }));
    }

    #[test]
    fn a_fit_that_explains_nothing_leaves_both_bounds() {
        let mut run = fork_join();
        run.makespan_ms = Some(650.0);
        // Four executions in 65: 585 / 4 before each of them in a row, or 605 / 3 along a path of 45.
        let (serial, parallel) = slots(&run).unwrap().scenarios();
        assert_eq!((serial.slots, parallel.slots), (Some(1), None));
        assert!((serial.lag_ms - 585.0 / 4.0).abs() < 1e-6 && (parallel.lag_ms - 605.0 / 3.0).abs() < 1e-6);
        let three = Regime::of_slots(Some(3));
        assert_eq!(Slots::Observed(3).scenarios(), (three, three));
    }

    #[test]
    fn an_empty_run_has_no_slots_to_know() {
        assert_eq!(slots(&empty()).unwrap(), Slots::Unknown);
    }
}
