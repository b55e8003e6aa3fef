//! At which instants a cron expression comes due, through all changes of clocks.

use crate::config::Cron;
use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

/// Clocks are never put back further than this.
const WIDEST_SHIFT: TimeDelta = TimeDelta::hours(3);

/// The latest slot at or before `now`, none if there is none.
///
/// As in every cron: a job at one time of day that falls into the hour which is skipped in spring runs as soon as that
/// hour is over, and one that falls into the hour which comes twice in autumn runs once; a job that comes due again and
/// again follows the clock on the wall through both.
#[must_use]
pub fn previous_slot(cron: &Cron, timezone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let clock = WallClock::at(now, timezone);
    let mut best: Option<DateTime<Utc>> = None;
    for wall in clock.before(cron, clock.read(now) + WIDEST_SHIFT) {
        if best.is_some_and(|best| wall + WIDEST_SHIFT < clock.read(best)) {
            break;
        }
        best = best.max(instants(cron, timezone, wall).filter(|instant| *instant <= now).max());
    }
    best
}

/// The earliest slot after `now`, none if there is none; by the same rules.
#[must_use]
pub fn next_slot(cron: &Cron, timezone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let clock = WallClock::at(now, timezone);
    let mut best: Option<DateTime<Utc>> = None;
    for wall in clock.after(cron, clock.read(now) - WIDEST_SHIFT) {
        if best.is_some_and(|best| wall - WIDEST_SHIFT > clock.read(best)) {
            break;
        }
        let found = instants(cron, timezone, wall).filter(|instant| *instant > now).min();
        best = [best, found].into_iter().flatten().min();
    }
    best
}

/// A clock on the wall that keeps the offset it has at one instant. The real one differs from it by at most
/// [`WIDEST_SHIFT`], which is how far a search must look beyond its goal.
struct WallClock {
    offset: FixedOffset,
}

impl WallClock {
    fn at(now: DateTime<Utc>, timezone: Tz) -> Self {
        Self { offset: timezone.offset_from_utc_datetime(&now.naive_utc()).fix() }
    }

    fn read(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        let wall = instant.with_timezone(&self.offset).naive_local();
        wall.with_nanosecond(0).unwrap_or(wall)
    }

    /// Wall times at which `cron` comes due, latest first. croner sees them as UTC, which has no changes of clocks.
    fn before<'c>(&self, cron: &'c Cron, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + 'c {
        let previous = |at: &DateTime<Utc>| cron.pattern().find_previous_occurrence(at, false).ok();
        std::iter::successors(previous(&from.and_utc()), previous).map(|at| at.naive_utc())
    }

    /// The same, earliest first.
    fn after<'c>(&self, cron: &'c Cron, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + 'c {
        let next = |at: &DateTime<Utc>| cron.pattern().find_next_occurrence(at, false).ok();
        std::iter::successors(next(&from.and_utc()), next).map(|at| at.naive_utc())
    }
}

/// The instants at which a wall time of `cron` counts.
fn instants(cron: &Cron, timezone: Tz, wall: NaiveDateTime) -> impl Iterator<Item = DateTime<Utc>> {
    let (first, second) = match timezone.from_local_datetime(&wall) {
        MappedLocalTime::Single(only) => (Some(only), None),
        MappedLocalTime::Ambiguous(first, second) => (Some(first), Some(second).filter(|_| !cron.is_fixed_time())),
        MappedLocalTime::None => {
            (Some(wall).filter(|_| cron.is_fixed_time()).and_then(|at| after_gap(timezone, at)), None)
        }
    };
    [first, second].into_iter().flatten().map(|instant| instant.with_timezone(&Utc))
}

/// The first instant after the gap of the wall clock in which `wall` lies. Gaps end on full minutes.
fn after_gap(timezone: Tz, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
    let minute = wall.with_second(0)?;
    let longest = TimeDelta::days(1).num_minutes();
    (1..=longest).find_map(|minutes| timezone.from_local_datetime(&(minute + TimeDelta::minutes(minutes))).earliest())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use chrono_tz::Europe::Berlin;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// All slots in `[from, to]`, by `next_slot`; and the same backwards by `previous_slot`.
    fn slots(cron: &str, timezone: Tz, from: &str, to: &str) -> Vec<String> {
        let cron = Cron::parse(cron).unwrap();
        let second = TimeDelta::seconds(1);
        let forth: Vec<_> = std::iter::successors(next_slot(&cron, timezone, at(from) - second), |slot| {
            next_slot(&cron, timezone, *slot)
        })
        .take_while(|slot| *slot <= at(to))
        .collect();
        let mut back: Vec<_> = std::iter::successors(previous_slot(&cron, timezone, at(to)), |slot| {
            previous_slot(&cron, timezone, *slot - second)
        })
        .take_while(|slot| *slot >= at(from))
        .collect();
        back.reverse();
        assert_eq!(forth, back, "{cron}");
        forth.iter().map(|slot| slot.format("%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn slots_in_utc() {
        assert_eq!(
            slots("0 9 * * 1", Tz::UTC, "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z"),
            ["02T09:00", "09T09:00", "16T09:00"]
        );
        assert_eq!(
            slots("*/30 * * * *", Tz::UTC, "2026-11-01T00:10:00Z", "2026-11-01T01:30:00Z"),
            ["01T00:30", "01T01:00", "01T01:30"]
        );
        // Day of month or day of week, as in every cron.
        assert_eq!(
            slots("0 0 3 * 1", Tz::UTC, "2026-11-01T00:00:00Z", "2026-11-10T00:00:00Z"),
            ["02T00:00", "03T00:00", "09T00:00"]
        );
    }

    #[test]
    fn an_hour_that_is_skipped_delays_a_daily_job_and_not_the_clock() {
        // Berlin, 29 March 2026: 02:00 CET (01:00Z) is 03:00 CEST.
        let (from, to) = ("2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(slots("30 2 * * *", Berlin, from, to), ["28T01:30", "29T01:00", "30T00:30"]);
        assert_eq!(slots("0 3 * * *", Berlin, from, to), ["28T02:00", "29T01:00", "30T01:00"]);
        let (from, to) = ("2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
        assert_eq!(slots("0 * * * *", Berlin, from, to), ["29T00:00", "29T01:00", "29T02:00"]);
        assert_eq!(slots("*/20 2 * * *", Berlin, from, to), Vec::<String>::new());
    }

    #[test]
    fn an_hour_that_comes_twice_runs_a_daily_job_once_and_an_hourly_one_twice() {
        // Berlin, 25 October 2026: 03:00 CEST (01:00Z) is 02:00 CET.
        let (from, to) = ("2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(slots("30 2 * * *", Berlin, from, to), ["24T00:30", "25T00:30", "26T01:30"]);
        let (from, to) = ("2026-10-24T23:00:00Z", "2026-10-25T02:00:00Z");
        assert_eq!(slots("0 * * * *", Berlin, from, to), ["24T23:00", "25T00:00", "25T01:00", "25T02:00"]);
        assert_eq!(slots("*/30 2 * * *", Berlin, from, to), ["25T00:00", "25T00:30", "25T01:00", "25T01:30"]);
    }

    #[test]
    fn a_slot_is_its_own_previous_and_not_its_own_next() {
        let cron = Cron::hourly();
        let slot = at("2026-11-01T10:00:00Z");
        assert_eq!(previous_slot(&cron, Tz::UTC, slot), Some(slot));
        assert_eq!(previous_slot(&cron, Tz::UTC, slot + TimeDelta::milliseconds(1)), Some(slot));
        assert_eq!(next_slot(&cron, Tz::UTC, slot), Some(at("2026-11-01T11:00:00Z")));
        assert_eq!(next_slot(&cron, Tz::UTC, slot - TimeDelta::milliseconds(1)), Some(slot));
    }

    #[test]
    fn rare_slots_are_found_far_away() {
        let leap_day = Cron::parse("0 12 29 2 *").unwrap();
        let now = at("2026-11-01T00:00:00Z");
        assert_eq!(previous_slot(&leap_day, Berlin, now), Some(at("2024-02-29T11:00:00Z")));
        assert_eq!(next_slot(&leap_day, Berlin, now), Some(at("2028-02-29T11:00:00Z")));
    }
}
