//! Times as people read them: stamps, dates between messages, how long ago.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use mathia_protocol::id::TimeMs;

/// How a person reads the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat {
    /// The zone times are shown in.
    pub zone: TimeZone,
    /// `17:05` instead of `5:05p`.
    pub is_24h: bool,
}

impl TimeFormat {
    fn zoned(&self, time: TimeMs) -> Zoned {
        let ms = i64::try_from(time.0).unwrap_or(i64::MAX);
        // A time no calendar holds comes from a broken clock; the beginning of time is as good.
        let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_zoned(self.zone.clone())
    }

    /// The day a time falls on.
    pub(crate) fn day(&self, time: TimeMs) -> Date {
        self.zoned(time).date()
    }

    /// `17:05`, or `5:05p` in at most six columns.
    pub(crate) fn clock(&self, time: TimeMs) -> String {
        let then = self.zoned(time);
        if self.is_24h {
            return then.strftime("%H:%M").to_string();
        }
        let half = if then.hour() < 12 { "a" } else { "p" };
        format!("{}{half}", then.strftime("%-I:%M"))
    }

    /// `17:05` today, `16 Nov 17:05` on another day of the year, with the year otherwise.
    pub(crate) fn moment(&self, time: TimeMs, now: TimeMs) -> String {
        let (then, today) = (self.zoned(time), self.day(now));
        let clock = self.clock(time);
        if then.date() == today {
            clock
        } else if then.date().year() == today.year() {
            format!("{} {clock}", then.strftime("%-d %b"))
        } else {
            format!("{} {clock}", then.strftime("%-d %b %Y"))
        }
    }
}

/// `Today`, `Yesterday`, `Thursday 19 November`, with the year if it is another.
pub(crate) fn day_name(day: Date, today: Date) -> String {
    if day == today {
        "Today".to_owned()
    } else if today.checked_sub(1.day()).is_ok_and(|yesterday| day == yesterday) {
        "Yesterday".to_owned()
    } else if day.year() == today.year() {
        day.strftime("%A %-d %B").to_string()
    } else {
        day.strftime("%A %-d %B %Y").to_string()
    }
}

/// `1 min`, `12 min`, `3 h`, `5 d`: how long ago, in one unit.
pub(crate) fn ago(time: TimeMs, now: TimeMs) -> String {
    // Never "now": it stands beside people who are not here any more.
    match (now.0.saturating_sub(time.0) / 60_000).max(1) {
        minutes @ 1..60 => format!("{minutes} min"),
        minutes @ 60..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} d", minutes / 1440),
    }
}

/// `0:42`, `12:07`, `3:05:00`: a time that runs.
pub(crate) fn running(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_from_today() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let today = day("2026-11-20");
        assert_eq!(day_name(today, today), "Today");
        assert_eq!(day_name(day("2026-11-19"), today), "Yesterday");
        assert_eq!(day_name(day("2026-11-12"), today), "Thursday 12 November");
        assert_eq!(day_name(day("2025-01-01"), today), "Wednesday 1 January 2025");
    }

    #[test]
    fn running_times_and_times_ago_are_short() {
        assert_eq!(running(Duration::from_secs(42)), "0:42");
        assert_eq!(running(Duration::from_mins(185)), "3:05:00");
        assert_eq!(ago(TimeMs(0), TimeMs(59_000)), "1 min");
        assert_eq!(ago(TimeMs(0), TimeMs(12 * 60_000)), "12 min");
        assert_eq!(ago(TimeMs(0), TimeMs(72 * 3_600_000)), "3 d");
    }

    #[test]
    fn a_time_beyond_the_calendar_is_shown_and_does_no_harm() {
        let time_format = TimeFormat { zone: TimeZone::UTC, is_24h: true };
        assert_eq!(time_format.clock(TimeMs(u64::MAX)), "00:00");
    }

    #[test]
    fn half_a_day_has_twelve_hours() {
        let time_format = TimeFormat { zone: TimeZone::UTC, is_24h: false };
        let clock =
            |hour: u64, minute: u64| time_format.clock(TimeMs((hour * 60 + minute) * 60_000));
        assert_eq!(clock(0, 7), "12:07a");
        assert_eq!(clock(17, 5), "5:05p");
        assert_eq!(clock(12, 0), "12:00p");
    }
}
