//! The server, user chains and pinned people.

use crate::client::{Contact, PinSource, ServerRecord, Stored, TrustState};
use crate::crypto::user_chain::ChainHead;
use crate::id::{AccountId, Hash, Realm, TimeMs};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Place;
use super::error::{broken, stored};
use super::logs::{id, rows};
use super::row_seal::RowSeal;

pub(super) fn server(conn: &Connection) -> Stored<Option<ServerRecord>> {
    let mut ask = stored(conn.prepare_cached(
        "SELECT address, realm, pin, next_pin, source, first_seen FROM server WHERE id = 1",
    ))?;
    stored(
        ask.query_row([], |row| {
            Ok(ServerRecord {
                address: row.get(0)?,
                realm: Realm(row.get(1)?),
                pin: Hash(row.get(2)?),
                next_pin: row.get::<_, Option<[u8; 32]>>(3)?.map(Hash),
                source: source_from(row.get(4)?),
                first_seen: TimeMs(row.get::<_, i64>(5)?.cast_unsigned()),
            })
        })
        .optional(),
    )
}

pub(super) fn put_server(conn: &Connection, server: &ServerRecord) -> Stored<()> {
    let sql = "INSERT OR REPLACE INTO server
        (id, address, realm, pin, next_pin, source, first_seen) VALUES (1, ?, ?, ?, ?, ?, ?)";
    stored(conn.prepare_cached(sql).and_then(|mut put| {
        put.execute(params![
            server.address,
            server.realm.0,
            server.pin.0,
            server.next_pin.map(|pin| pin.0),
            source_number(server.source),
            server.first_seen.0.cast_signed(),
        ])
    }))?;
    Ok(())
}

fn source_number(source: PinSource) -> u8 {
    match source {
        PinSource::Invite => 0,
        PinSource::WebPki => 1,
        PinSource::Asked => 2,
        PinSource::Announced => 3,
    }
}

fn source_from(number: u8) -> PinSource {
    match number {
        0 => PinSource::Invite,
        1 => PinSource::WebPki,
        3 => PinSource::Announced,
        _ => PinSource::Asked,
    }
}

pub(super) fn chain_accounts(conn: &Connection) -> Stored<Vec<AccountId>> {
    rows(conn, "SELECT DISTINCT account FROM chain_links", [], |row| Ok(AccountId(id(row, 0)?)))
}

pub(super) fn chain_links(
    conn: &Connection,
    seal: &RowSeal,
    account: AccountId,
) -> Stored<Vec<Vec<u8>>> {
    let sealed: Vec<(u32, Vec<u8>)> = rows(
        conn,
        "SELECT seq, sealed_link FROM chain_links WHERE account = ? ORDER BY seq",
        [account.0],
        |row| Ok((stored(row.get(0))?, stored(row.get(1))?)),
    )?;
    sealed
        .iter()
        .map(|(seq, link)| Ok(seal.open(link_place(&account, *seq), link)?.to_vec()))
        .collect()
}

pub(super) fn put_chain_links(
    conn: &Connection,
    seal: &RowSeal,
    account: AccountId,
    first_seq: u32,
    links: &[Vec<u8>],
) -> Stored<()> {
    let sql = "SELECT COUNT(*) FROM chain_links WHERE account = ?";
    let n_links: u32 = stored(conn.query_row(sql, [account.0], |row| row.get(0)))?;
    let sql = "INSERT INTO chain_links (account, seq, sealed_link) VALUES (?, ?, ?)";
    let mut put = stored(conn.prepare_cached(sql))?;
    // A chain has no holes: links behind one that is missing are not taken.
    let fresh =
        (first_seq..).zip(links).filter(|(seq, _)| *seq > n_links && first_seq <= n_links + 1);
    for (seq, link) in fresh {
        let sealed = seal.seal(link_place(&account, seq), link);
        stored(put.execute(params![account.0, seq, sealed]))?;
    }
    Ok(())
}

fn link_place(account: &AccountId, seq: u32) -> Place<'_> {
    Place::at("chain_links.link", &account.0, u64::from(seq))
}

pub(super) fn contacts(conn: &Connection, seal: &RowSeal) -> Stored<Vec<Contact>> {
    rows(
        conn,
        "SELECT handle_index, sealed_handle, account, seen_seq, seen_hash, trust, changed_to,
            refreshed FROM contacts",
        [],
        |row| contact(row, seal),
    )
}

fn contact(row: &Row<'_>, seal: &RowSeal) -> Stored<Contact> {
    let index: [u8; 32] = id(row, 0)?;
    let sealed: Vec<u8> = stored(row.get(1))?;
    let trust: u8 = stored(row.get(5))?;
    Ok(Contact {
        handle: seal.open_text(Place::of("contacts.handle", &index), &sealed)?,
        account: AccountId(id(row, 2)?),
        seen: ChainHead { seq: stored(row.get(3))?, hash: Hash(id(row, 4)?) },
        trust: trust_from(trust)?,
        changed_to: stored(row.get::<_, Option<[u8; 32]>>(6))?.map(AccountId),
        refreshed: TimeMs(stored(row.get::<_, i64>(7))?.cast_unsigned()),
    })
}

pub(super) fn put_contact(conn: &Connection, seal: &RowSeal, contact: &Contact) -> Stored<()> {
    let index = seal.blind(&contact.handle);
    let sealed = seal.seal(Place::of("contacts.handle", &index), contact.handle.as_bytes());
    let sql = "INSERT OR REPLACE INTO contacts (handle_index, sealed_handle, account, seen_seq,
        seen_hash, trust, changed_to, refreshed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    stored(conn.prepare_cached(sql).and_then(|mut put| {
        put.execute(params![
            index,
            sealed,
            contact.account.0,
            contact.seen.seq,
            contact.seen.hash.0,
            trust_number(contact.trust),
            contact.changed_to.map(|account| account.0),
            contact.refreshed.0.cast_signed(),
        ])
    }))?;
    Ok(())
}

fn trust_number(trust: TrustState) -> u8 {
    match trust {
        TrustState::Unverified => 0,
        TrustState::Verified => 1,
        TrustState::Changed => 2,
    }
}

fn trust_from(number: u8) -> Stored<TrustState> {
    match number {
        0 => Ok(TrustState::Unverified),
        1 => Ok(TrustState::Verified),
        2 => Ok(TrustState::Changed),
        _ => Err(broken("a contact has an unknown state of trust")),
    }
}
