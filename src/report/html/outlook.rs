//! What will happen, and where things are heading.

use super::{heads, more, subject, table, tone_class};
use crate::report::charts;
use crate::report::format;
use crate::report::view::{Capped, Fan, Forecasts, TrendCell, TrendLine, Trends, View};
use maud::{Markup, html};

pub(super) fn forecasts(forecasts: &Forecasts, view: &View) -> Markup {
    let levels =
        forecasts.charts.first().map(|fan| fan.bands.iter().map(|band| format::level(band.level)).collect::<Vec<_>>());
    html! {
        p.note {
            span.key.past {} "history" span.key.point {} "forecast"
            @if let Some(levels) = levels { span.key.range {} "intervals, from the outside: " (levels.join(", ")) }
        }
        div.charts { @for (idx, fan) in forecasts.charts.iter().enumerate() { (figure(fan, view, idx)) } }
        @if forecasts.more > 0 {
            p.note { "And " (format::grouped_usize(forecasts.more)) " more series; see the table " code { "forecasts" } "." }
        }
    }
}

fn figure(fan: &Fan, view: &View, idx: usize) -> Markup {
    let zone = view.timezone.parse().unwrap_or(chrono_tz::Tz::UTC);
    html! {
        figure {
            h3 { (subject(&fan.subject)) }
            @if let Some(chart) = charts::fan(fan, zone, idx) { (chart) }
            figcaption {
                (fan.description) " Model: " (fan.model) "."
                @if charts::is_cut(fan) { " The widest intervals reach beyond the chart." }
            }
        }
    }
}

pub(super) fn trends(trends: &Trends) -> Markup {
    html! {
        p { (trends.overview) " “Stable” is shown by an interval within the margin; “unclear” is what can be shown neither way." }
        @if !trends.runs.is_empty() {
            (lines("Whole workflows: direction, and change over the window.", &trends.runs, &trends.windows))
            (more(&trends.runs, "series", "trends"))
        }
        @if !trends.steps.is_empty() {
            h3 { "Steps that degrade" }
            (lines("Largest change first.", &trends.steps, &trends.windows))
            (more(&trends.steps, "series", "trends"))
        }
    }
}

fn lines(caption: &str, lines: &Capped<TrendLine>, windows: &[i64]) -> Markup {
    let windows: Vec<String> = windows.iter().map(|days| format!("{days} days")).collect();
    let names: Vec<&str> = std::iter::once("Series").chain(windows.iter().map(String::as_str)).collect();
    let rows = html! {
        @for line in &lines.items {
            tr {
                th.name scope="row" { (subject(&line.subject)) }
                @for cell in &line.cells { td { (trend(cell.as_ref())) } }
            }
        }
    };
    table(caption, &heads(&names), &rows)
}

fn trend(cell: Option<&TrendCell>) -> Markup {
    html! {
        @match cell {
            None => span.muted { (format::NOTHING) },
            Some(cell) => {
                b class=(tone_class(cell.tone)) { (cell.direction) } " " (cell.change)
                br; span.muted.small { (cell.interval) }
            }
        }
    }
}
