//! The format of lines for people: the time zone, the clock, whether rooms are named.

use jiff::tz::TimeZone;
use mathia_protocol::id::TimeMs;

/// How lines are written for people.
#[derive(Debug, Clone)]
pub(crate) struct LineFormat {
    /// The zone of stamps.
    pub(crate) zone: TimeZone,
    /// Whether hours go to 24.
    pub(crate) is_24h: bool,
    /// Whether lines name their room.
    pub(crate) names_rooms: bool,
}

impl LineFormat {
    /// Stamps in the zone of this machine.
    pub(crate) fn local(is_24h: bool, names_rooms: bool) -> Self {
        Self { zone: TimeZone::system(), is_24h, names_rooms }
    }

    /// A time as people read it; empty for "never".
    pub(crate) fn stamp(&self, time: TimeMs) -> String {
        let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
        let Ok(stamp) = jiff::Timestamp::from_millisecond(millis) else { return String::new() };
        let format = if self.is_24h { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %I:%M %p" };
        stamp.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}
