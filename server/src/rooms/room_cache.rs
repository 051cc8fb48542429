//! The rooms the writer has at hand: loaded on first use, bounded, forgotten after a failed batch.
//!
//! Owns which rooms are in memory. What is in memory may be ahead of the disk by the present batch
//! only, so a batch that was rolled back takes its rooms with it. What another process has appended
//! is noticed by the end of the log, and the room is loaded again.

use std::collections::HashMap;

use mathia_protocol::id::{RoomId, RoomNumber};
use mathia_protocol::log::RoomState;

use super::at_rest::MasterKey;
use super::room::Room;
use crate::store::{Read, StoreError};

/// Rooms in memory: some 10 KiB each for small rooms, so about 40 MiB.
const ROOMS_MAX: usize = 4_096;

/// The rooms at hand.
#[derive(Debug, Default)]
pub(crate) struct RoomCache {
    rooms: HashMap<RoomId, Room>,
    numbers: HashMap<RoomNumber, RoomId>,
    /// Rooms that the present batch may have changed.
    touched: Vec<RoomId>,
    /// Counts batches; a room used in the present one carries it.
    batch: u64,
}

impl RoomCache {
    /// The room for this batch to read or change; `None` if there is none.
    pub(crate) fn room(
        &mut self,
        read: &dyn Read,
        master: &MasterKey,
        id: RoomId,
    ) -> Result<Option<&mut Room>, StoreError> {
        if !self.is_current(read, id)? {
            let Some(row) = read.room(id)? else { return Ok(None) };
            let mut room = Room::load(read, master, row)?;
            if let Some(stale) = self.rooms.remove(&id) {
                room.take_over(stale);
            }
            room.used = self.batch;
            self.touched.push(id);
            self.put(room);
        }
        Ok(self.touch(id))
    }

    /// The same by short number.
    pub(crate) fn room_by_number(
        &mut self,
        read: &dyn Read,
        master: &MasterKey,
        number: RoomNumber,
    ) -> Result<Option<&mut Room>, StoreError> {
        if let Some(id) = self.numbers.get(&number).copied() {
            return self.room(read, master, id);
        }
        let Some(row) = read.room_by_number(number)? else { return Ok(None) };
        self.room(read, master, row.room)
    }

    /// The same, but only if it is in memory already: for timers.
    pub(crate) fn loaded(
        &mut self,
        read: &dyn Read,
        master: &MasterKey,
        number: RoomNumber,
    ) -> Result<Option<&mut Room>, StoreError> {
        match self.numbers.get(&number).copied() {
            Some(id) => self.room(read, master, id),
            None => Ok(None),
        }
    }

    /// Whether the room in memory is the one that the store has. Only the first use in a batch has
    /// to ask: within its transaction nobody else writes.
    fn is_current(&self, read: &dyn Read, id: RoomId) -> Result<bool, StoreError> {
        match self.rooms.get(&id) {
            None => Ok(false),
            Some(room) if room.used == self.batch => Ok(true),
            Some(room) => {
                let found = read.log_end(room.number())?;
                Ok(found == (room.head.seq, room.head.hash))
            }
        }
    }

    /// What the commits of a room in memory say.
    pub(crate) fn state(&self, id: RoomId) -> Option<&RoomState> {
        self.rooms.get(&id).map(|room| &room.state)
    }

    /// Takes a room that this batch founded, and hands it out for the rest of the batch.
    pub(crate) fn put(&mut self, room: Room) {
        self.numbers.insert(room.number(), room.row.room);
        self.rooms.insert(room.row.room, room);
    }

    fn touch(&mut self, id: RoomId) -> Option<&mut Room> {
        let room = self.rooms.get_mut(&id)?;
        if room.used != self.batch {
            room.used = self.batch;
            self.touched.push(id);
        }
        Some(room)
    }

    /// A batch begins.
    pub(crate) fn begin(&mut self) {
        self.batch += 1;
        self.touched.clear();
    }

    /// The batch is durable. Makes space if there are too many rooms.
    pub(crate) fn settle(&mut self) {
        if self.rooms.len() <= ROOMS_MAX {
            return;
        }
        let mut ages: Vec<(u64, RoomId)> = self
            .rooms
            .values()
            .filter(|room| !room.marks.is_waiting())
            .map(|room| (room.used, room.row.room))
            .collect();
        ages.sort_unstable();
        // An eighth at once, so that the walk is rare.
        for (_, id) in ages.into_iter().take(ROOMS_MAX / 8) {
            self.remove(id);
        }
    }

    /// The batch was rolled back: whatever it touched is loaded again when it is needed.
    pub(crate) fn forget_touched(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: RoomId) {
        if let Some(room) = self.rooms.remove(&id) {
            self.numbers.remove(&room.number());
        }
    }
}
