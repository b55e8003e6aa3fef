//! How good the predictions are, and what the numbers rest on.

use super::{heads, more, part, table};
use crate::report::view::{Capped, CoverageAlert, Quality, Reason, Scores, Target};
use maud::{Markup, html};

pub(super) fn scores(scores: &Scores) -> Markup {
    html! {
        @if !scores.alerts.is_empty() { (alerts(&scores.alerts)) }
        @if !scores.predictions.is_empty() {
            p { "Each execution was predicted from those that ended before it started. Simple rules stand beside ours as rivals." }
            @for target in &scores.predictions.items { (predictions(target, "Held-out executions", "#Executions")) }
            (more(&scores.predictions, "targets", "model_scores"))
        }
        @if !scores.runs.is_empty() {
            p { "Whole runs were predicted by replaying recent ones with what was expected of their steps before they started." }
            @for target in &scores.runs.items { (predictions(target, "Held-out runs", "#Runs")) }
            (more(&scores.runs, "targets", "model_scores"))
        }
        @if !scores.forecasts.is_empty() { (forecasts(scores)) }
    }
}

fn alerts(alerts: &Capped<CoverageAlert>) -> Markup {
    let names = ["What is predicted", "Model", "#Held out", "#Coverage", "Intervals are"];
    let rows = html! {
        @for alert in &alerts.items {
            tr {
                td.name { (alert.about) }
                td.name { (alert.model) }
                td.num { (alert.n) }
                td.num { (alert.coverage) }
                td { (alert.judged) }
            }
        }
    };
    html! {
        h3 { "Intervals that do not hold what they promise" }
        p { "Their share of held-out values lies outside what the promised coverage and chance explain (99 % binomial band)." }
        (table("Too narrow first, farthest off first.", &heads(&names), &rows))
        (more(alerts, "groups", "model_scores"))
    }
}

fn predictions(target: &Target, held_out: &str, count: &str) -> Markup {
    let names = ["Model", count, "#Within 20 %", "#Median error", "#Total error", "#Coverage", "#Upper / lower"];
    let rows = html! {
        @for model in &target.models {
            tr class=(if model.is_rival { "rival" } else { "" }) {
                th.name scope="row" { (model.model) @if model.is_rival { " " span.tag { "rival" } } }
                td.num { (model.n) }
                td.num { (model.in20) }
                td.num { (model.mdape) }
                td.num { (model.wape) }
                td.num { (model.coverage) }
                td.num { (model.width) }
            }
        }
    };
    html! {
        h3 { (target.target) }
        p { (target.verdict) }
        (table(&format!("{held_out}, in the order of time. Coverage: the share inside the interval, of the share promised."), &heads(&names), &rows))
    }
}

fn forecasts(scores: &Scores) -> Markup {
    let names = ["Metric", "Model", "#Series", "#Scaled error", "#Coverage"];
    let rows = html! {
        @for score in &scores.forecasts.items {
            tr {
                td { (score.metric) }
                td.name { (score.model) }
                td.num { (score.series) }
                td.num { (score.mase) }
                td.num { (score.coverage) }
            }
        }
    };
    html! {
        h3 { "Forecasts" }
        p { "Every candidate that was tried on rolling origins; each series is forecast by their mean, weighted by what they missed. A scaled error (MASE) below 1 beats the naive forecast by which it is scaled; the median over series is shown." }
        (table("All series of a metric together.", &heads(&names), &rows))
        (more(&scores.forecasts, "models", "model_scores"))
    }
}

pub(super) fn quality(quality: &Quality) -> Markup {
    html! {
        h3 { "Refused input" }
        (part(&quality.rejects, |reasons| listed(&quality.rejected, reasons, "Column", "rejects")))
        h3 { "Not analysed" }
        (part(&quality.skips, |reasons| listed(&quality.skipped, reasons, "Analysis", "skips")))
        @if !quality.missing.is_empty() {
            p.note {
                "Not published as of this instant: "
                @for (idx, table) in quality.missing.iter().enumerate() { @if idx > 0 { ", " } code { (table) } }
                "."
            }
        }
    }
}

fn listed(total: &str, reasons: &Capped<Reason>, about: &str, name: &str) -> Markup {
    let names = ["Reason", about, "#How often", "First example"];
    let rows = html! {
        @for reason in &reasons.items {
            tr {
                td.name { (reason.reason) }
                td { (reason.about) }
                td.num { (reason.rows) }
                td.name { bdi { (reason.example) } }
            }
        }
    };
    html! {
        p { (total) }
        (table("Most frequent first. Reasons that differ only in their numbers are counted together.", &heads(&names), &rows))
        (more(reasons, "reasons", name))
    }
}
