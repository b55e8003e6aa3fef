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
