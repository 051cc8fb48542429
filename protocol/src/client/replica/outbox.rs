//! Messages on their way out, and the counter lane of this device.
//!
//! Sealing and taking a counter happen in one immediate transaction: another process sees both or
//! neither (CRYPTO B4). Nothing that sending does reads or writes more rows than it sends: a row is
//! found by its state, and what changed by the number of its change.

use super::key_value::{Key, Rows, RowsMut, Span, Table};
use super::rooms::{self, Piece};
use super::row::{self, Row, TEXT_LEN_MAX};
use super::singles::{self, Single};
use super::write::{Write, Written};
use super::{Replica, Sealer, Stored, broken, key};
use crate::client::record::{DeviceLane, OutboxRow, RowState};
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::crypto::content::Content;
use crate::crypto::plaintext::{BODY_LEN_MAX, Plaintext};
use crate::id::{Counter, RoomId, Seq, TimeMs};
use crate::limits::ENTRY_LEN_MAX;

/// How many numbers back a settled row stays, for processes that wait for its outcome.
const SETTLED_KEPT: u64 = 1_000;
/// Most rows that [`Replica::outbox_changes`] returns at once: with 16 KiB texts, 16 MiB.
const CHANGES_MAX: u32 = 1_000;

const QUEUED: u8 = 0;
const SENT: u8 = 1;
const FAILED: u8 = 2;
const ACCEPTED: u8 = 3;
const WITHDRAWN: u8 = 4;

/// The numbers that were given last. They are those of the newest rows; what is stored of them covers
/// the rows that were forgotten, so that no number is given twice.
#[derive(Default, Clone, Copy)]
struct Heads {
    local_id: u64,
    change: u64,
}

impl Row for Heads {
    fn write(&self, w: &mut Writer) {
        w.u64(self.local_id).u64(self.change);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self { local_id: r.u64()?, change: r.u64()? })
    }
}

/// A row with the number of its last change.
struct KeptRow {
    row: OutboxRow,
    change: u64,
}

fn encode(kept: &KeptRow) -> super::Value {
    let row = &kept.row;
    let Plaintext { kind, body } = row.content.encode();
    let mut w = Writer::with_capacity(128 + body.len());
    w.u64(kept.change).fixed(&row.room.0).u64(row.queued_at.0);
    w.u8(kind).bytes(&body).u8(state_number(&row.state));
    match &row.state {
        RowState::Queued | RowState::Withdrawn => {}
        RowState::Sent { counter, entry } => {
            w.u64(counter.0).bytes(entry);
        }
        RowState::Failed { cause } => {
            w.bytes(cause.as_bytes());
        }
        RowState::Accepted { seq, time } => {
            w.u64(seq.0).u64(time.0);
        }
    }
    w.finish().into()
}

fn decode(local_id: u64, value: &[u8]) -> Stored<KeptRow> {
    let (change, room, queued_at, says, state) = row::fields(value, |r| {
        let (change, room, queued_at) = (r.u64()?, RoomId(r.array()?), TimeMs(r.u64()?));
        let says = Plaintext { kind: r.u8()?, body: r.bytes(BODY_LEN_MAX)?.to_vec() };
        let state = match r.u8()? {
            QUEUED => RowState::Queued,
            SENT => {
                let counter = Counter(r.u64()?);
                RowState::Sent { counter, entry: r.bytes(ENTRY_LEN_MAX)?.to_vec() }
            }
            FAILED => RowState::Failed { cause: r.text(TEXT_LEN_MAX, "cause")?.to_owned() },
            ACCEPTED => RowState::Accepted { seq: Seq(r.u64()?), time: TimeMs(r.u64()?) },
            WITHDRAWN => RowState::Withdrawn,
            value => return Err(CeError::Unknown { what: "state of a row", value }),
        };
        Ok((change, room, queued_at, says, state))
    })?;
    let content = Content::decode(says).map_err(broken)?;
    Ok(KeptRow { row: OutboxRow { local_id, room, content, queued_at, state }, change })
}

fn state_number(state: &RowState) -> u8 {
    match state {
        RowState::Queued => QUEUED,
        RowState::Sent { .. } => SENT,
        RowState::Failed { .. } => FAILED,
        RowState::Accepted { .. } => ACCEPTED,
        RowState::Withdrawn => WITHDRAWN,
    }
}

/// By which a row is found: its state, and within one state its number, or for an accepted one its
/// place in the log.
fn state_key(row: &OutboxRow) -> Key {
    let number = match row.state {
        RowState::Accepted { seq, .. } => seq.0,
        _ => row.local_id,
    };
    let mut key = key::of_kind(row.room, state_number(&row.state), number);
    key.extend_from_slice(&row.local_id.to_be_bytes());
    key
}

fn change_key(kept: &KeptRow) -> Key {
    [kept.change.to_be_bytes(), kept.row.local_id.to_be_bytes()].concat()
}

fn heads(rows: &dyn Rows) -> Stored<Heads> {
    let newest = |table| Ok(rows.keys(table, &Span::all().falling().at_most(1))?.pop());
    let mut heads: Heads = singles::get(rows, Single::OutboxHeads)?.unwrap_or_default();
    if let Some(key) = newest(Table::Outbox)? {
        heads.local_id = heads.local_id.max(key::last_number(&key)?);
    }
    if let Some(key) = newest(Table::OutboxChanges)? {
        let (change, _) = row::fields(&key, |r| Ok((r.u64()?, r.u64()?)))?;
        heads.change = heads.change.max(change);
    }
    Ok(heads)
}

fn get(rows: &dyn Rows, local_id: u64) -> Stored<Option<KeptRow>> {
    let value = rows.get(Table::Outbox, &key::of_number(local_id))?;
    value.map(|value| decode(local_id, &value)).transpose()
}

/// The rows that some keys end with the numbers of.
fn rows_at(rows: &dyn Rows, keys: &[Key]) -> Stored<Vec<OutboxRow>> {
    let read = |key: &Key| {
        let kept = get(rows, key::last_number(key)?)?;
        Ok(kept.ok_or_else(|| broken("a row of the outbox is missing"))?.row)
    };
    keys.iter().map(read).collect()
}

/// The rows of a room in one state, by number unless they are accepted.
fn in_state(rows: &dyn Rows, room: RoomId, state: u8, count: u32) -> Stored<Vec<OutboxRow>> {
    let span = Span::of(&key::all_of_kind(room, state)).at_most(count);
    let keys = rows.keys(Table::OutboxStates, &span)?;
    rows_at(rows, &keys)
}

/// Writes a row that is new or has another state, with all by which it is found.
fn put(rows: &mut dyn RowsMut, row: &OutboxRow, before: Option<&KeptRow>) -> Stored<()> {
    let heads = heads(rows)?;
    if let Some(before) = before {
        rows.delete(Table::OutboxStates, &state_key(&before.row))?;
        rows.delete(Table::OutboxChanges, &change_key(before))?;
    }
    let kept = KeptRow { row: row.clone(), change: heads.change + 1 };
    rows.put(Table::Outbox, &key::of_number(row.local_id), &encode(&kept))?;
    rows.put(Table::OutboxStates, &state_key(row), &[])?;
    rows.put(Table::OutboxChanges, &change_key(&kept), &[])?;
    if row.state.is_settled() {
        rows.put(Table::OutboxSettled, &key::of_number(row.local_id), &[])?;
        // These are not the newest, so no number is lost with them.
        let oldest = key::of_number(heads.local_id.saturating_sub(SETTLED_KEPT));
        for old in rows.keys(Table::OutboxSettled, &Span::between(Key::new(), oldest))? {
            delete(rows, key::last_number(&old)?)?;
        }
    }
    Ok(())
}

fn delete(rows: &mut dyn RowsMut, local_id: u64) -> Stored<()> {
    let Some(kept) = get(rows, local_id)? else { return Ok(()) };
    rows.delete(Table::OutboxStates, &state_key(&kept.row))?;
    rows.delete(Table::OutboxChanges, &change_key(&kept))?;
    rows.delete(Table::OutboxSettled, &key::of_number(local_id))?;
    rows.delete(Table::Outbox, &key::of_number(local_id))?;
    Ok(())
}

pub(super) fn queue(
    rows: &mut dyn RowsMut,
    room: RoomId,
    content: &Content,
    queued_at: TimeMs,
) -> Stored<u64> {
    let local_id = heads(rows)?.local_id + 1;
    let row =
        OutboxRow { local_id, room, content: content.clone(), queued_at, state: RowState::Queued };
    put(rows, &row, None)?;
    Ok(local_id)
}

pub(super) fn settle(rows: &mut dyn RowsMut, local_id: u64, to: &RowState) -> Stored<bool> {
    let Some(before) = get(rows, local_id)? else { return Ok(false) };
    let is_allowed = match before.row.state {
        RowState::Accepted { .. } | RowState::Withdrawn => false,
        RowState::Queued => true,
        RowState::Sent { .. } | RowState::Failed { .. } => *to != RowState::Withdrawn,
    };
    if is_allowed {
        let row = OutboxRow { state: to.clone(), ..before.row.clone() };
        put(rows, &row, Some(&before))?;
    }
    Ok(is_allowed)
}

/// Forgets rows, be they the newest or not.
fn forget(rows: &mut dyn RowsMut, found_by: &Span) -> Stored<()> {
    let keys = rows.keys(Table::OutboxStates, found_by)?;
    if !keys.is_empty() {
        let heads = heads(rows)?;
        singles::put(rows, Single::OutboxHeads, &heads)?;
    }
    keys.iter().try_for_each(|key| delete(rows, key::last_number(key)?))
}

/// Forgets the rows of a room.
pub(super) fn forget_room(rows: &mut dyn RowsMut, room: RoomId) -> Stored<()> {
    forget(rows, &Span::of(&room.0))
}

/// Forgets the row that became an entry of the log.
pub(super) fn forget_accepted(rows: &mut dyn RowsMut, room: RoomId, seq: Seq) -> Stored<()> {
    forget(rows, &Span::of(&key::of_kind(room, ACCEPTED, seq.0)))
}

fn seal_next(
    rows: &mut dyn RowsMut,
    room: RoomId,
    seal: &mut Sealer<'_>,
) -> Stored<Option<OutboxRow>> {
    if !rooms::is_kept(rows, room)? {
        return Ok(None);
    }
    let Some(mut row) = in_state(rows, room, QUEUED, 1)?.pop() else { return Ok(None) };
    let Some(sealed) = seal(&rooms::own_lane(rows, room)?, &row) else { return Ok(None) };
    let before = get(rows, row.local_id)?;
    row.state = RowState::Sent { counter: sealed.lane.last, entry: sealed.entry };
    put(rows, &row, before.as_ref())?;
    rooms::put(rows, room, Piece::OwnLane, &sealed.lane)?;
    Ok(Some(row))
}

fn reseal(
    rows: &mut dyn RowsMut,
    room: RoomId,
    from: DeviceLane,
    seal: &mut Sealer<'_>,
) -> Stored<Vec<OutboxRow>> {
    let mut sent = in_state(rows, room, SENT, u32::MAX)?;
    let mut lane = from;
    for row in &mut sent {
        let Some(sealed) = seal(&lane, row) else { return Ok(Vec::new()) };
        lane = sealed.lane;
        row.state = RowState::Sent { counter: lane.last, entry: sealed.entry };
    }
    // All were sealed: only now anything is written.
    for row in &sent {
        let before = get(rows, row.local_id)?;
        put(rows, row, before.as_ref())?;
    }
    if rooms::is_kept(rows, room)? {
        rooms::put(rows, room, Piece::OwnLane, &lane)?;
    }
    Ok(sent)
}

/// Rows that are not settled, by number.
fn open_rows(rows: &dyn Rows, span: &Span) -> Stored<Vec<OutboxRow>> {
    let mut open = Vec::new();
    for key in rows.keys(Table::OutboxStates, span)? {
        let (state, local_id) = row::fields(&key, |r| {
            r.take(RoomId::LEN)?;
            let state = r.u8()?;
            r.u64()?;
            Ok((state, r.u64()?))
        })?;
        if state < ACCEPTED {
            open.push(key::of_number(local_id));
        }
    }
    open.sort_unstable();
    rows_at(rows, &open)
}

fn changes(rows: &dyn Rows, since: u64) -> Stored<(Vec<OutboxRow>, u64)> {
    let after = key::of_number(since.saturating_add(1));
    let span = Span { from: after, ..Span::all() }.at_most(CHANGES_MAX);
    let keys = rows.keys(Table::OutboxChanges, &span)?;
    let upto = match keys.last() {
        Some(last) => row::fields(last, |r| Ok((r.u64()?, r.u64()?)))?.0,
        None => heads(rows)?.change.max(since),
    };
    Ok((rows_at(rows, &keys)?, upto))
}

/// Rooms with something queued or sent: one step for each room, however much waits in it.
fn rooms_to_send(rows: &dyn Rows) -> Stored<Vec<RoomId>> {
    let (mut found, mut span) = (Vec::new(), Span::all().at_most(1));
    while let Some(key) = rows.keys(Table::OutboxStates, &span)?.pop() {
        let (room, state) = row::fields(&key, |r| {
            let (room, state) = (RoomId(r.array()?), r.u8()?);
            r.take(r.remaining())?;
            Ok((room, state))
        })?;
        if state <= SENT {
            found.push(room);
        }
        span.from = Span::of(&room.0).to;
    }
    Ok(found)
}

impl Replica {
    /// Queues a message and returns its number, unique on this device and rising.
    pub fn queue(&self, room: RoomId, content: &Content, queued_at: TimeMs) -> Stored<u64> {
        match self.commit_one(Write::Queue { room, content: content.clone(), queued_at })? {
            Written::Queued { local_id } => Ok(local_id),
            _ => Err(broken("a message was not queued")),
        }
    }

    /// Rows that are queued, sent or failed, by number; of one room, or of all. Reads them all: for
    /// lists, never on the way of a message.
    pub fn outbox(&self, room: Option<RoomId>) -> Stored<Vec<OutboxRow>> {
        let span = room.map_or_else(Span::all, |room| Span::of(&room.0));
        self.read(|rows| open_rows(rows, &span))
    }

    /// One row, also if it was accepted or withdrawn not long ago.
    pub fn outbox_row(&self, local_id: u64) -> Stored<Option<OutboxRow>> {
        Ok(self.read(|rows| get(rows, local_id))?.map(|kept| kept.row))
    }

    /// Rows that any process of this device has changed behind change number `since`, in the order
    /// of their last changes and a bounded number at once, and the number to go on from. Rows that
    /// are forgotten are not among them.
    pub fn outbox_changes(&self, since: u64) -> Stored<(Vec<OutboxRow>, u64)> {
        self.read(|rows| changes(rows, since))
    }

    /// The number of the last change of any row.
    pub fn last_outbox_change(&self) -> Stored<u64> {
        Ok(self.read(|rows| heads(rows))?.change)
    }

    /// Rooms in which something is queued or sent.
    pub fn rooms_to_send(&self) -> Stored<Vec<RoomId>> {
        self.read(|rows| rooms_to_send(rows))
    }

    /// Whether something is queued in a room.
    pub fn has_queued(&self, room: RoomId) -> Stored<bool> {
        let span = Span::of(&key::all_of_kind(room, QUEUED)).at_most(1);
        Ok(!self.read(|rows| rows.keys(Table::OutboxStates, &span))?.is_empty())
    }

    /// Rows of a room that were sent and are not settled, by number: no more than may be in flight.
    pub fn sent_rows(&self, room: RoomId) -> Stored<Vec<OutboxRow>> {
        self.read(|rows| in_state(rows, room, SENT, u32::MAX))
    }

    /// The row that was sent with this counter in this room, if it is not settled yet.
    pub fn row_of(&self, room: RoomId, counter: Counter) -> Stored<Option<OutboxRow>> {
        let has_counter = |row: &OutboxRow| matches!(&row.state, RowState::Sent { counter: sent, .. } if *sent == counter);
        Ok(self.sent_rows(room)?.into_iter().find(has_counter))
    }

    /// Seals the oldest queued row of a room and makes it `Sent`, in one immediate transaction: the
    /// row's bytes and the own lane are on disk before anybody writes them to a stream. Returns the
    /// row as it is now; `None` if nothing is queued or `seal` declined.
    pub fn seal_next(&self, room: RoomId, seal: &mut Sealer<'_>) -> Stored<Option<OutboxRow>> {
        self.write(|rows| seal_next(rows, room, seal))
    }

    /// Seals all sent rows of a room anew, in order, the first behind `from`, in one immediate
    /// transaction; the own lane ends at the last. Returns the rows as they are now; if `seal`
    /// declines one, nothing is changed and the list is empty.
    pub fn reseal(
        &self,
        room: RoomId,
        from: &DeviceLane,
        seal: &mut Sealer<'_>,
    ) -> Stored<Vec<OutboxRow>> {
        self.write(|rows| reseal(rows, room, *from, seal))
    }

    /// Moves a row to another state. `Withdrawn` is refused (`Ok(false)`) unless the row is still
    /// queued, in the same transaction; every other change of a row that is accepted or withdrawn
    /// is refused as well. Accepted and withdrawn rows may be forgotten after the next thousand.
    pub fn settle(&self, local_id: u64, state: &RowState) -> Stored<bool> {
        let written = self.commit_one(Write::Settle { local_id, state: state.clone() })?;
        Ok(written == Written::Settled(true))
    }
}
