#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use super::*;
use crate::graph::examples::timed;
use crate::samples::UNKNOWN;
use crate::stats::dist::normal_quantile;
use crate::units::HOUR_US;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A Monday.
const APPLIED_US: i64 = 20_003 * DAY_US;

fn applied(kind: &str, category: &str, share: f64) -> Applied {
    Applied {
        recommendation_id: "r1".to_owned(),
        workflow_id: "w".to_owned(),
        workflow_type: Some("etl".to_owned()),
        target: "align".to_owned(),
        kind: kind.to_owned(),
        category: category.to_owned(),
        predicted: Predicted { share: Some(share), ..Predicted::default() },
        probability: Some(0.7),
        propensity: Some(0.95),
        was_first: true,
        applied_us: APPLIED_US,
        rolled_back_us: None,
    }
}

/// Six runs a day from `from` to `until` days after the change, of which the second part takes `ratio` times as long and
/// costs `cheaper` times as much.
fn runs((from, until): (i64, i64), ratio: f64, cheaper: f64) -> Vec<MeasuredRun> {
    let mut draws = Xoshiro256PlusPlus::seed_from_u64(5);
    let mut noise = move || (0.1 * normal_quantile(draws.random_range(1e-9..1.0 - 1e-9))).exp();
    let of_day = |day: i64| {
        let is_after = day >= 0;
        let (time, cost) = if is_after { (ratio, cheaper) } else { (1.0, 1.0) };
        let run = |hour: i64| MeasuredRun {
            workflow_id: "w".to_owned(),
            started_us: APPLIED_US + day * DAY_US + hour * HOUR_US,
            makespan_ms: Some(1e3 * time * noise()),
            cost_usd: Some(2.0 * cost * noise()),
            input_bytes: None,
        };
        (0..6).map(run).collect::<Vec<_>>()
    };
    (from..until).flat_map(of_day).collect()
}

fn measured(applied: &[Applied], runs: &[MeasuredRun], days: i64) -> Vec<Found> {
    let (samples, earlier, changes) = (Samples::default(), Earlier::default(), Changes::default());
    let as_of_us = APPLIED_US + days * DAY_US;
    let evidence = Evidence { runs, samples: &samples, earlier: &earlier, changes: &changes, as_of_us };
    outcomes(applied, &evidence, Level::DEFAULT).into_iter().map(|outcome| outcome.found).collect()
}

fn one(applied: &Applied, runs: &[MeasuredRun]) -> Found {
    measured(std::slice::from_ref(applied), runs, 14).remove(0)
}

#[test]
fn each_verdict_where_it_belongs() {
    let promised = applied("CACHING", "performance", 0.3);
    for (ratio, verdict) in [(0.7, Verdict::Worked), (1.0, Verdict::NoEffect), (1.3, Verdict::Worse)] {
        let found = one(&promised, &runs((-28, 14), ratio, 1.0));
        assert_eq!((found.measure, found.verdict), (Measure::EndToEnd, verdict), "{found:?}");
        let saving = found.saving.unwrap();
        assert!(saving.lower < 1.0 - ratio && 1.0 - ratio < saving.upper, "{saving:?}");
        assert_eq!(found.n, [168, 84]);
        let [ms, lower, upper] = found.time.unwrap().amount();
        assert!(lower < ms && ms < upper && (ms - 1e3 * (1.0 - ratio)).abs() < 60.0, "{ms}");
    }
    // What was promised is as small as the noise.
    let small = one(&applied("CACHING", "performance", 0.01), &runs((-28, 14), 1.0, 1.0));
    assert_eq!(small.verdict, Verdict::Unclear, "{small:?}");
    assert!(small.saving.is_some() && small.reason.contains("as well as"), "{}", small.reason);
}

#[test]
fn the_prediction_is_never_the_measurement() {
    let all = runs((-28, 14), 0.9, 1.0);
    let modest = one(&applied("CACHING", "performance", 0.05), &all);
    let bold = one(&applied("CACHING", "performance", 0.95), &all);
    assert_eq!((modest.saving, modest.time), (bold.saving, bold.time));
}

#[test]
fn too_little_is_unclear_and_measures_nothing() {
    let promised = applied("CACHING", "performance", 0.3);
    let (none, few) = (one(&promised, &[]), one(&promised, &runs((-28, 1), 0.7, 1.0)));
    assert_eq!((none.verdict, none.n, none.saving), (Verdict::Unclear, [0, 0], None));
    assert_eq!(none.reason, "needs 5 runs before, found 0");
    assert_eq!((few.verdict, few.saving), (Verdict::Unclear, None));
    assert_eq!(few.reason, "needs 3 days after that compare, found 1");
    // Not in force yet as of then.
    let early = measured(&[promised], &runs((-28, 14), 0.7, 1.0), -3).remove(0);
    assert_eq!((early.verdict, early.n[1]), (Verdict::Unclear, 0));
}

#[test]
fn money_is_measured_where_money_was_promised() {
    let mut promised = applied("PROVIDER_SELECTION", "cost", 0.0);
    promised.predicted.usd = Some([1.0, 0.8, 1.2]);
    let found = one(&promised, &runs((-28, 14), 1.0, 0.5));
    assert_eq!((found.measure, found.verdict), (Measure::Cost, Verdict::Worked));
    let [usd, lower, upper] = found.cost.unwrap().amount();
    assert!(lower < 1.0 && 1.0 < upper && lower < usd && usd < upper, "{usd}");
    assert_eq!(one(&promised, &runs((-28, 14), 0.5, 1.0)).verdict, Verdict::NoEffect, "faster is not cheaper");
}

/// Executions of `align` with a request of 4 GB, and of `to` after the change.
fn samples(to: f64) -> Samples {
    let mut samples = Samples::default();
    let [workflow, step, other] = ["w", "align", "sort"].map(|word| samples.vocabulary.intern(word));
    for run in runs((-28, 14), 1.0, 1.0) {
        for at in [step, other] {
            samples.workflow_id.push(workflow);
            samples.step.push(at);
            samples.started_us.push(run.started_us);
            samples.input_bytes.push(f64::NAN);
            samples.duration_ms.push(run.makespan_ms.unwrap());
            let lowered = run.started_us >= APPLIED_US && at == step;
            samples.memory_request_mb.push(if lowered { to } else { 4e3 });
            samples.cpu_request.push(f64::NAN);
            samples.cache_hit.push(false);
        }
    }
    assert!(workflow != UNKNOWN);
    samples
}

#[test]
fn lower_requests_work_where_less_is_held_and_runs_take_no_longer() {
    let mut promised = applied("RESOURCE_ALLOCATION", "cost", 0.0);
    promised.target = "align.memory_mb".to_owned();
    promised.predicted.given_back = Some(0.5);
    let of = |to: f64, ratio: f64| {
        let (runs, samples, earlier) = (runs((-28, 14), ratio, 1.0), samples(to), Earlier::default());
        let evidence = Evidence {
            runs: &runs,
            samples: &samples,
            earlier: &earlier,
            changes: &Changes::default(),
            as_of_us: APPLIED_US + 14 * DAY_US,
        };
        outcomes(std::slice::from_ref(&promised), &evidence, Level::DEFAULT).remove(0).found
    };
    let lower = of(2e3, 1.0);
    assert_eq!((lower.measure, lower.verdict, lower.n), (Measure::MemoryHeld, Verdict::Worked, [168, 84]));
    assert!((lower.saving.unwrap().share - 0.5).abs() < 0.05, "{lower:?}");
    let slower = of(2e3, 1.3);
    assert_eq!((slower.verdict, slower.reason.as_str()), (Verdict::Worse, "runs take longer since"));
    assert_eq!(of(4e3, 1.0).verdict, Verdict::NoEffect, "nothing was lowered");
}

#[test]
fn other_changes_of_the_workflow_bound_what_is_compared() {
    let first = applied("CACHING", "performance", 0.3);
    let at = |days: i64| Applied {
        recommendation_id: "r2".to_owned(),
        applied_us: APPLIED_US + days * DAY_US,
        ..applied("LOAD_BALANCING", "performance", 0.1)
    };
    let all = runs((-28, 14), 0.7, 1.0);
    let found = measured(&[first.clone(), at(7)], &all, 14);
    assert_eq!((found[0].until_us, found[1].from_us), (APPLIED_US + 7 * DAY_US, APPLIED_US));
    assert_eq!((found[0].verdict, found[1].verdict), (Verdict::Worked, Verdict::NoEffect), "{found:#?}");
    for both in measured(&[first.clone(), at(0)], &all, 14) {
        assert_eq!((both.verdict, both.n[0]), (Verdict::Unclear, 0), "two at once can't be told apart");
        assert!(both.reason.contains("changed again"), "{}", both.reason);
    }
    let elsewhere = Applied { workflow_id: "v".to_owned(), ..at(0) };
    assert_eq!(measured(&[first.clone(), elsewhere], &all, 14)[0].verdict, Verdict::Worked);
    let taken_back = Applied { rolled_back_us: Some(APPLIED_US + 5 * DAY_US), ..first };
    let found = one(&taken_back, &all);
    assert_eq!((found.verdict, found.n[1], found.until_us), (Verdict::Worked, 30, APPLIED_US + 5 * DAY_US));
}

#[test]
fn a_slowdown_that_is_undone_is_held_against_the_days_that_were_slow() {
    let undo = applied("ALGORITHM_OPTIMIZATION", "performance", 0.3);
    // A third longer for the last ten days before, and as it was ever since.
    let mut all = runs((-28, 14), 1.0, 1.0);
    let slow = |run: &&mut MeasuredRun| (APPLIED_US - 10 * DAY_US..APPLIED_US).contains(&run.started_us);
    all.iter_mut().filter(slow).for_each(|run| run.makespan_ms = run.makespan_ms.map(|ms| ms / 0.7));
    let (samples, earlier) = (Samples::default(), Earlier::default());
    let share = |changes: &Changes| {
        let evidence =
            Evidence { runs: &all, samples: &samples, earlier: &earlier, changes, as_of_us: APPLIED_US + 14 * DAY_US };
        outcomes(std::slice::from_ref(&undo), &evidence, Level::DEFAULT).remove(0).found.saving.unwrap().share
    };
    let of = |step: Option<&str>, days: i64| {
        Changes::from([(("w".to_owned(), step.map(str::to_owned)), vec![0, APPLIED_US + days * DAY_US])])
    };
    for known in [of(None, -10), of(Some("align"), -10)] {
        assert!((share(&known) - 0.3).abs() < 0.05, "{}", share(&known));
    }
    let unknown = share(&Changes::default());
    assert!(unknown < 0.2, "{unknown}");
    for other in [of(Some("sort"), -10), of(None, -1), of(None, 3)] {
        assert!((share(&other) - unknown).abs() < 1e-12, "another step's, or this change's own");
    }
}

#[test]
fn what_more_was_known_of_stands() {
    let promised = applied("CACHING", "performance", 0.3);
    let (full, kept) = (runs((-28, 28), 0.7, 1.0), runs((-2, 28), 0.7, 1.0));
    let before = measured(std::slice::from_ref(&promised), &full, 30).remove(0);
    let earlier = Earlier::from([(("r1".to_owned(), APPLIED_US), before.clone())]);
    let (samples, as_of_us) = (Samples::default(), APPLIED_US + 60 * DAY_US);
    let evidence =
        Evidence { runs: &kept, samples: &samples, earlier: &earlier, changes: &Changes::default(), as_of_us };
    let now = |applied: &Applied| outcomes(std::slice::from_ref(applied), &evidence, Level::DEFAULT).remove(0).found;
    assert_eq!(now(&promised), before);
    // Another time of application, or a rollback that has come to be known, is measured anew.
    let moved = Applied { applied_us: APPLIED_US + DAY_US, ..promised.clone() };
    let back = Applied { rolled_back_us: Some(APPLIED_US + 4 * DAY_US), ..promised };
    assert!(now(&moved).n != before.n && now(&back).n != before.n);
}

#[test]
fn runs_are_needed_around_every_application() {
    let first = applied("CACHING", "performance", 0.3);
    let later = Applied { applied_us: APPLIED_US + 40 * DAY_US, ..first.clone() };
    let around = |at_us: i64| (at_us - 28 * DAY_US, at_us + 28 * DAY_US);
    let expected = vec![around(APPLIED_US), around(APPLIED_US + 40 * DAY_US)];
    assert_eq!(needed(&[first, later]), Needed::from([("w".to_owned(), expected)]));
}

#[test]
fn a_run_tells_what_its_first_steps_took_in() {
    let mut graph = timed(&[("fetch", 0.0, 10.0, &[]), ("list", 0.0, 5.0, &[]), ("align", 10.0, 30.0, &[0])]);
    for (node, bytes) in graph.nodes.iter_mut().zip([Some(3e9), None, Some(7e9)]) {
        node.under.input_bytes = bytes;
    }
    assert_eq!(MeasuredRun::of(&graph).input_bytes, Some(3e9));
    graph.dependencies_known = false;
    assert_eq!(MeasuredRun::of(&graph).input_bytes, None);
}

/// The verdicts of worlds with noisy days, for a change that multiplies times by `ratio`.
fn verdicts(ratio: f64) -> BTreeMap<&'static str, f64> {
    const WORLDS: u64 = 400;
    let promised = applied("CACHING", "performance", 0.2);
    let mut shares = BTreeMap::new();
    for world in 0..WORLDS {
        let mut draws = Xoshiro256PlusPlus::seed_from_u64(world);
        let mut normal = move || normal_quantile(draws.random_range(1e-9..1.0 - 1e-9));
        let mut of_day = 0.0;
        let mut all = runs((-28, 10), ratio, 1.0);
        for (at, run) in all.iter_mut().enumerate() {
            of_day = if at % 6 == 0 { 0.15 * normal() } else { of_day };
            run.makespan_ms = run.makespan_ms.map(|_| {
                let changed = if run.started_us >= APPLIED_US { ratio } else { 1.0 };
                1e3 * changed * (of_day + 0.2 * normal()).exp()
            });
        }
        *shares.entry(one(&promised, &all).verdict.as_str()).or_default() += 1.0 / WORLDS as f64;
    }
    shares
}

#[test]
fn no_change_is_seldom_called_a_success_and_a_change_seldom_a_failure() {
    let (nothing, kept) = (verdicts(1.0), verdicts(0.8));
    let share = |of: &BTreeMap<&str, f64>, verdict: Verdict| of.get(verdict.as_str()).copied().unwrap_or(0.0);
    assert!(share(&nothing, Verdict::Worked) <= 0.05 && share(&nothing, Verdict::NoEffect) > 0.7, "{nothing:?}");
    assert!(share(&kept, Verdict::Worked) > 0.8 && share(&kept, Verdict::NoEffect) <= 0.05, "{kept:?}");
    assert!(share(&kept, Verdict::Worse) <= 0.01, "{kept:?}");
}
