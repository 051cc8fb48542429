//! How far each room is settled: no question up to there will ever need anything.
//!
//! Kept on disk, so that a start need not look back for ever, and in memory, because entries are told
//! more than once (a question that is shown with a later one, for instance).

use std::collections::HashMap;

use mathia_protocol::client::{Replica, Stored};
use mathia_protocol::id::{RoomId, Seq};

use super::journal::Place;

/// The marks of one agent.
#[derive(Debug)]
pub(super) struct Settled {
    replica: Replica,
    upto: HashMap<RoomId, Seq>,
}

impl Settled {
    /// Reads the marks of all rooms.
    pub(super) fn open(replica: Replica) -> Stored<Self> {
        let mut upto = HashMap::new();
        for room in replica.rooms()? {
            upto.insert(room.room, replica.asks_settled_upto(room.room)?);
        }
        Ok(Self { replica, upto })
    }

    /// Up to where a room is settled.
    pub(super) fn upto(&self, room: RoomId) -> Seq {
        self.upto.get(&room).copied().unwrap_or(Seq(0))
    }

    /// Whether a question needs nothing any more.
    pub(super) fn has(&self, (room, seq): Place) -> bool {
        seq <= self.upto(room)
    }

    /// Moves a mark; never back.
    pub(super) fn note(&mut self, room: RoomId, upto: Seq) -> Stored<()> {
        if upto <= self.upto(room) {
            return Ok(());
        }
        self.upto.insert(room, upto);
        self.replica.put_asks_settled_upto(room, upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId([1; 32]);

    #[test]
    fn a_mark_moves_forward_only_and_covers_all_before_it() {
        let mut settled = Settled::open(Replica::in_memory()).unwrap();
        assert!(!settled.has((ROOM, Seq(1))));
        settled.note(ROOM, Seq(7)).unwrap();
        settled.note(ROOM, Seq(3)).unwrap();
        assert!(settled.has((ROOM, Seq(1))) && settled.has((ROOM, Seq(7))));
        assert!(!settled.has((ROOM, Seq(8))) && !settled.has((RoomId([2; 32]), Seq(1))));
    }
}
