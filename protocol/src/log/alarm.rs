//! What can be wrong with a room's log, and what others say about it.
//!
//! Owns the words; [`super::sync`] finds the facts.

use crate::id::{Hash, Seq};

/// What somebody says that `H` is at some position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// All of it, as heads, commits and ticks carry it.
    Whole(Hash),
    /// The first half, as message headers carry it.
    Half([u8; 16]),
}

impl Claimed {
    /// Says whether `hash` is the one claimed.
    pub fn fits(self, hash: Hash) -> bool {
        match self {
            Self::Whole(claimed) => claimed == hash,
            Self::Half(claimed) => claimed == hash.first_half(),
        }
    }

    /// Says whether two claims about one position can both be true.
    pub fn agrees(self, other: Self) -> bool {
        match (self, other) {
            (Claimed::Half(half), Claimed::Half(other)) => half == other,
            (Claimed::Whole(hash), other) | (other, Claimed::Whole(hash)) => other.fits(hash),
        }
    }
}

/// What is wrong with a room's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// There are two histories of the room.
    #[error("the room has two histories, apart at position {seq}")]
    Fork {
        /// Where they are known to differ.
        seq: Seq,
    },
    /// An entry stands in the log a second time.
    #[error("entry {seq} repeats entry {first}")]
    Replay {
        /// The second place.
        seq: Seq,
        /// The first place.
        first: Seq,
    },
    /// An entry was shown at another place than it has.
    #[error("entry {seq} was shown out of order")]
    Reordered {
        /// Where it was shown.
        seq: Seq,
    },
    /// The server's log ends before entries that it had confirmed.
    #[error("the log ends at {head}, behind it entries were confirmed up to {verified}")]
    Shrunk {
        /// Where it says the log ends.
        head: Seq,
        /// What we had verified before.
        verified: Seq,
    },
    /// The server told of entries and does not hand them out.
    #[error("entries from {from} to {to} are withheld")]
    Withheld {
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
    },
}

impl Alarm {
    /// Says whether nothing may be sent to the room until people have decided.
    pub fn stops_sending(self) -> bool {
        !matches!(self, Self::Withheld { .. })
    }
}
