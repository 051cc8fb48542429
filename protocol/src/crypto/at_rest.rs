//! A device's key file: all its secrets, plain or under a passphrase (CRYPTO C4).
//!
//! ```text
//! file   = CE("mathia-k", ver u8 = 1, protection u8, ..)
//! 0 none:       .. body as bytes
//! 1 passphrase: .. salt[16], memory KiB u32, passes u32, lanes u32,
//!                  seal_once(Argon2id(passphrase), "key-file", all before, body) as bytes
//! body   = CE(user_id, realm, signing seed[32], list(gen u32, created_ms u64, hpke secret[32]),
//!             recovery secret[32] opt, replica key[32])
//! ```
//!
//! Owns the bytes only; where they lie, and that they lie there with mode 0600, is the program's.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::ce::{CeError, Reader, Writer};
use super::identity::{HpkeSecret, SigningKey};
use super::labels;
use super::recovery::RecoverySecret;
use super::seal::{open_once, seal_once};
use crate::id::{AccountId, Realm, TimeMs};

const MAGIC: &[u8; 8] = b"mathia-k";
const VERSION: u8 = 1;
/// Keys for wraps in one file: one a month, and old ones are wiped a month later.
pub const HPKE_SECRETS_MAX: usize = 16;
/// The largest key file, in bytes.
pub const KEY_FILE_LEN_MAX: usize = 4 * 1024;
const BODY_LEN_MAX: usize = 2 * 1024;

/// What turning a passphrase into a key costs; written into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Argon2id with 64 MiB: about a fifth of a second on a laptop (RFC 9106, 4).
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
/// A file that asks for more is not ours; it must not eat the machine.
const COST_MAX: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

/// A key for wraps and when it was made.
#[derive(Debug)]
pub struct StoredHpke {
    /// Its generation.
    pub generation: u32,
    /// When it was made, by the device's clock: it is replaced after 30 days.
    pub created: TimeMs,
    /// The key.
    pub secret: HpkeSecret,
}

/// All secrets of one device. `Debug` shows none of them.
pub struct KeyFile {
    /// The account.
    pub account: AccountId,
    /// The server's data that the account belongs to.
    pub realm: Realm,
    /// Signs for the device.
    pub signing: SigningKey,
    /// Keys for wraps, oldest generation first, the newest in use; at most [`HPKE_SECRETS_MAX`].
    pub hpke: Vec<StoredHpke>,
    /// The recovery secret, where this device made it or was told.
    pub recovery: Option<RecoverySecret>,
    /// Seals what the device keeps in its replica.
    pub replica_key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile(of {:?}, {:?})", self.account, self.signing.device_id())
    }
}

/// Why a key file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The bytes are no key file, or a damaged one. Restore it, or recover with the 24 words.
    #[error("this is no mathia key file, or it is damaged: {0}")]
    Malformed(#[from] CeError),
    /// The file is sealed. Ask for the passphrase and try again.
    #[error("the key file needs its passphrase")]
    PassphraseNeeded,
    /// The passphrase is another one, or the file is damaged. Ask again.
    #[error("the passphrase is not the one of this key file")]
    WrongPassphrase,
    /// The file asks for more work than this program gives.
    #[error("the key file asks for too much work")]
    Cost,
}

impl KeyFile {
    /// Encodes the secrets, sealed if there is a passphrase.
    ///
    /// With a passphrase this takes a fraction of a second and 64 MiB: not for an async thread.
    #[expect(clippy::missing_panics_doc, reason = "the cost is a valid constant")]
    pub fn encode<R: CryptoRng>(
        &self,
        rng: &mut R,
        passphrase: Option<&str>,
    ) -> Zeroizing<Vec<u8>> {
        let body = self.encode_body();
        let mut writer = Writer::with_capacity(KEY_FILE_LEN_MAX);
        writer.fixed(MAGIC).u8(VERSION);
        let Some(passphrase) = passphrase else {
            return Zeroizing::new(writer.u8(0).bytes(&body).finish());
        };
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        writer.u8(1).fixed(&salt).u32(COST.memory_kib).u32(COST.passes).u32(COST.lanes);
        let head = writer.finish();
        let key = stretch(passphrase, &salt, COST).expect("the cost is a valid constant");
        let sealed = seal_once(rng, &key, labels::KEY_FILE, &head, &body);
        Zeroizing::new(Writer::new().fixed(&head).bytes(&sealed).finish())
    }

    fn encode_body(&self) -> Zeroizing<Vec<u8>> {
        // With its capacity known, no copy of the secrets is left behind by growing.
        let mut writer = Writer::with_capacity(BODY_LEN_MAX);
        writer.fixed(&self.account.0).fixed(&self.realm.0);
        writer.fixed(self.signing.seed().as_slice()).count(self.hpke.len());
        for key in &self.hpke {
            writer.u32(key.generation).u64(key.created.0);
            writer.fixed(key.secret.to_bytes().as_slice());
        }
        writer
            .option(self.recovery.as_ref(), |writer, secret| {
                writer.fixed(secret.to_bytes().as_slice());
            })
            .fixed(self.replica_key.as_slice());
        Zeroizing::new(writer.finish())
    }

    /// Says whether reading the file needs a passphrase.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Malformed`] if it is no key file.
    pub fn needs_passphrase(bytes: &[u8]) -> Result<bool, KeyFileError> {
        Ok(read_head(&mut Reader::new(bytes))?.is_some())
    }

    /// Reads a key file; a passphrase that a plain file does not need is ignored.
    ///
    /// With a passphrase this takes a fraction of a second and 64 MiB: not for an async thread.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]; asking for the passphrase again helps where it says so.
    pub fn decode(bytes: &[u8], passphrase: Option<&str>) -> Result<Self, KeyFileError> {
        let mut reader = Reader::new(bytes);
        let Some((salt, cost)) = read_head(&mut reader)? else {
            let body = reader.bytes(BODY_LEN_MAX)?;
            reader.finish()?;
            return Ok(Self::decode_body(body)?);
        };
        let head = &bytes[..bytes.len() - reader.remaining()];
        let sealed = reader.bytes(KEY_FILE_LEN_MAX)?;
        reader.finish()?;
        let passphrase = passphrase.ok_or(KeyFileError::PassphraseNeeded)?;
        let key = stretch(passphrase, &salt, cost)?;
        let body = open_once(&key, labels::KEY_FILE, head, sealed)
            .map_err(|_| KeyFileError::WrongPassphrase)?;
        Ok(Self::decode_body(&body)?)
    }

    fn decode_body(body: &[u8]) -> Result<Self, CeError> {
        let mut reader = Reader::new(body);
        let account = AccountId(reader.array()?);
        let realm = Realm(reader.array()?);
        let signing = SigningKey::from_seed(&Zeroizing::new(reader.array()?));
        let n_keys = reader.count(HPKE_SECRETS_MAX)?;
        let mut hpke: Vec<StoredHpke> = Vec::with_capacity(n_keys);
        for _ in 0..n_keys {
            let generation = reader.u32()?;
            if hpke.last().is_some_and(|last| last.generation >= generation) {
                return Err(CeError::Unsorted("key"));
            }
            let created = TimeMs(reader.u64()?);
            let secret = HpkeSecret::from_bytes(&Zeroizing::new(reader.array()?));
            hpke.push(StoredHpke { generation, created, secret });
        }
        let recovery = reader
            .option(|reader| Ok(RecoverySecret::from_bytes(&Zeroizing::new(reader.array()?))))?;
        let replica_key = Zeroizing::new(reader.array()?);
        reader.finish()?;
        Ok(Self { account, realm, signing, hpke, recovery, replica_key })
    }
}

/// Reads all before the body; the salt and cost if there is a passphrase.
fn read_head(reader: &mut Reader<'_>) -> Result<Option<([u8; 16], Cost)>, CeError> {
    if reader.remaining() > KEY_FILE_LEN_MAX {
        return Err(CeError::TooLong { len: reader.remaining(), max: KEY_FILE_LEN_MAX });
    }
    if reader.array()? != *MAGIC {
        return Err(CeError::Text("file mark"));
    }
    match reader.u8()? {
        VERSION => {}
        value => return Err(CeError::Unknown { what: "version", value }),
    }
    match reader.u8()? {
        0 => Ok(None),
        1 => {
            let salt = reader.array()?;
            let (memory_kib, passes, lanes) = (reader.u32()?, reader.u32()?, reader.u32()?);
            Ok(Some((salt, Cost { memory_kib, passes, lanes })))
        }
        value => Err(CeError::Unknown { what: "protection", value }),
    }
}

/// Argon2id (RFC 9106).
fn stretch(
    passphrase: &str,
    salt: &[u8; 16],
    cost: Cost,
) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > COST_MAX.memory_kib || passes > COST_MAX.passes || lanes > COST_MAX.lanes {
        return Err(KeyFileError::Cost);
    }
    let params =
        Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| KeyFileError::Cost)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| KeyFileError::Cost)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn keys(rng: &mut StdRng) -> KeyFile {
        let hpke = |generation, rng: &mut StdRng| StoredHpke {
            generation,
            created: TimeMs(u64::from(generation) * 1_000),
            secret: HpkeSecret::generate(rng),
        };
        KeyFile {
            account: AccountId([1; 32]),
            realm: Realm([2; 16]),
            signing: SigningKey::generate(rng),
            hpke: vec![hpke(1, rng), hpke(2, rng)],
            recovery: Some(RecoverySecret::generate(rng)),
            replica_key: Zeroizing::new([3; 32]),
        }
    }

    #[test]
    fn a_plain_key_file_comes_back_whole() {
        let mut rng = StdRng::seed_from_u64(1);
        let keys = keys(&mut rng);
        let bytes = keys.encode(&mut rng, None);
        assert_eq!(KeyFile::needs_passphrase(&bytes), Ok(false));
        let back = KeyFile::decode(&bytes, None).unwrap();
        assert_eq!(*back.encode_body(), *keys.encode_body());
        assert_eq!(back.hpke[1].created, TimeMs(2_000));
    }

    #[test]
    fn a_sealed_key_file_opens_with_its_passphrase_alone() {
        let mut rng = StdRng::seed_from_u64(2);
        let keys = keys(&mut rng);
        let bytes = keys.encode(&mut rng, Some("correct horse"));
        assert_eq!(KeyFile::needs_passphrase(&bytes), Ok(true));
        assert_eq!(KeyFile::decode(&bytes, None).unwrap_err(), KeyFileError::PassphraseNeeded);
        let wrong = KeyFile::decode(&bytes, Some("correct house")).unwrap_err();
        assert_eq!(wrong, KeyFileError::WrongPassphrase);
        let back = KeyFile::decode(&bytes, Some("correct horse")).unwrap();
        assert_eq!(*back.encode_body(), *keys.encode_body());
        let seed = keys.signing.seed();
        assert!(!bytes.windows(32).any(|window| window == seed.as_slice()));
    }

    #[test]
    fn a_full_file_stays_within_its_limits() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut keys = keys(&mut rng);
        keys.hpke = (0..16)
            .map(|generation| StoredHpke {
                generation,
                created: TimeMs(0),
                secret: HpkeSecret::generate(&mut rng),
            })
            .collect();
        assert!(keys.encode_body().len() <= BODY_LEN_MAX);
        assert!(KeyFile::decode(&keys.encode(&mut rng, None), None).is_ok());
    }

    #[test]
    fn other_bytes_are_refused_without_a_panic_or_a_lot_of_work() {
        let mut rng = StdRng::seed_from_u64(4);
        let bytes = keys(&mut rng).encode(&mut rng, None);
        for len in 0..bytes.len() {
            assert!(KeyFile::decode(&bytes[..len], None).is_err());
        }
        assert!(KeyFile::decode(b"-----BEGIN PRIVATE KEY-----", None).is_err());
        let mut greedy = Writer::new();
        greedy.fixed(MAGIC).u8(1).u8(1).fixed(&[0; 16]).u32(u32::MAX).u32(3).u32(4).bytes(&[0; 64]);
        let refused = KeyFile::decode(&greedy.finish(), Some("x")).unwrap_err();
        assert_eq!(refused, KeyFileError::Cost);
    }

    #[test]
    fn secrets_are_never_printed() {
        let text = format!("{:?}", keys(&mut StdRng::seed_from_u64(5)));
        assert!(text.starts_with("KeyFile(of") && text.len() < 80);
    }
}
