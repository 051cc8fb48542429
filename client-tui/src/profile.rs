//! One profile on this machine: its key file, its replica, and how they belong together.
//!
//! Owns reading, writing and wiping of the key file, and the lock around it. The secrets go nowhere
//! but into the engine. Never talks to the server.

use std::fs::{self, File, TryLockError};
use std::sync::Arc;

use mathia_protocol::client::{
    HpkeEntry, Identity, KeyKeeper, Replica as _, ServerRecord, StorageError,
};
use mathia_protocol::crypto::at_rest::{HPKE_SECRETS_MAX, KeyFile, KeyFileError, StoredHpke};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::crypto::user_link::{LinkBody, SignedLink};
use mathia_protocol::id::AccountId;
use mathia_protocol::name::Handle;
use rand::RngExt as _;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::paths::{PathError, Paths, make_private_dir, open_private, read_private, write_private};
use crate::replica::SqliteReplica;

/// Setting of the replica that holds the server's address from before the first login on.
const ADDRESS: &str = "profile.address";

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Nobody joined with this profile. Joining helps.
    #[error("nobody is logged in here (profile {0})")]
    NotJoined(String),
    /// A join began and was never answered. Repeating it helps.
    #[error("joining as {handle} at {address} was begun and never answered")]
    Unfinished {
        /// The name that was asked for.
        handle: String,
        /// The server.
        address: String,
    },
    /// The key file cannot be read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A directory or file cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The replica cannot be used.
    #[error(transparent)]
    Replica(#[from] StorageError),
    /// The replica does not hold the account that the key file names.
    #[error("the key file and the replica belong to different accounts")]
    Torn,
    /// Another process is making or wiping the keys. Retrying helps.
    #[error("another process is joining or logging out with this profile")]
    Locked,
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        let message = error.to_string();
        match error {
            ProfileError::NotJoined(_) => Self::new(Exit::NotLoggedIn, message)
                .hint("`mathia-tui join LINK --name NAME` makes an account"),
            ProfileError::Unfinished { .. } => Self::new(Exit::NotLoggedIn, message)
                .hint("run the same `mathia-tui join` again, or `mathia-tui logout` to give it up"),
            ProfileError::KeyFile(_) => Self::new(Exit::NotLoggedIn, message)
                .hint("restore the key file from a copy; without it this device is lost"),
            ProfileError::Path(error) => error.into(),
            ProfileError::Replica(error) => storage_failure(&error),
            ProfileError::Torn => Self::new(Exit::NotLoggedIn, message)
                .hint("`mathia-tui logout` wipes both; then join again"),
            ProfileError::Locked => Self::new(Exit::Failed, message).hint("try again in a moment"),
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
            PathError::TooOpen { path, .. } => {
                Self::new(Exit::NotLoggedIn, message).hint(format!("chmod 600 {}", path.display()))
            }
            PathError::Io { source, .. } => match source.kind() {
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
            .hint("mount the disk writable or mend the permissions; `mathia-tui doctor` looks"),
        StorageError::Busy => failure.hint("try again in a moment"),
        StorageError::Broken(_) => {
            failure.hint("`mathia-tui doctor` looks closer; what the server has is not lost")
        }
    }
}

/// A profile that somebody joined with.
#[derive(Debug)]
pub struct Profile {
    /// Its places.
    pub paths: Paths,
    /// The keys of this device.
    pub identity: Identity,
    /// What this device keeps.
    pub replica: Arc<SqliteReplica>,
    /// The server's address, `host:port`.
    pub address: String,
}

/// A profile whose join was begun and not answered yet.
#[derive(Debug)]
pub struct Unfinished {
    /// The keys.
    pub identity: Identity,
    /// The link that would found the account.
    pub genesis: SignedLink,
    /// Where it would live.
    pub address: String,
}

/// What lies in the directories of a profile.
#[derive(Debug)]
pub enum Found {
    /// No key file.
    Nothing,
    /// Keys, but no account at the server as far as we know.
    Unfinished(Box<Unfinished>, Arc<SqliteReplica>),
    /// An account.
    Joined(Box<Profile>),
}

impl Profile {
    /// Opens what is there.
    ///
    /// # Errors
    ///
    /// [`ProfileError`], but never `NotJoined` or `Unfinished`.
    pub fn find(paths: &Paths) -> Result<Found, ProfileError> {
        let Some(bytes) = read_private(&paths.key_file())?.map(Zeroizing::new) else {
            return Ok(Found::Nothing);
        };
        let keys = KeyFile::decode(&bytes, None)?;
        let replica = SqliteReplica::open(&paths.store(), &paths.drain_lock(), &keys.replica_key)?;
        let replica = Arc::new(replica);
        let links = replica.chain_links(keys.account)?;
        let genesis = SignedLink(links.into_iter().next().ok_or(ProfileError::Torn)?);
        let handle = founder(&genesis, keys.account).ok_or(ProfileError::Torn)?;
        let address = replica.setting(ADDRESS)?.ok_or(ProfileError::Torn)?;
        let address = String::from_utf8(address).map_err(|_| ProfileError::Torn)?;
        let identity = to_identity(keys, handle);
        // The record of the server is written by the join that was answered.
        if !replica.is_joined()? {
            let unfinished = Unfinished { identity, genesis, address };
            return Ok(Found::Unfinished(Box::new(unfinished), replica));
        }
        Ok(Found::Joined(Box::new(Self { paths: paths.clone(), identity, replica, address })))
    }

    /// Opens the profile somebody joined with.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn open(paths: &Paths) -> Result<Self, ProfileError> {
        match Self::find(paths)? {
            Found::Joined(profile) => Ok(*profile),
            Found::Nothing => Err(ProfileError::NotJoined(paths.profile.clone())),
            Found::Unfinished(begun, _) => Err(ProfileError::Unfinished {
                handle: begun.identity.handle.to_string(),
                address: begun.address,
            }),
        }
    }

    /// Writes new keys and an empty replica, before anything is sent to the server.
    ///
    /// # Errors
    ///
    /// [`ProfileError`]; nothing usable is left behind then.
    pub fn begin(
        paths: &Paths,
        identity: &Identity,
        genesis: &SignedLink,
        address: &str,
    ) -> Result<Arc<SqliteReplica>, ProfileError> {
        make_private_dir(&paths.data_dir)?;
        let replica_key = Zeroizing::new(rand::rng().random::<[u8; 32]>());
        let replica = SqliteReplica::open(&paths.store(), &paths.drain_lock(), &replica_key)?;
        replica.put_chain_links(identity.account, 1, std::slice::from_ref(&genesis.0))?;
        replica.put_setting(ADDRESS, address.as_bytes())?;
        // The key file comes last: without it, there is no profile.
        save_keys(paths, identity, &replica_key)?;
        Ok(Arc::new(replica))
    }

    /// Notes that the server answered: from now on the profile counts as joined.
    ///
    /// # Errors
    ///
    /// [`StorageError`] of the replica.
    pub fn finish(replica: &SqliteReplica, server: &ServerRecord) -> Result<(), StorageError> {
        replica.put_server(server)?;
        replica.mark_joined()
    }

    /// The keeper through which the engine saves changed keys.
    pub fn keeper(paths: &Paths) -> Arc<dyn KeyKeeper> {
        Arc::new(KeyFileKeeper { paths: paths.clone() })
    }
}

/// Wipes keys and replica from this machine: the keys are overwritten before they are removed.
///
/// # Errors
///
/// [`PathError::Io`] if something is left.
pub fn wipe(paths: &Paths) -> Result<(), PathError> {
    let key_file = paths.key_file();
    if let Ok(meta) = fs::metadata(&key_file) {
        // Helps on disks that write in place; the random replica key makes the rest unreadable.
        let zeros = vec![0; usize::try_from(meta.len()).unwrap_or(0)];
        let fail = |source| PathError::Io { what: "wipe", path: key_file.clone(), source };
        let mut file = File::options().write(true).open(&key_file).map_err(fail)?;
        std::io::Write::write_all(&mut file, &zeros).map_err(fail)?;
        file.sync_all().map_err(fail)?;
    }
    let store = paths.store();
    let side = |suffix: &str| {
        let mut name = store.clone().into_os_string();
        name.push(suffix);
        name.into()
    };
    for path in [key_file, store.clone(), side("-wal"), side("-shm"), paths.drain_lock()] {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(PathError::Io { what: "remove", path, source }),
        }
    }
    Ok(())
}

/// Held while the keys of a profile are made, changed or wiped.
#[derive(Debug)]
pub struct KeyLock {
    _file: File,
}

impl KeyLock {
    /// Takes the lock.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Locked`] if another process has it.
    pub fn take(paths: &Paths) -> Result<Self, ProfileError> {
        make_private_dir(&paths.data_dir)?;
        let file = open_private(&paths.key_lock())?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ProfileError::Locked),
            Err(TryLockError::Error(source)) => {
                Err(PathError::Io { what: "lock", path: paths.key_lock(), source }.into())
            }
        }
    }
}

/// Saves the engine's changed keys into the key file.
#[derive(Debug)]
struct KeyFileKeeper {
    paths: Paths,
}

impl KeyKeeper for KeyFileKeeper {
    fn save(&self, identity: &Identity) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let _lock = KeyLock::take(&self.paths)?;
        let bytes = read_private(&self.paths.key_file())?.map(Zeroizing::new);
        // Logged out meanwhile: the keys must not come back.
        let bytes = bytes.ok_or_else(|| ProfileError::NotJoined(self.paths.profile.clone()))?;
        let keys = KeyFile::decode(&bytes, None)?;
        Ok(save_keys(&self.paths, identity, &keys.replica_key)?)
    }
}

fn save_keys(
    paths: &Paths,
    identity: &Identity,
    replica_key: &Zeroizing<[u8; 32]>,
) -> Result<(), PathError> {
    let first = identity.hpke.len().saturating_sub(HPKE_SECRETS_MAX);
    let keys = KeyFile {
        account: identity.account,
        realm: identity.realm,
        signing: SigningKey::from_seed(&identity.signing.seed()),
        hpke: identity.hpke[first..].iter().map(to_stored).collect(),
        recovery: identity.recovery.as_ref().map(|secret| RecoverySecret::from_bytes(secret)),
        replica_key: replica_key.clone(),
    };
    write_private(&paths.key_file(), &keys.encode(&mut rand::rng(), None))
}

fn to_stored(key: &HpkeEntry) -> StoredHpke {
    let secret = HpkeSecret::from_bytes(&key.secret.to_bytes());
    StoredHpke { generation: key.generation, created: key.created, secret }
}

fn to_identity(keys: KeyFile, handle: Handle) -> Identity {
    let entry = |key: StoredHpke| HpkeEntry {
        generation: key.generation,
        secret: key.secret,
        created: key.created,
    };
    Identity {
        account: keys.account,
        handle,
        realm: keys.realm,
        signing: keys.signing,
        hpke: keys.hpke.into_iter().map(entry).collect(),
        recovery: keys.recovery.map(|secret| secret.to_bytes()),
    }
}

/// The name in a founding link, if the link founds this account.
fn founder(genesis: &SignedLink, account: AccountId) -> Option<Handle> {
    if genesis.account() != account {
        return None;
    }
    match genesis.decode_unverified().ok()?.body {
        LinkBody::Genesis(genesis) => Some(genesis.handle.clone()),
        _ => None,
    }
}
