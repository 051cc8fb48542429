//! How our numbers and lists lie in SQLite's columns, which know 64 bits with a sign and bytes.

use mathia_protocol::id::{RoomId, RoomNumber, Seq};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};

use crate::store::StoreError;

/// Bits of a place that hold the seq: 10^12 entries, a thousand a second for 34 years.
const SEQ_BITS: u32 = 40;
/// The highest seq that has a place.
pub(super) const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;
/// The highest room number that has a place: what is left of 63 bits.
pub(super) const ROOM_MAX: u32 = (1 << (63 - SEQ_BITS)) - 1;

/// The key of an entry, `room << 40 | seq`; places beyond the bounds are cut to the nearest.
pub(super) fn place(room: RoomNumber, seq: Seq) -> i64 {
    let room = i64::from(room.0.min(ROOM_MAX));
    (room << SEQ_BITS) | stored(seq.0.min(SEQ_MAX))
}

/// The key of an entry that is about to be written.
///
/// # Errors
///
/// [`StoreError::Broken`] if room or seq are outside the bounds, or 0.
pub(super) fn new_place(room: RoomNumber, seq: Seq) -> Result<i64, StoreError> {
    if (1..=ROOM_MAX).contains(&room.0) && (1..=SEQ_MAX).contains(&seq.0) {
        return Ok(place(room, seq));
    }
    Err(StoreError::broken(format!("room {room} has no place {seq}")))
}

/// Room and seq of a key.
pub(super) fn parts(place: i64) -> (RoomNumber, Seq) {
    let place = place.cast_unsigned();
    let room = u32::try_from(place >> SEQ_BITS).unwrap_or(u32::MAX);
    (RoomNumber(room), Seq(place & SEQ_MAX))
}

/// A time or seq as a column; what exceeds 63 bits becomes the largest, and order is kept.
pub(super) fn stored(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number of type `u64` out of a column that [`stored`] wrote.
pub(super) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| FromSqlError::OutOfRange(value)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, Box::new(error))
    })
}

/// A number that uses all 64 bits, out of a column that holds its bits.
pub(super) fn bits(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get(index).map(i64::cast_unsigned)
}

/// Room identifiers as one column: 32 bytes each.
pub(super) fn joined(rooms: &[RoomId]) -> Vec<u8> {
    rooms.iter().flat_map(|room| room.0).collect()
}

/// Room identifiers out of one column.
pub(super) fn split(row: &Row<'_>, index: usize) -> rusqlite::Result<Vec<RoomId>> {
    let bytes: Vec<u8> = row.get(index)?;
    let (rooms, rest) = bytes.as_chunks::<{ RoomId::LEN }>();
    if rest.is_empty() {
        return Ok(rooms.iter().copied().map(RoomId).collect());
    }
    let error = FromSqlError::InvalidBlobSize { expected_size: RoomId::LEN, blob_size: rest.len() };
    Err(rusqlite::Error::FromSqlConversionFailure(index, Type::Blob, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_room_and_seq_and_sorts_by_room_first() {
        let last = place(RoomNumber(ROOM_MAX), Seq(SEQ_MAX));
        assert_eq!(last, i64::MAX);
        assert_eq!(parts(last), (RoomNumber(ROOM_MAX), Seq(SEQ_MAX)));
        assert_eq!(parts(place(RoomNumber(7), Seq(9))), (RoomNumber(7), Seq(9)));
        assert!(place(RoomNumber(1), Seq(SEQ_MAX)) < place(RoomNumber(2), Seq(0)));
    }

    #[test]
    fn an_entry_outside_the_bounds_is_refused() {
        assert!(new_place(RoomNumber(1), Seq(1)).is_ok());
        assert!(new_place(RoomNumber(0), Seq(1)).is_err());
        assert!(new_place(RoomNumber(1), Seq(0)).is_err());
        assert!(new_place(RoomNumber(ROOM_MAX + 1), Seq(1)).is_err());
        assert!(new_place(RoomNumber(1), Seq(SEQ_MAX + 1)).is_err());
    }
}
