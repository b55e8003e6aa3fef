//! Charts as inline SVG. Colours come from the page's style sheet by class, so that charts follow light and dark.

mod gantt;

pub(super) use gantt::gantt;

use super::format;
use super::view::{Band, Course, Fan, Spark};
use crate::pure::units::DAY_US;
use chrono_tz::Tz;
use maud::{Markup, html};
use std::fmt::Write;

const FAN: Frame = Frame { width: 460.0, height: 236.0, left: 64.0, right: 10.0, top: 12.0, bottom: 26.0 };
const SPARK: Frame = Frame { width: 260.0, height: 64.0, left: 4.0, right: 4.0, top: 6.0, bottom: 6.0 };
/// Intervals that reach further than this many times the largest value are cut, lest they flatten all else.
const REACH: f64 = 3.0;
/// An axis starts at zero unless the values lie closer together than this share of the largest.
const ZERO_SHARE: f64 = 0.5;

/// The drawing area within a picture.
#[derive(Debug, Clone, Copy)]
struct Frame {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// From values to positions.
#[derive(Debug, Clone, Copy)]
struct Scale {
    frame: Frame,
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn x(&self, at_us: i64) -> f64 {
        let Frame { width, left, right, .. } = self.frame;
        left + share(as_f64(at_us), self.x) * (width - left - right)
    }

    fn y(&self, value: f64) -> f64 {
        let Frame { height, top, bottom, .. } = self.frame;
        height - bottom - share(value, self.y) * (height - top - bottom)
    }
}

/// Where a value lies between two ends, 0-1; the middle where the ends are one.
fn share(value: f64, (from, to): (f64, f64)) -> f64 {
    let width = to - from;
    if width > 0.0 && width.is_finite() { ((value - from) / width).clamp(0.0, 1.0) } else { 0.5 }
}

#[expect(clippy::cast_precision_loss, reason = "a fraction of a second more or less is no pixel")]
fn as_f64(us: i64) -> f64 {
    us as f64
}

/// A line through the points; gaps where nothing is known. A point between two gaps becomes a dot by its round cap.
fn line(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (x, y) in points {
        if y.is_finite() {
            let op = if is_drawing { 'L' } else { 'M' };
            push(&mut path, op, x, y);
            if !is_drawing {
                push(&mut path, 'L', x, y);
            }
        }
        is_drawing = y.is_finite();
    }
    path
}

fn push(path: &mut String, op: char, x: f64, y: f64) {
    // Writing to a string can't fail.
    let _ = write!(path, "{op}{x:.1} {y:.1}");
}

fn at(position: f64) -> String {
    format!("{position:.1}")
}

/// Known numbers' extremes, none where there are none.
fn extremes(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let known = values.into_iter().filter(|value| value.is_finite());
    known.fold(None, |ends, value| {
        let (low, high) = ends.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// From zero where the values come near it, else with some room.
fn axis((low, high): (f64, f64)) -> (f64, f64) {
    let room = (high - low).max(high.abs() * 0.1) * 0.08;
    let from = if low >= 0.0 && (high - low) > ZERO_SHARE * high * 0.5 { 0.0 } else { low - room };
    let from = if low >= 0.0 { from.max(0.0) } else { from };
    let to = high + room;
    if to > from { (from, to) } else { (from, from + 1.0) }
}

/// History and forecast with a band a level; nothing where there is nothing to draw.
pub(super) fn fan(fan: &Fan, zone: Tz, id: usize) -> Option<Markup> {
    let scale = fan_scale(fan)?;
    // Days are UTC days; hours are shown on the reader's clock.
    let zone = if fan.period_us < DAY_US { zone } else { Tz::UTC };
    let history = gapless(&fan.history, fan.period_us);
    let title = format!("{}: history and forecast", fan.subject.line());
    let place =
        |(at_us, value): &(i64, f64)| (scale.x(*at_us), if value.is_finite() { scale.y(*value) } else { f64::NAN });
    let y_ticks = ticks(scale.y, &fan.unit);
    let Frame { width, height, left, right, top, bottom } = FAN;
    let cutoff = fan.points.first().map(|(start, _)| scale.x(*start));
    let (title_id, about_id) = (format!("fan{id}-title"), format!("fan{id}-about"));
    Some(html! {
        svg.chart viewBox=(format!("0 0 {width} {height}")) role="img" aria-labelledby=(format!("{title_id} {about_id}")) {
            title id=(title_id) { (title) }
            desc id=(about_id) { (fan.description) }
            @for tick in y_ticks {
                line.grid x1=(at(left)) x2=(at(width - right)) y1=(at(scale.y(tick))) y2=(at(scale.y(tick))) {}
                text.tick x=(at(left - 6.0)) y=(at(scale.y(tick) + 4.0)) text-anchor="end" { (tick_text(tick, &fan.unit)) }
            }
            @for (tick, text) in time_ticks(fan, zone) {
                text.tick x=(at(scale.x(tick))) y=(at(height - 8.0)) text-anchor="middle" { (text) }
            }
            @for (idx, band) in fan.bands.iter().enumerate() {
                path class=(format!("band band{}", idx.min(2))) d=(band_path(band, scale)) {}
            }
            @if let Some(x) = cutoff {
                line.now x1=(at(x)) x2=(at(x)) y1=(at(top)) y2=(at(height - bottom)) {}
            }
            path.history d=(line(history.iter().map(place))) {}
            path.forecast d=(line(fan.points.iter().map(place))) {}
        }
    })
}

/// Whether an interval reaches beyond the chart.
pub(super) fn is_cut(fan: &Fan) -> bool {
    let ends = fan.bands.iter().flat_map(|band| &band.ends).map(|(_, _, upper)| *upper);
    fan_scale(fan).is_some_and(|scale| ends.fold(0.0, f64::max) > scale.y.1)
}

fn fan_scale(fan: &Fan) -> Option<Scale> {
    let drawn = fan.history.iter().chain(&fan.points);
    let (low, high) = extremes(drawn.clone().map(|(_, value)| *value))?;
    let ends = || fan.bands.iter().flat_map(|band| &band.ends);
    let lower = extremes(ends().map(|(_, lower, _)| *lower)).map_or(low, |(lower, _)| lower.min(low));
    let upper = extremes(ends().map(|(_, _, upper)| *upper)).map_or(high, |(_, upper)| upper.max(high));
    let reach = high.abs().max(low.abs()) * REACH;
    let (from, to) = (lower.max(-reach), upper.min(reach.max(high)));
    let (first, last) = (drawn.clone().map(|(at, _)| *at).min()?, drawn.map(|(at, _)| *at).max()?);
    Some(Scale { frame: FAN, x: (as_f64(first), as_f64(last)), y: axis((from, to.max(from))) })
}

fn band_path(band: &Band, scale: Scale) -> String {
    let known: Vec<_> = band.ends.iter().filter(|(_, lower, upper)| lower.is_finite() && upper.is_finite()).collect();
    let uppers = known.iter().map(|(start, _, upper)| (scale.x(*start), scale.y(*upper)));
    let lowers = known.iter().rev().map(|(start, lower, _)| (scale.x(*start), scale.y(*lower)));
    let mut path = String::new();
    for (idx, (x, y)) in uppers.chain(lowers).enumerate() {
        push(&mut path, if idx == 0 { 'M' } else { 'L' }, x, y);
    }
    if !path.is_empty() {
        path.push('Z');
    }
    path
}

/// Buckets in which nothing ran are absent from the rollups: the line must not bridge them.
fn gapless(points: &[(i64, f64)], period_us: i64) -> Vec<(i64, f64)> {
    let mut filled = Vec::with_capacity(points.len());
    let mut previous: Option<i64> = None;
    for &(start, value) in points {
        if let Some(before) = previous.filter(|before| start.saturating_sub(*before) > period_us) {
            filled.push((before.saturating_add(period_us), f64::NAN));
        }
        filled.push((start, value));
        previous = Some(start);
    }
    filled
}

/// Axis labels have little room; what is counted stands in the title.
fn tick_text(tick: f64, unit: &str) -> String {
    match unit {
        "ms" | "mb" | "bytes" if tick.abs() < f64::MIN_POSITIVE => "0".to_owned(),
        "tokens" | "calls" | "executions" => format::count(tick),
        unit => format::value(tick, unit),
    }
}

/// Round values within an axis: three to six of them.
fn ticks((from, to): (f64, f64), unit: &str) -> Vec<f64> {
    let step = step(to - from, unit);
    if !(step > 0.0 && step.is_finite()) {
        return Vec::new();
    }
    let first = (from / step).ceil();
    (0..=8).map(|idx| (first + f64::from(idx)) * step).take_while(|tick| *tick <= to).collect()
}

/// Steps of time that people count in, in milliseconds.
const TIME_STEPS: [f64; 17] = [
    1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1_800e3, 3_600e3, 7_200e3, 10_800e3, 21_600e3,
    43_200e3,
];

fn step(span: f64, unit: &str) -> f64 {
    let rough = span / 5.0;
    let of_time = TIME_STEPS.iter().copied().find(|step| *step >= rough);
    match of_time {
        Some(step) if unit == "ms" && rough > 500.0 => step,
        _ if unit == "ms" && rough > 500.0 => decimal_step(rough / 86_400e3) * 86_400e3,
        _ => decimal_step(rough),
    }
}

/// The next larger of 1, 2 and 5 times a power of ten.
fn decimal_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
}

/// Two to six instants along the time axis, with their texts.
fn time_ticks(fan: &Fan, zone: Tz) -> Vec<(i64, String)> {
    let starts = || fan.history.iter().chain(&fan.points).map(|(start, _)| *start);
    let (Some(first), Some(last)) = (starts().min(), starts().max()) else { return Vec::new() };
    let hour = DAY_US / 24;
    let steps =
        [hour / 4, hour, 3 * hour, 6 * hour, 12 * hour, DAY_US, 2 * DAY_US, 7 * DAY_US, 14 * DAY_US, 30 * DAY_US];
    let span = last.saturating_sub(first);
    let step = steps.into_iter().find(|step| span / step <= 6).unwrap_or((span / 6).max(1));
    let text = |at: i64| if step < DAY_US { format::clock(at, zone) } else { format::day(at, zone) };
    // A label at the very end would be cut in half.
    let edge = span / 20;
    let mut ticks = Vec::new();
    let mut at = last.div_euclid(step).saturating_mul(step);
    while at >= first && ticks.len() < 8 {
        if at <= last.saturating_sub(edge) && at >= first.saturating_add(edge) {
            ticks.push((at, text(at)));
        }
        at = at.saturating_sub(step);
    }
    ticks.reverse();
    ticks
}

/// A small line with the change marked and the centres before and after it.
pub(super) fn spark(spark: &Spark, id: usize) -> Option<Markup> {
    let (low, high) = extremes(spark.points.iter().map(|(_, value)| *value).chain([spark.before, spark.after]))?;
    let (first, last) = (spark.points.first()?.0, spark.points.last()?.0);
    let scale = Scale { frame: SPARK, x: (as_f64(first), as_f64(last)), y: axis((low, high)) };
    let points = gapless(&spark.points, DAY_US);
    let place =
        |(at_us, value): &(i64, f64)| (scale.x(*at_us), if value.is_finite() { scale.y(*value) } else { f64::NAN });
    let changed = scale.x(spark.changed_us);
    let level = |from: f64, to: f64, value: f64| {
        line(
            [(from, scale.y(value)), (to, scale.y(value))]
                .map(|(x, y)| (x, if value.is_finite() { y } else { f64::NAN })),
        )
    };
    let title_id = format!("spark{id}");
    let Frame { width, height, top, bottom, .. } = SPARK;
    Some(html! {
        svg.spark viewBox=(format!("0 0 {width} {height}")) role="img" aria-labelledby=(title_id) {
            title id=(title_id) { (spark.description) }
            line.now x1=(at(changed)) x2=(at(changed)) y1=(at(top)) y2=(at(height - bottom)) {}
            path.level d=(level(scale.x(first), changed, spark.before)) {}
            path.level d=(level(changed, scale.x(last), spark.after)) {}
            path.history d=(line(points.iter().map(place))) {}
        }
    })
}

/// An effect and its interval over the looks, beside the line of no effect.
pub(super) fn course(course: &Course, id: usize) -> Option<Markup> {
    let ends = course.looks.iter().flat_map(|(_, _, lower, upper)| [*lower, *upper]);
    let (low, high) = extremes(ends.chain([0.0]))?;
    let (first, last) = (course.looks.first()?.0, course.looks.last()?.0);
    let scale = Scale { frame: SPARK, x: (as_f64(first), as_f64(last)), y: (low, high) };
    let place = |at_us: i64, value: f64| (scale.x(at_us), scale.y(value));
    let upper = line(course.looks.iter().map(|(at_us, _, _, upper)| place(*at_us, *upper)));
    let lower = line(course.looks.iter().rev().map(|(at_us, _, lower, _)| place(*at_us, *lower)));
    let band = format!("{upper}{}Z", lower.replacen('M', "L", 1));
    let title_id = format!("course{id}");
    let Frame { width, height, .. } = SPARK;
    Some(html! {
        svg.spark.course viewBox=(format!("0 0 {width} {height}")) role="img" aria-labelledby=(title_id) {
            title id=(title_id) { (course.description) }
            path.band d=(band) {}
            line.now x1=(at(scale.x(first))) x2=(at(scale.x(last))) y1=(at(scale.y(0.0))) y2=(at(scale.y(0.0))) {}
            path.level d=(line(course.looks.iter().map(|(at_us, effect, _, _)| place(*at_us, *effect)))) {}
        }
    })
}

/// A bar from zero to `value` with its interval, on an axis that ends at `end`. It stretches with the page.
pub(super) fn bar(value: f64, lower: f64, upper: f64, end: f64, title: &str) -> Markup {
    let position = |value: f64| if value.is_finite() { 100.0 * share(value, (0.0, end)) } else { 0.0 };
    let (from, to) = (position(lower), position(upper));
    html! {
        svg.bar viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label=(title) {
            rect.track x="0" y="0" width="100" height="12" {}
            rect.value x="0" y="2" width=(at(position(value))) height="8" {}
            @if to > from {
                line.whisker x1=(at(from)) x2=(at(to)) y1="6" y2="6" {}
                line.whisker x1=(at(from)) x2=(at(from)) y1="3" y2="9" {}
                line.whisker x1=(at(to)) x2=(at(to)) y1="3" y2="9" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(ticks((0.0, 100.0), "executions"), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks((0.0, 230_000.0), "ms"), [0.0, 60_000.0, 120_000.0, 180_000.0]);
        for ends in
            [(0.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (1.0, 1.0), (-5.0, -1.0), (0.0, 1e300), (0.0, 5e-324)]
        {
            for unit in ["ms", "usd"] {
                assert!(ticks(ends, unit).iter().all(|tick| *tick >= ends.0 && *tick <= ends.1), "{ends:?}");
            }
        }
    }

    #[test]
    fn lines_break_where_nothing_ran() {
        let points = gapless(&[(0, 1.0), (DAY_US, 2.0), (5 * DAY_US, 3.0)], DAY_US);
        assert_eq!(points.iter().filter(|(_, value)| value.is_nan()).count(), 1);
        assert_eq!(line([(0.0, 1.0), (1.0, f64::NAN), (2.0, 2.0)]).matches('M').count(), 2);
    }

    #[test]
    fn an_effect_is_drawn_in_its_interval_beside_none() {
        let looks = vec![(0, -0.1, -0.3, 0.1), (DAY_US, -0.12, -0.2, -0.04)];
        let drawn = course(&Course { description: "a & b".to_owned(), looks }, 3).map(Markup::into_string);
        let drawn = drawn.unwrap_or_default();
        assert!(drawn.contains("course3") && drawn.contains("a &amp; b") && !drawn.contains("NaN"), "{drawn}");
        // Up along one end, back along the other.
        let band =
            drawn.split("class=\"band\" d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        assert!(band.starts_with('M') && band.ends_with('Z') && band.matches('M').count() == 1, "{band}");
        assert!(course(&Course { description: String::new(), looks: vec![] }, 0).is_none());
    }

    #[test]
    fn no_axis_is_empty() {
        for (low, high) in [(0.0, 0.0), (5.0, 5.0), (-3.0, -3.0), (1.0, 2.0), (0.0, 1e9)] {
            let (from, to) = axis((low, high));
            assert!(from < to && from <= low && to >= high, "{low} {high}");
        }
    }

    #[test]
    fn bars_stay_on_their_track() {
        let drawn = bar(f64::INFINITY, -1.0, 9.0, 0.5, "a \"b\"").into_string();
        assert!(drawn.contains("x1=\"0.0\" x2=\"100.0\"") && drawn.contains("a &quot;b&quot;"), "{drawn}");
    }
}
