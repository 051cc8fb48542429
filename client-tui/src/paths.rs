//! Where the client keeps its files: the XDG base directories, or all under `MATHIA_HOME`.
//!
//! Owns names and modes of directories, and how a secret file is written. Reads the environment
//! only through the function it is given. Never decides what is in a file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The profile used when nobody names one.
pub const PROFILE_DEFAULT: &str = "main";
/// Longest profile name, in bytes: it becomes a directory.
const PROFILE_LEN_MAX: usize = 32;

/// Why the directories cannot be known or made.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Neither `MATHIA_HOME` nor `HOME` is set. Setting one helps.
    #[error("neither MATHIA_HOME nor HOME is set")]
    NoHome,
    /// The profile's name cannot be a directory. Another name helps.
    #[error("a profile name has 1 to {PROFILE_LEN_MAX} of a-z, 0-9, _ and -, not {0:?}")]
    BadProfile(String),
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

/// All places of one profile. Making the value makes no directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The profile's name.
    pub profile: String,
    /// `config.toml` and `known_servers`, shared by all profiles.
    pub config_dir: PathBuf,
    /// Key file and replica of this profile; mode 0700.
    pub data_dir: PathBuf,
    /// Logs, shared by all profiles.
    pub state_dir: PathBuf,
    /// Anything that may be deleted at any time.
    pub cache_dir: PathBuf,
}

impl Paths {
    /// Finds the places from the environment (read through `var`) and the named profile.
    ///
    /// # Errors
    ///
    /// [`PathError::NoHome`] and [`PathError::BadProfile`]; both need a person.
    pub fn find(
        var: impl Fn(&str) -> Option<OsString>,
        profile: Option<&str>,
    ) -> Result<Self, PathError> {
        // XDG: an empty or relative value counts as not set.
        let dir = |name: &str| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let profile = match profile {
            Some(name) => name.to_owned(),
            None => var("MATHIA_PROFILE")
                .filter(|name| !name.is_empty())
                .map_or_else(|| PROFILE_DEFAULT.into(), |name| name.to_string_lossy().into_owned()),
        };
        check_profile(&profile)?;
        // Unlike the XDG variables this one may be relative: tests and scripts type it by hand.
        if let Some(root) = var("MATHIA_HOME").filter(|root| !root.is_empty()) {
            let root = std::path::absolute(&root).map_err(|source| PathError::Io {
                what: "find",
                path: root.into(),
                source,
            })?;
            return Ok(Self {
                config_dir: root.join("config"),
                data_dir: root.join("data").join(&profile),
                state_dir: root.join("state"),
                cache_dir: root.join("cache"),
                profile,
            });
        }
        let home = dir("HOME").ok_or(PathError::NoHome);
        let place = |name: &str, fallback: &str| -> Result<PathBuf, PathError> {
            match dir(name) {
                Some(path) => Ok(path.join("mathia")),
                None => home
                    .as_ref()
                    .map(|home| home.join(fallback).join("mathia"))
                    .map_err(|_| PathError::NoHome),
            }
        };
        Ok(Self {
            config_dir: place("XDG_CONFIG_HOME", ".config")?,
            data_dir: place("XDG_DATA_HOME", ".local/share")?.join(&profile),
            state_dir: place("XDG_STATE_HOME", ".local/state")?,
            cache_dir: place("XDG_CACHE_HOME", ".cache")?,
            profile,
        })
    }

    /// The key file.
    pub fn key_file(&self) -> PathBuf {
        self.data_dir.join("identity.key")
    }

    /// The replica.
    pub fn store(&self) -> PathBuf {
        self.data_dir.join("store.sqlite")
    }

    /// The advisory lock of the one process that drains the outbox.
    pub fn drain_lock(&self) -> PathBuf {
        self.data_dir.join("drain.lock")
    }

    /// The advisory lock held while the key file is made, changed or wiped.
    pub fn key_lock(&self) -> PathBuf {
        self.data_dir.join("identity.lock")
    }

    /// Pins of server keys.
    pub fn known_servers(&self) -> PathBuf {
        self.config_dir.join("known_servers")
    }

    /// The configuration, unless `MATHIA_CONFIG` or `--config` name another file.
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// The client's log, written only when `MATHIA_LOG` is set.
    pub fn log_file(&self) -> PathBuf {
        self.state_dir.join("client.log")
    }
}

fn check_profile(name: &str) -> Result<(), PathError> {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    let fits = (1..=PROFILE_LEN_MAX).contains(&name.len()) && name.chars().all(allowed);
    if fits { Ok(()) } else { Err(PathError::BadProfile(name.to_owned())) }
}

/// Makes a directory only its owner may enter (0700), with its parents. An existing one is kept,
/// and made private if it is not.
pub fn make_private_dir(path: &Path) -> Result<(), PathError> {
    let fail = |source| PathError::Io { what: "make", path: path.to_owned(), source };
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
pub fn open_private(path: &Path) -> Result<File, PathError> {
    let mut options = private_options();
    options.create(true).append(true);
    options.open(path).map_err(|source| PathError::Io {
        what: "open",
        path: path.to_owned(),
        source,
    })
}

/// Replaces a file at once and durably: a temporary file beside it, fsync, rename, fsync of the
/// directory. Readers see the old bytes or the new ones, also after a power cut. Mode 0600.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
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
    write().map_err(|source| PathError::Io { what: "write", path: path.to_owned(), source })
}

/// Reads a file that holds secrets; `None` if there is none.
///
/// # Errors
///
/// [`PathError::TooOpen`] if the group or others may touch it; [`PathError::Io`] otherwise.
pub fn read_private(path: &Path) -> Result<Option<Vec<u8>>, PathError> {
    let fail = |source| PathError::Io { what: "read", path: path.to_owned(), source };
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
            return Err(PathError::TooOpen { path: path.to_owned(), mode });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn find(vars: &[(&str, &str)], profile: Option<&str>) -> Result<Paths, PathError> {
        Paths::find(
            |name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()),
            profile,
        )
    }

    #[test]
    fn directories_follow_xdg_and_fall_back_to_the_home() {
        let paths = find(&[("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "/etc/ann")], None).unwrap();
        assert_eq!(paths.config_file(), Path::new("/etc/ann/mathia/config.toml"));
        assert_eq!(paths.key_file(), Path::new("/home/ann/.local/share/mathia/main/identity.key"));
        assert_eq!(paths.log_file(), Path::new("/home/ann/.local/state/mathia/client.log"));
        // A relative value counts as not set.
        let paths = find(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "data")], None).unwrap();
        assert_eq!(paths.data_dir, Path::new("/home/ann/.local/share/mathia/main"));
    }

    #[test]
    fn mathia_home_holds_everything_and_a_profile_has_its_own_data() {
        let vars = [("MATHIA_HOME", "/tmp/ann"), ("MATHIA_PROFILE", "work")];
        let paths = find(&vars, None).unwrap();
        assert_eq!(paths.data_dir, Path::new("/tmp/ann/data/work"));
        assert_eq!(paths.known_servers(), Path::new("/tmp/ann/config/known_servers"));
        assert_eq!(find(&vars, Some("home")).unwrap().profile, "home");
    }

    #[test]
    fn a_profile_cannot_leave_its_directory() {
        let home = [("HOME", "/home/ann")];
        for name in ["", "..", "a/b", "Ann", &"a".repeat(33)] {
            assert!(matches!(find(&home, Some(name)), Err(PathError::BadProfile(_))), "{name}");
        }
        assert!(matches!(find(&[], None), Err(PathError::NoHome)));
    }

    #[cfg(unix)]
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
        assert!(matches!(read_private(&file), Err(PathError::TooOpen { mode: 0o640, .. })));
        // A directory that was too open is closed again.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        make_private_dir(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
