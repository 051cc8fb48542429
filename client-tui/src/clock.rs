//! The one place of the client that reads the time.
//!
//! Everything else takes the time as an argument, so that tests decide it. No other module may ask
//! the system.

use mathia_protocol::id::TimeMs;

/// Reads the system's clock, in milliseconds since 1970 UTC; a clock before that reads as 0.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of the client")]
pub fn now() -> TimeMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    TimeMs(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// Writes a time as the commands print it: UTC, whole seconds, `2026-11-20T17:00:00Z`.
pub fn rfc3339(time: TimeMs) -> String {
    let seconds = i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |stamp| stamp.to_string())
}

/// Reads a time as people write it for `schedule`: RFC 3339, or a span such as `10m` from now.
pub fn parse_when(text: &str, now: TimeMs) -> Option<TimeMs> {
    if let Some(span) = parse_span(text) {
        let millis = u64::try_from(span.as_millis()).ok()?;
        return now.0.checked_add(millis).map(TimeMs);
    }
    let stamp: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok().map(TimeMs)
}

/// Reads a span such as `10s`, `500ms`, `2h` or `7d`; a bare number is refused, it has no unit.
pub fn parse_span(text: &str) -> Option<std::time::Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(std::time::Duration::from_millis)
}

/// Reads a span from the command line.
///
/// # Errors
///
/// A sentence about what a span looks like.
pub(crate) fn span_arg(text: &str) -> Result<std::time::Duration, String> {
    parse_span(text).ok_or_else(|| "a time has a number and a unit, such as 10s or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_printed_in_utc_without_fractions() {
        assert_eq!(rfc3339(TimeMs(1_795_194_000_999)), "2026-11-20T17:00:00Z");
        assert_eq!(rfc3339(TimeMs(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(TimeMs(u64::MAX)), "");
    }

    #[test]
    fn spans_need_a_unit() {
        assert_eq!(parse_span("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_span("7d"), Some(Duration::from_hours(7 * 24)));
        for bad in ["", "10", "s", "-1s", "1y", "99999999999999999999d"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_due_time_is_a_moment_or_a_span_from_now() {
        let now = TimeMs(1_795_194_000_000);
        assert_eq!(parse_when("10m", now), Some(TimeMs(1_795_194_600_000)));
        assert_eq!(parse_when("2026-11-20T18:00:00+01:00", now), Some(now));
        assert_eq!(parse_when("tomorrow", now), None);
    }
}
