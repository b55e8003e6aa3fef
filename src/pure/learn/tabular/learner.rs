//! The learners, and what each makes of a table.

use super::TrainError;
use super::basis::Basis;
use super::effects::Effects;
use super::elastic_net::ElasticNet;
use super::ensemble::{Boosting, BoostingParams, Forest};
use super::linear::Linear;
use super::medians::Medians;
use super::neighbours::Neighbours;
use super::planes::Planes;
use super::process::Process;
use super::repeats::RepeatMedians;
use super::rows::{Encoding, Rows};
use super::scale::Scale;
use serde::{Deserialize, Serialize};

/// Something that learns from `D`. Prediction is a method of what was fitted.
pub trait Fit<D: ?Sized> {
    /// What it makes of the data.
    type Fitted;

    /// Learns.
    ///
    /// # Errors
    /// [`TrainError`] where the data do not allow it.
    fn fit(&self, data: &D) -> Result<Self::Fitted, TrainError>;
}

/// A learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learner {
    /// The median of the group.
    Median,
    /// The median of the same configuration where it came three times or more, else of the group.
    Repeats,
    /// Straight lines through sizes times factors of categories, robust, partially pooled over groups.
    Linear,
    /// The same on logarithms of sizes and outcome: powers of sizes.
    Loglinear,
    /// Alike rows of the group.
    Neighbours,
    /// A Gaussian process on what log-linear lines leave over.
    GaussianProcess,
    /// Gradient-boosted trees.
    Boosting,
    /// Gradient-boosted trees on what log-linear lines leave over.
    BoostedLines,
    /// Trees side by side.
    RandomForest,
    /// A penalised linear model for all groups.
    ElasticNet,
    /// Ordinary least squares.
    Ols {
        /// Whether the planes have a constant.
        intercept: bool,
    },
}

impl Learner {
    /// Those that are compared when the choice is left to the data; the simplest first. (The elastic net is not: it takes
    /// longer than all others together, and was never better than `loglinear`.)
    pub const CANDIDATES: [Self; 9] = [
        Self::Median,
        Self::Repeats,
        Self::Linear,
        Self::Loglinear,
        Self::Neighbours,
        Self::GaussianProcess,
        Self::Boosting,
        Self::BoostedLines,
        Self::RandomForest,
    ];

    /// Its name in commands and cards.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Repeats => "repeats",
            Self::Linear => "linear",
            Self::Loglinear => "loglinear",
            Self::Neighbours => "neighbours",
            Self::GaussianProcess => "gaussian_process",
            Self::Boosting => "boosting",
            Self::BoostedLines => "boosted_lines",
            Self::RandomForest => "random_forest",
            Self::ElasticNet => "elastic_net",
            Self::Ols { .. } => "ols",
        }
    }

    /// Whether it can follow any shape, and so also chance.
    pub(super) fn is_flexible(self) -> bool {
        !matches!(
            self,
            Self::Median | Self::Repeats | Self::Linear | Self::Loglinear | Self::ElasticNet | Self::Ols { .. }
        )
    }

    /// Rows up to which it is compared with others: beyond, trying it out would take longer than the rest together.
    pub(super) fn most_rows_to_compare(self) -> usize {
        match self {
            Self::GaussianProcess | Self::RandomForest => 3_000,
            _ => usize::MAX,
        }
    }
}

/// What is learned from: all slices are (n_rows,).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) encoding: &'a Encoding,
    pub(crate) rows: &'a Rows,
    /// Outcomes as they are.
    pub(crate) y: &'a [f64],
    /// The scale of predictions.
    pub(crate) scale: Scale,
    /// Rows with the same number repeat one another.
    pub(crate) configurations: &'a [u32],
    /// A model of the same kind from more data, whose settings are taken over.
    pub(crate) like: Option<&'a Fitted>,
    pub(crate) seed: u64,
}

/// What was learned: a closed set, so that a file can hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Fitted {
    Median(Medians),
    Repeats(RepeatMedians),
    Linear(Linear),
    Loglinear(Effects),
    Neighbours(Neighbours),
    GaussianProcess { lines: Effects, process: Process },
    Boosting(Boosting),
    BoostedLines { lines: Effects, trees: Boosting },
    RandomForest(Forest),
    ElasticNet(ElasticNet),
    Ols(Planes),
}

/// Rows that boosting learns from at most; beyond, more rows cost more than they tell.
const MAX_BOOSTING_ROWS: usize = 100_000;

impl Fit<Data<'_>> for Learner {
    type Fitted = Fitted;

    fn fit(&self, data: &Data<'_>) -> Result<Fitted, TrainError> {
        let Data { rows, y, configurations, .. } = *data;
        let scaled: Vec<f64> = y.iter().map(|y| data.scale.to(*y)).collect();
        let lines = || Effects::fit(rows, &scaled, Basis::of(rows, true));
        Ok(match *self {
            Self::Median => Fitted::Median(Medians::fit(rows, &scaled)),
            Self::Repeats => Fitted::Repeats(RepeatMedians::fit(rows, &scaled)),
            Self::Linear => Fitted::Linear(Linear::fit(rows, y)),
            Self::Loglinear => Fitted::Loglinear(lines()),
            Self::Neighbours => Fitted::Neighbours(Neighbours::fit(rows, &scaled, configurations)),
            Self::GaussianProcess => {
                // A line for each level of a number would take from the surface what it does better.
                let lines = Effects::fit(rows, &scaled, Basis::smooth(rows));
                let like = match data.like {
                    Some(Fitted::GaussianProcess { process, .. }) => Some(process),
                    _ => None,
                };
                let process = Process::fit(rows, &left(&lines, rows, &scaled), configurations, like);
                Fitted::GaussianProcess { lines, process }
            }
            Self::Boosting => Fitted::Boosting(boosting(rows, &scaled, configurations, data.seed)),
            Self::BoostedLines => {
                let lines = lines();
                let trees = boosting(rows, &left(&lines, rows, &scaled), configurations, data.seed);
                Fitted::BoostedLines { lines, trees }
            }
            Self::RandomForest => Fitted::RandomForest(Forest::fit(rows, &scaled, data.seed)),
            Self::ElasticNet => {
                let fitted = ElasticNet::fit(rows, &scaled, configurations);
                Fitted::ElasticNet(fitted.ok_or(TrainError::Unsolved { learner: self.as_str(), n_rows: rows.n })?)
            }
            Self::Ols { intercept } => Fitted::Ols(Planes::fit(data.encoding, rows, y, intercept)?),
        })
    }
}

/// What lines leave over.
fn left(lines: &Effects, rows: &Rows, scaled: &[f64]) -> Vec<f64> {
    lines.predict(rows).iter().zip(scaled).map(|(line, y)| y - line).collect()
}

fn boosting(rows: &Rows, scaled: &[f64], configurations: &[u32], seed: u64) -> Boosting {
    let params = BoostingParams::for_rows(rows.n.min(MAX_BOOSTING_ROWS));
    if rows.n <= MAX_BOOSTING_ROWS {
        return Boosting::fit(rows, scaled, configurations, &params, seed);
    }
    let stride = rows.n.div_ceil(MAX_BOOSTING_ROWS);
    let picked: Vec<u32> = (0..).zip(scaled).map(|(row, _)| row).step_by(stride).collect();
    let values: Vec<f64> = picked.iter().filter_map(|&row| scaled.get(row as usize)).copied().collect();
    let thinned = rows.take(&picked);
    Boosting::fit(&thinned, &values, &thinned.configurations(), &params, seed)
}

impl Fitted {
    /// Expected outcomes on `scale`: (n_rows,)
    pub(super) fn predict(&self, rows: &Rows, scale: Scale) -> Vec<f64> {
        let raw = |values: Vec<f64>| values.into_iter().map(|value| scale.of_prediction(value)).collect();
        let sum = |a: Vec<f64>, b: Vec<f64>| a.into_iter().zip(b).map(|(a, b)| a + b).collect();
        match self {
            Self::Median(medians) => medians.predict(rows),
            Self::Repeats(medians) => medians.predict(rows),
            Self::Linear(linear) => raw(linear.predict(rows)),
            Self::Loglinear(effects) => effects.predict(rows),
            Self::Neighbours(neighbours) => neighbours.predict(rows),
            Self::GaussianProcess { lines, process } => sum(lines.predict(rows), process.predict(rows)),
            Self::Boosting(boosting) => boosting.predict(rows),
            Self::BoostedLines { lines, trees } => sum(lines.predict(rows), trees.predict(rows)),
            Self::RandomForest(forest) => forest.predict(rows),
            Self::ElasticNet(net) => net.predict(rows),
            Self::Ols(planes) => raw(planes.predict(rows)),
        }
    }
}

impl Fitted {
    /// Coefficients that groups share, by name; none where there are no such.
    pub(super) fn coefficients(&self, numbers: &[&str], categories: &[(&str, &[String])]) -> Vec<(String, f64)> {
        match self {
            Self::Linear(linear) => linear.coefficients(numbers, categories),
            Self::Loglinear(lines) | Self::GaussianProcess { lines, .. } | Self::BoostedLines { lines, .. } => {
                lines.common(&lines.names(numbers, categories))
            }
            Self::ElasticNet(net) => net.named(numbers, categories),
            _ => Vec::new(),
        }
    }

    /// Settings that were learned, by name.
    pub(super) fn settings(&self, numbers: &[&str], categories: &[(&str, &[String])]) -> Vec<(String, f64)> {
        let named = |name: &str, value: f64| vec![(name.to_owned(), value)];
        match self {
            Self::Neighbours(neighbours) => named("neighbours", count(neighbours.k())),
            Self::Boosting(trees) | Self::BoostedLines { trees, .. } => named("trees", count(trees.len())),
            Self::ElasticNet(net) => named("penalty", net.penalty),
            Self::GaussianProcess { process, .. } => {
                process.settings(numbers.iter().copied().chain(categories.iter().map(|(name, _)| *name)))
            }
            _ => Vec::new(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}
