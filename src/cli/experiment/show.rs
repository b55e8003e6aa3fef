//! Verdicts as a file, as a table and as JSON.

use super::options::CompareArgs;
use super::{Columns, Verdict};
use crate::cli::output::{Format, table};
use crate::cli::table::ResultTable;
use crate::error::{Error, Result};
use crate::ingest::any::AnyTable;
use crate::pure::experiment::ExperimentRow;
use crate::pure::samples::UNKNOWN;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn write(out: &Path, verdicts: &[Verdict<'_>]) -> Result<()> {
    let rows = || verdicts.iter().flat_map(|verdict| verdict.rows.iter().map(move |row| (verdict.id, row)));
    let numbers = |table: ResultTable, name: &str, of: &dyn Fn(&ExperimentRow) -> Option<f64>| {
        table.numbers(name, rows().map(|(_, row)| of(row).unwrap_or(f64::NAN)))
    };
    let texts = |table: ResultTable, name: &str, of: &dyn Fn(&ExperimentRow) -> String| {
        table.texts(name, rows().map(|(_, row)| Some(of(row))))
    };
    let mut table = ResultTable::default();
    if verdicts.iter().any(|verdict| verdict.id.is_some()) {
        table = table.texts("experiment_id", rows().map(|(id, _)| id));
    }
    table = texts(table, "metric", &|row| row.metric.clone());
    table = texts(table, "arm", &|row| row.arm.clone());
    table = table.integers("n", rows().map(|(_, row)| i64::try_from(row.n).ok()));
    table = numbers(table, "estimate", &|row| Some(row.estimate));
    table = numbers(table, "effect", &|row| row.effect);
    table = numbers(table, "effect_lower", &|row| row.effect_lower);
    table = numbers(table, "effect_upper", &|row| row.effect_upper);
    table = numbers(table, "relative_effect", &|row| row.relative_effect);
    table = numbers(table, "relative_lower", &|row| row.relative_lower);
    table = numbers(table, "relative_upper", &|row| row.relative_upper);
    table = numbers(table, "level", &|row| Some(row.level.get()));
    table = numbers(table, "p_value", &|row| row.p_value);
    table = texts(table, "method", &|row| row.method.clone());
    table = numbers(table, "srm_p_value", &|row| Some(row.srm_p_value));
    table = texts(table, "decision", &|row| row.decision.clone());
    table = texts(table, "role", &|row| row.role.clone());
    table = texts(table, "stat", &|row| row.stat.clone());
    table = texts(table, "reason", &|row| row.reason.clone());
    table = numbers(table, "e_value", &|row| row.e_value);
    table = numbers(table, "srm_sequential_p_value", &|row| Some(row.srm_sequential_p_value));
    table = numbers(table, "probability_best", &|row| row.probability_best);
    table = numbers(table, "expected_loss", &|row| row.expected_loss);
    table = numbers(table, "detectable_effect", &|row| row.detectable_effect);
    table = numbers(table, "units_to_decision", &|row| row.units_to_decision);
    table = numbers(table, "days_to_decision", &|row| row.days_to_decision);
    table.write(out)
}

/// What is told on stderr of the table as a whole.
pub(super) fn tell(input: &AnyTable, args: &CompareArgs, columns: &Columns, verdicts: &[Verdict<'_>]) {
    let source = input.source();
    let without_arm = columns.variant.codes.iter().filter(|code| **code == UNKNOWN).count();
    if without_arm > 0 {
        tracing::warn!("{source}: {without_arm} rows have no {:?} and take no part", args.variant);
    }
    for (name, values) in args.covariate.iter().zip(&columns.covariates) {
        let unknown = values.iter().filter(|value| !value.is_finite()).count();
        if unknown > 0 {
            tracing::warn!("{source}: {unknown} rows have no {name:?}; its mean is taken for them");
        }
    }
    let mut told = 0;
    for verdict in verdicts {
        let name = verdict.id.map_or_else(String::new, |id| format!("{id}: "));
        let Some(first) = verdict.measured.first() else { continue };
        let of_missing = first.health.missing.values().map(|(missing, _)| missing).sum::<u64>();
        let remarks = [
            (of_missing > 0).then(|| format!("{of_missing} rows have no value and are left out")),
            first.omnibus_p_value.map(|p| format!("all arms alike: p = {p:.2e} (analysis of variance)")),
        ];
        for remark in remarks.into_iter().flatten() {
            told += 1;
            if told <= MAX_TOLD {
                tracing::warn!("{source}: {name}{remark}");
            }
        }
    }
    if told > MAX_TOLD {
        tracing::warn!("{source}: {} more such remarks", told - MAX_TOLD);
    }
}

const MAX_TOLD: usize = 20;
/// Experiments × metrics × arms that are shown on a terminal.
const MAX_SHOWN: usize = 60;

pub(super) fn text(format: Format, verdicts: &[Verdict<'_>]) -> Result<String> {
    match format {
        Format::Json => {
            let all: Vec<Value> = verdicts.iter().flat_map(as_json).collect();
            serde_json::to_string_pretty(&all).map_err(|error| Error::Internal(format!("verdicts as JSON: {error}")))
        }
        Format::Table => Ok(as_table(verdicts)),
    }
}

fn as_json<'a>(verdict: &'a Verdict<'_>) -> impl Iterator<Item = Value> + 'a {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    verdict.rows.iter().map(move |row| {
        let mut value = json!({
            "metric": row.metric, "arm": row.arm, "n": row.n, "estimate": finite(Some(row.estimate)),
            "effect": finite(row.effect), "effect_lower": finite(row.effect_lower),
            "effect_upper": finite(row.effect_upper), "relative_effect": finite(row.relative_effect),
            "relative_lower": finite(row.relative_lower), "relative_upper": finite(row.relative_upper),
            "level": row.level.get(), "p_value": finite(row.p_value), "method": row.method,
            "srm_p_value": finite(Some(row.srm_p_value)), "decision": row.decision, "role": row.role,
            "stat": row.stat, "reason": row.reason, "e_value": finite(row.e_value),
            "srm_sequential_p_value": finite(Some(row.srm_sequential_p_value)),
            "probability_best": finite(row.probability_best), "expected_loss": finite(row.expected_loss),
            "detectable_effect": finite(row.detectable_effect), "units_to_decision": finite(row.units_to_decision),
            "days_to_decision": finite(row.days_to_decision),
        });
        if let (Some(id), Some(fields)) = (verdict.id, value.as_object_mut()) {
            fields.insert("experiment_id".to_owned(), json!(id));
        }
        value
    })
}

fn as_table(verdicts: &[Verdict<'_>]) -> String {
    let has_ids = verdicts.iter().any(|verdict| verdict.id.is_some());
    let rows: Vec<(Option<&str>, &ExperimentRow)> =
        verdicts.iter().flat_map(|verdict| verdict.rows.iter().map(move |row| (verdict.id, row))).collect();
    let mut header = vec!["metric", "arm", "n", "estimate", "effect", "interval", "p", "decision", "why"];
    if has_ids {
        header.insert(0, "experiment");
    }
    let line = |(id, row): &(Option<&str>, &ExperimentRow)| {
        let mut cells = vec![
            row.metric.clone(),
            row.arm.clone(),
            row.n.to_string(),
            significant(row.estimate),
            effect(row),
            interval(row),
            row.p_value.map_or_else(String::new, |p| format!("{p:.2e}")),
            if row.effect.is_some() || row.decision == "invalid" { row.decision.clone() } else { String::new() },
            row.reason.clone(),
        ];
        if has_ids {
            cells.insert(0, id.unwrap_or_default().to_owned());
        }
        cells
    };
    let shown = table(&header, rows.iter().take(MAX_SHOWN).map(line));
    match rows.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown}\n… and {more} more"),
        None => shown,
    }
}

fn effect(row: &ExperimentRow) -> String {
    match (row.relative_effect, row.effect) {
        (Some(relative), _) => format!("{:+.2} %", 100.0 * relative),
        (None, Some(effect)) => significant(effect),
        (None, None) => String::new(),
    }
}

fn interval(row: &ExperimentRow) -> String {
    match (row.relative_lower.zip(row.relative_upper), row.effect_lower.zip(row.effect_upper)) {
        (Some((lower, upper)), _) => format!("{:+.2} to {:+.2} %", 100.0 * lower, 100.0 * upper),
        (None, Some((lower, upper))) => format!("{} to {}", significant(lower), significant(upper)),
        (None, None) => String::new(),
    }
}

/// A number to five digits or so.
fn significant(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        String::new()
    } else if size >= 1e5 || (size > 0.0 && size < 1e-3) {
        format!("{value:.4e}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}
