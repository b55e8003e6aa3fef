//! What was learned of executions: predictions, their scores, what is strange or slower.

use super::signed;
use crate::pure::detect::anomalies::AlarmRate;
use crate::pure::detect::degradations::Degradation;
use crate::pure::learn::coverage::coverage_state;
use crate::pure::learn::{Anomaly, ModelScore, Prediction};
use crate::pure::series::Metric;
use crate::pure::units::Interval;
use crate::tables::published::{AnomalyRow, DegradationRow, Instant, ModelScoreRow, PredictionRow};

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
