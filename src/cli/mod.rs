//! The commands: what they accept, and which job they start. No decisions are taken here.

mod allocation;
pub mod anomalies;
pub mod backtest;
pub mod change_points;
pub mod changes;
pub mod decisions;
mod evidence;
pub mod experiment;
pub mod forecast;
pub mod ingest;
pub mod init;
pub mod ledger;
pub mod migrate;
pub mod model;
mod model_file;
pub mod output;
pub mod predict;
pub mod recommend;
pub mod replay;
pub mod report;
pub mod results;
pub mod run;
pub mod schedule;
pub mod series_table;
pub mod table;
mod target;
pub mod train;

use crate::error::Result;
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Batch analysis and forecasting of workflow performance.
#[derive(Debug, Parser)]
#[command(name = "paceline", version, max_term_width = 100)]
pub struct Cli {
    /// Say more on stderr: -v for each step, -vv for details.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Log lines as JSON, for log collectors.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented paceline.yaml, and a sample lake if asked.
    Init(init::InitArgs),
    /// Bring what other systems recorded into the lake.
    Ingest(ingest::IngestArgs),
    /// Analyse the lake as of one instant and publish the results.
    Run(run::RunArgs),
    /// Run the jobs of one or more configs when they are due, until stopped.
    Schedule(schedule::ScheduleArgs),
    /// Write the weekly report from published tables: one self-contained HTML file.
    Report(report::ReportArgs),
    /// Predict rows one after another from what was known before each; tell how good that was.
    Backtest(backtest::BacktestArgs),
    /// Find when the series of any Parquet or CSV changed their level.
    ChangePoints(change_points::ChangePointsArgs),
    /// Forecast the series of any Parquet or CSV, with intervals.
    Forecast(forecast::ForecastArgs),
    /// Show published recommendations, and record what became of them.
    Recommend(recommend::RecommendArgs),
    /// Show published change points; take one for the new normal, or take that back.
    Changes(changes::ChangesArgs),
    /// Say which rows of any Parquet or CSV are strange, and why.
    Anomalies(anomalies::AnomaliesArgs),
    /// Compare the arms of experiments in any Parquet or CSV; assign units to arms.
    Experiment(Box<experiment::ExperimentArgs>),
    /// Replay recorded runs: what a change of a step or of the slots would do to their makespan.
    Replay(replay::ReplayArgs),
    /// Learn to predict a column of any Parquet or CSV from others; writes a model.
    Train(train::TrainArgs),
    /// Predict the rows of any Parquet or CSV with a model.
    Predict(predict::PredictArgs),
    /// Show what a model is.
    Model(model::ModelArgs),
    /// Bring the Postgres schema up or down.
    Migrate(migrate::MigrateArgs),
    /// Show or verify the history of commits.
    Ledger(ledger::LedgerArgs),
}

impl Cli {
    /// Sends the log to stderr: sentences for people, JSON where asked. `RUST_LOG` overrules `-v`.
    pub fn set_up_log(&self) {
        let level = match self.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        };
        let own = EnvFilter::builder().with_default_directive(LevelFilter::ERROR.into());
        let filter = own
            .try_from_env()
            .ok()
            .filter(|_| std::env::var_os("RUST_LOG").is_some())
            .unwrap_or_else(|| EnvFilter::new(format!("error,paceline={level}")));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        if self.log_json {
            log.json().init();
        } else {
            log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
        }
    }
}

/// Runs the command; the number is the exit code of a command that finished.
///
/// # Errors
/// With the failure that ended it, which knows its exit code.
pub async fn run(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Init(args) => init::init(&args).await,
        Command::Ingest(args) => ingest::ingest(&args).await,
        Command::Run(args) => run::run(&args).await,
        Command::Schedule(args) => schedule::schedule(&args, run::scheduled, run::last_as_of).await,
        Command::Report(args) => report::report(&args).await,
        Command::Backtest(args) => backtest::backtest(&args).await,
        Command::ChangePoints(args) => change_points::change_points(&args).await,
        Command::Forecast(args) => forecast::forecast(&args).await,
        Command::Recommend(args) => recommend::recommend(&args).await,
        Command::Changes(args) => changes::changes(&args).await,
        Command::Anomalies(args) => anomalies::anomalies(&args).await,
        Command::Experiment(args) => experiment::experiment(&args).await,
        Command::Replay(args) => replay::replay(&args).await,
        Command::Train(args) => train::train(&args).await,
        Command::Predict(args) => predict::predict(&args).await,
        Command::Model(args) => model::model(&args).await,
        Command::Migrate(args) => migrate::migrate(&args).await,
        Command::Ledger(args) => ledger::ledger(&args).await,
    }
}
