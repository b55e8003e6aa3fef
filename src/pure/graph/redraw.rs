//! Recorded runs replayed with other durations: how long a run like them would take.

use super::RunGraph;
use super::change::Edits;
use super::prepared::{choose_order, share_slots};
use super::recording::{Recording, StepCodes};
use super::replay::{Scratch, simulate};
use super::slots::{Regime, Slots, slots_of};

/// One recorded run whose replay comes back to its recording, ready to be replayed with durations of its own.
#[derive(Debug, Clone)]
pub struct Redraw {
    recording: Recording,
    regime: Regime,
    /// Recorded over replayed end-to-end time: what replay can't explain is taken to stay.
    unexplained: f64,
}

impl Redraw {
    /// Prepares runs of one workflow: for each of `graphs` what can be replayed of it, none where dependencies were not
    /// declared, no end-to-end time was recorded, or no number of slots comes near it. Slots that one run was seen to
    /// use were there for the others, so only runs that were known together belong in one call.
    #[must_use]
    pub fn of(graphs: &[&RunGraph]) -> Vec<Option<Self>> {
        let mut codes = StepCodes::default();
        let prepare = |graph: &&RunGraph| Recording::new(graph, &mut codes).ok().filter(|run| run.len() > 0);
        let mut recordings: Vec<Option<Recording>> = graphs.iter().map(prepare).collect();
        share_slots(recordings.iter_mut().flatten());
        let mut scratch = Scratch::default();
        choose_order(recordings.iter_mut().flatten(), &mut scratch);
        recordings.into_iter().map(|recording| Self::new(recording?, &mut scratch)).collect()
    }

    fn new(recording: Recording, scratch: &mut Scratch) -> Option<Self> {
        let slots = match &recording.times {
            Some(_) => Slots::Observed(recording.slots),
            None => slots_of(&recording, scratch),
        };
        let (regime, other) = slots.scenarios();
        let recorded_ms = recording.recorded_ms.filter(|_| regime == other)?;
        let unexplained = recorded_ms / simulate(&recording, &Edits::default(), regime, scratch);
        (unexplained.is_finite() && unexplained > 0.0).then_some(Self { recording, regime, unexplained })
    }

    /// Recorded end-to-end time.
    #[must_use]
    pub fn recorded_ms(&self) -> f64 {
        self.recording.recorded_ms.unwrap_or(f64::NAN)
    }

    /// Steps that were answered from a cache; a redrawn one stays so and takes no time.
    #[must_use]
    pub fn is_cached(&self, node: usize) -> bool {
        self.recording.cached.get(node).copied().unwrap_or(false)
    }

    /// End-to-end time with `durations_ms` (n_nodes,) in the place of the recorded ones; all finite and not negative.
    pub fn makespan_ms(&mut self, durations_ms: impl Iterator<Item = f64>, scratch: &mut Scratch) -> f64 {
        let slots = self.recording.durations_ms.iter_mut().zip(&self.recording.cached).zip(durations_ms);
        for ((duration, cached), drawn) in slots {
            *duration = if *cached || !drawn.is_finite() { 0.0 } else { drawn.max(0.0) };
        }
        simulate(&self.recording, &Edits::default(), self.regime, scratch) * self.unexplained
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::examples::{fork_join, timed};
    use super::*;

    #[test]
    fn recorded_durations_give_the_recording_and_others_what_follows() {
        let run = timed(&[("a", 0.0, 10.0, &[]), ("b", 12.0, 30.0, &[0]), ("c", 12.0, 20.0, &[0])]);
        let mut redraw = Redraw::of(&[&run]).remove(0).unwrap();
        let mut scratch = Scratch::default();
        let mut with = |durations: [f64; 3]| redraw.makespan_ms(durations.into_iter(), &mut scratch);
        assert!((with([10.0, 30.0, 20.0]) - 42.0).abs() < 1e-9);
        assert!((with([20.0, 30.0, 20.0]) - 52.0).abs() < 1e-9, "the lag of 2 stays");
        assert!((with([10.0, 1.0, 20.0]) - 32.0).abs() < 1e-9, "the other path is now the longest");
        assert!((with([10.0, f64::NAN, -1.0]) - 12.0).abs() < 1e-9, "nonsense takes no time");
    }

    #[test]
    fn what_cannot_be_replayed_is_none() {
        let unknown = fork_join(); // neither times nor a makespan
        let mut undeclared = timed(&[("a", 0.0, 10.0, &[])]);
        undeclared.dependencies_known = false;
        let mut far_off = fork_join();
        far_off.makespan_ms = Some(1e6);
        assert!(Redraw::of(&[&unknown, &undeclared, &far_off]).iter().all(Option::is_none));
        assert!(Redraw::of(&[]).is_empty());
    }

    #[test]
    fn slots_seen_in_one_run_are_there_for_the_others() {
        let wide = timed(&[("a", 0.0, 10.0, &[]), ("b", 0.0, 10.0, &[])]);
        let narrow = timed(&[("a", 0.0, 10.0, &[]), ("b", 10.0, 10.0, &[])]);
        let mut both = Redraw::of(&[&wide, &narrow]);
        let narrow = both.get_mut(1).unwrap().as_mut().unwrap();
        // Two slots: the wait of b is its own lag and stays.
        assert!((narrow.makespan_ms([30.0, 5.0].into_iter(), &mut Scratch::default()) - 30.0).abs() < 1e-9);
    }
}
