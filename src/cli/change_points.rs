//! `paceline change-points`: when the series of any table changed their level.

use super::output::{Format, print, table};
use super::series_table::{DEFAULT_ID, DEFAULT_TIME, SeriesTable, left_out, name, tell};
use super::table::{Ending, ResultTable};
use crate::error::{Error, Result};
use crate::pure::columns::{Clock, Instants};
use crate::pure::detect::change_points::{ChangePointParams, Shift, change_points_of_sequences};
use crate::pure::detect::sequences::Sequence;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Fewest points of a regime: benchmarks are few, and are repeated with care. (Days of a job, which may all hang on one
/// incident, need more.)
const MIN_SEGMENT: usize = 3;

/// Find when series changed their level; a false discovery rate holds over all of them.
#[derive(Debug, Clone, clap::Args)]
pub struct ChangePointsArgs {
    #[command(flatten)]
    table: SeriesTable,
    /// Where the change points go: .parquet or .csv, one a row.
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// Smallest change worth telling, relative to the level: 0.05 is 5 %.
    #[arg(long, value_name = "SHARE", default_value_t = ChangePointParams::default().min_effect, value_parser = parse_effect)]
    min_effect: f64,
    /// Fewest points between two changes, so that a spike is none.
    #[arg(long, value_name = "N", default_value_t = MIN_SEGMENT, value_parser = parse_segment)]
    min_segment: usize,
    /// Share of false ones among all change points that are told, over all series of the table.
    #[arg(long, value_name = "SHARE", default_value_t = ChangePointParams::default().fdr, value_parser = parse_rate)]
    fdr: f64,
    /// How the change points are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn parse_effect(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|effect| *effect >= 0.0 && effect.is_finite());
    number.ok_or_else(|| format!("an effect is a number from 0 on, found {text:?}; write 0.05 for 5 %"))
}

fn parse_segment(text: &str) -> std::result::Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|n| *n >= 2);
    number.ok_or_else(|| format!("a regime has 2 points or more, found {text:?}; write 5"))
}

fn parse_rate(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate < 1.0);
    number.ok_or_else(|| format!("a rate lies between 0 and 1, found {text:?}; write 0.05 for 5 %"))
}

/// Finds, writes and prints.
///
/// # Errors
/// [`Error::Usage`] for columns that are missing or hold no numbers, [`Error::Input`] when the file can't be read,
/// [`Error::Disk`] when the change points can't be written.
pub async fn change_points(args: &ChangePointsArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || find(&args));
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

/// A change point of a series.
struct Found<'a> {
    series: &'a Sequence,
    shift: Shift,
}

fn find(args: &ChangePointsArgs) -> Result<u8> {
    Ending::of(&args.out)?;
    let (series, clock) = args.table.series()?;
    let ChangePointsArgs { min_effect, min_segment, fdr, .. } = *args;
    let params = ChangePointParams { min_effect, min_segment, fdr, ..ChangePointParams::default() };
    tell_of_skips(&series, &params);
    let shifts = change_points_of_sequences(&series, clock, &params);
    let found: Vec<Found<'_>> = (series.iter().zip(shifts))
        .flat_map(|(series, shifts)| shifts.into_iter().map(move |shift| Found { series, shift }))
        .collect();
    write(args, &found, clock)?;
    print(&match args.format {
        Format::Json => {
            serde_json::to_string_pretty(&found.iter().map(|one| as_json(one, clock)).collect::<Vec<Value>>())
                .map_err(|e| Error::Internal(format!("change points as JSON: {e}")))?
        }
        Format::Table => as_table(&found, clock),
    })?;
    Ok(0)
}

/// What was not looked at, or not as it stands.
fn tell_of_skips(series: &[Sequence], params: &ChangePointParams) {
    let told: Vec<String> = series.iter().flat_map(|one| remarks(one, params.min_values())).collect();
    tell(&told);
}

fn remarks(series: &Sequence, needed: usize) -> Vec<String> {
    let Sequence { values, n_unknown, .. } = series;
    let name = name(series);
    let n = values.len() - n_unknown;
    let mut remarks = left_out(series);
    let mut known = values.iter().filter(|value| value.is_finite());
    if n < needed {
        remarks.push(format!("series {name}: skipped, {n} known values, {needed} needed"));
    } else if known.next().is_some_and(|first| known.all(|other| other.to_bits() == first.to_bits())) {
        remarks.push(format!("series {name}: skipped, its {n} known values are all equal"));
    }
    remarks
}

fn write(args: &ChangePointsArgs, found: &[Found<'_>], clock: Clock) -> Result<()> {
    let shifts = || found.iter().map(|one| one.shift);
    let instants = Instants { values: found.iter().map(instant).collect(), clock };
    ResultTable::default()
        .texts(DEFAULT_ID, found.iter().map(|one| one.series.id.as_ref()))
        .integers("index", shifts().map(|shift| i64::try_from(shift.index).ok()))
        .instants(DEFAULT_TIME, &instants)
        .numbers("before", shifts().map(|shift| shift.before))
        .numbers("after", shifts().map(|shift| shift.after))
        .numbers("effect_ratio", shifts().map(|shift| shift.effect_ratio))
        .numbers("effect_lower", shifts().map(|shift| shift.effect_lower))
        .numbers("effect_upper", shifts().map(|shift| shift.effect_upper))
        .numbers("p_value", shifts().map(|shift| shift.p_value))
        .write(&args.out)
}

fn instant(one: &Found<'_>) -> Option<i64> {
    one.series.instants.get(one.shift.index).copied()
}

/// As the table had it.
#[expect(clippy::cast_precision_loss, reason = "fractions came from doubles")]
fn shown(one: &Found<'_>, clock: Clock) -> Value {
    let Some(at) = instant(one) else { return Value::Null };
    match clock {
        Clock::Integer => json!(at),
        Clock::Fraction => json!(at as f64 / 1e6),
        Clock::Time { zoned } => DateTime::from_timestamp_micros(at).map_or(Value::Null, |time| {
            let text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            json!(if zoned { text.as_str() } else { text.trim_end_matches('Z') })
        }),
    }
}

fn as_json(one: &Found<'_>, clock: Clock) -> Value {
    let Shift { index, before, after, effect_ratio, effect_lower, effect_upper, p_value } = one.shift;
    json!({
        "unique_id": one.series.id, "index": index, "ds": shown(one, clock), "before": before, "after": after, "effect_ratio": effect_ratio,
        "effect_lower": effect_lower, "effect_upper": effect_upper, "p_value": p_value,
    })
}

fn as_table(found: &[Found<'_>], clock: Clock) -> String {
    if found.is_empty() {
        return "no change points".to_owned();
    }
    let digits = |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{value:.4}") };
    let row = |one: &Found<'_>| {
        let Shift { index, before, after, effect_ratio, effect_lower, effect_upper, p_value } = one.shift;
        let ds = match shown(one, clock) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let head = [one.series.id.clone().unwrap_or_default(), index.to_string(), ds];
        let numbers = [before, after, effect_ratio, effect_lower, effect_upper].map(digits);
        head.into_iter().chain(numbers).chain([format!("{p_value:.2e}")]).collect()
    };
    let header =
        ["unique_id", "index", "ds", "before", "after", "effect_ratio", "effect_lower", "effect_upper", "p_value"];
    table(&header, found.iter().map(row))
}
