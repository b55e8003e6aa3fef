//! What is saved in money.

use super::*;

/// Every fifth run tries align again: `failed_ms` and `failed_usd` before the last try.
fn retried(failed_ms: f64, failed_usd: f64) -> World {
    let run = |day: usize| {
        let is_retried = day.is_multiple_of(5);
        let (ms, usd) = if is_retried { (failed_ms, failed_usd) } else { (0.0, 0.0) };
        let mut run = chain(30.0 + ms);
        let under = &mut run.nodes.iter_mut().find(|node| &*node.step == "align").unwrap().under;
        (under.retried_ms, under.longest_retried_ms, under.retried_usd) = (ms, ms, usd);
        run
    };
    World::of(40, run, |_, _| Shown { cost_usd: 0.1, ..NOTHING })
}

#[test]
fn tries_that_fail_cost_money_too() {
    let found = recommend(&retried(15.0, 0.5), &[], &Params::default());
    assert_eq!((found.len(), found[0].category), (1, "reliability"), "{found:#?}");
    assert!((found[0].saving_ms - 15.0 / 5.0).abs() < 1e-9);
    // 8 of 40 runs: the interval is that of 8 tries, more or less √8.
    let spread = 1.645 * 0.5 * 8.0_f64.sqrt() / 40.0;
    assert!((found[0].saving_usd.unwrap() - 0.1).abs() < 1e-9);
    assert!((found[0].saving_usd_upper.unwrap() - 0.1 - spread).abs() < 1e-3);
    assert!((found[0].saving_usd_lower.unwrap() - 0.1 + spread).abs() < 1e-3);
    assert!(found[0].title.ends_with("a run would take 6 % less and cost 0.100 USD less"), "{}", found[0].title);
    assert_eq!(found[0].evidence, ["rollups:wf/align/error_rate", "rollups:wf/align/cost"]);
}

#[test]
fn tries_that_cost_money_but_no_time_are_told() {
    let found = recommend(&retried(0.001, 0.5), &[], &Params::default());
    assert_eq!((found.len(), found[0].category), (1, "reliability"), "{found:#?}");
    assert_eq!(recommend(&retried(0.001, 0.001), &[], &Params::default()), [], "neither time nor money");
    assert_eq!(recommend(&retried(0.0, 0.0), &[], &Params::default()), [], "none");
}

/// align costs `after` from day 30 on, before that 0.2; both more or less 2 %.
fn risen(after: f64, shown: impl Fn(usize) -> Shown) -> World {
    let usd = |day: usize| noisy(if day < 30 { 0.2 } else { after }, day);
    let of = |day: usize, step: &str| match step {
        "align" => Shown { cost_usd: usd(day), ..shown(day) },
        _ => Shown { cost_usd: 0.1, ..NOTHING },
    };
    let mut world = World::of(60, |_| chain(30.0), of);
    world.learned("align", Metric::Cost, &[30]);
    world
}

#[test]
fn a_rise_of_cost_is_undone() {
    let found = &recommend(&risen(0.3, |_| NOTHING), &[], &Params::default())[..];
    let [Recommendation { category, target, saving_ms, saving_usd, saving_usd_lower, actions, evidence, .. }] = found
    else {
        panic!("{found:#?}")
    };
    assert_eq!((*category, target.as_str(), *saving_ms), ("cost", "align.cost_usd", 0.0));
    let (saved, lower) = (saving_usd.unwrap(), saving_usd_lower.unwrap());
    assert!((saved - 0.1).abs() < 2e-3 && lower < saved && lower > 0.095, "{lower} {saved}");
    assert_eq!(actions[0].path, "/steps/align/target/cost_usd");
    assert_eq!(evidence[0], "change_points:wf/align/cost@1970-01-31T00:00:00Z");
    assert_eq!(evidence[1], "baselines:wf/align/cost");
}

#[test]
fn what_does_not_cost_more_for_its_size_or_buys_time_is_left_alone() {
    for after in [0.1, 0.2, 0.23] {
        assert_eq!(recommend(&risen(after, |_| NOTHING), &[], &Params::default()), [], "{after}");
    }
    // Cost goes with size in both stretches, and size has grown.
    let size = |day: usize| (1.0 + (day * 13 % 7) as f64) * if day < 30 { 1e6 } else { 2e6 };
    let of = |day: usize, step: &str| match step {
        "align" => Shown { cost_usd: noisy(0.1 * size(day) / 1e6, day), input_bytes: size(day), ..NOTHING },
        _ => Shown { cost_usd: 0.1, ..NOTHING },
    };
    let mut grown = World::of(60, |_| chain(30.0), of);
    grown.learned("align", Metric::Cost, &[30]);
    assert_eq!(recommend(&grown, &[], &Params::default()), []);
    // The same rise with shorter executions.
    let usd = |day: usize| noisy(if day < 30 { 0.2 } else { 0.3 }, day);
    let run = |day: usize| chain(if day < 30 { 30.0 } else { 20.0 });
    let mut bought =
        World::of(60, run, |day, step| Shown { cost_usd: if step == "align" { usd(day) } else { 0.1 }, ..NOTHING });
    bought.learned("align", Metric::Cost, &[30]);
    assert_eq!(recommend(&bought, &[], &Params::default()), []);
}

#[test]
fn a_rise_of_tokens_counts_where_they_cost_money() {
    let tokens = |day: usize| Shown { tokens: noisy(if day < 30 { 1e3 } else { 2e3 }, day), ..NOTHING };
    let mut world = risen(0.235, tokens);
    world.analyses.clear();
    world.learned("align", Metric::Tokens, &[30]);
    let found = recommend(&world, &[], &Params::default());
    assert_eq!((found.len(), found[0].actions.len()), (1, 2), "{found:#?}");
    assert!((found[0].saving_usd.unwrap() - 0.035).abs() < 2e-3);
    assert!(found[0].title.contains("its tokens rose from 1"), "{}", found[0].title);
    let mut free = World::of(60, |_| chain(30.0), |day, _| tokens(day));
    free.learned("align", Metric::Tokens, &[30]);
    assert_eq!(recommend(&free, &[], &Params::default()), [], "nothing is known to cost anything");
}
