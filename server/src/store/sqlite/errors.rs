//! What a failure of SQLite means for the server: wait, refuse, or end (CRYPTO C3).

use rusqlite::ffi;

use crate::store::StoreError;

impl From<rusqlite::Error> for StoreError {
    /// Sorts a failure: no space is temporary, a taken key is an answer, all else is the end.
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map_or(0, |cause| cause.extended_code);
        match code {
            ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_SHMOPEN => {
                Self::full(error)
            }
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => Self::Exists,
            _ => Self::broken(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(extended_code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None).into()
    }

    #[test]
    fn no_space_is_temporary_and_a_taken_key_is_an_answer() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_SHMOPEN] {
            assert!(matches!(failure(code), StoreError::Full(_)), "{code}");
        }
        assert!(matches!(failure(ffi::SQLITE_CONSTRAINT_UNIQUE), StoreError::Exists));
        assert!(matches!(failure(ffi::SQLITE_CONSTRAINT_PRIMARYKEY), StoreError::Exists));
    }

    #[test]
    fn a_failed_fsync_corruption_and_a_broken_reference_are_the_end() {
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY,
        ] {
            assert!(matches!(failure(code), StoreError::Broken(_)), "{code}");
        }
    }
}
