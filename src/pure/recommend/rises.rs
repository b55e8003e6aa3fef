//! A rise of what an execution of a step costs, in money or in tokens, for inputs of the same size.

use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::slow_step::{MAX_P_VALUE, MIN_REGIME, regimes};
use crate::detect::bottlenecks::statistics::{rank_sum_p, robust_slope};
use crate::stats::dist::t_quantile;
use crate::units::{DAY_US, Level};
use std::collections::BTreeMap;

/// Sizes count where so many executions know them.
const KNOWN_SIZES: f64 = 0.9;
const SLOPE_LEVEL: f64 = 0.95;

/// Means per execution before and since.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rise {
    /// What executions like the present ones cost before.
    pub(super) before: f64,
    pub(super) after: f64,
    /// Half the width of the interval of `after - before`.
    pub(super) spread: f64,
    pub(super) since_us: i64,
}

/// One execution: its day, the logarithm of its size, and what it cost.
#[derive(Debug, Clone, Copy)]
struct Paid {
    day: i64,
    log_size: f64,
    amount: f64,
}

/// Compares the mean of `column` since the latest of `edges` with the cheapest stretch before it; none where it has not
/// risen `min_ratio` times, or where a rank-sum test says that chance could have done it.
///
/// What came before is taken for inputs of the sizes that there are now, if the cost surely grows with them within stretches.
/// Executions of one day share what drives their cost: the interval is that of means over days.
pub(super) fn rise(
    executions: &Executions<'_>,
    column: &[f64],
    edges: Vec<i64>,
    min_ratio: f64,
    level: Level,
) -> Option<Rise> {
    let since_us = edges.iter().copied().max()?;
    let mut stretches: Vec<Vec<Paid>> =
        regimes(executions, edges).iter().map(|rows| paid(executions, column, rows)).collect();
    let growth = size_growth(&stretches);
    match growth {
        Some(_) => stretches.iter_mut().for_each(|paid| paid.retain(|one| one.log_size.is_finite())),
        None => stretches.iter_mut().flatten().for_each(|one| one.log_size = 0.0),
    }
    let growth = growth.unwrap_or(0.0);
    let present = stretches.pop().filter(|paid| paid.len() >= MIN_REGIME)?;
    let of_size = |one: &Paid| Paid { amount: one.amount * (-growth * one.log_size).exp(), ..*one };
    let earlier = stretches.iter().filter(|paid| paid.len() >= MIN_REGIME);
    let earlier = earlier.map(|paid| paid.iter().map(of_size).collect::<Vec<Paid>>());
    let cheapest = earlier.min_by(|a, b| mean(a).total_cmp(&mean(b)))?;
    let sizes_now = present.iter().map(|one| (growth * one.log_size).exp()).sum::<f64>() / present.len() as f64;
    let (before, after) = (mean(&cheapest) * sizes_now, mean(&present));
    let amounts = |paid: &[Paid]| paid.iter().map(|one| one.amount).collect::<Vec<f64>>();
    let p_value = rank_sum_p(&amounts(&cheapest), &amounts(&present.iter().map(of_size).collect::<Vec<_>>()));
    let (error_before, days_before) = error_over_days(&cheapest);
    let (error_after, days_after) = error_over_days(&present);
    let t = t_quantile(1.0 - level.alpha() / 2.0, days_before.min(days_after) as f64 - 1.0);
    let spread = t * (error_before * sizes_now).hypot(error_after);
    let risen = before > 0.0 && after > before && after >= min_ratio * before && p_value < MAX_P_VALUE;
    (risen && spread.is_finite()).then_some(Rise { before, after, spread, since_us })
}

/// The executions of `rows` whose cost is known; the logarithm of a size is NaN where it is unknown.
fn paid(executions: &Executions<'_>, column: &[f64], rows: &[u32]) -> Vec<Paid> {
    let one = |row: &u32| Paid {
        day: executions.started_us(*row).div_euclid(DAY_US),
        log_size: executions.get(&executions.samples.input_bytes, *row).ln(),
        amount: executions.get(column, *row),
    };
    rows.iter().map(one).filter(|one| one.amount.is_finite() && one.amount >= 0.0).collect()
}

/// The power of size with which amounts grow within stretches: between them size and what is asked for go together. None
/// where too few sizes are known, or where amounts do not surely grow with them.
fn size_growth(stretches: &[Vec<Paid>]) -> Option<f64> {
    let all: usize = stretches.iter().map(Vec::len).sum();
    let known = stretches.iter().flatten().filter(|one| one.log_size.is_finite()).count();
    if (known as f64) < KNOWN_SIZES * all as f64 {
        return None;
    }
    let (mut x, mut y) = (Vec::with_capacity(all), Vec::with_capacity(all));
    for stretch in stretches {
        let positive: Vec<(f64, f64)> = stretch
            .iter()
            .filter(|one| one.amount > 0.0 && one.log_size.is_finite())
            .map(|one| (one.log_size, one.amount.ln()))
            .collect();
        let n = positive.len().max(1) as f64;
        let sums = positive.iter().fold((0.0, 0.0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
        x.extend(positive.iter().map(|one| one.0 - sums.0 / n));
        y.extend(positive.iter().map(|one| one.1 - sums.1 / n));
    }
    robust_slope(&x, &y, SLOPE_LEVEL).filter(|slope| slope.lower > 0.0).map(|slope| slope.value)
}

fn mean(paid: &[Paid]) -> f64 {
    paid.iter().map(|one| one.amount).sum::<f64>() / paid.len() as f64
}

/// Standard error of the mean over clusters of one day each (Liang and Zeger 1986), and how many there are.
fn error_over_days(paid: &[Paid]) -> (f64, usize) {
    let mean = mean(paid);
    let mut days: BTreeMap<i64, f64> = BTreeMap::new();
    for one in paid {
        *days.entry(one.day).or_default() += one.amount - mean;
    }
    let n_days = days.len() as f64;
    let squares: f64 = days.values().map(|sum| sum * sum).sum();
    ((n_days / (n_days - 1.0) * squares).sqrt() / paid.len() as f64, days.len())
}
