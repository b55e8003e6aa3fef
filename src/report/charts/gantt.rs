//! The steps of a run along its time.

use super::{at, share, tick_text, ticks};
use crate::report::view::{Gantt, GanttRow};
use maud::{Markup, html};

const WIDTH: f64 = 960.0;
/// Left end of the bars: names stand before it.
const LEFT: f64 = 208.0;
/// Right end of the bars: shares stand behind it.
const RIGHT: f64 = 876.0;
/// Height of the line of heads.
const HEAD: f64 = 20.0;
/// Height of a step.
const ROW: f64 = 24.0;
/// Height of its bar.
const BAR: f64 = 12.0;
/// Height of the time axis.
const FOOT: f64 = 24.0;
/// The shortest bar that can be seen.
const THIN: f64 = 1.5;
/// A tick this close to the end would have its text run into the shares.
const EDGE: f64 = 24.0;

/// One bar a step from its first start to its last end, its wait as a paler part before it, and the share of the time at the
/// end of the line. `id` tells charts of one page apart.
pub(in crate::report) fn gantt(gantt: &Gantt, title: &str, id: usize) -> Markup {
    // Where nothing took time, everything lies at the left end.
    let end_ms = if gantt.end_ms > 0.0 && gantt.end_ms.is_finite() { gantt.end_ms } else { 1.0 };
    let x = |ms: f64| LEFT + share(ms, (0.0, end_ms)) * (RIGHT - LEFT);
    let bottom = tops().nth(gantt.rows.len()).unwrap_or(HEAD);
    let height = bottom + FOOT;
    let (title_id, about_id) = (format!("gantt{id}-title"), format!("gantt{id}-about"));
    html! {
        svg.gantt viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby=(format!("{title_id} {about_id}")) {
            title id=(title_id) { (title) }
            desc id=(about_id) { (gantt.description) }
            text.tick x=(at(WIDTH)) y=(at(HEAD - 6.0)) text-anchor="end" { "of the time" }
            @for tick in ticks((0.0, end_ms), "ms") {
                line.grid x1=(at(x(tick))) x2=(at(x(tick))) y1=(at(HEAD)) y2=(at(bottom)) {}
                @if x(tick) <= RIGHT + EDGE {
                    text.tick x=(at(x(tick))) y=(at(height - 8.0)) text-anchor="middle" { (tick_text(tick, "ms")) }
                }
            }
            @for (row, top) in gantt.rows.iter().zip(tops()) { (line_of(row, top, x)) }
        }
    }
}

/// Where each line begins.
fn tops() -> impl Iterator<Item = f64> {
    std::iter::successors(Some(HEAD), |top| Some(top + ROW))
}

fn line_of(row: &GanttRow, top: f64, x: impl Fn(f64) -> f64) -> Markup {
    let middle = top + ROW / 2.0 + 4.5;
    let bar = |from: f64, to: f64| (at(from), at((to - from).max(THIN)));
    let (y, height) = (at(top + (ROW - BAR) / 2.0), at(BAR));
    html! {
        g.critical[row.is_critical] {
            title { (row.title) }
            // A picture within the picture cuts off what is too long for it.
            svg x="0" y=(at(top)) width="200" height=(at(ROW)) { text.step x="0" y="16.5" { (row.step) } }
            @if let Some([ready_ms, start_ms, end_ms]) = row.span_ms {
                @let (ready, start, end) = (x(ready_ms), x(start_ms), x(end_ms));
                @if start - ready >= THIN { rect.wait x=(at(ready)) y=(y) width=(at(start - ready)) height=(height) {} }
                @let (start, width) = bar(start, end);
                rect.run x=(start) y=(y) width=(width) height=(height) {}
            } @else {
                text.tick x=(at(LEFT)) y=(at(middle)) { "not in this run" }
            }
            text.share x=(at(WIDTH)) y=(at(middle)) text-anchor="end" { (row.share) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(end_ms: f64, spans: &[Option<[f64; 3]>]) -> String {
        let row = |span_ms: &Option<[f64; 3]>| GanttRow {
            step: "a <b>".to_owned(),
            title: "a & b".to_owned(),
            span_ms: *span_ms,
            is_critical: span_ms.is_some(),
            share: "5 %".to_owned(),
        };
        let rows = spans.iter().map(row).collect();
        gantt(&Gantt { description: "what".to_owned(), end_ms, rows }, "run", 4).into_string().replace('\u{a0}', " ")
    }

    #[test]
    fn bars_lie_along_the_time_of_the_run() {
        let drawn = drawn(100.0, &[Some([0.0, 25.0, 100.0]), None]);
        // The quarter that it waited, and the rest.
        assert!(drawn.contains("class=\"wait\" x=\"208.0\" y=\"26.0\" width=\"167.0\""), "{drawn}");
        assert!(drawn.contains("class=\"run\" x=\"375.0\" y=\"26.0\" width=\"501.0\""), "{drawn}");
        assert_eq!((drawn.matches("<rect").count(), drawn.matches("not in this run").count()), (2, 1));
        assert!(drawn.contains("gantt4-about") && drawn.contains("a &lt;b&gt;") && drawn.contains("a &amp; b"));
        assert!(drawn.contains("viewBox=\"0 0 960 92\"") && drawn.contains(">100 ms<"), "{drawn}");
    }

    #[test]
    fn no_time_is_no_reason_to_draw_nowhere() {
        for end_ms in [0.0, f64::NAN, f64::INFINITY, -1.0, 5e-324] {
            let drawn = drawn(end_ms, &[Some([0.0, 0.0, 0.0])]);
            assert!(drawn.contains("x=\"208.0\"") && !drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        }
    }
}
