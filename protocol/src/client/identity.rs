//! The keys of this device, as the client uses them and its key file keeps them.
//!
//! Owns nothing on disk: a face reads and writes the key file, and gives the engine a
//! [`KeyKeeper`] through which a new key is saved *before* it is published.

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::auth::AuthScope;
use crate::crypto::identity::{HpkeSecret, SigningKey};
use crate::id::{AccountId, DeviceId, Realm, TimeMs};
use crate::name::Handle;

/// The account and keys of one device. Nothing of it is printed.
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub handle: Handle,
    /// The server's data it belongs to.
    pub realm: Realm,
    /// The key that is the device.
    pub signing: SigningKey,
    /// Keys for wraps, oldest first; the last is the newest. Never empty.
    pub hpke: Vec<HpkeEntry>,
    /// The recovery secret `R` that the 24 words spell, on the device that founded the account.
    pub recovery: Option<Zeroizing<[u8; 32]>>,
}

/// One key for wraps with its generation.
pub struct HpkeEntry {
    /// The generation.
    pub generation: u32,
    /// The key.
    pub secret: HpkeSecret,
    /// When it was made, by this device's clock.
    pub created: TimeMs,
}

impl Identity {
    /// The device.
    pub fn device(&self) -> DeviceId {
        self.signing.device_id()
    }

    /// What a login signs besides the connection.
    pub(super) fn hello_scope(&self) -> AuthScope {
        AuthScope { realm: self.realm, account: self.account, device: self.device() }
    }

    /// The key of a generation, while it is kept.
    pub fn hpke_secret(&self, generation: u32) -> Option<&HpkeSecret> {
        self.hpke.iter().find(|key| key.generation == generation).map(|key| &key.secret)
    }

    /// Makes a second copy of all keys, on purpose and visibly.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            account: self.account,
            handle: self.handle.clone(),
            realm: self.realm,
            signing: SigningKey::from_seed(&self.signing.seed()),
            hpke: self.hpke.iter().map(HpkeEntry::duplicate).collect(),
            recovery: self.recovery.clone(),
        }
    }
}

impl HpkeEntry {
    /// Makes a key of a generation.
    pub fn generate<R: CryptoRng>(rng: &mut R, generation: u32, created: TimeMs) -> Self {
        Self { generation, secret: HpkeSecret::generate(rng), created }
    }

    fn duplicate(&self) -> Self {
        let secret = HpkeSecret::from_bytes(&self.secret.to_bytes());
        Self { generation: self.generation, secret, created: self.created }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("account", &self.account)
            .field("device", &self.device())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HpkeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HpkeEntry(generation {})", self.generation)
    }
}

/// Saves the keys of this device when the engine changes them.
pub trait KeyKeeper: Send + Sync + fmt::Debug + 'static {
    /// Writes the identity durably, before the new key is published.
    ///
    /// # Errors
    ///
    /// The cause; the engine then publishes nothing and tries again a day later.
    fn save(&self, identity: &Identity) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Keeps nothing: for bots that live in memory and make new keys at each start.
#[derive(Debug, Clone, Copy)]
pub struct Forgetful;

impl KeyKeeper for Forgetful {
    fn save(&self, _: &Identity) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}
