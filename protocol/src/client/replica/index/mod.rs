//! Indexes over the logs: what belongs to which entry, found without reading the log.
//!
//! Every index is fed by the one write of a log (`logs.rs`) in the same transaction, and by nothing
//! else. An index is rows in a table of its own whose keys begin with the room.

pub(super) mod mentions;
mod relations;
pub(super) mod shown;
mod unreadable;

pub use self::relations::RelationRow;
pub(super) use self::relations::count_reactions;

use super::key_value::{Rows, RowsMut, Span, Table};
use super::row;
use super::singles::{self, Single};
use super::{Stored, logs};
use crate::client::record::EntryRecord;
use crate::id::{RoomId, Seq};

/// Goes up when the same entries make other rows; then the indexes are filled again.
const VERSION: u32 = 2;
/// Entries that are read at once while the indexes are filled again.
const PAGE: u32 = 512;

/// What one entry said, and what it says now.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) room: RoomId,
    pub(super) before: &'a EntryRecord,
    pub(super) after: &'a EntryRecord,
}

/// Something that finds entries.
trait Index: Sync {
    /// New entries are written.
    fn on_batch(
        &self,
        rows: &mut dyn RowsMut,
        room: RoomId,
        entries: &[&EntryRecord],
    ) -> Stored<()>;

    /// What is known of the content of an entry changes, and not because it expired.
    fn on_change(&self, rows: &mut dyn RowsMut, change: &Change<'_>) -> Stored<()>;

    /// An entry expires: nothing may be left of what it said.
    fn on_expire(&self, rows: &mut dyn RowsMut, room: RoomId, before: &EntryRecord) -> Stored<()>;

    /// A room is forgotten. Rows in tables that begin with the room go by themselves.
    fn on_forget(&self, _rows: &mut dyn RowsMut, _room: RoomId) -> Stored<()> {
        Ok(())
    }
}

/// All indexes.
const INDEXES: [&dyn Index; 4] =
    [&relations::Relations, &mentions::Mentions, &shown::Shown, &unreadable::Unreadable];

/// Feeds new entries; returns which entries are newly marked as shown to an agent.
pub(super) fn on_batch(
    rows: &mut dyn RowsMut,
    room: RoomId,
    entries: &[&EntryRecord],
) -> Stored<Vec<Seq>> {
    let marked = shown::unmarked(rows, room, entries)?;
    for index in INDEXES {
        index.on_batch(rows, room, entries)?;
    }
    Ok(marked)
}

/// Feeds a change; returns which entries are newly marked as shown to an agent.
pub(super) fn on_change(rows: &mut dyn RowsMut, change: &Change<'_>) -> Stored<Vec<Seq>> {
    let marked = shown::unmarked(rows, change.room, &[change.after])?;
    for index in INDEXES {
        index.on_change(rows, change)?;
    }
    Ok(marked)
}

/// Feeds an expiry.
pub(super) fn on_expire(rows: &mut dyn RowsMut, room: RoomId, before: &EntryRecord) -> Stored<()> {
    INDEXES.iter().try_for_each(|index| index.on_expire(rows, room, before))
}

/// Feeds the end of a room.
pub(super) fn on_forget(rows: &mut dyn RowsMut, room: RoomId) -> Stored<()> {
    INDEXES.iter().try_for_each(|index| index.on_forget(rows, room))
}

/// Whether an older version of this program filled the indexes.
pub(super) fn are_old(rows: &dyn Rows) -> Stored<bool> {
    Ok(singles::get::<u32>(rows, Single::IndexVersion)?.is_none_or(|version| version < VERSION))
}

/// Fills the indexes again from all entries. What they hold is only added to: an entry that says
/// more to this version than to the last one says nothing else.
pub(super) fn rebuild(rows: &mut dyn RowsMut) -> Stored<()> {
    let mut span = Span::all().at_most(PAGE);
    loop {
        let page = rows.scan(Table::Entries, &span)?;
        let Some((last, _)) = page.last() else { break };
        span.from = [last.as_slice(), &[0]].concat();
        for (at, value) in &page {
            let (room, seq) = row::fields(at, |r| Ok((RoomId(r.array()?), Seq(r.u64()?))))?;
            let mut entry = logs::decode(seq, value)?;
            entry.is_mention = rows.has(Table::Mentions, at)?;
            for index in INDEXES {
                index.on_batch(rows, room, &[&entry])?;
            }
        }
    }
    singles::put(rows, Single::IndexVersion, &VERSION)
}
