//! Moving marks: how far sessions report to be, and how a room learns of it.
//!
//! Owns when marks reach the disk and the room: a read mark with the batch that answers it, all
//! others with the room's next flush. Losing the last moments of delivered marks costs nothing: they
//! are reported again on the next entry.

use std::cmp::Reverse;

use mathia_protocol::id::{RoomId, RoomNumber, Seq, TimeMs};
use mathia_protocol::limits::{MARKS_INTERVAL, RESUME_PAGE_MAX, SMALL_ROOM_MEMBERS_MAX};
use mathia_protocol::wire::{DeliveredMark, Event, Fault, Reply};

use super::batch::Batch;
use super::caller::Caller;
use super::marks::MovedMark;
use super::room::Room;
use super::room_writer::RoomWriter;
use super::staged_wraps::too_large;
use crate::hub::{Delivery, EphemeralKey, event_frame};
use crate::refusal::Refusal;
use crate::store::StoreError;

impl RoomWriter {
    /// Moves delivered marks. Rooms that the account is not in are passed over: it may have been
    /// removed a moment ago.
    pub(super) fn delivered(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        marks: &[DeliveredMark],
    ) -> Result<Reply, Refusal> {
        if marks.len() > RESUME_PAGE_MAX {
            return Err(too_large(RESUME_PAGE_MAX).into());
        }
        for mark in marks {
            let Some(room) = self.rooms.room(&*b.tx, &self.master, mark.room)? else { continue };
            if room.is_person(caller.account) {
                room.marks.raise_delivered(caller.account, mark.upto.min(room.head.seq));
                self.mark_timers.extend(room.newly_due(b.now));
            }
        }
        Ok(Reply::Done)
    }

    /// Moves a read mark, durable with its answer.
    pub(super) fn read(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room: RoomId,
        upto: Seq,
        signature: [u8; 64],
    ) -> Result<Reply, Refusal> {
        let room = self.member_room(b, caller.account, room)?;
        if upto > room.head.seq {
            return Err(Fault::BadSeen.into());
        }
        let mut read_upto = upto;
        if room.is_person(caller.account) {
            let tick = Some((caller.device, signature));
            if room.marks.raise_read(caller.account, upto, tick) {
                b.tx.raise_read(room.number(), caller.account, upto, tick)?;
            }
            read_upto = room.marks.of(caller.account).1;
        }
        let n_unread = room.n_unread(&*b.tx, read_upto)?;
        let timer = room.newly_due(b.now);
        self.mark_timers.extend(timer);
        Ok(Reply::Marked { read_upto, n_unread })
    }

    /// When the next flush is due. A time further ahead than any flush is set was left behind by a
    /// clock that has been set back since: it is due now.
    pub(super) fn next_flush(&self, now: TimeMs) -> Option<TimeMs> {
        let Reverse((due, _)) = self.mark_timers.peek()?;
        let farthest = u128::from(now.0) + 2 * MARKS_INTERVAL.as_millis();
        Some(if u128::from(due.0) > farthest { now } else { *due })
    }

    /// Flushes every room whose time has come; at a stop, every room that has something.
    pub(super) fn flush_marks(
        &mut self,
        b: &mut Batch<'_>,
        is_stopping: bool,
    ) -> Result<(), StoreError> {
        while self.next_flush(b.now).is_some_and(|due| is_stopping || due <= b.now) {
            if let Some(Reverse((_, room))) = self.mark_timers.pop() {
                self.flush_room(b, room)?;
            }
        }
        Ok(())
    }

    fn flush_room(&mut self, b: &mut Batch<'_>, number: RoomNumber) -> Result<(), StoreError> {
        // A room that was forgotten after a failed batch owes nothing any more.
        let Some(room) = self.rooms.loaded(&*b.tx, &self.master, number)? else { return Ok(()) };
        let moved = room.marks.flush(b.now);
        if moved.is_empty() {
            return Ok(());
        }
        for one in &moved {
            if let Some(upto) = one.delivered {
                b.tx.raise_delivered(number, one.account, upto)?;
            }
            if let Some(upto) = one.read {
                b.tx.raise_read(number, one.account, upto, one.tick)?;
            }
        }
        emit_marks(b, room, &moved)
    }
}

/// Emits to a room how far its people are, and each mover's own sessions what is left unread.
fn emit_marks(b: &mut Batch<'_>, room: &Room, moved: &[MovedMark]) -> Result<(), StoreError> {
    let number = room.number();
    let (delivered, read) = room.marks.histograms();
    let frame = event_frame(Event::Marks { room: number, delivered, read });
    b.emit(Delivery::Ephemeral {
        room: number,
        key: EphemeralKey::Marks(number),
        frame,
        except: None,
    });
    let is_small = room.state.members().len() <= SMALL_ROOM_MEMBERS_MAX;
    // Above the bound one tick stands for all: it still carries `H` to every member.
    let n_ticks_max = if is_small { usize::MAX } else { 1 };
    for tick in moved.iter().filter_map(MovedMark::signed_tick).take(n_ticks_max) {
        let account = tick.account;
        let frame = event_frame(Event::Ticks { room: number, ticks: vec![tick] });
        let key = EphemeralKey::Ticks(number, account);
        b.emit(Delivery::Ephemeral { room: number, key, frame, except: Some(account) });
    }
    for one in moved {
        if let Some(read_upto) = one.read {
            let n_unread = room.n_unread(&*b.tx, read_upto)?;
            b.emit_to_account(one.account, Event::OwnMark { room: number, read_upto, n_unread });
        }
    }
    Ok(())
}
