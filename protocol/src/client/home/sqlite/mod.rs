//! The replica of people's clients: the engine's [`Replica`] in one SQLite file.
//!
//! Owns connections, transactions, the seal over rows and the lock of the draining process. Writes
//! are immediate transactions with `synchronous=FULL`: what a method returned `Ok` for survives a
//! power cut. Reading goes over a connection of its own and never waits for a writer's fsync.
//! Never interprets what it keeps.

mod error;
mod facts;
mod logs;
mod outbox;
mod people;
mod rooms;
mod row_seal;
mod schema;
mod small;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client::{
    Batch, Commitment, Contact, DeviceLane, DrainGuard, EntryRecord, OutboxRow, OwnInvite, Replica,
    RoomFacts, RoomRecord, RowState, Sealer, ServerRecord, StorageError, Stored, StoredContent,
    UnreadableCause,
};
use crate::crypto::content::Content;
use crate::crypto::epoch::EpochSecret;
use crate::id::{AccountId, Counter, DeviceId, Epoch, Hash, InviteToken, RoomId, Seq, TimeMs};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use self::error::{broken, explain_io, stored};
use self::row_seal::{Place, RowSeal};
use super::files::{FileError, make_private_dir, open_private};

/// How long a transaction waits for another process; longer means that one hangs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection: about as many as there are methods.
const STATEMENTS_MAX: usize = 64;
/// The name of the value that tells whether the file belongs to this key.
const KEY_CHECK: &str = "replica.key_check";
/// The name of the value that tells whether the account exists at the server.
const JOINED: &str = "profile.joined";

/// The replica of one device in one SQLite file, shared by all its processes.
#[derive(Debug)]
pub struct SqliteReplica {
    /// Makes all changes.
    writer: Mutex<Connection>,
    /// Answers all questions; `data_version` of this one sees every change of the other.
    reader: Mutex<Connection>,
    seal: RowSeal,
    drain_lock: PathBuf,
}

impl SqliteReplica {
    /// Opens the replica in `store`, making it if need be. `drain_lock` is the path of the advisory
    /// lock beside it, `key` seals the rows.
    ///
    /// # Errors
    ///
    /// [`StorageError::ReadOnly`] and [`StorageError::Full`] help themselves once the disk is
    /// mended; [`StorageError::Broken`] for a damaged file, another key or a newer client's file.
    pub fn open(store: &Path, drain_lock: &Path, key: &[u8; 32]) -> Stored<Self> {
        if let Some(dir) = store.parent() {
            make_private_dir(dir).map_err(explain_path)?;
        }
        // SQLite gives its side files the mode of the main one, so that is made first, 0600.
        drop(open_private(store).map_err(explain_path)?);
        let mut writer = connect(store)?;
        schema::migrate(&mut writer)?;
        let reader = connect(store)?;
        stored(reader.pragma_update(None, "query_only", true))?;
        let replica = Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            seal: RowSeal::new(key),
            drain_lock: drain_lock.to_owned(),
        };
        replica.check_key()?;
        Ok(replica)
    }

    /// Lets SQLite check the whole file; the text says what is wrong, `None` that nothing is.
    pub fn check(&self) -> Stored<Option<String>> {
        self.read(|conn, _| {
            let text: String =
                stored(conn.pragma_query_value(None, "integrity_check", |row| row.get(0)))?;
            Ok((text != "ok").then_some(text))
        })
    }

    /// Whether the server ever answered the join that made this replica.
    pub fn is_joined(&self) -> Stored<bool> {
        Ok(self.setting(JOINED)?.is_some())
    }

    /// Notes that the server answered the join.
    pub fn mark_joined(&self) -> Stored<()> {
        self.put_setting(JOINED, b"1")
    }

    /// Forgets the server's key, so that the next contact counts as the first one.
    pub fn forget_server(&self) -> Stored<()> {
        self.write(|tx, _| {
            stored(tx.execute("DELETE FROM server", []))?;
            Ok(())
        })
    }

    fn check_key(&self) -> Stored<()> {
        match self.setting(KEY_CHECK) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.put_setting(KEY_CHECK, b"1"),
            Err(StorageError::Broken(_)) => {
                Err(broken("it is sealed under another key than the key file holds"))
            }
            Err(error) => Err(error),
        }
    }

    fn read<T>(&self, ask: impl FnOnce(&Connection, &RowSeal) -> Stored<T>) -> Stored<T> {
        ask(&lock(&self.reader), &self.seal)
    }

    fn write<T>(&self, change: impl FnOnce(&Transaction<'_>, &RowSeal) -> Stored<T>) -> Stored<T> {
        let mut conn = lock(&self.writer);
        let tx = stored(conn.transaction_with_behavior(TransactionBehavior::Immediate))?;
        let value = change(&tx, &self.seal)?;
        stored(tx.commit())?;
        Ok(value)
    }
}

/// A panic while a connection was held rolled its transaction back, so the connection is whole.
fn lock(conn: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    conn.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(store: &Path) -> Stored<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = stored(Connection::open_with_flags(store, flags))?;
    stored(conn.busy_timeout(BUSY_TIMEOUT))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    if stored(conn.is_readonly(rusqlite::MAIN_DB))? {
        return Err(StorageError::ReadOnly);
    }
    let mode: String = stored(conn.pragma_query_value(None, "journal_mode", |row| row.get(0)))?;
    if mode != "wal" {
        stored(conn.pragma_update(None, "journal_mode", "wal"))?;
    }
    for (pragma, value) in [
        ("synchronous", "FULL"),
        ("trusted_schema", "OFF"),
        ("cell_size_check", "ON"),
        ("mmap_size", "0"),
        ("secure_delete", "ON"),
    ] {
        stored(conn.pragma_update(None, pragma, value))?;
    }
    Ok(conn)
}

fn explain_path(error: FileError) -> StorageError {
    match error {
        FileError::Io { source, .. } => explain_io(source),
        other @ FileError::TooOpen { .. } => broken(other),
    }
}

/// The advisory lock; the system frees it when the file closes, also after a crash.
#[derive(Debug)]
struct DrainLock {
    _file: File,
}

impl DrainGuard for DrainLock {}

impl Replica for SqliteReplica {
    fn change_stamp(&self) -> Stored<u64> {
        self.read(|conn, _| {
            let version: i64 =
                stored(conn.pragma_query_value(None, "data_version", |row| row.get(0)))?;
            Ok(version.cast_unsigned())
        })
    }

    fn try_lock_drain(&self) -> Stored<Option<Box<dyn DrainGuard>>> {
        let file = open_private(&self.drain_lock).map_err(explain_path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(DrainLock { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(explain_io(error)),
        }
    }

    fn server(&self) -> Stored<Option<ServerRecord>> {
        self.read(|conn, _| people::server(conn))
    }

    fn put_server(&self, server: &ServerRecord) -> Stored<()> {
        self.write(|tx, _| people::put_server(tx, server))
    }

    fn chain_accounts(&self) -> Stored<Vec<AccountId>> {
        self.read(|conn, _| people::chain_accounts(conn))
    }

    fn chain_links(&self, account: AccountId) -> Stored<Vec<Vec<u8>>> {
        self.read(|conn, seal| people::chain_links(conn, seal, account))
    }

    fn put_chain_links(&self, account: AccountId, first_seq: u32, links: &[Vec<u8>]) -> Stored<()> {
        self.write(|tx, seal| people::put_chain_links(tx, seal, account, first_seq, links))
    }

    fn contacts(&self) -> Stored<Vec<Contact>> {
        self.read(people::contacts)
    }

    fn put_contact(&self, contact: &Contact) -> Stored<()> {
        self.write(|tx, seal| people::put_contact(tx, seal, contact))
    }

    fn rooms(&self) -> Stored<Vec<RoomRecord>> {
        self.read(rooms::all)
    }

    fn room(&self, room: RoomId) -> Stored<Option<RoomRecord>> {
        self.read(|conn, seal| rooms::one(conn, seal, room))
    }

    fn put_room(&self, room: RoomId, facts: &RoomFacts) -> Stored<()> {
        self.write(|tx, seal| rooms::put(tx, seal, room, facts))
    }

    fn forget_room(&self, room: RoomId) -> Stored<()> {
        self.write(|tx, _| rooms::forget(tx, room))
    }

    fn apply(&self, room: RoomId, batch: &Batch) -> Stored<()> {
        self.write(|tx, seal| logs::apply(tx, seal, room, batch))
    }

    fn entries_before(&self, room: RoomId, before: Seq, count: u32) -> Stored<Vec<EntryRecord>> {
        self.read(|conn, seal| logs::entries_before(conn, seal, room, before, count))
    }

    fn entries_after(&self, room: RoomId, after: Seq, count: u32) -> Stored<Vec<EntryRecord>> {
        self.read(|conn, seal| logs::entries_after(conn, seal, room, after, count))
    }

    fn hash_at(&self, room: RoomId, seq: Seq) -> Stored<Option<Hash>> {
        self.read(|conn, _| logs::hash_at(conn, room, seq))
    }

    fn commits(&self, room: RoomId) -> Stored<Vec<Commitment>> {
        self.read(|conn, seal| logs::commits(conn, seal, room))
    }

    fn put_content(
        &self,
        room: RoomId,
        seq: Seq,
        content: &StoredContent,
        is_mention: bool,
    ) -> Stored<()> {
        self.write(|tx, seal| logs::put_content(tx, seal, (room, seq), content, is_mention))
    }

    fn unreadable(&self, room: RoomId, cause: UnreadableCause, count: u32) -> Stored<Vec<Seq>> {
        self.read(|conn, _| logs::unreadable(conn, room, cause, count))
    }

    fn n_mentions(&self, room: RoomId, after: Seq) -> Stored<u32> {
        self.read(|conn, _| logs::n_mentions(conn, room, after))
    }

    fn note_shown(&self, room: RoomId, seqs: &[Seq]) -> Stored<Vec<Seq>> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|tx, _| logs::note_shown(tx, room, seqs))
    }

    fn lanes(&self, room: RoomId) -> Stored<Vec<(DeviceId, DeviceLane)>> {
        self.read(|conn, _| logs::lanes(conn, room))
    }

    fn epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<Option<EpochSecret>> {
        self.read(|conn, seal| rooms::epoch_secret(conn, seal, room, epoch))
    }

    fn epochs(&self, room: RoomId) -> Stored<Vec<Epoch>> {
        self.read(|conn, _| rooms::epochs(conn, room))
    }

    fn put_epoch_secret(&self, room: RoomId, epoch: Epoch, secret: &EpochSecret) -> Stored<()> {
        self.write(|tx, seal| rooms::put_epoch_secret(tx, seal, (room, epoch), secret))
    }

    fn wipe_epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<()> {
        self.write(|tx, _| rooms::wipe_epoch_secret(tx, room, epoch))?;
        // The log of changes still holds the page as it was before: empty it too.
        let conn = lock(&self.writer);
        stored(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
    }

    fn queue(&self, room: RoomId, content: &Content, queued_at: TimeMs) -> Stored<u64> {
        self.write(|tx, seal| outbox::queue(tx, seal, room, content, queued_at))
    }

    fn outbox(&self, room: Option<RoomId>) -> Stored<Vec<OutboxRow>> {
        self.read(|conn, seal| outbox::open_rows(conn, seal, room))
    }

    fn outbox_row(&self, local_id: u64) -> Stored<Option<OutboxRow>> {
        self.read(|conn, seal| outbox::one(conn, seal, local_id))
    }

    fn own_lane(&self, room: RoomId) -> Stored<DeviceLane> {
        self.read(|conn, _| outbox::own_lane(conn, room))
    }

    fn seal_next(&self, room: RoomId, seal: &mut Sealer<'_>) -> Stored<Option<OutboxRow>> {
        self.write(|tx, row_seal| outbox::seal_next(tx, row_seal, room, seal))
    }

    fn reseal(
        &self,
        room: RoomId,
        from: &DeviceLane,
        seal: &mut Sealer<'_>,
    ) -> Stored<Vec<OutboxRow>> {
        self.write(|tx, row_seal| outbox::reseal(tx, row_seal, room, *from, seal))
    }

    fn settle(&self, local_id: u64, state: &RowState) -> Stored<bool> {
        self.write(|tx, seal| outbox::settle(tx, seal, local_id, state))
    }

    fn row_of(&self, room: RoomId, counter: Counter) -> Stored<Option<OutboxRow>> {
        self.read(|conn, seal| outbox::row_of(conn, seal, room, counter))
    }

    fn draft(&self, room: RoomId) -> Stored<String> {
        self.read(|conn, seal| small::draft(conn, seal, room))
    }

    fn put_draft(&self, room: RoomId, text: &str) -> Stored<()> {
        self.write(|tx, seal| small::put_draft(tx, seal, room, text))
    }

    fn invites(&self) -> Stored<Vec<OwnInvite>> {
        self.read(small::invites)
    }

    fn put_invite(&self, invite: &OwnInvite) -> Stored<()> {
        self.write(|tx, seal| small::put_invite(tx, seal, invite))
    }

    fn forget_invite(&self, token: InviteToken) -> Stored<()> {
        self.write(|tx, _| small::forget_invite(tx, token))
    }

    fn setting(&self, key: &str) -> Stored<Option<Vec<u8>>> {
        self.read(|conn, seal| small::setting(conn, seal, key))
    }

    fn put_setting(&self, key: &str, value: &[u8]) -> Stored<()> {
        self.write(|tx, seal| small::put_setting(tx, seal, key, value))
    }
}
