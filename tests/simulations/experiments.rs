//! Measures by simulation whether the statistics of experiments keep what they promise: A/A tests that are looked at every
//! day, the coverage of every estimator's intervals, and what a covariate saves.
//!
//!     cargo run --release -p paceline-pure --example experiments [aa] [coverage [only=words]] [power] [srm]
//!
//! Prints one line a setting. Seeds are fixed, so that figures are the same anywhere.
#![expect(clippy::print_stdout, clippy::cast_precision_loss, clippy::indexing_slicing, reason = "a measuring program")]

use paceline_pure::experiment::measure::{RowStat, Rows, measure};
use paceline_pure::experiment::{
    ArmStatistics, DecisionParams, ExperimentRow, ExperimentStatistics, Method, Role, Stat, Trial, judge, judge_trials,
};
use paceline_pure::series::Better;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus as Rng;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

const LOOKS: usize = 28;
/// A/A tests of a setting.
const AA_TESTS: u64 = 4_000;
/// Experiments of a setting whose intervals are looked at.
const COVERAGES: u64 = 2_000;

fn normal(rng: &mut Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let only = asked.iter().find_map(|one| one.strip_prefix("only=")).unwrap_or_default();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    if is_asked("aa") {
        aa(only);
    }
    if is_asked("coverage") {
        coverage(only);
    }
    if is_asked("power") {
        power();
    }
    if is_asked("srm") {
        srm();
    }
}

/// What disturbs runs over time, for both arms alike.
#[derive(Clone, Copy, PartialEq)]
enum World {
    Steady,
    /// The load of the machines wanders: lag-1 autocorrelation 0.9 from run to run, as large as the noise.
    Wandering,
    /// Days of the week differ by half.
    Weekly,
}

impl World {
    fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Wandering => "AR(1) 0.9",
            Self::Weekly => "weekly",
        }
    }
}

fn sums(arms: [&ArmStatistics; 2], stat: Stat, method: Method) -> ExperimentRow {
    let name = ["a", "b"];
    let experiment = ExperimentStatistics {
        id: String::new(),
        metric: String::new(),
        stat,
        better: Better::Lower,
        control: "a".into(),
        arms: name.iter().zip(arms).map(|(name, arm)| ((*name).to_owned(), arm.clone())).collect(),
        assigned: [].into(),
        shares: [].into(),
        min_effect: 0.0,
        finished: true,
    };
    judge(&experiment, &DecisionParams::of(method)).remove(1)
}

/// Share of 4,000 A/A tests that reject at any of 28 daily looks.
fn aa(only: &str) {
    println!("A/A, 4,000 tests, {LOOKS} daily looks: share that ever rejects at 5 %");
    for world in [World::Steady, World::Wandering, World::Weekly] {
        for per_day in [20, 200] {
            for sigma in [0.33, 0.8, 1.5] {
                for (stat, name) in [(Some(Stat::Mean), "mean"), (Some(Stat::LogMean), "log_ratio"), (None, "p95")] {
                    let setting = format!("{} {per_day} {name}", world.name());
                    if !setting.contains(only) {
                        continue;
                    }
                    let count = |(a, b): (u32, u32), (c, d): (bool, bool)| (a + u32::from(c), b + u32::from(d));
                    let (sequential, fixed) = (0..AA_TESTS)
                        .into_par_iter()
                        .map(|seed| ever_rejects(seed, world, per_day, sigma, stat))
                        .fold(|| (0, 0), count)
                        .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
                    let world = world.name();
                    println!(
                        "{world:>9} {per_day:>3}/arm/day sigma {sigma:<4} {name:>9}: anytime {:.2} %, fixed {:.2} %",
                        100.0 * f64::from(sequential) / f64::from(AA_TESTS as u32),
                        100.0 * f64::from(fixed) / f64::from(AA_TESTS as u32)
                    );
                }
            }
        }
    }
}

fn ever_rejects(seed: u64, world: World, per_day: usize, sigma: f64, stat: Option<Stat>) -> (bool, bool) {
    let mut rng = Rng::seed_from_u64(seed);
    let (mut a, mut b) = (ArmStatistics::default(), ArmStatistics::default());
    let (mut values, mut arms) = (Vec::new(), Vec::new());
    let (mut load, mut any) = (0.0, (false, false));
    for day in 0..LOOKS {
        for _ in 0..2 * per_day {
            load = 0.9 * load + (1.0_f64 - 0.81).sqrt() * normal(&mut rng);
            let shared = match world {
                World::Steady => 0.0,
                World::Wandering => sigma * load,
                World::Weekly => {
                    if day % 7 >= 5 {
                        0.5
                    } else {
                        0.0
                    }
                }
            };
            let value = (sigma * normal(&mut rng) + shared).exp();
            let arm = u32::from(rng.random::<bool>());
            if stat.is_some() {
                if arm == 0 { a.add(value) } else { b.add(value) }
            } else {
                values.push(value);
                arms.push(arm);
            }
        }
        let (table, sides) = (Table { arms: &arms, values: &values, ..Table::default() }, [&a, &b]);
        let verdict: Box<dyn Fn(Method) -> ExperimentRow + '_> = if let Some(stat) = stat {
            Box::new(move |method| sums(sides, stat, method))
        } else {
            let trial = trial(&table, RowStat::Quantile(0.95));
            Box::new(move |method| judged(&trial, method))
        };
        for (method, slot) in [(Method::Sequential, &mut any.0), (Method::Fixed, &mut any.1)] {
            *slot |= verdict(method).p_value.is_some_and(|p| p < 0.05);
        }
    }
    any
}

#[derive(Default)]
struct Table<'a> {
    arms: &'a [u32],
    values: &'a [f64],
    denominators: Option<&'a [f64]>,
    covariates: &'a [Vec<f64>],
    units: Option<&'a [u32]>,
    strata: Option<&'a [u32]>,
}

/// The verdict on arm b of rows.
fn rows(table: &Table<'_>, stat: RowStat, method: Method) -> ExperimentRow {
    judged(&trial(table, stat), method)
}

fn judged(trial: &Trial, method: Method) -> ExperimentRow {
    judge_trials(std::slice::from_ref(trial), &DecisionParams::of(method)).remove(0).remove(1)
}

fn trial(table: &Table<'_>, stat: RowStat) -> Trial {
    let names = ["a".to_owned(), "b".to_owned()];
    let chosen: Vec<usize> = (0..table.values.len()).collect();
    let rows = Rows {
        arm: table.arms,
        names: &names,
        outcome: table.values,
        denominator: table.denominators,
        covariates: table.covariates,
        unit: table.units,
        stratum: table.strata,
        time: None,
    };
    let found = measure(&rows, &chosen, "a", stat);
    Trial {
        id: String::new(),
        metric: String::new(),
        stat: String::new(),
        role: Role::Primary,
        better: Better::Lower,
        control: "a".into(),
        arms: found.arms,
        health: found.health,
        unfit: found.unfit,
        min_effect: 0.0,
        finished: true,
        units_per_day: None,
        max_days: 365.0,
    }
}

/// One simulated experiment, with the truth of its difference and its ratio − 1.
#[derive(Default)]
struct Drawn {
    arms: Vec<u32>,
    values: Vec<f64>,
    denominators: Option<Vec<f64>>,
    covariates: Vec<Vec<f64>>,
    units: Option<Vec<u32>>,
    strata: Option<Vec<u32>>,
    difference: f64,
    relative: Option<f64>,
}

type Draw = fn(&mut Rng, usize) -> Drawn;

/// Log-normal, treatment 10 % lower and with a wider spread.
fn lognormal(rng: &mut Rng, n: usize, sigma: f64, wider: f64) -> Drawn {
    let mut drawn = Drawn::default();
    for i in 0..2 * n {
        let is_b = i % 2 == 1;
        let spread = if is_b { sigma * wider } else { sigma };
        drawn.arms.push(u32::from(is_b));
        drawn.values.push((spread * normal(rng)).exp() * if is_b { 0.9 } else { 1.0 });
    }
    let mean = |spread: f64| (0.5 * spread * spread).exp();
    drawn.difference = 0.9 * mean(sigma * wider) - mean(sigma);
    drawn.relative = Some(0.9 * mean(sigma * wider) / mean(sigma) - 1.0);
    drawn
}

/// Share of 2,000 intervals that hold the truth.
fn coverage(only: &str) {
    println!(
        "coverage of 95 % intervals, 2,000 experiments: difference / relative; of those without a caution; share with one, without an interval"
    );
    let gaussian: Draw = |rng, n| {
        let mut drawn = Drawn { difference: 1.0, relative: Some(0.1), ..Drawn::default() };
        for i in 0..2 * n {
            // Twice as many units in the control, and three times the spread in the other arm.
            let is_b = i % 3 == 2;
            drawn.arms.push(u32::from(is_b));
            drawn.values.push(if is_b { 11.0 + 3.0 * normal(rng) } else { 10.0 + normal(rng) });
        }
        drawn
    };
    let median: Draw = |rng, n| {
        let mut drawn = lognormal(rng, n, 0.8, 1.3);
        drawn.difference = -0.1;
        drawn.relative = Some(-0.1);
        drawn
    };
    let p95: Draw = |rng, n| {
        let mut drawn = lognormal(rng, n, 0.8, 1.3);
        let of = |sigma: f64| (1.644_853_626_951_472_2 * sigma).exp();
        drawn.difference = 0.9 * of(0.8 * 1.3) - of(0.8);
        drawn.relative = Some(0.9 * of(0.8 * 1.3) / of(0.8) - 1.0);
        drawn
    };
    let log_ratio: Draw = |rng, n| {
        let mut drawn = lognormal(rng, n, 1.5, 1.3);
        drawn.relative = Some(-0.1);
        drawn.difference = f64::NAN;
        drawn
    };
    let settings: Vec<(&str, RowStat, Draw)> = vec![
        ("mean, normal, unequal variances and sizes", RowStat::Mean, gaussian),
        ("mean, lognormal 0.33", RowStat::Mean, |rng, n| lognormal(rng, n, 0.33, 1.3)),
        ("mean, lognormal 0.8", RowStat::Mean, |rng, n| lognormal(rng, n, 0.8, 1.3)),
        ("mean, lognormal 1.5, equal spread", RowStat::Mean, |rng, n| lognormal(rng, n, 1.5, 1.0)),
        ("mean, lognormal 1.5 and 1.95", RowStat::Mean, |rng, n| lognormal(rng, n, 1.5, 1.3)),
        ("log ratio, lognormal 1.5 and 1.95", RowStat::LogRatio, log_ratio),
        ("p50, lognormal 0.8 and 1.04", RowStat::Quantile(0.5), median),
        ("p95, lognormal 0.8 and 1.04", RowStat::Quantile(0.95), p95),
        ("proportion 3 % and 5 %", RowStat::Proportion, shares),
        ("ratio of sums", RowStat::Ratio, ratio),
        ("CUPED, 60 % explained", RowStat::Mean, cuped),
        ("log ratio, CUPED", RowStat::LogRatio, cuped_log),
        ("post-stratified", RowStat::Mean, stratified),
        ("clusters of ten, mean", RowStat::Mean, clustered),
        ("clusters of ten, p50", RowStat::Quantile(0.5), clustered_median),
        ("paired by unit", RowStat::Mean, paired),
        ("trimmed 20 %, symmetric tails", RowStat::Trimmed(0.2), symmetric),
        ("winsorised 5 %, symmetric tails", RowStat::Winsorised(0.05), symmetric),
    ];
    for (name, stat, draw) in settings.into_iter().filter(|(name, ..)| name.contains(only)) {
        for n in [20, 100, 1_000, 10_000, 100_000] {
            let one = |seed: u64| covers(seed, n, stat, draw);
            let add = |a: [u32; 10], b: [u32; 10]| std::array::from_fn(|i| a[i] + b[i]);
            let [
                known,
                inside,
                known_relative,
                inside_relative,
                told,
                absent,
                known_untold,
                inside_untold,
                known_relative_untold,
                relative_untold,
            ] = (0..COVERAGES).into_par_iter().map(one).reduce(|| [0; 10], add);
            let share = |part: u32, of: u32| 100.0 * f64::from(part) / f64::from(of.max(1));
            println!(
                "{name:<42} n {n:>6}: {:5.1} / {:5.1} %; {:5.1} / {:5.1} %; caution {:4.0} %, none {:4.0} %",
                share(inside, known),
                share(inside_relative, known_relative),
                share(inside_untold, known_untold),
                share(relative_untold, known_relative_untold),
                share(told, COVERAGES as u32),
                share(absent, COVERAGES as u32)
            );
        }
    }
}

fn covers(seed: u64, n: usize, stat: RowStat, draw: Draw) -> [u32; 10] {
    let mut rng = Rng::seed_from_u64(seed);
    let drawn = draw(&mut rng, n);
    let table = Table {
        arms: &drawn.arms,
        values: &drawn.values,
        denominators: drawn.denominators.as_deref(),
        covariates: &drawn.covariates,
        units: drawn.units.as_deref(),
        strata: drawn.strata.as_deref(),
    };
    let row = rows(&table, stat, Method::Fixed);
    let absolute = row.effect_lower.zip(row.effect_upper).filter(|_| drawn.difference.is_finite());
    let relative = row.relative_lower.zip(row.relative_upper).zip(drawn.relative);
    let is_told = ["may miss", "may then miss"].iter().any(|words| row.reason.contains(words));
    let inside = absolute.is_some_and(|(lower, upper)| lower <= drawn.difference && drawn.difference <= upper);
    let inside_relative = relative.is_some_and(|((lower, upper), truth)| lower <= truth && truth <= upper);
    [
        absolute.is_some(),
        inside,
        relative.is_some(),
        inside_relative,
        is_told,
        row.effect_lower.is_none(),
        absolute.is_some() && !is_told,
        inside && !is_told,
        relative.is_some() && !is_told,
        inside_relative && !is_told,
    ]
    .map(u32::from)
}

fn shares(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = Drawn { difference: 0.02, relative: Some(0.05 / 0.03 - 1.0), ..Drawn::default() };
    for i in 0..2 * n {
        drawn.arms.push(u32::from(i % 2 == 1));
        drawn.values.push(f64::from(u8::from(rng.random::<f64>() < if i % 2 == 1 { 0.05 } else { 0.03 })));
    }
    drawn
}

/// Cost per token: tokens vary a lot, cost follows them.
fn ratio(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = Drawn { difference: -0.1, relative: Some(-0.1), ..Drawn::default() };
    let mut denominators = Vec::new();
    for i in 0..2 * n {
        let is_b = i % 2 == 1;
        let tokens = (0.7 * normal(rng)).exp();
        drawn.arms.push(u32::from(is_b));
        drawn.values.push(tokens * if is_b { 0.9 } else { 1.0 } * (0.3 * normal(rng) - 0.045).exp());
        denominators.push(tokens);
    }
    drawn.denominators = Some(denominators);
    drawn
}

fn cuped(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = Drawn { difference: -0.5, relative: Some(-0.05), ..Drawn::default() };
    let mut known = Vec::new();
    for i in 0..2 * n {
        let x = normal(rng);
        known.push(x);
        drawn.arms.push(u32::from(i % 2 == 1));
        drawn.values.push(10.0 - 0.5 * f64::from(i as u32 % 2) + 0.6_f64.sqrt() * x + 0.4_f64.sqrt() * normal(rng));
    }
    drawn.covariates = vec![known];
    drawn
}

fn cuped_log(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = cuped(rng, n);
    drawn.values.iter_mut().for_each(|value| *value = (*value - 10.0).exp());
    drawn.difference = f64::NAN;
    drawn.relative = Some((-0.5_f64).exp_m1());
    drawn
}

fn stratified(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = Drawn { difference: 1.0, relative: None, ..Drawn::default() };
    let mut strata = Vec::new();
    for _ in 0..2 * n {
        let stratum = rng.random_range(0..4_u32);
        let arm = u32::from(rng.random::<bool>());
        strata.push(stratum);
        drawn.arms.push(arm);
        drawn.values.push(5.0 * f64::from(stratum) + f64::from(arm) + normal(rng));
    }
    drawn.strata = Some(strata);
    drawn
}

/// `n` rows an arm in clusters of ten, whose members are alike.
fn clustered(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = Drawn { difference: 0.5, relative: Some(0.05), ..Drawn::default() };
    let mut units = Vec::new();
    let mut cluster = 0;
    while drawn.values.len() < 2 * n {
        let (size, shared) = (rng.random_range(5..16), normal(rng));
        for _ in 0..size {
            units.push(cluster);
            drawn.arms.push(cluster % 2);
            drawn.values.push(10.0 + 0.5 * f64::from(cluster % 2) + shared + normal(rng));
        }
        cluster += 1;
    }
    drawn.units = Some(units);
    drawn
}

fn clustered_median(rng: &mut Rng, n: usize) -> Drawn {
    clustered(rng, n)
}

fn paired(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = Drawn { difference: 0.5, relative: Some(0.05), ..Drawn::default() };
    let mut units = Vec::new();
    for unit in 0..n as u32 {
        let shared = 2.0 * normal(rng);
        for arm in 0..2 {
            units.push(unit);
            drawn.arms.push(arm);
            drawn.values.push(10.0 + 0.5 * f64::from(arm) + shared + normal(rng));
        }
    }
    drawn.units = Some(units);
    drawn
}

/// Heavy tails to both sides: normal over the root of a uniform.
fn symmetric(rng: &mut Rng, n: usize) -> Drawn {
    let mut drawn = Drawn { difference: 0.0, relative: None, ..Drawn::default() };
    for i in 0..2 * n {
        let wide = 1.0 + f64::from(i as u32 % 2);
        drawn.arms.push(i as u32 % 2);
        drawn.values.push(wide * normal(rng) / (1.0 - rng.random::<f64>()).sqrt());
    }
    drawn
}

/// Runs until an anytime test decides, with and without a covariate that explains 60 % of the variance.
fn power() {
    println!(
        "runs of both arms until decided, 2,000 experiments, 40 runs a day, median (share undecided after 400 days)"
    );
    for effect in [0.2, 0.4] {
        let of = |is_adjusted: bool, effect: f64| -> (f64, f64) {
            let mut runs: Vec<f64> =
                (0..2_000_u64).into_par_iter().map(|seed| decides(seed, effect, is_adjusted)).collect();
            runs.sort_unstable_by(f64::total_cmp);
            (runs[runs.len() / 2], runs.iter().filter(|n| n.is_infinite()).count() as f64 / runs.len() as f64)
        };
        let (plain, adjusted) = (of(false, effect), of(true, effect));
        println!(
            "effect {effect} sd: {:.0} ({:.1} %) without, {:.0} ({:.1} %) with: {:.1} %",
            plain.0,
            100.0 * plain.1,
            adjusted.0,
            100.0 * adjusted.1,
            100.0 * adjusted.0 / plain.0
        );
    }
    let wrong = |is_adjusted| {
        let n = 1_000_u64;
        (0..n).into_par_iter().filter(|seed| decides_within(*seed, 0.0, is_adjusted, LOOKS).is_finite()).count() as f64
            / n as f64
    };
    println!(
        "no effect, {LOOKS} looks: decided {:.1} % without, {:.1} % with",
        100.0 * wrong(false),
        100.0 * wrong(true)
    );
}

fn decides(seed: u64, effect: f64, is_adjusted: bool) -> f64 {
    decides_within(seed, effect, is_adjusted, 400)
}

fn decides_within(seed: u64, effect: f64, is_adjusted: bool, days: usize) -> f64 {
    let mut rng = Rng::seed_from_u64(seed);
    let (mut arms, mut values, mut known) = (Vec::new(), Vec::new(), vec![Vec::new()]);
    for _ in 0..days {
        for _ in 0..40 {
            let (x, arm) = (normal(&mut rng), u32::from(rng.random::<bool>()));
            known[0].push(x);
            arms.push(arm);
            values.push(10.0 - effect * f64::from(arm) + 0.6_f64.sqrt() * x + 0.4_f64.sqrt() * normal(&mut rng));
        }
        let covariates: &[Vec<f64>] = if is_adjusted { &known } else { &[] };
        let table = Table { arms: &arms, values: &values, covariates, ..Table::default() };
        if rows(&table, RowStat::Mean, Method::Sequential).p_value.is_some_and(|p| p < 0.05) {
            return values.len() as f64;
        }
    }
    f64::INFINITY
}

/// Share of fair splits that are ever called broken, over daily looks.
fn srm() {
    let n = 4_000_u64;
    let ever = |seed: u64| {
        let mut rng = Rng::seed_from_u64(seed);
        let mut counts = [0_u64; 2];
        let mut found = (false, false);
        for _ in 0..LOOKS {
            (0..40).for_each(|_| counts[usize::from(rng.random::<bool>())] += 1);
            let arm = |n: u64| ArmStatistics { n, sum: n as f64, sum_sq: 2.0 * n as f64, ..ArmStatistics::default() };
            let row = sums([&arm(counts[0]), &arm(counts[1])], Stat::Mean, Method::Sequential);
            found.0 |= row.srm_p_value < 0.001;
            found.1 |= row.srm_sequential_p_value < 0.001;
        }
        found
    };
    let found: Vec<(bool, bool)> = (0..n).into_par_iter().map(ever).collect();
    let share = |of: fn(&(bool, bool)) -> bool| 100.0 * found.iter().filter(|one| of(one)).count() as f64 / n as f64;
    println!(
        "fair splits ever called broken in {LOOKS} looks: chi-square {:.2} %, sequential {:.2} %",
        share(|f| f.0),
        share(|f| f.1)
    );
}
