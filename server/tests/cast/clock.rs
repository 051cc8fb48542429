//! The clock of a town: the machine's, and as far ahead as the story has let time pass.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mathia_protocol::client;
use mathia_protocol::id::TimeMs;
use mathia_server::clock;

use super::now;

/// Shared by the server and by everybody whose clock is right.
#[derive(Debug, Default)]
pub(crate) struct TownClock {
    ahead_ms: AtomicU64,
}

impl TownClock {
    /// A clock that is ahead of the machine's.
    pub(crate) fn ahead(by: Duration) -> Self {
        let clock = Self::default();
        clock.passes(by);
        clock
    }

    /// Lets time pass.
    pub(crate) fn passes(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    fn time(&self) -> TimeMs {
        TimeMs(now().0 + self.ahead_ms.load(Ordering::SeqCst))
    }
}

impl client::Clock for TownClock {
    fn now(&self) -> TimeMs {
        self.time()
    }
}

impl clock::Clock for TownClock {
    fn now_ms(&self) -> TimeMs {
        self.time()
    }
}
