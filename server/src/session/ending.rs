//! How connections end, and what the peer and the log get to know about it.

use mathia_protocol::wire::CloseCode;
use quinn::{ConnectionError, VarInt};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The peer left, or the network did.
    PeerLeft,
    /// What the peer sent is no frame, or none that makes sense there.
    Malformed,
    /// No opening frame came in time.
    NoHello,
    /// The device, its signature or the account is not known. Counted against the peer's network.
    LoginFailed,
    /// Registration, recovery or login was refused for another reason, which was sent to the peer.
    Refused,
    /// The peer took nothing, or left a frame unfinished, for too long.
    TooSlow,
    /// The device was revoked or signs wrongly, or the account was removed.
    Expelled,
    /// The server stops.
    Stopping,
    /// The server failed.
    Internal,
}

impl ConnectionEnd {
    /// The code that the peer is sent.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::PeerLeft => CloseCode::Bye,
            Self::Malformed => CloseCode::Malformed,
            Self::NoHello => CloseCode::NoHello,
            Self::LoginFailed | Self::Refused => CloseCode::Refused,
            Self::TooSlow => CloseCode::TooSlow,
            Self::Expelled => CloseCode::Expelled,
            Self::Stopping => CloseCode::Stopping,
            Self::Internal => CloseCode::Internal,
        }
    }

    /// One word for the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::PeerLeft => "left",
            Self::Malformed => "malformed",
            Self::NoHello => "no-hello",
            Self::LoginFailed => "login-failed",
            Self::Refused => "refused",
            Self::TooSlow => "too-slow",
            Self::Expelled => "expelled",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }

    /// Closes the connection. The reason is the code alone: strangers learn nothing from words.
    pub(super) fn close(self, connection: &quinn::Connection) {
        connection.close(VarInt::from_u32(self.close_code().number()), b"");
    }
}

impl From<super::frames::FrameError> for ConnectionEnd {
    fn from(error: super::frames::FrameError) -> Self {
        match error {
            super::frames::FrameError::Broken(_) => Self::PeerLeft,
            super::frames::FrameError::Version(_) | super::frames::FrameError::Wire(_) => {
                Self::Malformed
            }
        }
    }
}

impl From<ConnectionError> for ConnectionEnd {
    fn from(_: ConnectionError) -> Self {
        Self::PeerLeft
    }
}

impl From<quinn::WriteError> for ConnectionEnd {
    fn from(_: quinn::WriteError) -> Self {
        Self::PeerLeft
    }
}

impl From<crate::hub::SessionEnd> for ConnectionEnd {
    fn from(session_end: crate::hub::SessionEnd) -> Self {
        match session_end {
            crate::hub::SessionEnd::Expelled => Self::Expelled,
            crate::hub::SessionEnd::Stopping => Self::Stopping,
        }
    }
}
