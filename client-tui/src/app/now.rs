//! The two clocks of a moment, read once by the shell and passed in.

use std::time::Duration;

use mathia_protocol::id::TimeMs;

/// A moment: the wall clock, and how long the program has run.
///
/// The wall clock is for stamps and may jump; the running time is for waiting and never does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970-01-01 UTC.
    pub wall: TimeMs,
    /// Since the program started.
    pub run: Duration,
}
