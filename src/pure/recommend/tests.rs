#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod balance;
mod costs;
mod failures;

use super::*;
use crate::detect::bottlenecks::planted::{NOTHING, Shown, World, noisy};
use crate::detect::bottlenecks::{BottleneckParams, bottlenecks};
use crate::graph::examples::timed;
use crate::samples::Kill;
use crate::series::Metric;
use crate::units::Interval;

fn recommend(world: &World, comparisons: &[Comparison], params: &Params) -> Vec<Recommendation> {
    let World { graphs, samples, analyses } = world;
    let found = bottlenecks(graphs, analyses, samples, &BottleneckParams::default()).bottlenecks;
    let inputs = Inputs { graphs, samples, bottlenecks: &found, comparisons, analyses };
    let ranked = rank(propose(&inputs, params), graphs, params, &Learned::default());
    for (place, proposal) in (1..).zip(&ranked) {
        assert_eq!(proposal.rank, place);
        assert!(!proposal.evidence.is_empty() && !proposal.actions.is_empty(), "{proposal:#?}");
        assert!(proposal.impact_lower <= proposal.impact && proposal.impact <= proposal.impact_upper, "{proposal:#?}");
        assert!((0.0..=1.0).contains(&proposal.impact));
    }
    ranked
}

fn of_kind<'a>(all: &'a [Recommendation], kind: &str) -> Vec<&'a Recommendation> {
    all.iter().filter(|found| found.kind == kind).collect()
}

/// fetch 10 → align 30 → report 5.
fn chain(align: f64) -> RunGraph {
    timed(&[("fetch", 0.0, 10.0, &[]), ("align", 10.0, align, &[0]), ("report", 10.0 + align, 5.0, &[1])])
}

#[test]
fn memory_is_asked_for_as_needed() {
    let shown = |day: usize, _: &str| Shown { memory_request_mb: 4_000.0, memory_mb: noisy(1_000.0, day), ..NOTHING };
    let mut world = World::of(40, |_| chain(30.0), shown);
    let found = recommend(&world, &[], &Params::default());
    assert_eq!(found.len(), 3);
    let Recommendation { category, saving_ms, target, actions, .. } = &found[0];
    assert_eq!((*category, *saving_ms), ("cost", 0.0));
    let step = target.strip_suffix(".memory_mb").unwrap();
    let [Action { op: "set", path, from, to }] = &actions[..] else { panic!("{actions:#?}") };
    assert_eq!((path, from), (&format!("/steps/{step}/resources/memory_mb"), &4_000.0.into()));
    let highest = (0..40).map(|day| noisy(1_000.0, day)).fold(0.0, f64::max);
    let to = to.as_f64().unwrap();
    assert!(to > highest && to < 1.1 * highest, "{to} for {highest}");
    assert!(
        found[0].title.contains("needs more with probability") && found[0].title.contains("MB·h"),
        "{}",
        found[0].title
    );
    // A kill leaves a retry or an error rate: such steps are left alone.
    world.samples.attempt[0] = 2;
    world.learned("align", Metric::ErrorRate, &[]);
    let left: Vec<_> = recommend(&world, &[], &Params::default()).into_iter().map(|found| found.target).collect();
    assert_eq!(left, ["report.memory_mb"]);
}

#[test]
fn memory_at_its_limit_is_raised_within_bounds() {
    let shown = |_, step: &str| Shown {
        memory_request_mb: 1_000.0,
        memory_mb: if step == "align" { 995.0 } else { 900.0 },
        ..NOTHING
    };
    let world = World::of(40, |_| chain(30.0), shown);
    let found = recommend(&world, &[], &Params::default());
    assert_eq!((found.len(), found[0].category), (1, "reliability"));
    assert_eq!(found[0].actions[0].to, serde_json::json!(2_000.0), "twice, as a retry would be given");
    assert!(found[0].evidence[0].starts_with("bottlenecks:"));
    let mut tight = Params::default();
    tight.resources.max_memory_mb = 1_000.0;
    assert_eq!(recommend(&world, &[], &tight), []);
}

#[test]
fn kills_raise_the_request_of_first_tries_and_forbid_to_lower_it() {
    // Every other execution of align was killed at 1,000 MB and succeeded with 2,000.
    let shown = |_, step: &str| match step {
        "align" => Shown { memory_request_mb: 2_000.0, memory_mb: 1_200.0, ..NOTHING },
        _ => Shown { memory_request_mb: 4_000.0, memory_mb: 1_200.0, ..NOTHING },
    };
    let mut world = World::of(40, |_| chain(30.0), shown);
    let samples = &mut world.samples;
    let align = samples.vocabulary.intern("align");
    for row in (0..samples.len()).filter(|row| samples.step[*row] == align) {
        if row % 2 == 0 {
            samples.attempt[row] = 2;
            samples.kills.push(Kill {
                workflow_id: samples.workflow_id[row],
                workflow_type: samples.workflow_type[row],
                step: align,
                attempt: 1,
                started_us: samples.started_us[row] - 1,
                duration_ms: 5_000.0,
                memory_request_mb: 1_000.0,
            });
        } else {
            samples.memory_request_mb[row] = 1_000.0;
            samples.memory_mb[row] = 800.0;
        }
    }
    let found = recommend(&world, &[], &Params::default());
    let of_align = found.iter().find(|found| found.target == "align.memory_mb").unwrap();
    assert_eq!((of_align.category, &of_align.actions[0].from), ("reliability", &1_000.0.into()));
    let to = of_align.actions[0].to.as_f64().unwrap();
    assert!(to > 1_200.0 && to <= 2_000.0, "{}", of_align.title);
    assert!(of_align.title.contains("20 executions failed at the limit"), "{}", of_align.title);
    // Killed at the very request that would be enough for all that succeeded.
    let fetch = world.samples.vocabulary.intern("fetch");
    let kill = Kill { step: fetch, memory_request_mb: 4_000.0, ..world.samples.kills[0] };
    world.samples.kills.push(kill);
    let found = recommend(&world, &[], &Params::default());
    let of_fetch = found.iter().find(|found| found.target == "fetch.memory_mb").unwrap();
    assert!(of_fetch.actions[0].to.as_f64().unwrap() > 4_000.0, "{}", of_fetch.title);
}

#[test]
fn a_step_that_was_always_killed_is_raised() {
    let mut world = World::of(40, |_| chain(30.0), |_, _: &str| NOTHING);
    let (workflow_id, workflow_type) = (world.samples.workflow_id[0], world.samples.workflow_type[0]);
    let step = world.samples.vocabulary.intern("doomed");
    let started_us = world.samples.started_us[0];
    let kill = Kill {
        workflow_id,
        workflow_type,
        step,
        attempt: 1,
        started_us,
        duration_ms: f64::NAN,
        memory_request_mb: 512.0,
    };
    world.samples.kills.push(kill);
    let found = recommend(&world, &[], &Params::default());
    assert_eq!((found.len(), found[0].target.as_str()), (1, "doomed.memory_mb"));
    assert_eq!(found[0].actions[0].to, serde_json::json!(1_024.0));
}

#[test]
fn no_request_loses_its_margin_to_the_upper_bound() {
    let shown = |_, _: &str| Shown { memory_request_mb: 40_000.0, memory_mb: 20_000.0, ..NOTHING };
    let world = World::of(40, |_| chain(30.0), shown);
    assert_eq!(recommend(&world, &[], &Params::default()), []);
    let mut large = Params::default();
    large.resources.max_memory_mb = 64_000.0;
    let to = recommend(&world, &[], &large)[0].actions[0].to.as_f64().unwrap();
    assert!(to > 20_000.0 && to < 23_000.0, "{to}");
}

#[test]
fn idle_cpus_are_given_back() {
    let shown = |day: usize, _: &str| Shown { cpu_request: 4.0, cpu_pct: noisy(75.0, day), ..NOTHING };
    let world = World::of(40, |_| chain(30.0), shown);
    let found = recommend(&world, &[], &Params::default());
    assert_eq!(found[0].actions[0].from, serde_json::json!(4_000.0));
    assert_eq!(found[0].actions[0].to, serde_json::json!(1_000.0));
}

fn compared(a: &str, b: &str, metric: &'static str, ratio: f64) -> Comparison {
    let interval = Interval { lower: ratio * 0.95, upper: ratio * 1.05, level: Level::DEFAULT };
    let (a, b) = (a.to_owned(), b.to_owned());
    Comparison { workflow_type: "wf".into(), dimension: "provider", a, b, metric, ratio, interval, n_a: 99, n_b: 99 }
}

#[test]
fn a_better_provider_is_proposed_only_when_surely_better() {
    let shown = |_, _: &str| Shown { provider: Some("old"), cost_usd: 0.1, ..NOTHING };
    let world = World::of(40, |_| chain(30.0), shown);
    let params = Params::default();
    // The ratio is given as old / new: twice as long on the old one.
    let faster = [compared("new", "old", "execution_time", 2.0), compared("new", "old", "cost", 1.0)];
    let found = recommend(&world, &faster, &params);
    assert_eq!((found.len(), found[0].target.as_str()), (1, "provider"));
    assert!((found[0].impact - 0.5).abs() < 1e-9, "{}", found[0].impact);
    assert_eq!(found[0].actions[0].to, serde_json::json!("new"));
    assert_eq!(
        found[0].evidence,
        ["comparisons:wf/provider/new/old/execution_time", "comparisons:wf/provider/new/old/cost"]
    );
    let unsure = [compared("old", "new", "execution_time", 0.97)];
    assert_eq!(recommend(&world, &unsure, &params), []);
    let dear = [compared("old", "new", "execution_time", 0.9), compared("old", "new", "cost", 3.0)];
    assert_eq!(recommend(&world, &dear, &params), []);
    let cheap = [compared("old", "new", "execution_time", 1.0), compared("old", "new", "cost", 0.5)];
    let found = recommend(&world, &cheap, &params);
    assert_eq!((found[0].category, found[0].impact), ("cost", 0.0));
    // Three steps of 0.1 USD at half the price.
    assert!((found[0].saving_usd.unwrap() - 0.15).abs() < 1e-9);
}

#[test]
fn a_cache_is_worth_what_its_lifetime_allows() {
    let shown = |day: usize, step: &str| Shown {
        cache_key: if step == "align" { 1 + (day % 4) as u64 } else { 0 },
        cost_usd: 0.2,
        ..NOTHING
    };
    let world = World::of(40, |_| chain(30.0), shown);
    let mut params = Params::default();
    params.caching.lookup_ms = 1.0;
    let share = |saved: f64| (30.0 * saved - 40.0) / 40.0 / 45.0;
    // Keys come back after four days: an hour is too short, and a month forgets those of days 0-3 once.
    let found = recommend(&world, &[], &params);
    let caching = of_kind(&found, "CACHING")[0];
    assert!(caching.title.contains("for 90 days: 90 % of the 40 executions"), "{}", caching.title);
    // One run more or less is answered.
    assert!((caching.impact - share(36.0)).abs() < share(37.0) - share(36.0) + 1e-9, "{}", caching.impact);
    assert!((caching.saving_usd.unwrap() - 0.2 * 36.0 / 40.0).abs() < 1e-9);
    // What is configured for longer is not shortened.
    params.caching.default_ttl_s = 365.0 * 86_400.0;
    let found = recommend(&world, &[], &params);
    assert!(of_kind(&found, "CACHING")[0].title.contains("for 365 days"));
    params.caching.enabled = false;
    assert_eq!(of_kind(&recommend(&world, &[], &params), "CACHING").len(), 0);
}

#[test]
fn a_small_cache_forgets_the_least_recently_used() {
    let shown = |day: usize, _: &str| Shown { cache_key: 1 + (day % 4) as u64, output_bytes: 10.0, ..NOTHING };
    let world = World::of(40, |_| timed(&[("only", 0.0, 10.0, &[])]), shown);
    let histories = History::collect(&world.graphs, &world.samples, &[]);
    let stream = histories[0].steps["only"].keys.unwrap();
    let of_size = |max_cache_bytes| Caching { max_cache_bytes, ..Caching::default() };
    let saved = |bytes| caching::simulate(stream, 1e9, &of_size(bytes), i64::MIN).n_saved;
    assert_eq!((saved(40.0), saved(30.0), saved(5.0)), (36, 0, 0));
}

#[test]
fn more_slots_and_side_by_side() {
    let run =
        |_| timed(&[("a", 0.0, 10.0, &[]), ("b", 0.0, 10.0, &[]), ("c", 10.0, 10.0, &[]), ("d", 10.0, 10.0, &[])]);
    let world = World::of(10, run, |_, _| NOTHING);
    let found = recommend(&world, &[], &Params::default());
    assert_eq!((found.len(), found[0].category), (1, "scalability"));
    assert_eq!((&found[0].actions[0].from, &found[0].actions[0].to), (&2.into(), &4.into()));
    assert!((found[0].impact - 0.5).abs() < 1e-9);

    let turns = |_| {
        timed(&[("fetch", 0.0, 10.0, &[]), ("warm", 0.0, 9.0, &[]), ("l", 10.0, 30.0, &[0]), ("r", 40.0, 20.0, &[0])])
    };
    let found = recommend(&World::of(10, turns, |_, _| NOTHING), &[], &Params::default());
    assert_eq!((found.len(), found[0].category, found[0].target.as_str()), (1, "parallelization", "r"));
}

#[test]
fn longest_first_is_proposed_where_it_helps() {
    let run = |_| {
        timed(&[
            ("s/1", 0.0, 4.0, &[]),
            ("s/2", 0.0, 4.0, &[]),
            ("s/3", 4.0, 4.0, &[]),
            ("s/4", 4.0, 4.0, &[]),
            ("long", 8.0, 12.0, &[]),
        ])
    };
    let mut params = Params::default();
    params.parallel.enabled = false;
    let found = recommend(&World::of(10, run, |_, _| NOTHING), &[], &params);
    assert_eq!((found.len(), found[0].kind), (1, "LOAD_BALANCING"));
    // s/1, s/2, s/3 beside long, s/4 after: 16 instead of 20.
    assert!((found[0].impact - 0.2).abs() < 1e-9, "{}", found[0].impact);
}

#[test]
fn the_portfolio_replays_savings_together() {
    // Two chains side by side: a cache of one of them saves what the other leaves.
    let run = |_| timed(&[("left", 0.0, 30.0, &[]), ("right", 0.0, 28.0, &[]), ("join", 30.0, 5.0, &[0, 1])]);
    let shown =
        |day: usize, step: &str| Shown { cache_key: u64::from(step != "join") * (1 + (day % 4) as u64), ..NOTHING };
    let world = World::of(40, run, shown);
    let mut params = Params::default();
    (params.caching.default_ttl_s, params.caching.lookup_ms) = (1e9, 0.0);
    let mut found = recommend(&world, &[], &params);
    found.sort_by_key(|found| found.portfolio_rank);
    assert_eq!(found.iter().map(|found| found.portfolio_rank).collect::<Vec<_>>(), [1]);
    // `right` alone saves nothing and is not proposed; `left` is held back by it.
    assert!((found[0].portfolio_saving_ms - 0.9 * 2.0).abs() < 2.0 / 40.0 + 1e-9);

    let slow = |day: usize| {
        let align = noisy(if day < 20 { 30.0 } else { 66.0 }, day);
        chain(align)
    };
    // Every other execution of align has a key, so the cache saves about half of it, and undoing the slowdown more.
    let keyed = |day: usize, step: &str| step == "align" && day.is_multiple_of(2);
    let shown = |day, step: &str| Shown { cache_key: u64::from(keyed(day, step)), ..NOTHING };
    let mut world = World::of(60, slow, shown);
    world.learned("align", Metric::ExecutionTime, &[20]);
    let mut found = recommend(&world, &[], &params);
    found.sort_by_key(|found| found.portfolio_rank);
    assert_eq!(found.len(), 2);
    assert!(found[0].portfolio_saving_ms < found[1].portfolio_saving_ms);
    assert!(found[1].portfolio_saving_ms < found[0].saving_ms + found[1].saving_ms - 1.0);
}

#[test]
fn tries_that_fail_cost_what_a_run_without_them_saves() {
    // Every fifth run tries align again after ten failed ms and five of pause.
    let run = |day: usize| {
        let is_retried = day.is_multiple_of(5);
        let mut run = chain(if is_retried { 45.0 } else { 30.0 });
        let under = &mut run.nodes.iter_mut().find(|node| &*node.step == "align").unwrap().under;
        (under.retried_ms, under.paused_ms) = if is_retried { (15.0, 5.0) } else { (0.0, 0.0) };
        run
    };
    let found = recommend(&World::of(40, run, |_, _| NOTHING), &[], &Params::default());
    let retried: Vec<_> = found.iter().filter(|found| found.category == "reliability").collect();
    assert_eq!(retried.len(), 1, "{found:#?}");
    assert!((retried[0].saving_ms - 15.0 / 5.0).abs() < 1e-9, "{}", retried[0].saving_ms);
    assert!(
        retried[0].title.starts_with("Make align succeed at its first try: 20 % of its 40"),
        "{}",
        retried[0].title
    );
    assert_eq!(retried[0].actions[0].path, "/steps/align/target/retried_share");
    let found = recommend(&World::of(40, |_| chain(30.0), |_, _| NOTHING), &[], &Params::default());
    assert!(found.iter().all(|found| found.category != "reliability"));
}

#[test]
fn ids_are_stable_and_nothing_comes_of_nothing() {
    assert_eq!(stable_id(&["wf", "align", "slow_step"]), stable_id(&["wf", "align", "slow_step"]));
    assert_ne!(stable_id(&["ab", "c"]), stable_id(&["a", "bc"]));
    // FNV-1a of the empty input is its offset basis.
    assert_eq!(stable_id(&[]), "cbf29ce484222325");
    assert_eq!(recommend(&World::default(), &[], &Params::default()), []);
}
