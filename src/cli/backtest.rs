//! `paceline backtest`: every row predicted from what was known before it, then learned from.

use super::allocation::{self, AllocationArgs, allocate};
use super::output::{Format, print, table};
use super::table::{Ending, ResultTable, check_features, read};
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::jobs::progress::Progress;
use crate::pure::columns::{Clock, Column, Instants, Words};
use crate::pure::learn::allocation::{Allocated, Allocation};
use crate::pure::learn::online::{
    Answers, Executions, OnlineParams, Order, Score, Scored, predict_online, rivals, scores,
};
use crate::pure::samples::UNKNOWN;
use crate::pure::units::Level;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Groups that the table for people shows: the largest.
const SHOWN_GROUPS: usize = 30;

/// Predict each row from the rows that ended before it, then learn from it; tell how good that was.
#[derive(Debug, Clone, clap::Args)]
pub struct BacktestArgs {
    /// Executions, one a row (Parquet or CSV).
    input: PathBuf,
    /// Where the answers go: .parquet or .csv, one row per row of the input and level.
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// The column to predict.
    #[arg(long, value_name = "COLUMN")]
    target: String,
    /// Columns known before the start, numbers or words; a size comes first.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    features: Vec<String>,
    /// The column that tells apart what is learned apart, a step for example; without it all rows are one group.
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// When each row started: dates with times, or numbers.
    #[arg(long, value_name = "COLUMN")]
    start: String,
    /// When it ended, in the same unit; a row without end is predicted, but not learned from.
    #[arg(long, value_name = "COLUMN")]
    end: String,
    /// What is known of a row: what ended before it started, or (as papers do) before it ended.
    #[arg(long, value_enum, default_value_t)]
    order: OrderArg,
    /// Coverage of the intervals, between 0 and 1; several with commas.
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "0.9", value_parser = parse_level)]
    level: Vec<Level>,
    /// Share of the rows, earliest first, that is not scored: everything has to start somewhere.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_share)]
    burn_in: f64,
    /// What is answered: the expected value with its interval, or also the request that wastes least.
    #[arg(long, value_enum, default_value_t)]
    objective: Objective,
    #[command(flatten)]
    allocation: AllocationArgs,
    /// How the scores are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `--objective`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Objective {
    #[default]
    Point,
    Allocation,
}

/// `--order`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum OrderArg {
    #[default]
    Start,
    Completion,
}

impl From<OrderArg> for Order {
    fn from(order: OrderArg) -> Self {
        match order {
            OrderArg::Start => Self::Start,
            OrderArg::Completion => Self::Completion,
        }
    }
}

fn parse_level(text: &str) -> std::result::Result<Level, String> {
    let number = text.trim().parse::<f64>().map_err(|_no_number| format!("{text:?} is no number; write 0.9"))?;
    Level::new(number).map_err(|error| error.to_string())
}

fn parse_share(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|share| (0.0..1.0).contains(share));
    number.ok_or_else(|| format!("a share lies between 0 and 1 (1 would score nothing), found {text:?}; write 0.2"))
}

/// Predicts, writes and scores.
///
/// # Errors
/// [`Error::Usage`] for columns that are missing, unfit or leak; [`Error::Input`] when the file can't be read;
/// [`Error::Disk`] when the answers can't be written.
pub async fn backtest(args: &BacktestArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || predict_and_score(&args));
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

fn predict_and_score(args: &BacktestArgs) -> Result<u8> {
    Ending::of(&args.out)?;
    check_features(&args.features, &args.target)?;
    if args.features.contains(&args.end) {
        return Err(Error::Usage(format!(
            "--features: {} can't be a feature: it is when the execution ended, which isn't known before it starts; \
             leave it out",
            args.end
        )));
    }
    if let Some(option) = args.allocation.given().filter(|_| args.objective == Objective::Point) {
        return Err(Error::Usage(format!("{option} acts with --objective allocation only; add that or leave it out")));
    }
    args.allocation.params()?;
    let mut wanted: Vec<&str> = args.features.iter().map(String::as_str).collect();
    wanted.extend([args.target.as_str(), args.start.as_str(), args.end.as_str()]);
    wanted.extend(args.group.as_deref().into_iter().chain(args.allocation.column()));
    let input = read(&args.input, &wanted)?;
    let (data, groups, time) = executions(args, &input)?;
    let progress = Progress::of("backtest", data.len());
    let order = args.order.into();
    let params = OnlineParams { order, levels: args.level.clone() };
    let answers = predict_online(&data, &params, |n| progress.advance(n));
    let allocated = match args.objective {
        Objective::Point => None,
        Objective::Allocation => Some(allocate(&args.allocation, &input, &data, time.ticks_per_hour, order)?),
    };
    write(args, &answers, allocated.as_ref())?;
    let rivals = rivals(&data, order, &answers.levels);
    let scored = Scored::new(&data, &answers, args.burn_in);
    let scores = scores(&data, &answers, &rivals, &scored);
    let wastes = allocated.map(|allocated| allocated.scores(&data, &scored.rows));
    let unit = format!("{} × {}", args.target, time.name);
    print(&match args.format {
        Format::Table => {
            let waste = wastes.map(|wastes| allocation::for_people(&wastes, &groups, SHOWN_GROUPS, &unit));
            let mut text = for_people(&scores, &scored, &groups);
            text.extend(waste.map(|waste| format!("\n\n{waste}")));
            text
        }
        Format::Json => {
            let mut value = for_programs(&scores, &scored, &groups);
            if let (Some(wastes), Value::Object(fields)) = (wastes, &mut value) {
                fields.insert("allocation".to_owned(), allocation::for_programs(&wastes, &groups, &unit));
            }
            value.to_string()
        }
    })?;
    Ok(0)
}

/// What a unit of start and end is: hours of dates, else the unit of the numbers.
#[derive(Debug, Clone, Copy)]
struct TimeUnit {
    ticks_per_hour: f64,
    name: &'static str,
}

/// The columns of the engine, the words of the groups, and the unit of time.
fn executions(args: &BacktestArgs, input: &AnyTable) -> Result<(Executions, Words, TimeUnit)> {
    let groups = match &args.group {
        Some(group) => input.words(group)?,
        None => Words { codes: vec![0; input.height()], words: vec!["all".to_owned()] },
    };
    let target = input.numbers(&args.target)?;
    let (start, end, time) = spans(args, input)?;
    let mut data = Executions { group: groups.codes.clone(), target, start, end, ..Executions::default() };
    for feature in &args.features {
        match input.column(feature)? {
            Column::Numbers(numbers) => data.numeric.push(numbers),
            Column::Words(words) => data.categorical.push(words.codes),
        }
    }
    Ok((data, groups, time))
}

/// Starts and ends in one unit. Every row needs a start; an end may be missing, but not lie before the start.
fn spans(args: &BacktestArgs, input: &AnyTable) -> Result<(Vec<i64>, Vec<Option<i64>>, TimeUnit)> {
    let (starts, ends) = (input.instants(&args.start)?, input.instants(&args.end)?);
    let time = match (starts.clock, ends.clock) {
        (Clock::Time { .. }, _) => TimeUnit { ticks_per_hour: 3.6e9, name: "h" },
        (Clock::Integer, Clock::Integer) => TimeUnit { ticks_per_hour: 1.0, name: "unit of time" },
        _ => TimeUnit { ticks_per_hour: 1e6, name: "unit of time" },
    };
    let (starts, ends) = one_unit(args, input, starts, ends)?;
    let told = |row: usize, what: String| Error::Usage(format!("{}: row {row}: {what}", input.source()));
    let mut known = Vec::with_capacity(starts.len());
    for (row, (start, end)) in starts.into_iter().zip(&ends).enumerate() {
        let Some(start) = start else {
            let what =
                format!("column {:?} is empty; a row is placed by its start, so leave such rows out", args.start);
            return Err(told(row, what));
        };
        if end.is_some_and(|end| end < start) {
            let what = format!("column {:?} lies before column {:?}; leave such rows out", args.end, args.start);
            return Err(told(row, what));
        }
        known.push(start);
    }
    Ok((known, ends, time))
}

type Times = Vec<Option<i64>>;

fn one_unit(args: &BacktestArgs, input: &AnyTable, starts: Instants, ends: Instants) -> Result<(Times, Times)> {
    let millionths =
        |times: Times| -> Times { times.into_iter().map(|t| t.map(|t| t.saturating_mul(1_000_000))).collect() };
    let nothing = |times: &Times| times.iter().all(Option::is_none);
    match (starts.clock, ends.clock) {
        (Clock::Integer, Clock::Fraction) => Ok((millionths(starts.values), ends.values)),
        (Clock::Fraction, Clock::Integer) => Ok((starts.values, millionths(ends.values))),
        (Clock::Time { .. }, Clock::Time { .. }) => Ok((starts.values, ends.values)),
        (a, b) if a == b || nothing(&starts.values) || nothing(&ends.values) => Ok((starts.values, ends.values)),
        _ => Err(Error::Usage(format!(
            "{}: columns {:?} and {:?}: one holds times, the other numbers; both must be times, or numbers of one unit",
            input.source(),
            args.start,
            args.end
        ))),
    }
}

fn write(args: &BacktestArgs, answers: &Answers, allocated: Option<&Allocated>) -> Result<()> {
    let n_levels = answers.levels.len();
    let each = |row: usize| std::iter::repeat_n(row, n_levels);
    let rows = || (0..answers.point.len()).flat_map(each);
    let number = |row: usize| i64::try_from(row).ok();
    let at = |column: &[f64], row: usize| column.get(row).copied().unwrap_or(f64::NAN);
    let speaker = |row: usize| answers.speaker.get(row).map(|speaker| speaker.as_str());
    let seen = |row: usize| answers.n_seen.get(row).map(|n_seen| i64::from(*n_seen));
    let levels = (0..answers.point.len()).flat_map(|_row| answers.levels.iter().map(|level| level.get()));
    let mut result = ResultTable::default()
        .integers("row", rows().map(number))
        .numbers("point", rows().map(|row| at(&answers.point, row)))
        .numbers("level", levels)
        .numbers("lower", answers.lower.iter().copied())
        .numbers("upper", answers.upper.iter().copied())
        .texts("model", rows().map(speaker))
        .integers("n_seen", rows().map(seen));
    if let Some(Allocated { allocations, .. }) = allocated {
        let each = |of: fn(&Allocation) -> f64| {
            rows().map(move |row| allocations.get(row).and_then(Option::as_ref).map_or(f64::NAN, of))
        };
        result = result
            .numbers("allocation", each(|allocation| allocation.request))
            .numbers("kill_probability", each(|allocation| allocation.kill_probability))
            .numbers("expected_waste", each(|allocation| allocation.expected_waste));
    }
    result.write(&args.out)
}

fn name<'a>(score: &Score, groups: &'a Words) -> &'a str {
    let word = |group: u32| match group {
        UNKNOWN => "(unknown)",
        group => usize::try_from(group).ok().and_then(|at| groups.words.get(at)).map_or("(unknown)", String::as_str),
    };
    score.group.map_or("*", word)
}

fn for_people(scores: &[Score], scored: &Scored, groups: &Words) -> String {
    let mut sizes: Vec<(u64, Option<u32>)> =
        scores.iter().filter(|s| s.group.is_some()).map(|s| (s.n, s.group)).collect();
    sizes.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    sizes.dedup();
    let mut shown: Vec<Option<u32>> = sizes.iter().map(|(_, group)| *group).collect();
    shown.dedup();
    let n_groups = shown.len();
    shown.truncate(SHOWN_GROUPS);
    let rows = scores.iter().filter(|score| score.group.is_none() || shown.contains(&score.group)).map(|score| {
        let Score { model, level, n, in20, mdape, wape, pinball, coverage, width, .. } = *score;
        let mut row = vec![name(score, groups).to_owned(), model.to_owned(), n.to_string()];
        row.extend([in20, mdape, wape].map(short));
        row.push(level.get().to_string());
        row.extend([coverage, width, pinball].map(short));
        row
    });
    let header = ["group", "model", "n", "in20", "mdape", "wape", "level", "coverage", "width", "pinball"];
    let Scored { rows: scored_rows, burn_in, unknown, unseen } = scored;
    let mut text = table(&header, rows);
    text.push_str(&format!(
        "\n\n{} rows are scored; not scored: {burn_in} of the burn-in, {unseen} of groups never seen, {unknown} without \
         outcome",
        scored_rows.len()
    ));
    if n_groups > shown.len() {
        text.push_str(&format!("\n{} smaller groups are not shown; --format json has all", n_groups - shown.len()));
    }
    text
}

fn short(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.4}") }
}

fn for_programs(scores: &[Score], scored: &Scored, groups: &Words) -> Value {
    let rows: Vec<Value> = scores
        .iter()
        .map(|score| {
            let Score { model, level, n, in20, mdape, wape, pinball, coverage, width, .. } = *score;
            json!({
                "group": name(score, groups), "model": model, "n": n, "in20": in20, "mdape": mdape, "wape": wape,
                "level": level.get(), "coverage": coverage, "width": width, "pinball": pinball,
            })
        })
        .collect();
    let Scored { rows: scored_rows, burn_in, unknown, unseen } = scored;
    json!({
        "n_scored": scored_rows.len(), "n_burn_in": burn_in, "n_unseen": unseen, "n_unknown": unknown, "scores": rows,
    })
}
