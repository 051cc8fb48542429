//! Which entries a question showed to an agent. The mark may come before its entry: a question can
//! show what lies in a page that is not read yet.

use std::collections::BTreeSet;

use super::super::key_value::{Rows, RowsMut, Table};
use super::super::write::Write;
use super::super::{Replica, Stored, Written, key};
use super::{Change, Index};
use crate::client::record::EntryRecord;
use crate::crypto::content::Content;
use crate::id::{RoomId, Seq};

pub(super) struct Shown;

fn shown_by(entry: &EntryRecord) -> Vec<Seq> {
    entry.content.said().into_iter().flat_map(Content::shown).collect()
}

/// Which entries these entries show that are not marked so yet.
pub(super) fn unmarked(
    rows: &dyn Rows,
    room: RoomId,
    entries: &[&EntryRecord],
) -> Stored<Vec<Seq>> {
    let shown: BTreeSet<Seq> = entries.iter().flat_map(|entry| shown_by(entry)).collect();
    let mut unmarked = Vec::new();
    for seq in shown {
        if !rows.has(Table::Shown, &key::in_room(room, seq.0))? {
            unmarked.push(seq);
        }
    }
    Ok(unmarked)
}

/// Marks entries; returns those that were not marked.
pub(in super::super) fn mark(
    rows: &mut dyn RowsMut,
    room: RoomId,
    seqs: &[Seq],
) -> Stored<Vec<Seq>> {
    let mut new = Vec::new();
    for seq in seqs {
        if rows.insert(Table::Shown, &key::in_room(room, seq.0), &[])? {
            new.push(*seq);
        }
    }
    Ok(new)
}

impl Index for Shown {
    fn on_batch(
        &self,
        rows: &mut dyn RowsMut,
        room: RoomId,
        entries: &[&EntryRecord],
    ) -> Stored<()> {
        entries.iter().try_for_each(|entry| mark(rows, room, &shown_by(entry)).map(drop))
    }

    fn on_change(&self, rows: &mut dyn RowsMut, change: &Change<'_>) -> Stored<()> {
        // What was shown stays shown.
        self.on_batch(rows, change.room, &[change.after])
    }

    fn on_expire(&self, rows: &mut dyn RowsMut, room: RoomId, before: &EntryRecord) -> Stored<()> {
        rows.delete(Table::Shown, &key::in_room(room, before.seq.0))?;
        Ok(())
    }
}

impl Replica {
    /// Notes that a question showed these entries to an agent; returns those that were not noted so.
    pub fn note_shown(&self, room: RoomId, seqs: &[Seq]) -> Stored<Vec<Seq>> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        self.commit_one(Write::Shown { room, seqs: seqs.to_vec() }).map(Written::into_shown)
    }
}
