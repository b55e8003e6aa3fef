//! What changed: change points of the last days, largest effect first, each with its series.

use super::{Capped, Part, Subject, Tone};
use crate::pure::series::Metric;
use crate::pure::units::DAY_US;
use crate::report::format;
use crate::report::history::{SeriesId, centres};
use crate::report::load::{CHANGE_DAYS, Published};
use crate::tables::published::ChangePointRow;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;

/// Days that are news.
const WEEK_DAYS: i64 = 7;
/// Changes shown of the last week.
const WEEK_CAP: usize = 10;
/// Changes shown of the weeks before it.
const MONTH_CAP: usize = 6;
/// Days that a sparkline shows.
const SPARK_DAYS: i64 = 60;

/// The news, and what came before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Of the last seven days.
    pub week: Capped<Change>,
    /// Of the weeks before them.
    pub month: Capped<Change>,
}

/// A change of what is normal.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What changed.
    pub subject: Subject,
    /// Whether it is good.
    pub tone: Tone,
    /// Normal before.
    pub before: String,
    /// Normal now.
    pub after: String,
    /// How much, relative to before.
    pub effect: String,
    /// The interval of the effect with its level; none where the effect is a plain difference.
    pub interval: Option<String>,
    /// Since when.
    pub since: String,
    /// `open`, or `accepted` as the new normal.
    pub state: String,
    /// The series round the change; none without daily rollups of it.
    pub chart: Option<Spark>,
}

/// A small line chart with a change marked.
#[derive(Debug, Clone, PartialEq)]
pub struct Spark {
    /// Start of each day in microseconds and its centre; NaN where nothing ran.
    pub points: Vec<(i64, f64)>,
    /// When the change was.
    pub changed_us: i64,
    /// Centre before.
    pub before: f64,
    /// Centre after.
    pub after: f64,
    /// The chart in a sentence.
    pub description: String,
}

/// Splits rows (largest effect first) into those of the last week and older ones, as far as they are shown.
fn shown(rows: &[ChangePointRow], as_of: DateTime<Utc>) -> (Vec<&ChangePointRow>, Vec<&ChangePointRow>) {
    let week_start = as_of.timestamp_micros().saturating_sub(WEEK_DAYS * DAY_US);
    rows.iter().partition(|row| row.changed_at.0 >= week_start)
}

/// The series of the changes that are shown: those whose history is needed.
#[must_use]
pub fn drawn_changes(rows: &[ChangePointRow], as_of: DateTime<Utc>) -> BTreeSet<SeriesId> {
    let (week, month) = shown(rows, as_of);
    let drawn = week.into_iter().take(WEEK_CAP).chain(month.into_iter().take(MONTH_CAP));
    drawn.filter_map(series_of).collect()
}

fn series_of(row: &ChangePointRow) -> Option<SeriesId> {
    let metric = row.metric.parse().ok()?;
    Some(SeriesId { workflow_id: row.workflow_id.clone(), step: row.step.clone(), metric })
}

pub(super) fn changes(published: &Published, zone: Tz) -> Part<Changes> {
    let Some(kept) = &published.change_points else { return Part::missing("change_points") };
    if kept.total == 0 {
        return Part::Nothing(format!("Nothing changed its normal in the last {CHANGE_DAYS} days."));
    }
    let (week, month) = shown(&kept.rows, published.as_of);
    // Rows that were not kept have the smallest effects; of which group they are is not known.
    let beyond = kept.total - kept.rows.len();
    let (in_week, in_month) = (week.len(), month.len() + beyond);
    let shape = |row| change(published, row, zone);
    Part::Shown(Changes {
        week: Capped::of(week, in_week, WEEK_CAP, shape),
        month: Capped::of(month, in_month, MONTH_CAP, shape),
    })
}

fn change(published: &Published, row: &ChangePointRow, zone: Tz) -> Change {
    let ChangePointRow {
        workflow_id,
        workflow_type: _,
        step,
        metric,
        unit,
        changed_at,
        before,
        after,
        effect_ratio,
        effect_lower,
        effect_upper,
        level,
        p_value: _, // it is in the table; the interval says more
        state,
    } = row;
    let known: Option<Metric> = metric.parse().ok();
    let has_ratio = effect_ratio.is_finite();
    let is_share = known.is_some_and(Metric::is_ratio);
    let (effect, interval) = if has_ratio {
        let interval = format!(
            "{} to {}, {} interval",
            format::change(*effect_lower),
            format::change(*effect_upper),
            format::level(*level)
        );
        (format::change(*effect_ratio), Some(interval))
    } else if is_share {
        (format::points(after - before), None)
    } else {
        (format!("by {}", format::value(after - before, unit)), None)
    };
    Change {
        subject: Subject::new(workflow_id, step.as_deref(), Some(metric)),
        tone: Tone::of(known, after - before),
        before: format::value(*before, unit),
        after: format::value(*after, unit),
        effect,
        interval,
        since: format::instant(changed_at.0, zone),
        state: format::words(state),
        chart: spark(published, row),
    }
}

fn spark(published: &Published, row: &ChangePointRow) -> Option<Spark> {
    let now = published.as_of.timestamp_micros();
    let complete = now.div_euclid(DAY_US).saturating_mul(DAY_US);
    let from = now.saturating_sub(SPARK_DAYS * DAY_US);
    let points = centres(published.history.as_ref()?, &series_of(row)?, from, complete);
    if points.len() < 2 {
        return None;
    }
    let ChangePointRow { unit, changed_at, before, after, .. } = row;
    let description = format!(
        "Daily values over {} days, from {} before {} to {} after it",
        points.len(),
        format::value(*before, unit),
        format::day(changed_at.0, Tz::UTC),
        format::value(*after, unit)
    );
    Some(Spark { points, changed_us: changed_at.0, before: *before, after: *after, description })
}
