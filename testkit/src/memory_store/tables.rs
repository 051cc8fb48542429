//! The rows, by key.

use std::collections::{BTreeMap, BTreeSet};

use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Epoch, Hash, Realm, RoomNumber, Seq, TimeMs,
};

use mathia_server::store::{
    AccountRow, EntryRow, GrantRow, InviteRow, JoinRow, KeyAskRow, LinkRow, MarkRow, RoomKeyRow,
    RoomRow, ScheduleRow, StoreError, WrapRow, tag,
};

/// Everything there is. Maps are ordered the way the contract lists rows, as far as keys can.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) realm: Realm,
    pub(super) settings: BTreeMap<String, Vec<u8>>,
    pub(super) accounts: BTreeMap<AccountId, AccountRow>,
    pub(super) links: BTreeMap<(AccountId, u32), LinkRow>,
    /// Room number 1 is the first.
    pub(super) rooms: Vec<RoomRow>,
    /// Up to where the bodies of a room's messages are gone.
    pub(super) expired_upto: BTreeMap<RoomNumber, Seq>,
    pub(super) room_keys: BTreeMap<(RoomNumber, u32), RoomKeyRow>,
    pub(super) members: BTreeSet<(RoomNumber, AccountId)>,
    pub(super) entries: BTreeMap<(RoomNumber, Seq), EntryRow>,
    pub(super) marks: BTreeMap<(RoomNumber, AccountId), MarkRow>,
    pub(super) wraps: BTreeMap<(RoomNumber, DeviceId, Epoch), WrapRow>,
    pub(super) key_asks: BTreeMap<(RoomNumber, AccountId, DeviceId, Epoch), KeyAskRow>,
    pub(super) grants: BTreeMap<(RoomNumber, DeviceId, AccountId), GrantRow>,
    pub(super) invites: BTreeMap<Hash, InviteRow>,
    pub(super) joins: BTreeMap<(Hash, AccountId), JoinRow>,
    /// By due time; of two that are due together the earlier made comes first.
    pub(super) schedules: BTreeMap<(TimeMs, u64), ScheduleRow>,
    /// How many schedules were ever made.
    pub(super) n_schedules_made: u64,
}

impl Tables {
    pub(super) fn new(realm: Realm) -> Self {
        Self {
            realm,
            settings: BTreeMap::new(),
            accounts: BTreeMap::new(),
            links: BTreeMap::new(),
            rooms: Vec::new(),
            expired_upto: BTreeMap::new(),
            room_keys: BTreeMap::new(),
            members: BTreeSet::new(),
            entries: BTreeMap::new(),
            marks: BTreeMap::new(),
            wraps: BTreeMap::new(),
            key_asks: BTreeMap::new(),
            grants: BTreeMap::new(),
            invites: BTreeMap::new(),
            joins: BTreeMap::new(),
            schedules: BTreeMap::new(),
            n_schedules_made: 0,
        }
    }

    /// Finds a room; rows that refer to none are a mistake of the caller.
    pub(super) fn room_at(&self, number: RoomNumber) -> Result<&RoomRow, StoreError> {
        let index = usize::try_from(number.0).ok().and_then(|number| number.checked_sub(1));
        let row = index.and_then(|index| self.rooms.get(index));
        row.ok_or_else(|| StoreError::broken(format!("there is no room {number}")))
    }

    /// The messages of a device in a room, oldest first.
    pub(super) fn messages(
        &self,
        room: RoomNumber,
        device: DeviceId,
    ) -> impl DoubleEndedIterator<Item = &EntryRow> {
        self.log(room).filter(move |row| row.tag == tag::MESSAGE && row.device == device)
    }

    /// A room's log in order.
    pub(super) fn log(&self, room: RoomNumber) -> impl DoubleEndedIterator<Item = &EntryRow> {
        self.entries.range((room, Seq(0))..=(room, Seq(u64::MAX))).map(|(_, row)| row)
    }

    /// Whether a scheduled entry with this number was appended.
    pub(super) fn is_used(&self, room: RoomNumber, device: DeviceId, id: Counter) -> bool {
        let mut scheduled = self.log(room).filter(|row| row.tag == tag::SCHEDULED);
        scheduled.any(|row| row.device == device && row.ctr == id)
    }
}
