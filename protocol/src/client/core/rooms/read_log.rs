//! Reading a room's log in pages, forward and back, for the sync machine that asked.
//!
//! Owns the pace: a page is taken from the stream when the one before is judged.

use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::io::{BulkFailure, BulkId, Found, Query, ReadId};
use super::super::state::State;
use super::super::work::Step;
use super::Rooms;
use crate::id::{RoomId, Seq};
use crate::log::sync::{Claimed, Input};
use crate::wire::{BulkRequest, Fault};

/// Entries that wait to be judged before the next page is taken from the stream.
const QUEUE_MAX: usize = 256;
/// A failed read is tried again after this, by the sync machine.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// Reads forward from a position.
#[derive(Debug)]
pub(in super::super) struct ReadForward {
    room: RoomId,
    after: Seq,
    count: u32,
    stage: ForwardStage,
}

#[derive(Debug)]
enum ForwardStage {
    Begin,
    Reading(BulkId),
    /// The page before is judged first.
    Holding(BulkId),
    Failed(Duration),
}

impl ReadForward {
    /// Reads `count` entries behind `after`.
    pub(in super::super) fn new(room: RoomId, after: Seq, count: u32) -> Self {
        Self { room, after, count, stage: ForwardStage::Begin }
    }
}

impl Step for ReadForward {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        loop {
            match self.stage {
                ForwardStage::Begin => {
                    let (after, count) = (self.after, self.count);
                    let bulk = cx.bulk(BulkRequest::After { room: id, after, count });
                    self.stage = ForwardStage::Reading(bulk);
                }
                ForwardStage::Reading(bulk) => match ready!(cx.page(bulk)) {
                    Ok(Some(page)) => {
                        let (hash_before, entries) = (page.hash_before, page.entries);
                        let is_last = page.is_last;
                        let input = Input::Page { hash_before, entries, is_last };
                        state.rooms.feed(id, input, cx);
                        if is_last {
                            return Poll::Ready(());
                        }
                        self.stage = ForwardStage::Holding(bulk);
                    }
                    Ok(None) => return Poll::Ready(()),
                    Err(error) => {
                        state.rooms.report_damage(id, &error, cx);
                        self.stage = ForwardStage::Failed(cx.after(READ_PAUSE));
                    }
                },
                ForwardStage::Holding(bulk) => {
                    let room = state.rooms.all.get(&id);
                    if room.is_some_and(|room| room.queue.len() >= QUEUE_MAX) {
                        return Poll::Pending;
                    }
                    cx.next_page(bulk);
                    self.stage = ForwardStage::Reading(bulk);
                }
                ForwardStage::Failed(until) => {
                    if !cx.is_due(until) {
                        return Poll::Pending;
                    }
                    state.rooms.feed(id, Input::PageFailed, cx);
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Reads back from a position.
#[derive(Debug)]
pub(in super::super) struct ReadBack {
    room: RoomId,
    request: Option<BulkRequest>,
    bulk: Option<BulkId>,
}

impl ReadBack {
    /// Reads `count` entries before `before`.
    pub(in super::super) fn new(room: RoomId, before: Seq, count: u32) -> Self {
        Self { room, request: Some(BulkRequest::Before { room, before, count }), bulk: None }
    }
}

impl Step for ReadBack {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        if let Some(request) = self.request.take() {
            self.bulk = Some(cx.bulk(request));
        }
        let Some(bulk) = self.bulk else { return Poll::Ready(()) };
        loop {
            match ready!(cx.page(bulk)) {
                Ok(Some(page)) => {
                    let (hash_before, entries) = (page.hash_before, page.entries);
                    let is_last = page.is_last;
                    let input = Input::OlderPage { hash_before, entries, is_last };
                    state.rooms.feed(id, input, cx);
                    if is_last {
                        break;
                    }
                    cx.next_page(bulk);
                }
                Ok(None) => break,
                Err(error) => {
                    state.rooms.report_damage(id, &error, cx);
                    state.rooms.feed(id, Input::OlderFailed, cx);
                    break;
                }
            }
        }
        if let Some(room) = state.rooms.all.get_mut(&id) {
            room.n_older_reads += 1;
        }
        Poll::Ready(())
    }
}

impl Rooms {
    /// Reports once that the server has lost a part of a room.
    fn report_damage(&mut self, id: RoomId, error: &BulkFailure, cx: &mut Context<'_>) {
        tracing::debug!(room = id.short(), %error, "reading a log failed");
        let BulkFailure::Fault(fault @ Fault::Damaged) = error else { return };
        let Some(room) = self.all.get_mut(&id) else { return };
        if !std::mem::replace(&mut room.is_damage_reported, true) {
            cx.notice(Some(id), format!("a part of this room cannot be read: {fault}"));
        }
    }
}

/// Looks up `H` at old positions for the log rules.
#[derive(Debug)]
pub(in super::super) struct Recall {
    room: RoomId,
    reading: Option<(ReadId, Seq, Claimed)>,
}

impl Recall {
    /// Looks up what this room's log rules ask for.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, reading: None }
    }
}

impl Step for Recall {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        loop {
            if let Some((read, seq, claimed)) = self.reading {
                let found = ready!(cx.found(read));
                self.reading = None;
                if let Ok(Found::Hash(Some(hash))) = found {
                    state.rooms.feed(id, Input::Recalled { seq, hash, claimed }, cx);
                }
            }
            let room = state.rooms.all.get_mut(&id);
            let Some((seq, claimed)) = room.and_then(|room| room.lookups.pop_front()) else {
                return Poll::Ready(());
            };
            self.reading = Some((cx.read(Query::HashAt { room: id, seq }), seq, claimed));
        }
    }
}
