//! The replica: what this device keeps on disk between runs, behind a trait.
//!
//! Owns the contract and its plain records. An implementation seals every text and secret it
//! stores (texts, names, epoch secrets, drafts, invite secrets); the device's own keys are *not*
//! in here, they come from the key file. Methods are small and block: the engine calls them on
//! its own thread, faces may call the reading ones from theirs.
//!
//! **Several processes of one device share one replica** (CRYPTO B4). Therefore: taking a counter
//! and sealing is one immediate transaction ([`Replica::seal_next`], [`Replica::reseal`]); one
//! process drains the outbox ([`Replica::try_lock_drain`]), the others watch
//! [`Replica::change_stamp`] and wait for their row; the same verified entry may be written twice
//! by two processes, and the second write changes nothing; cursors and heads only move forward.

use super::entry::StoredContent;
use super::event::UnreadableCause;
use super::record::{
    Batch, Commitment, Contact, DeviceLane, EntryRecord, OutboxRow, OwnInvite, RoomFacts,
    RoomRecord, RowState, SealedMessage, ServerRecord,
};
use zeroize::Zeroizing;

use crate::crypto::content::Content;
use crate::crypto::epoch::{EpochSecret, SenderKey};
use crate::id::{AccountId, Counter, DeviceId, Epoch, Hash, InviteToken, RoomId, Seq, TimeMs};

/// Why the replica did not do what was asked. Nothing of the failed call was written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk is full. Helps again once there is space; reading still works.
    #[error("the disk is full")]
    Full,
    /// The files cannot be written. Helps after the permissions or the mount are changed; reading
    /// still works.
    #[error("the files of this profile are read-only")]
    ReadOnly,
    /// Another process of this device holds the lock for too long. Retrying helps.
    #[error("another process is using this profile")]
    Busy,
    /// The files are damaged, or sealed under another key. Retrying never helps.
    #[error("the files of this profile cannot be read: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The setting that tells how far the server's clock was ahead of this device's at the last login:
/// milliseconds as a big-endian `i64`.
pub const CLOCK_SKEW: &str = "engine.clock_skew_ms";

/// What replica methods return.
pub type Stored<T> = Result<T, StorageError>;

/// Held by the one process that sends the outbox; dropping it lets another one drain.
pub trait DrainGuard: Send + std::fmt::Debug {}

/// Seals one outbox row: gets the lane to continue and the row, returns the bytes with the counter
/// it took; `None` leaves everything as it was.
pub type Sealer<'a> = dyn FnMut(&DeviceLane, &OutboxRow) -> Option<SealedMessage> + 'a;

/// The storage of one device. Every method is atomic and durable when it returns `Ok`.
///
/// # Errors
///
/// All methods: [`StorageError`], whose variants say whether retrying helps.
pub trait Replica: Send + Sync + std::fmt::Debug + 'static {
    // ---- several processes -------------------------------------------------------------------

    /// A number that changes whenever any process has changed the replica. Cheap: it is polled.
    fn change_stamp(&self) -> Stored<u64>;

    /// Takes the advisory lock of the one process that sends; `None` if another process has it.
    fn try_lock_drain(&self) -> Stored<Option<Box<dyn DrainGuard>>>;

    // ---- the server --------------------------------------------------------------------------

    /// The server this replica belongs to; `None` before the first contact.
    fn server(&self) -> Stored<Option<ServerRecord>>;

    /// Replaces what is known of the server.
    fn put_server(&self, server: &ServerRecord) -> Stored<()>;

    // ---- people ------------------------------------------------------------------------------

    /// Every account with a stored chain.
    fn chain_accounts(&self) -> Stored<Vec<AccountId>>;

    /// The links of a user chain in order, `blob || signature` each; empty if unknown.
    fn chain_links(&self, account: AccountId) -> Stored<Vec<Vec<u8>>>;

    /// Stores verified links of a chain; the first has number `first_seq` (1 is the genesis). Links
    /// that are there already stay as they are.
    fn put_chain_links(&self, account: AccountId, first_seq: u32, links: &[Vec<u8>]) -> Stored<()>;

    /// All pinned people.
    fn contacts(&self) -> Stored<Vec<Contact>>;

    /// Stores a pin under its handle, replacing what stood there.
    fn put_contact(&self, contact: &Contact) -> Stored<()>;

    // ---- rooms -------------------------------------------------------------------------------

    /// All rooms that are kept, those the account has left included.
    fn rooms(&self) -> Stored<Vec<RoomRecord>>;

    /// One room.
    fn room(&self, room: RoomId) -> Stored<Option<RoomRecord>>;

    /// Replaces what is known of a room besides its log; makes the room if it is new, with the
    /// cursor at `H_0`.
    fn put_room(&self, room: RoomId, facts: &RoomFacts) -> Stored<()>;

    /// Forgets a room with everything in it: entries, commits, secrets, lanes, outbox, draft.
    fn forget_room(&self, room: RoomId) -> Stored<()>;

    // ---- logs --------------------------------------------------------------------------------

    /// Writes verified entries of one room in one transaction.
    ///
    /// Entries and commits that are there already (same room and seq) stay as they are. If the
    /// stored cursor is at or behind `batch.cursor`, cursor and lanes are replaced; if it is
    /// further, another process was faster and both are left alone.
    fn apply(&self, room: RoomId, batch: &Batch) -> Stored<()>;

    /// At most `count` entries before `before` (`Seq(0)`: from the newest), in rising order.
    fn entries_before(&self, room: RoomId, before: Seq, count: u32) -> Stored<Vec<EntryRecord>>;

    /// At most `count` entries after `after`, in rising order.
    fn entries_after(&self, room: RoomId, after: Seq, count: u32) -> Stored<Vec<EntryRecord>>;

    /// `H` at a position of the verified log; `None` where the entry is not kept.
    fn hash_at(&self, room: RoomId, seq: Seq) -> Stored<Option<Hash>>;

    /// All commits of a room in order.
    fn commits(&self, room: RoomId) -> Stored<Vec<Commitment>>;

    /// Replaces what is known of the content of one entry (a key arrived, a check was repeated).
    /// [`StoredContent::Expired`] also replaces the stored bytes by their SHA-256.
    fn put_content(
        &self,
        room: RoomId,
        seq: Seq,
        content: &StoredContent,
        is_mention: bool,
    ) -> Stored<()>;

    /// Positions of entries that could not be read for this cause, rising, at most `count`.
    fn unreadable(&self, room: RoomId, cause: UnreadableCause, count: u32) -> Stored<Vec<Seq>>;

    /// How many entries behind `after` are mentions.
    fn n_mentions(&self, room: RoomId, after: Seq) -> Stored<u32>;

    /// Notes that a question showed these entries to an agent; returns those that were not noted so.
    fn note_shown(&self, room: RoomId, seqs: &[Seq]) -> Stored<Vec<Seq>>;

    /// The verified counter lanes of all devices of a room, as of the cursor.
    fn lanes(&self, room: RoomId) -> Stored<Vec<(DeviceId, DeviceLane)>>;

    // ---- keys --------------------------------------------------------------------------------

    /// A proven epoch secret.
    fn epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<Option<EpochSecret>>;

    /// The epochs of a room whose secret is kept, rising.
    fn epochs(&self, room: RoomId) -> Stored<Vec<Epoch>>;

    /// Stores a proven epoch secret; one that is there already stays.
    fn put_epoch_secret(&self, room: RoomId, epoch: Epoch, secret: &EpochSecret) -> Stored<()>;

    /// Wipes an epoch secret (retention, CRYPTO B3).
    fn wipe_epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<()>;

    /// The sender key that members made for this device, an agent's that may write but not read.
    fn agent_key(&self, room: RoomId, epoch: Epoch) -> Stored<Option<SenderKey>> {
        let bytes = self.setting(&agent_key_name(room, epoch))?.map(Zeroizing::new);
        let bytes = bytes.and_then(|bytes| bytes.as_slice().try_into().ok().map(Zeroizing::new));
        Ok(bytes.map(|bytes: Zeroizing<[u8; 32]>| SenderKey::from_bytes(&bytes)))
    }

    /// Stores the sender key of an agent for one epoch.
    fn put_agent_key(&self, room: RoomId, epoch: Epoch, key: &SenderKey) -> Stored<()> {
        self.put_setting(&agent_key_name(room, epoch), key.to_bytes().as_slice())
    }

    // ---- outbox ------------------------------------------------------------------------------

    /// Queues a message and returns its number, unique on this device and rising.
    fn queue(&self, room: RoomId, content: &Content, queued_at: TimeMs) -> Stored<u64>;

    /// Rows that are queued, sent or failed, by number; of one room, or of all.
    fn outbox(&self, room: Option<RoomId>) -> Stored<Vec<OutboxRow>>;

    /// One row, also if it was accepted or withdrawn not long ago.
    fn outbox_row(&self, local_id: u64) -> Stored<Option<OutboxRow>>;

    /// The lane that the next message of this device continues.
    fn own_lane(&self, room: RoomId) -> Stored<DeviceLane>;

    /// Seals the oldest queued row of a room and makes it `Sent`, in one immediate transaction: the
    /// row's bytes and the own lane are on disk before anybody writes them to a stream. Returns the
    /// row as it is now; `None` if nothing is queued or `seal` declined.
    fn seal_next(&self, room: RoomId, seal: &mut Sealer<'_>) -> Stored<Option<OutboxRow>>;

    /// Seals all sent rows of a room anew, in order, the first behind `from`, in one immediate
    /// transaction; the own lane ends at the last. Returns the rows as they are now; if `seal`
    /// declines one, nothing is changed and the list is empty.
    fn reseal(
        &self,
        room: RoomId,
        from: &DeviceLane,
        seal: &mut Sealer<'_>,
    ) -> Stored<Vec<OutboxRow>>;

    /// Moves a row to another state. `Withdrawn` is refused (`Ok(false)`) unless the row is still
    /// queued, in the same transaction; every other change of a row that is accepted or withdrawn
    /// is refused as well. Accepted and withdrawn rows may be forgotten after the next thousand.
    fn settle(&self, local_id: u64, state: &RowState) -> Stored<bool>;

    /// The row that was sent with this counter in this room, if it is not settled yet.
    fn row_of(&self, room: RoomId, counter: Counter) -> Stored<Option<OutboxRow>>;

    // ---- small things ------------------------------------------------------------------------

    /// The draft of a room, empty if there is none.
    fn draft(&self, room: RoomId) -> Stored<String>;

    /// Stores the draft of a room; an empty text removes it.
    fn put_draft(&self, room: RoomId, text: &str) -> Stored<()>;

    /// Invites of this device whose joiners' proofs it must check.
    fn invites(&self) -> Stored<Vec<OwnInvite>>;

    /// Stores an own invite.
    fn put_invite(&self, invite: &OwnInvite) -> Stored<()>;

    /// Forgets an own invite.
    fn forget_invite(&self, token: InviteToken) -> Stored<()>;

    /// A small value by name.
    fn setting(&self, key: &str) -> Stored<Option<Vec<u8>>>;

    /// Stores a small value by name.
    fn put_setting(&self, key: &str, value: &[u8]) -> Stored<()>;
}

fn agent_key_name(room: RoomId, epoch: Epoch) -> String {
    format!("agent_key/{}/{epoch}", room.to_hex())
}
