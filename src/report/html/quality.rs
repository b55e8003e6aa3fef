//! How good the predictions are, and what the numbers rest on.

use super::{heads, more, part, table};
use crate::report::view::{Capped, Quality, Reason, Scores, Target};
use maud::{Markup, html};

pub(super) fn scores(scores: &Scores) -> Markup {
    html! {
        @if !scores.predictions.is_empty() {
            p { "Each execution was predicted from those that ended before it started. Simple rules stand beside ours as rivals." }
            @for target in &scores.predictions.items { (predictions(target)) }
            (more(&scores.predictions, "targets", "model_scores"))
        }
        @if !scores.forecasts.is_empty() { (forecasts(scores)) }
    }
}

fn predictions(target: &Target) -> Markup {
    let names =
        ["Model", "#Executions", "#Within 20 %", "#Median error", "#Total error", "#Coverage", "#Upper / lower"];
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
        (table("Held-out executions, in the order of time. Coverage: the share inside the interval, of the share promised.", &heads(&names), &rows))
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
        p { "Every candidate that was tried on rolling origins; each series is forecast by the one that did best on it. A scaled error (MASE) below 1 beats the naive forecast by which it is scaled; the median over series is shown." }
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
