//! What was learned of series: baselines, changes, trends, forecasts, plans.

use super::signed;
use crate::pure::analysis::Analysis;
use crate::pure::detect::{Baseline, ChangePoint, Direction, Trend};
use crate::pure::forecast::capacity::{CapacityPlan, Exhaustion, PlannedDay};
use crate::pure::forecast::{CandidateScore, Forecast, ForecastStep, HorizonCoverage};
use crate::pure::series::SeriesKey;
use crate::pure::units::{DAY_US, Interval};
use crate::tables::published::{
    BaselineRow, CapacityPlanRow, ChangePointRow, ForecastRow, Instant, ModelScoreRow, SpreadChangeRow, TrendRow,
};

/// Coverage of a baseline's 5 % to 95 % quantiles.
const NORMAL_LEVEL: f64 = 0.9;

/// Where a change point stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangePointState {
    /// Found, and not yet taken as the new normal.
    Open,
    /// Taken as the new normal.
    Accepted,
}

/// The grid that a series is forecast on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForecastGrid {
    /// End of the last bucket that was known: the start of the first bucket that is forecast.
    pub cutoff_us: i64,
    /// Length of a bucket.
    pub period_us: i64,
}

/// The baseline of a series, if it has one.
#[must_use]
pub fn baseline(analysis: &Analysis) -> Option<BaselineRow> {
    let Baseline {
        value,
        interval,
        spread,
        normal_lower,
        normal_upper,
        sample_size,
        method,
        regime_start_us,
        regime_end_us: _,
    } = analysis.baseline.clone()?;
    let SeriesKey { workflow_id, workflow_type, step, metric } = analysis.key.clone();
    let Interval { lower, upper, level } = interval;
    let earlier = analysis.change_points.iter().filter(|change| change.at_us <= regime_start_us).count();
    Some(BaselineRow {
        workflow_id,
        workflow_type,
        step,
        metric: metric.to_string(),
        unit: metric.unit().to_owned(),
        value,
        value_lower: lower,
        value_upper: upper,
        level: level.get(),
        spread,
        normal_lower,
        normal_upper,
        normal_level: NORMAL_LEVEL,
        method: method.to_owned(),
        sample_size: signed(sample_size),
        regime_started_at: Instant(regime_start_us),
        version: signed(earlier).saturating_add(1),
    })
}

/// The change points of a series; `state` says of each (by its instant) whether it has been accepted.
pub fn change_points(analysis: &Analysis, state: impl Fn(&ChangePoint) -> ChangePointState) -> Vec<ChangePointRow> {
    let row = |change: &ChangePoint| {
        let SeriesKey { workflow_id, workflow_type, step, metric } = analysis.key.clone();
        let ChangePoint {
            index: _, // a position in the window that was read; readers have the instant
            at_us,
            before,
            after,
            effect_ratio,
            effect_lower,
            effect_upper,
            level,
            p_value,
        } = change.clone();
        let state = match state(change) {
            ChangePointState::Open => "open",
            ChangePointState::Accepted => "accepted",
        };
        ChangePointRow {
            workflow_id,
            workflow_type,
            step,
            metric: metric.to_string(),
            unit: metric.unit().to_owned(),
            changed_at: Instant(at_us),
            before,
            after,
            effect_ratio,
            effect_lower,
            effect_upper,
            level: level.get(),
            p_value,
            state: state.to_owned(),
        }
    };
    analysis.change_points.iter().map(row).collect()
}

/// The changes of spread of a series.
#[must_use]
pub fn spread_changes(analysis: &Analysis) -> Vec<SpreadChangeRow> {
    let row = |change: &ChangePoint| {
        let SeriesKey { workflow_id, workflow_type, step, metric } = analysis.key.clone();
        let ChangePoint { index: _, at_us, before, after, effect_ratio, effect_lower, effect_upper, level, p_value } =
            change.clone();
        SpreadChangeRow {
            workflow_id,
            workflow_type,
            step,
            metric: metric.to_string(),
            changed_at: Instant(at_us),
            before,
            after,
            effect_ratio,
            effect_lower,
            effect_upper,
            level: level.get(),
            p_value,
        }
    };
    analysis.spread_changes.iter().map(row).collect()
}

/// The trends of a series, one a window.
#[must_use]
pub fn trends(analysis: &Analysis) -> Vec<TrendRow> {
    let row = |trend: &Trend| {
        let SeriesKey { workflow_id, workflow_type, step, metric } = analysis.key.clone();
        let Trend { window_days, change, interval, slope_per_day, strength, direction, sample_size } = trend.clone();
        let Interval { lower, upper, level } = interval;
        TrendRow {
            workflow_id,
            workflow_type,
            step,
            metric: metric.to_string(),
            unit: metric.unit().to_owned(),
            window_days: i64::from(window_days),
            change,
            change_lower: lower,
            change_upper: upper,
            level: level.get(),
            slope_per_day,
            strength,
            direction: direction_name(direction).to_owned(),
            sample_size: signed(sample_size),
        }
    };
    analysis.trends.iter().map(row).collect()
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Improving => "improving",
        Direction::Degrading => "degrading",
        Direction::Rising => "rising",
        Direction::Falling => "falling",
        Direction::Stable => "stable",
        Direction::Unclear => "unclear",
    }
}

/// The forecast of a series, one row a step of the horizon and level.
#[must_use]
pub fn forecasts(analysis: &Analysis, grid: ForecastGrid) -> Vec<ForecastRow> {
    let Some(Forecast { model, steps, scores: _, by_horizon: _ }) = &analysis.forecast else { return Vec::new() };
    let row = |(ahead, point, interval): (i64, f64, Interval)| {
        let SeriesKey { workflow_id, workflow_type, step, metric } = analysis.key.clone();
        let Interval { lower, upper, level } = interval;
        ForecastRow {
            workflow_id,
            workflow_type,
            step,
            metric: metric.to_string(),
            unit: metric.unit().to_owned(),
            horizon: ahead.saturating_add(1),
            ds: Instant(grid.cutoff_us.saturating_add(grid.period_us.saturating_mul(ahead))),
            model: model.clone(),
            point,
            lower,
            upper,
            level: level.get(),
            cutoff: Instant(grid.cutoff_us),
        }
    };
    (0..)
        .zip(steps)
        .flat_map(|(ahead, ForecastStep { point, intervals })| intervals.iter().map(move |i| (ahead, *point, *i)))
        .map(row)
        .collect()
}

/// How the winner and the candidates of a series' forecast did on the backtest, and how often the winner's intervals
/// held by distance.
#[must_use]
pub fn forecast_scores(analysis: &Analysis) -> Vec<ModelScoreRow> {
    let row = |model: String, mase: Option<f64>, coverage: f64, n: usize| ModelScoreRow {
        engine: "forecast".to_owned(),
        target: analysis.key.metric.to_string(),
        group_id: analysis.key.to_string(),
        model,
        is_rival: false,
        n: signed(n),
        in20: None,
        mdape: None,
        wape: None,
        mase,
        coverage: Some(coverage),
        width_ratio: None,
        level: widest_level(analysis),
        coverage_state: None,
    };
    let Some(Forecast { scores, by_horizon, .. }) = &analysis.forecast else { return Vec::new() };
    let scores = scores.iter().map(|score| {
        let CandidateScore { model, weight: _, mase, coverage, n } = score.clone();
        row(model, Some(mase), coverage, n)
    });
    let by_horizon = by_horizon.iter().map(|ahead| {
        let HorizonCoverage { from, to, coverage, n } = *ahead;
        row(format!("published, {from} to {to} ahead"), None, coverage, n)
    });
    scores.chain(by_horizon).collect()
}

/// The days of a capacity plan.
#[must_use]
pub fn capacity_plan(plan: &CapacityPlan) -> Vec<CapacityPlanRow> {
    let CapacityPlan { resource, provider, growth, capacity, start_us, days, exhaustion } = plan;
    let start_of = |ahead: usize| {
        let days = i64::try_from(ahead).unwrap_or(i64::MAX).saturating_sub(1);
        Instant(start_us.saturating_add(days.saturating_mul(DAY_US)))
    };
    let at = |step: Option<Option<usize>>| step.flatten().map(start_of);
    let row = |(ahead, day): (usize, &PlannedDay)| {
        let PlannedDay { p50, p80, p95, interval: Interval { lower, upper, level }, shortage } = *day;
        CapacityPlanRow {
            resource: resource.as_str().to_owned(),
            provider: provider.clone(),
            unit: resource.unit().to_owned(),
            growth: *growth,
            horizon: i64::try_from(ahead).unwrap_or(i64::MAX),
            ds: start_of(ahead),
            demand_p50: p50,
            demand_p80: p80,
            demand_p95: p95,
            demand_lower: lower,
            demand_upper: upper,
            level: level.get(),
            capacity: *capacity,
            shortage_probability: shortage,
            exhausted_on: at(exhaustion.map(|Exhaustion { step, .. }| step)),
            exhausted_lower: at(exhaustion.map(|Exhaustion { lower, .. }| lower)),
            exhausted_upper: at(exhaustion.map(|Exhaustion { upper, .. }| upper)),
            cutoff: Instant(*start_us),
        }
    };
    (1..).zip(days).map(row).collect()
}

/// Backtests score the interval at the largest level.
fn widest_level(analysis: &Analysis) -> Option<f64> {
    let steps = &analysis.forecast.as_ref()?.steps;
    steps.iter().flat_map(|step| &step.intervals).map(|interval| interval.level.get()).reduce(f64::max)
}
