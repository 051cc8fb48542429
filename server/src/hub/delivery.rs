//! What leaves a batch: answers to one session, and deliveries to everybody whom they concern.
//!
//! Owns the difference: an [`SessionAnswer`] belongs to a session of this process and never leaves it; a
//! [`Delivery`] names rooms, accounts and devices only, so that a [`Bus`](super::Bus) can carry it
//! to wherever their sessions are.

use std::sync::Arc;

use bytes::Bytes;
use mathia_protocol::crypto::delta::AnswerId;
use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, Seq};

use super::FrameQueue;

/// An encoded reply or fault for one session. Never dropped.
#[derive(Debug)]
pub struct SessionAnswer {
    /// The session's queue.
    pub frame_queue: Arc<FrameQueue>,
    /// The encoded frame.
    pub frame: Bytes,
}

/// One thing to deliver, or one change of who gets what. A batch of them is delivered in order, and
/// each session is woken once a batch.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// A log entry for every session of every member of a room.
    Entry {
        /// The room.
        room: RoomNumber,
        /// Its place in the log.
        seq: Seq,
        /// The encoded frame, shared by all who get it.
        frame: Bytes,
    },
    /// An account became a member: its sessions get the room from now on.
    Joined {
        /// The room.
        room: RoomNumber,
        /// The account.
        account: AccountId,
    },
    /// An account is no longer a member: its sessions get nothing more of the room.
    Left {
        /// The room.
        room: RoomNumber,
        /// The account.
        account: AccountId,
    },
    /// An event for all sessions of one account.
    Account {
        /// The account.
        account: AccountId,
        /// The encoded frame.
        frame: Bytes,
    },
    /// An event for all sessions of one device.
    Device {
        /// The device.
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
        /// An account that does not get it.
        except: Option<AccountId>,
    },
    /// An event for every session in a room that must not be lost while its queue has space
    /// (a key request, a grown chain).
    Room {
        /// The room.
        room: RoomNumber,
        /// The encoded frame.
        frame: Bytes,
        /// An account that does not get it.
        except: Option<AccountId>,
    },
    /// Somebody types, or no longer does: a datagram for the others in the room.
    Typing {
        /// The room.
        room: RoomNumber,
        /// The account that types.
        account: AccountId,
        /// `false` once it has stopped.
        is_typing: bool,
    },
    /// A device was revoked or signs wrongly, or an account was removed: the sessions end.
    Expelled {
        /// The account.
        account: AccountId,
        /// One device; `None` for all.
        device: Option<DeviceId>,
    },
}

/// What an ephemeral event replaces in a queue, and what goes first when space is short.
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
