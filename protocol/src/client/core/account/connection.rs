//! The life of the connection: connect, log in, begin again.
//!
//! Owns the backoff, and what a failed attempt means. Losing the session loses nothing: every login
//! compares the heads of all rooms.

use std::time::Duration;

use rand::RngExt as _;

use super::super::context::Context;
use super::super::io::{CallError, ConnectFailure, Output};
use super::super::work::Work;
use super::Account;
use crate::client::event::{AlarmCause, ClientEvent, ConnectionState};
use crate::client::record::{PinSource, ServerRecord};
use crate::client::replica::Write;
use crate::client::trust::{Expected, TrustError};
use crate::id::Hash;
use crate::wire::Welcome;

/// The first pause after a lost connection.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A session that lasted this long was a good one: the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// A round trip is told again when it changed by half, and never for less than this.
const RTT_STEP_MIN: Duration = Duration::from_millis(4);

/// Where the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// No attempt is under way; the next begins at this uptime.
    Idle { retry_at: Duration },
    /// An attempt is under way; the pin's source if it succeeds.
    Connecting(PinSource),
    /// A person is asked about this key.
    AskingTrust(Hash),
    /// The session stands since this uptime.
    Online { since: Duration },
    /// No attempt follows.
    Ended,
}

impl Account {
    /// Connects when it is time.
    pub(in crate::client::core) fn connect_when_due(&mut self, cx: &mut Context<'_>) {
        let Link::Idle { retry_at } = self.link else { return };
        if self.is_stopping || !cx.is_due(retry_at) {
            return;
        }
        self.set_connection(ConnectionState::Connecting, cx);
        let (expected, source) = self.expected();
        self.connect(expected, source, cx);
    }

    fn connect(&mut self, expected: Expected, source: PinSource, cx: &mut Context<'_>) {
        self.link = Link::Connecting(source);
        cx.output(Output::Connect(expected));
    }

    fn expected(&self) -> (Expected, PinSource) {
        match (&self.server, self.settings.invite_pin) {
            (Some(server), _) => {
                let pins = [server.pin].into_iter().chain(server.next_pin).collect();
                (Expected::Pins(pins), server.source)
            }
            (None, Some(half)) => (Expected::InvitePin(half), PinSource::Invite),
            (None, None) => (Expected::FirstContact, PinSource::WebPki),
        }
    }

    /// A person wants to connect now.
    pub(in crate::client::core) fn connect_now(&mut self, cx: &mut Context<'_>) {
        if let Link::Idle { .. } = self.link {
            self.pause = PAUSE_MIN;
            self.link = Link::Idle { retry_at: cx.now.uptime };
            cx.changed();
        }
    }

    /// The session stands.
    pub(in crate::client::core) fn connected(
        &mut self,
        pin: Hash,
        welcome: &Welcome,
        rtt: Duration,
        cx: &mut Context<'_>,
    ) {
        let source = match self.link {
            Link::Connecting(source) => source,
            _ => PinSource::WebPki,
        };
        self.link = Link::Online { since: cx.now.uptime };
        self.rtt = rtt;
        self.is_resumed = false;
        self.remember_server(pin, source, welcome, cx);
        cx.begin_session();
        cx.start(Work::Resume);
    }

    fn remember_server(
        &mut self,
        pin: Hash,
        source: PinSource,
        welcome: &Welcome,
        cx: &mut Context<'_>,
    ) {
        // What the server says about its own present key counts for nothing: the handshake proved it.
        let next_pin = welcome.server_pin_next;
        let record = match self.server.take() {
            Some(known) => {
                let source = if known.pin == pin { known.source } else { PinSource::Announced };
                ServerRecord { pin, next_pin, source, ..known }
            }
            None => ServerRecord {
                address: self.settings.address.clone(),
                realm: self.identity.realm,
                pin,
                next_pin,
                source,
                first_seen: cx.now.time,
            },
        };
        let own = cx.now.time.0.cast_signed();
        let ahead_ms = welcome.time.0.cast_signed().saturating_sub(own);
        cx.write(vec![Write::Server(record.clone()), Write::ClockSkew { ahead_ms }]);
        self.server = Some(record);
    }

    /// An attempt failed.
    pub(in crate::client::core) fn connect_failed(
        &mut self,
        failure: ConnectFailure,
        cx: &mut Context<'_>,
    ) {
        match failure {
            ConnectFailure::Retry(cause) => self.pause_after(cause, cx),
            ConnectFailure::Refused(cause) => self.end(cause, false, cx),
            ConnectFailure::Untrusted(cause) => {
                cx.alarm(None, None, AlarmCause::ServerChanged, cause.clone());
                self.end(cause, true, cx);
            }
            ConnectFailure::Unvouched { pin, words } if self.settings.has_trust_ask => {
                self.link = Link::AskingTrust(pin);
                cx.output(Output::AskTrust { pin, words });
            }
            ConnectFailure::Unvouched { pin, words } => {
                let error = TrustError::Unvouched { pin, words };
                self.end(error.to_string(), true, cx);
            }
        }
    }

    /// A person decided about the server's key.
    pub(in crate::client::core) fn trust_decided(
        &mut self,
        is_trusted: bool,
        cx: &mut Context<'_>,
    ) {
        let Link::AskingTrust(pin) = self.link else { return };
        if is_trusted {
            self.connect(Expected::Pins(vec![pin]), PinSource::Asked, cx);
        } else {
            let words = crate::client::trust::pin_words(pin);
            self.end(TrustError::Unvouched { pin, words }.to_string(), true, cx);
        }
    }

    /// The session ended; everything that was open is lost.
    pub(in crate::client::core) fn disconnected(&mut self, cause: String, cx: &mut Context<'_>) {
        let Link::Online { since } = self.link else { return };
        if cx.now.uptime.saturating_sub(since) > GOOD_SESSION {
            self.pause = PAUSE_MIN;
        }
        cx.end_session(&CallError::Lost);
        self.pause_after(cause, cx);
    }

    fn pause_after(&mut self, cause: String, cx: &mut Context<'_>) {
        let retry_in = self.pause.mul_f64(0.5 + cx.rng.random::<f64>() / 2.0);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.link = Link::Idle { retry_at: cx.after(retry_in) };
        self.set_connection(ConnectionState::Offline { retry_in, cause }, cx);
    }

    fn end(&mut self, cause: String, is_untrusted: bool, cx: &mut Context<'_>) {
        self.link = Link::Ended;
        self.set_connection(ConnectionState::Stopped { cause, is_untrusted }, cx);
    }

    /// The round trip was measured.
    pub(in crate::client::core) fn measured(&mut self, rtt: Duration, cx: &mut Context<'_>) {
        self.rtt = rtt;
        cx.changed();
    }

    /// Reports how the connection stands, if there is one and it changed enough to show.
    pub(in crate::client::core) fn emit_connection(
        &mut self,
        is_caught_up: bool,
        cx: &mut Context<'_>,
    ) {
        if !cx.is_online() {
            return;
        }
        let rtt = self.rtt;
        if let ConnectionState::Online { rtt: known, is_caught_up: was } = self.connection
            && was == is_caught_up
            && known.abs_diff(rtt) < known.max(RTT_STEP_MIN) / 2
        {
            return;
        }
        self.set_connection(ConnectionState::Online { rtt, is_caught_up }, cx);
    }

    fn set_connection(&mut self, state: ConnectionState, cx: &mut Context<'_>) {
        if self.connection != state {
            self.connection = state.clone();
            cx.emit(ClientEvent::Connection(state));
        }
    }
}
