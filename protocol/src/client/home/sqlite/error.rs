//! What an SQLite failure means for a person: full, read-only, busy, or broken.

use crate::client::{StorageError, Stored};
use rusqlite::ErrorCode;

/// Extended result codes of SQLite that mean "no space for the shared memory file": 10 is the code
/// of an I/O error, 18 and 19 say which.
const IOERR_SHMOPEN: i32 = 18 * 256 + 10;
const IOERR_SHMSIZE: i32 = 19 * 256 + 10;

/// Wraps any failure that mending the disk does not help.
pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError::Broken(error.into())
}

/// Translates an SQLite result.
pub(super) fn stored<T>(result: rusqlite::Result<T>) -> Stored<T> {
    result.map_err(explain)
}

fn explain(error: rusqlite::Error) -> StorageError {
    let Some(failure) = error.sqlite_error() else { return broken(error) };
    match failure.code {
        ErrorCode::DiskFull => StorageError::Full,
        ErrorCode::SystemIoFailure
            if matches!(failure.extended_code, IOERR_SHMOPEN | IOERR_SHMSIZE) =>
        {
            StorageError::Full
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StorageError::ReadOnly,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StorageError::Busy,
        _ => broken(error),
    }
}

/// Translates a failure of the file system.
pub(super) fn explain_io(error: std::io::Error) -> StorageError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StorageError::Full,
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            StorageError::ReadOnly
        }
        _ => broken(error),
    }
}
