//! Rows of a table to a trial: who is a unit, what is missing, and which comparison is theirs.

use super::Comparison;
use super::caution;
use super::health::{self, Health};
use super::linear::{self, Layout, Stratum};
use super::moments::{Moments, anova, lag1};
use super::proportions::Share;
use super::ranked::{Quantile, Ranked};
use super::strata::poststrata;
use super::trimmed::{self, WinsorBounds};
use super::verdict::TrialArm;
use crate::samples::UNKNOWN;
use crate::stats::dist::beta_cdf;
use std::collections::{BTreeMap, BTreeSet};

/// What stands for an arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowStat {
    /// The mean of the values.
    Mean,
    /// The mean of values that are drawn in to the quantiles `share` and 1 − `share` of all arms together.
    Winsorised(f64),
    /// The mean without the share of the lowest and of the highest values.
    Trimmed(f64),
    /// The geometric mean; arms compare by the ratio of theirs, which for equally shaped arms is that of means and medians.
    LogRatio,
    /// The share of ones among zeros and ones.
    Proportion,
    /// Σ numerator / Σ denominator.
    Ratio,
    /// The quantile, 0-1.
    Quantile(f64),
}

/// Columns of a table; all (n_rows,).
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Position of the row's arm in `names`, [`UNKNOWN`] for none: such a row takes no part.
    pub arm: &'a [u32],
    /// Names of arms.
    pub names: &'a [String],
    /// Outcome; NaN is missing.
    pub outcome: &'a [f64],
    /// Denominator of a ratio.
    pub denominator: Option<&'a [f64]>,
    /// What was known before: NaN is taken for its mean.
    pub covariates: &'a [Vec<f64>],
    /// Who was assigned: rows of one unit are one draw. None: each row is a unit.
    pub unit: Option<&'a [u32]>,
    /// Strata for post-stratification; [`UNKNOWN`] is one of them.
    pub stratum: Option<&'a [u32]>,
    /// When.
    pub time: Option<&'a [Option<i64>]>,
}

/// What was measured of an experiment and a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Arms that have rows, by name.
    pub arms: Vec<TrialArm>,
    /// Whether it can be believed.
    pub health: Health,
    /// Why the metric can't be judged at all, if so.
    pub unfit: Option<String>,
    /// Units a time step (of `time`), from the first to the last; none where times are unknown or one.
    pub units_per_step: Option<f64>,
    /// Significance against "all arms have one mean" (one-way analysis of variance), for more than two arms.
    pub omnibus_p_value: Option<f64>,
}

/// One row that takes part.
#[derive(Clone, Copy)]
struct Row {
    at: usize,
    arm: u32,
    /// Its unit, or its own position.
    unit: u64,
}

/// The rows of one experiment that have a value, and what else is known of them.
struct Outcomes<'a> {
    rows: &'a Rows<'a>,
    stat: RowStat,
    /// Rows with a value, sorted by unit and arm.
    valued: Vec<Row>,
    /// Value on the scale on which means are taken, by position in `valued`.
    values: Vec<f64>,
    /// To which values are drawn in, if they are.
    bounds: Option<WinsorBounds>,
    /// Mean of each covariate.
    centres: Vec<f64>,
    /// Units in more than one arm.
    shared_units: usize,
    is_clustered: bool,
}

/// Measures the rows at `chosen` beside the arm `control`.
#[must_use]
pub fn measure(rows: &Rows<'_>, chosen: &[usize], control: &str, stat: RowStat) -> Measured {
    let of = |at: usize| {
        let arm = rows.arm.get(at).copied().filter(|arm| *arm != UNKNOWN)?;
        let unit = rows.unit.map_or(Some(at as u64), |units| units.get(at).map(|unit| u64::from(*unit)))?;
        Some(Row { at, arm, unit })
    };
    let mut all: Vec<Row> = chosen.iter().filter_map(|&at| of(at)).collect();
    all.sort_unstable_by_key(|row| (row.unit, row.arm, row.at));
    let (health, shared_units) = health(rows, &all, control);
    let valued: Vec<Row> = all.iter().copied().filter(|row| value_of(rows, row.at).is_some()).collect();
    let is_clustered = rows.unit.is_some()
        && valued.windows(2).any(|pair| matches!(pair, [a, b] if (a.unit, a.arm) == (b.unit, b.arm)));
    let outcomes = Outcomes::of(rows, stat, valued, shared_units, is_clustered);
    let unfit = outcomes.unfit();
    let present: BTreeSet<u32> = all.iter().map(|row| row.arm).collect();
    let position = |name: &str| present.iter().copied().find(|arm| name_of(rows, *arm) == name);
    let against = position(control);
    let arms = present.iter().map(|&arm| outcomes.arm(arm, against.filter(|_| unfit.is_none()))).collect();
    let omnibus_p_value = outcomes.omnibus(&present).filter(|_| unfit.is_none());
    Measured { arms, health, unfit, units_per_step: flow(rows, &all), omnibus_p_value }
}

/// Whether a value can be one of a share.
#[must_use]
#[expect(clippy::float_cmp, reason = "zeros and ones are exact")]
pub fn is_zero_or_one(value: f64) -> bool {
    value == 0.0 || value == 1.0
}

fn name_of<'a>(rows: &Rows<'a>, arm: u32) -> &'a str {
    usize::try_from(arm).ok().and_then(|arm| rows.names.get(arm)).map_or("", String::as_str)
}

/// The outcome of a row, where it has one.
fn value_of(rows: &Rows<'_>, at: usize) -> Option<(f64, f64)> {
    let value = rows.outcome.get(at).copied().filter(|value| value.is_finite())?;
    let denominator = rows.denominator.map_or(Some(1.0), |all| all.get(at).copied()).filter(|d| d.is_finite())?;
    Some((value, denominator))
}

fn health(rows: &Rows<'_>, all: &[Row], control: &str) -> (Health, usize) {
    let mut assigned: BTreeMap<u32, u64> = BTreeMap::new();
    let mut missing: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut times: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    let (mut shared, mut units, mut before): (usize, usize, Option<Row>) = (0, 0, None);
    let mut firsts: Vec<(i64, u32, u64)> = Vec::new();
    for row in all {
        let is_same = |before: &Row| before.unit == row.unit;
        let is_new = before.is_none_or(|before| !is_same(&before) || before.arm != row.arm);
        let when = rows.time.and_then(|times| times.get(row.at).copied().flatten());
        if let Some(when) = when {
            times.entry(row.arm).or_default().push(when);
        }
        if is_new {
            *assigned.entry(row.arm).or_default() += 1;
            firsts.extend(when.map(|when| (when, row.arm, 1)));
            if before.is_some_and(|before| is_same(&before)) {
                shared += 1;
            } else {
                units += 1;
            }
        }
        let counts = missing.entry(row.arm).or_default();
        counts.0 += u64::from(value_of(rows, row.at).is_none());
        counts.1 += 1;
        before = Some(*row);
    }
    let apart = |(arm, own): (&u32, &Vec<i64>)| {
        let of_control = times.iter().find(|(arm, _)| name_of(rows, **arm) == control)?.1;
        (!health::side_by_side(own, of_control)).then(|| name_of(rows, *arm).to_owned())
    };
    let apart_in_time: Vec<String> = times.iter().filter_map(apart).collect();
    let name = |arm: u32| name_of(rows, arm).to_owned();
    let health = Health {
        assigned: assigned.into_iter().map(|(arm, n)| (name(arm), n)).collect(),
        shares: BTreeMap::new(),
        missing: missing.into_iter().map(|(arm, counts)| (name(arm), counts)).collect(),
        // Half of the units in several arms: that is how it was meant.
        is_paired: 2 * shared >= units && shared > 0,
        drift_p_value: health::drift(&firsts).filter(|_| apart_in_time.is_empty()),
        apart_in_time,
    };
    (health, shared)
}

/// Units a time step.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn flow(rows: &Rows<'_>, all: &[Row]) -> Option<f64> {
    let times = rows.time?;
    let known = || all.iter().filter_map(|row| times.get(row.at).copied().flatten());
    let (first, last) = (known().min()?, known().max()?);
    let mut keys: Vec<(u64, u32)> = all.iter().map(|row| (row.unit, row.arm)).collect();
    keys.dedup();
    (last > first).then(|| keys.len() as f64 / (last as f64 - first as f64))
}

impl<'a> Outcomes<'a> {
    fn of(rows: &'a Rows<'a>, stat: RowStat, valued: Vec<Row>, shared_units: usize, is_clustered: bool) -> Self {
        let raw = |row: &Row| value_of(rows, row.at).map_or(f64::NAN, |(value, _)| value);
        let bounds = match stat {
            RowStat::Winsorised(share) => Some(trimmed::winsor_bounds(&Ranked::of(valued.iter().map(raw)), share)),
            _ => None,
        };
        let on_scale = |value: f64| match bounds {
            Some(bounds) => bounds.drawn_in(value),
            None if stat == RowStat::LogRatio => value.ln(),
            None => value,
        };
        let values: Vec<f64> = valued.iter().map(|row| on_scale(raw(row))).collect();
        let centre = |covariate: &Vec<f64>| {
            let known = || valued.iter().filter_map(|row| covariate.get(row.at)).filter(|x| x.is_finite());
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let n = known().count() as f64;
            if n > 0.0 { known().sum::<f64>() / n } else { 0.0 }
        };
        let centres = rows.covariates.iter().map(centre).collect();
        Self { rows, stat, valued, values, bounds, centres, shared_units, is_clustered }
    }

    /// Why there is no such estimate of these values.
    fn unfit(&self) -> Option<String> {
        let count = |is_bad: &dyn Fn(f64) -> bool| {
            self.valued.iter().filter_map(|row| self.rows.outcome.get(row.at)).filter(|value| is_bad(**value)).count()
        };
        match self.stat {
            RowStat::LogRatio => Some(count(&|value| value <= 0.0)).filter(|n| *n > 0).map(|n| {
                format!("{n} values are zero or negative and have no logarithm: ask for the mean or a quantile")
            }),
            RowStat::Proportion => Some(count(&|value| !is_zero_or_one(value)))
                .filter(|n| *n > 0)
                .map(|n| format!("{n} values are neither 0 nor 1: ask for the mean")),
            _ => None,
        }
    }

    fn of_arm(&self, arm: u32) -> impl Iterator<Item = (&Row, f64)> {
        self.valued.iter().zip(self.values.iter().copied()).filter(move |(row, _)| row.arm == arm)
    }

    /// Distinct units of an arm that have a value.
    fn units_of(&self, arm: u32) -> usize {
        let mut units: Vec<u64> = self.of_arm(arm).map(|(row, _)| row.unit).collect();
        units.dedup();
        units.len()
    }

    /// Whether units weigh by what they hold.
    fn layout(&self) -> Layout {
        let is_ratio = self.stat == RowStat::Ratio || self.is_clustered || self.shared_units > 0;
        Layout { is_ratio, n_covariates: self.rows.covariates.len() }
    }

    /// A row's numbers, to be added up over its unit.
    fn vector(&self, row: &Row, value: f64) -> impl Iterator<Item = f64> {
        let at = row.at;
        let covariate =
            move |(all, centre): (&Vec<f64>, &f64)| all.get(at).copied().filter(|x| x.is_finite()).unwrap_or(*centre);
        let covariates = self.rows.covariates.iter().zip(&self.centres).map(covariate);
        let counted = self.layout().is_ratio.then(|| {
            let denominator = match self.stat {
                RowStat::Ratio => value_of(self.rows, at).map_or(f64::NAN, |(_, denominator)| denominator),
                _ => 1.0,
            };
            [denominator, 1.0]
        });
        std::iter::once(value).chain(counted.into_iter().flatten()).chain(covariates)
    }

    fn stratum_of(&self, row: &Row) -> u32 {
        self.rows.stratum.and_then(|all| all.get(row.at)).copied().unwrap_or(UNKNOWN)
    }

    /// Units of an arm by stratum (that of the unit's first row); `values` stand in for the outcome.
    fn moments(&self, arm: u32, value: &dyn Fn(f64) -> f64) -> BTreeMap<u32, Moments> {
        let dims = self.layout().dims();
        let mut strata: BTreeMap<u32, Moments> = BTreeMap::new();
        let mut close = |stratum: u32, sums: &[f64]| {
            strata.entry(stratum).or_insert_with(|| Moments::new(dims)).add(sums);
        };
        let (mut open, mut sums): (Option<(u64, u32)>, Vec<f64>) = (None, Vec::with_capacity(dims));
        for (row, outcome) in self.of_arm(arm) {
            let vector = self.vector(row, value(outcome));
            if open.is_some_and(|(unit, _)| unit == row.unit) {
                sums.iter_mut().zip(vector).for_each(|(sum, one)| *sum += one);
                continue;
            }
            if let Some((_, stratum)) = open.replace((row.unit, self.stratum_of(row))) {
                close(stratum, &sums);
            }
            sums.clear();
            sums.extend(vector);
        }
        if let Some((_, stratum)) = open {
            close(stratum, &sums);
        }
        strata
    }

    /// Units of two arms, each with the sums of both.
    fn joint(&self, control: u32, arm: u32) -> Moments {
        let dims = self.layout().dims();
        let mut units: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (row, value) in self.valued.iter().zip(&self.values) {
            let offset = if row.arm == control {
                0
            } else if row.arm == arm {
                dims
            } else {
                continue;
            };
            let sums = units.entry(row.unit).or_insert_with(|| vec![0.0; 2 * dims]);
            sums.iter_mut().skip(offset).zip(self.vector(row, *value)).for_each(|(sum, one)| *sum += one);
        }
        let mut moments = Moments::new(2 * dims);
        units.values().for_each(|unit| moments.add(unit));
        moments
    }

    fn ranked(&self, arm: u32) -> Ranked {
        Ranked::of(self.of_arm(arm).map(|(_, value)| value))
    }

    /// An arm's quantile, with what clusters cost.
    fn quantile(&self, arm: u32, q: f64) -> Quantile {
        let ranked = self.ranked(arm);
        let estimate = ranked.quantile(q);
        let below = ranked.share_up_to(estimate);
        let independent = below * (1.0 - below);
        let design_effect = if self.is_clustered && independent > 0.0 {
            let of_shares = self.moments(arm, &|value| f64::from(u8::from(value <= estimate)));
            let mut all = Moments::new(self.layout().dims());
            of_shares.values().for_each(|one| all.merge(one));
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let naive = independent / ranked.n() as f64;
            linear::variance_of_ratio(&all).map_or(1.0, |variance| (variance / naive).max(1.0))
        } else {
            1.0
        };
        Quantile { ranked, q, design_effect }
    }

    fn arm(&self, arm: u32, against: Option<u32>) -> TrialArm {
        let strata = self.moments(arm, &|value| value);
        let n = strata.values().map(Moments::n).sum();
        let control = against.filter(|control| *control != arm);
        let comparison = control.and_then(|control| self.compare(arm, control, &strata));
        TrialArm {
            name: name_of(self.rows, arm).to_owned(),
            n,
            estimate: self.estimate(arm, &strata),
            caution: comparison.as_ref().and_then(|_| self.caution(arm, control?)),
            comparison,
        }
    }

    fn estimate(&self, arm: u32, strata: &BTreeMap<u32, Moments>) -> f64 {
        let mut all = Moments::new(self.layout().dims());
        strata.values().for_each(|one| all.merge(one));
        let mean = if self.layout().is_ratio { all.total(0) / all.total(1) } else { all.mean(0) };
        match self.stat {
            RowStat::Quantile(q) => self.ranked(arm).quantile(q),
            RowStat::Trimmed(share) => {
                let own = self.ranked(arm);
                trimmed::compare(&own, &own, share).map_or(f64::NAN, |pair| pair.control)
            }
            RowStat::LogRatio => mean.exp(),
            _ => mean,
        }
    }

    fn compare(&self, arm: u32, control: u32, strata: &BTreeMap<u32, Moments>) -> Option<Comparison> {
        match self.stat {
            RowStat::Quantile(q) => {
                let (arm, control) = (self.quantile(arm, q), self.quantile(control, q));
                (arm.ranked.n() > 0 && control.ranked.n() > 0).then(|| Comparison::Quantiles(Box::new((arm, control))))
            }
            RowStat::Trimmed(share) => {
                trimmed::compare(&self.ranked(arm), &self.ranked(control), share).map(Comparison::Natural)
            }
            RowStat::Proportion if self.is_plain() => {
                let share = |arm| {
                    let ones = self.of_arm(arm).map(|(_, value)| value).sum();
                    Share::of(self.of_arm(arm).count() as u64, ones)
                };
                Some(Comparison::Shares(share(arm)?, share(control)?))
            }
            _ => {
                let pair = if self.shared_units > 0 {
                    linear::compare(&[Stratum::Joint(&self.joint(control, arm))], self.layout())
                } else if let Some(bounds) = self.bounds {
                    let [own, others] = self.bounded(arm, control, bounds);
                    let (own, arm) = poststrata(&own, &others);
                    let pairs: Vec<Stratum<'_>> =
                        own.iter().zip(&arm).map(|(control, arm)| Stratum::Apart { control, arm }).collect();
                    linear::compare(&pairs, self.layout())
                } else {
                    let (own, arm) = poststrata(&self.moments(control, &|value| value), strata);
                    let pairs: Vec<Stratum<'_>> =
                        own.iter().zip(&arm).map(|(control, arm)| Stratum::Apart { control, arm }).collect();
                    linear::compare(&pairs, self.layout())
                }?;
                Some(if self.stat == RowStat::LogRatio { Comparison::Log(pair) } else { Comparison::Natural(pair) })
            }
        }
    }

    /// Units of control and arm by stratum, each value with what it adds to the difference through the bounds that all values
    /// are drawn in to, so that the error of the bounds is in the variance. Means stay as they are.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn bounded(&self, arm: u32, control: u32, bounds: WinsorBounds) -> [BTreeMap<u32, Moments>; 2] {
        let values = |arm: u32| self.of_arm(arm).map(|(_, value)| value).collect::<Vec<f64>>();
        let (own, others) = (values(control), values(arm));
        let [c, t] = [&own, &others].map(|values| bounds.shares_at(values));
        let excess = (t.0 - c.0, t.1 - c.1);
        let added = |value: f64| bounds.influence(value, excess);
        let of = |(arm, values, sign): (u32, &Vec<f64>, f64)| {
            let own_n = values.len().max(1) as f64;
            let weight = sign * own_n / self.valued.len().max(1) as f64;
            let mean = values.iter().map(|value| added(*value)).sum::<f64>() / own_n;
            self.moments(arm, &|value| value + weight * (added(value) - mean))
        };
        [of((control, &own, -1.0)), of((arm, &others, 1.0))]
    }

    /// Whether means of more than two arms, one row a unit, differ at all.
    fn omnibus(&self, present: &BTreeSet<u32>) -> Option<f64> {
        let is_of_means =
            matches!(self.stat, RowStat::Mean | RowStat::Winsorised(_) | RowStat::LogRatio | RowStat::Proportion);
        if !is_of_means || self.layout().is_ratio || present.len() < 3 {
            return None;
        }
        let of_arm = |arm: &u32| {
            let mut moments = Moments::new(1);
            self.of_arm(*arm).for_each(|(_, value)| moments.add(&[value]));
            moments
        };
        let arms: Vec<Moments> = present.iter().map(of_arm).collect();
        let (f, between, within) = anova(&arms, 0)?;
        Some(beta_cdf(within / (within + between * f), 0.5 * within, 0.5 * between))
    }

    fn is_plain(&self) -> bool {
        !self.layout().is_ratio && self.rows.covariates.is_empty() && self.rows.stratum.is_none()
    }

    /// What the numbers of the arm can't show.
    fn caution(&self, arm: u32, control: u32) -> Option<String> {
        let is_mean = matches!(self.stat, RowStat::Mean | RowStat::Ratio);
        let values = |arm: u32| self.of_arm(arm).map(|(_, value)| value).collect::<Vec<f64>>();
        let shared = (self.shared_units > 0)
            .then(|| format!("{} units are in more than one arm and are compared with themselves", self.shared_units));
        let fewest = [arm, control].map(|arm| self.units_of(arm)).into_iter().min().unwrap_or(0);
        let of_mean = if fewest < VERY_FEW {
            Some(format!(
                "with {fewest} units in an arm only large effects can show, and an interval may miss the truth more often than \
                 it says"
            ))
        } else if is_mean {
            caution::of_mean(fewest as u64, [arm, control].map(|arm| caution::skewness_of_mean(&values(arm))))
        } else {
            None
        };
        let serial = self.serial(arm, control).map(|r| {
            format!(
                "runs that are near in time had the same arm and alike outcomes (lag-1 {r:.2}): intervals are too narrow; \
                 name what was drawn together with --unit"
            )
        });
        let all: Vec<String> = [shared, of_mean, serial].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Lag-1 autocorrelation of contributions from which on neighbours in time are told of, if it is also this many standard
/// errors from none.
const SERIAL: f64 = 0.1;
const SERIAL_ERRORS: f64 = 4.0;

/// Fewer values than this in an arm are pointed out, whatever stands for it.
const VERY_FEW: usize = 10;

impl Outcomes<'_> {
    /// Lag-1 autocorrelation, in order of time, of what each row adds to the difference: none if the arm was drawn for each
    /// row, however alike neighbours are. None where it is not worth telling.
    fn serial(&self, arm: u32, control: u32) -> Option<f64> {
        let times = self.rows.time.filter(|_| self.rows.unit.is_none())?;
        let mean = |arm: u32| {
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let n = self.of_arm(arm).count() as f64;
            (self.of_arm(arm).map(|(_, value)| value).sum::<f64>() / n, n)
        };
        let ((t, t_n), (c, c_n)) = (mean(arm), mean(control));
        let share = |(row, value): (&Row, f64)| {
            let at = times.get(row.at).copied().flatten()?;
            let added = if row.arm == arm { (value - t) / t_n } else { (c - value) / c_n };
            (row.arm == arm || row.arm == control).then_some((at, row.at, added))
        };
        let mut added: Vec<(i64, usize, f64)> =
            self.valued.iter().zip(self.values.iter().copied()).filter_map(share).collect();
        added.sort_unstable_by_key(|(at, row, _)| (*at, *row));
        let r = lag1(&added.iter().map(|(_, _, added)| *added).collect::<Vec<_>>());
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let error = (added.len() as f64).powf(-0.5);
        (r > SERIAL && r > SERIAL_ERRORS * error).then_some(r)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::experiment::contrast::Ask;
    use crate::experiment::{Method, Tuning};
    use crate::units::Level;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus as Rng;

    /// Arms of one centre and unlike spread share their bounds, whose error does not cancel: without it 92.7 % are covered.
    #[test]
    fn winsorised_means_are_covered_though_their_bounds_are_estimated() {
        let names = ["a".to_owned(), "b".to_owned()];
        let arm: Vec<u32> = (0..400).map(|i| i % 2).collect();
        let all: Vec<usize> = (0..400).collect();
        let covers = |seed: u64| {
            let mut rng = Rng::seed_from_u64(seed);
            let outcome: Vec<f64> = arm
                .iter()
                .map(|arm| (1.0 + f64::from(*arm)) * normal(&mut rng) / (1.0 - rng.random::<f64>()).sqrt())
                .collect();
            let rows = Rows {
                arm: &arm,
                names: &names,
                outcome: &outcome,
                denominator: None,
                covariates: &[],
                unit: None,
                stratum: None,
                time: None,
            };
            let measured = measure(&rows, &all, "a", RowStat::Winsorised(0.05));
            let ask = Ask { method: Method::Fixed, level: Level::DEFAULT, n: 400, tuning: Tuning::AnySize };
            let comparison = measured.arms.iter().find_map(|arm| arm.comparison.as_ref()).unwrap();
            let (lower, upper) = comparison.effect(ask).bounds.unwrap();
            lower <= 0.0 && 0.0 <= upper
        };
        let covered = (0..2_000).filter(|seed| covers(*seed)).count();
        assert!((1_890..=1_925).contains(&covered), "{covered} of 2,000");
    }

    fn normal(rng: &mut Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    #[derive(Default)]
    struct Drawn {
        arm: Vec<u32>,
        outcome: Vec<f64>,
        unit: Option<Vec<u32>>,
        stratum: Option<Vec<u32>>,
        covariates: Vec<Vec<f64>>,
    }

    impl Drawn {
        fn measure(&self, stat: RowStat) -> Measured {
            let names = ["a".to_owned(), "b".to_owned()];
            let rows = Rows {
                arm: &self.arm,
                names: &names,
                outcome: &self.outcome,
                denominator: None,
                covariates: &self.covariates,
                unit: self.unit.as_deref(),
                stratum: self.stratum.as_deref(),
                time: None,
            };
            measure(&rows, &(0..self.arm.len()).collect::<Vec<_>>(), "a", stat)
        }

        /// Interval of b − a, and of b / a − 1, at one look.
        fn bounds(&self, stat: RowStat) -> ((f64, f64), Option<(f64, f64)>) {
            let comparison = self.measure(stat).arms.remove(1).comparison.unwrap();
            let ask = Ask { method: Method::Fixed, level: Level::DEFAULT, n: comparison.n(), tuning: Tuning::AnySize };
            let effect = comparison.effect(ask);
            (effect.bounds.unwrap(), effect.relative_bounds)
        }
    }

    type Draw = fn(&mut Rng) -> Drawn;

    /// Half explained by a covariate and by strata, b higher by 1 and with twice the noise.
    fn explained(rng: &mut Rng) -> Drawn {
        let mut drawn = Drawn { covariates: vec![vec![]], stratum: Some(vec![]), ..Drawn::default() };
        for _ in 0..120 {
            let (arm, stratum, x) = (u32::from(rng.random::<bool>()), rng.random_range(0..3_u32), normal(rng));
            drawn.arm.push(arm);
            drawn.stratum.as_mut().unwrap().push(stratum);
            drawn.covariates[0].push(x);
            let noise = (1.0 + f64::from(arm)) * normal(rng);
            drawn.outcome.push(20.0 + f64::from(arm) + 2.0 * f64::from(stratum) + x + noise);
        }
        drawn
    }

    /// Clusters of one to nine rows that are alike; every other cluster in b (or each in both arms).
    fn clusters(rng: &mut Rng, is_paired: bool) -> Drawn {
        let mut drawn = Drawn { unit: Some(vec![]), ..Drawn::default() };
        for unit in 0..60 {
            let shared = 2.0 * normal(rng);
            for _ in 0..rng.random_range(1..10) {
                let arm = if is_paired { u32::from(rng.random::<bool>()) } else { unit % 2 };
                drawn.arm.push(arm);
                drawn.unit.as_mut().unwrap().push(unit);
                drawn.outcome.push(20.0 + f64::from(arm) + shared + normal(rng));
            }
        }
        drawn
    }

    /// 600 experiments each: two standard errors of 95 % are 1.8 points.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let cases: [(&str, RowStat, Draw); 6] = [
            ("adjusted", RowStat::Mean, explained),
            ("clusters", RowStat::Mean, |rng| clusters(rng, false)),
            ("clusters, median", RowStat::Quantile(0.5), |rng| clusters(rng, false)),
            ("paired", RowStat::Mean, |rng| clusters(rng, true)),
            ("trimmed", RowStat::Trimmed(0.2), |rng| Drawn { stratum: None, covariates: vec![], ..explained(rng) }),
            ("winsorised", RowStat::Winsorised(0.02), |rng| Drawn {
                stratum: None,
                covariates: vec![],
                ..explained(rng)
            }),
        ];
        for (name, stat, draw) in cases {
            let mut rng = Rng::seed_from_u64(3);
            let mut inside = 0;
            for _ in 0..600 {
                let ((lower, upper), relative) = draw(&mut rng).bounds(stat);
                inside += u32::from(lower <= 1.0 && 1.0 <= upper);
                assert!(relative.is_some_and(|(lower, upper)| lower < upper), "{name}");
            }
            let share = f64::from(inside) / 600.0;
            assert!((0.932..0.99).contains(&share), "{name}: {share}");
        }
    }

    #[test]
    fn a_covariate_and_strata_narrow_the_interval() {
        let mut rng = Rng::seed_from_u64(9);
        let drawn = explained(&mut rng);
        let width = |drawn: &Drawn| {
            let ((lower, upper), _) = drawn.bounds(RowStat::Mean);
            upper - lower
        };
        let adjusted = width(&drawn);
        let plain = width(&Drawn { stratum: None, covariates: vec![], ..drawn });
        assert!(adjusted < 0.9 * plain, "{adjusted} beside {plain}");
    }

    #[test]
    fn three_units_are_called_three_whatever_rows_they_have() {
        let mut rng = Rng::seed_from_u64(1);
        let mut drawn = clusters(&mut rng, false);
        drawn.unit = Some(drawn.arm.iter().enumerate().map(|(i, arm)| (i % 3) as u32 * 2 + arm).collect());
        let measured = drawn.measure(RowStat::Mean);
        assert_eq!(measured.arms.iter().map(|arm| arm.n).collect::<Vec<_>>(), [3, 3]);
        assert!(
            measured.arms[1].caution.as_ref().is_some_and(|why| why.contains("3 units")),
            "{:?}",
            measured.arms[1].caution
        );
    }
}
