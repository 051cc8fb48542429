//! How far each member has each room.

use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, Seq};
use rusqlite::Row;

use super::columns::{number, stored};
use super::database::Database;
use crate::store::{MarkRow, StoreError};

fn mark(row: &Row<'_>) -> rusqlite::Result<MarkRow> {
    let device: Option<[u8; 16]> = row.get(3)?;
    let sig: Option<[u8; 64]> = row.get(4)?;
    Ok(MarkRow {
        account: AccountId(row.get(0)?),
        delivered_upto: Seq(number(row, 1)?),
        read_upto: Seq(number(row, 2)?),
        tick: device.map(DeviceId).zip(sig),
    })
}

pub(super) fn list(db: &Database, room: RoomNumber) -> Result<Vec<MarkRow>, StoreError> {
    let sql = "SELECT account, delivered_upto, read_upto, tick_device, tick_sig
        FROM mark WHERE room = ?1 ORDER BY account";
    db.all(sql, [room.0], mark)
}

pub(super) fn find(
    db: &Database,
    room: RoomNumber,
    account: AccountId,
) -> Result<Option<MarkRow>, StoreError> {
    let sql = "SELECT account, delivered_upto, read_upto, tick_device, tick_sig
        FROM mark WHERE room = ?1 AND account = ?2";
    db.one(sql, (room.0, account.0), mark)
}

pub(super) fn raise_delivered(
    db: &Database,
    room: RoomNumber,
    account: AccountId,
    upto: Seq,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO mark (room, account, delivered_upto, read_upto) VALUES (?1, ?2, ?3, 0)
        ON CONFLICT DO UPDATE SET delivered_upto = excluded.delivered_upto
        WHERE excluded.delivered_upto > delivered_upto";
    db.run(sql, (room.0, account.0, stored(upto.0))).map(drop)
}

/// A mark that moves without a tick drops the old one: a tick signs exactly `read_upto`.
pub(super) fn raise_read(
    db: &Database,
    room: RoomNumber,
    account: AccountId,
    upto: Seq,
    tick: Option<(DeviceId, [u8; 64])>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO mark (room, account, delivered_upto, read_upto, tick_device, tick_sig)
        VALUES (?1, ?2, 0, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET read_upto = excluded.read_upto,
            tick_device = excluded.tick_device, tick_sig = excluded.tick_sig
        WHERE excluded.read_upto > read_upto
            OR (excluded.read_upto = read_upto AND tick_sig IS NULL)";
    let (device, sig) = tick.map(|(device, sig)| (device.0, sig)).unzip();
    db.run(sql, (room.0, account.0, stored(upto.0), device, sig)).map(drop)
}
