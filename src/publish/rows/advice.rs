//! What costs time, and what to do next.

use super::signed;
use crate::pure::detect::bottlenecks::WorkflowTimes;
use crate::pure::graph::{RunTimes, StepTimes};
use crate::pure::recommend::{Action, Bottleneck, Recommendation};
use crate::tables::published::{BottleneckRow, Instant, Json, RecommendationRow, StepTimesRow};

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
