//! Numbers, instants and names as people read them.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// Stands where there is nothing to show.
pub const NOTHING: &str = "–";
/// Between a number and its unit: a line never breaks there.
const GAP: char = '\u{a0}';
/// Longer names are cut, so that one of them can't push a table off the page.
const NAME_CHARS: usize = 80;

const SECOND: f64 = 1e3;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// A duration in milliseconds: `350 ms`, `12.3 s`, `4 m 5 s`, `1 h 23 m`, `2 d 4 h`.
#[must_use]
pub fn duration(ms: f64) -> String {
    if !ms.is_finite() {
        return NOTHING.to_owned();
    }
    let (sign, size) = (minus(ms), ms.abs());
    let text = if size < 999.5 {
        format!("{} ms", significant(size, 3))
    } else if size < 59.95 * SECOND {
        format!("{} s", significant(size / SECOND, 3))
    } else if size < HOUR - 500.0 {
        pair(size, MINUTE, "m", SECOND, "s")
    } else if size < DAY - 30.0 * SECOND {
        pair(size, HOUR, "h", MINUTE, "m")
    } else {
        pair(size, DAY, "d", HOUR, "h")
    };
    unbroken(&format!("{sign}{text}"))
}

fn unbroken(text: &str) -> String {
    text.replace(' ', &GAP.to_string())
}

/// `large` units and the rest in `small` ones, rounded to whole small ones first so that 59.9 s never reads `60 s`.
fn pair(size: f64, large: f64, large_name: &str, small: f64, small_name: &str) -> String {
    let smalls = (size / small).round();
    let per_large = (large / small).round();
    let (larges, rest) = ((smalls / per_large).floor(), smalls % per_large);
    if rest < 1.0 {
        format!("{} {large_name}", grouped(larges))
    } else {
        format!("{} {large_name} {rest} {small_name}", grouped(larges))
    }
}

/// Bytes in decimal units: `12 B`, `1.2 GB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    scaled(value, &[(1e15, " PB"), (1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")])
}

/// A count of things: `350`, `12,345`, `1.23 M`.
#[must_use]
pub fn count(value: f64) -> String {
    if value.is_finite() && value.abs() < 99_999.5 {
        let whole = value.round();
        let exact = (value - whole).abs() < 1e-9 || value.abs() >= 100.0;
        return if exact { format!("{}{}", minus(value), grouped(whole.abs())) } else { significant(value, 3) };
    }
    scaled(value, &[(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")])
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let (sign, size) = (minus(value), value.abs());
    // 0.9995 of a unit already rounds up to it at three digits.
    let unit = units.iter().find(|(unit, _)| size >= 0.9995 * unit).or(units.last());
    unit.map_or_else(String::new, |(unit, name)| unbroken(&format!("{sign}{}{name}", significant(size / unit, 3))))
}

/// US dollars: `$1,234`, `$12.34`, `$0.30`, `$0.0123`.
#[must_use]
pub fn usd(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let (sign, size) = (minus(value), value.abs());
    if size >= 999.5 {
        format!("{sign}${}", grouped(size.round()))
    } else if !(1e-9..0.0995).contains(&size) {
        format!("{sign}${size:.2}")
    } else {
        format!("{sign}${}", significant(size, 3))
    }
}

/// A ratio (0-1) in percent: `12.3 %`.
#[must_use]
pub fn percent(ratio: f64) -> String {
    if !ratio.is_finite() {
        return NOTHING.to_owned();
    }
    let percent = ratio * 100.0;
    // Two digits say all that an estimate knows; near 100 % the distance from it is what matters.
    let digits = if (99.0..100.0).contains(&percent) { 4 } else { 3 };
    format!("{}{}{GAP}%", minus(percent), significant(percent.abs(), digits))
}

/// A relative change: `+12 %`, `−5 %`, and from three times on `× 3.4`.
#[must_use]
pub fn change(ratio: f64) -> String {
    if !ratio.is_finite() {
        return NOTHING.to_owned();
    }
    if ratio >= 3.0 {
        return times(ratio);
    }
    signed_percent(ratio - 1.0)
}

/// A factor: `× 3.4`.
#[must_use]
pub fn times(factor: f64) -> String {
    format!("×{GAP}{}", significant(factor, 3))
}

/// A difference of ratios with its sign: `+12 %`, `−0.5 %`, `±0 %`.
#[must_use]
pub fn signed_percent(relative: f64) -> String {
    if !relative.is_finite() {
        return NOTHING.to_owned();
    }
    signed(relative * 100.0, "%")
}

/// A difference of shares in percentage points: `+3.2 points`.
#[must_use]
pub fn points(difference: f64) -> String {
    if !difference.is_finite() {
        return NOTHING.to_owned();
    }
    signed(difference * 100.0, "points")
}

fn signed(percent: f64, unit: &str) -> String {
    let text = tenths(percent.abs());
    let sign = match text.as_str() {
        "0" => "±",
        _ if percent < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{text}{GAP}{unit}")
}

/// Changes are never known to more than a tenth of a percent, and large ones not even to that.
fn tenths(size: f64) -> String {
    match size {
        size if size >= 99.5 => significant(size, 3),
        size if size >= 9.95 => significant(size, 2),
        size => significant((size * 10.0).round() / 10.0, 2),
    }
}

/// A value in the unit that a published table names: `ms`, `mb`, `bytes`, `usd`, `ratio`, `pct`, `tokens`, ….
#[must_use]
pub fn value(value: f64, unit: &str) -> String {
    match unit {
        "ms" => duration(value),
        "mb" => bytes(value * 1e6),
        "bytes" => bytes(value),
        "usd" => usd(value),
        "ratio" => percent(value),
        "pct" => percent(value / 100.0),
        "tokens" | "calls" | "executions" if value.is_finite() => format!("{}{GAP}{unit}", count(value)),
        _ => count(value),
    }
}

/// `lower to upper`, each in `unit`.
#[must_use]
pub fn range(lower: f64, upper: f64, unit: &str) -> String {
    let first = if matches!(unit, "tokens" | "calls" | "executions") { count(lower) } else { value(lower, unit) };
    format!("{first} to {}", value(upper, unit))
}

/// A probability as people say it: `95 %`.
#[must_use]
pub fn level(level: f64) -> String {
    percent(level)
}

/// A confidence, rounded down: none reads as certainty.
#[must_use]
pub fn confidence(confidence: f64) -> String {
    percent((confidence * 1e3).floor().min(999.0) / 1e3)
}

/// `digits` significant digits without trailing zeros; thousands grouped.
#[must_use]
pub fn significant(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let size = value.abs();
    if size < f64::MIN_POSITIVE {
        return "0".to_owned();
    }
    if !(1e-9..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    #[expect(clippy::cast_possible_truncation, reason = "the magnitude was just bounded to -9..15")]
    let magnitude = size.log10().floor() as i32;
    let decimals = digits - 1 - magnitude;
    let sign = minus(value);
    match usize::try_from(decimals) {
        Ok(0) => format!("{sign}{}", grouped(size.round())),
        Ok(decimals) => format!("{sign}{}", without_trailing_zeros(&format!("{size:.decimals$}"))),
        Err(_negative) => format!("{sign}{}", grouped(rounded_at(size, -decimals))),
    }
}

fn rounded_at(size: f64, power: i32) -> f64 {
    let unit = 10_f64.powi(power);
    (size / unit).round() * unit
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A whole number below 1e15 with its thousands apart.
fn grouped(whole: f64) -> String {
    let digits = format!("{whole:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn minus(value: f64) -> &'static str {
    if value < 0.0 { "−" } else { "" }
}

/// An instant to the minute in `zone`: `2026-10-05 14:00`.
#[must_use]
pub fn instant(us: i64, zone: Tz) -> String {
    in_zone(us, zone, "%Y-%m-%d %H:%M")
}

/// A day in `zone`: `5 Oct`.
#[must_use]
pub fn day(us: i64, zone: Tz) -> String {
    in_zone(us, zone, "%-d %b")
}

/// The time of the day in `zone`: `14:00`.
#[must_use]
pub fn clock(us: i64, zone: Tz) -> String {
    in_zone(us, zone, "%H:%M")
}

fn in_zone(us: i64, zone: Tz, pattern: &str) -> String {
    DateTime::<Utc>::from_timestamp_micros(us)
        .map_or_else(|| NOTHING.to_owned(), |instant| instant.with_timezone(&zone).format(pattern).to_string())
}

/// A name from outside as it may be shown: control characters (which could steer a terminal) made visible, and those
/// that reverse the direction of text left out; cut where it is very long.
#[must_use]
pub fn name(text: &str) -> String {
    let shown = printable(text);
    if shown.chars().count() <= NAME_CHARS {
        return shown;
    }
    let cut: String = shown.chars().take(NAME_CHARS - 1).collect();
    format!("{cut}…")
}

/// A name within `columns` of a line, in which wide characters (those of East Asian scripts, and pictures) take two.
#[must_use]
pub fn cut(name: &str, columns: usize) -> String {
    let width = |c: char| if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..) { 2 } else { 1 };
    if name.chars().map(width).sum::<usize>() <= columns {
        return name.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += width(*c);
        used <= columns
    };
    let kept: String = name.chars().take_while(fits).collect();
    format!("{kept}…")
}

/// The last parts of a name that fit within `columns`, where it is too long and has parts: what comes first is what such
/// names have in common. Without parts its beginning, as [`cut`].
#[must_use]
pub fn last_parts(name: &str, columns: usize) -> String {
    let whole = cut(name, columns);
    if whole == name {
        return whole;
    }
    let ends = name.char_indices().filter(|(_, letter)| matches!(letter, ':' | '/' | '.'));
    let ends = ends.map(|(at, letter)| &name[at + letter.len_utf8()..]).filter(|end| !end.is_empty());
    let ends: Vec<String> = ends.map(|end| format!("…{end}")).collect();
    let fitting = ends.iter().find(|end| cut(end, columns) == **end).or(ends.last());
    fitting.map_or(whole, |end| cut(end, columns))
}

/// Text from outside with control characters made visible, whole.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !turns_text(*c)).map(visible).collect()
}

fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn visible(c: char) -> char {
    match c {
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' => '\u{fffd}',
        // The pictures of control characters stand in their order from U+2400.
        c if c.is_control() => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        c => c,
    }
}

/// `execution_time` → `execution time`, `RESOURCE_ALLOCATION` → `resource allocation`.
#[must_use]
pub fn words(identifier: &str) -> String {
    printable(identifier).replace('_', " ").to_lowercase()
}

/// `1 run`, `2 runs`.
#[must_use]
pub fn plural(n: usize, one: &str, many: &str) -> String {
    let grouped = grouped_usize(n);
    if n == 1 { format!("{grouped} {one}") } else { format!("{grouped} {many}") }
}

/// A count with its thousands apart.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
pub fn grouped_usize(n: usize) -> String {
    grouped(n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace(GAP, " ")
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let cases = [
            (0.0, "0 ms"),
            (0.456, "0.456 ms"),
            (999.4, "999 ms"),
            (999.6, "1 s"),
            (12_345.0, "12.3 s"),
            (59_960.0, "1 m"),
            (245_000.0, "4 m 5 s"),
            (3_599_900.0, "1 h"),
            (4_980_000.0, "1 h 23 m"),
            (86_399_000.0, "1 d"),
            (187_200_000.0, "2 d 4 h"),
            (-1_500.0, "−1.5 s"),
            (f64::NAN, NOTHING),
            (f64::INFINITY, NOTHING),
        ];
        for (ms, expected) in cases {
            assert_eq!(plain(&duration(ms)), expected, "{ms}");
        }
    }

    #[test]
    fn numbers_have_sensible_digits() {
        let cases = [
            (bytes(0.0), "0 B"),
            (bytes(12.0), "12 B"),
            (bytes(999_600.0), "1 MB"),
            (bytes(1.234e9), "1.23 GB"),
            (count(3.0), "3"),
            (count(12_345.0), "12,345"),
            (count(-12_345.0), "−12,345"),
            (count(1_234_567.0), "1.23 M"),
            (count(0.25), "0.25"),
            (count(99_999.4), "99,999"),
            (usd(0.0), "$0.00"),
            (usd(0.012_34), "$0.0123"),
            (usd(0.3), "$0.30"),
            (usd(12.345_6), "$12.35"),
            (usd(12_345.6), "$12,346"),
            (percent(0.1234), "12.3 %"),
            (percent(0.9987), "99.87 %"),
            (percent(1.0), "100 %"),
            (percent(0.0), "0 %"),
            (change(1.25), "+25 %"),
            (change(0.5), "−50 %"),
            (change(1.0), "±0 %"),
            (change(1.0099), "+1 %"),
            (change(2.234), "+123 %"),
            (change(3.456), "× 3.46"),
            (points(-0.0321), "−3.2 points"),
            (significant(1_234.5, 3), "1,230"),
            (significant(0.000_123_4, 2), "0.00012"),
            (significant(99.96, 3), "100"),
            (value(1_500.0, "mb"), "1.5 GB"),
            (value(150.0, "pct"), "150 %"),
            (range(3.0, 4.0, "tokens"), "3 to 4 tokens"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(&text), expected);
        }
    }

    #[test]
    fn every_number_has_a_text() {
        let odd =
            [0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324];
        for number in odd {
            for unit in ["ms", "mb", "bytes", "usd", "ratio", "pct", "tokens", "calls", "executions", "", "what?"] {
                assert!(!value(number, unit).is_empty(), "{number} {unit}");
            }
            assert!(!change(number).is_empty() && !points(number).is_empty() && !signed_percent(number).is_empty());
        }
    }

    #[test]
    fn names_can_neither_steer_a_terminal_nor_turn_text() {
        assert_eq!(name("a\u{1b}[31m\nb\u{202e}c\u{9b}"), "a␛[31m␊bc\u{fffd}");
        assert_eq!(name(&"ü".repeat(100)).chars().count(), 80);
        assert_eq!(words("RESOURCE_ALLOCATION"), "resource allocation");
        assert_eq!(
            (cut("align", 5), cut("aligned", 5), cut("整列する", 5)),
            ("align".into(), "alig…".into(), "整列…".into())
        );
    }

    #[test]
    fn instants_are_shown_in_the_zone() {
        let us = 1_791_207_000_000_000; // 2026-10-05T13:30:00Z
        assert_eq!(instant(us, Tz::Europe__Berlin), "2026-10-05 15:30");
        assert_eq!((day(us, Tz::UTC), clock(us, Tz::UTC)), ("5 Oct".to_owned(), "13:30".to_owned()));
        assert_eq!(instant(i64::MAX, Tz::UTC), NOTHING);
    }

    #[test]
    fn of_names_in_parts_the_last_ones_are_kept() {
        assert_eq!(last_parts("align", 10), "align");
        assert_eq!(last_parts("SAREK:BAM:INDEX", 10), "…BAM:INDEX");
        assert_eq!(last_parts("SAREK:BAM:INDEX", 9), "…INDEX");
        assert_eq!(last_parts("SAREK:MARKDUPLICATES", 9), "…MARKDUP…");
        assert_eq!(last_parts("MARKDUPLICATES", 9), "MARKDUPL…");
    }
}
