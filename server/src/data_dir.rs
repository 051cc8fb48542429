//! The data directory: its files, their modes, and the lock that keeps two servers apart.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The database, within the data directory.
pub const DATABASE_FILE: &str = "mathia.db";

/// The data directory of one server.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

/// Held by the one process that may write to the directory.
#[derive(Debug)]
pub struct DataLock {
    // Unlocked by the system when the process ends, however it ends.
    _file: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It is not there.
    #[error("there is no data directory at {0}")]
    Missing(PathBuf),
    /// It cannot be made, opened or locked.
    #[error("cannot use the data directory {path}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another server has it.
    #[error("another server is using {0}")]
    Locked(PathBuf),
}

impl DataDirError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => "name the directory that `serve` was given",
            Self::Locked(_) => "stop the other server, or name another directory",
            Self::Unusable { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "the disk is read-only: mount it writable, or name another directory"
            }
            Self::Unusable { .. } => "the server needs a directory it may write to",
        }
    }
}

impl DataDir {
    /// Makes the directory when absent, with mode 0700.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Unusable`] when it cannot be made or its mode cannot be set.
    pub fn create(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mode = std::fs::metadata(path).map_err(unusable)?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
                .map_err(unusable)?;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Opens a directory that must be there.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Missing`].
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        if path.is_dir() {
            Ok(Self { path: path.to_owned() })
        } else {
            Err(DataDirError::Missing(path.to_owned()))
        }
    }

    /// Takes the lock without waiting.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Locked`] while another process has it.
    pub fn lock(&self) -> Result<DataLock, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: self.path.clone(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path.join("lock"))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(DataLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::Locked(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }

    /// The socket through which a running server takes an operator's commands.
    pub fn admin_socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }

    /// Where the address of the running (or last) server is noted, for making links beside it.
    pub fn address_note(&self) -> PathBuf {
        self.path.join("address")
    }
}

/// Reads a secret of exactly `N` bytes, or makes it once with mode 0600, durably.
///
/// # Errors
///
/// Any I/O error; a file of another length is `InvalidData`, and is never overwritten.
pub fn read_or_make_secret<const N: usize>(
    path: &Path,
    make: impl FnOnce() -> zeroize::Zeroizing<[u8; N]>,
) -> io::Result<(zeroize::Zeroizing<[u8; N]>, bool)> {
    use std::io::{Read as _, Write as _};
    match File::open(path) {
        Ok(mut file) => {
            let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(N + 1));
            (&mut file).take(N as u64 + 1).read_to_end(&mut bytes)?;
            let secret = <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} does not hold {N} bytes", path.display()),
                )
            })?;
            Ok((zeroize::Zeroizing::new(secret), false))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = make();
            let mut file =
                OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
            file.write_all(secret.as_slice())?;
            file.sync_all()?;
            if let Some(parent) = path.parent() {
                File::open(parent)?.sync_all()?;
            }
            Ok((secret, true))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    #[test]
    fn a_second_server_on_the_same_data_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = DataDir::create(scratch.path()).unwrap();
        let lock = dir.lock().unwrap();
        assert!(matches!(dir.lock(), Err(DataDirError::Locked(_))));
        drop(lock);
        assert!(dir.lock().is_ok());
    }

    #[test]
    fn a_secret_is_made_once_and_read_ever_after() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");
        let (made, is_new) = read_or_make_secret(&path, || Zeroizing::new([7u8; 32])).unwrap();
        assert!(is_new);
        let permissions = std::fs::metadata(&path).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        let (found, is_new) = read_or_make_secret(&path, || Zeroizing::new([8u8; 32])).unwrap();
        assert!(!is_new);
        assert_eq!(*made, *found);
        std::fs::write(&path, b"short").unwrap();
        let torn = read_or_make_secret(&path, || Zeroizing::new([8u8; 32]));
        assert_eq!(torn.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
