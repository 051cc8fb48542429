//! Forgetting what a room's policy says to forget (CRYPTO B3, `retention_days`).
//!
//! Texts older than the policy are replaced by their hashes, so the rolling hash survives; when all of
//! an epoch has expired its secret is wiped. That is the only forward secrecy on offer.

use std::collections::VecDeque;
use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::{Query, ReadId, WriteId};
use super::super::state::State;
use super::super::work::Step;
use super::room::Room;
use crate::client::StoredContent;
use crate::client::record::EntryRecord;
use crate::client::replica::Write;
use crate::id::{Epoch, RoomId, Seq, TimeMs};

/// Entries looked at in one go.
const LOOK_MAX: u32 = 256;
/// A day in milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Forgets what is due in all rooms.
#[derive(Debug)]
pub(in super::super) struct Expire {
    /// Rooms with a policy, and the time before which entries are forgotten; `None` before the first
    /// look.
    due: Option<VecDeque<(RoomId, TimeMs)>>,
    stage: ExpireStage,
}

#[derive(Debug)]
enum ExpireStage {
    Next,
    Reading(ReadId),
    /// The entries up to here are being forgotten; whether there may be more.
    Writing(WriteId, Seq, bool),
}

impl Expire {
    /// Looks at all rooms.
    pub(in super::super) fn new() -> Self {
        Self { due: None, stage: ExpireStage::Next }
    }
}

fn due_rooms(state: &State, now: TimeMs) -> VecDeque<(RoomId, TimeMs)> {
    let days = |room: &Room| room.policy().map_or(0, |policy| policy.retention_days);
    let rooms = state.rooms.all.values().map(|room| (room.id, u64::from(days(room))));
    rooms
        .filter(|(_, days)| *days > 0)
        .map(|(id, days)| (id, TimeMs(now.0.saturating_sub(days * DAY_MS))))
        .collect()
}

impl Step for Expire {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let now = cx.now.time;
        let due = self.due.get_or_insert_with(|| due_rooms(state, now));
        loop {
            let Some((id, before)) = due.front().copied() else { return Poll::Ready(()) };
            let Some(room) = state.rooms.all.get_mut(&id) else {
                due.pop_front();
                self.stage = ExpireStage::Next;
                continue;
            };
            match self.stage {
                ExpireStage::Next => {
                    let (after, count) = (room.expired_upto, LOOK_MAX);
                    let read = cx.read(Query::After { room: id, after, count });
                    self.stage = ExpireStage::Reading(read);
                }
                ExpireStage::Reading(read) => {
                    let Ok(entries) = ready!(cx.found_entries(read)) else {
                        return Poll::Ready(());
                    };
                    let (writes, upto) = forget(room, &entries, before);
                    if upto == room.expired_upto {
                        due.pop_front();
                        self.stage = ExpireStage::Next;
                        continue;
                    }
                    let may_have_more = entries.last().is_some_and(|last| last.seq == upto);
                    self.stage = ExpireStage::Writing(cx.write(writes), upto, may_have_more);
                }
                ExpireStage::Writing(write, upto, may_have_more) => {
                    if ready!(cx.written(write)).is_err() {
                        return Poll::Ready(());
                    }
                    room.expired_upto = upto;
                    for epoch in ended_epochs(room, upto) {
                        room.keys.wipe(epoch);
                    }
                    if !may_have_more {
                        due.pop_front();
                    }
                    self.stage = ExpireStage::Next;
                    state.rooms.show(id, cx);
                }
            }
        }
    }
}

/// What forgets the entries older than `before`, and how far that goes.
fn forget(room: &Room, entries: &[EntryRecord], before: TimeMs) -> (Vec<Write>, Seq) {
    let mut upto = room.expired_upto;
    let mut writes = Vec::new();
    let id = room.id;
    for entry in entries.iter().take_while(|entry| entry.time < before) {
        let seq = entry.seq;
        if !matches!(entry.content, StoredContent::Change(()) | StoredContent::Expired) {
            let content = StoredContent::Expired;
            writes.push(Write::Content { room: id, seq, content, is_mention: false });
        }
        upto = seq;
    }
    writes.push(Write::ExpiredUpto { room: id, upto });
    // Wiping scrubs the files, so only what is still there or has ended just now is wiped.
    let wiped = ended_epochs(room, room.expired_upto);
    let is_due = |epoch: &Epoch| !wiped.contains(epoch) || room.keys.secret(*epoch).is_some();
    let wipe = |epoch| Write::WipeEpoch { room: id, epoch };
    writes.extend(ended_epochs(room, upto).into_iter().filter(is_due).map(wipe));
    (writes, upto)
}

/// The epochs that ended before everything that is still kept.
fn ended_epochs(room: &Room, upto: Seq) -> Vec<Epoch> {
    let Some(state) = &room.state else { return Vec::new() };
    let is_ended = |epoch: &Epoch| state.epoch_end(*epoch).is_some_and(|end| end <= upto.next());
    state.epochs().iter().map(|record| record.epoch).filter(is_ended).collect()
}
