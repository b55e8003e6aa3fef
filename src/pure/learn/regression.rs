//! The regression of one workflow type: lines of its steps, shared effects, running levels, conformal bounds.
//!
//! `log outcome ~ step + slope of the step · log size + provider + platform + retry + hour of the week + level now`

use super::conformal::Bounds;
use super::dataset::{Dataset, Event, HOURS_OF_WEEK, N_SIZES, SIZES, events};
use super::level::RunningLevel;
use super::line::{Line, MIN_SCALE, StepRows, centred, dot};
use super::pooling::{Pooled, SlopePrior, StepSummary};
use super::shared::{self, Residual, Shared};
use crate::samples::{UNKNOWN, Vocabulary};
use crate::stats::dist::mean_beyond;
use crate::stats::robust::median;
use crate::units::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Rounds of lines and shared effects in turn; the third changes no digit that matters.
const ROUNDS: usize = 2;
/// A group's typical scale counts as much as this many executions of the step itself.
const SCALE_PRIOR: f64 = 20.0;
/// How strongly a running level of a known step is held at zero, in executions.
const LEVEL_PRIOR: f64 = 1.0;
/// A quiet step may count for at most so many of the typical ones.
const MAX_PRECISION: f64 = 10.0;

/// What the training part of a group says.
#[derive(Debug)]
pub(crate) struct GroupFit {
    /// By local step; none for steps without a training row.
    pub(crate) lines: Vec<Option<Line>>,
    /// Mean log sizes, in step with `lines`.
    pub(crate) centres: Vec<[f64; N_SIZES]>,
    counts: Vec<u64>,
    pub(crate) shared: Shared,
    /// Typical size of a residual.
    scale: f64,
}

impl GroupFit {
    /// Fits the lines and the shared effects in turn, the latter to `most_rows` at most. `training` are positions in
    /// `data`, by start.
    pub(crate) fn new(data: &Dataset, training: &[u32], most_rows: usize, seed: u64) -> Self {
        let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); data.step.codes.len()];
        for &row in training {
            if let Some(rows) = data.step.of_row.get(row as usize).and_then(|&s| rows_of.get_mut(s as usize)) {
                rows.push(row);
            }
        }
        let n_known = |rows: &Vec<u32>| rows.iter().filter(|&&row| !data.is_censored(row as usize)).count() as u64;
        let counts = rows_of.iter().map(n_known).collect();
        let mut steps: Vec<StepRows> = rows_of.iter().map(|rows| StepRows::new(data, rows)).collect();
        drop(rows_of);
        let mut shared = Shared::default();
        let mut lines = fit_lines(data, &mut steps, &[], &shared);
        for _ in 0..ROUNDS {
            let scale = typical_scale(&lines);
            shared = shared::fit(data, &leftovers(data, &steps, &lines, scale), scale, most_rows, seed);
            lines = fit_lines(data, &mut steps, &lines, &shared);
        }
        let scale = typical_scale(&lines);
        Self { lines, centres: steps.iter().map(|s| s.centre).collect(), counts, shared, scale }
    }

    /// One row for each known step, for the regression over steps.
    pub(crate) fn summaries(&self, data: &Dataset, group: usize) -> Vec<StepSummary> {
        let known = self.lines.iter().zip(&self.centres).zip(&data.step_type);
        known
            .filter_map(|((line, centre), &step_type)| {
                let line = line.as_ref()?;
                Some(StepSummary { group, step_type, log_size: centre[0], mean: line.mean, scale: line.scale })
            })
            .collect()
    }

    /// Joins the group with what is known about all groups. Running levels have seen nothing yet.
    pub(crate) fn into_model(self, data: &Dataset, name: &str, pooled: &Pooled, words: &Vocabulary) -> FittedGroup {
        let prior = SlopePrior::of(&self.lines, &data.step_type);
        let steps = (0..data.step.codes.len())
            .map(|step| {
                let step_type = data.step_type.get(step).copied().unwrap_or(UNKNOWN);
                match self.lines.get(step).and_then(Option::as_ref) {
                    Some(line) => self.known_step(step, line, step_type, &prior, name, pooled, words),
                    None => {
                        StepModel::unseen(name, words.word(step_type), &prior.unseen(step_type), self.scale, pooled)
                    }
                }
            })
            .collect();
        FittedGroup { steps, shared: self.shared }
    }

    #[expect(clippy::too_many_arguments, reason = "one place joins a step's own line with all it borrows")]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn known_step(
        &self,
        step: usize,
        line: &Line,
        step_type: u32,
        prior: &SlopePrior,
        group: &str,
        pooled: &Pooled,
        words: &Vocabulary,
    ) -> StepModel {
        let n = self.counts.get(step).copied().unwrap_or_default();
        let centre = self.centres.get(step).copied().unwrap_or([f64::NAN; N_SIZES]);
        let (slope, slope_var) = prior.shrink(line, step_type);
        let weight = n as f64 / (n as f64 + SCALE_PRIOR);
        let scale = (weight * line.scale.powi(2) + (1.0 - weight) * self.scale.powi(2)).sqrt().max(MIN_SCALE);
        let (expected, std) = pooled.at(group, words.word(step_type), centre[0]);
        let (own, borrowed) = (line.weight / scale.powi(2), 1.0 / std.powi(2).max(1e-9));
        StepModel {
            n,
            centre: centre.map(finite),
            slope,
            slope_var,
            intercept: (own * line.mean + borrowed * expected) / (own + borrowed),
            level: RunningLevel::new(scale, LEVEL_PRIOR),
            flat: RunningLevel::new(flat_scale(line, scale, n), LEVEL_PRIOR),
            bounds: None,
        }
    }
}

/// Size of the residuals if input sizes are left out of account.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn flat_scale(line: &Line, scale: f64, n: u64) -> f64 {
    let along: f64 = line.slope.iter().zip(&line.size_products).map(|(slope, row)| slope * dot(&line.slope, row)).sum();
    let explained = along / (n.max(1) as f64);
    (scale * scale + explained.max(0.0)).sqrt()
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

/// The line of each step; censored outcomes are filled in from the line before, `lines`, if there is one.
fn fit_lines(data: &Dataset, steps: &mut [StepRows], lines: &[Option<Line>], shared: &Shared) -> Vec<Option<Line>> {
    let fit = |(at, step): (usize, &mut StepRows)| {
        let line = lines.get(at).and_then(Option::as_ref);
        let outcome = |(&row, x): (&u32, &[f64; N_SIZES])| {
            let row = row as usize;
            let y = data.log_y.get(row).copied().unwrap_or_default() - shared.at(data, row);
            match line {
                _ if !data.is_censored(row) => y,
                Some(line) => filled(y, line.mean + dot(&line.slope, x), line.scale).unwrap_or(f64::NAN),
                None => f64::NAN,
            }
        };
        let y: Vec<f64> = step.rows.iter().zip(&step.x).map(outcome).collect();
        y.iter().any(|y| !y.is_nan()).then(|| step.fit(&y))
    };
    steps.iter_mut().enumerate().map(fit).collect()
}

/// What to believe of an outcome that is only known to be larger than `bound`, where `expected` was: its mean given
/// that (Tobin 1958; filled in as by Buckley and James 1979), the outcome taken to be normal. None where less than
/// expected: an execution that failed early says nothing about how long those take that do not.
fn filled(bound: f64, expected: f64, scale: f64) -> Option<f64> {
    let z = (bound - expected) / scale;
    (z > 0.0).then(|| expected + scale * mean_beyond(z))
}

fn typical_scale(lines: &[Option<Line>]) -> f64 {
    let mut scales: Vec<f64> = lines.iter().flatten().map(|l| l.scale).collect();
    let typical = median(&mut scales);
    if typical.is_finite() { typical.max(MIN_SCALE) } else { 1.0 }
}

/// What the lines leave over, weighted by robustness and by the precision of the step.
fn leftovers(data: &Dataset, steps: &[StepRows], lines: &[Option<Line>], scale: f64) -> Vec<Residual> {
    let mut out = Vec::with_capacity(steps.iter().map(|s| s.rows.len()).sum());
    for (step, line) in steps.iter().zip(lines).filter_map(|(s, l)| Some((s, l.as_ref()?))) {
        let precision = (scale / line.scale).powi(2).min(MAX_PRECISION);
        let known =
            step.rows.iter().zip(&step.x).zip(&step.weight).filter(|((row, _), _)| !data.is_censored(**row as usize));
        for ((&row, x), weight) in known {
            let y = data.log_y.get(row as usize).copied().unwrap_or_default();
            out.push(Residual { row, value: y - line.mean - dot(&line.slope, x), weight: weight * precision });
        }
    }
    out
}

/// All that is known about one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepModel {
    /// Executions that its line was fitted to.
    pub(crate) n: u64,
    centre: [Option<f64>; N_SIZES],
    pub(crate) slope: [f64; N_SIZES],
    slope_var: [f64; N_SIZES],
    pub(crate) intercept: f64,
    /// How far the step runs off its line of late.
    level: RunningLevel,
    /// How far it runs off its intercept: what is believed where sizes predict worse than nothing.
    flat: RunningLevel,
    /// Conformal bounds of its own, none where its group's hold.
    bounds: Option<Bounds>,
}

/// A log outcome and the scale of its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    pub(crate) log: f64,
    pub(crate) scale: f64,
}

impl Bounds {
    /// (log, lower, upper) of an expectation.
    pub(crate) fn around(self, expected: Expected) -> (f64, f64, f64) {
        let Expected { log, scale } = expected;
        (log, log + self.lower * scale, log + self.upper * scale)
    }
}

impl StepModel {
    /// A step without training rows, from its type and its group; its running level soon learns better.
    pub(crate) fn unseen(
        group: &str,
        step_type: Option<&str>,
        (slope, slope_var): &([f64; N_SIZES], [f64; N_SIZES]),
        scale: f64,
        pooled: &Pooled,
    ) -> Self {
        let (intercept, std) = pooled.at(group, step_type, f64::NAN);
        Self {
            n: 0,
            centre: std::array::from_fn(|j| (j == 0).then_some(pooled.size_mean())),
            slope: std::array::from_fn(|j| if j == 0 { pooled.size_slope() } else { slope[j] }),
            slope_var: *slope_var,
            intercept,
            level: RunningLevel::new(scale, (scale / std).powi(2)),
            flat: RunningLevel::new(scale, (scale / std).powi(2)),
            bounds: None,
        }
    }

    /// Conformal bounds of its own.
    pub(crate) fn own_bounds(&self) -> Option<Bounds> {
        self.bounds
    }

    fn offsets(&self, size: [f64; N_SIZES]) -> [f64; N_SIZES] {
        centred(size, self.centre.map(|c| c.unwrap_or(f64::NAN)))
    }

    /// What input sizes add to the intercept.
    pub(crate) fn size_effect(&self, size: [f64; N_SIZES]) -> f64 {
        dot(&self.slope, &self.offsets(size))
    }

    /// What is expected at that size just now, where provider, hour and the like add `shared`.
    pub(crate) fn expect(&self, shared: f64, size: [f64; N_SIZES]) -> Expected {
        let base = self.intercept + shared;
        let (level, flat) = (self.level.now(), self.flat.now());
        if flat.loss < level.loss {
            return Expected { log: base + flat.shift, scale: flat.scale * (1.0 + flat.variance_ratio).sqrt() };
        }
        let x = self.offsets(size);
        let slopes = dot(&self.slope_var, &x.map(|x| x * x));
        let variance = level.scale.powi(2) * (1.0 + level.variance_ratio) + slopes;
        Expected { log: base + dot(&self.slope, &x) + level.shift, scale: variance.sqrt() }
    }

    /// Learns from a log outcome less shared effects.
    pub(crate) fn observe(&mut self, outcome: f64, size: [f64; N_SIZES]) {
        let off = outcome - self.intercept;
        self.level.observe(off - self.size_effect(size));
        self.flat.observe(off);
    }

    /// Learns from an outcome less shared effects that is only known to be larger than `bound`.
    pub(crate) fn observe_beyond(&mut self, bound: f64, size: [f64; N_SIZES]) {
        let Expected { log, scale } = self.expect(0.0, size);
        if let Some(outcome) = filled(bound, log, scale) {
            self.observe(outcome, size);
        }
    }
}

/// A group while it is walked through time, in the numbers of its dataset.
#[derive(Debug)]
pub(crate) struct FittedGroup {
    pub(crate) steps: Vec<StepModel>,
    pub(crate) shared: Shared,
}

impl FittedGroup {
    /// Predicts each execution from those that ended before it started, oldest first, and leaves the running levels
    /// as of the last end. Returns one expectation per row.
    pub(crate) fn walk(&mut self, data: &Dataset) -> Vec<Expected> {
        let size = |row: usize| data.size.get(row).map_or([f64::NAN; N_SIZES], |s| s.map(f64::from));
        let step_of = |row: usize| data.step.of_row.get(row).map_or(usize::MAX, |&s| s as usize);
        let shared: Vec<f64> = (0..data.len()).map(|row| self.shared.at(data, row)).collect();
        let mut out = vec![Expected { log: f64::NAN, scale: f64::NAN }; data.len()];
        for event in events(data) {
            match event {
                Event::Started(row) => {
                    let step = self.steps.get(step_of(row)).zip(shared.get(row)).zip(out.get_mut(row));
                    if let Some(((step, &shared), slot)) = step {
                        *slot = step.expect(shared, size(row));
                    }
                }
                Event::Ended(row) => {
                    let step = self.steps.get_mut(step_of(row)).zip(shared.get(row)).zip(data.log_y.get(row));
                    match step {
                        Some(((step, shared), y)) if data.is_censored(row) => {
                            step.observe_beyond(y - shared, size(row));
                        }
                        Some(((step, shared), y)) => step.observe(y - shared, size(row)),
                        None => {}
                    }
                }
            }
        }
        out
    }

    /// Conformal bounds of the group from the executions in `calibration`, and of the steps that have enough of them.
    pub(crate) fn calibrate(&mut self, data: &Dataset, walked: &[Expected], calibration: &Calibration) -> Bounds {
        let Calibration { rows, known_before_us, level, fallback } = calibration;
        let mut all = Vec::new();
        let mut by_step: Vec<Vec<f64>> = vec![Vec::new(); self.steps.len()];
        for row in rows.clone() {
            let known = data.ended_us.get(row).is_some_and(|ended| ended < known_before_us) && !data.is_censored(row);
            let (true, Some(expected), Some(y)) = (known, walked.get(row), data.log_y.get(row)) else { continue };
            let z = (y - expected.log) / expected.scale;
            if z.is_finite() {
                all.push(z);
                let step = data.step.of_row.get(row).and_then(|&s| by_step.get_mut(s as usize));
                step.into_iter().for_each(|step| step.push(z));
            }
        }
        let group = Bounds::conformal(&mut all, *level).unwrap_or(*fallback);
        for (step, z) in self.steps.iter_mut().zip(&mut by_step) {
            step.bounds = Bounds::conformal(z, *level).map(|own| group.towards(own, z.len()));
        }
        group
    }

    /// Names in the place of numbers.
    pub(crate) fn into_named(self, data: &Dataset, bounds: Bounds, words: &Vocabulary) -> GroupModel {
        let name = |code: &u32| words.word(*code).map(str::to_owned);
        let table = |codes: &[u32], effects: &[f64]| {
            codes.iter().zip(effects).filter_map(|(code, effect)| Some((name(code)?, *effect))).collect()
        };
        GroupModel {
            provider: table(&data.provider.codes, &self.shared.provider),
            platform: table(&data.platform.codes, &self.shared.platform),
            retry: self.shared.retry,
            hour: self.shared.hour,
            steps: data.step.codes.iter().zip(self.steps).filter_map(|(code, s)| Some((name(code)?, s))).collect(),
            bounds,
            n: data.n_known() as u64,
            window_us: window(data),
        }
    }
}

fn window(data: &Dataset) -> (i64, i64) {
    let ends = || data.ended_us.iter().copied();
    (ends().min().unwrap_or_default(), ends().max().unwrap_or_default())
}

/// What conformal bounds are taken from.
#[derive(Debug)]
pub(crate) struct Calibration {
    /// Rows of the calibration part.
    pub(crate) rows: Range<usize>,
    /// Only outcomes known before this instant count.
    pub(crate) known_before_us: i64,
    /// Wanted coverage.
    pub(crate) level: Level,
    /// Bounds where there are too few executions.
    pub(crate) fallback: Bounds,
}

/// The model of one workflow type, by names, as of the end of its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupModel {
    pub(crate) steps: BTreeMap<String, StepModel>,
    provider: BTreeMap<String, f64>,
    platform: BTreeMap<String, f64>,
    retry: f64,
    hour: Vec<f64>,
    bounds: Bounds,
    pub(crate) n: u64,
    pub(crate) window_us: (i64, i64),
}

/// Facts about an execution that is to come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    pub(crate) provider: Option<&'a str>,
    pub(crate) platform: Option<&'a str>,
    pub(crate) retry: bool,
    pub(crate) hour: Option<u8>,
    pub(crate) size: [f64; N_SIZES],
}

impl GroupModel {
    /// Expected log outcome with its bounds: (log, lower, upper).
    pub(crate) fn expect(&self, step: &StepModel, known: &Known<'_>) -> (f64, f64, f64) {
        let expected = step.expect(self.shared(known), known.size);
        step.bounds.unwrap_or(self.bounds).around(expected)
    }

    /// What provider, platform, retry and hour add.
    pub(crate) fn shared(&self, known: &Known<'_>) -> f64 {
        let effect = |table: &BTreeMap<String, f64>, name: Option<&str>| {
            name.and_then(|name| table.get(name)).copied().unwrap_or_default()
        };
        let hour = known.hour.and_then(|hour| self.hour.get(usize::from(hour) % HOURS_OF_WEEK));
        effect(&self.provider, known.provider)
            + effect(&self.platform, known.platform)
            + if known.retry { self.retry } else { 0.0 }
            + hour.copied().unwrap_or_default()
    }

    /// Names and values of all coefficients, effects on the log scale.
    pub(crate) fn coefficients(&self) -> Vec<(String, f64)> {
        let mut out = Vec::new();
        for (name, step) in &self.steps {
            out.push((format!("step={name}"), step.intercept));
            out.extend(SIZES.iter().zip(step.slope).map(|(size, slope)| (format!("step={name}:log_{size}"), slope)));
        }
        out.extend(self.provider.iter().map(|(name, effect)| (format!("provider={name}"), *effect)));
        out.extend(self.platform.iter().map(|(name, effect)| (format!("platform={name}"), *effect)));
        out.push(("retry".to_owned(), self.retry));
        out.extend(self.hour.iter().enumerate().map(|(hour, effect)| (format!("hour_of_week={hour}"), *effect)));
        out
    }
}
