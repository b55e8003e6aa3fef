//! Runs made ready to be replayed together: their slots, their order, and how they went unchanged.

use super::change::Edits;
use super::recording::Recording;
use super::replay::{Scratch, simulate};
use super::slots::{Regime, slots_of};

/// One run of an ensemble, unchanged and changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunReplay<'a> {
    /// The run.
    pub run_id: &'a str,
    /// Slots of the changed replay, none for no limit.
    pub slots: Option<usize>,
    /// Recorded end-to-end time, if it is known.
    pub recorded_ms: Option<f64>,
    /// Replayed without changes.
    pub replayed_ms: f64,
    /// Replayed with them.
    pub changed_ms: f64,
}

#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) run_id: String,
    pub(super) recording: Recording,
    /// The same run with every dependency that is possible, where they were not declared.
    pub(super) held_most: Option<Recording>,
    /// One scenario, or both bounds where slots or dependencies are unknown.
    pub(super) scenarios: [Scenario; 2],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) regime: Regime,
    /// Replayed without changes.
    pub(super) base_ms: f64,
    /// The longer of recorded and replayed: a saving is never a share of less than either.
    pub(super) end_to_end_ms: f64,
}

/// Slots explain how a run went where its replay comes as near as this to the recording.
pub(super) const EXPLAINED_RATIO: f64 = 1.05;

impl Scenario {
    fn new(recording: &Recording, regime: Regime, scratch: &mut Scratch) -> Self {
        let base_ms = simulate(recording, &Edits::default(), regime, scratch);
        Self { regime, base_ms, end_to_end_ms: base_ms.max(recording.recorded_ms.unwrap_or(0.0)) }
    }

    /// With the slots that were seen. Where these don't explain how the run went (a cluster's queue is shared with others, and
    /// its machines come and go), its waits are kept as they were.
    fn observed(recording: &mut Recording, scratch: &mut Scratch) -> Self {
        let by_slots = Self::new(recording, Regime::of_slots(Some(recording.slots)), scratch);
        let off = recording.recorded_ms.map_or(0.0, |ms| (by_slots.base_ms / ms).ln().abs());
        if off <= EXPLAINED_RATIO.ln() {
            return by_slots;
        }
        recording.keep_waits();
        Self::new(recording, Regime::of_slots(None), scratch)
    }
}

impl Prepared {
    pub(super) fn new(
        run_id: String,
        mut recording: Recording,
        mut held_most: Option<Recording>,
        scratch: &mut Scratch,
    ) -> Self {
        if recording.times.is_some() {
            let shown = Scenario::observed(&mut recording, scratch);
            let possible = held_most.as_mut().map(|recording| Scenario::observed(recording, scratch));
            return Self { run_id, recording, held_most, scenarios: [shown, possible.unwrap_or(shown)] };
        }
        let (low, high) = slots_of(&recording, scratch).scenarios();
        let scenarios = [low, high].map(|regime| Scenario::new(&recording, regime, scratch));
        Self { run_id, recording, held_most, scenarios }
    }

    fn recording_at(&self, at: usize) -> &Recording {
        self.held_most.as_ref().filter(|_| at == 1).unwrap_or(&self.recording)
    }

    pub(super) fn saved(&self, at: usize, edits: &Edits, scratch: &mut Scratch) -> (f64, f64) {
        let scenario = self.scenarios[at];
        let slots = edits.slots.unwrap_or(scenario.regime.slots);
        let changed_ms = simulate(self.recording_at(at), edits, Regime { slots, ..scenario.regime }, scratch);
        (scenario.base_ms - changed_ms, scenario.end_to_end_ms)
    }

    pub(super) fn told(&self, at: usize, saved_ms: f64, edits: &Edits) -> RunReplay<'_> {
        let Scenario { regime, base_ms, .. } = self.scenarios[at];
        RunReplay {
            run_id: &self.run_id,
            slots: edits.slots.unwrap_or(regime.slots),
            recorded_ms: self.recording.recorded_ms,
            replayed_ms: base_ms,
            changed_ms: base_ms - saved_ms,
        }
    }
}

/// What runs have in common: their turns, slots and order.
pub(super) fn settle(recordings: &mut [(String, Recording)], scratch: &mut Scratch) {
    recordings.iter_mut().enumerate().for_each(|(turn, (_, recording))| recording.turn = turn);
    share_slots(recordings.iter_mut().map(|(_, recording)| recording));
    choose_order(recordings.iter_mut().map(|(_, recording)| recording), scratch);
}

/// The slots belong to the workflow's surroundings, not to one run: what one run used was there for the others.
pub(super) fn share_slots<'a>(recordings: impl IntoIterator<Item = &'a mut Recording>) {
    let recordings: Vec<&mut Recording> = recordings.into_iter().collect();
    let most = recordings.iter().filter_map(|run| run.times.as_ref()).map(|times| times.slots).max().unwrap_or(1);
    for recording in recordings {
        recording.split_waits(most);
    }
}

/// Whoever is ready first goes first, if that replays the recorded starts of most runs as well as their own order does, within
/// [`ORDER_TOLERANCE`] of the run on average: a rule goes on to hold when durations change, an order may not.
pub(super) fn choose_order<'a>(recordings: impl IntoIterator<Item = &'a mut Recording>, scratch: &mut Scratch) {
    let mut timed: Vec<&mut Recording> = recordings.into_iter().filter(|run| run.times.is_some()).collect();
    let n_alike = timed.iter_mut().filter_map(|run| comes_first(run, scratch)).filter(|alike| *alike).count();
    let rule_holds = 2 * n_alike >= timed.len();
    timed.into_iter().for_each(|run| run.first_come = rule_holds);
}

const ORDER_TOLERANCE: f64 = 0.01;

fn comes_first(run: &mut Recording, scratch: &mut Scratch) -> Option<bool> {
    let regime = Regime::of_slots(Some(run.slots));
    let mut off = |run: &Recording| {
        let makespan_ms = simulate(run, &Edits::default(), regime, scratch);
        let recorded = &run.times.as_ref()?.start_ms;
        let distance = |(replayed, recorded): (&f64, &f64)| (replayed - recorded).abs();
        let sum: f64 = scratch.starts_ms.iter().zip(recorded).map(distance).sum();
        Some(sum / run.len() as f64 / makespan_ms.max(f64::MIN_POSITIVE))
    };
    run.first_come = false;
    let by_order = off(run)?;
    run.first_come = true;
    Some(off(run)? <= by_order + ORDER_TOLERANCE)
}
