//! Sealing under a symmetric key: AES-256-GCM, each key used for one text only (CRYPTO B1).
//!
//! Owns the one primitive for everything at rest, [`seal_once`], and the raw AEAD call that messages
//! and files use with keys they derive themselves. Never the in-place calls of the AEAD crate.

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::hash::expand;

/// What the AEAD adds: its tag, in bytes.
pub const TAG_LEN: usize = 16;
/// What [`seal_once`] adds: salt and tag, in bytes.
pub const SEAL_OVERHEAD: usize = SALT_LEN + TAG_LEN;
const SALT_LEN: usize = 16;
const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;

/// Something sealed does not open: another key, another place, or changed bytes. Retrying never
/// helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open with this key")]
pub struct OpenError;

/// Seals `plaintext` under a long-lived key, fresh salt and so a fresh one-time key each time.
///
/// ```text
/// K(32) || N(12) = HKDF-Expand(key, "mathia/v1/" || label || 0 || salt, 44)
/// out = salt(16) || AES-256-GCM(K, N, aad = label || 0 || aad, plaintext)
/// ```
pub fn seal_once<R: CryptoRng>(
    rng: &mut R,
    key: &[u8; 32],
    label: &str,
    aad: &[u8],
    plaintext: &[u8],
) -> Vec<u8> {
    let mut salt = [0; SALT_LEN];
    rng.fill_bytes(&mut salt);
    let once = expand::<{ KEY_LEN + NONCE_LEN }>(key, label, &[&salt]);
    let mut sealed = Vec::with_capacity(SEAL_OVERHEAD + plaintext.len());
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&aead_seal(&once, &seal_aad(label, aad), plaintext));
    sealed
}

/// Opens what [`seal_once`] made with the same key, label and `aad`.
///
/// # Errors
///
/// [`OpenError`] if anything differs. Retrying never helps.
pub fn open_once(
    key: &[u8; 32],
    label: &str,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (salt, ct) = sealed.split_first_chunk::<SALT_LEN>().ok_or(OpenError)?;
    let once = expand::<{ KEY_LEN + NONCE_LEN }>(key, label, &[salt]);
    aead_open(&once, &seal_aad(label, aad), ct)
}

fn seal_aad(label: &str, aad: &[u8]) -> Vec<u8> {
    [label.as_bytes(), &[0], aad].concat()
}

/// AES-256-GCM with a one-time `K(32) || N(12)`: `ciphertext || tag`.
pub(super) fn aead_seal(once: &[u8; KEY_LEN + NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let (key, nonce) = key_and_nonce(once);
    Aes256Gcm::new(key.into())
        .encrypt(nonce.into(), Payload { msg: plaintext, aad })
        .expect("AES-GCM fails only beyond 64 GiB")
}

/// Opens what [`aead_seal`] made.
pub(super) fn aead_open(
    once: &[u8; KEY_LEN + NONCE_LEN],
    aad: &[u8],
    ct: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (key, nonce) = key_and_nonce(once);
    Aes256Gcm::new(key.into())
        .decrypt(nonce.into(), Payload { msg: ct, aad })
        .map(Zeroizing::new)
        .map_err(|_| OpenError)
}

fn key_and_nonce(once: &[u8; KEY_LEN + NONCE_LEN]) -> (&[u8; KEY_LEN], &[u8; NONCE_LEN]) {
    let (key, rest) = once.split_first_chunk::<KEY_LEN>().expect("44 bytes hold 32");
    (key, rest.first_chunk::<NONCE_LEN>().expect("12 bytes are left of 44"))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn what_is_sealed_opens_only_in_its_place() {
        let mut rng = StdRng::seed_from_u64(1);
        let sealed = seal_once(&mut rng, &[7; 32], "kek", b"v1", b"secret");
        assert_eq!(sealed.len(), SEAL_OVERHEAD + 6);
        assert_eq!(open_once(&[7; 32], "kek", b"v1", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(open_once(&[8; 32], "kek", b"v1", &sealed), Err(OpenError));
        assert_eq!(open_once(&[7; 32], "backup", b"v1", &sealed), Err(OpenError));
        assert_eq!(open_once(&[7; 32], "kek", b"v2", &sealed), Err(OpenError));
        assert_eq!(open_once(&[7; 32], "kek", b"v1", &sealed[..20]), Err(OpenError));
        assert_eq!(open_once(&[7; 32], "kek", b"v1", &[]), Err(OpenError));
    }

    #[test]
    fn sealing_twice_gives_two_different_texts() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut seal = || seal_once(&mut rng, &[7; 32], "kek", b"", b"secret");
        assert_ne!(seal()[16..], seal()[16..]);
    }
}
