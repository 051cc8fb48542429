//! What the server says unasked, and the frame that carries all it says on the session stream.

use bincode::{Decode, Encode};

use super::{DropCause, Fault, MarkBucket, Reply, RoomHead};
use crate::id::{AccountId, DeviceId, Epoch, Hash, InviteToken, RoomId, RoomNumber, Seq, TimeMs};

/// A frame from the server on the session stream after login.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ServerFrame {
    /// Something happened. A hint: the log is the truth.
    Event(Event),
    /// Answers the call with this number.
    Reply {
        /// The call.
        id: u32,
        /// The answer.
        reply: Reply,
    },
    /// Refuses the call with this number.
    Fault {
        /// The call.
        id: u32,
        /// Why.
        fault: Fault,
    },
}

/// Something that happened.
///
/// **Append only**, as every enum of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// A room's log grew. Sent to every session of every member, the author's too.
    Entry {
        /// The room.
        room: RoomNumber,
        /// The place.
        seq: Seq,
        /// The server's time.
        time: TimeMs,
        /// The stored bytes.
        entry: Vec<u8>,
    },
    /// The account is in a room it was not in, or its head is told anew.
    Room(RoomHead),
    /// The account is no longer in a room.
    RoomGone {
        /// The room.
        room: RoomId,
    },
    /// Events of a room were dropped because the session read too slowly: pull from here.
    Lagged {
        /// The room.
        room: RoomNumber,
        /// The first position that was dropped.
        next_seq: Seq,
    },
    /// Marks moved: how many human members have received and read how far.
    Marks {
        /// The room.
        room: RoomNumber,
        /// Delivered, newest step first.
        delivered: Vec<MarkBucket>,
        /// Read, newest step first.
        read: Vec<MarkBucket>,
    },
    /// Signed read ticks: all of a small room, a sample of a large one.
    Ticks {
        /// The room.
        room: RoomNumber,
        /// The ticks.
        ticks: Vec<SignedTick>,
    },
    /// The account's own read mark moved on another session.
    OwnMark {
        /// The room.
        room: RoomNumber,
        /// The read mark now.
        read_upto: Seq,
        /// Countable entries above it.
        n_unread: u32,
    },
    /// People came, went or turned away. After login: everyone who shares a room. When somebody is
    /// added to a room: who is there, and the others that the newcomer is.
    Presence {
        /// One line per account.
        lines: Vec<PresenceLine>,
    },
    /// A device of a member lacks epoch keys; any other member device may answer.
    KeysAsked {
        /// The room.
        room: RoomId,
        /// Who asks.
        account: AccountId,
        /// With which device.
        device: DeviceId,
        /// For which epochs.
        epochs: Vec<Epoch>,
    },
    /// An asked key arrived for this device.
    Key {
        /// The room.
        room: RoomId,
        /// The epoch.
        epoch: Epoch,
        /// The generation of this device's key.
        hpke_gen: u32,
        /// The sealed bytes.
        sealed: Vec<u8>,
    },
    /// A grant of older keys was left for this device.
    Granted {
        /// The room.
        room: RoomId,
    },
    /// A user chain grew: of the own account, or of somebody who shares a room.
    ChainGrew {
        /// The account.
        account: AccountId,
        /// Number of the newest link.
        seq: u32,
        /// Its hash.
        hash: Hash,
    },
    /// Somebody joined by an invite of this account and waits to be added to rooms.
    Joined {
        /// The invite.
        token: InviteToken,
        /// The newcomer.
        account: AccountId,
    },
    /// A scheduled entry could not be appended when due.
    ScheduleDropped {
        /// The room.
        room: RoomId,
        /// The entry's random number.
        id: u64,
        /// Why.
        cause: DropCause,
    },
    /// The server stops soon; connect again after this time.
    Stopping {
        /// Milliseconds.
        retry_after_ms: u32,
    },
    /// A piece of an answer that an agent is giving. Lost pieces are made up for by the final entry.
    Delta {
        /// The room.
        room: RoomNumber,
        /// The agent.
        account: AccountId,
        /// Its device.
        device: DeviceId,
        /// The sealed piece with its place, see `crypto::delta`.
        delta: Vec<u8>,
    },
}

/// A read mark signed by a member's device: also says which `H` it has there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedTick {
    /// Whose.
    pub account: AccountId,
    /// Which device signed.
    pub device: DeviceId,
    /// Everything up to here is read.
    pub upto: Seq,
    /// The signature over room, position and `H` there.
    pub signature: [u8; 64],
}

/// How somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PresenceLine {
    /// Who.
    pub account: AccountId,
    /// How.
    pub state: PresenceState,
    /// When last seen; the present while online.
    pub last_seen: TimeMs,
}

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum PresenceState {
    /// A session is open and somebody is at it.
    Online,
    /// Sessions are open, nobody is at them.
    Away,
    /// No session is open.
    Offline,
}
