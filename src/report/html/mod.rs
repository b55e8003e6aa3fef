//! The page: one file, no script, nothing loaded from elsewhere. maud escapes every text.

mod actions;
mod findings;
mod outlook;
mod quality;
mod time;
mod verdicts;

use super::view::{Capped, Headline, Line, Part, Subject, Tile, Tone, View};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// The report as one self-contained HTML file.
#[must_use]
pub fn html(view: &View) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing may be loaded, whatever a name in the tables may look like.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="referrer" content="no-referrer";
                title { "Workflow performance as of " (view.as_of) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.top { (top(view)) }
                main { (sections(view)) }
                footer { p {
                    "Made from the published tables as of " (view.as_of) " " (view.timezone)
                    ". Intervals hold the truth with the probability that stands beside them. A dash is unknown, not zero."
                } }
            }
        }
    };
    page.into_string()
}

fn top(view: &View) -> Markup {
    html! {
        h1 { "Workflow performance" }
        p.muted { "As of " (view.as_of) ". Times are in " (view.timezone) "." }
        @if !view.summary.is_empty() { (summary(&view.summary)) }
        nav aria-label="Sections" {
            @for (id, title) in titles(view) { a href=(format!("#{id}")) { (title) } " " }
        }
    }
}

fn summary(lines: &[Line]) -> Markup {
    html! {
        ul.summary {
            @for line in lines { li { a href=(format!("#{}", line.section)) { (line.label) } " " (line.text) } }
        }
    }
}

fn titles(view: &View) -> Vec<(&'static str, &'static str)> {
    let all = [
        ("numbers", "The week in numbers", true),
        ("changes", "What changed", true),
        ("spread", "What scatters differently", view.spread_changes.is_some()),
        ("now", "What got slower just now", view.degradations.is_some()),
        ("slow", "What is slow", true),
        ("time", "What costs the time of a run", true),
        ("next", "What to do next", view.recommendations.is_some()),
        ("applied", "What applied recommendations did", view.outcomes.is_some()),
        ("outlook", "What will happen", view.forecasts.is_some()),
        ("capacity", "When capacity runs short", view.capacity.is_some()),
        ("strange", "What is strange", true),
        ("worked", "What worked", true),
        ("compared", "Like with like", true),
        ("trends", "Where things are heading", view.trends.is_some()),
        ("predictions", "How good the predictions are", true),
        ("quality", "What the numbers rest on", true),
    ];
    all.into_iter().filter_map(|(id, title, shown)| shown.then_some((id, title))).collect()
}

fn sections(view: &View) -> Markup {
    let body = |id: &str| match id {
        "numbers" => part(&view.headline, headline),
        "changes" => part(&view.changes, findings::changes),
        "spread" => view.spread_changes.as_ref().map_or_else(|| html! {}, findings::spread_changes),
        "now" => view.degradations.as_ref().map_or_else(|| html! {}, findings::degradations),
        "slow" => part(&view.slow, findings::slow),
        "time" => part(&view.time, time::time),
        "next" => optional(view.recommendations.as_ref(), actions::recommendations),
        "applied" => view.outcomes.as_ref().map_or_else(|| html! {}, actions::outcomes),
        "outlook" => optional(view.forecasts.as_ref(), |forecasts| outlook::forecasts(forecasts, view)),
        "capacity" => optional(view.capacity.as_ref(), outlook::capacity),
        "strange" => part(&view.anomalies, findings::anomalies),
        "worked" => part(&view.experiments, verdicts::experiments),
        "compared" => part(&view.comparisons, verdicts::comparisons),
        "trends" => optional(view.trends.as_ref(), outlook::trends),
        "predictions" => part(&view.scores, quality::scores),
        _ => quality::quality(&view.quality),
    };
    html! {
        @for (id, title) in titles(view) {
            section aria-labelledby=(id) { h2 id=(id) { (title) } (body(id)) }
        }
    }
}

fn part<T>(part: &Part<T>, shown: impl Fn(&T) -> Markup) -> Markup {
    match part {
        Part::Nothing(sentence) => html! { p.muted { (sentence) } },
        Part::Shown(content) => shown(content),
    }
}

fn optional<T>(content: Option<&Part<T>>, shown: impl Fn(&T) -> Markup) -> Markup {
    content.map_or_else(|| html! {}, |content| part(content, shown))
}

/// Where the rest of a list is.
fn more<T>(list: &Capped<T>, what: &str, table: &str) -> Markup {
    let n = super::format::grouped_usize(list.more);
    html! {
        @if list.more > 0 { p.note { "And " (n) " more " (what) "; see the table " code { (table) } "." } }
    }
}

fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Neutral => "",
    }
}

fn severity_class(severity: &str) -> &'static str {
    if matches!(severity, "high" | "critical") { "tag bad" } else { "tag" }
}

/// Names may be written in any direction: each is kept to itself.
fn subject(subject: &Subject) -> Markup {
    html! {
        bdi { (subject.workflow) }
        @if let Some(step) = &subject.step { " · " bdi { (step) } }
        @if let Some(metric) = &subject.metric { " · " (metric) }
    }
}

/// A table that scrolls within the page where it is wider; its caption does not.
fn table(caption: &str, head: &Markup, rows: &Markup) -> Markup {
    html! {
        figure.table {
            figcaption { (caption) }
            div.scroll { table { thead { tr { (head) } } tbody { (rows) } } }
        }
    }
}

/// Column heads; those that begin with `#` are over numbers.
fn heads(names: &[&str]) -> Markup {
    html! {
        @for name in names {
            @if let Some(number) = name.strip_prefix('#') { th.num scope="col" { (number) } }
            @else { th scope="col" { (name) } }
        }
    }
}

fn headline(headline: &Headline) -> Markup {
    html! {
        p.muted { (headline.period) }
        dl.tiles { @for tile in &headline.tiles { (tile_card(tile)) } }
        @if let Some(note) = &headline.note { p.note { (note) } }
        @if !headline.workflows.is_empty() { (workflows(headline)) }
    }
}

fn tile_card(tile: &Tile) -> Markup {
    html! {
        div.tile {
            dt { (tile.label) }
            dd {
                div.value { (tile.value) }
                div.small {
                    @match (&tile.change, &tile.before) {
                        (Some(change), Some(before)) => { span class=(tone_class(tile.tone)) { (change) } span.muted { " from " (before) } }
                        (None, Some(before)) => span.muted { "before: " (before) },
                        (_, None) => span.muted { "no week before" },
                    }
                }
            }
        }
    }
}

fn workflows(headline: &Headline) -> Markup {
    let labels: Vec<String> = headline.tiles.iter().map(|tile| format!("#{}", tile.label)).collect();
    let names: Vec<&str> = std::iter::once("Workflow").chain(labels.iter().map(String::as_str)).collect();
    let rows = html! {
        @for week in &headline.workflows.items {
            tr {
                th.name scope="row" { bdi { (week.workflow) } }
                @for tile in &week.numbers {
                    td.num {
                        (tile.value)
                        @if let Some(change) = &tile.change { br; span class=(format!("small {}", tone_class(tile.tone))) { (change) } }
                    }
                }
            }
        }
    };
    html! {
        (table("Each workflow, the one that ran longest first; below each number its change from the week before.", &heads(&names), &rows))
        (more(&headline.workflows, "workflows", "rollups"))
    }
}
