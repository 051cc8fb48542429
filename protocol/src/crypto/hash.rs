//! Hashes, MACs and key derivation with domain labels (CRYPTO B1).
//!
//! Owns how a label enters a primitive: `"mathia/v1/" || label || 0x00 || data`, everywhere the same.
//! The unlabelled forms ([`sha256`], [`mac`], [`extract`]) exist because some constructions of the
//! specification name them plainly; new constructions take a labelled one.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::labels::PREFIX;
use crate::id::Hash;

/// Computes `H(label, parts) = SHA-256("mathia/v1/" || label || 0x00 || parts)` (CRYPTO B1).
///
/// The parts are concatenated as they are: each caller has at most one part of variable length, the
/// last.
pub fn hash(label: &str, parts: &[&[u8]]) -> Hash {
    let mut state = Sha256::new();
    state.update(PREFIX);
    state.update(label.as_bytes());
    state.update([0]);
    for part in parts {
        state.update(part);
    }
    Hash(state.finalize().into())
}

/// Computes SHA-256 over the concatenation of `parts`, without a label.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    Hash(state.finalize().into())
}

/// Computes HMAC-SHA256 over the concatenation of `parts`, without a label (RFC 2104).
#[expect(clippy::missing_panics_doc, reason = "HMAC takes keys of any length")]
pub fn mac(key: &[u8], parts: &[&[u8]]) -> Hash {
    let mut state = <Hmac<Sha256>>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        state.update(part);
    }
    Hash(state.finalize().into_bytes().into())
}

/// Concatenates a label and data into one buffer: `"mathia/v1/" || label || 0x00 || parts`.
///
/// For primitives that take one slice: signatures, HPKE `info`, associated data.
pub fn labelled(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let len = PREFIX.len() + label.len() + 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(PREFIX);
    bytes.extend_from_slice(label.as_bytes());
    bytes.push(0);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Computes HKDF-Extract with SHA-256 (RFC 5869, 2.2); salt and key material go in as they are.
pub fn extract(salt: &[u8], ikm: &[u8]) -> Zeroizing<[u8; 32]> {
    let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), ikm);
    Zeroizing::new(prk.into())
}

/// Computes HKDF-Expand with SHA-256 (RFC 5869, 2.3), `info = "mathia/v1/" || label || 0x00 || parts`.
///
/// # Panics
///
/// If `N` exceeds 8,160 bytes, which is a constant of the caller.
pub fn expand<const N: usize>(key: &[u8; 32], label: &str, parts: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let hkdf = Hkdf::<Sha256>::from_prk(key).expect("32 bytes are a whole pseudorandom key");
    let mut out = Zeroizing::new([0; N]);
    hkdf.expand(&labelled(label, parts), out.as_mut_slice())
        .expect("N is a small constant of the caller");
    out
}

/// Compares two hashes or tags in time that depends on neither.
pub fn equal(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_and_its_data_cannot_slide_into_each_other() {
        assert_ne!(hash("ab", &[b"c"]), hash("a", &[b"bc"]));
        assert_eq!(hash("a", &[b"b", b"c"]), hash("a", &[b"bc"]));
        assert_eq!(hash("a", &[b"bc"]), sha256(&[b"mathia/v1/a\0bc"]));
        assert_eq!(labelled("a", &[b"b", b"c"]), b"mathia/v1/a\0bc");
    }

    #[test]
    fn equal_hashes_are_equal_and_others_are_not() {
        assert!(equal(&[7; 32], &[7; 32]));
        let mut other = [7; 32];
        other[31] ^= 1;
        assert!(!equal(&[7; 32], &other));
    }
}
