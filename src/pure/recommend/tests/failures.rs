//! What fails, and what hangs.

use super::*;

fn world() -> World {
    World::of(60, |_| chain(30.0), |_, _| Shown { cost_usd: 0.1, ..NOTHING })
}

fn reliability(world: &World) -> Vec<Recommendation> {
    let found = recommend(world, &[], &Params::default());
    found.into_iter().filter(|found| found.target.ends_with(".failed_runs")).collect()
}

#[test]
fn failed_runs_are_priced_for_each_that_succeeds() {
    let mut world = world();
    world.came_to(60, 9, ("align", 1), (45_000.0, 0.3));
    let found = &reliability(&world)[..];
    let [Recommendation { category, saving_ms, saving_usd, actions, evidence, title, .. }] = found else {
        panic!("{found:#?}")
    };
    assert_eq!((*category, *saving_ms), ("reliability", 0.0), "no run becomes shorter");
    assert!((saving_usd.unwrap() - 0.3 / 9.0).abs() < 1e-9);
    // 40 days are replayed, of ten runs each.
    assert!(title.starts_with("Keep runs from failing at align: 40 of 400 recent runs ended there (10 %)"), "{title}");
    assert!(title.ends_with("which takes 5.0 s and 0.0333 USD for each run that succeeds"), "{title}");
    assert_eq!((actions[0].path.as_str(), &actions[0].from), ("/steps/align/target/failed_run_share", &0.1.into()));
    assert_eq!(evidence[..2], ["rollups:wf/align/error_rate", "rollups:wf//error_rate"]);
}

#[test]
fn failed_runs_are_told_where_nothing_can_be_replayed_or_is_priced() {
    let mut world = world();
    world.graphs.iter_mut().for_each(|graph| graph.dependencies_known = false);
    world.came_to(60, 9, ("align", 1), (45.0, f64::NAN));
    let found = reliability(&world);
    assert_eq!((found.len(), found[0].saving_usd), (1, None));
}

#[test]
fn few_failures_are_no_pattern() {
    // Four in all; and 40 in 8,000, which is less than one in a hundred.
    for (n_days, succeeded) in [(4, 9), (60, 199)] {
        let mut world = world();
        world
            .graphs
            .iter_mut()
            .for_each(|graph| graph.started_us -= 56 * crate::units::DAY_US * i64::from(n_days == 4));
        world.came_to(n_days, succeeded, ("align", 1), (45.0, 0.3));
        assert_eq!(reliability(&world), [], "{n_days} × {succeeded}");
    }
    let mut clean = world();
    clean.came_to(60, 10, ("align", 0), (45.0, 0.3));
    assert_eq!(recommend(&clean, &[], &Params::default()), []);
}

#[test]
fn kills_for_memory_are_told_as_such() {
    let mut world = world();
    world.came_to(60, 9, ("align", 1), (45.0, 0.3));
    let (workflow_id, step) = (world.samples.workflow_id[0], world.samples.vocabulary.code("align").unwrap());
    let kill = |day: i64| Kill {
        workflow_id,
        workflow_type: workflow_id,
        step,
        attempt: 1,
        started_us: day * crate::units::DAY_US,
        duration_ms: 5.0,
        memory_request_mb: 512.0,
    };
    world.samples.kills.extend((0..60).map(kill));
    assert_eq!(reliability(&world), []);
}

/// `n` executions of align that failed after `ms`, one every other day, of an input of `bytes`.
fn hanging(n: i64, ms: f64, bytes: f64) -> World {
    let shown = |day: usize, _: &str| Shown { input_bytes: 1e6 * (1.0 + (day * 13 % 40) as f64), ..NOTHING };
    let run = |day: usize| chain(if bytes.is_nan() { 30.0 } else { noisy(1.0 + (day * 13 % 40) as f64, day) });
    let mut world = World::of(60, run, if bytes.is_nan() { |_, _: &str| NOTHING } else { shown });
    for day in 0..n {
        let ms = ms * (1.0 + 0.1 * day as f64);
        world.unfinished("align", 59 - 2 * day, ms, Shown { input_bytes: bytes, cost_usd: 1.0, ..NOTHING });
    }
    world.came_to(60, 10, ("align", 0), (45.0, 0.1));
    world
}

fn timeouts(world: &World) -> Vec<Recommendation> {
    let found = recommend(world, &[], &Params::default());
    found.into_iter().filter(|found| found.category == "best_practices").collect()
}

#[test]
fn what_hangs_is_given_up_at_a_length_that_no_success_came_near() {
    let world = hanging(4, 3_000.0, f64::NAN);
    let found = &timeouts(&world)[..];
    let [Recommendation { target, actions, title, saving_usd, saving_ms, .. }] = found else { panic!("{found:#?}") };
    assert_eq!((target.as_str(), *saving_ms), ("align.timeout_ms", 0.0), "no try before the last one hung");
    // Twice the 30 ms of all successes.
    assert_eq!((&actions[0].from, &actions[0].to), (&serde_json::Value::Null, &60.0.into()));
    assert!(title.starts_with("Give align up after 60 ms: 4 executions lasted longer"), "{title}");
    // 98 % of each of the four, over the 400 runs of the 40 days that are replayed.
    assert!((saving_usd.unwrap() - 4.0 * 0.98 / 400.0).abs() < 1e-4, "{saving_usd:?}");
    let alike = {
        let mut world = hanging(4, 3_000.0, f64::NAN);
        world.samples.unfinished.as_mut().unwrap().duration_ms.fill(3_600.0);
        timeouts(&world)
    };
    assert_eq!(alike[0].actions[0].from, serde_json::json!(3_600.0), "the limit that stands");
}

#[test]
fn tries_that_hang_are_replayed() {
    let mut world = hanging(4, 3_000.0, f64::NAN);
    for run in world.graphs.iter_mut().skip(50) {
        let under = &mut run.nodes[1].under;
        (under.retried_ms, under.longest_retried_ms) = (160.0, 160.0);
        run.nodes[1].duration_ms += 160.0;
        run.nodes[2].start_ms = Some(200.0);
        run.makespan_ms = Some(205.0);
    }
    // 100 of 205 in ten of forty runs.
    assert!((timeouts(&world)[0].saving_ms - 25.0).abs() < 1e-9, "{:#?}", timeouts(&world));
}

#[test]
fn what_may_not_have_hung_gets_no_timeout() {
    assert_eq!(timeouts(&hanging(2, 3_000.0, f64::NAN)), [], "two");
    assert_eq!(timeouts(&hanging(8, 40.0, f64::NAN)), [], "hardly longer than successes");
    let mut running = hanging(4, 3_000.0, f64::NAN);
    running.samples.unfinished.as_mut().unwrap().is_running.fill(true);
    assert_eq!(timeouts(&running), [], "they may yet succeed");
    let mut killed = hanging(4, 3_000.0, f64::NAN);
    let unfinished = killed.samples.unfinished.as_mut().unwrap();
    (unfinished.memory_mb, unfinished.memory_request_mb) = (vec![99.0; 4], vec![100.0; 4]);
    assert_eq!(timeouts(&killed), [], "killed for memory");
    let mut few = World::of(49, |_| chain(30.0), |_, _| NOTHING);
    few.samples.unfinished = hanging(4, 3_000.0, f64::NAN).samples.unfinished;
    few.came_to(49, 10, ("align", 0), (45.0, 0.1));
    assert_eq!(timeouts(&few), [], "few successes");
}

#[test]
fn larger_inputs_may_take_longer() {
    // Durations grow with sizes, to 40 ms at 40 MB. With 10 MB, 200 ms is hung; with 400 MB it may be normal.
    assert_eq!(timeouts(&hanging(4, 200.0, 10e6)).len(), 1);
    assert_eq!(timeouts(&hanging(4, 200.0, 400e6)), []);
}
