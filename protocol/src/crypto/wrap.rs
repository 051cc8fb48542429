//! Secrets on their way to one device, sealed with HPKE (CRYPTO B3, B6).
//!
//! Owns the `info` text of each kind of wrap. Wraps and grants carry no signature: `kc` inside the
//! signed commit proves the secret, so check [`EpochSecret::matches`] after opening. An agent's
//! sender key has no such commitment and is therefore signed.

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::ce::{Reader, Writer};
use super::epoch::{EpochSecret, SenderKey};
use super::hash::labelled;
use super::identity::{
    BadWrap, HPKE_OVERHEAD, HpkePublic, HpkeSecret, Signature, SigningKey, VerifyKey,
};
use super::labels;
use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId};

/// The size of a wrap of 32 bytes.
pub const WRAP_LEN: usize = HPKE_OVERHEAD + 32;
/// Epoch secrets in one history grant: 36 bytes each, so that a grant fits a frame.
pub const GRANT_EPOCHS_MAX: usize = 1_000;

/// For whom and in which epoch a secret is wrapped; all of it is bound into the wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapContext {
    /// The commit that started the epoch.
    pub commit_hash: Hash,
    /// The account of the receiving device.
    pub account: AccountId,
    /// The receiving device.
    pub device: DeviceId,
    /// The generation of the key that the wrap is sealed to.
    pub hpke_gen: u32,
}

impl WrapContext {
    /// The HPKE `info`: `"mathia/v1/wrap" || 0 || commit_hash || user_id || device_id || be32(gen)`.
    pub fn info(&self) -> Vec<u8> {
        let hpke_gen = self.hpke_gen.to_be_bytes();
        let parts: [&[u8]; 4] = [&self.commit_hash.0, &self.account.0, &self.device.0, &hpke_gen];
        labelled(labels::WRAP, &parts)
    }
}

/// Wraps an epoch secret for one device.
///
/// # Errors
///
/// [`BadWrap`] if nothing can be sealed to `key`; a verified chain holds no such key.
pub fn wrap<R: CryptoRng>(
    rng: &mut R,
    key: &HpkePublic,
    context: &WrapContext,
    secret: &EpochSecret,
) -> Result<[u8; WRAP_LEN], BadWrap> {
    seal_32(rng, key, &context.info(), &secret.to_bytes())
}

/// Opens a wrap. Check the secret with [`EpochSecret::matches`] before use.
///
/// # Errors
///
/// [`BadWrap`] if it was made for another device, key or epoch, or changed. Ask for a new one.
pub fn unwrap(
    secret: &HpkeSecret,
    context: &WrapContext,
    wrapped: &[u8],
) -> Result<EpochSecret, BadWrap> {
    open_32(secret, &context.info(), wrapped).map(|bytes| EpochSecret::from_bytes(&bytes))
}

/// Epoch secrets by epoch, rising, as a history grant carries them.
pub type GrantedSecrets = Vec<(Epoch, EpochSecret)>;

/// To whom a history grant goes; all of it is bound into the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantContext {
    /// The room whose history it is.
    pub room: RoomId,
    /// The account of the receiving device.
    pub account: AccountId,
    /// The receiving device.
    pub device: DeviceId,
    /// The generation of the key that the grant is sealed to.
    pub hpke_gen: u32,
}

impl GrantContext {
    /// The HPKE `info`: `"mathia/v1/grant" || 0 || room_id || user_id || device_id || be32(gen)`.
    pub fn info(&self) -> Vec<u8> {
        let hpke_gen = self.hpke_gen.to_be_bytes();
        let parts: [&[u8]; 4] = [&self.room.0, &self.account.0, &self.device.0, &hpke_gen];
        labelled(labels::GRANT, &parts)
    }
}

/// Why a history grant could not be made. Retrying the same grant never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// More secrets than one grant carries: split it.
    #[error("a grant carries at most {GRANT_EPOCHS_MAX} epochs, not {0}")]
    TooMany(usize),
    /// The epochs do not rise.
    #[error("the epochs of a grant must rise")]
    Unsorted,
    /// Nothing can be sealed to the key.
    #[error(transparent)]
    Wrap(#[from] BadWrap),
}

/// Seals older epoch secrets for one device: `HPKE(CE(count u32, (epoch u32, es[32])*))`.
///
/// # Errors
///
/// [`GrantError`]: the list is too long or not rising, or the key cannot be sealed to.
pub fn seal_grant<R: CryptoRng>(
    rng: &mut R,
    key: &HpkePublic,
    context: &GrantContext,
    secrets: &[(Epoch, EpochSecret)],
) -> Result<Vec<u8>, GrantError> {
    if secrets.len() > GRANT_EPOCHS_MAX {
        return Err(GrantError::TooMany(secrets.len()));
    }
    if !secrets.is_sorted_by(|(left, _), (right, _)| left < right) {
        return Err(GrantError::Unsorted);
    }
    // With its capacity known, no copy of the secrets is left behind by growing.
    let mut writer = Writer::with_capacity(4 + 36 * secrets.len());
    writer.count(secrets.len());
    for (epoch, secret) in secrets {
        writer.u32(epoch.0).fixed(secret.to_bytes().as_slice());
    }
    let text = Zeroizing::new(writer.finish());
    Ok(key.seal(rng, &context.info(), &text)?)
}

/// Opens a history grant. Check each secret with [`EpochSecret::matches`]; discard all and alarm if
/// one fails.
///
/// # Errors
///
/// [`BadWrap`] if it was made for another device, key or room, or is malformed. Ask for a new one.
pub fn open_grant(
    secret: &HpkeSecret,
    context: &GrantContext,
    sealed: &[u8],
) -> Result<GrantedSecrets, BadWrap> {
    let text = secret.open(&context.info(), sealed)?;
    let mut reader = Reader::new(&text);
    let n_secrets = reader.count(GRANT_EPOCHS_MAX).map_err(|_| BadWrap)?;
    let mut secrets = GrantedSecrets::with_capacity(n_secrets);
    for _ in 0..n_secrets {
        let epoch = reader.u32().map(Epoch).map_err(|_| BadWrap)?;
        if secrets.last().is_some_and(|(last, _)| *last >= epoch) {
            return Err(BadWrap);
        }
        let bytes = Zeroizing::new(reader.array().map_err(|_| BadWrap)?);
        secrets.push((epoch, EpochSecret::from_bytes(&bytes)));
    }
    reader.finish().map_err(|_| BadWrap)?;
    Ok(secrets)
}

/// The size of an agent wrap: who signed, the wrap, the signature.
pub const AGENT_WRAP_LEN: usize = DeviceId::LEN + WRAP_LEN + Signature::LEN;

/// An agent's sender key on its way, with the signature of the device that wrapped it (CRYPTO B6).
///
/// ```text
/// signer device[16] || W[80] || sig[64]
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AgentWrap {
    /// The member's device that wrapped and signed; any may, so it is named.
    pub signer: DeviceId,
    /// The HPKE wrap of the agent's [`SenderKey`].
    pub wrap: [u8; WRAP_LEN],
    /// `sign(device, "agent-wrap", commit_hash || agent device || wrap)`.
    pub signature: Signature,
}

impl fmt::Debug for AgentWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentWrap({:?}, {:?})", self.signer, self.signature)
    }
}

impl AgentWrap {
    /// Wraps the sender key of an agent that may write but not read.
    ///
    /// # Errors
    ///
    /// [`BadWrap`] if nothing can be sealed to `key`; a verified chain holds no such key.
    pub fn seal<R: CryptoRng>(
        rng: &mut R,
        key: &HpkePublic,
        place: AgentPlace,
        sender_key: &SenderKey,
        signer: &SigningKey,
    ) -> Result<Self, BadWrap> {
        let wrap = seal_32(rng, key, &place.info(), &sender_key.to_bytes())?;
        let signature =
            signer.sign(labels::AGENT_WRAP, &[&place.commit_hash.0, &place.device.0, &wrap]);
        Ok(Self { signer: signer.device_id(), wrap, signature })
    }

    /// The bytes that travel as the sealed part of a wrap.
    pub fn encode(&self) -> Vec<u8> {
        [self.signer.0.as_slice(), &self.wrap, &self.signature.0].concat()
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    ///
    /// [`BadWrap`] if the length is another's.
    pub fn decode(sealed: &[u8]) -> Result<Self, BadWrap> {
        let sealed: &[u8; AGENT_WRAP_LEN] = sealed.try_into().map_err(|_| BadWrap)?;
        let mut reader = Reader::new(sealed);
        let signer = DeviceId(reader.array().map_err(|_| BadWrap)?);
        let wrap = reader.array().map_err(|_| BadWrap)?;
        let signature = Signature(reader.array().map_err(|_| BadWrap)?);
        Ok(Self { signer, wrap, signature })
    }

    /// Opens the wrap after checking that `signer`, the member's device it names, made it.
    ///
    /// # Errors
    ///
    /// [`BadWrap`] if the signature or the wrap is another's. Ask for a new one.
    pub fn open(
        &self,
        secret: &HpkeSecret,
        place: AgentPlace,
        signer: &VerifyKey,
    ) -> Result<SenderKey, BadWrap> {
        if signer.device_id() != self.signer {
            return Err(BadWrap);
        }
        let text: [&[u8]; 3] = [&place.commit_hash.0, &place.device.0, &self.wrap];
        signer.verify(labels::AGENT_WRAP, &text, &self.signature).map_err(|_| BadWrap)?;
        open_32(secret, &place.info(), &self.wrap).map(|bytes| SenderKey::from_bytes(&bytes))
    }
}

/// The epoch and the agent device that an [`AgentWrap`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentPlace {
    /// The commit that started the epoch.
    pub commit_hash: Hash,
    /// The agent's device.
    pub device: DeviceId,
}

impl AgentPlace {
    fn info(&self) -> Vec<u8> {
        labelled(labels::AGENT_KEY, &[&self.commit_hash.0, &self.device.0])
    }
}

fn seal_32<R: CryptoRng>(
    rng: &mut R,
    key: &HpkePublic,
    info: &[u8],
    secret: &[u8; 32],
) -> Result<[u8; WRAP_LEN], BadWrap> {
    key.seal(rng, info, secret)?.try_into().map_err(|_| BadWrap)
}

fn open_32(
    secret: &HpkeSecret,
    info: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<[u8; 32]>, BadWrap> {
    let opened = secret.open(info, wrapped)?;
    opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| BadWrap)
}
