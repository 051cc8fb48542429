//! The secrets of an epoch and what is derived from them (CRYPTO B3, B4).
//!
//! ```text
//! es                    32 random bytes, wrapped for every device          EpochSecret
//! kc  = H("key-commit", prev_commit || be32(epoch) || es)                  inside the signed commit
//! RK  = HKDF-Extract(salt = commit_hash, ikm = es)                         RoomKey
//! SK  = HKDF-Expand(RK, "sender" || user_id || device_id, 32)              SenderKey
//! PB  = HKDF-Expand(HKDF-Extract(prev_commit, es), "prev" || be32(epoch))  opens the epoch before
//! ```
//!
//! Because `kc` is signed, a secret from any source is proven by [`EpochSecret::matches`]; an
//! unproven one must never be used.

use std::fmt;

use rand::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::hash::{equal, expand, extract, hash};
use super::labels;
use super::seal::{OpenError, open_once, seal_once};
use crate::id::{AccountId, DeviceId, Epoch, Hash};

macro_rules! secret_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// No `Clone`, nothing printed, zeroed on drop.
        #[derive(ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes over the bytes of a stored or received secret.
            pub fn from_bytes(bytes: &[u8; 32]) -> Self {
                Self(*bytes)
            }

            /// Hands out the bytes, to be wrapped, granted or stored sealed.
            pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
                Zeroizing::new(self.0)
            }

            /// Makes a second copy of the secret, on purpose and visibly.
            #[must_use]
            pub fn duplicate(&self) -> Self {
                Self(self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_bytes!(
    /// The secret that a commit starts an epoch with.
    EpochSecret
);
secret_bytes!(
    /// The key of one room for one epoch; all sender keys come from it.
    RoomKey
);
secret_bytes!(
    /// The key under which one device seals in one epoch. An agent gets its own and no more.
    SenderKey
);

/// Computes `kc`, the commitment to an epoch secret that its commit carries (CRYPTO B3).
pub fn key_commit(prev_commit: Hash, epoch: Epoch, secret: &EpochSecret) -> Hash {
    hash(labels::KEY_COMMIT, &[&prev_commit.0, &epoch.0.to_be_bytes(), &secret.0])
}

impl EpochSecret {
    /// Makes a new random secret.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(*bytes)
    }

    /// Says whether this is the secret that the commit promised as `key_commit`.
    pub fn matches(&self, prev_commit: Hash, epoch: Epoch, promised: Hash) -> bool {
        equal(&key_commit(prev_commit, epoch, self).0, &promised.0)
    }

    /// Seals the secret of the epoch before, for a room that shows all its history (`prev_box`).
    ///
    /// `self` is the secret of `epoch`, `prev_commit` what the commit that starts it names.
    pub fn seal_prev<R: CryptoRng>(
        &self,
        rng: &mut R,
        prev_commit: Hash,
        epoch: Epoch,
        previous: &Self,
    ) -> Vec<u8> {
        let key = self.box_key(labels::PREV, prev_commit, epoch);
        seal_once(rng, &key, labels::PREV_BOX, &epoch.0.to_be_bytes(), &previous.0)
    }

    /// Opens the secret of the epoch before. Check it with [`Self::matches`] before use.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the box was made otherwise. Retrying never helps.
    pub fn open_prev(
        &self,
        prev_commit: Hash,
        epoch: Epoch,
        prev_box: &[u8],
    ) -> Result<Self, OpenError> {
        let key = self.box_key(labels::PREV, prev_commit, epoch);
        let opened = open_once(&key, labels::PREV_BOX, &epoch.0.to_be_bytes(), prev_box)?;
        opened.as_slice().try_into().map(Self).map_err(|_| OpenError)
    }

    /// The key of a box inside the commit that starts `epoch`. From `prev_commit`, because the box
    /// is part of what `commit_hash` hashes.
    pub(super) fn box_key(
        &self,
        label: &str,
        prev_commit: Hash,
        epoch: Epoch,
    ) -> Zeroizing<[u8; 32]> {
        expand(&extract(&prev_commit.0, &self.0), label, &[&epoch.0.to_be_bytes()])
    }
}

impl RoomKey {
    /// Derives the key from the secret; `commit_hash` is of the commit that started the epoch.
    pub fn derive(commit_hash: Hash, secret: &EpochSecret) -> Self {
        Self(*extract(&commit_hash.0, &secret.0))
    }
}

impl SenderKey {
    /// Derives the key of one device of one account.
    pub fn derive(room_key: &RoomKey, account: AccountId, device: DeviceId) -> Self {
        Self(*expand(&room_key.0, labels::SENDER, &[&account.0, &device.0]))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_secret_is_proven_by_its_commitment_and_by_no_other() {
        let mut rng = StdRng::seed_from_u64(1);
        let (ours, theirs) = (EpochSecret::generate(&mut rng), EpochSecret::generate(&mut rng));
        let promised = key_commit(Hash([3; 32]), Epoch(4), &ours);
        assert!(ours.matches(Hash([3; 32]), Epoch(4), promised));
        assert!(!theirs.matches(Hash([3; 32]), Epoch(4), promised));
        assert!(!ours.matches(Hash([3; 32]), Epoch(5), promised));
        assert!(!ours.matches(Hash([4; 32]), Epoch(4), promised));
    }

    #[test]
    fn one_secret_opens_the_epoch_before_step_by_step() {
        let mut rng = StdRng::seed_from_u64(2);
        let secrets: Vec<_> = (0..4).map(|_| EpochSecret::generate(&mut rng)).collect();
        let commits: Vec<_> = (0..4).map(|n| Hash([n; 32])).collect();
        let boxes: Vec<_> = (1..4)
            .map(|n| {
                let epoch = Epoch(u32::try_from(n).unwrap() + 1);
                secrets[n].seal_prev(&mut rng, commits[n - 1], epoch, &secrets[n - 1])
            })
            .collect();
        let mut known = secrets[3].duplicate();
        for n in (1..4).rev() {
            let epoch = Epoch(u32::try_from(n).unwrap() + 1);
            assert_eq!(boxes[n - 1].len(), crate::crypto::commit::PREV_BOX_LEN);
            assert!(known.open_prev(commits[n], epoch, &boxes[n - 1]).is_err());
            known = known.open_prev(commits[n - 1], epoch, &boxes[n - 1]).unwrap();
            assert_eq!(known.to_bytes(), secrets[n - 1].to_bytes());
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let text = format!("{:?}", EpochSecret::from_bytes(&[0xAB; 32]));
        assert_eq!(text, "EpochSecret(..)");
    }
}
