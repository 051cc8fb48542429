//! The bounded way from the engine to a face.
//!
//! Owns what happens when a face reads slowly: facts about rooms, presence, typing and connection
//! collapse to the newest; entries beyond the bound are forgotten here and told again later from the
//! replica, by position, so none is ever lost; outcomes of the outbox and alarms are never dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::event::{ClientEvent, EntryView};
use super::handle::Ask;
use crate::id::{AccountId, RoomId, Seq};

/// Entries queued for a face before it is told from the replica instead.
const ENTRIES_MAX: usize = 512;
/// Quiet lines and alarms queued; beyond that the oldest notices go.
const NOTICES_MAX: usize = 256;
/// Entries told again at a time.
pub(super) const REPLAY_MAX: u32 = 64;

/// Entries of a room that a slow face has yet to hear, all from `from` on.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// The room.
    pub room: RoomId,
    /// The first entry that is missing.
    pub from: Seq,
}

/// The face's end of the event queue.
#[derive(Debug)]
pub struct Events {
    queue: EventQueue,
    asks: mpsc::WeakSender<Ask>,
}

impl Events {
    pub(super) fn new(asks: mpsc::WeakSender<Ask>) -> Self {
        Self { queue: EventQueue::default(), asks }
    }

    pub(super) fn queue(&self) -> EventQueue {
        self.queue.clone()
    }

    /// Waits for the next event; `None` once the client has stopped and everything was told.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: an event is taken only when it is returned.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if let Some(backlog) = self.queue.first_backlog() {
                if !self.ask_again(backlog).await {
                    // The engine is gone; what it has not told stays in the replica.
                    self.queue.replay(backlog, Vec::new(), None);
                    continue;
                }
            } else if self.queue.is_closed() {
                return self.try_next();
            }
            self.queue.changed().await;
        }
    }

    /// The next event that waits already.
    pub fn try_next(&mut self) -> Option<ClientEvent> {
        self.queue.pop()
    }

    async fn ask_again(&self, backlog: Backlog) -> bool {
        let Some(asks) = self.asks.upgrade() else { return false };
        asks.send(Ask::Replay(backlog)).await.is_ok()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// The engine's end.
#[derive(Debug, Clone, Default)]
pub(super) struct EventQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of happening; keyed facts stand where they were first told.
    waiting: VecDeque<ClientEvent>,
    n_entries: usize,
    n_notices: usize,
    backlogs: BTreeMap<RoomId, Seq>,
    is_closed: bool,
    is_abandoned: bool,
}

/// What makes two events the same fact, the newer replacing the older.
#[derive(PartialEq, Eq)]
enum Key {
    Connection,
    Room(RoomId),
    Marks(RoomId),
    Typing(RoomId, AccountId),
    Presence(AccountId),
    Outbox(u64),
    Stream(RoomId, Seq),
    Reactions(RoomId, Seq),
}

fn key(event: &ClientEvent) -> Option<Key> {
    match event {
        ClientEvent::Connection(_) => Some(Key::Connection),
        ClientEvent::Room(view) => Some(Key::Room(view.room)),
        ClientEvent::Marks { room, .. } => Some(Key::Marks(*room)),
        ClientEvent::Typing { room, account, .. } => Some(Key::Typing(*room, *account)),
        ClientEvent::Presence(view) => Some(Key::Presence(view.account)),
        ClientEvent::Outbox(view) => Some(Key::Outbox(view.local_id)),
        ClientEvent::Stream(view) => Some(Key::Stream(view.room, view.ask)),
        ClientEvent::Reactions { room, target, .. } => Some(Key::Reactions(*room, *target)),
        _ => None,
    }
}

impl EventQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves a queue that is still whole: every change is one call.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the face something.
    pub(super) fn emit(&self, event: ClientEvent) {
        let mut state = self.lock();
        if state.is_abandoned {
            return;
        }
        state.push(event);
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Says that nothing follows.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.shared.changed.notify_one();
    }

    fn abandon(&self) {
        let mut state = self.lock();
        state.is_abandoned = true;
        state.waiting.clear();
        state.backlogs.clear();
    }

    fn pop(&self) -> Option<ClientEvent> {
        let mut state = self.lock();
        let event = state.waiting.pop_front()?;
        match &event {
            ClientEvent::Entry(_) => state.n_entries -= 1,
            ClientEvent::Notice { .. } | ClientEvent::Alarm { .. } => state.n_notices -= 1,
            _ => {}
        }
        Some(event)
    }

    fn is_closed(&self) -> bool {
        let state = self.lock();
        state.is_closed && state.waiting.is_empty()
    }

    async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    fn first_backlog(&self) -> Option<Backlog> {
        let state = self.lock();
        state.backlogs.first_key_value().map(|(room, from)| Backlog { room: *room, from: *from })
    }

    /// Tells a part of a backlog again; `next` is where the rest begins.
    pub(super) fn replay(&self, told: Backlog, entries: Vec<EntryView>, next: Option<Seq>) {
        let mut state = self.lock();
        // Anything else was told meanwhile, or something older came back: told again from there.
        if state.backlogs.get(&told.room) == Some(&told.from) {
            match next {
                Some(next) => state.backlogs.insert(told.room, next),
                None => state.backlogs.remove(&told.room),
            };
            state.n_entries += entries.len();
            state.waiting.extend(entries.into_iter().map(|e| ClientEvent::Entry(Box::new(e))));
        }
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl State {
    fn push(&mut self, event: ClientEvent) {
        if let ClientEvent::Entry(entry) = &event {
            self.push_entry(entry.room, entry.seq, event);
            return;
        }
        if let Some(wanted) = key(&event) {
            let known = self.waiting.iter_mut().find(|e| key(e).as_ref() == Some(&wanted));
            if let Some(known) = known {
                *known = event;
                return;
            }
        }
        if matches!(event, ClientEvent::Notice { .. } | ClientEvent::Alarm { .. }) {
            self.n_notices += 1;
            if self.n_notices > NOTICES_MAX {
                let quiet = |e: &ClientEvent| matches!(e, ClientEvent::Notice { .. });
                if let Some(oldest) = self.waiting.iter().position(quiet) {
                    self.waiting.remove(oldest);
                    self.n_notices -= 1;
                }
            }
        }
        self.waiting.push_back(event);
    }

    fn push_entry(&mut self, room: RoomId, seq: Seq, event: ClientEvent) {
        if let Some(from) = self.backlogs.get_mut(&room) {
            *from = seq.min(*from);
            return;
        }
        if self.n_entries >= ENTRIES_MAX {
            let of_room = |e: &ClientEvent| matches!(e, ClientEvent::Entry(v) if v.room == room);
            let queued = self.waiting.iter().filter_map(|e| match e {
                ClientEvent::Entry(view) if view.room == room => Some(view.seq),
                _ => None,
            });
            let from = queued.fold(seq, Seq::min);
            let n_before = self.waiting.len();
            self.waiting.retain(|e| !of_room(e));
            self.n_entries -= n_before - self.waiting.len();
            self.backlogs.insert(room, from);
            return;
        }
        self.n_entries += 1;
        self.waiting.push_back(event);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::client::entry::EntryContent;
    use crate::client::event::SealedBy;
    use crate::crypto::content::Content;
    use crate::id::{DeviceId, TimeMs};

    /// An empty text of ann's.
    pub(in crate::client) fn entry(seq: u64) -> EntryView {
        EntryView {
            room: RoomId([1; 32]),
            seq: Seq(seq),
            time: TimeMs(0),
            author: AccountId::ZERO,
            handle: "ann".to_owned(),
            device: DeviceId::ZERO,
            is_mine: false,
            is_countable: true,
            is_mention: false,
            is_shown: false,
            sealed: SealedBy::Open,
            content: EntryContent::Said(Content::Text(String::new())),
            reactions: Vec::new(),
        }
    }

    fn heard(events: &mut Events) -> Vec<u64> {
        std::iter::from_fn(|| events.try_next())
            .filter_map(|event| match event {
                ClientEvent::Entry(entry) => Some(entry.seq.0),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_face_that_reads_slowly_is_told_everything_later() {
        let (asks, _inbox) = mpsc::channel(1);
        let mut events = Events::new(asks.downgrade());
        let queue = events.queue();
        let n_entries = ENTRIES_MAX as u64 + 10;
        for seq in 1..=n_entries {
            queue.emit(ClientEvent::Entry(Box::new(entry(seq))));
        }
        assert_eq!(heard(&mut events), Vec::<u64>::new(), "all of the room went to the backlog");
        let mut told = Vec::new();
        while let Some(backlog) = queue.first_backlog() {
            let upto = n_entries.min(backlog.from.0 + u64::from(REPLAY_MAX) - 1);
            let next = (upto < n_entries).then_some(Seq(upto + 1));
            queue.replay(backlog, (backlog.from.0..=upto).map(entry).collect(), next);
            told.extend(heard(&mut events));
        }
        assert_eq!(told, (1..=n_entries).collect::<Vec<_>>());
    }

    #[test]
    fn facts_collapse_and_alarms_stay() {
        let (asks, _inbox) = mpsc::channel(1);
        let mut events = Events::new(asks.downgrade());
        let queue = events.queue();
        for n_times in 0..(2 * NOTICES_MAX) {
            queue.emit(ClientEvent::Typing {
                room: RoomId::ZERO,
                account: AccountId::ZERO,
                is_typing: n_times % 2 == 0,
            });
            queue.emit(ClientEvent::Notice { room: None, text: n_times.to_string() });
        }
        queue.emit(ClientEvent::Alarm {
            room: None,
            account: None,
            cause: crate::client::AlarmCause::Fork,
            text: String::new(),
        });
        let all: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        assert_eq!(all.iter().filter(|e| matches!(e, ClientEvent::Typing { .. })).count(), 1);
        assert!(all.len() <= NOTICES_MAX + 1);
        assert!(matches!(all.last(), Some(ClientEvent::Alarm { .. })));
    }
}
