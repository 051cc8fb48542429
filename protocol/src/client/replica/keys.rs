//! Secrets of epochs, and the sender keys of an agent.

use zeroize::Zeroizing;

use super::key_value::{Rows, RowsMut, Span, Table};
use super::write::Write;
use super::{Replica, Stored, key, row};
use crate::crypto::epoch::{EpochSecret, SenderKey};
use crate::id::{Epoch, RoomId};

pub(super) fn put_epoch_secret(
    rows: &mut dyn RowsMut,
    (room, epoch): (RoomId, Epoch),
    secret: &EpochSecret,
) -> Stored<()> {
    let value = row::encode(&secret.to_bytes());
    rows.insert(Table::EpochSecrets, &key::of_epoch(room, epoch), &value)?;
    Ok(())
}

pub(super) fn wipe_epoch(rows: &mut dyn RowsMut, room: RoomId, epoch: Epoch) -> Stored<()> {
    rows.delete(Table::EpochSecrets, &key::of_epoch(room, epoch))?;
    rows.delete(Table::AgentKeys, &key::of_epoch(room, epoch))?;
    Ok(())
}

pub(super) fn put_agent_key(
    rows: &mut dyn RowsMut,
    (room, epoch): (RoomId, Epoch),
    key: &SenderKey,
) -> Stored<()> {
    let value = row::encode(&key.to_bytes());
    rows.put(Table::AgentKeys, &key::of_epoch(room, epoch), &value)
}

fn epoch_of(key: &[u8]) -> Stored<Epoch> {
    row::fields(key, |r| {
        r.take(RoomId::LEN)?;
        r.u32().map(Epoch)
    })
}

/// All secrets of one table in a room, by rising epoch.
pub(super) fn all_of<T>(
    rows: &dyn Rows,
    table: Table,
    room: RoomId,
    read: impl Fn(&[u8; 32]) -> T,
) -> Stored<Vec<(Epoch, T)>> {
    let secrets = rows.scan(table, &Span::of(&room.0))?;
    secrets.iter().map(|(key, value)| Ok((epoch_of(key)?, read(&*secret(value)?)))).collect()
}

impl Replica {
    /// A proven epoch secret.
    pub fn epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<Option<EpochSecret>> {
        let key = key::of_epoch(room, epoch);
        let value = self.read(|rows| rows.get(Table::EpochSecrets, &key))?;
        value.map(|value| Ok(EpochSecret::from_bytes(&*secret(&value)?))).transpose()
    }

    /// The epochs of a room whose secret is kept, rising.
    pub fn epochs(&self, room: RoomId) -> Stored<Vec<Epoch>> {
        let keys = self.read(|rows| rows.keys(Table::EpochSecrets, &Span::of(&room.0)))?;
        keys.iter().map(|key| epoch_of(key)).collect()
    }

    /// Stores a proven epoch secret; one that is there already stays.
    pub fn put_epoch_secret(&self, room: RoomId, epoch: Epoch, secret: &EpochSecret) -> Stored<()> {
        let secret = secret.duplicate();
        self.commit_one(Write::EpochSecret { room, epoch, secret }).map(drop)
    }

    /// Wipes the secret of an epoch (retention, CRYPTO B3), from the files as well.
    pub fn wipe_epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<()> {
        self.commit_one(Write::WipeEpoch { room, epoch }).map(drop)
    }

    /// The sender key that members made for this device, an agent's that may write but not read.
    pub fn agent_key(&self, room: RoomId, epoch: Epoch) -> Stored<Option<SenderKey>> {
        let key = key::of_epoch(room, epoch);
        let value = self.read(|rows| rows.get(Table::AgentKeys, &key))?;
        value.map(|value| Ok(SenderKey::from_bytes(&*secret(&value)?))).transpose()
    }

    /// Stores the sender key of an agent for one epoch.
    pub fn put_agent_key(&self, room: RoomId, epoch: Epoch, key: &SenderKey) -> Stored<()> {
        let key = key.duplicate();
        self.commit_one(Write::AgentKey { room, epoch, key }).map(drop)
    }
}

fn secret(value: &[u8]) -> Stored<Zeroizing<[u8; 32]>> {
    row::decode(value)
}
