//! Files that only their owner may read: made 0600 in directories 0700, replaced at once, refused
//! when others may touch them.
//!
//! Owns modes and durability of files that hold secrets. Never decides what is in one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Why a private file or directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused. Retrying helps once permissions or space are mended.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried: "make", "read", "write".
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others may read a file that holds secrets. `chmod 600` helps.
    #[error("{} can be read by others (mode {mode:03o})", path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Makes a directory only its owner may enter (0700), with its parents. An existing one is kept,
/// and made private if it is not.
pub fn make_private_dir(path: &Path) -> Result<(), FileError> {
    let fail = |source| FileError::Io { what: "make", path: path.to_owned(), source };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(fail)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(fail)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        }
    }
    Ok(())
}

/// Opens a file for appending that only its owner may read (0600), making it if need be.
pub fn open_private(path: &Path) -> Result<File, FileError> {
    let mut options = private_options();
    options.create(true).append(true);
    options.open(path).map_err(|source| FileError::Io {
        what: "open",
        path: path.to_owned(),
        source,
    })
}

/// Replaces a file at once and durably: a temporary file beside it, fsync, rename, fsync of the
/// directory. Readers see the old bytes or the new ones, also after a power cut. Mode 0600.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let write = || -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let temporary = dir.join(format!(".{name}.{}", std::process::id()));
        let mut options = private_options();
        options.write(true).create(true).truncate(true);
        let written = options.open(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(dir)?.sync_all()
        });
        if written.is_err() {
            // The first error is the one to tell; what is left is an unused file.
            drop(fs::remove_file(&temporary));
        }
        written
    };
    write().map_err(|source| FileError::Io { what: "write", path: path.to_owned(), source })
}

/// Reads a file that holds secrets; `None` if there is none.
///
/// # Errors
///
/// [`FileError::TooOpen`] if the group or others may touch it; [`FileError::Io`] otherwise.
pub fn read_private(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let fail = |source| FileError::Io { what: "read", path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(FileError::TooOpen { path: path.to_owned(), mode });
        }
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes).map_err(fail)?;
    Ok(Some(bytes))
}

fn private_options() -> fs::OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    // The caller says what else.
    options
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_whole_and_refused_when_others_may_read_them() {
        use std::os::unix::fs::PermissionsExt as _;

        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data/main");
        make_private_dir(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let file = dir.join("identity.key");
        assert!(read_private(&file).unwrap().is_none());
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_private(&file).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no temporary file is left");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_private(&file), Err(FileError::TooOpen { mode: 0o640, .. })));
        // A directory that was too open is closed again.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        make_private_dir(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
