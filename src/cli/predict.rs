//! `paceline predict`: rows of any table by a model.

use super::model_file::{self, Loaded};
use super::table::{Ending, ResultTable, read};
use super::train::seconds;
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::pure::columns::Column;
use crate::pure::learn::tabular::rows::{Feature, Kind};
use crate::pure::learn::tabular::{Expectation, Model, Table};
use crate::pure::units::Level;
use std::path::PathBuf;

/// Predicts every row: a point and an interval.
#[derive(Debug, Clone, clap::Args)]
pub struct PredictArgs {
    /// The table to predict: Parquet or CSV with the columns that the model was trained on, in any order.
    input: PathBuf,
    /// A model that `train` wrote.
    #[arg(long, value_name = "F")]
    model: PathBuf,
    /// Where the rows go: .parquet or .csv.
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// Share of outcomes that the intervals should hold, 0 to 1.
    #[arg(long, value_name = "L", default_value = "0.9", value_parser = parse_level)]
    level: Level,
}

/// A level of intervals as it is typed.
pub(super) fn parse_level(text: &str) -> std::result::Result<Level, String> {
    let number: f64 = text.parse().map_err(|_not_a_number| format!("{text:?} is no number; write 0.9 for 90 %"))?;
    Level::new(number).map_err(|error| error.to_string())
}

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] for missing columns or a bad `--out`, [`Error::Input`] for a table or model that can't be read,
/// [`Error::Disk`] when the rows can't be written.
pub async fn predict(args: &PredictArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || predict_all(&args));
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

fn predict_all(args: &PredictArgs) -> Result<u8> {
    Ending::of(&args.out)?;
    let Loaded { model, .. } = model_file::load(&args.model)?;
    let card = &model.card;
    let time = card.time.as_ref().filter(|_| model.needs_time());
    let optional = [card.group.as_ref(), time].into_iter().flatten();
    let wanted: Vec<&str> = card.features.iter().chain(optional).map(String::as_str).collect();
    let input = read(&args.input, &wanted)?;
    let table = table(&input, &model, time)?;
    let expected = model.predict(&table, args.level).map_err(|e| Error::Input(format!("{}: {e}", input.source())))?;
    write(args, &expected)?;
    Ok(0)
}

fn table(input: &AnyTable, model: &Model, time: Option<&String>) -> Result<Table> {
    let column = |feature: &Feature| {
        let values = match feature.kind {
            Kind::Number => Column::Numbers(input.numbers(&feature.name)?),
            Kind::Category(_) => Column::Words(input.words(&feature.name)?),
        };
        Ok((feature.name.clone(), values))
    };
    Ok(Table {
        n_rows: input.height(),
        features: model.features().map(column).collect::<Result<_>>()?,
        group: model.card.group.as_ref().map(|name| input.words(name)).transpose()?,
        seconds: time.map(|name| Ok::<_, Error>(seconds(&input.instants(name)?))).transpose()?,
        has_calendar: time.is_some(),
    })
}

fn write(args: &PredictArgs, expected: &[Expectation]) -> Result<()> {
    let level = args.level.get();
    ResultTable::default()
        .integers("row", (0..).zip(expected).map(|(row, _)| Some(row)))
        .numbers("point", expected.iter().map(|e| e.point))
        .numbers("level", expected.iter().map(|_| level))
        .numbers("lower", expected.iter().map(|e| e.lower))
        .numbers("upper", expected.iter().map(|e| e.upper))
        .write(&args.out)
}
