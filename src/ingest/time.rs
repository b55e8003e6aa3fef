//! Instants as other systems write them.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// Notations with an offset, tried after RFC 3339. `%#z` takes `+02`, `+0200` and `+02:00`.
const WITH_OFFSET: [&str; 3] = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z", "%Y%m%dT%H%M%S%.f%#z"];

/// Notations that end in a literal `Z`, tried after those with an offset. The last one puts the month first.
const WITH_Z: [&str; 3] = ["%Y-%m-%d %H:%M:%S%.fZ", "%Y%m%dT%H%M%S%.fZ", "%m-%d-%yT%H:%M:%SZ"];

/// Notations without a zone.
const NAIVE: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y%m%dT%H%M%S%.f", "%Y-%m-%d_%H-%M-%S"];

/// Microseconds since the epoch of a text that states its offset from UTC; none for anything else.
#[must_use]
pub fn parse_instant(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_micros());
    }
    let offset = WITH_OFFSET.iter().find_map(|format| DateTime::parse_from_str(text, format).ok());
    offset
        .map(|instant| instant.timestamp_micros())
        .or_else(|| WITH_Z.iter().find_map(|format| Some(naive(text, format)?.and_utc().timestamp_micros())))
}

/// A date and time that states no zone; none for anything else.
#[must_use]
pub fn parse_naive(text: &str) -> Option<NaiveDateTime> {
    NAIVE.iter().find_map(|format| naive(text.trim(), format))
}

fn naive(text: &str, format: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, format).ok()
}

/// Microseconds since the epoch of a wall-clock time in `zone`. A time that the clock showed twice is taken as its first
/// showing; one that it skipped is none.
#[must_use]
pub fn in_zone(wall_clock: NaiveDateTime, zone: Tz) -> Option<i64> {
    match zone.from_local_datetime(&wall_clock) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => Some(instant.timestamp_micros()),
        LocalResult::None => None,
    }
}

/// Microseconds since the epoch of a text; one that states no offset is a wall-clock time in `zone`.
#[must_use]
pub fn parse_in(text: &str, zone: Tz) -> Option<i64> {
    parse_instant(text).or_else(|| in_zone(parse_naive(text)?, zone))
}

/// The last date and time in a file name (`…_2023-04-10_10-09-42`) and where it begins.
#[must_use]
pub fn stamp_in_name(stem: &str) -> Option<(usize, NaiveDateTime)> {
    let stamps = ["%Y-%m-%d_%H-%M-%S", "%Y-%m-%dT%H-%M-%S", "%Y%m%d_%H%M%S", "%Y%m%dT%H%M%S"];
    let begins = stem.char_indices().rev().filter(|(_, letter)| letter.is_ascii_digit()).map(|(at, _)| at);
    begins.filter(|&at| !ends_in_digit(stem, at)).find_map(|at| {
        let text = stem.get(at..)?;
        stamps.iter().find_map(|format| {
            let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
            let mut parsed = chrono::format::Parsed::new();
            chrono::format::parse_and_remainder(&mut parsed, text, items.iter()).ok()?;
            Some((at, parsed.to_naive_datetime_with_offset(0).ok()?))
        })
    })
}

fn ends_in_digit(stem: &str, at: usize) -> bool {
    stem.get(..at).and_then(|before| before.chars().last()).is_some_and(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn reads_the_notations_of_real_systems_as_the_same_instant() {
        let expected = 1_585_719_735_000_000;
        for text in [
            "2020-04-01T05:42:15Z",
            "2020-04-01T05:42:15+00:00",
            "2020-03-31T19:42:15-10:00",
            "20200401T054215+0000",
            "04-01-20T05:42:15Z",
            "2020-04-01 05:42:15.000+00",
            "2020-04-01 05:42:15 +0000",
            "2020-04-01 07:42:15+02:00",
        ] {
            assert_eq!(parse_instant(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_no_instant() {
        for text in ["2020-04-01T05:42:15", "2020-04-01 05:42:15", "2020-04-01", "1585719735", "soon", ""] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
        assert!(parse_naive("2020-04-01 05:42:15.123").is_some());
    }

    #[test]
    fn a_wall_clock_time_needs_its_zone() {
        let summer = parse_naive("2023-04-10 10:09:42").unwrap();
        assert_eq!(in_zone(summer, Tz::UTC).unwrap() - in_zone(summer, Tz::Europe__Berlin).unwrap(), 7_200_000_000);
        let skipped = parse_naive("2023-03-26 02:30:00").unwrap();
        assert_eq!(in_zone(skipped, Tz::Europe__Berlin), None);
    }

    #[test]
    fn finds_the_time_in_a_file_name() {
        let (at, stamp) = stamp_in_name("bam_1__execution_trace_2023-04-10_10-09-42").unwrap();
        assert_eq!((at, stamp.to_string().as_str()), (23, "2023-04-10 10:09:42"));
        assert_eq!(stamp_in_name("trace_rnaseq"), None);
        assert_eq!(stamp_in_name(""), None);
    }
}
