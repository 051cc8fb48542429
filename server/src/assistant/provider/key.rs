//! The API key: read from a file only the service can read, shown to nobody but the model's server.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::limits::API_KEY_LEN_MAX;

/// The credential's name within the service manager's directory of secrets.
pub const CREDENTIAL: &str = "ai.key";
/// Mode bits for people who are neither the owner nor of the file's group.
const OTHERS: u32 = 0o007;

/// A key for a model's server. No `Clone`, no `Display`; wiped when dropped.
pub struct ApiKey(Zeroizing<String>);

/// Why there is no key to be had. Retrying helps after the file was mended.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not there, or may not be read.
    #[error("cannot read the API key {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Everybody on the machine could take it.
    #[error("the API key {0} is open to everybody on this machine: chmod o-rwx it")]
    Exposed(PathBuf),
    /// What it holds cannot be a key.
    #[error("the API key {0} is not one line of visible ASCII characters")]
    Malformed(PathBuf),
}

impl ApiKey {
    /// Reads the key from `key_file`, else from the credential `ai.key`; `None` without either.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; a file that is named must be there and be private.
    pub fn load(
        key_file: Option<&Path>,
        credentials: Option<&Path>,
    ) -> Result<Option<Self>, KeyError> {
        if let Some(path) = key_file {
            return Self::read(path, OTHERS).map(Some);
        }
        // The service manager sees to its own files.
        let given = credentials.map(|dir| dir.join(CREDENTIAL)).filter(|path| path.is_file());
        given.map(|path| Self::read(&path, 0)).transpose()
    }

    fn read(path: &Path, forbidden_mode: u32) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        // Of the open file, not of the path: between two looks it could be another.
        if file.metadata().map_err(unreadable)?.mode() & forbidden_mode != 0 {
            return Err(KeyError::Exposed(path.to_owned()));
        }
        // With room for all that will be read: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(API_KEY_LEN_MAX + 64));
        file.take(API_KEY_LEN_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::parse(&bytes).ok_or_else(|| KeyError::Malformed(path.to_owned()))
    }

    /// A key from the bytes of a file: surrounding white space does not count.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim();
        let is_key = (1..=API_KEY_LEN_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The key itself, for finding it where it must not be.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of an `Authorization` header, marked so that nobody prints it. The HTTP client
    /// holds it, and its own copies, for as long as one request takes.
    pub(super) fn bearer(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.as_str()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(dir: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_private_file_is_read_without_its_line_end() {
        let scratch = tempfile::tempdir().unwrap();
        let path = file(scratch.path(), "key", " sk-1\n", 0o640);
        assert_eq!(ApiKey::load(Some(&path), None).unwrap().unwrap().as_str(), "sk-1");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o604, 0o602] {
            let path = file(scratch.path(), "key", "sk-1", mode);
            let error = ApiKey::load(Some(&path), None).unwrap_err();
            assert!(matches!(&error, KeyError::Exposed(_)), "{error}");
            assert!(error.to_string().contains("chmod o-rwx"));
        }
    }

    #[test]
    fn the_credential_stands_in_for_a_file_and_a_file_that_is_named_must_be_there() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(ApiKey::load(None, Some(scratch.path())).unwrap().is_none());
        file(scratch.path(), CREDENTIAL, "sk-2", 0o444);
        let found = ApiKey::load(None, Some(scratch.path())).unwrap().unwrap();
        assert_eq!(found.as_str(), "sk-2");
        let missing = scratch.path().join("missing");
        let error = ApiKey::load(Some(&missing), Some(scratch.path())).unwrap_err();
        assert!(matches!(error, KeyError::Unreadable { .. }));
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_key() {
        for bytes in
            [&b""[..], b"\n", b"two words", b"a\nb", b"a\0b", b"\xff", "schlüssel".as_bytes()]
        {
            assert!(ApiKey::parse(bytes).is_none(), "{bytes:?}");
        }
        assert!(ApiKey::parse("k".repeat(API_KEY_LEN_MAX + 1).as_bytes()).is_none());
    }

    #[test]
    fn neither_the_key_nor_its_header_can_be_printed() {
        let key = ApiKey::parse(b"sk-very-secret").unwrap();
        let header = key.bearer().unwrap();
        assert_eq!(header.as_bytes(), b"Bearer sk-very-secret");
        assert!(!format!("{key:?} {header:?}").contains("secret"));
    }
}
