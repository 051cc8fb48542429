//! What a client asks of the server after login.

use bincode::{Decode, Encode};

use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq, TimeMs, WorkspaceId};

/// One request with the number its answer will carry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Call {
    /// Chosen by the client; free again once answered.
    pub id: u32,
    /// What is asked.
    pub request: Request,
}

/// What a client asks; exactly one [`super::Reply`] or [`super::Fault`] answers each.
///
/// **Append only**, as every enum of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    /// Says how far the client has each room. Live events begin with the first page; the answer to
    /// the last page also holds rooms the client did not name.
    Resume {
        /// Verified positions, at most `RESUME_PAGE_MAX`.
        cursors: Vec<Cursor>,
        /// Whether this is the last page.
        is_last: bool,
    },
    /// Stores a sealed message and fans it out. Repeating the same device counter is harmless.
    Append {
        /// Where.
        room: RoomId,
        /// The stored bytes, tag included.
        entry: Vec<u8>,
    },
    /// Stores a commit, atomically with its wraps. Without `room` it creates one.
    Commit {
        /// The workspace a new room belongs to.
        workspace: WorkspaceId,
        /// The room; `None` for a creating commit.
        room: Option<RoomId>,
        /// The stored bytes, tag included.
        entry: Vec<u8>,
        /// Wraps of the new epoch; those staged before count too.
        wraps: Vec<Wrap>,
    },
    /// Stages wraps of a coming commit, at most `WRAPS_PER_BATCH_MAX` a batch.
    StageWraps {
        /// The commit's hash.
        commit: Hash,
        /// The wraps.
        wraps: Vec<Wrap>,
    },
    /// Reads the wraps made for the calling device in one room, oldest first.
    Wraps {
        /// The room.
        room: RoomId,
        /// The first epoch of interest.
        from: Epoch,
    },
    /// Asks the room's members for epoch keys that are missing or bad.
    AskKeys {
        /// The room.
        room: RoomId,
        /// The epochs, at most 256.
        epochs: Vec<Epoch>,
    },
    /// Answers another device's request for keys; the server keeps the first answer per epoch.
    AnswerKeys {
        /// The room.
        room: RoomId,
        /// The account that asked.
        account: AccountId,
        /// The device that asked.
        device: DeviceId,
        /// Fresh wraps.
        answers: Vec<KeyAnswer>,
    },
    /// Leaves sealed epoch keys for the devices of a newcomer.
    PutGrant {
        /// The room.
        room: RoomId,
        /// The newcomer.
        account: AccountId,
        /// One sealed list per device.
        grants: Vec<DeviceGrant>,
    },
    /// Reads the grants left for the calling device in one room.
    Grants {
        /// The room.
        room: RoomId,
    },
    /// Reads an account's user chain.
    Chain {
        /// The account.
        account: AccountId,
        /// The first link of interest, 1 for the genesis (0 reads the same).
        from: u32,
    },
    /// Reads the newest chain positions of many accounts.
    ChainHeads {
        /// The accounts, at most `ACCOUNTS_PER_REQUEST_MAX`.
        accounts: Vec<AccountId>,
    },
    /// Finds an account by its exact handle.
    FindAccount {
        /// The handle.
        handle: String,
    },
    /// Extends the calling account's own user chain.
    PutLink {
        /// The link: `blob || signature`.
        link: Vec<u8>,
    },
    /// Moves delivered marks; older positions are ignored.
    Delivered {
        /// One mark per room.
        marks: Vec<DeliveredMark>,
    },
    /// Moves the account's read mark in one room; an older position is ignored.
    Read {
        /// The room.
        room: RoomId,
        /// Everything up to here is read.
        upto: Seq,
        /// Device signature over room, position and `H` there.
        signature: [u8; 64],
    },
    /// Reads the newest signed read tick of each member (small rooms only).
    Ticks {
        /// The room.
        room: RoomId,
    },
    /// Says whether the person at this session is away.
    SetAway {
        /// Away or back.
        is_away: bool,
    },
    /// Stores a sealed entry to be appended when due.
    Schedule {
        /// The room.
        room: RoomId,
        /// The stored bytes, tag 3 included.
        entry: Vec<u8>,
        /// When.
        due: TimeMs,
    },
    /// Takes a scheduled entry back before it is due.
    Unschedule {
        /// The room.
        room: RoomId,
        /// The entry's random number, from its header.
        id: u64,
    },
    /// Lists the calling account's scheduled entries.
    Schedules,
    /// Makes an invite; the server sees only the token.
    CreateInvite {
        /// What the joiner will show.
        token: crate::id::InviteToken,
        /// How many may use it.
        uses: u32,
        /// When it ends.
        expires: TimeMs,
        /// Rooms the inviter's client will add the joiner to.
        rooms: Vec<RoomId>,
    },
    /// Lists the calling account's invites.
    Invites,
    /// Ends an invite of the calling account.
    RevokeInvite {
        /// Which.
        token: crate::id::InviteToken,
    },
    /// Lists people who joined by the calling account's invites and wait to be added to rooms.
    Joins,
    /// Says that a join has been dealt with.
    FinishJoin {
        /// The invite.
        token: crate::id::InviteToken,
        /// The newcomer.
        account: AccountId,
    },
    /// Lists open rooms of the workspace.
    Lobby {
        /// The workspace.
        workspace: WorkspaceId,
        /// Rooms behind this one, in the order of their identifiers.
        after: Option<RoomId>,
    },
    /// Passes one piece of an answer on to whoever is there; only agents stream. Never stored.
    Delta {
        /// The room.
        room: RoomId,
        /// The sealed piece with its place, see `crypto::delta`.
        delta: Vec<u8>,
    },
    /// Replaces what the calling agent says of itself.
    PutCard {
        /// The signed card, see `crypto::card`.
        card: Vec<u8>,
    },
    /// Reads what an agent says of itself.
    Card {
        /// The agent.
        account: AccountId,
    },
}

/// How far a client has one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Cursor {
    /// The room.
    pub room: RoomId,
    /// The last verified position.
    pub seq: Seq,
}

/// An epoch secret (or an agent's sender key) sealed to one device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Wrap {
    /// Whose.
    pub account: AccountId,
    /// Which device.
    pub device: DeviceId,
    /// Which generation of the device's key.
    pub hpke_gen: u32,
    /// The sealed bytes: 80 for an epoch secret, 160 for a signed agent wrap.
    pub sealed: Vec<u8>,
}

/// One epoch key, freshly wrapped for a device that asked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeyAnswer {
    /// The epoch.
    pub epoch: Epoch,
    /// The generation of the device's key.
    pub hpke_gen: u32,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// A list of epoch keys sealed to one device of a newcomer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeviceGrant {
    /// The device.
    pub device: DeviceId,
    /// The generation of the device's key.
    pub hpke_gen: u32,
    /// The sealed list.
    pub sealed: Vec<u8>,
}

/// How far one room has arrived at the calling account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DeliveredMark {
    /// The room.
    pub room: RoomId,
    /// Everything up to here has arrived.
    pub upto: Seq,
}
