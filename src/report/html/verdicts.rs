//! What worked, and how alike things compare.

use super::{heads, more, table};
use crate::report::charts;
use crate::report::format;
use crate::report::view::{Arm, Comparisons, Experiment, Experiments};
use maud::{Markup, html};

pub(super) fn experiments(experiments: &Experiments) -> Markup {
    html! {
        @for (number, experiment) in experiments.items.items.iter().enumerate() { (one(experiment, number)) }
        (more(&experiments.items, "experiments", "experiments"))
    }
}

fn one(experiment: &Experiment, number: usize) -> Markup {
    let names = ["Metric", "Arm", "#Units", "#Estimate", "#Against control", "Decision"];
    let rows = html! { @for arm in &experiment.arms.items { (arm_row(arm)) } };
    html! {
        h3 { bdi { (experiment.id) } ": " (experiment.decisions) }
        @if let Some(warning) = &experiment.warning { p.bad { (warning) } }
        p.muted.small { "On " bdi { (experiment.workflow_type) } " · " (experiment.method) }
        @for (place, course) in experiment.courses.iter().enumerate() {
            // Arms that are drawn are few, so that no two charts share a name.
            @if let Some(chart) = charts::course(course, 100 * number + place) {
                figure { (chart) figcaption.muted.small { (course.description) } }
            }
        }
        (table("Each arm by metric; below each effect its interval.", &heads(&names), &rows))
        (more(&experiment.arms, "arms", "experiments"))
    }
}

fn arm_row(arm: &Arm) -> Markup {
    html! {
        tr {
            td { (arm.metric) }
            td.name { bdi { (arm.arm) } }
            td.num { (arm.n) }
            td.num { (arm.estimate) }
            td.num {
                @match &arm.effect {
                    None => span.muted { "control" },
                    Some(effect) => (effect),
                }
                @if let Some(interval) = &arm.interval { br; span.muted.small { (interval) } }
            }
            td {
                (arm.decision.as_deref().unwrap_or(format::NOTHING))
                @if let Some(reason) = &arm.reason { br; span.muted.small { (reason) } }
            }
        }
    }
}

pub(super) fn comparisons(comparisons: &Comparisons) -> Markup {
    let names = ["Finding", "Within", "#Ratio", "#Executions"];
    let rows = html! {
        @for pair in &comparisons.items.items {
            tr {
                td.name { (pair.finding) br; span.muted.small { (pair.dimension) } }
                td.name { bdi { (pair.workflow_type) } }
                td.num { (pair.ratio) br; span.muted.small { (pair.interval) } }
                td.num { (pair.n) }
            }
        }
    };
    html! {
        (table("Over executions of the same steps at the same sizes; below each ratio its interval.", &heads(&names), &rows))
        (more(&comparisons.items, "pairs", "comparisons"))
    }
}
