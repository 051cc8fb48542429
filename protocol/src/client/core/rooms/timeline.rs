//! Pages of a room for a face: from the replica, and from the server what is missing there.

use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::io::{Query, ReadId};
use super::super::server_call::storage;
use super::super::state::State;
use super::super::work::Step;
use super::views::Views;
use crate::client::record::EntryRecord;
use crate::client::{CommandError, Done};
use crate::id::{RoomId, Seq};
use crate::log::sync::Input;

/// Entries of one timeline request.
const TIMELINE_MAX: u32 = 1_000;
/// How long a timeline waits for older pages.
const OLDER_PATIENCE: Duration = Duration::from_secs(10);

/// Reads a page of a room.
#[derive(Debug)]
pub(in super::super) struct Timeline {
    room: RoomId,
    before: Seq,
    count: u32,
    stage: TimelineStage,
}

#[derive(Debug)]
enum TimelineStage {
    Begin,
    Reading(ReadId),
    /// Older pages are read from the server: how many had ended before, and until when to wait.
    Waiting(u64, Duration),
    ReadingAgain(ReadId),
}

impl Timeline {
    /// Reads `count` entries before `before`; `Seq(0)` means from the newest.
    pub(in super::super) fn new(room: RoomId, before: Seq, count: u32) -> Self {
        let count = count.min(TIMELINE_MAX);
        Self { room, before, count, stage: TimelineStage::Begin }
    }

    fn read(&self, cx: &mut Context<'_>) -> ReadId {
        let (room, before, count) = (self.room, self.before, self.count);
        cx.read(Query::Before { room, before, count })
    }

    fn page(&self, records: &[EntryRecord], state: &State) -> Done {
        let State { account, identities, rooms, .. } = state;
        let views = Views { account, identities };
        let Some(room) = rooms.all.get(&self.room) else {
            return Done::Timeline { entries: Vec::new(), has_more: false };
        };
        let held_from = room.facts.held_from;
        let first = records.first().map_or(self.before, |record| record.seq);
        let is_held = first > held_from && !records.is_empty();
        let has_more = is_held || (held_from > Seq(1) && room.may_read_before());
        let entries = records.iter().map(|record| views.entry(room, record)).collect();
        Done::Timeline { entries, has_more }
    }
}

impl Step for Timeline {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.room;
        loop {
            match self.stage {
                TimelineStage::Begin => {
                    state.account.visible = Some(id);
                    state.rooms.get(id)?;
                    self.stage = TimelineStage::Reading(self.read(cx));
                }
                TimelineStage::Reading(read) => {
                    let records =
                        ready!(cx.found_entries(read)).map_err(|error| storage(&error))?;
                    let room = state.rooms.get(id)?;
                    let n_records = u32::try_from(records.len()).unwrap_or(u32::MAX);
                    let may_have_more = room.facts.held_from > Seq(1) && room.may_read_before();
                    if n_records >= self.count || !may_have_more || !cx.is_online() {
                        return Poll::Ready(Ok(self.page(&records, state)));
                    }
                    let n_before = room.n_older_reads;
                    self.stage = TimelineStage::Waiting(n_before, cx.after(OLDER_PATIENCE));
                    state.rooms.feed(id, Input::WantOlder { count: self.count }, cx);
                }
                TimelineStage::Waiting(n_before, until) => {
                    let room = state.rooms.get(id)?;
                    let is_read = room.n_older_reads != n_before && room.older.is_empty();
                    if !is_read && !cx.is_due(until) && cx.is_online() {
                        return Poll::Pending;
                    }
                    self.stage = TimelineStage::ReadingAgain(self.read(cx));
                }
                TimelineStage::ReadingAgain(read) => {
                    let records =
                        ready!(cx.found_entries(read)).map_err(|error| storage(&error))?;
                    return Poll::Ready(Ok(self.page(&records, state)));
                }
            }
        }
    }
}
