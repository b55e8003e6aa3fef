#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::units::HOUR_US;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What one execution of the made-up history is like.
#[derive(Clone, Copy)]
struct Case {
    step: usize,
    provider: &'static str,
    platform: &'static str,
    input_bytes: f64,
    duration_ms: f64,
    cached: bool,
    start_us: i64,
}

fn history(cases: impl IntoIterator<Item = Case>) -> Samples {
    let mut s = Samples::default();
    for case in cases {
        let mut code = |word: &str| s.vocabulary.intern(word);
        let (workflow, step) = (code("w"), code(&format!("step{}", case.step)));
        let (provider, platform) = (code(case.provider), code(case.platform));
        s.workflow_id.push(workflow);
        s.workflow_type.push(workflow);
        s.step.push(step);
        s.step_type.push(UNKNOWN);
        s.provider.push(if case.provider.is_empty() { UNKNOWN } else { provider });
        s.platform.push(platform);
        s.started_us.push(case.start_us);
        s.ended_us.push(case.start_us);
        s.input_bytes.push(case.input_bytes);
        s.duration_ms.push(case.duration_ms);
        s.cost_usd.push(f64::NAN);
        s.cache_hit.push(case.cached);
    }
    s
}

/// 300 runs of five steps. Provider `b` takes 1.3 times as long as `a`, gets inputs three times as large (time grows with
/// their root) and sits mostly on the slower platform; one execution in a hundred hangs; a hundred more were cached.
fn planted(seed: u64) -> Vec<Case> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut normal = move || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut cases = Vec::new();
    for run in 0..300 {
        let on_b = normal() > 0.0;
        let slow = normal() > if on_b { -0.8 } else { 0.8 };
        let (shared, size) = (0.15 * normal(), (if on_b { 3e6 } else { 1e6 }) * (0.7 * normal()).exp());
        for step in 0..5 {
            let log = 5.0 + step as f64 + if on_b { 1.3_f64.ln() } else { 0.0 } + if slow { 0.4 } else { 0.0 };
            let hang = if normal() > 2.33 { 3.0 } else { 0.0 };
            cases.push(Case {
                step,
                provider: if on_b { "b" } else { "a" },
                platform: if slow { "slow" } else { "fast" },
                input_bytes: size,
                duration_ms: (log + 0.5 * (size / 1e6).ln() + shared + 0.2 * normal() + hang).exp(),
                cached: false,
                start_us: run * 3 * HOUR_US,
            });
        }
    }
    let cached = Case { duration_ms: 1.0, cached: true, ..cases[0] };
    cases.extend([cached; 100]);
    cases
}

fn only(samples: &Samples, dimension: Dimension) -> Vec<Comparison> {
    compare(samples, &CompareParams { dimensions: vec![dimension], ..CompareParams::default() })
}

#[test]
fn finds_the_planted_ratio_through_size_platform_hangs_and_caches() {
    let provider = only(&history(planted(1)), Dimension::Provider);
    assert_eq!(provider.len(), 1);
    let found = &provider[0];
    assert_eq!((found.a.as_str(), found.b.as_str(), found.metric), ("a", "b", "execution_time"));
    assert!((found.ratio / 1.3).ln().abs() < 0.06, "{found:?}");
    assert_eq!(found.n_a + found.n_b, 1_500, "cached rows don't count");
    let platform = &only(&history(planted(1)), Dimension::Platform)[0];
    assert!((platform.ratio.ln() + 0.4).abs() < 0.06 || (platform.ratio.ln() - 0.4).abs() < 0.06, "{platform:?}");
}

#[test]
fn the_interval_holds_the_truth_as_often_as_it_says() {
    let holds = |seed| {
        let found = only(&history(planted(seed)), Dimension::Provider).remove(0).interval;
        u32::from((found.lower..=found.upper).contains(&1.3))
    };
    let held: u32 = (0..150).map(holds).sum();
    // 95 % of 150 with three standard errors; without clusters it would be near 120.
    assert!((134..=150).contains(&held), "{held}");
}

#[test]
fn swapping_names_inverts_the_ratio() {
    let swapped = planted(2).into_iter().map(|c| Case { provider: if c.provider == "a" { "b" } else { "a" }, ..c });
    let (there, back) =
        (&only(&history(planted(2)), Dimension::Provider)[0], &only(&history(swapped), Dimension::Provider)[0]);
    assert!((there.ratio * back.ratio - 1.0).abs() < 1e-9);
    assert!((there.interval.lower * back.interval.upper - 1.0).abs() < 1e-9);
    assert_eq!((there.n_a, there.n_b), (back.n_b, back.n_a));
}

#[test]
fn without_times_the_interval_is_wider_not_narrower() {
    let timeless = planted(3).into_iter().map(|case| Case { start_us: 0, ..case });
    let width = |c: &Comparison| (c.interval.upper / c.interval.lower).ln();
    let timed = width(&only(&history(planted(3)), Dimension::Provider)[0]);
    assert!(width(&only(&history(timeless), Dimension::Provider)[0]) >= 0.9 * timed);
}

#[test]
fn a_provider_on_a_platform_of_its_own_is_compared_together_with_it() {
    let tied = planted(4).into_iter().map(|c| Case { platform: if c.provider == "a" { "x" } else { "y" }, ..c });
    let found = &only(&history(tied), Dimension::Provider)[0];
    assert!(found.ratio > 1.3 && found.interval.lower > 1.0, "{found:?}");
}

#[test]
fn nothing_is_said_without_enough_on_both_sides() {
    let all = CompareParams::default();
    assert_eq!(compare(&Samples::default(), &all), []);
    let one = planted(5).into_iter().map(|c| Case { provider: "a", platform: "x", ..c });
    assert_eq!(compare(&history(one), &all), []);
    let unknown = planted(5).into_iter().map(|c| Case { provider: "", platform: "x", ..c });
    assert_eq!(compare(&history(unknown), &all), []);
    let few = planted(5).into_iter().take(100);
    assert_eq!(only(&history(few), Dimension::Provider), []);
    let broken = planted(5).into_iter().map(|c| Case { duration_ms: f64::NAN, ..c });
    assert_eq!(compare(&history(broken), &all), []);
}

#[test]
fn constant_durations_and_unknown_sizes_give_a_sound_ratio() {
    let flat = planted(6).into_iter().map(|c| Case {
        duration_ms: if c.provider == "a" { 100.0 } else { 200.0 },
        input_bytes: f64::NAN,
        ..c
    });
    let found = &only(&history(flat), Dimension::Provider)[0];
    assert!((found.ratio - 2.0).abs() < 1e-9 && found.interval.lower <= 2.0 + 1e-9, "{found:?}");
    assert!(found.interval.lower.is_finite() && found.interval.upper.is_finite());
    let json = serde_json::to_string(found).unwrap();
    assert!(json.contains("\"dimension\":\"provider\""));
}
