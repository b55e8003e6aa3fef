//! Work spread over workers.

use super::*;

fn platforms(a: &str, b: &str, metric: &'static str, ratio: f64) -> Comparison {
    Comparison { dimension: "platform", ..compared(a, b, metric, ratio) }
}

/// Every run of align is on `slow` (60 ms) or `quick` (30 ms), of which `quick` gets one in `every`; fetch is on `slow` alone.
fn world(every: usize) -> World {
    let is_quick = move |day: usize| day.is_multiple_of(every);
    let shown = move |day: usize, step: &str| Shown {
        platform: Some(if step == "align" && is_quick(day) { "quick" } else { "slow" }),
        cost_usd: 0.1,
        ..NOTHING
    };
    World::of(40, move |day| chain(if is_quick(day) { 30.0 } else { 60.0 }), shown)
}

fn balanced(world: &World, comparisons: &[Comparison]) -> Vec<Recommendation> {
    let found = recommend(world, comparisons, &Params::default());
    found.into_iter().filter(|found| found.target == "platform_weights").collect()
}

#[test]
fn a_slow_worker_gets_what_its_speed_entitles_it_to() {
    let slower = [platforms("quick", "slow", "execution_time", 2.0), platforms("quick", "slow", "cost", 1.0)];
    let found = &balanced(&world(2), &slower)[..];
    let [Recommendation { kind, category, impact, actions, evidence, title, saving_usd, .. }] = found else {
        panic!("{found:#?}")
    };
    assert_eq!((*kind, *category), ("LOAD_BALANCING", "performance"));
    // A third of align instead of half: of its 90 ms of two runs, 60 · (1/3) · (1/2) = 10 ms are saved.
    assert!((impact - 5.0 / 60.0).abs() < 1e-9, "{impact}");
    assert!(saving_usd.unwrap().abs() < 1e-12);
    let told: Vec<_> = actions.iter().map(|action| (action.path.as_str(), &action.from, &action.to)).collect();
    let weight = |share: f64| serde_json::json!(share);
    assert_eq!(
        told,
        [
            ("/platform_weights/slow", &weight(0.5), &weight(0.333)),
            ("/platform_weights/quick", &weight(0.5), &weight(0.667))
        ]
    );
    assert_eq!(evidence[0], "comparisons:wf/platform/quick/slow/execution_time");
    assert!(title.starts_with("Send 33 % of the executions to slow instead of 50 %"), "{title}");
    let mut params = Params::default();
    params.load_balancing.enabled = false;
    assert_eq!(recommend(&world(2), &slower, &params), []);
}

#[test]
fn what_does_little_now_gets_little_more() {
    // One in ten: twice that of ten, not two in three.
    let found = balanced(&world(10), &[platforms("quick", "slow", "execution_time", 2.0)]);
    assert_eq!(found[0].actions[0].to, serde_json::json!(0.818));
}

#[test]
fn equal_or_dear_workers_and_queues_that_balance_themselves_are_left_alone() {
    let unsure = [platforms("quick", "slow", "execution_time", 1.04)];
    assert_eq!(balanced(&world(2), &unsure), []);
    let dear = [platforms("quick", "slow", "execution_time", 2.0), platforms("quick", "slow", "cost", 0.2)];
    assert_eq!(balanced(&world(2), &dear), []);
    // `slow` does a third, which is what its speed entitles it to.
    let third =
        |day: usize, _: &str| Shown { platform: Some(if day.is_multiple_of(3) { "slow" } else { "quick" }), ..NOTHING };
    let pulled = World::of(40, |day| chain(if day.is_multiple_of(3) { 60.0 } else { 30.0 }), third);
    assert_eq!(balanced(&pulled, &[platforms("quick", "slow", "execution_time", 2.0)]), []);
    // Nothing that runs on `slow` is known to run elsewhere.
    let apart =
        |_: usize, step: &str| Shown { platform: Some(if step == "align" { "slow" } else { "quick" }), ..NOTHING };
    let apart = World::of(40, |_| chain(60.0), apart);
    assert_eq!(balanced(&apart, &[platforms("quick", "slow", "execution_time", 2.0)]), []);
    assert_eq!(balanced(&world(2), &[]), []);
}
