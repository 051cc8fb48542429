//! The key file of a home, and the keeper that saves it when the engine changes keys.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::files::{FileError, read_private, write_private};
use super::{Home, HomeError, KeyLock};
use crate::client::identity::{HpkeEntry, Identity, KeyKeeper};
use crate::crypto::at_rest::{HPKE_SECRETS_MAX, KeyFile, StoredHpke};
use crate::crypto::identity::{HpkeSecret, SigningKey};
use crate::crypto::recovery::RecoverySecret;
use crate::name::Handle;

/// Saves the engine's changed keys into the key file.
#[derive(Debug)]
struct KeyFileKeeper {
    home: Home,
}

pub(super) fn keeper(home: Home) -> Arc<dyn KeyKeeper> {
    Arc::new(KeyFileKeeper { home })
}

impl KeyKeeper for KeyFileKeeper {
    fn save(&self, identity: &Identity) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let _lock = KeyLock::take(&self.home)?;
        let bytes = read_private(&self.home.key_file())?.map(Zeroizing::new);
        // Logged out meanwhile: the keys must not come back.
        let bytes = bytes.ok_or_else(|| HomeError::NotJoined(self.home.dir().to_owned()))?;
        let keys = KeyFile::decode(&bytes, None)?;
        Ok(save_keys(&self.home, identity, &keys.replica_key)?)
    }
}

pub(super) fn save_keys(
    home: &Home,
    identity: &Identity,
    replica_key: &Zeroizing<[u8; 32]>,
) -> Result<(), FileError> {
    let first = identity.hpke.len().saturating_sub(HPKE_SECRETS_MAX);
    let keys = KeyFile {
        account: identity.account,
        realm: identity.realm,
        signing: SigningKey::from_seed(&identity.signing.seed()),
        hpke: identity.hpke[first..].iter().map(to_stored).collect(),
        recovery: identity.recovery.as_ref().map(|secret| RecoverySecret::from_bytes(secret)),
        replica_key: replica_key.clone(),
    };
    write_private(&home.key_file(), &keys.encode(&mut rand::rng(), None))
}

fn to_stored(key: &HpkeEntry) -> StoredHpke {
    let secret = HpkeSecret::from_bytes(&key.secret.to_bytes());
    StoredHpke { generation: key.generation, created: key.created, secret }
}

pub(super) fn to_identity(keys: KeyFile, handle: Handle) -> Identity {
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
