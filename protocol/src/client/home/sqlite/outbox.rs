//! Messages on their way out, and the counter lane of this device.
//!
//! Sealing and taking a counter happen in the caller's one immediate transaction: another process
//! sees both or neither (CRYPTO B4).

use crate::client::{DeviceLane, OutboxRow, RowState, Sealer, Stored};
use crate::crypto::content::Content;
use crate::crypto::plaintext::Plaintext;
use crate::id::{Counter, RoomId, Seq, TimeMs};
use rusqlite::{Connection, Params, Row, params};

use super::error::{broken, stored};
use super::logs::{id, number, rows};
use super::row_seal::RowSeal;
use super::{Place, rooms};

/// How many rows stay after they are settled, for processes that wait for the outcome.
const SETTLED_KEPT: i64 = 1_000;

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const FAILED: u8 = 2;
const ACCEPTED: u8 = 3;
const WITHDRAWN: u8 = 4;

pub(super) fn queue(
    conn: &Connection,
    seal: &RowSeal,
    room: RoomId,
    content: &Content,
    queued_at: TimeMs,
) -> Stored<u64> {
    let sql = "INSERT INTO outbox (room, queued_at, state, kind) VALUES (?, ?, ?, ?)";
    let Plaintext { kind, body } = content.encode();
    let params = params![room.0, queued_at.0.cast_signed(), QUEUED, kind];
    stored(conn.prepare_cached(sql).and_then(|mut put| put.execute(params)))?;
    let local_id = conn.last_insert_rowid();
    let sealed = seal.seal(text_place(&room, local_id), &body);
    let sql = "UPDATE outbox SET sealed_text = ? WHERE local_id = ?";
    stored(conn.prepare_cached(sql).and_then(|mut put| put.execute(params![sealed, local_id])))?;
    Ok(local_id.cast_unsigned())
}

pub(super) fn open_rows(
    conn: &Connection,
    seal: &RowSeal,
    room: Option<RoomId>,
) -> Stored<Vec<OutboxRow>> {
    match room {
        Some(room) => {
            select(conn, seal, "room = ? AND state < 3 ORDER BY local_id", params![room.0])
        }
        None => select(conn, seal, "state < 3 ORDER BY local_id", []),
    }
}

pub(super) fn one(conn: &Connection, seal: &RowSeal, local_id: u64) -> Stored<Option<OutboxRow>> {
    Ok(select(conn, seal, "local_id = ?", [local_id.cast_signed()])?.pop())
}

pub(super) fn row_of(
    conn: &Connection,
    seal: &RowSeal,
    room: RoomId,
    counter: Counter,
) -> Stored<Option<OutboxRow>> {
    let params = params![room.0, counter.0.cast_signed(), SENT];
    Ok(select(conn, seal, "room = ? AND counter = ? AND state = ?", params)?.pop())
}

fn select(
    conn: &Connection,
    seal: &RowSeal,
    condition: &str,
    params: impl Params,
) -> Stored<Vec<OutboxRow>> {
    let sql = format!(
        "SELECT local_id, room, queued_at, state, counter, seq, time, sealed_text, sealed_extra, kind
        FROM outbox WHERE {condition}"
    );
    rows(conn, &sql, params, |row| read(row, seal))
}

fn read(row: &Row<'_>, seal: &RowSeal) -> Stored<OutboxRow> {
    let local_id: i64 = stored(row.get(0))?;
    let room = RoomId(id(row, 1)?);
    let extra = |row: &Row<'_>| {
        let sealed: Vec<u8> = stored(row.get(8))?;
        seal.open(extra_place(&room, local_id), &sealed)
    };
    let state = match stored(row.get::<_, u8>(3))? {
        QUEUED => RowState::Queued,
        SENT => RowState::Sent { counter: Counter(number(row, 4)?), entry: extra(row)?.to_vec() },
        FAILED => {
            RowState::Failed { cause: String::from_utf8(extra(row)?.to_vec()).map_err(broken)? }
        }
        ACCEPTED => RowState::Accepted { seq: Seq(number(row, 5)?), time: TimeMs(number(row, 6)?) },
        WITHDRAWN => RowState::Withdrawn,
        _ => return Err(broken("a row of the outbox has an unknown state")),
    };
    let sealed: Vec<u8> = stored(row.get(7))?;
    let body = seal.open(text_place(&room, local_id), &sealed)?.to_vec();
    let plaintext = Plaintext { kind: stored(row.get(9))?, body };
    Ok(OutboxRow {
        local_id: local_id.cast_unsigned(),
        room,
        content: Content::decode(plaintext).map_err(broken)?,
        queued_at: TimeMs(number(row, 2)?),
        state,
    })
}

pub(super) fn own_lane(conn: &Connection, room: RoomId) -> Stored<DeviceLane> {
    let sql = "SELECT last, prev_own FROM own_lanes WHERE room = ?";
    let lane = rows(conn, sql, [room.0], |row| {
        Ok(DeviceLane { last: Counter(number(row, 0)?), prev_own: id(row, 1)? })
    })?
    .pop();
    Ok(lane.unwrap_or_default())
}

fn put_own_lane(conn: &Connection, room: RoomId, lane: DeviceLane) -> Stored<()> {
    let sql = "INSERT OR REPLACE INTO own_lanes (room, last, prev_own) VALUES (?, ?, ?)";
    let params = params![room.0, lane.last.0.cast_signed(), lane.prev_own];
    stored(conn.prepare_cached(sql).and_then(|mut put| put.execute(params)))?;
    Ok(())
}

pub(super) fn seal_next(
    conn: &Connection,
    row_seal: &RowSeal,
    room: RoomId,
    seal: &mut Sealer<'_>,
) -> Stored<Option<OutboxRow>> {
    if !rooms::is_known(conn, room)? {
        return Ok(None);
    }
    let oldest = "room = ? AND state = 0 ORDER BY local_id LIMIT 1";
    let Some(mut row) = select(conn, row_seal, oldest, [room.0])?.pop() else { return Ok(None) };
    let lane = own_lane(conn, room)?;
    let Some(sealed) = seal(&lane, &row) else { return Ok(None) };
    row.state = RowState::Sent { counter: sealed.lane.last, entry: sealed.entry };
    put_state(conn, row_seal, &row)?;
    put_own_lane(conn, room, sealed.lane)?;
    Ok(Some(row))
}

pub(super) fn reseal(
    conn: &Connection,
    row_seal: &RowSeal,
    room: RoomId,
    from: DeviceLane,
    seal: &mut Sealer<'_>,
) -> Stored<Vec<OutboxRow>> {
    let sent = "room = ? AND state = 1 ORDER BY local_id";
    let mut sent = select(conn, row_seal, sent, [room.0])?;
    let mut lane = from;
    for row in &mut sent {
        let Some(sealed) = seal(&lane, row) else { return Ok(Vec::new()) };
        lane = sealed.lane;
        row.state = RowState::Sent { counter: lane.last, entry: sealed.entry };
    }
    // All were sealed: only now anything is written.
    for row in &sent {
        put_state(conn, row_seal, row)?;
    }
    put_own_lane(conn, room, lane)?;
    Ok(sent)
}

pub(super) fn settle(
    conn: &Connection,
    seal: &RowSeal,
    local_id: u64,
    state: &RowState,
) -> Stored<bool> {
    let Some(mut row) = one(conn, seal, local_id)? else { return Ok(false) };
    let is_allowed = match row.state {
        RowState::Accepted { .. } | RowState::Withdrawn => false,
        RowState::Queued => true,
        RowState::Sent { .. } | RowState::Failed { .. } => *state != RowState::Withdrawn,
    };
    if !is_allowed {
        return Ok(false);
    }
    row.state = state.clone();
    put_state(conn, seal, &row)?;
    if matches!(state, RowState::Accepted { .. } | RowState::Withdrawn) {
        let sql = "DELETE FROM outbox WHERE state >= 3
            AND local_id < (SELECT MAX(local_id) FROM outbox) - ?";
        stored(conn.prepare_cached(sql).and_then(|mut put| put.execute([SETTLED_KEPT])))?;
    }
    Ok(true)
}

fn put_state(conn: &Connection, seal: &RowSeal, row: &OutboxRow) -> Stored<()> {
    let local_id = row.local_id.cast_signed();
    let place = extra_place(&row.room, local_id);
    let sql = "UPDATE outbox SET state = ?, counter = ?, seq = ?, time = ?, sealed_extra = ?
        WHERE local_id = ?";
    let mut put = stored(conn.prepare_cached(sql))?;
    let (mut counter, mut seq, mut time, mut extra) = (None, None, None, None);
    let state = match &row.state {
        RowState::Queued => QUEUED,
        RowState::Sent { counter: taken, entry } => {
            counter = Some(taken.0.cast_signed());
            extra = Some(seal.seal(place, entry));
            SENT
        }
        RowState::Failed { cause } => {
            extra = Some(seal.seal(place, cause.as_bytes()));
            FAILED
        }
        RowState::Accepted { seq: at, time: when } => {
            seq = Some(at.0.cast_signed());
            time = Some(when.0.cast_signed());
            ACCEPTED
        }
        RowState::Withdrawn => WITHDRAWN,
    };
    stored(put.execute(params![state, counter, seq, time, extra, local_id]))?;
    Ok(())
}

fn text_place(room: &RoomId, local_id: i64) -> Place<'_> {
    Place::at("outbox.text", &room.0, local_id.cast_unsigned())
}

fn extra_place(room: &RoomId, local_id: i64) -> Place<'_> {
    Place::at("outbox.extra", &room.0, local_id.cast_unsigned())
}
