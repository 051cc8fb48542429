//! One account's directory on this machine: its key file, its replica, and how they belong together.
//!
//! Owns reading, writing and wiping of the key file, the locks, and the order in which an account is
//! made so that nothing is lost. The secrets go nowhere but into the engine. People's clients and the
//! assistant keep theirs alike.

mod enrol;
mod files;
mod keys;
mod sqlite;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::RngExt as _;
use zeroize::Zeroizing;

pub use self::enrol::HomeJoinError;
pub use self::files::{FileError, make_private_dir, open_private, read_private, write_private};
use self::keys::{save_keys, to_identity};
use super::identity::{Identity, KeyKeeper};
use super::record::ServerRecord;
use super::replica::{Replica, StorageError};
use crate::crypto::at_rest::{KeyFile, KeyFileError};
use crate::crypto::user_link::{LinkBody, SignedLink};
use crate::id::AccountId;
use crate::name::Handle;

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Nobody joined with this home. Joining helps.
    #[error("nobody is logged in here ({})", .0.display())]
    NotJoined(PathBuf),
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
    File(#[from] FileError),
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

/// The directory of one account. Making the value makes no directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

/// A home that somebody joined with.
#[derive(Debug)]
pub struct Joined {
    /// The keys of this device.
    pub identity: Identity,
    /// What this device keeps.
    pub replica: Replica,
    /// The server's address, `host:port`.
    pub address: String,
}

/// A home whose join was begun and not answered yet.
#[derive(Debug)]
pub struct Unfinished {
    /// The keys.
    pub identity: Identity,
    /// The link that would found the account.
    pub genesis: SignedLink,
    /// Where it would live.
    pub address: String,
}

/// What lies in a home.
#[derive(Debug)]
pub enum Found {
    /// No key file.
    Nothing,
    /// Keys, but no account at the server as far as we know.
    Unfinished(Box<Unfinished>, Replica),
    /// An account.
    Joined(Box<Joined>),
}

impl Home {
    /// The home in a directory.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The key file.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("identity.key")
    }

    /// The replica.
    pub fn store(&self) -> PathBuf {
        self.dir.join("store.sqlite")
    }

    /// The advisory lock of the one process that drains the outbox.
    pub fn drain_lock(&self) -> PathBuf {
        self.dir.join("drain.lock")
    }

    /// The advisory lock held while the key file is made, changed or wiped.
    pub fn key_lock(&self) -> PathBuf {
        self.dir.join("identity.lock")
    }

    /// Opens what is there.
    ///
    /// # Errors
    ///
    /// [`HomeError`], but never `NotJoined` or `Unfinished`.
    pub fn find(&self) -> Result<Found, HomeError> {
        let Some(bytes) = read_private(&self.key_file())?.map(Zeroizing::new) else {
            return Ok(Found::Nothing);
        };
        let keys = KeyFile::decode(&bytes, None)?;
        let replica = Replica::open(&self.store(), &self.drain_lock(), &keys.replica_key)?;
        let links = replica.chain_links(keys.account)?;
        let genesis = SignedLink(links.into_iter().next().ok_or(HomeError::Torn)?);
        let handle = founder(&genesis, keys.account).ok_or(HomeError::Torn)?;
        let address = replica.address()?.ok_or(HomeError::Torn)?;
        let identity = to_identity(keys, handle);
        // The record of the server is written by the join that was answered.
        if !replica.is_joined()? {
            let unfinished = Unfinished { identity, genesis, address };
            return Ok(Found::Unfinished(Box::new(unfinished), replica));
        }
        Ok(Found::Joined(Box::new(Joined { identity, replica, address })))
    }

    /// Opens the account somebody joined with.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn open(&self) -> Result<Joined, HomeError> {
        match self.find()? {
            Found::Joined(joined) => Ok(*joined),
            Found::Nothing => Err(HomeError::NotJoined(self.dir.clone())),
            Found::Unfinished(begun, _) => Err(HomeError::Unfinished {
                handle: begun.identity.handle.to_string(),
                address: begun.address,
            }),
        }
    }

    /// Writes new keys and an empty replica, before anything is sent to the server.
    ///
    /// # Errors
    ///
    /// [`HomeError`]; nothing usable is left behind then.
    pub fn begin(
        &self,
        identity: &Identity,
        genesis: &SignedLink,
        address: &str,
    ) -> Result<Replica, HomeError> {
        make_private_dir(&self.dir)?;
        let replica_key = Zeroizing::new(rand::rng().random::<[u8; 32]>());
        let replica = Replica::open(&self.store(), &self.drain_lock(), &replica_key)?;
        replica.put_chain_links(identity.account, 1, std::slice::from_ref(&genesis.0))?;
        replica.put_address(address)?;
        // The key file comes last: without it, there is no account here.
        save_keys(self, identity, &replica_key)?;
        Ok(replica)
    }

    /// Notes that the server answered: from now on the home counts as joined.
    ///
    /// # Errors
    ///
    /// [`StorageError`] of the replica.
    pub fn finish(replica: &Replica, server: &ServerRecord) -> Result<(), StorageError> {
        replica.put_server(server)?;
        replica.mark_joined()
    }

    /// The keeper through which the engine saves changed keys.
    pub fn keeper(&self) -> Arc<dyn KeyKeeper> {
        keys::keeper(self.clone())
    }

    /// Wipes keys and replica from this machine: the keys are overwritten before they are removed.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if something is left.
    pub fn wipe(&self) -> Result<(), FileError> {
        let key_file = self.key_file();
        if let Ok(meta) = fs::metadata(&key_file) {
            // Helps on disks that write in place; the random replica key makes the rest unreadable.
            let zeros = vec![0; usize::try_from(meta.len()).unwrap_or(0)];
            let fail = |source| FileError::Io { what: "wipe", path: key_file.clone(), source };
            let mut file = File::options().write(true).open(&key_file).map_err(fail)?;
            std::io::Write::write_all(&mut file, &zeros).map_err(fail)?;
            file.sync_all().map_err(fail)?;
        }
        let store = self.store();
        let side = |suffix: &str| {
            let mut name = store.clone().into_os_string();
            name.push(suffix);
            name.into()
        };
        for path in [key_file, store.clone(), side("-wal"), side("-shm"), self.drain_lock()] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(FileError::Io { what: "remove", path, source }),
            }
        }
        Ok(())
    }
}

/// Held while the keys of a home are made, changed or wiped.
#[derive(Debug)]
pub struct KeyLock {
    _file: File,
}

impl KeyLock {
    /// Takes the lock.
    ///
    /// # Errors
    ///
    /// [`HomeError::Locked`] if another process has it.
    pub fn take(home: &Home) -> Result<Self, HomeError> {
        make_private_dir(&home.dir)?;
        let file = open_private(&home.key_lock())?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::Locked),
            Err(TryLockError::Error(source)) => {
                Err(FileError::Io { what: "lock", path: home.key_lock(), source }.into())
            }
        }
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
