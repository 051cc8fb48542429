//! The exit code and the hint for a home that cannot be used.
//!
//! The home itself (key file, replica, locks) is the protocol crate's: bots and the assistant keep
//! theirs alike.

use mathia_protocol::client::StorageError;
use mathia_protocol::client::home::{FileError, HomeError};

use crate::exit::{Exit, Failure};
use crate::paths::PathError;

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        let message = error.to_string();
        match error {
            HomeError::NotJoined(_) => Self::new(Exit::NotLoggedIn, message)
                .hint("`mathia-tui join LINK --name NAME` makes an account"),
            HomeError::Unfinished { .. } => Self::new(Exit::NotLoggedIn, message)
                .hint("run the same `mathia-tui join` again, or `mathia-tui logout` to give it up"),
            HomeError::KeyFile(_) => Self::new(Exit::NotLoggedIn, message)
                .hint("restore the key file from a copy; without it this device is lost"),
            HomeError::File(error) => error.into(),
            HomeError::Replica(error) => storage_failure(&error),
            HomeError::Torn => Self::new(Exit::NotLoggedIn, message)
                .hint("`mathia-tui logout` wipes both; then join again"),
            HomeError::Locked => Self::new(Exit::Failed, message).hint("try again in a moment"),
        }
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        let message = error.to_string();
        match error {
            PathError::NoHome => Self::new(Exit::BadConfig, message)
                .hint("set HOME, or MATHIA_HOME to a directory of your own"),
            PathError::BadProfile(_) => Self::new(Exit::Usage, message),
            PathError::File(error) => error.into(),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error {
            FileError::TooOpen { path, .. } => {
                Self::new(Exit::NotLoggedIn, message).hint(format!("chmod 600 {}", path.display()))
            }
            FileError::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::PermissionDenied => Self::new(Exit::NotLoggedIn, message)
                    .hint("the directory must belong to you: `mathia-tui doctor` shows which"),
                std::io::ErrorKind::ReadOnlyFilesystem => Self::new(Exit::Failed, message)
                    .hint("the disk is read-only: mount it writable, or set MATHIA_HOME elsewhere"),
                std::io::ErrorKind::StorageFull => {
                    Self::new(Exit::Failed, message).hint("free some space; nothing was lost")
                }
                _ => Self::new(Exit::Failed, message),
            },
        }
    }
}

fn storage_failure(error: &StorageError) -> Failure {
    let failure = Failure::new(Exit::Failed, error.to_string());
    match error {
        StorageError::Full => failure.hint("free some space; nothing was lost"),
        StorageError::ReadOnly => failure
            .hint("mount the disk writable or fix the permissions; `mathia-tui doctor` looks"),
        StorageError::Busy => failure.hint("try again in a moment"),
        StorageError::Broken(_) => {
            failure.hint("`mathia-tui doctor` looks closer; what the server has is not lost")
        }
    }
}
