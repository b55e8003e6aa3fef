//! What to do next.

use super::{heads, more, table};
use crate::report::view::{ActionChange, Brief, Capped, Outcomes, Recommendation, Recommendations};
use maud::{Markup, html};

pub(super) fn recommendations(recommendations: &Recommendations) -> Markup {
    html! {
        p { "Ranked by what they are expected to save; one that is first by lot is tried to see whether it works. Savings are per run, by replay of recorded runs." }
        ol.items { @for recommendation in &recommendations.first { (item(recommendation)) } }
        @if !recommendations.next.items.is_empty() { (next(&recommendations.next)) }
        (more(&recommendations.next, "recommendations", "recommendations"))
    }
}

fn item(it: &Recommendation) -> Markup {
    html! {
        li.item {
            h3 { span.rank { (it.rank) "." } (it.title) }
            p.figures {
                @match &it.saving {
                    Some(saving) => {
                        "Saves " b { (saving) } " per run of " bdi { (it.workflow) }
                        span.muted.small { " (" (it.saving_interval) ")" } ": " (it.impact)
                    }
                    None => { "Saves no time of a run of " bdi { (it.workflow) } }
                }
                @if let Some(usd) = &it.usd { ", and " (usd) }
                "."
            }
            @if let Some(together) = &it.portfolio {
                p.figures { "With those of this workflow that come before it: " (together) " per run." }
            }
            @if let Some(inferred) = &it.inferred {
                p.small { (inferred) }
            }
            p.small {
                "Effort " b { (it.effort) } " · risk " b { (it.risk) } " · works with probability " b { (it.probability) }
                " · " (it.category) " · " (it.status)
            }
            (diff(&it.actions))
            p.muted.small {
                code { (it.id) }
                (evidence(&it.evidence.items))
                @if it.evidence.more > 0 { " and " (it.evidence.more) " more" }
            }
        }
    }
}

/// What is to be changed, old struck out and new beside it.
fn diff(actions: &Capped<ActionChange>) -> Markup {
    html! {
        @if !actions.items.is_empty() {
            ul.diff { @for action in &actions.items { li { (change(action)) } } }
        }
        (more(actions, "settings", "recommendations"))
    }
}

fn change(action: &ActionChange) -> Markup {
    let ActionChange { op, path, from, to } = action;
    html! {
        (op) " " (path)
        @if from.is_some() || to.is_some() { ": " }
        @if let Some(from) = from { del.out { (from) } " " }
        @if let Some(to) = to { ins.in style="text-decoration:none" { (to) } }
    }
}

pub(super) fn evidence(rows: &[String]) -> Markup {
    html! {
        @if !rows.is_empty() {
            " · evidence: "
            @for (idx, row) in rows.iter().enumerate() { @if idx > 0 { ", " } code { (row) } }
        }
    }
}

pub(super) fn outcomes(outcomes: &Outcomes) -> Markup {
    let names = ["What", "Since", "Of", "#Predicted", "#Measured", "Verdict"];
    let rows = html! {
        @for it in &outcomes.items.items {
            tr {
                td.name { bdi { (it.workflow) } br; span.muted.small { (it.what) } }
                td { (it.since) }
                td { (it.metric) }
                td.num { (it.predicted) }
                td.num { (it.measured) @if let Some(interval) = &it.interval { br; span.muted.small { (interval) } } }
                td { b { (it.verdict) } br; span.muted.small { (it.reason) } }
            }
        }
    };
    let caption =
        "Latest first. Shares saved, measured at the runs before and since, given input sizes and kinds of days.";
    html! {
        p { (outcomes.sentence) }
        (table(caption, &heads(&names), &rows))
        (more(&outcomes.items, "applications", "outcomes"))
    }
}

fn next(brief: &Capped<Brief>) -> Markup {
    let names = ["#Rank", "What", "Workflow", "#Saves per run", "Effort", "Risk"];
    let rows = html! {
        @for it in &brief.items {
            tr {
                td.num { (it.rank) }
                td.name { (it.title) }
                td.name { bdi { (it.workflow) } }
                td.num { (it.saving) }
                td { (it.effort) }
                td { (it.risk) }
            }
        }
    };
    html! { h3 { "And then" } (table("In a line each.", &heads(&names), &rows)) }
}
