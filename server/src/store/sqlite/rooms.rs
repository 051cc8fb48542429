//! Rooms and who is present in them.

use mathia_protocol::id::{AccountId, Hash, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId};
use rusqlite::Row;

use super::columns::{ROOM_MAX, number, stored};
use super::database::Database;
use crate::store::{RoomKeyRow, RoomRow, StoreError};

/// The columns of a room, completed by a condition.
macro_rules! select_rooms {
    ($condition:literal) => {
        concat!(
            "SELECT room.number, room.room, room.workspace, room.kind, room.mode, room.created,
                room.name_tag, room.sealed_name, room.pair_low, room.pair_high,
                room.retention_days
            FROM room ",
            $condition
        )
    };
}

fn room(row: &Row<'_>) -> rusqlite::Result<RoomRow> {
    let low: Option<[u8; 32]> = row.get(8)?;
    let high: Option<[u8; 32]> = row.get(9)?;
    Ok(RoomRow {
        number: RoomNumber(row.get(0)?),
        room: RoomId(row.get(1)?),
        workspace: WorkspaceId(row.get(2)?),
        kind: row.get(3)?,
        mode: row.get(4)?,
        created: TimeMs(number(row, 5)?),
        name_tag: row.get::<_, Option<_>>(6)?.map(Hash),
        sealed_name: row.get(7)?,
        pair: low.zip(high).map(|(low, high)| (AccountId(low), AccountId(high))),
        retention_days: row.get(10)?,
    })
}

pub(super) fn find(db: &Database, id: RoomId) -> Result<Option<RoomRow>, StoreError> {
    db.one(select_rooms!("WHERE room.room = ?1"), [id.0], room)
}

pub(super) fn by_number(db: &Database, id: RoomNumber) -> Result<Option<RoomRow>, StoreError> {
    db.one(select_rooms!("WHERE room.number = ?1"), [id.0], room)
}

pub(super) fn by_pair(
    db: &Database,
    (low, high): (AccountId, AccountId),
) -> Result<Option<RoomRow>, StoreError> {
    let sql = select_rooms!("WHERE room.pair_low = ?1 AND room.pair_high = ?2");
    db.one(sql, (low.0, high.0), room)
}

pub(super) fn by_name_tag(
    db: &Database,
    workspace: WorkspaceId,
    tag: Hash,
) -> Result<Option<RoomRow>, StoreError> {
    let sql = select_rooms!("WHERE room.workspace = ?1 AND room.name_tag = ?2");
    db.one(sql, (workspace.0, tag.0), room)
}

pub(super) fn open(
    db: &Database,
    workspace: WorkspaceId,
    after: Option<RoomId>,
    n_rows_max: u32,
) -> Result<Vec<RoomRow>, StoreError> {
    let sql = select_rooms!(
        "WHERE room.workspace = ?1 AND room.mode = 1 AND room.room > ?2
        ORDER BY room.room LIMIT ?3"
    );
    // No identifier sorts before the empty one.
    let after = after.as_ref().map_or(&[][..], |room| &room.0[..]);
    db.all(sql, (workspace.0, after, n_rows_max), room)
}

pub(super) fn of_account(db: &Database, id: AccountId) -> Result<Vec<RoomRow>, StoreError> {
    let sql = select_rooms!(
        "JOIN member ON member.room = room.number
        WHERE member.account = ?1 ORDER BY member.room"
    );
    db.all(sql, [id.0], room)
}

pub(super) fn members(db: &Database, id: RoomNumber) -> Result<Vec<AccountId>, StoreError> {
    let sql = "SELECT account FROM member WHERE room = ?1 ORDER BY account";
    db.all(sql, [id.0], |row| row.get(0).map(AccountId))
}

pub(super) fn is_member(
    db: &Database,
    room: RoomNumber,
    account: AccountId,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM member WHERE room = ?1 AND account = ?2";
    Ok(db.one(sql, (room.0, account.0), |_| Ok(()))?.is_some())
}

pub(super) fn insert(db: &Database, row: &RoomRow) -> Result<RoomNumber, StoreError> {
    let sql = "INSERT INTO room
        (room, workspace, kind, mode, created, name_tag, sealed_name, pair_low, pair_high,
        retention_days)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let (low, high) = row.pair.map(|(low, high)| (low.0, high.0)).unzip();
    let params = (
        row.room.0,
        row.workspace.0,
        row.kind,
        row.mode,
        stored(row.created.0),
        row.name_tag.map(|tag| tag.0),
        &row.sealed_name,
        low,
        high,
        row.retention_days,
    );
    db.run(sql, params)?;
    // Without deletions SQLite numbers rows densely from 1.
    let number = u32::try_from(db.last_number()).unwrap_or(u32::MAX);
    if number > ROOM_MAX {
        return Err(StoreError::broken(format!("more than {ROOM_MAX} rooms have no places")));
    }
    Ok(RoomNumber(number))
}

pub(super) fn update(db: &Database, row: &RoomRow) -> Result<(), StoreError> {
    let sql = "UPDATE room SET name_tag = ?2, sealed_name = ?3 WHERE number = ?1";
    let tag = row.name_tag.map(|tag| tag.0);
    db.run(sql, (row.number.0, tag, &row.sealed_name)).map(drop)
}

pub(super) fn set_retention(db: &Database, id: RoomNumber, days: u32) -> Result<(), StoreError> {
    db.run("UPDATE room SET retention_days = ?2 WHERE number = ?1", (id.0, days)).map(drop)
}

pub(super) fn forgetful(
    db: &Database,
    after: RoomNumber,
    n_rows_max: u32,
) -> Result<Vec<RoomRow>, StoreError> {
    let sql = select_rooms!(
        "WHERE room.retention_days > 0 AND room.number > ?1 ORDER BY room.number LIMIT ?2"
    );
    db.all(sql, (after.0, n_rows_max), room)
}

pub(super) fn keys(db: &Database, id: RoomNumber) -> Result<Vec<RoomKeyRow>, StoreError> {
    let sql = "SELECT room, generation, from_seq, made, sealed FROM room_key
        WHERE room = ?1 ORDER BY generation";
    db.all(sql, [id.0], |row| {
        Ok(RoomKeyRow {
            room: RoomNumber(row.get(0)?),
            generation: row.get(1)?,
            from: Seq(number(row, 2)?),
            made: TimeMs(number(row, 3)?),
            sealed: row.get(4)?,
        })
    })
}

pub(super) fn insert_key(db: &Database, row: &RoomKeyRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO room_key (room, generation, from_seq, made, sealed)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let (from, made) = (stored(row.from.0), stored(row.made.0));
    db.run(sql, (row.room.0, row.generation, from, made, &row.sealed)).map(drop)
}

pub(super) fn change_members(
    db: &Database,
    room: RoomNumber,
    added: &[AccountId],
    removed: &[AccountId],
) -> Result<(), StoreError> {
    for id in removed {
        db.run("DELETE FROM member WHERE room = ?1 AND account = ?2", (room.0, id.0))?;
    }
    for id in added {
        let sql = "INSERT INTO member (room, account) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        db.run(sql, (room.0, id.0))?;
    }
    Ok(())
}
