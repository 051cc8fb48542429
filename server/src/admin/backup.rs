//! Backups: a copy that is believed only after every log in it has been computed again.
//!
//! SQLite's own check finds broken pages; recomputing `H_n` finds every changed byte of every entry
//! (CRYPTO C3). Owns no format: a backup is a database that a server can start from, with the same
//! bodies at rest. It needs the master key beside it to open open rooms again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::id::{Hash, RoomNumber, Seq};
use mathia_protocol::log::chain::LogHash;

use crate::rooms::at_rest::MasterKey;
use crate::rooms::keyring::RoomKeys;
use crate::store::sqlite::SqliteStore;
use crate::store::{EntryRange, EntryRow, Read, RoomRow, Store, StoreError};

/// Entries that are checked at a time.
const PAGE_ROWS_MAX: u32 = 1_024;
/// Bytes of bodies that are checked at a time: what a backup needs in memory.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a verified copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupReport {
    /// Rooms.
    pub n_rooms: u64,
    /// Entries in all logs.
    pub n_entries: u64,
    /// Entries of open rooms whose bodies were not opened, for want of the master key. Their
    /// places in the logs are checked all the same.
    pub n_unopened: u64,
    /// The size of the file.
    pub n_bytes: u64,
}

/// Why there is no backup, or why a copy is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file of this name. Nothing was written; another name helps.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The path names no file.
    #[error("{} names no file", .0.display())]
    NoName(PathBuf),
    /// The file cannot be written or read.
    #[error("cannot use {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database could not be copied or read. [`StoreError::Full`] heals with more space.
    #[error("the database cannot be copied or read")]
    Store(#[from] StoreError),
    /// A log does not fit together at this place: the data was damaged or changed. Retrying never
    /// helps; an older backup does.
    #[error("room {room} is damaged at entry {seq}: {what}")]
    Damaged {
        /// The room.
        room: RoomNumber,
        /// The first place that does not fit.
        seq: Seq,
        /// What does not fit.
        what: &'static str,
    },
}

/// Copies the running database to `target`, verifies the copy, and gives it its name only then.
///
/// Takes as long as reading everything; neither readers nor the writer wait for it.
///
/// # Errors
///
/// [`BackupError::Exists`] if there is something at `target`. Whatever fails, no file is left.
pub fn backup(
    store: &dyn Store,
    target: &Path,
    master: Option<&MasterKey>,
) -> Result<BackupReport, BackupError> {
    refuse_existing(target)?;
    let partial = beside(target)?;
    match fs::remove_file(&partial) {
        // Left by a backup that was killed; it was never finished.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(BackupError::File { path: partial, source }),
    }
    store.copy_to(&partial)?;
    let outcome = verify_logs(&partial, master)
        .and_then(|report| refuse_existing(target).map(|()| report))
        .and_then(|report| give_name(&partial, target).map(|()| report));
    if outcome.is_err() {
        remove(&partial)?;
    }
    outcome
}

/// Verifies a copy: the file's pages, then every log in it.
///
/// # Errors
///
/// [`BackupError::Damaged`] names the first place that does not fit.
pub fn verify(path: &Path, master: Option<&MasterKey>) -> Result<BackupReport, BackupError> {
    SqliteStore::check_integrity(path)?;
    verify_logs(path, master)
}

fn refuse_existing(target: &Path) -> Result<(), BackupError> {
    match fs::symlink_metadata(target) {
        Ok(_) => Err(BackupError::Exists(target.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BackupError::File { path: target.to_owned(), source }),
    }
}

/// The hidden name of an unfinished copy, on the same disk as the target.
fn beside(target: &Path) -> Result<PathBuf, BackupError> {
    let name = target.file_name().ok_or_else(|| BackupError::NoName(target.to_owned()))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(target.with_file_name(partial))
}

/// Renames, and makes the new name durable.
fn give_name(partial: &Path, target: &Path) -> Result<(), BackupError> {
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    fs::rename(partial, target)
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(|source| BackupError::File { path: target.to_owned(), source })
}

fn remove(partial: &Path) -> Result<(), BackupError> {
    match fs::remove_file(partial) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::File { path: partial.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn verify_logs(path: &Path, master: Option<&MasterKey>) -> Result<BackupReport, BackupError> {
    let copy = SqliteStore::open_copy(path)?;
    let size = fs::metadata(path);
    let size = size.map_err(|source| BackupError::File { path: path.to_owned(), source })?;
    let n_rooms = copy.counts()?.n_rooms;
    let mut report = BackupReport { n_rooms, n_bytes: size.len(), ..BackupReport::default() };
    // Room numbers are dense from 1.
    for number in (1..).map(RoomNumber).take_while(|number| u64::from(number.0) <= n_rooms) {
        let row = copy.room_by_number(number)?;
        let row = row.ok_or(BackupError::Damaged {
            room: number,
            seq: Seq(0),
            what: "the room is missing",
        })?;
        verify_log(&*copy, &row, master, &mut report)?;
    }
    Ok(report)
}

/// Recomputes one log, page by page.
fn verify_log(
    copy: &dyn Read,
    row: &RoomRow,
    master: Option<&MasterKey>,
    report: &mut BackupReport,
) -> Result<(), BackupError> {
    let bodies = Bodies::of(copy, row, master)?;
    let mut head = LogHash::start(row.room);
    loop {
        let page = copy.entries(EntryRange {
            room: row.number,
            from: head.seq().next(),
            to: Seq(u64::MAX),
            n_rows_max: PAGE_ROWS_MAX,
            n_bytes_max: PAGE_BYTES_MAX,
        })?;
        if page.is_empty() {
            return Ok(());
        }
        for entry in &page {
            head = verify_entry(head, entry, &bodies)
                .map_err(|(seq, what)| BackupError::Damaged { room: row.number, seq, what })?;
            report.n_entries += 1;
            if matches!(bodies, Bodies::Closed) && entry.body.is_some() {
                report.n_unopened += 1;
            }
        }
    }
}

/// Takes one entry into the log, if it fits.
fn verify_entry(
    head: LogHash,
    entry: &EntryRow,
    bodies: &Bodies,
) -> Result<LogHash, (Seq, &'static str)> {
    let seq = head.seq().next();
    if entry.seq != seq {
        return Err((seq, "the entry is missing"));
    }
    if let Some(body) = &entry.body {
        let true_hash = bodies.true_hash(seq, body);
        let true_hash = true_hash.map_err(|()| (seq, "the body does not open"))?;
        if true_hash.is_some_and(|hash| hash != entry.entry_hash) {
            return Err((seq, "the body is not the one that was stored"));
        }
    }
    let next = head.extend_hash(entry.entry_hash);
    if next.hash() != entry.hash {
        return Err((seq, "the rolling hash does not fit"));
    }
    Ok(next)
}

/// How the bodies of a room are looked at.
enum Bodies {
    /// As they are: end-to-end rooms.
    Plain,
    /// Opened first: open rooms.
    Sealed(RoomKeys),
    /// Not at all: open rooms, when the master key is not at hand.
    Closed,
}

impl Bodies {
    fn of(copy: &dyn Read, row: &RoomRow, master: Option<&MasterKey>) -> Result<Self, BackupError> {
        if row.mode != RoomMode::Open.to_byte() {
            return Ok(Self::Plain);
        }
        let Some(master) = master else { return Ok(Self::Closed) };
        let keys = RoomKeys::load(copy, master, row).ok().flatten();
        keys.map(Self::Sealed).ok_or_else(|| {
            let what = "its keys do not open; is the master key the right one?";
            BackupError::Damaged { room: row.number, seq: Seq(0), what }
        })
    }

    /// SHA-256 of the true bytes of a body, `None` where it cannot be known.
    fn true_hash(&self, seq: Seq, body: &[u8]) -> Result<Option<Hash>, ()> {
        match self {
            Self::Plain => Ok(Some(sha256(&[body]))),
            Self::Sealed(keys) => {
                keys.open_entry(seq, body).map(|entry| Some(sha256(&[&entry]))).map_err(|_| ())
            }
            Self::Closed => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
