//! Which entries name this account with an at sign.

use super::super::key_value::{Rows, RowsMut, Span, Table};
use super::super::{Replica, Stored, key};
use super::{Change, Index};
use crate::client::record::EntryRecord;
use crate::id::{RoomId, Seq};

/// Kept by [`EntryRecord::is_mention`], which whoever writes an entry decides.
pub(super) struct Mentions;

impl Index for Mentions {
    fn on_batch(
        &self,
        rows: &mut dyn RowsMut,
        room: RoomId,
        entries: &[&EntryRecord],
    ) -> Stored<()> {
        let mut mentions = entries.iter().filter(|entry| entry.is_mention);
        mentions
            .try_for_each(|entry| rows.put(Table::Mentions, &key::in_room(room, entry.seq.0), &[]))
    }

    fn on_change(&self, rows: &mut dyn RowsMut, change: &Change<'_>) -> Stored<()> {
        self.on_expire(rows, change.room, change.before)?;
        self.on_batch(rows, change.room, &[change.after])
    }

    fn on_expire(&self, rows: &mut dyn RowsMut, room: RoomId, before: &EntryRecord) -> Stored<()> {
        rows.delete(Table::Mentions, &key::in_room(room, before.seq.0))?;
        Ok(())
    }
}

fn after(room: RoomId, seq: Seq) -> Span {
    Span::of_from(&room.0, key::in_room(room, seq.next().0))
}

/// The places of mentions behind `seq`, rising.
pub(in super::super) fn behind(rows: &dyn Rows, room: RoomId, seq: Seq) -> Stored<Vec<Seq>> {
    let keys = rows.keys(Table::Mentions, &after(room, seq))?;
    keys.iter().map(|at| key::last_seq(at)).collect()
}

impl Replica {
    /// How many entries behind `after` are mentions.
    pub fn n_mentions(&self, room: RoomId, seq: Seq) -> Stored<u32> {
        self.read(|rows| rows.count(Table::Mentions, &after(room, seq)))
    }

    /// Which entries behind `seq` are mentions, rising.
    pub fn mentions(&self, room: RoomId, seq: Seq) -> Stored<Vec<Seq>> {
        self.read(|rows| behind(rows, room, seq))
    }
}
