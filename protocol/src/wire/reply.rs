//! How the server answers requests.

use bincode::{Decode, Encode};

use super::SignedTick;
use super::request::{DeviceGrant, KeyAnswer};
use crate::id::{
    AccountId, Counter, Hash, InviteToken, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};

/// The answer to one request.
///
/// **Append only**, as every enum of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Reply {
    /// It is done, and there is nothing to tell.
    Done,
    /// Answers `Resume`.
    Resumed {
        /// Where the server has the rooms.
        heads: Vec<RoomHead>,
        /// Named rooms the account is no longer (or never was) in.
        gone: Vec<RoomId>,
        /// Whether another empty last page brings more.
        more: bool,
    },
    /// Answers `Append` and `Commit`: durable on disk at this place.
    Accepted {
        /// The place.
        seq: Seq,
        /// The server's time of the entry.
        time: TimeMs,
    },
    /// Answers `StageWraps`: how many are staged for the commit now.
    Staged {
        /// The count.
        n_wraps: u32,
    },
    /// Answers `Wraps`.
    Wraps {
        /// Wraps for the calling device, by rising epoch.
        wraps: Vec<KeyAnswer>,
    },
    /// Answers `Grants`.
    Grants {
        /// Who left each, and the sealed list.
        grants: Vec<(AccountId, DeviceGrant)>,
    },
    /// Answers `Chain`: links in order, as many as fit a frame.
    Chain {
        /// The links.
        links: Vec<Vec<u8>>,
        /// Whether more follow.
        more: bool,
    },
    /// Answers `ChainHeads`.
    ChainHeads {
        /// One line per known account.
        heads: Vec<ChainHeadLine>,
    },
    /// Answers `FindAccount`.
    Found {
        /// The account.
        account: AccountId,
    },
    /// Answers `Ticks`.
    Ticks {
        /// The newest signed tick of each member that has one.
        ticks: Vec<SignedTick>,
    },
    /// Answers `Read`: the unread count that is left, for all of the account's devices.
    Marked {
        /// The read mark now.
        read_upto: Seq,
        /// Countable entries above it.
        n_unread: u32,
    },
    /// Answers `Schedules`.
    Schedules {
        /// By due time.
        schedules: Vec<ScheduleLine>,
    },
    /// Answers `Invites`.
    Invites {
        /// By expiry.
        invites: Vec<InviteLine>,
    },
    /// Answers `Joins`.
    Joins {
        /// In the order of joining.
        joins: Vec<JoinLine>,
    },
    /// Answers `Lobby`.
    Lobby {
        /// By room identifier.
        rooms: Vec<LobbyLine>,
        /// Whether more follow.
        more: bool,
    },
    /// Answers `Card`.
    Card {
        /// The signed card, if the agent has put one.
        card: Option<Vec<u8>>,
    },
}

/// Where the server has one room, and how the calling account stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RoomHead {
    /// The room.
    pub room: RoomId,
    /// Its short number in events.
    pub number: RoomNumber,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// The newest entry.
    pub seq: Seq,
    /// `H` there.
    pub hash: Hash,
    /// The newest commit's place.
    pub commit_seq: Seq,
    /// The calling device's last accepted counter.
    pub last_counter: Counter,
    /// The calling account's delivered mark.
    pub delivered_upto: Seq,
    /// The calling account's read mark.
    pub read_upto: Seq,
    /// Countable entries above the read mark.
    pub n_unread: u32,
    /// How many accounts have received how far.
    pub delivered: Vec<MarkBucket>,
    /// How many accounts have read how far.
    pub read: Vec<MarkBucket>,
}

/// One step of a mark histogram: this many accounts have the log up to here or further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct MarkBucket {
    /// The position.
    pub upto: Seq,
    /// Human members whose mark is there or further.
    pub n_accounts: u32,
}

/// The newest position of one user chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ChainHeadLine {
    /// The account.
    pub account: AccountId,
    /// Number of the newest link, 1 for the genesis.
    pub seq: u32,
    /// Its hash.
    pub hash: Hash,
}

/// An entry that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ScheduleLine {
    /// The room.
    pub room: RoomId,
    /// The entry's random number.
    pub id: u64,
    /// When.
    pub due: TimeMs,
    /// The stored bytes.
    pub entry: Vec<u8>,
}

/// An invite as its maker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InviteLine {
    /// Which.
    pub token: InviteToken,
    /// How many more may use it.
    pub uses_left: u32,
    /// When it ends.
    pub expires: TimeMs,
    /// Rooms it grants.
    pub rooms: Vec<RoomId>,
}

/// Somebody joined by an invite and waits to be added.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct JoinLine {
    /// The invite.
    pub token: InviteToken,
    /// The newcomer.
    pub account: AccountId,
    /// `HMAC-SHA256(invite secret, account)`, to be checked by the inviter's client.
    pub proof: [u8; 32],
    /// Rooms the invite grants.
    pub rooms: Vec<RoomId>,
}

/// An open room of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LobbyLine {
    /// The room.
    pub room: RoomId,
    /// Its name.
    pub name: String,
    /// Its topic, possibly empty.
    pub topic: String,
    /// How many are in it.
    pub n_members: u32,
    /// Whether the caller is.
    pub is_member: bool,
    /// Its newest entry.
    pub seq: Seq,
}
