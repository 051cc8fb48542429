//! The newest stretch of a log's hashes, kept at hand to recognize repeats and forks.
//!
//! Bounded by [`SYNC_WINDOW_MAX`]; what lies before is in the replica.

use std::collections::VecDeque;

use super::chain::LogHash;
use crate::id::{Hash, Seq};
use crate::limits::SYNC_WINDOW_MAX;

/// What is remembered of one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// `H` there.
    hash: Hash,
    /// SHA-256 of the entry; unknown for the position a window starts with.
    entry_hash: Option<Hash>,
}

/// The newest positions up to the end of what is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    end: Seq,
    /// Never empty; the last is the place at `end`.
    places: VecDeque<Place>,
}

impl Window {
    pub(super) fn starting_at(at: LogHash) -> Self {
        let place = Place { hash: at.hash(), entry_hash: None };
        Self { end: at.seq(), places: VecDeque::from([place]) }
    }

    /// Remembers the next position.
    pub(super) fn push(&mut self, at: LogHash, entry_hash: Hash) {
        if self.places.len() == SYNC_WINDOW_MAX {
            self.places.pop_front();
        }
        self.places.push_back(Place { hash: at.hash(), entry_hash: Some(entry_hash) });
        self.end = at.seq();
    }

    fn place(&self, seq: Seq) -> Option<&Place> {
        let from_end = usize::try_from(self.end.0.checked_sub(seq.0)?).ok()?;
        self.places.get(self.places.len().checked_sub(from_end.checked_add(1)?)?)
    }

    /// `H` at a position, if it is remembered.
    pub(super) fn hash_at(&self, seq: Seq) -> Option<Hash> {
        self.place(seq).map(|place| place.hash)
    }

    /// SHA-256 of the entry at a position, if it is remembered.
    pub(super) fn entry_hash_at(&self, seq: Seq) -> Option<Hash> {
        self.place(seq)?.entry_hash
    }

    /// The newest position that holds these very bytes.
    pub(super) fn find(&self, entry_hash: Hash) -> Option<Seq> {
        let from_end =
            self.places.iter().rev().position(|place| place.entry_hash == Some(entry_hash))?;
        self.end.0.checked_sub(u64::try_from(from_end).ok()?).map(Seq)
    }
}
