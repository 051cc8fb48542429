//! How durations are written on the command line and in the configuration: `30m`, `12h`, `7d`.

use std::time::Duration;

/// Reads `90s`, `30m`, `12h`, `7d` or `2w`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration; write it like 30m, 12h or 7d");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(bad()),
    };
    let total = number.checked_mul(seconds).filter(|total| (1..=3_650 * 86_400).contains(total));
    total.map(Duration::from_secs).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_a_unit() {
        assert_eq!(parse_duration("7d").unwrap().as_secs(), 604_800);
        assert_eq!(parse_duration("90s").unwrap().as_secs(), 90);
        for bad in ["", "7", "d", "0d", "-1d", "7 d", "99999999999999999d", "7y"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
