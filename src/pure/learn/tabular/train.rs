//! Training: compare, choose, fit what is chosen to all rows.

use super::TrainError;
use super::calendar::Calendar;
use super::card::{Card, GroupSkip, NamedPlane, Part, Score};
use super::folds::{Gate, Situation, folds};
use super::learner::{Data, Fit, Fitted, Learner};
use super::mix::{Held, Mix, Shares};
use super::model::Model;
use super::repeats::Repeats;
use super::rows::{Encoding, Rows, Table};
use super::scale::Scale;
use super::spread::Spread;
use super::trial::{calibrated, held_out, sample};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A group with fewer rows has no say of its own in what is chosen.
const LEAST_ROWS_OF_GROUP: u64 = 5;
/// A learner whose share is nowhere larger than this is not kept.
const LEAST_SHARE: f64 = 0.05;
/// Rows that tell which scale fits.
const ROWS_FOR_SCALE: usize = 4_000;

/// Which learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Whatever errs least on held-out rows, blended where that errs less.
    Auto,
    /// This one.
    Only(Learner),
}

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainParams {
    /// Name of the target, for the card.
    pub target: String,
    /// Name of the column that groups rows, for the card.
    pub group: Option<String>,
    /// Name of the column that orders rows, for the card.
    pub time: Option<String>,
    /// Which learner.
    pub choice: Choice,
    /// Of the random draws.
    pub seed: u64,
}

/// Learns `y` (n_rows,), NaN where unknown, from the columns of `table`.
///
/// # Errors
/// [`TrainError`] where no row has a target, or the learner asked for can't be fitted.
pub fn train(table: &Table, y: &[f64], params: &TrainParams) -> Result<Model, TrainError> {
    if y.len() != table.n_rows {
        return Err(TrainError::Length { found: y.len(), expected: table.n_rows });
    }
    let encoding = Encoding::of(table);
    let calendar = table.seconds.as_deref().filter(|_| table.has_calendar).and_then(Calendar::of);
    let known: Vec<u32> = (0..).zip(y).filter(|(_, y)| y.is_finite()).map(|(row, _)| row).collect();
    if known.is_empty() {
        return Err(TrainError::NoTarget { n_rows: table.n_rows });
    }
    let mut rows = encoding.rows(table)?.take(&known);
    if let Some(calendar) = &calendar {
        calendar.place(&mut rows);
    }
    let y: Vec<f64> = known.iter().filter_map(|&row| y.get(row as usize)).copied().collect();
    let configurations = rows.configurations();
    let n_own = encoding.number_names().count();
    let scale = scale(&rows, &y, &configurations, params.choice);
    let on_scale: Vec<f64> = y.iter().map(|y| scale.to(*y)).collect();
    let gate = Gate::of(&rows, &on_scale, n_own);
    let data = Data {
        encoding: &encoding,
        rows: &rows,
        y: &y,
        scale,
        configurations: &configurations,
        like: None,
        seed: params.seed,
    };
    let learners = candidates(params.choice, rows.n);
    let trial = Trial::of(&learners, &data, gate.as_ref());
    let fitted = fit_those_that_count(&learners, &trial.mix, &data)?;
    let all: Vec<u32> = (0..).zip(&y).map(|(row, _)| row).collect();
    let has_rows = rows.has_rows(&all);
    let about = About { params, data: &data, calendar: calendar.as_ref(), gate: gate.as_ref(), has_rows: &has_rows };
    // Without a trial of them they are like any other row.
    let repeats = match trial.mix.situations.contains_key(&Situation::Repeated) {
        true => Repeats::of(&rows, &all),
        false => Repeats::default(),
    };
    let mut card = about.card(&fitted, trial.mix.clone(), trial.scores);
    card.n_without_target = (table.n_rows - known.len()) as u64;
    Ok(Model {
        scale,
        has_rows,
        fitted,
        mix: trial.mix,
        spreads: trial.spreads,
        calendar,
        card,
        gate,
        repeats,
        encoding: encoding.clone(),
    })
}

fn scale(rows: &Rows, y: &[f64], configurations: &[u32], choice: Choice) -> Scale {
    if matches!(choice, Choice::Only(Learner::Ols { .. })) {
        return Scale::Raw;
    }
    let stride = rows.n.div_ceil(ROWS_FOR_SCALE).max(1);
    if stride == 1 {
        return Scale::of(rows, y, configurations);
    }
    let picked: Vec<u32> = (0..).zip(y).map(|(row, _)| row).step_by(stride).collect();
    let some = rows.take(&picked);
    let values: Vec<f64> = picked.iter().filter_map(|&row| y.get(row as usize)).copied().collect();
    match Scale::of(&some, &values, &some.configurations()) {
        Scale::Raw => Scale::Raw,
        // The range is that of all rows.
        log @ Scale::Log { .. } => {
            Scale::log(y).map_or(Scale::Raw, |all| if y.iter().all(|v| *v >= 0.0) { all } else { log })
        }
    }
}

fn candidates(choice: Choice, n_rows: usize) -> Vec<Learner> {
    match choice {
        Choice::Only(learner) => vec![learner],
        Choice::Auto => {
            Learner::CANDIDATES.into_iter().filter(|learner| n_rows <= learner.most_rows_to_compare()).collect()
        }
    }
}

/// What held-out rows say.
struct Trial {
    mix: Mix,
    spreads: BTreeMap<Situation, Spread>,
    scores: Vec<Score>,
}

impl Trial {
    fn of(learners: &[Learner], data: &Data<'_>, gate: Option<&Gate>) -> Self {
        let picked = sample(data.rows);
        let rows = data.rows.take(&picked);
        let at = |values: &[f64]| -> Vec<f64> {
            picked.iter().filter_map(|&row| values.get(row as usize)).copied().collect()
        };
        let (y, configurations) = (at(data.y), rows.configurations());
        let sampled = Data { rows: &rows, y: &y, configurations: &configurations, ..*data };
        let folds = folds(&rows, &configurations, gate, data.seed);
        let held = held_out(learners, &sampled, &folds, gate);
        let mut out = Self { mix: Mix { situations: BTreeMap::new() }, spreads: BTreeMap::new(), scores: Vec::new() };
        for (situation, held) in &held {
            let Some(shares) = held.shares(data.scale, learners, *situation) else { continue };
            out.score(*situation, held, &shares, learners, data.scale);
            out.mix.situations.insert(*situation, shares);
        }
        if picked.len() < data.rows.n {
            out.calibrate(learners, data, gate);
        }
        if out.mix.situations.is_empty() {
            // Too few rows to hold any out: the simplest learner that was allowed.
            let mut pooled = vec![0.0; learners.len()];
            pooled.iter_mut().take(1).for_each(|share| *share = 1.0);
            out.mix.situations.insert(Situation::Within, Shares { pooled, own: BTreeMap::new() });
        }
        out
    }

    /// Spreads anew, of what counts, where the trial saw a part of the rows.
    fn calibrate(&mut self, learners: &[Learner], data: &Data<'_>, gate: Option<&Gate>) {
        let counting: Vec<bool> = (0..learners.len()).map(|at| self.mix.largest(at) >= LEAST_SHARE).collect();
        let tells_repeated = self.mix.situations.contains_key(&Situation::Repeated);
        for (situation, held) in calibrated(learners, &counting, data, gate, tells_repeated) {
            let spread = self.mix.situations.get(&situation).and_then(|shares| held.spread(shares));
            self.spreads.extend(spread.map(|spread| (situation, spread)));
        }
    }

    fn score(&mut self, situation: Situation, held: &Held, shares: &Shares, learners: &[Learner], scale: Scale) {
        let blend = |row: usize| held.blend(shares, row);
        self.spreads.extend(held.spread(shares).map(|spread| (situation, spread)));
        self.scores.extend(Score::of(situation, "model", &held.pairs(scale, blend)));
        for (learner, predicted) in learners.iter().zip(&held.predicted) {
            if let Some(predicted) = predicted {
                let own = |row: usize| predicted.get(row).copied().unwrap_or_default();
                self.scores.extend(Score::of(situation, learner.as_str(), &held.pairs(scale, own)));
            }
        }
        let middle = |row: usize| held.middles.get(row).copied().unwrap_or_default();
        self.scores.extend(Score::of(situation, "global_median", &held.pairs(scale, middle)));
    }
}

fn fit_those_that_count(
    learners: &[Learner],
    mix: &Mix,
    data: &Data<'_>,
) -> Result<Vec<(Learner, Option<Fitted>)>, TrainError> {
    let one = |(at, learner): (usize, &Learner)| {
        let counts = mix.largest(at) >= LEAST_SHARE;
        Ok((*learner, if counts { Some(learner.fit(data)?) } else { None }))
    };
    learners.par_iter().enumerate().map(one).collect()
}

/// What the card is made from.
struct About<'a> {
    params: &'a TrainParams,
    data: &'a Data<'a>,
    calendar: Option<&'a Calendar>,
    gate: Option<&'a Gate>,
    has_rows: &'a [bool],
}

impl About<'_> {
    fn card(&self, fitted: &[(Learner, Option<Fitted>)], mix: Mix, scores: Vec<Score>) -> Card {
        let Self { params, data, gate, .. } = self;
        let encoding = data.encoding;
        let numbers: Vec<&str> = encoding.number_names().collect();
        let used = fitted.iter().enumerate();
        let parts = used.filter_map(|(at, (learner, fitted))| Some(self.part(*learner, fitted.as_ref()?, at, &mix)));
        let known = || data.rows.seconds.iter().copied().filter(|s| s.is_finite());
        Card {
            target: params.target.clone(),
            features: encoding.features.iter().map(|feature| feature.name.clone()).collect(),
            group: params.group.clone(),
            time: params.time.clone(),
            window_s: known().reduce(f64::min).zip(known().reduce(f64::max)),
            n_rows: data.rows.n as u64,
            n_without_target: 0,
            n_groups: if encoding.is_grouped { self.has_rows.iter().filter(|has| **has).count() as u64 } else { 0 },
            n_configurations: data.configurations.iter().max().map_or(0, |max| u64::from(*max) + 1),
            learner: match params.choice {
                Choice::Auto => "auto".to_owned(),
                Choice::Only(learner) => learner.as_str().to_owned(),
            },
            scale: data.scale.as_str().to_owned(),
            seed: params.seed,
            size: gate.and_then(|gate| numbers.get(gate.feature)).map(|name| (*name).to_owned()),
            parts: parts.collect(),
            planes: fitted.iter().filter_map(|(_, fitted)| fitted.as_ref()).flat_map(|f| self.planes(f)).collect(),
            scores,
            skips: self.skips(),
        }
    }

    fn part(&self, learner: Learner, fitted: &Fitted, at: usize, mix: &Mix) -> Part {
        let numbers: Vec<&str> = self.data.encoding.number_names().chain(self.calendar_names()).collect();
        let categories: Vec<(&str, &[String])> = self.data.encoding.categories().collect();
        let leads = |shares: &Shares| {
            let leads = |own: &&Vec<f64>| own.iter().all(|share| *share <= own.get(at).copied().unwrap_or_default());
            shares.own.values().filter(leads).count() as u64
        };
        Part {
            learner: learner.as_str().to_owned(),
            shares: mix
                .situations
                .iter()
                .map(|(s, shares)| (*s, shares.pooled.get(at).copied().unwrap_or_default()))
                .collect(),
            leads: mix.situations.iter().map(|(s, shares)| (*s, leads(shares))).collect(),
            settings: fitted.settings(&numbers, &categories),
            coefficients: fitted.coefficients(&numbers, &categories),
        }
    }

    fn calendar_names(&self) -> Vec<&str> {
        self.calendar.map(Calendar::names).unwrap_or_default()
    }

    fn planes(&self, fitted: &Fitted) -> Vec<NamedPlane> {
        let Fitted::Ols(planes) = fitted else { return Vec::new() };
        let name = |group: &u32| self.data.encoding.groups.get(*group as usize).cloned();
        let own = planes.groups.iter().map(|(group, ols)| NamedPlane { group: name(group), ols: ols.clone() });
        std::iter::once(NamedPlane { group: None, ols: planes.all.clone() }).chain(own).collect()
    }

    fn skips(&self) -> Vec<GroupSkip> {
        if !self.data.encoding.is_grouped {
            return Vec::new();
        }
        let members = self.data.rows.by_group();
        let sizes = members.iter().map(|members| members.len() as u64);
        let few = self.data.encoding.groups.iter().zip(sizes).filter(|(_, n)| *n < LEAST_ROWS_OF_GROUP);
        few.map(|(group, n_rows)| GroupSkip {
            group: group.clone(),
            n_rows,
            reason: format!(
                "{n_rows} rows with a target, {LEAST_ROWS_OF_GROUP} needed: answered as all groups together show"
            ),
        })
        .collect()
    }
}
