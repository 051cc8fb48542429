//! The embedded database: one SQLite file in write-ahead mode, one writer, many readers.
//!
//! Owns files, pragmas, schema and SQL. Knows rows and nothing about what they mean.

mod accounts;
mod columns;
mod database;
mod entries;
mod errors;
mod invites;
mod keys;
mod marks;
mod migrations;
mod open;
mod read;
mod rooms;
mod schedules;
mod settings;
mod write;
mod writer;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mathia_protocol::id::Realm;

use self::database::Database;
use self::writer::{SqliteWriter, WriterSeat};
use super::{Read, Store, StoreError, Writer};

/// A SQLite database, in a directory that is the server's own.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    n_pages_max: Option<u32>,
    /// Set while a writer lives; a second process is kept out by the data directory's lock.
    has_writer: Arc<AtomicBool>,
}

impl SqliteStore {
    /// Opens the database file at `path`, making and migrating it as needed.
    ///
    /// A new one gets the identity that `make_realm` returns. Time does not depend on how much is
    /// stored, except for at most 64 MiB of write-ahead log after a crash.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when the disk has no room; [`StoreError::Broken`] when the directory
    /// cannot be used, or the data was made by a newer server. Neither heals by retrying.
    pub fn open(path: &Path, make_realm: impl FnOnce() -> Realm) -> Result<Self, StoreError> {
        open::create(path).map_err(StoreError::broken)?;
        let mut db = open::writing(path)?;
        migrations::apply(&mut db)?;
        settings::ensure_realm(&Database::new(db), make_realm)?;
        Ok(Self { path: path.to_owned(), n_pages_max: None, has_writer: Arc::default() })
    }

    /// Bounds the file to a number of 4 KiB pages: beyond it the disk counts as full.
    #[must_use]
    pub fn with_pages_max(self, n_pages_max: u32) -> Self {
        Self { n_pages_max: Some(n_pages_max), ..self }
    }

    /// Opens a copy made by [`Store::copy_to`] for reading only.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`] if it is no database of ours.
    pub fn open_copy(path: &Path) -> Result<Box<dyn Read + Send>, StoreError> {
        let db = open::reading(path)?;
        migrations::expect_current(&db)?;
        Ok(Box::new(Database::new(db)))
    }
}

impl Store for SqliteStore {
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        let seat = WriterSeat::take(&self.has_writer)?;
        let db = open::writing(&self.path)?;
        if let Some(n_pages_max) = self.n_pages_max {
            db.pragma_update(None, "max_page_count", n_pages_max)?;
        }
        Ok(Box::new(SqliteWriter::new(db, seat)?))
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(Database::new(open::reading(&self.path)?)))
    }

    fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        // VACUUM INTO takes an empty file, so nobody else ever sees the copy open to the world.
        let file = open::new_private_file(path).map_err(StoreError::broken)?;
        let outcome = self.copy_into(&file, path);
        if outcome.is_err() {
            fs::remove_file(path).map_err(StoreError::broken)?;
        }
        outcome
    }
}

impl SqliteStore {
    /// Runs SQLite's own check over the pages of a database file.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`] with the first finding.
    pub fn check_integrity(path: &Path) -> Result<(), StoreError> {
        let db = open::reading(path)?;
        let finding: String = db.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
        if finding == "ok" {
            return Ok(());
        }
        Err(StoreError::broken(format!("the database file is damaged: {finding}")))
    }

    fn copy_into(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        let target = path.to_str().ok_or_else(|| StoreError::broken("the path is not UTF-8"))?;
        // One long read: it never waits for the writer, nor the writer for it. It takes a connection
        // that could write, because the copy is attached with the same rights.
        open::writing(&self.path)?.execute("VACUUM INTO ?1", [target])?;
        // SQLite does not sync what VACUUM INTO writes.
        file.sync_all().map_err(StoreError::broken)?;
        Self::check_integrity(path)
    }
}
