//! Accounts and their user chains.

use mathia_protocol::id::{AccountId, Hash, InviteToken, TimeMs};
use rusqlite::Row;

use super::columns::{number, stored};
use super::database::Database;
use crate::store::{AccountRow, LinkRow, StoreError};

fn account(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        account: AccountId(row.get(0)?),
        handle: row.get(1)?,
        kind: row.get(2)?,
        created: TimeMs(number(row, 3)?),
        last_seen: TimeMs(number(row, 4)?),
        token: row.get::<_, Option<_>>(5)?.map(InviteToken),
        is_removed: row.get(6)?,
    })
}

pub(super) fn find(db: &Database, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
    let sql = "SELECT account, handle, kind, created, last_seen, token, is_removed
        FROM account WHERE account = ?1";
    db.one(sql, [id.0], account)
}

pub(super) fn by_handle(db: &Database, handle: &str) -> Result<Option<AccountRow>, StoreError> {
    let sql = "SELECT account, handle, kind, created, last_seen, token, is_removed
        FROM account WHERE handle = ?1";
    db.one(sql, [handle], account)
}

pub(super) fn list(db: &Database) -> Result<Vec<AccountRow>, StoreError> {
    let sql = "SELECT account, handle, kind, created, last_seen, token, is_removed
        FROM account ORDER BY handle";
    db.all(sql, (), account)
}

pub(super) fn insert(db: &Database, row: &AccountRow, genesis: &LinkRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO account (account, handle, kind, created, last_seen, token, is_removed)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let params = (
        row.account.0,
        &row.handle,
        row.kind,
        stored(row.created.0),
        stored(row.last_seen.0),
        row.token.map(|token| token.0),
        row.is_removed,
    );
    db.run(sql, params)?;
    insert_link(db, row.account, genesis)
}

pub(super) fn set_last_seen(db: &Database, id: AccountId, time: TimeMs) -> Result<(), StoreError> {
    let sql = "UPDATE account SET last_seen = ?2 WHERE account = ?1";
    db.run(sql, (id.0, stored(time.0))).map(drop)
}

pub(super) fn remove(db: &Database, id: AccountId) -> Result<(), StoreError> {
    db.run("UPDATE account SET is_removed = 1 WHERE account = ?1", [id.0]).map(drop)
}

pub(super) fn links(db: &Database, id: AccountId, from: u32) -> Result<Vec<LinkRow>, StoreError> {
    let sql = "SELECT seq, hash, link FROM link WHERE account = ?1 AND seq >= ?2 ORDER BY seq";
    db.all(sql, (id.0, from), |row| {
        Ok(LinkRow { seq: row.get(0)?, hash: Hash(row.get(1)?), link: row.get(2)? })
    })
}

pub(super) fn chain_head(db: &Database, id: AccountId) -> Result<Option<(u32, Hash)>, StoreError> {
    let sql = "SELECT seq, hash FROM link WHERE account = ?1 ORDER BY seq DESC LIMIT 1";
    db.one(sql, [id.0], |row| Ok((row.get(0)?, Hash(row.get(1)?))))
}

pub(super) fn insert_link(db: &Database, id: AccountId, link: &LinkRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO link (account, seq, hash, link) VALUES (?1, ?2, ?3, ?4)";
    db.run(sql, (id.0, link.seq, link.hash.0, &link.link)).map(drop)
}
