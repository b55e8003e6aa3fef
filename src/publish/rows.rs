//! From the results of the calculations to rows of published tables. Every struct is taken apart field by field, so
//! that a new field breaks the build here.

use crate::pure::analysis::Analysis;
use crate::pure::compare::Comparison;
use crate::pure::detect::anomalies::AlarmRate;
use crate::pure::detect::bottlenecks::WorkflowTimes;
use crate::pure::detect::degradations::Degradation;
use crate::pure::detect::{Baseline, ChangePoint, Direction, Skip, SkipSubject, Trend};
use crate::pure::experiment::ExperimentRow;
use crate::pure::forecast::capacity::{CapacityPlan, Exhaustion, PlannedDay};
use crate::pure::forecast::{CandidateScore, Forecast, ForecastStep, HorizonCoverage};
use crate::pure::graph::{RunTimes, StepTimes};
use crate::pure::learn::coverage::coverage_state;
use crate::pure::learn::{Anomaly, ModelScore, Prediction};
use crate::pure::recommend::{Action, Bottleneck, Recommendation};
use crate::pure::series::{Metric, SeriesKey};
use crate::pure::units::{DAY_US, Interval};
use crate::tables::published::{
    AnomalyRow, BaselineRow, BottleneckRow, CapacityPlanRow, ChangePointRow, ComparisonRow, DegradationRow,
    ExperimentResultRow, ForecastRow, Instant, Json, ModelScoreRow, PredictionRow, RecommendationRow, SkipRow,
    SpreadChangeRow, StepTimesRow, TrendRow,
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

/// Which execution an anomaly is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Execution<'a> {
    /// The run.
    pub run_id: &'a str,
    /// The step, none for the run as a whole.
    pub step_id: Option<&'a str>,
    /// Its try, from 1.
    pub attempt: Option<i64>,
    /// The workflow.
    pub workflow_id: &'a str,
    /// The workflow's type.
    pub workflow_type: &'a str,
    /// The derived step.
    pub step: Option<&'a str>,
    /// When it started.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
}

/// Which experiment a verdict is about, and how often it was looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExperimentLook<'a> {
    /// The experiment.
    pub experiment_id: &'a str,
    /// The type of its workflows.
    pub workflow_type: &'a str,
    /// How often it has been looked at, this time included.
    pub looks: i64,
    /// When it was first looked at.
    pub first_look_us: i64,
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

/// What a score is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scored {
    /// Single executions of steps.
    Executions,
    /// Whole runs.
    Runs,
}

/// The score of a model that was learned from executions, or of a fixed rival.
#[must_use]
pub fn model_score(score: &ModelScore, scored: Scored) -> ModelScoreRow {
    let coverage_state = coverage_state(score).map(|state| state.as_str().to_owned());
    let ModelScore { target, group, model, is_rival, n, in20, mdape, wape, coverage, width_ratio, level } =
        score.clone();
    let engine = match scored {
        Scored::Executions => "prediction",
        Scored::Runs => "run_prediction",
    };
    ModelScoreRow {
        engine: engine.to_owned(),
        target,
        group_id: group,
        model,
        is_rival,
        n: signed(n),
        in20: Some(in20),
        mdape: Some(mdape),
        wape: Some(wape),
        mase: None,
        coverage: Some(coverage),
        width_ratio: Some(width_ratio),
        level: Some(level),
        coverage_state,
    }
}

/// How many executions of a workflow type were called anomalies, beside the share of ordinary ones that may be.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn alarm_score(workflow_type: &str, rate: &AlarmRate) -> ModelScoreRow {
    let AlarmRate { n_judged, n_alarms, promised } = *rate;
    ModelScoreRow {
        engine: "anomaly".to_owned(),
        target: "alarm".to_owned(),
        group_id: workflow_type.to_owned(),
        model: "detector".to_owned(),
        is_rival: false,
        n: signed(n_judged),
        in20: None,
        mdape: None,
        wape: None,
        mase: None,
        coverage: Some(1.0 - n_alarms as f64 / n_judged.max(1) as f64),
        width_ratio: None,
        level: Some(1.0 - promised),
        coverage_state: None,
    }
}

/// A step that got slower just now.
#[must_use]
pub fn degradation(found: &Degradation, severity: &str) -> DegradationRow {
    let Degradation {
        workflow_type,
        workflow_id,
        step,
        n,
        n_before,
        observed_ms,
        expected_ms,
        ratio,
        interval: Interval { lower, upper, level },
        p_value,
        window_us,
    } = found.clone();
    DegradationRow {
        workflow_id,
        workflow_type,
        step,
        metric: Metric::ExecutionTime.to_string(),
        severity: severity.to_owned(),
        window_start: Instant(window_us.0),
        window_end: Instant(window_us.1),
        n: signed(n),
        n_before: signed(n_before),
        observed_ms,
        expected_ms,
        ratio,
        ratio_lower: lower,
        ratio_upper: upper,
        level: level.get(),
        p_value,
    }
}

/// A prediction.
#[must_use]
pub fn prediction(prediction: &Prediction) -> PredictionRow {
    let Prediction {
        workflow_type,
        workflow_id,
        step,
        provider,
        size_bucket,
        input_bytes,
        target,
        point,
        interval,
        n_seen,
    } = prediction.clone();
    let Interval { lower, upper, level } = interval;
    PredictionRow {
        workflow_id,
        workflow_type,
        step,
        provider,
        size_bucket: size_bucket.to_owned(),
        input_bytes,
        target: target.to_owned(),
        point,
        lower,
        upper,
        level: level.get(),
        n_seen: signed(n_seen),
    }
}

/// A strange execution.
#[must_use]
pub fn anomaly(anomaly: &Anomaly, execution: &Execution<'_>) -> AnomalyRow {
    let Anomaly { row: _, score, direction, severity, metric, observed, expected, interval, reasons } = anomaly.clone();
    let Interval { lower, upper, level } = interval;
    let Execution { run_id, step_id, attempt, workflow_id, workflow_type, step, started_us, ended_us } = *execution;
    AnomalyRow {
        run_id: run_id.to_owned(),
        step_id: step_id.map(str::to_owned),
        attempt,
        workflow_id: workflow_id.to_owned(),
        workflow_type: workflow_type.to_owned(),
        step: step.map(str::to_owned),
        started_at: started_us.map(Instant),
        ended_at: ended_us.map(Instant),
        score,
        direction: direction.to_owned(),
        severity: severity.to_owned(),
        metric: metric.to_owned(),
        observed,
        expected,
        expected_lower: lower,
        expected_upper: upper,
        level: level.get(),
        reasons,
    }
}

/// All bottlenecks, ranked by what they cost.
#[must_use]
pub fn bottlenecks(found: &[Bottleneck]) -> Vec<BottleneckRow> {
    let mut sorted: Vec<&Bottleneck> = found.iter().collect();
    sorted.sort_by(|a, b| b.impact.total_cmp(&a.impact).then_with(|| a.bottleneck_id.cmp(&b.bottleneck_id)));
    (1..).zip(sorted).map(|(rank, found)| bottleneck(rank, found)).collect()
}

fn bottleneck(rank: i64, found: &Bottleneck) -> BottleneckRow {
    let Bottleneck {
        bottleneck_id,
        workflow_id,
        step,
        kind,
        severity,
        impact,
        impact_lower,
        impact_upper,
        level,
        saving_ms,
        description,
        causes,
        evidence,
        status,
        opened_at_us,
        inferred_confidence,
    } = found.clone();
    BottleneckRow {
        rank,
        bottleneck_id,
        workflow_id,
        step,
        r#type: kind.to_owned(),
        severity: severity.to_owned(),
        impact,
        impact_lower,
        impact_upper,
        level: level.get(),
        saving_ms,
        description,
        causes,
        evidence,
        status: status.to_owned(),
        opened_at: Instant(opened_at_us),
        inferred_confidence,
    }
}

/// The steps of a workflow in its recent runs.
#[must_use]
pub fn step_times(workflow: &WorkflowTimes) -> Vec<StepTimesRow> {
    let WorkflowTimes { workflow_id, times, inferred_confidence } = workflow;
    let RunTimes { steps, typical_run_id } = times;
    let row = |times: &StepTimes| {
        let StepTimes {
            step,
            n_runs,
            n_executions,
            duration_ms,
            wait_ms,
            slack_ms,
            blocking_ms,
            blocking_share,
            typical,
        } = times;
        StepTimesRow {
            workflow_id: workflow_id.clone(),
            step: step.to_string(),
            n_runs: signed(*n_runs),
            n_executions: per(*n_executions, *n_runs),
            duration_ms: *duration_ms,
            wait_ms: *wait_ms,
            slack_ms: *slack_ms,
            blocking_ms: *blocking_ms,
            blocking_share: *blocking_share,
            typical_run_id: typical_run_id.clone(),
            typical_ready_ms: typical.map(|span| span.ready_ms),
            typical_start_ms: typical.map(|span| span.start_ms),
            typical_end_ms: typical.map(|span| span.end_ms),
            is_on_critical_path: typical.is_some_and(|span| span.is_critical),
            inferred_confidence: *inferred_confidence,
        }
    };
    steps.iter().map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn per(n: usize, of: usize) -> f64 {
    n as f64 / of as f64
}

/// A comparison.
#[must_use]
pub fn comparison(comparison: &Comparison) -> ComparisonRow {
    let Comparison { workflow_type, dimension, a, b, metric, ratio, interval, n_a, n_b } = comparison.clone();
    let Interval { lower, upper, level } = interval;
    ComparisonRow {
        workflow_type,
        dimension: dimension.to_owned(),
        a,
        b,
        metric: metric.to_owned(),
        ratio,
        ratio_lower: lower,
        ratio_upper: upper,
        level: level.get(),
        n_a: signed(n_a),
        n_b: signed(n_b),
    }
}

/// The verdict on one arm.
#[must_use]
pub fn experiment(verdict: &ExperimentRow, look: &ExperimentLook<'_>) -> ExperimentResultRow {
    let ExperimentRow {
        metric,
        arm,
        n,
        estimate,
        effect,
        effect_lower,
        effect_upper,
        relative_effect,
        relative_lower,
        relative_upper,
        level,
        p_value,
        method,
        srm_p_value,
        decision,
        role,
        stat,
        reason,
        e_value,
        srm_sequential_p_value,
        probability_best,
        expected_loss,
        detectable_effect,
        units_to_decision,
        days_to_decision,
    } = verdict.clone();
    let ExperimentLook { experiment_id, workflow_type, looks, first_look_us } = *look;
    ExperimentResultRow {
        experiment_id: experiment_id.to_owned(),
        workflow_type: workflow_type.to_owned(),
        metric,
        arm,
        n: signed(n),
        estimate,
        effect,
        effect_lower,
        effect_upper,
        relative_effect,
        relative_lower,
        relative_upper,
        level: level.get(),
        p_value,
        method,
        srm_p_value,
        decision,
        looks,
        first_look_at: Instant(first_look_us),
        role: Some(role),
        stat: Some(stat),
        reason: Some(reason),
        e_value,
        srm_sequential_p_value: Some(srm_sequential_p_value).filter(|p| !p.is_nan()),
        probability_best,
        expected_loss,
        detectable_effect,
        units_to_decision,
        days_to_decision,
    }
}

/// A recommendation.
#[must_use]
pub fn recommendation(recommendation: &Recommendation) -> RecommendationRow {
    let Recommendation {
        recommendation_id,
        rank,
        workflow_id,
        workflow_type,
        target,
        kind,
        category,
        title,
        impact,
        impact_lower,
        impact_upper,
        level,
        saving_ms,
        saving_ms_lower,
        saving_ms_upper,
        saving_usd,
        saving_usd_lower,
        saving_usd_upper,
        feasibility,
        effort,
        risk,
        probability,
        propensity,
        actions,
        evidence,
        status,
        portfolio_rank,
        portfolio_saving_ms,
        inferred_confidence,
    } = recommendation.clone();
    RecommendationRow {
        recommendation_id,
        rank: i64::from(rank),
        workflow_id,
        target,
        r#type: kind.to_owned(),
        category: category.to_owned(),
        title,
        impact,
        impact_lower,
        impact_upper,
        level: level.get(),
        saving_ms,
        saving_ms_lower,
        saving_ms_upper,
        saving_usd,
        saving_usd_lower,
        saving_usd_upper,
        feasibility,
        effort: effort.to_owned(),
        risk: risk.to_owned(),
        probability,
        actions: action_list(&actions),
        evidence,
        status: status.as_str().to_owned(),
        portfolio_rank: i64::from(portfolio_rank),
        portfolio_saving_ms,
        inferred_confidence,
        workflow_type,
        propensity: Some(propensity),
    }
}

fn action_list(actions: &[Action]) -> Json {
    let list = actions
        .iter()
        .map(|Action { op, path, from, to }| serde_json::json!({ "op": op, "path": path, "from": from, "to": to }));
    Json(serde_json::Value::Array(list.collect()).to_string())
}

/// What was not analysed.
#[must_use]
pub fn skip(skip: &Skip) -> SkipRow {
    let Skip { analysis, subject, reason } = skip.clone();
    let (workflow, workflow_type, step, metric) = match subject {
        SkipSubject::Series(key) => {
            let SeriesKey { workflow_id, workflow_type, step, metric } = key;
            (workflow_id, Some(workflow_type), step, Some(metric.to_string()))
        }
        SkipSubject::Workflow { workflow, step } => (workflow, None, step, None),
    };
    SkipRow { analysis: analysis.to_owned(), workflow, workflow_type, step, metric, reason }
}

/// Counts never reach the end of i64.
fn signed<N: TryInto<i64>>(count: N) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
