//! What changed, what is slow, what is strange.

use super::{heads, more, severity_class, subject, table, tone_class};
use crate::report::view::{
    Anomalies, Anomaly, Capped, Change, Changes, Degradation, Degradations, Slow, SlowStep, SpreadChange, SpreadChanges,
};
use crate::report::{charts, format};
use maud::{Markup, html};

pub(super) fn changes(changes: &Changes) -> Markup {
    html! {
        h3 { "In the last seven days" }
        @if changes.week.is_empty() { p.muted { "Nothing changed its normal." } }
        @else { (list(&changes.week, 0)) }
        @if !changes.month.is_empty() {
            h3 { "In the weeks before" }
            (list(&changes.month, changes.week.items.len()))
        }
        p.note { "Small charts: daily values, the change as a dashed line, the normal before and after it in colour." }
    }
}

fn list(changes: &Capped<Change>, first_id: usize) -> Markup {
    html! {
        ol.items { @for (idx, change) in changes.items.iter().enumerate() { (item(change, first_id + idx)) } }
        (more(changes, "with smaller effects", "change_points"))
    }
}

fn item(change: &Change, id: usize) -> Markup {
    html! {
        li.item.change {
            div {
                h4 { (subject(&change.subject)) " " span class=(format!("tag {}", tone_class(change.tone))) { (change.tone.word()) } }
                p.figures {
                    (change.before) " → " b { (change.after) } ", "
                    b class=(tone_class(change.tone)) { (change.effect) }
                    @if let Some(interval) = &change.interval { span.muted.small { " (" (interval) ")" } }
                }
                p.muted.small { "Since " (change.since) " · " (change.state) }
            }
            @if let Some(chart) = change.chart.as_ref().and_then(|chart| charts::spark(chart, id)) { (chart) }
        }
    }
}

pub(super) fn spread_changes(changes: &SpreadChanges) -> Markup {
    let names = ["What", "#Before", "#After", "#Change", "Since"];
    let row = |one: &SpreadChange| {
        html! {
            tr {
                td.name { (subject(&one.subject)) }
                td.num { (one.before) }
                td.num { (one.after) }
                td.num { (one.effect) br; span.muted.small { (one.interval) } }
                td { (one.since) }
            }
        }
    };
    let rows = html! { @for one in &changes.items.items { (row(one)) } };
    html! {
        p { (changes.sentence) }
        (table("Largest change first. Before and after: how many times the fast tenth of a day's executions the slow tenth takes.", &heads(&names), &rows))
        (more(&changes.items, "changes", "spread_changes"))
    }
}

pub(super) fn slow(slow: &Slow) -> Markup {
    html! {
        p { "Share of a run's end-to-end time that each costs, found by replaying recorded runs without it. All bars are on one scale, which ends at " (format::percent(slow.axis_end)) "; whiskers are intervals." }
        ol.items { @for step in &slow.items.items { (slow_step(step, slow.axis_end)) } }
        (more(&slow.items, "with smaller impact", "bottlenecks"))
    }
}

fn slow_step(step: &SlowStep, axis_end: f64) -> Markup {
    let title = format!("{}: {} ({})", step.subject.line(), step.share, step.interval);
    html! {
        li.item {
            h3 { (subject(&step.subject)) " " span class=(severity_class(&step.severity)) { (step.kind) ", " (step.severity) } }
            (charts::bar(step.impact, step.impact_lower, step.impact_upper, axis_end, &title))
            p.figures { b { (step.share) } span.muted.small { " (" (step.interval) ")" } ", " (step.cost) " of a typical run" }
            p { (step.description) }
            @if !step.causes.is_empty() {
                p.small { "Likely causes:" }
                ul.causes.small { @for cause in &step.causes { li { (cause) } } }
            }
            p.muted.small { "Since " (step.opened_at) (super::actions::evidence(&step.evidence)) }
        }
    }
}

pub(super) fn degradations(degradations: &Degradations) -> Markup {
    let names = ["Step", "Severity", "#Took", "#Expected", "#Factor", "#Executions"];
    let row = |one: &Degradation| {
        html! {
            tr {
                td.name { (subject(&one.subject)) }
                td { span class=(severity_class(&one.severity)) { (one.severity) } }
                td.num { (one.observed) }
                td.num { (one.expected) }
                td.num { (one.factor) br; span.muted.small { (one.range) } }
                td.num { (one.executions) }
            }
        }
    };
    let rows = html! { @for one in &degradations.items.items { (row(one)) } };
    html! {
        p { (degradations.sentence) }
        (table("Largest loss first. Expected is what like executions took: of the same size, provider and hour of the week.", &heads(&names), &rows))
        (more(&degradations.items, "steps", "degradations"))
    }
}

pub(super) fn anomalies(anomalies: &Anomalies) -> Markup {
    let names = ["Execution", "Severity", "What", "#Observed", "#Expected", "Reasons"];
    let rows = html! { @for anomaly in &anomalies.items.items { (anomaly_row(anomaly)) } };
    html! {
        p { (anomalies.total) }
        (table("Most severe first. Expected is what its size and group would have it; below it the range that holds.", &heads(&names), &rows))
        (more(&anomalies.items, "executions", "anomalies"))
    }
}

fn anomaly_row(anomaly: &Anomaly) -> Markup {
    html! {
        tr {
            td.name { (subject(&anomaly.subject)) br; span.muted.small { bdi { (anomaly.execution) } br; (anomaly.at) } }
            td { span class=(severity_class(&anomaly.severity)) { (anomaly.severity) } br; span.muted.small { "score " (anomaly.score) } }
            td { (anomaly.direction) br; span.muted.small { (anomaly.metric) } }
            td.num { (anomaly.observed) }
            td.num { (anomaly.expected) br; span.muted.small { (anomaly.range) } }
            td.small.name { @for (idx, reason) in anomaly.reasons.iter().enumerate() { @if idx > 0 { br; } (reason) } }
        }
    }
}
