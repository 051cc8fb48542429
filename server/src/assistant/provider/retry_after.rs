//! How long an upstream asks to be left alone. It is reported to people, never waited for here.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::HeaderMap;

use crate::limits::RETRY_AFTER_MAX;

/// Reads the wait from the headers of a refusal; `now` is for servers that give a date without
/// saying what time it is there.
pub fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let wait = text("retry-after-ms")
        .and_then(|text| Some(Duration::from_millis(text.parse().ok()?)))
        .or_else(|| after(text("retry-after")?, text("date"), now))
        .or_else(|| reset(text, "requests").max(reset(text, "tokens")));
    wait.filter(|wait| !wait.is_zero()).map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// `Retry-After`: seconds, with a fraction at some servers, or a date.
fn after(text: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let parser = DateTimeParser::new();
    let until = parser.parse_timestamp(text).ok()?;
    let from = date.and_then(|date| parser.parse_timestamp(date).ok()).unwrap_or(now);
    Duration::try_from(until.duration_since(from)).ok()
}

/// `x-ratelimit-reset-*` of a limit that is used up, as in `1s`, `6m0s`, `120ms` or `1m12.5s`.
fn reset<'a>(text: impl Fn(&str) -> Option<&'a str>, of: &str) -> Option<Duration> {
    let is_used_up = text(&format!("x-ratelimit-remaining-{of}")).is_none_or(|left| left == "0");
    let mut rest = text(&format!("x-ratelimit-reset-{of}")).filter(|_| is_used_up)?;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = behind;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        });
        read(&headers.collect(), "2026-11-25T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_wait_is_given_in_many_ways() {
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(wait(&[("retry-after", "20")]), seconds(20));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(
            wait(&[("retry-after-ms", "1500"), ("retry-after", "2")]),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(wait(&[("retry-after", "Wed, 25 Nov 2026 12:01:30 GMT")]), seconds(90));
        assert_eq!(
            wait(&[
                ("retry-after", "Wed, 25 Nov 2026 18:00:05 GMT"),
                ("date", "Wed, 25 Nov 2026 18:00:00 GMT"),
            ]),
            seconds(5)
        );
        assert_eq!(
            wait(&[("x-ratelimit-reset-requests", "1m12.5s")]),
            Some(Duration::from_millis(72_500))
        );
        assert_eq!(
            wait(&[
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-reset-requests", "6h0m0s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "20ms"),
            ]),
            Some(Duration::from_millis(20))
        );
    }

    #[test]
    fn nonsense_is_no_wait_and_a_long_one_is_cut() {
        for text in ["", "soon", "-1", "NaN", "inf", "1e300", "0", "Wed, 25 Nov 2026 11:00:00 GMT"]
        {
            assert_eq!(wait(&[("retry-after", text)]), None, "{text}");
        }
        for text in ["", "1", "s", "1x", "1..2s", "99999999999999999999999d"] {
            assert_eq!(wait(&[("x-ratelimit-reset-tokens", text)]), None, "{text}");
        }
        assert_eq!(wait(&[("retry-after", "999999999")]), Some(RETRY_AFTER_MAX));
    }
}
