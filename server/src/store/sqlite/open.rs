//! Opens connections: where the file lies, who may read it, and the pragmas it is used with
//! (CRYPTO C3). Decides nothing about rows.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::store::StoreError;

/// Another process (a backup tool) may hold the database this long before we call it broken.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept ready: there are about eighty different ones.
const STATEMENTS_MAX: usize = 128;
/// Page cache of the writer, in KiB: the pages that hundreds of active rooms touch. A larger one
/// costs more than it saves, since SQLite walks through all of it after commits that split a page
/// (measured: 8% of a row at 16 MiB).
const WRITER_CACHE_KIB: i32 = 4 * 1024;
/// Page cache of one reader, in KiB; the system's cache lies below it.
const READER_CACHE_KIB: i32 = 4 * 1024;
/// A write-ahead log that had to grow is cut back to this many bytes when it restarts.
const WAL_KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// Makes an empty database file (0600), and its directory (0700), where there is none.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // The name must be as durable as what will be written under it.
    File::open(directory)?.sync_all()
}

/// Makes a file that only we may read; fails if there is one.
pub(super) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a connection that writes.
pub(super) fn writing(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    prepare(&db, WRITER_CACHE_KIB)?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::broken(format!("write-ahead logging is not possible: {mode}")));
    }
    db.pragma_update(None, "synchronous", synchronous())?;
    // Not FAST: that leaves pages as they are which become free as a whole, and those of a long body
    // that has expired are such pages. Appends free none, so they pay nothing for it.
    db.pragma_update(None, "secure_delete", "ON")?;
    // Checkpoints are the writer's own, so that their errors are seen.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    Ok(db)
}

/// Opens a connection that cannot write.
pub(super) fn reading(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    prepare(&db, READER_CACHE_KIB)?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

fn prepare(db: &Connection, cache_kib: i32) -> Result<(), StoreError> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    db.pragma_update(None, "mmap_size", 0)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    // Sorting and statement journals stay out of /tmp.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "cache_size", -cache_kib)?;
    Ok(())
}

/// FULL: a commit returns after its fsync. Nothing in a released program can change this.
#[cfg(not(debug_assertions))]
fn synchronous() -> &'static str {
    "FULL"
}

/// In a debug build weaker on request, for proving that the proof of durability can fail. It is no
/// feature of the crate: a second build of the server for one line would cost every run of the checks.
#[cfg(debug_assertions)]
fn synchronous() -> &'static str {
    match std::env::var("MATHIA_TEST_SYNCHRONOUS").as_deref() {
        Ok("OFF") => "OFF",
        Ok("NORMAL") => "NORMAL",
        _ => "FULL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writing_connection_is_as_safe_as_the_specification_says() {
        let home = tempfile::TempDir::new().unwrap();
        let path = home.path().join("mathia.sqlite");
        create(&path).unwrap();
        let db = writing(&path).unwrap();
        let value =
            |name: &str| -> i64 { db.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
        assert_eq!(value("synchronous"), 2, "FULL");
        assert_eq!(value("secure_delete"), 1, "ON");
        assert_eq!(value("foreign_keys"), 1);
        assert_eq!(value("trusted_schema"), 0);
        assert_eq!(value("cell_size_check"), 1);
        assert_eq!(value("mmap_size"), 0);
        assert_eq!(value("temp_store"), 2, "MEMORY");
        let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn a_reading_connection_cannot_write() {
        let home = tempfile::TempDir::new().unwrap();
        let path = home.path().join("mathia.sqlite");
        create(&path).unwrap();
        writing(&path).unwrap().execute_batch("CREATE TABLE t (x INTEGER) STRICT").unwrap();
        let db = reading(&path).unwrap();
        assert!(db.execute("INSERT INTO t VALUES (1)", ()).is_err());
    }
}
