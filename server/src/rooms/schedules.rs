//! Entries that wait for their time: left by their author, appended once when due (CRYPTO B4).
//!
//! Owns exactly-once: an entry leaves the waiting list in the very transaction that gives it its
//! place, so neither a crash nor a restart doubles or loses it.

use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::crypto::message::{Flags, Placement, TAG_SCHEDULED};
use mathia_protocol::id::{Counter, RoomId, Seq, TimeMs};
use mathia_protocol::log::{Incoming, Sender, validate_due, validate_scheduled};
use mathia_protocol::wire::{DropCause, Event, Fault, Reply};

use super::append::{has_key, message_fault, message_header, seen_hash};
use super::batch::Batch;
use super::caller::Caller;
use super::room::{NewEntry, Room};
use super::room_writer::RoomWriter;
use super::staged_wraps::too_large;
use crate::hub::Delivery;
use crate::refusal::{Refusal, not_allowed};
use crate::store::{ScheduleRow, StoreError};

/// Entries appended per batch when many are due at once, so that messages are not kept waiting.
const DUE_PER_BATCH: u32 = 64;
/// How far ahead an entry may be scheduled, in milliseconds: five years.
const AHEAD_MAX_MS: u64 = 5 * 366 * 24 * 3_600 * 1_000;

impl RoomWriter {
    /// Keeps an entry until it is due. The same entry again is answered alike.
    pub(super) fn schedule(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room: RoomId,
        entry: Vec<u8>,
        due: TimeMs,
    ) -> Result<Reply, Refusal> {
        self.check_trusted(caller)?;
        let header = message_header(&entry, TAG_SCHEDULED)?;
        let Placement::Scheduled { id } = header.placement else {
            return Err(Fault::Malformed.into());
        };
        let chain = self.chains.get(&*b.tx, caller.account)?.ok_or(Fault::NotFound)?;
        let room = self.rooms.room(&*b.tx, &self.master, room)?.ok_or(Fault::NotFound)?;
        let has_key = has_key(&*b.tx, room, &chain, caller)?;
        let sender = Sender { device: caller.device, chain: &chain, has_key };
        let entry_hash = sha256(&[&entry]);
        let incoming = Incoming { header: &header, entry_len: entry.len(), entry_hash };
        let known = seen_hash(&*b.tx, room, &header)?;
        let (state, head) = (&room.state, room.head.seq);
        validate_scheduled(state, &sender, &incoming, head, &|_: Seq| known)
            .map_err(message_fault)?;
        if due <= b.now || due.0 > b.now.0.saturating_add(AHEAD_MAX_MS) {
            return Err(not_allowed("an entry is scheduled for the next five years"));
        }
        let number = room.number();
        let waiting = b.tx.schedules(caller.account)?;
        let same =
            |row: &&ScheduleRow| (row.room, row.device, row.id) == (number, caller.device, id);
        if let Some(row) = waiting.iter().find(same) {
            let is_repeat = true_bytes(room, row)? == entry && row.due == due;
            return if is_repeat { Ok(Reply::Done) } else { Err(used(id)) };
        }
        if b.tx.scheduled_used(number, caller.device, id)? {
            return Err(used(id));
        }
        let n_max = usize::try_from(self.limits.schedules_per_account_max).unwrap_or(usize::MAX);
        if waiting.len() >= n_max {
            return Err(too_large(n_max).into());
        }
        self.rates.messages.take(caller.account, b.now)?;
        let body = match &room.keys {
            None => entry,
            Some(keys) => keys.seal_schedule(&mut b.rng, id, &entry),
        };
        let (account, device) = (caller.account, caller.device);
        let row = ScheduleRow { room: number, account, device, id, due, body };
        match b.tx.insert_schedule(&row) {
            // One device in two accounts, which only its owner can arrange: it hurts nobody else.
            Err(StoreError::Exists) => return Err(used(id)),
            stored => stored?,
        }
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        Ok(Reply::Done)
    }

    /// Appends what is due; says nothing of what is not.
    pub(super) fn append_due(&mut self, b: &mut Batch<'_>) -> Result<(), StoreError> {
        if self.next_due.is_none_or(|due| due > b.now) {
            return Ok(());
        }
        for row in &b.tx.due(b.now, DUE_PER_BATCH)? {
            b.tx.remove_schedule(row.room, row.device, row.id)?;
            match self.append_one(b, row) {
                // It would fail for ever, and take all other work with it.
                Err(error @ StoreError::Rotten(_)) => {
                    self.damage.found(&error, b.now);
                    if let Some(room) = b.tx.room_by_number(row.room)? {
                        let (room, id, cause) = (room.room, row.id, DropCause::Invalid);
                        b.emit_to_account(row.account, Event::ScheduleDropped { room, id, cause });
                    }
                }
                appended => appended?,
            }
        }
        self.next_due = b.tx.next_due()?;
        Ok(())
    }

    fn append_one(&mut self, b: &mut Batch<'_>, row: &ScheduleRow) -> Result<(), StoreError> {
        let ScheduleRow { room: number, account, device, id, .. } = *row;
        let is_removed = b.tx.account(account)?.is_none_or(|account| account.is_removed);
        let chain = self.chains.get(&*b.tx, account)?;
        let Some(room) = self.rooms.room_by_number(&*b.tx, &self.master, number)? else {
            return Ok(());
        };
        let is_used = b.tx.scheduled_used(number, device, id)?;
        let bytes = true_bytes(room, row)?;
        let header = message_header(&bytes, TAG_SCHEDULED).ok();
        let verdict = match (chain, &header) {
            _ if is_removed => Err(DropCause::NotMember),
            (Some(chain), Some(header)) => validate_due(&room.state, &chain, header, is_used),
            _ => Err(DropCause::Invalid),
        };
        if let Err(cause) = verdict {
            let event = Event::ScheduleDropped { room: room.row.room, id, cause };
            b.emit_to_account(account, event);
            return Ok(());
        }
        let new = NewEntry {
            tag: TAG_SCHEDULED,
            entry_hash: sha256(&[&bytes]),
            bytes,
            is_countable: header.is_some_and(|header| header.flags.has(Flags::COUNTABLE)),
            device,
            ctr: Counter(id),
        };
        let stored = room.store(b, &self.master, new)?;
        b.emit(Delivery::Entry { room: number, seq: stored.seq, frame: stored.frame });
        Ok(())
    }
}

/// Takes an entry back that is not yet due, from whichever of the account's devices it is.
pub(super) fn unschedule(
    b: &mut Batch<'_>,
    caller: &Caller,
    room: RoomId,
    id: u64,
) -> Result<Reply, Refusal> {
    let row = b.tx.room(room)?.ok_or(Fault::NotFound)?;
    let waiting = b.tx.schedules(caller.account)?;
    let found = waiting.iter().find(|w| w.room == row.number && w.id == id);
    let device = found.ok_or(Fault::NotFound)?.device;
    b.tx.remove_schedule(row.number, device, id)?;
    Ok(Reply::Done)
}

fn true_bytes(room: &Room, row: &ScheduleRow) -> Result<Vec<u8>, StoreError> {
    match &room.keys {
        None => Ok(row.body.clone()),
        Some(keys) => Ok(keys.open_schedule(row.id, &row.body)?),
    }
}

/// The number stands for another entry: make a new one.
fn used(id: u64) -> Refusal {
    Fault::CtrConflict { last: Counter(id) }.into()
}
