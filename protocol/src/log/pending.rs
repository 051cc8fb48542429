//! Live entries that came too early: held, bounded, until the entries before them are there.

use std::collections::BTreeMap;

use crate::id::{Hash, Seq};
use crate::limits::{SYNC_PENDING_BYTES_MAX, SYNC_PENDING_MAX};
use crate::wire::{EntryBody, LogEntry};

/// What became of an entry that was to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// It waits now, it waited already, or there was no room; the log has it anyway.
    Fine,
    /// Other bytes wait for the same place.
    Conflict,
}

/// The entries that wait, by place.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    entries: BTreeMap<Seq, (Hash, LogEntry)>,
    n_bytes: usize,
}

impl Pending {
    /// Holds an entry; when there is no room, the farthest are forgotten.
    pub(super) fn hold(&mut self, entry: LogEntry, entry_hash: Hash) -> Held {
        if let Some((waiting, _)) = self.entries.get(&entry.seq) {
            return if *waiting == entry_hash { Held::Fine } else { Held::Conflict };
        }
        self.n_bytes += size(&entry);
        self.entries.insert(entry.seq, (entry_hash, entry));
        while self.entries.len() > SYNC_PENDING_MAX || self.n_bytes > SYNC_PENDING_BYTES_MAX {
            let Some((_, (_, farthest))) = self.entries.pop_last() else { break };
            self.n_bytes = self.n_bytes.saturating_sub(size(&farthest));
        }
        Held::Fine
    }

    /// Takes out what waits for a place.
    pub(super) fn take(&mut self, seq: Seq) -> Option<(Hash, LogEntry)> {
        let (entry_hash, entry) = self.entries.remove(&seq)?;
        self.n_bytes = self.n_bytes.saturating_sub(size(&entry));
        Some((entry_hash, entry))
    }

    /// Forgets everything up to a place.
    pub(super) fn forget_upto(&mut self, seq: Seq) {
        while let Some(first) = self.entries.keys().next().copied().filter(|first| *first <= seq) {
            self.take(first);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn size(entry: &LogEntry) -> usize {
    match &entry.body {
        EntryBody::Whole(bytes) => bytes.len(),
        EntryBody::Gone(_) => Hash::LEN,
    }
}
