//! The identity of the data, counts, and the server's own small values.

use mathia_protocol::id::Realm;

use super::columns::number;
use super::database::Database;
use crate::store::{Counts, StoreError};

/// Gives new data its identity; data that has one keeps it.
pub(super) fn ensure_realm(
    db: &Database,
    make_realm: impl FnOnce() -> Realm,
) -> Result<(), StoreError> {
    if db.one("SELECT one FROM identity", (), |_| Ok(()))?.is_none() {
        let sql = "INSERT INTO identity (one, realm) VALUES (1, ?1) ON CONFLICT DO NOTHING";
        db.run(sql, [make_realm().0])?;
    }
    Ok(())
}

pub(super) fn realm(db: &Database) -> Result<Realm, StoreError> {
    let realm = db.one("SELECT realm FROM identity", (), |row| row.get(0).map(Realm))?;
    realm.ok_or_else(|| StoreError::broken("the data has no identity"))
}

pub(super) fn get(db: &Database, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    db.one("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0))
}

pub(super) fn set(db: &Database, name: &str, value: &[u8]) -> Result<(), StoreError> {
    let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2)
        ON CONFLICT DO UPDATE SET value = excluded.value";
    db.run(sql, (name, value)).map(drop)
}

/// Rooms and entries are never deleted, so their highest numbers are their counts.
pub(super) fn counts(db: &Database) -> Result<Counts, StoreError> {
    let sql = "SELECT (SELECT count(*) FROM account),
        (SELECT coalesce(max(number), 0) FROM room),
        (SELECT coalesce(max(n), 0) FROM entry),
        (SELECT count(*) FROM schedule)";
    let counts = db.one(sql, (), |row| {
        Ok(Counts {
            n_accounts: number(row, 0)?,
            n_rooms: number(row, 1)?,
            n_entries: number(row, 2)?,
            n_schedules: number(row, 3)?,
        })
    })?;
    Ok(counts.unwrap_or_default())
}
