//! Rooms, what is known of them, and the secrets of their epochs.

use crate::client::{RoomFacts, RoomRecord, Stored};
use crate::crypto::epoch::EpochSecret;
use crate::id::{Epoch, Hash, RoomId, Seq};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::error::{broken, stored};
use super::logs::{id, rows};
use super::row_seal::RowSeal;
use super::{Place, facts};

pub(super) fn all(conn: &Connection, seal: &RowSeal) -> Stored<Vec<RoomRecord>> {
    rows(conn, "SELECT room, seq, hash, sealed_facts FROM rooms", [], |row| record(row, seal))
}

pub(super) fn one(conn: &Connection, seal: &RowSeal, room: RoomId) -> Stored<Option<RoomRecord>> {
    let sql = "SELECT room, seq, hash, sealed_facts FROM rooms WHERE room = ?";
    Ok(rows(conn, sql, [room.0], |row| record(row, seal))?.pop())
}

/// Whether a room is kept; a forgotten one takes nothing any more.
pub(super) fn is_known(conn: &Connection, room: RoomId) -> Stored<bool> {
    let mut ask = stored(conn.prepare_cached("SELECT 1 FROM rooms WHERE room = ?"))?;
    stored(ask.exists([room.0]))
}

fn record(row: &Row<'_>, seal: &RowSeal) -> Stored<RoomRecord> {
    let room = RoomId(id(row, 0)?);
    let sealed: Vec<u8> = stored(row.get(3))?;
    let plain = seal.open(Place::of("rooms.facts", &room.0), &sealed)?;
    Ok(RoomRecord {
        room,
        seq: Seq(stored(row.get::<_, i64>(1))?.cast_unsigned()),
        hash: Hash(id(row, 2)?),
        facts: facts::decode(&plain).map_err(broken)?,
    })
}

pub(super) fn put(
    conn: &Connection,
    seal: &RowSeal,
    room: RoomId,
    facts: &RoomFacts,
) -> Stored<()> {
    let sealed = seal.seal(Place::of("rooms.facts", &room.0), &facts::encode(facts));
    // H_0 of a log is the room's identifier.
    let sql = "INSERT INTO rooms (room, seq, hash, sealed_facts) VALUES (?1, 0, ?1, ?2)
        ON CONFLICT (room) DO UPDATE SET sealed_facts = excluded.sealed_facts";
    stored(conn.prepare_cached(sql).and_then(|mut put| put.execute(params![room.0, sealed])))?;
    Ok(())
}

pub(super) fn forget(conn: &Connection, room: RoomId) -> Stored<()> {
    let tables = [
        "entries",
        "commits",
        "lanes",
        "own_lanes",
        "epochs",
        "outbox",
        "drafts",
        "shown",
        "rooms",
    ];
    for table in tables {
        stored(conn.execute(&format!("DELETE FROM {table} WHERE room = ?"), [room.0]))?;
    }
    Ok(())
}

pub(super) fn epoch_secret(
    conn: &Connection,
    seal: &RowSeal,
    room: RoomId,
    epoch: Epoch,
) -> Stored<Option<EpochSecret>> {
    let mut ask = stored(
        conn.prepare_cached("SELECT sealed_secret FROM epochs WHERE room = ? AND epoch = ?"),
    )?;
    let sealed: Option<Vec<u8>> =
        stored(ask.query_row(params![room.0, epoch.0], |row| row.get(0)).optional())?;
    let Some(sealed) = sealed else { return Ok(None) };
    let plain = seal.open(epoch_place(&room, epoch), &sealed)?;
    let bytes: &[u8; 32] =
        plain.as_slice().try_into().map_err(|_| broken("an epoch secret has another length"))?;
    Ok(Some(EpochSecret::from_bytes(bytes)))
}

pub(super) fn epochs(conn: &Connection, room: RoomId) -> Stored<Vec<Epoch>> {
    rows(conn, "SELECT epoch FROM epochs WHERE room = ? ORDER BY epoch", [room.0], |row| {
        Ok(Epoch(stored(row.get(0))?))
    })
}

pub(super) fn put_epoch_secret(
    conn: &Connection,
    seal: &RowSeal,
    (room, epoch): (RoomId, Epoch),
    secret: &EpochSecret,
) -> Stored<()> {
    let sealed = seal.seal(epoch_place(&room, epoch), secret.to_bytes().as_slice());
    let sql = "INSERT OR IGNORE INTO epochs (room, epoch, sealed_secret) VALUES (?, ?, ?)";
    stored(
        conn.prepare_cached(sql).and_then(|mut put| put.execute(params![room.0, epoch.0, sealed])),
    )?;
    Ok(())
}

pub(super) fn wipe_epoch_secret(conn: &Connection, room: RoomId, epoch: Epoch) -> Stored<()> {
    let sql = "DELETE FROM epochs WHERE room = ? AND epoch = ?";
    stored(conn.execute(sql, params![room.0, epoch.0]))?;
    Ok(())
}

fn epoch_place(room: &RoomId, epoch: Epoch) -> Place<'_> {
    Place::at("epochs.secret", &room.0, u64::from(epoch.0))
}
