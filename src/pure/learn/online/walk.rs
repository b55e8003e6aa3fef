//! The walk through time: predict, then learn.

use super::conformal::{Conformal, OwnScores, Promise};
use super::effects::Effects;
use super::events::{Event, Order, events};
use super::experts::{Experts, Losses, N, View};
use super::history::History;
use super::scale::{Scale, feature};
use super::slopes::{Line, UsualSlopes, known};
use super::{Answers, Executions, OnlineParams, Speaker};
use crate::samples::UNKNOWN;

/// The first executions of a group that stand for what a group never seen may be like.
const FIRST: u32 = 3;
/// Rows between two calls of `progress`.
const PROGRESS: usize = 4096;
/// The expert whose errors show the effects of words: along the line, over all executions.
const ALL_ALONG_LINE: usize = N / 2;
/// A size that is known of only one of two executions, and a word that differs, as squared distances.
const UNKNOWN_DISTANCE: f64 = 0.25;
const WORD_DISTANCE: f64 = 0.04;
/// A feature without slope still tells executions apart, this much of one in proportion.
const LEAST_SLOPE: f64 = 0.3;

/// What is known of a group.
#[derive(Debug)]
struct Group {
    history: History,
    n_seen: u32,
    line: Line,
    losses: Losses,
    scores: OwnScores,
    effects: Effects,
}

impl Group {
    fn new(usual: &UsualSlopes) -> Self {
        Self {
            history: History::default(),
            n_seen: 0,
            line: Line::new(usual),
            losses: Losses::default(),
            scores: OwnScores::default(),
            effects: Effects::default(),
        }
    }
}

/// A prediction that waits for its outcome.
#[derive(Debug)]
struct Pending {
    said: [f64; N],
    promise: Promise,
    was_pooled: bool,
}

/// What every prediction needs.
#[derive(Debug)]
struct Common {
    scale: Scale,
    usual: UsualSlopes,
    effects: Effects,
    losses: Losses,
    conformal: Conformal,
    experts: Experts,
    shifts: Vec<f64>,
    distances: Vec<f64>,
    /// The features of a row, moved into the range of what is known.
    inside: Vec<f64>,
}

/// A row's features.
#[derive(Debug, Default)]
struct Features {
    numeric: Vec<f64>,
    categorical: Vec<u32>,
}

/// The walk, as far as it has come.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    data: &'a Executions,
    groups: Vec<Option<Box<Group>>>,
    /// The first executions of every group.
    pool: Group,
    common: Common,
    pending: Vec<Option<Box<Pending>>>,
    features: Features,
    answers: Answers,
}

impl<'a> Walk<'a> {
    pub(super) fn new(data: &'a Executions, params: &OnlineParams) -> Self {
        let mut levels = params.levels.clone();
        levels.sort_by(|a, b| a.get().total_cmp(&b.get()));
        levels.dedup();
        let usual = UsualSlopes::new(data.numeric.len());
        let (n, n_levels) = (data.len(), levels.len());
        Self {
            data,
            groups: (0..data.n_groups()).map(|_| None).collect(),
            pool: Group::new(&usual),
            common: Common {
                scale: Scale::default(),
                usual,
                effects: Effects::default(),
                losses: Losses::default(),
                conformal: Conformal::new(&levels),
                experts: Experts::new(),
                shifts: Vec::new(),
                distances: Vec::new(),
                inside: Vec::new(),
            },
            pending: (0..n).map(|_| None).collect(),
            features: Features::default(),
            answers: Answers {
                levels,
                point: vec![f64::NAN; n],
                lower: vec![f64::NAN; n * n_levels],
                upper: vec![f64::NAN; n * n_levels],
                speaker: vec![Speaker::Nobody; n],
                n_seen: vec![0; n],
            },
        }
    }

    pub(super) fn run(mut self, order: Order, progress: impl Fn(usize)) -> Answers {
        let mut since = 0;
        for event in events(&self.data.start, &self.data.end, order) {
            match event {
                Event::Predict(row) => {
                    self.predict(row);
                    since += 1;
                    if since == PROGRESS {
                        progress(std::mem::take(&mut since));
                    }
                }
                Event::Learn(row) => {
                    if let Some(target) = self.data.outcome(row) {
                        self.learn(row, target);
                    }
                }
            }
        }
        progress(since);
        self.answers
    }

    fn predict(&mut self, row: usize) {
        self.features.read(self.data, row);
        let group = self.data.group_at(row, self.groups.len());
        let own = self.groups.get(group).and_then(Option::as_deref).filter(|group| group.n_seen > 0);
        let asked = own.unwrap_or(&self.pool);
        if asked.history.len() == 0 {
            return;
        }
        let n_seen = own.map_or(0, |group| group.n_seen);
        let (pending, point, speaker) = self.common.predict(asked, n_seen, &self.features);
        self.answers.write(row, &self.common.scale, &pending.promise, point);
        if let (Some(said), Some(seen)) = (self.answers.speaker.get_mut(row), self.answers.n_seen.get_mut(row)) {
            *said = if own.is_some() { Speaker::Expert(speaker) } else { Speaker::Pooled };
            *seen = n_seen;
        }
        if let (true, Some(slot)) = (self.data.outcome(row).is_some(), self.pending.get_mut(row)) {
            *slot = Some(Box::new(pending));
        }
    }

    fn learn(&mut self, row: usize, target: f64) {
        self.features.read(self.data, row);
        let place = self.common.scale.learn(target);
        let position = self.data.group_at(row, self.groups.len());
        let Some(slot) = self.groups.get_mut(position) else { return };
        let group = slot.get_or_insert_with(|| Box::new(Group::new(&self.common.usual)));
        if let Some(pending) = self.pending.get_mut(row).and_then(Option::take) {
            // Executions of a new group that wait together are alike: the first to end speaks for them.
            let asked = match pending.was_pooled {
                true if group.n_seen == 0 => Some(&mut self.pool),
                true => None,
                false => Some(&mut **group),
            };
            if let Some(asked) = asked {
                self.common.judge(asked, &pending, &self.features, place);
            }
        }
        let Features { numeric, categorical } = &self.features;
        group.line.learn(place, numeric, &mut self.common.usual);
        group.history.push(place, numeric, categorical);
        group.n_seen = group.n_seen.saturating_add(1);
        if group.n_seen <= FIRST {
            self.pool.history.push(place, numeric, categorical);
        }
    }
}

impl Common {
    /// What waits for the outcome, the place of the point, and the expert that is believed most.
    fn predict(&mut self, asked: &Group, n_seen: u32, features: &Features) -> (Pending, f64, usize) {
        self.look(asked, features);
        let view = View { places: asked.history.places(), shifts: &self.shifts, distances: &self.distances };
        let opinion = self.experts.ask(view, &asked.losses, &self.losses);
        let mixture = &self.experts.mixture;
        let centre = mixture.quantile(0.5);
        let promise = self.conformal.promise(&asked.scores, n_seen, centre, mixture.spread(centre));
        let point = mixture.point(centre);
        (Pending { said: opinion.said, promise, was_pooled: n_seen == 0 }, point, opinion.speaker)
    }

    /// How far each known execution is from the one that is predicted, and what the line adds to it.
    fn look(&mut self, asked: &Group, features: &Features) {
        let Features { numeric, categorical } = features;
        let slopes = asked.line.slopes(&self.usual);
        let n = asked.history.len();
        self.shifts.clear();
        self.shifts.resize(n, 0.0);
        self.distances.clear();
        self.distances.resize(n, 0.0);
        if !numeric.is_empty() {
            let rows = asked.history.numeric(numeric.len()).chunks_exact(numeric.len());
            // A line is known where executions were; beyond, growth is as usual.
            self.inside.clear();
            self.inside.extend(numeric.iter().enumerate().map(|(feature, x)| within(*x, rows.clone(), feature)));
            let beyond = numeric.iter().zip(&self.inside).enumerate();
            let beyond: f64 = beyond.map(|(feature, (x, inside))| known(self.usual.mean(feature) * (x - inside))).sum();
            self.shifts.iter_mut().for_each(|shift| *shift = beyond);
            for ((shift, distance), row) in self.shifts.iter_mut().zip(&mut self.distances).zip(rows) {
                add_numeric(shift, distance, (numeric, &self.inside), row, &slopes);
            }
        }
        if !categorical.is_empty() {
            let effect = |words: &[u32]| self.effects.sum(words) + asked.effects.sum(words);
            let own = effect(categorical);
            let rows = asked.history.categorical(categorical.len()).chunks_exact(categorical.len());
            for ((shift, distance), row) in self.shifts.iter_mut().zip(&mut self.distances).zip(rows) {
                *shift += own - effect(row);
                let differ = row.iter().zip(categorical).filter(|(a, b)| a != b || **a == UNKNOWN).count();
                *distance += WORD_DISTANCE * differ as f64;
            }
        }
    }

    /// Learns how good the prediction was.
    fn judge(&mut self, asked: &mut Group, pending: &Pending, features: &Features, place: f64) {
        self.conformal.learn(&mut asked.scores, &pending.promise, place);
        if pending.was_pooled {
            // How other groups speak for a new one says nothing about how a group speaks for itself.
            asked.losses.learn(&pending.said, place);
            return;
        }
        Losses::learn_both(&mut asked.losses, &mut self.losses, &pending.said, place);
        if !features.categorical.is_empty() {
            let residual = place - pending.said[ALL_ALONG_LINE];
            // Half each: what all groups share, and what is the group's own.
            self.effects.learn(&features.categorical, residual / 2.0);
            asked.effects.learn(&features.categorical, residual / 2.0);
        }
    }
}

/// The nearest value to `x` in the range of a feature in `rows`.
fn within<'a>(x: f64, rows: impl Iterator<Item = &'a [f64]>, feature: usize) -> f64 {
    let values = rows.filter_map(|row| row.get(feature)).filter(|value| !value.is_nan());
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
    if low <= high { x.clamp(low, high) } else { x }
}

/// What one known execution is off: `asked` are the features of the one that is predicted, and where they lie in the
/// range of what is known.
fn add_numeric(shift: &mut f64, distance: &mut f64, asked: (&[f64], &[f64]), execution: &[f64], slopes: &[f64]) {
    let asked = asked.0.iter().zip(asked.1);
    for (((a, inside), b), slope) in asked.zip(execution).zip(slopes) {
        let gap = a - b;
        if gap.is_finite() {
            *shift += slope * (inside - b);
            let felt = slope.abs().max(LEAST_SLOPE) * gap;
            *distance += felt * felt;
        } else if a.is_nan() != b.is_nan() {
            *distance += UNKNOWN_DISTANCE;
        }
    }
}

impl Features {
    fn read(&mut self, data: &Executions, row: usize) {
        self.numeric.clear();
        let number = |column: &Vec<f64>| feature(column.get(row).copied().unwrap_or(f64::NAN));
        self.numeric.extend(data.numeric.iter().map(number));
        self.categorical.clear();
        let word = |column: &Vec<u32>| column.get(row).copied().unwrap_or(UNKNOWN);
        self.categorical.extend(data.categorical.iter().map(word));
    }
}

impl Answers {
    /// Writes the point and bounds of a row; the interval always holds the point.
    fn write(&mut self, row: usize, scale: &Scale, promise: &Promise, point: f64) {
        if let Some(slot) = self.point.get_mut(row) {
            *slot = scale.value(point);
        }
        let first = row * self.levels.len();
        let bounds = self.lower.iter_mut().zip(&mut self.upper).skip(first);
        for ((lower, upper), reach) in bounds.zip(&promise.reach) {
            *lower = scale.value((promise.centre - reach).min(point));
            *upper = scale.value((promise.centre + reach).max(point));
        }
    }
}
