//! Steps whose tail became slower, and such as only seem so.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::planted::{NOTHING, World};
use super::*;
use crate::graph::examples::timed;
use crate::series::Metric;
use crate::units::DAY_US;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const N_DAYS: usize = 60;
const A_DAY: usize = 20;

/// Twenty executions of align a day, of 30 ms more or less 10 %; from day 42 on one in seven takes `tail` times as long. Those
/// of a day share a factor that varies by `of_day`.
fn world(seed: u64, tail: f64, of_day: f64) -> World {
    let mut draws = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut uniform = || draws.random::<f64>();
    let mut normal = || (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    let mut days = Vec::new();
    for day in 0..N_DAYS {
        let common = (of_day * normal()).exp();
        let ms = |normal: f64, at: usize| {
            let is_long = day >= 42 && (day * A_DAY + at).is_multiple_of(7);
            30.0 * common * (0.1 * normal).exp() * if is_long { tail } else { 1.0 }
        };
        days.push((0..A_DAY).map(|at| ms(normal(), at)).collect::<Vec<f64>>());
    }
    let names: Vec<String> = (0..A_DAY).map(|at| format!("align/{at}")).collect();
    let run = |day: usize| {
        let nodes: Vec<(&str, f64, f64, &[u32])> =
            names.iter().zip(&days[day]).map(|(name, ms)| (name.as_str(), 0.0, *ms, &[][..])).collect();
        timed(&nodes)
    };
    let mut world = World::of(N_DAYS, run, |_, _| NOTHING);
    world.learned("align", Metric::ExecutionTime, &[]);
    world
}

fn slow(world: &World, percentile: u8) -> Vec<Bottleneck> {
    let params = BottleneckParams { percentile: Percentile::new(percentile).unwrap(), ..BottleneckParams::default() };
    let found = bottlenecks(&world.graphs, &world.analyses, &world.samples, &params).bottlenecks;
    found.into_iter().filter(|found| found.kind == "slow_step").collect()
}

#[test]
fn a_slower_tail_is_found_by_its_percentile_and_not_by_the_median() {
    let world = world(1, 2.0, 0.02);
    assert_eq!(slow(&world, 50), []);
    let found = &slow(&world, 95)[..];
    let [Bottleneck { severity, description, saving_ms, .. }] = found else { unreachable!("{found:#?}") };
    assert!(description.starts_with("the 95th percentile of align takes 6"), "{description}");
    assert_eq!(*severity, "medium");
    // The longest of twenty is what a run waits for: about 65 ms, and 36 without the tail.
    assert!((20.0..35.0).contains(saving_ms), "{saving_ms}");
}

#[test]
fn a_change_of_scatter_begins_a_regime_for_percentiles_alone() {
    let mut world = world(1, 2.0, 0.02);
    world.learned("align", Metric::ExecutionTime, &[42]);
    let changes = std::mem::take(&mut world.analyses[1].change_points);
    world.analyses.remove(0);
    world.analyses[0].spread_changes = changes;
    let found = slow(&world, 95);
    assert_eq!(found[0].evidence[0], "spread_changes:wf/align/execution_time@1970-02-12T00:00:00Z");
    assert_eq!(found[0].opened_at_us, 42 * DAY_US);
    assert_eq!(slow(&world, 50), []);
}

#[test]
fn a_slower_level_is_found_by_every_percentile() {
    let mut world = world(2, 1.0, 0.02);
    for (row, day) in world.samples.started_us.iter().map(|at| at / DAY_US).enumerate().collect::<Vec<_>>() {
        world.samples.duration_ms[row] *= if day < 42 { 1.0 } else { 1.5 };
    }
    world.analyses.clear();
    world.learned("align", Metric::ExecutionTime, &[42]);
    for percentile in [10, 50, 90] {
        assert_eq!(slow(&world, percentile).len(), 1, "{percentile}");
    }
}

#[test]
fn clean_worlds_stay_clean() {
    // Days differ by 30 %: executions of a day are no twenty independent ones.
    for percentile in [10, 50, 75, 95, 99] {
        let n_found = (0..60).filter(|seed| !slow(&world(100 + seed, 1.0, 0.3), percentile).is_empty()).count();
        assert!(n_found <= 1, "{n_found} of 60 at {percentile}");
    }
}

#[test]
fn percentiles_lie_between_1_and_99() {
    assert_eq!((Percentile::new(0), Percentile::new(100)), (None, None));
    let texts = [1, 2, 3, 11, 12, 50, 95].map(|at| Percentile::new(at).unwrap().of_text("s"));
    let nth = |text: &str| format!("the {text} percentile of s");
    assert_eq!(texts[..5], ["1st", "2nd", "3rd", "11th", "12th"].map(nth));
    assert_eq!(texts[5..], ["s".to_owned(), nth("95th")]);
}
