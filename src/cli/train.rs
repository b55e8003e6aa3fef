//! `paceline train`: learn to predict a column of any table.

use super::model_file;
use super::output::{Format, print, table};
use super::table::{check_features, read};
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::pure::columns::{Clock, Instants};
use crate::pure::learn::tabular::card::Score;
use crate::pure::learn::tabular::{Choice, Learner, Model, Table, TrainError, TrainParams, train as learn};
use std::path::PathBuf;

/// Learns a target from features, compares learners on held-out rows, and writes the model.
#[derive(Debug, Clone, clap::Args)]
pub struct TrainArgs {
    /// The table to learn from: Parquet or CSV.
    input: PathBuf,
    /// Where the model goes.
    #[arg(long, value_name = "F")]
    model: PathBuf,
    /// The column to predict.
    #[arg(long, value_name = "y")]
    target: String,
    /// The columns to predict it from, known before the start: numbers, texts or truth values by their type.
    #[arg(long, value_name = "a,b", value_delimiter = ',', required = true)]
    features: Vec<String>,
    /// The column that says which rows are of a kind (step, task, job).
    #[arg(long, value_name = "g")]
    group: Option<String>,
    /// The column that orders rows in time: learners are then compared on later rows, and hours and weekdays count.
    #[arg(long, value_name = "t")]
    time: Option<String>,
    /// What learns; auto takes whatever errs least on held-out rows.
    #[arg(long, value_enum, default_value_t = LearnerArg::Auto)]
    learner: LearnerArg,
    /// For --learner ols: planes through the origin.
    #[arg(long)]
    no_intercept: bool,
    /// Seed of the random draws.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// How the scores are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Learners by the names that commands use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LearnerArg {
    /// Whatever errs least, blended where that errs less
    Auto,
    /// The median of the group
    Median,
    /// The median of the same configuration where it came over and over, else of the group
    Repeats,
    /// Lines through sizes, times factors of categories
    Linear,
    /// Powers of sizes, times factors of categories
    Loglinear,
    /// Alike rows of the group
    Neighbours,
    /// A smooth surface over few configurations
    GaussianProcess,
    /// Trees, each on what those before left over
    Boosting,
    /// Trees on what log-linear lines left over
    BoostedLines,
    /// Trees side by side
    RandomForest,
    /// A penalised linear model
    ElasticNet,
    /// Ordinary least squares, with standard errors
    Ols,
}

impl TrainArgs {
    fn choice(&self) -> Result<Choice> {
        if self.no_intercept && self.learner != LearnerArg::Ols {
            return Err(Error::Usage(
                "--no-intercept is for --learner ols; leave it out for other learners".to_owned(),
            ));
        }
        Ok(Choice::Only(match self.learner {
            LearnerArg::Auto => return Ok(Choice::Auto),
            LearnerArg::Median => Learner::Median,
            LearnerArg::Repeats => Learner::Repeats,
            LearnerArg::Linear => Learner::Linear,
            LearnerArg::Loglinear => Learner::Loglinear,
            LearnerArg::Neighbours => Learner::Neighbours,
            LearnerArg::GaussianProcess => Learner::GaussianProcess,
            LearnerArg::Boosting => Learner::Boosting,
            LearnerArg::BoostedLines => Learner::BoostedLines,
            LearnerArg::RandomForest => Learner::RandomForest,
            LearnerArg::ElasticNet => Learner::ElasticNet,
            LearnerArg::Ols => Learner::Ols { intercept: !self.no_intercept },
        }))
    }
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] for columns that are missing or may not be used, [`Error::Input`] where nothing can be read or
/// learned, [`Error::Disk`] when the model can't be written.
pub async fn train(args: &TrainArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || train_all(&args));
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

fn train_all(args: &TrainArgs) -> Result<u8> {
    let choice = args.choice()?;
    check_features(&args.features, &args.target)?;
    let optional = [&args.group, &args.time].into_iter().flatten();
    let wanted: Vec<&str> = args.features.iter().chain([&args.target]).chain(optional).map(String::as_str).collect();
    let input = read(&args.input, &wanted)?;
    let y = input.numbers(&args.target)?;
    let table = learning_table(&input, &args.features, args.group.as_deref(), args.time.as_deref())?;
    let params = TrainParams {
        target: args.target.clone(),
        group: args.group.clone(),
        time: args.time.clone(),
        choice,
        seed: args.seed,
    };
    let model = learn(&table, &y, &params).map_err(|error| untrainable(&input, args, &error))?;
    let digest = model_file::save(&args.model, &model)?;
    tell_of_skips(&model);
    tracing::info!(model = %args.model.display(), digest, n_rows = model.card.n_rows, "model written");
    print(&match args.format {
        Format::Json => super::model::json(&model.card, &digest)?,
        Format::Table => scores(&model.card.scores),
    })?;
    Ok(0)
}

fn untrainable(input: &AnyTable, args: &TrainArgs, error: &TrainError) -> Error {
    let source = input.source();
    match error {
        TrainError::NoTarget { .. } => Error::Input(format!("{source}: column {:?}: {error}", args.target)),
        _ => Error::Input(format!("{source}: {error}")),
    }
}

/// The columns `features` of a table with its groups and its order in time.
pub(super) fn learning_table(
    input: &AnyTable,
    features: &[impl AsRef<str>],
    group: Option<&str>,
    time: Option<&str>,
) -> Result<Table> {
    let column = |name: &str| Ok((name.to_owned(), input.column(name)?));
    let features = features.iter().map(|name| column(name.as_ref())).collect::<Result<_>>()?;
    let mut table = Table { n_rows: input.height(), features, ..Table::default() };
    table.group = group.map(|name| input.words(name)).transpose()?;
    if let Some(name) = time {
        let instants = input.instants(name)?;
        table.has_calendar = matches!(instants.clock, Clock::Time { .. });
        table.seconds = Some(seconds(&instants));
    }
    Ok(table)
}

/// Seconds since the epoch, or the numbers that stand for them.
#[expect(clippy::cast_precision_loss, reason = "a double holds seconds of any year to the microsecond or nearly so")]
pub(super) fn seconds(instants: &Instants) -> Vec<f64> {
    let scale = if instants.clock == Clock::Integer { 1.0 } else { 1e-6 };
    instants.values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64 * scale)).collect()
}

/// Groups that are told of one by one.
const MAX_TOLD: usize = 20;

fn tell_of_skips(model: &Model) {
    for skip in model.card.skips.iter().take(MAX_TOLD) {
        tracing::warn!(group = skip.group, "{}", skip.reason);
    }
    if let Some(more) = model.card.skips.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        tracing::warn!("{more} more groups have too few rows; `paceline model show` lists them");
    }
}

/// Errors on held-out rows, for people.
pub(super) fn scores(scores: &[Score]) -> String {
    if scores.is_empty() {
        return "no scores: too few rows to hold any out".to_owned();
    }
    let digits = |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{value:.4}") };
    let row = |score: &Score| {
        let Score { situation, name, n, mae, mdape, mape, in20 } = score;
        let head = [situation.as_str().to_owned(), name.clone(), n.to_string()];
        head.into_iter().chain([*mdape, *mape, *in20].map(digits)).chain([format!("{mae:.5}")]).collect()
    };
    table(&["held out", "model", "n", "mdape", "mape", "in20", "mae"], scores.iter().map(row))
}
