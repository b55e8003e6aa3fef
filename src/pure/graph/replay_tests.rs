//! Known answers, bounds and degenerate cases of the replay.

#![expect(clippy::unwrap_used, clippy::float_cmp, clippy::panic, reason = "tests with exact answers")]
use super::Change;
use super::RunGraph;
use super::examples::{empty, fork_join, graph, timed};
use super::replay::*;
use super::{Slots, critical_path, slots};

fn makespan(graph: &RunGraph, slots: Option<usize>, changes: &[Change]) -> f64 {
    replay(graph, &ReplayPlan { slots, changes, ..ReplayPlan::default() }).unwrap().makespan_ms
}

fn speedup(step: &str, factor: f64) -> Change {
    Change::Speedup { step: step.into(), factor }
}

#[test]
fn known_answers() {
    let run = fork_join();
    assert_eq!(makespan(&run, None, &[]), 45.0);
    assert_eq!(makespan(&run, Some(1), &[]), 65.0);
    assert_eq!(makespan(&run, Some(2), &[]), 45.0);
    // b at half: c is the longest now, so a local halving of 15 saves only 10 end to end.
    assert_eq!(makespan(&run, Some(2), &[speedup("b", 0.5)]), 35.0);
    assert_eq!(makespan(&run, Some(2), &[speedup("c", 0.5)]), 45.0);
    assert_eq!(makespan(&run, Some(1), &[Change::Remove { step: "b".into() }]), 35.0);
    // Answered after 2 ms, c's 20 are what remains; not answered, b has looked in vain.
    let cached = |share| [Change::Cached { step: "b".into(), share, lookup_ms: 2.0 }];
    for slots in [None, Some(2)] {
        assert_eq!((makespan(&run, slots, &cached(1.0)), makespan(&run, slots, &cached(0.0))), (35.0, 47.0));
    }
    let refused = replay(&run, &ReplayPlan { changes: &cached(1.5), ..ReplayPlan::default() });
    assert!(matches!(refused, Err(ReplayError::Cached { .. })));
    // Long executions become shorter, down to the edge; the others stay.
    let tail = |above_ms, factor| Change::Tail { step: "b".into(), above_ms, factor };
    let tails = [tail(20.0, 0.9), tail(28.0, 0.9), tail(30.0, 0.9)].map(|change| makespan(&run, Some(1), &[change]));
    assert_eq!(tails, [62.0, 63.0, 65.0]);
    let refused = replay(&run, &ReplayPlan { changes: &[tail(f64::NAN, 0.9)], ..ReplayPlan::default() });
    assert!(matches!(refused, Err(ReplayError::Limit { .. })));
    assert_eq!(makespan(&run, Some(1), &[Change::Slots(None)]), 45.0);
    assert_eq!(makespan(&run, Some(1), &[speedup("nobody", 0.1)]), 65.0);
}

#[test]
fn savings_do_not_add_up() {
    let run = fork_join();
    let saving = |changes: &[Change]| 45.0 - makespan(&run, Some(2), changes);
    assert_eq!(saving(&[speedup("b", 0.5)]), 10.0);
    assert_eq!(saving(&[speedup("c", 0.5)]), 0.0);
    assert_eq!(saving(&[speedup("b", 0.5), speedup("c", 0.5)]), 15.0);
}

/// Two slots, a lag of 2 before b, and c that waits for a slot until a ends:
/// ```text
/// slot 1  ▇▇▇▇ a ▇▇▇▇|▇▇▇ c ▇▇▇|
/// slot 2    ▇▇▇▇▇▇▇▇ b ▇▇▇▇▇▇▇▇|▇ d ▇
/// ```
fn queued() -> RunGraph {
    timed(&[("a", 0.0, 10.0, &[]), ("b", 2.0, 20.0, &[]), ("c", 10.0, 8.0, &[]), ("d", 22.0, 4.0, &[1, 2])])
}

#[test]
fn an_unchanged_replay_is_the_recording() {
    let run = queued();
    assert_eq!(slots(&run).unwrap(), Slots::Observed(2));
    let replayed = replay(&run, &ReplayPlan { slots: Some(2), changes: &[], ..ReplayPlan::default() }).unwrap();
    assert_eq!(replayed.starts_ms, [0.0, 2.0, 10.0, 22.0]);
    assert_eq!(replayed.makespan_ms, 26.0);
}

#[test]
fn a_lag_stays_unless_it_is_the_change() {
    let run = queued();
    assert_eq!(makespan(&run, None, &[]), 26.0);
    assert_eq!(makespan(&run, Some(2), &[Change::StartWhenReady { step: "b".into() }]), 24.0);
    assert_eq!(makespan(&run, Some(2), &[speedup("b", 0.5)]), 22.0);
}

#[test]
fn longest_first_lets_the_long_chain_begin() {
    // On two slots, three short steps in front of a long one.
    let run = graph(&[("s1", 4.0, &[]), ("s2", 4.0, &[]), ("s3", 4.0, &[]), ("long", 12.0, &[])]);
    assert_eq!(makespan(&run, Some(2), &[]), 16.0);
    assert_eq!(makespan(&run, Some(2), &[Change::LongestFirst]), 12.0);
}

#[test]
fn a_cached_step_takes_no_slot_and_no_time() {
    let mut run = fork_join();
    run.nodes[1].cached = true;
    run.nodes[1].duration_ms = f64::NAN;
    assert_eq!(makespan(&run, Some(1), &[]), 35.0);
    run.nodes.iter_mut().for_each(|node| node.cached = true);
    assert_eq!(makespan(&run, Some(1), &[]), 0.0);
}

#[test]
fn degenerate_graphs_and_changes() {
    assert_eq!(makespan(&empty(), Some(1), &[]), 0.0);
    assert_eq!(makespan(&empty(), None, &[]), 0.0);
    assert_eq!(makespan(&graph(&[("zero", 0.0, &[])]), Some(1), &[]), 0.0);
    let refuse =
        |changes: &[Change]| replay(&fork_join(), &ReplayPlan { changes, ..ReplayPlan::default() }).unwrap_err();
    assert!(matches!(refuse(&[speedup("a", f64::NAN)]), ReplayError::Factor { .. }));
    assert!(matches!(refuse(&[speedup("a", -1.0)]), ReplayError::Factor { .. }));
    assert_eq!(refuse(&[Change::Slots(Some(0))]), ReplayError::NoSlots);
    assert_eq!(
        replay(&empty(), &ReplayPlan { slots: Some(0), changes: &[], ..ReplayPlan::default() }),
        Err(ReplayError::NoSlots)
    );
}

/// Layered random graphs: bounds that hold for every list schedule (Graham): max(path, work / slots) ≤ makespan ≤ path + work / slots.
#[test]
fn every_schedule_keeps_grahams_bounds() {
    for seed in 0..60_u64 {
        let run = layered(seed);
        let path = critical_path(&run).unwrap();
        for slots in 1..6 {
            let ms = makespan(&run, Some(slots), &[]);
            let share = path.total_work_ms / slots as f64;
            assert!(ms >= path.length_ms.max(share) - 1e-6 && ms <= path.length_ms + share + 1e-6, "{seed} {slots}");
        }
        assert!((makespan(&run, None, &[]) - path.length_ms).abs() < 1e-6);
        assert!((makespan(&run, Some(1), &[]) - path.total_work_ms).abs() < 1e-6);
    }
}

/// A schedule that a list scheduler made, recorded with its times, replays to itself.
#[test]
fn recording_a_replay_and_replaying_it_changes_nothing() {
    for seed in 0..60 {
        let mut run = layered(seed);
        let first = replay(&run, &ReplayPlan { slots: Some(3), changes: &[], ..ReplayPlan::default() }).unwrap();
        for (node, start) in run.nodes.iter_mut().zip(&first.starts_ms) {
            node.start_ms = Some(*start);
        }
        let Slots::Observed(k) = slots(&run).unwrap() else { panic!("times are known") };
        let again = makespan(&run, Some(k), &[]);
        assert!((again - first.makespan_ms).abs() < 1e-6 * first.makespan_ms, "{seed}: {again}");
    }
}

fn layered(seed: u64) -> RunGraph {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut run = empty();
    for id in 0..24_u64 {
        let deps = if id < 3 { vec![] } else { vec![next(id) as u32, next(id) as u32] };
        let mut one = graph(&[("x", (1 + next(100)) as f64, &[])]).nodes.remove(0);
        one.step_id = format!("s{id}").into();
        one.step = one.step_id.clone();
        one.deps = deps;
        run.nodes.push(one);
    }
    assert_eq!(run.validate(), []);
    run
}

#[test]
fn a_timeout_cuts_the_longest_try_before_the_last() {
    // b: 12 of a try that failed, 3 of another, 5 of pause, 10 of the last.
    let mut run = fork_join();
    let under = &mut run.nodes[1].under;
    (under.retried_ms, under.paused_ms, under.longest_retried_ms) = (20.0, 5.0, 12.0);
    let timeout = |ms| Change::Timeout { step: "b".into(), ms };
    let after = |changes: &[Change]| makespan(&run, Some(1), changes);
    assert_eq!([after(&[timeout(12.0)]), after(&[timeout(8.0)]), after(&[timeout(0.0)])], [65.0, 61.0, 53.0]);
    assert_eq!(after(&[timeout(8.0), timeout(10.0)]), 61.0, "the shortest counts");
    assert_eq!(after(&[timeout(8.0), speedup("b", 0.5)]), 65.0 - 4.0 - 10.5, "pauses stay");
}
