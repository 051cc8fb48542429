//! Entries, commits, counter lanes and scheduled numbers of verified logs.
//!
//! Owns the one write of a log: everything that changes an entry goes through here and feeds the
//! indexes. Never reads what an entry says.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::index::{self, Change};
use super::key_value::{Rows, RowsMut, Span, Table, Value};
use super::rooms::{self, Piece};
use super::write::Write;
use super::{Replica, Stored, Written, journal, key, outbox, row};
use crate::client::StoredContent;
use crate::client::record::{Batch, DeviceLane, EntryRecord, StoredCommit};
use crate::crypto::ce::{CeError, Writer};
use crate::crypto::hash::sha256;
use crate::id::{AccountId, DeviceId, Hash, RoomId, Seq, TimeMs};
use crate::limits::FRAME_LEN_MAX_COMMIT;
use crate::wire::EntryBody;

/// What stands for a body that is gone, and for one that is here.
const GONE: u8 = 0;
const WHOLE: u8 = 1;

/// Writes a batch; returns which entries were marked as shown to an agent by it.
pub(super) fn apply(rows: &mut dyn RowsMut, room: RoomId, batch: &Batch) -> Stored<Vec<Seq>> {
    let mut new = Vec::with_capacity(batch.entries.len());
    for entry in &batch.entries {
        if rows.insert(Table::Entries, &key::in_room(room, entry.seq.0), &encode(entry))? {
            new.push(entry);
        }
    }
    let shown = index::on_batch(rows, room, &new)?;
    for commit in &batch.commits {
        let key = key::in_room(room, commit.seq.0);
        rows.insert(Table::Commits, &key, &row::encode_commit(commit))?;
    }
    if let Some(cursor) = batch.cursor
        && rooms::cursor(rows, room)?.0 <= cursor.0
    {
        rooms::put(rows, room, Piece::Cursor, &cursor)?;
        for (device, lane) in &batch.lanes {
            rows.put(Table::Lanes, &key::of_device(room, *device), &row::encode(lane))?;
        }
    }
    Ok(shown)
}

/// Replaces what is known of the content of one entry; returns which entries were marked as shown
/// to an agent by it.
pub(super) fn put_content(
    rows: &mut dyn RowsMut,
    (room, seq): (RoomId, Seq),
    content: &StoredContent,
    is_mention: bool,
) -> Stored<Vec<Seq>> {
    let at = key::in_room(room, seq.0);
    let Some(value) = rows.get(Table::Entries, &at)? else { return Ok(Vec::new()) };
    let before = decode(seq, &value)?;
    let mut after = EntryRecord { content: content.clone(), is_mention, ..before.clone() };
    let shown = if *content == StoredContent::Expired {
        if let EntryBody::Whole(bytes) = &before.body {
            // By the hash alone, the rolling hash can still be computed.
            after.body = EntryBody::Gone(sha256(&[bytes]));
        }
        index::on_expire(rows, room, &before)?;
        outbox::forget_accepted(rows, room, seq)?;
        journal::forget(rows, room, seq)?;
        Vec::new()
    } else {
        index::on_change(rows, &Change { room, before: &before, after: &after })?
    };
    rows.put(Table::Entries, &at, &encode(&after))?;
    Ok(shown)
}

fn encode(entry: &EntryRecord) -> Value {
    let content = Zeroizing::new(entry.content.encode());
    let len = match &entry.body {
        EntryBody::Whole(bytes) => bytes.len(),
        EntryBody::Gone(_) => Hash::LEN,
    };
    let mut w = Writer::with_capacity(128 + len + content.len());
    w.u64(entry.time.0).fixed(&entry.hash.0).fixed(&entry.author.0).fixed(&entry.device.0);
    match &entry.body {
        EntryBody::Gone(hash) => w.u8(GONE).fixed(&hash.0),
        EntryBody::Whole(bytes) => w.u8(WHOLE).bytes(bytes),
    };
    w.fixed(&content);
    Zeroizing::new(w.finish())
}

/// Reads an entry; whether it is a mention, whether it was shown, and the reactions to it stand in the
/// indexes.
pub(super) fn decode(seq: Seq, value: &[u8]) -> Stored<EntryRecord> {
    row::fields(value, |r| {
        let (time, hash) = (TimeMs(r.u64()?), Hash(r.array()?));
        let (author, device) = (AccountId(r.array()?), DeviceId(r.array()?));
        let body = match r.u8()? {
            GONE => EntryBody::Gone(Hash(r.array()?)),
            WHOLE => EntryBody::Whole(r.bytes(FRAME_LEN_MAX_COMMIT)?.to_vec()),
            value => return Err(CeError::Unknown { what: "form of an entry", value }),
        };
        let content = StoredContent::decode(r.take(r.remaining())?)?;
        let (is_mention, is_shown) = (false, false);
        let reactions = Vec::new();
        Ok(EntryRecord {
            seq,
            time,
            body,
            hash,
            author,
            device,
            content,
            is_mention,
            is_shown,
            reactions,
        })
    })
}

/// The entries of a span, each with what the indexes say of it.
fn entries(rows: &dyn Rows, room: RoomId, span: &Span) -> Stored<Vec<EntryRecord>> {
    let found = rows.scan(Table::Entries, span)?;
    let mut entries = Vec::with_capacity(found.len());
    for (at, value) in &found {
        entries.push(decode(key::last_seq(at)?, value)?);
    }
    if span.is_falling {
        entries.reverse();
    }
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(entries) };
    let page = Span::between(key::in_room(room, first.seq.0), key::in_room(room, last.seq.0 + 1));
    let marked = |table| -> Stored<HashSet<Seq>> {
        rows.keys(table, &page)?.iter().map(|at| key::last_seq(at)).collect()
    };
    let (mentions, shown) = (marked(Table::Mentions)?, marked(Table::Shown)?);
    for entry in &mut entries {
        entry.is_mention = mentions.contains(&entry.seq);
        entry.is_shown = shown.contains(&entry.seq);
    }
    index::count_reactions(rows, room, &mut entries)?;
    Ok(entries)
}

pub(super) fn commits(rows: &dyn Rows, room: RoomId) -> Stored<Vec<StoredCommit>> {
    let commits = rows.scan(Table::Commits, &Span::of(&room.0))?;
    commits.iter().map(|(key, value)| row::decode_commit(key, value)).collect()
}

pub(super) fn lanes(rows: &dyn Rows, room: RoomId) -> Stored<Vec<(DeviceId, DeviceLane)>> {
    let device = |key: &[u8]| {
        row::fields(key, |r| {
            r.take(RoomId::LEN)?;
            r.array().map(DeviceId)
        })
    };
    let lanes = rows.scan(Table::Lanes, &Span::of(&room.0))?;
    lanes.iter().map(|(key, value)| Ok((device(key)?, row::decode(value)?))).collect()
}

pub(super) fn scheduled(rows: &dyn Rows, room: RoomId) -> Stored<Vec<u64>> {
    let keys = rows.keys(Table::Scheduled, &Span::of(&room.0))?;
    keys.iter().map(|key| key::last_number(key)).collect()
}

pub(super) fn add_scheduled(rows: &mut dyn RowsMut, room: RoomId, id: u64) -> Stored<()> {
    rows.put(Table::Scheduled, &key::in_room(room, id), &[])
}

/// `H` at a position of the verified log of a room that is kept.
pub(super) fn hash_at(rows: &dyn Rows, room: RoomId, seq: Seq) -> Stored<Option<Hash>> {
    if !rooms::is_kept(rows, room)? {
        return Ok(None);
    }
    match (seq, rooms::cursor(rows, room)?) {
        (Seq(0), _) => Ok(Some(room.as_hash())),
        (seq, (at, hash)) if at == seq => Ok(Some(hash)),
        _ => {
            let entry = rows.get(Table::Entries, &key::in_room(room, seq.0))?;
            entry.map(|value| decode(seq, &value).map(|entry| entry.hash)).transpose()
        }
    }
}

/// The newest entry of a room.
pub(super) fn newest(rows: &dyn Rows, room: RoomId) -> Stored<Option<Seq>> {
    let keys = rows.keys(Table::Entries, &Span::of(&room.0).falling().at_most(1))?;
    keys.first().map(|key| key::last_seq(key)).transpose()
}

impl Replica {
    /// Writes verified entries of one room in one transaction and returns which entries were newly
    /// marked as shown to an agent.
    ///
    /// Entries and commits that are there already (same room and seq) stay as they are. If the
    /// stored cursor is at or behind `batch.cursor`, cursor and lanes are replaced; if it is
    /// further, another process was faster and both are left alone.
    pub fn apply(&self, room: RoomId, batch: Batch) -> Stored<Vec<Seq>> {
        self.commit_one(Write::Batch { room, batch }).map(Written::into_shown)
    }

    /// At most `count` entries before `before` (`Seq(0)`: from the newest), in rising order.
    pub fn entries_before(
        &self,
        room: RoomId,
        before: Seq,
        count: u32,
    ) -> Stored<Vec<EntryRecord>> {
        let span = match before {
            Seq(0) => Span::of(&room.0),
            before => Span::between(room.0.to_vec(), key::in_room(room, before.0)),
        };
        let span = span.falling().at_most(count);
        self.read(|rows| entries(rows, room, &span))
    }

    /// At most `count` entries after `after`, in rising order.
    pub fn entries_after(&self, room: RoomId, after: Seq, count: u32) -> Stored<Vec<EntryRecord>> {
        let span = Span::of_from(&room.0, key::in_room(room, after.next().0)).at_most(count);
        self.read(|rows| entries(rows, room, &span))
    }

    /// One entry.
    pub fn entry(&self, room: RoomId, seq: Seq) -> Stored<Option<EntryRecord>> {
        let span = Span::of(&key::in_room(room, seq.0));
        Ok(self.read(|rows| entries(rows, room, &span))?.pop())
    }

    /// `H` at a position of the verified log; `None` where the entry is not kept.
    pub fn hash_at(&self, room: RoomId, seq: Seq) -> Stored<Option<Hash>> {
        self.read(|rows| hash_at(rows, room, seq))
    }

    /// All commits of a room in order.
    pub fn commits(&self, room: RoomId) -> Stored<Vec<StoredCommit>> {
        self.read(|rows| commits(rows, room))
    }

    /// Replaces what is known of the content of one entry (a key arrived, a check was repeated).
    /// [`StoredContent::Expired`] also replaces the stored bytes by their SHA-256, and no table keeps
    /// anything of what the entry said.
    pub fn put_content(
        &self,
        room: RoomId,
        seq: Seq,
        content: &StoredContent,
        is_mention: bool,
    ) -> Stored<Vec<Seq>> {
        let write = Write::Content { room, seq, content: content.clone(), is_mention };
        self.commit_one(write).map(Written::into_shown)
    }

    /// The verified counter lanes of all devices of a room, as of the cursor.
    pub fn lanes(&self, room: RoomId) -> Stored<Vec<(DeviceId, DeviceLane)>> {
        self.read(|rows| lanes(rows, room))
    }

    /// Numbers of scheduled messages that stand in the log of a room, rising.
    pub fn scheduled(&self, room: RoomId) -> Stored<Vec<u64>> {
        self.read(|rows| scheduled(rows, room))
    }

    /// Remembers the number of a scheduled message that stands in the log.
    pub fn add_scheduled(&self, room: RoomId, id: u64) -> Stored<()> {
        self.commit_one(Write::Scheduled { room, id }).map(drop)
    }
}
