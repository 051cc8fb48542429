//! Runs of entries: what one room got in a batch travels as one piece.

use bytes::{Bytes, BytesMut};
use mathia_protocol::id::{RoomNumber, Seq};

use super::Delivery;

/// Entries of one run: few enough that a full queue loses little at a time.
const RUN_ENTRIES_MAX: usize = 32;
/// Bytes of one run.
const RUN_BYTES_MAX: usize = 16 * 1024;

/// Entries of one room with rising places, their frames one behind the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryRun<'a> {
    pub(super) room: RoomNumber,
    pub(super) first_seq: Seq,
    pub(super) n_entries: usize,
    pub(super) frames: &'a Bytes,
}

/// Collects entries of one room that follow each other in a batch: joined once, they cost each of
/// the many who get them one push and one write instead of several.
#[derive(Debug, Default)]
pub(super) struct RunBuilder<'a> {
    room: RoomNumber,
    first_seq: Seq,
    frames: Vec<&'a Bytes>,
    n_bytes: usize,
}

impl<'a> RunBuilder<'a> {
    pub(super) fn add(&mut self, room: RoomNumber, seq: Seq, frame: &'a Bytes) {
        if self.frames.is_empty() {
            (self.room, self.first_seq) = (room, seq);
        }
        self.n_bytes += frame.len();
        self.frames.push(frame);
    }

    /// Whether `next` belongs to the same run.
    pub(super) fn goes_on_with(&self, next: Option<&Delivery>) -> bool {
        matches!(next, Some(Delivery::Entry { room, frame, .. }) if *room == self.room
            && self.frames.len() < RUN_ENTRIES_MAX
            && self.n_bytes + frame.len() <= RUN_BYTES_MAX)
    }

    pub(super) fn room(&self) -> RoomNumber {
        self.room
    }

    pub(super) fn n_entries(&self) -> usize {
        self.frames.len()
    }

    /// All frames in one; a single one is shared, not copied.
    pub(super) fn join(&self) -> Bytes {
        if let [frame] = self.frames[..] {
            return frame.clone();
        }
        let mut joined = BytesMut::with_capacity(self.n_bytes);
        self.frames.iter().for_each(|frame| joined.extend_from_slice(frame));
        joined.freeze()
    }

    /// The run, with its joined frames.
    pub(super) fn entry_run<'b>(&self, frames: &'b Bytes) -> EntryRun<'b> {
        let Self { room, first_seq, .. } = *self;
        EntryRun { room, first_seq, n_entries: self.frames.len(), frames }
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.n_bytes = 0;
    }
}
