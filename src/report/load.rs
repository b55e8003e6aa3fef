//! Reads the published tables of one as-of, keeping only what can be shown: a lake with 10,000 steps publishes
//! hundreds of thousands of rows, and a page shows a few hundred.

mod step_times;

use super::history::{History, SeriesId};
use super::order::{
    by_application, by_clarity, by_effect, by_impact, by_loss, by_rank, by_severity, by_spread, descending, is_alarm,
    is_open,
};
use super::read::{Published as Readable, for_each_row};
use super::rollups::{self, Wanted};
use super::view::{costs, drawn_changes, forecast_candidates};
use crate::error::{Error, Result};
use crate::io::Store;
use crate::publish::ledger::{State, as_of_folder};
use crate::pure::series::Metric;
use crate::pure::units::DAY_US;
use crate::tables::published::{
    AnomalyRow, BottleneckRow, CapacityPlanRow, ChangePointRow, ComparisonRow, DegradationRow, ExperimentResultRow,
    ForecastRow, Instant, ModelScoreRow, OutcomeRow, RecommendationRow, RejectRow, SkipRow, SpreadChangeRow, TrendRow,
};
use chrono::{DateTime, SecondsFormat, Utc};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
pub use step_times::WorkflowSteps;

/// Rows kept of a table whose best rows are shown; the page shows fewer.
const KEPT: usize = 200;
/// Days of history behind charts and headline numbers.
pub const HISTORY_DAYS: i64 = 90;
/// Change points older than this are history, not news.
pub const CHANGE_DAYS: i64 = 30;
/// Metrics of runs that headlines and forecast charts are made of.
pub const RUN_METRICS: [Metric; 4] = [Metric::ExecutionTime, Metric::Throughput, Metric::Cost, Metric::ErrorRate];
/// Buckets of history in front of a forecast on a grid finer than a day.
const FINE_BUCKETS: i64 = 14 * 24;

/// The published tables of one as-of, as far as they are shown. `None` is a table that was not published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The cutoff of everything here.
    pub as_of: DateTime<Utc>,
    /// Change points of the last [`CHANGE_DAYS`], largest effect first.
    pub change_points: Option<Kept<ChangePointRow>>,
    /// Changes of spread of the same days, largest effect first.
    pub spread_changes: Option<Kept<SpreadChangeRow>>,
    /// Open bottlenecks, largest impact first.
    pub bottlenecks: Option<Kept<BottleneckRow>>,
    /// Steps of the workflows whose runs can be replayed, those of the costliest workflow first.
    pub step_times: Option<Kept<WorkflowSteps>>,
    /// By rank.
    pub recommendations: Option<Kept<RecommendationRow>>,
    /// What applied ones did, latest first; none as long as nothing was applied.
    pub outcomes: Option<Vec<OutcomeRow>>,
    /// Most severe first.
    pub anomalies: Option<Kept<AnomalyRow>>,
    /// Largest loss first.
    pub degradations: Option<Kept<DegradationRow>>,
    /// Run-level forecasts of the most important series.
    pub forecasts: Option<Kept<ForecastRow>>,
    /// All.
    pub capacity_plan: Option<Vec<CapacityPlanRow>>,
    /// All.
    pub experiments: Option<Vec<ExperimentResultRow>>,
    /// What the looks before said of them, oldest first, each with its cutoff in microseconds.
    pub earlier_looks: Vec<(i64, Vec<ExperimentResultRow>)>,
    /// The clearest differences first.
    pub comparisons: Option<Kept<ComparisonRow>>,
    /// Run-level trends and the steps that degrade most.
    pub trends: Option<Trends>,
    /// Scores over all groups, those whose coverage is not what was promised, and those of forecasts.
    pub model_scores: Option<Vec<ModelScoreRow>>,
    /// What was not analysed.
    pub skips: Option<Tally>,
    /// What was not accepted.
    pub rejects: Option<Tally>,
    /// Daily rollups of the series that are drawn; `None` where no daily rollups are published.
    pub history: Option<History>,
    /// Rollups of forecast series on a grid finer than a day.
    pub fine_history: History,
}

/// The best rows of a table, best first, and how many there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<R> {
    /// At most a few hundred.
    pub rows: Vec<R>,
    /// Rows that qualified.
    pub total: usize,
}

/// Trends, with a count of all that are not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Trends {
    /// Of whole workflows, in the order of the table.
    pub runs: Kept<TrendRow>,
    /// Of steps, only those that degrade, most first.
    pub degrading_steps: Kept<TrendRow>,
    /// Series by window in days and direction.
    pub directions: BTreeMap<(i64, String), usize>,
}

/// How often each reason occurs, with an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By what it is about (an analysis, or a column) and reason.
    pub reasons: BTreeMap<(String, String), Count>,
    /// All rows.
    pub total: usize,
}

/// A reason's frequency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows.
    pub rows: usize,
    /// The first of what it is about.
    pub example: String,
}

impl<R> Kept<R> {
    fn new() -> Self {
        Self { rows: Vec::new(), total: 0 }
    }

    fn push(&mut self, row: R, order: impl Fn(&R, &R) -> Ordering) {
        self.total += 1;
        self.rows.push(row);
        if self.rows.len() >= 8 * KEPT {
            self.settle(order);
        }
    }

    /// The sort is stable, so rows that rank alike stay in the order of the table.
    fn settle(&mut self, order: impl Fn(&R, &R) -> Ordering) {
        self.rows.sort_by(order);
        self.rows.truncate(KEPT);
    }
}

impl Tally {
    fn add(&mut self, about: String, reason: String, example: impl FnOnce() -> String) {
        self.total += 1;
        let count = self.reasons.entry((about, reason)).or_default();
        if count.rows == 0 {
            count.example = example();
        }
        count.rows += 1;
    }
}

/// The instants as of which a run was committed, oldest first. What lies in the folders without an entry in the ledger
/// is what a crash left behind.
///
/// # Errors
/// When the ledger can't be read, or does not verify.
pub async fn as_ofs(store: &Store) -> Result<BTreeSet<DateTime<Utc>>> {
    let ledger = State::load(store).await?;
    let runs = ledger.entries().iter().filter_map(|sealed| sealed.entry.event.run());
    Ok(runs.map(|run| run.slot.as_of).collect())
}

/// The instant to show: the one asked for, if something is published as of it, or the latest.
///
/// # Errors
/// [`Error::Input`] where nothing is published at all, [`Error::Usage`] where nothing is as of `asked`.
pub async fn choose_as_of(store: &Store, asked: Option<DateTime<Utc>>) -> Result<DateTime<Utc>> {
    let known = as_ofs(store).await?;
    let Some(latest) = known.last().copied() else {
        return Err(Error::Input(format!(
            "{} holds no published results; publish some with `paceline run`",
            store.url()
        )));
    };
    match asked {
        None => Ok(latest),
        Some(asked) if known.contains(&asked) => Ok(asked),
        Some(asked) => {
            let text = |instant: &DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::Secs, true);
            let newest: Vec<String> = known.iter().rev().take(5).map(text).collect();
            let (asked, newest) = (text(&asked), newest.join(", "));
            Err(Error::Usage(format!(
                "{} holds nothing as of {asked}; the newest of its {} as-of instants: {newest}",
                store.url(),
                known.len()
            )))
        }
    }
}

/// Reads what the report shows as of an instant.
///
/// # Errors
/// When the store can't be read, or a published file is damaged.
pub async fn load(store: &Store, as_of: DateTime<Utc>) -> Result<Published> {
    let change_points = change_points(store, as_of).await?;
    let history = daily_history(store, as_of, change_points.as_ref()).await?;
    let forecasts = forecasts(store, as_of, history.as_ref()).await?;
    let fine_history = fine_history(store, forecasts.as_ref()).await?;
    let experiments = all(store, as_of, |_| true).await?;
    let earlier_looks = earlier_looks(store, as_of, experiments.as_deref()).await?;
    let bottlenecks = best(store, as_of, is_open, by_impact).await?;
    let recommendations = best(store, as_of, |_| true, by_rank).await?;
    let costs = costs(bottlenecks.as_ref(), recommendations.as_ref());
    Ok(Published {
        as_of,
        spread_changes: best(store, as_of, |row: &SpreadChangeRow| is_recent(row.changed_at, as_of), by_spread).await?,
        step_times: step_times::load(store, as_of, &costs).await?,
        bottlenecks,
        recommendations,
        outcomes: outcomes(store, as_of).await?,
        anomalies: best(store, as_of, is_alarm, by_severity).await?,
        degradations: best(store, as_of, |_| true, by_loss).await?,
        experiments,
        earlier_looks,
        comparisons: best(store, as_of, |_| true, by_clarity).await?,
        trends: trends(store, as_of).await?,
        model_scores: all(store, as_of, is_overall_or_alert).await?,
        skips: skips(store, as_of).await?,
        rejects: rejects(store, as_of).await?,
        change_points,
        forecasts,
        capacity_plan: all(store, as_of, |_| true).await?,
        history,
        fine_history,
    })
}

async fn outcomes(store: &Store, as_of: DateTime<Utc>) -> Result<Option<Vec<OutcomeRow>>> {
    let rows = all(store, as_of, |_: &OutcomeRow| true).await?;
    Ok(rows.map(|mut rows| {
        rows.sort_by(by_application);
        rows
    }))
}

/// Earlier looks at experiments that are drawn: two months of daily ones.
const LOOKS: usize = 60;

/// What was said before of the experiments that are shown.
async fn earlier_looks(
    store: &Store,
    as_of: DateTime<Utc>,
    shown: Option<&[ExperimentResultRow]>,
) -> Result<Vec<(i64, Vec<ExperimentResultRow>)>> {
    let ids: BTreeSet<&str> = shown.unwrap_or_default().iter().map(|row| row.experiment_id.as_str()).collect();
    let mut looks = Vec::new();
    if ids.is_empty() {
        return Ok(looks);
    }
    for before in as_ofs(store).await?.range(..as_of).rev().take(LOOKS) {
        let told = |row: &ExperimentResultRow| row.relative_lower.is_some() && ids.contains(row.experiment_id.as_str());
        looks.extend(all(store, *before, told).await?.map(|rows| (before.timestamp_micros(), rows)));
    }
    looks.reverse();
    Ok(looks)
}

/// Folds the rows of a table; none where it is not published as of this instant.
async fn fold<R: Readable, S>(
    store: &Store,
    as_of: DateTime<Utc>,
    mut state: S,
    mut add: impl FnMut(&mut S, R),
) -> Result<Option<S>> {
    let folder = format!("{}/as_of={}", R::SPEC.name, as_of_folder(as_of));
    let mut objects = store.list(&folder).await?;
    objects.retain(|object| object.path.ends_with(".parquet"));
    if objects.is_empty() {
        return Ok(None);
    }
    for object in objects {
        // A file that vanishes between listing and reading was replaced: nothing of it is shown.
        let Some(bytes) = store.get(&object.path).await? else { continue };
        for_each_row(bytes, &store.locate(&object.path), |row| add(&mut state, row))?;
    }
    Ok(Some(state))
}

/// Every row that qualifies, in the order of the table.
///
/// # Errors
/// As [`load`].
pub async fn all<R: Readable>(
    store: &Store,
    as_of: DateTime<Utc>,
    qualifies: impl Fn(&R) -> bool,
) -> Result<Option<Vec<R>>> {
    let add = |rows: &mut Vec<R>, row: R| {
        if qualifies(&row) {
            rows.push(row);
        }
    };
    fold(store, as_of, Vec::new(), add).await
}

async fn best<R: Readable>(
    store: &Store,
    as_of: DateTime<Utc>,
    qualifies: impl Fn(&R) -> bool,
    order: impl Fn(&R, &R) -> Ordering,
) -> Result<Option<Kept<R>>> {
    let add = |kept: &mut Kept<R>, row: R| {
        if qualifies(&row) {
            kept.push(row, &order);
        }
    };
    let kept = fold(store, as_of, Kept::new(), add).await?;
    Ok(kept.map(|mut kept| {
        kept.settle(&order);
        kept
    }))
}

async fn change_points(store: &Store, as_of: DateTime<Utc>) -> Result<Option<Kept<ChangePointRow>>> {
    best(store, as_of, |row: &ChangePointRow| is_recent(row.changed_at, as_of), by_effect).await
}

/// Whether a change is news.
fn is_recent(changed_at: Instant, as_of: DateTime<Utc>) -> bool {
    let now = as_of.timestamp_micros();
    (now.saturating_sub(CHANGE_DAYS * DAY_US)..=now).contains(&changed_at.0)
}

/// Of the groups the page shows only those whose coverage is not what was promised; all executions together, and every
/// forecast, it shows anyway.
fn is_overall_or_alert(row: &ModelScoreRow) -> bool {
    row.engine == "forecast" || row.group_id == "*" || super::view::is_alert(row)
}

async fn daily_history(
    store: &Store,
    as_of: DateTime<Utc>,
    change_points: Option<&Kept<ChangePointRow>>,
) -> Result<Option<History>> {
    let series = change_points.map(|kept| drawn_changes(&kept.rows, as_of)).unwrap_or_default();
    let wanted = Wanted { run_metrics: RUN_METRICS.into(), series };
    let now = as_of.timestamp_micros();
    // The last day may be incomplete: it is read, and used only where nothing else is known.
    let from = now.saturating_sub(HISTORY_DAYS * DAY_US).div_euclid(DAY_US).saturating_mul(DAY_US);
    rollups::read(store, "1d", from..now, &wanted).await
}

async fn forecasts(
    store: &Store,
    as_of: DateTime<Utc>,
    history: Option<&History>,
) -> Result<Option<Kept<ForecastRow>>> {
    let candidates = history.map(|history| forecast_candidates(history, as_of)).unwrap_or_default();
    let chosen = |row: &ForecastRow| {
        row.step.is_none()
            && (candidates.is_empty()
                || row.metric.parse().is_ok_and(|metric| {
                    candidates.contains(&SeriesId { workflow_id: row.workflow_id.clone(), step: None, metric })
                }))
    };
    let mut last: Option<(String, Option<String>, String)> = None;
    let mut kept_series = 0;
    let add = |kept: &mut Kept<ForecastRow>, row: ForecastRow| {
        let key = (row.workflow_id.clone(), row.step.clone(), row.metric.clone());
        let is_new = last.as_ref() != Some(&key);
        let is_chosen = chosen(&row);
        if is_new {
            // Rows are sorted by series, so every change of the key is a series more.
            kept.total += 1;
            kept_series += usize::from(is_chosen);
            last = Some(key);
        }
        if is_chosen && kept_series <= KEPT {
            kept.rows.push(row);
        }
    };
    fold(store, as_of, Kept::new(), add).await
}

/// Where series are forecast on a grid finer than a day, their daily history can't stand before the forecast.
async fn fine_history(store: &Store, forecasts: Option<&Kept<ForecastRow>>) -> Result<History> {
    let mut history = History::new();
    let mut by_period: BTreeMap<i64, (BTreeSet<SeriesId>, i64)> = BTreeMap::new();
    for (id, period_us, cutoff_us) in forecasts.into_iter().flat_map(|kept| super::view::forecast_grids(&kept.rows)) {
        let (series, cutoff) = by_period.entry(period_us).or_insert_with(|| (BTreeSet::new(), cutoff_us));
        series.insert(id);
        *cutoff = cutoff_us.max(*cutoff);
    }
    for (period_us, (series, cutoff_us)) in by_period {
        let Some(period) = period_name(period_us) else { continue };
        let span = cutoff_us.saturating_sub(FINE_BUCKETS.saturating_mul(period_us))..cutoff_us;
        let wanted = Wanted { run_metrics: BTreeSet::new(), series };
        history.extend(rollups::read(store, period, span, &wanted).await?.unwrap_or_default());
    }
    Ok(history)
}

/// The folder of a period shorter than a day.
fn period_name(period_us: i64) -> Option<&'static str> {
    match period_us / 60_000_000 {
        5 => Some("5m"),
        15 => Some("15m"),
        60 => Some("1h"),
        _ => None,
    }
}

async fn trends(store: &Store, as_of: DateTime<Utc>) -> Result<Option<Trends>> {
    let by_change = |a: &TrendRow, b: &TrendRow| descending(a.change.abs(), b.change.abs());
    let as_they_are = |_: &TrendRow, _: &TrendRow| Ordering::Equal;
    let empty = Trends { runs: Kept::new(), degrading_steps: Kept::new(), directions: BTreeMap::new() };
    let add = |trends: &mut Trends, row: TrendRow| {
        *trends.directions.entry((row.window_days, row.direction.clone())).or_default() += 1;
        if row.step.is_none() {
            trends.runs.push(row, as_they_are);
        } else if row.direction == "degrading" {
            trends.degrading_steps.push(row, by_change);
        }
    };
    let trends = fold(store, as_of, empty, add).await?;
    Ok(trends.map(|mut trends| {
        trends.runs.settle(as_they_are);
        trends.degrading_steps.settle(by_change);
        trends
    }))
}

async fn skips(store: &Store, as_of: DateTime<Utc>) -> Result<Option<Tally>> {
    let add = |tally: &mut Tally, row: SkipRow| {
        let SkipRow { analysis, workflow, workflow_type: _, step, metric, reason } = row;
        let example = || [Some(workflow), step, metric].into_iter().flatten().collect::<Vec<_>>().join(" · ");
        tally.add(analysis, reason, example);
    };
    fold(store, as_of, Tally::default(), add).await
}

async fn rejects(store: &Store, as_of: DateTime<Utc>) -> Result<Option<Tally>> {
    let add = |tally: &mut Tally, row: RejectRow| {
        let RejectRow { file, row, column, value, reason } = row;
        let example = || {
            let at = row.map(|row| format!(" row {row}")).unwrap_or_default();
            let found = value.map(|value| format!(": {value}")).unwrap_or_default();
            format!("{file}{at}{found}")
        };
        tally.add(column.unwrap_or_default(), reason, example);
    };
    fold(store, as_of, Tally::default(), add).await
}
