//! What a model is: where it comes from, what it consists of, and how good it is beside simple rivals.

use super::folds::Situation;
use super::ols::Ols;
use serde::{Deserialize, Serialize};

/// The card of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The column that is predicted.
    pub target: String,
    /// The columns that it is predicted from, in the order of training.
    pub features: Vec<String>,
    /// The column that groups rows.
    pub group: Option<String>,
    /// The column that orders rows in time.
    pub time: Option<String>,
    /// First and last time, in seconds since the epoch, of what was learned from.
    pub window_s: Option<(f64, f64)>,
    /// Rows that were learned from.
    pub n_rows: u64,
    /// Rows without a target, which were not.
    pub n_without_target: u64,
    /// Groups that were learned from.
    pub n_groups: u64,
    /// Distinct combinations of features and group.
    pub n_configurations: u64,
    /// The learner that was asked for; `auto` leaves the choice to the data.
    pub learner: String,
    /// `raw` or `log`: the scale on which outcomes were learned and errors compared.
    pub scale: String,
    /// Of the random draws.
    pub seed: u64,
    /// The numeric feature by which a row is told to lie beyond what its group has seen.
    pub size: Option<String>,
    /// What the model consists of.
    pub parts: Vec<Part>,
    /// Planes of ordinary least squares, by group; the nameless one goes through all rows.
    pub planes: Vec<NamedPlane>,
    /// Errors on held-out rows, by situation, of the model, of its parts and of rivals.
    pub scores: Vec<Score>,
    /// Groups whose answer comes from all rows, and why.
    pub skips: Vec<GroupSkip>,
}

/// A learner that counts somewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub learner: String,
    /// Its share of the answer by situation, over all groups together.
    pub shares: Vec<(Situation, f64)>,
    /// Groups in which its share is the largest, by situation.
    pub leads: Vec<(Situation, u64)>,
    /// Settings that were learned.
    pub settings: Vec<(String, f64)>,
    /// Coefficients that groups share.
    pub coefficients: Vec<(String, f64)>,
}

/// A plane of ordinary least squares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedPlane {
    /// Its group; none for the plane through all rows.
    pub group: Option<String>,
    /// Coefficients with their standard errors, and figures of the fit.
    pub ols: Ols,
}

/// Errors on held-out rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What was held out.
    pub situation: Situation,
    /// `model`, a learner, or a rival.
    pub name: String,
    /// Held-out rows.
    pub n: u64,
    /// Mean absolute error, in the unit of the target.
    pub mae: f64,
    /// Median of |error| / |actual|; NaN where an actual is 0.
    pub mdape: f64,
    /// Mean of the same.
    pub mape: f64,
    /// Share within ±20 %.
    pub in20: f64,
}

/// A group that has no say of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSkip {
    /// Its name.
    pub group: String,
    /// Its rows.
    pub n_rows: u64,
    /// Why, and what stands in.
    pub reason: String,
}

/// Half-width of the band that counts as right: ±20 %.
const WITHIN: f64 = 0.2;

impl Score {
    /// From (actual, predicted); none of none.
    pub(super) fn of(situation: Situation, name: &str, pairs: &[(f64, f64)]) -> Option<Self> {
        if pairs.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let n = pairs.len() as f64;
        let mut relative: Vec<f64> = pairs.iter().map(|(y, p)| ((p - y) / y).abs()).collect();
        let near = relative.iter().filter(|e| **e <= WITHIN).count();
        let mape = relative.iter().sum::<f64>() / n;
        let is_relative = relative.iter().all(|e| e.is_finite());
        let mdape = if is_relative { crate::stats::robust::median(&mut relative) } else { f64::NAN };
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let in20 = near as f64 / n;
        Some(Self {
            situation,
            name: name.to_owned(),
            n: pairs.len() as u64,
            mae: pairs.iter().map(|(y, p)| (p - y).abs()).sum::<f64>() / n,
            mdape,
            mape: if is_relative { mape } else { f64::NAN },
            in20,
        })
    }
}
