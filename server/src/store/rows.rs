//! The rows that a store takes and gives: what is kept, one struct for each noun.

use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Epoch, Hash, InviteToken, RoomId, RoomNumber, Seq, TimeMs,
    WorkspaceId,
};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The account.
    pub account: AccountId,
    /// Its unique handle.
    pub handle: String,
    /// 0 human, 1 agent.
    pub kind: u8,
    /// When it was made.
    pub created: TimeMs,
    /// When its last session ended; the creation time before that.
    pub last_seen: TimeMs,
    /// The invite it came by, for answering a repeated registration alike.
    pub token: Option<InviteToken>,
    /// Set once an administrator removed it: it may no longer log in.
    pub is_removed: bool,
}

/// A link of a user chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// Its number, 1 for the genesis.
    pub seq: u32,
    /// Its hash.
    pub hash: Hash,
    /// `blob || signature`.
    pub link: Vec<u8>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// The room.
    pub room: RoomId,
    /// Its short number, dense from 1.
    pub number: RoomNumber,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// Kind byte of the creating commit.
    pub kind: u8,
    /// Mode byte of the policy; never changes.
    pub mode: u8,
    /// When it was made.
    pub created: TimeMs,
    /// Keyed tag of the name (open rooms): unique per workspace, reveals nothing without the key.
    pub name_tag: Option<Hash>,
    /// Sealed name and topic (open rooms).
    pub sealed_name: Option<Vec<u8>>,
    /// The two accounts of a direct room, in rising order: unique.
    pub pair: Option<(AccountId, AccountId)>,
    /// How many days its policy keeps messages; 0 for ever.
    pub retention_days: u32,
}

/// What [`Write::expire`](super::Write::expire) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Entries that are too old now, commits included.
    pub n_seen: u32,
    /// Those of them whose bodies were removed.
    pub n_removed: u32,
}

/// A key of an open room, sealed under the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomKeyRow {
    /// The room.
    pub room: RoomNumber,
    /// Its number among the room's keys, from 1.
    pub generation: u32,
    /// The first place it seals; it seals up to that of the next generation.
    pub from: Seq,
    /// When it was made.
    pub made: TimeMs,
    /// The sealed key.
    pub sealed: Vec<u8>,
}

/// The newest position of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadRow {
    /// The newest entry, 0 in an empty log.
    pub seq: Seq,
    /// `H` there; `H_0` in an empty log.
    pub hash: Hash,
    /// Countable entries up to there.
    pub n_countable: u64,
    /// The newest commit's place.
    pub commit_seq: Seq,
}

/// An entry of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// The room.
    pub room: RoomNumber,
    /// The place.
    pub seq: Seq,
    /// The server's time.
    pub time: TimeMs,
    /// Tag byte: 1 commit, 2 message, 3 scheduled.
    pub tag: u8,
    /// The bytes at rest (sealed in open rooms); `None` once retention removed them.
    pub body: Option<Vec<u8>>,
    /// SHA-256 of the entry's true bytes.
    pub entry_hash: Hash,
    /// `H` at this place.
    pub hash: Hash,
    /// Countable entries up to and including this one.
    pub n_countable: u64,
    /// The author's device.
    pub device: DeviceId,
    /// The author device's counter (messages), random number (scheduled), 0 (commits).
    pub ctr: Counter,
}

/// One accepted message of a device, as remembered for repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRow {
    /// Its counter.
    pub ctr: Counter,
    /// Its place.
    pub seq: Seq,
    /// The server's time of it.
    pub time: TimeMs,
    /// SHA-256 of its bytes.
    pub entry_hash: Hash,
}

/// How far one member has a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRow {
    /// Who.
    pub account: AccountId,
    /// Everything up to here has arrived.
    pub delivered_upto: Seq,
    /// Everything up to here is read.
    pub read_upto: Seq,
    /// Device and signature of the newest signed read tick.
    pub tick: Option<(DeviceId, [u8; 64])>,
}

/// A sealed epoch key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrapRow {
    /// The room.
    pub room: RoomNumber,
    /// The epoch.
    pub epoch: Epoch,
    /// Whose.
    pub account: AccountId,
    /// For which device.
    pub device: DeviceId,
    /// The generation of the device's key.
    pub hpke_gen: u32,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// A device's open request for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAskRow {
    /// The room.
    pub room: RoomNumber,
    /// Who asks.
    pub account: AccountId,
    /// With which device.
    pub device: DeviceId,
    /// For which epoch.
    pub epoch: Epoch,
}

/// Older keys left for a newcomer's device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// The room.
    pub room: RoomNumber,
    /// Who left it.
    pub from: AccountId,
    /// For which device.
    pub device: DeviceId,
    /// The generation of the device's key.
    pub hpke_gen: u32,
    /// The sealed list.
    pub sealed: Vec<u8>,
}

/// An invite. The row is keyed by a hash, so a copy of the database invites nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRow {
    /// SHA-256 of the token.
    pub token_hash: Hash,
    /// The token sealed under the master key, so that its maker can list and revoke it.
    pub sealed_token: Vec<u8>,
    /// Its maker; `None` when made by the server.
    pub maker: Option<AccountId>,
    /// How many more may use it.
    pub uses_left: u32,
    /// How many answers about taken names are left.
    pub names_left: u32,
    /// When it was made.
    pub created: TimeMs,
    /// When it ends.
    pub expires: TimeMs,
    /// Rooms it grants.
    pub rooms: Vec<RoomId>,
}

/// Somebody joined by a member's invite and waits to be added to rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRow {
    /// SHA-256 of the invite's token.
    pub token_hash: Hash,
    /// The invite's maker.
    pub maker: AccountId,
    /// The newcomer.
    pub account: AccountId,
    /// `HMAC(invite secret, account)`.
    pub proof: [u8; 32],
    /// Rooms the invite grants.
    pub rooms: Vec<RoomId>,
    /// The token sealed under the master key.
    pub sealed_token: Vec<u8>,
}

/// An entry that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// The room.
    pub room: RoomNumber,
    /// Who.
    pub account: AccountId,
    /// With which device.
    pub device: DeviceId,
    /// The entry's random number.
    pub id: u64,
    /// When.
    pub due: TimeMs,
    /// The bytes at rest (sealed in open rooms under the schedule's own label).
    pub body: Vec<u8>,
}

/// Which entries of a room to read, always in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRange {
    /// The room.
    pub room: RoomNumber,
    /// First place, inclusive.
    pub from: Seq,
    /// Last place, inclusive.
    pub to: Seq,
    /// At most this many rows, from `from` on.
    pub n_rows_max: u32,
    /// Stop after the row that makes the bodies exceed this many bytes (that row is included).
    pub n_bytes_max: usize,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Accounts.
    pub n_accounts: u64,
    /// Rooms.
    pub n_rooms: u64,
    /// Entries in all logs (an estimate is fine: the call must not read the logs).
    pub n_entries: u64,
    /// Entries that wait for their time.
    pub n_schedules: u64,
}
