//! What will happen, and where things are heading.

use super::{heads, more, subject, table, tone_class};
use crate::report::charts;
use crate::report::format;
use crate::report::view::{Capacity, Capped, Fan, Forecasts, Need, TrendCell, TrendLine, Trends, View};
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

pub(super) fn capacity(capacity: &Capacity) -> Markup {
    let names = ["Resource", "#Needed on the busiest day", "#There is", "Short from", "#Probability of a shortage"];
    let row = |one: &Need| {
        html! {
            tr {
                td.name {
                    (one.resource)
                    @if let Some(provider) = &one.provider { " · " bdi { (provider) } }
                    @if let Some(growth) = &one.growth { br; span.muted.small { "at " (growth) " the runs" } }
                }
                td.num { (one.median) br; span.muted.small { (one.most) } }
                td.num { (one.capacity) }
                td { (one.exhausted) @if let Some(interval) = &one.interval { br; span.muted.small { (interval) } } }
                td.num { (one.probability) }
            }
        }
    };
    let rows = html! { @for one in &capacity.needs { (row(one)) } };
    html! {
        p { (capacity.sentence) }
        (table("What runs short first comes first. Needed: the median, and what suffices with a probability of 95 %, of a day or, of what is held, at once. Probability: of the day on which it is largest.", &heads(&names), &rows))
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
