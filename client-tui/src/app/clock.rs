//! The only reader of clocks in the interactive client.

use std::time::Duration;

use jiff::Timestamp;
use mathia_protocol::id::TimeMs;
use tokio::time::Instant;

use super::now::Now;

/// Tells moments since the program started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// This moment.
    pub(crate) fn now(self) -> Now {
        let wall = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        Now { wall: TimeMs(wall), run: self.start.elapsed() }
    }

    /// When a time of the program's run is.
    pub(crate) fn at(self, run: Duration) -> Instant {
        self.start + run
    }
}
