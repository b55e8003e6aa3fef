//! The published rows that a recommendation cites, in a sentence each.

use super::results::Results;
use crate::error::Result;
use crate::report::format;
use crate::report::load::all;
use crate::report::read::Published;
use crate::tables::published::{BaselineRow, BottleneckRow, ChangePointRow, ComparisonRow};
use chrono::{DateTime, SecondsFormat};

/// What each of `cited` says, in their order; what no published row answers to (a series of `rollups`, which are by day) is
/// named only.
///
/// # Errors
/// [`crate::error::Error::Verification`] for a damaged file; the store's errors.
pub(super) async fn sentences(results: &Results, cited: &[String]) -> Result<Vec<String>> {
    let mut told: Vec<Option<String>> = vec![None; cited.len()];
    tell(results, cited, &mut told, |row| format!("bottlenecks:{}", row.bottleneck_id), bottleneck).await?;
    tell(
        results,
        cited,
        &mut told,
        |row| format!("baselines:{}", series(&row.workflow_id, row.step.as_deref(), &row.metric)),
        baseline,
    )
    .await?;
    tell(results, cited, &mut told, change_point_key, |row| change_point(row, results)).await?;
    tell(results, cited, &mut told, comparison_key, comparison).await?;
    let line = |(key, sentence): (&String, Option<String>)| match sentence {
        Some(sentence) => format!("{}: {sentence}", format::printable(key)),
        None => format::printable(key),
    };
    Ok(cited.iter().zip(told).map(line).collect())
}

/// Reads a table only where one of its rows is cited.
async fn tell<R: Published>(
    results: &Results,
    cited: &[String],
    told: &mut [Option<String>],
    key: impl Fn(&R) -> String,
    say: impl Fn(&R) -> String,
) -> Result<()> {
    let prefix = format!("{}:", R::SPEC.name);
    if !cited.iter().any(|cited| cited.starts_with(&prefix)) {
        return Ok(());
    }
    let is_cited = |row: &R| cited.contains(&key(row));
    for row in all(&results.store, results.as_of, is_cited).await?.unwrap_or_default() {
        let of_row = cited.iter().zip(&mut *told).filter(|(cited, _)| **cited == key(&row));
        of_row.for_each(|(_, sentence)| *sentence = Some(say(&row)));
    }
    Ok(())
}

/// As [`crate::pure::series::SeriesKey`] is written.
fn series(workflow_id: &str, step: Option<&str>, metric: &str) -> String {
    format!("{workflow_id}/{}/{metric}", step.unwrap_or_default())
}

fn change_point_key(row: &ChangePointRow) -> String {
    let ChangePointRow { workflow_id, step, metric, changed_at, .. } = row;
    let at = DateTime::from_timestamp_micros(changed_at.0).unwrap_or_default();
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("change_points:{}@{at}", series(workflow_id, step.as_deref(), metric))
}

fn comparison_key(row: &ComparisonRow) -> String {
    let ComparisonRow { workflow_type, dimension, a, b, metric, .. } = row;
    format!("comparisons:{workflow_type}/{dimension}/{a}/{b}/{metric}")
}

fn bottleneck(row: &BottleneckRow) -> String {
    format!("{}, {}", format::words(&row.severity), format::printable(&row.description))
}

fn baseline(row: &BaselineRow) -> String {
    let BaselineRow { value, value_lower, value_upper, level, unit, method, sample_size, .. } = row;
    format!(
        "{method} {} ({}, {} interval) of {} executions",
        format::value(*value, unit),
        format::range(*value_lower, *value_upper, unit),
        format::level(*level),
        format::count(*sample_size as f64),
    )
}

fn change_point(row: &ChangePointRow, results: &Results) -> String {
    let ChangePointRow { changed_at, before, after, unit, effect_ratio, effect_lower, effect_upper, .. } = row;
    format!(
        "since {} {} instead of {}: {} times ({} to {})",
        format::day(changed_at.0, results.config.timezone),
        format::value(*after, unit),
        format::value(*before, unit),
        format::significant(*effect_ratio, 3),
        format::significant(*effect_lower, 3),
        format::significant(*effect_upper, 3),
    )
}

fn comparison(row: &ComparisonRow) -> String {
    let ComparisonRow { a, b, ratio, ratio_lower, ratio_upper, level, n_a, n_b, .. } = row;
    format!(
        "{} is {} times {} ({} to {}, {} interval), {} and {} executions",
        format::name(b),
        format::significant(*ratio, 3),
        format::name(a),
        format::significant(*ratio_lower, 3),
        format::significant(*ratio_upper, 3),
        format::level(*level),
        format::count(*n_b as f64),
        format::count(*n_a as f64),
    )
}
