//! Times as people read them: stamps, dates between messages, how long ago.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use mathia_protocol::id::TimeMs;

fn zoned(zone: &TimeZone, time: TimeMs) -> Zoned {
    let ms = i64::try_from(time.0).unwrap_or(i64::MAX);
    // A time no calendar holds comes from a broken clock; the beginning of time is as good.
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
}

/// The day a time falls on.
pub(crate) fn day(zone: &TimeZone, time: TimeMs) -> Date {
    zoned(zone, time).date()
}

/// `17:05`.
pub(crate) fn clock(zone: &TimeZone, time: TimeMs) -> String {
    zoned(zone, time).strftime("%H:%M").to_string()
}

/// `17:05` today, `16 Nov 17:05` on another day of the year, with the year otherwise.
pub(crate) fn moment(zone: &TimeZone, time: TimeMs, now: TimeMs) -> String {
    let (then, today) = (zoned(zone, time), day(zone, now));
    let format = if then.date() == today {
        "%H:%M"
    } else if then.date().year() == today.year() {
        "%-d %b %H:%M"
    } else {
        "%-d %b %Y %H:%M"
    };
    then.strftime(format).to_string()
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

/// `now`, `12 min`, `3 h`, `5 d`: how long ago, in one unit.
pub(crate) fn ago(time: TimeMs, now: TimeMs) -> String {
    match now.0.saturating_sub(time.0) / 60_000 {
        0 => "now".to_owned(),
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
        assert_eq!(ago(TimeMs(0), TimeMs(59_000)), "now");
        assert_eq!(ago(TimeMs(0), TimeMs(12 * 60_000)), "12 min");
        assert_eq!(ago(TimeMs(0), TimeMs(72 * 3_600_000)), "3 d");
    }

    #[test]
    fn a_time_beyond_the_calendar_is_shown_and_does_no_harm() {
        assert_eq!(clock(&TimeZone::UTC, TimeMs(u64::MAX)), "00:00");
    }
}
