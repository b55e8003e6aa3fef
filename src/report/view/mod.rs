//! What the report says, and in which words: the published rows shaped to what is shown. Nothing here reads or
//! writes; numbers that charts need stay numbers, everything else is text.

mod anomalies;
mod capacity;
mod changes;
mod comparisons;
mod degradations;
mod experiments;
mod forecasts;
mod headline;
mod outcomes;
mod quality;
mod recommendations;
mod scores;
mod slow;
mod spread;
mod summary;
mod time;
mod trends;

pub use anomalies::{Anomalies, Anomaly};
pub use capacity::{Capacity, Need};
pub use changes::{Change, Changes, Spark, drawn_changes};
pub use comparisons::{Comparison, Comparisons};
pub use degradations::{Degradation, Degradations};
pub use experiments::{Arm, Course, Experiment, Experiments};
pub use forecasts::{Band, Fan, Forecasts, forecast_candidates, forecast_grids};
pub use headline::{Headline, Tile, WorkflowWeek};
pub use outcomes::{Outcome, Outcomes};
pub use quality::{Quality, Reason};
pub use recommendations::{
    Brief, Change as ActionChange, Recommendation, Recommendations, drawn_first, saves_time, status,
};
pub(super) use scores::is_alert;
pub use scores::{CoverageAlert, ForecastScore, PredictionScore, Scores, Target};
pub use slow::{Slow, SlowStep};
pub use spread::{SpreadChange, SpreadChanges};
pub use summary::Line;
pub(super) use time::costs;
pub use time::{Gantt, GanttRow, SavingBar, Time, WorkflowTime};
pub use trends::{TrendCell, TrendLine, Trends};

use super::format;
use super::load::Published;
use crate::pure::series::{Better, Metric};
use chrono_tz::Tz;

/// What the reader wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewParams {
    /// The zone of all instants. Days of charts and headline numbers are UTC days, as the rollups are.
    pub timezone: Tz,
    /// Whether recommendations are shown.
    pub include_recommendations: bool,
    /// Whether trends are shown.
    pub include_trends: bool,
    /// Whether forecasts are shown.
    pub include_forecasts: bool,
}

/// The report, ready to be laid out.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The cutoff, in the reader's zone.
    pub as_of: String,
    /// Name of that zone.
    pub timezone: &'static str,
    /// The few sentences to read if nothing else is read.
    pub summary: Vec<Line>,
    /// This week's numbers beside last week's.
    pub headline: Part<Headline>,
    /// What changed.
    pub changes: Part<Changes>,
    /// What scatters more, or less; none where nothing does.
    pub spread_changes: Option<SpreadChanges>,
    /// What is slow.
    pub slow: Part<Slow>,
    /// What costs the time of a run.
    pub time: Part<Time>,
    /// What to do next; none where the reader does not want it.
    pub recommendations: Option<Part<Recommendations>>,
    /// What applied ones did; none where nothing was applied.
    pub outcomes: Option<Outcomes>,
    /// What will happen; none where the reader does not want it.
    pub forecasts: Option<Part<Forecasts>>,
    /// When capacity runs short; none where the reader does not want forecasts.
    pub capacity: Option<Part<Capacity>>,
    /// What got slower in the latest window; none where nothing did.
    pub degradations: Option<Degradations>,
    /// What is strange.
    pub anomalies: Part<Anomalies>,
    /// What worked.
    pub experiments: Part<Experiments>,
    /// Like with like.
    pub comparisons: Part<Comparisons>,
    /// Where things are heading; none where the reader does not want it.
    pub trends: Option<Part<Trends>>,
    /// How good the predictions are.
    pub scores: Part<Scores>,
    /// What was refused and skipped.
    pub quality: Quality,
}

/// A section: what it shows, or the sentence that says why it shows nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<T> {
    /// Why there is nothing.
    Nothing(String),
    /// What there is.
    Shown(T),
}

/// The first items, and how many more the table has.
#[derive(Debug, Clone, PartialEq)]
pub struct Capped<T> {
    /// Shown.
    pub items: Vec<T>,
    /// Left out.
    pub more: usize,
}

/// Whether news is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// An improvement.
    Good,
    /// The opposite.
    Bad,
    /// Neither, or too small to say.
    Neutral,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The workflow.
    pub workflow: String,
    /// The step, none for the run as a whole.
    pub step: Option<String>,
    /// What is measured, in words; none where that goes without saying.
    pub metric: Option<String>,
}

impl<T> Capped<T> {
    /// The first `cap` of `rows`, of which the table has `total`.
    fn of<R>(rows: impl IntoIterator<Item = R>, total: usize, cap: usize, shape: impl FnMut(R) -> T) -> Self {
        let items: Vec<T> = rows.into_iter().take(cap).map(shape).collect();
        let more = total.saturating_sub(items.len());
        Self { items, more }
    }

    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.more == 0
    }
}

impl<T> Part<T> {
    /// What there is.
    #[must_use]
    pub fn shown(&self) -> Option<&T> {
        match self {
            Self::Nothing(_) => None,
            Self::Shown(shown) => Some(shown),
        }
    }

    /// `table` was not published.
    fn missing(table: &str) -> Self {
        Self::Nothing(format!("The table {table} was not published as of this instant."))
    }
}

impl Tone {
    /// The tone of a move of `metric` by `difference` (in any unit).
    fn of(metric: Option<Metric>, difference: f64) -> Self {
        let better = metric.map_or(Better::Neither, Metric::better);
        match better {
            Better::Neither => Self::Neutral,
            _ if difference.abs() < f64::MIN_POSITIVE || difference.is_nan() => Self::Neutral,
            Better::Lower if difference < 0.0 => Self::Good,
            Better::Higher if difference > 0.0 => Self::Good,
            Better::Lower | Better::Higher => Self::Bad,
        }
    }

    /// The word for it, so that colour is never alone.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "better",
            Self::Bad => "worse",
            Self::Neutral => "changed",
        }
    }
}

impl Subject {
    fn new(workflow: &str, step: Option<&str>, metric: Option<&str>) -> Self {
        Self { workflow: format::name(workflow), step: step.map(format::name), metric: metric.map(format::words) }
    }

    /// In one line: `workflow · step · metric`.
    #[must_use]
    pub fn line(&self) -> String {
        let parts = [Some(&self.workflow), self.step.as_ref(), self.metric.as_ref()];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" · ")
    }
}

/// Shapes what was published to what is shown.
#[must_use]
pub fn view(published: &Published, params: &ViewParams) -> View {
    let headline = headline::headline(published);
    let changes = changes::changes(published, params.timezone);
    let slow = slow::slow(published, params.timezone);
    let recommendations = params.include_recommendations.then(|| recommendations::recommendations(published));
    let summary = summary::summary(&headline, &changes, &slow, recommendations.as_ref());
    View {
        as_of: format::instant(published.as_of.timestamp_micros(), params.timezone),
        timezone: params.timezone.name(),
        summary,
        headline,
        changes,
        slow,
        time: time::time(published, params.include_recommendations),
        recommendations,
        outcomes: outcomes::outcomes(published, params),
        forecasts: params.include_forecasts.then(|| forecasts::forecasts(published, params.timezone)),
        capacity: params.include_forecasts.then(|| capacity::capacity(published)),
        degradations: degradations::degradations(published, params.timezone),
        spread_changes: spread::spread_changes(published, params.timezone),
        anomalies: anomalies::anomalies(published, params.timezone),
        experiments: experiments::experiments(published, params.timezone),
        comparisons: comparisons::comparisons(published),
        trends: params.include_trends.then(|| trends::trends(published)),
        scores: scores::scores(published),
        quality: quality::quality(published),
    }
}
