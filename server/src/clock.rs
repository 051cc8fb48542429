//! The server's clock: time is an argument everywhere, and this is where it comes from.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use mathia_protocol::id::TimeMs;

/// Tells the time. Passed in, so that tests own the time they run in.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present time. May stand still or jump: nothing durable relies on its order.
    fn now_ms(&self) -> TimeMs;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now_ms(&self) -> TimeMs {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that moves only when a test moves it: for tests.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: TimeMs) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Moves the clock forward by milliseconds.
    pub fn advance(&self, by_ms: u64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> TimeMs {
        TimeMs(self.0.load(Ordering::SeqCst))
    }
}
