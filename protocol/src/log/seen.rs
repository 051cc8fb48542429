//! Whether the log position that an entry says it saw is true (CRYPTO B3, B4).
//!
//! Every commit, message and tick carries `H` of a position its author verified. Whoever holds the
//! log compares: the server so that nobody can freeze a room with a false one, each client to find
//! forks.

use crate::id::{Hash, Seq};

/// An entry claims to have seen a log that is not this one. Retrying never helps the entry; its
/// author verifies the log anew first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the entry saw another log at position {0}")]
pub struct BadSeen(pub Seq);

/// Where the rolling hashes of a log can be looked up.
pub trait KnownHashes {
    /// `H` at a position; `None` if it is not known, such as before one joined.
    fn hash_at(&self, seq: Seq) -> Option<Hash>;
}

impl<F: Fn(Seq) -> Option<Hash>> KnownHashes for F {
    fn hash_at(&self, seq: Seq) -> Option<Hash> {
        self(seq)
    }
}

/// Checks, for a holder of the whole log, that `seen_hash` is `H` at `seen_seq`, up to `head`.
///
/// # Errors
///
/// [`BadSeen`] if the position is ahead of the head or the hash is another.
pub fn check_seen(
    seen_seq: Seq,
    seen_hash: Hash,
    head: Seq,
    known: &impl KnownHashes,
) -> Result<(), BadSeen> {
    check_seen_with(seen_seq, head, known, |hash| hash == seen_hash)
}

/// Does the same for the first half of the hash, as message headers carry it.
///
/// # Errors
///
/// [`BadSeen`] if the position is ahead of the head or the hash is another.
pub fn check_seen_half(
    seen_seq: Seq,
    seen_half: [u8; 16],
    head: Seq,
    known: &impl KnownHashes,
) -> Result<(), BadSeen> {
    check_seen_with(seen_seq, head, known, |hash| hash.first_half() == seen_half)
}

fn check_seen_with(
    seen_seq: Seq,
    head: Seq,
    known: &impl KnownHashes,
    fits: impl Fn(Hash) -> bool,
) -> Result<(), BadSeen> {
    let is_true = seen_seq <= head && known.hash_at(seen_seq).is_some_and(fits);
    if is_true { Ok(()) } else { Err(BadSeen(seen_seq)) }
}

/// What a client can say about the position that an entry at `seq` claims to have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenView {
    /// The author saw the log that we see.
    Same,
    /// We do not know that position: it lies before the part of the log we hold.
    Unknown,
    /// The author saw another log, or the future: raise the fork alarm and stop sending.
    Fork,
}

/// Compares, for a client that may not hold the whole log.
///
/// `seen_half` is the first half of the claimed `H`: of a whole one, [`Hash::first_half`].
pub fn compare_seen(
    seen_seq: Seq,
    seen_half: [u8; 16],
    seq: Seq,
    known: &impl KnownHashes,
) -> SeenView {
    if seen_seq >= seq {
        return SeenView::Fork;
    }
    match known.hash_at(seen_seq) {
        None => SeenView::Unknown,
        Some(hash) if hash.first_half() == seen_half => SeenView::Same,
        Some(_) => SeenView::Fork,
    }
}
