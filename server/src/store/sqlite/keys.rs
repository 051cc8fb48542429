//! Sealed keys on their way to devices: wraps, requests for them, grants of older ones.

use mathia_protocol::id::{AccountId, DeviceId, Epoch, RoomNumber};

use super::database::Database;
use crate::store::{GrantRow, KeyAskRow, StoreError, WrapRow};

pub(super) fn wraps(
    db: &Database,
    room: RoomNumber,
    device: DeviceId,
    from: Epoch,
) -> Result<Vec<WrapRow>, StoreError> {
    let sql = "SELECT epoch, account, hpke_gen, sealed FROM wrap
        WHERE room = ?1 AND device = ?2 AND epoch >= ?3 ORDER BY epoch";
    db.all(sql, (room.0, device.0, from.0), |row| {
        Ok(WrapRow {
            room,
            epoch: Epoch(row.get(0)?),
            account: AccountId(row.get(1)?),
            device,
            hpke_gen: row.get(2)?,
            sealed: row.get(3)?,
        })
    })
}

pub(super) fn insert_wraps(db: &Database, rows: &[WrapRow]) -> Result<(), StoreError> {
    let sql = "INSERT INTO wrap (room, device, epoch, account, hpke_gen, sealed)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    for row in rows {
        write_wrap(db, sql, row)?;
    }
    Ok(())
}

pub(super) fn replace_wrap(db: &Database, row: &WrapRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO wrap (room, device, epoch, account, hpke_gen, sealed)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT DO UPDATE SET account = excluded.account, hpke_gen = excluded.hpke_gen,
            sealed = excluded.sealed";
    write_wrap(db, sql, row)
}

fn write_wrap(db: &Database, sql: &str, row: &WrapRow) -> Result<(), StoreError> {
    let params = (row.room.0, row.device.0, row.epoch.0, row.account.0, row.hpke_gen, &row.sealed);
    db.run(sql, params).map(drop)
}

pub(super) fn asks(db: &Database, room: RoomNumber) -> Result<Vec<KeyAskRow>, StoreError> {
    let sql = "SELECT account, device, epoch FROM key_ask
        WHERE room = ?1 ORDER BY account, device, epoch";
    db.all(sql, [room.0], |row| {
        Ok(KeyAskRow {
            room,
            account: AccountId(row.get(0)?),
            device: DeviceId(row.get(1)?),
            epoch: Epoch(row.get(2)?),
        })
    })
}

pub(super) fn insert_ask(db: &Database, row: &KeyAskRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO key_ask (room, account, device, epoch) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO NOTHING";
    db.run(sql, (row.room.0, row.account.0, row.device.0, row.epoch.0)).map(drop)
}

pub(super) fn remove_ask(db: &Database, row: &KeyAskRow) -> Result<bool, StoreError> {
    let sql = "DELETE FROM key_ask
        WHERE room = ?1 AND account = ?2 AND device = ?3 AND epoch = ?4";
    Ok(db.run(sql, (row.room.0, row.account.0, row.device.0, row.epoch.0))? > 0)
}

pub(super) fn grants(
    db: &Database,
    room: RoomNumber,
    device: DeviceId,
) -> Result<Vec<GrantRow>, StoreError> {
    let sql = "SELECT from_account, hpke_gen, sealed FROM key_grant
        WHERE room = ?1 AND device = ?2 ORDER BY from_account";
    db.all(sql, (room.0, device.0), |row| {
        let from = AccountId(row.get(0)?);
        Ok(GrantRow { room, from, device, hpke_gen: row.get(1)?, sealed: row.get(2)? })
    })
}

pub(super) fn insert_grant(db: &Database, row: &GrantRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO key_grant (room, device, from_account, hpke_gen, sealed)
        VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET hpke_gen = excluded.hpke_gen, sealed = excluded.sealed";
    let params = (row.room.0, row.device.0, row.from.0, row.hpke_gen, &row.sealed);
    db.run(sql, params).map(drop)
}
