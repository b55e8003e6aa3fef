//! What costs the time of a run.

use super::more;
use crate::report::view::{SavingBar, Time, WorkflowTime};
use crate::report::{charts, format};
use maud::{Markup, html};

pub(super) fn time(time: &Time) -> Markup {
    html! {
        p { "A run of typical length, step by step: each bar goes from a step’s first start to its last end. At the end of its line stands the part of all recent runs’ time in which nothing else was waited for; over all steps it adds up to 100 %." }
        @if let Some(end) = time.savings_end {
            p { "Below it: the share of end-to-end time that recommendations would save, each on its own, not to be added up. These bars are on one scale, which ends at " (format::percent(end)) "; whiskers are intervals." }
        }
        p.note {
            span.entry { span.key.critical {} "the run’s end waited for it (critical path)" } " "
            span.entry { span.key.step {} "other steps" } " "
            span.entry { span.key.wait {} "paler: ready, but not started yet" }
        }
        @for (idx, workflow) in time.workflows.items.iter().enumerate() { (of_workflow(workflow, idx, time.savings_end)) }
        (more(&time.workflows, "workflows", "step_times"))
    }
}

fn of_workflow(it: &WorkflowTime, idx: usize, savings_end: Option<f64>) -> Markup {
    let title = format!("Run {} of {}, step by step", it.run, it.workflow);
    html! {
        h3 { bdi { (it.workflow) } }
        figure {
            figcaption {
                "Run " bdi { (it.run) } " took " b { (it.took) } ", nearest to the median of the recent runs."
                @for note in &it.notes { " " (note) }
            }
            div.scroll { (charts::gantt(&it.gantt, &title, idx)) }
            @if let Some(more) = &it.more { p.note { (more) "; see the table " code { "step_times" } "." } }
        }
        @if let Some(end) = savings_end.filter(|_| !it.savings.is_empty()) {
            h4.under { "What its recommendations would save" }
            ol.savings { @for one in &it.savings { (saving(one, end)) } }
        }
    }
}

fn saving(it: &SavingBar, end: f64) -> Markup {
    let title = format!("{}: {} ({})", it.title, it.share, it.interval);
    html! {
        li {
            span.title { span.rank { (it.rank) "." } (it.title) }
            (charts::bar(it.impact, it.impact_lower, it.impact_upper, end, &title))
            span.figures { b { (it.share) } span.muted { " (" (it.interval) ")" } }
        }
    }
}
