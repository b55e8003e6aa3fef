//! `paceline experiment`: arms of any table compared, and units assigned to arms.

mod assign;
mod options;
mod plan;
mod show;

use super::output::print;
use super::table::{Ending, read};
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::pure::columns::{Clock, Instants, Words};
use crate::pure::experiment::measure::{Measured, RowStat, Rows, measure};
use crate::pure::experiment::{DecisionParams, ExperimentRow, Role, Trial, Tuning, control_of, judge_trials};
use crate::pure::samples::UNKNOWN;
use crate::pure::units::DAY_US;
use options::{CompareArgs, Metric, is_share};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::collections::BTreeSet;

/// Compare the arms of experiments, or say which arm a unit belongs to.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ExperimentArgs {
    #[command(subcommand)]
    command: Option<ExperimentCommand>,
    #[command(flatten)]
    compare: Option<CompareArgs>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum ExperimentCommand {
    /// Say which arm units belong to, by a rule that anybody can follow.
    Assign(assign::AssignArgs),
    /// Say before the start how many units an experiment needs, from what was measured so far.
    Plan(plan::PlanArgs),
}

/// Arms beyond which a column names no arms.
const MOST_ARMS: usize = 1_000;

/// Runs the command; says the exit code.
///
/// # Errors
/// [`Error::Usage`] for options that contradict each other and columns that are missing or hold something else,
/// [`Error::Input`] where nothing can be read, [`Error::Disk`] when the rows can't be written.
pub async fn experiment(args: &ExperimentArgs) -> Result<u8> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || match (args.command, args.compare) {
        (Some(ExperimentCommand::Assign(args)), _) => assign::assign(&args),
        (Some(ExperimentCommand::Plan(args)), _) => plan::plan(&args),
        (None, Some(args)) => compare(&args),
        (None, None) => Err(Error::Usage("experiment: name a table, or `assign` or `plan`".to_owned())),
    });
    work.await.map_err(|e| Error::Internal(format!("a worker stopped: {e}")))?
}

/// The columns that are asked for.
struct Columns {
    variant: Words,
    ids: Option<Words>,
    unit: Option<Words>,
    strata: Option<Words>,
    time: Option<Instants>,
    covariates: Vec<Vec<f64>>,
    /// Outcome and denominator of each metric.
    outcomes: Vec<(Vec<f64>, Option<Vec<f64>>)>,
}

/// The code of an experiment, if the table names them, and its rows.
type Group = (Option<u32>, Vec<usize>);

/// The verdicts on one experiment.
struct Verdict<'a> {
    id: Option<&'a str>,
    rows: Vec<ExperimentRow>,
    measured: Vec<Measured>,
}

fn compare(args: &CompareArgs) -> Result<u8> {
    Ending::of(&args.out)?;
    args.check()?;
    let metrics = args.metrics()?;
    let input = read(&args.input, &args.columns(&metrics))?;
    let columns = columns(&input, args, &metrics)?;
    let groups = groups(&columns, input.height());
    check_arms(args, &columns, &groups)?;
    let measured: Vec<Vec<(Trial, Measured)>> =
        groups.par_iter().map(|(id, chosen)| measured(args, &metrics, &columns, *id, chosen)).collect();
    let trials: Vec<Trial> = measured.iter().flatten().map(|(trial, _)| trial.clone()).collect();
    let params = DecisionParams {
        level: args.level(),
        tuning: args.tuned_for.map_or(Tuning::AnySize, Tuning::Units),
        prior: args.prior(),
        ..DecisionParams::of(args.method())
    };
    let mut judged = judge_trials(&trials, &params).into_iter();
    let verdict = |((id, _), measured): (&Group, Vec<(Trial, Measured)>)| Verdict {
        id: id.and_then(|id| word(columns.ids.as_ref()?, id)),
        rows: judged.by_ref().take(measured.len()).flatten().collect(),
        measured: measured.into_iter().map(|(_, measured)| measured).collect(),
    };
    let verdicts: Vec<Verdict<'_>> = groups.iter().zip(measured).map(verdict).collect();
    show::write(&args.out, &verdicts)?;
    show::tell(&input, args, &columns, &verdicts);
    print(&show::text(args.format, &verdicts)?)?;
    Ok(0)
}

fn word(words: &Words, code: u32) -> Option<&str> {
    words.words.get(usize::try_from(code).ok()?).map(String::as_str)
}

fn columns(input: &AnyTable, args: &CompareArgs, metrics: &[Metric]) -> Result<Columns> {
    let words = |name: &Option<String>| name.as_deref().map(|name| input.words(name)).transpose();
    let outcome = |metric: &Metric| {
        let denominator = metric.denominator.as_deref().map(|name| input.numbers(name)).transpose()?;
        Ok((input.numbers(&metric.column)?, denominator))
    };
    Ok(Columns {
        variant: input.words(&args.variant)?,
        ids: words(&args.id)?,
        unit: words(&args.unit)?,
        strata: words(&args.strata)?,
        time: args.time.as_deref().map(|name| input.instants(name)).transpose()?,
        covariates: args.covariate.iter().map(|name| input.numbers(name)).collect::<Result<_>>()?,
        outcomes: metrics.iter().map(outcome).collect::<Result<_>>()?,
    })
}

/// Rows by experiment, in the order of their names; rows without one take no part.
fn groups(columns: &Columns, height: usize) -> Vec<Group> {
    let Some(ids) = &columns.ids else { return vec![(None, (0..height).collect())] };
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); ids.words.len()];
    for (row, code) in ids.codes.iter().enumerate().filter(|(_, code)| **code != UNKNOWN) {
        if let Some(group) = usize::try_from(*code).ok().and_then(|code| groups.get_mut(code)) {
            group.push(row);
        }
    }
    (0..).zip(groups).map(|(id, rows)| (Some(id), rows)).collect()
}

fn arms_of<'a>(columns: &'a Columns, chosen: &[usize]) -> BTreeSet<&'a str> {
    let codes: BTreeSet<u32> = chosen.iter().filter_map(|row| columns.variant.codes.get(*row).copied()).collect();
    codes.into_iter().filter_map(|code| word(&columns.variant, code)).collect()
}

fn check_arms(args: &CompareArgs, columns: &Columns, groups: &[Group]) -> Result<()> {
    let most = groups.iter().map(|(_, chosen)| arms_of(columns, chosen).len()).max().unwrap_or(0);
    if most > MOST_ARMS {
        return Err(Error::Usage(format!(
            "--variant {:?} has {most} values in one experiment; more than {MOST_ARMS} arms can't be told apart: name the \
             column that holds the arm",
            args.variant
        )));
    }
    let known = &columns.variant.words;
    if known.is_empty() {
        return Err(Error::Usage(format!("--variant {:?} holds no value: no row has an arm", args.variant)));
    }
    let mut named = args.control.iter().chain(args.shares.iter().map(|(arm, _)| arm));
    if let Some(arm) = named.find(|arm| known.binary_search(arm).is_err()) {
        return Err(Error::Usage(format!(
            "no row has the arm {arm:?}; --variant {:?} holds {}",
            args.variant,
            known.iter().take(10).map(|arm| format!("{arm:?}")).collect::<Vec<_>>().join(", ")
        )));
    }
    Ok(())
}

fn measured(
    args: &CompareArgs,
    metrics: &[Metric],
    columns: &Columns,
    id: Option<u32>,
    chosen: &[usize],
) -> Vec<(Trial, Measured)> {
    let arms = arms_of(columns, chosen);
    let control = args.control.as_deref().or_else(|| control_of(arms)).unwrap_or_default();
    let of_metric = |(metric, (outcome, denominator)): (&Metric, &(Vec<f64>, Option<Vec<f64>>))| {
        let rows = Rows {
            arm: &columns.variant.codes,
            names: &columns.variant.words,
            outcome,
            denominator: denominator.as_deref(),
            covariates: &columns.covariates,
            unit: columns.unit.as_ref().map(|unit| unit.codes.as_slice()),
            stratum: columns.strata.as_ref().map(|strata| strata.codes.as_slice()),
            time: columns.time.as_ref().map(|time| time.values.as_slice()),
        };
        // A guardrail of zeros and ones is a share, whatever is asked of the others.
        let is_guardrail = metric.margin.is_some();
        let share = || is_share(chosen.iter().filter_map(|row| outcome.get(*row).copied()));
        let stat = if is_guardrail && share() { RowStat::Proportion } else { metric.stat };
        let mut found = measure(&rows, chosen, control, stat);
        found.health.shares = args.shares.iter().cloned().collect();
        let is_time = columns.time.as_ref().is_some_and(|time| matches!(time.clock, Clock::Time { .. }));
        #[expect(clippy::cast_precision_loss, reason = "a day of microseconds is far below 2^53")]
        let a_day = found.units_per_step.filter(|_| is_time).map(|flow| flow * DAY_US as f64);
        let trial = Trial {
            id: id.map_or_else(String::new, |id| id.to_string()),
            metric: metric.name.clone(),
            stat: options::stat_name(stat),
            role: metric.margin.map_or(Role::Primary, Role::Guardrail),
            better: args.better(),
            control: control.to_owned(),
            arms: found.arms.clone(),
            health: found.health.clone(),
            unfit: found.unfit.clone(),
            min_effect: args.min_effect,
            finished: args.is_finished(),
            units_per_day: a_day,
            max_days: args.max_days,
        };
        (trial, found)
    };
    metrics.iter().zip(&columns.outcomes).map(of_metric).collect()
}
