//! Values of which there is one: the server, the clock, what belongs to the profile.
//!
//! Owns which they are. Each has a number of its own for good.

use super::key_value::{Rows, RowsMut, Table};
use super::row::{self, Row};
use super::write::Write;
use super::{Replica, Stored};
use crate::client::record::ServerRecord;

/// Which single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Single {
    /// What is known of the server.
    Server = 1,
    /// The server's address, from before the first login on.
    Address = 2,
    /// Whether the server ever answered the join that made this replica.
    Joined = 3,
    /// How far the server's clock was ahead at the last login.
    ClockSkew = 4,
    /// The last numbers of the outbox when rows were forgotten, see `outbox.rs`.
    OutboxHeads = 5,
    /// Which version of this program filled the indexes.
    IndexVersion = 6,
}

pub(super) fn get<T: Row>(rows: &dyn Rows, single: Single) -> Stored<Option<T>> {
    let value = rows.get(Table::Singles, &[single as u8])?;
    value.map(|value| row::decode(&value)).transpose()
}

pub(super) fn put(rows: &mut dyn RowsMut, single: Single, value: &impl Row) -> Stored<()> {
    rows.put(Table::Singles, &[single as u8], &row::encode(value))
}

pub(super) fn forget(rows: &mut dyn RowsMut, single: Single) -> Stored<()> {
    rows.delete(Table::Singles, &[single as u8])?;
    Ok(())
}

impl Replica {
    /// The server this replica belongs to; `None` before the first contact.
    pub fn server(&self) -> Stored<Option<ServerRecord>> {
        self.read(|rows| get(rows, Single::Server))
    }

    /// Replaces what is known of the server.
    pub fn put_server(&self, server: &ServerRecord) -> Stored<()> {
        self.commit_one(Write::Server(server.clone())).map(drop)
    }

    /// Forgets the server's key, so that the next contact counts as the first one.
    pub fn forget_server(&self) -> Stored<()> {
        self.commit_one(Write::ForgetServer).map(drop)
    }

    /// How far the server's clock was ahead of this device's at the last login, in milliseconds.
    pub fn clock_skew_ms(&self) -> Stored<Option<i64>> {
        Ok(self.read(|rows| get::<u64>(rows, Single::ClockSkew))?.map(u64::cast_signed))
    }

    /// Replaces how far the server's clock is ahead.
    pub fn put_clock_skew_ms(&self, ahead_ms: i64) -> Stored<()> {
        self.commit_one(Write::ClockSkew { ahead_ms }).map(drop)
    }

    /// The server's address, `host:port`, as the person gave it before the first login.
    pub fn address(&self) -> Stored<Option<String>> {
        self.read(|rows| get(rows, Single::Address))
    }

    /// Notes the server's address.
    pub fn put_address(&self, address: &str) -> Stored<()> {
        self.write(|rows| put(rows, Single::Address, &address.to_owned()))
    }

    /// Whether the server ever answered the join that made this replica.
    pub fn is_joined(&self) -> Stored<bool> {
        self.read(|rows| rows.has(Table::Singles, &[Single::Joined as u8]))
    }

    /// Notes that the server answered the join.
    pub fn mark_joined(&self) -> Stored<()> {
        self.write(|rows| put(rows, Single::Joined, &1_u64))
    }
}
