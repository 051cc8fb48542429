//! Drafts, own invites and small named values.

use crate::client::{OwnInvite, Stored};
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::id::{InviteToken, RoomId, TimeMs};
use rusqlite::{Connection, OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::Place;
use super::error::{broken, stored};
use super::logs::{id, number, rows};
use super::row_seal::RowSeal;

/// Most rooms one invite grants.
const INVITE_ROOMS_MAX: usize = 1_000;

pub(super) fn draft(conn: &Connection, seal: &RowSeal, room: RoomId) -> Stored<String> {
    let mut ask = stored(conn.prepare_cached("SELECT sealed_text FROM drafts WHERE room = ?"))?;
    let sealed: Option<Vec<u8>> = stored(ask.query_row([room.0], |row| row.get(0)).optional())?;
    sealed.map_or_else(
        || Ok(String::new()),
        |sealed| seal.open_text(Place::of("drafts.text", &room.0), &sealed),
    )
}

pub(super) fn put_draft(conn: &Connection, seal: &RowSeal, room: RoomId, text: &str) -> Stored<()> {
    if text.is_empty() {
        stored(conn.execute("DELETE FROM drafts WHERE room = ?", [room.0]))?;
        return Ok(());
    }
    let sealed = seal.seal(Place::of("drafts.text", &room.0), text.as_bytes());
    let sql = "INSERT OR REPLACE INTO drafts (room, sealed_text) VALUES (?, ?)";
    stored(conn.prepare_cached(sql).and_then(|mut put| put.execute(params![room.0, sealed])))?;
    Ok(())
}

pub(super) fn invites(conn: &Connection, seal: &RowSeal) -> Stored<Vec<OwnInvite>> {
    let sql = "SELECT token, sealed_invite, expires FROM invites ORDER BY expires, token";
    rows(conn, sql, [], |row| {
        let token = InviteToken(id(row, 0)?);
        let sealed: Vec<u8> = stored(row.get(1))?;
        let plain = seal.open(Place::of("invites.invite", &token.0), &sealed)?;
        let (secret, rooms) = read_invite(&plain).map_err(broken)?;
        Ok(OwnInvite { token, secret, rooms, expires: TimeMs(number(row, 2)?) })
    })
}

fn read_invite(plain: &[u8]) -> Result<(Zeroizing<[u8; 16]>, Vec<RoomId>), CeError> {
    let mut r = Reader::new(plain);
    let secret = Zeroizing::new(r.array()?);
    let n_rooms = r.count(INVITE_ROOMS_MAX)?;
    let rooms = (0..n_rooms).map(|_| r.array().map(RoomId)).collect::<Result<_, _>>()?;
    r.finish()?;
    Ok((secret, rooms))
}

pub(super) fn put_invite(conn: &Connection, seal: &RowSeal, invite: &OwnInvite) -> Stored<()> {
    let mut w = Writer::new();
    w.fixed(invite.secret.as_slice()).count(invite.rooms.len());
    for room in &invite.rooms {
        w.fixed(&room.0);
    }
    let plain = Zeroizing::new(w.finish());
    let sealed = seal.seal(Place::of("invites.invite", &invite.token.0), &plain);
    let sql = "INSERT OR REPLACE INTO invites (token, sealed_invite, expires) VALUES (?, ?, ?)";
    let params = params![invite.token.0, sealed, invite.expires.0.cast_signed()];
    stored(conn.prepare_cached(sql).and_then(|mut put| put.execute(params)))?;
    Ok(())
}

pub(super) fn forget_invite(conn: &Connection, token: InviteToken) -> Stored<()> {
    stored(conn.execute("DELETE FROM invites WHERE token = ?", [token.0]))?;
    Ok(())
}

pub(super) fn setting(conn: &Connection, seal: &RowSeal, key: &str) -> Stored<Option<Vec<u8>>> {
    let mut ask = stored(conn.prepare_cached("SELECT sealed_value FROM settings WHERE key = ?"))?;
    let sealed: Option<Vec<u8>> = stored(ask.query_row([key], |row| row.get(0)).optional())?;
    sealed
        .map(|sealed| Ok(seal.open(Place::of("settings.value", key.as_bytes()), &sealed)?.to_vec()))
        .transpose()
}

pub(super) fn put_setting(
    conn: &Connection,
    seal: &RowSeal,
    key: &str,
    value: &[u8],
) -> Stored<()> {
    let sealed = seal.seal(Place::of("settings.value", key.as_bytes()), value);
    let sql = "INSERT OR REPLACE INTO settings (key, sealed_value) VALUES (?, ?)";
    stored(conn.prepare_cached(sql).and_then(|mut put| put.execute(params![key, sealed])))?;
    Ok(())
}
