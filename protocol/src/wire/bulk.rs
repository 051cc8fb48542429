//! Long reads, each on a stream of its own, so that they never stand in a message's way.

use bincode::{Decode, Encode};

use super::Fault;
use crate::id::{Hash, RoomId, Seq, TimeMs};

/// The one request on a bulk stream. Cancelled by resetting the stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum BulkRequest {
    /// Reads entries after a position, forward, to the head or `count`, page by page.
    After {
        /// The room.
        room: RoomId,
        /// The position before the first entry of interest; 0 for the beginning.
        after: Seq,
        /// How many at most.
        count: u32,
    },
    /// Reads entries before a position, pages from the newest to the oldest, each page forward.
    Before {
        /// The room.
        room: RoomId,
        /// The position behind the last entry of interest; 0 for the head.
        before: Seq,
        /// How many at most.
        count: u32,
    },
    /// Reads all commits after a position, for a newcomer who verifies the room from its creation.
    Commits {
        /// The room.
        room: RoomId,
        /// The position before the first commit of interest.
        after: Seq,
    },
}

/// One frame of the answer on a bulk stream; the stream ends after the last.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum BulkReply {
    /// Some entries in rising order.
    Page {
        /// `H` before the first entry (meaningless in an answer to `Commits`).
        hash_before: Hash,
        /// The entries.
        entries: Vec<LogEntry>,
        /// Whether this is the last page.
        is_last: bool,
    },
    /// The read is refused or failed.
    Fault(Fault),
}

/// An entry of a room's log with what the server adds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LogEntry {
    /// The place.
    pub seq: Seq,
    /// The server's time.
    pub time: TimeMs,
    /// The bytes, or what is left of them.
    pub body: EntryBody,
}

/// The stored bytes of an entry, or their hash when retention removed them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum EntryBody {
    /// Tag, blob and signature.
    Whole(Vec<u8>),
    /// SHA-256 of what was there, so that the rolling hash survives.
    Gone(Hash),
}
