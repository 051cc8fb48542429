//! What an owner says to those below it, without knowing them.

use crate::client::record::EntryRecord;
use crate::id::{Counter, Hash, RoomId, Seq, TimeMs};

/// Something that happened in the rooms and concerns other owners.
#[derive(Debug)]
pub(super) enum Signal {
    /// An own message stands in the verified log: if it is in the outbox, that is its ack.
    OwnMessage {
        /// The room.
        room: RoomId,
        /// The counter it took.
        counter: Counter,
        /// Its place.
        seq: Seq,
        /// The server's time.
        time: TimeMs,
        /// SHA-256 of its bytes.
        digest: Hash,
    },
    /// An entry was stored, or can be read by now.
    Entry {
        /// The room.
        room: RoomId,
        /// The entry.
        entry: Box<EntryRecord>,
    },
    /// Questions showed these entries to an agent, which was not noted before.
    Shown {
        /// The room.
        room: RoomId,
        /// The entries.
        seqs: Vec<Seq>,
    },
    /// A commit was stored: members, keys or settings changed.
    Committed(RoomId),
    /// Keys arrived: entries that waited for them may be opened.
    KeysChanged(RoomId),
    /// This account is no longer in a room.
    Gone(RoomId),
}
