//! The rolling hash of a room's log, `H_n`: one value that says "the same entries in the same order".
//!
//! ```text
//! H_0 = room_id
//! H_n = SHA-256("mathia/v1/log" || 0x00 || H_{n-1} || n(u64 BE) || SHA-256(E_n))
//! ```
//!
//! Owns the formula and nothing else (CRYPTO B3). It runs over the hash of an entry, so it survives
//! the deletion of bodies.

use crate::crypto::hash::{hash, sha256};
use crate::crypto::labels;
use crate::id::{Hash, RoomId, Seq};

/// A position in a room's log together with `H` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogHash {
    seq: Seq,
    hash: Hash,
}

impl LogHash {
    /// Starts before the first entry: `H_0` is the room's identifier.
    pub const fn start(room: RoomId) -> Self {
        Self { seq: Seq(0), hash: Hash(room.0) }
    }

    /// Takes up a position that was verified earlier, or is claimed and about to be checked.
    pub const fn at(seq: Seq, hash: Hash) -> Self {
        Self { seq, hash }
    }

    /// The position: the last entry taken in.
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// `H` at the position.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Takes in the next entry, whole.
    #[must_use]
    pub fn extend(self, entry: &[u8]) -> Self {
        self.extend_hash(sha256(&[entry]))
    }

    /// Takes in the next entry by its SHA-256, when the hash is at hand or all that is left of it.
    #[must_use]
    pub fn extend_hash(self, entry_hash: Hash) -> Self {
        let seq = self.seq.next();
        let parts: [&[u8]; 3] = [self.hash.as_bytes(), &seq.0.to_be_bytes(), entry_hash.as_bytes()];
        Self { seq, hash: hash(labels::LOG, &parts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_equals_the_published_vector() {
        let head = LogHash::start(RoomId([0x77; 32])).extend(b"E1");
        assert_eq!(head.seq(), Seq(1));
        assert_eq!(
            head.hash().to_hex(),
            "3db9ed0475cc15938be119a876a599142e17f49ccf6a578cc628c260116a358f"
        );
    }

    #[test]
    fn order_content_and_room_all_count() {
        let start = LogHash::start(RoomId([1; 32]));
        let both = start.extend(b"a").extend(b"b");
        assert_ne!(both, start.extend(b"b").extend(b"a"));
        assert_ne!(both.hash(), LogHash::start(RoomId([2; 32])).extend(b"a").extend(b"b").hash());
        assert_eq!(both, start.extend(b"a").extend_hash(sha256(&[b"b"])));
    }
}
