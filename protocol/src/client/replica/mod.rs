//! The replica: what this device keeps between runs, over any [`KeyValue`] backend.
//!
//! Owns the contract and the meaning of every row. There is one write, [`Replica::commit`]: a list of
//! typed changes in one transaction, which also feeds the indexes over the log. A backend on a disk
//! seals every value (texts, names, epoch secrets, drafts, invite secrets); the device's own keys are
//! *not* in here, they come from the key file. Methods are small and block: the engine calls them on
//! its own thread, faces may call the reading ones from theirs. Never verifies anything: that was
//! done before something is written here.
//!
//! **Several processes of one device share one replica** (CRYPTO B4). Therefore: taking a counter
//! and sealing is one immediate transaction ([`Replica::seal_next`], [`Replica::reseal`]); one
//! process drains the outbox ([`Replica::try_lock_drain`]), the others watch
//! [`Replica::change_stamp`] and read [`Replica::outbox_changes`]; the same verified entry may be
//! written twice by two processes, and the second write changes nothing; cursors and heads only move
//! forward.

#[cfg(test)]
pub(super) mod contract;
mod index;
mod invites;
mod journal;
mod key;
mod key_value;
mod keys;
mod load;
mod logs;
mod memory;
mod outbox;
mod people;
mod rooms;
mod row;
mod singles;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

pub use index::RelationRow;
pub use key_value::{Key, KeyValue, Rows, RowsMut, Span, Table, Value};
pub use load::LoadedRoom;
pub use memory::MemoryRows;
pub use write::{Write, Written};

use super::record::{DeviceLane, OutboxRow, SealedMessage};

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

/// What replica methods return.
pub type Stored<T> = Result<T, StorageError>;

/// Held by the one process that sends the outbox; dropping it lets another one drain.
pub trait DrainGuard: Send + std::fmt::Debug {}

/// Seals one outbox row: gets the lane to continue and the row, returns the bytes with the counter
/// it took; `None` leaves everything as it was. Must not call the replica.
pub type Sealer<'a> = dyn FnMut(&DeviceLane, &OutboxRow) -> Option<SealedMessage> + 'a;

/// The storage of one device; clones are handles of the same one. Every method is atomic and, on a
/// disk, durable when it returns `Ok`.
///
/// # Errors
///
/// All methods: [`StorageError`], whose variants say whether retrying helps.
#[derive(Debug, Clone)]
pub struct Replica {
    backend: Arc<dyn KeyValue>,
}

impl Replica {
    /// An empty replica that lives as long as the process.
    pub fn in_memory() -> Self {
        Self { backend: Arc::new(MemoryRows::default()) }
    }

    /// The replica over a backend; brings the indexes up to date if an older version of this
    /// program filled them.
    pub fn over(backend: Arc<dyn KeyValue>) -> Stored<Self> {
        let replica = Self { backend };
        if replica.read(|rows| index::are_old(rows))? {
            replica.write(|rows| index::rebuild(rows))?;
        }
        Ok(replica)
    }

    /// Checks the whole storage; the text says what is wrong, `None` that nothing is.
    pub fn check(&self) -> Stored<Option<String>> {
        self.backend.check()
    }

    /// A number that changes whenever any process has changed the replica. Cheap: it is polled.
    pub fn change_stamp(&self) -> Stored<u64> {
        self.backend.change_stamp()
    }

    /// Takes the advisory lock of the one process that sends; `None` if another process has it.
    pub fn try_lock_drain(&self) -> Stored<Option<Box<dyn DrainGuard>>> {
        self.backend.try_lock_drain()
    }

    fn read<T>(&self, mut ask: impl FnMut(&dyn Rows) -> Stored<T>) -> Stored<T> {
        let mut answer = None;
        self.backend.read(&mut |rows| {
            answer = Some(ask(rows)?);
            Ok(())
        })?;
        answer.ok_or_else(|| broken("the backend did not read"))
    }

    fn write<T>(&self, mut change: impl FnMut(&mut dyn RowsMut) -> Stored<T>) -> Stored<T> {
        let mut answer = None;
        self.backend.write(&mut |rows| {
            answer = Some(change(rows)?);
            Ok(())
        })?;
        answer.ok_or_else(|| broken("the backend did not write"))
    }
}

/// Wraps any failure that mending the disk does not help.
pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError::Broken(error.into())
}
