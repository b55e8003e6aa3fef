#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::planted::{NOTHING, Shown, World, noisy};
use super::*;
use crate::graph::examples::{graph, timed};
use crate::series::Metric;

fn find(world: &World) -> (Vec<Bottleneck>, Vec<Skip>) {
    let found = bottlenecks(&world.graphs, &world.analyses, &world.samples, &BottleneckParams::default());
    (found.bottlenecks, found.skips)
}

/// ```text
/// fetch 10 ──┬─ align ──┬── report 5        two slots, both used
///            └─ index 20┘
/// ```
fn diamond(align: f64) -> RunGraph {
    timed(&[
        ("fetch", 0.0, 10.0, &[]),
        ("align", 10.0, align, &[0]),
        ("index", 10.0, 20.0, &[0]),
        ("report", 10.0 + align.max(20.0), 5.0, &[1, 2]),
    ])
}

/// `align` takes 30, and 66 from day 30 on.
pub(crate) fn slowed() -> World {
    let align = |day| noisy(if day < 30 { 30.0 } else { 66.0 }, day);
    let mut world = World::of(60, |day| diamond(align(day)), |_, _| NOTHING);
    world.learned("align", Metric::ExecutionTime, &[30]);
    world
}

#[test]
fn a_slow_step_costs_what_the_replay_says() {
    let (found, skips) = find(&slowed());
    assert_eq!(skips, []);
    assert_eq!(found.len(), 1, "{found:#?}");
    let Bottleneck { step, kind, severity, impact, saving_ms, evidence, .. } = &found[0];
    assert_eq!((step.as_deref(), *kind, *severity), (Some("align"), "slow_step", "high"));
    // A run takes 10 + 66 + 5 = 81 and would take 45.
    assert!((impact - 36.0 / 81.0).abs() < 0.01 && (saving_ms - 36.0).abs() < 1.0, "{impact} {saving_ms}");
    assert!(found[0].impact_lower < *impact && *impact < found[0].impact_upper);
    assert_eq!(evidence[0], "change_points:wf/align/execution_time@1970-01-31T00:00:00Z");
    assert_eq!(found[0].opened_at_us, 30 * crate::units::DAY_US);
}

#[test]
fn faster_or_merely_noisy_is_no_bottleneck() {
    for (before, after) in [(66.0, 30.0), (30.0, 30.0), (30.0, 33.0)] {
        let align = |day| noisy(if day < 30 { before } else { after }, day);
        let mut world = World::of(60, |day| diamond(align(day)), |_, _| NOTHING);
        world.learned("align", Metric::ExecutionTime, &[30]);
        assert_eq!(find(&world).0, [], "{before} → {after}");
    }
}

#[test]
fn without_a_change_point_the_last_quarter_of_a_long_window_counts() {
    let mut world = slowed();
    world.analyses[0].change_points.clear();
    let drift = |day: usize| noisy(30.0 * (1.0 + day as f64 / 60.0), day);
    let mut drifting = World::of(60, |day| diamond(drift(day)), |_, _| NOTHING);
    drifting.learned("align", Metric::ExecutionTime, &[]);
    let (found, _) = find(&drifting);
    assert_eq!((found.len(), found[0].kind, found[0].severity), (1, "slow_step", "low"));
    drifting.analyses[0].span_us.1 = 20 * crate::units::DAY_US;
    assert_eq!(find(&drifting).0, []);
}

#[test]
fn larger_inputs_are_no_drift() {
    // The input grows with the days, and the time with the input.
    let growth = |day: usize| 1.0 + day as f64 / 60.0;
    let shown = |day: usize, _: &str| Shown { input_bytes: 1e6 * growth(day), ..NOTHING };
    let mut grown = World::of(60, |day| diamond(noisy(30.0 * growth(day), day)), shown);
    grown.learned("align", Metric::ExecutionTime, &[]);
    assert_eq!(find(&grown).0, []);
}

#[test]
fn a_slow_step_that_nobody_waits_for_costs_nothing() {
    let index = |day: usize| noisy(if day < 30 { 5.0 } else { 20.0 }, day);
    let run = |day| {
        let mut run = diamond(30.0);
        run.nodes[2].duration_ms = index(day);
        run
    };
    let mut world = World::of(60, run, |_, _| NOTHING);
    world.learned("index", Metric::ExecutionTime, &[30]);
    let (found, _) = find(&world);
    assert_eq!((found[0].kind, found[0].severity, found[0].impact), ("slow_step", "critical", 0.0));
}

#[test]
fn steps_that_take_turns_for_no_reason() {
    // left and right after fetch, never together, while two slots were seen in use by fetch and warm.
    let run = |_| {
        timed(&[
            ("fetch", 0.0, 10.0, &[]),
            ("warm", 0.0, 9.0, &[]),
            ("left", 10.0, 30.0, &[0]),
            ("right", 40.0, 20.0, &[0]),
            ("join", 60.0, 5.0, &[2, 3]),
        ])
    };
    let (found, _) = find(&World::of(12, run, |_, _| NOTHING));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].kind, found[0].step.as_deref()), ("sequential_dependency", Some("right")));
    assert!((found[0].impact - 20.0 / 65.0).abs() < 1e-9);
    assert_eq!(found[0].severity, "critical");
}

#[test]
fn turns_are_explained_by_a_dependency_or_by_one_slot() {
    let on_one_slot = |_| timed(&[("fetch", 0.0, 10.0, &[]), ("left", 10.0, 30.0, &[0]), ("right", 40.0, 20.0, &[0])]);
    // What one slot explains is told as queueing for it.
    let (found, _) = find(&World::of(12, on_one_slot, |_, _| NOTHING));
    assert_eq!(
        found.iter().map(|found| (found.kind, found.step.is_none())).collect::<Vec<_>>(),
        [("resource_exhaustion", true)]
    );
    let declared = |_| {
        timed(&[
            ("fetch", 0.0, 10.0, &[]),
            ("warm", 0.0, 9.0, &[]),
            ("left", 10.0, 30.0, &[0]),
            ("right", 40.0, 20.0, &[2]),
        ])
    };
    assert_eq!(find(&World::of(12, declared, |_, _| NOTHING)).0, []);
}

#[test]
fn queueing_for_slots_shows() {
    // Six equal steps on two slots.
    let run = |_| {
        timed(&[
            ("a", 0.0, 10.0, &[]),
            ("b", 0.0, 10.0, &[]),
            ("c", 10.0, 10.0, &[]),
            ("d", 10.0, 10.0, &[]),
            ("e", 20.0, 10.0, &[]),
            ("f", 20.0, 10.0, &[]),
        ])
    };
    let (found, _) = find(&World::of(8, run, |_, _| NOTHING));
    let queue = found.iter().find(|found| found.step.is_none()).unwrap();
    assert_eq!(queue.kind, "resource_exhaustion");
    assert!((queue.impact - 2.0 / 3.0).abs() < 1e-9);
    assert!(found.iter().all(|found| found.kind != "sequential_dependency"), "no slot was free: {found:#?}");
}

#[test]
fn repeated_keys_are_cache_misses() {
    let shown = |day: usize, step: &str| Shown {
        cache_key: if step == "align" { 1 + (day % 10) as u64 } else { 0 },
        ..NOTHING
    };
    let (found, _) = find(&World::of(40, |_| diamond(30.0), shown));
    assert_eq!((found.len(), found[0].kind), (1, "cache_miss"));
    // 30 of 40 are repeats: that many runs take 10 less, as index's 20 remain. One run more or less is answered.
    assert!((found[0].impact - 0.75 * 10.0 / 45.0).abs() < 10.0 / 45.0 / 40.0 + 1e-9, "{}", found[0].impact);
}

#[test]
fn a_quadratic_step_is_told_from_a_linear_one() {
    for (power, expected) in [(2.0, vec!["inefficient_algorithm"]), (1.0, vec![])] {
        let size = |day: usize| 1e6 * (1.0 + (day * 13 % 40) as f64);
        let align = |day: usize| noisy(1e-3 * (size(day) / 1e5).powf(power), day);
        let shown = |day, _: &str| Shown { input_bytes: size(day), ..NOTHING };
        let (found, _) = find(&World::of(60, |day| diamond(align(day)), shown));
        assert_eq!(found.iter().map(|found| found.kind).collect::<Vec<_>>(), expected, "{power}");
    }
}

#[test]
fn memory_at_its_limit_needs_no_replay() {
    let shown = |day: usize, step: &str| Shown {
        memory_request_mb: 1_000.0,
        memory_mb: if step == "align" && day.is_multiple_of(4) { 990.0 } else { 500.0 },
        ..NOTHING
    };
    let mut world = World::of(40, |_| diamond(30.0), shown);
    world.graphs.iter_mut().for_each(|graph| graph.dependencies_known = false);
    let (found, skips) = find(&world);
    assert_eq!((found.len(), found[0].kind, found[0].severity), (1, "resource_exhaustion", "high"));
    assert_eq!((found[0].impact, found[0].impact_upper), (0.0, 0.0));
    assert_eq!(skips.len(), 1);
    assert_eq!(
        skips[0].reason,
        "replay needs 5 runs with declared dependencies, nested spans, or times of submission, start and end that show what \
         waits for what; found 0 of 40"
    );
}

#[test]
fn nothing_comes_of_nothing_and_rubbish_harms_nothing() {
    assert_eq!(find(&World::default()), (vec![], vec![]));
    let one = World::of(1, |_| diamond(30.0), |_, _| NOTHING);
    assert_eq!((find(&one).0.len(), find(&one).1.len()), (0, 1));
    let broken = |day: usize| graph(&[("a", if day.is_multiple_of(2) { f64::NAN } else { -1.0 }, &[5])]);
    let mut world = World::of(20, broken, |_, _| Shown { memory_mb: f64::NAN, memory_request_mb: -1.0, ..NOTHING });
    world.learned("a", Metric::ExecutionTime, &[10]);
    world.samples.memory_mb.truncate(3);
    assert_eq!(find(&world).0, []);
}

#[test]
fn threads_and_order_make_no_difference() {
    let mut world = slowed();
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let one = pool(1).install(|| find(&world));
    world.graphs.reverse();
    assert_eq!(pool(4).install(|| find(&world)), one);
}

#[test]
fn steps_are_told_of_over_the_runs_that_are_replayed() {
    let of = |world: &World| bottlenecks(&world.graphs, &world.analyses, &world.samples, &BottleneckParams::default());
    let found = of(&slowed()).step_times;
    let [WorkflowTimes { workflow_id, times, inferred_confidence }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((workflow_id.as_str(), *inferred_confidence), ("wf", None));
    assert_eq!((times.steps.len(), &*times.steps[0].step), (4, "align"));
    assert!(times.steps.iter().all(|step| step.n_runs == 40 && step.typical.is_some()), "{times:?}");
    let mut unknown = slowed();
    unknown.graphs.iter_mut().for_each(|graph| graph.dependencies_known = false);
    assert_eq!(of(&unknown).step_times, []);
}
