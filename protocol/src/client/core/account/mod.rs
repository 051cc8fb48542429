//! This device: who it is, how the connection stands, and what it does for its own account.
//!
//! Owns the identity, the session's state and the backoff. Knows nothing of rooms.

mod connection;

use std::sync::Arc;
use std::time::Duration;

use super::super::event::ConnectionState;
use super::super::identity::Identity;
use super::super::record::ServerRecord;
use super::context::Context;
use crate::client::CommandError;
use crate::id::{AccountId, DeviceId, RoomId};
use connection::Link;

/// What the core is told at the start and never again.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port` of the server.
    pub address: String,
    /// The first 128 bits of the server's pin, if an invite told them.
    pub invite_pin: Option<[u8; 16]>,
    /// Whether there is a person to ask about a server key that nothing vouches for.
    pub has_trust_ask: bool,
    /// How long a command waits for the server.
    pub patience: Duration,
}

/// The own account on this device.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: AccountId,
    pub(super) device: DeviceId,
    pub(super) handle: String,
    pub(super) identity: Arc<Identity>,
    pub(super) settings: Settings,
    /// What is known of the server; written at each login.
    pub(super) server: Option<ServerRecord>,
    link: Link,
    /// The next pause of the backoff.
    pause: Duration,
    connection: ConnectionState,
    rtt: Duration,
    /// Whether this session has heard the heads of all rooms.
    pub(super) is_resumed: bool,
    /// Whether this process is the one that sends.
    pub(super) is_drainer: bool,
    pub(super) is_stopping: bool,
    /// How saving a changed identity ended, until the step that waits for it takes it.
    pub(super) saved: Option<Result<(), String>>,
    /// The room a face looked at last: it is caught up first.
    pub(super) visible: Option<RoomId>,
}

impl Account {
    /// An account that is not connected yet.
    pub(super) fn new(
        identity: Arc<Identity>,
        server: Option<ServerRecord>,
        settings: Settings,
    ) -> Self {
        Self {
            id: identity.account,
            device: identity.device(),
            handle: identity.handle.as_str().to_owned(),
            identity,
            settings,
            server,
            link: Link::Idle { retry_at: Duration::ZERO },
            pause: connection::PAUSE_MIN,
            connection: ConnectionState::Connecting,
            rtt: Duration::ZERO,
            is_resumed: false,
            is_drainer: false,
            is_stopping: false,
            saved: None,
            visible: None,
        }
    }

    /// Why there is no session.
    pub(super) fn offline(&self) -> CommandError {
        match &self.connection {
            ConnectionState::Stopped { cause, is_untrusted: true } => {
                CommandError::Untrusted(cause.clone())
            }
            ConnectionState::Stopped { cause, .. } => CommandError::NotLoggedIn(cause.clone()),
            ConnectionState::Offline { cause, .. } => CommandError::Offline(cause.clone()),
            _ => CommandError::Offline("no answer".to_owned()),
        }
    }

    /// Whether no further attempt to connect follows.
    pub(super) fn has_given_up(&self) -> bool {
        matches!(self.connection, ConnectionState::Stopped { .. })
    }

    /// Whether somebody sits in a session that stands.
    pub(super) fn is_sender(&self, cx: &Context<'_>) -> bool {
        self.is_drainer && cx.is_online() && !self.is_stopping
    }
}
