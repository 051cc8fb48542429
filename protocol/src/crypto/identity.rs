//! The two key pairs of a device: Ed25519 to sign, X25519 to receive wraps (CRYPTO B1, B2).
//!
//! Owns how a signature is made and checked (label, strict verification) and the only HPKE suite
//! of the protocol. Secrets leave these types only through methods whose names say so.

use std::fmt;

use bincode::{Decode, Encode};
use ed25519_dalek::Signer as _;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use rand::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::hash::{hash, labelled};
use super::labels;
use crate::id::DeviceId;

type EncappedKey = <X25519HkdfSha256 as hpke::Kem>::EncappedKey;
type KemPublicKey = <X25519HkdfSha256 as hpke::Kem>::PublicKey;
type KemPrivateKey = <X25519HkdfSha256 as hpke::Kem>::PrivateKey;

/// What HPKE adds to a plaintext: the encapsulated key (32 bytes) and the tag (16 bytes).
pub const HPKE_OVERHEAD: usize = 48;

/// A signature does not belong to this key, label and text. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not valid")]
pub struct BadSignature;

/// Something sealed to a public key could not be made or opened. Retrying never helps: the key is
/// another one, the bytes were changed, or the public key is of low order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the wrap does not open with this key")]
pub struct BadWrap;

/// An Ed25519 signing key (RFC 8032) of a device or of a recovery phrase.
///
/// No `Clone`, nothing printed, zeroed on drop.
pub struct SigningKey(ed25519_dalek::SigningKey);

// The wrapped key zeroes itself on drop: the feature `zeroize` of ed25519-dalek is on.
impl ZeroizeOnDrop for SigningKey {}

impl SigningKey {
    /// Makes a new random key.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// Rebuilds the key from its 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Hands out the seed, for the sealed key file only.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> VerifyKey {
        VerifyKey(self.0.verifying_key().to_bytes())
    }

    /// The identifier of the device that owns this key.
    pub fn device_id(&self) -> DeviceId {
        self.public().device_id()
    }

    /// Signs `"mathia/v1/" || label || 0x00 || parts` (CRYPTO B1).
    pub fn sign(&self, label: &str, parts: &[&[u8]]) -> Signature {
        Signature(self.0.sign(&labelled(label, parts)).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {:?})", self.device_id())
    }
}

/// An Ed25519 public key as 32 bytes; whether it is a usable key shows at verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct VerifyKey(pub [u8; 32]);

impl VerifyKey {
    /// Checks a signature made by [`SigningKey::sign`] with the same label and text.
    ///
    /// Strict (`verify_strict`): keys and commitments of low order are refused, so that one
    /// signature fits one key and one text.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if anything differs. Retrying never helps.
    pub fn verify(
        &self,
        label: &str,
        parts: &[&[u8]],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(&labelled(label, parts), &signature).map_err(|_| BadSignature)
    }

    /// The device identifier: `H("device-id", key)[..16]` (CRYPTO B2). A recovery key has one too.
    pub fn device_id(&self) -> DeviceId {
        DeviceId(hash(labels::DEVICE_ID, &[&self.0]).first_half())
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyKey(of {:?})", self.device_id())
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// The size of a signature, in bytes.
    pub const LEN: usize = 64;
    /// All zero bytes: stands where a format has a signature field that does not apply.
    pub const ZERO: Self = Self([0; 64]);

    /// Splits `blob || signature`; `None` if the bytes are shorter than a signature.
    pub fn split_from(bytes: &[u8]) -> Option<(&[u8], Self)> {
        let (blob, signature) = bytes.split_last_chunk::<64>()?;
        Some((blob, Self(*signature)))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// An X25519 secret key that opens what was sealed to a device.
///
/// No `Clone`, nothing printed, zeroed on drop.
#[derive(ZeroizeOnDrop)]
pub struct HpkeSecret([u8; 32]);

impl HpkeSecret {
    /// Makes a new random key.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(*bytes)
    }

    /// Rebuilds the key from its 32 bytes; any 32 bytes are a key (RFC 7748 clamps them).
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// Hands out the bytes, for the sealed key file only.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The public half.
    pub fn public(&self) -> HpkePublic {
        HpkePublic(X25519HkdfSha256::sk_to_pk(&self.kem_key()).to_bytes().into())
    }

    /// Opens what [`HpkePublic::seal`] made with the same `info` (RFC 9180, base mode, single shot).
    ///
    /// # Errors
    ///
    /// [`BadWrap`] if the key, `info` or any byte differs. Retrying never helps.
    pub fn open(&self, info: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadWrap> {
        let (enc, ct) = sealed.split_first_chunk::<32>().ok_or(BadWrap)?;
        let enc = EncappedKey::from_bytes(enc).map_err(|_| BadWrap)?;
        hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.kem_key(),
            &enc,
            info,
            ct,
            b"",
        )
        .map(Zeroizing::new)
        .map_err(|_| BadWrap)
    }

    fn kem_key(&self) -> KemPrivateKey {
        KemPrivateKey::from_bytes(&self.0).expect("any 32 bytes are an X25519 key")
    }
}

impl fmt::Debug for HpkeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HpkeSecret(..)")
    }
}

/// An X25519 public key that wraps are sealed to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct HpkePublic(pub [u8; 32]);

impl HpkePublic {
    /// Seals `plaintext` so that only the secret half opens it: `enc(32) || ciphertext || tag(16)`.
    ///
    /// HPKE base mode, DHKEM(X25519, HKDF-SHA256) / HKDF-SHA256 / AES-256-GCM, `aad` empty (RFC 9180).
    ///
    /// # Errors
    ///
    /// [`BadWrap`] if this key is of low order, which [`Self::is_usable`] tells beforehand.
    pub fn seal<R: CryptoRng>(
        &self,
        rng: &mut R,
        info: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, BadWrap> {
        let key = KemPublicKey::from_bytes(&self.0).map_err(|_| BadWrap)?;
        let (enc, ct) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &key,
            info,
            plaintext,
            b"",
            rng,
        )
        .map_err(|_| BadWrap)?;
        let mut sealed = Vec::with_capacity(HPKE_OVERHEAD + plaintext.len());
        sealed.extend_from_slice(&enc.to_bytes());
        sealed.extend_from_slice(&ct);
        Ok(sealed)
    }

    /// Says whether anything can be sealed to this key: false for the few points of low order.
    ///
    /// User chains refuse others, so that one device cannot stop a whole room from changing keys.
    pub fn is_usable(&self) -> bool {
        // Every secret yields zero with a point of low order and with no other: one will do.
        let Ok(secret) = KemPrivateKey::from_bytes(&[1; 32]) else { return false };
        EncappedKey::from_bytes(&self.0)
            .is_ok_and(|point| X25519HkdfSha256::decap(&secret, None, &point).is_ok())
    }
}

impl fmt::Debug for HpkePublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HpkePublic({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_signature_fits_one_key_one_label_and_one_text() {
        let mut rng = StdRng::seed_from_u64(1);
        let (ann, bob) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let signature = ann.sign("msg", &[b"hel", b"lo"]);
        assert_eq!(ann.public().verify("msg", &[b"hello"], &signature), Ok(()));
        assert_eq!(ann.public().verify("read", &[b"hello"], &signature), Err(BadSignature));
        assert_eq!(ann.public().verify("msg", &[b"hellO"], &signature), Err(BadSignature));
        assert_eq!(bob.public().verify("msg", &[b"hello"], &signature), Err(BadSignature));
    }

    #[test]
    fn a_key_of_low_order_signs_nothing_and_receives_nothing() {
        let mut one = [0; 32];
        one[0] = 1;
        // With the neutral element as key and commitment, lax verification accepts any text.
        let mut signature = Signature::ZERO;
        signature.0[0] = 1;
        assert_eq!(VerifyKey(one).verify("msg", &[b"x"], &signature), Err(BadSignature));
        for point in [[0; 32], one] {
            assert!(!HpkePublic(point).is_usable());
            let mut rng = StdRng::seed_from_u64(2);
            assert_eq!(HpkePublic(point).seal(&mut rng, b"", b"x"), Err(BadWrap));
        }
        assert!(HpkeSecret::from_bytes(&[9; 32]).public().is_usable());
    }

    #[test]
    fn what_is_sealed_to_a_key_opens_with_it_alone() {
        let mut rng = StdRng::seed_from_u64(3);
        let (ann, bob) = (HpkeSecret::generate(&mut rng), HpkeSecret::generate(&mut rng));
        let sealed = ann.public().seal(&mut rng, b"info", b"secret").unwrap();
        assert_eq!(sealed.len(), HPKE_OVERHEAD + 6);
        assert_eq!(ann.open(b"info", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(ann.open(b"other", &sealed), Err(BadWrap));
        assert_eq!(bob.open(b"info", &sealed), Err(BadWrap));
        assert_eq!(ann.open(b"info", &sealed[..40]), Err(BadWrap));
    }

    #[test]
    fn secrets_are_never_printed() {
        let key = SigningKey::from_seed(&[0xAB; 32]);
        let hpke = HpkeSecret::from_bytes(&[0xAB; 32]);
        let text = format!("{key:?} {hpke:?}").to_lowercase();
        assert!(!text.contains("abab") && !text.contains("171, 171"));
    }
}
