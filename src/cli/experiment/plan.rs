//! `paceline experiment plan`: what an experiment needs, before it starts.

use super::options::{parse_level, parse_positive};
use crate::cli::output::{Format, print, table};
use crate::cli::table::read;
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::pure::columns::Clock;
use crate::pure::experiment::Tuning;
use crate::pure::experiment::moments::Moments;
use crate::pure::experiment::power::{POWER, detectable_with, plan as plan_of};
use crate::pure::units::{DAY_US, Level};
use serde_json::json;
use std::path::PathBuf;

/// From rows of the past: units of both arms that find an effect with a probability of 80 %, and the days they take.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlanArgs {
    /// What was measured so far, a row a run: Parquet or CSV.
    input: PathBuf,
    /// The column that will decide.
    #[arg(long, value_name = "m")]
    metric: String,
    /// Take logarithms, as --stat log-ratio does.
    #[arg(long)]
    log_ratio: bool,
    /// A column of numbers known before the start that will be taken out of the noise.
    #[arg(long, value_name = "c")]
    covariate: Option<String>,
    /// The smallest relative effect that matters: 0.02 is 2 %.
    #[arg(long, value_name = "SHARE", value_parser = parse_positive)]
    min_effect: f64,
    /// Share of the units that the treatment will get.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    share: f64,
    /// The column of times: tells how many units come a day.
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Most days that a decision is worth waiting for; an experiment that needs more is refused.
    #[arg(long, value_name = "DAYS", default_value_t = 365.0, value_parser = parse_positive)]
    max_days: f64,
    /// Coverage of the intervals, 0-1.
    #[arg(long, default_value = "0.95", value_parser = parse_level)]
    level: Level,
    /// How the plan is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Mean and standard deviation of a unit, and units a day.
struct Past {
    n: u64,
    mean: f64,
    sd: f64,
    per_day: Option<f64>,
}

/// Plans and prints.
///
/// # Errors
/// [`Error::Usage`] for columns that are missing or tell nothing, what reading says otherwise.
pub(super) fn plan(args: &PlanArgs) -> Result<u8> {
    if !(args.share > 0.0 && args.share < 1.0) {
        return Err(Error::Usage(format!("--share {}: expected a number between 0 and 1", args.share)));
    }
    if args.covariate.as_ref() == Some(&args.metric) {
        return Err(Error::Usage(format!("{:?} is the metric; a covariate is known before the start", args.metric)));
    }
    let wanted: Vec<&str> =
        args.covariate.iter().chain(args.time.iter()).map(String::as_str).chain([args.metric.as_str()]).collect();
    let past = past(&read(&args.input, &wanted)?, args)?;
    // On the scale of logarithms a unit of the mean is a relative effect.
    let (mean, effect) =
        if args.log_ratio { (1.0, args.min_effect.ln_1p()) } else { (past.mean.abs(), args.min_effect) };
    let needed = plan_of(mean, past.sd, effect, args.share, args.level, Tuning::AnySize);
    let seen = detectable_with(mean, past.sd, past.n, args.share, args.level, Tuning::AnySize);
    let (Some(needed), Some([fixed, sequential])) = (needed, seen) else {
        let found = format!("mean {}, standard deviation {}", past.mean, past.sd);
        return Err(Error::Usage(format!(
            "{:?} has {found}: no effect relative to it can be planned for",
            args.metric
        )));
    };
    let scaled = |effect: f64| if args.log_ratio { effect.exp_m1() } else { effect };
    let rows =
        [("fixed", needed.units_fixed, scaled(fixed)), ("sequential", needed.units_sequential, scaled(sequential))];
    let days = |units: f64| past.per_day.map(|flow| units / flow);
    let answer = |units: f64| match days(units) {
        Some(days) if days > args.max_days => "refused: out of reach",
        _ => "can be run",
    };
    print(&match args.format {
        Format::Json => {
            let row = |(method, units, detectable): &(&str, f64, f64)| {
                json!({ "method": method, "units": units, "days": days(*units), "power": POWER,
                    "min_effect": args.min_effect, "past_units": past.n, "detectable_by_as_many": detectable,
                    "answer": answer(*units) })
            };
            serde_json::to_string_pretty(&rows.iter().map(row).collect::<Vec<_>>())
                .map_err(|error| Error::Internal(format!("a plan as JSON: {error}")))?
        }
        Format::Table => {
            let row = |(method, units, detectable): &(&str, f64, f64)| {
                vec![
                    (*method).to_owned(),
                    format!("{units:.0}"),
                    days(*units).map_or_else(String::new, |days| format!("{days:.1}")),
                    format!("{:.2} %", 100.0 * detectable),
                    answer(*units).to_owned(),
                ]
            };
            let as_many = format!("found by {}", past.n);
            table(&["method", "units", "days", as_many.as_str(), "answer"], rows.iter().map(row))
        }
    })?;
    Ok(0)
}

#[expect(clippy::cast_precision_loss, reason = "counts and days are far below 2^53")]
fn past(input: &AnyTable, args: &PlanArgs) -> Result<Past> {
    let values = input.numbers(&args.metric)?;
    let known = args.covariate.as_deref().map(|name| input.numbers(name)).transpose()?;
    let mut moments = Moments::new(2);
    for (row, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let value = if args.log_ratio { value.ln() } else { *value };
        let x = known.as_ref().and_then(|known| known.get(row)).copied().filter(|x| x.is_finite()).unwrap_or(0.0);
        if !value.is_finite() {
            return Err(Error::Usage(format!("{:?}, row {row}: no logarithm; leave out --log-ratio", args.metric)));
        }
        moments.add(&[value, x]);
    }
    let explained = match moments.covariance(1, 1) {
        spread if spread > 0.0 => moments.covariance(0, 1).powi(2) / spread,
        _ => 0.0,
    };
    let per_day = match args.time.as_deref().map(|name| input.instants(name)).transpose()? {
        Some(times) if matches!(times.clock, Clock::Time { .. }) => {
            let seen = || times.values.iter().flatten();
            let span = seen().max().zip(seen().min()).map_or(0, |(last, first)| last - first);
            (span > 0).then(|| seen().count() as f64 * DAY_US as f64 / span as f64)
        }
        _ => None,
    };
    let sd = (moments.covariance(0, 0) - explained).max(0.0).sqrt();
    Ok(Past { n: moments.n(), mean: moments.mean(0), sd, per_day })
}
