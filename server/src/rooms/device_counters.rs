//! The lanes of one room: per device the last messages, read from the store on first use.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use mathia_protocol::id::{DeviceId, RoomNumber};
use mathia_protocol::log::{DeviceLane, LaneEntry};

use crate::store::{LaneRow, Read, StoreError};

/// What a room remembers of its devices.
#[derive(Debug, Default)]
pub(crate) struct DeviceCounters(HashMap<DeviceId, DeviceLane>);

impl DeviceCounters {
    /// The lane of a device.
    pub(crate) fn of(
        &mut self,
        read: &dyn Read,
        room: RoomNumber,
        device: DeviceId,
    ) -> Result<&mut DeviceLane, StoreError> {
        match self.0.entry(device) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let rows = read.lane(room, device)?;
                Ok(entry.insert(DeviceLane::new(rows.iter().rev().map(remembered))))
            }
        }
    }
}

fn remembered(row: &LaneRow) -> LaneEntry {
    let LaneRow { ctr, seq, time, entry_hash } = *row;
    LaneEntry { ctr, seq, time, entry_hash }
}
