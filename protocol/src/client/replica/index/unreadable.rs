//! Which entries cannot be read now, and why: they are tried again when a key comes.

use super::super::key_value::{RowsMut, Span, Table};
use super::super::{Replica, Stored, key};
use super::{Change, Index};
use crate::client::StoredContent;
use crate::client::event::UnreadableCause;
use crate::client::record::EntryRecord;
use crate::id::{RoomId, Seq};

pub(super) struct Unreadable;

fn cause_of(entry: &EntryRecord) -> Option<UnreadableCause> {
    match entry.content {
        StoredContent::Unreadable(cause) => Some(cause),
        _ => None,
    }
}

impl Index for Unreadable {
    fn on_batch(
        &self,
        rows: &mut dyn RowsMut,
        room: RoomId,
        entries: &[&EntryRecord],
    ) -> Stored<()> {
        let mut unreadable = entries.iter().filter_map(|entry| Some((entry.seq, cause_of(entry)?)));
        unreadable.try_for_each(|(seq, cause)| {
            rows.put(Table::Unreadable, &key::of_kind(room, cause.to_byte(), seq.0), &[])
        })
    }

    fn on_change(&self, rows: &mut dyn RowsMut, change: &Change<'_>) -> Stored<()> {
        self.on_expire(rows, change.room, change.before)?;
        self.on_batch(rows, change.room, &[change.after])
    }

    fn on_expire(&self, rows: &mut dyn RowsMut, room: RoomId, before: &EntryRecord) -> Stored<()> {
        if let Some(cause) = cause_of(before) {
            rows.delete(Table::Unreadable, &key::of_kind(room, cause.to_byte(), before.seq.0))?;
        }
        Ok(())
    }
}

impl Replica {
    /// Positions of entries that could not be read for this cause, rising, at most `count`.
    pub fn unreadable(&self, room: RoomId, cause: UnreadableCause, count: u32) -> Stored<Vec<Seq>> {
        let span = Span::of(&key::all_of_kind(room, cause.to_byte())).at_most(count);
        let keys = self.read(|rows| rows.keys(Table::Unreadable, &span))?;
        keys.iter().map(|at| key::last_seq(at)).collect()
    }
}
