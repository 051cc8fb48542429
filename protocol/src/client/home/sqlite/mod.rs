//! Rows in one SQLite file: the replica of people's clients and of the assistant.
//!
//! Owns connections, transactions, the seal over rows and the lock of the draining process. Writes
//! are immediate transactions with `synchronous=FULL`: what a method returned `Ok` for survives a
//! power cut. Reading goes over a connection of its own and never waits for a writer's fsync.
//! Never interprets what it keeps.

mod error;
mod row_seal;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client::storage::{KeyValue, Rows, RowsMut, Table};
use crate::client::{DrainGuard, Replica, StorageError, Stored};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use self::error::{broken, explain_io, stored};
use self::row_seal::RowSeal;
use self::rows::SealedRows;
use super::files::{FileError, make_private_dir, open_private};

/// How long a transaction waits for another process; longer means that one hangs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection: about as many as there are tables and ways to use one.
const STATEMENTS_MAX: usize = 192;
/// The key of the row that tells whether the file belongs to this key, among the single values.
const KEY_CHECK: [u8; 1] = [0];

/// The rows of one device in one SQLite file, shared by all its processes.
#[derive(Debug)]
struct SqliteRows {
    /// Makes all changes.
    writer: Mutex<Connection>,
    /// Answers all questions; `data_version` of this one sees every change of the other.
    reader: Mutex<Connection>,
    seal: RowSeal,
    drain_lock: PathBuf,
}

impl Replica {
    /// Opens the replica in `store`, making it if need be. `drain_lock` is the path of the advisory
    /// lock beside it, `key` seals the rows.
    ///
    /// # Errors
    ///
    /// [`StorageError::ReadOnly`] and [`StorageError::Full`] help themselves once the disk is
    /// mended; [`StorageError::Broken`] for a damaged file, another key or another client's file.
    pub fn open(store: &Path, drain_lock: &Path, key: &[u8; 32]) -> Stored<Self> {
        Self::over(Arc::new(SqliteRows::open(store, drain_lock, key)?))
    }
}

impl SqliteRows {
    fn open(store: &Path, drain_lock: &Path, key: &[u8; 32]) -> Stored<Self> {
        if let Some(dir) = store.parent() {
            make_private_dir(dir).map_err(explain_path)?;
        }
        // SQLite gives its side files the mode of the main one, so that is made first, 0600.
        drop(open_private(store).map_err(explain_path)?);
        let mut writer = connect(store)?;
        schema::prepare(&mut writer)?;
        let reader = connect(store)?;
        stored(reader.pragma_update(None, "query_only", true))?;
        let rows = Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            seal: RowSeal::new(key),
            drain_lock: drain_lock.to_owned(),
        };
        rows.check_key()?;
        Ok(rows)
    }

    fn check_key(&self) -> Stored<()> {
        let mut has_check = false;
        let read = self.read(&mut |rows| {
            has_check = rows.get(Table::Singles, &KEY_CHECK)?.is_some();
            Ok(())
        });
        match read {
            Ok(()) if has_check => Ok(()),
            Ok(()) => self.write(&mut |rows| rows.put(Table::Singles, &KEY_CHECK, &[1])),
            Err(StorageError::Broken(_)) => {
                Err(broken("it is sealed under another key than the key file holds"))
            }
            Err(error) => Err(error),
        }
    }
}

impl KeyValue for SqliteRows {
    fn read(&self, ask: &mut dyn FnMut(&dyn Rows) -> Stored<()>) -> Stored<()> {
        let mut conn = lock(&self.reader);
        // Of one moment, though it may take several statements.
        let tx = stored(conn.transaction())?;
        ask(&SealedRows { conn: &tx, seal: &self.seal })?;
        stored(tx.commit())
    }

    fn write(&self, change: &mut dyn FnMut(&mut dyn RowsMut) -> Stored<()>) -> Stored<()> {
        let mut conn = lock(&self.writer);
        let tx = stored(conn.transaction_with_behavior(TransactionBehavior::Immediate))?;
        change(&mut SealedRows { conn: &tx, seal: &self.seal })?;
        stored(tx.commit())
    }

    fn change_stamp(&self) -> Stored<u64> {
        let conn = lock(&self.reader);
        let version: i64 = stored(conn.pragma_query_value(None, "data_version", |row| row.get(0)))?;
        Ok(version.cast_unsigned())
    }

    fn try_lock_drain(&self) -> Stored<Option<Box<dyn DrainGuard>>> {
        let file = open_private(&self.drain_lock).map_err(explain_path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(DrainLock { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(explain_io(error)),
        }
    }

    fn scrub(&self) -> Stored<()> {
        // The log of changes still holds pages as they were before: empty it too.
        let conn = lock(&self.writer);
        stored(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
    }

    fn check(&self) -> Stored<Option<String>> {
        let conn = lock(&self.reader);
        let text: String =
            stored(conn.pragma_query_value(None, "integrity_check", |row| row.get(0)))?;
        Ok((text != "ok").then_some(text))
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
