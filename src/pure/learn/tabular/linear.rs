//! Straight lines through sizes, on the scale of the outcome: so much to start with, so much for each unit of input.
//!
//! Outcomes and sizes are first divided by their group's averages. Slopes then say which share of the average is
//! proportional to a size, and are comparable over groups, so that one with few rows is held at what the others show.
//! Where outcomes are positive, categories (machine, provider) multiply the line: a machine half as fast takes twice as
//! long for what it starts with, too.

use super::basis::Basis;
use super::effects::Effects;
use super::rows::Rows;
use crate::stats::robust::median;
use serde::{Deserialize, Serialize};

/// Lines and factors are fitted in turn so often.
const ROUNDS: usize = 3;
/// A line is taken to be at least this share of its group's average: below lies only what it extrapolates to.
const LEAST_SHARE: f64 = 1e-3;
/// Nothing repeats more closely than to so much on the log scale.
const LEAST_SPREAD: f64 = 0.01;
/// A prediction is at least this share of the smallest outcome that its group has seen.
const LEAST_OF_SMALLEST: f64 = 0.2;

/// Averages that a group is divided by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Units {
    outcome: f64,
    /// By numeric feature.
    sizes: Vec<f64>,
    smallest: f64,
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Linear {
    /// By group; none where it had no row.
    groups: Vec<Option<Units>>,
    pooled: Units,
    lines: Effects,
    /// Effects of categories on the log scale; none where there are none, or outcomes are not all positive.
    factors: Option<Effects>,
    is_positive: bool,
}

impl Units {
    fn of(rows: &Rows, y: &[f64], members: impl Iterator<Item = usize> + Clone) -> Self {
        let average = |column: &[f64]| {
            let known = members.clone().filter_map(|row| column.get(row)).filter(|v| v.is_finite());
            let (sum, n) = known.fold((0.0, 0.0_f64), |(sum, n), v| (sum + v.abs(), n + 1.0));
            if sum > 0.0 { sum / n } else { 1.0 }
        };
        let smallest = members.clone().filter_map(|row| y.get(row)).copied().fold(f64::INFINITY, f64::min);
        Self { outcome: average(y), sizes: rows.numbers.iter().map(|c| average(c)).collect(), smallest }
    }
}

impl Linear {
    /// Fits `y`: (n_rows,), finite.
    pub(super) fn fit(rows: &Rows, y: &[f64]) -> Self {
        let members = rows.by_group();
        let units = |m: &Vec<u32>| (!m.is_empty()).then(|| Units::of(rows, y, m.iter().map(|&row| row as usize)));
        let groups: Vec<Option<Units>> = members.iter().map(units).collect();
        let is_positive = y.iter().all(|v| *v > 0.0);
        let mut pooled = Units::of(rows, y, 0..rows.n);
        if is_positive {
            // Groups differ by orders of magnitude: the average of a group is the middle one, not the largest.
            let known = groups.iter().flatten();
            let (sum, n) = known.fold((0.0, 0.0), |(sum, n), units| (sum + units.outcome.ln(), n + 1.0));
            pooled.outcome = (sum / f64::max(n, 1.0)).exp();
        }
        let scaled = shares(rows, &groups, &pooled);
        let outcomes: Vec<f64> = (0..).zip(y).map(|(row, y)| y / unit(&groups, &pooled, rows, row).outcome).collect();
        let (lines, factors) = in_turn(rows, &scaled, &outcomes, is_positive);
        Self { groups, pooled, lines, factors, is_positive }
    }

    /// Expected outcomes: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows) -> Vec<f64> {
        let scaled = shares(rows, &self.groups, &self.pooled);
        let lines = self.lines.predict(&scaled);
        let factors = self.factors.as_ref().map(|factors| factors.predict(rows));
        (0..rows.n)
            .zip(lines)
            .map(|(row, line)| {
                let units = unit(&self.groups, &self.pooled, rows, row);
                let factor = factors.as_ref().and_then(|f| f.get(row)).map_or(1.0, |f| f.exp());
                if self.is_positive {
                    let least = (LEAST_OF_SMALLEST * units.smallest).max(f64::MIN_POSITIVE);
                    (line.max(LEAST_SHARE) * factor * units.outcome).max(least)
                } else {
                    line * units.outcome
                }
            })
            .collect()
    }

    /// Names and values: shares of an average group's outcome, and what categories add to its logarithm.
    pub(super) fn coefficients(&self, numbers: &[&str], categories: &[(&str, &[String])]) -> Vec<(String, f64)> {
        let names: Vec<String> = numbers.iter().map(|name| format!("{name} / its average")).collect();
        let own = if self.is_positive { &[][..] } else { categories };
        let mut out = self.lines.common(&[names, words(own)].concat());
        if let Some(factors) = &self.factors {
            let named = factors.common(&factors.names(numbers, categories));
            out.extend(named.into_iter().skip(1).map(|(name, value)| (format!("log factor of {name}"), value)));
        }
        out
    }
}

fn words(categories: &[(&str, &[String])]) -> Vec<String> {
    categories.iter().flat_map(|(name, words)| words.iter().map(move |word| format!("{name}={word}"))).collect()
}

fn unit<'a>(groups: &'a [Option<Units>], pooled: &'a Units, rows: &Rows, row: usize) -> &'a Units {
    rows.group.get(row).and_then(|&g| groups.get(g as usize)).and_then(Option::as_ref).unwrap_or(pooled)
}

/// The rows with every number over its group's average; an unknown one counts as that average.
fn shares(rows: &Rows, groups: &[Option<Units>], pooled: &Units) -> Rows {
    let share = |(feature, column): (usize, &Vec<f64>)| {
        let of_row = |(row, value): (usize, &f64)| {
            let unit = unit(groups, pooled, rows, row).sizes.get(feature).copied().unwrap_or(1.0);
            if value.is_finite() { value / unit } else { 1.0 }
        };
        column.iter().enumerate().map(of_row).collect()
    };
    Rows { numbers: rows.numbers.iter().enumerate().map(share).collect(), ..rows.clone() }
}

/// Lines, and what categories multiply them by.
fn in_turn(rows: &Rows, scaled: &Rows, outcomes: &[f64], is_positive: bool) -> (Effects, Option<Effects>) {
    let basis = Basis::plain(scaled, !is_positive);
    let categories = Basis::of(rows, false);
    if !is_positive || categories.n_columns() == 0 {
        return (Effects::fit(scaled, outcomes, basis), None);
    }
    // A row that lacks a size has a factor all the same, but says nothing about the line.
    let complete: Vec<u32> =
        (0..).zip(0..rows.n).filter(|(_, row)| is_complete(rows, *row)).map(|(at, _)| at).collect();
    let complete = if complete.len() < 3 { (0..).zip(0..rows.n).map(|(at, _)| at).collect() } else { complete };
    let line_rows = scaled.take(&complete);
    let is_complete: Vec<bool> = (0..rows.n).map(|row| is_complete(rows, row)).collect();
    let mut precision = vec![1.0; rows.n];
    let mut factors: Option<Effects> = None;
    let mut lines = Effects::fit(&line_rows, &at(outcomes, &complete), basis.clone());
    for _ in 0..ROUNDS {
        let left = outcomes.iter().zip(lines.predict(scaled)).map(|(y, line)| (y / line.max(LEAST_SHARE)).ln());
        let left: Vec<f64> = left.collect();
        let fitted = Effects::fit_weighted(rows, &left, categories.clone(), &precision);
        precision = precisions(&left, &fitted.predict(rows), &is_complete);
        let divided: Vec<f64> = outcomes.iter().zip(fitted.predict(rows)).map(|(y, f)| y / f.exp()).collect();
        lines = Effects::fit(&line_rows, &at(&divided, &complete), basis.clone());
        factors = Some(fitted);
    }
    (lines, factors)
}

/// Precisions of rows with all sizes and of those without (benchmarks, say, which repeat closely), the better known of the
/// two at 1: (n_rows,)
fn precisions(left: &[f64], fitted: &[f64], is_complete: &[bool]) -> Vec<f64> {
    let typical = |complete: bool| {
        let kind = left.iter().zip(fitted).zip(is_complete).filter(|(_, is)| **is == complete);
        let mut sizes: Vec<f64> = kind.map(|((y, f), _)| (y - f).abs()).collect();
        if sizes.is_empty() { f64::NAN } else { median(&mut sizes) }
    };
    let (with, without) = (typical(true), typical(false));
    let least = with.min(without).max(LEAST_SPREAD);
    let precision = |complete: &bool| {
        let spread = if *complete { with } else { without }.max(LEAST_SPREAD);
        (least / spread).powi(2)
    };
    is_complete.iter().map(precision).collect()
}

fn is_complete(rows: &Rows, row: usize) -> bool {
    rows.numbers.iter().all(|column| column.get(row).is_some_and(|v| v.is_finite()))
}

fn at(values: &[f64], picked: &[u32]) -> Vec<f64> {
    picked.iter().filter_map(|&row| values.get(row as usize)).copied().collect()
}
