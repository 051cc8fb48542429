//! The state of the connection, and since when it holds.

use std::time::Duration;

use mathia_protocol::client::ConnectionState;

use crate::safe_text::SafeText;

/// How the connection stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Connection {
    /// The first attempt is under way; nothing was known before.
    #[default]
    Starting,
    /// An attempt is under way after the connection was lost at that moment of the program's run.
    Reconnecting { lost_at: Duration },
    /// Logged in.
    Online { rtt: Duration, is_caught_up: bool },
    /// Not connected; the next attempt begins at that moment of the program's run.
    Offline { lost_at: Duration, retry_at: Duration, cause: SafeText },
    /// Not connected, and it stays so until a person does something.
    Stopped { cause: SafeText, is_untrusted: bool },
}

impl Connection {
    /// What the connection is after the engine reported a change at `run`.
    pub(crate) fn changed(&self, state: &ConnectionState, run: Duration) -> Self {
        match state {
            ConnectionState::Connecting => match self {
                Self::Starting => Self::Starting,
                _ => Self::Reconnecting { lost_at: self.lost_at().unwrap_or(run) },
            },
            ConnectionState::Online { rtt, is_caught_up } => {
                Self::Online { rtt: *rtt, is_caught_up: *is_caught_up }
            }
            ConnectionState::Offline { retry_in, cause } => Self::Offline {
                lost_at: self.lost_at().unwrap_or(run),
                retry_at: run + *retry_in,
                cause: SafeText::line(cause),
            },
            ConnectionState::Stopped { cause, is_untrusted } => {
                Self::Stopped { cause: SafeText::line(cause), is_untrusted: *is_untrusted }
            }
        }
    }

    /// No connection until the program is started again.
    pub(crate) fn stopped(cause: &str) -> Self {
        Self::Stopped { cause: SafeText::line(cause), is_untrusted: false }
    }

    /// Says whether the server can be reached now.
    pub(crate) fn is_online(&self) -> bool {
        matches!(self, Self::Online { .. })
    }

    fn lost_at(&self) -> Option<Duration> {
        match self {
            Self::Offline { lost_at, .. } | Self::Reconnecting { lost_at } => Some(*lost_at),
            Self::Starting | Self::Online { .. } | Self::Stopped { .. } => None,
        }
    }
}
