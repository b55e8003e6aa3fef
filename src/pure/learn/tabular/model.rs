//! A trained model: what was learned, how much of it counts where, and how sure it is.

use super::TrainError;
use super::calendar::Calendar;
use super::card::Card;
use super::folds::{Gate, Situation, situation};
use super::learner::{Fitted, Learner};
use super::mix::{Mix, blended};
use super::repeats::Repeats;
use super::rows::{Encoding, Feature, Table};
use super::scale::Scale;
use super::spread::Spread;
use crate::samples::UNKNOWN;
use crate::units::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of what is written; a file of a later one can't be read.
pub const VERSION: u32 = 2;

/// Everything that predicting needs, and the card that tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub(super) encoding: Encoding,
    pub(super) scale: Scale,
    pub(super) gate: Option<Gate>,
    pub(super) repeats: Repeats,
    /// By group, whether something was learned from it.
    pub(super) has_rows: Vec<bool>,
    pub(super) fitted: Vec<(Learner, Option<Fitted>)>,
    pub(super) mix: Mix,
    pub(super) spreads: BTreeMap<Situation, Spread>,
    /// The last day of training, and the calendar that rows are placed in.
    pub(super) calendar: Option<Calendar>,
    /// What the model is.
    pub card: Card,
}

/// What is expected of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    /// The middle.
    pub point: f64,
    /// Interval; NaN where too little was held out to say.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

impl Model {
    /// Names of the features that predicting needs, in the order of training.
    pub fn features(&self) -> impl Iterator<Item = &Feature> {
        self.encoding.features.iter()
    }

    /// Whether predicting needs the time of rows.
    #[must_use]
    pub fn needs_time(&self) -> bool {
        self.calendar.is_some()
    }

    /// What is expected of every row: (n_rows,). Words and groups that were never seen are answered by what others
    /// show.
    ///
    /// # Errors
    /// [`TrainError::Features`] when the table lacks a feature or has it in another type.
    pub fn predict(&self, table: &Table, level: Level) -> Result<Vec<Expectation>, TrainError> {
        let mut rows = self.encoding.rows(table)?;
        if let Some(calendar) = &self.calendar {
            calendar.place(&mut rows);
        }
        let one = |fitted: &Fitted| fitted.predict(&rows, self.scale);
        let predicted: Vec<Option<Vec<f64>>> = self.fitted.iter().map(|(_, fitted)| fitted.as_ref().map(one)).collect();
        let expectation = |row: usize| {
            let situation = situation(self.gate.as_ref(), &self.repeats, &self.has_rows, &rows, row);
            let group = rows.group.get(row).copied().unwrap_or(UNKNOWN);
            let at = |learner: usize| {
                predicted.get(learner).and_then(Option::as_ref).and_then(|p| p.get(row)).copied().unwrap_or_default()
            };
            let point = blended(self.mix.shares(situation, group), at);
            self.around(point, situation, group, level)
        };
        Ok((0..rows.n).map(expectation).collect())
    }

    fn around(&self, point: f64, situation: Situation, group: u32, level: Level) -> Expectation {
        // A situation that could not be tried out is at least as uncertain as those that could.
        let own = self.spreads.get(&situation);
        let offsets = own.map(|spread| spread.offsets(group, level)).or_else(|| {
            let all = self.spreads.values().map(|spread| spread.offsets(UNKNOWN, level));
            all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        });
        let (low, high) = offsets.unwrap_or((f64::NAN, f64::NAN));
        let end = |offset: f64| if offset.is_nan() { offset } else { self.scale.back(point + offset) };
        Expectation { point: self.scale.back(point), lower: end(low), upper: end(high) }
    }
}
