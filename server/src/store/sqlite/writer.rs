//! The one writer: batches, and the checkpoints that keep the write-ahead log short.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::database::Database;
use crate::store::{StoreError, Write, Writer};

/// Pages in the write-ahead log from which on a commit is followed by a checkpoint: 16 MiB. Larger
/// is no cheaper per row (measured), smaller writes pages that are about to change again.
const CHECKPOINT_PAGES: u32 = 4_096;
/// Pages from which on a checkpoint waits for readers, so that the log restarts: 64 MiB.
const RESTART_PAGES: u32 = 16_384;
/// Readers get this long to finish then; one that copies the whole database takes longer.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// The right to write, which one writer at a time has.
#[derive(Debug)]
pub(super) struct WriterSeat(Arc<AtomicBool>);

impl WriterSeat {
    /// Takes the seat.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`] while another writer has it.
    pub(super) fn take(is_taken: &Arc<AtomicBool>) -> Result<Self, StoreError> {
        if is_taken.swap(true, Ordering::AcqRel) {
            return Err(StoreError::broken("there is a writer already"));
        }
        Ok(Self(Arc::clone(is_taken)))
    }
}

impl Drop for WriterSeat {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The writing connection, the only one.
#[derive(Debug)]
pub(super) struct SqliteWriter {
    db: Database,
    /// Pages in the write-ahead log after the last commit; set by SQLite's hook.
    n_wal_pages: Arc<AtomicU32>,
    /// The same after the commit before that: a lower number now means that the log restarted.
    n_wal_pages_before: u32,
    /// A checkpoint runs when the log has this many pages.
    checkpoint_at: u32,
    /// Given up when the writer is dropped.
    _seat: WriterSeat,
}

impl SqliteWriter {
    pub(super) fn new(mut db: Connection, seat: WriterSeat) -> Result<Self, StoreError> {
        let n_wal_pages = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&n_wal_pages);
        db.wal_hook(Some(move |_: &mut _, n_pages: i32| {
            counter.store(n_pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let db = Database::new(db);
        Ok(Self {
            db,
            n_wal_pages,
            n_wal_pages_before: 0,
            checkpoint_at: CHECKPOINT_PAGES,
            _seat: seat,
        })
    }

    fn work_and_commit(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Write) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.db.run("BEGIN IMMEDIATE", ())?;
        work(&mut self.db)?;
        self.db.run("COMMIT", ())?;
        Ok(())
    }

    /// Moves the log's pages into the database when there are many. What readers hold back is tried
    /// again after as many pages more, not after each commit.
    ///
    /// The batch before is durable already, so a disk without room for this is no failure of it:
    /// the log stays as it is. A failing fsync, on the other hand, is the end (CRYPTO A10).
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let n_pages = self.n_wal_pages.load(Ordering::Relaxed);
        let has_restarted = n_pages < self.n_wal_pages_before;
        self.n_wal_pages_before = n_pages;
        if has_restarted {
            self.checkpoint_at = CHECKPOINT_PAGES;
        }
        if n_pages < self.checkpoint_at {
            return Ok(());
        }
        self.checkpoint_at = n_pages.saturating_add(CHECKPOINT_PAGES);
        if n_pages < RESTART_PAGES {
            return self.move_pages();
        }
        let outcome = self.db.waiting_at_most(RESTART_TIMEOUT, |db| {
            db.one("PRAGMA wal_checkpoint(RESTART)", (), |_| Ok(()))
        });
        unless_full(outcome)
    }

    /// Makes the write-ahead log empty, so that nothing of what was removed is left in it.
    fn empty_log(&mut self) -> Result<bool, StoreError> {
        // Most of the work needs nobody to wait.
        self.move_pages()?;
        let is_busy = self.db.waiting_at_most(RESTART_TIMEOUT, |db| {
            db.one("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))
        });
        match is_busy {
            Ok(is_busy) => Ok(is_busy == Some(false)),
            Err(StoreError::Full(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves what can be moved without waiting for anybody.
    fn move_pages(&self) -> Result<(), StoreError> {
        unless_full(self.db.one("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())))
    }
}

/// A checkpoint that finds no room has moved less, and that is all.
fn unless_full(outcome: Result<Option<()>, StoreError>) -> Result<(), StoreError> {
    match outcome {
        Ok(_) | Err(StoreError::Full(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Writer for SqliteWriter {
    fn erase_traces(&mut self) -> Result<bool, StoreError> {
        let is_empty = self.empty_log()?;
        if is_empty {
            self.n_wal_pages.store(0, Ordering::Relaxed);
            self.n_wal_pages_before = 0;
            self.checkpoint_at = CHECKPOINT_PAGES;
        }
        Ok(is_empty)
    }

    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Write) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self.work_and_commit(work) {
            Ok(()) => self.checkpoint(),
            Err(error) => {
                // Some failures have rolled back by themselves.
                if self.db.is_in_batch() {
                    self.db.run("ROLLBACK", ())?;
                }
                if matches!(error, StoreError::Full(_)) {
                    // Pages that lie in the log twice may make the room that is missing.
                    self.move_pages()?;
                }
                Err(error)
            }
        }
    }
}
