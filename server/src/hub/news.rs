//! What the writer and the sessions tell the hub to spread.

use std::sync::Arc;

use bytes::Bytes;
use mathia_protocol::crypto::delta::AnswerId;
use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, Seq};

use super::Outbox;

/// One piece of news. A batch of them is spread in order, and each session is woken once a batch.
#[derive(Debug)]
pub enum News {
    /// An encoded reply or fault for one session. Never dropped.
    Answer {
        /// The session's outbox.
        outbox: Arc<Outbox>,
        /// The encoded frame.
        frame: Bytes,
    },
    /// A log entry for every session of every member of a room.
    Entry {
        /// The room.
        room: RoomNumber,
        /// The place.
        seq: Seq,
        /// The encoded frame, shared by all who get it.
        frame: Bytes,
    },
    /// An account became a member: its sessions hear the room from now on.
    Joined {
        /// The room.
        room: RoomNumber,
        /// Who.
        account: AccountId,
    },
    /// An account is no longer a member: its sessions hear the room no more.
    Left {
        /// The room.
        room: RoomNumber,
        /// Who.
        account: AccountId,
    },
    /// An event for all sessions of one account.
    Account {
        /// Whose.
        account: AccountId,
        /// The encoded frame.
        frame: Bytes,
    },
    /// An event for all sessions of one device.
    Device {
        /// Which.
        device: DeviceId,
        /// The encoded frame.
        frame: Bytes,
    },
    /// An event for every session in a room that is replaced by a newer one with the same key.
    Ephemeral {
        /// The room.
        room: RoomNumber,
        /// What it replaces.
        key: EphemeralKey,
        /// The encoded frame.
        frame: Bytes,
        /// An account that need not hear it.
        except: Option<AccountId>,
    },
    /// An event for every session in a room that must not be lost while the outbox has room
    /// (a key request, a grown chain).
    Room {
        /// The room.
        room: RoomNumber,
        /// The encoded frame.
        frame: Bytes,
        /// An account that need not hear it.
        except: Option<AccountId>,
    },
    /// A device was revoked or signs wrongly, or an account was removed: the sessions end.
    Expelled {
        /// The account.
        account: AccountId,
        /// One device; `None` for all.
        device: Option<DeviceId>,
    },
}

/// What an ephemeral event replaces in an outbox, and what goes first when space is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EphemeralKey {
    /// Mark counts of a room.
    Marks(RoomNumber),
    /// Signed ticks of a room, by author.
    Ticks(RoomNumber, AccountId),
    /// Presence of an account.
    Presence(AccountId),
    /// A piece of an answer: it replaces nothing, but is as worthless late.
    Delta(AnswerId, u32),
}

impl News {
    /// Says whether this is an answer to one session rather than news for many.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Answer { .. })
    }
}
