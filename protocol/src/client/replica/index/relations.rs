//! Which entries belong to an earlier one: answers and stops to their question, and whatever else
//! names a target.

use std::ops::Range;

use super::super::key_value::{Key, Rows, RowsMut, Span, Table, Value};
use super::super::{Replica, Stored, key, logs, row};
use super::{Change, Index};
use crate::client::StoredContent;
use crate::client::record::EntryRecord;
use crate::crypto::ce::CeError;
use crate::crypto::content::{Content, RelationKind, tally};
use crate::id::{AccountId, RoomId, Seq};

/// An entry that belongs to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelationRow {
    /// The earlier one.
    pub target: Seq,
    /// How it belongs to it.
    pub kind: RelationKind,
    /// The entry.
    pub seq: Seq,
    /// Who made it.
    pub author: AccountId,
}

pub(super) struct Relations;

fn relation_of(entry: &EntryRecord) -> Option<RelationRow> {
    let relation = entry.content.said().and_then(Content::target)?;
    let (target, kind) = (relation.target, relation.kind);
    Some(RelationRow { target, kind, seq: entry.seq, author: entry.author })
}

fn key_of(room: RoomId, row: &RelationRow) -> Key {
    let (target, seq) = (row.target.0.to_be_bytes(), row.seq.0.to_be_bytes());
    [room.0.as_slice(), &target, &[row.kind.to_byte()], &seq].concat()
}

fn read((at, value): &(Key, Value)) -> Stored<RelationRow> {
    let author = row::decode(value)?;
    row::fields(at, |r| {
        r.take(RoomId::LEN)?;
        let (target, value, seq) = (Seq(r.u64()?), r.u8()?, Seq(r.u64()?));
        let kind =
            RelationKind::from_byte(value).ok_or(CeError::Unknown { what: "relation", value })?;
        Ok(RelationRow { target, kind, seq, author })
    })
}

impl Index for Relations {
    fn on_batch(
        &self,
        rows: &mut dyn RowsMut,
        room: RoomId,
        entries: &[&EntryRecord],
    ) -> Stored<()> {
        entries.iter().filter_map(|entry| relation_of(entry)).try_for_each(|relation| {
            rows.put(Table::Relations, &key_of(room, &relation), &row::encode(&relation.author))
        })
    }

    fn on_change(&self, rows: &mut dyn RowsMut, change: &Change<'_>) -> Stored<()> {
        self.on_expire(rows, change.room, change.before)?;
        self.on_batch(rows, change.room, &[change.after])
    }

    fn on_expire(&self, rows: &mut dyn RowsMut, room: RoomId, before: &EntryRecord) -> Stored<()> {
        if let Some(relation) = relation_of(before) {
            rows.delete(Table::Relations, &key_of(room, &relation))?;
        }
        Ok(())
    }
}

fn of_span(rows: &dyn Rows, span: &Span) -> Stored<Vec<RelationRow>> {
    rows.scan(Table::Relations, span)?.iter().map(read).collect()
}

/// Counts the reactions to entries that follow each other in a log.
pub(in super::super) fn count_reactions(
    rows: &dyn Rows,
    room: RoomId,
    targets: &mut [EntryRecord],
) -> Stored<()> {
    let (Some(first), Some(last)) = (targets.first(), targets.last()) else { return Ok(()) };
    let (from, to) = (key::in_room(room, first.seq.0), key::in_room(room, last.seq.next().0));
    let relations = of_span(rows, &Span::between(from, to))?;
    let reactions: Vec<_> =
        relations.iter().filter(|row| row.kind == RelationKind::Reaction).collect();
    for of_one in reactions.chunk_by(|left, right| left.target == right.target) {
        let Ok(at) = targets.binary_search_by_key(&of_one[0].target, |target| target.seq) else {
            continue;
        };
        let mut counted = Vec::with_capacity(of_one.len());
        for row in of_one {
            let value = rows.get(Table::Entries, &key::in_room(room, row.seq.0))?;
            let Some(value) = value else { continue };
            let content = logs::decode(row.seq, &value)?.content;
            // Another entry may have stood here when it was written: its author saw another log.
            let content = content.fitting((row.author, row.seq), Some(&targets[at]));
            if let StoredContent::Said(Content::Reaction(reaction)) = content {
                counted.push((row.author, reaction));
            }
        }
        targets[at].reactions = tally(counted.iter().map(|(author, one)| (*author, one)));
    }
    Ok(())
}

impl Replica {
    /// What belongs to one entry, by kind and then by place.
    pub fn relations(&self, room: RoomId, target: Seq) -> Stored<Vec<RelationRow>> {
        self.read(|rows| of_span(rows, &Span::of(&key::in_room(room, target.0))))
    }

    /// What belongs to the entries of a part of the log, by target, kind and place.
    pub fn relations_of(&self, room: RoomId, targets: Range<Seq>) -> Stored<Vec<RelationRow>> {
        let (from, to) = (key::in_room(room, targets.start.0), key::in_room(room, targets.end.0));
        self.read(|rows| of_span(rows, &Span::between(from.clone(), to.clone())))
    }
}
