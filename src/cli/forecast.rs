//! `paceline forecast`: what comes next in the series of any table.

use super::output::{Format, print, table};
use super::series_table::{DEFAULT_ID, DEFAULT_TIME, MAX_TOLD, SeriesTable, left_out, name, tell};
use super::table::{Ending, ResultTable};
use crate::error::{Error, Result};
use crate::jobs::progress::Progress;
use crate::pure::columns::{Clock, Instants};
use crate::pure::detect::sequences::Sequence;
use crate::pure::forecast::capacity::{capacity_levels, exhaustion, shortages};
use crate::pure::forecast::sequence::{SequenceForecast, SequenceParams, forecast_sequences};
use crate::pure::forecast::{CandidateScore, HorizonCoverage};
use crate::pure::units::Level;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Coverage of the interval of the step of exhaustion: the level of all intervals that nobody asks for otherwise.
const EXHAUSTION_LEVEL: Level = Level::DEFAULT;

/// Forecast what follows each series, with intervals; models are weighed by a backtest on the series itself.
#[derive(Debug, Clone, clap::Args)]
pub struct ForecastArgs {
    #[command(flatten)]
    table: SeriesTable,
    /// Where the forecasts go: .parquet or .csv, one row a series, step and level.
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// Steps to forecast.
    #[arg(long, value_name = "H")]
    horizon: usize,
    /// Coverage of the intervals, 0 to 1.
    #[arg(long, value_name = "L", value_delimiter = ',', default_values_t = [0.8, 0.95])]
    level: Vec<f64>,
    /// Lengths of the seasons in steps, 1 for none [default: found in each series, and tested].
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse_season)]
    season: Vec<usize>,
    /// Where the scores go: .parquet or .csv. The published forecast and its members on the backtest: weight, error and
    /// realised coverage, and the coverage by distance.
    #[arg(long, value_name = "F")]
    scores: Option<PathBuf>,
    /// What there is of the target: how likely is it that more is needed, and from when on?
    #[arg(long, value_name = "AMOUNT", requires = "plan")]
    capacity: Option<f64>,
    /// Where the probability of a shortage goes, by series and step: .parquet or .csv.
    #[arg(long, value_name = "F", requires = "capacity")]
    plan: Option<PathBuf>,
    /// What if there were so many times what is forecast? Points and intervals are multiplied.
    #[arg(long, value_name = "F", default_value_t = 1.0)]
    growth: f64,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn parse_season(text: &str) -> std::result::Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|n| *n >= 1);
    number.ok_or_else(|| format!("a season has 1 step or more, found {text:?}; write 7 for weeks of days"))
}

/// Forecasts, writes and prints.
///
/// # Errors
/// [`Error::Usage`] for columns that are missing or hold no numbers, or a level or horizon that can't be;
/// [`Error::Input`] when the file can't be read, [`Error::Disk`] when the forecasts can't be written.
pub async fn forecast(args: &ForecastArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || forecast_all(&args));
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

/// A series with what follows it.
struct Forecasted {
    series: Sequence,
    forecast: SequenceForecast,
}

fn forecast_all(args: &ForecastArgs) -> Result<u8> {
    Ending::of(&args.out)?;
    args.scores.as_deref().map(Ending::of).transpose()?;
    args.plan.as_deref().map(Ending::of).transpose()?;
    let params = params(args)?;
    let (series, clock) = args.table.series()?;
    let progress = Progress::of("passes over series", 2 * series.len());
    let found = forecast_sequences(&series, clock, &params, || progress.step());
    drop(progress);
    let mut remarks: Vec<String> = series.iter().flat_map(left_out).collect();
    let mut forecasted = Vec::with_capacity(found.len());
    for (series, forecast) in series.into_iter().zip(found) {
        match forecast {
            Ok(mut forecast) => {
                forecast.forecast.grow(args.growth);
                forecasted.push(Forecasted { series, forecast });
            }
            Err(why) => remarks.push(format!("series {}: skipped, {why}", name(&series))),
        }
    }
    tell(&remarks);
    write(args, &forecasted, clock)?;
    if let Some(out) = &args.scores {
        write_scores(out, &forecasted)?;
    }
    if let (Some(out), Some(capacity)) = (&args.plan, args.capacity) {
        write_plan(out, &forecasted, capacity, clock)?;
    }
    print(&match args.format {
        Format::Json => serde_json::to_string_pretty(&forecasted.iter().map(as_json).collect::<Vec<Value>>())
            .map_err(|e| Error::Internal(format!("forecasts as JSON: {e}")))?,
        Format::Table => as_table(&forecasted),
    })?;
    Ok(0)
}

fn params(args: &ForecastArgs) -> Result<SequenceParams> {
    let level = |&level: &f64| {
        Level::new(level).map_err(|error| Error::Usage(format!("--level {level}: {error}; write 0.95 for 95 %")))
    };
    let mut levels = args.level.iter().map(level).collect::<Result<Vec<Level>>>()?;
    if args.capacity.is_some_and(|capacity| !capacity.is_finite()) {
        return Err(Error::Usage("--capacity: name a finite amount, in the unit of the target".to_owned()));
    }
    if args.capacity.is_some() {
        levels.extend(capacity_levels());
    }
    if !(args.growth > 0.0 && args.growth.is_finite()) {
        let found = args.growth;
        return Err(Error::Usage(format!(
            "--growth {found}: a factor above 0 is expected; write 1.5 for half as much more"
        )));
    }
    if args.horizon == 0 {
        return Err(Error::Usage("--horizon 0: name the steps to forecast, 1 or more".to_owned()));
    }
    let seasons = (!args.season.is_empty()).then(|| args.season.clone());
    Ok(SequenceParams { horizon: args.horizon, levels, seasons })
}

fn write(args: &ForecastArgs, found: &[Forecasted], clock: Clock) -> Result<()> {
    let mut rows = Vec::new();
    for one in found {
        let steps = one.forecast.instants.iter().zip(&one.forecast.forecast.steps);
        for (step, (&at, ahead)) in (1_i64..).zip(steps) {
            let asked = ahead.intervals.iter().filter(|interval| args.level.contains(&interval.level.get()));
            rows.extend(asked.map(|interval| (one, step, at, ahead.point, interval)));
        }
    }
    let instants = Instants { values: rows.iter().map(|row| Some(row.2)).collect(), clock };
    ResultTable::default()
        .texts(DEFAULT_ID, rows.iter().map(|row| row.0.series.id.as_ref()))
        .instants(DEFAULT_TIME, &instants)
        .integers("step", rows.iter().map(|row| Some(row.1)))
        .texts("model", rows.iter().map(|row| Some(&row.0.forecast.forecast.model)))
        .numbers("point", rows.iter().map(|row| row.3))
        .numbers("level", rows.iter().map(|row| row.4.level.get()))
        .numbers("lower", rows.iter().map(|row| row.4.lower))
        .numbers("upper", rows.iter().map(|row| row.4.upper))
        .write(&args.out)
}

fn write_scores(out: &std::path::Path, found: &[Forecasted]) -> Result<()> {
    /// Series, model, weight, error, coverage, nearest and furthest step, held-out values.
    type Row<'a> = (&'a Forecasted, &'a str, f64, f64, f64, Option<usize>, Option<usize>, usize);
    let mut rows: Vec<Row<'_>> = Vec::new();
    for one in found {
        for CandidateScore { model, weight, mase, coverage, n } in &one.forecast.forecast.scores {
            rows.push((one, model, *weight, *mase, *coverage, None, None, *n));
        }
        let published = one.forecast.forecast.scores.first().map_or("", |score| &score.model);
        for HorizonCoverage { from, to, coverage, n } in &one.forecast.forecast.by_horizon {
            rows.push((one, published, f64::NAN, f64::NAN, *coverage, Some(*from), Some(*to), *n));
        }
    }
    let whole = |number: Option<usize>| number.and_then(|number| i64::try_from(number).ok());
    ResultTable::default()
        .texts(DEFAULT_ID, rows.iter().map(|row| row.0.series.id.as_ref()))
        .texts("model", rows.iter().map(|row| Some(row.1)))
        .numbers("weight", rows.iter().map(|row| row.2))
        .numbers("mase", rows.iter().map(|row| row.3))
        .numbers("coverage", rows.iter().map(|row| row.4))
        .integers("from_step", rows.iter().map(|row| whole(row.5)))
        .integers("to_step", rows.iter().map(|row| whole(row.6)))
        .integers("n", rows.iter().map(|row| whole(Some(row.7))))
        .write(out)
}

/// A row a series and step: how likely it is that more is needed, and the step at which that is as likely as not, with
/// its interval.
fn write_plan(out: &std::path::Path, found: &[Forecasted], capacity: f64, clock: Clock) -> Result<()> {
    let mut rows = Vec::new();
    for one in found {
        let SequenceForecast { forecast, instants, .. } = &one.forecast;
        let shortages = shortages(&forecast.steps, capacity);
        let when = exhaustion(&shortages, EXHAUSTION_LEVEL);
        rows.extend((1..).zip(instants.iter().zip(shortages)).map(|(step, (&at, p))| (one, step, at, p, when)));
    }
    let instants = Instants { values: rows.iter().map(|row| Some(row.2)).collect(), clock };
    let whole = |step: Option<usize>| step.and_then(|step| i64::try_from(step).ok());
    ResultTable::default()
        .texts(DEFAULT_ID, rows.iter().map(|row| row.0.series.id.as_ref()))
        .instants(DEFAULT_TIME, &instants)
        .integers("step", rows.iter().map(|row| Some(row.1)))
        .numbers("capacity", rows.iter().map(|_| capacity))
        .numbers("shortage_probability", rows.iter().map(|row| row.3))
        .integers("exhaustion_step", rows.iter().map(|row| whole(row.4.step)))
        .integers("exhaustion_lower", rows.iter().map(|row| whole(row.4.lower)))
        .integers("exhaustion_upper", rows.iter().map(|row| whole(row.4.upper)))
        .numbers("level", rows.iter().map(|_| EXHAUSTION_LEVEL.get()))
        .write(out)
}

fn as_json(one: &Forecasted) -> Value {
    let SequenceForecast { forecast, seasons, .. } = &one.forecast;
    json!({
        "unique_id": one.series.id, "model": forecast.model, "seasons": seasons,
        "scores": forecast.scores, "by_horizon": forecast.by_horizon,
    })
}

fn as_table(found: &[Forecasted]) -> String {
    if found.is_empty() {
        return "no forecasts".to_owned();
    }
    let row = |one: &Forecasted| {
        let SequenceForecast { forecast, seasons, .. } = &one.forecast;
        let seasons: Vec<String> = seasons.iter().map(usize::to_string).collect();
        let digits = |value: f64| if value.is_finite() { format!("{value:.3}") } else { "-".to_owned() };
        let score = forecast.scores.first();
        let [mase, coverage] =
            [score.map(|s| s.mase), score.map(|s| s.coverage)].map(|v| v.map_or_else(String::new, digits));
        vec![one.series.id.clone().unwrap_or_default(), seasons.join(","), forecast.model.clone(), mase, coverage]
    };
    let shown = table(&["unique_id", "seasons", "model", "mase", "coverage"], found.iter().take(MAX_TOLD).map(row));
    match found.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        Some(more) => format!("{shown}\n… and {more} more series"),
        None => shown,
    }
}
