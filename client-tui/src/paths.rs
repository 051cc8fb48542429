//! Where the client keeps its files: the XDG base directories, or all under `MATHIA_HOME`.
//!
//! Owns the names of directories. Reads the environment only through the function it is given.
//! Never touches a file.

use std::ffi::OsString;
use std::path::PathBuf;

use mathia_protocol::client::home::{FileError, Home};

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
    /// A file or directory cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
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
            let root = std::path::absolute(&root).map_err(|source| FileError::Io {
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

    /// Key file, replica and locks of this profile.
    pub fn home(&self) -> Home {
        Home::at(self.data_dir.clone())
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

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        assert_eq!(paths.home().dir(), Path::new("/home/ann/.local/share/mathia/main"));
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
}
