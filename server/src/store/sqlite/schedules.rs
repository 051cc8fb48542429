//! Entries that wait for their time.

use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, TimeMs};
use rusqlite::Row;

use super::columns::{bits, number, stored};
use super::database::Database;
use super::entries;
use crate::store::{ScheduleRow, StoreError};

fn schedule(row: &Row<'_>) -> rusqlite::Result<ScheduleRow> {
    Ok(ScheduleRow {
        room: RoomNumber(row.get(0)?),
        account: AccountId(row.get(1)?),
        device: DeviceId(row.get(2)?),
        id: bits(row, 3)?,
        due: TimeMs(number(row, 4)?),
        body: row.get(5)?,
    })
}

pub(super) fn due(
    db: &Database,
    upto: TimeMs,
    n_rows_max: u32,
) -> Result<Vec<ScheduleRow>, StoreError> {
    let sql = "SELECT room, account, device, id, due, body FROM schedule
        WHERE due <= ?1 ORDER BY due, n LIMIT ?2";
    db.all(sql, (stored(upto.0), n_rows_max), schedule)
}

pub(super) fn next_due(db: &Database) -> Result<Option<TimeMs>, StoreError> {
    let sql = "SELECT due FROM schedule ORDER BY due LIMIT 1";
    db.one(sql, (), |row| number(row, 0).map(TimeMs))
}

pub(super) fn of_account(db: &Database, id: AccountId) -> Result<Vec<ScheduleRow>, StoreError> {
    let sql = "SELECT room, account, device, id, due, body FROM schedule
        WHERE account = ?1 ORDER BY due, n";
    db.all(sql, [id.0], schedule)
}

pub(super) fn insert(db: &Database, row: &ScheduleRow) -> Result<(), StoreError> {
    if entries::scheduled_used(db, row.room, row.device, row.id)? {
        return Err(StoreError::Exists);
    }
    let sql = "INSERT INTO schedule (room, account, device, id, due, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let id = row.id.cast_signed();
    let params = (row.room.0, row.account.0, row.device.0, id, stored(row.due.0), &row.body);
    db.run(sql, params).map(drop)
}

pub(super) fn remove(
    db: &Database,
    room: RoomNumber,
    device: DeviceId,
    id: u64,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM schedule WHERE room = ?1 AND device = ?2 AND id = ?3";
    Ok(db.run(sql, (room.0, device.0, id.cast_signed()))? > 0)
}
