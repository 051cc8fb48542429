//! Keys of rows: fixed-width big-endian fields one behind the other.
//!
//! Owns how they are put together and taken apart. Never a value.

use super::key_value::Key;
use super::{Stored, broken};
use crate::id::{AccountId, DeviceId, Epoch, RoomId, Seq};

/// The key of a number: in tables that are counted through.
pub(super) fn of_number(number: u64) -> Key {
    number.to_be_bytes().to_vec()
}

/// The key of something with a place or number in a room.
pub(super) fn in_room(room: RoomId, number: u64) -> Key {
    [room.0.as_slice(), &number.to_be_bytes()].concat()
}

/// The key of something of one kind with a number in a room.
pub(super) fn of_kind(room: RoomId, kind: u8, number: u64) -> Key {
    [room.0.as_slice(), &[kind], &number.to_be_bytes()].concat()
}

/// The keys of everything of one kind in a room.
pub(super) fn all_of_kind(room: RoomId, kind: u8) -> Key {
    [room.0.as_slice(), &[kind]].concat()
}

/// The key of something of an epoch.
pub(super) fn of_epoch(room: RoomId, epoch: Epoch) -> Key {
    [room.0.as_slice(), &epoch.0.to_be_bytes()].concat()
}

/// The key of something of a device in a room.
pub(super) fn of_device(room: RoomId, device: DeviceId) -> Key {
    [room.0.as_slice(), &device.0].concat()
}

/// The key of a link of a user chain.
pub(super) fn of_link(account: AccountId, number: u32) -> Key {
    [account.0.as_slice(), &number.to_be_bytes()].concat()
}

/// The number at the end of a key.
pub(super) fn last_number(key: &[u8]) -> Stored<u64> {
    let number = key.last_chunk::<8>().ok_or_else(|| broken("a key is too short"))?;
    Ok(u64::from_be_bytes(*number))
}

/// The place in the log at the end of a key.
pub(super) fn last_seq(key: &[u8]) -> Stored<Seq> {
    last_number(key).map(Seq)
}
