//! The recovery secret: 24 words that bring an account back (CRYPTO A6, B7).
//!
//! ```text
//! recovery key = Ed25519 seed HKDF-Expand(R, "mathia/v1/rec-sign" || 0, 32)
//! backup key   = HKDF-Expand(R, "mathia/v1/backup" || 0, 32)
//! ```

use std::fmt;

use rand::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::hash::expand;
use super::identity::SigningKey;
use super::labels;
use super::words::{WordsError, from_words, to_words};

/// 32 random bytes that its owner keeps as 24 words.
///
/// No `Clone`, nothing printed, zeroed on drop.
#[derive(ZeroizeOnDrop)]
pub struct RecoverySecret([u8; 32]);

impl RecoverySecret {
    /// Makes a new random secret.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(*bytes)
    }

    /// Takes over the bytes of a stored secret.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// Hands out the bytes, for the sealed key file only.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// Reads the 24 words, forgiving case and spacing.
    ///
    /// # Errors
    ///
    /// [`WordsError`], saying which word is wrong where that can be known.
    pub fn from_words(text: &str) -> Result<Self, WordsError> {
        from_words(text).map(|bytes| Self(*bytes))
    }

    /// The 24 words, for the owner's eyes only.
    pub fn words(&self) -> Zeroizing<String> {
        to_words(&self.0)
    }

    /// The key that may add and revoke devices of the account.
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(&expand(&self.0, labels::REC_SIGN, &[]))
    }

    /// The key that the backup is sealed under.
    pub fn backup_key(&self) -> Zeroizing<[u8; 32]> {
        expand(&self.0, labels::BACKUP, &[])
    }
}

impl fmt::Debug for RecoverySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoverySecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_bring_back_the_same_keys() {
        let secret = RecoverySecret::from_bytes(&[0x5A; 32]);
        let back = RecoverySecret::from_words(&secret.words()).unwrap();
        assert_eq!(back.signing_key().public(), secret.signing_key().public());
        assert_eq!(back.backup_key(), secret.backup_key());
        assert_ne!(*secret.backup_key(), *secret.signing_key().seed());
    }
}
