//! Entries, commits and counter lanes of verified logs.

use crate::client::{
    Batch, Commitment, DeviceLane, EntryRecord, Stored, StoredContent, UnreadableCause,
};
use crate::crypto::hash::sha256;
use crate::id::{AccountId, Counter, DeviceId, Hash, RoomId, Seq, TimeMs};
use crate::wire::EntryBody;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::Place;
use super::error::{broken, stored};
use super::row_seal::RowSeal;

/// Runs a question and reads every row.
pub(super) fn rows<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Stored<T>,
) -> Stored<Vec<T>> {
    let mut ask = stored(conn.prepare_cached(sql))?;
    let mut found = stored(ask.query(params))?;
    let mut values = Vec::new();
    while let Some(row) = stored(found.next())? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// Reads an identifier of a fixed length.
pub(super) fn id<const N: usize>(row: &Row<'_>, column: usize) -> Stored<[u8; N]> {
    stored(row.get(column))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> Stored<u64> {
    Ok(stored(row.get::<_, i64>(column))?.cast_unsigned())
}

pub(super) fn apply(conn: &Connection, seal: &RowSeal, room: RoomId, batch: &Batch) -> Stored<()> {
    let mut ask = stored(conn.prepare_cached("SELECT seq FROM rooms WHERE room = ?"))?;
    let known = stored(ask.query_row([room.0], |row| row.get::<_, i64>(0)).optional())?;
    // A room that was forgotten meanwhile stays forgotten.
    let Some(at) = known else { return Ok(()) };
    for entry in &batch.entries {
        put_entry(conn, seal, room, entry)?;
    }
    for commit in &batch.commits {
        put_commit(conn, seal, room, commit)?;
    }
    let Some((seq, hash)) = batch.cursor else { return Ok(()) };
    if at.cast_unsigned() > seq.0 {
        return Ok(());
    }
    let sql = "UPDATE rooms SET seq = ?, hash = ? WHERE room = ?";
    stored(
        conn.prepare_cached(sql)
            .and_then(|mut put| put.execute(params![seq.0.cast_signed(), hash.0, room.0])),
    )?;
    let sql = "INSERT OR REPLACE INTO lanes (room, device, last, prev_own) VALUES (?, ?, ?, ?)";
    let mut put = stored(conn.prepare_cached(sql))?;
    for (device, lane) in &batch.lanes {
        let last = lane.last.0.cast_signed();
        stored(put.execute(params![room.0, device.0, last, lane.prev_own]))?;
    }
    Ok(())
}

fn put_entry(conn: &Connection, seal: &RowSeal, room: RoomId, entry: &EntryRecord) -> Stored<()> {
    let (gone, body) = match &entry.body {
        EntryBody::Whole(bytes) => (None, Some(seal.seal(body_place(&room, entry.seq), bytes))),
        EntryBody::Gone(hash) => (Some(hash.0), None),
    };
    let content = seal.seal(content_place(&room, entry.seq), &entry.content.encode());
    let sql = "INSERT OR IGNORE INTO entries (room, seq, time, hash, author, device, gone_hash,
        sealed_body, sealed_content, unreadable, is_mention)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let mut put = stored(conn.prepare_cached(sql))?;
    stored(put.execute(params![
        room.0,
        entry.seq.0.cast_signed(),
        entry.time.0.cast_signed(),
        entry.hash.0,
        entry.author.0,
        entry.device.0,
        gone,
        body,
        content,
        unreadable_number(&entry.content),
        entry.is_mention,
    ]))?;
    Ok(())
}

fn put_commit(conn: &Connection, seal: &RowSeal, room: RoomId, commit: &Commitment) -> Stored<()> {
    let sealed = seal.seal(commit_place(&room, commit.seq), &commit.entry);
    let sql = "INSERT OR IGNORE INTO commits (room, seq, time, sealed_entry) VALUES (?, ?, ?, ?)";
    let mut put = stored(conn.prepare_cached(sql))?;
    let (seq, time) = (commit.seq.0.cast_signed(), commit.time.0.cast_signed());
    stored(put.execute(params![room.0, seq, time, sealed]))?;
    Ok(())
}

pub(super) fn entries_before(
    conn: &Connection,
    seal: &RowSeal,
    room: RoomId,
    before: Seq,
    count: u32,
) -> Stored<Vec<EntryRecord>> {
    let before = if before == Seq(0) { i64::MAX } else { before.0.cast_signed() };
    let sql = "SELECT seq, time, hash, author, device, gone_hash, sealed_body, sealed_content,
        is_mention, EXISTS (SELECT 1 FROM shown
            WHERE shown.room = entries.room AND shown.seq = entries.seq)
        FROM entries WHERE room = ? AND seq < ? ORDER BY seq DESC LIMIT ?";
    let mut entries =
        rows(conn, sql, params![room.0, before, count], |row| entry(row, seal, room))?;
    entries.reverse();
    Ok(entries)
}

pub(super) fn entries_after(
    conn: &Connection,
    seal: &RowSeal,
    room: RoomId,
    after: Seq,
    count: u32,
) -> Stored<Vec<EntryRecord>> {
    let sql = "SELECT seq, time, hash, author, device, gone_hash, sealed_body, sealed_content,
        is_mention, EXISTS (SELECT 1 FROM shown
            WHERE shown.room = entries.room AND shown.seq = entries.seq)
        FROM entries WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?";
    let params = params![room.0, after.0.cast_signed(), count];
    rows(conn, sql, params, |row| entry(row, seal, room))
}

fn entry(row: &Row<'_>, seal: &RowSeal, room: RoomId) -> Stored<EntryRecord> {
    let seq = Seq(number(row, 0)?);
    let gone: Option<[u8; 32]> = stored(row.get(5))?;
    let body: Option<Vec<u8>> = stored(row.get(6))?;
    let body = match (gone, body) {
        (_, Some(sealed)) => EntryBody::Whole(seal.open(body_place(&room, seq), &sealed)?.to_vec()),
        (Some(hash), None) => EntryBody::Gone(Hash(hash)),
        (None, None) => return Err(broken("an entry has neither bytes nor hash")),
    };
    let sealed: Vec<u8> = stored(row.get(7))?;
    let plain = seal.open(content_place(&room, seq), &sealed)?;
    Ok(EntryRecord {
        seq,
        time: TimeMs(number(row, 1)?),
        body,
        hash: Hash(id(row, 2)?),
        author: AccountId(id(row, 3)?),
        device: DeviceId(id(row, 4)?),
        content: StoredContent::decode(&plain).map_err(broken)?,
        is_mention: stored(row.get(8))?,
        is_shown: stored(row.get(9))?,
    })
}

pub(super) fn note_shown(conn: &Connection, room: RoomId, seqs: &[Seq]) -> Stored<Vec<Seq>> {
    let sql = "INSERT OR IGNORE INTO shown (room, seq) VALUES (?, ?)";
    let mut put = stored(conn.prepare_cached(sql))?;
    let mut new = Vec::new();
    for seq in seqs {
        if stored(put.execute(params![room.0, seq.0.cast_signed()]))? == 1 {
            new.push(*seq);
        }
    }
    Ok(new)
}

pub(super) fn hash_at(conn: &Connection, room: RoomId, seq: Seq) -> Stored<Option<Hash>> {
    let mut ask = stored(conn.prepare_cached("SELECT seq, hash FROM rooms WHERE room = ?"))?;
    let cursor = stored(
        ask.query_row([room.0], |row| Ok((row.get::<_, i64>(0)?, row.get(1).map(Hash)?)))
            .optional(),
    )?;
    match (seq, cursor) {
        (_, None) => return Ok(None),
        (Seq(0), _) => return Ok(Some(room.as_hash())),
        (_, Some((at, hash))) if at.cast_unsigned() == seq.0 => return Ok(Some(hash)),
        _ => {}
    }
    let mut ask =
        stored(conn.prepare_cached("SELECT hash FROM entries WHERE room = ? AND seq = ?"))?;
    stored(
        ask.query_row(params![room.0, seq.0.cast_signed()], |row| row.get(0).map(Hash)).optional(),
    )
}

pub(super) fn commits(conn: &Connection, seal: &RowSeal, room: RoomId) -> Stored<Vec<Commitment>> {
    let sql = "SELECT seq, time, sealed_entry FROM commits WHERE room = ? ORDER BY seq";
    rows(conn, sql, [room.0], |row| {
        let seq = Seq(number(row, 0)?);
        let sealed: Vec<u8> = stored(row.get(2))?;
        let entry = seal.open(commit_place(&room, seq), &sealed)?.to_vec();
        Ok(Commitment { seq, time: TimeMs(number(row, 1)?), entry })
    })
}

pub(super) fn put_content(
    conn: &Connection,
    seal: &RowSeal,
    (room, seq): (RoomId, Seq),
    content: &StoredContent,
    is_mention: bool,
) -> Stored<()> {
    let sealed = seal.seal(content_place(&room, seq), &content.encode());
    let sql = "UPDATE entries SET sealed_content = ?, unreadable = ?, is_mention = ?
        WHERE room = ? AND seq = ?";
    let mut put = stored(conn.prepare_cached(sql))?;
    let unreadable = unreadable_number(content);
    stored(put.execute(params![sealed, unreadable, is_mention, room.0, seq.0.cast_signed()]))?;
    if *content == StoredContent::Expired { expire_body(conn, seal, room, seq) } else { Ok(()) }
}

/// Leaves of an entry only its hash, by which the rolling hash can still be computed.
fn expire_body(conn: &Connection, seal: &RowSeal, room: RoomId, seq: Seq) -> Stored<()> {
    let sql = "SELECT sealed_body FROM entries
        WHERE room = ? AND seq = ? AND sealed_body IS NOT NULL";
    let params = params![room.0, seq.0.cast_signed()];
    let body: Option<Vec<u8>> = rows(conn, sql, params, |row| stored(row.get(0)))?.pop();
    let Some(sealed) = body else { return Ok(()) };
    let hash = sha256(&[&seal.open(body_place(&room, seq), &sealed)?]);
    let sql = "UPDATE entries SET sealed_body = NULL, gone_hash = ? WHERE room = ? AND seq = ?";
    stored(conn.execute(sql, params![hash.0, room.0, seq.0.cast_signed()]))?;
    Ok(())
}

pub(super) fn unreadable(
    conn: &Connection,
    room: RoomId,
    cause: UnreadableCause,
    count: u32,
) -> Stored<Vec<Seq>> {
    let sql = "SELECT seq FROM entries WHERE room = ? AND unreadable = ? ORDER BY seq LIMIT ?";
    rows(conn, sql, params![room.0, cause.to_byte(), count], |row| Ok(Seq(number(row, 0)?)))
}

pub(super) fn n_mentions(conn: &Connection, room: RoomId, after: Seq) -> Stored<u32> {
    let sql = "SELECT COUNT(*) FROM entries WHERE room = ? AND is_mention = 1 AND seq > ?";
    let mut ask = stored(conn.prepare_cached(sql))?;
    stored(ask.query_row(params![room.0, after.0.cast_signed()], |row| row.get(0)))
}

pub(super) fn lanes(conn: &Connection, room: RoomId) -> Stored<Vec<(DeviceId, DeviceLane)>> {
    rows(conn, "SELECT device, last, prev_own FROM lanes WHERE room = ?", [room.0], |row| {
        let lane = DeviceLane { last: Counter(number(row, 1)?), prev_own: id(row, 2)? };
        Ok((DeviceId(id(row, 0)?), lane))
    })
}

fn unreadable_number(content: &StoredContent) -> Option<u8> {
    match content {
        StoredContent::Unreadable(cause) => Some(cause.to_byte()),
        _ => None,
    }
}

fn body_place(room: &RoomId, seq: Seq) -> Place<'_> {
    Place::at("entries.body", &room.0, seq.0)
}

fn content_place(room: &RoomId, seq: Seq) -> Place<'_> {
    Place::at("entries.content", &room.0, seq.0)
}

fn commit_place(room: &RoomId, seq: Seq) -> Place<'_> {
    Place::at("commits.entry", &room.0, seq.0)
}
