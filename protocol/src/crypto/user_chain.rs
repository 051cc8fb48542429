//! User chains: which devices an account has, as its own signatures say (CRYPTO B2).
//!
//! Owns the rule of what may follow what; the same code judges on server and client. A chain is
//! only ever built from verified links, so holding a [`UserChain`] is the proof. Clocks are no part
//! of validity: the server's checks of `time` and of young devices are not here, they must not fork
//! chains.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::ce::CeError;
use super::identity::{HpkePublic, VerifyKey};
use super::labels;
pub use super::user_link::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, SignedLink, UserLink,
};
use crate::id::{AccountId, DeviceId, Hash, Realm, TimeMs};
use crate::limits::{CHAIN_LINKS_MAX, DEVICES_MAX};
use crate::name::Handle;

/// Why a link does not continue a chain. Retrying the same link never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The bytes are no link.
    #[error("the link is malformed: {0}")]
    Malformed(#[from] CeError),
    /// There is no link at all.
    #[error("the chain is empty")]
    Empty,
    /// The first link is no genesis, or one with fields set that a genesis cannot have.
    #[error("the first link founds no account")]
    NoGenesis,
    /// A genesis stands behind another link.
    #[error("a second genesis in one chain")]
    SecondGenesis,
    /// The number is not the next one. The chain may have moved on: fetch it and sign anew.
    #[error("link {found} where {expected} comes next")]
    Seq {
        /// The number that comes next.
        expected: u32,
        /// The number found.
        found: u32,
    },
    /// The link names another predecessor. The chain may have moved on: fetch it and sign anew.
    #[error("the link continues another chain")]
    Prev,
    /// The signer is no un-revoked device of the chain, nor the recovery key where that may sign.
    #[error("device {} may not sign this link", .0.short())]
    Signer(DeviceId),
    /// The signature is not the signer's.
    #[error("the signature of the link is not valid")]
    Signature,
    /// The new device did not agree to join this account.
    #[error("the device did not agree to join this account")]
    Offer,
    /// The key is already a device or the recovery key of this chain, or was one.
    #[error("device {} is already in the chain", .0.short())]
    DeviceTwice(DeviceId),
    /// The device to revoke is not in the chain, or revoked already.
    #[error("device {} is not an active device of the chain", .0.short())]
    NoDevice(DeviceId),
    /// A device may change only its own key for wraps, to the next generation.
    #[error("the new key is not the next one of the signing device")]
    HpkeStep,
    /// Nothing can be sealed to the key for wraps.
    #[error("the key for wraps is of low order")]
    HpkeWeak,
    /// The account has as many devices as it may. Revoke one first.
    #[error("an account has at most {DEVICES_MAX} devices")]
    TooManyDevices,
    /// The chain is as long as it may become.
    #[error("a chain has at most {CHAIN_LINKS_MAX} links")]
    TooLong,
}

/// How far a chain goes: the number and hash of its newest link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ChainHead {
    /// The number of the newest link, 1 for the genesis.
    pub seq: u32,
    /// Its hash.
    pub hash: Hash,
}

/// What a verified chain says about a head that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadOrder {
    /// The chain ends exactly there.
    Same,
    /// The chain continues it.
    Newer,
    /// The chain is shorter than what was seen: refuse it, ask again, alarm after three tries.
    Stale,
    /// The chain has another link at that place: somebody lies. Stop sending to the account.
    Fork,
}

/// A key for wraps and when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HpkeKey {
    /// The generation.
    pub generation: u32,
    /// The key.
    pub key: HpkePublic,
    /// The chain link that brought it.
    pub since_seq: u32,
}

/// A device of a chain, active or revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What it said about itself when it joined.
    pub record: DeviceRecord,
    /// The link that added it.
    pub added_seq: u32,
    /// The link that ended it, if any.
    pub revoked_seq: Option<u32>,
    /// Its keys for wraps, oldest first; never empty.
    pub hpke_keys: Vec<HpkeKey>,
}

impl Device {
    /// Its identifier.
    pub fn id(&self) -> DeviceId {
        self.record.device_id()
    }

    /// Says whether the device was added and not yet revoked when the chain ended at `chain_seq`.
    pub fn is_active_at(&self, chain_seq: u32) -> bool {
        self.added_seq <= chain_seq && self.revoked_seq.is_none_or(|seq| chain_seq < seq)
    }

    /// The newest key for wraps when the chain ended at `chain_seq`.
    pub fn hpke_at(&self, chain_seq: u32) -> Option<HpkeKey> {
        self.hpke_keys.iter().rev().find(|key| key.since_seq <= chain_seq).copied()
    }
}

/// A verified user chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChain {
    account: AccountId,
    realm: Realm,
    handle: Handle,
    kind: AccountKind,
    operator: String,
    recovery_key: VerifyKey,
    devices: BTreeMap<DeviceId, Device>,
    head: ChainHead,
    /// The hash of link `n` stands at `n - 1`; the last is the head's.
    hashes: Vec<Hash>,
}

impl UserChain {
    /// Starts a chain with its genesis link.
    ///
    /// # Errors
    ///
    /// [`ChainError`]: the link is malformed, no genesis, or not signed by its own device.
    pub fn found(link: &SignedLink) -> Result<Self, ChainError> {
        let (decoded, blob, signature) = link.split()?;
        let UserLink { seq: 1, prev: Hash::ZERO, body: LinkBody::Genesis(genesis), signer, .. } =
            decoded
        else {
            return Err(ChainError::NoGenesis);
        };
        let record = genesis.device;
        let device = record.device_id();
        let offer = (record.rv, record.nonce, record.offer_signature);
        if offer != ([0; 16], [0; 32], super::identity::Signature::ZERO) {
            return Err(ChainError::NoGenesis);
        }
        if signer != device {
            return Err(ChainError::Signer(signer));
        }
        if record.key == genesis.recovery_key {
            return Err(ChainError::DeviceTwice(device));
        }
        if !record.hpke.is_usable() {
            return Err(ChainError::HpkeWeak);
        }
        record
            .key
            .verify(labels::USER_LINK, &[blob], &signature)
            .map_err(|_| ChainError::Signature)?;
        let mut chain = Self {
            account: link.account(),
            realm: genesis.realm,
            handle: genesis.handle,
            kind: genesis.kind,
            operator: genesis.operator,
            recovery_key: genesis.recovery_key,
            devices: BTreeMap::new(),
            head: ChainHead { seq: 1, hash: link.hash() },
            hashes: vec![link.hash()],
        };
        chain.insert_device(record, 1);
        Ok(chain)
    }

    /// Verifies a whole chain, genesis first.
    ///
    /// # Errors
    ///
    /// The [`ChainError`] of the first link that does not fit; [`ChainError::Empty`] without any.
    pub fn verify<'a>(links: impl IntoIterator<Item = &'a SignedLink>) -> Result<Self, ChainError> {
        let mut links = links.into_iter();
        let mut chain = Self::found(links.next().ok_or(ChainError::Empty)?)?;
        links.try_for_each(|link| chain.extend(link))?;
        Ok(chain)
    }

    /// Continues the chain by one link. On an error the chain is as it was.
    ///
    /// # Errors
    ///
    /// The [`ChainError`] that tells why the link does not fit. After [`ChainError::Seq`] or
    /// [`ChainError::Prev`] signing anew on top of the newest chain may help; otherwise nothing.
    pub fn extend(&mut self, link: &SignedLink) -> Result<(), ChainError> {
        let (decoded, blob, signature) = link.split()?;
        if self.hashes.len() >= CHAIN_LINKS_MAX {
            return Err(ChainError::TooLong);
        }
        let expected = self.head.seq + 1;
        if decoded.seq != expected {
            return Err(ChainError::Seq { expected, found: decoded.seq });
        }
        if decoded.prev != self.head.hash {
            return Err(ChainError::Prev);
        }
        self.signer_key(&decoded)?
            .verify(labels::USER_LINK, &[blob], &signature)
            .map_err(|_| ChainError::Signature)?;
        self.apply(decoded)?;
        self.head = ChainHead { seq: expected, hash: link.hash() };
        self.hashes.push(self.head.hash);
        Ok(())
    }

    /// The key that must have signed `link`, if its signer may say this at all.
    fn signer_key(&self, link: &UserLink) -> Result<VerifyKey, ChainError> {
        let by_recovery = !matches!(link.body, LinkBody::RotateHpke { .. });
        if by_recovery && link.signer == self.recovery_key.device_id() {
            return Ok(self.recovery_key);
        }
        self.devices
            .get(&link.signer)
            .filter(|device| device.revoked_seq.is_none())
            .map(|device| device.record.key)
            .ok_or(ChainError::Signer(link.signer))
    }

    /// Takes over what a link with a valid signature says; changes nothing on an error.
    fn apply(&mut self, link: UserLink) -> Result<(), ChainError> {
        match link.body {
            LinkBody::Genesis(_) => Err(ChainError::SecondGenesis),
            LinkBody::AddDevice(record) => self.add_device(*record, link.seq),
            LinkBody::RevokeDevice { device, .. } => {
                let active = self.devices.get_mut(&device).filter(|d| d.revoked_seq.is_none());
                active.ok_or(ChainError::NoDevice(device))?.revoked_seq = Some(link.seq);
                Ok(())
            }
            LinkBody::RotateHpke { device, hpke, hpke_gen } => {
                if device != link.signer {
                    return Err(ChainError::HpkeStep);
                }
                if !hpke.is_usable() {
                    return Err(ChainError::HpkeWeak);
                }
                let keys = &mut self
                    .devices
                    .get_mut(&device)
                    .ok_or(ChainError::NoDevice(device))?
                    .hpke_keys;
                let newest = keys.last().map_or(0, |key| key.generation);
                if newest.checked_add(1) != Some(hpke_gen) {
                    return Err(ChainError::HpkeStep);
                }
                keys.push(HpkeKey { generation: hpke_gen, key: hpke, since_seq: link.seq });
                Ok(())
            }
            LinkBody::RotateRecovery { recovery_key } => {
                let id = recovery_key.device_id();
                if self.devices.contains_key(&id) || recovery_key == self.recovery_key {
                    return Err(ChainError::DeviceTwice(id));
                }
                self.recovery_key = recovery_key;
                Ok(())
            }
        }
    }

    fn add_device(&mut self, record: DeviceRecord, seq: u32) -> Result<(), ChainError> {
        let id = record.device_id();
        if self.devices.contains_key(&id) || record.key == self.recovery_key {
            return Err(ChainError::DeviceTwice(id));
        }
        if self.devices.values().filter(|d| d.revoked_seq.is_none()).count() >= DEVICES_MAX {
            return Err(ChainError::TooManyDevices);
        }
        if !record.hpke.is_usable() {
            return Err(ChainError::HpkeWeak);
        }
        record.verify_offer(self.account).map_err(|_| ChainError::Offer)?;
        self.insert_device(record, seq);
        Ok(())
    }

    fn insert_device(&mut self, record: DeviceRecord, seq: u32) {
        let key = HpkeKey { generation: record.hpke_gen, key: record.hpke, since_seq: seq };
        let id = record.device_id();
        let device = Device { record, added_seq: seq, revoked_seq: None, hpke_keys: vec![key] };
        self.devices.insert(id, device);
    }

    /// Prepares the link that comes next, for [`UserLink::sign`].
    pub fn next_link(&self, body: LinkBody, time: TimeMs, signer: DeviceId) -> UserLink {
        UserLink { seq: self.head.seq + 1, prev: self.head.hash, body, time, signer }
    }

    /// The account: the hash of the genesis link.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The server's data that the account was founded for.
    pub fn realm(&self) -> Realm {
        self.realm
    }

    /// The public name.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Person or program.
    pub fn kind(&self) -> AccountKind {
        self.kind
    }

    /// Who runs an agent, as it says; empty for a person. Text from outside.
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// The recovery key that counts now.
    pub fn recovery_key(&self) -> VerifyKey {
        self.recovery_key
    }

    /// The number and hash of the newest link.
    pub fn head(&self) -> ChainHead {
        self.head
    }

    /// The hash of link `seq`; `None` for a number the chain does not have.
    pub fn hash_at(&self, seq: u32) -> Option<Hash> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.hashes.get(index).copied()
    }

    /// Says how this chain relates to a head that was seen before.
    pub fn compare(&self, seen: ChainHead) -> HeadOrder {
        match self.hash_at(seen.seq) {
            None if seen.seq > self.head.seq => HeadOrder::Stale,
            Some(hash) if hash != seen.hash => HeadOrder::Fork,
            Some(_) if seen.seq == self.head.seq => HeadOrder::Same,
            Some(_) => HeadOrder::Newer,
            // Number 0 is no link: nobody can have seen it.
            None => HeadOrder::Fork,
        }
    }

    /// One device, active or revoked.
    pub fn device(&self, device: DeviceId) -> Option<&Device> {
        self.devices.get(&device)
    }

    /// All devices that ever were, by identifier.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// The devices that were active when the chain ended at `chain_seq`, by identifier.
    pub fn devices_at(&self, chain_seq: u32) -> impl Iterator<Item = &Device> {
        self.devices.values().filter(move |device| device.is_active_at(chain_seq))
    }

    /// Says whether `device` was added and not yet revoked when the chain ended at `chain_seq`.
    pub fn is_active_at(&self, device: DeviceId, chain_seq: u32) -> bool {
        self.devices.get(&device).is_some_and(|device| device.is_active_at(chain_seq))
    }

    /// Says whether `device` is active by all this chain knows.
    pub fn is_active(&self, device: DeviceId) -> bool {
        self.devices.get(&device).is_some_and(|device| device.revoked_seq.is_none())
    }

    /// The key and generation that wraps for `device` were sealed to when the chain ended at
    /// `chain_seq`; `None` if it was not active then.
    pub fn hpke_at(&self, device: DeviceId, chain_seq: u32) -> Option<(HpkePublic, u32)> {
        let device = self.devices.get(&device).filter(|d| d.is_active_at(chain_seq))?;
        device.hpke_at(chain_seq).map(|key| (key.key, key.generation))
    }

    /// Says whether a device was revoked after the chain ended at `chain_seq`: the sender rule asks
    /// (CRYPTO B3).
    pub fn has_revocation_after(&self, chain_seq: u32) -> bool {
        self.devices.values().any(|device| device.revoked_seq.is_some_and(|seq| seq > chain_seq))
    }
}
