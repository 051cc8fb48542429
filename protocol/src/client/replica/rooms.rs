//! What is known of rooms besides their logs, piece by piece: each piece is a row of its own, so
//! that a change of marks writes only marks.

use std::collections::BTreeMap;

use super::key_value::{Key, Rows, RowsMut, Span, Table, Value};
use super::row::{self, Row};
use super::write::Write;
use super::{Replica, Stored, broken, index, invites, outbox};
use crate::client::record::{DeviceLane, MarkHistograms, RoomFacts, RoomMarks, RoomRecord};
use crate::id::{Hash, RoomId, Seq};

/// Which piece of a room. Each has a number of its own for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Piece {
    /// What it is. A room is kept while it has this.
    Facts = 1,
    /// The last verified position and `H` there.
    Cursor = 2,
    /// Where this account stands.
    Marks = 3,
    /// Where all stand.
    Histograms = 4,
    /// The lane that the next message of this device continues.
    OwnLane = 5,
    /// Everything up to here has expired.
    ExpiredUpto = 6,
    /// For an agent: no question up to here needs anything.
    AsksSettledUpto = 7,
}

fn key(room: RoomId, piece: Piece) -> Key {
    [room.0.as_slice(), &[piece as u8]].concat()
}

pub(super) fn get<T: Row>(rows: &dyn Rows, room: RoomId, piece: Piece) -> Stored<Option<T>> {
    let value = rows.get(Table::Rooms, &key(room, piece))?;
    value.map(|value| row::decode(&value)).transpose()
}

pub(super) fn put(
    rows: &mut dyn RowsMut,
    room: RoomId,
    piece: Piece,
    value: &impl Row,
) -> Stored<()> {
    rows.put(Table::Rooms, &key(room, piece), &row::encode(value))
}

/// Whether a room is kept; a forgotten one takes nothing any more.
pub(super) fn is_kept(rows: &dyn Rows, room: RoomId) -> Stored<bool> {
    rows.has(Table::Rooms, &key(room, Piece::Facts))
}

/// The last verified position; `H_0` of a log is the room's identifier.
pub(super) fn cursor(rows: &dyn Rows, room: RoomId) -> Stored<(Seq, Hash)> {
    Ok(get(rows, room, Piece::Cursor)?.unwrap_or((Seq(0), room.as_hash())))
}

pub(super) fn own_lane(rows: &dyn Rows, room: RoomId) -> Stored<DeviceLane> {
    Ok(get(rows, room, Piece::OwnLane)?.unwrap_or_default())
}

pub(super) fn put_draft(rows: &mut dyn RowsMut, room: RoomId, text: &String) -> Stored<()> {
    if text.is_empty() {
        rows.delete(Table::Drafts, &room.0)?;
        return Ok(());
    }
    rows.put(Table::Drafts, &room.0, &row::encode(text))
}

/// Forgets a room in every table.
pub(super) fn forget(rows: &mut dyn RowsMut, room: RoomId) -> Stored<()> {
    outbox::forget_room(rows, room)?;
    invites::forget_room(rows, room)?;
    index::on_forget(rows, room)?;
    let of_room = Span::of(&room.0);
    for table in Table::ALL.iter().filter(|table| table.is_of_room()) {
        rows.delete_span(*table, &of_room)?;
    }
    Ok(())
}

/// The pieces of one room, by their number.
pub(super) type Pieces = BTreeMap<u8, Value>;

/// The pieces of some rooms, by room.
fn pieces(rows: &dyn Rows, span: &Span) -> Stored<BTreeMap<RoomId, Pieces>> {
    let mut rooms: BTreeMap<RoomId, Pieces> = BTreeMap::new();
    for (key, value) in rows.scan(Table::Rooms, span)? {
        let (room, piece) = row::fields(&key, |r| Ok((RoomId(r.array()?), r.u8()?)))?;
        rooms.entry(room).or_default().insert(piece, value);
    }
    Ok(rooms)
}

/// The pieces of one room; none if it is not kept.
pub(super) fn pieces_of(rows: &dyn Rows, room: RoomId) -> Stored<Option<Pieces>> {
    Ok(pieces(rows, &Span::of(&room.0))?.remove(&room))
}

/// One piece among those that were read.
pub(super) fn piece<T: Row>(pieces: &Pieces, piece: Piece) -> Stored<Option<T>> {
    pieces.get(&(piece as u8)).map(|value| row::decode(value)).transpose()
}

pub(super) fn record(room: RoomId, pieces: &Pieces) -> Stored<RoomRecord> {
    let facts = piece(pieces, Piece::Facts)?.ok_or_else(|| broken("a room has no facts"))?;
    let cursor = piece(pieces, Piece::Cursor)?;
    let (seq, hash) = cursor.unwrap_or((Seq(0), room.as_hash()));
    let marks = piece(pieces, Piece::Marks)?.unwrap_or_default();
    let histograms = piece(pieces, Piece::Histograms)?.unwrap_or_default();
    Ok(RoomRecord { room, seq, hash, facts, marks, histograms })
}

impl Replica {
    /// All rooms that are kept, those the account has left included.
    pub fn rooms(&self) -> Stored<Vec<RoomRecord>> {
        let rooms = self.read(|rows| pieces(rows, &Span::all()))?;
        rooms.iter().map(|(room, pieces)| record(*room, pieces)).collect()
    }

    /// One room.
    pub fn room(&self, room: RoomId) -> Stored<Option<RoomRecord>> {
        let pieces = self.read(|rows| pieces_of(rows, room))?;
        pieces.map(|pieces| record(room, &pieces)).transpose()
    }

    /// Replaces what a room is; makes the room if it is new, with the cursor at `H_0`.
    pub fn put_room(&self, room: RoomId, facts: &RoomFacts) -> Stored<()> {
        self.commit_one(Write::Facts { room, facts: facts.clone() }).map(drop)
    }

    /// Replaces where this account stands in a room.
    pub fn put_marks(&self, room: RoomId, marks: &RoomMarks) -> Stored<()> {
        self.commit_one(Write::Marks { room, marks: *marks }).map(drop)
    }

    /// Replaces where all accounts stand in a room.
    pub fn put_mark_histograms(&self, room: RoomId, histograms: &MarkHistograms) -> Stored<()> {
        let histograms = histograms.clone();
        self.commit_one(Write::MarkHistograms { room, histograms }).map(drop)
    }

    /// Forgets a room with everything in it: no table keeps anything of it.
    pub fn forget_room(&self, room: RoomId) -> Stored<()> {
        self.commit_one(Write::ForgetRoom(room)).map(drop)
    }

    /// The lane that the next message of this device continues.
    pub fn own_lane(&self, room: RoomId) -> Stored<DeviceLane> {
        self.read(|rows| own_lane(rows, room))
    }

    /// Everything up to here has expired by the room's policy.
    pub fn expired_upto(&self, room: RoomId) -> Stored<Seq> {
        Ok(self.read(|rows| get(rows, room, Piece::ExpiredUpto))?.unwrap_or_default())
    }

    /// Notes up to where everything has expired.
    pub fn put_expired_upto(&self, room: RoomId, upto: Seq) -> Stored<()> {
        self.commit_one(Write::ExpiredUpto { room, upto }).map(drop)
    }

    /// The draft of a room, empty if there is none.
    pub fn draft(&self, room: RoomId) -> Stored<String> {
        let text = self.read(|rows| rows.get(Table::Drafts, &room.0))?;
        Ok(text.map(|text| row::decode(&text)).transpose()?.unwrap_or_default())
    }

    /// Stores the draft of a room; an empty text removes it.
    pub fn put_draft(&self, room: RoomId, text: &str) -> Stored<()> {
        self.commit_one(Write::Draft { room, text: text.to_owned() }).map(drop)
    }
}
