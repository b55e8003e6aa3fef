//! `paceline anomalies`: which rows of any table are strange.

use super::output::{Format, print, table as lines};
use super::table::{Ending, ResultTable, read, read_all};
use super::train::learning_table;
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::pure::detect::strange::{Detector, Params, Unjudged, Verdict, judge};
use crate::pure::learn::tabular::Table;
use std::path::{Path, PathBuf};

/// Scores every row: how strange it is, and why.
#[derive(Debug, Clone, clap::Args)]
pub struct AnomaliesArgs {
    /// The table: Parquet or CSV.
    input: PathBuf,
    /// Where the rows go: .parquet or .csv.
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// The columns to judge by: numbers, texts or truth values by their type. Default: all others.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    features: Vec<String>,
    /// The column that says which rows are of a kind; each kind is judged by itself.
    #[arg(long, value_name = "g")]
    group: Option<String>,
    /// The column that orders rows in time: each is then judged by the rows before it only.
    #[arg(long, value_name = "t")]
    time: Option<String>,
    /// Seed of the random draws.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// What judges.
    #[arg(long, value_enum, default_value_t)]
    detector: DetectorArg,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Detectors by the names that commands use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum DetectorArg {
    /// A forest and near neighbours; with --time, a stream
    #[default]
    Default,
    /// An isolation forest alone
    IsolationForest,
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] for columns that are missing or named twice, or a bad `--out`, [`Error::Input`] where nothing can be
/// read, [`Error::Disk`] when the rows can't be written.
pub async fn anomalies(args: &AnomaliesArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || judge_all(&args));
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

fn judge_all(args: &AnomaliesArgs) -> Result<u8> {
    Ending::of(&args.out)?;
    check(args)?;
    let input = input(args)?;
    let table = table(&input, args)?;
    let detector = match args.detector {
        DetectorArg::Default => Detector::Default,
        DetectorArg::IsolationForest => Detector::IsolationForest,
    };
    let (verdicts, unjudged) = judge(&table, &Params { detector, seed: args.seed });
    write(&args.out, &verdicts)?;
    tell(&input, &unjudged);
    print(&match args.format {
        Format::Json => json(&verdicts, &unjudged)?,
        Format::Table => summary(&verdicts),
    })?;
    Ok(0)
}

fn check(args: &AnomaliesArgs) -> Result<()> {
    if args.time.is_some() && args.detector == DetectorArg::IsolationForest {
        return Err(Error::Usage(
            "--detector isolation-forest is blind to time: leave out --time, or take the default detector".to_owned(),
        ));
    }
    let others = [("--group", &args.group), ("--time", &args.time)];
    for (at, name) in args.features.iter().enumerate() {
        if args.features.iter().take(at).any(|other| other == name) {
            return Err(Error::Usage(format!("--features names {name:?} twice; name each column once")));
        }
        if let Some((option, _)) = others.iter().find(|(_, column)| column.as_ref() == Some(name)) {
            return Err(Error::Usage(format!("{name:?} is {option}, and can't be one of --features as well")));
        }
    }
    Ok(())
}

/// The table, with the wanted columns: all where none are named.
fn input(args: &AnomaliesArgs) -> Result<AnyTable> {
    if args.features.is_empty() {
        return read_all(&args.input);
    }
    let optional = [&args.group, &args.time].into_iter().flatten();
    let wanted: Vec<&str> = args.features.iter().chain(optional).map(String::as_str).collect();
    read(&args.input, &wanted)
}

fn table(input: &AnyTable, args: &AnomaliesArgs) -> Result<Table> {
    let is_other = |name: &&str| ![&args.group, &args.time].into_iter().flatten().any(|other| other == name);
    let names: Vec<&str> = match args.features.as_slice() {
        [] => input.names().filter(is_other).collect(),
        named => named.iter().map(String::as_str).collect(),
    };
    if names.is_empty() {
        return Err(Error::Usage(format!("{}: no column is left to judge by; name one in --features", input.source())));
    }
    learning_table(input, &names, args.group.as_deref(), args.time.as_deref())
}

fn write(out: &Path, verdicts: &[Verdict]) -> Result<()> {
    let flags: Vec<bool> = verdicts.iter().map(|verdict| verdict.is_anomaly).collect();
    let reasons = verdicts.iter().map(|verdict| verdict.is_anomaly.then(|| verdict.reasons.join("; ")));
    ResultTable::default()
        .integers("row", (0..).zip(verdicts).map(|(row, _)| Some(row)))
        .numbers("score", verdicts.iter().map(|verdict| verdict.score))
        .flags("is_anomaly", &flags)
        .texts("reasons", reasons)
        .write(out)
}

/// What could not be judged that is told one by one.
const MAX_TOLD: usize = 20;

fn tell(input: &AnyTable, unjudged: &[Unjudged]) {
    let source = input.source();
    for Unjudged { subject, reason } in unjudged.iter().take(MAX_TOLD) {
        tracing::warn!("{source}: {subject}: {reason}");
    }
    if let Some(more) = unjudged.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        tracing::warn!("{source}: {more} more can't be judged; --format json lists them");
    }
}

fn json(verdicts: &[Verdict], unjudged: &[Unjudged]) -> Result<String> {
    let skips: Vec<serde_json::Value> = unjudged
        .iter()
        .map(|Unjudged { subject, reason }| serde_json::json!({ "subject": subject, "reason": reason }))
        .collect();
    let summary = serde_json::json!({
        "rows": verdicts.len(),
        "judged": judged(verdicts),
        "anomalies": verdicts.iter().filter(|verdict| verdict.is_anomaly).count(),
        "skips": skips,
    });
    serde_json::to_string_pretty(&summary).map_err(|error| Error::Internal(format!("writing JSON: {error}")))
}

fn judged(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| !verdict.score.is_nan()).count()
}

/// Anomalies that are shown.
const MAX_SHOWN: usize = 10;

fn summary(verdicts: &[Verdict]) -> String {
    let mut anomalies: Vec<(usize, &Verdict)> = verdicts.iter().enumerate().filter(|(_, v)| v.is_anomaly).collect();
    anomalies.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
    let counts = format!("{} rows, {} judged, {} anomalies", verdicts.len(), judged(verdicts), anomalies.len());
    if anomalies.is_empty() {
        return counts;
    }
    let shown = anomalies.iter().take(MAX_SHOWN);
    let rows = shown.map(|(row, v)| vec![row.to_string(), format!("{:.3}", v.score), v.reasons.join("; ")]);
    format!("{counts}\n{}", lines(&["row", "score", "reasons"], rows))
}
