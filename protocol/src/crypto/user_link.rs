//! The links of a user chain as bytes: what one may say and how it is encoded (CRYPTO B2).
//!
//! Owns the encoding and the signature of one link. Whether a link may follow the ones before it is
//! the rule of [`super::user_chain`].
//!
//! ```text
//! blob = CE(ver=1, suite=1, seq u32, prev[32], kind u8, body as bytes, time_ms u64, signer[16])
//! link = blob || sig                      sig = sign(signer, "user-link", blob)
//! hash = H("user-link-hash", link)        the prev of the next link; zero in a genesis
//! user_id = H("user-id", genesis link)
//! ```

use std::fmt;

use bincode::{Decode, Encode};
use rand::CryptoRng;

use super::ce::{CeError, Reader, Writer};
use super::hash::hash;
use super::identity::{BadSignature, HpkePublic, Signature, SigningKey, VerifyKey};
use super::labels;
use crate::id::{AccountId, DeviceId, Hash, Realm, TimeMs};
use crate::limits::{DEVICE_NAME_LEN_MAX, HANDLE_LEN_MAX, LINK_LEN_MAX, OPERATOR_LEN_MAX};
use crate::name::Handle;

/// The only version of the encoding.
const VERSION: u8 = 1;
/// The only suite: Ed25519, X25519, SHA-256.
const SUITE: u8 = 1;

/// What kind of account a chain founds; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum AccountKind {
    /// A person (0 in the encoding).
    Human,
    /// An assistant or another program that says so (1 in the encoding).
    Agent,
}

impl AccountKind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Human => 0,
            Self::Agent => 1,
        }
    }

    fn from_byte(value: u8) -> Result<Self, CeError> {
        match value {
            0 => Ok(Self::Human),
            1 => Ok(Self::Agent),
            _ => Err(CeError::Unknown { what: "account kind", value }),
        }
    }
}

/// The public description of a device, as its owner's chain carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Signs for the device; its hash is the device's identifier.
    pub key: VerifyKey,
    /// Receives wraps, until a `RotateHpke` link replaces it.
    pub hpke: HpkePublic,
    /// The generation of `hpke`, 1 on a new device.
    pub hpke_gen: u32,
    /// What the owner calls the device. Text from outside: never onto a terminal as it is.
    pub name: String,
    /// The operating system it named. Text from outside, like `name`.
    pub os: String,
    /// When the device made its keys, by its own clock.
    pub created: TimeMs,
    /// The rendezvous of the linking that this offer answered; zero in a genesis and in a recovery.
    pub rv: [u8; 16],
    /// Makes every offer different; zero in a genesis.
    pub nonce: [u8; 32],
    /// The device's own agreement to join this one account; zero in a genesis.
    pub offer_signature: Signature,
}

/// What a device tells about itself when it makes its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLabel {
    /// What the owner calls the device, at most [`DEVICE_NAME_LEN_MAX`] bytes.
    pub name: String,
    /// The operating system, at most [`DEVICE_NAME_LEN_MAX`] bytes.
    pub os: String,
    /// Now, by the device's clock.
    pub created: TimeMs,
}

impl DeviceRecord {
    /// Describes the device that founds a new account; the genesis link itself is signed by it.
    pub fn founding(key: VerifyKey, hpke: HpkePublic, label: DeviceLabel) -> Self {
        Self {
            key,
            hpke,
            hpke_gen: 1,
            name: label.name,
            os: label.os,
            created: label.created,
            rv: [0; 16],
            nonce: [0; 32],
            offer_signature: Signature::ZERO,
        }
    }

    /// Describes a device that offers to join `account`, with its signed agreement.
    ///
    /// `rv` is the rendezvous of the linking, zero for a recovery.
    pub fn offer<R: CryptoRng>(
        rng: &mut R,
        key: &SigningKey,
        hpke: HpkePublic,
        label: DeviceLabel,
        account: AccountId,
        rv: [u8; 16],
    ) -> Self {
        let mut record = Self { rv, ..Self::founding(key.public(), hpke, label) };
        rng.fill_bytes(&mut record.nonce);
        record.offer_signature = key.sign(labels::DEVICE_OFFER, &[&record.offer_text(account)]);
        record
    }

    /// The device's identifier.
    pub fn device_id(&self) -> DeviceId {
        self.key.device_id()
    }

    /// Checks that the device itself agreed to join `account` with these keys.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if it did not. Retrying never helps.
    pub fn verify_offer(&self, account: AccountId) -> Result<(), BadSignature> {
        let text = self.offer_text(account);
        self.key.verify(labels::DEVICE_OFFER, &[&text], &self.offer_signature)
    }

    fn offer_text(&self, account: AccountId) -> Vec<u8> {
        Writer::new()
            .fixed(&account.0)
            .fixed(&self.rv)
            .fixed(&self.key.0)
            .fixed(&self.hpke.0)
            .fixed(&self.nonce)
            .finish()
    }

    /// Appends the record to a larger encoding.
    pub fn write(&self, writer: &mut Writer) {
        writer
            .fixed(&self.key.0)
            .fixed(&self.hpke.0)
            .u32(self.hpke_gen)
            .bytes(self.name.as_bytes())
            .bytes(self.os.as_bytes())
            .u64(self.created.0)
            .fixed(&self.rv)
            .fixed(&self.nonce)
            .fixed(&self.offer_signature.0);
    }

    /// Takes a record out of a larger encoding.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self {
            key: VerifyKey(reader.array()?),
            hpke: HpkePublic(reader.array()?),
            hpke_gen: reader.u32()?,
            name: reader.text(DEVICE_NAME_LEN_MAX, "device name")?.to_owned(),
            os: reader.text(DEVICE_NAME_LEN_MAX, "operating system")?.to_owned(),
            created: TimeMs(reader.u64()?),
            rv: reader.array()?,
            nonce: reader.array()?,
            offer_signature: Signature(reader.array()?),
        })
    }

    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Reads what [`Self::encode`] writes, and nothing else.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(bytes: &[u8]) -> Result<Self, CeError> {
        let mut reader = Reader::new(bytes);
        let record = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(record)
    }
}

/// What the first link of a chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The server's data this account belongs to.
    pub realm: Realm,
    /// The public name.
    pub handle: Handle,
    /// Person or program.
    pub kind: AccountKind,
    /// Who runs an agent; empty for a person. Text from outside.
    pub operator: String,
    /// The founding device; it signs the link.
    pub device: DeviceRecord,
    /// The key of the recovery phrase.
    pub recovery_key: VerifyKey,
}

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkBody {
    /// Founds the account (kind 0).
    Genesis(Box<Genesis>),
    /// Adds a device that agreed to it (kind 1).
    AddDevice(Box<DeviceRecord>),
    /// Ends a device for good (kind 2).
    RevokeDevice {
        /// Which.
        device: DeviceId,
        /// Why, as the owner's client numbers it; shown to people, without a rule.
        reason: u8,
    },
    /// Replaces the signer's own key for wraps (kind 3).
    RotateHpke {
        /// The signer itself; a device changes no other's key.
        device: DeviceId,
        /// The new key.
        hpke: HpkePublic,
        /// One more than the generation before.
        hpke_gen: u32,
    },
    /// Replaces the recovery key (kind 4).
    RotateRecovery {
        /// The new key.
        recovery_key: VerifyKey,
    },
}

impl LinkBody {
    fn kind(&self) -> u8 {
        match self {
            Self::Genesis(_) => 0,
            Self::AddDevice(_) => 1,
            Self::RevokeDevice { .. } => 2,
            Self::RotateHpke { .. } => 3,
            Self::RotateRecovery { .. } => 4,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Genesis(genesis) => {
                writer
                    .fixed(&genesis.realm.0)
                    .bytes(genesis.handle.as_str().as_bytes())
                    .u8(genesis.kind.to_byte())
                    .bytes(genesis.operator.as_bytes());
                genesis.device.write(&mut writer);
                writer.fixed(&genesis.recovery_key.0)
            }
            Self::AddDevice(record) => {
                record.write(&mut writer);
                &mut writer
            }
            Self::RevokeDevice { device, reason } => writer.fixed(&device.0).u8(*reason),
            Self::RotateHpke { device, hpke, hpke_gen } => {
                writer.fixed(&device.0).fixed(&hpke.0).u32(*hpke_gen)
            }
            Self::RotateRecovery { recovery_key } => writer.fixed(&recovery_key.0),
        }
        .finish()
    }

    fn decode(kind: u8, bytes: &[u8]) -> Result<Self, CeError> {
        let mut reader = Reader::new(bytes);
        let body = match kind {
            0 => Self::Genesis(Box::new(Genesis {
                realm: Realm(reader.array()?),
                handle: reader
                    .text(HANDLE_LEN_MAX, "name")?
                    .parse()
                    .map_err(|_| CeError::Text("name"))?,
                kind: AccountKind::from_byte(reader.u8()?)?,
                operator: reader.text(OPERATOR_LEN_MAX, "operator")?.to_owned(),
                device: DeviceRecord::read(&mut reader)?,
                recovery_key: VerifyKey(reader.array()?),
            })),
            1 => Self::AddDevice(Box::new(DeviceRecord::read(&mut reader)?)),
            2 => Self::RevokeDevice { device: DeviceId(reader.array()?), reason: reader.u8()? },
            3 => Self::RotateHpke {
                device: DeviceId(reader.array()?),
                hpke: HpkePublic(reader.array()?),
                hpke_gen: reader.u32()?,
            },
            4 => Self::RotateRecovery { recovery_key: VerifyKey(reader.array()?) },
            value => return Err(CeError::Unknown { what: "link kind", value }),
        };
        reader.finish()?;
        Ok(body)
    }
}

/// One link of a user chain, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserLink {
    /// The place in the chain, 1 for the genesis.
    pub seq: u32,
    /// The hash of the link before; zero in a genesis.
    pub prev: Hash,
    /// What the link says.
    pub body: LinkBody,
    /// When it was signed, by the signer's clock. Shown to people; no part of validity.
    pub time: TimeMs,
    /// The device that signed, or the identifier of the recovery key.
    pub signer: DeviceId,
}

impl UserLink {
    /// The first link of a new account, to be signed by its founding device.
    pub fn founding(genesis: Genesis, time: TimeMs) -> Self {
        let signer = genesis.device.device_id();
        let body = LinkBody::Genesis(Box::new(genesis));
        Self { seq: 1, prev: Hash::ZERO, body, time, signer }
    }

    /// Encodes the link without its signature.
    pub fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(512)
            .u8(VERSION)
            .u8(SUITE)
            .u32(self.seq)
            .fixed(&self.prev.0)
            .u8(self.body.kind())
            .bytes(&self.body.encode())
            .u64(self.time.0)
            .fixed(&self.signer.0)
            .finish()
    }

    /// Reads what [`Self::encode`] writes, and nothing else.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(blob: &[u8]) -> Result<Self, CeError> {
        if blob.len() + Signature::LEN > LINK_LEN_MAX {
            return Err(CeError::TooLong { len: blob.len() + Signature::LEN, max: LINK_LEN_MAX });
        }
        let mut reader = Reader::new(blob);
        match (reader.u8()?, reader.u8()?) {
            (VERSION, SUITE) => {}
            (VERSION, value) => return Err(CeError::Unknown { what: "suite", value }),
            (value, _) => return Err(CeError::Unknown { what: "version", value }),
        }
        let seq = reader.u32()?;
        let prev = Hash(reader.array()?);
        let kind = reader.u8()?;
        let body = LinkBody::decode(kind, reader.bytes(LINK_LEN_MAX)?)?;
        let time = TimeMs(reader.u64()?);
        let signer = DeviceId(reader.array()?);
        reader.finish()?;
        Ok(Self { seq, prev, body, time, signer })
    }

    /// Signs the link. `key` must belong to `signer`; a chain refuses it otherwise.
    pub fn sign(&self, key: &SigningKey) -> SignedLink {
        let mut bytes = self.encode();
        let signature = key.sign(labels::USER_LINK, &[&bytes]);
        bytes.extend_from_slice(&signature.0);
        SignedLink(bytes)
    }
}

/// A link as it travels and is stored: `blob || signature`, opaque, never written again.
#[derive(Clone, PartialEq, Eq, Hash, Encode, Decode)]
pub struct SignedLink(pub Vec<u8>);

impl SignedLink {
    /// The hash that the next link names and that chain heads carry.
    pub fn hash(&self) -> Hash {
        hash(labels::USER_LINK_HASH, &[&self.0])
    }

    /// The account this link founds, if it is a genesis: its hash under another label.
    pub fn account(&self) -> AccountId {
        AccountId(hash(labels::USER_ID, &[&self.0]).0)
    }

    /// Reads the link without checking its signature or its place: for showing, never for trusting.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode_unverified(&self) -> Result<UserLink, CeError> {
        let (blob, _) = Signature::split_from(&self.0).ok_or(CeError::Short)?;
        UserLink::decode(blob)
    }

    /// Reads the link and hands out what a signature check needs.
    pub(super) fn split(&self) -> Result<(UserLink, &[u8], Signature), CeError> {
        let (blob, signature) = Signature::split_from(&self.0).ok_or(CeError::Short)?;
        Ok((UserLink::decode(blob)?, blob, signature))
    }
}

impl fmt::Debug for SignedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedLink({} bytes, {})", self.0.len(), self.hash().short())
    }
}
