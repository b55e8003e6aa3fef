//! What costs the time of a run: the steps of a typical run along its time, with what recommendations would save of it.

use super::{Capped, Part};
use crate::report::format;
use crate::report::load::{Kept, Published, WorkflowSteps};
use crate::tables::published::{BottleneckRow, RecommendationRow, StepTimesRow};
use std::collections::BTreeMap;

/// Workflows shown.
const CAP: usize = 3;
/// Steps shown of each.
const STEPS: usize = 15;
/// Savings shown of each.
const SAVINGS: usize = 5;
/// Room for the name of a step beside its bar.
const NAME_COLUMNS: usize = 24;

/// What runs spend their time on.
#[derive(Debug, Clone, PartialEq)]
pub struct Time {
    /// The workflow with most to gain first.
    pub workflows: Capped<WorkflowTime>,
    /// The right end of the bars of all savings, a share of end-to-end time; none where there are none.
    pub savings_end: Option<f64>,
}

/// A workflow's typical run.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowTime {
    /// The workflow.
    pub workflow: String,
    /// Id of the run.
    pub run: String,
    /// How long it took.
    pub took: String,
    /// What to keep in mind.
    pub notes: Vec<String>,
    /// The run.
    pub gantt: Gantt,
    /// How many steps are not shown, and what they hold up together.
    pub more: Option<String>,
    /// What recommendations would save, best first; empty where the reader does not want them.
    pub savings: Vec<SavingBar>,
}

/// The steps of a run along its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Gantt {
    /// The same in words.
    pub description: String,
    /// End of the time axis.
    pub end_ms: f64,
    /// The step that started first comes first.
    pub rows: Vec<GanttRow>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct GanttRow {
    /// Its name, cut to the room that there is.
    pub step: String,
    /// Its whole name and its times.
    pub title: String,
    /// When it was ready, started and ended, in milliseconds from the run's start; none where this run lacks it.
    pub span_ms: Option<[f64; 3]>,
    /// Whether the run's end waited for it.
    pub is_critical: bool,
    /// The part of the runs' time in which nothing else was waited for.
    pub share: String,
}

/// What a recommendation would save.
#[derive(Debug, Clone, PartialEq)]
pub struct SavingBar {
    /// Its place among all recommendations.
    pub rank: i64,
    /// What to do.
    pub title: String,
    /// Share of end-to-end time.
    pub impact: f64,
    /// Lower end of its interval.
    pub impact_lower: f64,
    /// Upper end of its interval.
    pub impact_upper: f64,
    /// The share in words.
    pub share: String,
    /// The interval in words.
    pub interval: String,
}

/// By workflow, the largest share of end-to-end time that a bottleneck costs or a recommendation saves.
pub(in crate::report) fn costs(
    bottlenecks: Option<&Kept<BottleneckRow>>,
    recommendations: Option<&Kept<RecommendationRow>>,
) -> BTreeMap<String, f64> {
    let slow = bottlenecks.into_iter().flat_map(|kept| &kept.rows).map(|row| (&row.workflow_id, row.impact));
    let next = recommendations.into_iter().flat_map(|kept| &kept.rows).map(|row| (&row.workflow_id, row.impact));
    let mut costs = BTreeMap::new();
    for (workflow, impact) in slow.chain(next).filter(|(_, impact)| impact.is_finite()) {
        let cost = costs.entry(workflow.clone()).or_insert(0.0_f64);
        *cost = impact.max(*cost);
    }
    costs
}

pub(super) fn time(published: &Published, with_savings: bool) -> Part<Time> {
    let Some(kept) = &published.step_times else { return Part::missing("step_times") };
    if kept.total == 0 {
        return Part::Nothing("No workflow has runs that can be replayed.".to_owned());
    }
    let recommendations = published.recommendations.as_ref().filter(|_| with_savings);
    let recommended = recommendations.map_or(&[][..], |kept| &kept.rows);
    let workflows = Capped::of(&kept.rows, kept.total, CAP, |steps| workflow_time(steps, recommended));
    let savings = workflows.items.iter().flat_map(|workflow| &workflow.savings);
    let ends = savings.flat_map(|saving| [saving.impact, saving.impact_upper]).filter(|end| end.is_finite());
    let savings_end = ends.reduce(f64::max).map(|end| end.clamp(0.01, 1.0));
    Part::Shown(Time { workflows, savings_end })
}

fn workflow_time(workflow: &WorkflowSteps, recommended: &[RecommendationRow]) -> WorkflowTime {
    let shown = workflow.steps.rows.get(..STEPS).unwrap_or(&workflow.steps.rows);
    let savings: Vec<SavingBar> = recommended
        .iter()
        .filter(|row| row.workflow_id == workflow.workflow_id && row.impact_upper > 0.0)
        .take(SAVINGS)
        .map(saving)
        .collect();
    WorkflowTime {
        workflow: format::name(&workflow.workflow_id),
        run: shown.first().map_or_else(String::new, |row| format::name(&row.typical_run_id)),
        took: format::duration(workflow.typical_ms),
        notes: notes(shown),
        gantt: gantt(workflow, shown),
        more: more(shown, workflow.steps.total),
        savings,
    }
}

fn notes(shown: &[StepTimesRow]) -> Vec<String> {
    let mut notes = Vec::new();
    if shown.iter().all(|row| row.wait_ms.is_nan()) {
        notes.push(
            "When its steps started is not recorded: each is drawn as early as its dependencies let it start."
                .to_owned(),
        );
    }
    if let Some(confidence) = shown.iter().find_map(|row| row.inferred_confidence) {
        notes.push(format!(
            "What waits for what was inferred from times, each with a confidence of {} or more.",
            format::confidence(confidence)
        ));
    }
    notes
}

fn more(shown: &[StepTimesRow], total: usize) -> Option<String> {
    let left_out = total.checked_sub(shown.len()).filter(|n| *n > 0)?;
    let share = 1.0 - shown.iter().map(|row| row.blocking_share).sum::<f64>();
    let steps = format::plural(left_out, "more step", "more steps");
    Some(format!("And {steps}, with {} of the time together", format::percent(share.max(0.0))))
}

fn gantt(workflow: &WorkflowSteps, shown: &[StepTimesRow]) -> Gantt {
    let mut rows: Vec<(&StepTimesRow, Option<[f64; 3]>)> = shown.iter().map(|row| (row, span(row))).collect();
    rows.sort_by(|(a, a_ms), (b, b_ms)| {
        let start = |ms: &Option<[f64; 3]>| ms.map_or((f64::INFINITY, f64::INFINITY), |[_, start, end]| (start, end));
        let ((a_start, a_end), (b_start, b_end)) = (start(a_ms), start(b_ms));
        a_start.total_cmp(&b_start).then_with(|| a_end.total_cmp(&b_end)).then_with(|| a.step.cmp(&b.step))
    });
    let critical: Vec<String> =
        rows.iter().filter(|(row, _)| row.is_on_critical_path).map(|(row, _)| format::name(&row.step)).collect();
    Gantt {
        description: format!(
            "{} steps over {}; its end waited for: {}.",
            rows.len(),
            format::duration(workflow.typical_ms),
            if critical.is_empty() { format::NOTHING.to_owned() } else { critical.join(", ") }
        ),
        end_ms: workflow.typical_ms,
        rows: rows.into_iter().map(|(row, span_ms)| gantt_row(row, span_ms)).collect(),
    }
}

fn gantt_row(row: &StepTimesRow, span_ms: Option<[f64; 3]>) -> GanttRow {
    let name = format::name(&row.step);
    let share = format::percent(row.blocking_share);
    let times = span_ms.map_or_else(
        || "not in this run".to_owned(),
        |[ready, start, end]| {
            let waited = if start > ready {
                format!(", after a wait of {}", format::duration(start - ready))
            } else {
                String::new()
            };
            format!("{} to {}{waited}", format::duration(start), format::duration(end))
        },
    );
    GanttRow {
        step: format::last_parts(&name, NAME_COLUMNS),
        title: format!("{name}: {times}; {share} of the runs’ time"),
        span_ms,
        is_critical: row.is_on_critical_path,
        share,
    }
}

/// When a step was ready, started and ended, as far as that can be drawn.
fn span(row: &StepTimesRow) -> Option<[f64; 3]> {
    let span = [row.typical_ready_ms?, row.typical_start_ms?, row.typical_end_ms?];
    span.iter().all(|ms| ms.is_finite()).then_some(span)
}

fn saving(row: &RecommendationRow) -> SavingBar {
    SavingBar {
        rank: row.rank,
        title: format::printable(&row.title),
        impact: row.impact,
        impact_lower: row.impact_lower,
        impact_upper: row.impact_upper,
        share: format::percent(row.impact),
        interval: format!(
            "{}, {} interval",
            format::range(row.impact_lower, row.impact_upper, "ratio"),
            format::level(row.level)
        ),
    }
}
