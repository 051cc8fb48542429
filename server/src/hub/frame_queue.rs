//! One session's bounded queue of what is to be sent to it.
//!
//! Never waits and never grows past its bounds: whoever has deliveries puts it here and goes on, and a
//! session that reads too slowly loses events, is sent where, and pulls them from the log. Replies
//! have a queue of their own and are never dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mathia_protocol::id::{RoomNumber, Seq};
use mathia_protocol::limits::REQUESTS_MAX;
use mathia_protocol::wire::{Event, Fault, Reply, ServerFrame, encode_frame};
use tokio::sync::Notify;

use super::EphemeralKey;
use super::entry_run::EntryRun;
use crate::limits::Limits;

/// Datagrams that may wait in one frame queue: who types is worthless when there are many.
const DATAGRAMS_MAX: usize = 8;
/// Slots a queue keeps when it is empty; a busy session's next batch needs no allocation.
const KEPT_SLOTS: usize = 32;

/// How much one frame queue may hold, replies apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Log entries and other events together.
    pub n_entries_max: usize,
    /// Bytes of their frames.
    pub n_bytes_max: usize,
}

impl From<&Limits> for QueueLimits {
    fn from(limits: &Limits) -> Self {
        Self { n_entries_max: limits.outbox_entries_max, n_bytes_max: limits.outbox_bytes_max }
    }
}

/// Encodes a reply to a call, ready for [`FrameQueue::answer`].
pub fn reply_frame(call: u32, reply: &Reply) -> Bytes {
    encode_frame(&ServerFrame::Reply { id: call, reply: reply.clone() })
}

/// Encodes a refusal of a call, ready for [`FrameQueue::answer`].
pub fn fault_frame(call: u32, fault: &Fault) -> Bytes {
    encode_frame(&ServerFrame::Fault { id: call, fault: fault.clone() })
}

/// Encodes an event once, for all who get it.
pub fn event_frame(event: Event) -> Bytes {
    encode_frame(&ServerFrame::Event(event))
}

/// One session's queue, shared by all who have something for it.
///
/// Callers queue first and [`wake`](Self::wake) once: the session then takes everything that waits.
#[derive(Debug)]
pub struct FrameQueue {
    bounds: QueueLimits,
    queues: Mutex<QueueState>,
    bell: Notify,
}

#[derive(Debug, Default)]
pub(super) struct QueueState {
    /// Answers to calls; bounded because a session may have [`REQUESTS_MAX`] calls open.
    replies: VecDeque<Bytes>,
    /// Log entries and other events, in the order they happened.
    events: VecDeque<QueuedEvent>,
    /// The newest of each key, in the order the keys came.
    ephemerals: Vec<(EphemeralKey, Bytes)>,
    /// The newest few.
    datagrams: VecDeque<Bytes>,
    /// Rooms that lost entries, each with the first place lost. Until the session takes this, the
    /// rooms queue nothing: the session has to pull from the log anyway.
    lagged: BTreeMap<RoomNumber, Seq>,
    /// Entries and events in `events` and `ephemerals`.
    n_entries: usize,
    /// Bytes in `events` and `ephemerals`.
    n_bytes: usize,
    /// Calls that were opened and whose answers the session has not yet taken.
    n_calls: usize,
    /// Whether the bell was rung and the session has not yet come: it needs no second ring.
    is_rung: bool,
    session_end: Option<SessionEnd>,
}

#[derive(Debug)]
enum QueuedEvent {
    /// One or more entries of a room with rising places, as frames one behind the other.
    Entries {
        room: RoomNumber,
        first_seq: Seq,
        n_entries: usize,
        frames: Bytes,
    },
    Event(Bytes),
}

/// Why a session is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// The device was revoked or signs wrongly, or the account was removed.
    Expelled,
    /// The server stops.
    Stopping,
}

impl FrameQueue {
    /// Makes an empty frame queue.
    pub fn new(bounds: QueueLimits) -> Self {
        Self { bounds, queues: Mutex::default(), bell: Notify::new() }
    }

    /// Queues an encoded reply or fault. Never dropped.
    pub fn answer(&self, frame: Bytes) {
        self.lock().replies.push_back(frame);
    }

    /// Encodes and queues a reply to a call.
    pub fn reply(&self, call: u32, reply: &Reply) {
        self.answer(reply_frame(call, reply));
    }

    /// Encodes and queues a refusal of a call.
    pub fn fault(&self, call: u32, fault: &Fault) {
        self.answer(fault_frame(call, fault));
    }

    /// Queues a log entry. Over the bounds all queued entries are dropped and the session will be
    /// sent from where to pull them.
    pub fn entry(&self, room: RoomNumber, seq: Seq, frame: &Bytes) {
        self.lock().push_entries(
            self.bounds,
            EntryRun { room, first_seq: seq, n_entries: 1, frames: frame },
        );
    }

    /// Queues an event; over the bounds it is dropped, since `Resume` sends all such facts again.
    pub fn event(&self, frame: &Bytes) {
        self.lock().push_event(self.bounds, frame);
    }

    /// Queues an event that replaces an earlier one with the same key, and is dropped first.
    pub fn ephemeral(&self, key: EphemeralKey, frame: &Bytes) {
        self.lock().push_ephemeral(self.bounds, key, frame);
    }

    /// Queues a datagram; when several wait, the newest win.
    pub fn datagram(&self, payload: Bytes) {
        self.lock().push_datagram(payload);
    }

    /// Wakes the session, if something waits and it was not woken already.
    pub fn wake(&self) {
        let mut queues = self.lock();
        let is_needed = !queues.is_empty() && !queues.is_rung;
        queues.is_rung |= is_needed;
        drop(queues);
        if is_needed {
            self.bell.notify_one();
        }
    }

    /// Tells the session that it is over.
    pub fn end(&self, session_end: SessionEnd) {
        self.lock().session_end.get_or_insert(session_end);
        self.bell.notify_one();
    }

    /// Says whether, and why, the session is to end.
    pub fn session_end(&self) -> Option<SessionEnd> {
        self.lock().session_end
    }

    /// Says whether nothing waits and no call is without its answer.
    pub fn is_idle(&self) -> bool {
        let queues = self.lock();
        queues.is_empty() && queues.n_calls == 0
    }

    /// Notes that a call was read; its answer closes it. `false` if as many as allowed are open:
    /// the session reads no further until answers have left.
    pub fn open_call(&self) -> bool {
        let mut queues = self.lock();
        let has_room = queues.n_calls < REQUESTS_MAX;
        queues.n_calls += usize::from(has_room);
        has_room
    }

    /// Says whether another call may be opened.
    pub fn may_open_call(&self) -> bool {
        self.lock().n_calls < REQUESTS_MAX
    }

    /// Waits until somebody has rung. May return without anything to gather.
    ///
    /// # Cancel safety
    ///
    /// A ring that is not waited for is kept.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Takes everything that waits: `frames` gets replies, then where the session lagged, then events
    /// in their order, then ephemeral ones; `datagrams` gets the rest. Says whether, and why, the
    /// session is to end after that.
    pub fn gather(
        &self,
        frames: &mut Vec<Bytes>,
        datagrams: &mut Vec<Bytes>,
    ) -> Option<SessionEnd> {
        let mut queues = self.lock();
        queues.is_rung = false;
        queues.n_calls = queues.n_calls.saturating_sub(queues.replies.len());
        frames.extend(queues.replies.drain(..));
        while let Some((room, next_seq)) = queues.lagged.pop_first() {
            frames.push(event_frame(Event::Lagged { room, next_seq }));
        }
        frames.extend(queues.events.drain(..).map(|queued| match queued {
            QueuedEvent::Entries { frames, .. } => frames,
            QueuedEvent::Event(frame) => frame,
        }));
        frames.extend(queues.ephemerals.drain(..).map(|(_, frame)| frame));
        datagrams.extend(queues.datagrams.drain(..));
        (queues.n_entries, queues.n_bytes) = (0, 0);
        queues.replies.shrink_to(KEPT_SLOTS);
        queues.events.shrink_to(KEPT_SLOTS);
        queues.ephemerals.shrink_to(KEPT_SLOTS);
        queues.session_end
    }

    /// Queues through `push` and says whether the caller has to [`ring`](Self::ring) afterwards:
    /// for one who queues a lot and rings once.
    pub(super) fn queue(&self, push: impl FnOnce(&mut QueueState, QueueLimits)) -> bool {
        let mut queues = self.lock();
        push(&mut queues, self.bounds);
        !std::mem::replace(&mut queues.is_rung, true)
    }

    /// Rings for what [`queue`](Self::queue) has queued.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // Every change leaves the queues usable, so a panic elsewhere does not end this session.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn is_empty(&self) -> bool {
        self.replies.is_empty()
            && self.n_entries == 0
            && self.lagged.is_empty()
            && self.datagrams.is_empty()
    }

    fn fits(&self, bounds: QueueLimits, n_entries: usize, n_bytes: usize) -> bool {
        self.n_entries + n_entries <= bounds.n_entries_max
            && self.n_bytes + n_bytes <= bounds.n_bytes_max
    }

    fn count(&mut self, n_entries: usize, n_bytes: usize) {
        self.n_entries += n_entries;
        self.n_bytes += n_bytes;
    }

    pub(super) fn push_answer(&mut self, frame: Bytes) {
        self.replies.push_back(frame);
    }

    pub(super) fn push_entries(&mut self, bounds: QueueLimits, run: EntryRun<'_>) {
        let EntryRun { room, first_seq, n_entries, frames } = run;
        if !self.fits(bounds, n_entries, frames.len()) {
            self.drop_ephemerals();
        }
        if !self.fits(bounds, n_entries, frames.len()) {
            self.drop_entries();
        }
        if !self.lagged.is_empty() && self.lagged.contains_key(&room) {
            return;
        }
        if self.fits(bounds, n_entries, frames.len()) {
            self.count(n_entries, frames.len());
            let frames = frames.clone();
            self.events.push_back(QueuedEvent::Entries { room, first_seq, n_entries, frames });
        } else {
            // A run larger than the whole frame queue, or one full of other events.
            self.lagged.insert(room, first_seq);
        }
    }

    pub(super) fn push_event(&mut self, bounds: QueueLimits, frame: &Bytes) {
        if !self.fits(bounds, 1, frame.len()) {
            self.drop_ephemerals();
        }
        if self.fits(bounds, 1, frame.len()) {
            self.count(1, frame.len());
            self.events.push_back(QueuedEvent::Event(frame.clone()));
        }
    }

    pub(super) fn push_ephemeral(&mut self, bounds: QueueLimits, key: EphemeralKey, frame: &Bytes) {
        if let Some((_, old)) = self.ephemerals.iter_mut().find(|(other, _)| *other == key) {
            // Only a little larger than what it replaces: the bound is kept by the next event.
            self.n_bytes = self.n_bytes + frame.len() - old.len();
            *old = frame.clone();
        } else if self.fits(bounds, 1, frame.len()) {
            self.count(1, frame.len());
            self.ephemerals.push((key, frame.clone()));
        }
    }

    pub(super) fn push_datagram(&mut self, payload: Bytes) {
        if self.datagrams.len() == DATAGRAMS_MAX {
            self.datagrams.pop_front();
        }
        self.datagrams.push_back(payload);
    }

    fn drop_ephemerals(&mut self) {
        for (_, frame) in self.ephemerals.drain(..) {
            self.n_entries -= 1;
            self.n_bytes -= frame.len();
        }
    }

    /// Drops all entries and remembers where each room lost its first; other events stay.
    fn drop_entries(&mut self) {
        let Self { events, lagged, n_entries: n_left, n_bytes, .. } = self;
        events.retain(|queued| match queued {
            QueuedEvent::Event(_) => true,
            QueuedEvent::Entries { room, first_seq, n_entries, frames } => {
                *n_left -= n_entries;
                *n_bytes -= frames.len();
                let lost = lagged.entry(*room).or_insert(*first_seq);
                *lost = (*lost).min(*first_seq);
                false
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use mathia_protocol::id::AccountId;
    use mathia_protocol::wire::{decode, take_frame};

    use super::*;

    const TEAM: RoomNumber = RoomNumber(1);
    const LOBBY: RoomNumber = RoomNumber(2);

    fn frame_queue(n_entries_max: usize) -> FrameQueue {
        FrameQueue::new(QueueLimits { n_entries_max, n_bytes_max: 1_000 })
    }

    fn frame(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    /// Everything that waits, with the one kind of frame the frame queue makes itself spelled out.
    fn told(frame_queue: &FrameQueue) -> Vec<String> {
        let (mut frames, mut datagrams) = (Vec::new(), Vec::new());
        assert_eq!(frame_queue.gather(&mut frames, &mut datagrams), None);
        frames.extend(datagrams);
        frames.iter().map(|frame| lagged(frame).unwrap_or_else(|| text(frame))).collect()
    }

    fn text(frame: &Bytes) -> String {
        String::from_utf8_lossy(frame).into_owned()
    }

    fn lagged(frame: &Bytes) -> Option<String> {
        let body = take_frame(&mut frame.as_ref().into(), 64).ok()??;
        match decode::<ServerFrame>(&body).ok()? {
            ServerFrame::Event(Event::Lagged { room, next_seq }) => {
                Some(format!("{room} lags at {next_seq}"))
            }
            _ => None,
        }
    }

    #[test]
    fn replies_come_first_and_events_keep_their_order() {
        let frame_queue = frame_queue(8);
        frame_queue.entry(TEAM, Seq(1), &frame("one"));
        frame_queue.event(&frame("grew"));
        frame_queue.entry(TEAM, Seq(2), &frame("two"));
        frame_queue.ephemeral(EphemeralKey::Marks(TEAM), &frame("marks"));
        frame_queue.datagram(frame("typing"));
        frame_queue.answer(frame("reply"));
        assert_eq!(told(&frame_queue), ["reply", "one", "grew", "two", "marks", "typing"]);
        assert!(told(&frame_queue).is_empty());
    }

    #[test]
    fn a_slow_reader_is_told_where_each_room_lost_its_first_entry() {
        let frame_queue = frame_queue(4);
        for seq in 5..9 {
            frame_queue.entry(TEAM, Seq(seq), &frame("old"));
        }
        frame_queue.entry(LOBBY, Seq(1), &frame("hello"));
        assert_eq!(told(&frame_queue), ["1 lags at 5", "hello"]);
        frame_queue.entry(TEAM, Seq(10), &frame("ten"));
        assert_eq!(told(&frame_queue), ["ten"], "live again once it was told");
    }

    #[test]
    fn a_lagging_room_queues_nothing_until_the_session_was_told() {
        let frame_queue = frame_queue(2);
        for seq in 1..100 {
            frame_queue.entry(TEAM, Seq(seq), &frame("text"));
        }
        frame_queue.entry(LOBBY, Seq(7), &frame("seven"));
        assert_eq!(told(&frame_queue), ["1 lags at 1", "seven"]);
    }

    #[test]
    fn replies_and_other_events_survive_an_overflow_and_ephemerals_go_first() {
        let frame_queue = frame_queue(3);
        frame_queue.event(&frame("expected"));
        frame_queue.entry(TEAM, Seq(1), &frame("one"));
        frame_queue.ephemeral(EphemeralKey::Presence(AccountId::ZERO), &frame("online"));
        frame_queue.entry(TEAM, Seq(2), &frame("two"));
        for _ in 0..REQUESTS_MAX {
            frame_queue.answer(frame("reply"));
        }
        let told = told(&frame_queue);
        assert_eq!(told.iter().filter(|text| *text == "reply").count(), REQUESTS_MAX);
        assert_eq!(told[REQUESTS_MAX..], ["expected", "one", "two"]);
    }

    #[test]
    fn bytes_are_bounded_as_entries_are() {
        let frame_queue = frame_queue(100);
        frame_queue.entry(TEAM, Seq(1), &frame(&"x".repeat(600)));
        frame_queue.entry(TEAM, Seq(2), &frame(&"y".repeat(600)));
        assert_eq!(told(&frame_queue), ["1 lags at 1"]);
        frame_queue.entry(LOBBY, Seq(3), &frame(&"z".repeat(1_001)));
        assert_eq!(told(&frame_queue), ["2 lags at 3"]);
    }

    #[test]
    fn the_newest_of_a_key_replaces_the_older_and_a_full_outbox_takes_none() {
        let frame_queue = frame_queue(2);
        frame_queue.ephemeral(EphemeralKey::Marks(TEAM), &frame("first"));
        frame_queue.ephemeral(EphemeralKey::Marks(LOBBY), &frame("other"));
        frame_queue.ephemeral(EphemeralKey::Marks(TEAM), &frame("second"));
        frame_queue.ephemeral(EphemeralKey::Presence(AccountId::ZERO), &frame("too many"));
        assert_eq!(told(&frame_queue), ["second", "other"]);
    }

    #[test]
    fn of_many_datagrams_the_newest_are_kept() {
        let frame_queue = frame_queue(2);
        for number in 0..DATAGRAMS_MAX + 2 {
            frame_queue.datagram(frame(&number.to_string()));
        }
        assert_eq!(told(&frame_queue)[0], "2");
    }

    #[test]
    fn calls_are_bounded_until_their_answers_are_taken() {
        let frame_queue = frame_queue(2);
        assert!((0..REQUESTS_MAX).all(|_| frame_queue.open_call()));
        assert!(!frame_queue.open_call());
        frame_queue.answer(frame("reply"));
        assert!(!frame_queue.may_open_call(), "an answer that still waits keeps its place");
        told(&frame_queue);
        assert!(frame_queue.open_call());
        assert!(!frame_queue.open_call());
    }

    #[tokio::test]
    async fn one_ring_is_enough_for_all_that_waits() {
        let frame_queue = frame_queue(8);
        frame_queue.wake();
        assert!(frame_queue.queue(|queues, bounds| queues.push_event(bounds, &frame("a"))));
        assert!(!frame_queue.queue(|queues, bounds| queues.push_event(bounds, &frame("b"))));
        frame_queue.ring();
        frame_queue.rung().await;
        assert_eq!(told(&frame_queue), ["a", "b"]);
        assert!(frame_queue.queue(|queues, bounds| queues.push_event(bounds, &frame("c"))));
    }
}
