//! All that must be in memory of a room, read in one moment and without its entries.

use super::index::mentions;
use super::key_value::Table;
use super::rooms::{self, Piece};
use super::{Replica, Stored, keys, logs};
use crate::client::record::{DeviceLane, RoomRecord, StoredCommit};
use crate::crypto::epoch::{EpochSecret, SenderKey};
use crate::id::{DeviceId, Epoch, Hash, RoomId, Seq};

/// A room as it is taken up at a start.
#[derive(Debug)]
pub struct LoadedRoom {
    /// Position, facts and marks.
    pub record: RoomRecord,
    /// All commits in order.
    pub commits: Vec<StoredCommit>,
    /// The verified counter lanes of all devices, as of the cursor.
    pub lanes: Vec<(DeviceId, DeviceLane)>,
    /// The lane that the next message of this device continues.
    pub own_lane: DeviceLane,
    /// Numbers of scheduled messages that stand in the log, rising.
    pub scheduled: Vec<u64>,
    /// Everything up to here has expired by the room's policy.
    pub expired_upto: Seq,
    /// The proven secrets that are kept, by rising epoch.
    pub epoch_secrets: Vec<(Epoch, EpochSecret)>,
    /// For an agent: the sender keys that members made for this device, by rising epoch.
    pub agent_keys: Vec<(Epoch, SenderKey)>,
    /// `H` at the oldest entry of the part that is kept without a hole, if that entry is kept.
    pub oldest_hash: Option<Hash>,
    /// The newest entry that is kept.
    pub newest_entry: Option<Seq>,
    /// Places of mentions behind the own read mark, rising.
    pub mentions: Vec<Seq>,
}

impl Replica {
    /// Reads all that must be known of a room in memory; `None` if it is not kept.
    pub fn load_room(&self, room: RoomId) -> Stored<Option<LoadedRoom>> {
        self.read(|rows| {
            let Some(pieces) = rooms::pieces_of(rows, room)? else { return Ok(None) };
            let record = rooms::record(room, &pieces)?;
            let (secrets, agent_keys) = (Table::EpochSecrets, Table::AgentKeys);
            Ok(Some(LoadedRoom {
                commits: logs::commits(rows, room)?,
                lanes: logs::lanes(rows, room)?,
                own_lane: rooms::piece(&pieces, Piece::OwnLane)?.unwrap_or_default(),
                scheduled: logs::scheduled(rows, room)?,
                expired_upto: rooms::piece(&pieces, Piece::ExpiredUpto)?.unwrap_or_default(),
                epoch_secrets: keys::all_of(rows, secrets, room, EpochSecret::from_bytes)?,
                agent_keys: keys::all_of(rows, agent_keys, room, SenderKey::from_bytes)?,
                oldest_hash: logs::hash_at(rows, room, record.facts.held_from)?,
                newest_entry: logs::newest(rows, room)?,
                mentions: mentions::behind(rows, room, record.marks.read_upto)?,
                record,
            }))
        })
    }
}
