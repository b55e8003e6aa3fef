//! `backtest --objective allocation`: what should have been requested, and what that would have wasted.

use super::output::table;
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::jobs::progress::Progress;
use crate::pure::columns::Words;
use crate::pure::learn::allocation::{Allocated, AllocationScore, Params, Realised, allocate_online};
use crate::pure::learn::online::{Executions, Order};
use crate::pure::samples::UNKNOWN;
use serde_json::{Value, json};

/// What a request may be.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --objective allocation")]
pub(super) struct AllocationArgs {
    /// What was requested, in the unit of the target: where a group starts, and a rival.
    #[arg(long, value_name = "COLUMN")]
    request: Option<String>,
    /// Least request.
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    min: Option<f64>,
    /// Highest request.
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    max: Option<f64>,
    /// Probability with which a request may be exceeded (default 0.1).
    #[arg(long, value_name = "PROBABILITY", value_parser = parse_probability)]
    max_kill: Option<f64>,
}

fn parse_amount(text: &str) -> std::result::Result<f64, String> {
    let amount = text.parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount > 0.0);
    amount.ok_or_else(|| format!("a request is a positive number in the unit of the target, found {text:?}"))
}

fn parse_probability(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("a probability lies between 0 and 1, found {text:?}; write 0.1"))
}

impl AllocationArgs {
    /// The column that holds requests.
    pub(super) fn column(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// The first option that only acts with this objective, if one is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--request", self.request.is_some()),
            ("--min", self.min.is_some()),
            ("--max", self.max.is_some()),
            ("--max-kill", self.max_kill.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// # Errors
    /// [`Error::Usage`] when the bounds hold nothing.
    pub(super) fn params(&self) -> Result<Params> {
        let default = Params::default();
        let (least, most) = (self.min.unwrap_or(default.least), self.max.unwrap_or(default.most));
        if least > most {
            return Err(Error::Usage(format!("--min {least} lies above --max {most}; no request is between them")));
        }
        let max_kill_probability = self.max_kill.unwrap_or(default.max_kill_probability);
        Ok(Params { least, most, max_kill_probability, ..default })
    }
}

/// Requests for all rows.
///
/// # Errors
/// [`Error::Usage`] for bounds or a column that can't be.
pub(super) fn allocate(
    args: &AllocationArgs,
    input: &AnyTable,
    data: &Executions,
    ticks_per_hour: f64,
    order: Order,
) -> Result<Allocated> {
    let params = args.params()?;
    let requested = args.column().map(|column| input.numbers(column)).transpose()?.unwrap_or_default();
    let progress = Progress::of("allocation", data.len());
    Ok(allocate_online(data, &requested, ticks_per_hour, order, &params, |n| progress.advance(n)))
}

fn name<'a>(score: &AllocationScore, groups: &'a Words) -> &'a str {
    let word = |group: u32| match group {
        UNKNOWN => "(unknown)",
        group => usize::try_from(group).ok().and_then(|at| groups.words.get(at)).map_or("(unknown)", String::as_str),
    };
    score.group.map_or("*", word)
}

/// The scores, those of all rows first and the `n_groups` groups after them that use most.
pub(super) fn for_people(scores: &[AllocationScore], groups: &Words, n_groups: usize, unit: &str) -> String {
    let mut uses: Vec<(f64, u32)> = Vec::new();
    for score in scores {
        if let Some(group) = score.group.filter(|group| uses.last().is_none_or(|(_, last)| last != group)) {
            uses.push((score.realised.used, group));
        }
    }
    uses.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    uses.truncate(n_groups);
    let is_shown = |score: &&AllocationScore| score.group.is_none_or(|group| uses.iter().any(|(_, of)| *of == group));
    let rows = scores.iter().filter(is_shown).map(|score| {
        let Realised { n, waste, killed, used } = score.realised;
        let numbers = [n.to_string(), format!("{waste:.4}"), killed.to_string(), format!("{used:.4}")];
        [name(score, groups).to_owned(), score.model.to_owned()].into_iter().chain(numbers).collect()
    });
    let (waste, used) = (format!("waste ({unit})"), format!("used ({unit})"));
    table(&["group", "request", "n", &waste, "killed", &used], rows)
}

/// The scores as JSON; `unit` is that of time.
pub(super) fn for_programs(scores: &[AllocationScore], groups: &Words, unit: &str) -> Value {
    let row = |score: &AllocationScore| {
        let Realised { n, waste, killed, used } = score.realised;
        json!({
            "group": name(score, groups), "request": score.model, "n": n, "waste": waste, "killed": killed,
            "used": used, "unit": unit,
        })
    };
    scores.iter().map(row).collect()
}
