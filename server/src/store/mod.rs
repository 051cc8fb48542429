//! The durable memory of the server: one trait, one contract, several databases.
//!
//! Rows go in and come out as they are: sealing of open rooms happens above, rules are decided above.
//! Nothing here reads a clock or knows a session.

mod rows;
pub mod sqlite;

use std::path::Path;

use mathia_protocol::id::{
    AccountId, DeviceId, Epoch, Hash, Realm, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};

pub use rows::{
    AccountRow, Counts, EntryRange, EntryRow, Expired, GrantRow, HeadRow, InviteRow, JoinRow,
    KeyAskRow, LaneRow, LinkRow, MarkRow, RoomKeyRow, RoomRow, ScheduleRow, WrapRow,
};

/// How many of its newest messages each device is remembered by in each room (CRYPTO B4).
pub const LANE_LEN: usize = 16;

/// Tag bytes of entries (CRYPTO B3).
pub mod tag {
    /// A membership change.
    pub const COMMIT: u8 = 1;
    /// A message.
    pub const MESSAGE: u8 = 2;
    /// A message, appended when it was due.
    pub const SCHEDULED: u8 = 3;
}

/// A database, opened once per process. The writer is one; readers are as many as threads.
pub trait Store: Send + Sync + 'static {
    /// Opens the one writer. A second call while the first lives fails with [`StoreError::Broken`].
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError>;

    /// Opens one more reader, which sees every batch whose commit has returned.
    fn reader(&self) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Writes a consistent copy to `path`, which must not exist, and checks its integrity.
    fn copy_to(&self, path: &Path) -> Result<(), StoreError>;
}

/// The writing side: batches of changes that become durable together.
pub trait Writer: Send {
    /// Runs `work` inside one transaction and commits it; durable on disk when this returns `Ok`.
    ///
    /// An error from `work` or from the commit rolls the whole batch back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when the disk has no room (retry helps later); [`StoreError::Broken`]
    /// when the database failed: the process must end, since what is on disk is no longer known.
    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Write) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Removes from the files what earlier batches have removed from the rows. Says `false` when a
    /// reader that still looks at an older state is in the way: then later, since nobody is waited
    /// for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`], as for [`Self::batch`].
    fn erase_traces(&mut self) -> Result<bool, StoreError>;
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, or shared memory cannot grow. Nothing was changed; retrying later helps.
    #[error("the disk is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The row exists already (a handle, a pair, a name, a counter). Retrying never helps.
    #[error("it exists already")]
    Exists,
    /// What lies at one place is not what was written there: bits have rotted, or a hand has changed
    /// them. The rest is as good as before. Retrying never helps, restoring a backup does.
    #[error("what is stored there is damaged")]
    Rotten(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed. The cause is for the log, never for the wire.
    #[error("the database failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// No room is left; the cause says where.
    pub fn full(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Full(cause.into())
    }

    /// What is stored at one place is damaged; the cause says what.
    pub fn rotten(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Rotten(cause.into())
    }

    /// The database failed, or something it needs: a directory, a lock, a value out of bounds.
    pub fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Broken(cause.into())
    }
}

/// The reading side. Inside a batch it also sees what the batch has written.
pub trait Read {
    /// The identity of the data; made by the store when it is created.
    fn realm(&self) -> Result<Realm, StoreError>;

    /// Finds an account by identifier.
    fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError>;
    /// Finds an account by exact handle.
    fn account_by_handle(&self, handle: &str) -> Result<Option<AccountRow>, StoreError>;
    /// All accounts, by handle.
    fn accounts(&self) -> Result<Vec<AccountRow>, StoreError>;
    /// Links of a user chain from a number on, in order.
    fn links(&self, account: AccountId, from: u32) -> Result<Vec<LinkRow>, StoreError>;
    /// The newest link's number and hash.
    fn chain_head(&self, account: AccountId) -> Result<Option<(u32, Hash)>, StoreError>;

    /// Finds a room by identifier.
    fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError>;
    /// Finds a room by number.
    fn room_by_number(&self, number: RoomNumber) -> Result<Option<RoomRow>, StoreError>;
    /// Finds the direct room of a pair (in rising order).
    fn room_of_pair(&self, pair: (AccountId, AccountId)) -> Result<Option<RoomRow>, StoreError>;
    /// Finds an open room by the keyed tag of its name.
    fn room_by_name_tag(
        &self,
        workspace: WorkspaceId,
        tag: Hash,
    ) -> Result<Option<RoomRow>, StoreError>;
    /// Open rooms of a workspace behind `after`, by identifier, at most `n_rows_max`.
    fn open_rooms(
        &self,
        workspace: WorkspaceId,
        after: Option<RoomId>,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError>;
    /// Rooms an account is a present member of, by number.
    fn rooms_of(&self, account: AccountId) -> Result<Vec<RoomRow>, StoreError>;
    /// Present members of a room.
    fn members(&self, room: RoomNumber) -> Result<Vec<AccountId>, StoreError>;
    /// Says whether an account is a present member of a room.
    fn is_member(&self, room: RoomNumber, account: AccountId) -> Result<bool, StoreError>;
    /// Keys of an open room, by generation; end-to-end rooms have none.
    fn room_keys(&self, room: RoomNumber) -> Result<Vec<RoomKeyRow>, StoreError>;
    /// Rooms behind `after` that do not keep messages for ever, by number, at most `n_rows_max`.
    fn forgetful_rooms(
        &self,
        after: RoomNumber,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError>;
    /// Where the room's log stands.
    fn head(&self, room: RoomNumber) -> Result<HeadRow, StoreError>;
    /// The last place of the room's log and `H` there: the part of [`Self::head`] that shows whether somebody
    /// has appended.
    fn log_end(&self, room: RoomNumber) -> Result<(Seq, Hash), StoreError>;

    /// Reads entries.
    fn entries(&self, range: EntryRange) -> Result<Vec<EntryRow>, StoreError>;
    /// Reads one entry without its body: `(H, countable entries up to there)`; place 0 is `H_0`, 0.
    fn position(&self, room: RoomNumber, seq: Seq) -> Result<Option<(Hash, u64)>, StoreError>;
    /// Commits of a room after a place, in order, at most `n_rows_max`.
    fn commits(
        &self,
        room: RoomNumber,
        after: Seq,
        n_rows_max: u32,
    ) -> Result<Vec<EntryRow>, StoreError>;
    /// The last 16 accepted messages (tag 2) of a device in a room, newest first.
    fn lane(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<LaneRow>, StoreError>;
    /// Whether a scheduled entry (tag 3) with this number was appended.
    fn scheduled_used(
        &self,
        room: RoomNumber,
        device: DeviceId,
        id: u64,
    ) -> Result<bool, StoreError>;

    /// Marks of all members of a room that have any.
    fn marks(&self, room: RoomNumber) -> Result<Vec<MarkRow>, StoreError>;
    /// Marks of one account in a room.
    fn mark(&self, room: RoomNumber, account: AccountId) -> Result<Option<MarkRow>, StoreError>;

    /// Wraps for a device in a room from an epoch on, by epoch.
    fn wraps(
        &self,
        room: RoomNumber,
        device: DeviceId,
        from: Epoch,
    ) -> Result<Vec<WrapRow>, StoreError>;
    /// Open key requests in a room.
    fn key_asks(&self, room: RoomNumber) -> Result<Vec<KeyAskRow>, StoreError>;
    /// Grants for a device in a room.
    fn grants(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<GrantRow>, StoreError>;

    /// Finds an invite by the hash of its token.
    fn invite(&self, token_hash: Hash) -> Result<Option<InviteRow>, StoreError>;
    /// Invites of a maker (`None`: all), by expiry.
    fn invites(&self, maker: Option<AccountId>) -> Result<Vec<InviteRow>, StoreError>;
    /// Joins that wait for a maker.
    fn joins(&self, maker: AccountId) -> Result<Vec<JoinRow>, StoreError>;

    /// Scheduled entries due at or before a time, by due time, at most `n_rows_max`.
    fn due(&self, upto: TimeMs, n_rows_max: u32) -> Result<Vec<ScheduleRow>, StoreError>;
    /// The time of the next scheduled entry.
    fn next_due(&self) -> Result<Option<TimeMs>, StoreError>;
    /// Scheduled entries of an account, by due time.
    fn schedules(&self, account: AccountId) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Counts for `status`: accounts, rooms, entries, waiting schedules.
    fn counts(&self) -> Result<Counts, StoreError>;
    /// A value kept by name (own small settings of the server, such as the next TLS pin).
    fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The changes a batch may make.
pub trait Write: Read {
    /// Makes an account with its genesis link. [`StoreError::Exists`] if identifier or handle is taken.
    fn insert_account(&mut self, row: &AccountRow, genesis: &LinkRow) -> Result<(), StoreError>;
    /// Says when an account was last seen.
    fn set_last_seen(&mut self, account: AccountId, time: TimeMs) -> Result<(), StoreError>;
    /// Removes an account's right to log in.
    fn remove_account(&mut self, account: AccountId) -> Result<(), StoreError>;
    /// Extends a user chain. [`StoreError::Exists`] if the number is taken.
    fn insert_link(&mut self, account: AccountId, link: &LinkRow) -> Result<(), StoreError>;

    /// Makes a room; `row.number` is ignored, the new number is returned.
    /// [`StoreError::Exists`] if identifier, pair or name tag is taken.
    fn insert_room(&mut self, row: &RoomRow) -> Result<RoomNumber, StoreError>;
    /// Replaces name tag and sealed name of an open room.
    fn update_room(&mut self, row: &RoomRow) -> Result<(), StoreError>;
    /// Says how many days a room keeps messages; 0 for ever.
    fn set_retention(&mut self, room: RoomNumber, days: u32) -> Result<(), StoreError>;
    /// Removes the bodies of a room's messages that are older than `before`, from where the last
    /// call ended up to the first entry that is not, looking at no more than `n_rows_max`. Hashes
    /// stay, and so do commits.
    fn expire(
        &mut self,
        room: RoomNumber,
        before: TimeMs,
        n_rows_max: u32,
    ) -> Result<Expired, StoreError>;
    /// Gives an open room one more key. [`StoreError::Exists`] if the generation is taken.
    fn insert_room_key(&mut self, row: &RoomKeyRow) -> Result<(), StoreError>;
    /// Appends an entry. [`StoreError::Exists`] if the place is taken, if a message's counter is not
    /// above the device's newest in the room, or if a scheduled entry's number was used.
    fn insert_entry(&mut self, row: &EntryRow) -> Result<(), StoreError>;
    /// Adds and removes present members.
    fn change_members(
        &mut self,
        room: RoomNumber,
        added: &[AccountId],
        removed: &[AccountId],
    ) -> Result<(), StoreError>;

    /// Moves a delivered mark; never backwards.
    fn raise_delivered(
        &mut self,
        room: RoomNumber,
        account: AccountId,
        upto: Seq,
    ) -> Result<(), StoreError>;
    /// Moves a read mark with its signed tick, if there is one; never backwards. A kept tick always
    /// signs exactly the mark: one that moves without a tick drops the old tick.
    fn raise_read(
        &mut self,
        room: RoomNumber,
        account: AccountId,
        upto: Seq,
        tick: Option<(DeviceId, [u8; 64])>,
    ) -> Result<(), StoreError>;

    /// Stores wraps; one that exists for (room, epoch, device) stays as it is.
    fn insert_wraps(&mut self, rows: &[WrapRow]) -> Result<(), StoreError>;
    /// Replaces the wrap for (room, epoch, device) by an answer to a key request.
    fn replace_wrap(&mut self, row: &WrapRow) -> Result<(), StoreError>;
    /// Notes a key request; a repeated one changes nothing.
    fn insert_key_ask(&mut self, row: &KeyAskRow) -> Result<(), StoreError>;
    /// Forgets an answered key request; says whether it was there.
    fn remove_key_ask(&mut self, row: &KeyAskRow) -> Result<bool, StoreError>;
    /// Stores a grant, replacing an earlier one from the same account for the same device.
    fn insert_grant(&mut self, row: &GrantRow) -> Result<(), StoreError>;

    /// Stores an invite.
    fn insert_invite(&mut self, row: &InviteRow) -> Result<(), StoreError>;
    /// Takes one use of a live invite and returns the row after it; `None` if unknown, used up or
    /// expired at `now`.
    fn use_invite(
        &mut self,
        token_hash: Hash,
        now: TimeMs,
    ) -> Result<Option<InviteRow>, StoreError>;
    /// Takes one of an invite's taken-name answers; `false` if none is left.
    fn use_invite_name(&mut self, token_hash: Hash) -> Result<bool, StoreError>;
    /// Ends an invite; says whether it was there.
    fn remove_invite(&mut self, token_hash: Hash) -> Result<bool, StoreError>;
    /// Notes that somebody waits to be added to rooms; a repeated note changes nothing.
    fn insert_join(&mut self, row: &JoinRow) -> Result<(), StoreError>;
    /// Forgets a join that has been dealt with.
    fn remove_join(&mut self, token_hash: Hash, account: AccountId) -> Result<(), StoreError>;

    /// Stores a scheduled entry. [`StoreError::Exists`] if the device used the number already, for
    /// one that waits or one that was appended.
    fn insert_schedule(&mut self, row: &ScheduleRow) -> Result<(), StoreError>;
    /// Removes a scheduled entry; says whether it was there.
    fn remove_schedule(
        &mut self,
        room: RoomNumber,
        device: DeviceId,
        id: u64,
    ) -> Result<bool, StoreError>;

    /// Keeps a value by name.
    fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError>;
}
