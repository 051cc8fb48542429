//! The client's clock, passed in so that tests can set it an hour wrong.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::id::TimeMs;

/// Tells the time of day. Deadlines inside the engine use the monotonic clock instead.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since 1970.
    fn now(&self) -> TimeMs;
}

/// The machine's clock: the only place of this crate that reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimeMs {
        #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
