#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::forecast::MAX_ORIGINS;
use crate::stats::dist::normal_quantile;
use crate::units::HOUR_US;
use crate::usage::{Load, Total};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A Monday.
const START_US: i64 = 4 * DAY_US;

fn params(horizon: usize, limits: &[(Resource, f64)]) -> CapacityParams {
    CapacityParams {
        forecast: ForecastParams { horizon, levels: Vec::new(), season_lengths: vec![7], max_origins: MAX_ORIGINS },
        level: Level::new(0.9).unwrap(),
        limits: limits.iter().map(|&(resource, amount)| ((resource, None), amount)).collect(),
        growth: vec![1.0],
    }
}

fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    normal_quantile(rng.random::<f64>().max(1e-12))
}

fn exponential(rng: &mut Xoshiro256PlusPlus) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

/// A day in which each run spends what `spend` says, and nothing is held.
fn day(position: usize, n_runs: usize, mut spend: impl FnMut() -> f64) -> DayUsage {
    let mut cost = Total::default();
    for _ in 0..n_runs {
        let spent = spend();
        cost = Total { n_runs: cost.n_runs + 1, sum: cost.sum + spent, sum_sq: cost.sum_sq + spent * spent };
    }
    DayUsage {
        start_us: START_US + DAY_US * i64::try_from(position).unwrap(),
        n_runs: u32::try_from(n_runs).unwrap(),
        spent: [cost, Total::default(), Total::default()],
        ..DayUsage::default()
    }
}

fn of(plans: &[CapacityPlan], resource: Resource) -> &CapacityPlan {
    at_growth(plans, resource, 1.0)
}

fn at_growth(plans: &[CapacityPlan], resource: Resource, growth: f64) -> &CapacityPlan {
    plans.iter().find(|plan| plan.resource == resource && (plan.growth - growth).abs() < 1e-9).unwrap()
}

const COST: Resource = Resource::Spent(Spent::CostUsd);
const SLOTS: Resource = Resource::Held(Held::Slots);

#[test]
fn nothing_is_planned_of_nothing_and_short_histories_say_why() {
    assert_eq!(plan(&[], &params(7, &[])), (vec![], vec![]));
    let short: Vec<DayUsage> = (0..3).map(|i| day(i, 5, || 1.0)).collect();
    let (plans, skips) = plan(&short, &params(7, &[]));
    assert!(plans.is_empty() && skips[0].reason.contains("needs 4 buckets"), "{skips:?}");
}

#[test]
fn what_is_not_recorded_is_told_only_where_a_limit_asks_for_it() {
    let days: Vec<DayUsage> = (0..30).map(|i| day(i, 20 + i % 3, || 2.0)).collect();
    let (plans, skips) = plan(&days, &params(7, &[(SLOTS, 5.0), (COST, 50.0)]));
    let planned: Vec<Resource> = plans.iter().map(|plan| plan.resource).collect();
    assert_eq!(planned, [Resource::Runs, COST]);
    assert_eq!(skips.len(), 1);
    assert!(skips[0].reason.starts_with("slots: a limit is configured, but 0 of 0 executions"), "{skips:?}");
    let cost = of(&plans, COST);
    assert_eq!((cost.start_us, cost.days.len(), cost.capacity), (START_US + 30 * DAY_US, 7, Some(50.0)));
    assert!(cost.days.iter().all(|day| (38.0..46.0).contains(&day.p50) && day.shortage.unwrap() < 0.05), "{cost:?}");
    assert!(of(&plans, Resource::Runs).exhaustion.is_none(), "no limit, no day of exhaustion");
}

#[test]
fn growth_scales_what_is_spent() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let days: Vec<DayUsage> = (0..60).map(|i| day(i, 50 + i % 7, || exponential(&mut rng))).collect();
    let asked = CapacityParams { growth: vec![1.0, 2.0], ..params(14, &[(COST, 90.0)]) };
    let (plans, _) = plan(&days, &asked);
    let of_growth = |growth: f64, resource| at_growth(&plans, resource, growth).days.clone();
    for (one, two) in of_growth(1.0, Resource::Runs).iter().zip(of_growth(2.0, Resource::Runs)) {
        assert!((two.p50 / one.p50 - 2.0).abs() < 1e-9 && (two.p95 / one.p95 - 2.0).abs() < 1e-9);
    }
    for (one, two) in of_growth(1.0, COST).iter().zip(of_growth(2.0, COST)) {
        assert!((two.p50 / one.p50 - 2.0).abs() < 1e-9);
        // More runs average out more of what they differ by.
        assert!(two.p95 / one.p95 <= 2.0 + 1e-9 && two.p95 / one.p95 > 1.8, "{one:?} {two:?}");
        assert!(one.shortage.unwrap() < 0.05 && two.shortage.unwrap() > 0.5, "{one:?} {two:?}");
        assert!(one.p50 <= one.p80 && one.p80 <= one.p95 && one.interval.lower <= one.p50, "{one:?}");
    }
}

/// Quantiles of Σ of n draws, n uncertain itself, beside as many simulated sums.
#[test]
fn a_product_has_the_spread_of_a_random_sum() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    // Runs 30 ± 5; a run spends exp(N(0, 1)): mean e^0.5, variance over squared mean e − 1.
    let sums: Vec<f64> = (0..20_000)
        .map(|_| {
            let n = (30.0 + 5.0 * normal(&mut rng)).round().max(0.0) as usize;
            (0..n).map(|_| normal(&mut rng).exp()).sum()
        })
        .collect();
    let step = |point: f64, sigma: f64| ForecastStep {
        point,
        intervals: capacity_levels()
            .into_iter()
            .map(|level| {
                let off = sigma * normal_quantile(0.5 * (1.0 + level.get()));
                Interval { lower: point - off, upper: point + off, level }
            })
            .collect(),
    };
    // The need is known as if from ever so many runs: what is left is what 30 of them differ by.
    let need = Need::Spent { steps: vec![step(0.5_f64.exp(), 0.0)], cv_sq: 1.0_f64.exp() - 1.0 };
    let found = demand(&step(30.0, 5.0), &need, 0, 1.0);
    for (level, rank) in [(P80_LEVEL, 0.8), (P95_LEVEL, 0.95)] {
        let upper = found.intervals.iter().find(|one| (one.level.get() - level).abs() < 1e-9).unwrap().upper;
        let below = sums.iter().filter(|sum| **sum <= upper).count() as f64 / sums.len() as f64;
        assert!((below - rank).abs() < 0.025, "{below} of the sums lie below the {rank} quantile");
    }
    let total = |f: &dyn Fn(f64) -> f64| sums.iter().map(|sum| f(*sum)).sum::<f64>() / sums.len() as f64;
    let mean = total(&|sum| sum);
    let (simulated, told) = (total(&|sum| (sum - mean).powi(2)), {
        let at = found.intervals.iter().find(|one| (one.level.get() - 0.68).abs() < 1e-9).unwrap();
        (at.upper - found.point).powi(2) / 0.994_458_f64.powi(2)
    });
    assert!((told / simulated - 1.0).abs() < 0.06, "variance {told} beside {simulated}");
}

/// Daily demand that grows to a known day, counted in runs and in what they need, with weeks and chance in both.
#[test]
fn the_day_of_exhaustion_is_inside_its_interval() {
    let (mut inside, mut told) = (0, 0);
    for seed in 0..500 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (growth, weekend) = (0.4 + rng.random::<f64>(), 20.0 * rng.random::<f64>());
        let ahead = 5 + rng.random_range(0..40_usize);
        let mean_runs = |i: usize| 100.0 + growth * i as f64 - if i % 7 >= 5 { weekend } else { 0.0 };
        let mut last = 0.0;
        let days: Vec<DayUsage> = (0..120)
            .map(|i| {
                last = 0.4 * last + 0.03 * normal(&mut rng);
                let price = f64::exp(last);
                let n = (mean_runs(i) + 4.0 * normal(&mut rng)).round().max(0.0) as usize;
                day(i, n, || price * exponential(&mut rng))
            })
            .collect();
        let capacity = (120..120 + ahead).map(mean_runs).fold(f64::MIN, f64::max);
        let truth = (0..).find(|ahead| mean_runs(120 + ahead) >= capacity).unwrap() + 1;
        let (plans, _) = plan(&days, &params(90, &[(COST, capacity)]));
        let Exhaustion { lower, upper, .. } = of(&plans, COST).exhaustion.unwrap();
        told += usize::from(lower.is_some());
        inside += usize::from(lower.is_some_and(|lower| lower <= truth) && upper.is_none_or(|upper| truth <= upper));
    }
    assert!(inside >= 440 && told >= 490, "inside {inside}, told {told} of 500");
}

/// The load and the most at once of a day on which `n` executions come at random over its hours, for a lognormal time.
fn busy_day(position: usize, n: usize, mean_hours: f64, rng: &mut Xoshiro256PlusPlus) -> (DayUsage, f64) {
    let mut turns: Vec<(f64, f64)> = Vec::new();
    let mut hours = [0.0_f64; 24];
    for _ in 0..n {
        let start = 24.0 * rng.random::<f64>();
        let end = start + mean_hours * (normal(rng) - 0.5).exp();
        turns.extend([(start, 1.0), (end, -1.0)]);
        for (hour, load) in hours.iter_mut().enumerate() {
            *load += (end.min(hour as f64 + 1.0) - start.max(hour as f64)).max(0.0);
        }
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut peaks = vec![0.0_f32; 24];
    let (mut now, mut most) = (0.0_f64, 0.0_f64);
    for (at, step) in turns {
        now += step;
        if let Some(peak) = peaks.get_mut(at as usize) {
            *peak = peak.max(now as f32);
            most = most.max(now);
        }
    }
    let count = u32::try_from(n).unwrap();
    let slots = Load { n: (count, count), hours: hours.iter().map(|load| *load as f32).collect(), peaks };
    let start_us = START_US + DAY_US * i64::try_from(position).unwrap();
    let held = [Load::default(), slots, Load::default(), Load::default()];
    (DayUsage { start_us, n_runs: count, held, ..DayUsage::default() }, most)
}

/// Recorded at one load, asked for at that and at three times as much: an M/G/∞ system simulated at both.
#[test]
fn the_most_at_once_is_that_of_arrivals_and_service_times() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let days: Vec<DayUsage> = (0..80).map(|i| busy_day(i, 480 + i % 5, 0.5, &mut rng).0).collect();
    let asked = CapacityParams { growth: vec![1.0, 3.0], ..params(7, &[(SLOTS, 30.0)]) };
    let (plans, skips) = plan(&days, &asked);
    assert!(skips.is_empty(), "{skips:?}");
    for growth in [1.0, 3.0] {
        let found = at_growth(&plans, SLOTS, growth);
        let n = (482.0 * growth) as usize;
        let mut most: Vec<f64> = (0..1_000).map(|i| busy_day(i, n, 0.5, &mut rng).1).collect();
        most.sort_by(f64::total_cmp);
        let day = found.days[3];
        let below = |amount: f64| most.iter().filter(|most| **most <= amount).count() as f64 / most.len() as f64;
        // A load of 10, or 30, of which the busiest moment of a day holds far more.
        assert!(day.p50 > 1.4 * 10.0 * growth, "{day:?}");
        assert!((0.35..=0.75).contains(&below(day.p50)), "{growth}: {} of days below {}", below(day.p50), day.p50);
        assert!((0.88..=0.995).contains(&below(day.p95)), "{growth}: {} of days below {}", below(day.p95), day.p95);
        assert!((day.p50 - day.p50.round()).abs() < 1e-12, "slots are whole");
        let shortage = 1.0 - below(30.0);
        assert!((day.shortage.unwrap() - shortage).abs() < 0.06, "{growth}: {:?} beside {shortage}", day.shortage);
    }
}

#[test]
fn what_goes_on_over_midnight_counts_on_both_days() {
    let load = |hours: Vec<f32>, peak: f32| Load { n: (1, 1), hours, peaks: vec![peak; 24] };
    let mut long = vec![0.0; 24];
    long.extend([2.0, 1.0]);
    let days: Vec<DayUsage> = [long, vec![0.0; 24]]
        .into_iter()
        .enumerate()
        .map(|(i, hours)| DayUsage {
            start_us: START_US + DAY_US * i64::try_from(i).unwrap(),
            n_runs: 1,
            held: [load(hours, 3.0), Load::default(), Load::default(), Load::default()],
            ..DayUsage::default()
        })
        .collect();
    let past = Past::of(&days).unwrap();
    let loads = past.loads(Held::Runs);
    assert!((loads.means[1] - 3.0 / 24.0).abs() < 1e-9 && loads.means[0].abs() < 1e-9, "{loads:?}");
    assert_eq!(loads.peaks, [3.0, 5.0]);
    assert_eq!(past.end_us(), START_US + 48 * HOUR_US);
}

#[test]
fn a_new_need_counts_from_the_day_it_began() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(8);
    let days: Vec<DayUsage> = (0..60)
        .map(|i| {
            let price = if i >= 45 { 3.0 } else { 1.0 };
            day(i, 200, || price * (0.5 + rng.random::<f64>()))
        })
        .collect();
    let (plans, _) = plan(&days, &params(7, &[]));
    assert!(of(&plans, COST).days.iter().all(|day| (day.p50 / 600.0 - 1.0).abs() < 0.05), "{plans:?}");
}

#[test]
fn the_same_whatever_the_unit() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(9);
    let days: Vec<DayUsage> = (0..40).map(|i| day(i, 30 + i % 4, || exponential(&mut rng))).collect();
    let scaled: Vec<DayUsage> = days
        .iter()
        .cloned()
        .map(|mut day| {
            day.spent[0] = Total { sum: 1e-3 * day.spent[0].sum, sum_sq: 1e-6 * day.spent[0].sum_sq, ..day.spent[0] };
            day
        })
        .collect();
    let [a, b] = [days, scaled].map(|days| plan(&days, &params(7, &[])).0);
    for (a, b) in of(&a, COST).days.iter().zip(&of(&b, COST).days) {
        assert!((b.p50 / a.p50 - 1e-3).abs() < 1e-9 && (b.p95 / a.p95 - 1e-3).abs() < 1e-9, "{a:?} {b:?}");
    }
}
