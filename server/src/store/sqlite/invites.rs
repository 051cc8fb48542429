//! Invites, and the people who came by one and wait to be added to rooms.

use mathia_protocol::id::{AccountId, Hash, TimeMs};
use rusqlite::Row;

use super::columns::{joined, number, split, stored};
use super::database::Database;
use crate::store::{InviteRow, JoinRow, StoreError};

fn invite(row: &Row<'_>) -> rusqlite::Result<InviteRow> {
    Ok(InviteRow {
        token_hash: Hash(row.get(0)?),
        sealed_token: row.get(1)?,
        maker: row.get::<_, Option<_>>(2)?.map(AccountId),
        uses_left: row.get(3)?,
        names_left: row.get(4)?,
        created: TimeMs(number(row, 5)?),
        expires: TimeMs(number(row, 6)?),
        rooms: split(row, 7)?,
    })
}

pub(super) fn find(db: &Database, token_hash: Hash) -> Result<Option<InviteRow>, StoreError> {
    let sql =
        "SELECT token_hash, sealed_token, maker, uses_left, names_left, created, expires, rooms
        FROM invite WHERE token_hash = ?1";
    db.one(sql, [token_hash.0], invite)
}

pub(super) fn list(db: &Database, maker: Option<AccountId>) -> Result<Vec<InviteRow>, StoreError> {
    if let Some(maker) = maker {
        let sql = "SELECT token_hash, sealed_token, maker, uses_left, names_left, created, expires,
                rooms
            FROM invite WHERE maker = ?1 ORDER BY expires, token_hash";
        return db.all(sql, [maker.0], invite);
    }
    let sql =
        "SELECT token_hash, sealed_token, maker, uses_left, names_left, created, expires, rooms
        FROM invite ORDER BY expires, token_hash";
    db.all(sql, (), invite)
}

pub(super) fn insert(db: &Database, row: &InviteRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO invite
        (token_hash, sealed_token, maker, uses_left, names_left, created, expires, rooms)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let params = (
        row.token_hash.0,
        &row.sealed_token,
        row.maker.map(|maker| maker.0),
        row.uses_left,
        row.names_left,
        stored(row.created.0),
        stored(row.expires.0),
        joined(&row.rooms),
    );
    db.run(sql, params).map(drop)
}

/// One statement decides and takes, so no two can take the last use (CRYPTO B7).
pub(super) fn take_use(
    db: &Database,
    token_hash: Hash,
    now: TimeMs,
) -> Result<Option<InviteRow>, StoreError> {
    let sql = "UPDATE invite SET uses_left = uses_left - 1
        WHERE token_hash = ?1 AND uses_left > 0 AND expires > ?2
        RETURNING token_hash, sealed_token, maker, uses_left, names_left, created, expires, rooms";
    db.one(sql, (token_hash.0, stored(now.0)), invite)
}

pub(super) fn take_name(db: &Database, token_hash: Hash) -> Result<bool, StoreError> {
    let sql = "UPDATE invite SET names_left = names_left - 1
        WHERE token_hash = ?1 AND names_left > 0";
    Ok(db.run(sql, [token_hash.0])? > 0)
}

pub(super) fn remove(db: &Database, token_hash: Hash) -> Result<bool, StoreError> {
    Ok(db.run("DELETE FROM invite WHERE token_hash = ?1", [token_hash.0])? > 0)
}

pub(super) fn joins(db: &Database, maker: AccountId) -> Result<Vec<JoinRow>, StoreError> {
    let sql = "SELECT token_hash, account, proof, rooms, sealed_token
        FROM newcomer WHERE maker = ?1 ORDER BY token_hash, account";
    db.all(sql, [maker.0], |row| {
        Ok(JoinRow {
            token_hash: Hash(row.get(0)?),
            maker,
            account: AccountId(row.get(1)?),
            proof: row.get(2)?,
            rooms: split(row, 3)?,
            sealed_token: row.get(4)?,
        })
    })
}

pub(super) fn insert_join(db: &Database, row: &JoinRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO newcomer (token_hash, account, maker, proof, rooms, sealed_token)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let rooms = joined(&row.rooms);
    let params =
        (row.token_hash.0, row.account.0, row.maker.0, row.proof, rooms, &row.sealed_token);
    db.run(sql, params).map(drop)
}

pub(super) fn remove_join(
    db: &Database,
    token_hash: Hash,
    account: AccountId,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM newcomer WHERE token_hash = ?1 AND account = ?2";
    db.run(sql, (token_hash.0, account.0)).map(drop)
}
