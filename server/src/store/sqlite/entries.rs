//! The logs: entries, heads, commits, and each device's newest messages.
//!
//! This is the hot path: an append is three small statements and no index beside the place.

use mathia_protocol::id::{Counter, DeviceId, Hash, RoomNumber, Seq, TimeMs};
use rusqlite::Row;

use super::columns::{SEQ_MAX, bits, new_place, number, parts, place, stored};
use super::database::Database;
use super::rooms;
use crate::store::{EntryRange, EntryRow, Expired, HeadRow, LANE_LEN, LaneRow, StoreError, tag};

/// The columns of an entry, completed by a condition.
macro_rules! select_entries {
    ($condition:literal) => {
        concat!(
            "SELECT entry.place, entry.time, entry.tag, entry.n_countable, entry.ctr, entry.device,
                entry.entry_hash, entry.hash, entry.body
            FROM entry ",
            $condition
        )
    };
}

fn entry(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let (room, seq) = parts(row.get(0)?);
    Ok(EntryRow {
        room,
        seq,
        time: TimeMs(number(row, 1)?),
        tag: row.get(2)?,
        n_countable: number(row, 3)?,
        ctr: Counter(bits(row, 4)?),
        device: DeviceId(row.get(5)?),
        entry_hash: Hash(row.get(6)?),
        hash: Hash(row.get(7)?),
        body: row.get(8)?,
    })
}

pub(super) fn head(db: &Database, room: RoomNumber) -> Result<HeadRow, StoreError> {
    let (seq, hash, n_countable) = newest_entry(db, room)?;
    let (first, last) = (place(room, Seq(0)), place(room, Seq(SEQ_MAX)));
    let sql = "SELECT place FROM commit_place
        WHERE place BETWEEN ?1 AND ?2 ORDER BY place DESC LIMIT 1";
    let commit_seq = db.one(sql, (first, last), |row| Ok(parts(row.get(0)?).1))?;
    Ok(HeadRow { seq, hash, n_countable, commit_seq: commit_seq.unwrap_or(Seq(0)) })
}

pub(super) fn log_end(db: &Database, room: RoomNumber) -> Result<(Seq, Hash), StoreError> {
    newest_entry(db, room).map(|(seq, hash, _)| (seq, hash))
}

/// The newest entry of a room: its place, `H` there, and the countable entries up to there.
fn newest_entry(db: &Database, room: RoomNumber) -> Result<(Seq, Hash, u64), StoreError> {
    let (first, last) = (place(room, Seq(0)), place(room, Seq(SEQ_MAX)));
    let sql = "SELECT place, hash, n_countable FROM entry
        WHERE place BETWEEN ?1 AND ?2 ORDER BY place DESC LIMIT 1";
    let found = db.one(sql, (first, last), |row| {
        Ok((parts(row.get(0)?).1, Hash(row.get(1)?), number(row, 2)?))
    })?;
    if let Some(newest) = found {
        return Ok(newest);
    }
    let row = rooms::by_number(db, room)?;
    let row = row.ok_or_else(|| StoreError::broken(format!("there is no room {room}")))?;
    Ok((Seq(0), row.room.as_hash(), 0))
}

pub(super) fn range(db: &Database, range: EntryRange) -> Result<Vec<EntryRow>, StoreError> {
    let sql = select_entries!("WHERE place BETWEEN ?1 AND ?2 ORDER BY place LIMIT ?3");
    let (first, last) = (place(range.room, range.from), place(range.room, range.to));
    let mut found = Vec::new();
    let mut n_bytes = 0;
    db.each(sql, (first, last, range.n_rows_max), |row| {
        let row = entry(row)?;
        n_bytes += row.body.as_ref().map_or(0, Vec::len);
        found.push(row);
        Ok(n_bytes <= range.n_bytes_max)
    })?;
    Ok(found)
}

pub(super) fn position(
    db: &Database,
    room: RoomNumber,
    seq: Seq,
) -> Result<Option<(Hash, u64)>, StoreError> {
    if seq == Seq(0) {
        return Ok(rooms::by_number(db, room)?.map(|row| (row.room.as_hash(), 0)));
    }
    if seq.0 > SEQ_MAX {
        return Ok(None);
    }
    let sql = "SELECT hash, n_countable FROM entry WHERE place = ?1";
    db.one(sql, [place(room, seq)], |row| Ok((Hash(row.get(0)?), number(row, 1)?)))
}

pub(super) fn commits(
    db: &Database,
    room: RoomNumber,
    after: Seq,
    n_rows_max: u32,
) -> Result<Vec<EntryRow>, StoreError> {
    let sql = select_entries!(
        "JOIN commit_place ON commit_place.place = entry.place
        WHERE commit_place.place > ?1 AND commit_place.place <= ?2
        ORDER BY commit_place.place LIMIT ?3"
    );
    db.all(sql, (place(room, after), place(room, Seq(SEQ_MAX)), n_rows_max), entry)
}

pub(super) fn lane(
    db: &Database,
    room: RoomNumber,
    device: DeviceId,
) -> Result<Vec<LaneRow>, StoreError> {
    let mut found = Vec::with_capacity(LANE_LEN);
    let mut next = newest(db, room, device)?.map(|(_, n)| n);
    while let Some(n) = next.filter(|n| *n != 0 && found.len() < LANE_LEN) {
        let sql = "SELECT place, ctr, time, entry_hash, prev FROM entry WHERE n = ?1";
        next = db.one(sql, [n], |row| {
            found.push(LaneRow {
                ctr: Counter(bits(row, 1)?),
                seq: parts(row.get(0)?).1,
                time: TimeMs(number(row, 2)?),
                entry_hash: Hash(row.get(3)?),
            });
            row.get(4)
        })?;
    }
    Ok(found)
}

/// The counter of a device's newest message in a room, and the number of its entry.
fn newest(
    db: &Database,
    room: RoomNumber,
    device: DeviceId,
) -> Result<Option<(Counter, i64)>, StoreError> {
    let sql = "SELECT ctr, n FROM lane WHERE room = ?1 AND device = ?2";
    db.one(sql, (room.0, device.0), |row| Ok((Counter(bits(row, 0)?), row.get(1)?)))
}

pub(super) fn scheduled_used(
    db: &Database,
    room: RoomNumber,
    device: DeviceId,
    id: u64,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM schedule_used WHERE room = ?1 AND device = ?2 AND id = ?3";
    Ok(db.one(sql, (room.0, device.0, id.cast_signed()), |_| Ok(()))?.is_some())
}

pub(super) fn insert(db: &Database, row: &EntryRow) -> Result<(), StoreError> {
    let place = new_place(row.room, row.seq)?;
    match row.tag {
        tag::COMMIT => {
            insert_row(db, row, place, 0)?;
            db.run("INSERT INTO commit_place (place) VALUES (?1)", [place]).map(drop)
        }
        tag::SCHEDULED => {
            if scheduled_used(db, row.room, row.device, row.ctr.0)? {
                return Err(StoreError::Exists);
            }
            insert_row(db, row, place, 0)?;
            let sql = "INSERT INTO schedule_used (room, device, id) VALUES (?1, ?2, ?3)";
            db.run(sql, (row.room.0, row.device.0, row.ctr.0.cast_signed())).map(drop)
        }
        _ => insert_message(db, row, place),
    }
}

pub(super) fn expire(
    db: &Database,
    room: RoomNumber,
    before: TimeMs,
    n_rows_max: u32,
) -> Result<Expired, StoreError> {
    let upto = db.one("SELECT expired_upto FROM room WHERE number = ?1", [room.0], |row| {
        number(row, 0).map(Seq)
    })?;
    let upto = upto.ok_or_else(|| StoreError::broken(format!("there is no room {room}")))?;
    let sql = "SELECT place, time, tag <> 1 AND body IS NOT NULL FROM entry
        WHERE place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3";
    let mut old: Vec<(i64, bool)> = Vec::new();
    db.each(sql, (place(room, upto), place(room, Seq(SEQ_MAX)), n_rows_max), |row| {
        let is_old = number(row, 1)? < before.0;
        if is_old {
            old.push((row.get(0)?, row.get(2)?));
        }
        Ok(is_old)
    })?;
    let Some((last, _)) = old.last() else { return Ok(Expired::default()) };
    let sql = "UPDATE room SET expired_upto = ?2 WHERE number = ?1";
    db.run(sql, (room.0, stored(parts(*last).1.0)))?;
    let mut expired = Expired { n_seen: count(old.len()), n_removed: 0 };
    for (place, _) in old.into_iter().filter(|(_, has_body)| *has_body) {
        db.run("UPDATE entry SET body = NULL WHERE place = ?1", [place])?;
        expired.n_removed += 1;
    }
    Ok(expired)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn insert_message(db: &Database, row: &EntryRow, place: i64) -> Result<(), StoreError> {
    let before = newest(db, row.room, row.device)?;
    if before.is_some_and(|(ctr, _)| row.ctr <= ctr) {
        return Err(StoreError::Exists);
    }
    insert_row(db, row, place, before.map_or(0, |(_, n)| n))?;
    let sql = if before.is_some() {
        "UPDATE lane SET ctr = ?3, n = ?4 WHERE room = ?1 AND device = ?2"
    } else {
        "INSERT INTO lane (room, device, ctr, n) VALUES (?1, ?2, ?3, ?4)"
    };
    let params = (row.room.0, row.device.0, row.ctr.0.cast_signed(), db.last_number());
    db.run(sql, params).map(drop)
}

fn insert_row(db: &Database, row: &EntryRow, place: i64, prev: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO entry
        (place, time, tag, n_countable, ctr, prev, device, entry_hash, hash, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let params = (
        place,
        stored(row.time.0),
        row.tag,
        stored(row.n_countable),
        row.ctr.0.cast_signed(),
        prev,
        row.device.0,
        row.entry_hash.0,
        row.hash.0,
        &row.body,
    );
    db.run(sql, params).map(drop)
}
